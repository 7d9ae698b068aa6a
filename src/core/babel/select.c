// Route selection (RFC 8966 section 3.6) with hysteresis (appendix A.3), what is told about it, and the slow walk over the
// table that lets routes, sources and retracted prefixes expire.
#include "core/babel/internal.h"

enum {
    SMOOTH_HALF = 22, // half-life of a smoothed metric's excess, in eighths of a second
    EVERY_SCAN = 64,  // destinations looked at in one go, at least
};

// ---- smoothed metrics ----

// A worse metric is believed at once; a better one has to last. So the smoothed metric is never below the metric, and its
// excess halves every 2.75 s.
static void settle(const struct babel *b, struct route *r, uint16_t metric)
{
    uint16_t now = now_8(b), dt = (uint16_t)(now - r->smooth_at);
    r->smooth_at = now;
    if (r->smooth <= metric || dt / SMOOTH_HALF > 15) {
        r->smooth = metric;
        return;
    }
    unsigned excess = (unsigned)(r->smooth - metric) >> (dt / SMOOTH_HALF);
    excess -= excess * (dt % SMOOTH_HALF) / (2 * SMOOTH_HALF);
    if (dt && excess) excess--;
    r->smooth = (uint16_t)(metric + excess);
}

void route_smooth(const struct babel *b, struct route *r, uint16_t before, uint16_t after)
{
    if (before == INF) {
        r->smooth = after;
        r->smooth_at = now_8(b);
        return;
    }
    settle(b, r, before);
    if (after > r->smooth) r->smooth = after;
}

// ---- telling ----

void selected_view(const struct babel *b, const struct dest *d, struct babel_selected *out)
{
    *out = (struct babel_selected){.slot = BABEL_ANY_SLOT};
    if (d->selected == SEL_NONE) {
        out->unreachable = true;
    } else if (d->selected == SEL_OWN) {
        out->own = true;
        memcpy(out->router_id, b->cfg.router_id, 8);
        out->metric = d->own_metric;
        out->seqno = b->seqno;
    } else {
        const struct neighbour *n = b->neigh[d->selected];
        const struct route *r = &n->col[dest_index(b, d)];
        out->slot = n->ifc->slot;
        out->next_hop = n->addr;
        memcpy(out->router_id, dest_source(d, r->src)->router_id, 8);
        out->metric = d->metric;
        out->seqno = r->seqno;
    }
}

static void tell_owner(struct babel *b, const struct dest *d)
{
    struct babel_selected s;
    struct bw_prefix p = dest_prefix(d);
    if (!b->ops.route_changed) return;
    selected_view(b, d, &s);
    b->ops.route_changed(b->ctx, &p, d->selected == SEL_NONE && !(d->flags & DEST_HELD) ? NULL : &s);
}

static void announce(struct babel *b, struct dest *d, enum urgency u)
{
    change(b, d, u);
    d->told = d->metric;
    if (d->flags & DEST_MOVED) d->switched = d->change;
    d->flags &= (uint16_t)~DEST_MOVED;
}

static void lost(struct babel *b, struct dest *d)
{
    d->selected = SEL_NONE;
    d->metric = INF;
    if (d->flags & DEST_ANNOUNCED) {
        d->flags |= DEST_HELD | DEST_MOVED;
        d->held_until = (uint16_t)(now_s(b) + b->source_life_s);
        announce(b, d, URGENT);
        dest_look_later(b, d);
    }
    tell_owner(b, d);
}

// A change that neighbours should hear of before the next full update (section 3.7.2).
static bool significant(uint16_t told, uint16_t metric)
{
    unsigned diff = told > metric ? (unsigned)(told - metric) : (unsigned)(metric - told);
    return diff >= (told / 16 > 32 ? told / 16u : 32u);
}

static void set_selected(struct babel *b, struct dest *d, uint16_t sel, uint16_t metric, uint8_t src)
{
    uint16_t old = d->selected;
    if (sel == SEL_NONE) {
        if (old != SEL_NONE) lost(b, d);
        return;
    }
    bool moved = old != sel, other_source = old != SEL_NONE && d->told_src != src;
    uint8_t told = d->told_src;
    if (metric > d->metric || old == SEL_NONE) cap_place_soon(b); // others may be nearer now
    d->selected = sel;
    d->metric = metric;
    d->told_src = src;
    d->flags &= (uint16_t)~DEST_HELD;
    if (moved) d->flags |= DEST_MOVED;
    if (src != told && d->flags & DEST_ANNOUNCED) d->flags |= DEST_MIXED;
    if (other_source) announce(b, d, URGENT);
    else if (old == SEL_NONE || significant(d->told, metric)) announce(b, d, PROMPT);
    else if (moved || d->told != metric) dest_look_later(b, d);
    if (moved || other_source) tell_owner(b, d);
}

// ---- several sources of one prefix ----

// Feasibility distances guard against loops among routes of one source. A prefix with several (fc00::e has one per exit)
// can loop for a moment when nodes change over from one to another at the same time (RFC 8966 section 2.7). We do better:
// while a neighbour may still hold a route of ours with another router-id, a route is only chosen if it is announced with
// a smaller metric than anything that such a neighbour can have from us, whatever the router-id; and where there is none,
// the retraction is awaited. Along every next hop the least metric announced then decreases, so there is no loop.
static uint16_t mixed_bound(struct babel *b, struct dest *d)
{
    if (all_know(b, d->change)) {
        if (d->flags & DEST_FRESH) d->sent_before = INF;
        d->flags &= (uint16_t) ~(DEST_FRESH | DEST_MIXED);
    }
    return d->sent_now < d->sent_before ? d->sent_now : d->sent_before;
}

static bool must_wait(struct babel *b, struct dest *d, const struct route *r)
{
    if (!(d->flags & DEST_ANNOUNCED) || (!(d->flags & DEST_MIXED) && d->told_src == r->src)) return false;
    uint16_t bound = mixed_bound(b, d);
    return r->refmetric >= bound && (d->flags & DEST_MIXED || d->told_src != r->src);
}

void dest_waits(struct babel *b, struct dest *d, bool waits)
{
    if (waits == !!(d->flags & DEST_WAITS)) return;
    d->flags ^= DEST_WAITS;
    b->waiting += waits ? 1u : UINT32_MAX;
}

// Somebody may know more than before: what waited for that is chosen now.
void waiting_run(struct babel *b)
{
    for (uint32_t i = b->tail, before; i != NIL && b->waiting; i = before) {
        struct dest *d = &b->dests[i];
        before = d->prev;
        if (d->flags & DEST_WAITS && all_know(b, d->change)) dest_select(b, d);
    }
}

// ---- choosing ----

struct choice {
    struct neighbour *n;
    struct route *r;
    uint16_t metric;
};

static struct choice current(struct babel *b, struct dest *d)
{
    struct choice c = {.metric = INF};
    if (d->selected >= SEL_OWN) return c;
    struct neighbour *n = b->neigh[d->selected];
    struct route *r = n ? route_get(n, dest_index(b, d)) : NULL;
    if (!r || !route_feasible(d, r) || route_metric(n, r) == INF || must_wait(b, d, r)) return c;
    c = (struct choice){n, r, route_metric(n, r)};
    settle(b, r, c.metric);
    return c;
}

// Section 3.8.2.1 and 3.8.2.2: asks for a seqno that makes this route feasible.
static void want_feasible(struct babel *b, struct dest *d, const struct choice *c, uint16_t below)
{
    const struct source *s = dest_source(d, c->r->src);
    request_want(b, d, s, (uint16_t)(s->seqno + 1), c->n->index, below, below == INF);
}

// A nearer source is held back by a small metric that we announced long ago: a newer seqno of the present one, announced and
// acknowledged, makes everybody forget that.
static void want_newer(struct babel *b, struct dest *d, const struct choice *cur)
{
    d->flags |= DEST_WANTS;
    if (d->base_src == cur->r->src && !babel_seqno_less(d->base_seqno, cur->r->seqno))
        request_want(b, d, dest_source(d, cur->r->src), (uint16_t)(cur->r->seqno + 1), cur->n->index, 0, false);
}

static void select_learnt(struct babel *b, struct dest *d)
{
    uint32_t i = dest_index(b, d);
    struct choice cur = current(b, d), best = cur, unfeasible = {.metric = INF};
    bool waiting = false, held_back = false, wants = false;
    for (uint32_t k = 0; k < b->neigh_top; k++) {
        struct neighbour *n = b->neigh[k];
        struct route *r = n ? route_get(n, i) : NULL;
        uint16_t m = r ? route_metric(n, r) : INF;
        if (m == INF || r == cur.r) continue;
        if (!route_feasible(d, r)) {
            if (m < unfeasible.metric) unfeasible = (struct choice){n, r, m};
        } else if (must_wait(b, d, r)) {
            held_back = true;
            wants |= cur.r && m < cur.metric;
        } else if (m < best.metric) {
            if (cur.r) settle(b, r, m);
            if (!cur.r || r->smooth < cur.r->smooth) best = (struct choice){n, r, m};
            else waiting = true;
        }
    }
    if (best.r) set_selected(b, d, best.n->index, best.metric, best.r->src);
    else set_selected(b, d, SEL_NONE, INF, 0);
    if (unfeasible.r && unfeasible.metric < best.metric) want_feasible(b, d, &unfeasible, best.metric);
    if (waiting || held_back) dest_look_later(b, d);
    dest_waits(b, d, held_back && !best.r);
    if (wants && best.r == cur.r) want_newer(b, d, &cur);
    else d->flags &= (uint16_t)~DEST_WANTS;
}

void dest_select(struct babel *b, struct dest *d)
{
    bool learnt = d->flags & DEST_PLACED && !b->holding && !(d->flags & DEST_OWN);
    if (!learnt) {
        dest_waits(b, d, false);
        d->flags &= (uint16_t)~DEST_WANTS;
    }
    if (d->flags & DEST_OWN) set_selected(b, d, SEL_OWN, d->own_metric, TOLD_OWN);
    else if (!learnt) set_selected(b, d, SEL_NONE, INF, 0);
    else select_learnt(b, d);
}

// ---- looking again: two generations, so that each waits 2..4 s without a timer of its own ----

#define LATER_PERIOD (2 * BW_S)

void dest_look_later(struct babel *b, struct dest *d)
{
    if (d->flags & DEST_LATER) return;
    uint32_t i = dest_index(b, d);
    d->flags |= DEST_LATER;
    d->later = NIL;
    if (b->later_tail[1] != NIL) b->dests[b->later_tail[1]].later = i;
    else b->later[1] = i;
    b->later_tail[1] = i;
    if (b->later_at == BW_NEVER) b->later_at = b->now + LATER_PERIOD;
}

static bool newer_seqno(const struct babel *b, const struct dest *d)
{
    if (!(d->flags & DEST_WANTS) || d->selected >= SEL_OWN) return false;
    return babel_seqno_less(d->base_seqno, b->neigh[d->selected]->col[dest_index(b, d)].seqno);
}

static void look_again(struct babel *b, struct dest *d)
{
    dest_select(b, d);
    if (d->flags & DEST_HELD) {
        if ((b->now < b->unsure_until || !all_know(b, d->switched)) && !passed_16(d->held_until, now_s(b))) {
            dest_look_later(b, d);
            return;
        }
        d->flags &= (uint16_t)~DEST_HELD;
        tell_owner(b, d);
    } else if (d->selected != SEL_NONE && (d->flags & DEST_MOVED || d->told != d->metric || newer_seqno(b, d))) {
        announce(b, d, PROMPT);
    }
    dest_release(b, d);
}

void later_run(struct babel *b)
{
    if (b->now < b->later_at) return;
    uint32_t i = b->later[0];
    b->later[0] = b->later[1], b->later_tail[0] = b->later_tail[1];
    b->later[1] = b->later_tail[1] = NIL;
    while (i != NIL) {
        struct dest *d = &b->dests[i];
        i = d->later;
        d->flags &= (uint16_t)~DEST_LATER;
        look_again(b, d);
    }
    b->later_at = b->later[0] == NIL && b->later[1] == NIL ? BW_NEVER : b->now + LATER_PERIOD;
}

// ---- expiry ----

bw_time scan_period(const struct babel *b)
{
    uint32_t s = b->hold_min_s / 8u;
    return (s < 1 ? 1 : s > 30 ? 30 : s) * BW_S;
}

// Section 3.8.2.3: asks again for a selected route that is about to expire.
static void ask_again(struct babel *b, struct neighbour *n, struct dest *d, struct route *r)
{
    r->flags |= ROUTE_ASKED;
    struct item it = {.type = BABEL_ROUTE_REQUEST, .prefix = dest_prefix(d)};
    item_add(b, n->ifc, &it, b->now + babel_jitter(b, 1 * BW_MS, 50 * BW_MS));
}

static void scan_dest(struct babel *b, struct dest *d, uint16_t ask_s)
{
    uint16_t now = now_s(b);
    bool reselect = false, routes = false;
    for (uint32_t k = 0; k < b->neigh_top; k++) {
        struct neighbour *n = b->neigh[k];
        struct route *r = n ? route_get(n, dest_index(b, d)) : NULL;
        if (!r) continue;
        if (r->smooth != route_metric(n, r) && route_metric(n, r) != INF) settle(b, r, route_metric(n, r));
        if (r->flags & ROUTE_FOREVER) continue;
        if (passed_16(r->expiry, now)) {
            route_drop(b, n, d);
            reselect |= d->selected == k;
            continue;
        }
        routes = true;
        if (d->selected == k && !(r->flags & ROUTE_ASKED) && passed_16((uint16_t)(r->expiry - ask_s), now)) ask_again(b, n, d, r);
    }
    if (reselect || (routes && d->selected == SEL_NONE)) dest_select(b, d); // the latter: asks for a seqno again
    sources_collect(b, d);
    dest_release(b, d);
}

void scan_run(struct babel *b)
{
    if (b->now < b->scan_at) return;
    uint32_t steps = b->dest_top / EVERY_SCAN;
    steps = steps < 1 ? 1 : steps > 16 ? 16 : steps;
    uint32_t chunk = b->dest_top / steps + 1;
    uint16_t ask_s = (uint16_t)(scan_period(b) / BW_S * 2 + 1);
    for (; chunk-- && b->scan_next < b->dest_top; b->scan_next++)
        if (b->dests[b->scan_next].flags & DEST_USED) scan_dest(b, &b->dests[b->scan_next], ask_s);
    if (b->scan_next >= b->dest_top) {
        b->scan_next = 0;
        cap_look_anew(b);
    }
    b->scan_at = b->now + scan_period(b) / steps;
}
