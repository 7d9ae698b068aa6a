// Whole nodes' Internet sides in a world of virtual time: one client, three exits, a mesh that delays, loses and kills. Both
// sides are the shipped code; the world only carries HTTP, tunnel packets, probes and Babel's view.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/exit/internet.h"
#include "core/exit/internet_parts.h"

#define NODES 4
#define ME 0
#define LATENCY (15 * BW_MS) // one way
#define BABEL (1200 * BW_MS) // until a death is known everywhere
#define NOWHERE NODES

static struct identity ids[NODES + 1];

static struct bw_addr proof_target(void)
{
    return bw_addr_v4((const uint8_t[]){198, 51, 100, 80});
}

struct world;
struct house {
    struct world *w;
    unsigned n;
    struct internet *i;
    struct bw_mem mem;
    struct bw_rng rng;
    bool alive, internet;        // internet: its uplink really works
    bool liar;                   // its uplink works, but not for its clients
    bool announced;              // as far as the mesh knows
    uint32_t metric;             // between it and the client, as the client's Babel says
    struct exits_saved saved[8];
    unsigned saved_count;
    struct exitc_plan plan;
    enum view_exit_state told;
    unsigned tells;
};

enum kind { REQUEST, ANSWER, PACKET, PROBED, ANNOUNCE, ROUTE };
struct event {
    bw_time at;
    uint64_t order;
    enum kind kind;
    unsigned from, to;
    uint32_t serial, value;
    int status;
    bool post, any;
    size_t n;
    char *data;
};

struct world {
    bw_time now;
    uint64_t order;
    struct house house[NODES];
    struct event events[512];
    unsigned count;
    unsigned lose;               // per cent of tunnel packets
    struct bw_rng rng;
    unsigned http, probes;
    unsigned asked_target;
    bool target_dead;            // what clients ask for proof answers nobody
    unsigned evil;               // 1: answers of exits are altered, 2: offers come from a liar, 3: lease answers are replayed
    char *kept;
    size_t kept_n;
};

static void push(struct world *w, struct event e, bw_time in, const void *data, size_t n)
{
    assert_true(w->count < 512);
    e.at = w->now + in;
    e.order = w->order++;
    e.data = malloc(n + 1);
    memcpy(e.data, data ? data : "", n);
    e.n = n;
    w->events[w->count++] = e;
}

static unsigned node_of(const struct bw_addr *a)
{
    for (unsigned k = 0; k < NODES; k++)
        if (bw_addr_eq(&ids[k].addr, a)) return k;
    return NOWHERE;
}

static uint32_t metric_between(struct world *w, unsigned a, unsigned b)
{
    if (a == b) return 0;
    uint32_t ma = a == ME ? 0 : w->house[a].metric, mb = b == ME ? 0 : w->house[b].metric;
    return ma >= BOOK_UNREACHABLE || mb >= BOOK_UNREACHABLE ? BOOK_UNREACHABLE : ma + mb;
}

static uint32_t metric(void *ctx, const struct bw_addr *address, struct bw_addr *next_hop)
{
    struct house *h = ctx;
    unsigned to = node_of(address);
    *next_hop = *address;
    return to == NOWHERE ? BOOK_UNREACHABLE : metric_between(h->w, h->n, to);
}

static unsigned nearest(struct world *w, unsigned from)
{
    unsigned best = NOWHERE;
    for (unsigned k = 0; k < NODES; k++) {
        if (!w->house[k].announced || metric_between(w, from, k) >= BOOK_UNREACHABLE) continue;
        if (best == NOWHERE || metric_between(w, from, k) < metric_between(w, from, best)) best = k;
    }
    return best;
}

static void tell_any(struct world *w)
{
    for (unsigned k = 0; k < NODES; k++) {
        struct house *h = &w->house[k];
        unsigned n = nearest(w, k);
        if (h->alive) internet_any(h->i, n == NOWHERE || n == k ? NULL : ids[n].router_id, w->now);
    }
    // Router-ids in routes to fc00::e that neighbours tell: the client has neighbours near 1 and near 2, 2 one near 3.
    if (w->house[ME].alive && w->house[1].announced) internet_heard(w->house[ME].i, &ids[1].addr, w->now);
    if (w->house[ME].alive && w->house[2].announced) internet_heard(w->house[ME].i, &ids[2].addr, w->now);
    if (w->house[2].alive && w->house[3].announced) internet_heard(w->house[2].i, &ids[3].addr, w->now);
}

// ---- what nodes do ----

static void on_changed(void *ctx)
{
    struct house *h = ctx;
    bool shares = internet_shares(h->i);
    internet_client_plan(h->i, &h->plan);
    push(h->w, (struct event){.kind = ANNOUNCE, .from = h->n, .value = shares}, 100 * BW_MS, NULL, 0);
}

static bool both_families; // uplinks have IPv6 as well

static void on_probe(void *ctx, unsigned family, uint32_t serial, uint32_t timeout_ms)
{
    struct house *h = ctx;
    (void)timeout_ms;
    h->w->probes++;
    if (h->internet) push(h->w, (struct event){.kind = PROBED, .from = h->n, .value = family, .serial = serial}, 20 * BW_MS, NULL, 0);
}

static void on_http(void *ctx, uint32_t serial, const struct exitc_http *r)
{
    struct house *h = ctx;
    bool any = bw_addr_eq(&r->to, &bw_addr_any_exit);
    unsigned to = any ? nearest(h->w, h->n) : node_of(&r->to);
    h->w->http++;
    if (to == NOWHERE || metric_between(h->w, h->n, to) >= BOOK_UNREACHABLE) to = NOWHERE;
    push(h->w, (struct event){.kind = REQUEST, .from = h->n, .to = to, .serial = serial, .post = r->body != NULL, .any = any},
         2 * LATENCY, r->body, r->len); // the connection takes a round trip first
}

static void on_send(void *ctx, const struct bw_addr *peer, const uint8_t *packet, size_t n)
{
    struct house *h = ctx;
    unsigned to = node_of(peer);
    struct fwd_tunnel t[16];
    unsigned count = internet_tunnels(h->i, t, 16);
    bool known = false;
    for (unsigned k = 0; k < count; k++) {
        if (!bw_addr_eq(&t[k].peer, peer)) continue;
        known = true;
        atomic_fetch_add(&t[k].shared->tx_packets, 1);
    }
    if (!known || to == NOWHERE || metric_between(h->w, h->n, to) >= BOOK_UNREACHABLE) return;
    if (bw_rng_below(&h->w->rng, 100) < h->w->lose) return;
    push(h->w, (struct event){.kind = PACKET, .from = h->n, .to = to}, LATENCY, packet, n);
}

static void on_tell(void *ctx, enum view_exit_state state, const struct bw_addr *exit, const char *why)
{
    struct house *h = ctx;
    assert_non_null(why);
    (void)exit;
    h->told = state;
    h->tells++;
}

static void on_save(void *ctx, const struct exits_saved *l)
{
    struct house *h = ctx;
    if (h->saved_count < 8) h->saved[h->saved_count++] = *l;
}

static bool with_targets; // clients ask for proof that the Internet answers

static void boot(struct world *w, unsigned n)
{
    struct house *h = &w->house[n];
    uint8_t seed[32] = {(uint8_t)(n + 1), (uint8_t)w->order, (uint8_t)(w->order >> 8)};
    h->w = w;
    h->n = n;
    bw_mem_system(&h->mem);
    bw_rng_seed(&h->rng, seed);
    struct internet_config c = {.id = &ids[n], .name = "house", .probe4 = true, .probe6 = both_families};
    struct internet_ops ops = {.ctx = h, .changed = on_changed, .probe = on_probe, .http = on_http, .send = on_send,
                               .tell = on_tell, .save_lease = on_save, .metric = metric};
    if (with_targets && n == ME) c.targets[0] = proof_target();
    h->i = internet_new(&h->mem, &h->rng, &c, &ops, w->now);
    assert_non_null(h->i);
    h->alive = true;
    for (unsigned k = 0; k < h->saved_count; k++) internet_restore_lease(h->i, &h->saved[k], w->now);
    if (n != ME) internet_share(h->i, true, w->now);
    internet_use(h->i, EXITC_AUTO, NULL, w->now);
    internet_uplink(h->i, n != ME, n != ME && both_families, w->now);
}

static void kill_node(struct world *w, unsigned n) // SIGKILL: nothing is said
{
    struct house *h = &w->house[n];
    internet_free(h->i);
    assert_int_equal(h->mem.used, 0);
    h->i = NULL;
    h->alive = false;
    push(w, (struct event){.kind = ROUTE, .from = n, .value = BOOK_UNREACHABLE}, BABEL, NULL, 0);
}

static void routes_changed(struct world *w)
{
    for (unsigned k = 0; k < NODES; k++)
        if (w->house[k].alive) internet_routes_changed(w->house[k].i, w->now);
    tell_any(w);
}

static void set_metric(struct world *w, unsigned n, uint32_t m)
{
    w->house[n].metric = m;
    routes_changed(w);
}

// ---- the world turns ----

static void keep(struct world *w, const char *p, size_t n)
{
    free(w->kept);
    w->kept = malloc(n);
    memcpy(w->kept, p, n);
    w->kept_n = n;
}

static void request(struct world *w, struct event *e)
{
    static char out[OFFER_ANSWER_MAX];
    size_t n = 0;
    struct house *h = e->to == NOWHERE ? NULL : &w->house[e->to];
    if (!h || !h->alive) return; // the caller's timeout tells
    int status = internet_request(h->i, &ids[e->from].addr, e->post ? "POST" : "GET", e->post ? "/v1/lease" : "/v1/exit", e->data,
                                  e->n, out, sizeof out, &n, w->now);
    if (w->evil == 1 && n > 40) out[n - 30] ^= 1;
    if (w->evil == 3 && e->post && status == 200) {
        if (!w->kept) keep(w, out, n);
        memcpy(out, w->kept, w->kept_n);
        n = w->kept_n;
    }
    push(w, (struct event){.kind = ANSWER, .from = e->to, .to = e->from, .serial = e->serial, .status = status}, LATENCY, out, n);
}

// A client's packet to the Internet: what is out there answers, if the exit lets it.
static bool to_internet(struct world *w, struct event *e)
{
    uint8_t out[128];
    struct echo echo;
    struct bw_addr target = proof_target();
    if (echo_parse((uint8_t *)e->data, e->n, &echo) || echo.kind != ECHO_REQUEST || !bw_addr_eq(&echo.dst, &target)) return false;
    w->asked_target++;
    if (!w->house[e->to].internet || w->house[e->to].liar || w->target_dead) return true;
    size_t n = echo_reply((uint8_t *)e->data, e->n, 0, out, sizeof out);
    push(w, (struct event){.kind = PACKET, .from = e->to, .to = e->from}, 4 * LATENCY, out, n);
    return true;
}

// The packet path's part: who is no tunnel peer is dropped; what is for control is punted.
static void packet(struct world *w, struct event *e)
{
    struct house *h = &w->house[e->to];
    struct fwd_tunnel t[16];
    if (!h->alive) return;
    unsigned count = internet_tunnels(h->i, t, 16);
    for (unsigned k = 0; k < count; k++) {
        if (node_of(&t[k].peer) != e->from) continue;
        if (!t[k].is_exit) atomic_store(&t[k].shared->last_rx, w->now);
        if (!t[k].is_exit && to_internet(w, e)) return;
        if (t[k].is_exit) atomic_fetch_add(&t[k].shared->rx_packets, 1);
        struct fwd_punt p = {.kind = t[k].is_exit ? FWD_PUNT_TUNNEL_ECHO : FWD_PUNT_GATEWAY, .inner_src = t[k].peer,
                             .data = (uint8_t *)e->data, .len = (uint32_t)e->n};
        internet_punt(h->i, &p, w->now);
        return;
    }
}

static void happen(struct world *w, struct event *e)
{
    struct house *h = &w->house[e->kind == ANSWER ? e->to : e->from];
    switch (e->kind) {
    case REQUEST: request(w, e); break;
    case PACKET: packet(w, e); break;
    case ANSWER:
        if (h->alive) internet_http_done(h->i, e->serial, e->status, e->data, e->n, w->now);
        break;
    case PROBED:
        if (h->alive) internet_probe_done(h->i, e->value, e->serial, true, 20000, w->now);
        break;
    case ANNOUNCE:
        h->announced = h->alive && e->value;
        tell_any(w);
        break;
    case ROUTE:
        if (h->alive) break; // back before anybody knew
        h->announced = false;
        set_metric(w, e->from, e->value);
        break;
    }
}

static bool step(struct world *w, bw_time until)
{
    bw_time next = until;
    int first = -1;
    for (unsigned k = 0; k < w->count; k++)
        if (w->events[k].at <= next && (first < 0 || w->events[k].at < w->events[first].at ||
                                        (w->events[k].at == w->events[first].at && w->events[k].order < w->events[first].order)))
            next = w->events[first = (int)k].at;
    int due = -1;
    for (int k = 0; k < NODES; k++)
        if (w->house[k].alive && internet_deadline(w->house[k].i) < next) next = internet_deadline(w->house[due = k].i);
    if (next > w->now) w->now = next;
    if (due >= 0) {
        internet_tick(w->house[due].i, w->now);
        assert_true(internet_deadline(w->house[due].i) > w->now); // a deadline in the past would spin
    } else if (first >= 0) {
        struct event e = w->events[first];
        w->events[first] = w->events[--w->count];
        happen(w, &e);
        free(e.data);
    }
    return due >= 0 || first >= 0;
}

static void run(struct world *w, bw_time span)
{
    bw_time until = w->now + span;
    while (step(w, until)) {}
    w->now = until;
}

static void start(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->now = 100 * BW_S;
    uint8_t seed[32] = {3};
    bw_rng_seed(&w->rng, seed);
    for (unsigned n = 0; n < NODES; n++) {
        w->house[n].metric = n == ME ? 0 : 200 * n; // exit 1 is nearest
        w->house[n].internet = n != ME;
    }
    for (unsigned n = 0; n < NODES; n++) boot(w, n);
    routes_changed(w);
}

static void stop(struct world *w)
{
    for (unsigned n = 0; n < NODES; n++) {
        if (!w->house[n].alive) continue;
        internet_free(w->house[n].i);
        assert_int_equal(w->house[n].mem.used, 0);
    }
    for (unsigned k = 0; k < w->count; k++) free(w->events[k].data);
    free(w->kept);
}

static unsigned used_exit(struct world *w)
{
    return w->house[ME].plan.active ? node_of(&w->house[ME].plan.exit) : NOWHERE;
}

static bool online(struct world *w)
{
    unsigned n = used_exit(w);
    return n != NOWHERE && w->house[n].alive && w->house[n].internet && metric_between(w, ME, n) < BOOK_UNREACHABLE;
}

// How long until the client is online (or not), at most `most`.
static bw_time until_online(struct world *w, bool want, bw_time most)
{
    bw_time from = w->now;
    while (online(w) != want && w->now < from + most) step(w, w->now + 10 * BW_MS);
    return w->now - from;
}

// ---- scenarios ----

static void each_exit(void *ctx, const struct view_exit *e)
{
    ((struct view_exit *)ctx)[node_of(&e->address)] = *e;
}

static void loss_is_told_of_tunnels_only(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    run(&w, 60 * BW_S);
    assert_true(online(&w));
    struct view_exit v[NODES + 1] = {0};
    internet_view_exits(w.house[ME].i, each_exit, v, w.now);
    assert_string_equal(v[1].state, "active");
    assert_string_equal(v[2].state, "standby");
    assert_true(v[1].loss_percent == 0 && v[2].loss_percent == 0);
    w.lose = 20;
    int sum = 0, looks = 0;
    for (int k = 0; k < 200; k++) { // several heartbeats apart; a round trip loses 36 of 100
        run(&w, 5 * BW_S);
        internet_view_exits(w.house[ME].i, each_exit, v, w.now);
        for (int i = 1; i <= 3; i++) {
            if (v[i].loss_percent < 0) continue;
            assert_in_range(v[i].loss_percent, 0, 100);
            sum += v[i].loss_percent;
            looks++;
        }
    }
    assert_in_range(looks, 200, 600);
    assert_in_range(sum / looks, 20, 50);
    kill_node(&w, 1);
    run(&w, 20 * BW_S);
    internet_view_exits(w.house[ME].i, each_exit, v, w.now);
    assert_string_equal(v[1].state, "failed");
    assert_int_equal(v[1].loss_percent, -1);
    stop(&w);
}

static void first_join_and_standby(void **state)
{
    (void)state;
    struct world w;
    struct view_status v = {0};
    start(&w);
    assert_in_range(until_online(&w, true, 10 * BW_S), 1, 1 * BW_S);
    run(&w, 5 * BW_S);
    assert_int_equal(used_exit(&w), 1);
    assert_int_equal(w.house[ME].told, VIEW_EXIT_ACTIVE);
    struct fwd_tunnel t[4];
    assert_int_equal(internet_tunnels(w.house[ME].i, t, 4), 2); // a second lease stands by
    struct fwd_route r[8];
    unsigned n = internet_tun_routes(w.house[ME].i, r, 8);
    assert_int_equal(n, 1);
    assert_true(r[0].target == FWD_TO_TUNNEL && r[0].prefix.len == 96 && bw_addr_eq(&r[0].via, &ids[1].addr));
    assert_int_equal(internet_tun_routes(w.house[1].i, r, 8), 1); // the exit's way back
    assert_true(bw_addr_eq(&r[0].via, &ids[ME].addr) && r[0].prefix.len == 128);
    internet_view_status(w.house[ME].i, &v, w.now);
    assert_int_equal(v.exit_state, VIEW_EXIT_ACTIVE);
    assert_int_equal(v.problem_count, 0);
    internet_view_status(w.house[1].i, &v, w.now);
    assert_int_equal(v.share_state, VIEW_SHARE_ON);
    assert_int_equal(v.share_clients, 1);
    unsigned before = w.http;
    run(&w, 3600 * BW_S); // an hour of peace: renewals and fresh offers only, the same exit
    assert_int_equal(used_exit(&w), 1);
    assert_true(online(&w));
    assert_in_range(w.http - before, 4, 4 * 200);
    stop(&w);
}

static void an_exit_dies(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 20; seed++) {
        struct world w;
        start(&w);
        run(&w, 10 * BW_S + seed * 37 * BW_MS);
        assert_int_equal(used_exit(&w), 1);
        kill_node(&w, 1);
        assert_in_range(until_online(&w, true, 10 * BW_S), 0, 2900 * BW_MS);
        assert_int_equal(used_exit(&w), 2);
        kill_node(&w, 2); // and the next one, before anything has settled
        assert_in_range(until_online(&w, true, 20 * BW_S), 0, 5 * BW_S);
        assert_int_equal(used_exit(&w), 3);
        stop(&w);
    }
}

static void an_uplink_is_black_holed(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 20; seed++) {
        struct world w;
        start(&w);
        run(&w, 10 * BW_S + seed * 73 * BW_MS);
        w.house[1].internet = false;
        bw_time took = until_online(&w, true, 20 * BW_S);
        assert_in_range(took, 1, 3500 * BW_MS);
        assert_int_equal(used_exit(&w), 2);
        bw_time from = w.now;
        while (internet_shares(w.house[1].i)) step(&w, w.now + 10 * BW_MS);
        assert_in_range(took + w.now - from, 0, 5 * BW_S); // withdrawn
        stop(&w);
    }
}

static void back_only_after_it_was_better_for_a_while(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    run(&w, 10 * BW_S);
    w.house[1].internet = false;
    until_online(&w, true, 10 * BW_S);
    run(&w, 5 * BW_S);
    assert_int_equal(used_exit(&w), 2);
    w.house[1].internet = true;
    run(&w, 25 * BW_S);
    assert_int_equal(used_exit(&w), 2);
    run(&w, 120 * BW_S);
    assert_int_equal(used_exit(&w), 1); // twice as near, for long
    stop(&w);
}

static void a_way_that_becomes_longer_is_noticed_without_being_told_of(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    run(&w, 10 * BW_S);
    assert_int_equal(used_exit(&w), 1);
    w.house[1].metric *= 10; // the same next hop: Babel's owner hears nothing
    run(&w, 25 * BW_S);
    assert_int_equal(used_exit(&w), 1);
    run(&w, 10 * BW_S);
    assert_int_equal(used_exit(&w), 2);
    stop(&w);
}

static void what_began_through_the_exit_before_goes_on(void **state)
{
    (void)state;
    struct world w;
    struct exitc_plan first, p;
    start(&w);
    run(&w, 10 * BW_S);
    internet_client_plan(w.house[0].i, &first);
    assert_int_equal(used_exit(&w), 1);
    assert_true(bw_addr_is_zero(&first.kept4) && bw_addr_is_zero(&first.kept6)); // the standby was never in use
    set_metric(&w, 1, 2000);
    run(&w, 35 * BW_S);
    assert_int_equal(used_exit(&w), 2);
    internet_client_plan(w.house[0].i, &p);
    assert_true(bw_addr_eq(&p.kept4, &first.inner4) && !bw_addr_eq(&p.inner4, &first.inner4));
    kill_node(&w, 1);
    run(&w, 10 * BW_S);
    internet_client_plan(w.house[0].i, &p);
    assert_int_equal(used_exit(&w), 2);
    assert_true(bw_addr_is_zero(&p.kept4) && bw_addr_is_zero(&p.kept6));
    stop(&w);
}

static void two_exits_flap(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    kill_node(&w, 3);
    run(&w, 10 * BW_S);
    unsigned changes = 0, last = used_exit(&w);
    for (unsigned k = 0; k < 60; k++) { // each goes down for 10 s in turn, five minutes long
        w.house[1 + k % 2].internet = false;
        w.house[2 - k % 2].internet = true;
        bw_time until = w.now + 10 * BW_S;
        while (w.now < until) {
            step(&w, w.now + 100 * BW_MS);
            if (used_exit(&w) != last) changes++;
            last = used_exit(&w);
        }
    }
    assert_in_range(changes, 1, 200);
    w.house[1].internet = w.house[2].internet = true;
    run(&w, 150 * BW_S);
    assert_true(online(&w));
    stop(&w);
}

static void a_relay_dies(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    run(&w, 10 * BW_S);
    for (unsigned k = 0; k < 10; k++) { // 1.5 s of silence while Babel finds another way: no reason to leave
        w.lose = 100;
        run(&w, 1000 * BW_MS);
        set_metric(&w, 1, BOOK_UNREACHABLE);
        run(&w, 100 * BW_MS);
        set_metric(&w, 1, 250);
        w.lose = 0;
        run(&w, 8 * BW_S);
        assert_int_equal(used_exit(&w), 1);
        assert_true(online(&w));
    }
    struct internet *i = w.house[ME].i;
    assert_int_equal(i->client.failovers, 0);
    w.lose = 20; // a bad radio link, one heartbeat in three is lost: still no reason
    run(&w, 600 * BW_S);
    assert_in_range(i->client.failovers, 0, 1);
    stop(&w);
}

static void nobody_shares(void **state)
{
    (void)state;
    struct world w;
    struct view_status v = {0};
    start(&w);
    for (unsigned n = 1; n < NODES; n++) kill_node(&w, n);
    run(&w, 60 * BW_S);
    assert_false(online(&w));
    internet_view_status(w.house[ME].i, &v, w.now);
    assert_int_equal(v.problem_count, 1);
    assert_string_equal(v.problems[0].code, "no-exit");
    unsigned http = w.http;
    run(&w, 600 * BW_S);
    assert_int_equal(w.http, http); // and nobody is bothered
    w.house[2].metric = 300;
    boot(&w, 2); // the first uplink that appears is used within seconds
    routes_changed(&w);
    assert_in_range(until_online(&w, true, 20 * BW_S), 1, 2 * BW_S);
    stop(&w);
}

static void own_connection_comes_and_goes(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    run(&w, 10 * BW_S);
    assert_true(online(&w));
    w.house[ME].internet = true; // a cable is plugged in
    internet_uplink(w.house[ME].i, true, false, w.now);
    run(&w, 3 * BW_S);
    assert_true(w.house[ME].plan.active); // not yet
    run(&w, 4 * BW_S);
    assert_false(w.house[ME].plan.active);
    assert_int_equal(w.house[ME].told, VIEW_EXIT_OWN);
    assert_null(exits_find(&w.house[1].i->exits, &ids[ME].addr)); // the leases were given back
    w.house[ME].internet = false; // black-holed
    assert_in_range(until_online(&w, true, 20 * BW_S), 1, 4500 * BW_MS);
    for (unsigned k = 0; k < 20; k++) { // flaps: the exit stays
        w.house[ME].internet = k % 2;
        run(&w, 3 * BW_S);
    }
    w.house[ME].internet = false;
    run(&w, 10 * BW_S);
    assert_true(online(&w));
    internet_uplink(w.house[ME].i, false, false, w.now);
    run(&w, 10 * BW_S);
    assert_true(online(&w));
    stop(&w);
}

static void pinned_always_none(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    struct house *me = &w.house[ME];
    internet_use(me->i, EXITC_PINNED, &ids[3].addr, w.now);
    run(&w, 5 * BW_S);
    assert_int_equal(used_exit(&w), 3);
    kill_node(&w, 3);
    run(&w, 60 * BW_S);
    assert_false(me->plan.active); // no other will do
    w.house[3].metric = 600;
    boot(&w, 3);
    routes_changed(&w);
    run(&w, 130 * BW_S);
    assert_int_equal(used_exit(&w), 3);
    internet_use(me->i, EXITC_NONE, NULL, w.now);
    run(&w, 1 * BW_S);
    assert_false(me->plan.active);
    assert_int_equal(me->told, VIEW_EXIT_NONE);
    me->internet = true;
    internet_uplink(me->i, true, false, w.now);
    internet_use(me->i, EXITC_ALWAYS, NULL, w.now);
    run(&w, 60 * BW_S);
    assert_int_equal(used_exit(&w), 1); // although our own connection works
    internet_share(me->i, true, w.now);
    run(&w, 10 * BW_S);
    assert_false(internet_shares(me->i)); // who goes out through another does not share
    internet_use(me->i, EXITC_AUTO, NULL, w.now);
    run(&w, 10 * BW_S);
    assert_true(internet_shares(me->i));
    internet_share(me->i, false, w.now);
    internet_killswitch(me->i, true, w.now);
    unsigned probes = w.probes;
    w.house[1].internet = true;
    run(&w, 5 * BW_S);
    assert_int_equal(used_exit(&w), 1);
    probes = w.probes;
    kill_node(&w, 1);
    kill_node(&w, 2);
    kill_node(&w, 3);
    run(&w, 60 * BW_S);
    assert_false(me->plan.active);
    assert_int_equal(w.probes, probes); // not even a probe leaves
    stop(&w);
}

// An exit whose gateway lies in our own LAN would get that host's packets: another one is used.
static void lease_inside_a_network_of_our_own(void **state)
{
    (void)state;
    struct world w;
    struct exitc_plan plan;
    both_families = true;
    start(&w);
    until_online(&w, true, 10 * BW_S);
    run(&w, 5 * BW_S);
    assert_int_equal(used_exit(&w), 1);
    struct internet *me = w.house[ME].i;
    internet_client_plan(me, &plan);
    assert_false(bw_addr_is_zero(&plan.gateway6));
    struct bw_prefix lan = bw_prefix_make(&plan.gateway6, 64);
    internet_use(me, EXITC_NONE, NULL, w.now);
    run(&w, 5 * BW_S);
    internet_local(me, &lan, 1, w.now);
    internet_use(me, EXITC_ALWAYS, NULL, w.now);
    run(&w, 30 * BW_S);
    assert_true(online(&w));
    assert_int_equal(used_exit(&w), 2);
    stop(&w);
    both_families = false;
}

static void restarted_exit_gives_the_same(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    kill_node(&w, 2);
    kill_node(&w, 3);
    run(&w, 10 * BW_S);
    struct bw_addr had = w.house[ME].plan.inner4;
    struct house *h = &w.house[1];
    internet_free(h->i);
    boot(&w, 1); // back within a second: restored leases, so nothing at all happens to the client
    run(&w, 1 * BW_S);
    routes_changed(&w);
    run(&w, 20 * BW_S);
    assert_int_equal(w.house[ME].i->client.failovers, 0);
    assert_true(bw_addr_eq(&had, &w.house[ME].plan.inner4));
    assert_true(online(&w));
    run(&w, 7200 * BW_S); // and renews with the new run's stamps
    assert_true(online(&w));
    assert_int_equal(w.house[ME].i->client.failovers, 0);
    stop(&w);
}

static void evil_answers(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    w.evil = 1; // a relay alters what exits say
    run(&w, 30 * BW_S);
    assert_false(w.house[ME].plan.active);
    assert_true(w.house[ME].i->client.forged > 0);
    w.evil = 0;
    assert_in_range(until_online(&w, true, 180 * BW_S), 1, 180 * BW_S);
    stop(&w);
    start(&w);
    w.evil = 3; // or plays an old lease again: the first is genuine
    run(&w, 30 * BW_S);
    kill_node(&w, used_exit(&w));
    run(&w, 10 * BW_S);
    assert_true(w.house[ME].i->client.forged > 0);
    stop(&w);
}

static void machine_sleeps(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    run(&w, 10 * BW_S);
    unsigned n = used_exit(&w);
    w.now += 600 * BW_S; // nobody is called for ten minutes, as after a suspend
    run(&w, 5 * BW_S);
    assert_int_equal(used_exit(&w), n);
    assert_true(online(&w));
    w.now += 5 * 3600 * BW_S; // leases have run out
    assert_in_range(until_online(&w, true, 20 * BW_S), 0, 20 * BW_S);
    run(&w, 10 * BW_S);
    assert_true(online(&w));
    stop(&w);
}

static void exits_learn_of_each_other(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    run(&w, 300 * BW_S);
    assert_non_null(book_find(&w.house[ME].i->book, &ids[3].addr)); // the third by what the second passed on
    run(&w, 2000 * BW_S);
    assert_non_null(book_find(&w.house[1].i->book, &ids[2].addr)); // the first by what its client told it
    stop(&w);
}

static void leaving_gives_back(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    run(&w, 5 * BW_S);
    internet_leave(w.house[ME].i, w.now);
    on_changed(&w.house[ME]);
    run(&w, 5 * BW_S);
    assert_false(w.house[ME].plan.active);
    for (unsigned n = 1; n < NODES; n++) assert_null(exits_find(&w.house[n].i->exits, &ids[ME].addr));
    stop(&w);
}

static int set_up(void **state)
{
    (void)state;
    if (bw_crypto_init()) return -1;
    struct bw_rng rng;
    uint8_t seed[32] = {99};
    bw_rng_seed(&rng, seed);
    for (unsigned n = 0; n <= NODES; n++) identity_draw(&ids[n], &rng);
    return 0;
}

// ---- which exit, and why not ----

static void an_exit_lies(void **state)
{
    (void)state;
    struct world w;
    with_targets = true;
    start(&w);
    w.house[1].liar = true; // from the first day: the nearest, and its gateway answers
    run(&w, 6 * BW_S);
    assert_int_equal(used_exit(&w), 2);
    run(&w, 600 * BW_S);
    assert_int_equal(used_exit(&w), 2);
    w.house[2].liar = true; // now the one in use as well, which somebody's packets find out soon
    bw_time from = w.now;
    struct fwd_tunnel t[4];
    while (used_exit(&w) == 2 && w.now < from + 20 * BW_S) {
        unsigned n = internet_tunnels(w.house[ME].i, t, 4);
        for (unsigned k = 0; k < n; k++)
            if (bw_addr_eq(&t[k].peer, &ids[2].addr)) atomic_fetch_add(&t[k].shared->tx_packets, 1);
        step(&w, w.now + 50 * BW_MS);
    }
    assert_int_equal(used_exit(&w), 3);
    assert_in_range(w.now - from, 1, 4 * BW_S);
    stop(&w);
    with_targets = false;
}

static void proof_is_asked_seldom_and_its_targets_may_die(void **state)
{
    (void)state;
    struct world w;
    with_targets = true;
    start(&w);
    run(&w, 10 * BW_S);
    assert_int_equal(used_exit(&w), 1);
    unsigned before = w.asked_target;
    run(&w, 600 * BW_S);
    assert_in_range(w.asked_target - before, 30, 70); // every 15 s, and every 30 s through the one that stands by
    w.target_dead = true; // it answers nobody: that says nothing about an exit
    run(&w, 300 * BW_S);
    assert_int_equal(used_exit(&w), 1);
    kill_node(&w, 1); // and a new one is found all the same
    assert_in_range(until_online(&w, true, 20 * BW_S), 1, 3 * BW_S);
    kill_node(&w, 2);
    assert_in_range(until_online(&w, true, 20 * BW_S), 1, 8 * BW_S);
    assert_int_equal(used_exit(&w), 3);
    stop(&w);
    with_targets = false;
}

static void preferred_and_refused(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    run(&w, 10 * BW_S);
    assert_int_equal(used_exit(&w), 1);
    struct exitc_rules r = {.prefer = {ids[3].addr}, .prefer_count = 1};
    internet_rules(w.house[ME].i, &r, w.now);
    run(&w, 100 * BW_S); // first as standby, then for good
    assert_int_equal(used_exit(&w), 3);
    kill_node(&w, 3);
    assert_in_range(until_online(&w, true, 20 * BW_S), 1, 3 * BW_S); // preferred, not pinned
    r = (struct exitc_rules){.never = {ids[1].addr, ids[3].addr}, .never_count = 2};
    internet_rules(w.house[ME].i, &r, w.now);
    run(&w, 5 * BW_S);
    assert_int_equal(used_exit(&w), 2);
    kill_node(&w, 2);
    run(&w, 20 * BW_S);
    assert_int_equal(used_exit(&w), NOWHERE); // rather none
    stop(&w);
}

static bool says_slowed(struct world *w)
{
    struct view_status v = {0};
    internet_view_status(w->house[ME].i, &v, w->now);
    for (unsigned i = 0; i < v.problem_count; i++)
        if (!strcmp(v.problems[i].code, "exit-slowed")) return true;
    return false;
}

static void use_volume(struct world *w, unsigned exit, uint64_t bytes)
{
    struct fwd_tunnel t[16];
    unsigned n = internet_tunnels(w->house[exit].i, t, 16);
    for (unsigned k = 0; k < n; k++)
        if (bw_addr_eq(&t[k].peer, &ids[ME].addr)) atomic_fetch_add(&t[k].shared->tx_bytes, bytes);
}

static void volume_is_used_up(void **state)
{
    (void)state;
    struct world w;
    struct limit_config limits = {.volume_client = 20000000};
    start(&w);
    internet_limits(w.house[1].i, 0, &limits, w.now);
    run(&w, 20 * BW_S);
    assert_int_equal(used_exit(&w), 1);
    use_volume(&w, 1, 19000000);
    run(&w, 5 * BW_S);
    assert_false(says_slowed(&w));
    use_volume(&w, 1, 2000000);
    run(&w, 4 * BW_S);
    assert_true(says_slowed(&w)); // told within seconds, not at the next renewal
    run(&w, 60 * BW_S);
    assert_int_equal(used_exit(&w), 2); // and off to one where there is something left
    assert_false(says_slowed(&w));
    kill_node(&w, 2);
    kill_node(&w, 3);
    run(&w, 20 * BW_S);
    assert_int_equal(used_exit(&w), 1); // slow is better than nothing
    assert_true(says_slowed(&w));
    limits.volume_client = 0; // the owner thinks better of it
    internet_limits(w.house[1].i, 0, &limits, w.now);
    run(&w, 15 * BW_S);
    assert_false(says_slowed(&w));
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_join_and_standby),
        cmocka_unit_test(loss_is_told_of_tunnels_only),
        cmocka_unit_test(an_exit_dies),
        cmocka_unit_test(an_uplink_is_black_holed),
        cmocka_unit_test(back_only_after_it_was_better_for_a_while),
        cmocka_unit_test(a_way_that_becomes_longer_is_noticed_without_being_told_of),
        cmocka_unit_test(what_began_through_the_exit_before_goes_on),
        cmocka_unit_test(two_exits_flap),
        cmocka_unit_test(a_relay_dies),
        cmocka_unit_test(nobody_shares),
        cmocka_unit_test(own_connection_comes_and_goes),
        cmocka_unit_test(pinned_always_none),
        cmocka_unit_test(lease_inside_a_network_of_our_own),
        cmocka_unit_test(restarted_exit_gives_the_same),
        cmocka_unit_test(evil_answers),
        cmocka_unit_test(machine_sleeps),
        cmocka_unit_test(exits_learn_of_each_other),
        cmocka_unit_test(leaving_gives_back),
        cmocka_unit_test(an_exit_lies),
        cmocka_unit_test(proof_is_asked_seldom_and_its_targets_may_die),
        cmocka_unit_test(preferred_and_refused),
        cmocka_unit_test(volume_is_used_up),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
