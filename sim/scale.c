// How plain Babel grows: meshes of one kind and several sizes are brought up, left alone, and hurt; what that takes in time,
// traffic and memory goes to the screen, to a CSV file and to plots.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sim/look.h"
#include "sim/path.h"
#include "sim/plot.h"
#include "sim/scenario.h"

#define LIMIT (1200 * BW_S)   // simulated time that a phase may take
#define QUIET (10 * BW_S)     // no next hop has changed for so long: at rest ...
#define FEW 10000u            // ... or, of full tables, one in so many at most
#define STUCK (60 * BW_S)     // nor for so long, and still not everybody has a route to everybody: nobody will
#define TOO_FAR (BABEL_INFINITY / 16 * 15) // what Babel's metric may not reach at every moment
#define LOOKS 150u            // destinations that are looked at from everywhere

struct run {
    const struct sim_options *o;
    struct world *w;
    struct check *c;
    struct paths *p;
    struct scale_row row;
    uint64_t changes_seen;
    bw_time changed_at;
    uint32_t *looks, look_count;
    clock_t begin;
    time_t said;
    const char *phase;
    double share;  // of this phase that is done; 0: not known
    bw_time second; // when the checkers look next at what they look at from time to time
    bool terminal; // progress is looked at there
};

static void on_routes(void *ctx, uint32_t node, const struct fwd_snapshot *before)
{
    check_routes(((struct run *)ctx)->c, node, before);
}

static double cpu(const struct run *r) { return (double)(clock() - r->begin) / CLOCKS_PER_SEC; }

// ---- progress: on a terminal a line that is written over, else a line now and then ----

#define AGAIN_TERMINAL_S 2
#define AGAIN_S 10

static void progress(struct run *r)
{
    time_t now = time(NULL);
    double share = r->share;
    if (r->o->json || (!r->o->verbose && now < r->said + (r->terminal ? AGAIN_TERMINAL_S : AGAIN_S))) return;
    r->said = now;
    fprintf(stderr, "%s%s %u: %s, %.0f s simulated, %.0f s CPU", r->terminal ? "\r" : "", r->row.graph, r->row.nodes, r->phase,
            (double)r->w->now / 1e6, cpu(r));
    if (share > 0.02 && share < 1) fprintf(stderr, ", about %.0f %%, %.0f s to go", share * 100, cpu(r) * (1 - share) / share);
    fprintf(stderr, r->terminal ? "      " : "\n");
}

// ---- stepping ----

static uint64_t few(const struct run *r)
{
    return r->o->cap ? r->c->have / FEW : 0;
}

static void step(struct run *r, bw_time by)
{
    bw_time until = r->w->now + by;
    while (r->w->now < until && !r->w->halt) {
        world_run(r->w, bw_time_min(until, r->w->now + 100 * BW_MS));
        if (r->c->changes - r->changes_seen > few(r)) {
            r->changed_at = r->w->now;
            r->changes_seen = r->c->changes;
        }
        if (r->w->now >= r->second) {
            r->second = r->w->now + BW_S;
            check_second(r->c);
        }
        progress(r);
    }
}

static uint64_t wanted(const struct run *r)
{
    uint64_t n = r->w->node_count, all = n * (n - 1);
    return r->o->cap && r->o->cap < n ? n * r->o->cap : all;
}

// From everywhere that runs, unless it is too far for Babel's metric (long rings).
static bool reached(struct run *r, uint32_t d)
{
    bool all = true;
    for (uint32_t a = 0; a < r->w->node_count; a++) {
        if (!r->w->nodes[a].node || paths_taken(r->p, r->p->real, a, d) != PATH_FAR) continue;
        if (all) paths_to(r->p, r->p->real, d);
        all = false;
        if (r->p->dist[a] < TOO_FAR) return false;
    }
    return true;
}

// Of the destinations that are looked at.
static bool all_reach(struct run *r)
{
    for (uint32_t k = 0; k < r->look_count; k++)
        if (r->w->nodes[r->looks[k]].node && !reached(r, r->looks[k])) return false;
    return true;
}

static double until_reach(struct run *r)
{
    bw_time begin = r->w->now;
    while (r->w->now < begin + LIMIT && !r->w->halt) {
        step(r, 200 * BW_MS);
        paths_look(r->p);
        if (all_reach(r)) return (double)(r->w->now - begin) / 1e6;
    }
    return -1;
}

static double until_quiet(struct run *r)
{
    bw_time begin = r->w->now;
    r->changed_at = begin;
    while (r->w->now < r->changed_at + QUIET && r->w->now < begin + LIMIT && !r->w->halt) step(r, BW_S);
    return (double)(r->changed_at - begin) / 1e6;
}

// ---- phases ----

static void bring_up(struct run *r)
{
    struct bw_rng rng;
    uint8_t seed[32];
    bw_time begin = r->w->now;
    world_seed_of(r->w->seed, "scale", 0, seed);
    bw_rng_seed(&rng, seed);
    r->phase = "starting";
    for (uint32_t i = 0; i < r->w->node_count; i++) { // within a second, as after a power cut
        world_start(r->w, i);
        if (i % (r->w->node_count / 50 + 1) == 0) step(r, 20 * BW_MS);
    }
    while (r->c->have < wanted(r) && r->w->now < begin + LIMIT && !r->w->halt) {
        r->share = (double)r->c->have / (double)wanted(r);
        step(r, 100 * BW_MS);
        if (r->w->now > r->changed_at + (r->o->cap ? QUIET : STUCK)) break;
    }
    r->share = 0;
    r->row.full_cpu_s = cpu(r);
    r->row.full_s = r->c->have >= wanted(r) ? (double)(r->w->now - begin) / 1e6 : -1;
    r->phase = "settling";
    bw_time full = r->w->now;
    r->row.rest_s = -1;
    if (!r->o->only_full) {
        until_quiet(r);
        r->row.rest_s = (double)((r->changed_at > full ? r->changed_at : full) - begin) / 1e6;
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < r->w->link_count; i++) bytes += r->w->links[i].bytes[0] + r->w->links[i].bytes[1];
    r->row.start_bytes = (double)bytes / r->w->node_count;
}

static void idle(struct run *r)
{
    uint64_t before = 0, after = 0;
    r->phase = "idle";
    step(r, 20 * BW_S);
    for (uint32_t i = 0; i < r->w->link_count; i++) before += r->w->links[i].bytes[0] + r->w->links[i].bytes[1];
    step(r, r->o->idle);
    for (uint32_t i = 0; i < r->w->link_count; i++) after += r->w->links[i].bytes[0] + r->w->links[i].bytes[1];
    double bits = (double)(after - before) * 8 / ((double)r->o->idle / 1e6);
    r->row.idle_node_bps = bits / r->w->node_count;
    if (r->w->link_count) r->row.idle_link_bps = bits / r->w->link_count;
}

// Of the destinations that a capped table should hold (the nearest ones), the share that it does.
static double nearest_kept(struct run *r)
{
    uint64_t should = 0, does = 0;
    uint32_t n = r->w->node_count, *d = calloc(n, sizeof *d);
    for (uint32_t k = 0; d && k < r->look_count; k++) {
        uint32_t a = r->looks[k], limit = PATH_FAR, cap = r->o->cap;
        paths_to(r->p, r->p->said, a); // links cost the same both ways, nearly
        memcpy(d, r->p->dist, n * sizeof *d);
        for (uint32_t lo = 0, hi = 1u << 24; lo < hi;) { // the distance within which there are as many as may be kept
            uint32_t mid = (lo + hi + 1) / 2, count = 0;
            for (uint32_t i = 0; i < n; i++) count += i != a && d[i] <= mid;
            if (count <= cap) lo = limit = mid;
            else hi = mid - 1;
        }
        for (uint32_t i = 0; i < n; i++) {
            if (i == a || d[i] > limit) continue;
            should++;
            does += check_next(r->c, a, i) < HELD_HOP;
        }
    }
    free(d);
    return should ? (double)does / (double)should : 0;
}

static void tables(struct run *r)
{
    uint64_t routes = 0, memory = 0;
    for (uint32_t i = 0; i < r->w->node_count; i++) {
        struct babel_totals t;
        babel_totals(look_babel(&r->w->nodes[i]), &t);
        routes += t.selected;
        memory += r->w->nodes[i].memory.mem.used;
        if (t.selected > r->row.most_routes) r->row.most_routes = t.selected;
        if (t.dests > r->row.most_dests) r->row.most_dests = t.dests;
        if (r->w->nodes[i].memory.mem.used > r->row.most_memory) r->row.most_memory = r->w->nodes[i].memory.mem.used;
    }
    r->row.routes = (double)routes / r->w->node_count;
    r->row.memory = (double)memory / r->w->node_count;
    paths_look(r->p);
    if (r->o->cap) r->row.nearest = nearest_kept(r);
}

static uint32_t hub(const struct run *r)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < r->w->node_count; i++)
        if (r->w->nodes[i].link_count > r->w->nodes[best].link_count) best = i;
    return best;
}

// A node or wire whose death leaves the mesh in one piece, near the n-th.
static bool in_one_piece(struct run *r)
{
    uint32_t first = UINT32_MAX;
    paths_look(r->p);
    for (uint32_t i = 0; i < r->w->node_count; i++) {
        if (!r->w->nodes[i].node) continue;
        if (first == UINT32_MAX) first = i;
        if (!paths_joined(r->p, first, i)) return false;
    }
    return true;
}

static double lose_wire(struct run *r)
{
    r->phase = "a wire dies";
    for (uint32_t i = r->w->link_count / 2; i < r->w->link_count; i++) {
        for (unsigned way = 0; way < 2; way++) world_cut(r->w, i, way, CUT_LINK, true);
        if (in_one_piece(r)) {
            double took = until_reach(r);
            for (unsigned way = 0; way < 2; way++) world_cut(r->w, i, way, CUT_LINK, false);
            return took;
        }
        for (unsigned way = 0; way < 2; way++) world_cut(r->w, i, way, CUT_LINK, false);
    }
    return -1;
}

static double lose_node(struct run *r, uint32_t n, const char *phase)
{
    r->phase = phase;
    world_crash(r->w, n);
    double took = in_one_piece(r) ? until_reach(r) : -1; // its death tears the mesh apart: there is nothing to heal
    world_start(r->w, n);
    step(r, 30 * BW_S);
    return took;
}

// ---- one mesh ----

static bool prepare(struct run *r, const struct graph_spec *g)
{
    struct scenario s = {.seed = r->o->seed};
    struct wire k = {.delay_us = 2000};
    bool ok = !topology_add(&s, g, &k, r->o->seed);
    r->w = ok ? world_new(r->o->seed, s.nodes, NULL) : NULL;
    for (uint32_t i = 0; r->w && i < s.link_count; i++) ok &= world_link(r->w, s.links[i].a, s.links[i].b, &s.links[i].wire, s.links[i].far) >= 0;
    scenario_free(&s);
    if (!r->w || !ok) return false;
    r->w->coarse = true;
    for (uint32_t i = 0; i < r->w->node_count; i++) r->w->nodes[i].cap = r->o->cap;
    r->c = check_new(r->w, false);
    r->p = r->c ? paths_new(r->c) : NULL;
    r->looks = calloc(LOOKS, sizeof *r->looks);
    r->look_count = r->w->node_count < LOOKS ? r->w->node_count : LOOKS;
    for (uint32_t k2 = 0; r->looks && k2 < r->look_count; k2++) r->looks[k2] = (uint32_t)((uint64_t)k2 * r->w->node_count / r->look_count);
    r->w->hooks = (struct world_hooks){.ctx = r, .routes = on_routes};
    return r->p && r->looks;
}

static void measure(struct run *r)
{
    bring_up(r);
    tables(r);
    r->row.wire_s = r->row.node_s = r->row.hub_s = r->row.idle_node_bps = r->row.idle_link_bps = -1;
    if (!r->o->only_full) idle(r);
    if (!r->o->cap && !r->o->only_full) {
        r->row.wire_s = lose_wire(r);
        step(r, 30 * BW_S);
        r->row.node_s = lose_node(r, r->w->node_count / 3, "a node dies");
        r->row.hub_s = lose_node(r, hub(r), "a hub dies");
    }
    r->row.links = r->w->link_count;
    r->row.simulated_s = (double)(r->w->now - BW_S) / 1e6;
    r->row.steps = r->w->steps;
    r->row.hash = r->w->hash;
    r->row.cpu_s = cpu(r);
    r->row.violation = r->c->first;
}

static int run_one(const struct sim_options *o, enum graph kind, const char *name, uint32_t n, struct scale_row *out)
{
    struct run r = {.o = o, .row = {.graph = name, .nodes = n}, .begin = clock(), .terminal = isatty(STDERR_FILENO)};
    struct graph_spec g = {.kind = kind, .n = n, .width = 1, .degree = 8, .joins = 2, .groups = n / 40 + 1, .gateways = 2};
    while (g.width * g.width < n) g.width++;
    bool ok = prepare(&r, &g);
    if (ok) measure(&r);
    if (!o->json && r.terminal) fprintf(stderr, "\r%78s\r", "");
    if (ok && r.c->first) sim_say(1, "%s %u: %s at %.3f s: %s", name, n, violation_name(r.c->first), (double)r.c->when / 1e6, r.c->what);
    *out = r.row;
    paths_free(r.p);
    check_free(r.c);
    world_free(r.w);
    free(r.looks);
    if (!ok) return sim_say(1, "no memory for %u nodes", n);
    return r.row.violation ? 1 : 0;
}

// ---- all that was asked for ----

static const struct {
    const char *name;
    enum graph kind;
} kinds[] = {{"geometric", GRAPH_GEOMETRIC}, {"scale-free", GRAPH_SCALE_FREE}, {"communities", GRAPH_COMMUNITIES}, {"grid", GRAPH_GRID}, {"ring", GRAPH_RING}};

static bool known(const char *graph)
{
    bool any = !strcmp(graph, "all");
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) any |= !strcmp(graph, kinds[k].name);
    return any;
}

// Before hours of work, and not after them.
static int writable(const char *path)
{
    FILE *f = path ? fopen(path, "a") : NULL;
    if (path && (!f || fclose(f))) return sim_say(1, "%s: %s", path, strerror(errno));
    return 0;
}

int sim_scale(const struct sim_options *o)
{
    uint32_t count = 0, size = 200;
    const uint32_t *sizes = o->size_count ? o->sizes : &size;
    int status = 0;
    if (!known(o->graph)) return sim_say(2, "there is no graph %s (geometric, scale-free, communities, grid, ring, all)", o->graph);
    if (writable(o->csv) || writable(o->svg)) return 1;
    struct scale_row *rows = calloc(sizeof kinds / sizeof *kinds * (o->size_count + 1), sizeof *rows);
    if (!rows) return sim_say(1, "no memory");
    if (!o->json) scale_head(stdout);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        if (strcmp(o->graph, "all") && strcmp(o->graph, kinds[k].name)) continue;
        for (unsigned i = 0; i < (o->size_count ? o->size_count : 1); i++) {
            status |= run_one(o, kinds[k].kind, kinds[k].name, sizes[i], &rows[count]);
            if (o->json) scale_json(stdout, &rows[count]);
            else scale_line(stdout, &rows[count]);
            fflush(stdout);
            count++;
        }
    }
    if (o->csv) status |= scale_csv(o->csv, rows, count);
    if (o->svg) status |= scale_svg(o->svg, rows, count);
    free(rows);
    return status;
}
