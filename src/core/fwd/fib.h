// Longest-prefix match: one keyed hash table for all prefixes, and the list of lengths that occur, longest first. A
// lookup probes once per length, so tens of thousands of /128s cost no more than one. Built once in O(n), then
// immutable.
#ifndef CORE_FWD_FIB_H
#define CORE_FWD_FIB_H

#include "base/mem.h"
#include "core/fwd/fwd.h"

struct fib {
    struct fwd_route *routes;
    uint32_t *slots; // index into routes plus one; 0: empty. Linear probing, at most half full
    uint32_t count, mask;
    uint8_t lengths[129], length_count;
    uint8_t key[16];
};

// Prefix bits past the length are ignored. Of equal prefixes the later counts. BW_ERR_NOMEM: nothing is held.
int fib_build(struct fib *f, struct bw_mem *mem, const uint8_t key[16], const struct fwd_route *routes,
              unsigned n) BW_NODISCARD;
void fib_free(struct fib *f, struct bw_mem *mem);
const struct fwd_route *fib_lookup(const struct fib *f, const struct bw_addr *dst); // NULL: none

#endif
