// The replay window of one set of receive keys, after RFC 6479 (a ring of blocks, no shifting), shared by threads
// without a lock. Each 64-bit word holds one block of 32 counters: the block's generation in the upper half, a bit per
// counter in the lower half; one compare-and-swap both advances and marks. No counter is ever accepted twice. A counter
// is always accepted the first time if it is at most REPLAY_WINDOW behind the newest accepted one; older ones may be
// refused as too old.
#ifndef CORE_LINK_REPLAY_H
#define CORE_LINK_REPLAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define REPLAY_BLOCKS 256                         // power of two
#define REPLAY_WINDOW (32 * (REPLAY_BLOCKS - 1))  // 8,160 packets
#define REPLAY_LIMIT (32ull * REPLAY_BLOCKS << 32) // counters from here (2^45) on are refused: generations have 32 bits

struct replay {
    atomic_uint_least64_t block[REPLAY_BLOCKS];
};

void replay_init(struct replay *r);
// Marks `counter` and tells whether it was new. Only for counters of messages whose tag was right. Any thread.
bool replay_accept(struct replay *r, uint64_t counter);

#endif
