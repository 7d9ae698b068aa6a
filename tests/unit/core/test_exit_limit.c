// Rates shared out and volumes counted, with clients that send as fast as they are let.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/exit/limit.h"

#define CLIENTS 50
#define MBIT 1000000ull

struct world {
    struct bw_mem mem;
    struct limits l;
    struct limit_use use[CLIENTS];
    struct limit_client c[CLIENTS];
    uint64_t wants[CLIENTS]; // bit/s down
    uint64_t got[CLIENTS];   // bytes, ever
    uint64_t owner;          // bit/s that the owner takes
    uint64_t uplink;         // bytes so far, with those that were turned away here
    unsigned header;         // bytes of each packet that only the uplink's counter knows
    unsigned push;           // per cent more than what they get that clients send, whatever they want; 0: what they want
    uint64_t sent[CLIENTS], had[CLIENTS]; // bytes: that came here, that it had got a quarter of a second ago
    uint64_t link;           // what the uplink can do, bit/s; 0: anything
    unsigned count;
    int64_t unix_s;
    bw_time now;
};

static void start(struct world *w, unsigned count, const struct limit_config *c)
{
    memset(w, 0, sizeof *w);
    bw_mem_system(&w->mem);
    w->now = 5 * BW_S;
    w->unix_s = 1760000000;
    w->count = count;
    assert_int_equal(limits_init(&w->l, &w->mem), 0);
    limits_config(&w->l, c);
    for (unsigned i = 0; i < count; i++) {
        w->c[i] = (struct limit_client){&w->use[i], fwd_tunnel_shared_new(&w->mem)};
        limits_start(&w->l, &w->use[i], w->c[i].shared);
    }
}

static void stop(struct world *w)
{
    for (unsigned i = 0; i < w->count; i++) fwd_tunnel_shared_unref(w->c[i].shared);
    limits_free(&w->l);
    assert_int_equal(w->mem.used, 0);
}

// A thousand rounds a second: everybody offers its packets, in an order that changes.
static void run(struct world *w, bw_time span)
{
    static uint64_t owed[CLIENTS];
    bw_time end = w->now + span, tick = w->now;
    memset(owed, 0, sizeof owed);
    for (unsigned turn = 0; w->now < end; w->now += 1 * BW_MS, turn++) {
        uint64_t room = w->link ? w->link / 8000 : UINT64_MAX; // bytes that fit through in this round
        for (unsigned k = 0; k < w->count; k++) {
            unsigned i = (k + turn * 7) % w->count;
            struct fwd_tunnel_shared *s = w->c[i].shared;
            owed[i] += w->wants[i] / 8000;
            while (owed[i] >= 1000) {
                owed[i] -= 1000;
                if (room < 1000) continue; // lost before it came here
                w->uplink += 1000 + w->header;
                w->sent[i] += 1000;
                if (!shape_pass(&s->to_peer, 1000, w->now) || !shape_pass(&w->l.all->to_peer, 1000, w->now)) continue;
                room -= 1000;
                atomic_fetch_add(&s->tx_bytes, 1000);
                w->got[i] += 1000;
            }
        }
        w->uplink += w->owner / 8000;
        if (w->now < tick) continue;
        limits_uplink(&w->l, w->uplink, 0, w->c, w->count, w->now);
        limits_tick(&w->l, w->c, w->count, w->unix_s, w->now);
        tick = w->now + LIMIT_TICK_US;
        for (unsigned i = 0; w->push && i < w->count; i++) { // as a sender that paces itself by what arrives
            uint64_t got = atomic_load(&w->c[i].shared->tx_bytes), bps = (got - w->had[i]) * 8 * BW_S / LIMIT_TICK_US;
            w->wants[i] = bps / 100 * (100 + w->push) + 200000;
            w->had[i] = got;
        }
    }
}

static uint64_t rate(struct world *w, unsigned i, bw_time span)
{
    return w->got[i] * 8 * BW_S / span;
}

static uint64_t measure(struct world *w, bw_time span)
{
    uint64_t all = 0;
    memset(w->got, 0, sizeof w->got);
    run(w, span);
    for (unsigned i = 0; i < w->count; i++) all += w->got[i];
    return all * 8 * BW_S / span;
}

static double jain(const struct world *w)
{
    double sum = 0, squares = 0;
    for (unsigned i = 0; i < w->count; i++) {
        sum += (double)w->got[i];
        squares += (double)w->got[i] * (double)w->got[i];
    }
    return sum * sum / (w->count * squares);
}

static void fifty_greedy_clients(void **state)
{
    (void)state;
    struct world w;
    start(&w, CLIENTS, &(struct limit_config){.all_bps = {100 * MBIT}});
    for (unsigned i = 0; i < CLIENTS; i++) w.wants[i] = (3 + i) * MBIT; // some much greedier than others
    run(&w, 3 * BW_S);
    uint64_t all = measure(&w, 10 * BW_S);
    assert_true(jain(&w) > 0.99);
    assert_in_range(all, 95 * MBIT, 104 * MBIT);
    stop(&w);
}

static void modest_ones_get_what_they_want(void **state)
{
    (void)state;
    struct world w;
    start(&w, 10, &(struct limit_config){.all_bps = {50 * MBIT}});
    for (unsigned i = 0; i < 10; i++) w.wants[i] = i < 6 ? 1 * MBIT : 100 * MBIT;
    run(&w, 3 * BW_S);
    measure(&w, 5 * BW_S);
    for (unsigned i = 0; i < 6; i++) assert_in_range(rate(&w, i, 5 * BW_S), 980000, 1020000);
    for (unsigned i = 6; i < 10; i++)
        assert_in_range(rate(&w, i, 5 * BW_S), 10 * MBIT, 11500000); // an even share of the 44 left
    w.wants[6] = w.wants[7] = w.wants[8] = 0; // what others leave is there for the one that wants it
    run(&w, 4 * BW_S);
    measure(&w, 5 * BW_S);
    assert_in_range(rate(&w, 9, 5 * BW_S), 40 * MBIT, 46 * MBIT);
    stop(&w);
}

static void each_has_a_limit(void **state)
{
    (void)state;
    struct world w;
    start(&w, 3, &(struct limit_config){.client_bps = {5 * MBIT}});
    for (unsigned i = 0; i < 3; i++) w.wants[i] = 50 * MBIT;
    run(&w, 1 * BW_S);
    measure(&w, 4 * BW_S);
    for (unsigned i = 0; i < 3; i++) assert_in_range(rate(&w, i, 4 * BW_S), 4900000, 5200000);
    stop(&w);
}

static void the_owner_has_a_floor(void **state)
{
    (void)state;
    struct world w;
    start(&w, 10, &(struct limit_config){.all_bps = {100 * MBIT}, .floor_bps = {20 * MBIT}});
    for (unsigned i = 0; i < 10; i++) w.wants[i] = 50 * MBIT;
    w.push = 20;
    run(&w, 5 * BW_S);
    w.push = 2;
    run(&w, 2 * BW_S);
    assert_in_range(measure(&w, 3 * BW_S), 95 * MBIT, 104 * MBIT); // all of it while the owner sleeps
    w.owner = 2 * MBIT;
    run(&w, 2 * BW_S);
    assert_in_range(measure(&w, 3 * BW_S), 83 * MBIT, 93 * MBIT); // room to grow
    w.owner = 40 * MBIT;
    run(&w, 2 * BW_S);
    assert_in_range(measure(&w, 3 * BW_S), 75 * MBIT, 83 * MBIT); // its floor, not more
    w.owner = 0;
    run(&w, 3 * BW_S);
    assert_in_range(measure(&w, 3 * BW_S), 95 * MBIT, 104 * MBIT);
    stop(&w);
}

static void senders_that_push_leave_the_owner_room(void **state)
{
    (void)state;
    struct world w;
    start(&w, 10, &(struct limit_config){.all_bps = {100 * MBIT}, .floor_bps = {20 * MBIT}});
    for (unsigned i = 0; i < 10; i++) w.wants[i] = 20 * MBIT;
    w.push = 20;
    w.header = 14;
    run(&w, 5 * BW_S);
    assert_in_range(measure(&w, 3 * BW_S), 95 * MBIT, 104 * MBIT); // neither frames' headers nor what is turned away are taken for the owner's
    w.owner = 15 * MBIT;
    run(&w, 5 * BW_S);
    memset(w.sent, 0, sizeof w.sent);
    uint64_t went = measure(&w, 5 * BW_S), came = 0;
    for (unsigned i = 0; i < w.count; i++) came += w.sent[i] * 8 / 5;
    assert_true(came > went + went / 10); // they do push
    assert_in_range(came, 76 * MBIT, 84 * MBIT);
    stop(&w);
}

static void without_a_limit_the_uplink_is_followed(void **state)
{
    (void)state;
    struct world w;
    start(&w, 4, &(struct limit_config){0});
    w.wants[0] = 500 * MBIT; // alone: nothing holds it
    run(&w, 2 * BW_S);
    assert_in_range(measure(&w, 2 * BW_S), 495 * MBIT, 505 * MBIT);
    for (unsigned i = 1; i < 4; i++) w.wants[i] = 30 * MBIT;
    w.link = 60 * MBIT;
    stop(&w);
    start(&w, 4, &(struct limit_config){0});
    w.wants[0] = 500 * MBIT;
    for (unsigned i = 1; i < 4; i++) w.wants[i] = 30 * MBIT;
    w.link = 60 * MBIT;
    run(&w, 10 * BW_S);
    uint64_t all = measure(&w, 10 * BW_S);
    assert_in_range(all, 54 * MBIT, 61 * MBIT); // the uplink is used
    assert_true(rate(&w, 0, 10 * BW_S) <
                18 * MBIT); // and the one that pushes hardest gets an even share of it and a little more
    stop(&w);
}

static void volumes(void **state)
{
    (void)state;
    struct world w;
    start(&w, 3, &(struct limit_config){.volume_client = 10 * MBIT});
    w.wants[0] = w.wants[1] = 8 * MBIT;
    run(&w, 6 * BW_S);
    assert_false(w.use[0].over);
    w.wants[1] = 100000;
    run(&w, 6 * BW_S);
    assert_true(w.use[0].over && w.use[0].dirty);
    assert_false(w.use[1].over || w.use[2].over);
    measure(&w, 10 * BW_S);
    assert_in_range(rate(&w, 0, 10 * BW_S), 200000, 320000); // slowed, not cut
    assert_in_range(rate(&w, 1, 10 * BW_S), 95000, 101000);
    w.wants[1] = 8 * MBIT;
    measure(&w, 1 * BW_S);
    assert_in_range(rate(&w, 1, 1 * BW_S), 7900000, 8100000); // the others are not
    w.unix_s += 31 * 86400;                                   // another month
    run(&w, 1 * BW_S);
    assert_false(w.use[0].over);
    limits_config(&w.l, &(struct limit_config){.volume = 1 * MBIT});
    run(&w, 3 * BW_S);
    for (unsigned i = 0; i < 3; i++) assert_true(w.use[i].over); // for all together
    limits_settle(&w.l, &w.use[0], w.c[0].shared, w.unix_s);     // what passed since the last tick
    uint64_t bytes = w.use[0].month_bytes;
    atomic_fetch_add(&w.c[0].shared->tx_bytes, 5000);
    w.use[0].seen[LIMIT_DOWN] = atomic_load(&w.c[0].shared->tx_bytes) - 5000;
    w.use[0].seen[LIMIT_UP] = 0;
    limits_settle(&w.l, &w.use[0], w.c[0].shared, w.unix_s);
    assert_int_equal(w.use[0].month_bytes, bytes + 5000);
    stop(&w);
}

static void months(void **state)
{
    (void)state;
    assert_int_equal(limits_month(0), 0);
    assert_int_equal(limits_month(1704067199), 0);
    assert_int_equal(limits_month(1704067200), 2024 * 12);      // 1 January 2024
    assert_int_equal(limits_month(1709164800), 2024 * 12 + 1);  // 29 February 2024
    assert_int_equal(limits_month(1709251200), 2024 * 12 + 2);  // 1 March 2024
    assert_int_equal(limits_month(1735689599), 2024 * 12 + 11); // the last second of 2024
    assert_int_equal(limits_month(1735689600), 2025 * 12);
}

static void bucket_counts_exactly(void **state)
{
    (void)state;
    struct shape s = {0};
    assert_true(shape_pass(&s, 65000, 1)); // no limit at first
    shape_set(&s, 8 * MBIT, 10000, 1000);  // a byte a microsecond, 10 ms ahead
    bw_time now = 1 * BW_S;
    for (unsigned i = 0; i < 10; i++) assert_true(shape_pass(&s, 1000, now));
    assert_false(shape_pass(&s, 1, now));
    assert_int_equal(atomic_load(&s.dropped), 1);
    assert_true(shape_pass(&s, 1000, now + 1000));
    assert_false(shape_pass(&s, 1000, now + 1000));
    assert_true(shape_pass(&s, 10000, now + 60 * BW_S)); // no more is saved up than a burst
    assert_false(shape_pass(&s, 1000, now + 60 * BW_S));
    shape_set(&s, SHAPE_FREE, 0, 0);
    assert_true(shape_pass(&s, 65000, now + 60 * BW_S));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifty_greedy_clients),
        cmocka_unit_test(modest_ones_get_what_they_want),
        cmocka_unit_test(each_has_a_limit),
        cmocka_unit_test(the_owner_has_a_floor),
        cmocka_unit_test(senders_that_push_leave_the_owner_room),
        cmocka_unit_test(without_a_limit_the_uplink_is_followed),
        cmocka_unit_test(volumes),
        cmocka_unit_test(months),
        cmocka_unit_test(bucket_counts_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
