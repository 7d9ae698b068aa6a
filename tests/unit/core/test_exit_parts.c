// The small parts of sharing: proof of the uplink, pools, heartbeats, the book of exits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/exit/book.h"
#include "core/exit/echo.h"
#include "core/exit/pool.h"
#include "core/exit/uplink.h"
#include "unit/parse.h"

// ---- uplink: a world that answers or not, in virtual time ----

struct world {
    struct uplink u;
    bw_time now;
    bool works[UPLINK_FAMILIES];
    bool asked[UPLINK_FAMILIES];
    uint32_t serial[UPLINK_FAMILIES];
    unsigned probes;
};

static void probe(void *ctx, unsigned family, uint32_t serial, uint32_t timeout_ms)
{
    struct world *w = ctx;
    assert_in_range(timeout_ms, 500, 1000);
    w->asked[family] = true;
    w->serial[family] = serial;
    w->probes++;
}

static void start(struct world *w, bool trust, bool t4, bool t6)
{
    *w = (struct world){.now = 1000 * BW_S, .works = {true, true}};
    uplink_init(&w->u, &(struct uplink_ops){w, probe}, trust, t4, t6);
}

// Until `until`; answers come 20 ms after the question where the world works, else never.
static void run(struct world *w, bw_time until)
{
    while (w->now < until) {
        bw_time next = bw_time_min(uplink_tick(&w->u, w->now), until);
        bool any = false;
        for (unsigned f = 0; f < UPLINK_FAMILIES; f++) any |= w->asked[f] && w->works[f];
        if (any) next = bw_time_min(next, w->now + 20 * BW_MS);
        assert_true(next > w->now || next == until);
        w->now = next;
        for (unsigned f = 0; f < UPLINK_FAMILIES; f++) {
            if (!w->asked[f]) continue;
            w->asked[f] = false;
            if (w->works[f]) uplink_result(&w->u, f, w->serial[f], true, 20000, w->now);
        }
    }
    uplink_tick(&w->u, w->now);
}

static void uplink_black_hole(void **state)
{
    (void)state;
    struct world w;
    for (unsigned busy = 0; busy < 2; busy++) {
        start(&w, false, true, true);
        uplink_present(&w.u, true, false, w.now);
        assert_false(uplink_settled(&w.u));
        uplink_pace(&w.u, false, busy, w.now);
        run(&w, w.now + 10 * BW_S);
        assert_true(uplink_proven(&w.u));
        assert_false(uplink_family_proven(&w.u, UPLINK_V6));
        w.works[UPLINK_V4] = false;
        bw_time from = w.now;
        while (uplink_proven(&w.u)) run(&w, w.now + 10 * BW_MS);
        assert_in_range(w.now - from, 0, busy ? 2750 * BW_MS : 3500 * BW_MS);
        w.works[UPLINK_V4] = true;
        from = w.now;
        while (!uplink_proven(&w.u)) run(&w, w.now + 10 * BW_MS);
        assert_in_range(w.now - from, 0, 3500 * BW_MS);
    }
}

static void uplink_one_lost_probe_is_nothing(void **state)
{
    (void)state;
    struct world w;
    start(&w, false, true, true);
    uplink_present(&w.u, true, true, w.now);
    run(&w, w.now + 3 * BW_S);
    for (unsigned i = 0; i < 20; i++) {
        unsigned before = w.probes;
        w.works[0] = w.works[1] = false;
        while (w.probes == before) run(&w, w.now + 5 * BW_MS);
        w.works[0] = w.works[1] = true;
        run(&w, w.now + 4 * BW_S);
        assert_true(uplink_family_proven(&w.u, UPLINK_V4) && uplink_family_proven(&w.u, UPLINK_V6));
    }
}

// A loop that is held up sees its own timeout before the answer that waits behind it. It dies all the same if nothing answers.
static void uplink_is_not_dead_where_the_loop_is_held_up(void **state)
{
    (void)state;
    struct world w;
    start(&w, false, true, true);
    uplink_present(&w.u, true, false, w.now);
    run(&w, w.now + 3 * BW_S);
    for (unsigned i = 0; i < 20; i++) {
        bw_time next = uplink_tick(&w.u, w.now);
        while (!w.asked[UPLINK_V4]) next = uplink_tick(&w.u, w.now = next);
        for (unsigned late = 0; late < 3; late++) {
            w.now += 3 * BW_S;
            uplink_result(&w.u, UPLINK_V4, w.serial[UPLINK_V4], false, 0, w.now);
            uplink_tick(&w.u, w.now);
            assert_true(uplink_proven(&w.u));
        }
        run(&w, w.now + 2 * BW_S);
    }
    for (unsigned i = 0; i < 6 && uplink_proven(&w.u); i++) uplink_tick(&w.u, w.now += 3 * BW_S);
    assert_false(uplink_proven(&w.u));
}

// A probe is lost, as often as not, while clients get their answers.
static void uplink_that_is_full_is_not_dead(void **state)
{
    (void)state;
    struct world w;
    for (unsigned families = 1; families <= 2; families++) {
        start(&w, false, true, true);
        uplink_present(&w.u, true, families == 2, w.now);
        uplink_pace(&w.u, false, true, w.now);
        run(&w, w.now + 3 * BW_S);
        w.works[0] = w.works[1] = false;
        for (bw_time end = w.now + 30 * BW_S; w.now < end; run(&w, w.now + 250 * BW_MS)) uplink_flows(&w.u, w.now);
        for (unsigned f = 0; f < families; f++) assert_true(uplink_family_proven(&w.u, f));
        bw_time from = w.now; // now it does die
        while (uplink_proven(&w.u)) run(&w, w.now + 10 * BW_MS);
        assert_in_range(w.now - from, 0, 3 * BW_S);
    }
    start(&w, false, true, true); // one family dies while the other is at work
    uplink_present(&w.u, true, true, w.now);
    uplink_pace(&w.u, false, true, w.now);
    run(&w, w.now + 3 * BW_S);
    w.works[UPLINK_V6] = false;
    bw_time from = w.now;
    for (; uplink_family_proven(&w.u, UPLINK_V6) && w.now < from + 30 * BW_S; run(&w, w.now + 250 * BW_MS)) uplink_flows(&w.u, w.now);
    assert_in_range(w.now - from, 1 * BW_S, 7 * BW_S);
    assert_true(uplink_family_proven(&w.u, UPLINK_V4));
}

static void uplink_cable_idle_and_trust(void **state)
{
    (void)state;
    struct world w;
    start(&w, false, true, false); // no target for IPv6: it shares IPv4's proof
    uplink_present(&w.u, true, true, w.now);
    run(&w, w.now + BW_S);
    assert_true(uplink_family_proven(&w.u, UPLINK_V6));
    uplink_present(&w.u, false, true, w.now); // the cable is pulled
    assert_false(uplink_proven(&w.u));
    assert_true(uplink_settled(&w.u));
    uplink_present(&w.u, true, true, w.now);
    uplink_pace(&w.u, true, false, w.now);
    unsigned before = w.probes;
    run(&w, w.now + 60 * BW_S);
    assert_int_equal(w.probes, before); // nobody asks, nobody is bothered
    start(&w, true, true, true);
    assert_false(uplink_proven(&w.u));
    uplink_present(&w.u, false, true, w.now);
    assert_true(uplink_proven(&w.u));
    assert_int_equal(uplink_tick(&w.u, w.now), BW_NEVER);
}

static void uplink_late_and_forged_results(void **state)
{
    (void)state;
    struct world w;
    start(&w, false, true, true);
    uplink_result(&w.u, 7, 1, true, 1, w.now);
    uplink_result(&w.u, UPLINK_V4, 1, true, 1, w.now);
    assert_false(uplink_proven(&w.u));
    w.works[0] = false;
    uplink_present(&w.u, true, false, w.now);
    run(&w, w.now + 1100 * BW_MS); // the first one has timed out
    uplink_result(&w.u, UPLINK_V4, 1, true, 1, w.now);
    assert_false(uplink_proven(&w.u));
}

// ---- pools ----

static void pools(void **state)
{
    (void)state;
    struct bw_addr self = addr("fc12:3456:789a::4321");
    struct bw_prefix p, q, six, local[3] = {prefix("0.0.0.0/0"), prefix("::/0"), prefix("192.168.1.0/24")};
    assert_int_equal(pool_choose4(&self, 16, local, 3, &p), 0);
    assert_int_equal(p.len, 112);
    assert_true(pool_is_shared_space(&p.addr));
    local[2] = bw_prefix_host(&(struct bw_addr){0});
    local[2].addr = pool_at(&p, 77); // a single address inside is enough
    assert_true(pool_conflicts(&p, local, 3));
    assert_int_equal(pool_choose4(&self, 16, local, 3, &q), 0);
    assert_false(bw_prefix_overlaps(&p, &q));
    local[2] = prefix("100.64.0.0/10");
    assert_int_equal(pool_choose4(&self, 16, local, 3, &q), BW_ERR_NOTFOUND);
    assert_int_equal(pool_choose6(&self, local, 3, &six), 0);
    assert_int_equal(six.len, 64);
    assert_int_equal(six.addr.b[0], 0xfd);
    struct bw_addr a = pool_at(&p, 0x1234);
    assert_int_equal(pool_host(&p, &a), 0x1234);
    a = pool_at(&six, 0x1234);
    assert_int_equal(a.b[14], 0x12);
    assert_int_equal(pool_host(&six, &a), 0x1234);
    assert_int_equal(pool_host(&p, &self), 0);
    assert_int_equal(pool_hosts(&p), 65536 - 3);
}

// ---- heartbeats ----

static void echoes(void **state)
{
    (void)state;
    static const char *const pair[2][2] = {{"100.80.3.4", "100.80.0.1"}, {"fd12::304", "fd12::1"}};
    for (unsigned v6 = 0; v6 < 2; v6++) {
        struct bw_addr me = addr(pair[v6][0]), gateway = addr(pair[v6][1]);
        uint8_t ask[ECHO_MAX], back[ECHO_MAX], un[512];
        struct echo e;
        size_t n = echo_request(ask, &me, &gateway, 7);
        assert_int_equal(n, v6 ? 48 : 28);
        assert_int_equal(echo_parse(ask, n, &e), 0);
        assert_int_equal(e.kind, ECHO_REQUEST);
        assert_int_equal(e.id, ECHO_ID);
        assert_int_equal(e.seq, 7);
        assert_true(bw_addr_eq(&e.src, &me) && bw_addr_eq(&e.dst, &gateway));
        assert_int_equal(echo_reply(ask, n, 513, back, n + 1), 0);
        assert_int_equal(echo_reply(ask, n, 513, back, sizeof back), n + 2);
        assert_int_equal(echo_parse(back, n + 2, &e), 0);
        assert_true(e.has_news && e.news == 513);
        assert_int_equal(e.kind, ECHO_REPLY);
        assert_int_equal(e.seq, 7);
        assert_true(bw_addr_eq(&e.dst, &me) && bw_addr_eq(&e.src, &gateway));
        size_t u = echo_unreachable(ask, n, &gateway, un, sizeof un);
        assert_int_equal(u, 2 * n); // as many bytes of header again, and all of the request
        assert_int_equal(echo_parse(un, u, &e), 0);
        assert_int_equal(e.kind, ECHO_UNREACHABLE);
        assert_int_equal(e.id, ECHO_ID);
        assert_true(bw_addr_eq(&e.quoted, &gateway) && bw_addr_eq(&e.dst, &me));
        assert_int_equal(echo_unreachable(ask, n, &gateway, un, u - 1), 0);
        for (size_t i = 0; i < n; i++) { // no flipped bit passes, but for those that neither checksum covers
            ask[i] ^= 1;
            bool header_only = v6 ? i < 8 && i != 6 : i < 20;
            int err = echo_parse(ask, n, &e);
            if (!header_only) assert_true(err || e.kind == ECHO_OTHER);
            ask[i] ^= 1;
            if (i) assert_int_equal(echo_parse(ask, i, &e), BW_ERR_MALFORMED);
        }
    }
}

// ---- the book ----

struct book_world {
    struct book b;
    struct bw_mem mem;
    uint32_t metric;
};

static uint32_t metric(void *ctx, const struct bw_addr *address, struct bw_addr *next_hop)
{
    struct book_world *w = ctx;
    *next_hop = *address;
    return w->metric;
}

static void book_start(struct book_world *w, const struct identity *self)
{
    *w = (struct book_world){.metric = 100};
    bw_mem_system(&w->mem);
    book_init(&w->b, &w->mem, &self->addr, metric, w);
}

static struct identity identity(uint8_t n)
{
    struct bw_rng rng;
    uint8_t seed[32] = {n};
    struct identity id;
    bw_rng_seed(&rng, seed);
    identity_draw(&id, &rng);
    return id;
}

static int offer_text(const struct identity *id, const char *name, char *out, size_t cap)
{
    struct offer o = {.version = 1, .address = id->addr, .v4 = true, .gateway4 = addr("100.80.0.1"), .mtu = 1380, .lifetime_s = 600};
    memcpy(o.key, id->sign_pk, 32);
    snprintf(o.name, sizeof o.name, "%s", name);
    return record_offer(id, &o, out, cap);
}

static void book_takes_only_what_is_signed(void **state)
{
    (void)state;
    struct identity self = identity(1), other = identity(2), third = identity(3);
    struct book_world w;
    struct book_entry *e;
    char text[SIGNED_MAX];
    bw_time now = 5 * BW_S;
    book_start(&w, &self);
    int n = offer_text(&other, "mill", text, sizeof text);
    assert_true(n > 0);
    char *name = strstr(text, "mill");
    name[0] = 'p';
    assert_int_equal(book_offer(&w.b, text, (size_t)n, NULL, now, &e), BW_ERR_AUTH);
    name[0] = 'm';
    assert_int_equal(book_offer(&w.b, text, (size_t)n, &third.addr, now, &e), 0); // passed on
    assert_false(e->direct);
    assert_string_equal(e->offer.name, "mill");
    n = offer_text(&other, "hill", text, sizeof text);
    assert_int_equal(book_offer(&w.b, text, (size_t)n, &other.addr, now, &e), 0);
    assert_true(e->direct);
    n = offer_text(&other, "till", text, sizeof text);
    assert_int_equal(book_offer(&w.b, text, (size_t)n, NULL, now, &e), 0); // hearsay does not replace it
    assert_string_equal(e->offer.name, "hill");
    n = offer_text(&self, "me", text, sizeof text);
    assert_int_equal(book_offer(&w.b, text, (size_t)n, NULL, now, &e), BW_ERR_EXISTS);
    struct offer_text texts[4];
    assert_int_equal(book_texts(&w.b, texts, 4), 1);
    // somebody signs an offer for an address that is not his
    struct offer lie = {.version = 1, .address = other.addr, .v4 = true, .gateway4 = addr("100.80.0.1"), .mtu = 1380, .lifetime_s = 60};
    memcpy(lie.key, third.sign_pk, 32);
    n = record_offer(&third, &lie, text, sizeof text);
    assert_int_equal(book_offer(&w.b, text, (size_t)n, &other.addr, now, &e), BW_ERR_AUTH);
    book_age(&w.b, now + 601 * BW_S);
    e = book_find(&w.b, &other.addr);
    assert_false(e->has_offer);
    book_free(&w.b);
    assert_int_equal(w.mem.used, 0);
}

static void book_is_bounded(void **state)
{
    (void)state;
    struct identity self = identity(1), other = identity(2);
    struct book_world w;
    struct book_entry *e;
    char text[SIGNED_MAX];
    bw_time now = 5 * BW_S;
    book_start(&w, &self);
    int n = offer_text(&other, "mill", text, sizeof text);
    assert_int_equal(book_offer(&w.b, text, (size_t)n, &other.addr, now, &e), 0);
    for (unsigned i = 1; i < 1000; i++) {
        struct bw_addr a = addr("fc99::1");
        a.b[8] = (uint8_t)(i >> 8);
        a.b[9] = (uint8_t)i;
        book_hear(&w.b, &a, now);
    }
    assert_true(book_find(&w.b, &other.addr)->has_offer);
    assert_null(book_hear(&w.b, &self.addr, now));
    struct bw_addr bad = addr("2001:db8::1");
    assert_null(book_hear(&w.b, &bad, now));
    assert_null(book_hear(&w.b, &bw_addr_any_exit, now));
    e = book_find(&w.b, &other.addr);
    assert_true(book_usable(e, now));
    for (unsigned i = 0; i < 20; i++) book_failed(e, now);
    assert_false(book_usable(e, now + 11 * BW_S));
    assert_true(book_usable(e, now + 12 * BW_S));
    w.metric = BOOK_UNREACHABLE;
    book_routes_changed(&w.b, now);
    assert_false(book_usable(e, now + 12 * BW_S));
    assert_int_equal(e->lost_at, now);
    book_free(&w.b);
}

int main(void)
{
    if (bw_crypto_init()) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uplink_black_hole),
        cmocka_unit_test(uplink_one_lost_probe_is_nothing),
        cmocka_unit_test(uplink_is_not_dead_where_the_loop_is_held_up),
        cmocka_unit_test(uplink_that_is_full_is_not_dead),
        cmocka_unit_test(uplink_cable_idle_and_trust),
        cmocka_unit_test(uplink_late_and_forged_results),
        cmocka_unit_test(pools),
        cmocka_unit_test(echoes),
        cmocka_unit_test(book_takes_only_what_is_signed),
        cmocka_unit_test(book_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
