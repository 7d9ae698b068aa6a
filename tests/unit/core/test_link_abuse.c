// What strangers may try: floods, replays, forgeries, relays between interfaces, more keys than there is room; and memory
// that runs out at every possible moment.
#include "unit/core/link_world.h"

#include "core/noise/cookie.h"
#include "core/noise/limit.h"
#include "core/noise/noise.h"
#include "core/noise/stamp.h"

static void inject(struct world *w, int to, uint32_t ifindex, struct bw_endpoint from, const uint8_t *p, size_t n)
{
    struct w_node *node = &w->node[to];
    linkset_rx(node->ls, ifindex, &from, true, p, n, w->now, w_unix(node));
}

// A well-formed initiation of a stranger's key to node `to`; stamp in ns.
static void stranger(struct world *w, int to, const struct identity *me, uint64_t stamp_ns, uint8_t out[WG_INITIATION_LEN])
{
    const uint8_t *pk = w->node[to].me.link_pk;
    struct noise_protocol noise;
    struct noise_handshake hs;
    struct mac_sender s = {0};
    struct wg_initiation m = {.sender = 7};
    struct stamp stamp = stamp_of_ns(stamp_ns);
    uint8_t ss[32], e[32];
    noise_protocol_wireguard(&noise);
    assert_int_equal(bw_x25519(ss, me->link_sk, pk), 0);
    bw_rng_bytes(&w->rng, e, sizeof e);
    assert_int_equal(noise_initiate(&hs, &noise, me->link_pk, pk, ss, e, stamp.b, STAMP_LEN, m.ephemeral, m.enc_static, m.enc_timestamp), 0);
    wg_initiation_encode(out, &m);
    mac_keys_init(&s.keys, &noise, pk);
    mac_write(&s, out, WG_INITIATION_LEN, w->now);
}

static void some_identity(struct world *w, struct identity *id) // any key: as fast as can be had
{
    uint8_t seed[32];
    bw_rng_bytes(&w->rng, seed, sizeof seed);
    if (identity_from_seed(id, seed)) return;
}

static void test_malformed(void **state)
{
    (void)state;
    struct world *w = w_joined(1);
    uint8_t buf[200] = {0};
    for (unsigned type = 0; type < 6; type++) {
        for (size_t n = 0; n < sizeof buf; n++) {
            buf[0] = (uint8_t)type;
            inject(w, 0, 1, w_ll(1, 1), buf, n);
        }
    }
    assert_true(w_drops(w, 0, LINK_DROP_MALFORMED) >= 1190);
    assert_int_equal(w_drops(w, 0, LINK_DROP_MAC1), 2);
    assert_int_equal(w_drops(w, 0, LINK_DROP_INDEX), 1);
    assert_true(w_up(w, 0, 0));
    w_free(w);
}

// Every byte of an initiation counts.
static void test_forged(void **state)
{
    (void)state;
    struct world *w = w_new(2, 1);
    struct identity id;
    uint8_t m[WG_INITIATION_LEN];
    some_identity(w, &id);
    stranger(w, 0, &id, 1000, m);
    for (size_t i = 4; i < WG_INITIATION_LEN - 16; i++) { // mac2 is not looked at without load
        m[i] ^= 0x40;
        inject(w, 0, 1, w_ll(2, 1), m, sizeof m);
        m[i] ^= 0x40;
        w->now += BW_S / 10;
    }
    assert_int_equal(w_drops(w, 0, LINK_DROP_MAC1), WG_INITIATION_LEN - 20);
    // With mac1 made right afterwards, the inner tags decide.
    struct noise_protocol noise;
    struct mac_sender s = {0};
    noise_protocol_wireguard(&noise);
    mac_keys_init(&s.keys, &noise, w->node[0].me.link_pk);
    for (size_t i = 8; i < WG_INITIATION_LEN - 32; i++) {
        m[i] ^= 0x40;
        mac_write(&s, m, sizeof m, w->now);
        inject(w, 0, 1, w_ll(2, 1), m, sizeof m);
        m[i] ^= 0x40;
        w->now += BW_S / 10;
    }
    assert_int_equal(w_drops(w, 0, LINK_DROP_AUTH), WG_INITIATION_LEN - 40);
    assert_int_equal(w_links(w, 0), 0);
    mac_write(&s, m, sizeof m, w->now);
    inject(w, 0, 1, w_ll(2, 1), m, sizeof m);
    assert_int_equal(w_links(w, 0), 1);
    w_free(w);
}

static void test_replays(void **state)
{
    (void)state;
    struct world *w = w_joined(3);
    int responder = w->last_initiation.to;
    struct w_packet recorded = w->last_initiation;
    struct bw_endpoint evil = w_ll(3, 1), evil2 = w_ll(3, 2), far = w_v4(3, 0);
    struct bw_endpoint before = w_info(w, responder, 0).endpoint;
    inject(w, responder, 1, evil, recorded.data, recorded.n);  // on its own link
    inject(w, responder, 2, evil2, recorded.data, recorded.n); // on another interface, where the neighbour is not
    inject(w, responder, 1, far, recorded.data, recorded.n);   // from far away
    assert_int_equal(w_drops(w, responder, LINK_DROP_REPLAY), 3);
    assert_int_equal(w_links(w, responder), 1);
    struct bw_endpoint after = w_info(w, responder, 0).endpoint;
    assert_true(bw_endpoint_eq(&before, &after));
    // Not even after the link has gone: the stamps of a key outlive its links.
    linkset_iface_gone(w->node[responder].ls, 1, w->now);
    assert_int_equal(w_links(w, responder), 0);
    inject(w, responder, 2, evil2, recorded.data, recorded.n);
    assert_int_equal(w_links(w, responder), 0);
    w_free(w);
}

static void keep_last_data(struct world *w, struct w_packet *p)
{
    if (p->data[0] == WG_DATA && p->n > 32) w->kept = *p;
}

static void test_data_replay(void **state)
{
    (void)state;
    struct world *w = w_joined(4);
    w->tap = keep_last_data;
    assert_true(w_send_data(&w->node[0], 0));
    w_run(w, 10 * BW_MS);
    assert_int_equal(w->node[1].got[0], 1);
    struct w_packet again = w->kept, bent = w->kept;
    again.from = w_ll(3, 1); // played back by somebody else: must not even move the endpoint
    w_receive(w, &again);
    bent.data[20] ^= 1;
    w_receive(w, &bent);
    assert_int_equal(w->node[1].got[0], 1);
    assert_int_equal(w->node[1].unopened, 2);
    assert_int_equal(w_info(w, 1, 0).endpoint.addr.b[15], 0);
    w_free(w);
}

static void test_own_key(void **state)
{
    (void)state;
    struct world *w = w_new(5, 1);
    uint8_t m[WG_INITIATION_LEN];
    stranger(w, 0, &w->node[0].me, 1000, m);
    inject(w, 0, 1, w_ll(2, 1), m, sizeof m);
    assert_int_equal(w_drops(w, 0, LINK_DROP_OWN_KEY), 1);
    assert_int_equal(linkset_discovered(w->node[0].ls, w->node[0].me.link_pk, 1, &(struct bw_endpoint){0}, true, w->now), BW_ERR_RANGE);
    w_free(w);
}

// A thousand strangers knock and say no more: a bounded number of half-open links, which end by themselves.
static void test_half_open(void **state)
{
    (void)state;
    struct world *w = w_new(6, 1);
    uint8_t m[WG_INITIATION_LEN];
    struct linkset_stats s;
    size_t most = 0;
    for (int i = 0; i < 1300; i++) {
        struct identity id;
        some_identity(w, &id);
        stranger(w, 0, &id, 1000, m);
        inject(w, 0, 1, w_ll(3, 1), m, sizeof m);
        w->now += 20 * BW_MS;
        linkset_stats(w->node[0].ls, &s);
        assert_true(s.links <= LINK_HALF_OPEN_MAX && s.half_open == s.links);
        if (w->node[0].mem.used > most) most = w->node[0].mem.used;
    }
    assert_true(most < 1500000);
    w_run(w, 20 * BW_S);
    assert_int_equal(w_links(w, 0), 0);
    w_free(w);
}

// Beacons of ever new keys that never shake hands: few links, few packets to made-up addresses; the neighbour in use and a
// listed one are not touched, an honest newcomer gets in.
static void test_beacon_flood(void **state)
{
    (void)state;
    struct world *w = w_new(12, 3);
    assert_int_equal(w_discovered(w, 0, 1, 1), 0);
    assert_int_equal(w_discovered(w, 1, 0, 1), 0);
    w_run(w, 100 * BW_MS);
    assert_true(w_up(w, 0, 0));
    struct linkset_stats before, after;
    unsigned taken = 0;
    linkset_stats(w->node[0].ls, &before);
    for (int i = 0; i < 3000; i++) { // 50 a second, what discovery lets through
        uint8_t key[32];
        bw_rng_bytes(&w->rng, key, sizeof key);
        key[31] &= 127;
        struct bw_endpoint at = w_ll(7, 1);
        int err = linkset_discovered(w->node[0].ls, key, 1, &at, true, w->now);
        assert_true(!err || err == BW_ERR_AGAIN);
        taken += !err;
        w_run(w, 20 * BW_MS);
        assert_true(w_links(w, 0) <= LINK_UNPROVEN_MAX + 1);
    }
    assert_in_range(taken, 1000, LINK_FOUND_BURST + 61 * LINK_FOUND_PER_S);
    linkset_stats(w->node[0].ls, &after);
    assert_true(after.initiations_sent - before.initiations_sent < 5000);
    assert_true(w_up(w, 0, 0));
    assert_int_equal(w->node[0].downs[0], 0);
    for (int i = 0; i < 100 && w_discovered(w, 0, 2, 1); i++) w_run(w, 50 * BW_MS);
    assert_int_equal(w_discovered(w, 2, 0, 1), 0);
    w_run(w, 2 * BW_S);
    assert_true(w_up(w, 2, 0));
    w_free(w);
}

// One neighbour that shakes hands all the time, with stamps ever new, is slowed down.
static void test_eager(void **state)
{
    (void)state;
    struct world *w = w_new(11, 1);
    struct identity id;
    uint8_t m[WG_INITIATION_LEN];
    some_identity(w, &id);
    for (uint64_t i = 0; i < 40; i++) {
        stranger(w, 0, &id, 1000 + i, m);
        inject(w, 0, 1, w_ll(2, 1), m, sizeof m);
        w->now += BW_MS;
    }
    assert_in_range(w_drops(w, 0, LINK_DROP_FLOOD), 30, 35);
    assert_int_equal(w_links(w, 0), 1);
    w_free(w);
}

// Links in use go on under a flood of handshakes from made-up addresses, renewals included; cookies are asked for.
static void test_flood(void **state)
{
    (void)state;
    struct world *w = w_joined(7);
    w->every = 100 * BW_MS;
    w->next_traffic = w->now;
    uint8_t junk[WG_INITIATION_LEN] = {WG_INITIATION};
    struct noise_protocol noise;
    struct mac_sender s = {0};
    struct linkset_stats stats;
    noise_protocol_wireguard(&noise);
    w_run(w, 110 * BW_S);
    for (int i = 0; i < 6000; i++) { // 30 s; the renewal at 120 s needs a cookie for either direction
        for (int k = 0; k < 2; k++) {
            mac_keys_init(&s.keys, &noise, w->node[k].me.link_pk);
            bw_rng_bytes(&w->rng, junk + 4, 112);
            mac_write(&s, junk, sizeof junk, w->now);
            inject(w, k, 1, w_ll((int)(16 + bw_rng_below(&w->rng, 200)), 1), junk, sizeof junk);
        }
        w_run(w, 5 * BW_MS);
    }
    for (int k = 0; k < 2; k++) {
        assert_int_equal(w->node[k].downs[0], 0);
        assert_int_equal(w->node[k].unopened, 0);
        assert_true(w_drops(w, k, LINK_DROP_COOKIE) > 3000);
        linkset_stats(w->node[k].ls, &stats);
        assert_in_range(stats.cookies_sent, 100, LINK_STRANGERS_PER_S * 32); // few of those are answered
        assert_true(stats.under_load);
        assert_int_equal(stats.handshakes, 2);
        assert_int_equal(stats.links, 1);
    }
    w_run(w, 2 * BW_S);
    linkset_stats(w->node[0].ls, &stats);
    assert_false(stats.under_load);
    w_free(w);
}

// One address that can receive, and therefore gets a cookie, is held to its rate.
static void test_flood_with_cookie(void **state)
{
    (void)state;
    struct world *w = w_new(8, 1);
    w_stop(w, 0);
    w->node[0].config.load_per_s = 5;
    w_start(w, 0);
    struct noise_protocol noise;
    struct mac_sender s = {0};
    uint8_t junk[WG_INITIATION_LEN] = {WG_INITIATION};
    noise_protocol_wireguard(&noise);
    mac_keys_init(&s.keys, &noise, w->node[0].me.link_pk);
    struct wg_cookie c;
    for (int i = 0; i < 200; i++) {
        mac_write(&s, junk, sizeof junk, w->now);
        inject(w, 0, 1, w_ll(2, 1), junk, sizeof junk);
        w->now += BW_MS;
    }
    assert_true(w_drops(w, 0, LINK_DROP_COOKIE) > 190);
    assert_int_equal(wg_cookie_decode(w->last_cookie, WG_COOKIE_LEN, &c), 0);
    assert_int_equal(mac_take_cookie(&s, c.nonce, c.enc_cookie, w->now), 0);
    uint64_t cookies = w_drops(w, 0, LINK_DROP_COOKIE), auth = w_drops(w, 0, LINK_DROP_AUTH);
    for (int i = 0; i < 1000; i++) { // 1 s
        mac_write(&s, junk, sizeof junk, w->now);
        inject(w, 0, 1, w_ll(2, 1), junk, sizeof junk);
        w->now += BW_MS;
    }
    assert_int_equal(w_drops(w, 0, LINK_DROP_COOKIE), cookies);
    assert_in_range(w_drops(w, 0, LINK_DROP_AUTH) - auth, SOURCE_PER_S, SOURCE_PER_S + SOURCE_BURST);
    assert_int_equal(w_drops(w, 0, LINK_DROP_RATE), 1000 - (w_drops(w, 0, LINK_DROP_AUTH) - auth));
    inject(w, 0, 1, w_ll(3, 1), junk, sizeof junk); // the cookie is no good for anybody else
    assert_int_equal(w_drops(w, 0, LINK_DROP_COOKIE), cookies + 1);
    w_free(w);
}

// A stranger that turns out to have a beacon is a discovered neighbour and no longer counted as half-open.
static void test_half_open_then_beacon(void **state)
{
    (void)state;
    struct world *w = w_new(12, 1);
    struct identity id;
    struct linkset_stats s;
    uint8_t m[WG_INITIATION_LEN];
    identity_draw(&id, &w->rng);
    stranger(w, 0, &id, 1000, m);
    inject(w, 0, 1, w_ll(2, 1), m, sizeof m);
    linkset_stats(w->node[0].ls, &s);
    assert_int_equal(s.half_open, 1);
    struct bw_endpoint at = w_ll(2, 1);
    assert_int_equal(linkset_discovered(w->node[0].ls, id.link_pk, 1, &at, true, w->now), 0);
    linkset_stats(w->node[0].ls, &s);
    assert_int_equal(s.half_open, 0);
    w_run(w, 30 * BW_S);
    assert_int_equal(w_links(w, 0), 1);
    assert_int_equal(w_info(w, 0, 0).source, LINK_DISCOVERED);
    w_free(w);
}

static void response_from_elsewhere(struct world *w, struct w_packet *p)
{
    (void)w;
    if (p->n != WG_RESPONSE_LEN) return;
    p->ifindex = 2; // an attacker carries it to another wire
    p->from = w_ll(3, 2);
}

static void test_moved_response(void **state)
{
    (void)state;
    struct world *w = w_new(13, 2);
    w->tap = response_from_elsewhere;
    assert_int_equal(w_discovered(w, 0, 1, 1), 0);
    w_run(w, 2 * BW_S);
    assert_true(w_up(w, 0, 0)); // it is authentic
    assert_int_equal(w_drops(w, 0, LINK_DROP_ROAM), 1);
    struct bw_endpoint want = w_ll(1, 1), is = w_info(w, 0, 0).endpoint;
    assert_true(bw_endpoint_eq(&want, &is)); // but moves nothing
    w_free(w);
}

// More strangers with complete handshakes than there are slots; a listed neighbour still gets in.
static void test_full(void **state)
{
    (void)state;
    struct world *w = w_new(9, 2);
    w_stop(w, 0);
    w->node[0].config.max_links = 3;
    w_start(w, 0);
    uint8_t key[3][32];
    for (int i = 0; i < 3; i++) {
        struct identity id;
        identity_draw(&id, &w->rng);
        memcpy(key[i], id.link_pk, 32);
        struct bw_endpoint at = w_ll(3, 1);
        assert_int_equal(linkset_discovered(w->node[0].ls, key[i], 1, &at, true, w->now), 0);
    }
    struct bw_endpoint at = w_ll(1, 1);
    assert_int_equal(linkset_discovered(w->node[0].ls, w->node[1].me.link_pk, 1, &at, true, w->now), BW_ERR_NOMEM);
    assert_true(w_drops(w, 0, LINK_DROP_FULL) > 0);
    struct link_peer p = w_peer(w, 1, true);
    assert_int_equal(w_add(w, 0, &p), 0);
    assert_int_equal(w_links(w, 0), 3);
    w_run(w, BW_S);
    assert_true(w_up(w, 1, 0));
    w_free(w);
}

// The n-th allocation fails, and every one after it, for every n until the whole scene runs through.
static void test_out_of_memory(void **state)
{
    (void)state;
    unsigned fails = 1;
    for (unsigned n = 1; fails; n++) {
        assert_true(n < 500);
        struct world *w = w_new(10, 2);
        w_stop(w, 0);
        w->fail_after = n;
        w->node[0].fails = w->node[1].fails = 0;
        w_start(w, 0);
        if (w->node[0].ls) {
            struct link_peer p = w_peer(w, 1, true);
            (void)!w_add(w, 0, &p);
            (void)!w_discovered(w, 0, 1, 2);
            (void)!w_discovered(w, 1, 0, 2);
            w->every = 5 * BW_S;
            w->next_traffic = w->now;
            w_run(w, 20 * BW_S);
            // Memory is there again: everything recovers.
            fails = w->node[0].fails + w->node[1].fails;
            w->fail_after = 0;
            (void)!w_add(w, 0, &p);
            if (w->node[0].ls) (void)!linkset_remove_peer(w->node[0].ls, p.key, w->now);
            assert_int_equal(w_add(w, 0, &p), 0);
            w_run(w, 30 * BW_S);
            bool up = false;
            for (int s = -1; (s = linkset_next(w->node[0].ls, s)) >= 0;) up |= w_up(w, 0, (uint16_t)s);
            assert_true(up);
        } else {
            fails = w->node[0].fails;
        }
        w->fail_after = 0;
        w_free(w);
    }
}

int main(void)
{
    if (bw_crypto_init()) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_forged), cmocka_unit_test(test_replays),
        cmocka_unit_test(test_data_replay), cmocka_unit_test(test_own_key), cmocka_unit_test(test_half_open), cmocka_unit_test(test_eager),
        cmocka_unit_test(test_beacon_flood),
        cmocka_unit_test(test_flood), cmocka_unit_test(test_flood_with_cookie), cmocka_unit_test(test_full),
        cmocka_unit_test(test_half_open_then_beacon), cmocka_unit_test(test_moved_response),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
