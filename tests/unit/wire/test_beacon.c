#include "unit/vectors.h"

#include "wire/beacon.h"

static int make(uint8_t *out, const uint8_t *tail, size_t tail_len)
{
    struct beacon b = {.port = 4870, .tail = tail, .tail_len = tail_len};
    memset(b.sign_pk, 1, sizeof b.sign_pk);
    memset(b.tag, 2, sizeof b.tag);
    memset(b.instance, 3, sizeof b.instance);
    memset(b.stamp, 4, sizeof b.stamp);
    int n = beacon_encode(out, BEACON_MAX_LEN, &b);
    if (n > 0) memset(out + n, 5, BEACON_SIG_LEN);
    return n < 0 ? n : n + BEACON_SIG_LEN;
}

static void test_layout(void **state)
{
    (void)state;
    uint8_t out[BEACON_MAX_LEN];
    assert_int_equal(make(out, NULL, 0), BEACON_MIN_LEN);
    const uint8_t head[4] = {'B', 'Y', 'W', 1};
    assert_memory_equal(out, head, 4);
    assert_true(out[4] == 1 && out[35] == 1 && out[36] == 2 && out[43] == 2 && out[44] == 3 && out[51] == 3 && out[52] == 4 && out[63] == 4);
    const uint8_t rest[6] = {4870 >> 8, 4870 & 255};
    assert_memory_equal(out + 64, rest, 6);
    assert_int_equal(out[70], 5);
    assert_string_equal((const char *)beacon_label, "byway beacon v1");
}

static void test_round_trip(void **state)
{
    (void)state;
    uint8_t out[BEACON_MAX_LEN];
    const uint8_t tail[] = {200, 0, 7, 3, 'a', 'b', 'c'}; // types that nobody knows yet
    int n = make(out, tail, sizeof tail);
    struct beacon b;
    assert_int_equal(beacon_decode(out, (size_t)n, &b), 0);
    assert_int_equal(b.port, 4870);
    assert_int_equal(b.tail_len, sizeof tail);
    assert_memory_equal(b.tail, tail, sizeof tail);
    assert_ptr_equal(b.sig, out + n - BEACON_SIG_LEN);
    assert_true(b.sign_pk[31] == 1 && b.tag[7] == 2 && b.instance[7] == 3 && b.stamp[11] == 4);
}

static void test_refused(void **state)
{
    (void)state;
    uint8_t out[BEACON_MAX_LEN + 1] = {0};
    struct beacon b;
    const uint8_t tail[] = {7, 3, 'a', 'b', 'c'}, bad_tail[] = {7, 4, 'a', 'b', 'c'}, odd_tail[] = {7};
    int n = make(out, tail, sizeof tail);
    for (size_t k = 0; k < (size_t)n; k++) assert_true(beacon_decode(out, k, &b) < 0);
    assert_int_equal(beacon_decode(out, (size_t)n + 1, &b), BW_ERR_MALFORMED);
    assert_int_equal(beacon_decode(out, BEACON_MAX_LEN + 1, &b), BW_ERR_MALFORMED);
    n = make(out, bad_tail, sizeof bad_tail);
    assert_int_equal(beacon_decode(out, (size_t)n, &b), BW_ERR_MALFORMED);
    n = make(out, odd_tail, sizeof odd_tail);
    assert_int_equal(beacon_decode(out, (size_t)n, &b), BW_ERR_MALFORMED);
    n = make(out, NULL, 0);
    out[64] = out[65] = 0;
    assert_int_equal(beacon_decode(out, (size_t)n, &b), BW_ERR_MALFORMED); // port 0
    n = make(out, NULL, 0);
    out[3] = 2;
    assert_true(beacon_is(out, (size_t)n));
    assert_int_equal(beacon_decode(out, (size_t)n, &b), BW_ERR_UNSUPPORTED);
    out[0] = 4; // WireGuard's
    assert_false(beacon_is(out, (size_t)n));
    assert_int_equal(beacon_decode(out, (size_t)n, &b), BW_ERR_MALFORMED);
    uint8_t long_tail[BEACON_MAX_LEN] = {0};
    assert_int_equal(make(out, long_tail, BEACON_MAX_LEN - BEACON_MIN_LEN), BEACON_MAX_LEN);
    assert_int_equal(make(out, long_tail, BEACON_MAX_LEN - BEACON_MIN_LEN + 1), BW_ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layout), cmocka_unit_test(test_round_trip), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
