// Babel packets: vectors from babeld and bird2, the compression rules of RFC 8966, round trips.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/text.h"
#include "unit/parse.h"
#include "wire/babel.h"

static const struct bw_addr source = {{0xfe, 0x80, [15] = 9}};

// Reads a packet given as hex; TLVs into t, errors counted. Returns the number of TLVs.
static unsigned errors;
static unsigned read_hex(const char *hex, struct babel_tlv *t, unsigned max)
{
    static uint8_t buf[1500];
    struct babel_reader r;
    size_t n = strlen(hex) / 2;
    unsigned k = 0;
    assert_int_equal(bw_hex_decode(hex, buf, n), 0);
    assert_int_equal(babel_read_begin(&r, &source, buf, n), 0);
    errors = 0;
    for (int more; (more = babel_read_next(&r, &t[k]));) {
        if (more < 0) errors++;
        else if (++k == max) break;
    }
    return k;
}

// The same for a body without a header.
static unsigned read_body(const char *hex, struct babel_tlv *t, unsigned max)
{
    char whole[2048];
    snprintf(whole, sizeof whole, "2a02%04x%s", (unsigned)(strlen(hex) / 2), hex);
    return read_hex(whole, t, max);
}

static unsigned read_file(const char *name, unsigned counts[16])
{
    char path[512], src[64], hex[4096], line[4200];
    struct babel_tlv t[128];
    unsigned packets = 0;
    snprintf(path, sizeof path, "%s/babel/%s", VECTORS_DIR, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#') continue;
        assert_int_equal(sscanf(line, "%63s %4095s", src, hex), 2);
        unsigned n = read_hex(hex, t, 128);
        assert_int_equal(errors, 0);
        while (n--) counts[t[n].type]++;
        packets++;
    }
    fclose(f);
    return packets;
}

static void others_packets(void **state)
{
    unsigned babeld[16] = {0}, bird[16] = {0};
    (void)state;
    assert_true(read_file("babeld.txt", babeld) > 20);
    assert_true(read_file("bird.txt", bird) > 8);
    assert_true(babeld[BABEL_HELLO] > 5 && babeld[BABEL_IHU] > 5 && babeld[BABEL_UPDATE] > 5 && babeld[BABEL_ROUTE_REQUEST] > 0);
    assert_true(bird[BABEL_HELLO] > 3 && bird[BABEL_IHU] > 0 && bird[BABEL_UPDATE] > 0);
}

// Router-Id, an Update that sets the default prefix, one that omits 8 bytes, one whose router-id is its own address.
static void compression(void **state)
{
    struct babel_tlv t[8];
    (void)state;
    unsigned n = read_body("060a0000" "1122334455667788"
                          "0812" "0280" "4000" "0640" "0001" "0060" "20010db800010002"
                          "080d" "0200" "4806" "0640" "0002" "0070" "0003" "ff"
                          "0816" "0240" "8004" "0640" "0003" "0080" "00000000" "b000000000000001"
                          "080a" "0000" "0000" "0640" "0000" "ffff", t, 8);
    assert_int_equal(errors, 0);
    assert_int_equal(n, 4);
    struct bw_prefix p = prefix("2001:db8:1:2::/64"), q = prefix("2001:db8:1:3:ff00::/72");
    assert_true(bw_prefix_eq(&t[0].update.prefix, &p));
    assert_int_equal(t[0].update.metric, 0x60);
    assert_memory_equal(t[0].update.router_id, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
    assert_true(bw_addr_eq(&t[0].update.next_hop, &source));
    assert_true(bw_prefix_eq(&t[1].update.prefix, &q));
    assert_memory_equal(t[2].update.router_id, "\xb0\0\0\0\0\0\0\1", 8);
    assert_true(t[3].update.wildcard);
}

// Section 4.4, 4.5: an unknown mandatory sub-TLV voids the TLV, but not its effect on the parser; unknown others are passed over.
static void mandatory_bit(void **state)
{
    struct babel_tlv t[8];
    (void)state;
    // Update with sub-TLV 0x80 (source prefix), P and R flags; then one that relies on both
    unsigned n = read_body("081d" "02c0" "8000" "0640" "0001" "0060" "20010db8000000000000000000000001" "8001" "00"
                          "0812" "0200" "8008" "0640" "0002" "0070" "00000000000000ab", t, 8);
    assert_int_equal(errors, 1);
    assert_int_equal(n, 1);
    assert_memory_equal(t[0].update.router_id, "\0\0\0\0\0\0\0\1", 8);
    struct bw_prefix p = prefix("2001:db8::ab/128");
    assert_true(bw_prefix_eq(&t[0].update.prefix, &p));
    // Hello with sub-TLVs 0 (Pad1), 1 (PadN), 77 (unknown), 3 (timestamp)
    n = read_body("0417" "0000" "0005" "0190" "00" "010100" "4d0401020304" "030400000007" "00", t, 8);
    assert_int_equal(n, 1);
    assert_int_equal(errors, 0);
    assert_true(t[0].hello.has_timestamp);
    assert_int_equal(t[0].hello.timestamp, 7);
    // a mandatory one in a Hello
    assert_int_equal(read_hex("2a02000a" "0408" "0000" "0005" "0190" "f000", t, 8), 0);
    assert_int_equal(errors, 1);
    // a sub-TLV that is longer than its TLV
    assert_int_equal(read_hex("2a02000a" "0408" "0000" "0005" "0190" "0308", t, 8), 0);
    assert_int_equal(errors, 1);
    // a timestamp too short is ignored, the Hello is not; a capability with more than we know is read
    n = read_body("0422" "0000" "0005" "0190" "03020001" "7010" "0100" "0023" "0000000000000009" "deadbeef" "7f0477777777", t, 8);
    assert_int_equal(n, 1);
    assert_false(t[0].hello.has_timestamp);
    assert_true(t[0].hello.has_capability);
    assert_int_equal(t[0].hello.capability.epoch, 9);
    assert_int_equal(t[0].hello.capability.interval_cs, 35);
}

// RFC 9229: AE 4 has a compression state of its own and takes the IPv6 next hop; AE 1 needs an IPv4 one.
static void v4_via_v6(void **state)
{
    struct babel_tlv t[8];
    (void)state;
    unsigned n = read_body("060a0000" "1122334455667788"
                          "080d" "0480" "1800" "0640" "0001" "0060" "0a0102"
                          "080b" "0400" "1802" "0640" "0001" "0060" "07"
                          "080c" "0100" "1801" "0640" "0001" "0060" "0102" // AE 1 has no default prefix
                          "080d" "0100" "1800" "0640" "0001" "0060" "0a0105", t, 8); // and no next hop
    assert_int_equal(errors, 2);
    assert_int_equal(n, 2);
    struct bw_prefix p = prefix("10.1.2.0/24"), q = prefix("10.1.7.0/24");
    assert_true(bw_prefix_eq(&t[0].update.prefix, &p));
    assert_true(bw_prefix_eq(&t[1].update.prefix, &q));
    assert_true(bw_addr_eq(&t[1].update.next_hop, &source));
    n = read_body("060a0000" "1122334455667788" "0706" "0100" "c0000201" "080d" "0100" "1800" "0640" "0001" "0060" "0a0105", t, 8);
    assert_int_equal(n, 1);
    assert_true(bw_addr_is_v4(&t[0].update.next_hop));
}

static void refusals(void **state)
{
    static const char *const bad[] = {
        "2a02000c080a0000000006400000" "0060",         // wildcard update with a finite metric
        "2a02000c080a0000080006400000" "ffff",         // wildcard retraction with a prefix length
        "2a02000c080a0200000000000001" "ffff",         // interval 0
        "2a02000d080b0200090006400001" "ffffff",       // prefix cut short
        "2a02000e080c0200810006400001" "ffff0000",     // prefix length 129
        "2a02000d080b0200080206400001" "ffffff",       // more omitted than there is
        "2a020004090200" "08",                          // wildcard request with a prefix length
        "2a02000c060a0000" "0000000000000000",         // router-id zero
        "2a0200080206000000010000",                     // acknowledgment request without time
        "2a020006" "040600000001",                      // Hello cut short
        "2a020010" "0a0e" "0000" "0001" "0100" "1122334455667788", // seqno request, wildcard
    };
    struct babel_tlv t[4];
    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        if (read_hex(bad[k], t, 4)) fail_msg("accepted: %s", bad[k]);
        if (errors != 1) fail_msg("%u errors: %s", errors, bad[k]);
    }
    struct babel_reader r;
    assert_int_equal(babel_read_begin(&r, &source, "\x2a\x03\0\0", 4), BW_ERR_MALFORMED);
    assert_int_equal(babel_read_begin(&r, &source, "\x2b\x02\0\0", 4), BW_ERR_MALFORMED);
    assert_int_equal(babel_read_begin(&r, &source, "\x2a\x02\0\1", 4), BW_ERR_MALFORMED);
    assert_int_equal(babel_read_begin(&r, &source, "\x2a\x02\0", 3), BW_ERR_MALFORMED);
    assert_int_equal(read_hex("2a020000" "0302dead", t, 4), 0); // the trailer means nothing
    assert_int_equal(errors, 0);
}

// What is written reads back, for many prefixes in one packet, so that every sort of compression occurs.
static void round_trip(void **state)
{
    static const char *const text[] = {"fc12:3456::b000:0:0:1/128", "fc12:3456::b000:0:0:2/128", "fc12::/16", "fd00:1::/64", "fd00:1:0:1::/64",
                                       "10.0.0.0/8", "10.1.0.0/16", "10.1.128.0/17", "::/0", "0.0.0.0/0", "fc00::e/128", "192.168.7.9/32"};
    enum { N = sizeof text / sizeof *text };
    uint8_t buf[1232], id[8] = {0xb0, [7] = 1};
    struct babel_writer w;
    struct babel_reader r;
    struct babel_tlv t;
    (void)state;
    babel_write_begin(&w, buf, sizeof buf);
    for (unsigned round = 0; round < 2; round++)
        for (unsigned k = 0; k < N; k++) {
            struct bw_prefix p = prefix(text[k]);
            id[7] = (uint8_t)(k < 2 ? k + 1 : k / 3);
            assert_true(babel_write_update(&w, &p, id, 1600, (uint16_t)k, round ? BABEL_INF : (uint16_t)(k * 10)));
        }
    size_t n = babel_write_end(&w);
    assert_int_equal(babel_read_begin(&r, &source, buf, n), 0);
    for (unsigned round = 0; round < 2; round++)
        for (unsigned k = 0; k < N; k++) {
            struct bw_prefix p = prefix(text[k]);
            assert_int_equal(babel_read_next(&r, &t), 1);
            assert_int_equal(t.type, BABEL_UPDATE);
            assert_true(bw_prefix_eq(&t.update.prefix, &p));
            assert_int_equal(t.update.metric, round ? BABEL_INF : k * 10);
            if (!round) assert_int_equal(t.update.router_id[7], k < 2 ? k + 1 : k / 3);
        }
    assert_int_equal(babel_read_next(&r, &t), 0);
    assert_true(n < N * 2 * 22);
}

static void full_packet(void **state)
{
    uint8_t buf[64], id[8] = {1};
    struct babel_writer w;
    (void)state;
    struct bw_prefix p = prefix("fd00::/64");
    for (size_t cap = 4; cap < sizeof buf; cap++) { // never past the end, never half a TLV
        babel_write_begin(&w, buf, cap);
        bool fits = babel_write_update(&w, &p, id, 1, 1, 1);
        assert_int_equal(fits, cap >= 4 + 12 + 20);
        assert_true(babel_write_end(&w) <= cap);
        assert_true(fits || babel_write_empty(&w));
    }
}

static void seqnos(void **state)
{
    (void)state;
    assert_true(babel_seqno_less(1, 2));
    assert_true(babel_seqno_less(65535, 0));
    assert_true(babel_seqno_less(65000, 20000));
    assert_false(babel_seqno_less(5, 5));
    assert_false(babel_seqno_less(2, 1));
    assert_false(babel_seqno_less(0, 32768)); // neither way, as section 3.2.1 has it
    assert_false(babel_seqno_less(32768, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_packets), cmocka_unit_test(compression), cmocka_unit_test(mandatory_bit), cmocka_unit_test(v4_via_v6),
        cmocka_unit_test(refusals),       cmocka_unit_test(round_trip),  cmocka_unit_test(full_packet),   cmocka_unit_test(seqnos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
