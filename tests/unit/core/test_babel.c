// One speaker against scripted neighbours: RFC 8966's rules one by one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/babel/babel.h"
#include "crypto/crypto.h"
#include "wire/babel.h"

enum { LOG_MAX = 4096 };

struct sent {
    bw_time at;
    uint16_t slot;
    bool multicast;
    struct babel_tlv t;
};

struct bench {
    struct bw_mem mem;
    struct bw_rng rng;
    struct babel *b;
    struct babel_config cfg;
    bw_time now;
    struct sent log[LOG_MAX];
    unsigned count;
    struct bw_prefix last_prefix;
    struct babel_selected last;
    bool last_null;
    unsigned changes, ups, downs, restarts, persisted, done, clean;
    uint16_t persisted_seqno;
    uint16_t hello_seqno[4], cost[4];
    bool hello[4], auto_ack;
    uint32_t hello_ms;
    bw_time next_hello;
};

static struct bw_addr ll(unsigned k) { return (struct bw_addr){{0xfe, 0x80, [8] = 0xb0, [15] = (uint8_t)k}}; }

static void push(struct bench *w, unsigned k, const struct babel_writer *from);

static void on_send(void *ctx, uint16_t slot, const struct bw_addr *dst, const uint8_t *p, size_t n)
{
    struct bench *w = ctx;
    struct babel_reader r;
    struct babel_tlv t;
    assert_int_equal(babel_read_begin(&r, &w->cfg.linklocal, p, n), 0);
    for (int more; (more = babel_read_next(&r, &t));) {
        assert_int_equal(more, 1);
        if (w->count < LOG_MAX) w->log[w->count++] = (struct sent){w->now, slot, bw_addr_is_multicast(dst), t};
    }
}

static void on_route(void *ctx, const struct bw_prefix *p, const struct babel_selected *r)
{
    struct bench *w = ctx;
    w->changes++;
    w->last_prefix = *p;
    w->last_null = !r;
    if (r) w->last = *r;
}

static void on_neighbour(void *ctx, enum babel_neighbour_event e, const struct babel_neighbour *n)
{
    struct bench *w = ctx;
    (void)n;
    w->ups += e == BABEL_UP;
    w->downs += e == BABEL_DOWN;
    w->restarts += e == BABEL_RESTARTED;
}
static void on_persist(void *ctx, uint16_t seqno)
{
    ((struct bench *)ctx)->persisted++;
    ((struct bench *)ctx)->persisted_seqno = seqno;
}
static void on_done(void *ctx, bool clean)
{
    ((struct bench *)ctx)->done++;
    ((struct bench *)ctx)->clean += clean;
}

static struct bw_prefix pfx(const char *s)
{
    struct bw_prefix p;
    assert_int_equal(bw_prefix_parse(s, &p), 0);
    return p;
}

static struct bench *bench_new(bool clean, uint32_t max_dests)
{
    struct bench *w = calloc(1, sizeof *w);
    static const struct babel_ops ops = {.send = on_send, .route_changed = on_route, .neighbour_changed = on_neighbour,
                                         .persist_seqno = on_persist, .shutdown_done = on_done};
    uint8_t seed[32] = {7};
    bw_mem_system(&w->mem);
    bw_rng_seed(&w->rng, seed);
    w->now = 5 * BW_S;
    w->cfg = (struct babel_config){.router_id = {0xb0, [7] = 1}, .linklocal = ll(1), .epoch = 77, .seqno = 100, .clean_start = clean, .max_dests = max_dests};
    w->b = babel_new(&w->cfg, &ops, w, &w->mem, &w->rng, NULL, w->now);
    w->hello_ms = 4000;
    for (int k = 0; k < 4; k++) w->cost[k] = 96;
    return w;
}

static void bench_free(struct bench *w)
{
    babel_free(w->b);
    assert_int_equal(w->mem.used, 0);
    free(w);
}

// ---- the neighbour behind slot k has address ll(10 + k) and router-id ...0a+k ----

static struct babel_writer packet(uint8_t *buf)
{
    struct babel_writer w;
    babel_write_begin(&w, buf, 1232);
    return w;
}
static void push(struct bench *w, unsigned k, const struct babel_writer *from)
{
    struct babel_writer x = *from;
    struct bw_addr a = ll(10 + k);
    size_t n = babel_write_end(&x);
    babel_rx(w->b, (uint16_t)k, &a, x.wr.start, n, w->now);
}
static void hello(struct bench *w, unsigned k, const struct babel_capability *c)
{
    uint8_t buf[1232];
    struct babel_writer x = packet(buf);
    struct bw_addr me = ll(1);
    assert_true(babel_write_hello(&x, false, w->hello_seqno[k]++, (uint16_t)(w->hello_ms / 10), (uint32_t)w->now, c));
    assert_true(babel_write_ihu(&x, &me, w->cost[k], (uint16_t)(w->hello_ms * 3 / 10), NULL));
    push(w, k, &x);
}
static void update(struct bench *w, unsigned k, const char *p, uint8_t id, uint16_t seqno, uint16_t metric)
{
    uint8_t buf[1232], rid[8] = {0xc0, [7] = id};
    struct babel_writer x = packet(buf);
    struct bw_prefix q = pfx(p);
    assert_true(babel_write_update(&x, &q, rid, 1600, seqno, metric));
    push(w, k, &x);
}
static void ask_seqno(struct bench *w, unsigned k, const char *p, const uint8_t rid[8], uint16_t seqno, uint8_t hops)
{
    uint8_t buf[1232];
    struct babel_writer x = packet(buf);
    struct bw_prefix q = pfx(p);
    assert_true(babel_write_seqno_request(&x, &q, rid, seqno, hops));
    push(w, k, &x);
}
static void ack(struct bench *w, unsigned k, uint16_t opaque)
{
    uint8_t buf[64];
    struct babel_writer x = packet(buf);
    assert_true(babel_write_ack(&x, opaque));
    push(w, k, &x);
}

// Time passes; neighbours that are switched on send their Hellos and acknowledge what asks for it.
static void run(struct bench *w, bw_time for_)
{
    bw_time until = w->now + for_;
    for (unsigned seen = w->count;;) {
        for (; w->auto_ack && seen < w->count; seen++)
            if (w->log[seen].t.type == BABEL_ACK_REQUEST && w->hello[w->log[seen].slot]) ack(w, w->log[seen].slot, w->log[seen].t.ack_request.opaque);
        bw_time d = babel_deadline(w->b);
        d = bw_time_min(d, w->next_hello ? w->next_hello : BW_NEVER);
        if (d > until) break;
        if (d > w->now) w->now = d;
        if (w->next_hello && w->next_hello <= w->now) {
            w->next_hello = w->now + w->hello_ms * BW_MS;
            for (unsigned k = 0; k < 4; k++)
                if (w->hello[k]) hello(w, k, NULL);
        }
        babel_tick(w->b, w->now);
    }
    w->now = until;
}

// n neighbours, up and greeted.
static struct bench *with_neighbours(unsigned n)
{
    struct bench *w = bench_new(true, 0);
    w->auto_ack = true;
    for (unsigned k = 0; k < n; k++) {
        assert_int_equal(babel_iface_add(w->b, (uint16_t)k, NULL, w->now), 0);
        w->hello[k] = true;
    }
    w->next_hello = w->now;
    run(w, 2 * BW_S);
    struct babel_totals t;
    babel_totals(w->b, &t);
    assert_int_equal(t.neighbours_up, n);
    w->count = 0;
    return w;
}

static const struct sent *find(const struct bench *w, unsigned slot, uint8_t type, const char *p)
{
    struct bw_prefix q = p ? pfx(p) : (struct bw_prefix){0};
    for (unsigned i = w->count; i-- > 0;) {
        const struct sent *s = &w->log[i];
        if (s->slot != slot || s->t.type != type) continue;
        if (!p) return s;
        if (type == BABEL_UPDATE && !s->t.update.wildcard && bw_prefix_eq(&s->t.update.prefix, &q)) return s;
        if (type == BABEL_SEQNO_REQUEST && bw_prefix_eq(&s->t.seqno_request.prefix, &q)) return s;
        if (type == BABEL_ROUTE_REQUEST && !s->t.route_request.wildcard && bw_prefix_eq(&s->t.route_request.prefix, &q)) return s;
    }
    return NULL;
}

static int via(const struct bench *w, const char *p) // slot, or -1
{
    struct babel_route r;
    struct bw_prefix q = pfx(p);
    return babel_lookup(w->b, &q, &r) ? r.slot : -1;
}
static unsigned metric(const struct bench *w, const char *p)
{
    struct babel_route r;
    struct bw_prefix q = pfx(p);
    return babel_lookup(w->b, &q, &r) ? r.metric : BABEL_INFINITY;
}

#define D "fd00:1::/64"

// ---- links (section 3.4) ----

static void finds_neighbours(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(1);
    assert_int_equal(w->ups, 1);
    run(w, 30 * BW_S);
    const struct sent *h = find(w, 0, BABEL_HELLO, NULL), *i = find(w, 0, BABEL_IHU, NULL);
    assert_non_null(h);
    assert_true(h->multicast && !h->t.hello.unicast && h->t.hello.interval_cs == 400 && h->t.hello.has_timestamp);
    assert_true(h->t.hello.has_capability && h->t.hello.capability.epoch == 77);
    struct bw_addr a = ll(10);
    assert_true(bw_addr_eq(&i->t.ihu.addr, &a) && i->t.ihu.rxcost == 96 && i->t.ihu.interval_cs == 1200);
    assert_true(i->t.ihu.has_timestamp);
    uint16_t before = 0;
    unsigned hellos = 0;
    for (unsigned k = 0; k < w->count; k++) { // numbered one by one, never later than promised
        if (w->log[k].t.type != BABEL_HELLO) continue;
        if (hellos++) assert_int_equal((uint16_t)(w->log[k].t.hello.seqno - before), 1);
        before = w->log[k].t.hello.seqno;
        assert_false(w->log[k].t.hello.unicast); // none for a neighbour that has not asked
    }
    assert_in_range(hellos, 7, 9);
    bench_free(w);
}

static void link_needs_both_directions(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(1);
    update(w, 0, D, 1, 1, 10);
    assert_int_equal(via(w, D), 0);
    w->cost[0] = BABEL_INFINITY; // "I don't hear you"
    hello(w, 0, NULL);
    assert_int_equal(via(w, D), -1);
    assert_int_equal(w->downs, 1);
    w->cost[0] = 200;
    w->count = 0;
    hello(w, 0, NULL);
    run(w, 50 * BW_MS);
    const struct sent *q = find(w, 0, BABEL_ROUTE_REQUEST, NULL); // what it said meanwhile may be lost
    assert_true(q && q->t.route_request.wildcard);
    update(w, 0, D, 1, 1, 10);
    assert_int_equal(metric(w, D), 210); // the neighbour's rxcost is our cost
    // an IHU for somebody else means nothing
    uint8_t buf[100];
    struct babel_writer x = packet(buf);
    struct bw_addr other = ll(99);
    assert_true(babel_write_ihu(&x, &other, BABEL_INFINITY, 400, NULL));
    push(w, 0, &x);
    assert_int_equal(metric(w, D), 210);
    bench_free(w);
}

static void silent_stock_neighbour_dies(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(2);
    update(w, 0, D, 1, 1, 10);
    update(w, 1, D, 1, 1, 100);
    assert_int_equal(via(w, D), 0);
    run(w, 20 * BW_S);
    w->hello[0] = false;
    run(w, 11 * BW_S);
    assert_int_equal(via(w, D), 1);
    run(w, 120 * BW_S);
    struct babel_totals t;
    babel_totals(w->b, &t);
    assert_int_equal(t.neighbours, 1);
    bench_free(w);
}

// Its multicast Hello says that it hears us, so it owes us unicast ones from then on. A stock neighbour does not.
static void byway_neighbour_dies_at_first_contact(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(2);
    struct babel_capability c = {.version = 1, .interval_cs = 35, .epoch = 5};
    hello(w, 0, &c);
    w->hello[0] = w->hello[1] = false;
    update(w, 0, D, 1, 1, 10);
    update(w, 1, "fd00:2::/64", 2, 1, 10);
    run(w, 1 * BW_S);
    assert_int_equal(via(w, D), 0);
    run(w, 1 * BW_S);
    assert_int_equal(via(w, D), -1);
    assert_int_equal(via(w, "fd00:2::/64"), 1);
    bench_free(w);
}

static void stock_neighbour_that_restarts(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(1);
    update(w, 0, D, 1, 1, 10);
    w->hello_seqno[0] += 1000; // appendix A.1: more than 16 off
    hello(w, 0, NULL);
    assert_int_equal(w->restarts, 1);
    assert_int_equal(via(w, D), -1);
    bench_free(w);
}

static void byway_neighbour_that_restarts(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(1);
    struct babel_capability c = {.version = 1, .interval_cs = 35, .epoch = 5};
    hello(w, 0, &c);
    update(w, 0, D, 1, 1, 10);
    hello(w, 0, &c);
    assert_int_equal(via(w, D), 0);
    run(w, 1 * BW_S);
    const struct sent *h = find(w, 0, BABEL_HELLO, NULL);
    assert_true(h && h->t.hello.unicast && !h->multicast && h->t.hello.interval_cs == 35);
    c.epoch = 6;
    hello(w, 0, &c);
    assert_int_equal(w->restarts, 1);
    assert_int_equal(via(w, D), -1);
    bench_free(w);
}

static struct babel_neighbour last_neighbour;
static void keep_neighbour(void *ctx, const struct babel_neighbour *n)
{
    (void)ctx;
    last_neighbour = *n;
}

// The same address without our sub-TLV: nothing that the byway program before said of itself holds any longer.
static void byway_neighbour_that_restarts_as_stock(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(1);
    struct babel_capability c = {.version = 1, .flags = BABEL_CAP_LIGHT, .interval_cs = 35, .epoch = 5};
    hello(w, 0, &c);
    update(w, 0, D, 1, 1, 10);
    babel_each_neighbour(w->b, keep_neighbour, NULL);
    assert_true(last_neighbour.byway && last_neighbour.flags == BABEL_CAP_LIGHT);
    hello(w, 0, NULL);
    assert_int_equal(w->restarts, 1);
    assert_int_equal(w->downs, 1);
    assert_int_equal(via(w, D), -1);
    babel_each_neighbour(w->b, keep_neighbour, NULL);
    assert_false(last_neighbour.byway || last_neighbour.flags || last_neighbour.epoch);
    w->count = 0;
    run(w, 5 * BW_S);
    assert_non_null(find(w, 0, BABEL_HELLO, NULL));
    for (unsigned i = 0; i < w->count; i++) assert_false(w->log[i].t.type == BABEL_HELLO && w->log[i].t.hello.unicast); // nobody asks
    bench_free(w);
}

static void acknowledges(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(1);
    uint8_t buf[100];
    struct babel_writer x = packet(buf);
    assert_true(babel_write_ack_request(&x, 0xabcd, 20));
    bw_time from = w->now;
    push(w, 0, &x);
    run(w, 200 * BW_MS);
    const struct sent *a = find(w, 0, BABEL_ACK, NULL);
    assert_true(a && !a->multicast && a->t.ack.opaque == 0xabcd && a->at < from + 200 * BW_MS);
    bench_free(w);
}

// ---- updates (3.5.3, 3.7) ----

struct selected_metric { // of one prefix, as babel_each_selected says; -1: it is not there
    struct bw_prefix prefix;
    int metric;
};

static void on_selected(void *ctx, const struct babel_route *r)
{
    struct selected_metric *m = ctx;
    if (bw_prefix_eq(&r->prefix, &m->prefix)) m->metric = r->metric;
}

static int selected_metric(const struct bench *w, const char *prefix)
{
    struct selected_metric m = {pfx(prefix), -1};
    babel_each_selected(w->b, on_selected, &m);
    return m.metric;
}

static void announces_and_retracts(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(2);
    struct bw_prefix own = pfx("fc00:1::1/128");
    assert_int_equal(babel_originate(w->b, &own, 0, BABEL_ANY_SLOT, w->now), 0);
    update(w, 0, D, 1, 7, 50);
    assert_int_equal(w->last.slot, 0);
    assert_int_equal(w->last.metric, 146);
    assert_int_equal(selected_metric(w, D), 146);
    run(w, 500 * BW_MS);
    const struct sent *s = find(w, 1, BABEL_UPDATE, D);
    assert_true(s && s->t.update.metric == 146 && s->t.update.seqno == 7 && s->t.update.router_id[7] == 1);
    assert_null(find(w, 0, BABEL_UPDATE, D)); // split horizon
    s = find(w, 0, BABEL_UPDATE, "fc00:1::1/128");
    assert_true(s && s->t.update.metric == 0 && s->t.update.seqno == 101);
    w->count = 0;
    update(w, 0, D, 1, 7, BABEL_INFINITY);
    assert_true(w->last.unreachable);
    assert_int_equal(selected_metric(w, D), BABEL_INFINITY);
    bw_time from = w->now;
    run(w, 500 * BW_MS);
    s = find(w, 1, BABEL_UPDATE, D);
    assert_true(s && s->t.update.metric == BABEL_INFINITY && s->at < from + 20 * BW_MS); // urgent
    run(w, 10 * BW_S); // acknowledged: the prefix may be forgotten (3.5.4)
    assert_true(w->last_null);
    assert_int_equal(selected_metric(w, D), -1);
    w->count = 0;
    babel_withdraw(w->b, &own, BABEL_ANY_SLOT, w->now);
    run(w, 100 * BW_MS);
    s = find(w, 0, BABEL_UPDATE, "fc00:1::1/128");
    assert_true(s && s->t.update.metric == BABEL_INFINITY);
    bench_free(w);
}

static void wildcard_retraction(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(2);
    update(w, 0, "fd00:1::/64", 1, 1, 1);
    update(w, 0, "fd00:2::/64", 2, 1, 1);
    update(w, 1, "fd00:3::/64", 3, 1, 1);
    uint8_t buf[100];
    struct babel_writer x = packet(buf);
    assert_true(babel_write_wildcard_retraction(&x, 100));
    push(w, 0, &x);
    assert_int_equal(via(w, "fd00:1::/64"), -1);
    assert_int_equal(via(w, "fd00:2::/64"), -1);
    assert_int_equal(via(w, "fd00:3::/64"), 1);
    bench_free(w);
}

static void unacknowledged_updates_are_repeated(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(2);
    w->auto_ack = false;
    update(w, 0, D, 1, 7, 50);
    run(w, 15 * BW_S);
    unsigned copies = 0;
    for (unsigned k = 0; k < w->count; k++) copies += w->log[k].slot == 1 && w->log[k].t.type == BABEL_UPDATE && w->log[k].at < w->now - 2 * BW_S;
    assert_in_range(copies, 3, 6); // the first and repetitions, no more than five copies; a full update may be among them
    bench_free(w);
}

// ---- feasibility (3.5.1) ----

static void feasibility(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(3);
    update(w, 0, D, 1, 10, 100); // we announce 196
    run(w, 1 * BW_S);
    update(w, 1, D, 1, 10, 195); // strictly better than (10, 196)
    update(w, 2, D, 1, 10, 196); // not
    update(w, 0, D, 1, 10, BABEL_INFINITY);
    assert_int_equal(via(w, D), 1);
    update(w, 1, D, 1, 10, BABEL_INFINITY);
    assert_int_equal(via(w, D), -1); // 2 is there, but might lead through us
    run(w, 100 * BW_MS);
    const struct sent *s = find(w, 2, BABEL_SEQNO_REQUEST, D); // 3.8.2.1
    assert_true(s && !s->multicast && s->t.seqno_request.seqno == 11 && s->t.seqno_request.hops == 255 && s->t.seqno_request.router_id[7] == 1);
    w->count = 0;
    run(w, 8 * BW_S);
    unsigned copies = 0;
    for (unsigned k = 0; k < w->count; k++) copies += w->log[k].t.type == BABEL_SEQNO_REQUEST;
    assert_in_range(copies, 3, 5); // repeated with back-off
    update(w, 2, D, 1, 11, 500);
    assert_int_equal(via(w, D), 2);
    bench_free(w);
}

static void feasibility_wraps(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(2);
    update(w, 0, D, 1, 65535, 100);
    run(w, 1 * BW_S);
    update(w, 1, D, 1, 0, 60000);
    update(w, 0, D, 1, 0, BABEL_INFINITY);
    assert_int_equal(via(w, D), 1);
    run(w, 1 * BW_S);
    update(w, 0, D, 1, 65535, 1); // old
    update(w, 1, D, 1, 0, BABEL_INFINITY);
    assert_int_equal(via(w, D), -1);
    bench_free(w);
}

// An unfeasible update for the selected route: ignored, with a request, where there is nothing better (3.5.3, 3.8.2.2).
static void unfeasible_update_of_selected(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(3);
    update(w, 0, D, 1, 10, 100);
    run(w, 1 * BW_S);
    w->count = 0;
    update(w, 0, D, 1, 10, 300);
    assert_int_equal(via(w, D), 0);
    assert_int_equal(metric(w, D), 196);
    run(w, 50 * BW_MS);
    const struct sent *s = find(w, 0, BABEL_SEQNO_REQUEST, D);
    assert_true(s && s->t.seqno_request.seqno == 11);
    update(w, 0, D, 1, 11, 300);
    assert_int_equal(metric(w, D), 396);
    run(w, 1 * BW_S);
    update(w, 1, D, 1, 11, 390); // feasible: (11, 390) < (11, 396)
    update(w, 0, D, 1, 11, 500); // now there is something better
    assert_int_equal(via(w, D), 1);
    update(w, 1, D, 9, 11, 3000); // another source, farther than what we have announced:
    assert_int_equal(via(w, D), -1); // first everybody has to know that the old one is gone
    run(w, 100 * BW_MS);
    assert_int_equal(metric(w, D), 3096);
    update(w, 0, D, 8, 1, 2000); // another one, nearer than anything that somebody can have from us: at once
    assert_int_equal(via(w, D), 0);
    bench_free(w);
}

static void sources_are_collected(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(2);
    struct babel_totals t;
    update(w, 0, D, 1, 10, 100);
    run(w, 1 * BW_S);
    update(w, 0, D, 1, 10, BABEL_INFINITY);
    run(w, 170 * BW_S);
    babel_totals(w->b, &t);
    assert_int_equal(t.sources, 1); // not before three minutes
    run(w, 60 * BW_S);
    babel_totals(w->b, &t);
    assert_int_equal(t.sources, 0);
    assert_int_equal(t.dests, 0);
    bench_free(w);
}

static void routes_expire(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(2);
    update(w, 0, D, 1, 10, 100); // interval 16 s: held for 56 s
    run(w, 50 * BW_S);
    assert_int_equal(via(w, D), 0);
    const struct sent *s = find(w, 0, BABEL_ROUTE_REQUEST, D); // 3.8.2.3
    assert_true(s && !s->multicast);
    run(w, 20 * BW_S);
    assert_int_equal(via(w, D), -1);
    bench_free(w);
}

// ---- requests (3.8) ----

static void answers_route_requests(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(2);
    update(w, 0, D, 1, 10, 100);
    run(w, 1 * BW_S);
    w->count = 0;
    uint8_t buf[100];
    struct babel_writer x = packet(buf);
    struct bw_prefix p = pfx(D), q = pfx("fd00:77::/64");
    assert_true(babel_write_route_request(&x, &p));
    assert_true(babel_write_route_request(&x, &q));
    push(w, 1, &x);
    run(w, 200 * BW_MS);
    const struct sent *s = find(w, 1, BABEL_UPDATE, D);
    assert_true(s && s->t.update.metric == 196);
    s = find(w, 1, BABEL_UPDATE, "fd00:77::/64");
    assert_true(s && s->t.update.metric == BABEL_INFINITY);
    w->count = 0;
    x = packet(buf);
    assert_true(babel_write_route_request(&x, NULL));
    push(w, 1, &x);
    run(w, 200 * BW_MS);
    assert_non_null(find(w, 1, BABEL_UPDATE, D));
    w->count = 0;
    for (unsigned k = 0; k < 3; k++) { // again at once: the answer comes later, and once
        push(w, 1, &x);
        run(w, 50 * BW_MS);
        assert_null(find(w, 1, BABEL_UPDATE, D));
    }
    run(w, 400 * BW_MS);
    unsigned answers = 0;
    for (unsigned k = 0; k < w->count; k++) answers += w->log[k].slot == 1 && w->log[k].t.type == BABEL_UPDATE;
    assert_int_equal(answers, 1);
    bench_free(w);
}

static void own_seqno(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(1);
    struct bw_prefix own = pfx("fc00:1::1/128");
    const uint8_t me[8] = {0xb0, [7] = 1}, other[8] = {0xb0, [7] = 2};
    assert_int_equal(w->persisted_seqno, 101 + 64); // reserved ahead
    assert_int_equal(babel_originate(w->b, &own, 0, BABEL_ANY_SLOT, w->now), 0);
    run(w, 1 * BW_S);
    w->count = 0;
    ask_seqno(w, 0, "fc00:1::1/128", me, 101, 1); // we have that
    ask_seqno(w, 0, "fc00:1::1/128", other, 5000, 1);
    run(w, 50 * BW_MS);
    assert_int_equal(find(w, 0, BABEL_UPDATE, "fc00:1::1/128")->t.update.seqno, 101);
    ask_seqno(w, 0, "fc00:1::1/128", me, 102, 1);
    run(w, 50 * BW_MS);
    assert_int_equal(find(w, 0, BABEL_UPDATE, "fc00:1::1/128")->t.update.seqno, 102);
    ask_seqno(w, 0, "fc00:1::1/128", me, 110, 1); // by one, whatever is asked for
    run(w, 50 * BW_MS);
    assert_int_equal(find(w, 0, BABEL_UPDATE, "fc00:1::1/128")->t.update.seqno, 103);
    ask_seqno(w, 0, "fc00:1::1/128", me, 110, 1); // asked again: an earlier life has been there
    run(w, 50 * BW_MS);
    assert_int_equal(find(w, 0, BABEL_UPDATE, "fc00:1::1/128")->t.update.seqno, 110);
    for (uint16_t k = 111; k < 200; k++) ask_seqno(w, 0, "fc00:1::1/128", me, k, 1);
    struct babel_totals t;
    babel_totals(w->b, &t);
    assert_int_equal(t.seqno, 199);
    assert_true(babel_seqno_less(199, w->persisted_seqno));
    assert_in_range(w->persisted, 3, 4);
    bench_free(w);
}

static void forwards_seqno_requests(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(3);
    const uint8_t id[8] = {0xc0, [7] = 1};
    update(w, 0, D, 1, 10, 100);
    run(w, 1 * BW_S);
    w->count = 0;
    ask_seqno(w, 1, D, id, 11, 1); // hop count exhausted
    run(w, 50 * BW_MS);
    assert_null(find(w, 0, BABEL_SEQNO_REQUEST, D));
    ask_seqno(w, 1, D, id, 11, 7);
    run(w, 50 * BW_MS);
    const struct sent *s = find(w, 0, BABEL_SEQNO_REQUEST, D);
    assert_true(s && !s->multicast && s->t.seqno_request.hops == 6 && s->t.seqno_request.seqno == 11);
    assert_null(find(w, 1, BABEL_SEQNO_REQUEST, D));
    assert_null(find(w, 2, BABEL_SEQNO_REQUEST, D));
    unsigned before = w->count;
    ask_seqno(w, 2, D, id, 11, 7); // the same again: not forwarded twice
    run(w, 50 * BW_MS);
    for (unsigned k = before; k < w->count; k++) assert_int_not_equal(w->log[k].t.type, BABEL_SEQNO_REQUEST);
    w->count = 0;
    update(w, 0, D, 1, 11, 100);
    run(w, 50 * BW_MS);
    s = find(w, 1, BABEL_UPDATE, D); // urgently on to all who asked
    assert_true(s && s->t.update.seqno == 11);
    assert_non_null(find(w, 2, BABEL_UPDATE, D));
    w->count = 0;
    ask_seqno(w, 1, D, id, 11, 7); // satisfied from the table
    run(w, 50 * BW_MS);
    assert_non_null(find(w, 1, BABEL_UPDATE, D));
    assert_null(find(w, 0, BABEL_SEQNO_REQUEST, D));
    ask_seqno(w, 0, D, id, 12, 7); // never back to who asks
    run(w, 2 * BW_S);
    assert_null(find(w, 0, BABEL_SEQNO_REQUEST, D));
    bench_free(w);
}

// ---- policy ----

static void what_is_not_learnt(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(1);
    static const char *const no[] = {"::/0", "0.0.0.0/0", "2001:db8::/32", "fc00::/8", "fc00::7/128", "fc12::/16", "100.64.0.0/10",
                                     "8.8.8.0/24", "fe80::/64", "ff02::/16", "127.0.0.0/8", "224.0.0.0/4", "::1/128"};
    static const char *const yes[] = {"fc12::1/128", "fc00::e/128", "fd00:5::/48", "10.5.0.0/16", "192.168.1.0/24", "172.20.0.0/16"};
    for (unsigned k = 0; k < sizeof no / sizeof *no; k++) {
        update(w, 0, no[k], 1, 1, 1);
        if (via(w, no[k]) != -1) fail_msg("learnt %s", no[k]);
    }
    for (unsigned k = 0; k < sizeof yes / sizeof *yes; k++) {
        update(w, 0, yes[k], 1, 1, 1);
        if (via(w, yes[k]) != 0) fail_msg("not learnt: %s", yes[k]);
    }
    uint8_t buf[100];
    struct babel_writer x = packet(buf);
    struct bw_prefix p = pfx("fd00:9::/64");
    assert_true(babel_write_update(&x, &p, w->cfg.router_id, 1600, 1, 1)); // our own router-id
    push(w, 0, &x);
    assert_int_equal(via(w, "fd00:9::/64"), -1);
    const struct babel_counters *c = babel_counters(w->b);
    assert_int_equal(c->drops[BABEL_DROP_OWN], 1);
    assert_int_equal(c->drops[BABEL_DROP_MARTIAN], 5);
    bench_free(w);
}

static void restricted_originations(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(2);
    struct bw_prefix v6 = pfx("::/0"), v4 = pfx("0.0.0.0/0");
    assert_int_equal(babel_originate(w->b, &v6, 0, 1, w->now), 0);
    assert_int_equal(babel_originate(w->b, &v4, 0, 1, w->now), 0);
    run(w, 1 * BW_S);
    assert_non_null(find(w, 1, BABEL_UPDATE, "::/0"));
    assert_non_null(find(w, 1, BABEL_UPDATE, "0.0.0.0/0"));
    assert_null(find(w, 0, BABEL_UPDATE, "::/0"));
    assert_int_equal(via(w, "::/0"), -1);
    w->count = 0;
    babel_withdraw(w->b, &v6, 1, w->now);
    run(w, 1 * BW_S);
    assert_int_equal(find(w, 1, BABEL_UPDATE, "::/0")->t.update.metric, BABEL_INFINITY);
    bench_free(w);
}

static void no_transit(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(2);
    struct bw_prefix own = pfx("fc00:1::1/128");
    assert_int_equal(babel_originate(w->b, &own, 0, BABEL_ANY_SLOT, w->now), 0);
    update(w, 0, D, 1, 10, 100);
    run(w, 1 * BW_S);
    w->count = 0;
    babel_set_transit(w->b, false, w->now);
    run(w, 1 * BW_S);
    assert_int_equal(find(w, 1, BABEL_UPDATE, D)->t.update.metric, BABEL_INFINITY);
    w->count = 0;
    run(w, 40 * BW_S);
    assert_null(find(w, 1, BABEL_UPDATE, D));
    assert_non_null(find(w, 1, BABEL_UPDATE, "fc00:1::1/128"));
    assert_int_equal(via(w, D), 0);
    bench_free(w);
}

// A better route that comes and goes is not followed at once (appendix A.3); a loss is.
static void hysteresis(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(2);
    update(w, 0, D, 1, 10, 100);
    update(w, 1, D, 1, 10, 150);
    run(w, 20 * BW_S);
    update(w, 0, D, 1, 11, 100);
    update(w, 1, D, 1, 11, 90); // better now, but it has not lasted
    assert_int_equal(via(w, D), 0);
    run(w, 1 * BW_S);
    assert_int_equal(via(w, D), 0);
    run(w, 15 * BW_S);
    assert_int_equal(via(w, D), 1);
    update(w, 1, D, 1, 11, BABEL_INFINITY);
    assert_int_equal(via(w, D), 0);
    bench_free(w);
}

// ---- starting and stopping ----

static void start_that_is_not_clean(void **state)
{
    (void)state;
    struct bench *w = bench_new(false, 0);
    w->auto_ack = false;
    assert_int_equal(babel_iface_add(w->b, 0, NULL, w->now), 0);
    w->hello[0] = true;
    w->next_hello = w->now + 20 * BW_MS;
    run(w, 500 * BW_MS);
    const struct sent *a = find(w, 0, BABEL_ACK_REQUEST, NULL), *u = find(w, 0, BABEL_UPDATE, NULL);
    assert_true(a && u && u->t.update.wildcard); // forget my earlier life, and say so
    update(w, 0, D, 1, 1, 1);
    assert_int_equal(via(w, D), -1);
    ack(w, 0, a->t.ack_request.opaque);
    run(w, 2400 * BW_MS);
    assert_int_equal(via(w, D), -1);
    run(w, 200 * BW_MS);
    assert_int_equal(via(w, D), 0);
    bench_free(w);
}

static void stops_properly(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(2);
    update(w, 0, D, 1, 10, 100);
    run(w, 1 * BW_S);
    w->count = 0;
    babel_shutdown(w->b, w->now + 3 * BW_S, w->now);
    run(w, 50 * BW_MS);
    const struct sent *s = find(w, 1, BABEL_UPDATE, D); // first a way that nobody wants, ...
    assert_true(s && s->t.update.metric == 196 + 4096);
    run(w, 1 * BW_S);
    assert_true(find(w, 0, BABEL_UPDATE, NULL)->t.update.wildcard); // ... then none
    assert_true(find(w, 1, BABEL_UPDATE, NULL)->t.update.wildcard);
    assert_true(babel_is_down(w->b));
    assert_int_equal(w->clean, 1);
    assert_true(babel_deadline(w->b) == BW_NEVER);
    bench_free(w);
    w = with_neighbours(2);
    w->hello[1] = false; // does not answer
    babel_shutdown(w->b, w->now + 1 * BW_S, w->now);
    run(w, 990 * BW_MS);
    assert_int_equal(w->done, 0);
    run(w, 20 * BW_MS);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->clean, 0);
    bench_free(w);
}

// ---- limits ----

static void cap_keeps_the_nearest(void **state)
{
    (void)state;
    struct bench *w = bench_new(true, 1024);
    w->auto_ack = true;
    for (unsigned k = 0; k < 2; k++) {
        assert_int_equal(babel_iface_add(w->b, (uint16_t)k, NULL, w->now), 0);
        w->hello[k] = true;
    }
    w->next_hello = w->now;
    run(w, 1 * BW_S);
    static uint16_t m[5000];
    for (unsigned k = 0; k < 5000; k++) {
        char p[64];
        m[k] = (uint16_t)(100 + bw_rng_below(&w->rng, 20000));
        snprintf(p, sizeof p, "fc12::%x:%x/128", k / 256 + 1, k % 256 + 1);
        update(w, 0, p, 1, 1, m[k]);
        if (k % 100 == 0) run(w, 20 * BW_MS);
    }
    struct babel_totals t;
    babel_totals(w->b, &t);
    assert_in_range(t.selected, 1000, 1024);
    unsigned kept = 0, wrong = 0, below = 0;
    for (unsigned k = 0; k < 5000; k++) { // all that are clearly nearer than the 1,024th are there
        char p[64];
        snprintf(p, sizeof p, "fc12::%x:%x/128", k / 256 + 1, k % 256 + 1);
        bool have = via(w, p) == 0;
        kept += have;
        below += m[k] < 3600;
        if (m[k] < 3600 && !have) wrong++;
        if (m[k] > 5200 && have) wrong++;
    }
    fprintf(stderr, "cap 1024 of 5000: %u kept, %u clearly near, %u wrong, %llu evicted\n", kept, below, wrong, (unsigned long long)babel_counters(w->b)->evicted);
    assert_true(kept <= 1024 && kept >= 1000);
    assert_int_equal(wrong, 0);
    w->count = 0;
    run(w, 1 * BW_S);
    for (unsigned k = 0; k < w->count; k++) assert_int_not_equal(w->log[k].t.type, BABEL_SEQNO_REQUEST); // nothing for what is not kept
    bench_free(w);
}

// Slot 0 is honest, slot 1 invents destinations that are near.
static struct bench *with_cap(uint32_t cap)
{
    struct bench *w = bench_new(true, cap);
    w->auto_ack = true;
    for (unsigned k = 0; k < 3; k++) {
        assert_int_equal(babel_iface_add(w->b, (uint16_t)k, NULL, w->now), 0);
        w->hello[k] = true;
    }
    w->next_hello = w->now;
    run(w, 1 * BW_S);
    return w;
}
static void updates(struct bench *w, unsigned slot, unsigned from, unsigned count, uint16_t metric)
{
    for (unsigned k = from; k < from + count; k++) {
        char p[64];
        snprintf(p, sizeof p, "fc12::%x:%x/128", slot + 1, k);
        update(w, slot, p, (uint8_t)(slot + 1), 1, metric);
        if (k % 100 == 0) run(w, 20 * BW_MS);
    }
}
static unsigned known(struct bench *w, unsigned slot, unsigned from, unsigned count)
{
    unsigned n = 0;
    for (unsigned k = from; k < from + count; k++) {
        char p[64];
        snprintf(p, sizeof p, "fc12::%x:%x/128", slot + 1, k);
        n += via(w, p) == (int)slot;
    }
    return n;
}

static void cap_is_shared(void **state)
{
    (void)state;
    struct bench *w = with_cap(1024);
    update(w, 0, "fc00::e/128", 9, 1, 9000);
    updates(w, 0, 0, 600, 5000);
    updates(w, 1, 0, 3000, 1);
    assert_in_range(known(w, 1, 0, 3000), 511, 513); // its share, all the same
    assert_in_range(known(w, 0, 0, 600), 500, 513);
    assert_int_equal(via(w, "fc00::e/128"), 0);
    update(w, 2, "fc12::3:1/128", 3, 1, 20000); // a third comes late and is far away
    run(w, 1 * BW_S);
    assert_int_equal(via(w, "fc12::3:1/128"), 2);
    updates(w, 2, 2, 10, 20000);
    run(w, 1 * BW_S);
    assert_int_equal(known(w, 2, 1, 11), 11);
    babel_iface_remove(w->b, 1, w->now); // what it held is free
    updates(w, 0, 0, 600, 5000);
    assert_int_equal(known(w, 0, 0, 600), 600);
    bench_free(w);

    w = with_cap(1024); // it comes first and takes all
    updates(w, 1, 0, 3000, 1);
    assert_int_equal(known(w, 1, 0, 3000), 1024);
    update(w, 0, "fc00::e/128", 9, 1, 9000);
    assert_int_equal(via(w, "fc00::e/128"), 0);
    updates(w, 0, 0, 600, 5000);
    run(w, 2 * BW_S);
    assert_in_range(known(w, 0, 0, 600), 250, 513);
    bench_free(w);
}

// What has no place is known all the same: it takes one that becomes free, the nearest first, without having been announced again.
static void spares_take_free_places(void **state)
{
    (void)state;
    struct bench *w = with_cap(32);
    for (unsigned k = 0; k < 48; k++) updates(w, 0, k, 1, (uint16_t)(1000 + 100 * k));
    assert_int_equal(known(w, 0, 0, 32), 32);
    assert_int_equal(known(w, 0, 32, 16), 0);
    w->count = 0;
    updates(w, 0, 3, 2, BABEL_INFINITY);
    updates(w, 0, 40, 1, 2000); // nearer now: at once
    assert_int_equal(known(w, 0, 40, 1), 1);
    run(w, 1100 * BW_MS);
    assert_int_equal(known(w, 0, 0, 32), 30);
    assert_int_equal(known(w, 0, 32, 1), 1);
    assert_int_equal(known(w, 0, 33, 15), 1); // number 40
    assert_non_null(find(w, 1, BABEL_UPDATE, "fc12::1:20/128"));
    assert_null(find(w, 1, BABEL_UPDATE, "fc12::1:21/128"));
    updates(w, 0, 32, 16, BABEL_INFINITY);
    updates(w, 0, 33, 1, 900); // another life, and again there is room
    assert_int_equal(known(w, 0, 33, 1), 1);
    bench_free(w);
}

// What is due to a link whatever the distance goes to its nearest, stays reserved while it offers nothing, and ends with it.
static void what_is_due_stays_reserved(void **state)
{
    (void)state;
    struct bench *w = with_cap(64);
    updates(w, 0, 0, 80, 1000);
    assert_int_equal(known(w, 0, 0, 80), 64);
    updates(w, 1, 0, 80, 9000);
    updates(w, 1, 80, 8, 8000);
    run(w, 2 * BW_S);
    assert_int_equal(known(w, 1, 0, 88), 16); // half of half
    assert_int_equal(known(w, 1, 80, 8), 8);
    assert_int_equal(known(w, 0, 0, 80), 48);
    updates(w, 1, 0, 88, BABEL_INFINITY);
    run(w, 2 * BW_S);
    assert_int_equal(known(w, 0, 0, 80), 48);
    updates(w, 1, 0, 20, 9000);
    run(w, 2 * BW_S);
    assert_int_equal(known(w, 1, 0, 20), 16);
    assert_int_equal(known(w, 0, 0, 80), 48);
    babel_iface_remove(w->b, 1, w->now);
    run(w, 2 * BW_S);
    assert_int_equal(known(w, 0, 0, 80), 64);
    bench_free(w);
}

// Destinations that come and go leave feasibility distances behind, which stay for minutes: nor do those crowd out others.
static void cap_on_what_is_kept_is_shared(void **state)
{
    (void)state;
    struct bench *w = with_cap(256);
    updates(w, 0, 0, 10, 5000);
    run(w, 200 * BW_MS);
    for (unsigned k = 0; k < 20000; k += 50) {
        updates(w, 1, k, 50, 1);
        run(w, 100 * BW_MS); // announced
        updates(w, 1, k, 50, BABEL_INFINITY);
    }
    updates(w, 0, 10, 100, 5000);
    assert_int_equal(known(w, 0, 0, 110), 110);
    assert_true(babel_counters(w->b)->drops[BABEL_DROP_CAP] > 1000);
    bench_free(w);
}

struct failing {
    struct bw_mem mem;
    long left;
};
static void *failing_resize(struct bw_mem *m, void *old, size_t old_size, size_t size)
{
    struct failing *f = (struct failing *)m;
    (void)old_size;
    if (!size) {
        free(old);
        return NULL;
    }
    return f->left-- <= 0 ? NULL : realloc(old, size);
}

// The n-th allocation fails, and all after it: nothing breaks, nothing leaks.
static void without_memory(void **state)
{
    (void)state;
    for (long n = 0; n < 60; n++) {
        struct failing f = {.mem = {.resize = failing_resize}, .left = n};
        struct bench *w = calloc(1, sizeof *w);
        static const struct babel_ops ops = {.send = on_send, .route_changed = on_route, .neighbour_changed = on_neighbour};
        uint8_t seed[32] = {7};
        bw_rng_seed(&w->rng, seed);
        w->now = 5 * BW_S;
        w->hello_ms = 4000;
        w->auto_ack = true;
        w->cost[0] = w->cost[1] = 96;
        w->cfg = (struct babel_config){.router_id = {0xb0, [7] = 1}, .linklocal = ll(1), .clean_start = true};
        w->b = babel_new(&w->cfg, &ops, w, &f.mem, &w->rng, NULL, w->now);
        if (w->b) {
            for (unsigned k = 0; k < 2; k++) w->hello[k] = !babel_iface_add(w->b, (uint16_t)k, NULL, w->now);
            struct bw_prefix own = pfx("fc00:1::1/128"), def = pfx("::/0");
            (void)!babel_originate(w->b, &own, 0, BABEL_ANY_SLOT, w->now);
            (void)!babel_originate(w->b, &def, 0, 1, w->now);
            w->next_hello = w->now;
            run(w, 1 * BW_S);
            for (unsigned k = 0; k < 100; k++) {
                char p[64];
                snprintf(p, sizeof p, "fc12::%x/128", k + 1);
                update(w, k & 1, p, (uint8_t)(k & 7), 1, 100);
                update(w, !(k & 1), p, (uint8_t)(k & 3), 1, 90);
                update(w, k & 1, p, 9, 1, BABEL_INFINITY);
            }
            run(w, 60 * BW_S);
            babel_free(w->b);
        }
        assert_int_equal(f.mem.used, 0);
        free(w);
    }
}

// A route changes to another router-id while there is no memory for another source: destination and all go, during the update.
static void source_without_memory(void **state)
{
    (void)state;
    struct failing f = {.mem = {.resize = failing_resize}, .left = 1000};
    struct bench *w = calloc(1, sizeof *w);
    static const struct babel_ops ops = {.send = on_send, .route_changed = on_route, .neighbour_changed = on_neighbour};
    uint8_t seed[32] = {7};
    bw_rng_seed(&w->rng, seed);
    w->now = 5 * BW_S;
    w->hello_ms = 4000;
    w->auto_ack = true;
    w->cost[0] = 96;
    w->cfg = (struct babel_config){.router_id = {0xb0, [7] = 1}, .linklocal = ll(1), .clean_start = true};
    w->b = babel_new(&w->cfg, &ops, w, &f.mem, &w->rng, NULL, w->now);
    w->hello[0] = !babel_iface_add(w->b, 0, NULL, w->now);
    w->next_hello = w->now;
    run(w, 2 * BW_S);
    update(w, 0, D, 1, 1, 10); // comes and goes back to where it came from: never announced to anybody
    assert_int_equal(via(w, D), 0);
    run(w, 6 * BW_S); // nobody looks at it again
    f.left = 0;
    update(w, 0, D, 2, 1, 10);
    assert_int_equal(via(w, D), -1);
    assert_int_equal(babel_counters(w->b)->drops[BABEL_DROP_NOMEM], 1);
    f.left = 1000;
    update(w, 0, D, 2, 1, 10);
    assert_int_equal(via(w, D), 0);
    babel_free(w->b);
    assert_int_equal(f.mem.used, 0);
    free(w);
}

static void counts_what_it_drops(void **state)
{
    (void)state;
    struct bench *w = with_neighbours(1);
    struct bw_addr a = ll(10), global = {{0x20, 1}}, me = ll(1), stranger = ll(200);
    const struct babel_counters *c = babel_counters(w->b);
    babel_rx(w->b, 0, &a, (const uint8_t *)"\x2a\x01\0\0", 4, w->now);
    babel_rx(w->b, 9, &a, (const uint8_t *)"\x2a\x02\0\0", 4, w->now);
    babel_rx(w->b, 0, &global, (const uint8_t *)"\x2a\x02\0\0", 4, w->now);
    babel_rx(w->b, 0, &me, (const uint8_t *)"\x2a\x02\0\0", 4, w->now);
    babel_rx(w->b, 0, &a, (const uint8_t *)"\x2a\x02\0\4\x20\1\0\x08", 8, w->now); // unknown type, then a TLV too long
    babel_rx(w->b, 0, &stranger, (const uint8_t *)"\x2a\x02\0\4\3\2\1\1", 8, w->now);
    assert_int_equal(c->drops[BABEL_DROP_HEADER], 1);
    assert_int_equal(c->drops[BABEL_DROP_SOURCE], 3);
    assert_int_equal(c->drops[BABEL_DROP_UNKNOWN], 1);
    assert_int_equal(c->drops[BABEL_DROP_MALFORMED], 1);
    assert_int_equal(c->drops[BABEL_DROP_NO_NEIGHBOUR], 1);
    assert_string_equal(babel_drop_name(BABEL_DROP_NO_NEIGHBOUR), "no_neighbour");
    assert_string_equal(babel_tlv_name(BABEL_IHU), "ihu");
    bench_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_neighbours), cmocka_unit_test(link_needs_both_directions), cmocka_unit_test(silent_stock_neighbour_dies),
        cmocka_unit_test(byway_neighbour_dies_at_first_contact),
        cmocka_unit_test(stock_neighbour_that_restarts), cmocka_unit_test(byway_neighbour_that_restarts),
        cmocka_unit_test(byway_neighbour_that_restarts_as_stock), cmocka_unit_test(acknowledges),
        cmocka_unit_test(announces_and_retracts), cmocka_unit_test(wildcard_retraction), cmocka_unit_test(unacknowledged_updates_are_repeated),
        cmocka_unit_test(feasibility), cmocka_unit_test(feasibility_wraps), cmocka_unit_test(unfeasible_update_of_selected),
        cmocka_unit_test(sources_are_collected), cmocka_unit_test(routes_expire), cmocka_unit_test(answers_route_requests),
        cmocka_unit_test(own_seqno), cmocka_unit_test(forwards_seqno_requests), cmocka_unit_test(what_is_not_learnt),
        cmocka_unit_test(restricted_originations), cmocka_unit_test(no_transit), cmocka_unit_test(hysteresis),
        cmocka_unit_test(start_that_is_not_clean), cmocka_unit_test(stops_properly), cmocka_unit_test(cap_keeps_the_nearest),
        cmocka_unit_test(cap_is_shared), cmocka_unit_test(cap_on_what_is_kept_is_shared), cmocka_unit_test(spares_take_free_places),
        cmocka_unit_test(what_is_due_stays_reserved),
        cmocka_unit_test(without_memory), cmocka_unit_test(source_without_memory), cmocka_unit_test(counts_what_it_drops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
