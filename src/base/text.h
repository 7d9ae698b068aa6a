// Small text conversions, and a text that is put together piece by piece.
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

#define BW_KEY_TEXT 45 // 32 bytes as base64 with the NUL, as `wg` prints keys

// Standard base64 with padding (RFC 4648 section 4). out needs 4 * ((n + 2) / 3) + 1 bytes; returns out.
char *bw_base64_encode(const void *p, size_t n, char *out);
// Exactly n bytes, canonical (unused bits zero), nothing behind: else BW_ERR_MALFORMED. Constant in neither time nor space;
// for secrets that come from a file of the user's own this is what wg does as well.
int bw_base64_decode(const char *s, void *out, size_t n) BW_NODISCARD;
char *bw_hex_encode(const void *p, size_t n, char *out); // out: 2n + 1 bytes; lower case
int bw_hex_decode(const char *s, void *out, size_t n) BW_NODISCARD;

// A text that grows: in a room of its owner's (.p, .cap), or with .mem in as much as it takes. A piece that finds no room is left
// out as a whole, and so is everything behind it; `full` says so. Memory that is given up is wiped: some texts hold keys.
struct bw_text {
    char *p; // n characters and a NUL; with .mem NULL until something was added
    size_t n, cap;
    struct bw_mem *mem;
    bool full;
};
void bw_put(struct bw_text *t, const char *fmt, ...) BW_PRINTF(2, 3);
void bw_text_free(struct bw_text *t); // of one with .mem; it is empty then

#endif
