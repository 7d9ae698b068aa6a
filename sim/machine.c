// A node's machine: its packet path, and what its node wants done.
#include <stdio.h>
#include <stdlib.h>

#include "core/discover/discover.h"
#include "core/fwd/vnet.h"
#include "sim/world.h"

static uint32_t wire_of_addr(const struct bw_addr *a)
{
    return (uint32_t)a->b[12] << 24 | (uint32_t)a->b[13] << 16 | (uint32_t)a->b[14] << 8 | a->b[15];
}

static void send_to(struct world *w, uint32_t from, const struct bw_endpoint *to, uint32_t ifindex, const uint8_t *p, size_t n)
{
    uint32_t link = bw_addr_is_multicast(&to->addr) ? ifindex - 1 : wire_of_addr(&to->addr);
    if (link >= w->link_count) return;
    const struct world_link *l = &w->links[link];
    if (l->a == from || l->b == from) world_carry(w, from, link, p, n);
}

int64_t world_wire_of(const struct world *w, uint32_t node, const struct fwd_link *l)
{
    uint32_t link = wire_of_addr(&l->remote.addr);
    if (!l->used || !l->remote.port || link >= w->link_count) return -1;
    return w->links[link].a == node || w->links[link].b == node ? (int64_t)link : -1;
}

// ---- the packet path ----

// A snapshot may still be in use by the call that led to its successor: it goes when that call is over.
void machine_retire(struct world *w, struct fwd_snapshot *s)
{
    if (!s) return;
    BW_ASSERT(w->retired_count < sizeof w->retired / sizeof *w->retired);
    w->retired[w->retired_count++] = s;
}

static void path_wire(void *ctx, const struct fwd_train *t)
{
    struct world_node *n = ctx;
    for (uint32_t at = 0; at < t->len; at += t->seg)
        send_to(n->world, n->index, &t->remote, t->ifindex, t->data + at, t->len - at < t->seg ? t->len - at : t->seg);
}

static void path_tun(void *ctx, const struct fwd_piece *pieces, unsigned count)
{
    struct world_node *node = ctx;
    struct world *w = node->world;
    uint8_t frame[VNET_LEN + 65536];
    size_t n = 0;
    for (unsigned i = 0; i < count && n + pieces[i].len <= sizeof frame; i++) {
        memcpy(frame + n, pieces[i].base, pieces[i].len);
        n += pieces[i].len;
    }
    node->delivered++;
    if (w->hooks.tun && n > VNET_LEN) w->hooks.tun(w->hooks.ctx, node->index, frame + VNET_LEN, n - VNET_LEN);
}

static void path_punt(void *ctx, const struct fwd_punt *p)
{
    struct world_node *n = ctx;
    if (n->node) node_punt(n->node, p, world_local(n), clock_wall_ns(&n->clock, n->world->now));
}

struct fwd *machine_path(struct world_node *n)
{
    struct fwd_sink sink = {n, path_wire, path_tun, path_punt};
    if (n->fwd) return n->fwd;
    void *memory = aligned_alloc(64, (fwd_size() + 63) / 64 * 64);
    return n->fwd = memory ? fwd_init(memory, 0, &sink) : NULL;
}

void machine_receive(struct world *w, struct world_node *n, const struct event *e)
{
    const struct world_link *l = &w->links[e->link];
    if (!e->len || !n->node) return;
    uint32_t ifindex = e->link + 1;
    struct fwd_train t = {.data = e->data, .len = (uint32_t)e->len, .seg = (uint16_t)e->len, .ifindex = ifindex,
                          .remote = {.addr = world_wire_addr(world_other(l, n->index), e->link, l->far), .port = DISCOVER_PORT,
                                     .scope = l->far ? 0 : ifindex}};
    if (n->snapshot) fwd_from_wire(n->fwd, n->snapshot, &t, 1, world_local(n));
    world_turn(w, n);
}

void world_inject(struct world *w, uint32_t node, const uint8_t *packet, size_t n)
{
    uint8_t frame[VNET_LEN + 2048] = {0};
    struct world_node *wn = &w->nodes[node];
    if (!wn->snapshot || n > 2048) return;
    memcpy(frame + VNET_LEN, packet, n);
    w->current = node;
    fwd_from_tun(wn->fwd, wn->snapshot, frame, VNET_LEN + n, world_local(wn));
    fwd_flush(wn->fwd);
    world_turn(w, wn);
}

// ---- what nodes want done ----

static void out_send(void *ctx, const struct bw_endpoint *to, uint32_t ifindex, const uint8_t *p, size_t n)
{
    struct world_node *wn = ctx;
    send_to(wn->world, wn->index, to, ifindex, p, n);
}

static void out_to_link(void *ctx, uint16_t slot, const uint8_t *packet, size_t n)
{
    struct world_node *wn = ctx;
    const struct world_hooks *h = &wn->world->hooks;
    bool sent = wn->snapshot && !fwd_to_link(wn->fwd, wn->snapshot, slot, packet, n, world_local(wn));
    if (sent && h->said) h->said(h->ctx, wn->index, packet, n);
}

static void out_publish(void *ctx, struct fwd_snapshot *s)
{
    struct world_node *wn = ctx;
    struct world *w = wn->world;
    struct fwd_snapshot *old = wn->snapshot;
    wn->snapshot = s;
    machine_retire(w, old);
    if (w->hooks.routes) w->hooks.routes(w->hooks.ctx, wn->index, old);
}

static int out_persist(void *ctx, enum node_number what, uint64_t value)
{
    struct world_node *wn = ctx;
    wn->numbers[what] = value;
    return 0;
}

static void out_probe(void *ctx, unsigned family, uint32_t serial, uint32_t timeout_ms)
{
    struct world_node *wn = ctx;
    (void)timeout_ms;
    struct event e = {.at = wn->world->now + 20 * BW_MS, .kind = EVENT_PROBE, .node = wn->index, .life = wn->life, .link = family, .len = serial};
    if (wn->uplink) (void)!events_push(&wn->world->events, &e); // else: no answer
}

// ---- HTTP between nodes: whole requests, not packets ----

#define HOP_TIME (5 * BW_MS) // takes this long per hop, if the way exists

struct sim_http {
    uint32_t asker, asker_life, serial;
    struct bw_addr from;
    int status;
    char method[8], path[64];
    size_t len;
    char body[];
};

static void push_http(struct world *w, struct event e, const struct sim_http *q)
{
    e.data = malloc(e.len);
    if (!e.data) return;
    memcpy(e.data, q, e.len);
    if (events_push(&w->events, &e)) free(e.data);
}

static void out_http(void *ctx, uint32_t serial, const struct exitc_http *r)
{
    struct world_node *wn = ctx;
    struct world *w = wn->world;
    uint32_t to;
    int hops = world_trace(w, wn->index, &r->to, &to);
    if (hops < 0) return; // no answer: the asker's own timer ends it
    struct sim_http *q = calloc(1, sizeof *q + r->len);
    if (!q) return;
    *q = (struct sim_http){.asker = wn->index, .asker_life = wn->life, .serial = serial, .from = wn->id.addr, .len = r->len};
    snprintf(q->method, sizeof q->method, "%s", r->method);
    snprintf(q->path, sizeof q->path, "%s", r->path);
    if (r->len) memcpy(q->body, r->body, r->len);
    push_http(w, (struct event){.at = w->now + (bw_time)(hops + 1) * HOP_TIME, .kind = EVENT_HTTP_REQUEST, .node = to, .len = sizeof *q + r->len}, q);
    free(q);
}

void machine_http(struct world *w, struct world_node *n, const struct event *e)
{
    const struct sim_http *q = e->data;
    size_t cap = OFFER_ANSWER_MAX, len = 0;
    uint32_t back;
    int hops = world_trace(w, n->index, &q->from, &back);
    struct sim_http *a = calloc(1, sizeof *a + cap);
    if (!n->node || hops < 0 || back != q->asker || !a) {
        free(a);
        return;
    }
    a->serial = q->serial;
    if (!strcmp(q->path, "/v1/peer-info")) {
        a->status = 200;
        len = (size_t)snprintf(a->body, cap, "{\"name\":\"n%u\"}", n->index + 1);
    } else {
        a->status = node_request(n->node, &q->from, q->method, q->path, q->body, q->len, a->body, cap, &len, world_local(n));
    }
    a->len = len;
    push_http(w, (struct event){.at = w->now + (bw_time)(hops + 1) * HOP_TIME, .kind = EVENT_HTTP_REPLY, .node = q->asker,
                                .life = q->asker_life, .len = sizeof *a + len}, a);
    free(a);
    world_turn(w, n);
}

void machine_answered(struct world *w, struct world_node *n, const struct event *e)
{
    const struct sim_http *a = e->data;
    if (n->node) node_http_done(n->node, a->serial, a->status, a->body, a->len, world_local(n));
    world_turn(w, n);
}

struct node_out machine_out(struct world_node *n)
{
    return (struct node_out){.ctx = n, .send = out_send, .to_link = out_to_link, .publish = out_publish,
                             .persist = out_persist, .probe = out_probe, .http = out_http};
}

// ---- the way that packets take ----

int world_trace(const struct world *w, uint32_t from, const struct bw_addr *dst, uint32_t *last)
{
    uint32_t at = from;
    for (uint32_t hops = 0; hops <= w->node_count; hops++) {
        const struct world_node *n = &w->nodes[at];
        if (!n->snapshot) return BW_ERR_NOTFOUND;
        if (bw_addr_eq(dst, &n->id.addr) || (bw_addr_eq(dst, &bw_addr_any_exit) && n->snapshot->sharing)) {
            *last = at;
            return (int)hops;
        }
        const struct fwd_route *r = fwd_lookup(n->snapshot, dst, false);
        if (!r || r->target != FWD_TO_LINK || r->link >= n->snapshot->link_count) return BW_ERR_NOTFOUND;
        int64_t wire = world_wire_of(w, at, &n->snapshot->links[r->link]);
        if (wire < 0) return BW_ERR_NOTFOUND;
        at = world_other(&w->links[wire], at);
    }
    return BW_ERR_REPLAY;
}
