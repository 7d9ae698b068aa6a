// Two linksets and a wire: handshake, renewal, loss, crossing, roaming, restart, clocks, several links, removal.
#include "unit/core/link_world.h"

static void test_handshake(void **state)
{
    (void)state;
    struct world *w = w_joined(1);
    // One handshake only: the larger key waits for the smaller one.
    assert_int_equal(w->node[0].initiations + w->node[1].initiations, 1);
    bool smaller = memcmp(w->node[0].me.link_pk, w->node[1].me.link_pk, 32) < 0;
    assert_int_equal(w->node[0].initiations, smaller);
    for (int i = 0; i < 2; i++) {
        struct link_info info = w_info(w, i, 0);
        assert_true(info.on_link && info.ifindex == 1 && info.kind == LINK_KIND_BYWAY && info.source == LINK_DISCOVERED);
        assert_memory_equal(info.key, w->node[!i].me.link_pk, 32);
        assert_true(bw_addr_eq(&info.addr, &w->node[!i].me.addr));
        assert_int_equal(w->node[i].ups[0], 1);
        assert_true(info.last_handshake > 1000 * BW_S);
        assert_true(w_send_data(&w->node[i], 0));
    }
    w_run(w, 10 * BW_MS);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(w->node[i].got[0], 1);
        struct link_info info = w_info(w, i, 0);
        assert_int_equal(info.shared->tx_bytes, 64); // both ends count padded inner bytes
        assert_int_equal(info.shared->rx_bytes, 64);
        assert_int_equal(info.shared->rx_packets, 1);
    }
    w_free(w);
}

static void test_keylog(void **state)
{
    (void)state;
    struct world *w = w_joined(2);
    char text[BW_KEY_TEXT], want[128];
    snprintf(want, sizeof want, "LOCAL_STATIC_PRIVATE_KEY = %s\n", bw_base64_encode(w->node[0].me.link_sk, 32, text));
    assert_non_null(strstr(w->keylog, want));
    assert_non_null(strstr(w->keylog, "LOCAL_EPHEMERAL_PRIVATE_KEY = "));
    w_free(w);
}

static int hushed; // whose initiations are lost

static void hush(struct world *w, struct w_packet *p)
{
    if (p->n == WG_INITIATION_LEN && p->from.addr.b[15] == hushed) p->to = -1;
    (void)w;
}

// The initiator can't renew, for whatever reason: the responder does it before the keys run out.
static void test_late_renewal(void **state)
{
    (void)state;
    struct world *w = w_joined(30);
    hushed = w->node[0].initiations ? 0 : 1;
    w->tap = hush;
    w->every = 100 * BW_MS;
    w->next_traffic = w->now;
    w_run(w, 300 * BW_S);
    assert_int_equal(w->node[!hushed].initiations, 2);
    assert_int_equal(w->node[0].downs[0] + w->node[1].downs[0], 0);
    assert_int_equal(w->node[0].unopened + w->node[1].unopened, 0);
    w_free(w);
}

// However often a handshake is asked for, there is one initiation in 5 s.
static void test_initiation_rate(void **state)
{
    (void)state;
    struct world *w = w_joined(31);
    unsigned before = w->node[0].initiations + w->node[1].initiations;
    for (int i = 0; i < 200; i++) { // restarts without end, or somebody playing them
        assert_int_equal(w_discovered(w, 0, 1, 1), 0);
        assert_int_equal(w_discovered(w, 1, 0, 1), 0);
        w_run(w, 100 * BW_MS);
    }
    assert_in_range(w->node[0].initiations + w->node[1].initiations - before, 3, 8);
    assert_true(w_up(w, 0, 0) && w_up(w, 1, 0));
    w_free(w);
}

// Ten minutes of traffic: keys are renewed every two minutes and not one packet is lost to it.
static void test_renewal(void **state)
{
    (void)state;
    struct world *w = w_joined(3);
    w->every = 100 * BW_MS;
    w->next_traffic = w->now;
    w_run(w, 600 * BW_S);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(w->node[i].unopened, 0);
        assert_true(w->node[i].got[0] >= w->node[!i].sent[0] - 1);
        assert_true(w->node[i].sent[0] >= 5999);
        assert_int_equal(w->node[i].downs[0], 0);
    }
    struct linkset_stats s;
    linkset_stats(w->node[0].ls, &s);
    assert_int_equal(w->node[0].persists + w->node[1].persists, 1); // written once an hour, and only by who initiates
    assert_in_range(s.handshakes, 5, 6);
    assert_in_range(w->node[0].initiations + w->node[1].initiations, 5, 6);
    w_free(w);
}

// Traffic one way only, the initiator being the one that listens: it renews after 165 s, and sends keepalives meanwhile.
static void test_one_way(void **state)
{
    (void)state;
    for (int listener = 0; listener < 2; listener++) {
        struct world *w = w_joined((uint8_t)(4 + listener));
        w->every = 500 * BW_MS;
        w->next_traffic = w->now;
        w->only_sender = !listener;
        w_run(w, 600 * BW_S);
        assert_int_equal(w->node[listener].unopened, 0);
        assert_true(w->node[listener].got[0] >= 1199);
        assert_int_equal(w->node[!listener].downs[0], 0);
        struct link_info info = w_info(w, !listener, 0);
        assert_true(info.shared->last_rx + 11 * BW_S + 600 * BW_MS > w->now); // keepalives came back
        assert_int_equal(info.shared->rx_packets, 0);                          // and are no payload
        assert_in_range(w->node[0].initiations + w->node[1].initiations, 4, 6);
        w_free(w);
    }
}

// No traffic and no beacons: nothing is renewed, the keys go after 180 s, and the links some time later.
static void test_idle(void **state)
{
    (void)state;
    struct world *w = w_joined(6);
    w_run(w, 179 * BW_S);
    assert_true(w_up(w, 0, 0));
    struct keypair *tx, *rx[LINK_RX_KEYS];
    unsigned n;
    linkset_keys(w->node[0].ls, 0, &tx, rx, &n);
    assert_int_equal(n, 1);
    w_run(w, 2 * BW_S);
    linkset_keys(w->node[0].ls, 0, &tx, rx, &n);
    assert_true(!tx && n == 0);
    assert_int_equal(w->node[0].downs[0], 1);
    w_run(w, 120 * BW_S);
    assert_int_equal(w_links(w, 0), 0);
    assert_int_equal(w->node[0].gones, 1);
    assert_int_equal(w->node[0].initiations + w->node[1].initiations, 1);
    w_free(w);
}

static void check_rough(uint8_t seed, unsigned loss_permille, unsigned jitter_us, unsigned at_least_percent)
{
    struct world *w = w_new(seed, 2);
    w->loss_permille = loss_permille;
    w->jitter_us = jitter_us;
    w->every = 50 * BW_MS;
    w->next_traffic = w->now;
    struct link_peer p = w_peer(w, 1, true), q = w_peer(w, 0, true);
    assert_int_equal(w_add(w, 0, &p), 0);
    assert_int_equal(w_add(w, 1, &q), 0);
    w_run(w, 700 * BW_S);
    for (int i = 0; i < 2; i++) {
        assert_true(w_up(w, i, 0));
        assert_true(w->node[i].got[0] >= 14000 * at_least_percent / 100);
        if (!loss_permille) assert_true(w->node[i].got[0] + 5 >= w->node[!i].sent[0]);
    }
    w_free(w);
}

static void test_loss_and_reordering(void **state)
{
    (void)state;
    check_rough(10, 0, 300000, 98);   // 300 ms of jitter: everything is out of order, nothing may be lost
    check_rough(11, 100, 0, 80);
    check_rough(12, 300, 100000, 50);
    check_rough(13, 500, 0, 20);
}

// Both begin at the very same moment: one session results, used by both, renewed by one.
static void test_crossing(void **state)
{
    (void)state;
    for (uint8_t seed = 20; seed < 30; seed++) {
        struct world *w = w_new(seed, 2);
        bool byway = seed % 2;
        struct link_peer p = w_peer(w, 1, true), q = w_peer(w, 0, true);
        assert_int_equal(w_add(w, 0, &p), 0);
        assert_int_equal(w_add(w, 1, &q), 0);
        if (byway) linkset_set_stock(w->node[0].ls, p.key, false), linkset_set_stock(w->node[1].ls, q.key, false);
        w->every = 20 * BW_MS;
        w->next_traffic = w->now;
        w_run(w, BW_S);
        assert_true(w_up(w, 0, 0) && w_up(w, 1, 0));
        assert_int_equal(w->node[0].initiations + w->node[1].initiations, 2);
        struct keypair *a, *b, *rx[LINK_RX_KEYS];
        unsigned n;
        linkset_keys(w->node[0].ls, 0, &a, rx, &n);
        linkset_keys(w->node[1].ls, 0, &b, rx, &n);
        if (byway) {
            assert_int_equal(a->local_index, b->remote_index);
            assert_true(a->initiator != b->initiator);
        }
        w_run(w, 600 * BW_S);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(w->node[i].downs[0], 0);
            assert_int_equal(w->node[i].unopened, 0);
        }
        w_free(w);
    }
}

static void test_roaming(void **state)
{
    (void)state;
    struct world *w = w_new(40, 2);
    struct link_peer p = w_peer(w, 1, true), q = w_peer(w, 0, false);
    assert_int_equal(w_add(w, 0, &p), 0); // node 0 knows where 1 is; 1 only knows the key of 0
    assert_int_equal(w_add(w, 1, &q), 0);
    assert_int_equal(w_links(w, 1), 0);
    w->every = 100 * BW_MS;
    w->next_traffic = w->now;
    w_run(w, 5 * BW_S);
    assert_true(w_up(w, 0, 0) && w_up(w, 1, 0));
    assert_false(w_info(w, 1, 0).on_link);
    assert_string_equal(w_info(w, 1, 0).name, "node0");
    unsigned before = w->node[0].got[0];
    w->node[0].variant = 7; // the client gets another address: one packet of its own, and 1 follows
    w_run(w, BW_S);
    assert_true(w->node[0].got[0] >= before + 8);
    struct bw_endpoint now = w_v4(0, 7);
    struct link_info info = w_info(w, 1, 0);
    assert_true(bw_endpoint_eq(&info.endpoint, &now));
    assert_int_equal(w_links(w, 1), 1);
    // The server moves as well, to where the client can't know of: its own packets tell.
    w->node[1].variant = 9;
    w_run(w, BW_S);
    now = w_v4(1, 9);
    info = w_info(w, 0, 0);
    assert_true(bw_endpoint_eq(&info.endpoint, &now));
    // Both at once: nobody can be found, until the server is back where the configuration says.
    w->node[0].variant = 8, w->node[1].variant = 0;
    w_run(w, 60 * BW_S);
    before = w->node[0].got[0];
    w_run(w, 10 * BW_S);
    assert_true(w->node[0].got[0] > before + 90);
    assert_true(w->node[0].silents >= 1);
    w_free(w);
}

// An on-link link stays on its interface, whatever arrives elsewhere.
static void test_bound_to_interface(void **state)
{
    (void)state;
    struct world *w = w_joined(41);
    struct keypair *tx, *rx[LINK_RX_KEYS];
    unsigned n;
    linkset_keys(w->node[0].ls, 0, &tx, rx, &n);
    struct bw_endpoint before = w_info(w, 0, 0).endpoint, other = w_ll(1, 2), far = w_v4(1, 0), same = w_ll(3, 1);
    linkset_roam(w->node[0].ls, tx->local_index, &other, 2, w->now);
    linkset_roam(w->node[0].ls, tx->local_index, &far, 1, w->now);
    linkset_roam(w->node[0].ls, 12345, &same, 1, w->now);
    struct bw_endpoint after = w_info(w, 0, 0).endpoint;
    assert_true(bw_endpoint_eq(&before, &after));
    assert_int_equal(w_drops(w, 0, LINK_DROP_ROAM), 2);
    linkset_roam(w->node[0].ls, tx->local_index, &same, 1, w->now); // another address on the same wire is fine
    after = w_info(w, 0, 0).endpoint;
    assert_true(bw_endpoint_eq(&same, &after));
    w_free(w);
}

static void test_restart(void **state)
{
    (void)state;
    for (int who = 0; who < 2; who++) {
        struct world *w = w_joined((uint8_t)(50 + who));
        w->every = 50 * BW_MS;
        w->next_traffic = w->now;
        w_run(w, 30 * BW_S);
        w_stop(w, who);
        w_run(w, 3 * BW_S);
        w->node[who].unix_ns = 3 * W_YEAR_NS; // and its clock is decades back
        w_start(w, who);
        assert_int_equal(w_discovered(w, who, !who, 1), 0);
        assert_int_equal(w_discovered(w, !who, who, 1), 0);
        unsigned before = w->node[!who].got[0];
        w_run(w, 1500 * BW_MS);
        assert_true(w_up(w, who, 0));
        assert_true(w->node[!who].got[0] > before + 5);
        before = w->node[who].got[0];
        w_run(w, BW_S);
        assert_true(w->node[who].got[0] > before + 15);
        assert_int_equal(w_links(w, !who), 1);
        w_free(w);
    }
}

// Without its stored high water a node whose clock went back is refused: that is what storing is for.
static void test_clock_set_back(void **state)
{
    (void)state;
    for (int stored = 0; stored < 2; stored++) {
        struct world *w = w_new(60, 2);
        struct link_peer p = w_peer(w, 1, true), q = w_peer(w, 0, false);
        assert_int_equal(w_add(w, 0, &p), 0);
        assert_int_equal(w_add(w, 1, &q), 0);
        w_run(w, BW_S);
        assert_true(w_up(w, 0, 0));
        assert_int_equal(w->node[0].persists, 1);
        w_stop(w, 0);
        w->node[0].unix_ns -= 20 * W_YEAR_NS;
        if (!stored) w->node[0].tai = 0;
        w_start(w, 0);
        assert_int_equal(w_add(w, 0, &p), 0);
        w_run(w, 20 * BW_S);
        assert_int_equal(w_up(w, 0, 0), stored);
        assert_int_equal(w_drops(w, 1, LINK_DROP_REPLAY) > 0, !stored);
        w_free(w);
    }
    // And set back while running.
    struct world *w = w_joined(61);
    w->every = 100 * BW_MS;
    w->next_traffic = w->now;
    w_run(w, 10 * BW_S);
    w->node[0].unix_ns -= 20 * W_YEAR_NS;
    w->node[1].unix_ns += 20 * W_YEAR_NS;
    w_run(w, 300 * BW_S);
    assert_int_equal(w->node[0].downs[0] + w->node[1].downs[0], 0);
    w_free(w);
}

// Cable and radio: two sessions of the same two keys that do not disturb each other.
static void test_two_links(void **state)
{
    (void)state;
    struct world *w = w_new(70, 2);
    for (uint32_t iface = 1; iface <= 2; iface++) {
        assert_int_equal(w_discovered(w, 0, 1, iface), 0);
        assert_int_equal(w_discovered(w, 1, 0, iface), 0);
    }
    w->every = 50 * BW_MS;
    w->next_traffic = w->now;
    w->jitter_us = 3000;
    w_run(w, 400 * BW_S);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(w_links(w, i), 2);
        assert_int_equal(w->node[i].downs[0] + w->node[i].downs[1], 0);
        assert_int_equal(w->node[i].unopened, 0);
        assert_true(w_info(w, i, 0).ifindex != w_info(w, i, 1).ifindex);
    }
    w->cut[2] = true; // the radio fails: that link alone goes down, in its time
    w_run(w, 250 * BW_S);
    uint16_t cut = w_info(w, 0, 0).ifindex == 2 ? 0 : 1;
    assert_false(w_up(w, 0, cut));
    assert_true(w_up(w, 0, !cut));
    assert_int_equal(w->node[0].downs[!cut], 0);
    linkset_iface_gone(w->node[0].ls, 1, w->now);
    assert_true(linkset_next(w->node[0].ls, -1) != !cut); // the one on the interface that went
    w_free(w);
}

static void test_slots(void **state)
{
    (void)state;
    struct world *w = w_new(75, 3);
    assert_int_equal(w_discovered(w, 0, 1, 1), 0);
    assert_int_equal(w_discovered(w, 0, 1, 2), 0);
    assert_int_equal(w_discovered(w, 0, 2, 3), 0);
    assert_int_equal(w_info(w, 0, 2).ifindex, 3);
    linkset_iface_gone(w->node[0].ls, 2, w->now);
    assert_int_equal(w->node[0].gones, 1);
    assert_int_equal(linkset_next(w->node[0].ls, 0), 2); // the others keep theirs
    assert_int_equal(w_discovered(w, 0, 2, 4), 0);       // and the lowest free one is used again
    assert_int_equal(w_info(w, 0, 1).ifindex, 4);
    assert_int_equal(linkset_next(w->node[0].ls, 2), -1);
    struct link_info info;
    assert_int_equal(linkset_info(w->node[0].ls, 3, &info), BW_ERR_NOTFOUND);
    // a key that is not listed loses its links as well
    const uint8_t *key = w->node[2].me.link_pk;
    assert_int_equal(linkset_remove_peer(w->node[0].ls, key, w->now), 0);
    assert_int_equal(linkset_next(w->node[0].ls, 0), -1);
    assert_int_equal(linkset_remove_peer(w->node[0].ls, key, w->now), BW_ERR_NOTFOUND);
    w_free(w);
}

static void test_listing(void **state)
{
    (void)state;
    struct world *w = w_new(80, 2);
    struct link_peer p = w_peer(w, 1, true), got;
    struct link_peer self = w_peer(w, 0, true), low = {.key = {1}};
    assert_int_equal(w_add(w, 0, &self), BW_ERR_RANGE);
    assert_int_equal(w_add(w, 0, &low), BW_ERR_RANGE); // a key of low order
    assert_int_equal(linkset_remove_peer(w->node[0].ls, p.key, w->now), BW_ERR_NOTFOUND);
    assert_int_equal(w_add(w, 0, &p), 0);
    w_run(w, BW_S);
    assert_true(w_up(w, 0, 0) && w_up(w, 1, 0)); // to node 1 it is a stranger on its wire
    assert_int_equal(w_info(w, 0, 0).source, LINK_CONFIG);
    assert_int_equal(w_info(w, 1, 0).source, LINK_INCOMING);
    unsigned keys = w->node[0].keys;
    assert_int_equal(w_add(w, 0, &p), 0); // unchanged: nothing happens
    p.internet = true;
    p.keepalive_s = 25;
    assert_int_equal(w_add(w, 0, &p), 0); // changed, but not the keys
    assert_int_equal(w->node[0].keys, keys);
    assert_true(w_info(w, 0, 0).internet);
    assert_int_equal(linkset_get_peer(w->node[0].ls, p.key, &got), 0);
    assert_int_equal(got.keepalive_s, 25);
    p.has_psk = true;
    p.psk[5] = 9;
    assert_int_equal(w_add(w, 0, &p), 0); // a PSK that the other side does not have: down, and no way up
    assert_false(w_up(w, 0, 0));
    w_run(w, 30 * BW_S);
    assert_false(w_up(w, 0, 0));
    assert_true(w_drops(w, 0, LINK_DROP_AUTH) > 0);
    struct link_peer q = w_peer(w, 0, false);
    q.has_psk = true;
    q.psk[5] = 9;
    assert_int_equal(w_add(w, 1, &q), 0);
    w_run(w, 20 * BW_S);
    assert_true(w_up(w, 0, 0));
    assert_int_equal(linkset_remove_peer(w->node[0].ls, p.key, w->now), 0);
    assert_int_equal(w_links(w, 0), 0);
    assert_int_equal(linkset_get_peer(w->node[0].ls, p.key, &got), BW_ERR_NOTFOUND);
    w_free(w);
}

static void test_persistent_keepalive(void **state)
{
    (void)state;
    struct world *w = w_new(85, 2);
    struct link_peer p = w_peer(w, 1, true);
    p.keepalive_s = 5;
    assert_int_equal(w_add(w, 0, &p), 0);
    w_run(w, 1000 * BW_S);
    assert_true(w_up(w, 0, 0) && w_up(w, 1, 0)); // never a payload, always there
    assert_int_equal(w->node[0].downs[0], 0);
    struct link_info info = w_info(w, 1, 0);
    assert_true(info.shared->last_rx + 6 * BW_S > w->now);
    assert_int_equal(info.shared->rx_packets, 0);
    w_free(w);
}

// Nobody answers: tries for 90 s, tells it, and a configured link goes on trying for ever while a discovered one ends.
static void test_no_answer(void **state)
{
    (void)state;
    struct world *w = w_new(90, 2);
    struct link_peer p = w_peer(w, 1, true);
    assert_int_equal(w_add(w, 0, &p), 0);
    w->cut[1] = true;
    w_run(w, 89 * BW_S);
    assert_in_range(w->node[0].initiations, 16, 18);
    assert_int_equal(w->node[0].silents, 1);
    assert_int_equal(w_info(w, 0, 0).state, LINK_CONNECTING);
    w_run(w, 911 * BW_S);
    assert_in_range(w->node[0].initiations, 150, 190);
    w->cut[1] = false;
    w_run(w, 25 * BW_S);
    assert_true(w_up(w, 0, 0));
    w_free(w);
    w = w_new(91, 2);
    w->cut[1] = true;
    assert_int_equal(w_discovered(w, 0, 1, 1), 0);
    w_run(w, 200 * BW_S);
    assert_int_equal(w_links(w, 0), 0);
    assert_in_range(w->node[0].initiations, 10, 20);
    w_free(w);
}

// The link breaks without a word: within 15 s of sending somebody asks, and it comes back when the wire does.
static void test_break_and_mend(void **state)
{
    (void)state;
    struct world *w = w_joined(95);
    w->every = 200 * BW_MS;
    w->next_traffic = w->now;
    w_run(w, 30 * BW_S);
    unsigned before = w->node[0].initiations + w->node[1].initiations;
    w->cut[1] = true;
    w_run(w, 17 * BW_S);
    assert_true(w->node[0].initiations + w->node[1].initiations > before);
    w->cut[1] = false;
    w_run(w, 6 * BW_S);
    before = w->node[0].got[0];
    w_run(w, BW_S);
    assert_true(w->node[0].got[0] >= before + 4);
    assert_int_equal(w->node[0].downs[0] + w->node[1].downs[0], 0);
    w_free(w);
}

// The neighbour dies: 15 s until it is missed, 90 s of trying, then the link is down, well before its keys are too old.
static void test_death(void **state)
{
    (void)state;
    struct world *w = w_joined(96);
    w->every = 200 * BW_MS;
    w->next_traffic = w->now;
    w_run(w, 10 * BW_S);
    w_stop(w, 1);
    w_run(w, 100 * BW_S);
    assert_true(w_up(w, 0, 0));
    w_run(w, 15 * BW_S);
    assert_int_equal(w->node[0].downs[0], 1);
    w_free(w);
}

// A beacon from another address (its signature is right: it is the neighbour's, carried elsewhere) moves no living link.
static void test_beacon_elsewhere(void **state)
{
    (void)state;
    struct world *w = w_joined(97);
    struct bw_endpoint before = w_info(w, 0, 0).endpoint, at = w_ll(3, 1);
    assert_int_equal(linkset_discovered(w->node[0].ls, w->node[1].me.link_pk, 1, &at, false, w->now), 0);
    struct bw_endpoint after = w_info(w, 0, 0).endpoint;
    assert_true(bw_endpoint_eq(&before, &after));
    w_stop(w, 1);
    w_run(w, 185 * BW_S);
    assert_int_equal(linkset_discovered(w->node[0].ls, w->node[1].me.link_pk, 1, &at, true, w->now), 0);
    after = w_info(w, 0, 0).endpoint; // without keys it is the best that is known
    assert_true(bw_endpoint_eq(&at, &after));
    w_free(w);
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < LINK_DROP_COUNT; i++) {
        assert_string_not_equal(link_drop_name((enum link_drop)i), "unknown");
        for (int j = 0; j < i; j++) assert_string_not_equal(link_drop_name((enum link_drop)i), link_drop_name((enum link_drop)j));
    }
    assert_string_equal(link_drop_name(LINK_DROP_ROAM), "roam");
    assert_string_equal(link_state_name(LINK_UP), "up");
    assert_string_equal(link_source_name(LINK_INCOMING), "incoming");
}

int main(void)
{
    if (bw_crypto_init()) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake), cmocka_unit_test(test_keylog), cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_late_renewal), cmocka_unit_test(test_initiation_rate),
        cmocka_unit_test(test_one_way), cmocka_unit_test(test_idle), cmocka_unit_test(test_loss_and_reordering),
        cmocka_unit_test(test_crossing), cmocka_unit_test(test_roaming), cmocka_unit_test(test_bound_to_interface),
        cmocka_unit_test(test_restart), cmocka_unit_test(test_clock_set_back), cmocka_unit_test(test_two_links),
        cmocka_unit_test(test_slots), cmocka_unit_test(test_listing), cmocka_unit_test(test_persistent_keepalive),
        cmocka_unit_test(test_no_answer), cmocka_unit_test(test_break_and_mend), cmocka_unit_test(test_death), cmocka_unit_test(test_beacon_elsewhere), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
