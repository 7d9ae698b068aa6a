#include "sim/path.h"

#include <stdlib.h>

#include "sim/look.h"

static uint32_t root_of(uint32_t *up, uint32_t i)
{
    while (up[i] != i) i = up[i] = up[up[i]];
    return i;
}

void paths_look(struct paths *p)
{
    const struct world *w = p->c->w;
    for (uint32_t i = 0; i < w->node_count; i++) p->part[i] = i;
    for (uint32_t i = 0; i < w->link_count; i++) {
        const struct world_link *l = &w->links[i];
        bool whole = l->alive_since != BW_NEVER;
        for (unsigned way = 0; way < 2; way++) {
            uint16_t said = look_cost(&w->nodes[way ? l->b : l->a], i), real = whole ? look_true_cost(l) : BABEL_INFINITY;
            p->said[2 * i + way] = said == BABEL_INFINITY ? PATH_FAR : said;
            p->real[2 * i + way] = real == BABEL_INFINITY ? PATH_FAR : real;
        }
        if (whole) p->part[root_of(p->part, l->a)] = root_of(p->part, l->b);
    }
    for (uint32_t i = 0; i < w->node_count; i++) p->part[i] = root_of(p->part, i);
}

// ---- Dijkstra, with a heap of nodes by distance ----

static void put(struct paths *p, uint32_t at, uint32_t node)
{
    p->heap[at] = node;
    p->place[node] = at;
}

static void rise(struct paths *p, uint32_t at)
{
    uint32_t node = p->heap[at];
    for (; at && p->dist[p->heap[(at - 1) / 2]] > p->dist[node]; at = (at - 1) / 2) put(p, at, p->heap[(at - 1) / 2]);
    put(p, at, node);
}

static uint32_t nearest(struct paths *p)
{
    uint32_t top = p->heap[0], last = p->heap[--p->heap_count], at = 0;
    p->place[top] = PATH_FAR;
    if (!p->heap_count) return top;
    for (uint32_t kid; (kid = 2 * at + 1) < p->heap_count; at = kid) {
        if (kid + 1 < p->heap_count && p->dist[p->heap[kid + 1]] < p->dist[p->heap[kid]]) kid++;
        if (p->dist[p->heap[kid]] >= p->dist[last]) break;
        put(p, at, p->heap[kid]);
    }
    put(p, at, last);
    return top;
}

static void lower(struct paths *p, uint32_t node, uint32_t dist)
{
    if (dist >= p->dist[node]) return;
    p->dist[node] = dist;
    if (p->place[node] == PATH_FAR) put(p, p->heap_count++, node);
    rise(p, p->place[node]);
}

void paths_to(struct paths *p, const uint32_t *cost, uint32_t dest)
{
    const struct world *w = p->c->w;
    for (uint32_t i = 0; i < w->node_count; i++) p->dist[i] = p->place[i] = PATH_FAR;
    p->heap_count = 0;
    if (dest < w->node_count) {
        if (w->nodes[dest].node) lower(p, dest, 0);
    } else { // fc00::e: whoever shares
        for (uint32_t i = 0; i < w->node_count; i++)
            if (w->nodes[i].snapshot && w->nodes[i].snapshot->sharing) lower(p, i, 0);
    }
    while (p->heap_count) {
        uint32_t at = nearest(p);
        const struct world_node *n = &w->nodes[at];
        for (uint32_t k = 0; k < n->link_count; k++) {
            const struct world_link *l = &w->links[n->links[k]];
            uint32_t from = world_other(l, at), c = cost[2 * n->links[k] + (l->a == from ? 0 : 1)]; // its cost of sending to us
            if (c != PATH_FAR) lower(p, from, p->dist[at] + c);
        }
    }
}

static uint32_t hop(const struct paths *p, const uint32_t *cost, uint32_t from, uint32_t to)
{
    const struct world *w = p->c->w;
    const struct world_node *n = &w->nodes[from];
    uint32_t best = PATH_FAR;
    for (uint32_t k = 0; k < n->link_count; k++) {
        const struct world_link *l = &w->links[n->links[k]];
        uint32_t c = cost[2 * n->links[k] + (l->a == from ? 0 : 1)];
        if (world_other(l, from) == to && c < best) best = c;
    }
    return best;
}

uint32_t paths_taken(const struct paths *p, const uint32_t *cost, uint32_t from, uint32_t dest)
{
    const struct world *w = p->c->w;
    uint32_t sum = 0, at = from;
    for (uint32_t steps = 0; steps <= w->node_count; steps++) {
        if (at == dest || (dest == p->c->n && w->nodes[at].snapshot && w->nodes[at].snapshot->sharing)) return sum;
        uint16_t next = check_next(p->c, at, dest);
        if (next >= HELD_HOP) return PATH_FAR;
        uint32_t c = hop(p, cost, at, next);
        if (c == PATH_FAR) return PATH_FAR;
        sum += c;
        at = next;
    }
    return PATH_FAR;
}

struct paths *paths_new(const struct check *c)
{
    struct paths *p = calloc(1, sizeof *p);
    uint32_t n = c->w->node_count, m = c->w->link_count;
    if (!p) return NULL;
    p->c = c;
    p->said = calloc(2 * m + 1, sizeof *p->said);
    p->real = calloc(2 * m + 1, sizeof *p->real);
    p->dist = calloc(n + 1, sizeof *p->dist);
    p->part = calloc(n + 1, sizeof *p->part);
    p->heap = calloc(n + 1, sizeof *p->heap);
    p->place = calloc(n + 1, sizeof *p->place);
    if (p->said && p->real && p->dist && p->part && p->heap && p->place) return p;
    paths_free(p);
    return NULL;
}

void paths_free(struct paths *p)
{
    if (!p) return;
    free(p->said);
    free(p->real);
    free(p->dist);
    free(p->part);
    free(p->heap);
    free(p->place);
    free(p);
}
