// A small world for Babel's tests: several speakers joined by links with delay, jitter, loss and cuts, in virtual time. A
// forwarding table per node is kept from route_changed alone and walked for loops whenever it changes; when all is quiet the
// routes can be compared with Dijkstra over the costs that the nodes say their links have.
#ifndef UNIT_CORE_BABEL_WORLD_H
#define UNIT_CORE_BABEL_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/babel/babel.h"
#include "crypto/crypto.h"

enum { MAX_NODES = 128, MAX_LINKS = 1024, NO_HOP = -1, OWN_HOP = -2, HELD_HOP = -3 };

struct world;
struct wnode {
    struct world *w;
    int id;
    struct babel *b;
    struct bw_rng rng;
    uint16_t stored_seqno;
    uint64_t epoch;
    struct bw_addr addr, ll;
    int fib[MAX_NODES + 1]; // by destination; the last is fc00::e
    unsigned changes, ups, downs, restarts, shutdowns, clean_shutdowns;
};
struct wlink {
    int node[2];
    bool cut[2]; // by direction: 0 is node[0] -> node[1]
    bw_time delay, jitter;
    unsigned loss_permille;
    uint64_t packets, bytes;
};
struct wpacket {
    bw_time at;
    uint64_t order;
    int link, to;
    struct bw_addr src;
    size_t n;
    uint8_t *p;
};
struct world {
    struct bw_mem mem;
    struct bw_rng rng;
    bw_time now;
    int node_count, link_count;
    struct wnode node[MAX_NODES];
    struct wlink link[MAX_LINKS];
    struct wpacket *q;
    size_t q_count, q_cap;
    uint64_t order, loops;
    bool check_loops, dirty[MAX_NODES + 1], exit[MAX_NODES]; // exit: this node originates fc00::e
    struct babel_iface_params params;
    uint32_t max_dests;
    void (*tap)(struct world *w, int from, const uint8_t *p, size_t n);
    void *tap_ctx;
};

static struct bw_prefix node_prefix(int id)
{
    struct bw_prefix p = {.addr = {{0xfc, 0x12, 0x34, 0x56, [8] = 0xb0, [14] = (uint8_t)(id >> 8), [15] = (uint8_t)id}}, .len = 128};
    return p;
}
static int prefix_id(const struct bw_prefix *p)
{
    if (bw_addr_eq(&p->addr, &bw_addr_any_exit)) return MAX_NODES;
    return p->addr.b[0] == 0xfc && p->addr.b[1] == 0x12 ? p->addr.b[14] << 8 | p->addr.b[15] : -1;
}
static struct bw_addr node_ll(int id)
{
    struct bw_addr a = node_prefix(id).addr;
    memset(a.b, 0, 8);
    a.b[0] = 0xfe, a.b[1] = 0x80;
    return a;
}

// A link's number is its slot on both ends.
static void w_push(struct world *w, struct wpacket p)
{
    if (w->q_count == w->q_cap) {
        w->q_cap = w->q_cap ? w->q_cap * 2 : 64;
        w->q = realloc(w->q, w->q_cap * sizeof *w->q);
    }
    p.order = w->order++;
    size_t i = w->q_count++;
    while (i && (w->q[(i - 1) / 2].at > p.at || (w->q[(i - 1) / 2].at == p.at && w->q[(i - 1) / 2].order > p.order))) {
        w->q[i] = w->q[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->q[i] = p;
}
static bool w_before(const struct wpacket *a, const struct wpacket *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}
static struct wpacket w_pop(struct world *w)
{
    struct wpacket top = w->q[0], last = w->q[--w->q_count];
    size_t i = 0;
    for (;;) {
        size_t k = 2 * i + 1;
        if (k + 1 < w->q_count && w_before(&w->q[k + 1], &w->q[k])) k++;
        if (k >= w->q_count || !w_before(&w->q[k], &last)) break;
        w->q[i] = w->q[k];
        i = k;
    }
    if (w->q_count) w->q[i] = last;
    return top;
}

static void w_send(void *ctx, uint16_t slot, const struct bw_addr *dst, const uint8_t *p, size_t n)
{
    struct wnode *me = ctx;
    struct world *w = me->w;
    struct wlink *l = &w->link[slot];
    assert_true(slot < w->link_count);
    assert_true(n <= BABEL_PAYLOAD_MAX);
    int dir = l->node[0] == me->id ? 0 : 1;
    assert_int_equal(l->node[dir], me->id);
    if (w->tap) w->tap(w, me->id, p, n);
    l->packets++;
    l->bytes += n;
    int to = l->node[!dir];
    if (!bw_addr_eq(dst, &babel_group) && !bw_addr_eq(dst, &w->node[to].ll)) return;
    if (l->cut[dir] || (l->loss_permille && bw_rng_below(&w->rng, 1000) < l->loss_permille)) return;
    struct wpacket k = {.at = w->now + l->delay + (l->jitter ? bw_rng_below(&w->rng, (uint32_t)l->jitter) : 0), .link = slot, .to = to, .src = me->ll, .n = n};
    k.p = malloc(n);
    memcpy(k.p, p, n);
    w_push(w, k);
}

static void w_check_loop(struct world *w, int dest)
{
    for (int s = 0; s < w->node_count; s++) {
        int at = s, steps = 0;
        while (at >= 0 && steps <= w->node_count) {
            int next = w->node[at].fib[dest];
            if (next < 0) break;
            at = next;
            steps++;
        }
        if (steps > w->node_count) {
            w->loops++;
            fprintf(stderr, "LOOP at %.3f s for destination %d:", (double)w->now / 1e6, dest);
            for (int k = 0, n = s; k < 12; k++, n = w->node[n].fib[dest]) fprintf(stderr, " %d", n);
            fprintf(stderr, "\n");
            assert_true(!w->check_loops);
            return;
        }
    }
}

static void w_route_changed(void *ctx, const struct bw_prefix *p, const struct babel_selected *r)
{
    struct wnode *me = ctx;
    struct world *w = me->w;
    int id = prefix_id(p);
    me->changes++;
    if (id < 0) return;
    if (!r) me->fib[id] = NO_HOP;
    else if (r->unreachable) me->fib[id] = HELD_HOP;
    else if (r->own) me->fib[id] = OWN_HOP;
    else {
        struct wlink *l = &w->link[r->slot];
        int peer = l->node[0] == me->id ? l->node[1] : l->node[0];
        assert_true(bw_addr_eq(&r->next_hop, &w->node[peer].ll));
        me->fib[id] = peer;
    }
    w->dirty[id] = true;
}

static void w_neighbour_changed(void *ctx, enum babel_neighbour_event e, const struct babel_neighbour *n)
{
    struct wnode *me = ctx;
    (void)n;
    me->ups += e == BABEL_UP;
    me->downs += e == BABEL_DOWN;
    me->restarts += e == BABEL_RESTARTED;
}
static void w_persist(void *ctx, uint16_t seqno) { ((struct wnode *)ctx)->stored_seqno = seqno; }
static void w_done(void *ctx, bool clean)
{
    ((struct wnode *)ctx)->shutdowns++;
    ((struct wnode *)ctx)->clean_shutdowns += clean;
}

static const struct babel_ops w_ops = {.send = w_send, .route_changed = w_route_changed, .neighbour_changed = w_neighbour_changed,
                                       .persist_seqno = w_persist, .shutdown_done = w_done};

static void w_start(struct world *w, int id, bool clean)
{
    struct wnode *n = &w->node[id];
    struct babel_config c = {.linklocal = n->ll, .epoch = ++n->epoch, .seqno = n->stored_seqno, .clean_start = clean, .max_dests = w->max_dests};
    memcpy(c.router_id, n->addr.b + 8, 8);
    for (int k = 0; k <= MAX_NODES; k++) n->fib[k] = NO_HOP;
    n->b = babel_new(&c, &w_ops, n, &w->mem, &n->rng, NULL, w->now);
    assert_non_null(n->b);
    struct bw_prefix p = node_prefix(id);
    assert_int_equal(babel_originate(n->b, &p, 0, BABEL_ANY_SLOT, w->now), 0);
    for (int k = 0; k < w->link_count; k++)
        if (w->link[k].node[0] == id || w->link[k].node[1] == id)
            assert_int_equal(babel_iface_add(n->b, (uint16_t)k, &w->params, w->now), 0);
}
static void w_kill(struct world *w, int id)
{
    struct wnode *n = &w->node[id];
    babel_free(n->b);
    n->b = NULL;
    w->exit[id] = false;
    for (int k = 0; k <= MAX_NODES; k++) n->fib[k] = NO_HOP;
}

static void w_exit(struct world *w, int id, bool on)
{
    struct bw_prefix any = bw_prefix_host(&bw_addr_any_exit);
    if (!w->node[id].b) return;
    w->exit[id] = on;
    if (on) assert_int_equal(babel_originate(w->node[id].b, &any, 0, BABEL_ANY_SLOT, w->now), 0);
    else babel_withdraw(w->node[id].b, &any, BABEL_ANY_SLOT, w->now);
}

static struct world *w_new(uint64_t seed, int nodes)
{
    struct world *w = calloc(1, sizeof *w);
    uint8_t s[32] = {0};
    memcpy(s, &seed, 8);
    bw_mem_system(&w->mem);
    bw_rng_seed(&w->rng, s);
    w->now = 1000 * BW_S + bw_rng_below(&w->rng, 1000000);
    w->node_count = nodes;
    w->check_loops = true;
    for (int i = 0; i < nodes; i++) {
        w->node[i].w = w;
        w->node[i].id = i;
        w->node[i].addr = node_prefix(i).addr;
        w->node[i].ll = node_ll(i);
        w->node[i].stored_seqno = (uint16_t)bw_rng_u32(&w->rng);
        bw_rng_bytes(&w->rng, s, 32);
        bw_rng_seed(&w->node[i].rng, s);
    }
    return w;
}
static int w_link(struct world *w, int a, int b, bw_time delay, unsigned loss_permille)
{
    assert_true(w->link_count < MAX_LINKS);
    w->link[w->link_count] = (struct wlink){.node = {a, b}, .delay = delay, .jitter = delay / 4, .loss_permille = loss_permille};
    return w->link_count++;
}
static void w_start_all(struct world *w)
{
    for (int i = 0; i < w->node_count; i++) w_start(w, i, true);
}
static void w_free(struct world *w)
{
    for (int i = 0; i < w->node_count; i++) babel_free(w->node[i].b);
    while (w->q_count) free(w_pop(w).p);
    free(w->q);
    assert_int_equal(w->mem.used, 0);
    free(w);
}

static void w_check(struct world *w)
{
    for (int d = 0; d <= MAX_NODES; d++) {
        if (!w->dirty[d]) continue;
        w->dirty[d] = false;
        w_check_loop(w, d);
    }
}

static void w_step(struct world *w, bw_time until)
{
    bw_time t = until;
    int who = -1;
    for (int i = 0; i < w->node_count; i++) {
        bw_time d = w->node[i].b ? babel_deadline(w->node[i].b) : BW_NEVER;
        if (d < t) t = d, who = i;
    }
    if (w->q_count && w->q[0].at <= t) {
        struct wpacket p = w_pop(w);
        if (p.at > w->now) w->now = p.at;
        if (w->node[p.to].b) babel_rx(w->node[p.to].b, (uint16_t)p.link, &p.src, p.p, p.n, w->now);
        free(p.p);
    } else {
        if (t > w->now) w->now = t;
        if (who >= 0) babel_tick(w->node[who].b, w->now);
    }
    w_check(w);
}
static void w_run(struct world *w, bw_time for_)
{
    bw_time until = w->now + for_;
    while (w->now < until) w_step(w, until);
}

// The cost that node a gives its link k, as it says itself.
struct w_cost {
    int slot;
    uint32_t cost;
};
static void w_cost_cb(void *ctx, const struct babel_neighbour *n)
{
    struct w_cost *c = ctx;
    if (n->slot == c->slot && n->cost < c->cost) c->cost = n->cost;
}
static uint32_t w_cost(struct world *w, int a, int k)
{
    struct w_cost c = {k, BABEL_INFINITY};
    if (w->node[a].b) babel_each_neighbour(w->node[a].b, w_cost_cb, &c);
    return c.cost;
}

// Distances of all nodes to dest, or to the nearest exit (Bellman-Ford, stupid on purpose).
static void w_distances(struct world *w, const uint32_t (*cost)[2], int dest, uint32_t *dist)
{
    for (int i = 0; i < w->node_count; i++) dist[i] = BABEL_INFINITY;
    for (int i = 0; i < w->node_count; i++)
        if (w->node[i].b && (dest == MAX_NODES ? w->exit[i] : i == dest)) dist[i] = 0;
    for (bool more = true; more;) {
        more = false;
        for (int k = 0; k < w->link_count; k++)
            for (int e = 0; e < 2; e++) {
                int from = w->link[k].node[e], to = w->link[k].node[!e];
                if (cost[k][e] >= BABEL_INFINITY || dist[to] >= BABEL_INFINITY) continue;
                uint32_t d = dist[to] + cost[k][e];
                if (d < dist[from]) dist[from] = d, more = true;
            }
    }
}

// How many (node, destination) pairs differ from the shortest path, and how many links are not known to be what they are.
static unsigned w_wrong(struct world *w, bool say)
{
    static uint32_t cost[MAX_LINKS][2];
    uint32_t dist[MAX_NODES];
    unsigned wrong = 0;
    for (int k = 0; k < w->link_count; k++)
        for (int e = 0; e < 2; e++) {
            const struct wlink *l = &w->link[k];
            cost[k][e] = w_cost(w, l->node[e], k);
            bool usable = !l->cut[0] && !l->cut[1] && w->node[l->node[0]].b && w->node[l->node[1]].b;
            if (usable != (cost[k][e] < BABEL_INFINITY)) wrong++;
        }
    for (int d = 0; d <= MAX_NODES; d++) {
        if (d >= w->node_count && d < MAX_NODES) continue;
        w_distances(w, (const uint32_t(*)[2])cost, d, dist);
        for (int i = 0; i < w->node_count; i++) {
            struct babel_route r;
            struct bw_prefix p = d == MAX_NODES ? bw_prefix_host(&bw_addr_any_exit) : node_prefix(d);
            if (!w->node[i].b) continue;
            uint32_t m = babel_lookup(w->node[i].b, &p, &r) ? r.metric : BABEL_INFINITY;
            if (m == dist[i]) continue;
            if (say) fprintf(stderr, "node %d to %d: metric %u, shortest %u\n", i, d, m, dist[i]);
            wrong++;
        }
    }
    return wrong;
}

// Runs until all routes are the shortest, at most `limit`; the time it took, or BW_NEVER.
static bw_time w_converge(struct world *w, bw_time limit)
{
    bw_time start = w->now;
    while (w->now < start + limit) {
        if (!w_wrong(w, false)) return w->now - start;
        w_run(w, 100 * BW_MS);
    }
    if (!w_wrong(w, true)) return w->now - start;
    return BW_NEVER;
}

#endif
