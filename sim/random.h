// The random tester: draws a mesh, faults and traffic from a seed; safety while the faults last, liveness after.
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include "sim/play.h"

// nodes 0: drawn too. span: simulated time in all.
int random_scenario(struct scenario *s, uint64_t seed, uint32_t nodes, bw_time span) BW_NODISCARD;

// Like play, but in a process of its own, so that an assertion or a crash of a node is a violation like others.
#define VIOLATION_CRASH ((enum violation)(VIOLATION_HELD + 1))
int play_guarded(const struct scenario *s, const struct play_options *o, struct play_result *r) BW_NODISCARD; // r->waits: NULL

// Makes a failing scenario small: leaves out events, then wires and exits, as long as it fails in the same way. Returns how
// many runs that took; s is the smaller scenario, r what it does.
unsigned shrink(struct scenario *s, struct play_result *r, unsigned max_runs);

#endif
