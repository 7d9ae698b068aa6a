// End-to-end sessions in the node: their messages are routed by Babel like anybody's packets, keys are looked up among the
// neighbours before anybody is asked, and the packet path hears of new keys with the next snapshot.
#include "core/node/node_private.h"

#include <stdio.h>

static bool on_send(void *ctx, const struct bw_addr *to, const uint8_t *packet, size_t len)
{
    struct node *n = ctx;
    struct bw_prefix p = bw_prefix_host(to);
    struct babel_route r;
    if (!babel_lookup(n->babel, &p, &r) || r.own || r.metric == BABEL_INFINITY) return false;
    n->out.to_link(n->out.ctx, r.slot, packet, len);
    return true;
}

static void on_deliver(void *ctx, const uint8_t *packet, size_t len)
{
    struct node *n = ctx;
    if (n->out.to_tun) n->out.to_tun(n->out.ctx, packet, len);
}

static void on_changed(void *ctx)
{
    struct node *n = ctx;
    n->keys_changed = true;
}

static int on_persist(void *ctx, uint64_t high)
{
    struct node *n = ctx;
    return n->out.persist ? n->out.persist(n->out.ctx, NODE_SESSION_TAI, high) : 0;
}

static bool on_find_key(void *ctx, const struct bw_addr *addr, uint8_t key[BW_KEY_LEN])
{
    struct node *n = ctx;
    struct link_info l;
    for (int slot = -1; (slot = linkset_next(n->links, slot)) >= 0;) {
        if (linkset_info(n->links, (uint16_t)slot, &l) || !bw_addr_eq(&l.addr, addr)) continue;
        memcpy(key, l.key, BW_KEY_LEN);
        return true;
    }
    return n->out.find_key && n->out.find_key(n->out.ctx, addr, key);
}

static void on_keep_key(void *ctx, const struct bw_addr *addr, const uint8_t key[BW_KEY_LEN])
{
    struct node *n = ctx;
    if (n->out.keep_key) n->out.keep_key(n->out.ctx, addr, key);
}

static void on_keylog(void *ctx, const char *line)
{
    struct node *n = ctx;
    n->out.keylog(n->out.ctx, line);
}

static void on_told(void *ctx, const struct bw_addr *addr, enum session_state s)
{
    char text[BW_ADDR_TEXT];
    node_event(ctx, s == SESSION_UP ? "session-up" : "session-down", "{\"address\":\"%s\"}", bw_addr_text(addr, text));
}

bool node_make_sessions(struct node *n, const struct node_config *c)
{
    struct sessions_config sc = {.identity = c->id, .threads = c->threads, .aes = c->aes, .tai_high = c->session_tai};
    struct sessions_ops ops = {.ctx = n, .send = on_send, .deliver = on_deliver, .changed = on_changed, .persist_tai = on_persist,
                               .find_key = on_find_key, .keep_key = on_keep_key, .told = on_told,
                               .keylog = n->out.keylog ? on_keylog : NULL};
    n->sessions = sessions_new(n->mem, n->rng, n->log, &sc, &ops);
    return n->sessions;
}

void node_session_punt(struct node *n, const struct fwd_punt *p)
{
    struct sessions *ss = n->sessions;
    switch (p->kind) {
    case FWD_PUNT_SESSION: sessions_rx(ss, p->link, &p->inner_src, p->data, p->len, n->now); break;
    case FWD_PUNT_SESSION_SPI: sessions_rx_esp(ss, p->link, p->data, p->len, n->now); break;
    case FWD_PUNT_SESSION_CONFIRM: sessions_confirm(ss, p->local_index, n->now); break;
    case FWD_PUNT_SESSION_ERROR: sessions_icmp_error(ss, p->data, p->len, n->now); break;
    default: sessions_send(ss, &p->inner_dst, p->data, p->len, n->now);
    }
}

// ---- views ----

static void fill(struct view_session *v, const struct session_info *i, bw_time now)
{
    bool up = i->state == SESSION_UP;
    *v = (struct view_session){.address = i->addr, .age_s = -1, .rtt_us = i->rtt_us, .rx_bytes = i->rx_bytes, .tx_bytes = i->tx_bytes};
    snprintf(v->state, sizeof v->state, "%s", session_state_name(i->state));
    snprintf(v->cipher, sizeof v->cipher, "%s", up ? sa_cipher_name(i->cipher) : "none");
    if (up) v->age_s = (int64_t)((now - bw_time_min(now, i->up_since)) / BW_S);
}

void node_view_session(struct node *n, const struct bw_addr *a, struct view_session *out, bw_time now)
{
    struct session_info i;
    n->now = now;
    if (!sessions_info(n->sessions, a, &i)) {
        fill(out, &i, now);
        return;
    }
    *out = (struct view_session){.address = *a, .state = "none", .cipher = "none", .age_s = -1, .rtt_us = -1};
}

struct list {
    view_session_fn *fn;
    void *ctx;
    bw_time now;
};

static void session_view(void *ctx, const struct session_info *i)
{
    const struct list *l = ctx;
    struct view_session v;
    fill(&v, i, l->now);
    l->fn(l->ctx, &v);
}

// Stock neighbours have no sessions: what is exchanged with them is plain IP over the encrypted hop, and the list says so.
static void stock_view(struct node *n, const struct list *l)
{
    for (int slot = -1; (slot = linkset_next(n->links, slot)) >= 0;) {
        struct link_info i;
        if (linkset_info(n->links, (uint16_t)slot, &i) || i.kind != LINK_KIND_STOCK || i.state != LINK_UP) continue;
        struct view_session v = {.address = bw_addr_is_zero(&i.addr) ? i.endpoint.addr : i.addr, .age_s = -1, .rtt_us = -1};
        snprintf(v.state, sizeof v.state, "plain");
        snprintf(v.cipher, sizeof v.cipher, "none");
        if (i.shared) {
            v.rx_bytes = atomic_load_explicit(&i.shared->rx_bytes, memory_order_relaxed);
            v.tx_bytes = atomic_load_explicit(&i.shared->tx_bytes, memory_order_relaxed);
        }
        l->fn(l->ctx, &v);
    }
}

void node_view_sessions(struct node *n, view_session_fn *fn, void *ctx, bw_time now)
{
    struct list l = {fn, ctx, now};
    n->now = now;
    sessions_each(n->sessions, session_view, &l);
    stock_view(n, &l);
}

static void count(view_counter_fn *fn, void *ctx, const char *name, const char *label, const char *value, uint64_t n)
{
    struct view_counter c = {name, label, value, n};
    fn(ctx, &c);
}

void node_session_counters(struct node *n, view_counter_fn *fn, void *ctx)
{
    struct sessions_stats s;
    sessions_stats(n->sessions, &s);
    for (int i = 0; i < SESSION_DROP_COUNT; i++)
        count(fn, ctx, "byway_sessions_dropped_total", "reason", session_drop_name((enum session_drop)i),
              sessions_drops(n->sessions, (enum session_drop)i));
    count(fn, ctx, "byway_session_handshakes_total", NULL, NULL, s.handshakes);
    count(fn, ctx, "byway_session_notices_sent_total", NULL, NULL, s.notices_sent);
    count(fn, ctx, "byway_session_notices_received_total", NULL, NULL, s.notices_received);
    count(fn, ctx, "byway_session_cookies_sent_total", NULL, NULL, s.cookies_sent);
    count(fn, ctx, "byway_session_questions_sent_total", NULL, NULL, s.questions_sent);
    count(fn, ctx, "byway_session_errors_translated_total", NULL, NULL, s.errors_translated);
}
