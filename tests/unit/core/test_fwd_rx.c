// Packets from links: three nodes in a row, a - r - b; relaying in place, local delivery, errors, refusal.
#include "fwd_kit.h"

static struct kit_node a, r, b, *const row[] = {&a, &r, &b, NULL};

static int three_nodes(void **state)
{
    kit_node(&a, "fd01::1");
    kit_node(&r, "fd09::9");
    kit_node(&b, "fd02::2");
    kit_link(&a, 0, &r, 1);
    kit_link(&r, 2, &b, 0);
    kit_route(&a, "fd02::2/128", FWD_TO_LINK, 0);
    kit_route(&a, "fd09::9/128", FWD_TO_LINK, 0);
    kit_route(&a, "10.2.0.0/16", FWD_TO_LINK, 0);
    kit_route(&a, "fd77::/16", FWD_TO_LINK, 0);
    kit_route(&a, "2001:db8::/32", FWD_TO_LINK, 0);
    kit_route(&r, "fd01::1/128", FWD_TO_LINK, 1);
    kit_route(&r, "10.1.0.0/16", FWD_TO_LINK, 1);
    kit_route(&r, "fd02::2/128", FWD_TO_LINK, 2);
    kit_route(&r, "10.2.0.0/16", FWD_TO_LINK, 2);
    kit_route(&b, "fd01::1/128", FWD_TO_LINK, 0);
    kit_route(&b, "10.2.0.0/16", FWD_TO_TUN, 0);
    return kit_start(state, row);
}

// A TCP super-frame, or `count` equal UDP packets, from a to b's side.
static void send_train(const char *src, const char *dst, unsigned count, size_t size)
{
    uint8_t f[VNET_LEN + 1500] = {0};
    for (unsigned k = 0; k < count; k++)
        fwd_from_tun(a.fwd, a.s, f, VNET_LEN + kit_udp(f + VNET_LEN, src, dst, 1, 2, size, (uint8_t)k), NOW);
    fwd_flush(a.fwd);
}

static void relayed_in_one_train(void **state)
{
    (void)state;
    for (int v4 = 0; v4 < 2; v4++) {
        const char *src = v4 ? "10.1.0.1" : "fd01::1", *dst = v4 ? "10.2.0.1" : "fd02::2";
        send_train(src, dst, 40, 1300);
        assert_int_equal(a.out.wires, 1);
        uint32_t len = a.out.train[0].len;
        kit_carry(&a, &r, 1);
        assert_int_equal(r.out.wires, 1); // still one
        assert_int_equal(r.out.train[0].len, len);
        assert_true(bw_endpoint_eq(&r.out.train[0].remote, &r.link[2].remote));
        assert_int_equal(r.out.tuns + r.out.punts, 0);
        kit_carry(&r, &b, 0);
        assert_int_equal(b.out.tuns, 40); // no USO
        for (unsigned k = 0; k < 40; k++) {
            uint8_t want[1500];
            size_t n = kit_udp(want, src, dst, 1, 2, 1300, (uint8_t)k);
            struct ip_view v;
            assert_int_equal(ip_parse(want, n, &v), 0);
            ip_hop(&v);
            assert_int_equal(b.out.tun[k].n, VNET_LEN + n);
            assert_memory_equal(b.out.tun[k].p + VNET_LEN, want, n); // hop limit less one, and nothing else
        }
        kit_clear(&b.out);
    }
    assert_int_equal(atomic_load(&r.link[1].shared->rx_packets), 80);
    assert_int_equal(atomic_load(&r.link[2].shared->tx_packets), 80);
}

static void last_may_be_short(void **state)
{
    (void)state;
    send_train("fd01::1", "fd02::2", 10, 1000);
    uint8_t p[1500];
    // 10 equal ones and a short one join; what follows a short one begins a new train
    fwd_set_uso(b.fwd, true);
    uint8_t f[VNET_LEN + 1500] = {0};
    for (unsigned k = 0; k < 3; k++)
        for (unsigned i = 0; i < 4; i++)
            fwd_from_tun(
                a.fwd, a.s, f,
                VNET_LEN + kit_udp(f + VNET_LEN, "fd01::1", "fd02::2", 1, 2, i == 3 ? 100 : 1000, (uint8_t)(4 * k + i)),
                NOW);
    fwd_flush(a.fwd);
    assert_int_equal(a.out.wires, 4);
    kit_carry(&a, &r, 1);
    assert_int_equal(r.out.wires, 4);
    kit_carry(&r, &b, 0);
    assert_int_equal(b.out.tuns, 3); // 10 + 3 + the short one | 3 + short | 3 + short
    size_t n = kit_udp(p, "fd01::1", "fd02::2", 1, 2, 1000, 0);
    (void)n;
    assert_int_equal(vnet_read(b.out.tun[0].p).gso_type, VNET_GSO_UDP_L4);
    assert_int_equal(b.out.tun[0].n, VNET_LEN + 48 + 13 * 1000 + 100);
}

// Trains of packets to different places: each goes where it should, in order, with random sizes; against what was sent.
static void mixed_trains(void **state)
{
    (void)state;
    static const char *dst[] = {"fd02::2", "fd09::9", "10.2.0.1", "fd77::1"};
    unsigned sent[4] = {0};
    for (unsigned round = 0; round < 60; round++) {
        uint8_t f[VNET_LEN + 1500] = {0};
        for (unsigned k = 0; k < 60; k++) {
            unsigned d = rnd() % 4;
            if (k % 3) d = round % 4;
            size_t n = kit_udp(f + VNET_LEN, d == 2 ? "10.1.0.1" : "fd01::1", dst[d], (uint16_t)d, 2,
                               rnd() % 3 ? 200 : 60 + rnd() % 140, 0);
            uint8_t *u = f + VNET_LEN + (d == 2 ? 28 : 48);
            ip_put32(u, sent[d]++); // a serial number per destination
            u[-2] = u[-1] = 0;
            csum_store(u - 2, csum_add(kit_pseudo(f + VNET_LEN, IP_UDP, ip_get16(u - 4)), u - 8, ip_get16(u - 4)));
            fwd_from_tun(a.fwd, a.s, f, VNET_LEN + n, NOW);
        }
        fwd_flush(a.fwd);
        kit_carry(&a, &r, 1);
        for (unsigned i = 0; i < r.out.wires; i++) // errors about fd77::1 go back to a
            if (bw_endpoint_eq(&r.out.train[i].remote, &r.link[1].remote)) r.out.train[i].len = 0;
        for (unsigned i = 0; i < r.out.wires; i++)
            if (!r.out.train[i].len) {
                free(r.out.wire[i].p);
                memmove(&r.out.wire[i], &r.out.wire[i + 1], (r.out.wires - i - 1) * sizeof r.out.wire[0]);
                memmove(&r.out.train[i], &r.out.train[i + 1], (r.out.wires - i - 1) * sizeof r.out.train[0]);
                r.out.wires--, i--;
            }
        kit_carry(&r, &b, 0);
    }
    unsigned next[4] = {0};
    for (unsigned i = 0; i < b.out.tuns; i++) {
        const uint8_t *p = b.out.tun[i].p + VNET_LEN, *u = p + (p[0] >> 4 == 4 ? 20 : 40);
        assert_int_equal(ip_get32(u + 8), next[ip_get16(u)]++);
        assert_true(kit_l4_good(p, b.out.tun[i].n - VNET_LEN));
    }
    assert_int_equal(next[0], sent[0]);
    assert_int_equal(next[2], sent[2]);
    for (unsigned i = 0; i < r.out.tuns; i++) {
        const uint8_t *p = r.out.tun[i].p + VNET_LEN;
        assert_int_equal(ip_get32(p + 48), next[1]++);
    }
    assert_int_equal(next[1], sent[1]);
    assert_int_equal(fwd_drops(r.fwd, FWD_DROP_NO_ROUTE), sent[3]);
}

// One packet from a to r's side; what comes back to a's TUN is in a.out.
static void one(const uint8_t *packet, size_t n)
{
    kit_from_tun(&a, packet, n);
    kit_carry(&a, &r, 1);
    for (unsigned i = 0; i < r.out.wires; i++) assert_true(bw_endpoint_eq(&r.out.train[i].remote, &r.link[1].remote));
    kit_carry(&r, &a, 0);
}

static void errors_come_back(void **state)
{
    (void)state;
    struct {
        const char *src, *dst;
        uint8_t ttl, type, code;
        bool v4;
    } c[] = {
        {"fd01::1", "fd02::2", 1, 3, 0, false},
        {"fd01::1", "fd77::1", 64, 1, 0, false},
        {"10.1.0.1", "10.2.0.1", 1, 11, 0, true},
        {"fd01::1", "fd02::2", 0, 3, 0, false},
    };
    kit_route(&a, "10.1.0.1/32", FWD_TO_TUN, 0);
    kit_ready(&a);
    for (unsigned i = 0; i < sizeof c / sizeof *c; i++) {
        uint8_t p[1500];
        size_t n = kit_udp(p, c[i].src, c[i].dst, 1, 2, 1000, 9);
        p[c[i].v4 ? 8 : 7] = c[i].ttl;
        if (c[i].v4) ip4_checksum(p, 20);
        one(p, n);
        assert_int_equal(a.out.tuns, 1);
        const uint8_t *q = a.out.tun[0].p + VNET_LEN;
        size_t len = a.out.tun[0].n - VNET_LEN, h = c[i].v4 ? 20 : 40;
        assert_true(kit_l4_good(q, len));
        assert_int_equal(q[h], c[i].type);
        assert_int_equal(q[h + 1], c[i].code);
        assert_int_equal(len, c[i].v4 ? 576 : n + 48);
        assert_memory_equal(q + h + 8, p, len - h - 8); // quoted as it came
        kit_clear(&a.out);
    }
}

static void no_transit(void **state)
{
    (void)state;
    r.c.transit = false;
    kit_ready(&r);
    uint8_t p[300];
    one(p, kit_udp(p, "fd01::1", "fd02::2", 1, 2, 100, 0));
    assert_int_equal(fwd_drops(r.fwd, FWD_DROP_NO_TRANSIT), 1);
    assert_int_equal(a.out.tuns, 1);
    assert_true(a.out.tun[0].p[VNET_LEN + 40] == 1 && a.out.tun[0].p[VNET_LEN + 41] == 1);
    one(p, kit_udp(p, "fd01::1", "fd09::9", 1, 2, 100, 0)); // to itself: fine
    assert_int_equal(r.out.tuns, 1);
}

static void too_long_for_a_link(void **state)
{
    (void)state;
    // A stock peer with a larger MTU: sealed by hand.
    uint8_t m[2000], *p = m + 16;
    size_t n = kit_udp(p, "fd01::1", "fd02::2", 1, 2, 1500, 0);
    int len = keypair_seal(a.rx[0], 0, m, n, 2000, NOW);
    assert_true(len > 0);
    uint8_t *exact = kit_copy(m, (size_t)len).p;
    struct fwd_train t = {
        .data = exact, .len = (uint32_t)len, .seg = (uint16_t)len, .ifindex = 11, .remote = r.link[1].remote};
    fwd_from_wire(r.fwd, r.s, &t, 1, NOW);
    free(exact);
    assert_int_equal(fwd_drops(r.fwd, FWD_DROP_TOO_BIG), 1);
    kit_carry(&r, &a, 0);
    assert_int_equal(a.out.tuns, 1);
    assert_int_equal(a.out.tun[0].p[VNET_LEN + 40], 2);
    assert_int_equal(ip_get32(a.out.tun[0].p + VNET_LEN + 44), FWD_MTU);
}

// Unpadded messages of a foreign implementation: resealing must not grow into the neighbour.
static void unpadded(void **state)
{
    (void)state;
    uint8_t buf[10 * 200];
    size_t at = 0;
    for (unsigned k = 0; k < 10; k++) {
        uint8_t m[300];
        size_t n = kit_udp(m + 16, "fd01::1", "fd02::2", 1, 2, 101, (uint8_t)k);
        int len = keypair_seal(a.rx[0], 0, m, n, 1, NOW); // pad limit below n: none
        assert_int_equal(len, n + 32);
        memcpy(buf + at, m, (size_t)len);
        at += (size_t)len;
    }
    uint8_t *exact = kit_copy(buf, at).p;
    struct fwd_train t = {
        .data = exact, .len = (uint32_t)at, .seg = (uint16_t)(at / 10), .ifindex = 11, .remote = r.link[1].remote};
    fwd_from_wire(r.fwd, r.s, &t, 1, NOW);
    free(exact);
    assert_int_equal(r.out.wires, 1);
    kit_carry(&r, &b, 0);
    assert_int_equal(b.out.tuns, 10);
}

// As unpadded, but padded far more than we would: segments shrink, so trains break up, and all arrive.
static void overpadded(void **state)
{
    (void)state;
    uint8_t m[400];
    size_t at = 0;
    uint8_t buf[4000];
    for (unsigned k = 0; k < 10; k++) {
        memset(m, 0, sizeof m);
        kit_udp(m + 16, "fd01::1", "fd02::2", 1, 2, 50, (uint8_t)k);
        int len = keypair_seal(a.rx[0], 0, m, 300, 1, NOW);
        assert_int_equal(len, 332);
        memcpy(buf + at, m, 332);
        at += 332;
    }
    uint8_t *exact = kit_copy(buf, at).p;
    struct fwd_train t = {.data = exact, .len = (uint32_t)at, .seg = 332, .ifindex = 11, .remote = r.link[1].remote};
    fwd_from_wire(r.fwd, r.s, &t, 1, NOW);
    free(exact);
    assert_int_equal(r.out.wires, 10);
    kit_carry(&r, &b, 0);
    assert_int_equal(b.out.tuns, 10);
    for (unsigned k = 0; k < 10; k++) assert_int_equal(b.out.tun[k].p[VNET_LEN + 48], k);
}

static void refused(void **state)
{
    (void)state;
    struct {
        const char *src, *dst;
        enum fwd_drop why;
    } c[] = {
        {"fd09::9", "fd02::2", FWD_DROP_MARTIAN},    {"::1", "fd02::2", FWD_DROP_MARTIAN},
        {"ff02::1", "fd02::2", FWD_DROP_MARTIAN},    {"127.0.0.1", "10.2.0.1", FWD_DROP_MARTIAN},
        {"224.0.0.1", "10.2.0.1", FWD_DROP_MARTIAN}, {"fd01::1", "ff0e::1", FWD_DROP_LINKLOCAL},
        {"fe80::5", "fd02::2", FWD_DROP_LINKLOCAL},  {"fd01::1", "fe80::1", FWD_DROP_LINKLOCAL},
        {"fd05::5", "fd01::1", FWD_DROP_LOOP},
    };
    for (unsigned i = 0; i < sizeof c / sizeof *c; i++) {
        uint8_t m[400];
        size_t n = kit_udp(m + 16, c[i].src, c[i].dst, 1, 2, 50, 0);
        int len = keypair_seal(a.rx[0], 0, m, n, FWD_MTU, NOW);
        struct fwd_train t = {
            .data = m, .len = (uint32_t)len, .seg = (uint16_t)len, .ifindex = 11, .remote = r.link[1].remote};
        uint64_t before = fwd_drops(r.fwd, c[i].why);
        fwd_from_wire(r.fwd, r.s, &t, 1, NOW);
        assert_int_equal(fwd_drops(r.fwd, c[i].why), before + 1);
        fwd_from_wire(r.fwd, r.s, &t, 1, NOW); // it is plaintext now: not authentic
        assert_int_equal(fwd_drops(r.fwd, FWD_DROP_AUTH), i + 1u);
    }
    assert_int_equal(r.out.wires + r.out.tuns + r.out.punts, 0);
}

static void replay_and_index(void **state)
{
    (void)state;
    send_train("fd01::1", "fd09::9", 3, 100);
    uint8_t *copy = kit_copy(a.out.train[0].data, a.out.train[0].len).p;
    struct fwd_train t = a.out.train[0];
    t.data = copy;
    t.remote = r.link[1].remote;
    kit_carry(&a, &r, 1);
    assert_int_equal(r.out.tuns, 3);
    fwd_from_wire(r.fwd, r.s, &t, 1, NOW);
    assert_int_equal(fwd_drops(r.fwd, FWD_DROP_REPLAY), 3);
    copy[4] ^= 0x80;
    t.len = t.seg;
    fwd_from_wire(r.fwd, r.s, &t, 1, NOW);
    assert_int_equal(fwd_drops(r.fwd, FWD_DROP_INDEX), 1);
    t.len = 31;
    t.seg = 31;
    fwd_from_wire(r.fwd, r.s, &t, 1, NOW);
    assert_int_equal(fwd_drops(r.fwd, FWD_DROP_SHORT), 1);
    free(copy);
    assert_int_equal(r.out.tuns, 3);
    assert_int_equal(r.out.punts, 0);
}

static void control_is_told(void **state)
{
    (void)state;
    uint8_t hello[148] = {1}, p[300];
    struct fwd_train t = {
        .data = hello, .len = sizeof hello, .seg = sizeof hello, .ifindex = 7, .remote = endpoint("192.0.2.7:99")};
    fwd_from_wire(r.fwd, r.s, &t, 1, NOW);
    assert_int_equal(r.out.punts, 1);
    assert_int_equal(r.out.punt[0].kind, FWD_PUNT_HANDSHAKE);
    assert_int_equal(r.out.punt[0].link, FWD_NO_LINK);
    assert_int_equal(r.out.punt[0].len, 148);
    assert_true(bw_endpoint_eq(&r.out.punt[0].remote, &t.remote));
    assert_int_equal(r.out.punt[0].ifindex, 7);
    kit_clear(&r.out);
    // another endpoint, an unconfirmed key: once for a train
    atomic_store(&r.rx[0]->confirmed, false);
    send_train("fd01::1", "fd09::9", 5, 100);
    t = a.out.train[0];
    t.remote = endpoint("192.0.2.9:5");
    t.ifindex = 3;
    fwd_from_wire(r.fwd, r.s, &t, 1, NOW);
    assert_int_equal(r.out.tuns, 5);
    assert_int_equal(r.out.punts, 2);
    assert_int_equal(r.out.punt[0].kind, FWD_PUNT_CONFIRM);
    assert_int_equal(r.out.punt[0].local_index, r.rx[0]->local_index);
    assert_int_equal(r.out.punt[1].kind, FWD_PUNT_ROAM);
    assert_true(bw_endpoint_eq(&r.out.punt[1].remote, &t.remote));
    assert_int_equal(r.out.punt[1].link, 1);
    atomic_store(&r.rx[0]->confirmed, true);
    kit_clear(&r.out);
    kit_clear(&a.out);
    // Babel
    size_t n = kit_udp(p, "fe80::5", "ff02::1:6", 6696, 6696, 40, 3);
    assert_int_equal(fwd_to_link(a.fwd, a.s, 0, p, n, NOW), 0);
    kit_carry(&a, &r, 1);
    assert_int_equal(r.out.punts, 1);
    assert_int_equal(r.out.punt[0].kind, FWD_PUNT_BABEL);
    assert_int_equal(r.out.punt[0].len, 40);
    assert_int_equal(r.out.punt[0].data[0], 3);
    assert_int_equal(r.out.punt[0].link, 1);
    struct bw_addr ll = addr("fe80::5");
    assert_true(bw_addr_eq(&r.out.punt[0].inner_src, &ll));
    n = kit_udp(p, "fd01::1", "ff02::1:6", 6696, 6696, 40, 3); // not from a link-local address
    assert_int_equal(fwd_to_link(a.fwd, a.s, 0, p, n, NOW), 0);
    kit_carry(&a, &r, 1);
    assert_int_equal(r.out.punts, 1);
    // keepalive; no such link; too long
    assert_int_equal(fwd_to_link(a.fwd, a.s, 0, NULL, 0, NOW), 0);
    assert_int_equal(a.out.train[0].len, 32);
    uint64_t before = atomic_load(&r.link[1].shared->rx_packets);
    kit_carry(&a, &r, 1);
    assert_int_equal(atomic_load(&r.link[1].shared->rx_packets), before);
    assert_int_equal(fwd_to_link(a.fwd, a.s, 5, p, n, NOW), BW_ERR_NOTFOUND);
    uint8_t big[FWD_MTU + 1] = {0x60};
    assert_int_equal(fwd_to_link(a.fwd, a.s, 0, big, sizeof big, NOW), BW_ERR_RANGE);
    assert_int_equal(fwd_to_link(a.fwd, a.s, 0, p, n, NOW + WG_REJECT_AFTER_TIME), BW_ERR_AGAIN);
}

static void stock_peer_to_the_internet(void **state)
{
    (void)state;
    uint8_t p[300];
    size_t n = kit_udp(p, "fd01::1", "2001:db8::7", 1, 2, 100, 0);
    kit_from_tun(&a, p, n);
    kit_carry(&a, &r, 1);
    assert_int_equal(r.out.tuns, 0);
    kit_clear(&r.out);
    r.link[1].internet = true;
    kit_ready(&r);
    kit_from_tun(&a, p, n);
    kit_carry(&a, &r, 1);
    assert_int_equal(r.out.tuns, 1);
    assert_memory_equal(r.out.tun[0].p + VNET_LEN, p, n); // the kernel takes the hop off
    kit_clear(&r.out);
    assert_int_equal(bw_prefix_parse("fd01::/64", &r.c.pool6), 0); // as if a client of our exit spoke
    kit_ready(&r);
    kit_from_tun(&a, p, n);
    kit_carry(&a, &r, 1);
    assert_int_equal(r.out.tuns, 0);
    assert_int_equal(fwd_drops(r.fwd, FWD_DROP_TUNNEL_SOURCE), 1);
}

static void mutated_trains(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 5000; k++) {
        send_train("fd01::1", rnd() % 2 ? "fd02::2" : "fd09::9", 1 + rnd() % 5, rnd() % 200);
        for (unsigned w = 0; w < a.out.wires; w++) {
            struct fwd_train t = a.out.train[w];
            size_t n = t.len;
            if (rnd() % 3 == 0) n = rnd() % (n + 1);
            uint8_t *exact = kit_copy(t.data, n).p;
            for (unsigned m = rnd() % 4; m && n; m--) exact[rnd() % n] = (uint8_t)rnd();
            t = (struct fwd_train){.data = exact,
                                   .len = (uint32_t)n,
                                   .seg = (uint16_t)(rnd() % 3 ? t.seg : rnd() % 400),
                                   .remote = r.link[1].remote};
            fwd_from_wire(r.fwd, r.s, &t, 1, NOW);
            free(exact);
        }
        kit_clear(&a.out);
        kit_clear(&r.out);
    }
}

// Inner packets out of their minds, but authentic.
static void hostile_neighbour(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 20000; k++) {
        uint8_t m[600];
        size_t n = rnd() % 2 ? kit_udp(m + 16, "fd01::1", rnd() % 2 ? "fd09::9" : "fd02::2", 1, 6696, rnd() % 200, 0)
                             : kit_udp(m + 16, "10.1.0.1", "10.2.0.1", 1, 2, rnd() % 200, 0);
        for (unsigned i = rnd() % 5; i; i--) m[16 + rnd() % (rnd() % 2 ? n : 60)] = (uint8_t)rnd();
        if (m[16] >> 4 == 4 && rnd() % 2) ip4_checksum(m + 16, 20);
        if (rnd() % 4 == 0) n = rnd() % (n + 1);
        int len = keypair_seal(a.rx[0], 0, m, n, rnd() % 2 ? FWD_MTU : 0, NOW);
        assert_true(len >= 32);
        uint8_t *exact = kit_copy(m, (size_t)len).p;
        struct fwd_train t = {.data = exact, .len = (uint32_t)len, .seg = (uint16_t)len, .remote = r.link[1].remote};
        fwd_from_wire(r.fwd, r.s, &t, 1, NOW + k * 100);
        free(exact);
        kit_carry(&r, &b, 0);
        kit_clear(&r.out);
        kit_clear(&b.out);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, three_nodes, kit_end)
int main(void)
{
    if (bw_crypto_init()) return 1;
    const struct CMUnitTest tests[] = {
        T(relayed_in_one_train),
        T(last_may_be_short),
        T(mixed_trains),
        T(errors_come_back),
        T(no_transit),
        T(too_long_for_a_link),
        T(unpadded),
        T(overpadded),
        T(refused),
        T(replay_and_index),
        T(control_is_told),
        T(stock_peer_to_the_internet),
        T(mutated_trains),
        T(hostile_neighbour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
