// Does this machine's own connection to the Internet work? Proven, not merely configured: the targets of `internet.probe` are
// asked outside the tunnel, each family by itself. The exit shares, and the client leaves its exit, by what this says.
//
// Pace: every 1.5 s (every 0.75 s while others depend on it); a miss is followed at once by a second try, two misses in a row
// are "down". A black-holed uplink is noticed within 3.5 s (2.75 s). While down there is a try every 2 s; two good ones in a row
// end it. Before anything is known a single good one is enough.
//
// A connection that is full loses questions and answers, or keeps them waiting for too long: a miss says nothing while answers to
// others flow in at UPLINK_FLOW_BPS. If the other family's targets answer meanwhile, six misses in a row are down all the same. Nor does a miss say anything that is noticed a quarter of a second too
// late: a machine that is starved of its processor misses answers that are there (three times in a row at most).
#ifndef CORE_EXIT_UPLINK_H
#define CORE_EXIT_UPLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"

enum { UPLINK_V4, UPLINK_V6, UPLINK_FAMILIES };
enum uplink_state { UPLINK_NONE, UPLINK_UNKNOWN, UPLINK_PROVEN, UPLINK_DOWN }; // NONE: no default route

#define UPLINK_FLOW_BPS 200000u

struct uplink_ops {
    void *ctx;
    // Connect to the targets of that family outside the tunnel; the first answer counts. uplink_result() tells, with the
    // same serial; a result that does not come within timeout_ms is a miss by itself. Must not call back at once.
    void (*probe)(void *ctx, unsigned family, uint32_t serial, uint32_t timeout_ms);
};

struct uplink_family {
    enum uplink_state state;
    bool present;   // a default route that does not go into the tunnel
    bool targets;   // the probe has targets in this family
    bool pending;   // a probe is under way
    uint32_t serial;
    unsigned missed, good; // in a row
    unsigned held_up; // misses in a row that a loop that was held up noticed too late
    bool flowing;    // answers to others flowed at the last miss
    uint32_t rtt_us; // of the last success
    bw_time asked, next, answered; // answered: the last success, 0: none
};

struct uplink {
    struct uplink_ops ops;
    bool trust; // internet.probe = none: a default route is proof enough
    bool busy;  // others depend on it: look more often
    bool idle;  // nobody asks: do not probe at all
    bw_time flowed; // when answers to others were last seen to flow in, over the quarter of a second before
    struct uplink_family family[UPLINK_FAMILIES];
};

// targets4/6: whether the probe has targets in that family. A family without targets shares the other's proof.
void uplink_init(struct uplink *u, const struct uplink_ops *ops, bool trust, bool targets4, bool targets6);
void uplink_present(struct uplink *u, bool v4, bool v6, bw_time now); // default routes, whenever they change
void uplink_result(struct uplink *u, unsigned family, uint32_t serial, bool ok, uint32_t rtt_us, bw_time now);
void uplink_pace(struct uplink *u, bool idle, bool busy, bw_time now);
void uplink_flows(struct uplink *u, bw_time at); // that much has come in over the quarter of a second before
bw_time uplink_tick(struct uplink *u, bw_time now); // returns the deadline

bool uplink_family_proven(const struct uplink *u, unsigned family);
bool uplink_proven(const struct uplink *u);      // any family
bool uplink_settled(const struct uplink *u);     // proven, down or absent: no first answer is awaited any more

#endif
