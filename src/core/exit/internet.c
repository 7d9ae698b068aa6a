#include "core/exit/internet_parts.h"

static void do_probe(void *ctx, unsigned family, uint32_t serial, uint32_t timeout_ms)
{
    struct internet *i = ctx;
    if (i->ops.probe) i->ops.probe(i->ops.ctx, family, serial, timeout_ms);
}

static void do_http(void *ctx, uint32_t serial, const struct exitc_http *r)
{
    struct internet *i = ctx;
    i->ops.http(i->ops.ctx, serial, r);
}

static void do_send(void *ctx, const struct bw_addr *peer, const uint8_t *packet, size_t n)
{
    struct internet *i = ctx;
    i->ops.send(i->ops.ctx, peer, packet, n);
}

static void do_tell(void *ctx, enum view_exit_state state, const struct bw_addr *exit, const char *why)
{
    struct internet *i = ctx;
    if (i->ops.tell) i->ops.tell(i->ops.ctx, state, exit, why);
}

static void do_save(void *ctx, const struct exits_saved *l)
{
    struct internet *i = ctx;
    if (i->ops.save_lease) i->ops.save_lease(i->ops.ctx, l);
}

static void do_drop(void *ctx, const uint8_t key[32])
{
    struct internet *i = ctx;
    if (i->ops.drop_lease) i->ops.drop_lease(i->ops.ctx, key);
}

static void do_note(void *ctx, const struct exits_month *v, unsigned n)
{
    struct internet *i = ctx;
    if (i->ops.note) i->ops.note(i->ops.ctx, v, n);
}

static bool do_recall(void *ctx, struct exits_month *v)
{
    struct internet *i = ctx;
    return i->ops.recall && i->ops.recall(i->ops.ctx, v);
}

static void do_log(void *ctx, const struct exits_logged *e)
{
    struct internet *i = ctx;
    if (i->ops.log) i->ops.log(i->ops.ctx, e);
}

static bool do_uplink_bytes(void *ctx, uint64_t *down, uint64_t *up)
{
    struct internet *i = ctx;
    return i->ops.uplink_bytes && i->ops.uplink_bytes(i->ops.ctx, down, up);
}

struct internet *internet_new(struct bw_mem *mem, struct bw_rng *rng, const struct internet_config *c,
                              const struct internet_ops *ops, bw_time now)
{
    struct internet *i = bw_alloc(mem, sizeof *i);
    if (!i) return NULL;
    i->mem = mem;
    i->id = c->id;
    i->ops = *ops;
    i->use = EXITC_NONE;
    struct uplink_ops up = {.ctx = i, .probe = do_probe};
    uplink_init(&i->uplink, &up, c->probe_none, c->probe4, c->probe6);
    book_init(&i->book, mem, &c->id->addr, ops->metric, ops->ctx);
    struct exits_config ec = c->exits;
    ec.id = c->id;
    ec.name = c->name;
    struct exits_ops eo = {.ctx = i, .save = do_save, .drop = do_drop, .note = do_note, .recall = do_recall, .log = do_log,
                           .uplink_bytes = do_uplink_bytes};
    exits_init(&i->exits, mem, rng, &ec, &eo, now);
    struct exitc_ops co = {.ctx = i, .http = do_http, .send = do_send, .tell = do_tell};
    exitc_init(&i->client, mem, rng, c->id, &i->book, &co, now);
    for (unsigned k = 0; k < EXITC_TARGETS; k++)
        if (!bw_addr_is_zero(&c->targets[k])) exitc_target(&i->client, &c->targets[k]);
    i->deadline = i->uplink_since = now;
    return i;
}

void internet_free(struct internet *i)
{
    if (!i) return;
    struct bw_mem *mem = i->mem;
    exitc_free(&i->client);
    exits_free(&i->exits);
    book_free(&i->book);
    bw_free(mem, i, sizeof *i);
}

// ---- how the parts depend on each other ----

// Somebody wants to know whether our own connection works: we share it, or would rather use it than an exit.
static bool uplink_matters(const struct internet *i)
{
    return i->share || (i->use == EXITC_AUTO && !i->killswitch);
}

// A kill switch makes auto into always.
static enum exitc_use internet_effective_use(const struct internet *i)
{
    return i->killswitch && i->use == EXITC_AUTO ? EXITC_ALWAYS : i->use;
}

// An exit that itself goes out through another exit does not share (DESIGN 2).
static bool may_share(const struct internet *i)
{
    enum exitc_use use = internet_effective_use(i);
    return i->share && (use == EXITC_AUTO || use == EXITC_NONE) && i->client.active < 0;
}

static bool run_once(struct internet *i, bw_time now)
{
    struct uplink *u = &i->uplink;
    bool was_on = i->exits.plan.on;
    uplink_pace(u, !uplink_matters(i), exits_active(&i->exits) > 0, now);
    if (i->exits.limits.way[LIMIT_DOWN].rate >= UPLINK_FLOW_BPS) uplink_flows(u, i->exits.limits.last);
    bw_time up = uplink_tick(u, now);
    bool changed = exits_uplink(&i->exits, uplink_family_proven(u, UPLINK_V4), uplink_family_proven(u, UPLINK_V6), now);
    changed |= exits_want(&i->exits, may_share(i), now);
    changed |= exits_tick(&i->exits, now);
    exitc_sharing(&i->client, i->exits.plan.on, now);
    exitc_own(&i->client, uplink_proven(u), uplink_settled(u), now);
    bw_time client = exitc_tick(&i->client, now);
    changed |= exitc_take_changed(&i->client);
    if (was_on != i->exits.plan.on) i->uplink_since = now;
    i->deadline = bw_time_min(bw_time_min(up, client), exits_deadline(&i->exits));
    return changed;
}

static void run(struct internet *i, bool changed, bw_time now)
{
    changed |= run_once(i, now);
    changed |= run_once(i, now); // the client's new state may free or forbid sharing
    if (changed && i->ops.changed) i->ops.changed(i->ops.ctx);
}

void internet_tick(struct internet *i, bw_time now)
{
    run(i, false, now);
}

bw_time internet_deadline(const struct internet *i)
{
    return i->deadline;
}

// ---- inputs ----

void internet_share(struct internet *i, bool wanted, bw_time now)
{
    i->share = wanted;
    run(i, true, now);
}

void internet_use(struct internet *i, enum exitc_use use, const struct bw_addr *pinned, bw_time now)
{
    i->use = use;
    if (pinned) i->pinned = *pinned;
    exitc_use(&i->client, internet_effective_use(i), &i->pinned, now);
    run(i, true, now);
}

void internet_killswitch(struct internet *i, bool on, bw_time now)
{
    i->killswitch = on;
    internet_use(i, i->use, NULL, now);
}

void internet_limits(struct internet *i, uint64_t price, const struct limit_config *c, bw_time now)
{
    i->exits.config.price = price;
    exits_limits(&i->exits, c);
    run(i, false, now);
}

void internet_name(struct internet *i, const char *name)
{
    exits_name(&i->exits, name);
}

void internet_rules(struct internet *i, const struct exitc_rules *r, bw_time now)
{
    exitc_rules(&i->client, r);
    for (unsigned k = 0; k < r->prefer_count; k++) book_hear(&i->book, &r->prefer[k], now);
    run(i, false, now);
}

void internet_uplink(struct internet *i, bool default4, bool default6, bw_time now)
{
    uplink_present(&i->uplink, default4, default6, now);
    run(i, false, now);
}

void internet_local(struct internet *i, const struct bw_prefix *p, unsigned count, bw_time now)
{
    bool changed = exits_local(&i->exits, p, count, now);
    i->client.local = i->exits.local;
    i->client.local_count = i->exits.local_count;
    run(i, changed, now);
}

void internet_wall(struct internet *i, uint64_t unix_s, bw_time now)
{
    exits_wall(&i->exits, unix_s, now);
}

bool internet_restore_lease(struct internet *i, const struct exits_saved *l, bw_time now)
{
    return exits_restore(&i->exits, l, now);
}

void internet_probe_done(struct internet *i, unsigned family, uint32_t serial, bool ok, uint32_t rtt_us, bw_time now)
{
    uplink_result(&i->uplink, family, serial, ok, rtt_us, now);
    run(i, false, now);
}

void internet_http_done(struct internet *i, uint32_t serial, int status, const char *body, size_t n, bw_time now)
{
    if (exitc_http_done(&i->client, serial, status, body, n, now)) return; // nobody waits for it
    run(i, false, now);
}

void internet_any(struct internet *i, const uint8_t router_id[8], bw_time now)
{
    exitc_any_route(&i->client, router_id, now);
    run(i, false, now);
}

void internet_heard(struct internet *i, const struct bw_addr *exit, bw_time now)
{
    if (book_find(&i->book, exit)) return;
    if (book_hear(&i->book, exit, now)) run(i, false, now);
}

void internet_routes_changed(struct internet *i, bw_time now)
{
    exitc_routes_changed(&i->client, now);
    run(i, false, now);
}

void internet_punt(struct internet *i, const struct fwd_punt *p, bw_time now)
{
    uint8_t out[FWD_MTU];
    if (p->kind == FWD_PUNT_GATEWAY) {
        size_t n = exits_answer(&i->exits, &p->inner_src, p->data, p->len, out, sizeof out);
        if (n) i->ops.send(i->ops.ctx, &p->inner_src, out, n);
    } else if (p->kind == FWD_PUNT_TUNNEL_ECHO) {
        exitc_packet(&i->client, &p->inner_src, p->data, p->len, now);
        run(i, false, now);
    }
}

int internet_request(struct internet *i, const struct bw_addr *caller, const char *method, const char *path, const char *body,
                     size_t len, char *out, size_t cap, size_t *n, bw_time now)
{
    struct lease_request r = {0};
    bool changed = false;
    *n = 0;
    if (!strcmp(path, "/v1/exit") && !strcmp(method, "GET")) return exits_get_offer(&i->exits, &i->book, out, cap, n, now);
    if (strcmp(path, "/v1/lease") || strcmp(method, "POST")) return 404;
    struct bw_addr via = {0};
    (void)i->ops.metric(i->ops.ctx, caller, &via);
    int status = exits_post_lease(&i->exits, caller, &via, body, len, out, cap, n, &changed, &r, now);
    for (unsigned k = 0; status == 200 && k < r.known_count; k++) book_hear(&i->book, &r.known[k], now);
    run(i, changed, now);
    return status;
}

void internet_leave(struct internet *i, bw_time now)
{
    exits_note(&i->exits, now);
    i->share = false;
    i->use = EXITC_NONE;
    exitc_leave(&i->client, now);
    run(i, true, now);
}

// ---- outputs ----

bool internet_shares(const struct internet *i)
{
    return i->exits.plan.on;
}

// Clients are answered as long as they have leases, also while this node shares nothing (its uplink died, perhaps it uses
// another exit itself by now): "unreachable" sends them on at once, silence would cost them seconds.
static bool serves(const struct internet *i)
{
    return i->share && i->exits.plan.pool4.len;
}

void internet_gateways(const struct internet *i, struct bw_addr *v4, struct bw_addr *v6)
{
    static const struct bw_addr none;
    *v4 = serves(i) ? i->exits.plan.gateway4 : none;
    *v6 = serves(i) ? i->exits.plan.gateway6 : none;
}

void internet_pools(const struct internet *i, struct bw_prefix *v4, struct bw_prefix *v6)
{
    static const struct bw_prefix none;
    *v4 = serves(i) ? i->exits.plan.pool4 : none;
    *v6 = serves(i) ? i->exits.plan.pool6 : none;
}

unsigned internet_tunnels(const struct internet *i, struct fwd_tunnel *out, unsigned max)
{
    static const struct bw_addr none;
    unsigned n = 0;
    for (unsigned k = 0; k < EXITC_TUNNELS; k++) {
        const struct exitc_tunnel *t = &i->client.tunnel[k];
        if (t->state < EXITC_PROVING) continue;
        if (n < max) out[n] = (struct fwd_tunnel){.peer = t->exit, .is_exit = true, .inner4 = t->lease.inner4,
                                                  .inner6 = t->lease.inner6, .shared = t->shared};
        n++;
    }
    for (unsigned k = 0; serves(i) && k < i->exits.count; k++) {
        const struct exits_lease *l = &i->exits.lease[k];
        if (!l->active) continue;
        if (n < max) out[n] = (struct fwd_tunnel){.peer = l->address, .inner4 = l->v4 ? l->inner4 : none,
                                                  .inner6 = l->v6 ? l->inner6 : none, .shared = l->shared,
                                                  .group = i->exits.limits.all};
        n++;
    }
    return n;
}

struct routes {
    struct fwd_route *out;
    unsigned n, max;
};

static void add_route(struct routes *r, struct bw_prefix prefix, enum fwd_target target, const struct bw_addr *via)
{
    if (r->n < r->max) r->out[r->n] = (struct fwd_route){.prefix = prefix, .target = target, .link = FWD_NO_LINK, .via = *via};
    r->n++;
}

unsigned internet_tun_routes(const struct internet *i, struct fwd_route *out, unsigned max)
{
    static const struct bw_prefix all4 = {{{[10] = 0xff, [11] = 0xff}}, 96}, all6 = {{{0}}, 0}, ula = {{{0xfc}}, 7};
    static const struct bw_addr none;
    struct routes r = {out, 0, max};
    struct exitc_plan p;
    exitc_plan(&i->client, &p);
    if (p.active && !bw_addr_is_zero(&p.inner4)) add_route(&r, all4, FWD_TO_TUNNEL, &p.exit);
    if (p.active && !bw_addr_is_zero(&p.inner6)) {
        add_route(&r, all6, FWD_TO_TUNNEL, &p.exit);
        add_route(&r, ula, FWD_UNREACHABLE, &none); // a mesh address without a route is not on the Internet
        add_route(&r, bw_prefix_host(&p.gateway6), FWD_TO_TUNNEL, &p.exit);
    }
    for (unsigned k = 0; serves(i) && k < i->exits.count; k++) {
        const struct exits_lease *l = &i->exits.lease[k];
        if (l->active && l->v4) add_route(&r, bw_prefix_host(&l->inner4), FWD_TO_TUNNEL, &l->address);
        if (l->active && l->v6) add_route(&r, bw_prefix_host(&l->inner6), FWD_TO_TUNNEL, &l->address);
    }
    return r.n;
}

const struct exits_plan *internet_share_plan(const struct internet *i)
{
    return &i->exits.plan;
}

void internet_client_plan(const struct internet *i, struct exitc_plan *out)
{
    exitc_plan(&i->client, out);
}
