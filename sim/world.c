#include "sim/world.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/discover/discover.h"
#include "core/fwd/vnet.h"

// ---- nodes by their next deadline: an indexed heap ----

static void place(struct world *w, uint32_t at, uint32_t node)
{
    w->wakes[at] = node;
    w->nodes[node].heap_at = at;
}

static void wake_at(struct world *w, struct world_node *n, bw_time when)
{
    if (when < w->now) when = w->now;
    n->wake = when;
    uint32_t i = n->heap_at;
    while (i && w->nodes[w->wakes[(i - 1) / 2]].wake > when) {
        place(w, i, w->wakes[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (uint32_t kid; (kid = 2 * i + 1) < w->node_count; i = kid) {
        if (kid + 1 < w->node_count && w->nodes[w->wakes[kid + 1]].wake < w->nodes[w->wakes[kid]].wake) kid++;
        if (w->nodes[w->wakes[kid]].wake >= when) break;
        place(w, i, w->wakes[kid]);
    }
    place(w, i, n->index);
}

static uint64_t wall(const struct world *w)
{
    return w->unix_ns + w->now * 1000;
}

static void turn(struct world *w, struct world_node *n)
{
    if (!n->node) return;
    node_tick(n->node, w->now, wall(w));
    wake_at(w, n, node_deadline(n->node));
    if (!node_stopped(n->node, w->now)) return;
    n->clean = node_stopped_clean(n->node);
    world_crash(w, n->index);
}

// ---- wires ----

static struct bw_addr wire_addr(uint32_t node, uint32_t link)
{
    struct bw_addr a = {{0xfe, 0x80}};
    for (int i = 0; i < 4; i++) {
        a.b[8 + i] = (uint8_t)(node >> (24 - 8 * i));
        a.b[12 + i] = (uint8_t)(link >> (24 - 8 * i));
    }
    return a;
}

static void carry(struct world *w, uint32_t from, uint32_t link, const uint8_t *p, size_t n)
{
    struct world_link *l = &w->links[link];
    unsigned way = l->a == from ? 0 : 1;
    l->packets++;
    l->bytes += n;
    if (l->cut[way] || (l->loss_ppm && bw_rng_below(&w->rng, 1000000) < l->loss_ppm)) return;
    int copies = l->dup_ppm && bw_rng_below(&w->rng, 1000000) < l->dup_ppm ? 2 : 1;
    while (copies--) {
        struct event e = {.at = w->now + l->delay_us, .kind = EVENT_DATAGRAM, .node = way ? l->a : l->b, .link = link, .len = n};
        if (l->jitter_us) e.at += bw_rng_below(&w->rng, l->jitter_us);
        e.data = malloc(n ? n : 1);
        if (!e.data) return;
        memcpy(e.data, p, n);
        if (events_push(&w->events, &e)) free(e.data);
    }
}

static bool touches(const struct world_link *l, uint32_t node)
{
    return l->a == node || l->b == node;
}

static void send_to(struct world *w, uint32_t from, const struct bw_endpoint *to, uint32_t ifindex, const uint8_t *p, size_t n)
{
    uint32_t link = (ifindex ? ifindex : to->scope) - 1;
    if (link < w->link_count && touches(&w->links[link], from)) carry(w, from, link, p, n);
}

// ---- the packet path ----

// A snapshot may still be in use by the call that led to its successor: it goes when that call is over.
static void retire(struct world *w, struct fwd_snapshot *s)
{
    if (!s) return;
    BW_ASSERT(w->retired_count < sizeof w->retired / sizeof *w->retired);
    w->retired[w->retired_count++] = s;
}

static void free_retired(struct world *w)
{
    while (w->retired_count) fwd_snapshot_free(w->retired[--w->retired_count]);
}

static void path_wire(void *ctx, const struct fwd_train *t)
{
    struct world *w = ctx;
    for (uint32_t at = 0; at < t->len; at += t->seg)
        send_to(w, w->current, &t->remote, t->ifindex, t->data + at, t->len - at < t->seg ? t->len - at : t->seg);
}

static void path_tun(void *ctx, const struct fwd_piece *pieces, unsigned count)
{
    struct world *w = ctx;
    uint8_t frame[VNET_LEN + 65536];
    size_t n = 0;
    for (unsigned i = 0; i < count && n + pieces[i].len <= sizeof frame; i++) {
        memcpy(frame + n, pieces[i].base, pieces[i].len);
        n += pieces[i].len;
    }
    w->nodes[w->current].delivered++;
    if (w->on_tun && n > VNET_LEN) w->on_tun(w->ctx, w->current, frame + VNET_LEN, n - VNET_LEN);
}

static void path_punt(void *ctx, const struct fwd_punt *p)
{
    struct world *w = ctx;
    struct world_node *n = &w->nodes[w->current];
    if (n->node) node_punt(n->node, p, w->now, wall(w));
}

static void receive(struct world *w, struct world_node *n, const struct event *e)
{
    struct world_link *l = &w->links[e->link];
    uint32_t other = l->a == n->index ? l->b : l->a;
    struct fwd_train t = {.data = e->data, .len = (uint32_t)e->len, .seg = (uint16_t)e->len, .ifindex = e->link + 1,
                          .remote = {.addr = wire_addr(other, e->link), .port = DISCOVER_PORT, .scope = e->link + 1}};
    if (!e->len || !n->node) return;
    w->current = n->index;
    if (n->snapshot) fwd_from_wire(w->fwd, n->snapshot, &t, 1, w->now);
    turn(w, n);
}

void world_inject(struct world *w, uint32_t node, const uint8_t *packet, size_t n)
{
    uint8_t frame[VNET_LEN + 2048] = {0};
    struct world_node *wn = &w->nodes[node];
    if (!wn->snapshot || n > 2048) return;
    memcpy(frame + VNET_LEN, packet, n);
    w->current = node;
    fwd_from_tun(w->fwd, wn->snapshot, frame, VNET_LEN + n, w->now);
    fwd_flush(w->fwd);
    turn(w, wn);
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
    wn->world->current = wn->index;
    if (wn->snapshot) (void)!fwd_to_link(wn->world->fwd, wn->snapshot, slot, packet, n, wn->world->now);
}

static void out_to_tunnel(void *ctx, const struct bw_addr *peer, const uint8_t *packet, size_t n)
{
    struct world_node *wn = ctx;
    wn->world->current = wn->index;
    if (wn->snapshot) (void)!fwd_to_tunnel(wn->world->fwd, wn->snapshot, peer, packet, n, wn->world->now);
}

static void out_publish(void *ctx, struct fwd_snapshot *s)
{
    struct world_node *wn = ctx;
    struct fwd_snapshot *old = wn->snapshot;
    wn->snapshot = s;
    retire(wn->world, old);
    if (wn->world->on_routes) wn->world->on_routes(wn->world->ctx, wn->index);
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

struct sim_http {
    uint32_t asker, asker_life, serial;
    struct bw_addr from;
    int status;
    char method[8], path[64];
    size_t len;
    char body[];
};

static void http_event(struct world *w, enum event_kind kind, uint32_t node, uint32_t life, const struct sim_http *q, size_t len, bw_time at)
{
    struct event e = {.at = at, .kind = kind, .node = node, .life = life, .len = len};
    e.data = malloc(len);
    if (!e.data) return;
    memcpy(e.data, q, len);
    if (events_push(&w->events, &e)) free(e.data);
}

#define HOP_TIME (5 * BW_MS) // HTTP is not simulated packet by packet: it takes this long per hop, if the way exists

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
    http_event(w, EVENT_HTTP_REQUEST, to, 0, q, sizeof *q + r->len, w->now + (bw_time)(hops + 1) * HOP_TIME);
    free(q);
}

static void http_serve(struct world *w, struct world_node *n, const struct event *e)
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
        len = (size_t)snprintf(a->body, cap, "{\"name\":\"n%u\"}", n->index);
    } else {
        a->status = node_request(n->node, &q->from, q->method, q->path, q->body, q->len, a->body, cap, &len, w->now);
    }
    a->len = len;
    http_event(w, EVENT_HTTP_REPLY, q->asker, q->asker_life, a, sizeof *a + len, w->now + (bw_time)(hops + 1) * HOP_TIME);
    free(a);
    turn(w, n);
}

static void log_line(void *ctx, enum bw_level level, const char *text)
{
    struct world *w = ctx;
    if (w->on_log) w->on_log(w->ctx, w->current, level, text);
}

// ---- life and death ----

void world_start(struct world *w, uint32_t index)
{
    struct world_node *wn = &w->nodes[index];
    if (wn->node) return;
    wn->life++;
    w->current = index;
    struct node_config c = {.id = &wn->id, .port = DISCOVER_PORT, .threads = 1, .transit = true, .tai_high = wn->numbers[NODE_TAI_HIGH],
                            .seqno = (uint16_t)wn->numbers[NODE_SEQNO], .epoch = ++wn->epoch,
                            .clean_start = !wn->started_before || wn->clean, .probe4 = true};
    snprintf(c.name, sizeof c.name, "n%u", index);
    struct node_out out = {.ctx = wn, .send = out_send, .to_link = out_to_link, .to_tunnel = out_to_tunnel, .publish = out_publish,
                           .persist = out_persist, .probe = out_probe, .http = out_http};
    wn->node = node_new(&wn->mem, &wn->rng, &w->log, &c, &out, w->now, wall(w));
    if (!wn->node) return;
    wn->started_before = true;
    wn->clean = false;
    for (uint32_t i = 0; i < w->link_count; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%u", i);
        if (touches(&w->links[i], index)) node_iface_add(wn->node, i + 1, name, w->now);
    }
    node_uplink(wn->node, wn->share, false, w->now);
    node_use(wn->node, EXITC_AUTO, NULL, false, w->now);
    node_share(wn->node, wn->share, w->now);
    turn(w, wn);
}

void world_crash(struct world *w, uint32_t index)
{
    struct world_node *wn = &w->nodes[index];
    if (!wn->node) return;
    node_free(wn->node);
    wn->node = NULL;
    retire(w, wn->snapshot);
    wn->snapshot = NULL;
    wake_at(w, wn, BW_NEVER);
}

void world_stop(struct world *w, uint32_t index)
{
    struct world_node *wn = &w->nodes[index];
    if (!wn->node) return;
    node_stop(wn->node, w->now);
    turn(w, wn);
}

void world_forget(struct world *w, uint32_t index)
{
    struct world_node *wn = &w->nodes[index];
    memset(wn->numbers, 0, sizeof wn->numbers);
    wn->epoch = 0;
}

void world_uplink(struct world *w, uint32_t index, bool works)
{
    w->nodes[index].uplink = works;
}

// ---- time ----

static void happen(struct world *w, struct event *e)
{
    struct world_node *n = &w->nodes[e->node];
    w->current = e->node;
    if (e->life && e->life != n->life) return;
    switch (e->kind) {
    case EVENT_DATAGRAM: receive(w, n, e); break;
    case EVENT_HTTP_REQUEST: http_serve(w, n, e); break;
    case EVENT_HTTP_REPLY: {
        const struct sim_http *a = e->data;
        if (n->node) node_http_done(n->node, a->serial, a->status, a->body, a->len, w->now);
        turn(w, n);
        break;
    }
    case EVENT_PROBE:
        if (n->node) node_probe_done(n->node, e->link, (uint32_t)e->len, true, 20000, w->now);
        turn(w, n);
        break;
    case EVENT_CALL: break;
    }
}

void world_run(struct world *w, bw_time until)
{
    for (;;) {
        free_retired(w);
        bw_time event = events_next(&w->events), wake = w->node_count ? w->nodes[w->wakes[0]].wake : BW_NEVER;
        bw_time next = bw_time_min(event, wake);
        if (next > until) break;
        BW_ASSERT(next >= w->now);
        w->now = next;
        if (event <= wake) {
            struct event e;
            events_pop(&w->events, &e);
            happen(w, &e);
            if (e.kind != EVENT_PROBE) free(e.data);
        } else {
            w->current = w->wakes[0];
            turn(w, &w->nodes[w->current]);
        }
    }
    w->now = until;
}

int world_trace(const struct world *w, uint32_t from, const struct bw_addr *dst, uint32_t *last)
{
    uint32_t at = from;
    for (uint32_t hops = 0; hops <= w->node_count; hops++) {
        const struct world_node *n = &w->nodes[at];
        if (!n->snapshot) return BW_ERR_NOTFOUND;
        if (bw_addr_eq(dst, &n->id.addr) || (bw_addr_eq(dst, &bw_addr_any_exit) && internet_shares(node_internet(n->node)))) {
            *last = at;
            return (int)hops;
        }
        const struct fwd_route *r = fwd_lookup(n->snapshot, dst, false);
        struct link_info l;
        if (!r || r->target != FWD_TO_LINK || linkset_info(node_links(n->node), r->link, &l)) return BW_ERR_NOTFOUND;
        uint32_t wire = l.ifindex - 1;
        if (wire >= w->link_count || !touches(&w->links[wire], at)) return BW_ERR_NOTFOUND;
        at = w->links[wire].a == at ? w->links[wire].b : w->links[wire].a;
    }
    return BW_ERR_REPLAY;
}

// ---- making one ----

int world_link(struct world *w, uint32_t a, uint32_t b, uint32_t delay_us)
{
    struct world_link *v = realloc(w->links, (w->link_count + 1) * sizeof *v);
    if (!v) return BW_ERR_NOMEM;
    w->links = v;
    v[w->link_count] = (struct world_link){.a = a, .b = b, .delay_us = delay_us};
    return (int)w->link_count++;
}

struct world *world_new(uint64_t seed, uint32_t node_count)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    uint8_t s[32] = {0};
    for (int i = 0; i < 8; i++) s[i] = (uint8_t)(seed >> (8 * i));
    bw_rng_seed(&w->rng, s);
    w->unix_ns = 1790000000ull * 1000000000ull;
    w->now = BW_S;
    w->nodes = calloc(node_count ? node_count : 1, sizeof *w->nodes);
    w->wakes = calloc(node_count ? node_count : 1, sizeof *w->wakes);
    w->fwd_memory = aligned_alloc(64, (fwd_size() + 63) / 64 * 64);
    if (!w->nodes || !w->wakes || !w->fwd_memory) {
        world_free(w);
        return NULL;
    }
    struct fwd_sink sink = {w, path_wire, path_tun, path_punt};
    w->fwd = fwd_init(w->fwd_memory, 0, &sink);
    w->log = (struct bw_log){log_line, w, BW_INFO};
    w->node_count = node_count;
    for (uint32_t i = 0; i < node_count; i++) {
        struct world_node *n = &w->nodes[i];
        bw_rng_bytes(&w->rng, s, sizeof s);
        *n = (struct world_node){.world = w, .index = i, .wake = BW_NEVER, .heap_at = i, .uplink = true};
        w->wakes[i] = i;
        bw_mem_system(&n->mem);
        bw_rng_seed(&n->rng, s);
        identity_draw(&n->id, &n->rng);
    }
    return w;
}

void world_free(struct world *w)
{
    if (!w) return;
    for (uint32_t i = 0; w->nodes && i < w->node_count; i++) {
        world_crash(w, i);
        free_retired(w);
    }
    events_free(&w->events);
    free(w->nodes);
    free(w->links);
    free(w->wakes);
    free(w->fwd_memory);
    free(w);
}
