#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *bw_base64_encode(const void *data, size_t n, char *out)
{
    const uint8_t *p = data;
    char *o = out;
    for (size_t i = 0; i < n; i += 3) {
        size_t k = n - i < 3 ? n - i : 3;
        uint32_t v = (uint32_t)p[i] << 16 | (k > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (k > 2 ? p[i + 2] : 0);
        for (size_t j = 0; j < 4; j++) *o++ = j <= k ? alphabet[v >> (18 - 6 * j) & 63] : '=';
    }
    *o = 0;
    return out;
}

int bw_base64_decode(const char *s, void *out, size_t n)
{
    size_t want = 4 * ((n + 2) / 3), pad = (3 - n % 3) % 3;
    if (strnlen(s, want + 1) != want) return BW_ERR_MALFORMED;
    uint8_t *o = out;
    size_t done = 0;
    for (size_t i = 0; i < want; i += 4) {
        uint32_t v = 0;
        size_t equals = i + 4 == want ? pad : 0;
        for (size_t j = 0; j < 4; j++) {
            uint32_t digit = 0;
            if (j >= 4 - equals) {
                if (s[i + j] != '=') return BW_ERR_MALFORMED;
            } else {
                const char *at = memchr(alphabet, s[i + j], 64);
                if (!at) return BW_ERR_MALFORMED;
                digit = (uint32_t)(at - alphabet);
            }
            v = v << 6 | digit;
        }
        for (size_t j = 0; j < 3; j++) {
            uint8_t byte = (uint8_t)(v >> (16 - 8 * j));
            if (done < n) o[done++] = byte;
            else if (byte) return BW_ERR_MALFORMED;
        }
    }
    return 0;
}

char *bw_hex_encode(const void *data, size_t n, char *out)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = "0123456789abcdef"[p[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[p[i] & 15];
    }
    out[2 * n] = 0;
    return out;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

int bw_hex_decode(const char *s, void *out, size_t n)
{
    uint8_t *o = out;
    if (strnlen(s, 2 * n + 1) != 2 * n) return BW_ERR_MALFORMED;
    for (size_t i = 0; i < n; i++) {
        int a = hex_digit(s[2 * i]), b = hex_digit(s[2 * i + 1]);
        if (a < 0 || b < 0) return BW_ERR_MALFORMED;
        o[i] = (uint8_t)(a << 4 | b);
    }
    return 0;
}

void bw_text_free(struct bw_text *t)
{
    if (t->p) explicit_bzero(t->p, t->cap);
    bw_free(t->mem, t->p, t->cap);
    *t = (struct bw_text){.mem = t->mem};
}

// Not bw_resize, which may leave a copy behind.
static bool grow(struct bw_text *t, size_t more)
{
    struct bw_text wider = *t;
    wider.cap = 2 * t->cap + more + 1024;
    wider.p = t->mem ? bw_alloc(t->mem, wider.cap) : NULL;
    if (!wider.p) return false;
    if (t->n) memcpy(wider.p, t->p, t->n);
    bw_text_free(t);
    *t = wider;
    return true;
}

void bw_put(struct bw_text *t, const char *fmt, ...)
{
    while (!t->full) {
        va_list ap;
        va_start(ap, fmt);
        size_t room = t->cap - t->n;
        int n = vsnprintf(room ? t->p + t->n : NULL, room, fmt, ap);
        va_end(ap);
        if (n >= 0 && (size_t)n < room) {
            t->n += (size_t)n;
            return;
        }
        t->full = n < 0 || !grow(t, (size_t)n);
        if (room) t->p[t->n] = 0;
    }
}
