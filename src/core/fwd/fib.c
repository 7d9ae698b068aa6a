#include "core/fwd/fib.h"

#include "base/hash.h"

enum {
    PAGE_MEAN = 16, // routes of a page on average, at most: then there are twice as many pages
    ROOM_STEP = 4,  // a multiple of this many fit into a page
};

struct fib_page {
    uint32_t refs; // tables that have it
    uint16_t count, room;
    uint16_t tags[]; // `room` of them: bits of the hash that did not choose the page; then `room` routes
};
_Static_assert(offsetof(struct fib_page, tags) % _Alignof(struct fwd_route) == 0 &&
               ROOM_STEP * sizeof(uint16_t) % _Alignof(struct fwd_route) == 0, "the routes lie behind the tags");

static struct fwd_route *routes_of(const struct fib_page *g)
{
    return (struct fwd_route *)(g->tags + g->room);
}

static size_t page_size(uint16_t room)
{
    return sizeof(struct fib_page) + room * (sizeof(uint16_t) + sizeof(struct fwd_route));
}

static uint64_t hash_of(const struct fib *f, const struct bw_prefix *p)
{
    _Static_assert(sizeof *p == 17, "a prefix is hashed as it stands in memory");
    return bw_siphash(f->key, p, sizeof *p);
}

static uint16_t tag_of(uint64_t hash)
{
    return (uint16_t)(hash >> 48);
}

// Where p stands in the page; -1: nowhere.
static int place(const struct fib_page *g, uint64_t hash, const struct bw_prefix *p)
{
    for (int k = 0; g && k < g->count; k++)
        if (g->tags[k] == tag_of(hash) && bw_prefix_eq(&routes_of(g)[k].prefix, p)) return k;
    return -1;
}

static const struct fwd_route *find(const struct fib *f, const struct bw_prefix *p)
{
    if (!f->pages) return NULL;
    uint64_t hash = hash_of(f, p);
    const struct fib_page *g = f->pages[hash & f->mask];
    int k = place(g, hash, p);
    return k < 0 ? NULL : &routes_of(g)[k];
}

// ---- pages ----

static void page_unref(struct fib_page *g, struct bw_mem *mem)
{
    if (g && !--g->refs) bw_free(mem, g, page_size(g->room));
}

// The i-th page with room for `need` routes, for this table alone. NULL: no memory.
static struct fib_page *page_own(struct fib *f, struct bw_mem *mem, uint32_t i, uint32_t need)
{
    struct fib_page *old = f->pages[i];
    if (old && old->refs == 1 && need <= old->room) return old;
    uint32_t room = (need + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
    struct fib_page *g = room <= UINT16_MAX ? bw_alloc(mem, page_size((uint16_t)room)) : NULL;
    if (!g) return NULL;
    g->refs = 1;
    g->room = (uint16_t)room;
    if (old) {
        g->count = old->count;
        memcpy(g->tags, old->tags, old->count * sizeof *g->tags);
        memcpy(routes_of(g), routes_of(old), old->count * sizeof(struct fwd_route));
        page_unref(old, mem);
    }
    f->pages[i] = g;
    return g;
}

// ---- tables ----

void fib_init(struct fib *f, const uint8_t key[16])
{
    *f = (struct fib){0};
    memcpy(f->key, key, 16);
}

void fib_free(struct fib *f, struct bw_mem *mem)
{
    for (uint32_t i = 0; f->pages && i <= f->mask; i++) page_unref(f->pages[i], mem);
    bw_free(mem, f->pages, (f->mask + 1ull) * sizeof *f->pages);
    uint8_t key[16];
    memcpy(key, f->key, 16);
    fib_init(f, key);
}

static void count_length(struct fib *f, uint8_t len, int by)
{
    f->count += (uint32_t)by;
    f->of_length[len] += (uint32_t)by;
    if (f->of_length[len] != (by > 0)) return; // neither the first nor the last
    f->length_count = 0;
    for (unsigned l = 129; l-- > 0;)
        if (f->of_length[l]) f->lengths[f->length_count++] = (uint8_t)l;
}

static bool same(const struct fwd_route *a, const struct fwd_route *b)
{
    return a && b && a->target == b->target && a->link == b->link && bw_addr_eq(&a->via, &b->via);
}

static int put(struct fib *f, struct bw_mem *mem, const struct fwd_route *r)
{
    uint64_t hash = hash_of(f, &r->prefix);
    uint32_t i = (uint32_t)hash & f->mask;
    struct fib_page *g = f->pages[i];
    int k = place(g, hash, &r->prefix);
    if (k >= 0 && same(&routes_of(g)[k], r)) return 0;
    g = page_own(f, mem, i, (g ? g->count : 0u) + (k < 0));
    if (!g) return BW_ERR_NOMEM;
    if (k < 0) {
        k = g->count++;
        g->tags[k] = tag_of(hash);
        count_length(f, r->prefix.len, 1);
    }
    routes_of(g)[k] = *r;
    return 0;
}

static int resize(struct fib *f, struct bw_mem *mem, uint32_t mask)
{
    struct fib g;
    fib_init(&g, f->key);
    g.pages = bw_alloc(mem, (mask + 1ull) * sizeof *g.pages);
    if (!g.pages) return BW_ERR_NOMEM;
    g.mask = mask;
    struct fib_at at = {0};
    for (const struct fwd_route *r; (r = fib_next(f, &at));) {
        if (!put(&g, mem, r)) continue;
        fib_free(&g, mem);
        return BW_ERR_NOMEM;
    }
    fib_free(f, mem);
    *f = g;
    return 0;
}

int fib_set(struct fib *f, struct bw_mem *mem, const struct fwd_route *route)
{
    struct fwd_route r = *route;
    BW_ASSERT(r.prefix.len <= 128);
    r.prefix = bw_prefix_make(&r.prefix.addr, r.prefix.len);
    if (!f->pages && resize(f, mem, 0)) return BW_ERR_NOMEM;
    // Without memory for more pages these get longer.
    if (f->count >= PAGE_MEAN * (f->mask + 1ull) && f->mask < UINT32_MAX / 2) (void)!resize(f, mem, f->mask << 1 | 1);
    return put(f, mem, &r);
}

int fib_remove(struct fib *f, struct bw_mem *mem, const struct bw_prefix *prefix)
{
    struct bw_prefix p = bw_prefix_make(&prefix->addr, prefix->len);
    if (!f->pages) return 0;
    uint64_t hash = hash_of(f, &p);
    uint32_t i = (uint32_t)hash & f->mask;
    struct fib_page *g = f->pages[i];
    int k = place(g, hash, &p);
    if (k < 0) return 0;
    if (g->count == 1) {
        page_unref(g, mem);
        f->pages[i] = NULL;
    } else {
        g = page_own(f, mem, i, g->count);
        if (!g) return BW_ERR_NOMEM;
        g->count--;
        g->tags[k] = g->tags[g->count];
        routes_of(g)[k] = routes_of(g)[g->count];
    }
    count_length(f, p.len, -1);
    if (f->mask && f->count < (f->mask + 1ull) * PAGE_MEAN / 8) (void)!resize(f, mem, f->mask >> 1);
    return 0;
}

int fib_share(struct fib *to, const struct fib *from, struct bw_mem *mem)
{
    *to = *from;
    if (!from->pages) return 0;
    size_t size = (from->mask + 1ull) * sizeof *to->pages;
    to->pages = bw_alloc(mem, size);
    if (!to->pages) {
        fib_init(to, from->key);
        return BW_ERR_NOMEM;
    }
    memcpy(to->pages, from->pages, size);
    for (uint32_t i = 0; i <= to->mask; i++)
        if (to->pages[i]) to->pages[i]->refs++;
    return 0;
}

int fib_build(struct fib *f, struct bw_mem *mem, const uint8_t key[16], const struct fwd_route *routes, unsigned n)
{
    fib_init(f, key);
    for (unsigned i = 0; i < n; i++) {
        if (!fib_set(f, mem, &routes[i])) continue;
        fib_free(f, mem);
        return BW_ERR_NOMEM;
    }
    return 0;
}

// ---- looking ----

const struct fwd_route *fib_lookup(const struct fib *f, const struct bw_addr *dst)
{
    unsigned shortest = bw_addr_is_v4(dst) ? 96 : 0; // ::/0 is no route for IPv4
    for (unsigned i = 0; i < f->length_count && f->lengths[i] >= shortest; i++) {
        struct bw_prefix p = f->lengths[i] == 128 ? bw_prefix_host(dst) : bw_prefix_make(dst, f->lengths[i]);
        const struct fwd_route *r = find(f, &p);
        if (r) return r;
    }
    return NULL;
}

const struct fwd_route *fib_next(const struct fib *f, struct fib_at *at)
{
    for (; f->pages && at->page <= f->mask; at->page++, at->route = 0) {
        const struct fib_page *g = f->pages[at->page];
        if (g && at->route < g->count) return &routes_of(g)[at->route++];
    }
    return NULL;
}

// What b's i-th page has that a has otherwise or, if b is the older table, not at all.
static void diff_page(const struct fib *a, const struct fib *b, uint32_t i, bool b_older,
                      void (*fn)(void *ctx, const struct fwd_route *before, const struct fwd_route *after), void *ctx)
{
    const struct fib_page *g = b->pages[i];
    if (!g || (a->pages && a->mask == b->mask && a->pages[i] == g)) return;
    for (unsigned k = 0; k < g->count; k++) {
        const struct fwd_route *r = &routes_of(g)[k], *other = find(a, &r->prefix);
        if (b_older ? !other : !same(other, r)) fn(ctx, b_older ? r : other, b_older ? NULL : r);
    }
}

void fib_diff(const struct fib *before, const struct fib *after,
              void (*fn)(void *ctx, const struct fwd_route *before, const struct fwd_route *after), void *ctx)
{
    for (uint32_t i = 0; after->pages && i <= after->mask; i++) diff_page(before, after, i, false, fn, ctx);
    for (uint32_t i = 0; before->pages && i <= before->mask; i++) diff_page(after, before, i, true, fn, ctx);
}
