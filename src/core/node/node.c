#include "core/node/node_private.h"

#include <stdarg.h>
#include <stdio.h>

#include "wire/babel.h"
#include "wire/beacon.h"

#define STOP_TIME (2 * BW_S) // a stopping node waits this long for its neighbours' acknowledgments

void node_event(struct node *n, const char *type, const char *fmt, ...)
{
    char json[600];
    if (!n->out.event) return;
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(json, sizeof json, fmt, ap);
    va_end(ap);
    if (len > 0 && len < (int)sizeof json) n->out.event(n->out.ctx, type, json);
}

// ---- core/exit's wishes ----

static void on_internet_changed(void *ctx)
{
    struct node *n = ctx;
    n->routes_changed = n->announce = n->setup_changed = true;
    n->publish_at = n->now; // with the machine's set-up, not after it
}

static void on_probe(void *ctx, unsigned family, uint32_t serial, uint32_t timeout_ms)
{
    struct node *n = ctx;
    if (n->out.probe) n->out.probe(n->out.ctx, family, serial, timeout_ms);
}

static void on_http(void *ctx, uint32_t serial, const struct exitc_http *r)
{
    struct node *n = ctx;
    if (n->out.http) n->out.http(n->out.ctx, serial, r);
}

static void on_tunnel_send(void *ctx, const struct bw_addr *peer, const uint8_t *packet, size_t len)
{
    struct node *n = ctx;
    sessions_send(n->sessions, peer, packet, len, n->now); // waits for keys if there are none
}

static void on_tell(void *ctx, enum view_exit_state state, const struct bw_addr *exit, const char *why)
{
    struct node *n = ctx;
    char addr[BW_ADDR_TEXT] = "";
    if (exit && !bw_addr_is_zero(exit)) bw_addr_text(exit, addr);
    bw_log(n->log, BW_INFO, "internet: %s%s%s%s%s", view_exit_state_name(state), *addr ? ", exit " : "", addr, why && *why ? ": " : "",
           why ? why : "");
    node_event(n, "exit", "{\"state\":\"%s\",\"address\":\"%s\"}", view_exit_state_name(state), addr);
}

static void on_save_lease(void *ctx, const struct exits_saved *l)
{
    struct node *n = ctx;
    if (n->out.save_lease) n->out.save_lease(n->out.ctx, l);
}

static void on_drop_lease(void *ctx, const uint8_t key[32])
{
    struct node *n = ctx;
    if (n->out.drop_lease) n->out.drop_lease(n->out.ctx, key);
}

static void on_note(void *ctx, const struct exits_month *v, unsigned count)
{
    struct node *n = ctx;
    if (n->out.note_month) n->out.note_month(n->out.ctx, v, count);
}

static bool on_recall(void *ctx, struct exits_month *v)
{
    struct node *n = ctx;
    return n->out.recall_month && n->out.recall_month(n->out.ctx, v);
}

static void on_log_lease(void *ctx, const struct exits_logged *e)
{
    struct node *n = ctx;
    if (n->out.log_lease) n->out.log_lease(n->out.ctx, e);
}

static bool on_uplink_bytes(void *ctx, uint64_t *down, uint64_t *up)
{
    struct node *n = ctx;
    return n->out.uplink_bytes && n->out.uplink_bytes(n->out.ctx, down, up);
}

// ---- making one ----

static bool make_links(struct node *n, const struct node_config *c)
{
    struct linkset_config lc = {.identity = c->id, .policy = c->policy, .public_ = c->public_, .aes = c->aes,
                                .threads = c->threads, .tai_high = c->tai_high};
    memcpy(lc.secret, c->secret, sizeof lc.secret);
    struct linkset_ops lo = node_link_ops(n);
    n->links = linkset_new(n->mem, n->rng, n->log, &lc, &lo);
    struct discover_config dc = {.identity = c->id, .port = c->port, .has_secret = c->policy == LINK_POLICY_SECRET};
    memcpy(dc.secret, c->secret, sizeof dc.secret);
    struct discover_ops d = node_discover_ops(n);
    n->discover = discover_new(n->mem, n->rng, n->log, &dc, &d);
    bw_wipe(&lc, sizeof lc);
    bw_wipe(&dc, sizeof dc);
    return n->links && n->discover;
}

static bool make_routing(struct node *n, const struct node_config *c)
{
    struct babel_config bc = {.linklocal = identity_linklocal(c->id->router_id), .epoch = c->epoch, .seqno = c->seqno,
                              .clean_start = c->clean_start, .no_transit = !c->transit, .max_dests = c->table_cap,
                              .flags = BABEL_CAP_LIGHT | (c->aes ? BABEL_CAP_AES : 0)};
    memcpy(bc.router_id, c->id->router_id, sizeof bc.router_id);
    struct babel_ops bo = node_babel_ops(n);
    n->babel = babel_new(&bc, &bo, n, n->mem, n->rng, n->log, n->now);
    struct internet_config ic = {.id = c->id, .name = c->name, .probe_none = c->probe_none, .probe4 = c->probe4,
                                 .probe6 = c->probe6, .exits = {.limits = c->limits}};
    memcpy(ic.targets, c->targets, sizeof ic.targets);
    struct internet_ops io = {.ctx = n, .changed = on_internet_changed, .probe = on_probe, .http = on_http, .send = on_tunnel_send,
                              .metric = node_metric, .tell = on_tell, .save_lease = on_save_lease, .drop_lease = on_drop_lease,
                              .note = on_note, .recall = on_recall, .log = on_log_lease, .uplink_bytes = on_uplink_bytes};
    n->internet = internet_new(n->mem, n->rng, &ic, &io, n->now);
    if (!n->babel || !n->internet) return false;
    struct bw_prefix self = bw_prefix_host(&c->id->addr);
    return !babel_originate(n->babel, &self, 0, BABEL_ANY_SLOT, n->now);
}

#define LOST_AHEAD_NS (24 * 3600ull * 1000000000u)

void node_numbers_lost(struct node_config *c, uint64_t unix_ns)
{
    c->tai_high = c->session_tai = unix_ns + LOST_AHEAD_NS;
    c->epoch = unix_ns / 1000;
    c->clean_start = false;
}

struct node *node_new(struct bw_mem *mem, struct bw_rng *rng, const struct bw_log *log, const struct node_config *c,
                      const struct node_out *out, bw_time now, uint64_t unix_ns)
{
    struct node *n = bw_alloc(mem, sizeof *n);
    if (!n) return NULL;
    n->mem = mem;
    n->rng = rng;
    n->log = log;
    n->out = *out;
    n->config = *c;
    n->started = n->now = now;
    n->unix_ns = unix_ns;
    n->publish_at = n->again_at = BW_NEVER;
    n->keys_changed = n->setup_changed = true;
    bw_rng_bytes(rng, n->hash_key, sizeof n->hash_key);
    fib_init(&n->mesh, n->hash_key);
    if (!make_links(n, c) || !make_routing(n, c) || !node_make_sessions(n, c) || !node_make_exporters(n)) {
        node_free(n);
        return NULL;
    }
    internet_wall(n->internet, unix_ns / 1000000000u, now);
    node_set_routing(n, c, now);
    return n;
}

void node_free(struct node *n)
{
    if (!n) return;
    internet_free(n->internet);
    sessions_free(n->sessions);
    exporters_free(n->exporters);
    babel_free(n->babel);
    discover_free(n->discover);
    linkset_free(n->links);
    fwd_snapshot_free(n->spare);
    fib_free(&n->mesh, n->mem);
    struct prefix_list *lists[] = {&n->exports, &n->imports, &n->denied, &n->local, &n->blocked, &n->believed};
    for (unsigned i = 0; i < sizeof lists / sizeof *lists; i++) prefix_list_free(n, lists[i]);
    bw_free(n->mem, n->neighbours, n->slots * sizeof *n->neighbours);
    struct bw_mem *mem = n->mem;
    bw_wipe(n, sizeof *n);
    bw_free(mem, n, sizeof *n);
}

// ---- inputs ----

void node_iface_add(struct node *n, uint32_t ifindex, const char *name, bw_time now)
{
    n->now = now;
    unsigned i = 0;
    while (i < n->iface_count && n->ifaces[i].ifindex != ifindex) i++;
    if (i == sizeof n->ifaces / sizeof *n->ifaces) {
        bw_log(n->log, BW_WARN, "%s is not used for discovery: more than %u interfaces", name, i);
        return;
    }
    n->ifaces[i].ifindex = ifindex;
    snprintf(n->ifaces[i].name, sizeof n->ifaces[i].name, "%s", name);
    if (i == n->iface_count) n->iface_count++;
    if (!discover_iface_add(n->discover, ifindex, now)) return;
    bw_log(n->log, BW_ERROR, "no memory for discovery on %s: it is tried again", name);
    n->again_at = now + NODE_AGAIN;
}

// What could not be set up for lack of memory.
static void set_up_again(struct node *n)
{
    n->again_at = BW_NEVER;
    node_links_again(n);
    for (unsigned i = 0; i < n->iface_count; i++) {
        uint32_t ifindex = n->ifaces[i].ifindex;
        if (!discover_iface_has(n->discover, ifindex) && discover_iface_add(n->discover, ifindex, n->now)) n->again_at = n->now + NODE_AGAIN;
    }
}

void node_iface_remove(struct node *n, uint32_t ifindex, bw_time now)
{
    n->now = now;
    discover_iface_remove(n->discover, ifindex);
    linkset_iface_gone(n->links, ifindex, now);
    for (unsigned i = 0; i < n->iface_count; i++) {
        if (n->ifaces[i].ifindex != ifindex) continue;
        n->ifaces[i] = n->ifaces[--n->iface_count];
        return;
    }
}

static void update_blocked(struct node *n)
{
    bool ok = prefix_list_set(n, &n->blocked, n->local.v, n->local.count);
    for (unsigned i = 0; ok && i < n->exports.count; i++) prefix_list_add(n, &n->blocked, &n->exports.v[i]);
    if (!ok) bw_log(n->log, BW_ERROR, "no memory for the list of local prefixes");
    babel_reimport(n->babel, n->now);
}

void node_local(struct node *n, const struct bw_prefix *p, unsigned count, bw_time now)
{
    n->now = now;
    if (count == n->local.count && (!count || !memcmp(p, n->local.v, count * sizeof *p))) return;
    if (!prefix_list_set(n, &n->local, p, count)) return;
    update_blocked(n);
    internet_local(n->internet, p, count, now);
    n->setup_changed = true;
}

void node_uplink(struct node *n, bool v4, bool v6, bw_time now)
{
    n->now = now;
    n->uplink4 = v4;
    n->uplink6 = v6;
    n->announce = true;
    internet_uplink(n->internet, v4, v6, now);
}

void node_onlink(struct node *n, const struct node_onlink *v, unsigned count)
{
    n->onlink_count = count < NODE_ONLINK_MAX ? count : NODE_ONLINK_MAX;
    if (n->onlink_count) memcpy(n->onlink, v, n->onlink_count * sizeof *v);
}

static bool local_sender(const struct node *n, const struct bw_endpoint *from, uint32_t ifindex)
{
    if (bw_addr_is_linklocal(&from->addr)) return true;
    for (unsigned i = 0; i < n->onlink_count; i++)
        if (n->onlink[i].ifindex == ifindex && bw_prefix_has(&n->onlink[i].prefix, &from->addr)) return true;
    return false;
}

void node_punt(struct node *n, const struct fwd_punt *p, bw_time now, uint64_t unix_ns)
{
    n->now = now;
    n->unix_ns = unix_ns;
    switch (p->kind) {
    case FWD_PUNT_HANDSHAKE:
        if (beacon_is(p->data, p->len)) {
            discover_rx(n->discover, p->ifindex, &p->remote, p->data, p->len, now);
        } else {
            bool on_link = discover_iface_has(n->discover, p->ifindex) && local_sender(n, &p->remote, p->ifindex);
            linkset_rx(n->links, p->ifindex, &p->remote, on_link, p->data, p->len, now, unix_ns);
        }
        break;
    case FWD_PUNT_BABEL: node_babel_rx(n, p); break;
    case FWD_PUNT_ROAM: linkset_roam(n->links, p->local_index, &p->remote, p->ifindex, now); break;
    case FWD_PUNT_CONFIRM: linkset_confirm(n->links, p->local_index, now); break;
    case FWD_PUNT_GATEWAY:
    case FWD_PUNT_TUNNEL_ECHO: internet_punt(n->internet, p, now); break;
    case FWD_PUNT_SESSION:
    case FWD_PUNT_SESSION_SPI:
    case FWD_PUNT_SESSION_CONFIRM:
    case FWD_PUNT_SESSION_ERROR:
    case FWD_PUNT_SESSION_WANTED: node_session_punt(n, p); break;
    case FWD_PUNT_EXPORTER: exporters_want(n->exporters, &p->inner_src, now); break;
    }
    // Handshakes must reach the packet path before their answers do.
    if (n->keys_changed) node_publish(n);
}

void node_probe_done(struct node *n, unsigned family, uint32_t serial, bool ok, uint32_t rtt_us, bw_time now)
{
    n->now = now;
    internet_probe_done(n->internet, family, serial, ok, rtt_us, now);
}

void node_http_done(struct node *n, uint32_t serial, int status, const char *body, size_t len, bw_time now)
{
    n->now = now;
    if (serial >= NODE_EXPORT_SERIAL) node_export_answered(n, serial, status, body, len);
    else if (serial & NODE_INFO_SERIAL) node_info_done(n, serial, status, body, len);
    else internet_http_done(n->internet, serial, status, body, len, now);
}

int node_peer_add(struct node *n, const struct link_peer *p, bw_time now)
{
    n->now = now;
    n->announce = true;
    return linkset_add_peer(n->links, p, now);
}

int node_peer_remove(struct node *n, const uint8_t key[32], bw_time now)
{
    n->now = now;
    n->announce = true;
    return linkset_remove_peer(n->links, key, now);
}

void node_share(struct node *n, bool wanted, bw_time now)
{
    n->now = now;
    internet_share(n->internet, wanted, now);
}

void node_use(struct node *n, enum exitc_use use, const struct bw_addr *pinned, bool killswitch, bw_time now)
{
    n->now = now;
    internet_killswitch(n->internet, killswitch, now);
    internet_use(n->internet, use, pinned, now);
}

bool node_restore_lease(struct node *n, const struct exits_saved *l, bw_time now)
{
    n->now = now;
    return internet_restore_lease(n->internet, l, now);
}

void node_set_policy(struct node *n, enum link_policy policy, bool public_, const uint8_t secret[32], bw_time now)
{
    n->now = now;
    linkset_set_policy(n->links, policy, public_, secret, now);
    struct discover_config dc = {.identity = n->config.id, .port = n->config.port, .has_secret = policy == LINK_POLICY_SECRET};
    memcpy(dc.secret, secret, sizeof dc.secret);
    discover_set(n->discover, &dc);
    bw_wipe(&dc, sizeof dc);
}

static bool listed(const struct bw_prefix *list, unsigned count, const struct bw_prefix *p)
{
    for (unsigned i = 0; i < count; i++)
        if (bw_prefix_eq(&list[i], p)) return true;
    return false;
}

void node_set_routing(struct node *n, const struct node_config *c, bw_time now)
{
    n->now = now;
    for (unsigned i = 0; i < n->exports.count; i++)
        if (!listed(c->exports, c->export_count, &n->exports.v[i])) babel_withdraw(n->babel, &n->exports.v[i], BABEL_ANY_SLOT, now);
    for (unsigned i = 0; i < c->export_count; i++)
        if (!listed(n->exports.v, n->exports.count, &c->exports[i]) &&
            babel_originate(n->babel, &c->exports[i], 0, BABEL_ANY_SLOT, now))
            bw_log(n->log, BW_ERROR, "no memory to announce an exported prefix");
    if (!prefix_list_set(n, &n->exports, c->exports, c->export_count) || !prefix_list_set(n, &n->imports, c->imports, c->import_count) ||
        !prefix_list_set(n, &n->denied, c->denied, c->denied_count))
        bw_log(n->log, BW_ERROR, "no memory for the routing rules");
    n->mesh_stale = true;
    n->config.transit = c->transit;
    babel_set_transit(n->babel, c->transit, now);
    update_blocked(n);
    n->keys_changed = n->setup_changed = true;
}

void node_set_name(struct node *n, const char *name)
{
    snprintf(n->config.name, sizeof n->config.name, "%s", name);
    internet_name(n->internet, n->config.name);
}

void node_set_limits(struct node *n, const struct limit_config *c, bw_time now)
{
    n->now = now;
    internet_limits(n->internet, 0, c, now);
}

void node_set_exit_rules(struct node *n, const struct exitc_rules *r, bw_time now)
{
    n->now = now;
    internet_rules(n->internet, r, now);
}

int node_request(struct node *n, const struct bw_addr *caller, const char *method, const char *path, const char *body, size_t len,
                 char *out, size_t cap, size_t *out_len, bw_time now)
{
    n->now = now;
    if (!strcmp(path, "/v1/export")) return node_export_request(n, method, out, cap, out_len);
    return internet_request(n->internet, caller, method, path, body, len, out, cap, out_len, now);
}

// ---- time ----

void node_tick(struct node *n, bw_time now, uint64_t unix_ns)
{
    n->now = now;
    n->unix_ns = unix_ns;
    internet_wall(n->internet, unix_ns / 1000000000u, now);
    linkset_tick(n->links, now, unix_ns);
    if (n->again_at <= now) set_up_again(n);
    discover_tick(n->discover, now, unix_ns);
    babel_tick(n->babel, now);
    if (n->exits_stale) node_tell_routes(n);
    node_export_tick(n);
    internet_tick(n->internet, now);
    sessions_tick(n->sessions, now, unix_ns);
    if (!n->stopping) node_ask_names(n);
    if (n->announce) {
        n->announce = false;
        node_announce(n);
        babel_tick(n->babel, now);
    }
    if (n->routes_changed && n->publish_at == BW_NEVER) n->publish_at = now + NODE_PUBLISH_DELAY;
    if (n->keys_changed || n->publish_at <= now) node_publish(n);
    if (n->setup_changed && n->out.setup_changed) {
        n->setup_changed = false;
        n->out.setup_changed(n->out.ctx);
    }
}

bw_time node_deadline(const struct node *n)
{
    bw_time at = bw_time_min(n->publish_at, n->again_at);
    at = bw_time_min(at, linkset_deadline(n->links));
    at = bw_time_min(at, discover_deadline(n->discover));
    at = bw_time_min(at, babel_deadline(n->babel));
    at = bw_time_min(at, internet_deadline(n->internet));
    at = bw_time_min(at, sessions_deadline(n->sessions));
    at = bw_time_min(at, n->export_due);
    return n->stopping ? bw_time_min(at, n->stop_at) : bw_time_min(at, node_ask_deadline(n));
}

void node_stop(struct node *n, bw_time now)
{
    if (n->stopping) return;
    n->now = now;
    n->stopping = true;
    n->stop_at = now + STOP_TIME;
    internet_leave(n->internet, now);
    node_announce(n);
    babel_shutdown(n->babel, n->stop_at - BW_S / 4, now);
}

bool node_stopped(const struct node *n, bw_time now)
{
    return n->stopping && (now >= n->stop_at || babel_is_down(n->babel));
}

bool node_stopped_clean(const struct node *n)
{
    return babel_is_down(n->babel);
}

// ---- what is so ----

struct linkset *node_links(struct node *n)
{
    return n->links;
}

const struct internet *node_internet(const struct node *n)
{
    return n->internet;
}

const struct bw_prefix *node_believed(const struct node *n, unsigned *count)
{
    *count = n->believed.count;
    return n->believed.v;
}

bool node_has_stock_internet(const struct node *n)
{
    for (int slot = -1; (slot = linkset_next(n->links, slot)) >= 0;) {
        struct link_info l;
        if (!linkset_info(n->links, (uint16_t)slot, &l) && l.internet) return true;
    }
    return false;
}
