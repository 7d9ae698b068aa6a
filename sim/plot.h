// What a scale run has found, as a table, JSON, CSV and plots.
#ifndef SIM_PLOT_H
#define SIM_PLOT_H

#include <stdio.h>

#include "sim/check.h"
#include "sim/sim_private.h"

struct scale_row { // times in simulated seconds, -1: did not happen
    const char *graph;
    uint32_t nodes, links;
    double full_s;       // from the first start until everybody has a route to everybody
    double rest_s;       // ... until no next hop changes any more
    double start_bytes;  // on the wire per node until then
    double idle_node_bps, idle_link_bps; // of the mesh at rest, whole datagrams less UDP and IP headers
    double routes, memory;               // per node
    uint32_t most_routes, most_dests;
    uint64_t most_memory;
    double nearest;      // with a cap: share of the nearest destinations that are kept
    double wire_s, node_s, hub_s; // from the death of one until everybody reaches everybody again
    double simulated_s, cpu_s, full_cpu_s; // full_cpu_s: until everybody has a route to everybody
    uint64_t steps, hash;
    enum violation violation;
};

void scale_head(FILE *to);
void scale_line(FILE *to, const struct scale_row *r);
void scale_json(FILE *to, const struct scale_row *r); // without times of the processor
int scale_csv(const char *path, const struct scale_row *rows, uint32_t count); // exit status
int scale_svg(const char *path, const struct scale_row *rows, uint32_t count);

#endif
