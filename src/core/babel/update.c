// Updates received (RFC 8966 section 3.5.3), and what a neighbour's cost or end does to the routes through it.
#include "core/babel/internal.h"

const struct bw_addr babel_group = {{0xff, 0x02, [13] = 1, [15] = 6}};

static bool inside(const struct bw_prefix *p, uint8_t first, uint8_t second, uint8_t len)
{
    struct bw_prefix q = {.addr = {{first, second}}, .len = len};
    return p->len >= len && bw_prefix_has(&q, &p->addr);
}

static bool inside_v4(const struct bw_prefix *p, uint8_t first, uint8_t second, uint8_t len)
{
    struct bw_prefix q = {.addr = {{[10] = 0xff, 0xff, first, second}}, .len = (uint8_t)(96 + len)};
    return bw_prefix_is_v4(p) && p->len >= q.len && bw_prefix_has(&q, &p->addr);
}

// RFC 8966 appendix C: never learnt, whatever the import rule says.
static bool martian(const struct bw_prefix *p)
{
    if (bw_prefix_is_v4(p)) {
        static const struct bw_prefix zero = {.addr = {{[10] = 0xff, 0xff}}, .len = 128};
        return inside_v4(p, 127, 0, 8) || inside_v4(p, 224, 0, 3) || bw_prefix_eq(p, &zero);
    }
    if (p->len == 128 && bw_addr_is_zero(&p->addr)) return true;
    struct bw_prefix loopback = {.addr = {{[15] = 1}}, .len = 128};
    return inside(p, 0xfe, 0x80, 10) || inside(p, 0xff, 0, 8) || bw_prefix_eq(p, &loopback);
}

bool babel_import_default(const struct bw_prefix *p)
{
    if (bw_prefix_is_v4(p)) return inside_v4(p, 10, 0, 8) || inside_v4(p, 172, 16, 12) || inside_v4(p, 192, 168, 16);
    if (inside(p, 0xfd, 0, 8)) return true;
    return p->len == 128 && (bw_addr_is_mesh(&p->addr) || bw_addr_eq(&p->addr, &bw_addr_any_exit));
}

static bool imported(struct babel *b, const struct neighbour *n, const struct bw_prefix *p, const uint8_t router_id[8])
{
    return b->ops.import ? b->ops.import(b->ctx, n->ifc->slot, p, router_id) : babel_import_default(p);
}

static void retract(struct babel *b, struct neighbour *n, struct dest *d)
{
    if (!d || !route_get(n, dest_index(b, d))) return;
    route_drop(b, n, d);
    if (d->selected == n->index) dest_select(b, d);
    dest_release(b, d);
}

void routes_flush(struct babel *b, struct neighbour *n)
{
    for (uint32_t i = 0; i < n->col_cap && n->routes; i++)
        if (route_get(n, i)) retract(b, n, &b->dests[i]);
    n->ifc->claim = 0;
}

void routes_recost(struct babel *b, struct neighbour *n, uint16_t old_cost)
{
    for (uint32_t i = 0; i < n->col_cap; i++) {
        struct route *r = route_get(n, i);
        if (!r) continue;
        struct dest *d = &b->dests[i];
        uint32_t old = (uint32_t)r->refmetric + old_cost;
        uint16_t metric = route_metric(n, r);
        route_smooth(b, r, old_cost == INF || old >= INF ? INF : (uint16_t)old, metric);
        if (d->selected == n->index || metric < d->metric) dest_select(b, d);
    }
    cap_place_soon(b);
}

// Hold time: 3.5 times the interval (appendix B), in whole seconds.
static void refresh(struct babel *b, struct route *r, uint16_t interval_cs)
{
    r->flags &= (uint8_t) ~(ROUTE_ASKED | ROUTE_FOREVER);
    if (interval_cs == INF) {
        r->flags |= ROUTE_FOREVER;
        return;
    }
    uint16_t hold = (uint16_t)(interval_cs * 35u / 1000 + 2);
    if (hold < b->hold_min_s) b->hold_min_s = hold;
    r->expiry = (uint16_t)(now_s(b) + hold);
}

// A selected route has become unfeasible by an update that keeps the source. Section 3.5.3 lets us ignore it: that is the
// better choice unless there is a feasible way that is no longer than this one has become.
static bool ignore_unfeasible(struct babel *b, struct neighbour *n, struct dest *d, const struct route *now)
{
    uint32_t i = dest_index(b, d);
    uint16_t metric = route_metric(n, now);
    if (n->cost == INF) return false;
    for (uint32_t k = 0; k < b->neigh_top; k++) {
        struct neighbour *o = b->neigh[k];
        struct route *r = o && o != n ? route_get(o, i) : NULL;
        if (!r || route_metric(o, r) == INF || route_metric(o, r) > metric) continue;
        if (route_feasible(d, r)) return false;
    }
    const struct source *s = dest_source(d, now->src);
    request_want(b, d, s, (uint16_t)(s->seqno + 1), n->index, metric, true);
    babel_drop(b, BABEL_DROP_UNFEASIBLE);
    return true;
}

// A route that is there already. Returns its destination; NULL: that has gone.
static struct dest *update_route(struct babel *b, struct neighbour *n, struct dest *d, const struct babel_tlv *t)
{
    struct route *r = route_get(n, dest_index(b, d));
    int src = source_get(b, d, t->update.router_id);
    if (src < 0) { // no room to keep its feasibility distance: as good as retracted
        babel_drop(b, src == BW_ERR_NOMEM ? BABEL_DROP_NOMEM : BABEL_DROP_CAP);
        retract(b, n, d);
        return dest_find(b, &t->update.prefix);
    }
    struct route now = *r;
    now.seqno = t->update.seqno;
    now.refmetric = t->update.metric;
    now.src = (uint8_t)src;
    bool selected = d->selected == n->index, feasible = route_feasible(d, &now), same = now.src == r->src;
    if (selected && same && !feasible && ignore_unfeasible(b, n, d, &now)) return d;
    uint16_t before = route_metric(n, r), after = route_metric(n, &now);
    route_smooth(b, &now, before, after);
    *r = now;
    refresh(b, r, t->update.interval_cs);
    cap_offer(b, d);
    if (selected ? !feasible || !same || after != d->metric : after < d->metric) dest_select(b, d);
    return d;
}

// A link that was dead a moment ago has to show that it lasts, where there is a choice.
#define SETTLE (20 * BW_S)

// d: NULL if the destination is not even known. Returns it; NULL: the route was not taken.
static struct dest *new_route(struct babel *b, struct neighbour *n, struct dest *d, const struct babel_tlv *t)
{
    if (!(d && d->flags & DEST_LEARNT) && !cap_admit(b, n, d, &t->update.prefix, t->update.metric)) {
        babel_drop(b, BABEL_DROP_CAP);
        return NULL;
    }
    if (!d) d = dest_new(b, &t->update.prefix);
    if (!d) {
        babel_drop(b, BABEL_DROP_NOMEM);
        return NULL;
    }
    int src = source_get(b, d, t->update.router_id);
    struct route *r = src < 0 ? NULL : route_new(b, n, d);
    if (!r) {
        babel_drop(b, src == BW_ERR_RANGE ? BABEL_DROP_CAP : BABEL_DROP_NOMEM);
        dest_release(b, d);
        return NULL;
    }
    r->seqno = t->update.seqno;
    r->refmetric = t->update.metric;
    r->src = (uint8_t)src;
    route_smooth(b, r, INF, route_metric(n, r));
    if (n->was_down && n->since + SETTLE > b->now && r->smooth < 0x8000) r->smooth = (uint16_t)(r->smooth + r->smooth / 2);
    refresh(b, r, t->update.interval_cs);
    cap_offer(b, d);
    if (route_metric(n, r) < d->metric) dest_select(b, d);
    return d;
}

// Who has just lost its route may believe that ours leads through it (split horizon). If it does no longer and that has not
// been announced, for it costs the same, the loser hears of it now and need not wait.
static void tell_loser(struct babel *b, struct neighbour *n, const struct bw_prefix *p)
{
    const struct dest *d = dest_find(b, p);
    if (!d || !(d->flags & DEST_MOVED) || d->selected >= SEL_OWN || d->selected == n->index) return;
    struct item it = {.type = BABEL_UPDATE, .prefix = *p};
    item_add(b, n->ifc, &it, b->now + babel_jitter(b, 5 * BW_MS, 50 * BW_MS));
}

void update_received(struct babel *b, struct neighbour *n, const struct babel_tlv *t)
{
    bool retraction = t->update.metric == INF;
    n->table_due = false;
    if (t->update.wildcard) {
        routes_flush(b, n);
        return;
    }
    if (martian(&t->update.prefix)) {
        babel_drop(b, BABEL_DROP_MARTIAN);
        return;
    }
    if (!retraction && !memcmp(t->update.router_id, b->cfg.router_id, 8)) { // the neighbour's way leads to ourselves
        babel_drop(b, BABEL_DROP_OWN);
        retraction = true;
    } else if (!retraction && !imported(b, n, &t->update.prefix, t->update.router_id)) {
        babel_drop(b, BABEL_DROP_IMPORT);
        retraction = true;
    }
    struct dest *d = dest_find(b, &t->update.prefix);
    if (retraction) {
        retract(b, n, d);
        tell_loser(b, n, &t->update.prefix);
        return;
    }
    d = d && route_get(n, dest_index(b, d)) ? update_route(b, n, d, t) : new_route(b, n, d, t);
    if (d && d->requests != NIL) request_satisfy(b, d);
}
