#include "core/fwd/fib.h"

#include "base/hash.h"

static uint32_t slot_of(const struct fib *f, const struct bw_prefix *p)
{
    _Static_assert(sizeof *p == 17, "a prefix is hashed as it stands in memory");
    return (uint32_t)bw_siphash(f->key, p, sizeof *p) & f->mask;
}

// The slot that holds p, or the empty one where it belongs.
static uint32_t *find(const struct fib *f, const struct bw_prefix *p)
{
    uint32_t i = slot_of(f, p);
    while (f->slots[i] && !bw_prefix_eq(&f->routes[f->slots[i] - 1].prefix, p)) i = (i + 1) & f->mask;
    return &f->slots[i];
}

int fib_build(struct fib *f, struct bw_mem *mem, const uint8_t key[16], const struct fwd_route *routes, unsigned n)
{
    *f = (struct fib){.count = n, .mask = 1};
    memcpy(f->key, key, 16);
    while (f->mask < 2ull * n) f->mask = f->mask << 1 | 1;
    f->slots = bw_alloc(mem, (f->mask + 1ull) * sizeof *f->slots);
    f->routes = bw_alloc(mem, (n ? n : 1) * sizeof *f->routes);
    if (!f->slots || !f->routes) {
        fib_free(f, mem);
        return BW_ERR_NOMEM;
    }
    bool present[129] = {false};
    for (uint32_t i = 0; i < n; i++) {
        struct fwd_route *r = &f->routes[i];
        *r = routes[i];
        BW_ASSERT(r->prefix.len <= 128);
        r->prefix = bw_prefix_make(&r->prefix.addr, r->prefix.len);
        *find(f, &r->prefix) = i + 1;
        present[r->prefix.len] = true;
    }
    for (unsigned len = 129; len-- > 0;)
        if (present[len]) f->lengths[f->length_count++] = (uint8_t)len;
    return 0;
}

void fib_free(struct fib *f, struct bw_mem *mem)
{
    bw_free(mem, f->slots, (f->mask + 1ull) * sizeof *f->slots);
    bw_free(mem, f->routes, (f->count ? f->count : 1) * sizeof *f->routes);
    *f = (struct fib){0};
}

const struct fwd_route *fib_lookup(const struct fib *f, const struct bw_addr *dst)
{
    unsigned shortest = bw_addr_is_v4(dst) ? 96 : 0; // ::/0 is no route for IPv4
    for (unsigned i = 0; i < f->length_count && f->lengths[i] >= shortest; i++) {
        struct bw_prefix p = f->lengths[i] == 128 ? bw_prefix_host(dst) : bw_prefix_make(dst, f->lengths[i]);
        uint32_t at = *find(f, &p);
        if (at) return &f->routes[at - 1];
    }
    return NULL;
}
