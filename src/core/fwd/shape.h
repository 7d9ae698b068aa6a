// How fast one tunnel peer may send or receive: a token bucket that control sets and the packet path asks, kept as the
// time at which it would be empty (GCRA, ITU-T I.371), so that a packet costs one compare-and-swap and no lock. Packets
// beyond the rate are dropped and counted: senders slow down by that, and no queue of one peer's delays another's.
//
// Who gets which rate is decided elsewhere (core/exit/limit.h).
#ifndef CORE_FWD_SHAPE_H
#define CORE_FWD_SHAPE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/time.h"

#define SHAPE_FREE UINT64_MAX // bit/s: no limit

struct shape {                      // all zero: no limit
    atomic_uint_least64_t per_byte; // time that a byte takes, in 2^-16 us; 0: no limit
    atomic_uint_least64_t slack;    // how far ahead of time a burst may run, in 2^-16 us
    atomic_uint_least64_t empty_at; // when what was sent is worked off, in 2^-16 us
    atomic_uint_least64_t dropped;  // bytes turned away
};

// Control: bit/s, SHAPE_FREE for none; a burst is what burst_us of the rate bring, and burst_bytes at least.
void shape_set(struct shape *s, uint64_t bps, uint32_t burst_us, uint32_t burst_bytes);
// Packet path, any thread: may n bytes pass now? If not, they are counted as dropped.
bool shape_pass(struct shape *s, uint32_t n, bw_time now);

#endif
