// The base layer: addresses and text against inet_ntop's habits and hand-made cases, cursors, memory, base64, SipHash.
#include "unit/vectors.h"

#include <stdlib.h>

#include "base/addr.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/time.h"

static void test_addresses(void **state)
{
    (void)state;
    struct bw_addr a, b;
    char text[BW_ADDR_TEXT];
    const char *same[] = {"::", "::1", "fe80::1", "2001:db8::8:800:200c:417a", "10.1.2.3", "255.255.255.255", "fc00::e", "1:2:3:4:5:6:7:8"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_int_equal(bw_addr_parse(same[i], &a), 0);
        assert_string_equal(bw_addr_text(&a, text), same[i]);
    }
    assert_int_equal(bw_addr_parse("2001:DB8:0:0:1::0", &a), 0);
    assert_string_equal(bw_addr_text(&a, text), "2001:db8:0:0:1::");
    const char *bad[] = {"", " ::1", "::1 ", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4x", "12345::", "::1%3", "1::2::3", "g::"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(bw_addr_parse(bad[i], &a), BW_ERR_MALFORMED);
    assert_int_equal(bw_addr_parse("192.0.2.1", &a), 0);
    assert_int_equal(bw_addr_parse("::ffff:192.0.2.1", &b), 0);
    assert_true(bw_addr_eq(&a, &b) && bw_addr_is_v4(&a));
    const char *mesh[] = {"fc01::1", "fc00:1::", "fcff:ffff::", "fc00:0:1::1"};
    const bool is[] = {true, true, true, false};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(bw_addr_parse(mesh[i], &a), 0);
        assert_int_equal(bw_addr_is_mesh(&a), is[i]);
    }
    assert_false(bw_addr_is_mesh(&bw_addr_any_exit));
    assert_string_equal(bw_addr_text(&bw_addr_any_exit, text), "fc00::e");
    assert_int_equal(bw_addr_parse("169.254.3.4", &a), 0);
    assert_true(bw_addr_is_linklocal(&a));
    assert_int_equal(bw_addr_parse("febf::1", &a), 0);
    assert_true(bw_addr_is_linklocal(&a));
    assert_int_equal(bw_addr_parse("fec0::1", &a), 0);
    assert_false(bw_addr_is_linklocal(&a));
    assert_int_equal(bw_addr_parse("239.1.1.1", &a), 0);
    assert_true(bw_addr_is_multicast(&a));
    assert_int_equal(bw_addr_parse("ff02::1", &a), 0);
    assert_true(bw_addr_is_multicast(&a));
}

static void test_prefixes(void **state)
{
    (void)state;
    struct bw_prefix p, q;
    char text[BW_PREFIX_TEXT];
    const char *same[] = {"::/0", "0.0.0.0/0", "10.0.0.0/8", "fc00::/8", "2001:db8::1/128", "192.0.2.1/32", "128.0.0.0/1"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_int_equal(bw_prefix_parse(same[i], &p), 0);
        assert_string_equal(bw_prefix_text(&p, text), same[i]);
    }
    const char *bad[] = {"10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.1/8", "::1/64", "10.0.0.0/8 ", "10.0.0.0/-1", "/8", "::/0x0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_true(bw_prefix_parse(bad[i], &p) < 0);
    assert_int_equal(bw_prefix_parse("10.1.0.0/16", &p), 0);
    assert_int_equal(bw_prefix_parse("10.0.0.0/8", &q), 0);
    assert_true(bw_prefix_overlaps(&p, &q) && bw_prefix_overlaps(&q, &p));
    assert_true(bw_prefix_has(&q, &p.addr));
    assert_int_equal(bw_prefix_parse("11.0.0.0/8", &q), 0);
    assert_false(bw_prefix_overlaps(&p, &q));
    struct bw_addr ones;
    memset(ones.b, 0xff, 16);
    for (unsigned len = 0; len <= 128; len++) { // the stupid twin: bit by bit
        p = bw_prefix_make(&ones, (uint8_t)len);
        for (unsigned bit = 0; bit < 128; bit++) assert_int_equal(p.addr.b[bit / 8] >> (7 - bit % 8) & 1, bit < len);
        assert_true(bw_prefix_has(&p, &ones));
    }
}

static void test_endpoints(void **state)
{
    (void)state;
    struct bw_endpoint e;
    char text[BW_ENDPOINT_TEXT];
    const char *same[] = {"1.2.3.4:5", "[2001:db8::1]:65535", "[fe80::1%3]:4870", "[fe80::1%4294967295]:1"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_int_equal(bw_endpoint_parse(same[i], &e), 0);
        assert_string_equal(bw_endpoint_text(&e, text), same[i]);
    }
    const char *bad[] = {"", "1.2.3.4", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "::1:5", "[::1]", "[::1]5", "[::1]:5x", "[fe80::1%]:5",
                         "[fe80::1%eth0]:5", "[fe80::1%4294967296]:5", "[::1:5", "host:5", "1.2.3.4:+5", "1.2.3.4: 5", "[]:5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (bw_endpoint_parse(bad[i], &e) >= 0) fail_msg("%s was taken", bad[i]);
}

static void test_cursors(void **state)
{
    (void)state;
    uint8_t buf[32];
    struct bw_wr w = bw_wr(buf, sizeof buf);
    bw_wr_u8(&w, 1);
    bw_wr_be16(&w, 0x0203);
    bw_wr_be32(&w, 0x04050607);
    bw_wr_be64(&w, 0x08090a0b0c0d0e0full);
    bw_wr_le32(&w, 0x13121110);
    bw_wr_le64(&w, 0x1b1a191817161514ull);
    bw_wr_be(&w, 0x1c1d1e, 3);
    assert_int_equal(bw_wr_len(&w), 30);
    for (unsigned i = 0; i < 15; i++) assert_int_equal(buf[i], i + 1);
    for (unsigned i = 15; i < 30; i++) assert_int_equal(buf[i], i + 1);
    struct bw_rd r = bw_rd(buf, 30);
    assert_int_equal(bw_rd_u8(&r), 1);
    assert_int_equal(bw_rd_be16(&r), 0x0203);
    assert_int_equal(bw_rd_be32(&r), 0x04050607);
    assert_true(bw_rd_be64(&r) == 0x08090a0b0c0d0e0full);
    assert_int_equal(bw_rd_le32(&r), 0x13121110);
    assert_true(bw_rd_le64(&r) == 0x1b1a191817161514ull);
    assert_int_equal(bw_rd_be(&r, 3), 0x1c1d1e);
    assert_false(r.bad);
    assert_int_equal(bw_rd_left(&r), 0);
    assert_int_equal(bw_rd_be32(&r), 0); // past the end: zeros, and it stays bad
    assert_true(r.bad);
    r = bw_rd(buf, 3);
    assert_null(bw_rd_take(&r, 4));
    assert_null(bw_rd_take(&r, 1));
    memset(buf, 0xee, sizeof buf);
    w = bw_wr(buf, 2);
    bw_wr_be32(&w, 7);
    bw_wr_u8(&w, 7);
    assert_true(w.bad && bw_wr_len(&w) == 0 && buf[0] == 0xee);
    r = bw_rd(NULL, 0);
    assert_int_equal(bw_rd_left(&r), 0);
}

static void test_memory(void **state)
{
    (void)state;
    struct bw_mem m;
    bw_mem_system(&m);
    uint8_t *p = bw_alloc(&m, 10);
    for (int i = 0; i < 10; i++) assert_int_equal(p[i], 0);
    memset(p, 7, 10);
    p = bw_resize(&m, p, 10, 100);
    for (int i = 0; i < 100; i++) assert_int_equal(p[i], i < 10 ? 7 : 0);
    assert_int_equal(m.used, 100);
    p = bw_resize(&m, p, 100, 5);
    assert_int_equal(m.used, 5);
    assert_int_equal(m.peak, 100);
    bw_free(&m, p, 5);
    bw_free(&m, NULL, 5);
    assert_int_equal(m.used, 0);
}

static void test_base64_and_hex(void **state)
{
    (void)state;
    const char *plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"}; // RFC 4648 section 10
    const char *coded[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    char text[64];
    uint8_t back[32];
    for (size_t i = 0; i < 7; i++) {
        size_t n = strlen(plain[i]);
        assert_string_equal(bw_base64_encode(plain[i], n, text), coded[i]);
        assert_int_equal(bw_base64_decode(coded[i], back, n), 0);
        assert_memory_equal(back, plain[i], n);
        if (n) assert_int_equal(bw_base64_decode(coded[i], back, n - 1), BW_ERR_MALFORMED);
        assert_int_equal(bw_base64_decode(coded[i], back, n + 1), BW_ERR_MALFORMED);
    }
    const char *bad[] = {"Zh==", "Zg=", "Zg", "Zg==x", "Z===", "=g==", "Z\n==", "Zg=="};
    for (size_t i = 0; i + 1 < sizeof bad / sizeof *bad; i++) assert_int_equal(bw_base64_decode(bad[i], back, 1), BW_ERR_MALFORMED);
    assert_string_equal(bw_hex_encode("\x00\xff\x1a", 3, text), "00ff1a");
    assert_int_equal(bw_hex_decode("00fF1A", back, 3), 0);
    assert_memory_equal(back, "\x00\xff\x1a", 3);
    assert_int_equal(bw_hex_decode("00ff1", back, 3), BW_ERR_MALFORMED);
    assert_int_equal(bw_hex_decode("00ff1g", back, 3), BW_ERR_MALFORMED);
}

static void test_text_in_a_room(void **state)
{
    (void)state;
    char room[8];
    struct bw_text t = {.p = room, .cap = sizeof room};
    bw_put(&t, "%d-", 12);
    bw_put(&t, "%s", "abcd"); // the last that fits: the NUL has room
    assert_string_equal(room, "12-abcd");
    assert_true(t.n == 7 && !t.full);
    bw_put(&t, "%s", "");
    assert_false(t.full);
    t.n = 3;
    bw_put(&t, "%s", "abcde");
    assert_true(t.full && t.n == 3);
    assert_string_equal(room, "12-"); // nothing in part
    bw_put(&t, "x");
    assert_string_equal(room, "12-"); // and nothing behind what is missing
    struct bw_text none = {0};
    bw_put(&none, "x");
    assert_true(none.full && !none.n);
}

// Says no from the given byte on, and looks whether what comes back was wiped.
struct strict_mem {
    struct bw_mem mem, heap;
    size_t most;
    bool unwiped;
};
static void *strict_resize(struct bw_mem *m, void *old, size_t old_size, size_t new_size)
{
    struct strict_mem *s = (struct strict_mem *)m;
    for (size_t i = 0; i < old_size; i++) s->unwiped |= ((char *)old)[i] != 0;
    if (new_size && m->used + new_size > s->most) return NULL;
    return s->heap.resize(&s->heap, old, old_size, new_size);
}

static void test_text_that_grows(void **state)
{
    (void)state;
    struct strict_mem s = {.mem.resize = strict_resize, .most = 100000};
    bw_mem_system(&s.heap);
    struct bw_text t = {.mem = &s.mem};
    char want[20000];
    size_t n = 0;
    for (int i = 0; i < 2000; i++) {
        bw_put(&t, "line %d\n", i);
        n += (size_t)snprintf(want + n, sizeof want - n, "line %d\n", i);
    }
    want[5000] = 0;
    bw_put(&t, "%s", want); // longer than what is there to spare
    assert_false(t.full);
    assert_true(t.n == n + 5000 && t.p[t.n] == 0 && !memcmp(t.p + n, want, 5001));
    size_t before = t.n;
    s.most = t.cap + 100;
    while (!t.full && t.n < 200000) bw_put(&t, "%s", want);
    assert_true(t.full && t.n < t.cap && (t.n - before) % 5000 == 0 && t.p[t.n] == 0);
    bw_text_free(&t);
    assert_true(!t.p && !t.n && !t.full && !s.mem.used && !s.unwiped);
    s.most = 0;
    bw_put(&t, "x");
    assert_true(t.full && !t.p);
    bw_text_free(&t);
}

// The first and the last of the vectors that come with SipHash-2-4: key 00..0f, input 00..n-1.
static void test_siphash(void **state)
{
    (void)state;
    uint8_t key[16], in[64];
    for (size_t i = 0; i < sizeof in; i++) in[i] = (uint8_t)i;
    memcpy(key, in, 16);
    assert_true(bw_siphash(key, in, 0) == 0x726fdb47dd0e0e31ull);
    assert_true(bw_siphash(key, in, 15) == 0xa129ca6149be45e5ull); // the paper's own example
}

static char last_line[1100];
static void keep(void *ctx, enum bw_level level, const char *text)
{
    (void)ctx, (void)level;
    snprintf(last_line, sizeof last_line, "%s", text);
}

static void test_log_and_errors(void **state)
{
    (void)state;
    struct bw_log log = {.line = keep, .level = BW_INFO};
    bw_log(NULL, BW_ERROR, "nowhere");
    bw_log(&log, BW_DEBUG, "not this");
    assert_string_equal(last_line, "");
    bw_log(&log, BW_INFO, "%d links", 3);
    assert_string_equal(last_line, "3 links");
    char longer[2000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    bw_log(&log, BW_ERROR, "%s", longer);
    assert_int_equal(strlen(last_line), 999);
    for (int i = BW_OK; i >= BW_ERR_UNSUPPORTED; i--) assert_string_not_equal(bw_strerror(i), "unknown error");
    assert_string_equal(bw_strerror(-99), "unknown error");
    assert_true(bw_time_min(BW_S, BW_NEVER) == 1000 * BW_MS);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void test_permutation(void **state)
{
    (void)state;
    enum { N = 1 << 18 };
    static uint32_t all[N];
    const uint8_t key[16] = {1}, other[16] = {2};
    unsigned near = 0, same = 0;
    uint32_t was = 0, bits = 0;
    for (uint32_t i = 0; i < N; i++) {
        uint32_t v = bw_permute32(key, i);
        all[i] = v;
        near += v - was + 0x8000 < 0x10000; // a step that an onlooker could guess: 1 in 65,536
        same += v == bw_permute32(other, i);
        bits += (uint32_t)__builtin_popcount(v ^ was);
        was = v;
    }
    assert_in_range(near, 0, 20);
    assert_in_range(same, 0, 1);
    assert_in_range(bits / (N / 16), 15 * 16, 17 * 16);
    qsort(all, N, sizeof *all, by_size);
    for (unsigned i = 1; i < N; i++) assert_int_not_equal(all[i - 1], all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_prefixes), cmocka_unit_test(test_endpoints), cmocka_unit_test(test_cursors),
        cmocka_unit_test(test_memory), cmocka_unit_test(test_base64_and_hex), cmocka_unit_test(test_siphash), cmocka_unit_test(test_permutation), cmocka_unit_test(test_text_in_a_room), cmocka_unit_test(test_text_that_grows), cmocka_unit_test(test_log_and_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
