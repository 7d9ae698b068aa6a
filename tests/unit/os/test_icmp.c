// os/icmp through a real router: echo, hop limits, unreachable, both families; the decoders on cut and wrong packets.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/icmp.h"
#include "os/why.h"
#include "unit/os/scratch.h"
#include "unit/os/three.h"
#include "unit/parse.h"

static bool have_space;
static char why[OS_WHY];

static int enter(void **state)
{
    (void)state;
    return three_make(&have_space) ? 0 : -1;
}

struct heard {
    struct os_icmp *ic;
    struct os_icmp_reply last;
    volatile bool done;
    int count;
    bool close_at_once;
};

static void on_reply(void *ctx, const struct os_icmp_reply *r)
{
    struct heard *h = ctx;
    h->last = *r;
    h->done = true;
    h->count++;
    if (h->close_at_once) os_icmp_close(h->ic);
}

static void ask(uv_loop_t *loop, struct heard *h, const char *to, uint16_t seq, uint8_t hops, size_t size,
                enum os_icmp_kind kind, const char *from)
{
    struct bw_addr a = addr(to), f = addr(from);
    bw_time t = os_clock_now();
    h->done = false;
    assert_int_equal(os_icmp_send(h->ic, &a, seq, hops, size), 0);
    if (!loop_until(loop, &h->done, 4000)) fail_msg("no answer from %s", to);
    assert_int_equal(h->last.kind, kind);
    assert_true(bw_addr_eq(&h->last.from, &f));
    assert_true(bw_addr_eq(&h->last.target, &a));
    assert_int_equal(h->last.seq, seq);
    assert_true(h->last.at >= t);
}

static void through_a_router(void **state)
{
    (void)state;
    if (!have_space) skip();
    uv_loop_t loop;
    uv_loop_init(&loop);
    for (int v4 = 0; v4 < 2; v4++) {
        struct heard h = {0}, other = {0};
        struct os_icmp_config c = {.v4 = v4},
                              bound = {.v4 = v4, .src = addr(v4 ? "10.0.1.2" : "fd01::2"), .mark = 5, .device = "c0"};
        const char *server = v4 ? "10.0.2.2" : "fd02::2", *router = v4 ? "10.0.1.1" : "fd01::1";
        assert_int_equal(os_icmp_open(&loop, &c, on_reply, &other, &other.ic, why, sizeof why), 0);
        assert_int_equal(os_icmp_open(&loop, &bound, on_reply, &h, &h.ic, why, sizeof why), 0);
        ask(&loop, &h, server, 1, 0, 56, OS_ICMP_ECHO, server);
        assert_int_equal(h.last.hop_limit, 63);
        assert_int_equal(h.last.size, 64);
        ask(&loop, &h, server, 2, 2, 0, OS_ICMP_ECHO, server);
        ask(&loop, &h, server, 65535, 1, 1400, OS_ICMP_TIME_EXCEEDED, router);
        ask(&loop, &h, v4 ? "192.0.2.1" : "2001:db8::1", 4, 0, 8, OS_ICMP_UNREACHABLE, router);
        assert_int_equal(other.count, 0); // not its identifier
        struct bw_addr wrong = addr(v4 ? "fd02::2" : "10.0.2.2"), a = addr(server);
        assert_int_equal(os_icmp_send(h.ic, &wrong, 1, 0, 8), BW_ERR_RANGE);
        assert_int_equal(os_icmp_send(h.ic, &a, 1, 0, 1453), BW_ERR_RANGE);
        os_icmp_close(other.ic);
        h.close_at_once = true;
        ask(&loop, &h, server, 9, 0, 8, OS_ICMP_ECHO, server);
    }
    os_icmp_close(NULL);
    struct os_icmp *x;
    struct os_icmp_config c = {.src = addr("2001:db8::77")};
    assert_int_equal(os_icmp_open(&loop, &c, on_reply, NULL, &x, why, sizeof why), BW_ERR_SYS);
    assert_non_null(strstr(why, "cannot be sent"));
    assert_int_equal(loop_finish(&loop), 0);
}

static void decoders_take_anything(void **state)
{
    (void)state;
    struct os_icmp_reply r;
    // time exceeded that quotes our echo request to 192.0.2.9, id 0x1234 seq 7, with four bytes of IP options in the
    // quote
    uint8_t te[] = {0x45, 0, 0, 60, 0,   0, 0, 0, 61,   1, 0, 0,  10, 0, 0, 1, 10,   0,    0, 2,
                    11,   0, 0, 0,  0,   0, 0, 0, 0x46, 0, 0, 32, 0,  0, 0, 0, 1,    1,    0, 0,
                    10,   0, 0, 2,  192, 0, 2, 9, 1,    1, 1, 1,  8,  0, 0, 0, 0x12, 0x34, 0, 7};
    assert_int_equal(os_icmp4_decode(te, sizeof te, &r), 0);
    assert_int_equal(r.kind, OS_ICMP_TIME_EXCEEDED);
    assert_int_equal(r.id, 0x1234);
    assert_int_equal(r.seq, 7);
    assert_int_equal(r.hop_limit, 61);
    struct bw_addr target = addr("192.0.2.9");
    assert_true(bw_addr_eq(&r.target, &target));
    for (size_t n = 0; n < sizeof te; n++) {
        uint8_t *exact = malloc(n ? n : 1);
        memcpy(exact, te, n);
        assert_int_not_equal(os_icmp4_decode(exact, n, &r), 0);
        free(exact);
    }
    te[20] = 3; // too big
    te[21] = 4;
    te[26] = 0x05;
    assert_int_equal(os_icmp4_decode(te, sizeof te, &r), 0);
    assert_int_equal(r.kind, OS_ICMP_TOO_BIG);
    assert_int_equal(r.mtu, 0x500);
    te[37] = 17; // it quotes UDP
    assert_int_equal(os_icmp4_decode(te, sizeof te, &r), BW_ERR_UNSUPPORTED);
    uint8_t six[8 + 40 + 8 + 8] = {2,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   5,
                                   0,
                                   0x60,
                                   [8 + 6] = 44,
                                   [8 + 24] = 0xfc,
                                   [8 + 39] = 9,
                                   [48] = 58,
                                   [56] = 128,
                                   [60] = 0xab,
                                   [61] = 0xcd,
                                   [63] = 3};
    assert_int_equal(os_icmp6_decode(six, sizeof six, &r), 0); // behind a fragment header
    assert_int_equal(r.kind, OS_ICMP_TOO_BIG);
    assert_int_equal(r.mtu, 0x500);
    assert_int_equal(r.id, 0xabcd);
    target = addr("fc00::9");
    assert_true(bw_addr_eq(&r.target, &target));
    for (size_t n = 0; n < sizeof six; n++) {
        uint8_t *exact = malloc(n ? n : 1);
        memcpy(exact, six, n);
        assert_int_not_equal(os_icmp6_decode(exact, n, &r), 0);
        free(exact);
    }
    uint32_t x = 1; // and noise
    for (int i = 0; i < 200000; i++) {
        uint8_t b[80];
        for (size_t k = 0; k < sizeof b; k++) b[k] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
        b[0] = (uint8_t)(0x45 + (x >> 30));
        b[9] = 1;
        size_t n = x % sizeof b;
        int e4 = os_icmp4_decode(b, n, &r), e6 = os_icmp6_decode(b + 20, n > 20 ? n - 20 : 0, &r);
        assert_true(e4 <= 0 && e6 <= 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(through_a_router),
        cmocka_unit_test(decoders_take_anything),
    };
    return cmocka_run_group_tests(tests, enter, NULL);
}
