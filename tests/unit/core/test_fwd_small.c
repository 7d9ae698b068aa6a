// A way through the mesh that carries no more than 1,280 bytes: c - relay r - x, where c has heard a "too big". Nothing on it is
// longer, and every packet that must pass arrives whole: what came in pieces is put together here by the simplest means.
#include "fwd_kit.h"

#define OUTER 1280

static struct kit_node c, r, x, *const row[] = {&c, &r, &x, NULL};

static int three_nodes(void **state)
{
    kit_row(row, "fc01::1", "fc09::9", "fc0e::e");
    kit_route(&c, "fc0e::e/128", FWD_TO_LINK, 0);
    kit_route(&r, "fc0e::e/128", FWD_TO_LINK, 1);
    kit_lease(&c, &x);
    kit_session(&c, &x);
    c.session[0].mtu = OUTER;
    return kit_start(state, row);
}

// c's packets on their way; each is looked at as the relay has it. Returns how many there were.
static unsigned carry(void)
{
    unsigned count = 0;
    kit_carry(&c, &r, 0);
    for (unsigned i = 0; i < r.out.wires; i++) {
        const struct fwd_train *t = &r.out.train[i];
        for (uint32_t at = 0; at < t->len; at += t->seg, count++) {
            uint32_t n = t->len - at < t->seg ? t->len - at : t->seg;
            assert_true(n <= 32 + OUTER); // type 4 around it, padded to 16
        }
    }
    kit_carry(&r, &x, 0);
    return count;
}

// Puts IPv6 fragments at x's TUN together (RFC 8200 section 4.5), or gives the one packet back. 0: not whole.
static size_t reassemble(uint8_t *out)
{
    size_t total = 0, got = 0, head = 40;
    if (x.out.tuns == 1 && x.out.tun[0].p[VNET_LEN + 6] != IP_FRAGMENT && x.out.tun[0].p[VNET_LEN + 6] != 0) {
        memcpy(out, x.out.tun[0].p + VNET_LEN, x.out.tun[0].n - VNET_LEN);
        return x.out.tun[0].n - VNET_LEN;
    }
    for (unsigned i = 0; i < x.out.tuns; i++) {
        const uint8_t *p = x.out.tun[i].p + VNET_LEN;
        size_t n = x.out.tun[i].n - VNET_LEN;
        uint32_t number = 6;
        head = 40;
        while (p[number] != IP_FRAGMENT) {
            assert_true(p[number] == 0 || p[number] == 43);
            number = (uint32_t)head;
            head += (p[head + 1] + 1u) * 8;
        }
        assert_int_equal(ip_get16(p + 4), n - 40);
        assert_memory_equal(p + head + 4, x.out.tun[0].p + VNET_LEN + head + 4, 4); // one identification
        uint16_t where = ip_get16(p + head + 2);
        size_t at = where & 0xfff8, len = n - head - 8;
        assert_true(!(where & 1) || len % 8 == 0);
        memcpy(out + head + at, p + head + 8, len);
        if (!at) {
            memcpy(out, p, head);
            out[number] = p[head];
        }
        if (!(where & 1)) total = at + len;
        got += len;
    }
    if (!total || got != total) return 0;
    ip_put16(out + 4, (uint16_t)(head - 40 + total));
    return head + total;
}

static void every_length_arrives(void **state)
{
    (void)state;
    uint8_t p[1500], back[2000];
    const char *const pair[][2] = {{"fc01::1", "fc0e::e"}, {"2001:db8:e::7", "2001:db8:80::1"}};
    for (int tunnel = 0; tunnel < 2; tunnel++) {
        size_t whole = tunnel ? session_tunnel_mtu(OUTER) : session_transport_mtu(OUTER);
        assert_true(whole < IP6_MTU_MIN);
        for (size_t n = 1100; n <= IP6_MTU_MIN; n++) {
            kit_udp(p, pair[tunnel][0], pair[tunnel][1], 1, 2, n - 48, (uint8_t)n);
            kit_from_tun(&c, p, n);
            assert_int_equal(carry(), n <= whole ? 1 : 2);
            assert_int_equal(reassemble(back), n);
            if (!tunnel && n <= whole) assert_int_equal(back[7]++, 63); // the relay is a hop
            assert_memory_equal(back, p, n);
            kit_clear(&x.out);
        }
    }
}

static void what_is_longer_is_told_1280(void **state)
{
    (void)state;
    uint8_t p[1500];
    kit_from_tun(&c, p, kit_udp(p, "fc01::1", "fc0e::e", 1, 2, IP6_MTU_MIN - 47, 7));
    assert_int_equal(c.out.wires, 0);
    assert_int_equal(c.out.tuns, 1);
    assert_int_equal(c.out.tun[0].p[VNET_LEN + 40], 2);
    assert_int_equal(ip_get32(c.out.tun[0].p + VNET_LEN + 44), IP6_MTU_MIN);
    kit_clear(&c.out);
    // IPv4 can be told what really fits, and is cut if it may be.
    size_t most = session_tunnel_mtu(OUTER), n = kit_udp(p, "100.64.0.7", "192.0.2.80", 1, 2, most - 27, 7);
    kit_from_tun(&c, p, n);
    assert_int_equal(c.out.wires, 0);
    assert_int_equal(ip_get16(c.out.tun[0].p + VNET_LEN + 26), most);
    kit_clear(&c.out);
    p[6] = 0;
    ip4_checksum(p, 20);
    kit_from_tun(&c, p, n);
    assert_int_equal(carry(), 2);
    assert_int_equal(x.out.tuns, 2);
}

static void identifications_cannot_be_foreseen(void **state)
{
    (void)state;
    uint8_t p[1500];
    uint32_t id[100];
    unsigned near = 0;
    for (unsigned i = 0; i < 100; i++) {
        kit_udp(p, "fc01::1", "fc0e::e", 1, 2, IP6_MTU_MIN - 48, 7);
        kit_from_tun(&c, p, IP6_MTU_MIN);
        assert_int_equal(carry(), 2);
        assert_int_equal(x.out.tun[0].p[VNET_LEN + 6], IP_FRAGMENT);
        id[i] = ip_get32(x.out.tun[0].p + VNET_LEN + 44);
        for (unsigned k = 0; k < i; k++) {
            assert_int_not_equal(id[i], id[k]);
            near += id[i] - id[k] + 1000 <= 2000; // 4,950 pairs, one in two million of which are so near
        }
        kit_clear(&x.out);
    }
    assert_in_range(near, 0, 1);
}

static void headers_for_the_way_stay_in_front(void **state)
{
    (void)state;
    uint8_t p[1500], back[2000], plain[1500];
    size_t n = kit_udp(plain, "fc01::1", "fc0e::e", 1, 2, 1200, 7);
    for (unsigned routing = 0; routing < 2; routing++) {
        // hop-by-hop options, then perhaps a routing header, of 8 bytes each
        size_t more = 8 + 8 * routing;
        memcpy(p, plain, 40);
        memset(p + 40, 0, more);
        p[6] = 0;
        p[40] = routing ? 43 : IP_UDP;
        p[42] = 1, p[43] = 4; // PadN
        if (routing) p[48] = IP_UDP;
        memcpy(p + 40 + more, plain + 40, n - 40);
        ip_put16(p + 4, (uint16_t)(n + more - 40));
        kit_from_tun(&c, p, n + more);
        assert_int_equal(carry(), 2);
        assert_int_equal(reassemble(back), n + more);
        assert_memory_equal(back, p, n + more);
        kit_clear(&x.out);
    }
    // Headers that run past the end go nowhere.
    p[41] = 255;
    uint64_t before = fwd_drops(c.fwd, FWD_DROP_MALFORMED);
    kit_from_tun(&c, p, n + 16);
    assert_int_equal(c.out.wires, 0);
    assert_int_equal(fwd_drops(c.fwd, FWD_DROP_MALFORMED), before + 1);
}

static void fragments_are_cut_again(void **state)
{
    (void)state;
    // As the kernel makes them of 3,000 bytes for a path of 1,280.
    uint8_t whole[3000], p[1500], back[4000];
    rnd_bytes(whole, sizeof whole);
    for (size_t at = 0; at < sizeof whole; at += 1232) {
        size_t n = sizeof whole - at < 1232 ? sizeof whole - at : 1232;
        kit_ip(p, "fc01::1", "fc0e::e", IP_FRAGMENT, 8 + n);
        p[40] = IP_UDP;
        p[41] = 0;
        ip_put16(p + 42, (uint16_t)(at | (at + n < sizeof whole)));
        ip_put32(p + 44, 0xabcd1234);
        memcpy(p + 48, whole + at, n);
        kit_from_tun(&c, p, 48 + n);
    }
    assert_int_equal(carry(), 5);
    assert_int_equal(x.out.tuns, 5);
    assert_int_equal(reassemble(back), 40 + sizeof whole);
    assert_memory_equal(back + 40, whole, sizeof whole);
    assert_int_equal(back[6], IP_UDP);
}

// TCP that the kernel left us to cut, with segments of exactly 1,280 bytes: each goes in two pieces.
static void segments_are_cut_again(void **state)
{
    (void)state;
    enum { MSS = 1280 - 60, SEGMENTS = 4 };
    uint8_t *f = calloc(1, VNET_LEN + 60 + MSS * SEGMENTS), *p = f + VNET_LEN, stream[MSS * SEGMENTS];
    rnd_bytes(stream, sizeof stream);
    vnet_write(f, &(struct vnet){VNET_NEEDS_CSUM, VNET_GSO_TCPV6, 60, MSS, 40, 16});
    kit_ip(p, "fc01::1", "fc0e::e", IP_TCP, 20 + sizeof stream);
    memset(p + 40, 0, 20);
    p[52] = 5 << 4;
    p[53] = 0x10;
    memcpy(p + 60, stream, sizeof stream);
    fwd_from_tun(c.fwd, c.s, f, VNET_LEN + 60 + sizeof stream, NOW);
    fwd_flush(c.fwd);
    free(f);
    assert_int_equal(carry(), 2 * SEGMENTS);
    assert_int_equal(x.out.tuns, 2 * SEGMENTS);
    struct kit_bytes all[2 * SEGMENTS];
    memcpy(all, x.out.tun, sizeof all);
    for (unsigned k = 0; k < SEGMENTS; k++) {
        uint8_t back[2000];
        x.out.tun[0] = all[2 * k], x.out.tun[1] = all[2 * k + 1];
        x.out.tuns = 2;
        assert_int_equal(reassemble(back), 1280);
        assert_true(kit_l4_good(back, 1280));
        assert_int_equal(ip_get32(back + 44), k * MSS);
        assert_memory_equal(back + 60, stream + k * MSS, MSS);
    }
    memcpy(x.out.tun, all, sizeof all);
    x.out.tuns = 2 * SEGMENTS;
}

#define T(f) cmocka_unit_test_setup_teardown(f, three_nodes, kit_end)
int main(void)
{
    assert_int_equal(bw_crypto_init(), 0);
    const struct CMUnitTest tests[] = {T(every_length_arrives), T(what_is_longer_is_told_1280), T(headers_for_the_way_stay_in_front),
                                       T(fragments_are_cut_again), T(identifications_cannot_be_foreseen), T(segments_are_cut_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
