// Read-only views and names.
#include "core/babel/internal.h"

void babel_each_neighbour(const struct babel *b, void (*fn)(void *ctx, const struct babel_neighbour *n), void *ctx)
{
    for (uint32_t slot = 0; slot < b->slot_cap; slot++) {
        const struct iface *ifc = b->by_slot[slot];
        for (unsigned k = 0; ifc && k < ifc->neigh_count; k++) {
            struct babel_neighbour v;
            neighbour_view(ifc->neigh[k], &v);
            fn(ctx, &v);
        }
    }
}

static void own_view(const struct babel *b, const struct dest *d, struct babel_route *out)
{
    *out = (struct babel_route){.prefix = dest_prefix(d), .metric = d->own_metric, .refmetric = d->own_metric, .seqno = b->seqno,
                                .slot = BABEL_ANY_SLOT, .selected = true, .own = true};
    memcpy(out->router_id, b->cfg.router_id, 8);
}

static void route_view(const struct dest *d, const struct neighbour *n, const struct route *r, struct babel_route *out)
{
    *out = (struct babel_route){.prefix = dest_prefix(d), .metric = route_metric(n, r), .refmetric = r->refmetric, .seqno = r->seqno,
                                .slot = n->ifc->slot, .next_hop = n->addr, .selected = d->selected == n->index};
    memcpy(out->router_id, dest_source(d, r->src)->router_id, 8);
    if (out->selected) out->metric = d->metric;
}

// The routes of one destination: all that neighbours told, or the selected one alone, and that there is none any more.
static void each_of(const struct babel *b, uint32_t dest, bool all, void (*fn)(void *ctx, const struct babel_route *r), void *ctx)
{
    struct babel_route v;
    const struct dest *d = &b->dests[dest];
    if (d->selected == SEL_OWN) {
        own_view(b, d, &v);
        fn(ctx, &v);
    }
    if (!all && d->selected == SEL_NONE && d->flags & DEST_HELD) {
        v = (struct babel_route){.prefix = dest_prefix(d), .metric = INF, .refmetric = INF, .slot = BABEL_ANY_SLOT};
        fn(ctx, &v);
    }
    if (!all && d->selected >= SEL_OWN) return;
    uint32_t from = all ? 0 : d->selected, upto = all ? b->neigh_top : d->selected + 1u;
    for (uint32_t k = from; k < upto; k++) {
        const struct route *r = b->neigh[k] ? route_get(b->neigh[k], dest) : NULL;
        if (!r) continue;
        route_view(d, b->neigh[k], r, &v);
        fn(ctx, &v);
    }
}

static void each(const struct babel *b, bool all, void (*fn)(void *ctx, const struct babel_route *r), void *ctx)
{
    for (uint32_t i = 0; i < b->dest_top; i++)
        if (b->dests[i].flags & DEST_USED) each_of(b, i, all, fn, ctx);
}

void babel_each_route(const struct babel *b, void (*fn)(void *ctx, const struct babel_route *r), void *ctx)
{
    each(b, true, fn, ctx);
}

void babel_each_selected(const struct babel *b, void (*fn)(void *ctx, const struct babel_route *r), void *ctx)
{
    each(b, false, fn, ctx);
}

void babel_each_route_to(const struct babel *b, const struct bw_prefix *p, void (*fn)(void *ctx, const struct babel_route *r), void *ctx)
{
    const struct dest *d = dest_find(b, p);
    if (d) each_of(b, dest_index(b, d), true, fn, ctx);
}

void babel_each_source(const struct babel *b, void (*fn)(void *ctx, const struct babel_source *s), void *ctx)
{
    for (uint32_t i = 0; i < b->dest_top; i++) {
        const struct dest *d = &b->dests[i];
        for (unsigned k = 0; d->flags & DEST_USED && k < dest_source_count(d); k++) {
            const struct source *s = dest_source(d, k);
            if (!s->valid) continue;
            struct babel_source v = {.prefix = dest_prefix(d), .seqno = s->seqno, .metric = s->metric};
            memcpy(v.router_id, s->router_id, 8);
            fn(ctx, &v);
        }
    }
}

bool babel_lookup(const struct babel *b, const struct bw_prefix *p, struct babel_route *out)
{
    const struct dest *d = dest_find(b, p);
    if (!d || d->selected == SEL_NONE) return false;
    if (d->selected == SEL_OWN) {
        own_view(b, d, out);
        return true;
    }
    const struct neighbour *n = b->neigh[d->selected];
    route_view(d, n, &n->col[dest_index(b, d)], out);
    return true;
}

const struct babel_counters *babel_counters(const struct babel *b)
{
    return &b->count;
}

void babel_totals(const struct babel *b, struct babel_totals *out)
{
    *out = (struct babel_totals){.dests = b->dest_count, .requests = b->request_count, .seqno = b->seqno, .holding = b->holding};
    for (uint32_t k = 0; k < b->neigh_top; k++) {
        if (!b->neigh[k]) continue;
        out->neighbours++;
        out->neighbours_up += b->neigh[k]->up;
        out->routes += b->neigh[k]->routes;
    }
    for (uint32_t i = 0; i < b->dest_top; i++) {
        const struct dest *d = &b->dests[i];
        if (!(d->flags & DEST_USED)) continue;
        out->selected += d->selected != SEL_NONE;
        for (unsigned k = 0; k < dest_source_count(d); k++) out->sources += dest_source(d, k)->valid;
    }
}

const char *babel_drop_name(enum babel_drop d)
{
    static const char *const names[BABEL_DROP_COUNT] = {
        "header", "source", "malformed", "unknown", "mandatory", "no_neighbour",
        "martian", "import", "own", "unfeasible", "cap", "nomem"};
    return (unsigned)d < BABEL_DROP_COUNT ? names[d] : "?";
}

const char *babel_tlv_name(unsigned type)
{
    static const char *const names[BABEL_TYPES] = {"pad1", "padn", "ack_request", "ack", "hello", "ihu",
                                                   "router_id", "next_hop", "update", "route_request", "seqno_request"};
    return type < BABEL_TYPES ? names[type] : "?";
}
