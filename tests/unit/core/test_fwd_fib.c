// The FIB against a linear list, the checksum against RFC 1071's own loop, the snapshot under failing memory.
#include "fwd_kit.h"

#include "core/fwd/fib.h"

static const struct fwd_route *stupid(const struct fwd_route *r, unsigned n, const struct bw_addr *a)
{
    const struct fwd_route *best = NULL;
    for (unsigned i = 0; i < n; i++) {
        if (bw_addr_is_v4(a) && r[i].prefix.len < 96) continue;
        if (!bw_prefix_has(&r[i].prefix, a)) continue;
        if (!best || r[i].prefix.len >= best->prefix.len) best = &r[i];
    }
    return best;
}

static struct bw_addr near(const struct fwd_route *r, unsigned n)
{
    struct bw_addr a;
    rnd_bytes(a.b, 16);
    if (n && rnd() % 4) { // an address at or around one that has a route
        a = r[rnd() % n].prefix.addr;
        for (unsigned k = rnd() % 3; k; k--) a.b[rnd() % 16] ^= (uint8_t)(1u << rnd() % 8);
    }
    return a;
}

static void fib_is_the_list(void **state)
{
    (void)state;
    struct bw_mem mem;
    bw_mem_system(&mem);
    uint8_t key[16] = "a key of sixteen";
    for (unsigned round = 0; round < 60; round++) {
        unsigned n = rnd() % 200;
        struct fwd_route *r = calloc(n + 1, sizeof *r);
        for (unsigned i = 0; i < n; i++) {
            struct bw_addr a = near(r, i);
            if (rnd() % 3 == 0) memcpy(a.b, (uint8_t[12]){[10] = 0xff, [11] = 0xff}, 12);
            uint8_t len = (uint8_t)(rnd() % 3 ? 128 : bw_addr_is_v4(&a) ? 96 + rnd() % 33 : rnd() % 129);
            r[i] = (struct fwd_route){.prefix = bw_prefix_make(&a, len), .link = (uint16_t)i};
        }
        struct fib f;
        assert_int_equal(fib_build(&f, &mem, key, r, n), 0);
        for (unsigned k = 0; k < 400; k++) {
            struct bw_addr a = near(r, n);
            const struct fwd_route *x = fib_lookup(&f, &a), *y = stupid(r, n, &a);
            assert_int_equal(!x, !y);
            if (x) assert_int_equal(x->link, y->link);
        }
        fib_free(&f, &mem);
        free(r);
    }
    assert_int_equal(mem.used, 0);
}

static unsigned fail_in; // calls of `failing` that go well
static void *failing(struct bw_mem *m, void *old, size_t old_size, size_t new_size)
{
    (void)m, (void)old_size;
    if (!new_size) {
        free(old);
        return NULL;
    }
    return fail_in-- == 0 ? NULL : realloc(old, new_size);
}

static struct fwd_route drawn(const struct fwd_route *r, unsigned n)
{
    struct bw_addr a = near(r, n);
    uint8_t len = (uint8_t)(rnd() % 3 ? 128 : bw_addr_is_v4(&a) ? 96 + rnd() % 33 : rnd() % 129);
    return (struct fwd_route){.prefix = bw_prefix_make(&a, len), .link = (uint16_t)rnd()};
}

static unsigned list_find(const struct fwd_route *r, unsigned n, const struct bw_prefix *p)
{
    unsigned i = 0;
    while (i < n && !bw_prefix_eq(&r[i].prefix, p)) i++;
    return i;
}

static void same_as_list(const struct fib *f, const struct fwd_route *r, unsigned n)
{
    unsigned count = 0;
    struct fib_at at = {0};
    for (const struct fwd_route *x; (x = fib_next(f, &at)); count++) {
        unsigned i = list_find(r, n, &x->prefix);
        assert_true(i < n);
        assert_int_equal(x->link, r[i].link);
    }
    assert_int_equal(count, n);
    assert_int_equal(f->count, n);
    for (unsigned k = 0; k < 60; k++) {
        struct bw_addr a = near(r, n);
        const struct fwd_route *x = fib_lookup(f, &a), *y = stupid(r, n, &a);
        assert_int_equal(!x, !y);
        if (x) assert_int_equal(x->link, y->link);
    }
}

struct patch { // a list, and the list that it becomes by what fib_diff says
    struct fwd_route r[800]; // what comes is told before what goes
    unsigned count;
};

static void apply(void *ctx, const struct fwd_route *before, const struct fwd_route *after)
{
    struct patch *p = ctx;
    unsigned i = list_find(p->r, p->count, before ? &before->prefix : &after->prefix);
    assert_int_equal(!before, i == p->count);
    if (before) assert_int_equal(before->link, p->r[i].link);
    if (after) p->r[i] = *after;
    else p->r[i] = p->r[--p->count];
    if (!before) p->count++;
    assert_in_range(p->count, 0, 799);
}

// Sets and removes at random, where memory may fail: then nothing has changed. Shares taken on the way stay as they were,
// whatever becomes of the table, and what differs between them is what has changed.
static void shares_stay(void **state)
{
    (void)state;
    enum { SHARES = 6 };
    struct bw_mem mem = {.resize = failing};
    struct fib f, shares[SHARES] = {0};
    static struct patch now, then[SHARES];
    fail_in = UINT32_MAX;
    fib_init(&f, (const uint8_t *)"another key of 16");
    now.count = 0;
    for (unsigned step = 0; step < 6000; step++) {
        bool grow = step / 1500 % 2 == 0; // up to some hundreds, down to none, twice
        fail_in = rnd() % 4 ? UINT32_MAX : rnd() % 3;
        if (now.count < 380 && rnd() % 8 < (grow ? 6 : 1)) {
            struct fwd_route r = drawn(now.r, now.count);
            unsigned i = list_find(now.r, now.count, &r.prefix);
            if (!fib_set(&f, &mem, &r)) {
                now.r[i] = r;
                now.count += i == now.count;
            }
        } else if (now.count) {
            unsigned i = rnd() % now.count;
            struct bw_prefix gone = now.r[i].prefix;
            if (!fib_remove(&f, &mem, &gone)) {
                now.r[i] = now.r[--now.count];
                assert_int_equal(fib_remove(&f, &mem, &gone), 0); // twice does no harm
            }
        }
        if (step % 7) continue;
        unsigned s = rnd() % SHARES;
        fib_free(&shares[s], &mem);
        then[s].count = 0;
        if (!fib_share(&shares[s], &f, &mem)) then[s] = now;
        fail_in = UINT32_MAX;
        if (step % 35) continue;
        for (unsigned k = 0; k < SHARES; k++) same_as_list(&shares[k], then[k].r, then[k].count);
        same_as_list(&f, now.r, now.count);
        static struct patch p;
        p = then[s];
        unsigned other = rnd() % SHARES;
        if (memcmp(shares[s].key, shares[other].key, 16)) continue; // never taken yet
        fib_diff(&shares[s], &shares[other], apply, &p);
        same_as_list(&shares[other], p.r, p.count);
    }
    for (unsigned k = 0; k < SHARES; k++) fib_free(&shares[k], &mem);
    fib_free(&f, &mem);
    assert_int_equal(mem.used, 0);
}

static void fifty_thousand_hosts(void **state)
{
    (void)state;
    struct bw_mem mem;
    bw_mem_system(&mem);
    unsigned n = 50000;
    struct fwd_route *r = calloc(n, sizeof *r);
    for (unsigned i = 0; i < n; i++) {
        rnd_bytes(r[i].prefix.addr.b, 16);
        r[i].prefix.addr.b[0] = 0xfc;
        r[i].prefix.len = 128;
        r[i].link = (uint16_t)i;
    }
    struct fib f;
    assert_int_equal(fib_build(&f, &mem, (uint8_t[16]){1}, r, n), 0);
    for (unsigned i = 0; i < n; i++) assert_int_equal(fib_lookup(&f, &r[i].prefix.addr)->link, (uint16_t)i);
    fib_free(&f, &mem);
    free(r);
}

static void tables_meet(void **state)
{
    (void)state;
    struct kit_node n;
    kit_node(&n, "fc01::1");
    kit_route(&n, "fc02::2/128", FWD_TO_LINK, 3);
    kit_route(&n, "10.0.0.0/8", FWD_TO_LINK, 4);
    kit_tun_route(&n, "::/0", "fc02::2");
    kit_tun_route(&n, "0.0.0.0/0", "fc02::2");
    kit_tun_route(&n, "10.0.0.0/8", "fc02::2");
    kit_ready(&n);
    struct bw_addr mesh = addr("fc02::2"), web = addr("2001:db8::1"), web4 = addr("192.0.2.1"), lan = addr("10.1.1.1");
    assert_int_equal(fwd_lookup(n.s, &mesh, true)->link, 3);
    assert_null(fwd_lookup(n.s, &web, false));
    assert_int_equal(fwd_lookup(n.s, &web, true)->target, FWD_TO_TUNNEL);
    assert_int_equal(fwd_lookup(n.s, &web4, true)->prefix.len, 96); // not ::/0
    assert_null(fwd_lookup(n.s, &web4, false));
    assert_int_equal(fwd_lookup(n.s, &lan, false)->link, 4);
    assert_int_equal(fwd_lookup(n.s, &lan, true)->target, FWD_TO_TUNNEL); // equally long: tun's
    kit_free(&n);
}

static uint16_t rfc1071(const uint8_t *p, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < n; i += 2) sum += (uint32_t)p[i] << 8 | p[i + 1];
    if (n & 1) sum += (uint32_t)p[n - 1] << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void checksum_is_rfc1071(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 3000; k++) {
        size_t n = k < 200 ? k : rnd() % 2000;
        uint8_t *p = malloc(n + 1), *q = malloc(n + 1), field[2];
        rnd_bytes(p, n);
        if (rnd() % 8 == 0) memset(p, rnd() % 2 ? 0xff : 0, n);
        csum_store(field, csum_add(0, p, n));
        assert_int_equal(ip_get16(field), rfc1071(p, n));
        uint8_t *exact = malloc(n ? n : 1);
        csum_store(field, csum_copy(0, exact, p, n));
        assert_int_equal(ip_get16(field), rfc1071(p, n));
        assert_memory_equal(exact, p, n);
        free(exact);
        free(p);
        free(q);
    }
}

static void checksum_follows(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 2000; k++) {
        uint8_t h[20], old[2];
        rnd_bytes(h, 20);
        h[0] = 0x45;
        ip4_checksum(h, 20);
        unsigned at = 2 * (rnd() % 10);
        if (at == 10) continue;
        memcpy(old, h + at, 2);
        rnd_bytes(h + at, 2);
        csum_update(h + 10, old, h + at);
        assert_int_equal(csum_fold(csum_add(0, h, 20)), 0xffff);
    }
}

// Memory that fails on the n-th call: a snapshot is whole or nothing, and nothing leaks.
static void snapshot_without_memory(void **state)
{
    (void)state;
    struct kit_node a, b;
    kit_node(&a, "fc01::1");
    kit_node(&b, "fc02::2");
    kit_link(&a, 0, &b, 0);
    kit_route(&a, "fc02::2/128", FWD_TO_LINK, 0);
    kit_tun_route(&a, "0.0.0.0/0", "fc02::2");
    a.tunnel[a.c.tunnel_count++] =
        (struct fwd_tunnel){.peer = addr("fc02::2"), .shared = fwd_tunnel_shared_new(&a.mem)};
    struct bw_mem mem = {.resize = failing};
    unsigned k = 0;
    for (struct fwd_snapshot *s = NULL; !s; k++) {
        assert_in_range(k, 0, 50);
        fail_in = k;
        s = fwd_snapshot_new(&mem, &a.c);
        fwd_snapshot_free(s);
        assert_int_equal(mem.used, 0);
    }
    assert_in_range(k, 5, 50);
    assert_int_equal(atomic_load(&a.rx[0]->refs), 1);
    kit_free(&a);
    kit_free(&b);
}

int main(void)
{
    if (bw_crypto_init()) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fib_is_the_list),  cmocka_unit_test(fifty_thousand_hosts), cmocka_unit_test(shares_stay),
        cmocka_unit_test(tables_meet),      cmocka_unit_test(checksum_is_rfc1071),
        cmocka_unit_test(checksum_follows), cmocka_unit_test(snapshot_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
