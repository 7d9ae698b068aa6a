#include "unit/vectors.h"

#include "wire/wg.h"

static void test_types(void **state)
{
    (void)state;
    uint8_t p[256] = {0};
    const size_t len[] = {0, WG_INITIATION_LEN, WG_RESPONSE_LEN, WG_COOKIE_LEN};
    for (unsigned type = 0; type < 256; type++) {
        for (size_t n = 0; n < sizeof p; n++) {
            p[0] = (uint8_t)type;
            int t = wg_type(p, n);
            if (n < 4) assert_int_equal(t, BW_ERR_SHORT);
            else if (type == 0 || type > 4) assert_int_equal(t, BW_ERR_MALFORMED);
            else if (type == WG_DATA) assert_int_equal(t, n >= 32 ? WG_DATA : BW_ERR_SHORT);
            else assert_int_equal(t, n == len[type] ? (int)type : BW_ERR_SHORT);
        }
    }
    p[0] = 1;
    for (int i = 1; i < 4; i++) { // the reserved bytes are zero
        p[i] = 1;
        assert_int_equal(wg_type(p, WG_INITIATION_LEN), BW_ERR_MALFORMED);
        p[i] = 0;
    }
}

static void fill(void *p, size_t n)
{
    for (size_t i = 0; i < n; i++) ((uint8_t *)p)[i] = (uint8_t)(i * 7 + 1);
}

static void test_round_trips(void **state)
{
    (void)state;
    struct wg_initiation i, i2;
    struct wg_response r, r2;
    struct wg_cookie c, c2;
    uint8_t out[WG_INITIATION_LEN];
    memset(&i2, 0, sizeof i2), memset(&r2, 0, sizeof r2), memset(&c2, 0, sizeof c2);
    fill(&i, sizeof i), fill(&r, sizeof r), fill(&c, sizeof c);
    wg_initiation_encode(out, &i);
    assert_int_equal(wg_initiation_decode(out, WG_INITIATION_LEN, &i2), 0);
    assert_memory_equal(&i, &i2, sizeof i);
    assert_int_equal(wg_initiation_decode(out, WG_INITIATION_LEN - 1, &i2), BW_ERR_SHORT);
    assert_int_equal(wg_response_decode(out, WG_INITIATION_LEN, &r2), BW_ERR_MALFORMED);
    wg_response_encode(out, &r);
    assert_int_equal(wg_response_decode(out, WG_RESPONSE_LEN, &r2), 0);
    assert_memory_equal(&r, &r2, sizeof r);
    assert_int_equal(wg_cookie_decode(out, WG_RESPONSE_LEN, &c2), BW_ERR_MALFORMED);
    wg_cookie_encode(out, &c);
    assert_int_equal(wg_cookie_decode(out, WG_COOKIE_LEN, &c2), 0);
    assert_memory_equal(&c, &c2, sizeof c);
    assert_int_equal(wg_initiation_decode(out, WG_COOKIE_LEN, &i2), BW_ERR_MALFORMED);
}

// Where the paper's figures put the fields (section 5.4).
static void test_layout(void **state)
{
    (void)state;
    struct wg_initiation i = {.sender = 0x04030201, .ephemeral = {0xee}, .enc_static = {0x55}, .enc_timestamp = {0x77}};
    struct wg_response r = {.sender = 0x04030201, .receiver = 0x08070605, .ephemeral = {0xee}, .enc_nothing = {0x99}};
    struct wg_cookie c = {.receiver = 0x08070605, .nonce = {0xaa}, .enc_cookie = {0xcc}};
    uint8_t out[WG_INITIATION_LEN];
    wg_initiation_encode(out, &i);
    const uint8_t head1[] = {1, 0, 0, 0, 1, 2, 3, 4, 0xee};
    assert_memory_equal(out, head1, sizeof head1);
    assert_true(out[40] == 0x55 && out[88] == 0x77 && out[116] == 0 && out[147] == 0);
    wg_response_encode(out, &r);
    const uint8_t head2[] = {2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0xee};
    assert_memory_equal(out, head2, sizeof head2);
    assert_true(out[44] == 0x99 && out[60] == 0 && out[91] == 0);
    wg_cookie_encode(out, &c);
    const uint8_t head3[] = {3, 0, 0, 0, 5, 6, 7, 8, 0xaa};
    assert_memory_equal(out, head3, sizeof head3);
    assert_true(out[32] == 0xcc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_types), cmocka_unit_test(test_round_trips), cmocka_unit_test(test_layout)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
