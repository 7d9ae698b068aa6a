// Inside of the command: options and its parts.
#ifndef SIM_SIM_PRIVATE_H
#define SIM_SIM_PRIVATE_H

#include "sim/play.h"

struct sim_options {
    uint64_t seed, runs;
    bool has_seed, json, verbose, no_shrink, print, only_full;
    uint32_t nodes, cap;
    uint32_t sizes[16]; // scale: --nodes 200,1000
    unsigned size_count;
    bw_time span, idle;
    unsigned jobs;
    const char *out, *report, *csv, *svg, *graph, *crypto;
};

int sim_say(int status, const char *fmt, ...) BW_PRINTF(2, 3); // "byway: ..." on standard error; returns status
// Runs the program with the crypto that is wanted: replaces this process, or returns 0 if it is already the right one.
int sim_use_crypto(const struct sim_options *o, int argc, char **argv, const char *word);
int sim_scale(const struct sim_options *o);
int sim_fork(void);
int sim_wait(void); // status of a child that has ended

#endif
