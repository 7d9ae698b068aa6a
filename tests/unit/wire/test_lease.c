#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/parse.h"
#include "wire/lease.h"

static const uint8_t sig[64] = {1, 2, 3};

static struct lease_request request(void)
{
    struct lease_request r = {.version = 1, .address = addr("fc12::1"), .exit = addr("fc34::1"), .v4 = true, .v6 = true,
                              .previous4 = addr("100.80.3.4"), .known_count = 2};
    r.known[0] = addr("fc56::1");
    r.known[1] = addr("fc78::1");
    r.key[0] = 7;
    r.nonce[3] = 9;
    r.stamp[5] = 11;
    return r;
}

static struct lease lease(void)
{
    struct lease l = {.version = 1, .address = addr("fc34::1"), .client = addr("fc12::1"), .inner4 = addr("100.80.3.4"),
                      .inner6 = addr("fd12:3:4:5::304"), .gateway4 = addr("100.80.0.1"), .gateway6 = addr("fd12:3:4:5::1"),
                      .dns_count = 2, .mtu = 1380, .lifetime_s = 3600, .serial = 42};
    l.dns[0] = l.gateway4;
    l.dns[1] = l.gateway6;
    l.nonce[3] = 9;
    return l;
}

static void request_there_and_back(void **state)
{
    (void)state;
    struct lease_request r = request(), back;
    struct signed_part part;
    char text[SIGNED_MAX];
    int n = lease_request_encode(&r, sig, text, sizeof text);
    assert_true(n > 0);
    assert_int_equal(lease_request_decode(text, (size_t)n, &back, &part), 0);
    assert_memory_equal(&r, &back, sizeof r);
    assert_memory_equal(part.covered, "byway lease request\n", 20);
    r.release = true;
    n = lease_request_encode(&r, sig, text, sizeof text);
    assert_int_equal(lease_request_decode(text, (size_t)n, &back, &part), 0);
    assert_true(back.release);
}

static void lease_there_and_back(void **state)
{
    (void)state;
    struct lease l = lease(), back;
    struct signed_part part;
    char text[SIGNED_MAX];
    int n = lease_encode(&l, sig, text, sizeof text);
    assert_true(n > 0);
    assert_int_equal(lease_decode(text, (size_t)n, &back, &part), 0);
    assert_memory_equal(&l, &back, sizeof l);
    struct bw_addr none = {0};
    l.inner6 = l.gateway6 = none;
    l.dns_count = 1;
    l.dns[1] = none;
    n = lease_encode(&l, sig, text, sizeof text);
    assert_int_equal(lease_decode(text, (size_t)n, &back, &part), 0);
    assert_memory_equal(&l, &back, sizeof l);
}

// A record of one kind is none of another: the labels differ.
static void kinds_do_not_mix(void **state)
{
    (void)state;
    struct lease_request r = request();
    uint8_t a[SIGNED_LABEL + SIGNED_MAX], b[SIGNED_LABEL + SIGNED_MAX];
    struct lease l = lease();
    int n = lease_request_cover(&r, a, sizeof a), m = lease_cover(&l, b, sizeof b);
    assert_true(n > 0 && m > 0);
    assert_memory_not_equal(a, b, 20);
}

// An evil exit may not make us put an address on the machine, or send our DNS, where it could catch our own traffic.
static void hostile_leases(void **state)
{
    (void)state;
    static const char *const bad4[] = {"127.0.0.1", "0.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255", "fd00::1"};
    static const char *const home[] = {"192.168.1.1", "10.0.0.9", "100.63.255.255", "100.128.0.1", "8.8.8.8"};
    static const char *const bad6[] = {"::1", "fe80::1", "ff02::1", "fc12::1", "fc00::e", "10.0.0.1"};
    struct signed_part part;
    char text[SIGNED_MAX];
    struct lease back;
    for (unsigned i = 0; i < 6; i++) {
        for (unsigned which = 0; which < 5; which++) {
            struct lease l = lease();
            struct bw_addr a4 = addr(bad4[i]), a6 = addr(bad6[i]);
            if (which == 0) l.inner4 = a4;
            if (which == 1) l.gateway4 = a4;
            if (which == 2) l.inner6 = a6;
            if (which == 3) l.gateway6 = a6;
            if (which == 4) l.dns[1] = i == 5 ? addr("::1") : a6;
            int n = lease_encode(&l, sig, text, sizeof text);
            assert_int_equal(lease_decode(text, (size_t)n, &back, &part), BW_ERR_RANGE);
        }
    }
    for (unsigned i = 0; i < 10; i++) {
        struct lease l = lease();
        *(i & 1 ? &l.gateway4 : &l.inner4) = addr(home[i / 2]);
        int n = lease_encode(&l, sig, text, sizeof text);
        assert_int_equal(lease_decode(text, (size_t)n, &back, &part), BW_ERR_RANGE);
    }
    struct lease l = lease();
    l.lifetime_s = 1;
    int n = lease_encode(&l, sig, text, sizeof text);
    assert_int_equal(lease_decode(text, (size_t)n, &back, &part), BW_ERR_RANGE);
    l = lease();
    l.inner4 = l.gateway4;
    n = lease_encode(&l, sig, text, sizeof text);
    assert_int_equal(lease_decode(text, (size_t)n, &back, &part), BW_ERR_RANGE);
}

static void too_many(void **state)
{
    (void)state;
    struct lease_request r = request(), back;
    struct signed_part part;
    char text[SIGNED_MAX], longer[SIGNED_MAX];
    assert_true(lease_request_encode(&r, sig, text, sizeof text) > 0);
    char *known = strstr(text, "\"known\":[");
    assert_non_null(known);
    int n = snprintf(longer, sizeof longer, "%.*s\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\",%s",
                     (int)(known + 9 - text), text, known + 9);
    assert_true(lease_request_decode(longer, (size_t)n, &back, &part) < 0);
}

static void refusals(void **state)
{
    (void)state;
    char text[256];
    int n = lease_refusal_encode("pool-full", "all \"leases\" are taken", NULL, text, sizeof text);
    assert_true(n > 0);
    assert_string_equal(text, "{\"error\":\"pool-full\",\"text\":\"all \\\"leases\\\" are taken\"}");
    assert_int_equal(lease_refusal_encode("pool-full", "x", NULL, text, 10), BW_ERR_SHORT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_there_and_back), cmocka_unit_test(lease_there_and_back), cmocka_unit_test(kinds_do_not_mix),
        cmocka_unit_test(hostile_leases),         cmocka_unit_test(too_many),             cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
