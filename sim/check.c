#include "sim/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/fwd/ip.h"
#include "sim/look.h"
#include "wire/babel.h"

#define DEAD_WIRE (20 * BW_S)       // no next hop over a wire that is dead for longer ...
#define DEAD_POOR (40 * BW_S)       // ... if its Hellos were rare and often missed: docs/spec/babel.md 4.3, 33 s, and clocks that run slow
#define POOR_FOR (120 * BW_S)       // a wire that was poor is taken for one as long: averages
#define STEADY (30 * BW_S)           // a wire that has been alive for so long is known to both ends
#define ANY_LOOP (20 * BW_S)        // a loop towards fc00::e may last so long
#define BUDGET_WINDOW (10 * BW_S)
#define BUDGET_WIRE 60000u          // bytes on one wire in a window ...
#define BUDGET_DEST 600u            // ... and for every destination
#define BUDGET_CLIENT 5000u         // ... and, where Internet is shared, for every client: handshakes and heartbeats
#define MEMORY_NODE 400000u         // bytes of one node ...
#define MEMORY_WIRE 40000u          // ... for every wire
#define MEMORY_DEST 600u            // ... for every destination, and for each on every wire
#define MEMORY_DEST_WIRE 40u

const char *violation_name(enum violation v)
{
    static const char *const names[] = {"none", "loop", "feasibility", "dead", "leftover", "budget", "memory", "expectation", "packet", "told", "held"};
    return names[v];
}

void check_fail(struct check *c, enum violation v, const char *fmt, ...)
{
    if (c->first) return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->what, sizeof c->what, fmt, ap);
    va_end(ap);
    c->first = v;
    c->when = c->w->now;
    c->w->halt = true;
}

// ---- destinations by address ----

static uint32_t hash_of(const struct bw_addr *a)
{
    uint32_t h = 2166136261u;
    for (int i = 8; i < 16; i++) h = (h ^ a->b[i]) * 16777619u;
    return h;
}

uint32_t check_dest(const struct check *c, const struct bw_addr *a)
{
    for (uint32_t i = hash_of(a) & c->mask; c->index[i].dest; i = (i + 1) & c->mask)
        if (bw_addr_eq(&c->index[i].addr, a)) return c->index[i].dest - 1;
    return UINT32_MAX;
}

static const char *dest_text(const struct check *c, uint32_t dest, char out[BW_ADDR_TEXT])
{
    if (dest == c->n) return bw_addr_text(&bw_addr_any_exit, out);
    snprintf(out, BW_ADDR_TEXT, "n%u", dest + 1);
    return out;
}

static void index_add(struct check *c, const struct bw_addr *a, uint32_t dest)
{
    uint32_t i = hash_of(a) & c->mask;
    while (c->index[i].dest) i = (i + 1) & c->mask;
    c->index[i] = (struct slot){*a, dest + 1};
}

// ---- loops ----

static bool answers(const struct check *c, uint32_t node, uint32_t dest)
{
    const struct world_node *n = &c->w->nodes[node];
    return dest == node || (dest == c->n && n->snapshot && n->snapshot->sharing);
}

static const char *loop_text(const struct check *c, uint32_t from, uint32_t dest, char out[80])
{
    size_t used = 0;
    for (uint32_t at = from, k = 0; k < 8 && used < 70; k++, at = check_next(c, at, dest)) {
        used += (size_t)snprintf(out + used, 80 - used, "%sn%u", k ? " " : "", at + 1);
        if (k && at == from) break;
    }
    return out;
}

// The wires from one to the other have been cut since before the other's present life began: nothing passes, and nobody could
// tell the one so far that what the other once announced is void.
static bool cut_off(const struct check *c, uint32_t from, uint32_t to)
{
    const struct world_node *n = &c->w->nodes[from];
    bool any = false;
    for (uint32_t i = 0; i < n->link_count; i++) {
        const struct world_link *l = &c->w->links[n->links[i]];
        if (world_other(l, from) != to) continue;
        if (!l->cut[l->a == from ? 0 : 1] || l->dead_since > c->w->nodes[to].since) return false;
        any = true;
    }
    return any;
}

// The other's present life has no keys for what the one sends it under those of an earlier life: it drops that unread.
static bool deaf(const struct check *c, uint32_t from, uint32_t to)
{
    const struct world_node *n = &c->w->nodes[to];
    struct link_info i;
    if (!n->node) return true;
    for (int slot = -1; (slot = linkset_next(node_links(n->node), slot)) >= 0;)
        if (!linkset_info(node_links(n->node), (uint16_t)slot, &i) && i.state == LINK_UP && bw_addr_eq(&i.addr, &c->w->nodes[from].id.addr))
            return false;
    return true;
}

// Does any packet that goes round come through?
static bool broken(struct check *c, uint32_t from, uint32_t dest)
{
    uint32_t at = from;
    for (uint32_t steps = 0; steps <= c->n; steps++) {
        uint32_t next = check_next(c, at, dest);
        if (deaf(c, at, next)) {
            c->cut_off = true; // looked at again
            return true;
        }
        at = next;
    }
    return false;
}

// Follows the FIBs from a node whose next hop has changed: a new loop must go through it.
static bool comes_back(struct check *c, uint32_t from, uint32_t dest)
{
    uint32_t at = from;
    for (uint32_t steps = 0; steps <= c->n; steps++) {
        if (answers(c, at, dest)) return false;
        uint16_t next = check_next(c, at, dest);
        if (next >= HELD_HOP) return false;
        if (cut_off(c, at, next)) {
            c->cut_off = true;
            return false;
        }
        at = next;
        if (at == from) return true;
    }
    return true; // led into a loop
}

static bool any_loops(struct check *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (check_next(c, i, c->n) < HELD_HOP && comes_back(c, i, c->n)) return true;
    return false;
}

static void look_for_loop(struct check *c, uint32_t node, uint32_t dest)
{
    char text[80];
    if (dest == c->n) {
        bool loops = any_loops(c);
        if (!loops) c->any_loop_since = 0;
        else if (!c->any_loop_since) c->any_loop_since = c->w->now;
        return;
    }
    if (comes_back(c, node, dest) && !broken(c, node, dest))
        check_fail(c, VIOLATION_LOOP, "packets to n%u go round: %s", dest + 1, loop_text(c, node, dest, text));
}

void check_wires(struct check *c)
{
    if (!c->cut_off) return;
    c->cut_off = false; // set again by what still is
    for (uint32_t node = 0; node < c->n; node++)
        for (uint32_t d = 0; d <= c->n && !c->first; d++)
            if (check_next(c, node, d) < HELD_HOP) look_for_loop(c, node, d);
}

// ---- feasibility distances ----

struct distance {
    struct bw_addr addr;
    uint8_t router_id[8];
    bool found;
    uint16_t seqno, metric;
};

static void on_source(void *ctx, const struct babel_source *s)
{
    struct distance *d = ctx;
    if (d->found || s->prefix.len != 128 || !bw_addr_eq(&s->prefix.addr, &d->addr) || memcmp(s->router_id, d->router_id, 8)) return;
    d->found = true;
    d->seqno = s->seqno;
    d->metric = s->metric;
}

// Is (seqno, metric) strictly better than (s2, m2)? Seqnos are compared modulo 2^16.
static bool better(uint16_t seqno, uint16_t metric, uint16_t s2, uint16_t m2)
{
    return seqno == s2 ? metric < m2 : (int16_t)(uint16_t)(seqno - s2) > 0;
}

static void look_at_feasibility(struct check *c, uint32_t node, uint32_t dest)
{
    const struct babel *b = look_babel(&c->w->nodes[node]);
    const struct bw_addr *a = dest == c->n ? &bw_addr_any_exit : &c->w->nodes[dest].id.addr;
    struct bw_prefix p = bw_prefix_host(a);
    struct babel_route r;
    if (!b || !babel_lookup(b, &p, &r) || r.own || r.metric == BABEL_INFINITY) return;
    struct distance own = {.addr = *a}, its = {.addr = *a};
    memcpy(own.router_id, r.router_id, 8);
    memcpy(its.router_id, r.router_id, 8);
    babel_each_source(b, on_source, &own);
    if (own.found && !better(r.seqno, r.refmetric, own.seqno, own.metric))
        check_fail(c, VIOLATION_FEASIBILITY, "n%u selects an unfeasible route to n%u: seqno %u metric %u, distance %u %u", node + 1, dest + 1,
                   r.seqno, r.refmetric, own.seqno, own.metric);
    uint16_t next = check_next(c, node, dest);
    const struct babel *nb = next < HELD_HOP ? look_babel(&c->w->nodes[next]) : NULL;
    if (!nb || c->w->nodes[next].since + 20 * BW_S > c->w->now) return; // distances of an earlier life are gone
    babel_each_source(nb, on_source, &its);
    if (its.found && better(r.seqno, r.refmetric, its.seqno, its.metric))
        check_fail(c, VIOLATION_FEASIBILITY, "n%u routes to n%u by n%u with seqno %u metric %u, which never announced better than %u %u", node + 1,
                   dest + 1, next + 1, r.seqno, r.refmetric, its.seqno, its.metric);
}

// ---- what is lost stays known to be lost while somebody relies on it ----

static bool poor(const struct wire *k)
{
    return k->loss_ppm >= 120000 || k->rate_bps || k->delay_us + k->jitter_us > 100000;
}

// A good wire between two that have long known each other, and use it.
static bool steady(const struct check *c, uint32_t link)
{
    const struct world *w = c->w;
    const struct world_link *l = &w->links[link];
    if (l->alive_since == BW_NEVER || l->alive_since + STEADY > w->now || poor(&l->k)) return false;
    if (c->poor[link] && c->poor[link] + POOR_FOR > w->now) return false;
    return look_cost(&w->nodes[l->a], link) != BABEL_INFINITY && look_cost(&w->nodes[l->b], link) != BABEL_INFINITY;
}

// RFC 8966 section 3.5.4: a route that is lost stays in the table as unreachable until the neighbours know; a wider route
// might lead back otherwise.
static void look_at_hold(struct check *c, uint32_t node, uint32_t dest)
{
    const struct world_node *n = &c->w->nodes[node];
    if (!n->wanted || !look_published(n) || answers(c, node, dest)) return;
    for (uint32_t i = 0; i < n->link_count; i++) {
        uint32_t other = world_other(&c->w->links[n->links[i]], node);
        if (check_next(c, other, dest) != node || !look_published(&c->w->nodes[other]) || !steady(c, n->links[i])) continue;
        check_fail(c, VIOLATION_HELD, "n%u forgets that it lost n%u, to which n%u sends through it", node + 1, dest + 1, other + 1);
    }
}

// ---- a node's table has changed ----

// What the row of a node says of a destination with this route; NULL: it has none.
static uint16_t hop_of(const struct check *c, uint32_t node, const struct fwd_route *r)
{
    const struct fwd_snapshot *s = c->w->nodes[node].snapshot;
    if (!r) return NO_HOP;
    if (r->target != FWD_TO_LINK || r->link >= s->link_count) return HELD_HOP;
    int64_t wire = world_wire_of(c->w, node, &s->links[r->link]);
    return wire < 0 ? NO_HOP : (uint16_t)world_other(&c->w->links[wire], node);
}

static void build_row(struct check *c, uint32_t node)
{
    const struct world_node *n = &c->w->nodes[node];
    struct fib_at at = {0};
    for (uint32_t i = 0; i <= c->n; i++) c->row[i] = NO_HOP;
    for (const struct fwd_route *r; n->snapshot && (r = fib_next(&n->snapshot->mesh, &at));) {
        uint32_t dest = check_dest(c, &r->prefix.addr);
        if (dest != UINT32_MAX) c->row[dest] = hop_of(c, node, r);
    }
}

static void set_hop(struct check *c, uint32_t node, uint32_t d, uint16_t hop)
{
    uint16_t *cell = &c->next[(size_t)node * (c->n + 1) + d], old = *cell;
    if (old == hop || c->first) return;
    if (d < c->n) c->have += (uint64_t)(hop < HELD_HOP) - (uint64_t)(old < HELD_HOP);
    *cell = hop;
    c->changes++;
    if (c->deep && hop == NO_HOP) look_at_hold(c, node, d);
    if (hop >= HELD_HOP && d != c->n) return;
    look_for_loop(c, node, d);
    if (c->deep && hop < HELD_HOP) look_at_feasibility(c, node, d);
}

struct change {
    struct check *c;
    uint32_t node;
};

static void on_change(void *ctx, const struct fwd_route *before, const struct fwd_route *after)
{
    struct change *x = ctx;
    uint32_t d = check_dest(x->c, after ? &after->prefix.addr : &before->prefix.addr);
    if (d != UINT32_MAX) set_hop(x->c, x->node, d, hop_of(x->c, x->node, after));
}

// Slots lead over the same wires.
static bool same_wires(const struct fwd_snapshot *a, const struct fwd_snapshot *b)
{
    if (a->link_count != b->link_count) return false;
    for (unsigned i = 0; i < a->link_count; i++) {
        const struct fwd_link *k = &a->links[i], *l = &b->links[i];
        if (k->used != l->used || !bw_addr_eq(&k->remote.addr, &l->remote.addr) || k->remote.port != l->remote.port) return false;
    }
    return true;
}

void check_routes(struct check *c, uint32_t node, const struct fwd_snapshot *before)
{
    const struct fwd_snapshot *s = c->w->nodes[node].snapshot;
    if (!c->deep && before && s && same_wires(before, s)) {
        fib_diff(&before->mesh, &s->mesh, on_change, &(struct change){c, node});
        return;
    }
    build_row(c, node);
    for (uint32_t d = 0; d <= c->n; d++) set_hop(c, node, d, c->row[d]);
}

// ---- a node says what it can do ----

// Whoever hears of a way may use it at once, and whoever hears of its loss may send to somebody who comes back here: both are
// only sound if the packet path agrees by then.
static void look_at_path(struct check *c, uint32_t node, uint32_t dest, const char *does)
{
    const struct world_node *n = &c->w->nodes[node];
    const struct bw_addr *a = dest == c->n ? &bw_addr_any_exit : &c->w->nodes[dest].id.addr;
    struct bw_prefix p = bw_prefix_host(a);
    struct babel_route r;
    bool way = babel_lookup(look_babel(n), &p, &r);
    if (way && r.own) return;
    char text[BW_ADDR_TEXT];
    const struct fwd_route *f = n->snapshot ? fwd_lookup(n->snapshot, a, false) : NULL;
    bool leads = f && bw_prefix_eq(&f->prefix, &p) && f->target == FWD_TO_LINK;
    if (way && r.metric != BABEL_INFINITY) {
        if (leads && f->link == r.slot && f->link < n->snapshot->link_count && n->snapshot->links[f->link].used) return;
        check_fail(c, VIOLATION_TOLD, "n%u %s a way to %s that its packets do not take", node + 1, does, dest_text(c, dest, text));
    } else if (leads) {
        check_fail(c, VIOLATION_TOLD, "n%u %s no way to %s while its packets still take one", node + 1, does, dest_text(c, dest, text));
    }
}

void check_said(struct check *c, uint32_t node, const uint8_t *packet, size_t n)
{
    static const struct bw_addr nobody = {{0xfe, 0x80, [15] = 1}};
    struct babel_reader r;
    struct babel_tlv t;
    int rc;
    if (n < IP6_HEADER + 8 || !look_babel(&c->w->nodes[node]) ||
        babel_read_begin(&r, &nobody, packet + IP6_HEADER + 8, n - IP6_HEADER - 8)) return;
    while ((rc = babel_read_next(&r, &t)) != 0) {
        if (rc < 0 || t.type != BABEL_UPDATE || t.update.wildcard || t.update.prefix.len != 128) continue;
        uint32_t dest = check_dest(c, &t.update.prefix.addr);
        if (dest != UINT32_MAX) look_at_path(c, node, dest, "speaks of");
    }
}

// What nobody is told of, too: all that Babel has selected is in the packet path, and nothing else.
static void look_at_paths(struct check *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        for (uint32_t d = 0; d <= c->n && look_published(&c->w->nodes[i]) && !c->first; d++) look_at_path(c, i, d, "knows");
}

// ---- from time to time ----

static bw_time state_life(const struct check *c) // what a table entry is worth: 3.5 update intervals and twice the slow walk
{
    bw_time interval = (bw_time)c->n * BW_S / 4;
    interval = interval < 16 * BW_S ? 16 * BW_S : interval > 300 * BW_S ? 300 * BW_S : interval;
    bw_time life = 4 * interval + 10 * BW_S;
    return (life < 180 * BW_S ? 180 * BW_S : life) + 90 * BW_S;
}

static void dead_wires(struct check *c)
{
    struct world *w = c->w;
    for (uint32_t i = 0; i < w->link_count; i++) {
        const struct world_link *l = &w->links[i];
        if (poor(&l->k)) c->poor[i] = w->now;
        bw_time most = c->poor[i] && c->poor[i] + POOR_FOR > l->dead_since ? DEAD_POOR : DEAD_WIRE;
        if (l->alive_since != BW_NEVER || w->now - l->dead_since < most) continue;
        for (unsigned k = 0; k < 2; k++) {
            const struct world_node *n = &w->nodes[k ? l->b : l->a];
            struct fib_at at = {0};
            for (const struct fwd_route *route; n->snapshot && (route = fib_next(&n->snapshot->mesh, &at));) {
                if (route->target != FWD_TO_LINK || route->link >= n->snapshot->link_count) continue;
                if (world_wire_of(w, n->index, &n->snapshot->links[route->link]) != (int64_t)i) continue;
                check_fail(c, VIOLATION_DEAD, "n%u still routes to n%u over the wire to n%u, dead for %llu s", n->index + 1,
                           check_dest(c, &route->prefix.addr) + 1, world_other(l, n->index) + 1, (unsigned long long)((w->now - l->dead_since) / BW_S));
                return;
            }
        }
    }
}

struct leftover {
    struct check *c;
    uint32_t node;
    bw_time before; // what died earlier should be forgotten
};

static void on_leftover_source(void *ctx, const struct babel_source *s)
{
    struct leftover *l = ctx;
    uint32_t d = check_dest(l->c, &s->prefix.addr);
    if (d >= l->c->n || l->c->w->nodes[d].node || l->c->w->nodes[d].since > l->before) return;
    check_fail(l->c, VIOLATION_LEFTOVER, "n%u keeps a feasibility distance of n%u, dead since %.0f s", l->node + 1, d + 1,
               (double)l->c->w->nodes[d].since / 1e6);
}

static void on_leftover_route(void *ctx, const struct babel_route *r)
{
    struct leftover *l = ctx;
    uint32_t d = check_dest(l->c, &r->prefix.addr);
    if (d >= l->c->n || l->c->w->nodes[d].node || l->c->w->nodes[d].since > l->before) return;
    check_fail(l->c, VIOLATION_LEFTOVER, "n%u keeps a route to n%u, dead since %.0f s", l->node + 1, d + 1, (double)l->c->w->nodes[d].since / 1e6);
}

static void leftover_links(struct leftover *l)
{
    const struct world *w = l->c->w;
    struct world_node *n = &w->nodes[l->node];
    for (int slot = -1; (slot = linkset_next(node_links(n->node), slot)) >= 0;) {
        struct link_info i;
        if (linkset_info(node_links(n->node), (uint16_t)slot, &i) || i.listed) continue;
        uint32_t d = check_dest(l->c, &i.addr);
        if (d < l->c->n && !w->nodes[d].node && w->nodes[d].since < l->before)
            check_fail(l->c, VIOLATION_LEFTOVER, "n%u keeps a link to n%u, dead since %.0f s", l->node + 1, d + 1, (double)w->nodes[d].since / 1e6);
    }
}

static void leftovers(struct check *c)
{
    struct world *w = c->w;
    bw_time life = state_life(c);
    bool any = false;
    if (w->now < life) return;
    for (uint32_t i = 0; i < c->n; i++) any |= !w->nodes[i].node && w->nodes[i].life && w->nodes[i].since < w->now - life;
    for (uint32_t i = 0; any && i < c->n; i++) {
        struct leftover l = {c, i, w->now - life};
        if (!w->nodes[i].node || w->nodes[i].memory.failures) continue;
        babel_each_source(look_babel(&w->nodes[i]), on_leftover_source, &l);
        babel_each_route(look_babel(&w->nodes[i]), on_leftover_route, &l);
        leftover_links(&l);
    }
}

static void budget(struct check *c)
{
    struct world *w = c->w;
    if (w->now < c->window_at + BUDGET_WINDOW) return;
    bool shared = false;
    for (uint32_t i = 0; i < c->n; i++) shared |= w->nodes[i].share;
    uint64_t most = BUDGET_WIRE + (uint64_t)(BUDGET_DEST + (shared ? BUDGET_CLIENT : 0)) * c->n + c->spare;
    for (uint32_t i = 0; i < w->link_count; i++) {
        const struct world_link *l = &w->links[i];
        uint64_t bytes = l->bytes[0] + l->bytes[1] - c->window[i];
        c->window[i] += bytes;
        if (bytes > c->most_bytes) c->most_bytes = bytes;
        if (bytes > most)
            check_fail(c, VIOLATION_BUDGET, "%llu bytes in 10 s between n%u and n%u", (unsigned long long)bytes, l->a + 1, l->b + 1);
    }
    c->window_at = w->now;
    c->spare = 0;
}

static void memory(struct check *c)
{
    struct world *w = c->w;
    for (uint32_t i = 0; i < c->n; i++) {
        const struct world_node *n = &w->nodes[i];
        size_t used = n->memory.mem.used;
        uint64_t cap = MEMORY_NODE + (uint64_t)n->link_count * MEMORY_WIRE + (uint64_t)c->n * (MEMORY_DEST + MEMORY_DEST_WIRE * n->link_count);
        if (used > c->most_memory) c->most_memory = used;
        if (used > cap) check_fail(c, VIOLATION_MEMORY, "n%u holds %zu bytes, more than %llu", i + 1, used, (unsigned long long)cap);
    }
    if (w->leaked) check_fail(c, VIOLATION_MEMORY, "a node that was freed had not given back %llu bytes", (unsigned long long)w->leaked);
}

void check_second(struct check *c)
{
    check_wires(c);
    if (c->deep) look_at_paths(c);
    dead_wires(c);
    leftovers(c);
    budget(c);
    memory(c);
    if (c->any_loop_since && c->w->now - c->any_loop_since > ANY_LOOP)
        check_fail(c, VIOLATION_LOOP, "packets to fc00::e have gone round for %.0f s", (double)(c->w->now - c->any_loop_since) / 1e6);
}

// ---- making one ----

struct check *check_new(struct world *w, bool deep)
{
    struct check *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    size_t cells = (size_t)w->node_count * (w->node_count + 1);
    uint32_t slots = 16;
    while (slots < 4 * (w->node_count + 1)) slots *= 2;
    *c = (struct check){.w = w, .n = w->node_count, .deep = deep, .mask = slots - 1, .window_at = w->now};
    c->next = malloc(cells * sizeof *c->next + 2);
    c->row = malloc((w->node_count + 1) * sizeof *c->row);
    c->index = calloc(slots, sizeof *c->index);
    c->window = calloc(w->link_count + 1, sizeof *c->window);
    c->poor = calloc(w->link_count + 1, sizeof *c->poor);
    if (!c->next || !c->row || !c->index || !c->window || !c->poor) {
        check_free(c);
        return NULL;
    }
    for (size_t i = 0; i < cells; i++) c->next[i] = NO_HOP;
    for (uint32_t i = 0; i < c->n; i++) index_add(c, &w->nodes[i].id.addr, i);
    index_add(c, &bw_addr_any_exit, c->n);
    return c;
}

void check_free(struct check *c)
{
    if (!c) return;
    free(c->next);
    free(c->row);
    free(c->index);
    free(c->window);
    free(c->poor);
    free(c);
}
