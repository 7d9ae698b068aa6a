// The snapshot that the packet path works on, built from links, routes and tunnels. When there is no memory for a new one,
// the old one serves for a moment; after that a spare one that knows no route does, because packets that follow routes of
// long ago may go round. Babel says nothing meanwhile: what this node would announce it cannot do.
#include "core/node/node_private.h"

#define STALE_MAX (3 * BW_S) // less than it takes a neighbour to believe anew in a route that it has lost

struct routes {
    struct node *n;
    struct fwd_route *v;
    unsigned count, room;
    bool full;
};

static bool add_route(struct routes *r, const struct fwd_route *route)
{
    if (r->count == r->room) {
        unsigned room = r->room ? r->room * 2 : 32;
        void *v = bw_resize(r->n->mem, r->v, r->room * sizeof *r->v, room * sizeof *r->v);
        if (!v) {
            r->full = true;
            return false;
        }
        r->v = v;
        r->room = room;
    }
    r->v[r->count++] = *route;
    return true;
}

// A network behind a byway node is reached through its tunnel by what comes from this machine; what stock neighbours send
// goes on in plain, by the route in the mesh's own table.
static void add_export(struct routes *r, const struct babel_route *b)
{
    struct node *n = r->n;
    struct fwd_route route = {.prefix = b->prefix, .target = FWD_TO_EXPORT};
    if (b->own || b->metric == BABEL_INFINITY) return;
    if (exporters_lookup(n->exporters, &b->prefix, b->router_id, &route.via, n->now) != EXPORT_STOCK) add_route(r, &route);
}

struct exporter_list {
    struct node *n;
    struct fwd_exporter *v;
    struct bw_prefix *p;
    unsigned count, prefixes, room, prefix_room;
};

static void count_exporter(void *ctx, const struct bw_addr *peer, const struct bw_prefix *p, unsigned count)
{
    struct exporter_list *l = ctx;
    (void)peer, (void)p;
    l->room++;
    l->prefix_room += count;
}

static void add_exporter(void *ctx, const struct bw_addr *peer, const struct bw_prefix *p, unsigned count)
{
    struct exporter_list *l = ctx;
    memcpy(l->p + l->prefixes, p, count * sizeof *p);
    l->v[l->count++] = (struct fwd_exporter){*peer, l->p + l->prefixes, count};
    l->prefixes += count;
}

static bool gather_exporters(struct node *n, struct exporter_list *l)
{
    *l = (struct exporter_list){.n = n};
    exporters_each(n->exporters, count_exporter, l);
    if (!l->room) return true;
    l->v = bw_alloc(n->mem, l->room * sizeof *l->v);
    l->p = bw_alloc(n->mem, l->prefix_room * sizeof *l->p);
    if (!l->v || !l->p) return false;
    exporters_each(n->exporters, add_exporter, l);
    return true;
}

static void free_exporters(struct node *n, struct exporter_list *l)
{
    bw_free(n->mem, l->v, l->room * sizeof *l->v);
    bw_free(n->mem, l->p, l->prefix_room * sizeof *l->p);
}

// ---- the mesh's table: changed as Babel tells, so that a new snapshot need not be built from all routes ----

void node_mesh_route(struct node *n, const struct bw_prefix *p, const struct babel_selected *r)
{
    if (n->mesh_stale || prefix_list_has(&n->exports, p)) return;
    struct fwd_route route = {.prefix = *p, .link = r ? r->slot : 0, .target = r && r->unreachable ? FWD_UNREACHABLE : FWD_TO_LINK};
    bool wanted = r && !r->own; // what was lost a moment ago too: no wider route may be used for it
    if (wanted ? fib_set(&n->mesh, n->mem, &route) : fib_remove(&n->mesh, n->mem, p)) n->mesh_stale = true;
}

struct rebuild {
    struct node *n;
    struct fib fib;
    bool full;
};

static void add_selected(void *ctx, const struct babel_route *b)
{
    struct rebuild *r = ctx;
    if (b->own || r->full) return;
    struct fwd_route route = {.prefix = b->prefix, .link = b->slot,
                              .target = b->metric == BABEL_INFINITY ? FWD_UNREACHABLE : FWD_TO_LINK};
    if (fib_set(&r->fib, r->n->mem, &route)) r->full = true;
}

// From all routes: other prefixes are exported, or a change could not be made for lack of memory.
static bool rebuild_mesh(struct node *n)
{
    struct rebuild r = {.n = n};
    fib_init(&r.fib, n->hash_key);
    babel_each_selected(n->babel, add_selected, &r);
    for (unsigned i = 0; i < n->exports.count && !r.full; i++) {
        struct fwd_route route = {.prefix = n->exports.v[i], .target = FWD_TO_TUN};
        if (fib_set(&r.fib, n->mem, &route)) r.full = true;
    }
    if (r.full) {
        fib_free(&r.fib, n->mem);
        return false;
    }
    fib_free(&n->mesh, n->mem);
    n->mesh = r.fib;
    n->mesh_stale = false;
    return true;
}

// ---- the rest of a snapshot ----

struct links {
    struct fwd_link *v;
    struct keypair **rx;
    uint16_t *rx_slots;
    unsigned count, rx_count;
};

static bool gather_links(struct node *n, struct links *l)
{
    int last = -1;
    for (int s = -1; (s = linkset_next(n->links, s)) >= 0;) last = s;
    l->count = (unsigned)(last + 1);
    if (!l->count) return true;
    l->v = bw_alloc(n->mem, l->count * sizeof *l->v);
    l->rx = bw_alloc(n->mem, l->count * LINK_RX_KEYS * sizeof *l->rx);
    l->rx_slots = bw_alloc(n->mem, l->count * LINK_RX_KEYS * sizeof *l->rx_slots);
    if (!l->v || !l->rx || !l->rx_slots) return false;
    for (int s = -1; (s = linkset_next(n->links, s)) >= 0;) {
        struct link_info i;
        struct keypair *rx[LINK_RX_KEYS];
        unsigned rx_count = 0;
        struct fwd_link *f = &l->v[s];
        if (linkset_info(n->links, (uint16_t)s, &i)) continue;
        *f = (struct fwd_link){.used = true, .internet = i.internet, .light = i.light, .ifindex = i.ifindex, .remote = i.endpoint, .shared = i.shared};
        linkset_keys(n->links, (uint16_t)s, &f->tx, rx, &rx_count);
        for (unsigned k = 0; k < rx_count; k++) {
            l->rx[l->rx_count] = rx[k];
            l->rx_slots[l->rx_count++] = (uint16_t)s;
        }
    }
    return true;
}

static void free_links(struct node *n, struct links *l)
{
    bw_free(n->mem, l->v, l->count * sizeof *l->v);
    bw_free(n->mem, l->rx, l->count * LINK_RX_KEYS * sizeof *l->rx);
    bw_free(n->mem, l->rx_slots, l->count * LINK_RX_KEYS * sizeof *l->rx_slots);
}

static struct fwd_snapshot *build(struct node *n, struct links *l, struct fwd_tunnel *tunnels, unsigned tunnel_count,
                                  struct routes *tun, struct exporter_list *exporters)
{
    struct exitc_plan plan;
    internet_client_plan(n->internet, &plan);
    struct fwd_config c = {
        .self = n->config.id->addr,
        .linklocal = identity_linklocal(n->config.id->router_id),
        .sharing = internet_shares(n->internet),
        .transit = n->config.transit,
        .links = l->v,
        .link_count = l->count,
        .rx_keys = l->rx,
        .rx_links = l->rx_slots,
        .rx_count = l->rx_count,
        .fib = &n->mesh,
        .tun = tun->v,
        .tun_count = tun->count,
        .exporters = exporters->v,
        .exporter_count = exporters->count,
        .tunnels = tunnels,
        .tunnel_count = tunnel_count,
        .sessions = sessions_table(n->sessions),
    };
    if (plan.active) c.icmp4_source = plan.inner4;
    internet_gateways(n->internet, &c.gateway4, &c.gateway6);
    internet_pools(n->internet, &c.pool4, &c.pool6);
    memcpy(c.hash_key, n->hash_key, sizeof c.hash_key);
    return fwd_snapshot_new(n->mem, &c);
}

static void published(struct node *n)
{
    n->keys_changed = n->routes_changed = false;
    n->publish_at = BW_NEVER;
    n->stale_since = 0;
    struct fwd_config nothing = {.self = n->config.id->addr, .linklocal = identity_linklocal(n->config.id->router_id)};
    if (!n->spare) n->spare = fwd_snapshot_new(n->mem, &nothing);
}

static void not_published(struct node *n)
{
    n->publish_at = n->now + BW_S;
    if (!n->stale_since) {
        n->stale_since = n->now;
        bw_log(n->log, BW_ERROR, "no memory for the forwarding table: the old one stays for now");
    } else if (n->spare && n->now - n->stale_since >= STALE_MAX) {
        bw_log(n->log, BW_ERROR, "no memory for the forwarding table for %u s: nothing is forwarded until there is",
               (unsigned)(STALE_MAX / BW_S));
        struct fwd_snapshot *s = n->spare;
        n->spare = NULL;
        n->out.publish(n->out.ctx, s);
    }
}

// Leases and default routes behind others' exports: the later counts where both are the same.
static bool gather_tun(struct node *n, struct routes *tun)
{
    unsigned own = internet_tun_routes(n->internet, NULL, 0);
    if (n->believed_short && !node_believe_again(n)) return false;
    for (unsigned i = 0; i < n->believed.count && !tun->full; i++) {
        struct babel_route b;
        if (babel_lookup(n->babel, &n->believed.v[i], &b)) add_export(tun, &b);
    }
    if (tun->full || !own) return !tun->full;
    void *v = bw_resize(n->mem, tun->v, tun->room * sizeof *tun->v, (tun->count + own) * sizeof *tun->v);
    if (!v) return false;
    tun->v = v;
    tun->room = tun->count + own;
    tun->count += internet_tun_routes(n->internet, tun->v + tun->count, own);
    return true;
}

void node_publish(struct node *n)
{
    struct links l = {0};
    struct routes tun = {.n = n};
    struct exporter_list exporters;
    unsigned tunnel_count = internet_tunnels(n->internet, NULL, 0);
    struct fwd_tunnel *tunnels = tunnel_count ? bw_alloc(n->mem, tunnel_count * sizeof *tunnels) : NULL;
    struct fwd_snapshot *s = NULL;
    if (gather_exporters(n, &exporters) && gather_links(n, &l) && (tunnels || !tunnel_count) && gather_tun(n, &tun) &&
        (!n->mesh_stale || rebuild_mesh(n))) {
        internet_tunnels(n->internet, tunnels, tunnel_count);
        s = build(n, &l, tunnels, tunnel_count, &tun, &exporters);
    }
    free_exporters(n, &exporters);
    free_links(n, &l);
    bw_free(n->mem, tunnels, tunnel_count * sizeof *tunnels);
    bw_free(n->mem, tun.v, tun.room * sizeof *tun.v);
    if (!s) {
        not_published(n);
        return;
    }
    published(n);
    n->out.publish(n->out.ctx, s);
}
