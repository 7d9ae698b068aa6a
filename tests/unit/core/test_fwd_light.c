// Light messages (docs/spec/link.md, section 9): ESP between byway nodes crosses a hop with its headers sealed only.
#include "fwd_kit.h"

#include "unit/vectors.h"
#include "wire/wg.h"

static struct kit_node a, r, b, *const row[] = {&a, &r, &b, NULL};

static int three_nodes(void **state, enum light first, enum light second)
{
    kit_row(row, "fc01::1", "fc09::9", "fc02::2");
    a.link[0].light = r.link[0].light = first;
    r.link[1].light = b.link[0].light = second;
    kit_route(&a, "fc02::2/128", FWD_TO_LINK, 0);
    kit_route(&a, "fc09::9/128", FWD_TO_LINK, 0);
    kit_route(&r, "fc01::1/128", FWD_TO_LINK, 0);
    kit_route(&r, "fc02::2/128", FWD_TO_LINK, 1);
    kit_route(&b, "fc01::1/128", FWD_TO_LINK, 0);
    kit_session(&a, &b);
    return kit_start(state, row);
}
static int both(void **state)
{
    return three_nodes(state, LIGHT_CHACHA, LIGHT_CHACHA);
}
static int both_aes(void **state)
{
    return three_nodes(state, LIGHT_AES, LIGHT_AES);
}
static int one_of_each(void **state)
{
    return three_nodes(state, LIGHT_AES, LIGHT_CHACHA);
}
static int first_only(void **state)
{
    return three_nodes(state, LIGHT_AES, LIGHT_NO);
}
static int second_only(void **state)
{
    return three_nodes(state, LIGHT_NO, LIGHT_AES);
}

static void must_arrive(const uint8_t *p, size_t len)
{
    assert_int_equal(b.out.tuns, 1);
    assert_int_equal(b.out.tun[0].n, VNET_LEN + len);
    assert_memory_equal(b.out.tun[0].p + VNET_LEN, p, 7); // behind it the hop limit
    assert_memory_equal(b.out.tun[0].p + VNET_LEN + 8, p + 8, len - 8);
    kit_clear(&b.out);
}

// One packet from a to b; the types of message that carried it, and that b has it.
static void one_packet(uint8_t first, uint8_t second)
{
    uint8_t p[1500];
    size_t len = kit_udp(p, "fc01::1", "fc02::2", 7, 8, 500, 3);
    kit_from_tun(&a, p, len);
    assert_int_equal(a.out.wires, 1);
    assert_int_equal(a.out.wire[0].p[0], first);
    kit_carry(&a, &r, 0);
    assert_int_equal(r.out.wires, 1);
    assert_int_equal(r.out.wire[0].p[0], second);
    kit_carry(&r, &b, 0);
    must_arrive(p, len);
}

static void only_headers_are_sealed(void **state)
{
    (void)state;
    uint8_t p[1500], seen[1500];
    for (size_t n = 0; n < 1300; n += 1 + n / 9) {
        size_t len = kit_udp(p, "fc01::1", "fc02::2", 7, 8, n, 3), esp = esp_len(len - 40);
        kit_from_tun(&a, p, len);
        assert_int_equal(a.out.wire[0].n, 40 + esp + WG_DATA_OVERHEAD); // not padded
        memcpy(seen, a.out.wire[0].p, a.out.wire[0].n);
        kit_carry(&a, &r, 0);
        assert_int_equal(r.out.wire[0].n, 40 + esp + WG_DATA_OVERHEAD);
        const uint8_t *out = r.out.wire[0].p;
        assert_int_equal(out[0], LIGHT_TYPE);
        assert_int_equal(out[1], r.link[1].light == LIGHT_AES);
        assert_memory_equal(out + WG_DATA_HEADER + LIGHT_SEALED, seen + WG_DATA_HEADER + LIGHT_SEALED, 40 + esp - LIGHT_SEALED);
        for (unsigned i = 0; i < LIGHT_SEALED; i += 8) assert_memory_not_equal(out + WG_DATA_HEADER + i, seen + WG_DATA_HEADER + i, 8);
        kit_carry(&r, &b, 0);
        must_arrive(p, len);
    }
    // Both ends count the same, padding or not.
    assert_int_equal(atomic_load(&b.link[0].shared->rx_bytes), atomic_load(&r.link[1].shared->tx_bytes));
}

static void super_frames_make_trains(void **state)
{
    (void)state;
    static uint8_t f[VNET_LEN + 65535];
    struct vnet h = {.flags = VNET_NEEDS_CSUM, .gso_type = VNET_GSO_UDP_L4, .hdr_len = 48, .gso_size = 1298, .csum_start = 40, .csum_offset = 6};
    size_t n = kit_udp(f + VNET_LEN, "fc01::1", "fc02::2", 7, 8, 40 * 1298, 3);
    fwd_set_uso(b.fwd, true);
    vnet_write(f, &h);
    fwd_from_tun(a.fwd, a.s, f, VNET_LEN + n, NOW);
    fwd_flush(a.fwd);
    assert_int_equal(a.out.wires, 1);
    kit_carry(&a, &r, 0);
    assert_int_equal(r.out.wires, 1);
    assert_int_equal(r.out.train[0].seg, WG_DATA_OVERHEAD + 40 + esp_len(1298 + 8));
    kit_carry(&r, &b, 0);
    assert_int_equal(b.out.tuns, 1);
    assert_memory_equal(b.out.tun[0].p + VNET_LEN + 48, f + VNET_LEN + 48, n - 48);
}

static void who_has_not_said_so_gets_ordinary_messages(void **state)
{
    (void)state;
    one_packet(LIGHT_TYPE, WG_DATA);
}

static void what_came_whole_goes_on_whole(void **state)
{
    (void)state;
    one_packet(WG_DATA, WG_DATA);
}

static void only_own_sessions_packets_go_so(void **state)
{
    (void)state;
    uint8_t p[300];
    struct bw_addr s = addr("fc01::1"), d = addr("fc02::2");
    memset(p, 7, sizeof p);
    ip6_header(p, 0, 100, ESP_PROTOCOL, 64, &s, &d); // somebody else's ESP
    assert_int_equal(fwd_to_link(a.fwd, a.s, 0, p, 140, NOW), 0);
    assert_int_equal(fwd_to_link(a.fwd, a.s, 0, NULL, 0, NOW), 0);
    assert_int_equal(a.out.wires, 2);
    assert_int_equal(a.out.wire[0].p[0], WG_DATA);
    assert_int_equal(a.out.wire[1].p[0], WG_DATA);
    kit_carry(&a, &r, 0);
    assert_int_equal(r.out.wires, 1);
    assert_int_equal(r.out.wire[0].p[0], WG_DATA);
    kit_carry(&r, &b, 0);
    kit_clear(&b.out);
}

static void nothing_but_esp_comes_so(void **state)
{
    (void)state;
    const char *src[] = {"fc01::1", "fd01::1", "fc01::1", "fc01::1", "fc01::1"}, *dst[] = {"fc02::2", "fc02::2", "fd02::2", "fc02::2", "fc02::2"};
    uint8_t proto[] = {IP_UDP, ESP_PROTOCOL, ESP_PROTOCOL, ESP_PROTOCOL, ESP_PROTOCOL}, m[300];
    size_t payload[] = {100, 100, 100, ESP_HEADER + ESP_ICV - 1, ESP_HEADER + ESP_ICV}; // only the last is good
    for (unsigned i = 0; i < 5; i++) {
        struct bw_addr s = addr(src[i]), d = addr(dst[i]);
        memset(m, 7, sizeof m);
        ip6_header(m + WG_DATA_HEADER, 0, (uint16_t)payload[i], proto[i], 64, &s, &d);
        int n = keypair_seal_light(a.link[0].tx, 0, i % 2 ? LIGHT_AES : LIGHT_CHACHA, m, 40 + payload[i], NOW);
        assert_int_equal(n, 40 + payload[i] + WG_DATA_OVERHEAD);
        struct fwd_train t = {.data = m, .len = (uint32_t)n, .seg = (uint16_t)n, .remote = r.link[0].remote, .ifindex = r.link[0].ifindex};
        fwd_from_wire(r.fwd, r.s, &t, 1, NOW);
        assert_int_equal(fwd_drops(r.fwd, FWD_DROP_MALFORMED), i < 4 ? i + 1 : 4);
    }
    assert_int_equal(r.out.wires, 1);
    assert_int_equal(r.out.punts + r.out.tuns, 0);
}

// Gives the relay n bytes as they are, in a buffer of exactly that size. Whether it sends anything on.
static bool relays(const uint8_t *p, size_t n)
{
    uint8_t *m = malloc(n ? n : 1);
    memcpy(m, p, n);
    struct fwd_train t = {.data = m, .len = (uint32_t)n, .seg = (uint16_t)n, .remote = r.link[0].remote, .ifindex = r.link[0].ifindex};
    fwd_from_wire(r.fwd, r.s, &t, 1, NOW);
    free(m);
    return r.out.wires;
}

static void what_is_changed_on_the_wire(void **state)
{
    (void)state;
    uint8_t p[1500], m[1500];
    size_t len = kit_udp(p, "fc01::1", "fc02::2", 7, 8, 100, 3);
    kit_from_tun(&a, p, len);
    size_t n = a.out.wire[0].n, body = WG_DATA_HEADER + LIGHT_SEALED;
    memcpy(m, a.out.wire[0].p, n);
    for (size_t i = 0; i < n; i++) { // headers and tag: nothing goes on. The counter was never seen, so it stays good
        if (i >= body && i < n - BW_TAG_LEN) continue;
        m[i] ^= 0x10;
        assert_false(relays(m, n));
        m[i] ^= 0x10;
    }
    for (size_t cut = 1; cut < n; cut++) assert_false(relays(m, n - cut));
    uint8_t longer[1500] = {0}; // with the tag at the end, where it belongs
    memcpy(longer, m, n - BW_TAG_LEN);
    memcpy(longer + n - BW_TAG_LEN + 4, m + n - BW_TAG_LEN, BW_TAG_LEN);
    assert_false(relays(longer, n + 4));
    m[0] = WG_DATA; // a message of one type does not open as the other
    assert_false(relays(m, n));
    m[0] = LIGHT_TYPE;
    m[1] ^= 1; // nor under the other cipher
    assert_false(relays(m, n));
    m[1] ^= 1;
    m[body] ^= 1; // the body: the destination sees to that
    assert_true(relays(m, n));
    kit_carry(&r, &b, 0);
    assert_int_equal(b.out.tuns, 0);
    assert_int_equal(fwd_drops(b.fwd, FWD_DROP_ESP_AUTH), 1);
    m[body] ^= 1;
    assert_false(relays(m, n)); // its counter is used up
    assert_int_equal(fwd_drops(r.fwd, FWD_DROP_REPLAY), 1);
    // The replay window is one for both types.
    kit_clear(&a.out);
    kit_from_tun(&a, p, len);
    memcpy(m, a.out.wire[0].p, n);
    kit_carry(&a, &r, 0);
    kit_carry(&r, &b, 0);
    must_arrive(p, len);
    assert_false(relays(m, n));
    assert_int_equal(fwd_drops(r.fwd, FWD_DROP_REPLAY), 2);
}

static void errors_quote_the_packet(void **state)
{
    (void)state;
    uint8_t p[1500];
    size_t len = kit_udp(p, "fc01::1", "fc02::2", 7, 8, 100, 3);
    p[7] = 1;
    kit_from_tun(&a, p, len);
    kit_carry(&a, &r, 0);
    assert_int_equal(r.out.wires, 1);
    assert_int_equal(r.out.wire[0].p[0], WG_DATA); // an error is no ESP
    kit_carry(&r, &a, 0);
    assert_int_equal(a.out.punts, 1);
    assert_int_equal(a.out.punt[0].kind, FWD_PUNT_SESSION_ERROR);
}

// Against messages that tests/vectors/light.py has made.
static void as_others_make_them(void **state)
{
    (void)state;
    uint8_t key[32], packet[1500], message[1500], m[1500];
    const struct {
        const char *name;
        enum light how;
        uint64_t counter;
    } t[] = {{"small", LIGHT_CHACHA, 0}, {"large", LIGHT_CHACHA, (1ull << 40) + 7}, {"small.aes", LIGHT_AES, 0}, {"large.aes", LIGHT_AES, (1ull << 40) + 7}};
    struct bw_mem mem;
    bw_mem_system(&mem);
    struct link_shared *s = link_shared_new(&mem);
    assert_int_equal(vector("light.txt", "key", key, sizeof key), 32);
    struct keypair *k = keypair_new(&mem, 1, key, key, true, true, 0xa1b2c3d4, 0xa1b2c3d4, s, NOW);
    for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s.packet", t[i].name);
        size_t n = vector("light.txt", name, packet, sizeof packet);
        snprintf(name, sizeof name, "%s.message", t[i].name);
        size_t total = vector("light.txt", name, message, sizeof message);
        memcpy(m + WG_DATA_HEADER, packet, n);
        atomic_store(&k->tx_counter, t[i].counter);
        replay_init(&k->replay);
        assert_int_equal(keypair_seal_light(k, 0, t[i].how, m, n, NOW), total);
        assert_memory_equal(m, message, total);
        assert_int_equal(keypair_open_light(k, 0, m, total, NOW), n);
        assert_memory_equal(m + WG_DATA_HEADER, packet, n);
    }
    keypair_unref(k);
    // Who never said that it has AES takes none.
    k = keypair_new(&mem, 1, key, key, false, true, 0xa1b2c3d4, 0xa1b2c3d4, s, NOW);
    assert_int_equal(keypair_open_light(k, 0, message, vector("light.txt", "small.aes.message", message, sizeof message), NOW), BW_ERR_AUTH);
    keypair_unref(k);
    link_shared_unref(s);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_headers_are_sealed, both, kit_end),
        cmocka_unit_test_setup_teardown(only_headers_are_sealed, both_aes, kit_end),
        cmocka_unit_test_setup_teardown(only_headers_are_sealed, one_of_each, kit_end),
        cmocka_unit_test_setup_teardown(super_frames_make_trains, both, kit_end),
        cmocka_unit_test_setup_teardown(super_frames_make_trains, both_aes, kit_end),
        cmocka_unit_test_setup_teardown(super_frames_make_trains, first_only, kit_end), // a whole train changes its type in place
        cmocka_unit_test_setup_teardown(who_has_not_said_so_gets_ordinary_messages, first_only, kit_end),
        cmocka_unit_test_setup_teardown(what_came_whole_goes_on_whole, second_only, kit_end),
        cmocka_unit_test_setup_teardown(only_own_sessions_packets_go_so, both, kit_end),
        cmocka_unit_test_setup_teardown(nothing_but_esp_comes_so, both, kit_end),
        cmocka_unit_test_setup_teardown(what_is_changed_on_the_wire, both, kit_end),
        cmocka_unit_test_setup_teardown(what_is_changed_on_the_wire, both_aes, kit_end),
        cmocka_unit_test_setup_teardown(errors_quote_the_packet, both, kit_end),
        cmocka_unit_test(as_others_make_them),
    };
    if (bw_crypto_init()) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
