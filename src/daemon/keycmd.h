// `byway key show` and `byway key new`: the identity file without a running node.
#ifndef DAEMON_KEYCMD_H
#define DAEMON_KEYCMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct keycmd_identity {
    uint8_t key[32]; // public key of links
    struct bw_addr address;
};

// Both return 0, or an error with a sentence in why ("what is wrong (what to do)").
int keycmd_show(const char *state_dir, struct keycmd_identity *out, char *why, size_t why_size) BW_NODISCARD;
// BW_ERR_EXISTS: there is an identity already and force is false. The state folder is made (0700) if it is missing.
int keycmd_new(const char *state_dir, bool force, struct keycmd_identity *out, char *why, size_t why_size) BW_NODISCARD;

#endif
