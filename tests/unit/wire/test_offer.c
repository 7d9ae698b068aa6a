// Offers and the rules for signed records: what is taken, what is refused, and that the covered bytes are canonical.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "wire/offer.h"

static struct offer sample(void)
{
    struct offer o = {.version = 1, .name = "mill-house", .v4 = true, .v6 = true, .price = 5, .down_bps = 20000000, .mtu = 1380,
                      .issued = 1700000000, .lifetime_s = 600};
    assert_int_equal(bw_addr_parse("fc12:3456::1", &o.address), 0);
    assert_int_equal(bw_addr_parse("100.80.0.1", &o.gateway4), 0);
    assert_int_equal(bw_addr_parse("fd00:1::1", &o.gateway6), 0);
    for (unsigned i = 0; i < 32; i++) o.key[i] = (uint8_t)i;
    for (unsigned i = 0; i < OFFER_STAMP; i++) o.stamp[i] = (uint8_t)(0x80 + i);
    return o;
}

static int encode(const struct offer *o, char *text, size_t cap)
{
    uint8_t sig[64];
    memset(sig, 0x5a, sizeof sig);
    return offer_encode(o, sig, text, cap);
}

static void there_and_back(void **state)
{
    (void)state;
    struct offer o = sample(), back;
    struct signed_part part;
    char text[SIGNED_MAX];
    uint8_t covered[SIGNED_LABEL + SIGNED_MAX];
    int n = encode(&o, text, sizeof text);
    assert_true(n > 0);
    assert_int_equal(offer_decode(text, (size_t)n, &back, &part), 0);
    assert_memory_equal(&o, &back, sizeof o);
    assert_int_equal(part.signature[63], 0x5a);
    int c = offer_cover(&o, covered, sizeof covered);
    assert_int_equal(c, part.covered_len);
    assert_memory_equal(covered, part.covered, (size_t)c);
    assert_memory_equal(covered, "byway exit offer\n{\"address\":", 28);
}

static void order_and_blanks_do_not_matter(void **state)
{
    (void)state;
    struct offer o = sample(), back;
    struct signed_part a, b;
    char text[SIGNED_MAX], other[SIGNED_MAX];
    int n = encode(&o, text, sizeof text);
    assert_int_equal(offer_decode(text, (size_t)n, &back, &a), 0);
    // the last member ("version") moved to the front, blanks added
    char *version = strstr(text, ",\"version\":1}");
    assert_non_null(version);
    int m = snprintf(other, sizeof other, "{ \"version\" : 1,\n%.*s }", (int)(version - text - 1), text + 1);
    assert_int_equal(offer_decode(other, (size_t)m, &back, &b), 0);
    assert_int_equal(a.covered_len, b.covered_len);
    assert_memory_equal(a.covered, b.covered, a.covered_len);
}

static void unknown_members_are_covered(void **state)
{
    (void)state;
    struct offer o = sample(), back;
    struct signed_part part;
    char text[SIGNED_MAX], more[SIGNED_MAX + 64];
    encode(&o, text, sizeof text);
    int n = snprintf(more, sizeof more, "{\"zebra\":[1,{\"a\":null}],%s", text + 1);
    assert_int_equal(offer_decode(more, (size_t)n, &back, &part), 0);
    assert_non_null(memmem(part.covered, part.covered_len, ",\"zebra\":[1,{\"a\":null}]}", 24));
}

static int decode_with(const char *from, const char *to)
{
    struct offer o = sample(), back;
    struct signed_part part;
    char text[SIGNED_MAX], changed[2 * SIGNED_MAX];
    encode(&o, text, sizeof text);
    const char *at = strstr(text, from);
    assert_non_null(at);
    int n = snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return offer_decode(changed, (size_t)n, &back, &part);
}

static void refused(void **state)
{
    (void)state;
    assert_int_equal(decode_with("\"version\":1", "\"version\":2"), 0); // a newer one that still has what we need
    assert_true(decode_with("\"version\":1", "\"version\":0") < 0);
    assert_true(decode_with("\"version\":1", "\"version\":\"1\"") < 0);
    assert_true(decode_with("\"mtu\":1380", "\"mtu\":1380.0") < 0);
    assert_true(decode_with("\"mtu\":1380", "\"mtu\":1279") < 0);
    assert_true(decode_with("\"mtu\":1380", "\"mtu\":65536") < 0);
    assert_true(decode_with("\"mtu\":1380", "\"mtu\":-1") < 0);
    assert_true(decode_with("\"price\":5", "\"price\":99999999999999999999") < 0);
    assert_true(decode_with("\"price\":5", "\"price\":5,\"price\":6") < 0);
    assert_true(decode_with("fc12:3456::1", "fc00::e") < 0);
    assert_true(decode_with("fc12:3456::1", "2001:db8::1") < 0);
    assert_true(decode_with("100.80.0.1", "::1") < 0);
    assert_true(decode_with("mill-house", "mill house") < 0);
    assert_true(decode_with("mill-house", "mill\\u001b[0m") < 0);
    assert_true(decode_with("[\"ipv4\",\"ipv6\"]", "[]") < 0);
    assert_true(decode_with("[\"ipv4\",\"ipv6\"]", "[4]") < 0);
    assert_int_equal(decode_with("[\"ipv4\",\"ipv6\"]", "[\"ipv4\",\"ipv9\"]"), 0);
    assert_true(decode_with("\"landmarks\":[]", "\"landmarks\":{}") < 0);
    assert_true(decode_with("\"lifetime\":600", "\"lifetime\":0") < 0);
    assert_true(decode_with("\"landmarks\":[]", "\"landmarks\":[[[[[[[1]]]]]]]") < 0);
    assert_true(decode_with("\"key\":\"A", "\"key\":\"AA") < 0);
    assert_true(decode_with("}", "} x") < 0);
}

static void size_is_limited(void **state)
{
    (void)state;
    static char text[SIGNED_MAX + 1];
    struct offer back;
    struct signed_part part;
    memset(text, ' ', sizeof text);
    assert_int_equal(offer_decode(text, sizeof text, &back, &part), BW_ERR_RANGE);
    memset(text, '[', sizeof text);
    assert_int_equal(offer_decode(text, SIGNED_MAX, &back, &part), BW_ERR_MALFORMED);
    assert_int_equal(offer_decode("", 0, &back, &part), BW_ERR_MALFORMED);
    assert_int_equal(offer_decode("[]", 2, &back, &part), BW_ERR_MALFORMED);
    struct offer o = sample();
    assert_int_equal(encode(&o, text, 100), BW_ERR_SHORT);
}

struct seen {
    unsigned count, first;
    struct offer last;
};

static void see(void *ctx, bool first, const char *text, size_t n)
{
    struct seen *s = ctx;
    struct signed_part part;
    s->count++;
    s->first += first;
    assert_int_equal(offer_decode(text, n, &s->last, &part), 0);
}

static void answers(void **state)
{
    (void)state;
    struct offer o = sample();
    char text[SIGNED_MAX], body[OFFER_ANSWER_MAX];
    int n = encode(&o, text, sizeof text);
    struct offer_text own = {text, (size_t)n}, others[OFFER_OTHERS + 2];
    for (unsigned i = 0; i < OFFER_OTHERS + 2; i++) others[i] = own;
    struct seen s = {0};
    int len = offer_answer_encode(&own, others, OFFER_OTHERS + 2, body, sizeof body);
    assert_true(len > 0);
    assert_int_equal(offer_answer_decode(body, (size_t)len, see, &s), 0);
    assert_int_equal(s.count, 1 + OFFER_OTHERS);
    assert_int_equal(s.first, 1);
    assert_memory_equal(&s.last, &o, sizeof o);
    assert_int_equal(offer_answer_encode(&own, others, 1, body, 100), BW_ERR_SHORT);
    assert_int_equal(offer_answer_decode("{\"others\":[1,null]}", 19, see, &s), 0);
    assert_true(offer_answer_decode("{\"others\":3}", 12, see, &s) < 0);
    assert_true(offer_answer_decode("{}", 2, see, &s) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back), cmocka_unit_test(order_and_blanks_do_not_matter),
        cmocka_unit_test(unknown_members_are_covered), cmocka_unit_test(refused),
        cmocka_unit_test(size_is_limited), cmocka_unit_test(answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
