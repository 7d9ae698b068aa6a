#include "daemon/ring.h"

void punt_ring_init(struct punt_ring *r)
{
    atomic_init(&r->head, 0);
    atomic_init(&r->tail, 0);
}

static void copy_in(struct punt_ring *r, unsigned at, const void *p, unsigned n)
{
    unsigned from = at % PUNT_RING_BYTES, first = PUNT_RING_BYTES - from < n ? PUNT_RING_BYTES - from : n;
    if (!n) return;
    memcpy(r->bytes + from, p, first);
    memcpy(r->bytes, (const uint8_t *)p + first, n - first);
}

static void copy_out(const struct punt_ring *r, unsigned at, void *p, unsigned n)
{
    unsigned from = at % PUNT_RING_BYTES, first = PUNT_RING_BYTES - from < n ? PUNT_RING_BYTES - from : n;
    memcpy(p, r->bytes + from, first);
    memcpy((uint8_t *)p + first, r->bytes, n - first);
}

bool punt_ring_put(struct punt_ring *r, const struct fwd_punt *p)
{
    unsigned head = atomic_load_explicit(&r->head, memory_order_relaxed);
    unsigned used = head - atomic_load_explicit(&r->tail, memory_order_acquire);
    if (p->len > PUNT_MAX || sizeof *p + p->len > PUNT_RING_BYTES - used) return false;
    copy_in(r, head, p, sizeof *p);
    copy_in(r, head + (unsigned)sizeof *p, p->data, p->len);
    atomic_store_explicit(&r->head, head + (unsigned)sizeof *p + p->len, memory_order_release);
    return true;
}

const struct fwd_punt *punt_ring_get(struct punt_ring *r, struct punt_room *room)
{
    unsigned tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    if (tail == atomic_load_explicit(&r->head, memory_order_acquire)) return NULL;
    copy_out(r, tail, &room->punt, sizeof room->punt);
    BW_ASSERT(room->punt.len <= PUNT_MAX);
    copy_out(r, tail + (unsigned)sizeof room->punt, room->data, room->punt.len);
    room->punt.data = room->data;
    atomic_store_explicit(&r->tail, tail + (unsigned)sizeof room->punt + room->punt.len, memory_order_release);
    return &room->punt;
}
