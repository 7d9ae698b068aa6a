// Leases: who gets which address, for how long, and who gets none.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/exit/pool.h"
#include "core/exit/server.h"

static struct identity make_identity(unsigned n)
{
    struct bw_rng rng;
    uint8_t seed[32] = {(uint8_t)n, (uint8_t)(n >> 8), 1};
    struct identity id;
    bw_rng_seed(&rng, seed);
    identity_draw(&id, &rng);
    return id;
}

#define CLIENTS 8
static struct identity self, client[CLIENTS];

struct house {
    struct exits s;
    struct bw_mem mem;
    struct bw_rng rng;
    bw_time now;
    struct exits_saved saved[64];
    unsigned saved_count, dropped;
    char body[OFFER_ANSWER_MAX];
    size_t len;
    bool changed;
    struct offer offer;
    struct lease lease;
    struct bw_addr via; // the neighbour through which requests come
};

static void save(void *ctx, const struct exits_saved *l)
{
    struct house *h = ctx;
    h->saved[h->saved_count++] = *l;
}

static void drop(void *ctx, const uint8_t key[32])
{
    struct house *h = ctx;
    (void)key;
    h->dropped++;
}

static void open_house(struct house *h, uint8_t pool_len, uint32_t max_leases, uint8_t seed)
{
    memset(h, 0, sizeof *h);
    h->now = 77 * BW_S;
    bw_mem_system(&h->mem);
    uint8_t s[32] = {seed};
    bw_rng_seed(&h->rng, s);
    struct exits_config c = {.id = &self, .name = "mill", .pool_len = pool_len, .max_leases = max_leases, .lifetime_s = 3600};
    exits_init(&h->s, &h->mem, &h->rng, &c, &(struct exits_ops){.ctx = h, .save = save, .drop = drop}, h->now);
}

static void go(struct house *h, bool v6)
{
    exits_want(&h->s, true, h->now);
    exits_uplink(&h->s, true, v6, h->now);
}

static void close_house(struct house *h)
{
    exits_free(&h->s);
    assert_int_equal(h->mem.used, 0);
}

static void take_offer(void *ctx, bool first, const char *text, size_t n)
{
    struct house *h = ctx;
    struct signed_part part;
    if (!first) return;
    assert_int_equal(offer_decode(text, n, &h->offer, &part), 0);
    assert_int_equal(record_verify(&part, &self.addr), 0);
}

static int get_offer(struct house *h)
{
    int status = exits_get_offer(&h->s, NULL, h->body, sizeof h->body, &h->len, h->now);
    if (status == 200) assert_int_equal(offer_answer_decode(h->body, h->len, take_offer, h), 0);
    return status;
}

static struct lease_request request_of(struct house *h, const struct identity *id)
{
    struct lease_request r = {.version = 1, .address = id->addr, .exit = self.addr, .v4 = true, .v6 = true};
    memcpy(r.key, id->sign_pk, 32);
    memcpy(r.stamp, h->offer.stamp, sizeof r.stamp);
    bw_rng_bytes(&h->rng, r.nonce, sizeof r.nonce);
    return r;
}

static int post_text(struct house *h, const struct bw_addr *caller, const char *text, size_t n)
{
    struct lease_request got;
    struct signed_part part;
    h->changed = false;
    int status = exits_post_lease(&h->s, caller, &h->via, text, n, h->body, sizeof h->body, &h->len, &h->changed, &got, h->now);
    assert_true(h->len > 0);
    if (status == 200 && !got.release) {
        assert_int_equal(lease_decode(h->body, h->len, &h->lease, &part), 0);
        assert_int_equal(record_verify(&part, &self.addr), 0);
        assert_memory_equal(h->lease.nonce, got.nonce, sizeof got.nonce);
    }
    return status;
}

static int post(struct house *h, const struct identity *id, const struct lease_request *r)
{
    char text[SIGNED_MAX];
    int n = record_request(id, r, text, sizeof text);
    assert_true(n > 0);
    return post_text(h, &id->addr, text, (size_t)n);
}

static int ask(struct house *h, const struct identity *id)
{
    struct lease_request r = request_of(h, id);
    return post(h, id, &r);
}

static void packet_from(struct house *h, const struct identity *id)
{
    atomic_store(&exits_lease_of(&h->s, &id->addr)->shared->last_rx, h->now);
}

static bool answered(const struct house *h, const char *code)
{
    return memmem(h->body, h->len, code, strlen(code)) != NULL;
}

static void one_key_one_lease(void **state)
{
    (void)state;
    struct house h;
    open_house(&h, 0, 0, 1);
    assert_int_equal(get_offer(&h), 503);
    assert_true(answered(&h, "not-sharing"));
    exits_want(&h.s, true, h.now);
    assert_int_equal(get_offer(&h), 503);
    assert_true(answered(&h, "no-uplink"));
    assert_true(exits_uplink(&h.s, true, true, h.now));
    assert_int_equal(get_offer(&h), 200);
    assert_string_equal(h.offer.name, "mill");
    exits_name(&h.s, "ford");
    assert_int_equal(get_offer(&h), 200);
    assert_string_equal(h.offer.name, "ford");
    assert_int_equal(ask(&h, &client[0]), 200);
    assert_true(h.changed);
    packet_from(&h, &client[0]);
    struct lease first = h.lease;
    assert_true(bw_prefix_has(&h.s.plan.pool4, &first.inner4) && bw_prefix_has(&h.s.plan.pool6, &first.inner6));
    assert_true(bw_addr_eq(&first.gateway4, &h.s.plan.gateway4) && bw_addr_eq(&first.dns[0], &first.gateway4));
    assert_int_equal(first.mtu, FWD_TUN_MTU);
    for (unsigned i = 1; i < CLIENTS; i++) {
        assert_int_equal(ask(&h, &client[i]), 200);
        assert_false(bw_addr_eq(&h.lease.inner4, &first.inner4));
    }
    h.now += 1800 * BW_S;
    assert_int_equal(get_offer(&h), 200);
    assert_int_equal(ask(&h, &client[0]), 200); // renewal: the same addresses, a new life time, nothing to rebuild
    assert_false(h.changed);
    assert_true(bw_addr_eq(&h.lease.inner4, &first.inner4));
    assert_int_equal(exits_active(&h.s), CLIENTS);
    assert_int_equal(h.saved_count, CLIENTS);
    h.now += 1800 * BW_S;
    assert_true(exits_tick(&h.s, h.now)); // those who did not renew are gone
    assert_int_equal(exits_active(&h.s), 1);
    assert_in_range(exits_deadline(&h.s), h.now + 1, h.now + 1 * BW_S); // what clients use is looked at
    assert_int_equal(get_offer(&h), 200);
    assert_int_equal(ask(&h, &client[1]), 200);
    assert_int_equal(h.saved_count, CLIENTS); // but their addresses were kept for them
    close_house(&h);
}

static void only_who_signs_for_his_own_address(void **state)
{
    (void)state;
    struct house h;
    char text[SIGNED_MAX];
    open_house(&h, 0, 0, 1);
    go(&h, false);
    assert_int_equal(get_offer(&h), 200);
    struct lease_request r = request_of(&h, &client[0]);
    int n = record_request(&client[0], &r, text, sizeof text);
    assert_int_equal(post_text(&h, &client[1].addr, text, (size_t)n), 403); // somebody else's connection
    memcpy(strstr(text, "\"release\":false"), "\"release\": true", 15);
    assert_int_equal(post_text(&h, &client[0].addr, text, (size_t)n), 403); // changed on the way
    r.exit = client[2].addr;
    assert_int_equal(post(&h, &client[0], &r), 403); // meant for another exit
    r = request_of(&h, &client[0]);
    memcpy(r.key, client[1].sign_pk, 32); // own signature, own key, another's address
    n = record_request(&client[1], &r, text, sizeof text);
    assert_int_equal(post_text(&h, &client[0].addr, text, (size_t)n), 403);
    assert_int_equal(post_text(&h, &client[0].addr, "{}", 2), 400);
    assert_int_equal(exits_active(&h.s), 0);
    assert_int_equal(h.s.counts[EXITS_FORGED], 4);
    close_house(&h);
}

static void old_requests_are_refused(void **state)
{
    (void)state;
    struct house h;
    open_house(&h, 0, 0, 1);
    go(&h, false);
    assert_int_equal(get_offer(&h), 200);
    struct lease_request first = request_of(&h, &client[0]), second = request_of(&h, &client[0]);
    assert_int_equal(post(&h, &client[0], &first), 200);
    uint64_t serial = h.lease.serial;
    assert_int_equal(post(&h, &client[0], &first), 200); // its answer was lost: the same again
    assert_int_equal(h.lease.serial, serial);
    assert_int_equal(post(&h, &client[0], &second), 200);
    assert_int_equal(post(&h, &client[0], &first), 409);
    assert_true(answered(&h, "replayed"));
    struct lease_request bye = request_of(&h, &client[0]);
    bye.release = true;
    assert_int_equal(post(&h, &client[0], &bye), 200);
    assert_true(h.changed);
    assert_int_equal(exits_active(&h.s), 0);
    assert_int_equal(post(&h, &client[0], &second), 409); // nobody can bring it back to life with old words
    assert_int_equal(post(&h, &client[0], &bye), 409);
    struct lease_request later = request_of(&h, &client[0]);
    h.now += 601 * BW_S;
    assert_int_equal(post(&h, &client[0], &later), 409);
    assert_true(answered(&h, "stale-stamp"));
    memset(&h.offer, 0, sizeof h.offer);
    assert_int_equal(offer_answer_decode(h.body, h.len, take_offer, &h), 0); // the fresh offer comes along
    assert_int_equal(ask(&h, &client[0]), 200);
    struct house again; // a restart draws a new stamp key: old requests are worth nothing
    open_house(&again, 0, 0, 2);
    go(&again, false);
    assert_int_equal(get_offer(&again), 200);
    assert_int_equal(post(&again, &client[0], &later), 409);
    close_house(&again);
    close_house(&h);
}

static void pool_full(void **state)
{
    (void)state;
    struct house h;
    open_house(&h, 29, 0, 1); // 8 addresses: network, gateway, broadcast, 5 clients
    go(&h, false);
    assert_int_equal(get_offer(&h), 200);
    for (unsigned i = 0; i < 5; i++) assert_int_equal(ask(&h, &client[i]), 200);
    for (unsigned i = 0; i < h.s.count; i++)
        for (unsigned j = 0; j < i; j++) assert_false(bw_addr_eq(&h.s.lease[i].inner4, &h.s.lease[j].inner4));
    assert_int_equal(ask(&h, &client[5]), 503);
    assert_true(answered(&h, "pool-full"));
    assert_int_equal(ask(&h, &client[2]), 200); // who has one keeps it
    struct lease_request bye = request_of(&h, &client[3]);
    bye.release = true;
    assert_int_equal(post(&h, &client[3], &bye), 200);
    assert_int_equal(ask(&h, &client[5]), 200); // takes over the kept address
    assert_int_equal(h.dropped, 1);
    assert_int_equal(ask(&h, &client[3]), 503);
    close_house(&h);
    open_house(&h, 0, 2, 1);
    go(&h, false);
    assert_int_equal(get_offer(&h), 200);
    assert_int_equal(ask(&h, &client[0]), 200);
    assert_int_equal(ask(&h, &client[1]), 200);
    assert_int_equal(ask(&h, &client[2]), 503);
    close_house(&h);
}

static void restart_keeps_addresses(void **state)
{
    (void)state;
    struct house h, again;
    struct lease had[4];
    open_house(&h, 0, 0, 1);
    go(&h, true);
    assert_int_equal(get_offer(&h), 200);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(ask(&h, &client[i]), 200);
        had[i] = h.lease;
    }
    open_house(&again, 0, 0, 9);
    for (unsigned i = 0; i < h.saved_count; i++) assert_true(exits_restore(&again.s, &h.saved[i], again.now));
    assert_false(exits_restore(&again.s, &h.saved[0], again.now)); // twice: no
    go(&again, true);
    assert_int_equal(exits_active(&again.s), 4); // packets pass before anybody has asked
    for (unsigned i = 0; i < 4; i++) assert_true(bw_addr_eq(&exits_find(&again.s, &client[i].addr)->inner6, &had[i].inner6));
    assert_int_equal(get_offer(&again), 200);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(ask(&again, &client[i]), 200);
        assert_true(bw_addr_eq(&again.lease.inner4, &had[i].inner4));
    }
    struct exits_saved bad = h.saved[0];
    bad.inner4 = self.addr;
    bad.address.b[5] ^= 1;
    assert_false(exits_restore(&again.s, &bad, again.now));
    close_house(&again);
    close_house(&h);
}

static void pool_moves_out_of_the_way(void **state)
{
    (void)state;
    struct house h;
    open_house(&h, 0, 0, 1);
    go(&h, true);
    assert_int_equal(get_offer(&h), 200);
    assert_int_equal(ask(&h, &client[0]), 200);
    struct bw_prefix old = h.s.plan.pool4, local = {pool_at(&old, 0), 120};
    assert_true(exits_local(&h.s, &local, 1, h.now));
    assert_false(bw_prefix_overlaps(&old, &h.s.plan.pool4));
    assert_int_equal(exits_active(&h.s), 0);
    assert_int_equal(h.dropped, 1);
    assert_int_equal(get_offer(&h), 200);
    assert_int_equal(ask(&h, &client[0]), 200);
    assert_true(bw_prefix_has(&h.s.plan.pool4, &h.lease.inner4));
    struct bw_prefix all;
    assert_int_equal(bw_prefix_parse("100.64.0.0/10", &all), 0);
    assert_true(exits_local(&h.s, &all, 1, h.now));
    assert_false(h.s.plan.on);
    close_house(&h);
}

static void heartbeats(void **state)
{
    (void)state;
    struct house h;
    open_house(&h, 0, 0, 1);
    go(&h, true);
    assert_int_equal(get_offer(&h), 200);
    assert_int_equal(ask(&h, &client[0]), 200);
    uint8_t packet[ECHO_MAX], out[256];
    struct echo e;
    for (unsigned v6 = 0; v6 < 2; v6++) {
        const struct bw_addr *me = v6 ? &h.lease.inner6 : &h.lease.inner4, *gw = v6 ? &h.lease.gateway6 : &h.lease.gateway4;
        size_t n = echo_request(packet, me, gw, 3);
        size_t got = exits_answer(&h.s, &client[0].addr, packet, n, out, sizeof out);
        assert_int_equal(echo_parse(out, got, &e), 0);
        assert_int_equal(e.kind, ECHO_REPLY);
        assert_int_equal(exits_answer(&h.s, &client[1].addr, packet, n, out, sizeof out), 0);
        exits_uplink(&h.s, false, false, h.now); // the uplink died: the client must not wait
        got = exits_answer(&h.s, &client[0].addr, packet, n, out, sizeof out);
        assert_int_equal(echo_parse(out, got, &e), 0);
        assert_int_equal(e.kind, ECHO_UNREACHABLE);
        exits_uplink(&h.s, true, true, h.now);
        n = echo_request(packet, gw, gw, 3); // a source that is not leased
        assert_int_equal(exits_answer(&h.s, &client[0].addr, packet, n, out, sizeof out), 0);
    }
    close_house(&h);
}

static void ipv6_only_where_it_works(void **state)
{
    (void)state;
    struct house h;
    open_house(&h, 0, 0, 1);
    go(&h, false);
    assert_int_equal(get_offer(&h), 200);
    assert_true(h.offer.v4 && !h.offer.v6 && bw_addr_is_zero(&h.offer.gateway6));
    assert_int_equal(ask(&h, &client[0]), 200);
    assert_true(bw_addr_is_zero(&h.lease.inner6) && h.lease.dns_count == 1);
    uint16_t news = h.lease.news;
    exits_uplink(&h.s, false, true, h.now);
    assert_int_not_equal(exits_lease_of(&h.s, &client[0].addr)->news, news); // heartbeats tell: it renews
    assert_int_equal(get_offer(&h), 200);
    assert_true(!h.offer.v4 && h.offer.v6);
    assert_int_equal(ask(&h, &client[0]), 200);
    assert_true(h.changed && bw_addr_is_zero(&h.lease.inner4) && !bw_addr_is_zero(&h.lease.inner6));
    struct lease_request r = request_of(&h, &client[1]);
    r.v6 = false;
    assert_int_equal(post(&h, &client[1], &r), 503);
    assert_true(answered(&h, "no-family"));
    close_house(&h);
}

static void floods_are_shed(void **state)
{
    (void)state;
    struct house h;
    open_house(&h, 0, 0, 1);
    go(&h, false);
    unsigned checked = 0;
    size_t used = h.mem.used;
    for (unsigned i = 0; i < 1000; i++) checked += post_text(&h, &client[0].addr, "{\"version\":1}", 13) == 400;
    assert_in_range(checked, 1, 200);
    assert_true(answered(&h, "busy"));
    struct bw_addr flooder = h.via;
    for (unsigned k = 1; k < 40; k++) { // others are heard all the same
        h.via = (struct bw_addr){{[15] = (uint8_t)k}};
        assert_int_equal(post_text(&h, &client[1].addr, "{}", 2), 400);
    }
    checked = 0; // one who is a thousand neighbours, all at once
    for (unsigned k = 0; k < 10000; k++) {
        h.via = (struct bw_addr){{1, [14] = (uint8_t)(k % 1000 >> 8), (uint8_t)(k % 1000)}};
        checked += post_text(&h, &client[1].addr, "{}", 2) == 400;
    }
    assert_in_range(checked, 1, 1300);
    h.via = flooder;
    assert_int_equal(h.mem.used, used);
    h.now += BW_S;
    assert_int_equal(get_offer(&h), 200);
    assert_int_equal(ask(&h, &client[0]), 200);
    close_house(&h);
}

// One neighbour with as many keys as there are leases: others get some.
static void leases_are_shared_out(void **state)
{
    (void)state;
    enum { KEYS = 72 };
    struct house h;
    static struct identity key[KEYS];
    open_house(&h, 0, 64, 1);
    go(&h, false);
    h.via = client[0].addr;
    unsigned got = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        key[i] = make_identity(i + 2000);
        h.now += BW_S / 10;
        assert_int_equal(get_offer(&h), 200);
        got += ask(&h, &key[i]) == 200;
    }
    assert_int_equal(got, 48); // three quarters
    h.via = client[1].addr;
    for (unsigned i = 0; i < CLIENTS; i++) assert_int_equal(ask(&h, &client[i]), 200);
    for (unsigned i = 0; i < CLIENTS; i++) packet_from(&h, &client[i]);
    h.via = client[0].addr;
    assert_int_equal(ask(&h, &key[0]), 200); // who has one renews it
    assert_int_equal(ask(&h, &key[KEYS - 1]), 503);
    for (unsigned k = 0; k < 61; k++) exits_tick(&h.s, h.now += BW_S);
    assert_int_equal(exits_active(&h.s), CLIENTS); // the others were never used
    assert_int_equal(h.s.counts[EXITS_EXPIRED], 48);
    close_house(&h);
}

static int set_up(void **state)
{
    (void)state;
    if (bw_crypto_init()) return -1;
    self = make_identity(1000);
    for (unsigned i = 0; i < CLIENTS; i++) client[i] = make_identity(i + 1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_key_one_lease),
        cmocka_unit_test(only_who_signs_for_his_own_address),
        cmocka_unit_test(old_requests_are_refused),
        cmocka_unit_test(pool_full),
        cmocka_unit_test(restart_keeps_addresses),
        cmocka_unit_test(pool_moves_out_of_the_way),
        cmocka_unit_test(heartbeats),
        cmocka_unit_test(ipv6_only_where_it_works),
        cmocka_unit_test(floods_are_shed),
        cmocka_unit_test(leases_are_shared_out),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
