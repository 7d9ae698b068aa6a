// What a wire does to frames, at times that we choose.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lab/impair.h"

static struct imp_spec spec_of(const char *words)
{
    struct imp_spec s = {0};
    char copy[200], err[200], *save;
    strcpy(copy, words);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) assert_int_equal(imp_spec_word(&s, w, err, sizeof err), 0);
    return s;
}

static void start(struct imp *q, const char *words)
{
    struct imp_spec s = spec_of(words);
    imp_init(q, 1);
    imp_set(q, &s);
}

static enum imp_fate offer(struct imp *q, bw_time now, uint32_t number)
{
    return imp_offer(q, now, &number, sizeof number, 1500);
}

// The number of the next frame that is due, or -1.
static int64_t take(struct imp *q, bw_time now)
{
    size_t len;
    const void *f = imp_due(q, now, &len);
    uint32_t number;
    if (!f) return -1;
    assert_int_equal(len, sizeof number);
    memcpy(&number, f, sizeof number);
    imp_pop(q);
    return number;
}

static void perfect(void **state)
{
    (void)state;
    struct imp q;
    start(&q, "up");
    for (uint32_t i = 0; i < 1000; i++) assert_int_equal(offer(&q, i, i), IMP_PASS);
    assert_int_equal(q.n.frames, 1000);
    assert_int_equal(q.n.bytes, 1500000);
    assert_true(imp_deadline(&q) == BW_NEVER);
    imp_free(&q);
}

static void delay(void **state)
{
    (void)state;
    struct imp q;
    start(&q, "delay=20ms");
    assert_int_equal(offer(&q, 1000, 1), IMP_HELD);
    assert_int_equal(offer(&q, 1500, 2), IMP_HELD);
    assert_int_equal(imp_deadline(&q), 21000);
    assert_int_equal(take(&q, 20999), -1);
    assert_int_equal(take(&q, 21000), 1);
    assert_int_equal(take(&q, 21000), -1);
    assert_int_equal(take(&q, 22000), 2);
    // Delay taken away: what comes later does not overtake what is under way.
    assert_int_equal(offer(&q, 30000, 3), IMP_HELD);
    imp_set(&q, &(struct imp_spec){0});
    assert_int_equal(offer(&q, 30001, 4), IMP_HELD);
    assert_int_equal(take(&q, 50000), 3);
    assert_int_equal(take(&q, 50000), 4);
    assert_int_equal(offer(&q, 50001, 5), IMP_PASS);
    imp_free(&q);
}

static void jitter_keeps_order(void **state)
{
    (void)state;
    struct imp q;
    start(&q, "delay=20ms jitter=10ms");
    int64_t last = -1, sum = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        bw_time now = i * 50000ull, due;
        offer(&q, now, i);
        due = imp_deadline(&q);
        assert_in_range(due - now, 10000, 30000);
        sum += (int64_t)(due - now);
        int64_t n = take(&q, due);
        assert_int_equal(n, last + 1);
        last = n;
    }
    assert_in_range(sum / 2000, 19500, 20500);
    for (uint32_t i = 0; i < 500; i++) offer(&q, 200000000ull + i * 100, i);
    for (uint32_t i = 0; i < 500; i++) assert_int_equal(take(&q, 300000000ull), i);
    imp_free(&q);
}

static void loss_and_copies(void **state)
{
    (void)state;
    struct imp q;
    start(&q, "loss=5% duplicate=2%");
    for (uint32_t i = 0; i < 100000; i++) {
        offer(&q, i, i);
        while (take(&q, i) >= 0) continue;
    }
    assert_in_range(q.n.lost, 4700, 5300);
    assert_in_range(q.n.duplicated, 1750, 2050);
    assert_int_equal(q.n.frames + q.n.lost, 100000);
    imp_free(&q);
}

static void reordering(void **state)
{
    (void)state;
    struct imp q;
    start(&q, "delay=10ms reorder=10%");
    int64_t highest = -1, behind = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        offer(&q, i * 1000ull, i);
        for (int64_t n; (n = take(&q, i * 1000ull)) >= 0;) {
            behind += n < highest;
            if (n > highest) highest = n;
        }
    }
    assert_in_range(q.n.reordered, 900, 1100);
    assert_in_range(behind, 850, 1100);
    imp_free(&q);
}

// 10 Mbit/s and a queue of 30 kB: 1,500 bytes take 1.2 ms, and 20 frames wait.
static void rate(void **state)
{
    (void)state;
    struct imp q;
    start(&q, "rate=10mbit queue=30kb");
    int passed = 0;
    for (uint32_t i = 0; i < 100; i++) passed += offer(&q, 0, i) == IMP_HELD;
    assert_in_range(passed, 20, 21);
    assert_int_equal(q.n.overflowed, 100 - passed);
    assert_int_equal(imp_deadline(&q), 1200);
    assert_int_equal(take(&q, 1200), 0);
    assert_int_equal(take(&q, 1200), -1);
    assert_int_equal(take(&q, 2400), 1);
    while (take(&q, 1000000) >= 0) continue;
    // Over a second it passes 10 Mbit, however hard one pushes.
    uint64_t before = q.n.bytes;
    for (bw_time t = 1000000; t < 2000000; t += 100) {
        offer(&q, t, 0);
        while (take(&q, t) >= 0) continue;
    }
    assert_in_range(q.n.bytes - before, 1250000 - 1500, 1250000 + 31500);
    imp_free(&q);
}

static void cut_loses_what_is_under_way(void **state)
{
    (void)state;
    struct imp q;
    start(&q, "delay=1s");
    for (uint32_t i = 0; i < 10; i++) offer(&q, 0, i);
    struct imp_spec s = spec_of("delay=1s cut");
    imp_set(&q, &s);
    assert_int_equal(q.held, 0);
    assert_int_equal(q.n.cut, 10);
    assert_int_equal(offer(&q, 1, 1), IMP_GONE);
    assert_int_equal(q.n.cut, 11);
    imp_free(&q);
}

static void bounded_memory(void **state)
{
    (void)state;
    struct imp q;
    start(&q, "delay=60s");
    static uint8_t frame[65536];
    for (int i = 0; i < 2000; i++) imp_offer(&q, 0, frame, sizeof frame, sizeof frame);
    assert_true(q.held_bytes <= IMP_HELD_BYTES_MAX);
    assert_int_equal(q.n.overflowed, 2000 - IMP_HELD_BYTES_MAX / 65536);
    imp_free(&q);
}

// The heap against a sorted list: random delays by random settings, everything comes out in order of its time.
static void heap_against_list(void **state)
{
    (void)state;
    struct imp q;
    imp_init(&q, 7);
    unsigned seed = 5;
    bw_time due[3000];
    for (uint32_t i = 0; i < 3000; i++) {
        struct imp_spec s = {.delay_us = 1 + (unsigned)rand_r(&seed) % 5000};
        imp_set(&q, &s);
        q.last_due = 0; // each on its own
        offer(&q, 0, i);
        due[i] = s.delay_us;
    }
    bw_time last = 0;
    int64_t last_number = -1;
    for (int i = 0; i < 3000; i++) {
        bw_time t = imp_deadline(&q);
        int64_t n = take(&q, t);
        assert_true(n >= 0 && due[n] == t && t >= last);
        if (t == last) assert_true(n > last_number);
        last = t;
        last_number = n;
    }
    assert_true(imp_deadline(&q) == BW_NEVER);
    imp_free(&q);
}

static void super_frames(void **state)
{
    (void)state;
    assert_int_equal(imp_wire_bytes(1514, 66, 0), 1514);
    assert_int_equal(imp_wire_bytes(66 + 1448, 66, 1448), 66 + 1448);
    assert_int_equal(imp_wire_bytes(66 + 2 * 1448, 66, 1448), 2 * (66 + 1448));
    assert_int_equal(imp_wire_bytes(66 + 1449, 66, 1448), 2 * 66 + 1449);
    assert_int_equal(imp_wire_bytes(60, 66, 1448), 60);
}

static void words(void **state)
{
    (void)state;
    char text[IMP_SPEC_TEXT], err[200];
    static const char *const same[] = {
        "up", "cut", "down", "loss=5%", "loss=0.25% delay=20ms jitter=5ms rate=10mbit", "cut delay=1.5s",
        "rate=64kbit queue=64kb reorder=1% duplicate=2%", "delay=250us",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct imp_spec s = spec_of(same[i]);
        assert_string_equal(imp_spec_text(&s, text), same[i]);
    }
    struct imp_spec s = spec_of("loss=5% delay=20ms cut");
    assert_int_equal(imp_spec_word(&s, "up", err, sizeof err), 0);
    assert_string_equal(imp_spec_text(&s, text), "loss=5% delay=20ms");
    assert_int_equal(imp_spec_word(&s, "loss=none", err, sizeof err), 0);
    assert_string_equal(imp_spec_text(&s, text), "delay=20ms");
    assert_int_equal(imp_spec_word(&s, "clear", err, sizeof err), 0);
    assert_string_equal(imp_spec_text(&s, text), "up");
    static const char *const wrong[] = {"", "loss", "loss=", "loss=5", "loss=101%", "loss=-1%", "delay=20", "delay=1e3ms",
                                        "delay=5min", "rate=10", "rate=1.2.3mbit", "queue=1gb", "colour=red", "=", "loss=%",
                                        "loss=.5%", "rate=99999999999999999999999mbit", "lossy=5%"};
    struct imp_spec before = s;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        *err = 0;
        assert_true(imp_spec_word(&s, wrong[i], err, sizeof err) < 0);
        assert_true(strlen(err) > 10);
        assert_memory_equal(&s, &before, sizeof s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(perfect),         cmocka_unit_test(delay),
        cmocka_unit_test(jitter_keeps_order), cmocka_unit_test(loss_and_copies),
        cmocka_unit_test(reordering),      cmocka_unit_test(rate),
        cmocka_unit_test(cut_loses_what_is_under_way), cmocka_unit_test(bounded_memory),
        cmocka_unit_test(heap_against_list), cmocka_unit_test(super_frames),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
