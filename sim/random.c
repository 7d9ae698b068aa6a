#include "sim/random.h"

#include <stdlib.h>

struct draw {
    struct scenario *s;
    struct bw_rng rng;
    bw_time calm;      // faults end
    bool *forgotten;   // lost its state at some time: not again within a day, and its wall clock must not go back as well: nobody could let it in
    bool *wall;        // its wall clock has been moved
    bool failed;
};

static uint32_t below(struct draw *d, uint32_t n) { return bw_rng_below(&d->rng, n); }
static uint32_t between(struct draw *d, uint32_t lo, uint32_t hi) { return lo + below(d, hi - lo + 1); }

static void add(struct draw *d, struct statement t)
{
    d->failed |= scenario_add(d->s, &t) != 0;
}

// ---- the mesh ----

static struct wire base_wire(struct draw *d)
{
    static const uint32_t delays[] = {100, 500, 1000, 2000, 5000, 15000, 40000};
    struct wire k = {.delay_us = delays[below(d, 7)]};
    if (below(d, 3) == 0) k.jitter_us = k.delay_us / 4;
    if (below(d, 4) == 0) k.loss_ppm = between(d, 1, 30) * 1000;
    return k;
}

static void draw_mesh(struct draw *d, uint32_t n)
{
    struct graph_spec g = {.n = n};
    static const enum graph kinds[] = {GRAPH_RING, GRAPH_LINE, GRAPH_GRID, GRAPH_GEOMETRIC, GRAPH_GEOMETRIC, GRAPH_SCALE_FREE, GRAPH_COMMUNITIES, GRAPH_STAR};
    struct wire none = {0};
    g.degree = between(d, 3, 6); // one after the other: C leaves the order within an expression open
    g.joins = between(d, 1, 3);
    g.groups = between(d, 2, 3);
    g.gateways = between(d, 1, 2);
    g.kind = kinds[below(d, 8)];
    for (g.width = 2; g.width * g.width < n; g.width++);
    d->failed |= topology_add(d->s, &g, &none, d->s->seed) != 0;
    if (n > 2 && below(d, 4) == 0 && d->s->link_count) { // two wires between one pair
        struct scenario_link l = d->s->links[below(d, d->s->link_count)];
        if (!l.far) d->failed |= scenario_add_link(d->s, l.a, l.b, false, &none) != 0;
    }
    bool alike = below(d, 2);
    struct wire k = base_wire(d);
    for (uint32_t i = 0; i < d->s->link_count; i++) d->s->links[i].wire = alike ? k : base_wire(d);
    for (uint32_t e = below(d, 4); e--;) d->failed |= scenario_add_exit(d->s, below(d, n)) != 0;
}

// ---- faults ----

// When a fault that begins at `at` ends; BW_NEVER: with all the others.
static bw_time later(struct draw *d, bw_time at, uint32_t min_ms, uint32_t max_ms)
{
    bw_time end = at + between(d, min_ms, max_ms) * BW_MS;
    return end < d->calm ? end : BW_NEVER;
}

static void draw_crash(struct draw *d, bw_time at, bool kindly)
{
    uint32_t n = below(d, d->s->nodes);
    bw_time back = later(d, at, 50, below(d, 2) ? 3000 : 90000);
    add(d, (struct statement){.at = at, .verb = kindly ? DO_STOP : DO_CRASH, .a = n});
    if (back == BW_NEVER) return;
    if (below(d, 4) == 0 && !d->wall[n] && !d->forgotten[n]) {
        d->forgotten[n] = true;
        add(d, (struct statement){.at = back, .verb = DO_FORGET, .a = n});
    }
    add(d, (struct statement){.at = back, .verb = DO_START, .a = n});
}

static void draw_cut(struct draw *d, bw_time at, bool one_way)
{
    const struct scenario_link *l = &d->s->links[below(d, d->s->link_count)];
    bool turn = below(d, 2);
    struct statement t = {.at = at, .verb = DO_CUT, .a = turn ? l->b : l->a, .b = turn ? l->a : l->b, .one_way = one_way};
    bw_time back = later(d, at, 50, below(d, 2) ? 3000 : 60000);
    add(d, t);
    t.at = back, t.verb = DO_HEAL;
    if (back != BW_NEVER) add(d, t);
}

static void draw_partition(struct draw *d, bw_time at)
{
    struct statement t = {.at = at, .verb = DO_PARTITION};
    uint32_t n = d->s->nodes > 60 ? 60 : d->s->nodes, want = between(d, 1, (n + 1) / 2);
    t.set = calloc(n + 1, sizeof *t.set);
    if (!t.set) return;
    for (uint32_t i = 0; i < n; i++)
        if (below(d, n) < want) t.set[t.set_count++] = i;
    if (!t.set_count) t.set[t.set_count++] = 0;
    add(d, t);
    bw_time back = later(d, at, 500, 60000);
    if (back != BW_NEVER) add(d, (struct statement){.at = back, .verb = DO_UNITE});
}

static void draw_wire(struct draw *d, bw_time at)
{
    const struct scenario_link *l = &d->s->links[below(d, d->s->link_count)];
    struct statement t = {.at = at, .verb = DO_WIRE, .a = l->a, .b = l->b};
    switch (below(d, 7)) {
    case 0: t.words = WIRE_LOSS, t.wire.loss_ppm = between(d, 1, 40) * 10000; break;
    case 1: t.words = WIRE_DELAY, t.wire.delay_us = between(d, 1, 250) * 1000; break;
    case 2: t.words = WIRE_JITTER, t.wire.jitter_us = between(d, 1, 50) * 1000; break;
    case 3: t.words = WIRE_DUP, t.wire.dup_ppm = between(d, 1, 50) * 10000; break;
    case 4: t.words = WIRE_REORDER, t.wire.reorder_ppm = between(d, 1, 50) * 10000; break;
    case 5: t.words = WIRE_RATE, t.wire.rate_bps = between(d, 32, 1000) * 1000; break;
    default: t.words = WIRE_MTU, t.wire.mtu = between(d, 300, 1500); break;
    }
    bw_time back = later(d, at, 1000, 90000);
    add(d, t);
    t.at = back, t.wire = l->wire;
    if (back != BW_NEVER) add(d, t);
}

static void draw_clock(struct draw *d, bw_time at)
{
    struct statement t = {.at = at, .a = below(d, d->s->nodes)};
    switch (below(d, 3)) {
    case 0:
        t.verb = DO_RATE;
        below(d, 2); // of no use, but what a seed draws stays the same
        t.number = (int64_t)(below(d, 4) ? below(d, 401) : below(d, 60001)) - 200;
        break;
    case 1:
        t.verb = DO_JUMP;
        t.number = (int64_t)(between(d, 100, below(d, 3) ? 10000 : 200000) * BW_MS);
        break;
    default:
        t.verb = DO_WALL;
        if (d->forgotten[t.a]) return;
        d->wall[t.a] = true;
        t.number = (int64_t)below(d, 200000000) - 100000000;
        break;
    }
    add(d, t);
}

static void draw_memory(struct draw *d, bw_time at)
{
    struct statement t = {.at = at, .verb = DO_MEMORY, .a = below(d, d->s->nodes), .number = between(d, 1, 200)};
    t.bad = below(d, 3) == 0;
    bw_time back = later(d, at, 100, 15000);
    add(d, t);
    if (t.bad && back != BW_NEVER) add(d, (struct statement){.at = back, .verb = DO_MEMORY, .a = t.a});
}

static void draw_uplink(struct draw *d, bw_time at)
{
    if (!d->s->exit_count) return;
    uint32_t n = d->s->exits[below(d, d->s->exit_count)];
    bw_time back = later(d, at, 1000, 60000);
    add(d, (struct statement){.at = at, .verb = DO_UPLINK, .a = n, .bad = true});
    if (back != BW_NEVER) add(d, (struct statement){.at = back, .verb = DO_UPLINK, .a = n});
}

static void draw_traffic(struct draw *d, bw_time at)
{
    struct statement t = {.at = at, .verb = DO_TRAFFIC};
    t.a = below(d, d->s->nodes);
    t.b = below(d, d->s->nodes);
    t.number = (int64_t)(between(d, 20, 500) * BW_MS);
    t.number2 = (int64_t)(between(d, 1, 30) * BW_S);
    if (t.a != t.b) add(d, t);
}

static void draw_fault(struct draw *d, bw_time at)
{
    uint32_t kind = below(d, 100);
    if (kind < 18) draw_crash(d, at, false);
    else if (kind < 24) draw_crash(d, at, true);
    else if (kind < 44) draw_cut(d, at, false);
    else if (kind < 52) draw_cut(d, at, true);
    else if (kind < 58) draw_partition(d, at);
    else if (kind < 74) draw_wire(d, at);
    else if (kind < 80) draw_clock(d, at);
    else if (kind < 86) draw_memory(d, at);
    else if (kind < 92) draw_uplink(d, at);
    else draw_traffic(d, at);
}

static int by_time(const void *a, const void *b)
{
    const struct statement *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line; // drawn in this order
}

// ---- the whole ----

#define SETTLE (90 * BW_S)     // liveness: so long after the last fault all is well
#define TIDY_AFTER (290 * BW_S) // ... and tables hold nothing of what died,
#define TIDY_WITHIN (10 * BW_S) // nor requests for ever: one may be under way at any time, for 7.5 s

static void draw_end(struct draw *d, bw_time span)
{
    struct statement t = {.at = d->calm, .verb = DO_CALM, .a = SCENARIO_ALL, .b = SCENARIO_ALL, .c = SCENARIO_ALL};
    add(d, t);
    bool bury = d->s->nodes > 3 && below(d, 3) == 0;
    if (bury) add(d, (struct statement){.at = d->calm + BW_S, .verb = DO_CRASH, .a = below(d, d->s->nodes)});
    t.verb = DO_EXPECT;
    t.at = d->calm + (bury ? BW_S : 0);
    t.is = IS_SETTLED;
    t.within = span - d->calm < SETTLE ? span - d->calm : SETTLE;
    add(d, t);
    t.within = TIDY_WITHIN;
    t.at = span - TIDY_WITHIN;
    if (t.at >= d->calm + TIDY_AFTER) {
        t.is = IS_TIDY;
        add(d, t);
    }
}

int random_scenario(struct scenario *s, uint64_t seed, uint32_t nodes, bw_time span)
{
    struct draw d = {.s = s};
    uint8_t b[32];
    *s = (struct scenario){.seed = seed, .has_seed = true, .end = span};
    world_seed_of(seed, "random", 0, b);
    bw_rng_seed(&d.rng, b);
    uint32_t drawn = between(&d, 2, 8);
    drawn += below(&d, 3) ? 0 : below(&d, 16);
    draw_mesh(&d, nodes ? nodes : drawn);
    d.forgotten = calloc(s->nodes, sizeof *d.forgotten);
    d.wall = calloc(s->nodes, sizeof *d.wall);
    bw_time quiet = span / 2 < 300 * BW_S ? span / 2 : 300 * BW_S;
    d.calm = span - quiet;
    uint32_t every_ms = 1000u << below(&d, 5); // one fault in 1..16 s
    if (!d.forgotten || !d.wall || d.failed) {
        free(d.forgotten);
        free(d.wall);
        return BW_ERR_NOMEM;
    }
    for (bw_time at = below(&d, 2 * every_ms) * BW_MS; s->link_count && at < d.calm; at += between(&d, 1, 2 * every_ms) * BW_MS) draw_fault(&d, at);
    for (uint32_t i = 0; i < s->count; i++) s->v[i].line = i + 1;
    if (s->count) qsort(s->v, s->count, sizeof *s->v, by_time);
    draw_end(&d, span);
    free(d.forgotten);
    free(d.wall);
    return d.failed ? BW_ERR_NOMEM : 0;
}
