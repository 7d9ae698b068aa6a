// Small text conversions.
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define BW_KEY_TEXT 45 // 32 bytes as base64 with the NUL, as `wg` prints keys

// Standard base64 with padding (RFC 4648 section 4). out needs 4 * ((n + 2) / 3) + 1 bytes; returns out.
char *bw_base64_encode(const void *p, size_t n, char *out);
// Exactly n bytes, canonical (unused bits zero), nothing behind: else BW_ERR_MALFORMED. Constant in neither time nor space;
// for secrets that come from a file of the user's own this is what wg does as well.
int bw_base64_decode(const char *s, void *out, size_t n) BW_NODISCARD;
char *bw_hex_encode(const void *p, size_t n, char *out); // out: 2n + 1 bytes; lower case
int bw_hex_decode(const char *s, void *out, size_t n) BW_NODISCARD;

#endif
