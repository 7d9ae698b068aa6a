// Rate limits on an argument's clock: a token bucket, and a bounded table of them by source for handshakes under load.
#ifndef CORE_NOISE_LIMIT_H
#define CORE_NOISE_LIMIT_H

#include "base/addr.h"
#include "base/time.h"

struct bucket { // zeroed memory is a full bucket
    uint64_t spent; // in millionths of a token
    bw_time at;
};
// Takes one token: per_s are added each second, burst are held at most. False: empty.
bool bucket_take(struct bucket *b, uint32_t per_s, uint32_t burst, bw_time now);

// Per source: one IPv4 address or one IPv6 /64 (a whole address where it is link-local: there everybody shares a /64).
// A bounded table with a keyed hash; where a set is full, the source quiet for longest is forgotten.
#define SOURCE_SETS 128
#define SOURCE_WAYS 4
#define SOURCE_PER_S 20
#define SOURCE_BURST 5
struct source_limit {
    uint8_t hash_key[16];
    struct {
        struct bw_addr source; // zero: free
        struct bucket bucket;
    } way[SOURCE_SETS][SOURCE_WAYS];
};
bool source_limit_take(struct source_limit *l, const struct bw_addr *from, bw_time now);

#endif
