// Byte cursors with a sticky error: read or write a whole structure, then ask once whether it went well (Knot's
// wire_ctx). A reader past its end yields zeros, a writer past its end writes nothing; both remember it.
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bw_rd {
    const uint8_t *p, *end;
    bool bad;
};

struct bw_wr {
    uint8_t *p, *start, *end;
    bool bad;
};

static inline struct bw_rd bw_rd(const void *p, size_t n)
{
    return (struct bw_rd){.p = p, .end = (const uint8_t *)p + n};
}
static inline size_t bw_rd_left(const struct bw_rd *r) { return (size_t)(r->end - r->p); }

// n bytes in place, or NULL (and bad).
static inline const uint8_t *bw_rd_take(struct bw_rd *r, size_t n)
{
    if (r->bad || n > bw_rd_left(r)) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->p;
    r->p += n;
    return p;
}
static inline void bw_rd_bytes(struct bw_rd *r, void *out, size_t n)
{
    const uint8_t *p = bw_rd_take(r, n);
    if (p) memcpy(out, p, n);
    else memset(out, 0, n);
}
static inline uint8_t bw_rd_u8(struct bw_rd *r)
{
    const uint8_t *p = bw_rd_take(r, 1);
    return p ? p[0] : 0;
}
static inline uint64_t bw_rd_be(struct bw_rd *r, size_t n)
{
    const uint8_t *p = bw_rd_take(r, n);
    uint64_t v = 0;
    for (size_t i = 0; p && i < n; i++) v = v << 8 | p[i];
    return v;
}
static inline uint64_t bw_rd_le(struct bw_rd *r, size_t n)
{
    const uint8_t *p = bw_rd_take(r, n);
    uint64_t v = 0;
    for (size_t i = 0; p && i < n; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}
static inline uint16_t bw_rd_be16(struct bw_rd *r) { return (uint16_t)bw_rd_be(r, 2); }
static inline uint32_t bw_rd_be32(struct bw_rd *r) { return (uint32_t)bw_rd_be(r, 4); }
static inline uint64_t bw_rd_be64(struct bw_rd *r) { return bw_rd_be(r, 8); }
static inline uint32_t bw_rd_le32(struct bw_rd *r) { return (uint32_t)bw_rd_le(r, 4); }
static inline uint64_t bw_rd_le64(struct bw_rd *r) { return bw_rd_le(r, 8); }

static inline struct bw_wr bw_wr(void *p, size_t n)
{
    return (struct bw_wr){.p = p, .start = p, .end = (uint8_t *)p + n};
}
static inline size_t bw_wr_left(const struct bw_wr *w) { return (size_t)(w->end - w->p); }
static inline size_t bw_wr_len(const struct bw_wr *w) { return (size_t)(w->p - w->start); }

// Room for n bytes, or NULL (and bad). Not cleared.
static inline uint8_t *bw_wr_room(struct bw_wr *w, size_t n)
{
    if (w->bad || n > bw_wr_left(w)) {
        w->bad = true;
        return NULL;
    }
    uint8_t *p = w->p;
    w->p += n;
    return p;
}
static inline void bw_wr_bytes(struct bw_wr *w, const void *p, size_t n)
{
    uint8_t *to = bw_wr_room(w, n);
    if (to && n) memcpy(to, p, n);
}
static inline void bw_wr_zero(struct bw_wr *w, size_t n)
{
    uint8_t *to = bw_wr_room(w, n);
    if (to && n) memset(to, 0, n);
}
static inline void bw_wr_be(struct bw_wr *w, uint64_t v, size_t n)
{
    uint8_t *p = bw_wr_room(w, n);
    for (size_t i = 0; p && i < n; i++) p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}
static inline void bw_wr_le(struct bw_wr *w, uint64_t v, size_t n)
{
    uint8_t *p = bw_wr_room(w, n);
    for (size_t i = 0; p && i < n; i++) p[i] = (uint8_t)(v >> (8 * i));
}
static inline void bw_wr_u8(struct bw_wr *w, uint8_t v) { bw_wr_be(w, v, 1); }
static inline void bw_wr_be16(struct bw_wr *w, uint16_t v) { bw_wr_be(w, v, 2); }
static inline void bw_wr_be32(struct bw_wr *w, uint32_t v) { bw_wr_be(w, v, 4); }
static inline void bw_wr_be64(struct bw_wr *w, uint64_t v) { bw_wr_be(w, v, 8); }
static inline void bw_wr_le32(struct bw_wr *w, uint32_t v) { bw_wr_le(w, v, 4); }
static inline void bw_wr_le64(struct bw_wr *w, uint64_t v) { bw_wr_le(w, v, 8); }

#endif
