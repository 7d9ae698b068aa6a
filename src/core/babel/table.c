// Destinations, their sources (feasibility distances) and the columns of routes.
#include "base/hash.h"
#include "core/babel/internal.h"

// ---- hash ----

static uint32_t hash_of(const struct babel *b, const struct bw_addr *a, uint8_t len)
{
    uint8_t key[17];
    memcpy(key, a->b, 16);
    key[16] = len;
    return (uint32_t)bw_siphash(b->hash_key, key, sizeof key);
}

static struct hash_slot *slot_of(const struct babel *b, uint32_t hash, const struct bw_prefix *p)
{
    uint32_t mask = b->hash_cap - 1, i = hash & mask;
    for (; b->hash[i].dest != NIL; i = (i + 1) & mask) {
        const struct dest *d = &b->dests[b->hash[i].dest];
        if (b->hash[i].hash == hash && d->len == p->len && bw_addr_eq(&d->addr, &p->addr)) break;
    }
    return &b->hash[i];
}

struct dest *dest_find(const struct babel *b, const struct bw_prefix *p)
{
    if (!b->hash_cap) return NULL;
    struct hash_slot *s = slot_of(b, hash_of(b, &p->addr, p->len), p);
    return s->dest == NIL ? NULL : &b->dests[s->dest];
}

static int hash_grow(struct babel *b)
{
    uint32_t cap = b->hash_cap ? b->hash_cap * 2 : 32;
    struct hash_slot *fresh = bw_alloc(b->mem, cap * sizeof *fresh);
    if (!fresh) return BW_ERR_NOMEM;
    for (uint32_t i = 0; i < cap; i++) fresh[i].dest = NIL;
    for (uint32_t i = 0; i < b->hash_cap; i++) {
        if (b->hash[i].dest == NIL) continue;
        uint32_t at = b->hash[i].hash & (cap - 1);
        while (fresh[at].dest != NIL) at = (at + 1) & (cap - 1);
        fresh[at] = b->hash[i];
    }
    bw_free(b->mem, b->hash, b->hash_cap * sizeof *b->hash);
    b->hash = fresh;
    b->hash_cap = cap;
    return 0;
}

// Closes the gap that a removed entry would leave in its run of probes.
static void hash_remove(struct babel *b, struct hash_slot *s)
{
    uint32_t mask = b->hash_cap - 1, gap = (uint32_t)(s - b->hash);
    for (uint32_t i = (gap + 1) & mask; b->hash[i].dest != NIL; i = (i + 1) & mask) {
        uint32_t home = b->hash[i].hash & mask;
        if (((i - home) & mask) < ((i - gap) & mask)) continue; // it would lie before its home
        b->hash[gap] = b->hash[i];
        gap = i;
    }
    b->hash[gap].dest = NIL;
}

// ---- destinations ----

static int dests_grow(struct babel *b)
{
    uint32_t cap = b->dest_cap ? b->dest_cap + b->dest_cap / 4 : 8;
    struct dest *p = bw_resize(b->mem, b->dests, b->dest_cap * sizeof *p, cap * sizeof *p);
    if (!p) return BW_ERR_NOMEM;
    b->dests = p;
    b->dest_cap = cap;
    return 0;
}

struct dest *dest_new(struct babel *b, const struct bw_prefix *p)
{
    if (b->dest_count >= b->hash_cap / 4 * 3 && hash_grow(b)) return NULL;
    if (b->dest_free == NIL && b->dest_top == b->dest_cap && dests_grow(b)) return NULL;
    uint32_t i = b->dest_free;
    if (i != NIL) b->dest_free = b->dests[i].next;
    else i = b->dest_top++;
    uint32_t hash = hash_of(b, &p->addr, p->len);
    *slot_of(b, hash, p) = (struct hash_slot){hash, i};
    b->dests[i] = (struct dest){.addr = p->addr, .len = p->len, .flags = DEST_USED, .selected = SEL_NONE, .metric = INF, .holder = BABEL_ANY_SLOT,
                                .told = INF, .own_metric = INF, .sent_before = INF, .sent_now = INF, .base_src = TOLD_NOTHING, .prev = NIL, .next = NIL, .later = NIL, .requests = NIL};
    b->dest_count++;
    return &b->dests[i];
}

static bool has_sources(const struct dest *d)
{
    for (unsigned k = 0; k < dest_source_count(d); k++)
        if (dest_source(d, k)->valid) return true;
    return false;
}

void dest_release(struct babel *b, struct dest *d)
{
    uint32_t i = dest_index(b, d);
    cap_route_gone(b, d);
    if (d->flags & (DEST_LEARNT | DEST_OWN | DEST_HELD | DEST_LATER) || has_sources(d)) return;
    cap_dest_gone(b, d);
    requests_forget(b, d);
    change_unlink(b, d);
    dest_waits(b, d, false);
    struct bw_prefix p = dest_prefix(d);
    hash_remove(b, slot_of(b, hash_of(b, &p.addr, p.len), &p));
    bw_free(b->mem, d->more, d->more_cap * sizeof *d->more);
    *d = (struct dest){.next = b->dest_free};
    b->dest_free = i;
    b->dest_count--;
}

void table_free(struct babel *b)
{
    for (uint32_t i = 0; i < b->dest_top; i++) bw_free(b->mem, b->dests[i].more, b->dests[i].more_cap * sizeof *b->dests[i].more);
    bw_free(b->mem, b->dests, b->dest_cap * sizeof *b->dests);
    bw_free(b->mem, b->hash, b->hash_cap * sizeof *b->hash);
}

// ---- sources ----

int source_find(const struct dest *d, const uint8_t router_id[8])
{
    for (unsigned k = 0; k < dest_source_count(d); k++) {
        const struct source *s = dest_source(d, k);
        if (s->used && !memcmp(s->router_id, router_id, 8)) return (int)k;
    }
    return BW_ERR_NOTFOUND;
}

int source_get(struct babel *b, struct dest *d, const uint8_t router_id[8])
{
    int k = source_find(d, router_id);
    if (k >= 0) return k;
    sources_collect(b, d);
    unsigned i = 0, n = dest_source_count(d);
    while (i < n && dest_source(d, i)->used) i++;
    if (i == n) {
        unsigned cap = d->more_cap ? d->more_cap * 2u : 1u;
        if (n == SOURCES_MAX) return BW_ERR_RANGE;
        if (cap > SOURCES_MAX - 1) cap = SOURCES_MAX - 1;
        struct source *p = bw_resize(b->mem, d->more, d->more_cap * sizeof *p, cap * sizeof *p);
        if (!p) return BW_ERR_NOMEM;
        d->more = p;
        d->more_cap = (uint8_t)cap;
    }
    struct source *s = dest_source(d, i);
    *s = (struct source){.used = 1};
    memcpy(s->router_id, router_id, 8);
    return (int)i;
}

void source_announce(struct babel *b, struct source *s, uint16_t seqno, uint16_t metric)
{
    if (!s->valid || babel_seqno_less(s->seqno, seqno)) {
        s->seqno = seqno;
        s->metric = metric;
    } else if (s->seqno == seqno && metric < s->metric) {
        s->metric = metric;
    }
    s->valid = 1;
    s->gc = (uint16_t)(now_s(b) + b->source_life_s);
}

void sources_collect(struct babel *b, struct dest *d)
{
    uint16_t now = now_s(b);
    uint64_t named = 0; // by routes
    bool scanned = false;
    for (unsigned k = 0; k < dest_source_count(d); k++) {
        struct source *s = dest_source(d, k);
        if (!s->used) continue;
        if (s->valid && passed_16(s->gc, now)) s->valid = 0;
        if (s->valid) continue;
        for (uint32_t i = 0; !scanned && i < b->neigh_top; i++) {
            struct route *r = b->neigh[i] ? route_get(b->neigh[i], dest_index(b, d)) : NULL;
            if (r) named |= 1ull << r->src;
        }
        scanned = true;
        if (!(named >> k & 1)) s->used = 0;
    }
}

bool route_feasible(const struct dest *d, const struct route *r)
{
    const struct source *s = dest_source(d, r->src);
    return !s->valid || babel_seqno_less(s->seqno, r->seqno) || (s->seqno == r->seqno && r->refmetric < s->metric);
}

// ---- routes ----

struct route *route_new(struct babel *b, struct neighbour *n, struct dest *d)
{
    uint32_t i = dest_index(b, d);
    if (i >= n->col_cap) {
        uint32_t cap = b->dest_cap;
        struct route *p = bw_resize(b->mem, n->col, n->col_cap * sizeof *p, cap * sizeof *p);
        if (!p) return NULL;
        n->col = p;
        n->col_cap = cap;
    }
    n->col[i] = (struct route){.flags = ROUTE_PRESENT};
    n->routes++;
    cap_route_new(b, n, d);
    return &n->col[i];
}

void route_drop(struct babel *b, struct neighbour *n, struct dest *d)
{
    struct route *r = route_get(n, dest_index(b, d));
    if (!r) return;
    r->flags = 0;
    n->routes--;
}
