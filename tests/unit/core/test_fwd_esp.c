// End to end in the packet path: two nodes with a session and a relay between them that has none.
#include "fwd_kit.h"

#include "core/session/session.h"

static struct kit_node a, r, b, *const row[] = {&a, &r, &b, NULL};

static int three_nodes(void **state)
{
    kit_row(row, "fc01::1", "fc09::9", "fc02::2");
    kit_route(&a, "fc02::2/128", FWD_TO_LINK, 0);
    kit_route(&a, "fc09::9/128", FWD_TO_LINK, 0);
    kit_route(&a, "fd02::/16", FWD_TO_LINK, 0);
    kit_route(&r, "fc01::1/128", FWD_TO_LINK, 0);
    kit_route(&r, "fc02::2/128", FWD_TO_LINK, 1);
    kit_route(&b, "fc01::1/128", FWD_TO_LINK, 0);
    kit_session(&a, &b);
    return kit_start(state, row);
}

// What the relay sees of the one packet that a has sent.
static size_t seen_by_relay(uint8_t *out)
{
    assert_int_equal(a.out.wires, 1);
    memcpy(out, a.out.wire[0].p, a.out.wire[0].n);
    int n = keypair_open(r.rx[0], 0, out, a.out.wire[0].n, NOW);
    assert_true(n > 0);
    replay_init(&r.rx[0]->replay); // it has not seen it yet
    memmove(out, out + WG_DATA_HEADER, (size_t)n);
    return 40u + ip_get16(out + 4);
}

static void transport_mode(void **state)
{
    (void)state;
    uint8_t p[1500], seen[1500];
    for (size_t n = 0; n < 1300; n += 1 + n / 9) {
        size_t len = kit_udp(p, "fc01::1", "fc02::2", 7, 8, n, 3);
        p[1] |= 0x20; // ECN stays
        kit_from_tun(&a, p, len);
        size_t outer = seen_by_relay(seen);
        assert_int_equal(outer, 40 + esp_len(len - 40));
        assert_int_equal(seen[6], ESP_PROTOCOL);
        assert_memory_equal(seen + 8, p + 8, 32); // readable: the two addresses
        kit_there(row);
        assert_int_equal(b.out.tuns, 1);
        p[7]--; // one relay
        assert_int_equal(b.out.tun[0].n, VNET_LEN + len);
        assert_memory_equal(b.out.tun[0].p + VNET_LEN, p, len);
        kit_clear(&b.out);
    }
    assert_int_equal(b.out.punts, 0);
}

static void super_frames_are_sealed_by_segment(void **state)
{
    (void)state;
    static uint8_t f[VNET_LEN + 65535];
    struct vnet h = {.flags = VNET_NEEDS_CSUM, .gso_type = VNET_GSO_UDP_L4, .hdr_len = 48, .gso_size = 1298, .csum_start = 40, .csum_offset = 6};
    size_t n = kit_udp(f + VNET_LEN, "fc01::1", "fc02::2", 7, 8, 40 * 1298, 3);
    fwd_set_uso(b.fwd, true);
    for (int fits = 1; fits >= 0; fits--) {
        vnet_write(f, &h);
        fwd_from_tun(a.fwd, a.s, f, VNET_LEN + n, NOW);
        fwd_flush(a.fwd);
        if (!fits) break;
        kit_there(row);
        assert_int_equal(b.out.tuns, 1);
        assert_int_equal(vnet_read(b.out.tun[0].p).gso_size, 1298);
        assert_int_equal(b.out.tun[0].n, VNET_LEN + n);
        assert_memory_equal(b.out.tun[0].p + VNET_LEN + 48, f + VNET_LEN + 48, n - 48);
        h.gso_size = (uint16_t)(session_transport_mtu(FWD_MTU) - 48 + 1);
    }
    assert_int_equal(a.out.wires, 0);
    assert_int_equal(a.out.tuns, 1); // packet too big, with the MTU that counts inside
    assert_int_equal(ip_get32(a.out.tun[0].p + VNET_LEN + 44), session_transport_mtu(FWD_MTU));
}

static void fragments_go_in_tunnel_mode(void **state)
{
    (void)state;
    uint8_t p[1500] = {0}, seen[1500];
    struct bw_addr s = addr("fc01::1"), d = addr("fc02::2");
    size_t len = FWD_TUN_MTU;
    ip6_header(p, 0, (uint16_t)(len - 40), IP_FRAGMENT, 64, &s, &d);
    p[40] = IP_UDP;
    p[43] = 1;
    kit_from_tun(&a, p, len);
    assert_int_equal(seen_by_relay(seen), FWD_MTU);
    kit_there(row);
    assert_int_equal(b.out.tuns, 1);
    assert_memory_equal(b.out.tun[0].p + VNET_LEN, p, len); // the way was one hop for the outer header
    kit_clear(&b.out);
    ip6_header(p, 0, (uint16_t)(len + 1 - 40), IP_FRAGMENT, 64, &s, &d);
    kit_from_tun(&a, p, len + 1);
    assert_int_equal(a.out.wires, 0);
    assert_int_equal(ip_get32(a.out.tun[0].p + VNET_LEN + 44), FWD_TUN_MTU);
}

static void without_keys_control_hears_of_it(void **state)
{
    (void)state;
    uint8_t p[300];
    size_t len = kit_udp(p, "fc01::1", "fc09::9", 7, 8, 100, 3);
    for (unsigned i = 0; i < 200; i++) kit_from_tun(&a, p, len);
    assert_int_equal(a.out.wires, 0); // nothing in plain
    assert_in_range(a.out.punts, 1, 64);
    assert_int_equal(a.out.punts + fwd_drops(a.fwd, FWD_DROP_NO_SESSION), 200);
    assert_int_equal(a.out.punt[0].kind, FWD_PUNT_SESSION_WANTED);
    assert_true(bw_addr_eq(&a.out.punt[0].inner_dst, &r.c.self));
    assert_int_equal(a.out.punt[0].len, len);
    assert_memory_equal(a.out.punt[0].data, p, len);
    kit_clear(&a.out);
    // Keys that are worn out: likewise, and the packet is whole.
    atomic_store(&a.session[0].tx->tx_seq, SA_REJECT_AFTER_PACKETS);
    len = kit_udp(p, "fc01::1", "fc02::2", 7, 8, 100, 3);
    fwd_flush(a.fwd);
    uint8_t *f = calloc(1, VNET_LEN + len);
    memcpy(f + VNET_LEN, p, len);
    fwd_from_tun(a.fwd, a.s, f, VNET_LEN + len, NOW + BW_S);
    fwd_flush(a.fwd);
    free(f);
    assert_int_equal(a.out.wires, 0);
    assert_int_equal(a.out.punts, 1);
    assert_memory_equal(a.out.punt[0].data, p, len);
}

static void only_esp_comes_in(void **state)
{
    (void)state;
    uint8_t p[300];
    struct { const char *src, *dst; uint16_t sport, dport; int to_tun, to_control; } t[] = {
        {"fc01::1", "fc02::2", 7, 8, 0, 0},           // plain between mesh addresses
        {"fc01::1", "fc02::2", SESSION_PORT, SESSION_PORT, 0, 1},
        {"fc01::1", "fc02::2", 9, SESSION_PORT, 0, 0}, // another source port
        {"fd05::5", "fc02::2", 7, 8, 1, 0},           // a stock address
        {"fc00::e", "fc02::2", 4870, 8, 1, 0},        // the nearest exit's answer
    };
    for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
        uint64_t before = fwd_drops(b.fwd, FWD_DROP_PLAIN);
        size_t len = kit_udp(p, t[i].src, t[i].dst, t[i].sport, t[i].dport, 60, 1);
        assert_int_equal(fwd_to_link(r.fwd, r.s, 1, p, len, NOW), 0);
        kit_carry(&r, &b, 0);
        assert_int_equal(b.out.tuns, t[i].to_tun);
        assert_int_equal(b.out.punts, t[i].to_control);
        if (b.out.punts) assert_true(b.out.punt[0].kind == FWD_PUNT_SESSION && b.out.punt[0].len == 60 && b.out.punt[0].data[0] == 1);
        assert_int_equal(fwd_drops(b.fwd, FWD_DROP_PLAIN) - before, !t[i].to_tun && !t[i].to_control);
        kit_clear(&b.out);
    }
    size_t len = kit_echo(p, "fc01::1", "fc02::2", false, 3, 20);
    assert_int_equal(fwd_to_link(r.fwd, r.s, 1, p, len, NOW), 0);
    kit_carry(&r, &b, 0);
    assert_int_equal(b.out.tuns, 0); // a ping is no error
}

static void a_meddling_relay(void **state)
{
    (void)state;
    uint8_t p[300], seen[1500];
    kit_from_tun(&a, p, kit_udp(p, "fc01::1", "fc02::2", 7, 8, 100, 3));
    size_t n = seen_by_relay(seen);
    kit_clear(&a.out);
    struct { unsigned at; enum fwd_drop why; unsigned punts; } t[] = {
        {40, FWD_DROP_ESP_SPI, 1},   // SPI: control may tell the sender
        {44, FWD_DROP_ESP_AUTH, 0},  // sequence number
        {60, FWD_DROP_ESP_AUTH, 0},  // ciphertext
        {8 + 15, FWD_DROP_ESP_SPI, 0}, // source address
    };
    for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
        uint8_t q[1500];
        memcpy(q, seen, n);
        q[t[i].at] ^= 1;
        assert_int_equal(fwd_to_link(r.fwd, r.s, 1, q, n, NOW), 0);
        kit_carry(&r, &b, 0);
        assert_true(fwd_drops(b.fwd, t[i].why) > 0);
        assert_int_equal(b.out.tuns, 0);
        assert_int_equal(b.out.punts, t[i].punts);
        if (t[i].punts) assert_int_equal(b.out.punt[0].kind, FWD_PUNT_SESSION_SPI);
        kit_clear(&b.out);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fwd_to_link(r.fwd, r.s, 1, seen, n, NOW), 0);
        kit_carry(&r, &b, 0);
    }
    assert_int_equal(b.out.tuns, 1); // once
    assert_int_equal(fwd_drops(b.fwd, FWD_DROP_ESP_REPLAY), 2);
}

static void errors_about_esp_are_controls(void **state)
{
    (void)state;
    uint8_t p[300];
    size_t len = kit_udp(p, "fc01::1", "fc02::2", 7, 8, 100, 3);
    p[7] = 1; // traceroute
    kit_from_tun(&a, p, len);
    kit_carry(&a, &r, 0);
    kit_carry(&r, &a, 0);
    assert_int_equal(a.out.tuns, 0);
    assert_int_equal(a.out.punts, 1);
    assert_int_equal(a.out.punt[0].kind, FWD_PUNT_SESSION_ERROR);
    const uint8_t *e = a.out.punt[0].data;
    assert_int_equal(e[40], 3);
    struct session_trace t;
    assert_true(session_trace_take(a.traces, ip_get32(e + 88), ip_get32(e + 92), &t));
    assert_true(t.next == IP_UDP && t.payload == len - 40 && !memcmp(t.bytes, p + 40, t.count));
    // tunnel mode likewise, with the whole inner packet
    kit_clear(&a.out);
    len = kit_udp(p, "fc01::1", "fc02::2", 7, 8, 100, 3);
    p[6] = 60; // destination options go in tunnel mode
    p[7] = 1;
    kit_from_tun(&a, p, len);
    assert_int_equal(a.out.wires, 1);
    assert_true(session_trace_take(a.traces, a.session[0].tx->remote_spi, (uint32_t)atomic_load(&a.session[0].tx->tx_seq), &t));
    assert_true(t.next == IP_IPV6 && t.payload == len && !memcmp(t.bytes, p, 7) && t.count == SESSION_TRACE_BYTES);
    kit_clear(&a.out);
    // about a packet to an address without sessions: the kernel's
    len = kit_udp(p, "fc01::1", "fd02::2", 7, 8, 100, 3);
    p[7] = 1;
    kit_from_tun(&a, p, len);
    kit_carry(&a, &r, 0);
    kit_carry(&r, &a, 0);
    assert_int_equal(a.out.tuns, 1);
    assert_int_equal(a.out.punts, 0);
}

static void dummies_and_confirmations(void **state)
{
    (void)state;
    uint8_t m[200];
    atomic_store(&b.session[0].tx->confirmed, false);
    int len = sa_seal(a.session[0].tx, 1, m + 40, 0, ESP_NO_NEXT, NULL, NOW);
    ip6_header(m, 0, (uint16_t)len, ESP_PROTOCOL, 60, &a.c.self, &b.c.self);
    assert_int_equal(fwd_to_link(r.fwd, r.s, 1, m, 40 + (size_t)len, NOW), 0);
    kit_carry(&r, &b, 0);
    assert_int_equal(b.out.tuns, 0);
    assert_int_equal(b.out.punts, 1);
    assert_int_equal(b.out.punt[0].kind, FWD_PUNT_SESSION_CONFIRM);
    assert_int_equal(b.out.punt[0].local_index, b.session[0].tx->local_spi);
}

#define T(f) cmocka_unit_test_setup_teardown(f, three_nodes, kit_end)
int main(void)
{
    if (bw_crypto_init()) return 1;
    const struct CMUnitTest tests[] = {
        T(transport_mode),    T(super_frames_are_sealed_by_segment), T(fragments_go_in_tunnel_mode), T(without_keys_control_hears_of_it),
        T(only_esp_comes_in), T(a_meddling_relay),                   T(errors_about_esp_are_controls), T(dummies_and_confirmations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
