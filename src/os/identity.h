// STATE/identity: the node's 32-byte seed as one line of base64, mode 0600. The seed is the node (DESIGN 2, "Identity
// and address"): a file that others can read is refused, and one that cannot be understood is never written over by
// itself.
#ifndef OS_IDENTITY_H
#define OS_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

// BW_ERR_NOTFOUND: there is none yet (make one). BW_ERR_DENIED: readable by others, not a regular file, or somebody
// else's. BW_ERR_MALFORMED: not a seed. BW_ERR_SYS: cannot be read. The caller wipes seed when done (explicit_bzero).
int os_identity_read(const char *state_dir, uint8_t seed[32], char *why, size_t n) BW_NODISCARD;

// Atomic and durable. BW_ERR_EXISTS if there is one and replace is false. BW_ERR_SYS: why tells read-only, full, ...
int os_identity_write(const char *state_dir, const uint8_t seed[32], bool replace, char *why, size_t n) BW_NODISCARD;

#endif
