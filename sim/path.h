// Independent of any node: shortest paths over the world's wires (Dijkstra 1959), and the paths that the nodes' tables give.
#ifndef SIM_PATH_H
#define SIM_PATH_H

#include "sim/check.h"

#define PATH_FAR UINT32_MAX

struct paths {
    const struct check *c;
    uint32_t *said; // per wire and way: the cost that the sending end gives it
    uint32_t *real; // ... and what it is worth
    uint32_t *dist; // scratch: one per node
    uint32_t *part; // per node: its component over whole wires; the same number for those that are joined
    uint32_t *heap, *place, heap_count;
};

struct paths *paths_new(const struct check *c); // NULL: no memory
void paths_free(struct paths *p);
void paths_look(struct paths *p); // takes the costs of this moment
// p->dist: the distance of every node to dest by `cost` (p->said or p->real); PATH_FAR: none.
void paths_to(struct paths *p, const uint32_t *cost, uint32_t dest);
// The cost of the way that the tables give; PATH_FAR: it does not lead there.
uint32_t paths_taken(const struct paths *p, const uint32_t *cost, uint32_t from, uint32_t dest);
static inline bool paths_joined(const struct paths *p, uint32_t a, uint32_t b) { return p->part[a] == p->part[b]; }

#endif
