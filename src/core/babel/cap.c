// The cap on learnt destinations: whose they are, and who makes room for a new one.
//
// Every destination is held by one link: the one that brought it, or, of several that have a route, the one that holds less.
// A link's share is the cap divided by the links that hold something. With a full table a link below its share takes from
// those above theirs; a link that has its share can only exchange one of its own for a nearer one. So a hostile neighbour
// that invents near destinations gets its share and no more, whether it comes first or last.
#include "core/babel/internal.h"

enum { SHARE_MIN = 16 };

// ---- who holds what ----

static struct iface *holder_of(const struct babel *b, const struct dest *d)
{
    return d->holder == BABEL_ANY_SLOT ? NULL : b->by_slot[d->holder];
}

static void count(struct babel *b, struct iface *ifc, const struct dest *d, uint32_t by)
{
    if (!ifc) return;
    ifc->kept += by;
    if (!(d->flags & DEST_LEARNT)) return;
    b->holders -= ifc->held > 0;
    ifc->held += by;
    b->holders += ifc->held > 0;
}

static void hold(struct babel *b, struct dest *d, struct iface *ifc)
{
    count(b, holder_of(b, d), d, UINT32_MAX);
    d->holder = ifc ? ifc->slot : BABEL_ANY_SLOT;
    count(b, ifc, d, 1);
}

void cap_route_new(struct babel *b, const struct neighbour *n, struct dest *d)
{
    const struct iface *old = holder_of(b, d);
    if (d->flags & DEST_LEARNT) {
        if (old && n->ifc->held + 1 < old->held) hold(b, d, n->ifc);
        return;
    }
    hold(b, d, NULL);
    d->flags |= DEST_LEARNT;
    b->learnt++;
    hold(b, d, n->ifc);
}

static bool has_route(const struct iface *ifc, uint32_t dest)
{
    for (unsigned k = 0; k < ifc->neigh_count; k++)
        if (route_get(ifc->neigh[k], dest)) return true;
    return false;
}

void cap_route_gone(struct babel *b, struct dest *d)
{
    struct iface *old = holder_of(b, d);
    uint32_t i = dest_index(b, d);
    if (!(d->flags & DEST_LEARNT) || (old && has_route(old, i))) return;
    for (uint32_t k = 0; k < b->neigh_top; k++) {
        if (!b->neigh[k] || !route_get(b->neigh[k], i)) continue;
        hold(b, d, b->neigh[k]->ifc);
        return;
    }
    hold(b, d, NULL);
    d->flags &= (uint16_t)~DEST_LEARNT;
    b->learnt--;
    hold(b, d, old); // it is still to blame for what is kept of it
}

void cap_dest_gone(struct babel *b, struct dest *d)
{
    hold(b, d, NULL);
}

void cap_iface_gone(struct babel *b, struct iface *ifc)
{
    for (uint32_t i = 0; i < b->dest_top && ifc->kept; i++)
        if (b->dests[i].flags & DEST_USED && b->dests[i].holder == ifc->slot) hold(b, &b->dests[i], NULL);
}

// ---- the farthest that a link holds ----

static bool evictable(const struct dest *d, const struct iface *ifc)
{
    return d->flags & DEST_LEARNT && !(d->flags & DEST_OWN) && d->holder == ifc->slot && !bw_addr_eq(&d->addr, &bw_addr_any_exit);
}

static void far_collect(const struct babel *b, struct iface *ifc)
{
    unsigned max = sizeof ifc->far / sizeof *ifc->far;
    ifc->far_count = 0;
    for (uint32_t i = 0; i < b->dest_top; i++) {
        const struct dest *d = &b->dests[i];
        if (!evictable(d, ifc) || (ifc->far_count == max && d->metric <= ifc->far[0].metric)) continue;
        unsigned k;
        if (ifc->far_count == max) { // the nearest of them makes room
            for (k = 0; k + 1 < max && ifc->far[k + 1].metric < d->metric; k++) ifc->far[k] = ifc->far[k + 1];
        } else {
            for (k = ifc->far_count++; k && ifc->far[k - 1].metric >= d->metric; k--) ifc->far[k] = ifc->far[k - 1];
        }
        ifc->far[k] = (struct far){i, d->metric};
    }
}

static struct dest *farthest(const struct babel *b, struct iface *ifc)
{
    if (!ifc->held) return NULL;
    for (unsigned look = 0; look < 2; look++) {
        for (; ifc->far_count; ifc->far_count--) { // some may be gone, or nearer than they were
            const struct far *f = &ifc->far[ifc->far_count - 1];
            struct dest *d = &b->dests[f->dest];
            if (evictable(d, ifc) && d->metric >= f->metric) return d;
        }
        if (!look) far_collect(b, ifc);
    }
    return NULL;
}

// ... that any link with more than so many holds.
static struct dest *farthest_above(const struct babel *b, uint32_t held)
{
    struct dest *best = NULL;
    for (uint32_t k = 0; k < b->heap_count; k++) {
        struct dest *d = b->heap[k]->held > held ? farthest(b, b->heap[k]) : NULL;
        if (d && (!best || d->metric > best->metric)) best = d;
    }
    return best;
}

// ---- admission ----

static void evict(struct babel *b, struct dest *d)
{
    for (uint32_t k = 0; k < b->neigh_top; k++)
        if (b->neigh[k]) route_drop(b, b->neigh[k], d);
    requests_forget(b, d);
    dest_select(b, d);
    dest_release(b, d);
    b->count.evicted++;
}

// Feasibility distances are never thrown away. Whoever makes ever new destinations is stopped before there is no room for
// those of others.
static bool room_for_source(const struct babel *b, const struct iface *ifc, uint32_t sharers)
{
    uint64_t max = 4 * (uint64_t)b->cfg.max_dests + 256;
    return b->dest_count < max / 2 || (b->dest_count < max && ifc->kept < max / sharers);
}

bool cap_admit(struct babel *b, const struct neighbour *n, const struct dest *d, const struct bw_prefix *p, uint16_t metric)
{
    struct iface *ifc = n->ifc;
    uint32_t sharers = b->holders + !ifc->held, share = b->cfg.max_dests / sharers;
    bool exit = bw_addr_eq(&p->addr, &bw_addr_any_exit), own, due;
    if (!d && !exit && !room_for_source(b, ifc, sharers)) return false;
    if (b->learnt < b->cfg.max_dests) return true;
    if (share < SHARE_MIN) share = SHARE_MIN;
    own = !exit && ifc->held >= share;
    struct dest *victim = own ? farthest(b, ifc) : farthest_above(b, exit ? 0 : share);
    due = exit || (victim && ifc->held < share / 2); // half of the share in any case, the rest by distance
    if (!victim && !own) victim = farthest_above(b, 0);
    if (!victim || (!due && metric + metric / 16u + 16u >= victim->metric)) return false;
    evict(b, victim);
    return exit || b->learnt < b->cfg.max_dests;
}
