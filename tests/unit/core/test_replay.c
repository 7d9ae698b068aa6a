// The window against a stupid twin: the set of all counters ever accepted.
#include "unit/vectors.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/link/replay.h"
#include "crypto/crypto.h"

#define SPAN 400000u

static void check_random(uint64_t base, uint32_t reach, uint8_t seed0)
{
    static uint8_t seen[SPAN];
    memset(seen, 0, sizeof seen);
    struct replay r;
    struct bw_rng rng;
    uint8_t seed[32] = {seed0};
    bw_rng_seed(&rng, seed);
    replay_init(&r);
    uint64_t newest = base;
    bool any = false;
    for (int i = 0; i < 300000; i++) {
        uint64_t c;
        switch (bw_rng_below(&rng, 4)) {
        case 0: c = newest + 1 + bw_rng_below(&rng, 3); break;
        case 1: c = newest + bw_rng_below(&rng, reach); break;
        default: c = newest - bw_rng_below(&rng, reach); break;
        }
        if (c < base || c >= base + SPAN) continue;
        bool got = replay_accept(&r, c);
        if (seen[c - base]) assert_false(got);
        else if (!any || c >= newest || newest - c <= REPLAY_WINDOW) assert_true(got);
        if (!got) continue;
        seen[c - base] = 1;
        if (!any || c > newest) newest = c;
        any = true;
    }
}

static void test_against_twin(void **state)
{
    (void)state;
    for (uint8_t i = 0; i < 4; i++) {
        check_random(0, 5, i);
        check_random(0, 3000, i);
        check_random(0, 2 * REPLAY_WINDOW, i);
        check_random((1ull << 44) - 77, 9000, i);
        check_random(REPLAY_LIMIT - SPAN, 9000, i);
    }
}

static void test_edges(void **state)
{
    (void)state;
    struct replay r;
    replay_init(&r);
    assert_true(replay_accept(&r, 0));
    assert_false(replay_accept(&r, 0));
    assert_true(replay_accept(&r, REPLAY_WINDOW));
    assert_true(replay_accept(&r, 1)); // exactly at the window's edge or inside it
    assert_false(replay_accept(&r, 1));
    assert_true(replay_accept(&r, REPLAY_LIMIT - 1));
    assert_false(replay_accept(&r, REPLAY_LIMIT - 1));
    assert_false(replay_accept(&r, REPLAY_LIMIT));
    assert_false(replay_accept(&r, UINT64_MAX));
    assert_true(replay_accept(&r, REPLAY_LIMIT - 1 - REPLAY_WINDOW));
}

// Threads that all try the same counters: each counter goes to exactly one of them.
#define THREADS 4
#define COUNTERS 60000u
static struct replay shared;
static void *worker(void *arg)
{
    size_t *mine = arg;
    for (uint64_t c = 0; c < COUNTERS; c++) *mine += replay_accept(&shared, c ^ 7);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t t[THREADS];
    size_t won[THREADS] = {0}, sum = 0;
    replay_init(&shared);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&t[i], NULL, worker, &won[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        sum += won[i];
    }
    assert_true(sum <= COUNTERS); // a thread that lags by more than the window leaves gaps; none is taken twice
    assert_true(sum > COUNTERS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_twin), cmocka_unit_test(test_edges), cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
