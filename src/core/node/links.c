// What the set of links and discovery tell the node: Babel gets an interface per link that can send, neighbours are asked
// for their name.
#include "core/node/node_private.h"

#include "wire/peerinfo.h"

#define INFO_TRIES 6
#define INFO_WAIT (3 * BW_S)

struct neighbour *node_neighbour(struct node *n, uint16_t slot)
{
    if (slot < n->slots) return &n->neighbours[slot];
    unsigned slots = slot + 8u;
    void *v = bw_resize(n->mem, n->neighbours, n->slots * sizeof *n->neighbours, slots * sizeof *n->neighbours);
    if (!v) return NULL;
    n->neighbours = v;
    n->slots = slots;
    return &n->neighbours[slot];
}

const char *node_iface_name(const struct node *n, uint32_t ifindex)
{
    for (unsigned i = 0; i < n->iface_count; i++)
        if (n->ifaces[i].ifindex == ifindex) return n->ifaces[i].name;
    return "";
}

static void peer_event(struct node *n, const char *type, const struct link_info *l)
{
    char key[BW_KEY_TEXT], addr[BW_ADDR_TEXT], at[BW_ENDPOINT_TEXT];
    node_event(n, type, "{\"key\":\"%s\",\"address\":\"%s\",\"link\":\"%s\",\"endpoint\":\"%s\"}",
               bw_base64_encode(l->key, sizeof l->key, key), bw_addr_is_zero(&l->addr) ? "" : bw_addr_text(&l->addr, addr),
               l->on_link ? node_iface_name(n, l->ifindex) : l->name, bw_endpoint_text(&l->endpoint, at));
}

static void link_up(struct node *n, struct neighbour *b, const struct link_info *l)
{
    if (b->up) return;
    struct babel_iface_params p = {0};
    if (babel_iface_add(n->babel, l->slot, &p, n->now)) {
        bw_log(n->log, BW_ERROR, "no memory for another link: it is tried again");
        n->again_at = n->now + NODE_AGAIN;
        return;
    }
    b->up = true;
    b->info_tries = 0;
    b->info_next = n->now + BW_S / 2;
    n->announce = true;
    peer_event(n, "peer-up", l);
}

static void link_down(struct node *n, struct neighbour *b, const struct link_info *l)
{
    if (!b->up) return;
    node_announce_defaults(n, b, l->slot, false, false);
    babel_iface_remove(n->babel, l->slot, n->now);
    b->up = false;
    peer_event(n, "peer-down", l);
}

static void on_link_changed(void *ctx, uint16_t slot, unsigned what)
{
    struct node *n = ctx;
    struct neighbour *b = node_neighbour(n, slot);
    struct link_info l;
    if (!b) n->again_at = n->now + NODE_AGAIN;
    if (!b || linkset_info(n->links, slot, &l)) return;
    if (what & (LINK_CHANGED_KEYS | LINK_CHANGED_ENDPOINT | LINK_CHANGED_INFO | LINK_CHANGED_GONE)) n->keys_changed = true;
    if (what & LINK_CHANGED_UP) link_up(n, b, &l);
    if (what & (LINK_CHANGED_DOWN | LINK_CHANGED_GONE)) link_down(n, b, &l);
    if (what & LINK_CHANGED_SILENT && l.listed && n->out.resolve) n->out.resolve(n->out.ctx, l.key);
    if (what & LINK_CHANGED_GONE) *b = (struct neighbour){0};
}

// Links that can send, but there was no memory to use them.
void node_links_again(struct node *n)
{
    for (int slot = -1; (slot = linkset_next(n->links, slot)) >= 0;) {
        struct keypair *tx, *rx[LINK_RX_KEYS];
        unsigned count;
        linkset_keys(n->links, (uint16_t)slot, &tx, rx, &count);
        bool used = (unsigned)slot < n->slots && n->neighbours[slot].up;
        if (tx && !used) on_link_changed(n, (uint16_t)slot, LINK_CHANGED_UP | LINK_CHANGED_KEYS);
    }
}

static void on_send(void *ctx, const struct bw_endpoint *to, uint32_t ifindex, const uint8_t *p, size_t len)
{
    struct node *n = ctx;
    n->out.send(n->out.ctx, to, ifindex, p, len);
}

static int on_persist_tai(void *ctx, uint64_t high)
{
    struct node *n = ctx;
    return n->out.persist ? n->out.persist(n->out.ctx, NODE_TAI_HIGH, high) : 0;
}

static void on_keylog(void *ctx, const char *line)
{
    struct node *n = ctx;
    n->out.keylog(n->out.ctx, line);
}

struct linkset_ops node_link_ops(struct node *n)
{
    return (struct linkset_ops){.ctx = n, .send = on_send, .changed = on_link_changed, .persist_tai = on_persist_tai,
                                .keylog = n->out.keylog ? on_keylog : NULL};
}

static void on_beacon(void *ctx, uint32_t ifindex, const uint8_t *p, size_t len)
{
    struct bw_endpoint group = {.addr = discover_group, .port = DISCOVER_PORT, .scope = ifindex};
    on_send(ctx, &group, ifindex, p, len);
}

static void on_found(void *ctx, const uint8_t key[BW_KEY_LEN], uint32_t ifindex, const struct bw_endpoint *at, bool fresh)
{
    struct node *n = ctx;
    int err = linkset_discovered(n->links, key, ifindex, at, fresh, n->now);
    if (err == BW_ERR_NOMEM) bw_log(n->log, BW_WARN, "a neighbour was found but there is no room for another link");
}

static void on_twin(void *ctx, uint32_t ifindex, const struct bw_endpoint *at)
{
    struct node *n = ctx;
    char text[BW_ENDPOINT_TEXT];
    n->twin_at = n->now;
    bw_log(n->log, BW_ERROR, "another machine on %s (%s) runs with this node's key: give one of them a new one with `byway key new --force`",
           node_iface_name(n, ifindex), bw_endpoint_text(at, text));
}

static uint64_t on_stamp(void *ctx, uint64_t unix_ns)
{
    struct node *n = ctx;
    return linkset_stamp(n->links, unix_ns);
}

struct discover_ops node_discover_ops(struct node *n)
{
    return (struct discover_ops){.ctx = n, .send = on_beacon, .found = on_found, .twin = on_twin, .stamp = on_stamp};
}

// ---- names: what a neighbour calls itself, asked of it over the mesh ----

void node_ask_names(struct node *n)
{
    for (int slot = -1; n->out.http && (slot = linkset_next(n->links, slot)) >= 0;) {
        struct neighbour *b = (unsigned)slot < n->slots ? &n->neighbours[slot] : NULL;
        struct link_info l;
        if (!b || !b->up || b->name[0] || b->info_tries >= INFO_TRIES || b->info_next > n->now) continue;
        if (linkset_info(n->links, (uint16_t)slot, &l) || l.kind != LINK_KIND_BYWAY) {
            b->info_next = n->now + INFO_WAIT;
            continue;
        }
        b->info_serial = NODE_INFO_SERIAL | (++n->info_serial & 0x3fffffff);
        b->info_next = n->now + (INFO_WAIT << b->info_tries++);
        struct exitc_http r = {.to = l.addr, .method = "GET", .path = "/v1/peer-info", .timeout_ms = 3000};
        n->out.http(n->out.ctx, b->info_serial, &r);
    }
}

bw_time node_ask_deadline(const struct node *n)
{
    bw_time at = BW_NEVER;
    for (unsigned i = 0; n->out.http && i < n->slots; i++) {
        const struct neighbour *b = &n->neighbours[i];
        if (b->up && !b->name[0] && b->info_tries < INFO_TRIES) at = bw_time_min(at, b->info_next);
    }
    return at;
}

void node_info_done(struct node *n, uint32_t serial, int status, const char *body, size_t len)
{
    for (unsigned i = 0; i < n->slots; i++) {
        struct neighbour *b = &n->neighbours[i];
        if (b->info_serial != serial) continue;
        b->info_serial = 0;
        if (status == 200 && peerinfo_decode(body, len, b->name))
            bw_log(n->log, BW_DEBUG, "a neighbour's answer to /v1/peer-info is not one");
        return;
    }
}
