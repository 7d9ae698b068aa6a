// Two clever structures of the speaker against stupid twins, at random: the source table (feasibility distances packed into
// their destinations, seconds in 16 bits) against a plain list; the links' deadlines (a heap) against all of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/babel/internal.h"

#define PREFIXES 60
#define ROUTERS 20 // per prefix

static struct bw_mem mem;
static struct bw_rng rng;
static struct babel *b;

static void on_send(void *ctx, uint16_t slot, const struct bw_addr *dst, const uint8_t *p, size_t n)
{
    (void)ctx, (void)slot, (void)dst, (void)p, (void)n;
}

static uint32_t below(uint32_t n)
{
    return (uint32_t)bw_rng_below(&rng, n);
}

static int speaker(void **state)
{
    (void)state;
    static const struct babel_ops ops = {.send = on_send};
    const char *given = getenv("BYWAY_SEED");
    uint64_t n = given ? strtoull(given, NULL, 0) : 1;
    uint8_t seed[32] = {0};
    for (int i = 0; i < 8; i++) seed[i] = (uint8_t)(n >> 8 * i);
    print_message("seed %llu\n", (unsigned long long)n);
    bw_mem_system(&mem);
    bw_rng_seed(&rng, seed);
    struct babel_config c = {.router_id = {1, [7] = 1}, .linklocal = {{0xfe, 0x80, [15] = 1}}, .epoch = 1, .clean_start = true};
    b = babel_new(&c, &ops, NULL, &mem, &rng, NULL, 5 * BW_S);
    return b ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    babel_free(b);
    return mem.used ? -1 : 0;
}

// ---- sources ----

struct twin { // RFC 8966 section 3.2.5
    bool there;
    uint16_t seqno, metric;
    bw_time announced;
};
static struct twin twins[PREFIXES][ROUTERS];

static struct bw_prefix prefix_of(unsigned i)
{
    return (struct bw_prefix){{{0xfc, 1, [15] = (uint8_t)(i + 1)}}, 128};
}

static void expire(unsigned i)
{
    for (unsigned r = 0; r < ROUTERS; r++) // the seconds of the table have no fractions
        if (b->now / BW_S - twins[i][r].announced / BW_S >= b->source_life_s) twins[i][r].there = false;
}

static void announce(unsigned i, unsigned r)
{
    struct bw_prefix p = prefix_of(i);
    uint8_t id[8] = {2, [7] = (uint8_t)r};
    struct twin *t = &twins[i][r];
    struct dest *d = dest_find(b, &p);
    if (!d) d = dest_new(b, &p);
    assert_non_null(d);
    if (source_find(d, id) < 0) expire(i); // whoever makes one looks what has gone
    int k = source_get(b, d, id);
    assert_true(k >= 0);
    // Mostly near the last one, sometimes just beyond half the circle away.
    uint16_t seqno = (uint16_t)(t->seqno + (below(8) ? below(5) - 2 : 0x7fff + below(3))), metric = (uint16_t)below(2000);
    source_announce(b, dest_source(d, (unsigned)k), seqno, metric);
    int newer = (int16_t)(uint16_t)(seqno - t->seqno);
    if (!t->there || newer > 0) *t = (struct twin){.seqno = seqno, .metric = metric};
    else if (!newer && metric < t->metric) t->metric = metric;
    t->there = true;
    t->announced = b->now;
}

static void collect(unsigned i)
{
    struct bw_prefix p = prefix_of(i);
    struct dest *d = dest_find(b, &p);
    expire(i);
    if (!d) return;
    sources_collect(b, d);
    if (!below(3)) dest_release(b, d); // goes if it holds no distance
}

static void same(unsigned i)
{
    struct bw_prefix p = prefix_of(i);
    const struct dest *d = dest_find(b, &p);
    for (unsigned r = 0; r < ROUTERS; r++) {
        uint8_t id[8] = {2, [7] = (uint8_t)r};
        const struct twin *t = &twins[i][r];
        int k = d ? source_find(d, id) : -1;
        const struct source *s = k >= 0 ? dest_source(d, (unsigned)k) : NULL;
        assert_int_equal(s && s->valid, t->there);
        if (!t->there) continue;
        assert_int_equal(s->seqno, t->seqno);
        assert_int_equal(s->metric, t->metric);
        // What is feasible by the one is by the other.
        struct route route = {.flags = ROUTE_PRESENT, .src = (uint8_t)k, .seqno = (uint16_t)(t->seqno + below(5) - 2),
                              .refmetric = (uint16_t)(t->metric + below(3) - 1)};
        int newer = (int16_t)(uint16_t)(route.seqno - t->seqno);
        assert_int_equal(route_feasible(d, &route), newer > 0 || (!newer && route.refmetric < t->metric));
    }
}

static void sources(void **state)
{
    (void)state;
    for (unsigned step = 0; step < 60000; step++) {
        unsigned i = below(PREFIXES);
        if (below(10)) announce(i, below(below(4) ? 3 : ROUTERS));
        if (!below(3)) b->now += below(step % 1000 ? 2000 : 200000) * BW_MS;
        if (!below(4)) {
            collect(i);
            same(i);
        }
    }
    for (unsigned i = 0; i < PREFIXES; i++) {
        collect(i);
        same(i);
    }
    b->now += 2ull * b->source_life_s * BW_S;
    for (unsigned i = 0; i < PREFIXES; i++) {
        struct bw_prefix p = prefix_of(i);
        struct dest *d = dest_find(b, &p);
        if (!d) continue;
        sources_collect(b, d);
        dest_release(b, d);
    }
    assert_int_equal(b->dest_count, 0);
}

// ---- deadlines ----

static void deadlines(void **state)
{
    (void)state;
    bool up[200] = {0};
    unsigned links = 0, most = 0;
    for (unsigned step = 0; step < 20000; step++) {
        uint16_t slot = (uint16_t)below(200);
        if (!below(3)) {
            if (up[slot]) babel_iface_remove(b, slot, b->now);
            else assert_int_equal(babel_iface_add(b, slot, NULL, b->now), 0);
            up[slot] = !up[slot];
            links += up[slot] ? 1u : -1u;
        } else {
            bw_time to = below(4) ? babel_deadline(b) : b->now + below(3000) * BW_MS;
            babel_tick(b, to == BW_NEVER || to < b->now ? b->now : to);
        }
        if (links > most) most = links;
        bw_time first = BW_NEVER;
        unsigned seen = 0;
        for (uint16_t s = 0; s < b->slot_cap; s++) {
            const struct iface *ifc = b->by_slot[s];
            assert_int_equal(ifc != NULL, s < 200 && up[s]);
            if (!ifc) continue;
            seen++;
            first = bw_time_min(first, ifc->at);
            assert_true(ifc->heap < b->heap_count && b->heap[ifc->heap] == ifc);
        }
        assert_int_equal(seen, links);
        assert_int_equal(b->heap_count, links);
        assert_true(babel_deadline(b) <= first);
        if (links) assert_true(b->heap[0]->at == first);
    }
    assert_true(most > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(sources, speaker, end),
                                       cmocka_unit_test_setup_teardown(deadlines, speaker, end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
