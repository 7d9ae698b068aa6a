#include "core/noise/limit.h"

#include "base/hash.h"

bool bucket_take(struct bucket *b, uint32_t per_s, uint32_t burst, bw_time now)
{
    // A token is a million units and per_s tokens a second are per_s units a microsecond: no division, no rounding.
    uint64_t limit = burst * 1000000ull, elapsed = now > b->at ? now - b->at : 0;
    if (!per_s || elapsed > b->spent / per_s) b->spent = per_s ? 0 : b->spent;
    else b->spent -= elapsed * per_s;
    b->at = now;
    if (b->spent + 1000000 > limit) return false;
    b->spent += 1000000;
    return true;
}

bool source_limit_take(struct source_limit *l, const struct bw_addr *from, bw_time now)
{
    struct bw_addr source = *from;
    if (!bw_addr_is_v4(from) && !bw_addr_is_linklocal(from)) source = bw_prefix_make(from, 64).addr;
    size_t set = (size_t)(bw_siphash(l->hash_key, &source, sizeof source) % SOURCE_SETS);
    unsigned pick = 0;
    for (unsigned i = 0; i < SOURCE_WAYS; i++) {
        if (bw_addr_eq(&l->way[set][i].source, &source))
            return bucket_take(&l->way[set][i].bucket, SOURCE_PER_S, SOURCE_BURST, now);
        if (l->way[set][i].bucket.at < l->way[set][pick].bucket.at) pick = i;
    }
    l->way[set][pick].source = source;
    l->way[set][pick].bucket = (struct bucket){0};
    return bucket_take(&l->way[set][pick].bucket, SOURCE_PER_S, SOURCE_BURST, now);
}
