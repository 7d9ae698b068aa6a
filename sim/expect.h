// Whether a condition of a scenario holds at this moment.
#ifndef SIM_EXPECT_H
#define SIM_EXPECT_H

#include "sim/path.h"
#include "sim/scenario.h"

#define EXPECT_WHY 200
// If not, why holds what is missing. IS_DELIVERED is the player's.
bool expect_holds(struct paths *p, const struct statement *t, char why[EXPECT_WHY]);

#endif
