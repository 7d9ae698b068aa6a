// Frames from the TUN: super-frames against a stupid segmenter, checksums, what does not fit, hostile headers.
#include "fwd_kit.h"

static struct kit_node a, b, *const row[] = {&a, &b, NULL};

// a --0--0-- b, both know each other.
static int two_nodes(void **state)
{
    kit_node(&a, "fd01::1");
    kit_node(&b, "fd02::2");
    kit_link(&a, 0, &b, 0);
    kit_route(&a, "fd02::2/128", FWD_TO_LINK, 0);
    kit_route(&a, "10.2.0.0/16", FWD_TO_LINK, 0);
    kit_route(&b, "fd01::1/128", FWD_TO_LINK, 0);
    kit_route(&b, "10.2.0.0/16", FWD_TO_TUN, 0);
    return kit_start(state, row);
}

// Opens everything that a sent with b's keys, by hand: the inner packets one behind the other.
static unsigned inner_packets(uint8_t out[][1500], size_t len[], unsigned most)
{
    unsigned n = 0;
    for (unsigned w = 0; w < a.out.wires; w++) {
        struct fwd_train *t = &a.out.train[w];
        assert_true(bw_endpoint_eq(&t->remote, &a.link[0].remote));
        assert_int_equal(t->ifindex, 10);
        for (uint32_t at = 0; at < t->len; at += t->seg) {
            size_t m = t->len - at < t->seg ? t->len - at : t->seg;
            uint8_t *copy = kit_copy(t->data + at, m).p;
            int k = keypair_open(b.rx[0], 0, copy, m, NOW);
            assert_in_range(k, 20, FWD_MTU);
            struct ip_view v;
            assert_int_equal(ip_parse(copy + 16, (size_t)k, &v), 0);
            assert_in_range(n, 0, most - 1);
            memcpy(out[n], v.p, v.len);
            len[n++] = v.len;
            free(copy);
        }
    }
    return n;
}

static uint8_t got[2500][1500];
static size_t got_len[2500];

struct super {
    bool v6, tcp;
    uint8_t flags;
    size_t options, payload;
    uint16_t gso;
};

// The kernel's frame: length and pseudo-header's sum for the whole.
static uint8_t *make_super(const struct super *s, size_t *n)
{
    size_t l4 = s->tcp ? 20 + s->options : 8;
    uint8_t *f = calloc(1, VNET_LEN + 40 + l4 + s->payload), *p = f + VNET_LEN;
    uint8_t proto = s->tcp ? IP_TCP : IP_UDP;
    size_t h = kit_ip(p, s->v6 ? "fd01::1" : "10.1.0.1", s->v6 ? "fd02::2" : "10.2.0.1", proto, l4 + s->payload);
    uint8_t *t = p + h;
    if (!s->v6) {
        ip_put16(p + 4, 0xfffe);
        ip4_checksum(p, 20);
    }
    ip_put16(t, 4000);
    ip_put16(t + 2, 80);
    if (s->tcp) {
        ip_put32(t + 4, 0xfffffff0);
        ip_put32(t + 8, 77);
        t[12] = (uint8_t)(l4 / 4 << 4);
        t[13] = s->flags;
        for (size_t i = 0; i < s->options; i++) t[20 + i] = 1;
    } else {
        ip_put16(t + 4, (uint16_t)(8 + s->payload));
    }
    for (size_t i = 0; i < s->payload; i++) t[l4 + i] = (uint8_t)(i * 7 + i / 256);
    csum_store_partial(t + (s->tcp ? 16 : 6), kit_pseudo(p, proto, (uint32_t)(l4 + s->payload)));
    struct vnet v = {.flags = VNET_NEEDS_CSUM,
                     .hdr_len = 0,
                     .gso_size = s->gso,
                     .csum_start = (uint16_t)h,
                     .csum_offset = s->tcp ? 16 : 6,
                     .gso_type = !s->tcp ? VNET_GSO_UDP_L4
                                 : s->v6 ? VNET_GSO_TCPV6
                                         : VNET_GSO_TCPV4};
    if (s->flags & 0x80) v.gso_type |= VNET_GSO_ECN;
    vnet_write(f, &v);
    *n = VNET_LEN + h + l4 + s->payload;
    uint8_t *exact = kit_copy(f, *n).p;
    free(f);
    return exact;
}

static void cut_and_check(const struct super *s)
{
    size_t n;
    uint8_t *f = make_super(s, &n), *orig = kit_copy(f, n).p;
    fwd_from_tun(a.fwd, a.s, f, n, NOW);
    fwd_flush(a.fwd);
    size_t h = s->v6 ? 40 : 20, l4 = s->tcp ? 20 + s->options : 8, head = h + l4;
    unsigned want = (unsigned)((s->payload + s->gso - 1) / s->gso), count = inner_packets(got, got_len, 2500);
    assert_int_equal(count, want);
    size_t at = 0;
    for (unsigned k = 0; k < count; k++) {
        const uint8_t *q = got[k], *t = q + h;
        size_t m = got_len[k] - head;
        bool last = k == count - 1;
        assert_int_equal(m, last ? s->payload - at : s->gso);
        assert_true(got_len[k] <= FWD_MTU);
        assert_true(kit_l4_good(q, got_len[k]));
        assert_memory_equal(t + l4, orig + VNET_LEN + head + at, m); // the same byte stream
        if (!s->v6) assert_int_equal(ip_get16(q + 4), (uint16_t)(0xfffe + k));
        if (s->tcp) {
            assert_int_equal(ip_get32(t + 4), (uint32_t)(0xfffffff0 + at));
            uint8_t flags = s->flags;
            if (!last) flags &= (uint8_t)~9;
            if (k) flags &= 0x7f;
            assert_int_equal(t[13], flags);
            assert_memory_equal(t + 20, orig + VNET_LEN + h + 20, s->options);
        } else {
            assert_int_equal(ip_get16(t + 4), 8 + m);
        }
        at += m;
    }
    assert_int_equal(at, s->payload);
    free(f);
    free(orig);
    kit_clear(&a.out);
}

static void super_frames(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 250; k++) {
        struct super s = {
            .v6 = rnd() % 2, .tcp = rnd() % 3, .flags = (uint8_t)(0x10 | (rnd() & 0x89)), .options = 4 * (rnd() % 11)};
        size_t head = (s.v6 ? 40 : 20) + (s.tcp ? 20 + s.options : 8), most = FWD_MTU - head;
        s.gso = (uint16_t)(rnd() % 3 ? most - rnd() % 20 : 40 + rnd() % (most - 40));
        if (rnd() % 10 == 0) s.gso = (uint16_t)(1 + rnd() % 60);
        size_t room = 65535 - head;
        s.payload = 1 + (rnd() % 3 ? rnd() % room : room - 1 - rnd() % 3);
        if (s.payload / s.gso >= 2000) s.payload = s.gso * 1999u;
        if (!s.tcp) s.flags = 0;
        cut_and_check(&s);
    }
}

static void full_frame_fills_trains(void **state)
{
    (void)state;
    struct super s = {
        .v6 = true, .tcp = true, .flags = 0x10, .options = 12, .payload = 65535 - 72, .gso = FWD_MTU - 72};
    size_t n;
    uint8_t *f = make_super(&s, &n);
    fwd_from_tun(a.fwd, a.s, f, n, NOW);
    fwd_flush(a.fwd);
    assert_int_equal(a.out.wires, 2); // 49 messages of 1,452 bytes, 44 to a train
    assert_int_equal(a.out.train[0].seg, 1452);
    assert_int_equal(a.out.train[0].len, 44 * 1452);
    assert_int_equal(a.out.train[1].seg, 1452);
    kit_clear(&a.out);
    free(f);
}

static void small_packets_share_a_train(void **state)
{
    (void)state;
    uint8_t f[VNET_LEN + 200] = {0};
    for (unsigned k = 0; k < 100; k++) {
        size_t n = kit_udp(f + VNET_LEN, "fd01::1", "fd02::2", 1, 2, 64, (uint8_t)k);
        fwd_from_tun(a.fwd, a.s, f, VNET_LEN + n, NOW);
    }
    fwd_flush(a.fwd);
    assert_int_equal(a.out.wires, 2); // 64 and 36
    assert_int_equal(inner_packets(got, got_len, 2500), 100);
    for (unsigned k = 0; k < 100; k++) assert_int_equal(got[k][48], k);
    kit_clear(&a.out);
}

static void checksum_is_completed(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 200; k++) {
        uint8_t p[1500];
        bool v6 = rnd() % 2;
        size_t n = kit_udp(p, v6 ? "fd01::1" : "10.1.0.1", v6 ? "fd02::2" : "10.2.0.1", (uint16_t)rnd(), 2,
                           rnd() % 1300, (uint8_t)k);
        size_t h = v6 ? 40 : 20;
        uint8_t *f = calloc(1, VNET_LEN + n);
        memcpy(f + VNET_LEN, p, n);
        csum_store_partial(f + VNET_LEN + h + 6, kit_pseudo(p, IP_UDP, (uint32_t)(n - h)));
        vnet_write(f, &(struct vnet){.flags = VNET_NEEDS_CSUM, .csum_start = (uint16_t)h, .csum_offset = 6});
        fwd_from_tun(a.fwd, a.s, f, VNET_LEN + n, NOW);
        fwd_flush(a.fwd);
        assert_int_equal(inner_packets(got, got_len, 2), 1);
        assert_int_equal(got_len[0], n);
        assert_memory_equal(got[0], p, n);
        kit_clear(&a.out);
        free(f);
    }
}

static void too_big_is_answered(void **state)
{
    (void)state;
    struct super s = {.v6 = true, .tcp = true, .flags = 0x10, .payload = 20000, .gso = FWD_MTU - 59};
    for (int v4 = 0; v4 < 2; v4++) {
        s.v6 = !v4;
        s.gso = (uint16_t)(FWD_MTU - (v4 ? 39 : 59));
        size_t n;
        uint8_t *f = make_super(&s, &n);
        fwd_from_tun(a.fwd, a.s, f, n, NOW);
        fwd_flush(a.fwd);
        assert_int_equal(a.out.wires, 0);
        assert_int_equal(a.out.tuns, 1);
        const uint8_t *q = a.out.tun[0].p + VNET_LEN;
        size_t len = a.out.tun[0].n - VNET_LEN;
        assert_int_equal(len, v4 ? 576 : 1280);
        assert_true(kit_l4_good(q, len));
        if (v4) assert_true(q[20] == 3 && q[21] == 4 && ip_get16(q + 26) == FWD_MTU && ip_get32(q + 12) == 0xc0000008);
        else assert_true(q[40] == 2 && ip_get32(q + 44) == FWD_MTU && !memcmp(q + 8, &a.c.self, 16));
        assert_memory_equal(q + (v4 ? 28 : 48), f + VNET_LEN, len - (v4 ? 28 : 48));
        free(f);
        kit_clear(&a.out);
    }
    assert_int_equal(fwd_drops(a.fwd, FWD_DROP_TOO_BIG), 2);
}

// IPv4 without DF is cut as RFC 791 says; put together again it is what it was.
static void fragments(void **state)
{
    (void)state;
    uint8_t p[5000], whole[5000];
    size_t n = kit_udp(p, "10.1.0.1", "10.2.0.1", 1, 2, 4000, 3);
    p[6] = 0;
    ip_put16(p + 4, 99);
    ip4_checksum(p, 20);
    kit_from_tun(&a, p, n);
    unsigned count = inner_packets(got, got_len, 10);
    assert_int_equal(count, 3);
    for (unsigned k = 0; k < count; k++) {
        uint16_t where = ip_get16(got[k] + 6);
        assert_int_equal(!!(where & 0x2000), k < count - 1);
        assert_int_equal(ip_get16(got[k] + 4), 99);
        memcpy(whole + 20 + (where & 0x1fff) * 8, got[k] + 20, got_len[k] - 20);
    }
    assert_memory_equal(whole + 20, p + 20, n - 20);
    kit_clear(&a.out);
}

static void unroutable(void **state)
{
    (void)state;
    uint8_t p[200];
    kit_from_tun(&a, p, kit_udp(p, "fd01::1", "2001:db8::1", 1, 2, 20, 0));
    assert_int_equal(fwd_drops(a.fwd, FWD_DROP_NO_ROUTE), 1);
    assert_int_equal(a.out.tuns, 1);
    assert_true(a.out.tun[0].p[VNET_LEN + 40] == 1 && a.out.tun[0].p[VNET_LEN + 41] == 0);
    kit_clear(&a.out);
    kit_from_tun(&a, p, kit_udp(p, "fd01::1", "ff02::1", 1, 2, 20, 0)); // the kernel's chatter
    kit_from_tun(&a, p, kit_udp(p, "fe80::1", "fd02::2", 1, 2, 20, 0));
    assert_int_equal(fwd_drops(a.fwd, FWD_DROP_LINKLOCAL), 2);
    assert_int_equal(a.out.tuns + a.out.wires, 0);
    // no keys
    a.link[0].tx = NULL;
    kit_ready(&a);
    a.link[0].tx = a.rx[0];
    kit_from_tun(&a, p, kit_udp(p, "fd01::1", "fd02::2", 1, 2, 20, 0));
    assert_int_equal(fwd_drops(a.fwd, FWD_DROP_NO_KEYS), 1);
    assert_true(atomic_load(&a.link[0].shared->want_handshake));
}

static void errors_are_limited(void **state)
{
    (void)state;
    uint8_t p[200];
    for (unsigned k = 0; k < 500; k++) kit_from_tun(&a, p, kit_udp(p, "fd01::1", "2001:db8::1", 1, 2, 20, 0));
    assert_int_equal(a.out.tuns, 50);
    kit_clear(&a.out);
    // never about an error, never about a later fragment
    size_t n = kit_echo(p, "fd01::1", "2001:db8::1", false, 1, 20);
    p[40] = 3;
    kit_from_tun(&a, p, n);
    assert_int_equal(a.out.tuns, 0);
}

static void hostile_frames(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 30000; k++) {
        struct super s = {.v6 = rnd() % 2,
                          .tcp = rnd() % 2,
                          .flags = 0x10,
                          .payload = 1 + rnd() % 300,
                          .gso = (uint16_t)(1 + rnd() % 100)};
        size_t n;
        uint8_t *f = make_super(&s, &n);
        for (unsigned m = 1 + rnd() % 4; m; m--)
            f[rnd() % (n < VNET_LEN + 60 || rnd() % 2 ? n : VNET_LEN + 60)] = (uint8_t)rnd();
        if (rnd() % 3 == 0 && f[VNET_LEN] >> 4 == 4 && n > VNET_LEN + 20) ip4_checksum(f + VNET_LEN, 20);
        if (rnd() % 4 == 0) n = rnd() % (n + 1);
        uint8_t *exact = kit_copy(f, n).p;
        fwd_from_tun(a.fwd, a.s, exact, n, NOW);
        fwd_flush(a.fwd);
        free(exact);
        free(f);
        kit_clear(&a.out);
    }
}

// The kernel forwards for a LAN: that may have any address but a mesh address, which would be somebody else's.
static void no_mesh_address_but_our_own_leaves(void **state)
{
    (void)state;
    static const struct {
        const char *src;
        bool leaves;
    } all[] = {{"fd01::1", true}, {"fd00:7::1", true}, {"2001:db8::1", true}, {"fc03::3", false}, {"fc02::2", false}, {"fc00::e", false}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        uint8_t p[200];
        size_t n = kit_udp(p, all[i].src, "fd02::2", 1, 2, 20, false);
        kit_clear(&a.out);
        uint64_t before = fwd_drops(a.fwd, FWD_DROP_MARTIAN);
        kit_from_tun(&a, p, n);
        assert_int_equal(a.out.wires, all[i].leaves);
        assert_int_equal(fwd_drops(a.fwd, FWD_DROP_MARTIAN) - before, !all[i].leaves);
    }
}

int main(void)
{
    if (bw_crypto_init()) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(super_frames, two_nodes, kit_end),
        cmocka_unit_test_setup_teardown(full_frame_fills_trains, two_nodes, kit_end),
        cmocka_unit_test_setup_teardown(small_packets_share_a_train, two_nodes, kit_end),
        cmocka_unit_test_setup_teardown(checksum_is_completed, two_nodes, kit_end),
        cmocka_unit_test_setup_teardown(too_big_is_answered, two_nodes, kit_end),
        cmocka_unit_test_setup_teardown(fragments, two_nodes, kit_end),
        cmocka_unit_test_setup_teardown(unroutable, two_nodes, kit_end),
        cmocka_unit_test_setup_teardown(errors_are_limited, two_nodes, kit_end),
        cmocka_unit_test_setup_teardown(hostile_frames, two_nodes, kit_end),
        cmocka_unit_test_setup_teardown(no_mesh_address_but_our_own_leaves, two_nodes, kit_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
