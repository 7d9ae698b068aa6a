// The tunnel between a client and its exit: client c - relay r - exit x.
#include "fwd_kit.h"

static struct kit_node c, r, x, *const row[] = {&c, &r, &x, NULL};

static int three_nodes(void **state)
{
    kit_row(row, "fc01::1", "fc09::9", "fc0e::e");
    kit_route(&c, "fc0e::e/128", FWD_TO_LINK, 0);
    kit_route(&r, "fc0e::e/128", FWD_TO_LINK, 1);
    kit_route(&r, "fc01::1/128", FWD_TO_LINK, 0);
    kit_route(&x, "fc01::1/128", FWD_TO_LINK, 0);
    kit_lease(&c, &x);
    kit_tun_route(&x, "100.64.0.7/32", "fc01::1");
    kit_tun_route(&x, "2001:db8:e::7/128", "fc01::1");
    x.c.gateway4 = addr("100.64.0.1");
    x.c.gateway6 = addr("2001:db8:e::1");
    kit_session(&c, &x);
    kit_session(&r, &x); // the relay may talk to the exit as well, but has no lease
    return kit_start(state, row);
}

// The relay is an exit as well, with a lease of its own; the default route leads to x.
static int two_exits(void **state)
{
    kit_row(row, "fc01::1", "fc09::9", "fc0e::e");
    kit_route(&c, "fc0e::e/128", FWD_TO_LINK, 0);
    kit_route(&c, "fc09::9/128", FWD_TO_LINK, 0);
    kit_route(&r, "fc0e::e/128", FWD_TO_LINK, 1);
    kit_route(&r, "fc01::1/128", FWD_TO_LINK, 0);
    kit_route(&x, "fc01::1/128", FWD_TO_LINK, 0);
    kit_lease(&c, &x);
    struct fwd_tunnel t = {.inner4 = addr("100.64.9.9"), .peer = c.c.self, .shared = fwd_tunnel_shared_new(&r.mem)};
    r.tunnel[r.c.tunnel_count++] = t;
    r.c.sharing = true;
    t.peer = r.c.self, t.is_exit = true, t.shared = fwd_tunnel_shared_new(&c.mem);
    c.tunnel[c.c.tunnel_count++] = t;
    kit_session(&c, &x);
    kit_session(&c, &r);
    return kit_start(state, row);
}

static void what_has_another_exits_address_goes_there(void **state)
{
    (void)state;
    uint8_t p[300];
    static const struct {
        const char *src;
        unsigned at_r, at_x;
    } t[] = {{"100.64.0.7", 0, 1}, {"100.64.9.9", 1, 0}, {"2001:db8:e::7", 0, 1}};
    for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
        const char *web = strchr(t[i].src, ':') ? "2001:db8:80::1" : "192.0.2.80";
        kit_from_tun(&c, p, kit_udp(p, t[i].src, web, 1, 2, 100, 7));
        kit_there(row);
        assert_int_equal(r.out.tuns, t[i].at_r);
        assert_int_equal(x.out.tuns, t[i].at_x);
        kit_clear(&r.out);
        kit_clear(&x.out);
    }
    uint64_t before = fwd_drops(x.fwd, FWD_DROP_TUNNEL_SOURCE);
    kit_from_tun(&c, p, kit_udp(p, "100.64.1.1", "192.0.2.80", 1, 2, 100, 7)); // nobody's
    kit_there(row);
    assert_int_equal(fwd_drops(x.fwd, FWD_DROP_TUNNEL_SOURCE), before + 1);
}

static void there_and_back(void **state)
{
    (void)state;
    uint8_t p[1500];
    for (int v4 = 0; v4 < 2; v4++) {
        const char *in = v4 ? "100.64.0.7" : "2001:db8:e::7", *web = v4 ? "192.0.2.80" : "2001:db8:80::1";
        size_t n = kit_udp(p, in, web, 1, 2, 1290, 7);
        kit_from_tun(&c, p, n);
        kit_there(row);
        assert_int_equal(x.out.tuns, 1);
        assert_int_equal(x.out.tun[0].n, VNET_LEN + n);
        assert_memory_equal(x.out.tun[0].p + VNET_LEN, p,
                            n); // the way through the mesh is one hop, and nobody's business
        n = kit_udp(p, web, in, 2, 1, 1290, 8);
        kit_from_tun(&x, p, n);
        kit_back(row);
        assert_int_equal(c.out.tuns, 1);
        assert_memory_equal(c.out.tun[0].p + VNET_LEN, p, n);
        kit_clear(&c.out);
        kit_clear(&x.out);
    }
    struct fwd_tunnel_shared *s = x.tunnel[0].shared;
    assert_int_equal(atomic_load(&s->rx_packets), 2);
    assert_int_equal(atomic_load(&s->tx_packets), 2);
    assert_int_equal(atomic_load(&s->rx_bytes), 1290 + 28 + 1290 + 48);
    assert_int_equal(atomic_load(&s->tx_bytes), 1290 + 28 + 1290 + 48);
    assert_int_equal(atomic_load(&s->last_rx), NOW + 1);
}

static void less_room(void **state)
{
    (void)state;
    uint8_t p[1500];
    kit_from_tun(&c, p, kit_udp(p, "2001:db8:e::7", "2001:db8:80::1", 1, 2, FWD_TUN_MTU - 48, 7)); // fits
    assert_int_equal(c.out.wires, 1);
    kit_clear(&c.out);
    kit_from_tun(&c, p, kit_udp(p, "2001:db8:e::7", "2001:db8:80::1", 1, 2, FWD_TUN_MTU - 47, 7));
    assert_int_equal(c.out.wires, 0);
    assert_int_equal(c.out.tuns, 1);
    assert_int_equal(ip_get32(c.out.tun[0].p + VNET_LEN + 44), FWD_TUN_MTU);
}

// An inner packet, sealed with the first keys that `from` has, whatever it is.
static void forged(struct kit_node *from, const char *outer_src, const char *outer_dst, uint8_t next, const uint8_t *p,
                   size_t n, uint8_t ecn)
{
    uint8_t m[1600];
    struct bw_addr s = addr(outer_src), d = addr(outer_dst);
    memcpy(m + 40 + ESP_HEADER, p, n);
    int len = sa_seal(from->session[0].tx, 1, m + 40, n, next, NULL, NOW);
    assert_true(len > 0);
    ip6_header(m, ecn, (uint16_t)len, ESP_PROTOCOL, 60, &s, &d);
    assert_int_equal(fwd_to_link(from->fwd, from->s, from == &r ? 1 : 0, m, 40 + (size_t)len, NOW), 0);
}

static void lease_holds(void **state)
{
    (void)state;
    uint8_t p[300];
    struct {
        const char *outer, *src, *dst;
        uint8_t next;
        enum fwd_drop why;
    } t[] = {
        {"fc01::1", "100.64.0.8", "192.0.2.1", 4, FWD_DROP_TUNNEL_SOURCE},
        {"fc01::1", "2001:db8:e::8", "2001:db8::1", 41, FWD_DROP_TUNNEL_SOURCE},
        {"fc03::3", "100.64.0.7", "192.0.2.1", 4, FWD_DROP_ESP_SPI}, // not its keys
        {"fc01::1", "100.64.0.7", "192.0.2.1", 41, FWD_DROP_MALFORMED},
        {"fc01::1", "2001:db8:e::7", "2001:db8::1", 4, FWD_DROP_MALFORMED},
        {"fc01::1", "fc05::5", "2001:db8::1", 41, FWD_DROP_MARTIAN},
        {"fc01::1", "100.64.0.7", "224.0.0.1", 4, FWD_DROP_LINKLOCAL},
        {"fc01::1", "127.0.0.1", "192.0.2.1", 4, FWD_DROP_MARTIAN},
        {"fc01::1", "2001:db8:e::7", "fe80::1", 41, FWD_DROP_LINKLOCAL},
    };
    for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
        uint64_t before = fwd_drops(x.fwd, t[i].why);
        forged(&c, t[i].outer, "fc0e::e", t[i].next, p, kit_udp(p, t[i].src, t[i].dst, 1, 2, 50, 0), 0);
        kit_there(row);
        assert_int_equal(fwd_drops(x.fwd, t[i].why), before + 1);
        assert_int_equal(x.out.tuns + x.out.punts, 0);
    }
    forged(&r, "fc09::9", "fc0e::e", 4, p, kit_udp(p, "100.64.0.7", "192.0.2.1", 1, 2, 50, 0), 0);
    kit_carry(&r, &x, 0);
    assert_int_equal(fwd_drops(x.fwd, FWD_DROP_TUNNEL_PEER), 1);
    assert_int_equal(x.out.tuns, 0);
    // at the client: only what is for the leased address
    forged(&x, "fc0e::e", "fc01::1", 4, p, kit_udp(p, "192.0.2.1", "100.64.0.9", 1, 2, 50, 0), 0);
    kit_back(row);
    assert_int_equal(fwd_drops(c.fwd, FWD_DROP_TUNNEL_SOURCE), 1);
    forged(&x, "fc0e::e", "fc01::1", 41, p, kit_udp(p, "fc05::5", "2001:db8:e::7", 1, 2, 50, 0), 0);
    kit_back(row);
    assert_int_equal(fwd_drops(c.fwd, FWD_DROP_MARTIAN), 1);
    assert_int_equal(c.out.tuns, 0);
}

// RFC 6040, figure 4.
static void congestion_marks(void **state)
{
    (void)state;
    enum { NOT, ECT1, ECT0, CE, DROP };
    static const uint8_t want[4][4] = {// [inner][outer]
                                       [NOT] = {NOT, NOT, NOT, DROP},
                                       [ECT0] = {ECT0, ECT1, ECT0, CE},
                                       [ECT1] = {ECT1, ECT1, ECT1, CE},
                                       [CE] = {CE, CE, CE, CE}};
    for (int v4 = 0; v4 < 2; v4++)
        for (uint8_t inner = 0; inner < 4; inner++)
            for (uint8_t outer = 0; outer < 4; outer++) {
                uint8_t p[300];
                size_t n =
                    kit_udp(p, v4 ? "100.64.0.7" : "2001:db8:e::7", v4 ? "192.0.2.1" : "2001:db8::1", 1, 2, 50, 0);
                struct ip_view v;
                assert_int_equal(ip_parse(p, n, &v), 0);
                ip_set_ecn(&v, inner);
                forged(&c, "fc01::1", "fc0e::e", v4 ? 4 : 41, p, n, outer);
                kit_there(row);
                assert_int_equal(x.out.tuns, want[inner][outer] != DROP);
                if (x.out.tuns) {
                    assert_int_equal(ip_parse(x.out.tun[0].p + VNET_LEN, n, &v), 0); // IPv4's checksum too
                    assert_int_equal(ip_ecn(&v), want[inner][outer]);
                }
                kit_clear(&x.out);
            }
    // and what goes in is copied
    uint8_t p[300];
    size_t n = kit_udp(p, "2001:db8:e::7", "2001:db8::1", 1, 2, 50, 0);
    p[1] |= 0x20;
    kit_from_tun(&c, p, n);
    uint8_t *m = c.out.wire[0].p;
    assert_true(keypair_open(r.rx[0], 0, m, c.out.wire[0].n, NOW) > 0);
    assert_int_equal(m[16 + 1], 0x20);
    assert_int_equal(m[16 + 6], ESP_PROTOCOL);
}

static void gateway_is_control(void **state)
{
    (void)state;
    uint8_t p[300];
    for (int v4 = 0; v4 < 2; v4++) {
        const char *in = v4 ? "100.64.0.7" : "2001:db8:e::7", *gw = v4 ? "100.64.0.1" : "2001:db8:e::1";
        struct bw_addr client = addr("fc01::1"), exit_addr = addr("fc0e::e");
        size_t n = kit_echo(p, in, gw, false, FWD_TUNNEL_ECHO_ID, 20);
        kit_from_tun(&c, p, n);
        kit_there(row);
        assert_int_equal(x.out.tuns, 0);
        assert_int_equal(x.out.punts, 1);
        assert_int_equal(x.out.punt[0].kind, FWD_PUNT_GATEWAY);
        assert_true(bw_addr_eq(&x.out.punt[0].inner_src, &client));
        assert_int_equal(x.out.punt[0].len, n);
        assert_memory_equal(x.out.punt[0].data, p, n);
        n = kit_echo(p, gw, in, true, FWD_TUNNEL_ECHO_ID, 20);
        kit_from_tun(&x, p, n);
        kit_back(row);
        assert_int_equal(c.out.tuns, 0);
        assert_int_equal(c.out.punts, 1);
        assert_int_equal(c.out.punt[0].kind, FWD_PUNT_TUNNEL_ECHO);
        assert_true(bw_addr_eq(&c.out.punt[0].inner_src, &exit_addr));
        kit_clear(&c.out);
        kit_clear(&x.out);
        // somebody else's ping is the kernel's
        n = kit_echo(p, gw, in, true, 5, 20);
        kit_from_tun(&x, p, n);
        kit_back(row);
        assert_int_equal(c.out.tuns, 1);
        assert_int_equal(c.out.punts, 0);
        kit_clear(&c.out);
    }
    // an unreachable that quotes our echo request; one that quotes another
    for (int ours = 0; ours < 2; ours++) {
        uint8_t q[300];
        size_t n = kit_echo(q, "100.64.0.7", "100.64.0.1", false, ours ? FWD_TUNNEL_ECHO_ID : 9, 0);
        size_t h = kit_ip(p, "100.64.0.1", "100.64.0.7", IP_ICMP, 8 + n);
        memset(p + h, 0, 8);
        p[h] = 3;
        memcpy(p + h + 8, q, n);
        csum_store(p + h + 2, csum_add(0, p + h, 8 + n));
        kit_from_tun(&x, p, h + 8 + n);
        kit_back(row);
        assert_int_equal(c.out.punts, ours);
        assert_int_equal(c.out.tuns, !ours);
        kit_clear(&c.out);
    }
}

static void anycast(void **state)
{
    (void)state;
    uint8_t p[300];
    size_t n = kit_udp(p, "fc01::1", "fc00::e", 9999, 4870, 30, 0);
    assert_int_equal(fwd_to_link(r.fwd, r.s, 1, p, n, NOW), 0);
    kit_carry(&r, &x, 0);
    assert_int_equal(x.out.tuns, 1); // sharing: ours
    kit_clear(&x.out);
    x.c.sharing = false;
    kit_ready(&x);
    assert_int_equal(fwd_to_link(r.fwd, r.s, 1, p, n, NOW), 0);
    kit_carry(&r, &x, 0);
    assert_int_equal(x.out.tuns, 0);
    assert_int_equal(fwd_drops(x.fwd, FWD_DROP_NO_ROUTE), 1);
}

static void hostile_client(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 20000; k++) {
        uint8_t p[400], m[600];
        bool v4 = rnd() % 2;
        size_t n = rnd() % 2 ? kit_udp(p, v4 ? "100.64.0.7" : "2001:db8:e::7", v4 ? "192.0.2.1" : "2001:db8::1", 1, 2,
                                       rnd() % 200, 0)
                             : kit_echo(p, v4 ? "100.64.0.7" : "2001:db8:e::7", v4 ? "100.64.0.1" : "2001:db8:e::1",
                                        rnd() % 2, FWD_TUNNEL_ECHO_ID, rnd() % 100);
        for (unsigned i = rnd() % 4; i; i--) p[rnd() % n] = (uint8_t)rnd();
        if (p[0] >> 4 == 4) ip4_checksum(p, 20);
        if (rnd() % 4 == 0) n = rnd() % (n + 1);
        struct bw_addr s = c.c.self, d = x.c.self;
        memcpy(m + 56 + ESP_HEADER, p, n);
        int esp = sa_seal(c.session[0].tx, 1, m + 56, n, rnd() % 8 ? (v4 ? 4 : 41) : (uint8_t)rnd(), NULL, NOW);
        ip6_header(m + 16, (uint8_t)(rnd() % 4), (uint16_t)esp, ESP_PROTOCOL, 60, &s, &d);
        if (rnd() % 8 == 0) m[56 + rnd() % (unsigned)esp] ^= 4; // without the tag
        int len = keypair_seal(r.link[1].tx, 0, m, (size_t)esp + 40, rnd() % 2 ? FWD_MTU : 0, NOW);
        uint8_t *exact = kit_copy(m, (size_t)len).p;
        fwd_from_wire(
            x.fwd, x.s,
            &(struct fwd_train){.data = exact, .len = (uint32_t)len, .seg = (uint16_t)len, .remote = x.link[0].remote},
            1, NOW);
        free(exact);
        kit_clear(&x.out);
    }
}

static void a_flooding_neighbour_uses_up_its_own_share(void **state)
{
    (void)state;
    uint8_t p[300], esp[120];
    for (unsigned i = 0; i < 600; i++) { // session messages, and ESP under unknown numbers
        assert_int_equal(fwd_to_link(c.fwd, c.s, 0, p, kit_udp(p, "fc01::1", "fc09::9", 4871, 4871, 152, (uint8_t)i), NOW), 0);
        size_t n = kit_ip(esp, "fc01::1", "fc09::9", ESP_PROTOCOL, 76);
        memset(esp + n, 0, 76);
        ip_put32(esp + n, 0x7000 + i);
        assert_int_equal(fwd_to_link(c.fwd, c.s, 0, esp, n + 76, NOW), 0);
        kit_carry(&c, &r, 0);
    }
    unsigned messages = 0, unknown = 0;
    for (unsigned i = 0; i < r.out.punts; i++) {
        messages += r.out.punt[i].kind == FWD_PUNT_SESSION;
        unknown += r.out.punt[i].kind == FWD_PUNT_SESSION_SPI;
    }
    assert_in_range(messages, 200, 260);
    assert_in_range(unknown, 50, 70);
    kit_clear(&r.out);
    assert_int_equal(fwd_to_link(x.fwd, x.s, 0, p, kit_udp(p, "fc0e::e", "fc09::9", 4871, 4871, 152, 1), NOW), 0);
    ip_put32(esp + 40, 0x9000);
    memcpy(esp + 8, x.c.self.b, 16);
    assert_int_equal(fwd_to_link(x.fwd, x.s, 0, esp, 116, NOW), 0);
    kit_carry(&x, &r, 1);
    assert_int_equal(r.out.punts, 2); // the other neighbour is heard
}

#define T(f) cmocka_unit_test_setup_teardown(f, three_nodes, kit_end)
int main(void)
{
    if (bw_crypto_init()) return 1;
    const struct CMUnitTest tests[] = {
        T(a_flooding_neighbour_uses_up_its_own_share),
        T(there_and_back),
        cmocka_unit_test_setup_teardown(what_has_another_exits_address_goes_there, two_exits, kit_end),
        T(less_room),
        T(lease_holds),
        T(congestion_marks),
        T(gateway_is_control),
        T(anycast),
        T(hostile_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
