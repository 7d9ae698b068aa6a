// Who may be a neighbour: open, secret, closed, from elsewhere; stock peers; changes while running.
#include "unit/core/link_world.h"

static struct world *with_policy(uint8_t seed, enum link_policy policy, bool public_)
{
    struct world *w = w_new(seed, 3);
    for (int i = 0; i < 3; i++) {
        w_stop(w, i);
        w->node[i].config.policy = policy;
        w->node[i].config.public_ = public_;
        memset(w->node[i].config.secret, 1, BW_KEY_LEN);
        w_start(w, i);
    }
    return w;
}

static void forget(struct world *w, int me, int other)
{
    assert_int_equal(linkset_remove_peer(w->node[me].ls, w->node[other].me.link_pk, w->now), 0);
}

static void test_open(void **state)
{
    (void)state;
    struct world *w = with_policy(1, LINK_POLICY_OPEN, false);
    w->v4_on_link = false;
    struct link_peer p = w_peer(w, 1, true);
    assert_int_equal(w_add(w, 0, &p), 0); // from elsewhere, unknown to node 1
    w_run(w, 20 * BW_S);
    assert_false(w_up(w, 0, 0));
    assert_int_equal(w_links(w, 1), 0);
    assert_true(w_drops(w, 1, LINK_DROP_POLICY) > 0);
    w->v4_on_link = true; // the same from a connected network of a discovery interface
    w_run(w, 10 * BW_S);
    assert_true(w_up(w, 0, 0));
    assert_false(w_info(w, 1, 0).on_link);
    assert_false(w_info(w, 0, 0).light); // until told
    linkset_set_light(w->node[0].ls, 0, LIGHT_AES);
    assert_int_equal(w_info(w, 0, 0).light, LIGHT_CHACHA); // this machine has no AES
    linkset_set_light(w->node[0].ls, 99, LIGHT_CHACHA); // no such link
    // Once it is there it may roam to anywhere.
    w->v4_on_link = false;
    w->node[0].variant = 5;
    w->every = 100 * BW_MS;
    w->next_traffic = w->now;
    w_run(w, 200 * BW_S);
    assert_true(w_up(w, 0, 0) && w_up(w, 1, 0));
    assert_int_equal(w->node[0].downs[0], 0);
    w_free(w);
}

// A policy that is set again, or changed in something else, leaves those alone whom it let in.
static void test_same_policy_again(void **state)
{
    (void)state;
    struct world *w = with_policy(7, LINK_POLICY_OPEN, false);
    struct link_peer p = w_peer(w, 1, true);
    w->v4_on_link = true;
    assert_int_equal(w_add(w, 0, &p), 0); // unknown to node 1, from a connected network
    w_run(w, 2 * BW_S);
    assert_true(w_up(w, 1, 0));
    uint8_t none[32] = {0};
    linkset_set_policy(w->node[1].ls, LINK_POLICY_OPEN, false, none, w->now);
    assert_true(w_up(w, 1, 0));
    assert_int_equal(w->node[1].downs[0], 0);
    linkset_set_policy(w->node[1].ls, LINK_POLICY_OPEN, true, none, w->now);
    linkset_set_policy(w->node[1].ls, LINK_POLICY_OPEN, false, none, w->now);
    assert_true(w_up(w, 1, 0));
    linkset_set_policy(w->node[1].ls, LINK_POLICY_CLOSED, false, none, w->now);
    assert_int_equal(w_links(w, 1), 0);
    w_free(w);
}

static void test_public(void **state)
{
    (void)state;
    struct world *w = with_policy(2, LINK_POLICY_OPEN, true);
    w->v4_on_link = false;
    struct link_peer p = w_peer(w, 1, true);
    assert_int_equal(w_add(w, 0, &p), 0);
    w_run(w, BW_S);
    assert_true(w_up(w, 0, 0) && w_up(w, 1, 0));
    w_free(w);
}

static void test_secret(void **state)
{
    (void)state;
    struct world *w = with_policy(3, LINK_POLICY_SECRET, false);
    w_stop(w, 2);
    memset(w->node[2].config.secret, 2, BW_KEY_LEN);
    w_start(w, 2);
    assert_int_equal(w_discovered(w, 0, 1, 1), 0);
    assert_int_equal(w_discovered(w, 1, 0, 1), 0);
    assert_int_equal(w_discovered(w, 0, 2, 1), 0);
    assert_int_equal(w_discovered(w, 2, 0, 1), 0);
    w_run(w, 5 * BW_S);
    assert_true(w_up(w, 0, 0) && w_up(w, 1, 0));
    assert_false(w_up(w, 0, 1));
    assert_false(w_up(w, 2, 0));
    // Who has a PSK wants all of the wire under it.
    struct link_info info;
    linkset_set_light(w->node[0].ls, 0, LIGHT_CHACHA);
    assert_int_equal(linkset_info(w->node[0].ls, 0, &info), 0);
    assert_false(info.light);
    // The secret changes: everybody without the new one is out at once.
    uint8_t psk[BW_KEY_LEN] = {3};
    linkset_set_policy(w->node[0].ls, LINK_POLICY_SECRET, false, psk, w->now);
    assert_false(w_up(w, 0, 0));
    w_run(w, 12 * BW_S);
    assert_false(w_up(w, 0, 0));
    linkset_set_policy(w->node[1].ls, LINK_POLICY_SECRET, false, psk, w->now);
    w_run(w, 12 * BW_S);
    assert_true(w_up(w, 0, 0) && w_up(w, 1, 0));
    w_free(w);
}

static void test_closed(void **state)
{
    (void)state;
    struct world *w = with_policy(4, LINK_POLICY_CLOSED, true);
    assert_int_equal(w_discovered(w, 0, 1, 1), BW_ERR_DENIED);
    struct link_peer p = w_peer(w, 1, false), q = w_peer(w, 0, false), r = w_peer(w, 0, true);
    assert_int_equal(w_add(w, 0, &p), 0);
    assert_int_equal(w_add(w, 1, &q), 0);
    assert_int_equal(w_add(w, 2, &r), 0); // 2 knows 0, but 0 does not know 2
    assert_int_equal(w_discovered(w, 0, 1, 1), 0);
    assert_int_equal(w_discovered(w, 1, 0, 1), 0);
    w_run(w, 10 * BW_S);
    assert_true(w_up(w, 0, 0) && w_up(w, 1, 0));
    assert_true(w_drops(w, 0, LINK_DROP_POLICY) > 0);
    assert_int_equal(w_links(w, 0), 1);
    forget(w, 0, 1); // taken off the list: gone at once, and not let in again
    assert_int_equal(w_links(w, 0), 0);
    w_run(w, 20 * BW_S);
    assert_int_equal(w_links(w, 0), 0);
    w_free(w);
}

static void test_closing(void **state)
{
    (void)state;
    struct world *w = with_policy(5, LINK_POLICY_OPEN, false);
    for (int other = 1; other < 3; other++) {
        assert_int_equal(w_discovered(w, 0, other, 1), 0);
        assert_int_equal(w_discovered(w, other, 0, 1), 0);
    }
    struct link_peer p = w_peer(w, 1, false);
    assert_int_equal(w_add(w, 0, &p), 0);
    w_run(w, BW_S);
    assert_int_equal(w_links(w, 0), 2);
    uint8_t none[32] = {0};
    linkset_set_policy(w->node[0].ls, LINK_POLICY_CLOSED, false, none, w->now);
    assert_int_equal(w_links(w, 0), 1);
    assert_true(w_info(w, 0, 0).listed);
    assert_true(w_up(w, 0, 0)); // the listed one is not even disturbed
    assert_int_equal(w->node[0].downs[0], 0);
    w_free(w);
}

// A stock peer has one link, whichever way it comes: here by link-local addresses on two interfaces.
static void test_stock(void **state)
{
    (void)state;
    struct world *w = with_policy(6, LINK_POLICY_OPEN, false);
    // A key that has no mesh address, as stock peers' keys have.
    struct identity stock;
    uint8_t seed[32] = {1};
    while (identity_from_seed(&stock, seed) == 0) seed[0]++;
    w_stop(w, 1);
    w->node[1].me = stock;
    w_start(w, 1);
    for (uint32_t iface = 1; iface <= 2; iface++) {
        struct link_peer p = w_peer(w, 0, true);
        p.endpoint = w_ll(0, iface);
        assert_int_equal(w_add(w, 1, &p), 0);
        w_run(w, 6 * BW_S);
        assert_int_equal(w_links(w, 0), 1);
        struct link_info info = w_info(w, 0, 0);
        assert_int_equal(info.kind, LINK_KIND_STOCK);
        assert_true(bw_addr_is_zero(&info.addr));
        assert_false(info.on_link);
        assert_int_equal(info.rx_ifindex, iface);
        assert_int_equal(info.endpoint.scope, iface);
        assert_true(w_up(w, 0, 0) && w_up(w, 1, 0));
    }
    // A key with an address may turn out to be stock as well: its link is one that roams from then on.
    assert_int_equal(w_discovered(w, 0, 2, 3), 0);
    assert_int_equal(w_discovered(w, 2, 0, 3), 0);
    w_run(w, BW_S);
    assert_true(w_info(w, 0, 1).on_link);
    linkset_set_stock(w->node[0].ls, w->node[2].me.link_pk, true);
    assert_false(w_info(w, 0, 1).on_link);
    assert_int_equal(w_info(w, 0, 1).kind, LINK_KIND_STOCK);
    w_free(w);
}

// A configured link-local endpoint and discovery on the same interface: one link, not two.
static void test_configured_linklocal(void **state)
{
    (void)state;
    struct world *w = with_policy(7, LINK_POLICY_OPEN, false);
    struct link_peer p = w_peer(w, 1, true);
    p.endpoint = w_ll(1, 3);
    assert_int_equal(w_add(w, 0, &p), 0);
    assert_int_equal(w_discovered(w, 0, 1, 3), 0);
    assert_int_equal(w_discovered(w, 1, 0, 3), 0);
    w_run(w, 3 * BW_S);
    assert_int_equal(w_links(w, 0), 1);
    assert_int_equal(w_links(w, 1), 1);
    assert_true(w_up(w, 0, 0) && w_up(w, 1, 0));
    assert_int_equal(w_info(w, 0, 0).source, LINK_CONFIG);
    w_free(w);
}

int main(void)
{
    if (bw_crypto_init()) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open), cmocka_unit_test(test_public), cmocka_unit_test(test_secret), cmocka_unit_test(test_closed),
        cmocka_unit_test(test_closing), cmocka_unit_test(test_stock), cmocka_unit_test(test_configured_linklocal),
        cmocka_unit_test(test_same_policy_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
