// Graphs by name. Every generator is a pure function of its numbers and the seed, in integers: the same on every machine.
#include <stdlib.h>

#include "sim/scenario.h"

#define IFACES_MAX 60 // wires of one node that are interfaces of their own; core/node knows 64

struct maker {
    struct scenario *s;
    const struct wire *k;
    uint32_t first; // number of the graph's node 0
    uint32_t *degree;
    struct bw_rng rng;
    bool failed;
};

static void join(struct maker *m, uint32_t a, uint32_t b, bool far)
{
    far |= m->degree[a] >= IFACES_MAX || m->degree[b] >= IFACES_MAX;
    m->degree[a]++, m->degree[b]++;
    m->failed |= scenario_add_link(m->s, m->first + a, m->first + b, far, m->k) != 0;
}

static bool joined(const struct maker *m, uint32_t from_link, uint32_t a, uint32_t b)
{
    for (uint32_t i = m->s->link_count; i-- > from_link;) {
        const struct scenario_link *l = &m->s->links[i];
        if ((l->a == m->first + a && l->b == m->first + b) || (l->a == m->first + b && l->b == m->first + a)) return true;
    }
    return false;
}

static void line(struct maker *m, uint32_t n, bool ring)
{
    for (uint32_t i = 1; i < n; i++) join(m, i - 1, i, false);
    if (ring && n > 2) join(m, n - 1, 0, false);
}

static void grid(struct maker *m, uint32_t n, uint32_t width)
{
    for (uint32_t i = 0; i < n; i++) {
        if ((i + 1) % width && i + 1 < n) join(m, i, i + 1, false);
        if (i + width < n) join(m, i, i + width, false);
    }
}

// ---- random geometric: points in a square, joined where they are near ----

#define SIDE 1000000u

struct point {
    int64_t x, y;
};

static uint64_t square(struct point a, struct point b)
{
    return (uint64_t)((a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y));
}

static uint32_t root_of(uint32_t *up, uint32_t i)
{
    while (up[i] != i) i = up[i] = up[up[i]];
    return i;
}

// Joins what is in pieces: the nearest pair of points of the first piece and any other, until there is one.
static void make_whole(struct maker *m, const struct point *p, uint32_t *up, uint32_t n)
{
    for (;;) {
        uint64_t best = UINT64_MAX;
        uint32_t a = 0, b = 0, main_root = root_of(up, 0);
        for (uint32_t i = 0; i < n; i++) {
            if (root_of(up, i) == main_root) continue;
            for (uint32_t j = 0; j < n; j++) {
                if (root_of(up, j) != main_root || square(p[i], p[j]) >= best) continue;
                best = square(p[i], p[j]);
                a = i, b = j;
            }
        }
        if (best == UINT64_MAX) return;
        join(m, b, a, false);
        up[root_of(up, a)] = main_root;
    }
}

static void geometric(struct maker *m, uint32_t n, uint32_t degree)
{
    struct point *p = calloc(n, sizeof *p);
    uint32_t *up = calloc(n, sizeof *up);
    // n nodes, each with degree others in its circle of pi r^2
    uint64_t reach = (uint64_t)SIDE * SIDE / n * degree * 1000 / 3142;
    m->failed |= !p || !up;
    for (uint32_t i = 0; !m->failed && i < n; i++) {
        p[i].x = bw_rng_below(&m->rng, SIDE);
        p[i].y = bw_rng_below(&m->rng, SIDE);
        up[i] = i;
        for (uint32_t j = 0; j < i; j++) {
            if (square(p[i], p[j]) > reach) continue;
            join(m, j, i, false);
            up[root_of(up, i)] = root_of(up, j);
        }
    }
    if (!m->failed) make_whole(m, p, up, n);
    free(p);
    free(up);
}

// ---- scale-free (Barabasi, Albert 1999): a new node joins old ones in proportion to the wires that they have ----

static void scale_free(struct maker *m, uint32_t n, uint32_t joins)
{
    uint32_t first_link = m->s->link_count;
    for (uint32_t i = 1; i < n; i++) {
        uint32_t want = joins < i ? joins : i;
        for (uint32_t k = 0, tries = 0; k < want && tries < 50; tries++) {
            uint32_t links = m->s->link_count - first_link, to = 0;
            if (links) {
                const struct scenario_link *l = &m->s->links[first_link + bw_rng_below(&m->rng, links)];
                to = (bw_rng_below(&m->rng, 2) ? l->a : l->b) - m->first;
            }
            uint32_t since = m->s->link_count > first_link + k ? m->s->link_count - k : first_link; // only its own wires can be doubles
            if (to == i || joined(m, since, i, to)) continue;
            join(m, to, i, false);
            k++;
        }
    }
}

// ---- communities: geometric ones, joined by their gateways over the Internet ----

static void communities(struct maker *m, const struct graph_spec *g)
{
    uint32_t groups = g->groups < g->n ? g->groups : g->n, begin = 0, *from = calloc(groups + 1, sizeof *from);
    m->failed |= !from;
    for (uint32_t k = 0; !m->failed && k < groups; k++) {
        uint32_t size = g->n / groups + (k < g->n % groups), keep = m->first;
        uint32_t *degree = m->degree;
        from[k] = begin;
        m->first += begin;
        m->degree += begin;
        geometric(m, size, g->degree);
        m->first = keep;
        m->degree = degree;
        begin += size;
    }
    if (!m->failed) from[groups] = begin;
    for (uint32_t k = 1; !m->failed && k < groups; k++) { // each community's gateways to earlier ones'
        for (uint32_t i = 0; i < g->gateways; i++) {
            uint32_t to = i ? bw_rng_below(&m->rng, k) : k - 1, mine = from[k + 1] - from[k], theirs = from[to + 1] - from[to];
            uint32_t a = from[to] + i % theirs, b = from[k] + i % mine;
            if (!joined(m, 0, a, b)) join(m, a, b, true);
        }
    }
    free(from);
}

int topology_add(struct scenario *s, const struct graph_spec *g, const struct wire *k, uint64_t seed)
{
    struct maker m = {.s = s, .k = k, .first = s->nodes, .degree = calloc(g->n ? g->n : 1, sizeof *m.degree)};
    uint32_t *degree = m.degree;
    uint8_t b[32];
    if (!degree || !g->n || s->nodes + g->n > SCENARIO_NODES_MAX) {
        free(degree);
        return degree ? BW_ERR_RANGE : BW_ERR_NOMEM;
    }
    world_seed_of(seed, "graph", s->nodes, b);
    bw_rng_seed(&m.rng, b);
    s->nodes += g->n;
    switch (g->kind) {
    case GRAPH_NONE: break;
    case GRAPH_LINE: line(&m, g->n, false); break;
    case GRAPH_RING: line(&m, g->n, true); break;
    case GRAPH_STAR:
        for (uint32_t i = 1; i < g->n; i++) join(&m, 0, i, false);
        break;
    case GRAPH_GRID: grid(&m, g->n, g->width); break;
    case GRAPH_GEOMETRIC: geometric(&m, g->n, g->degree); break;
    case GRAPH_SCALE_FREE: scale_free(&m, g->n, g->joins); break;
    case GRAPH_COMMUNITIES: communities(&m, g); break;
    }
    free(degree);
    return m.failed ? BW_ERR_NOMEM : 0;
}
