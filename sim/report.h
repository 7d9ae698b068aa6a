// What nodes have counted and where their routes lead, as text for programs: to compare a run with another, or with real nodes.
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include <stdio.h>

#include "sim/check.h"

// One line of JSON for each node (docs/spec/scenario.md section 2). at: since the start.
void report_write(FILE *to, const struct check *c, bw_time at);

#endif
