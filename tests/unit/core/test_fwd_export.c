// Networks behind nodes in the packet path: a (exports fd00:a::/64) - relay r - b (exports fd00:b::/64 and 192.168.7.0/24);
// a stock neighbour's network fd77::/64 hangs off r's link 2.
#include "fwd_kit.h"

#include "core/fwd/snapshot.h"

static struct kit_node a, r, b, *const row[] = {&a, &r, &b, NULL};
static struct bw_prefix of_a[1], of_b[2];
static struct fwd_exporter at_a[1], at_b[1];

static void kit_export(struct kit_node *n, const char *to, const char *via)
{
    n->tun[n->c.tun_count++] = (struct fwd_route){.prefix = prefix(to), .target = FWD_TO_EXPORT, .via = via ? addr(via) : (struct bw_addr){{0}}};
}

static int three_nodes(void **state)
{
    kit_row(row, "fc01::1", "fc09::9", "fc02::2");
    struct kit_node *const ends[] = {&a, &b};
    for (int i = 0; i < 2; i++) {
        struct kit_node *n = ends[i];
        kit_route(n, i ? "fc01::1/128" : "fc02::2/128", FWD_TO_LINK, 0);
        kit_route(n, "fc09::9/128", FWD_TO_LINK, 0);
        kit_route(n, "fd77::/64", FWD_TO_LINK, 0);
        kit_route(n, "fd00:a::/64", i ? FWD_TO_LINK : FWD_TO_TUN, 0);
        kit_route(n, "fd00:b::/64", i ? FWD_TO_TUN : FWD_TO_LINK, 0);
        kit_route(n, "192.168.7.0/24", i ? FWD_TO_TUN : FWD_TO_LINK, 0);
    }
    kit_export(&a, "fd00:b::/64", "fc02::2");
    kit_export(&a, "192.168.7.0/24", "fc02::2");
    kit_export(&b, "fd00:a::/64", "fc01::1");
    kit_route(&r, "fc01::1/128", FWD_TO_LINK, 0);
    kit_route(&r, "fc02::2/128", FWD_TO_LINK, 1);
    kit_route(&r, "fd00:a::/64", FWD_TO_LINK, 0);
    kit_route(&r, "fd00:b::/64", FWD_TO_LINK, 1);
    of_a[0] = prefix("fd00:a::/64");
    of_b[0] = prefix("fd00:b::/64"), of_b[1] = prefix("192.168.7.0/24");
    at_b[0] = (struct fwd_exporter){addr("fc01::1"), of_a, 1};
    at_a[0] = (struct fwd_exporter){addr("fc02::2"), of_b, 2};
    a.c.exporters = at_a, a.c.exporter_count = 1;
    b.c.exporters = at_b, b.c.exporter_count = 1;
    kit_session(&a, &b);
    kit_session(&r, &b); // the relay may talk to b as well
    return kit_start(state, row);
}

// Over the first hop: what the relay can read of it.
static uint8_t next_header_at_relay(void)
{
    uint8_t m[2000];
    assert_int_equal(a.out.wires, 1);
    memcpy(m, a.out.wire[0].p, a.out.wire[0].n);
    assert_true(keypair_open(r.rx[0], 0, m, a.out.wire[0].n, NOW) > 0);
    assert_memory_equal(m + 16 + 8, a.c.self.b, 16);
    assert_memory_equal(m + 16 + 24, b.c.self.b, 16);
    return m[16 + 6];
}

static void sealed_from_network_to_network(void **state)
{
    (void)state;
    const char *const pair[][2] = {{"fd00:a::9", "fd00:b::9"}, {"fc01::1", "fd00:b::9"}, {"fd00:a::9", "fc02::2"}};
    uint8_t p[1500];
    for (unsigned i = 0; i < 3; i++) {
        size_t n = kit_udp(p, pair[i][0], pair[i][1], 1, 2, 1200, 7);
        kit_from_tun(&a, p, n);
        kit_there(row);
        assert_int_equal(b.out.tuns, 1);
        assert_memory_equal(b.out.tun[0].p + VNET_LEN, p, n); // the way through the mesh is one hop
        n = kit_udp(p, pair[i][1], pair[i][0], 2, 1, 1200, 8);
        kit_from_tun(&b, p, n);
        kit_back(row);
        assert_int_equal(a.out.tuns, 1);
        assert_memory_equal(a.out.tun[0].p + VNET_LEN, p, n);
        kit_clear(&a.out);
        kit_clear(&b.out);
    }
}

static void the_relay_sees_esp(void **state)
{
    (void)state;
    uint8_t p[300];
    kit_from_tun(&a, p, kit_udp(p, "fd00:a::9", "fd00:b::9", 1, 2, 100, 7));
    assert_int_equal(next_header_at_relay(), ESP_PROTOCOL);
    kit_clear(&a.out);
    kit_from_tun(&a, p, kit_udp(p, "fd00:a::9", "fc02::2", 1, 2, 100, 7));
    assert_int_equal(next_header_at_relay(), ESP_PROTOCOL);
}

static void no_keys_or_no_record_no_packet(void **state)
{
    (void)state;
    uint8_t p[300];
    size_t n = kit_udp(p, "fc01::1", "fd00:b::9", 1, 2, 100, 7);
    // Without keys: control is asked for some. Never plain.
    session_table_unref(a.c.sessions);
    a.c.sessions = NULL;
    fwd_snapshot_free(a.s);
    a.s = fwd_snapshot_new(&a.mem, &a.c);
    kit_from_tun(&a, p, n);
    assert_int_equal(a.out.wires, 0);
    assert_true(a.out.punts == 1 && a.out.punt[0].kind == FWD_PUNT_SESSION_WANTED && bw_addr_eq(&a.out.punt[0].inner_dst, &b.c.self));
    kit_clear(&a.out);
    // Not confirmed: nothing at all.
    a.tun[0].via = a.tun[1].via = (struct bw_addr){{0}};
    kit_ready(&a);
    kit_from_tun(&a, p, n);
    assert_true(a.out.wires == 0 && a.out.punts == 0 && a.out.tuns == 0);
    assert_int_equal(fwd_drops(a.fwd, FWD_DROP_UNCONFIRMED), 1);
}

static void from_elsewhere_is_told_so(void **state)
{
    (void)state;
    uint8_t p[300];
    const char *const pair[][2] = {{"192.168.1.5", "192.168.7.9"}, {"fd00:c::5", "fd00:b::9"}, {"fd00:c::5", "fc02::2"}};
    for (unsigned i = 0; i < 3; i++) {
        kit_from_tun(&a, p, kit_udp(p, pair[i][0], pair[i][1], 1, 2, 100, 7));
        assert_int_equal(a.out.wires, 0);
        assert_int_equal(a.out.tuns, 1);
        const uint8_t *q = a.out.tun[0].p + VNET_LEN;
        assert_true(i ? q[40] == 1 && q[41] == 1 : q[20] == 3 && q[21] == 13); // administratively prohibited
        kit_clear(&a.out);
    }
    assert_int_equal(fwd_drops(a.fwd, FWD_DROP_NOT_EXPORTED), 3);
}

// An inner packet out of `from`'s own tunnel to b, whatever it is.
static void forged(struct kit_node *from, const uint8_t *p, size_t n)
{
    uint8_t m[1600];
    memcpy(m + 40 + ESP_HEADER, p, n);
    int len = sa_seal(from->session[0].tx, 1, m + 40, n, p[0] >> 4 == 4 ? IP_IPIP : IP_IPV6, NULL, NOW);
    assert_true(len > 0);
    ip6_header(m, 0, (uint16_t)len, ESP_PROTOCOL, 60, &from->c.self, &b.c.self);
    assert_int_equal(fwd_to_link(from->fwd, from->s, from == &r ? 1 : 0, m, 40 + (size_t)len, NOW), 0);
    if (from == &a) kit_carry(&a, &r, 0);
    kit_carry(&r, &b, 0);
}

static void only_its_own_network_comes_out_of_a_tunnel(void **state)
{
    (void)state;
    uint8_t p[300];
    const struct {
        struct kit_node *from;
        const char *src, *dst;
        bool taken, asked;
    } v[] = {
        {&a, "fd00:a::9", "fd00:b::9", true, false},   {&a, "fc01::1", "fd00:b::9", true, false},
        {&a, "fd00:a::9", "fc02::2", true, false},     {&r, "fc09::9", "fd00:b::9", true, false},
        {&a, "fd00:d::9", "fd00:b::9", false, true}, // not known to be its: perhaps it has a new one
        {&r, "fd00:a::9", "fd00:b::9", false, true}, // another's
        {&r, "fc01::1", "fd00:b::9", false, false},    {&r, "fc01::1", "fc02::2", false, false},
        {&a, "fd00:b::7", "fc02::2", false, true},   // b's own
        {&a, "fd00:a::9", "fd00:d::9", false, false},  {&a, "fd00:a::9", "fc09::9", false, false},
        {&a, "10.1.1.1", "192.168.7.9", false, true},
    };
    for (unsigned i = 0; i < sizeof v / sizeof *v; i++) {
        forged(v[i].from, p, kit_udp(p, v[i].src, v[i].dst, 1, 2, 100, 7));
        assert_int_equal(b.out.tuns, v[i].taken);
        assert_int_equal(b.out.punts, v[i].asked);
        if (v[i].asked) assert_true(b.out.punt[0].kind == FWD_PUNT_EXPORTER && bw_addr_eq(&b.out.punt[0].inner_src, &v[i].from->c.self));
        kit_clear(&b.out);
    }
}

static void plain_only_from_stock(void **state)
{
    (void)state;
    uint8_t p[300];
    const struct {
        const char *src, *dst;
        bool taken;
    } v[] = {
        {"fd77::5", "fd00:b::9", true},  // a stock neighbour's network: it has no other way
        {"fd77::5", "fc02::2", true},    {"10.77.1.1", "192.168.7.9", true},
        {"fc01::1", "fd00:b::9", false}, // in a byway node's name
        {"fd00:a::9", "fd00:b::9", false}, {"fd00:a::9", "fc02::2", false}, // in its network's
        {"fd00:b::7", "fc02::2", false}, {"192.168.7.8", "192.168.7.9", false}, // in our own's
    };
    for (unsigned i = 0; i < sizeof v / sizeof *v; i++) {
        assert_int_equal(fwd_to_link(r.fwd, r.s, 1, p, kit_udp(p, v[i].src, v[i].dst, 1, 2, 100, 7), NOW), 0);
        kit_carry(&r, &b, 0);
        assert_int_equal(b.out.tuns, v[i].taken);
        kit_clear(&b.out);
    }
    assert_int_equal(fwd_drops(b.fwd, FWD_DROP_PLAIN), 5);
    // A relay's ICMPv6 error about what a network sent is no secret.
    uint8_t e[400];
    size_t q = kit_udp(p, "fd00:b::9", "fd77::5", 1, 2, 100, 7);
    size_t h = kit_ip(e, "fc09::9", "fd00:b::9", IP_ICMPV6, 8 + q);
    memset(e + h, 0, 8);
    e[h] = 3;
    memcpy(e + h + 8, p, q);
    csum_store(e + h + 2, csum_add(kit_pseudo(e, IP_ICMPV6, (uint32_t)(8 + q)), e + h, 8 + q));
    assert_int_equal(fwd_to_link(r.fwd, r.s, 1, e, h + 8 + q, NOW), 0);
    kit_carry(&r, &b, 0);
    assert_int_equal(b.out.tuns, 1);
}

static void stock_networks_go_as_before(void **state)
{
    (void)state;
    uint8_t p[300], m[600];
    kit_from_tun(&a, p, kit_udp(p, "fc01::1", "fd77::5", 1, 2, 100, 7));
    assert_int_equal(a.out.wires, 1);
    memcpy(m, a.out.wire[0].p, a.out.wire[0].n);
    assert_true(keypair_open(r.rx[0], 0, m, a.out.wire[0].n, NOW) > 0);
    assert_int_equal(m[16 + 6], IP_UDP); // over the encrypted hop, as to any stock neighbour
}

// A mesh address to which there is no route just now is not to be read by whoever exports a default route.
static void mesh_addresses_go_into_nobodys_export(void **state)
{
    (void)state;
    uint8_t p[300];
    kit_export(&a, "::/0", "fc02::2");
    kit_ready(&a);
    kit_from_tun(&a, p, kit_udp(p, "fc01::1", "2001:db8::1", 1, 2, 100, 7));
    assert_int_equal(a.out.wires, 1);
    kit_clear(&a.out);
    kit_from_tun(&a, p, kit_udp(p, "fc01::1", "fc05::5", 1, 2, 100, 7));
    assert_true(a.out.wires == 0 && a.out.punts == 0);
    assert_int_equal(fwd_drops(a.fwd, FWD_DROP_NO_ROUTE), 1);
}

static void the_snapshot_knows_whose(void **state)
{
    (void)state;
    struct fwd_snapshot *s = fwd_snapshot_new(&a.mem, &a.c);
    assert_non_null(s);
    struct bw_addr in = addr("fd00:b::77"), out = addr("fd00:c::1"), v4 = addr("192.168.7.1");
    assert_true(snapshot_exported_by(s, &b.c.self, &in) && snapshot_exported_by(s, &b.c.self, &v4));
    assert_false(snapshot_exported_by(s, &b.c.self, &out) || snapshot_exported_by(s, &r.c.self, &in));
    fwd_snapshot_free(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, three_nodes, kit_end)
int main(void)
{
    assert_int_equal(bw_crypto_init(), 0);
    const struct CMUnitTest tests[] = {
        T(sealed_from_network_to_network), T(the_relay_sees_esp),    T(no_keys_or_no_record_no_packet),
        T(from_elsewhere_is_told_so),      T(only_its_own_network_comes_out_of_a_tunnel),
        T(plain_only_from_stock),          T(stock_networks_go_as_before), T(the_snapshot_knows_whose),
        T(mesh_addresses_go_into_nobodys_export),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
