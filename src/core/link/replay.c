#include "core/link/replay.h"

void replay_init(struct replay *r)
{
    for (unsigned i = 0; i < REPLAY_BLOCKS; i++) atomic_init(&r->block[i], 0);
}

bool replay_accept(struct replay *r, uint64_t counter)
{
    if (counter >= REPLAY_LIMIT) return false;
    uint64_t bit = 1ull << (counter & 31), index = counter >> 5;
    uint64_t generation = index / REPLAY_BLOCKS << 32;
    atomic_uint_least64_t *word = &r->block[index % REPLAY_BLOCKS];
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed), new;
    do {
        uint64_t had = old & ~(uint64_t)UINT32_MAX;
        if (had > generation) return false; // the window has moved past it
        new = had < generation ? generation | bit : old | bit;
        if (new == old) return false;
    } while (!atomic_compare_exchange_weak_explicit(word, &old, new, memory_order_relaxed, memory_order_relaxed));
    return true;
}
