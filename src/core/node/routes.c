// What Babel tells the node, and what the node tells Babel.
#include "core/node/node_private.h"

#include "core/fwd/csum.h"
#include "core/fwd/ip.h"
#include "wire/babel.h"

#define UDP_HEADER 8
#define EXITS_ASKED 64

static const struct bw_prefix default6;
static const struct bw_prefix default4 = {{{[10] = 0xff, 0xff}}, 96};

// ---- Babel's packets: UDP in IPv6 with hop limit 1, straight onto the link ----

static void on_send(void *ctx, uint16_t slot, const struct bw_addr *dst, const uint8_t *payload, size_t len)
{
    struct node *n = ctx;
    uint8_t packet[IP6_HEADER + UDP_HEADER + BABEL_PAYLOAD_MAX];
    BW_ASSERT(len <= BABEL_PAYLOAD_MAX);
    // Whoever hears of a route may use it at once: the packet path must have it by then, or packets would go round.
    if (n->routes_changed) node_publish(n);
    if (n->routes_changed) return; // no memory: not heard of until there is
    uint16_t udp = (uint16_t)(UDP_HEADER + len);
    struct bw_addr src = identity_linklocal(n->config.id->router_id);
    ip6_header(packet, 0, udp, IP_UDP, 1, &src, dst);
    uint8_t *u = packet + IP6_HEADER;
    ip_put16(u, BABEL_PORT);
    ip_put16(u + 2, BABEL_PORT);
    ip_put16(u + 4, udp);
    ip_put16(u + 6, 0);
    memcpy(u + UDP_HEADER, payload, len);
    csum_store(u + 6, csum_add(csum_pseudo(src.b, dst->b, 16, IP_UDP, udp), u, udp));
    if (!u[6] && !u[7]) u[6] = u[7] = 0xff; // RFC 8200 section 8.1: zero would mean "none"
    n->out.to_link(n->out.ctx, slot, packet, IP6_HEADER + (size_t)udp);
}

// The packet path hands over the UDP payload of what came to Babel's port.
void node_babel_rx(struct node *n, const struct fwd_punt *p)
{
    if (p->link < n->slots && n->neighbours[p->link].up)
        babel_rx(n->babel, p->link, &p->inner_src, p->data, p->len, n->now);
}

// ---- what is believed ----

static bool on_import(void *ctx, uint16_t slot, const struct bw_prefix *p, const uint8_t router_id[8])
{
    struct node *n = ctx;
    (void)slot, (void)router_id;
    for (unsigned i = 0; i < n->denied.count; i++)
        if (p->len >= n->denied.v[i].len && bw_prefix_has(&n->denied.v[i], &p->addr)) return false;
    struct import_rule rule = {.self = n->config.id->addr, .local = n->blocked.v, .local_count = n->blocked.count,
                               .extra = n->imports.v, .extra_count = n->imports.count};
    return import_allows(&rule, p);
}

static bool believe(struct node *n, const struct bw_prefix *p)
{
    if (prefix_list_has(&n->believed, p)) return false;
    if (prefix_list_add(n, &n->believed, p)) return true;
    n->believed_short = true;
    return false;
}

static void on_route(void *ctx, const struct bw_prefix *p, const struct babel_selected *r)
{
    struct node *n = ctx;
    n->routes_changed = n->exits_stale = true;
    node_mesh_route(n, p, r);
    if (p->addr.b[0] == 0xfc) return; // the kernel has fc00::/8
    bool wanted = r && !r->unreachable && !r->own;
    if (wanted ? believe(n, p) : prefix_list_remove(&n->believed, p)) n->setup_changed = true;
}

static void believe_selected(void *ctx, const struct babel_route *b)
{
    if (!b->own && b->metric != BABEL_INFINITY && b->prefix.addr.b[0] != 0xfc) believe(ctx, &b->prefix);
}

bool node_believe_again(struct node *n)
{
    n->believed_short = false;
    babel_each_selected(n->babel, believe_selected, n);
    n->setup_changed = true;
    return !n->believed_short;
}

static void on_neighbour(void *ctx, enum babel_neighbour_event e, const struct babel_neighbour *b)
{
    struct node *n = ctx;
    struct link_info l;
    if (linkset_info(n->links, b->slot, &l)) return;
    // A stock program that was there before, at an address of its own, says nothing of the link any more when it dies.
    if (e == BABEL_UP || b->byway) {
        bool light = b->up && b->byway && b->flags & BABEL_CAP_LIGHT;
        linkset_set_stock(n->links, l.key, !b->byway);
        linkset_set_light(n->links, b->slot, !light ? LIGHT_NO : b->flags & BABEL_CAP_AES ? LIGHT_AES : LIGHT_CHACHA);
    }
    if (e == BABEL_UP || e == BABEL_DOWN) {
        char addr[BW_ADDR_TEXT];
        node_event(n, e == BABEL_UP ? "neighbour-up" : "neighbour-down", "{\"address\":\"%s\",\"link\":%u,\"cost\":%u}",
                   bw_addr_text(bw_addr_is_zero(&l.addr) ? &b->address : &l.addr, addr), b->slot, b->cost);
    }
}

static void on_persist_seqno(void *ctx, uint16_t seqno)
{
    struct node *n = ctx;
    if (n->out.persist) (void)!n->out.persist(n->out.ctx, NODE_SEQNO, seqno);
}

struct babel_ops node_babel_ops(struct node *n)
{
    (void)n;
    return (struct babel_ops){.send = on_send, .import = on_import, .route_changed = on_route,
                              .neighbour_changed = on_neighbour, .persist_seqno = on_persist_seqno};
}

// ---- what is announced ----

static void originate(struct node *n, const struct bw_prefix *p, uint16_t slot)
{
    if (babel_originate(n->babel, p, 0, slot, n->now))
        bw_log(n->log, BW_ERROR, "no memory to announce a route: it stays unknown to the mesh");
}

void node_announce_defaults(struct node *n, struct neighbour *b, uint16_t slot, bool v4, bool v6)
{
    if (v4 && !b->default4) originate(n, &default4, slot);
    if (!v4 && b->default4) babel_withdraw(n->babel, &default4, slot, n->now);
    if (v6 && !b->default6) originate(n, &default6, slot);
    if (!v6 && b->default6) babel_withdraw(n->babel, &default6, slot, n->now);
    b->default4 = v4;
    b->default6 = v6;
}

// Stock peers with `internet = yes` are offered whatever way to the Internet this node has at the moment.
static void announce_to_stock(struct node *n)
{
    struct exitc_plan plan;
    struct view_status v = {0};
    internet_client_plan(n->internet, &plan);
    internet_view_status(n->internet, &v, n->now);
    bool own = v.exit_state == VIEW_EXIT_OWN || internet_shares(n->internet);
    bool v4 = (own && n->uplink4) || (plan.active && !bw_addr_is_zero(&plan.inner4));
    bool v6 = (own && n->uplink6) || (plan.active && !bw_addr_is_zero(&plan.inner6));
    for (int slot = -1; (slot = linkset_next(n->links, slot)) >= 0;) {
        struct link_info l;
        struct neighbour *b = node_neighbour(n, (uint16_t)slot);
        if (!b || !b->up || linkset_info(n->links, (uint16_t)slot, &l)) continue;
        node_announce_defaults(n, b, (uint16_t)slot, v4 && l.internet, v6 && l.internet);
    }
}

void node_announce(struct node *n)
{
    bool exit = internet_shares(n->internet) && !n->stopping;
    struct bw_prefix any = bw_prefix_host(&bw_addr_any_exit);
    if (exit && !n->announced_exit) originate(n, &any, BABEL_ANY_SLOT);
    if (!exit && n->announced_exit) babel_withdraw(n->babel, &any, BABEL_ANY_SLOT, n->now);
    if (exit != n->announced_exit) {
        n->announced_exit = exit;
        node_event(n, exit ? "sharing" : "not-sharing", "{}");
    }
    announce_to_stock(n);
}

// ---- exits: which nodes answer for fc00::e, and what way there is to them ----

struct exit_scan {
    struct node *n;
    uint8_t router_ids[EXITS_ASKED][8];
    unsigned count;
    bool any;
    uint8_t nearest[8];
};

static void scan_any(void *ctx, const struct babel_route *r)
{
    struct exit_scan *s = ctx;
    if (r->own || r->metric == BABEL_INFINITY) return;
    if (r->selected) {
        s->any = true;
        memcpy(s->nearest, r->router_id, 8);
    }
    if (s->count < EXITS_ASKED) memcpy(s->router_ids[s->count++], r->router_id, 8);
}

static void scan_exit_nodes(void *ctx, const struct babel_route *r)
{
    struct exit_scan *s = ctx;
    if (r->own || r->metric == BABEL_INFINITY || r->prefix.len != 128 || !bw_addr_is_mesh(&r->prefix.addr)) return;
    for (unsigned i = 0; i < s->count; i++)
        if (!memcmp(r->prefix.addr.b + 8, s->router_ids[i], 8)) internet_heard(s->n->internet, &r->prefix.addr, s->n->now);
}

uint32_t node_metric(void *ctx, const struct bw_addr *address, struct bw_addr *next_hop)
{
    struct node *n = ctx;
    struct bw_prefix p = bw_prefix_host(address);
    struct babel_route r;
    if (!babel_lookup(n->babel, &p, &r)) return BOOK_UNREACHABLE;
    *next_hop = r.next_hop;
    next_hop->b[0] = (uint8_t)r.slot; // two links to one neighbour have one address
    next_hop->b[1] = (uint8_t)(r.slot >> 8);
    return r.metric;
}

void node_tell_routes(struct node *n)
{
    n->exits_stale = false;
    node_tell_exports(n);
    struct exit_scan s = {.n = n};
    struct bw_prefix any = bw_prefix_host(&bw_addr_any_exit);
    babel_each_route_to(n->babel, &any, scan_any, &s);
    if (s.count) babel_each_selected(n->babel, scan_exit_nodes, &s);
    internet_any(n->internet, s.any ? s.nearest : NULL, n->now);
    internet_routes_changed(n->internet, n->now);
}
