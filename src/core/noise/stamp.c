#include "core/noise/stamp.h"

#include <string.h>

#include "base/cursor.h"

#define NS 1000000000ull

struct stamp stamp_of_ns(uint64_t unix_ns)
{
    struct stamp t;
    struct bw_wr w = bw_wr(t.b, sizeof t.b);
    bw_wr_be64(&w, 0x400000000000000aull + unix_ns / NS);
    bw_wr_be32(&w, (uint32_t)(unix_ns % NS));
    return t;
}

bool stamp_after(const struct stamp *a, const struct stamp *b)
{
    return memcmp(a->b, b->b, STAMP_LEN) > 0;
}

void stamp_clock_init(struct stamp_clock *c, uint64_t persisted)
{
    c->high = c->reserved = persisted;
}

uint64_t stamp_next(struct stamp_clock *c, uint64_t unix_ns, uint64_t *persist)
{
    unix_ns &= ~((1ull << 24) - 1); // 17 ms steps: nobody learns our clock finely enough to time us by it
    c->high = unix_ns > c->high ? unix_ns : c->high + 1;
    *persist = 0;
    if (c->high >= c->reserved) *persist = c->reserved = c->high + STAMP_RESERVE;
    return c->high;
}

bool stamp_is_new(const struct stamp_seen *s, const struct stamp *t)
{
    if (!stamp_after(t, &s->floor)) return false;
    for (unsigned i = 0; i < STAMP_SEEN; i++)
        if (!memcmp(t->b, s->newest[i].b, STAMP_LEN)) return false;
    return true;
}

void stamp_remember(struct stamp_seen *s, const struct stamp *t)
{
    unsigned oldest = 0;
    for (unsigned i = 1; i < STAMP_SEEN; i++)
        if (stamp_after(&s->newest[oldest], &s->newest[i])) oldest = i;
    if (stamp_after(&s->newest[oldest], &s->floor)) s->floor = s->newest[oldest];
    s->newest[oldest] = *t;
}
