// The line of text that `byway invite` prints and `byway join` takes (docs/spec/invite.md): who to join, where, and
// with what.
#ifndef WIRE_INVITE_H
#define WIRE_INVITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define INVITE_PREFIX "byway:1:"
#define INVITE_ENDPOINTS 8
#define INVITE_HOST 254
#define INVITE_NAME 64
#define INVITE_TEXT 3072 // the longest text with its NUL

struct invite_endpoint {
    char host[INVITE_HOST]; // address or name, without brackets
    uint16_t port;
};
struct invite {
    uint8_t key[32];
    char name[INVITE_NAME]; // of the inviting node, "" if it is not told
    struct invite_endpoint endpoints[INVITE_ENDPOINTS];
    uint8_t endpoint_count;
    bool has_secret;
    uint8_t secret[32]; // the network's
};

// out: INVITE_TEXT bytes. BW_ERR_RANGE: a field that the format cannot hold.
int invite_encode(const struct invite *i, char *out) BW_NODISCARD;
// The whole text or nothing; blanks and line ends around it are fine. BW_ERR_MALFORMED, BW_ERR_SHORT (cut off),
// BW_ERR_UNSUPPORTED (a version of the format that is newer than we are), BW_ERR_AUTH (mistyped: the check does not
// fit).
int invite_decode(const char *text, struct invite *out) BW_NODISCARD;

#endif
