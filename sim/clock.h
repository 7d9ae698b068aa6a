// A machine's two clocks as a function of the world's time: the monotonic one (bw_time), which may run fast or slow and jump
// ahead, and the wall clock, which may stand anywhere.
#ifndef SIM_CLOCK_H
#define SIM_CLOCK_H

#include "base/time.h"

#define CLOCK_UNIT 1000000 // a rate of one: local microseconds per million of the world's

struct clock {
    bw_time world0, local0; // they were the same instant
    uint64_t rate;          // CLOCK_UNIT: right
    uint64_t wall0_ns;      // wall clock at local0
};

static inline bw_time clock_local(const struct clock *c, bw_time world)
{
    return c->local0 + (world - c->world0) * c->rate / CLOCK_UNIT;
}

// The first instant of the world at which the local clock shows at least `local`.
static inline bw_time clock_world(const struct clock *c, bw_time local)
{
    if (local == BW_NEVER) return BW_NEVER;
    if (local <= c->local0) return c->world0;
    if (local - c->local0 > UINT64_MAX / CLOCK_UNIT / 2) return BW_NEVER;
    return c->world0 + ((local - c->local0) * CLOCK_UNIT + c->rate - 1) / c->rate;
}

static inline uint64_t clock_wall_ns(const struct clock *c, bw_time world)
{
    return c->wall0_ns + (clock_local(c, world) - c->local0) * 1000;
}

// Makes now the reference, so that rate or offsets may be changed without a step.
static inline void clock_settle(struct clock *c, bw_time world)
{
    bw_time local = clock_local(c, world);
    c->wall0_ns += (local - c->local0) * 1000;
    c->local0 = local;
    c->world0 = world;
}

#endif
