// Longest-prefix match: one keyed hash table for all prefixes, and the list of lengths that occur, longest first. A
// lookup probes once per length, so tens of thousands of /128s cost no more than one.
//
// The table lies in pages of about a dozen routes, and tables share the pages in which they agree: control keeps one that
// it changes, and each snapshot gets a share of it that stays as it is, because a page that somebody else has is copied
// before it changes. So a new snapshot costs what has changed, and a pointer per page. Tables are made, changed and freed
// by one thread (the counts of their shares are nobody else's business); lookups may run on others meanwhile.
#ifndef CORE_FWD_FIB_H
#define CORE_FWD_FIB_H

#include "base/mem.h"
#include "core/fwd/fwd.h"

struct fib_page;

struct fib {
    struct fib_page **pages; // by hash, a power of two of them; NULL: an empty one, or no table at all yet
    uint32_t count, mask;
    uint32_t of_length[129]; // how many prefixes are so long
    uint8_t lengths[129], length_count;
    uint8_t key[16];
};

void fib_init(struct fib *f, const uint8_t key[16]); // empty; holds nothing
void fib_free(struct fib *f, struct bw_mem *mem);    // empty again
// Prefix bits past the length are ignored. What has the same prefix is replaced. BW_ERR_NOMEM: nothing has changed.
int fib_set(struct fib *f, struct bw_mem *mem, const struct fwd_route *r) BW_NODISCARD;
int fib_remove(struct fib *f, struct bw_mem *mem, const struct bw_prefix *p) BW_NODISCARD; // one that is not there is fine
// A table of its own with the same routes, for the price of a pointer per page. `to` held nothing. BW_ERR_NOMEM: nor does it.
int fib_share(struct fib *to, const struct fib *from, struct bw_mem *mem) BW_NODISCARD;
// From a list. Of equal prefixes the later counts. BW_ERR_NOMEM: nothing is held.
int fib_build(struct fib *f, struct bw_mem *mem, const uint8_t key[16], const struct fwd_route *routes,
              unsigned n) BW_NODISCARD;
const struct fwd_route *fib_lookup(const struct fib *f, const struct bw_addr *dst); // NULL: none

struct fib_at { // where a walk over all routes is; zero at first
    uint32_t page, route;
};
const struct fwd_route *fib_next(const struct fib *f, struct fib_at *at); // in no order; NULL: that was all
// Each prefix for which two tables with one key differ: its route in each, NULL where there is none. Shared pages cost nothing.
void fib_diff(const struct fib *before, const struct fib *after,
              void (*fn)(void *ctx, const struct fwd_route *before, const struct fwd_route *after), void *ctx);

#endif
