// What wires do to the datagrams that nodes put on them: loss, then rate with its queue, then delay.
#include <stdlib.h>

#include "sim/world.h"

#define LEAST_DELAY 10u        // us; nothing arrives at once
#define QUEUE_LEAST 15000u     // bytes
#define DATAGRAM_OVERHEAD 48u  // IPv6 and UDP

static struct bw_rng *chance(struct world *w, uint32_t link)
{
    struct world_link *l = &w->links[link];
    if (l->rng) return l->rng;
    l->rng = malloc(sizeof *l->rng);
    BW_ASSERT(l->rng);
    uint8_t s[32];
    world_seed_of(w->seed, "wire", (uint64_t)l->a << 32 | l->b, s); // by its ends: other wires more or less change nothing here
    bw_rng_seed(l->rng, s);
    return l->rng;
}

static bool happens(struct world *w, uint32_t link, uint32_t ppm)
{
    return ppm && bw_rng_below(chance(w, link), 1000000) < ppm;
}

static bool lost(struct world *w, uint32_t link, size_t n)
{
    const struct wire *k = &w->links[link].k;
    size_t pieces = 1;
    if (k->mtu > DATAGRAM_OVERHEAD + 64) pieces = (n + k->mtu - 1 - DATAGRAM_OVERHEAD) / (k->mtu - DATAGRAM_OVERHEAD);
    bool any = false;
    while (k->loss_ppm && pieces--) any |= happens(w, link, k->loss_ppm);
    return any;
}

// When the wire has taken it, BW_NEVER if its queue is full.
static bw_time taken(struct world *w, struct world_link *l, unsigned way, size_t n)
{
    if (!l->k.rate_bps) return w->now;
    uint64_t queue = l->k.queue ? l->k.queue : l->k.rate_bps / 80;
    if (queue < QUEUE_LEAST && !l->k.queue) queue = QUEUE_LEAST;
    bw_time begin = l->busy[way] > w->now ? l->busy[way] : w->now;
    if ((begin - w->now) * l->k.rate_bps / 8 / BW_S > queue) return BW_NEVER;
    return l->busy[way] = begin + (n + DATAGRAM_OVERHEAD) * 8 * BW_S / l->k.rate_bps;
}

static bw_time arrival(struct world *w, uint32_t link, unsigned way, bw_time from)
{
    struct world_link *l = &w->links[link];
    bw_time at = from + (l->k.delay_us > LEAST_DELAY ? l->k.delay_us : LEAST_DELAY);
    if (l->k.jitter_us) {
        at += bw_rng_below(chance(w, link), 2 * l->k.jitter_us);
        at -= at > w->now + LEAST_DELAY + l->k.jitter_us ? l->k.jitter_us : 0;
    }
    if (happens(w, link, l->k.reorder_ppm)) return at + l->k.delay_us / 2 + l->k.jitter_us + BW_MS; // others overtake it
    if (at < l->last[way]) at = l->last[way];
    return l->last[way] = at;
}

void world_carry(struct world *w, uint32_t from, uint32_t link, const uint8_t *p, size_t n)
{
    struct world_link *l = &w->links[link];
    unsigned way = l->a == from ? 0 : 1;
    l->packets[way]++;
    l->bytes[way] += n;
    world_hash_number(w, (uint64_t)from << 32 | link);
    world_hash_number(w, n);
    world_hash(w, p, w->coarse && n > 16 ? 16 : n);
    bw_time t = l->cut[way] || lost(w, link, n) ? BW_NEVER : taken(w, l, way, n);
    if (t == BW_NEVER) {
        l->lost[way]++;
        return;
    }
    for (int copies = happens(w, link, l->k.dup_ppm) ? 2 : 1; copies--;) {
        struct event e = {.at = arrival(w, link, way, t), .kind = EVENT_DATAGRAM, .node = way ? l->a : l->b, .link = link, .len = n};
        e.data = malloc(n ? n : 1);
        if (!e.data) return;
        memcpy(e.data, p, n);
        if (events_push(&w->events, &e)) free(e.data);
    }
}

// The address of a node's end of a wire. Its last four bytes are the wire's number, the four before the node's.
struct bw_addr world_wire_addr(uint32_t node, uint32_t link, bool far)
{
    struct bw_addr a = {{0xfe, 0x80}};
    if (far) a = (struct bw_addr){{0x20, 0x01, 0x0d, 0xb8}};
    for (int i = 0; i < 4; i++) {
        a.b[8 + i] = (uint8_t)(node >> (24 - 8 * i));
        a.b[12 + i] = (uint8_t)(link >> (24 - 8 * i));
    }
    return a;
}
