// The exit owner's protection: how fast each client may go, how much in a month, and what stays for the owner.
//
// Rates. Several times a second every client's use of the last moment is read off its tunnel's counters, and the budget
// of all clients is shared out max-min fairly by key: who wants less than an even share gets what it wants, the others
// share the rest evenly. The budget is [internet] limit-down/up, less the owner's floor while the owner uses the
// connection. Without a limit it is a little more than the most that all clients together got lately: so it follows the
// uplink, and one client with a hundred connections does not push the others aside. A lone client is held by the limits
// only.
//
// Volume. Bytes of both directions count, per key and for all, by calendar month (UTC) as far as the clock is known. A
// client past its volume goes on at LIMIT_SLOW_BPS, and is told so in its lease.
//
// Pure: the packet path's buckets (core/fwd/shape.h) are the only output.
#ifndef CORE_EXIT_LIMIT_H
#define CORE_EXIT_LIMIT_H

#include "base/mem.h"
#include "core/fwd/fwd.h"
#include "core/fwd/shape.h"

#define LIMIT_TICK_US (250 * BW_MS)
#define LIMIT_SLOW_BPS 256000u // past the volume: enough for messages and a slow page

enum { LIMIT_DOWN, LIMIT_UP, LIMIT_WAYS }; // to the client, from the client

struct limit_config { // rates in bit/s, volumes in bytes; 0: none
    uint64_t all_bps[LIMIT_WAYS], client_bps[LIMIT_WAYS], floor_bps[LIMIT_WAYS];
    uint64_t volume, volume_client; // a month
};

struct limit_use {                                       // of one client; all zero at first
    uint64_t seen[LIMIT_WAYS], seen_dropped[LIMIT_WAYS]; // counters as they were read last
    uint64_t rate[LIMIT_WAYS];                           // bit/s lately
    bw_time hungry_until[LIMIT_WAYS];                    // was turned away lately: wants more than it gets
    uint64_t month_bytes;
    uint32_t month; // since year 0, UTC; 0: the clock is not known
    bool over;      // its volume is used up
    bool dirty;     // month_bytes changed since it was stored
};

struct limit_way {
    uint64_t rate;         // of all clients in the last tick, bit/s
    uint64_t most;         // the highest of those lately
    bw_time growing_until; // the highest has grown a moment ago
    uint64_t budget;       // for all clients now, bit/s; SHAPE_FREE: none
    uint64_t level;        // a fair share now, bit/s; SHAPE_FREE: none
    uint64_t owner_bps;    // the owner's own use, as told
    uint64_t came, went;   // of clients over the uplink, bit/s lately: with and without what was turned away
    uint64_t seen_dropped; // by the bucket of all clients together
    uint64_t uplink_seen;
    bool uplink_known;
};

struct limits {
    struct limit_config config;
    struct limit_way way[LIMIT_WAYS];
    struct fwd_tunnel_shared *all; // buckets of all clients together; one reference
    bw_time last;                  // the last tick; 0: none yet
    uint64_t volume_used;          // of all, this month
    uint32_t month;
    bool over; // the volume for all is used up
};

struct limit_client { // one active lease, for limits_tick
    struct limit_use *use;
    struct fwd_tunnel_shared *shared;
};

int limits_init(struct limits *l, struct bw_mem *mem) BW_NODISCARD; // BW_ERR_NOMEM
void limits_free(struct limits *l);
void limits_config(struct limits *l, const struct limit_config *c);
// What went over the uplink's interface so far (bytes in, bytes out), the mesh's own packets taken off: counters that
// only grow.
void limits_uplink(struct limits *l, uint64_t down, uint64_t up, const struct limit_client *c, unsigned count,
                   bw_time now);
// Month number of a Unix time; 0 for a clock that has never been set (before 2024).
uint32_t limits_month(int64_t unix_s);
// A lease begins: its client gets no more than its share from the first packet on.
void limits_start(struct limits *l, struct limit_use *u, struct fwd_tunnel_shared *shared);
// Shares out anew. unix_s: the clock, 0 if unknown. True: some client's (or everybody's) volume state changed.
bool limits_tick(struct limits *l, const struct limit_client *c, unsigned count, int64_t unix_s, bw_time now);
// A client's counters are about to go (its lease ends): what has not been counted is counted.
void limits_settle(struct limits *l, struct limit_use *u, const struct fwd_tunnel_shared *shared, int64_t unix_s);
// How busy the budget is, 0 to 100; 0 without a budget.
unsigned limits_load(const struct limits *l);

#endif
