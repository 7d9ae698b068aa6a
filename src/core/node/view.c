// The node as plain structs, for the API (core/view.h).
#include "core/node/node_private.h"

#include <stdio.h>

#define SILENT_BABEL (2 * BW_S)
#define SILENT_LINK (WG_KEEPALIVE_TIMEOUT + WG_REKEY_TIMEOUT)

const char *view_exit_state_name(enum view_exit_state s)
{
    static const char *const names[] = {"none", "own", "searching", "joining", "active", "lost"};
    return (unsigned)s < sizeof names / sizeof *names ? names[s] : "none";
}

const char *view_share_state_name(enum view_share_state s)
{
    static const char *const names[] = {"off", "probing", "on", "down"};
    return (unsigned)s < sizeof names / sizeof *names ? names[s] : "off";
}

// ---- peers ----

struct babel_side {
    uint16_t slot;
    bool found, byway;
    int64_t rtt_us;
    uint16_t cost;
};

static void find_side(void *ctx, const struct babel_neighbour *b)
{
    struct babel_side *s = ctx;
    if (b->slot != s->slot) return;
    if (s->found && b->cost >= s->cost) return;
    *s = (struct babel_side){.slot = s->slot, .found = true, .byway = b->byway, .rtt_us = b->rtt_us, .cost = b->cost};
}

static void link_name(const struct node *n, const struct link_info *l, char out[VIEW_LINK])
{
    if (l->on_link) snprintf(out, VIEW_LINK, "%s", node_iface_name(n, l->ifindex));
    else if (l->name[0]) snprintf(out, VIEW_LINK, "peer %s", l->name);
    else if (l->endpoint.port) bw_endpoint_text(&l->endpoint, out);
    else out[0] = 0;
}

static struct babel_side babel_side(struct node *n, uint16_t slot)
{
    struct babel_side side = {.slot = slot, .rtt_us = -1, .cost = BABEL_INFINITY};
    babel_each_neighbour(n->babel, find_side, &side);
    return side;
}

// A neighbour that died leaves keys behind for minutes. A person is told what Babel has noticed by then, or, where Babel has
// not met the other end, that it owes an answer (WireGuard paper, section 6.5).
static bool is_silent(const struct node *n, const struct link_info *l, const struct babel_side *side)
{
    if (l->state != LINK_UP || !l->shared) return false;
    uint64_t heard = atomic_load_explicit(&l->shared->last_rx, memory_order_relaxed);
    if (!heard || heard > n->now) heard = l->last_handshake < n->now ? l->last_handshake : n->now;
    if (side->found && side->cost == BABEL_INFINITY && n->now - heard > SILENT_BABEL) return true;
    return l->asking && n->now - heard > SILENT_LINK;
}

// Before they have met, a key that gives a mesh address is taken for a byway node's: one in 256 others does, too.
static bool is_stock(const struct link_info *l, const struct babel_side *side)
{
    if (l->kind != LINK_KIND_UNKNOWN || side->byway) return l->kind != LINK_KIND_BYWAY && !side->byway;
    return l->state == LINK_UP;
}

static void fill_peer(struct node *n, const struct link_info *l, struct view_peer *v)
{
    struct babel_side side = babel_side(n, l->slot);
    *v = (struct view_peer){.stock = is_stock(l, &side), .address = l->addr, .endpoint = l->endpoint,
                            .rtt_us = side.rtt_us, .cost = side.cost, .last_handshake_s = -1};
    memcpy(v->key, l->key, sizeof v->key);
    const char *told = l->slot < n->slots ? n->neighbours[l->slot].name : "";
    snprintf(v->name, sizeof v->name, "%s", l->name[0] ? l->name : told);
    link_name(n, l, v->link);
    snprintf(v->state, sizeof v->state, "%s",
             l->slot == LINK_SLOT_NONE ? "waiting" : is_silent(n, l, &side) ? "silent" : link_state_name(l->state));
    snprintf(v->source, sizeof v->source, "%s", link_source_name(l->source));
    if (l->shared) {
        v->rx_bytes = atomic_load_explicit(&l->shared->rx_bytes, memory_order_relaxed);
        v->tx_bytes = atomic_load_explicit(&l->shared->tx_bytes, memory_order_relaxed);
    }
    if (l->last_handshake) v->last_handshake_s = (int64_t)((n->now - l->last_handshake) / BW_S);
}

struct peer_list {
    struct node *n;
    view_peer_fn *fn;
    void *ctx;
};

static void waiting_view(void *ctx, const struct link_info *l)
{
    struct peer_list *list = ctx;
    struct view_peer v;
    fill_peer(list->n, l, &v);
    list->fn(list->ctx, &v);
}

void node_view_peers(struct node *n, view_peer_fn *fn, void *ctx, bw_time now)
{
    struct peer_list waiting = {n, fn, ctx};
    n->now = now;
    for (int slot = -1; (slot = linkset_next(n->links, slot)) >= 0;) {
        struct link_info l;
        struct view_peer v;
        if (linkset_info(n->links, (uint16_t)slot, &l)) continue;
        fill_peer(n, &l, &v);
        fn(ctx, &v);
    }
    linkset_each_waiting(n->links, waiting_view, &waiting);
}

const char *node_name_of(struct node *n, const struct bw_addr *a)
{
    if (bw_addr_eq(a, &n->config.id->addr)) return n->config.name;
    for (int slot = -1; (slot = linkset_next(n->links, slot)) >= 0;) {
        struct link_info l;
        if (linkset_info(n->links, (uint16_t)slot, &l) || !bw_addr_eq(a, &l.addr)) continue;
        if ((unsigned)slot < n->slots && n->neighbours[slot].name[0]) return n->neighbours[slot].name;
    }
    return "";
}

// ---- routes ----

struct route_list {
    struct node *n;
    view_route_fn *fn;
    void *ctx;
};

static void route_view(void *ctx, const struct babel_route *r)
{
    struct route_list *l = ctx;
    struct view_route v = {.prefix = r->prefix, .metric = r->metric, .next_hop = r->next_hop, .selected = r->selected,
                           .seqno = r->seqno};
    memcpy(v.router_id, r->router_id, sizeof v.router_id);
    struct link_info i;
    if (r->own) snprintf(v.link, sizeof v.link, "self");
    else if (!linkset_info(l->n->links, r->slot, &i)) link_name(l->n, &i, v.link);
    l->fn(l->ctx, &v);
}

void node_view_routes(struct node *n, view_route_fn *fn, void *ctx)
{
    struct route_list l = {n, fn, ctx};
    babel_each_route(n->babel, route_view, &l);
}

// ---- exits and status ----

// The neighbour, or at least the link, by which an address is reached; "" if it is not.
static void via(struct node *n, const struct bw_addr *to, char out[VIEW_LINK])
{
    struct bw_prefix p = bw_prefix_host(to);
    struct babel_route r;
    struct link_info l;
    out[0] = 0;
    if (!babel_lookup(n->babel, &p, &r) || r.own || linkset_info(n->links, r.slot, &l)) return;
    const char *name = r.slot < n->slots ? n->neighbours[r.slot].name : "";
    if (*name) snprintf(out, VIEW_LINK, "%s", name);
    else link_name(n, &l, out);
}

struct exit_list {
    struct node *n;
    view_exit_fn *fn;
    void *ctx;
};

static void exit_view(void *ctx, const struct view_exit *e)
{
    struct exit_list *l = ctx;
    struct view_exit v = *e;
    via(l->n, &v.address, v.via);
    l->fn(l->ctx, &v);
}

void node_view_exits(struct node *n, view_exit_fn *fn, void *ctx, bw_time now)
{
    struct exit_list l = {n, fn, ctx};
    internet_view_exits(n->internet, exit_view, &l, now);
}

void view_add_problem(struct view_status *v, const char *code, const char *text, const char *hint)
{
    if (v->problem_count == sizeof v->problems / sizeof *v->problems) return;
    struct view_problem *p = &v->problems[v->problem_count++];
    snprintf(p->code, sizeof p->code, "%s", code);
    snprintf(p->text, sizeof p->text, "%s", text);
    snprintf(p->hint, sizeof p->hint, "%s", hint);
}

static void count_waiting(void *ctx, const struct link_info *l)
{
    (void)l;
    ++*(unsigned *)ctx;
}

static void link_problems(struct node *n, struct view_status *v)
{
    unsigned links = 0; // and who is waited for
    for (int slot = -1; (slot = linkset_next(n->links, slot)) >= 0;) links++;
    linkset_each_waiting(n->links, count_waiting, &links);
    bool settled = n->now - n->started > 5 * BW_S;
    if (!n->iface_count && !links)
        view_add_problem(v, "no-interfaces", "no interface is fit for finding neighbours, and no peer is configured",
                         "plug in a cable or join a Wi-Fi network, or paste a neighbour's `byway invite` into `byway join`");
    else if (!links && settled)
        view_add_problem(v, "no-neighbours", "no neighbour has been found yet",
                         "is byway running on another machine on the same cable or Wi-Fi? else `byway join` an invite");
    else if (!v->peers && settled)
        view_add_problem(v, "no-link-up", "neighbours are known but none answers",
                         "are they running and in reach? else check that UDP port 4870 is not blocked, and that both sides use the same "
                         "network secret (`byway peers`)");
    if (n->twin_at && n->now - n->twin_at < 120 * BW_S)
        view_add_problem(v, "same-key", "another machine runs with this node's key",
                         "run `byway key new --force` on one of the two: a copied state folder cannot be used twice");
}

static void total_up(void *ctx, const struct babel_route *r)
{
    *(uint32_t *)ctx += r->metric != BABEL_INFINITY;
}

void node_view_status(struct node *n, struct view_status *v, bw_time now)
{
    n->now = now;
    memset(v, 0, sizeof *v);
    snprintf(v->name, sizeof v->name, "%s", n->config.name);
    v->address = n->config.id->addr;
    memcpy(v->key, n->config.id->link_pk, sizeof v->key);
    v->uptime_s = (now - n->started) / BW_S;
    for (int slot = -1; (slot = linkset_next(n->links, slot)) >= 0;) {
        struct link_info l;
        if (linkset_info(n->links, (uint16_t)slot, &l)) continue;
        struct babel_side side = babel_side(n, (uint16_t)slot);
        if (l.state == LINK_UP && !is_silent(n, &l, &side)) v->peers++;
        if (!l.shared) continue;
        v->rx_bytes += atomic_load_explicit(&l.shared->rx_bytes, memory_order_relaxed);
        v->tx_bytes += atomic_load_explicit(&l.shared->tx_bytes, memory_order_relaxed);
    }
    babel_each_selected(n->babel, total_up, &v->routes);
    internet_view_status(n->internet, v, now);
    if (!bw_addr_is_zero(&v->exit_address)) via(n, &v->exit_address, v->exit_via);
    link_problems(n, v);
}

// ---- counters ----

static void count(view_counter_fn *fn, void *ctx, const char *name, const char *label, const char *value, uint64_t n)
{
    struct view_counter c = {name, label, value, n};
    fn(ctx, &c);
}

static void babel_view_counters(struct node *n, view_counter_fn *fn, void *ctx)
{
    const struct babel_counters *c = babel_counters(n->babel);
    for (int i = 0; i < BABEL_DROP_COUNT; i++)
        count(fn, ctx, "byway_babel_dropped_total", "reason", babel_drop_name((enum babel_drop)i), c->drops[i]);
    for (unsigned i = 0; i < BABEL_TYPES; i++) count(fn, ctx, "byway_babel_tlvs_sent_total", "type", babel_tlv_name(i), c->tx_tlvs[i]);
    for (unsigned i = 0; i < BABEL_TYPES; i++) count(fn, ctx, "byway_babel_tlvs_received_total", "type", babel_tlv_name(i), c->rx_tlvs[i]);
    count(fn, ctx, "byway_babel_packets_sent_total", NULL, NULL, c->tx_packets);
    count(fn, ctx, "byway_babel_bytes_sent_total", NULL, NULL, c->tx_bytes);
    count(fn, ctx, "byway_babel_packets_received_total", NULL, NULL, c->rx_packets);
    count(fn, ctx, "byway_babel_bytes_received_total", NULL, NULL, c->rx_bytes);
}

// What each client of this exit has sent and received through its tunnel, by its mesh address.
static void client_counters(struct node *n, view_counter_fn *fn, void *ctx)
{
    static const char *const names[2] = {"byway_share_client_rx_bytes_total", "byway_share_client_tx_bytes_total"};
    char address[BW_ADDR_TEXT];
    unsigned tunnels = internet_tunnels(n->internet, NULL, 0);
    struct fwd_tunnel *t = tunnels ? bw_alloc(n->mem, tunnels * sizeof *t) : NULL;
    if (!t) return;
    internet_tunnels(n->internet, t, tunnels);
    for (unsigned i = 0; i < 2 * tunnels; i++) {
        const struct fwd_tunnel *c = &t[i % tunnels];
        if (c->is_exit) continue;
        bool rx = i < tunnels;
        count(fn, ctx, names[!rx], "address", bw_addr_text(&c->peer, address),
              atomic_load_explicit(rx ? &c->shared->rx_bytes : &c->shared->tx_bytes, memory_order_relaxed));
    }
    bw_free(n->mem, t, tunnels * sizeof *t);
}

void node_view_counters(struct node *n, view_counter_fn *fn, void *ctx)
{
    for (int i = 0; i < LINK_DROP_COUNT; i++)
        count(fn, ctx, "byway_handshakes_dropped_total", "reason", link_drop_name((enum link_drop)i), linkset_drops(n->links, (enum link_drop)i));
    struct linkset_stats s;
    linkset_stats(n->links, &s);
    count(fn, ctx, "byway_handshakes_total", NULL, NULL, s.handshakes);
    count(fn, ctx, "byway_cookies_sent_total", NULL, NULL, s.cookies_sent);
    for (int i = 0; i < DISCOVER_DROP_COUNT; i++)
        count(fn, ctx, "byway_beacons_dropped_total", "reason", discover_drop_name((enum discover_drop)i),
              discover_drops(n->discover, (enum discover_drop)i));
    count(fn, ctx, "byway_beacons_sent_total", NULL, NULL, discover_sent(n->discover));
    count(fn, ctx, "byway_beacons_heard_total", NULL, NULL, discover_heard(n->discover));
    babel_view_counters(n, fn, ctx);
    node_session_counters(n, fn, ctx);
    internet_view_counters(n->internet, fn, ctx);
    client_counters(n, fn, ctx);
}
