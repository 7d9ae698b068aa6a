// Nodes that hear each other's beacons on shared segments, under virtual time.
#include "unit/vectors.h"

#include <stdlib.h>

#include "core/discover/discover.h"
#include "core/noise/stamp.h"
#include "wire/beacon.h"

#define NODES 4
#define QUEUE 64

struct node {
    struct air *air;
    int id;
    struct identity me;
    struct bw_mem mem;
    struct bw_rng rng;
    struct discover *d;
    struct discover_config config;
    struct stamp_clock clock;
    unsigned found[NODES], fresh[NODES], twins, sent;
    struct bw_endpoint last;
    uint32_t last_iface;
};
struct air {
    bw_time now;
    struct node node[NODES];
    uint8_t last[BEACON_MAX_LEN];
    size_t last_len;
    unsigned alloc_left; // 0: unlimited
    struct {
        int from;
        uint32_t ifindex;
        size_t n;
        uint8_t p[BEACON_MAX_LEN];
    } queue[QUEUE];
    unsigned queued;
};

static struct bw_endpoint ll(int id, uint32_t ifindex)
{
    return (struct bw_endpoint){.addr = {{0xfe, 0x80, [15] = (uint8_t)id}}, .port = 999, .scope = ifindex};
}

static void do_send(void *ctx, uint32_t ifindex, const uint8_t *p, size_t n)
{
    struct node *me = ctx;
    struct air *a = me->air;
    me->sent++;
    memcpy(a->last, p, n);
    a->last_len = n;
    assert_true(a->queued < QUEUE);
    a->queue[a->queued].from = me->id;
    a->queue[a->queued].ifindex = ifindex;
    a->queue[a->queued].n = n;
    memcpy(a->queue[a->queued++].p, p, n);
}

static void do_found(void *ctx, const uint8_t key[32], uint32_t ifindex, const struct bw_endpoint *at, bool fresh)
{
    struct node *me = ctx;
    for (int i = 0; i < NODES; i++) {
        if (memcmp(me->air->node[i].me.link_pk, key, 32)) continue;
        me->found[i]++;
        me->fresh[i] += fresh;
    }
    me->last = *at;
    me->last_iface = ifindex;
}

static void do_twin(void *ctx, uint32_t ifindex, const struct bw_endpoint *at)
{
    (void)ifindex, (void)at;
    ((struct node *)ctx)->twins++;
}

static uint64_t do_stamp(void *ctx, uint64_t unix_ns)
{
    uint64_t persist;
    return stamp_next(&((struct node *)ctx)->clock, unix_ns, &persist);
}

static void *resize(struct bw_mem *m, void *old, size_t old_size, size_t new_size)
{
    struct node *n = (struct node *)((char *)m - offsetof(struct node, mem));
    (void)old_size;
    if (!new_size) {
        free(old);
        return NULL;
    }
    if (n->air->alloc_left && !--n->air->alloc_left) {
        n->air->alloc_left = 1;
        return NULL;
    }
    return realloc(old, new_size);
}

static void start(struct air *a, int i)
{
    struct node *n = &a->node[i];
    n->config.identity = &n->me;
    if (!n->config.port) n->config.port = (uint16_t)(4870 + i);
    struct discover_ops ops = {.ctx = n, .send = do_send, .found = do_found, .twin = do_twin, .stamp = do_stamp};
    n->d = discover_new(&n->mem, &n->rng, NULL, &n->config, &ops);
    assert_non_null(n->d);
}

static struct air *new_air(uint8_t seed)
{
    struct air *a = calloc(1, sizeof *a);
    struct bw_rng rng;
    uint8_t s[32] = {seed};
    bw_rng_seed(&rng, s);
    a->now = 5000 * BW_S;
    for (int i = 0; i < NODES; i++) {
        struct node *n = &a->node[i];
        n->air = a;
        n->id = i;
        n->mem.resize = resize;
        bw_rng_bytes(&rng, s, sizeof s);
        bw_rng_seed(&n->rng, s);
        identity_draw(&n->me, &rng);
        start(a, i);
    }
    return a;
}

static void free_air(struct air *a)
{
    for (int i = 0; i < NODES; i++) {
        discover_free(a->node[i].d);
        assert_int_equal(a->node[i].mem.used, 0);
    }
    free(a);
}

static void run(struct air *a, bw_time duration)
{
    bw_time end = a->now + duration;
    for (;;) {
        while (a->queued) { // everybody on the segment hears it at once, the sender too
            a->queued--;
            struct bw_endpoint from = ll(a->queue[a->queued].from, a->queue[a->queued].ifindex);
            uint8_t p[BEACON_MAX_LEN];
            size_t n = a->queue[a->queued].n;
            memcpy(p, a->queue[a->queued].p, n);
            for (int i = 0; i < NODES; i++)
                if (a->node[i].d && discover_iface_has(a->node[i].d, from.scope)) discover_rx(a->node[i].d, from.scope, &from, p, n, a->now);
        }
        bw_time next = end;
        for (int i = 0; i < NODES; i++)
            if (a->node[i].d) next = bw_time_min(next, discover_deadline(a->node[i].d));
        if (next > a->now) a->now = next;
        if (a->now >= end) return;
        for (int i = 0; i < NODES; i++) {
            if (!a->node[i].d || discover_deadline(a->node[i].d) > a->now) continue;
            discover_tick(a->node[i].d, a->now, a->now * 1000);
            assert_true(discover_deadline(a->node[i].d) > a->now);
        }
    }
}

static void test_find_each_other(void **state)
{
    (void)state;
    struct air *a = new_air(1);
    for (int i = 0; i < 3; i++) assert_int_equal(discover_iface_add(a->node[i].d, 1, a->now), 0);
    run(a, 100 * BW_MS);
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++) assert_int_equal(a->node[i].fresh[k], i != k);
        assert_true(a->node[i].last.port == 4870 + a->node[i].last.addr.b[15]); // the port of its links, not the datagram's
        assert_int_equal(a->node[i].last.scope, 1);
        assert_int_equal(a->node[i].found[3], 0);
    }
    assert_int_equal(discover_drops(a->node[0].d, DISCOVER_DROP_OWN), a->node[0].sent);
    assert_int_equal(a->node[0].twins, 0);
    run(a, 30 * BW_S);
    unsigned before = a->node[0].sent, heard = a->node[0].found[1];
    run(a, 600 * BW_S); // then it is quiet: one beacon in ten seconds
    assert_in_range(a->node[0].sent - before, 54, 66);
    assert_in_range(a->node[0].found[1] - heard, 54, 67);
    assert_int_equal(a->node[0].fresh[1], 1);
    free_air(a);
}

// A newcomer is answered at once, not at the next turn, and hears everybody in well under a second.
static void test_newcomer(void **state)
{
    (void)state;
    struct air *a = new_air(2);
    assert_int_equal(discover_iface_add(a->node[0].d, 1, a->now), 0);
    run(a, 60 * BW_S);
    assert_int_equal(discover_iface_add(a->node[1].d, 1, a->now), 0);
    run(a, 200 * BW_MS);
    assert_int_equal(a->node[0].fresh[1], 1);
    assert_int_equal(a->node[1].fresh[0], 1);
    // Restarted: fresh again, answered again.
    discover_free(a->node[1].d);
    start(a, 1);
    assert_int_equal(discover_iface_add(a->node[1].d, 1, a->now), 0);
    run(a, 200 * BW_MS);
    assert_int_equal(a->node[0].fresh[1], 2);
    assert_int_equal(a->node[1].fresh[0], 2);
    // An interface that goes and comes back.
    discover_iface_remove(a->node[1].d, 1);
    assert_int_equal(discover_deadline(a->node[1].d), BW_NEVER);
    assert_false(discover_iface_has(a->node[1].d, 1));
    assert_int_equal(discover_iface_add(a->node[1].d, 1, a->now), 0);
    run(a, 12 * BW_S);
    assert_int_equal(a->node[1].fresh[0], 3);
    assert_int_equal(a->node[0].fresh[1], 2); // nothing new for the other one
    free_air(a);
}

static void test_two_interfaces(void **state)
{
    (void)state;
    struct air *a = new_air(3);
    for (int i = 0; i < 2; i++)
        for (uint32_t f = 1; f <= 2; f++) assert_int_equal(discover_iface_add(a->node[i].d, f, a->now), 0);
    run(a, 5 * BW_S);
    assert_int_equal(a->node[0].fresh[1], 2);
    assert_int_equal(a->node[1].fresh[0], 2);
    free_air(a);
}

static void deliver(struct air *a, int to, struct bw_endpoint from, uint32_t ifindex, const uint8_t *p, size_t n)
{
    discover_rx(a->node[to].d, ifindex, &from, p, n, a->now);
}

// A beacon recorded before its receiver was there.
static size_t record(struct air *a, int from, uint8_t *out)
{
    assert_int_equal(discover_iface_add(a->node[from].d, 9, a->now), 0);
    run(a, 30 * BW_MS);
    memcpy(out, a->last, a->last_len);
    return a->last_len;
}

static void test_refused(void **state)
{
    (void)state;
    struct air *a = new_air(4);
    uint8_t p[BEACON_MAX_LEN];
    size_t n = record(a, 0, p);
    struct discover *d = a->node[1].d;
    deliver(a, 1, ll(0, 1), 1, p, n);
    assert_int_equal(discover_drops(d, DISCOVER_DROP_SOURCE), 1); // no such interface here
    assert_int_equal(discover_iface_add(d, 1, a->now), 0);
    struct bw_endpoint far = ll(0, 1);
    far.addr.b[0] = 0x20;
    deliver(a, 1, far, 1, p, n);
    assert_int_equal(discover_drops(d, DISCOVER_DROP_SOURCE), 2);
    for (size_t i = 4; i < n; i++) { // every byte is signed
        if (i >= 68 && i < 70) continue;
        p[i] ^= 1;
        deliver(a, 1, ll(0, 1), 1, p, n);
        p[i] ^= 1;
        a->now += 50 * BW_MS;
    }
    assert_int_equal(discover_heard(d), 0);
    assert_true(discover_drops(d, DISCOVER_DROP_SIGNATURE) + discover_drops(d, DISCOVER_DROP_NETWORK) >= n - 6);
    p[3] = 9;
    deliver(a, 1, ll(0, 1), 1, p, n);
    assert_int_equal(discover_drops(d, DISCOVER_DROP_VERSION), 1);
    p[3] = 1;
    deliver(a, 1, ll(0, 1), 1, p, n - 1);
    assert_int_equal(discover_drops(d, DISCOVER_DROP_MALFORMED), 1);
    deliver(a, 1, ll(0, 1), 1, p, n);
    assert_int_equal(a->node[1].fresh[0], 1);
    deliver(a, 1, ll(3, 1), 1, p, n); // played back from elsewhere
    assert_int_equal(discover_iface_add(d, 2, a->now), 0);
    deliver(a, 1, ll(3, 2), 2, p, n); // or on another interface
    assert_int_equal(discover_drops(d, DISCOVER_DROP_REPLAY), 2);
    assert_int_equal(a->node[1].found[0], 1);
    free_air(a);
}

static void test_flood(void **state)
{
    (void)state;
    struct air *a = new_air(5);
    uint8_t p[BEACON_MAX_LEN], junk[BEACON_MAX_LEN];
    size_t n = record(a, 0, p);
    struct discover *d = a->node[1].d;
    assert_int_equal(discover_iface_add(d, 1, a->now), 0);
    deliver(a, 1, ll(0, 1), 1, p, n);
    memcpy(junk, p, n);
    for (int i = 0; i < 10000; i++) { // one second of junk under ever new keys
        bw_rng_bytes(&a->node[1].rng, junk + 4, 32);
        deliver(a, 1, ll(3, 1), 1, junk, n);
        a->now += 100;
    }
    assert_true(discover_drops(d, DISCOVER_DROP_RATE) > 9800);
    assert_true(discover_drops(d, DISCOVER_DROP_SIGNATURE) < 200);
    unsigned found = a->node[1].found[0];
    discover_iface_remove(a->node[0].d, 9);
    assert_int_equal(discover_iface_add(a->node[0].d, 1, a->now), 0);
    run(a, 50 * BW_MS); // a known neighbour is heard all the same
    assert_true(a->node[1].found[0] > found);
    free_air(a);
}

static void test_secret(void **state)
{
    (void)state;
    struct air *a = new_air(6);
    for (int i = 0; i < 3; i++) {
        discover_free(a->node[i].d);
        a->node[i].config.has_secret = true;
        a->node[i].config.secret[0] = i == 2 ? 7 : 1;
        start(a, i);
    }
    for (int i = 0; i < NODES; i++) assert_int_equal(discover_iface_add(a->node[i].d, 1, a->now), 0);
    run(a, 3 * BW_S);
    assert_true(a->node[0].found[1] && a->node[1].found[0]);
    for (int i = 0; i < 2; i++) assert_true(!a->node[i].found[2] && !a->node[i].found[3]); // another secret, and none
    assert_true(!a->node[2].found[0] && !a->node[3].found[0] && !a->node[3].found[2]);
    assert_true(discover_drops(a->node[3].d, DISCOVER_DROP_NETWORK) > 0);
    a->node[2].config.secret[0] = 1;
    discover_set(a->node[2].d, &a->node[2].config);
    run(a, 12 * BW_S);
    assert_true(a->node[0].found[2] && a->node[2].found[0]);
    free_air(a);
}

static void test_twin(void **state)
{
    (void)state;
    struct air *a = new_air(7);
    discover_free(a->node[1].d);
    a->node[1].me = a->node[0].me; // somebody copied the whole machine
    start(a, 1);
    for (int i = 0; i < 2; i++) assert_int_equal(discover_iface_add(a->node[i].d, 1, a->now), 0);
    run(a, 30 * BW_S);
    assert_int_equal(a->node[0].twins, 1);
    assert_int_equal(a->node[1].twins, 1);
    run(a, 60 * BW_S);
    assert_int_equal(a->node[0].twins, 2);
    assert_int_equal(a->node[0].found[0], 0);
    free_air(a);
}

// More keys than are remembered: memory stays bounded.
static void test_many(void **state)
{
    (void)state;
    struct air *a = new_air(8);
    struct discover *d = a->node[0].d;
    assert_int_equal(discover_iface_add(d, 1, a->now), 0);
    size_t before = a->node[0].mem.used;
    struct identity id;
    for (int i = 0; i < 40; i++) {
        identity_draw(&id, &a->node[3].rng);
        struct beacon b = {.port = 1};
        memcpy(b.sign_pk, id.sign_pk, 32);
        b.stamp[0] = 1;
        uint8_t buf[BEACON_LABEL_LEN + BEACON_MAX_LEN];
        memcpy(buf, beacon_label, BEACON_LABEL_LEN);
        int n = beacon_encode(buf + BEACON_LABEL_LEN, BEACON_MAX_LEN, &b);
        bw_sign(buf + BEACON_LABEL_LEN + n, buf, BEACON_LABEL_LEN + (size_t)n, id.sign_sk);
        deliver(a, 0, ll(2, 1), 1, buf + BEACON_LABEL_LEN, (size_t)n + BEACON_SIG_LEN);
        a->now += BW_S;
    }
    assert_int_equal(discover_heard(d), 40);
    assert_true((a->node[0].mem.used - before) / 40 < 600); // times DISCOVER_KNOWN_MAX: well under a megabyte
    // A key without a mesh address is nobody's.
    uint8_t seed[32] = {1};
    while (!identity_from_seed(&id, seed)) seed[0]++;
    struct beacon b = {.port = 1, .stamp = {1}};
    memcpy(b.sign_pk, id.sign_pk, 32);
    uint8_t buf[BEACON_LABEL_LEN + BEACON_MAX_LEN];
    memcpy(buf, beacon_label, BEACON_LABEL_LEN);
    int n = beacon_encode(buf + BEACON_LABEL_LEN, BEACON_MAX_LEN, &b);
    bw_sign(buf + BEACON_LABEL_LEN + n, buf, BEACON_LABEL_LEN + (size_t)n, id.sign_sk);
    deliver(a, 0, ll(2, 1), 1, buf + BEACON_LABEL_LEN, (size_t)n + BEACON_SIG_LEN);
    assert_int_equal(discover_drops(d, DISCOVER_DROP_KEY), 1);
    free_air(a);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct air *a = new_air(9);
    uint8_t p[BEACON_MAX_LEN];
    size_t n = record(a, 0, p);
    discover_free(a->node[1].d);
    for (unsigned k = 1; k < 6; k++) {
        struct node *me = &a->node[1];
        struct discover_ops ops = {.ctx = me, .send = do_send, .found = do_found, .stamp = do_stamp};
        a->alloc_left = k;
        me->d = discover_new(&me->mem, &me->rng, NULL, &me->config, &ops);
        if (me->d && !discover_iface_add(me->d, 1, a->now)) {
            deliver(a, 1, ll(0, 1), 1, p, n);
            assert_int_equal(me->found[0], k > 4);
            assert_int_equal(discover_drops(me->d, DISCOVER_DROP_NOMEM), k == 4);
        }
        a->alloc_left = 0;
        discover_free(me->d);
        me->d = NULL;
        assert_int_equal(me->mem.used, 0);
    }
    free_air(a);
}

static uint8_t vector_key[32];
static void keep_key(void *ctx, const uint8_t key[32], uint32_t ifindex, const struct bw_endpoint *at, bool fresh)
{
    (void)ctx, (void)ifindex, (void)at, (void)fresh;
    memcpy(vector_key, key, 32);
}

// A beacon that another program made.
static void test_vector(void **state)
{
    (void)state;
    struct air *a = new_air(10);
    struct node *me = &a->node[0];
    uint8_t p[BEACON_MAX_LEN], key[32], address[16];
    size_t n = vector("beacon.txt", "beacon", p, sizeof p);
    vector("beacon.txt", "key", key, sizeof key);
    vector("beacon.txt", "address", address, sizeof address);
    struct discover_ops ops = {.send = do_send, .found = keep_key, .stamp = do_stamp};
    discover_free(me->d);
    me->d = discover_new(&me->mem, &me->rng, NULL, &me->config, &ops);
    assert_int_equal(discover_iface_add(me->d, 1, a->now), 0);
    deliver(a, 0, ll(2, 1), 1, p, n);
    assert_int_equal(discover_heard(me->d), 1);
    assert_memory_equal(vector_key, key, 32);
    struct bw_addr addr;
    assert_int_equal(identity_addr_of_key(key, &addr), 0);
    assert_memory_equal(addr.b, address, 16);
    free_air(a);
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < DISCOVER_DROP_COUNT; i++) assert_string_not_equal(discover_drop_name((enum discover_drop)i), "unknown");
    assert_string_equal(discover_drop_name(DISCOVER_DROP_NOMEM), "nomem");
    char text[BW_ADDR_TEXT];
    assert_string_equal(bw_addr_text(&discover_group, text), "ff12::4870");
}

int main(void)
{
    if (bw_crypto_init()) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_each_other), cmocka_unit_test(test_newcomer), cmocka_unit_test(test_two_interfaces),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_flood), cmocka_unit_test(test_secret), cmocka_unit_test(test_twin),
        cmocka_unit_test(test_many), cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_vector), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
