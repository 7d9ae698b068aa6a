// Plays a scenario in a world, with every checker on.
#ifndef SIM_PLAY_H
#define SIM_PLAY_H

#include "sim/check.h"
#include "sim/scenario.h"

struct play_options {
    bool verbose;     // what happens and what nodes log, on stderr
    bool no_feasibility; // spare the dearest checker
    FILE *report;     // where `report` writes; NULL: nowhere
};

struct play_wait { // how long an expectation took to come true
    uint32_t statement;
    bw_time took;
};

struct play_result {
    enum violation violation; // VIOLATION_NONE: all went well
    char what[240];
    bw_time when;             // since the start
    uint32_t statement;       // the expectation that failed; UINT32_MAX: none
    uint64_t hash, steps;
    uint32_t nodes, links;
    uint64_t packets, bytes;  // on all wires
    uint64_t changes;         // of next hops
    uint64_t most_bytes, most_memory; // on one wire in 10 s; of one node
    uint64_t sent, delivered; // traffic
    bw_time ran;
    struct play_wait *waits;
    uint32_t wait_count;
};

int play(const struct scenario *s, const struct play_options *o, struct play_result *r) BW_NODISCARD; // BW_ERR_NOMEM
void play_result_free(struct play_result *r);

#endif
