// The cap on learnt destinations: which have a place in the table, and who makes room for a nearer one.
//
// A destination with a place may be selected, announced and asked for. What is offered beyond the cap waits as a spare: its
// routes are kept, and nothing else is done with them. So a place that becomes free goes to the nearest spare within a
// second, and nobody has to wait for the neighbours' next full updates, which would make a mesh of full tables restless
// for as long as many rounds of them take.
//
// Every destination is held by one link whose neighbour is nearer to it; of several, by the one that holds less. A link's share
// is the cap divided by the links that hold something. Without a free place a link takes from itself and from those that hold
// more than their share and more than itself, if it has something nearer; up to half of its share it takes whatever the
// distance. So a hostile neighbour that invents near destinations gets its share and no more, whether it comes first or last.
#include "core/babel/internal.h"

enum {
    SHARE_MIN = 16,
    PLACES = 64, // given in one go
};
#define PLACE_WAIT_MIN (500 * BW_MS) // what was lost may come back by then
#define PLACE_WAIT_MAX BW_S
#define PLACE_AGAIN (50 * BW_MS)

enum { PLACED, SPARE }; // index of iface.far

// ---- distances ----

static uint16_t offered(const struct neighbour *n, uint16_t refmetric)
{
    uint32_t m = (uint32_t)refmetric + (n->cost == INF ? n->ifc->p.cost : n->cost);
    return m >= INF ? INF - 1 : (uint16_t)m;
}

static uint16_t least_offer(const struct babel *b, const struct dest *d)
{
    uint16_t least = INF;
    for (uint32_t k = 0; k < b->neigh_top; k++) {
        const struct route *r = b->neigh[k] ? route_get(b->neigh[k], dest_index(b, d)) : NULL;
        uint16_t m = r ? offered(b->neigh[k], r->refmetric) : INF;
        if (m < least) least = m;
    }
    return least;
}

// A neighbour that is no farther from the destination than we are: it would not go there through us.
static bool nearer_itself(const struct babel *b, const struct neighbour *n, const struct dest *d, uint16_t least)
{
    const struct route *r = route_get(n, dest_index(b, d));
    return r && r->refmetric <= least;
}

// What is lost for the moment, and waits for a newer seqno, is as far as it is offered.
static uint16_t distance(const struct babel *b, const struct dest *d)
{
    return d->metric != INF ? d->metric : least_offer(b, d);
}

// Who wants another's place must be nearer than it by so much, lest they take it from each other at every measurement.
static uint32_t handicapped(uint16_t metric) { return metric + metric / 32u + 16u; }

// ---- who holds what ----

static struct iface *holder_of(const struct babel *b, const struct dest *d)
{
    return d->holder == BABEL_ANY_SLOT ? NULL : b->by_slot[d->holder];
}

static void count(struct babel *b, struct iface *ifc, const struct dest *d, uint32_t by)
{
    if (d->flags & DEST_PLACED) b->placed += by;
    else if (d->flags & DEST_LEARNT) b->spare += by;
    if (!ifc) return;
    ifc->kept += by;
    if (d->flags & DEST_PLACED) {
        b->holders -= ifc->held > 0;
        ifc->held += by;
        b->holders += ifc->held > 0;
    } else if (d->flags & DEST_LEARNT) {
        ifc->spare += by;
    }
}

// Changes the holder, and which of LEARNT and PLACED it is.
static void hold(struct babel *b, struct dest *d, struct iface *ifc, unsigned flags)
{
    unsigned others = (unsigned)(d->flags & ~(DEST_LEARNT | DEST_PLACED));
    count(b, holder_of(b, d), d, UINT32_MAX);
    d->holder = ifc ? ifc->slot : BABEL_ANY_SLOT;
    d->flags = (uint16_t)(others | flags);
    count(b, ifc, d, 1);
}

static unsigned standing(const struct dest *d) { return (unsigned)(d->flags & (DEST_LEARNT | DEST_PLACED)); }

void cap_route_new(struct babel *b, const struct neighbour *n, struct dest *d)
{
    const struct iface *old = holder_of(b, d), *ifc = n->ifc;
    if (!(d->flags & DEST_LEARNT)) {
        hold(b, d, n->ifc, DEST_LEARNT);
    } else if (old && nearer_itself(b, n, d, least_offer(b, d))) {
        bool less = d->flags & DEST_PLACED ? ifc->held + 1 < old->held : ifc->spare + 1 < old->spare;
        if (less) hold(b, d, n->ifc, standing(d));
    }
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
        hold(b, d, b->neigh[k]->ifc, standing(d));
        return;
    }
    if (d->flags & DEST_PLACED) cap_place_soon(b);
    hold(b, d, old, 0); // the link is still to blame for what is kept of it
}

void cap_dest_gone(struct babel *b, struct dest *d)
{
    hold(b, d, NULL, 0);
}

void cap_iface_gone(struct babel *b, struct iface *ifc)
{
    for (uint32_t i = 0; i < b->dest_top && ifc->kept; i++)
        if (b->dests[i].flags & DEST_USED && b->dests[i].holder == ifc->slot) hold(b, &b->dests[i], NULL, standing(&b->dests[i]));
}

// ---- the farthest that a link holds ----

static bool movable(const struct dest *d, const struct iface *ifc, unsigned which)
{
    return standing(d) == (which == PLACED ? DEST_LEARNT | DEST_PLACED : DEST_LEARNT) && d->holder == ifc->slot && !(d->flags & DEST_OWN) &&
           !bw_addr_eq(&d->addr, &bw_addr_any_exit);
}

static void far_collect(const struct babel *b, struct iface *ifc, unsigned which)
{
    struct far_list *l = &ifc->far[which];
    unsigned max = sizeof l->at / sizeof *l->at;
    l->count = 0;
    for (uint32_t i = 0; i < b->dest_top; i++) {
        if (!movable(&b->dests[i], ifc, which)) continue;
        uint16_t metric = distance(b, &b->dests[i]);
        if (l->count == max && metric <= l->at[0].metric) continue;
        unsigned k;
        if (l->count == max) { // the nearest of them makes room
            for (k = 0; k + 1 < max && l->at[k + 1].metric < metric; k++) l->at[k] = l->at[k + 1];
        } else {
            for (k = l->count++; k && l->at[k - 1].metric >= metric; k--) l->at[k] = l->at[k - 1];
        }
        l->at[k] = (struct far){i, metric};
    }
}

static struct dest *farthest(const struct babel *b, struct iface *ifc, unsigned which)
{
    struct far_list *l = &ifc->far[which];
    if (!(which == PLACED ? ifc->held : ifc->spare)) return NULL;
    for (unsigned look = 0; look < 2; look++) {
        for (; l->count; l->count--) { // some may be gone, or nearer than they were
            const struct far *f = &l->at[l->count - 1];
            struct dest *d = &b->dests[f->dest];
            if (movable(d, ifc, which) && distance(b, d) >= f->metric) return d;
        }
        if (!look) far_collect(b, ifc, which);
    }
    return NULL;
}

// ... with a place that any link with more than so many holds.
static struct dest *farthest_above(const struct babel *b, uint32_t held)
{
    struct dest *best = NULL;
    for (uint32_t k = 0; k < b->heap_count; k++) {
        struct dest *d = b->heap[k]->held > held ? farthest(b, b->heap[k], PLACED) : NULL;
        if (d && (!best || distance(b, d) > distance(b, best))) best = d;
    }
    return best;
}

void cap_look_anew(struct babel *b)
{
    for (uint32_t k = 0; k < b->heap_count; k++) b->heap[k]->far[PLACED].count = b->heap[k]->far[SPARE].count = 0;
    cap_place_soon(b);
}

// ---- spares ----

static uint32_t spare_share(const struct babel *b)
{
    uint32_t share = b->cfg.max_dests / (b->heap_count ? b->heap_count : 1);
    return share < SHARE_MIN ? SHARE_MIN : share;
}

static void forget_spare(struct babel *b, struct dest *d)
{
    for (uint32_t k = 0; k < b->neigh_top; k++)
        if (b->neigh[k]) route_drop(b, b->neigh[k], d);
    dest_release(b, d);
}

// Is there room for a spare of the link, or one that is farther?
static bool room_for_spare(struct babel *b, struct iface *ifc, uint16_t metric)
{
    if (ifc->spare < spare_share(b)) return true;
    struct dest *d = farthest(b, ifc, SPARE);
    if (!d || handicapped(metric) >= distance(b, d)) return false;
    forget_spare(b, d);
    return true;
}

// ---- places ----

// Half of its share is due to a link whatever the distance. What it once took by that right stays reserved for it: if it went
// to others whenever the link has nothing to offer for a moment, neighbours could take from each other in turns for ever.
static uint32_t claim(const struct babel *b, const struct iface *ifc)
{
    uint32_t due = b->cfg.max_dests / (b->holders + !ifc->held) / 2;
    return ifc->claim < due ? ifc->claim : due;
}

static bool place_free(const struct babel *b, const struct iface *ifc)
{
    uint32_t taken = b->placed;
    if (taken >= b->cfg.max_dests || ifc->held < claim(b, ifc)) return taken < b->cfg.max_dests;
    for (uint32_t k = 0; k < b->heap_count; k++) {
        uint32_t c = b->heap[k] == ifc ? 0 : claim(b, b->heap[k]);
        if (b->heap[k]->held < c) taken += c - b->heap[k]->held;
    }
    return taken < b->cfg.max_dests;
}

enum right { DUE, NEARER, FREE };
struct place {
    enum right right;    // by which the link could have it
    struct dest *victim; // who has it; NULL: nobody
    uint32_t below;      // the handicapped metric must be less than this
};

static struct place find_place(struct babel *b, struct iface *ifc, bool exit)
{
    uint32_t part = b->cfg.max_dests / (b->holders + !ifc->held), share = part < SHARE_MIN ? SHARE_MIN : part;
    struct place p = {FREE, NULL, UINT32_MAX};
    if (place_free(b, ifc)) return p;
    p.victim = farthest_above(b, exit ? 0 : ifc->held > share ? ifc->held : share);
    p.right = exit || (p.victim && ifc->held < part / 2) ? DUE : NEARER;
    if (p.right == DUE) return p;
    if (!p.victim && ifc->held < share) p.victim = farthest_above(b, 0);
    struct dest *own = farthest(b, ifc, PLACED);
    if (own && (!p.victim || distance(b, own) > distance(b, p.victim))) p.victim = own;
    p.below = p.victim ? distance(b, p.victim) : 0;
    return p;
}

// Of the links whose neighbour is no farther the one that holds least.
static struct iface *link_for(const struct babel *b, const struct dest *d, uint16_t least)
{
    struct iface *best = NULL;
    for (uint32_t k = 0; k < b->neigh_top; k++) {
        const struct neighbour *n = b->neigh[k];
        if (n && nearer_itself(b, n, d, least) && (!best || n->ifc->held < best->held)) best = n->ifc;
    }
    return best;
}

static void lose_place(struct babel *b, struct dest *d)
{
    struct iface *ifc = holder_of(b, d);
    hold(b, d, ifc, DEST_LEARNT);
    requests_forget(b, d);
    dest_select(b, d);
    b->count.evicted++;
    while (ifc && ifc->spare > spare_share(b) && (d = farthest(b, ifc, SPARE))) forget_spare(b, d);
}

static bool nearer(const struct babel *b, uint16_t metric, const struct place *p)
{
    return p->victim && handicapped(metric) < distance(b, p->victim);
}

static void take_place(struct babel *b, struct iface *ifc, struct dest *d, uint16_t metric, const struct place *p)
{
    struct far_list *l = &ifc->far[PLACED];
    bool by_claim = p->right == DUE && !nearer(b, metric, p) && !bw_addr_eq(&d->addr, &bw_addr_any_exit);
    hold(b, d, ifc, DEST_LEARNT | DEST_PLACED);
    if (by_claim && ifc->claim < ifc->held) ifc->claim = ifc->held;
    if (l->count && metric > l->at[l->count - 1].metric) l->count = 0; // it is the farthest now
    if (p->victim) lose_place(b, p->victim);
}

// Could one of its links have a place for it, by the last look?
static bool has_chance(const struct babel *b, const struct dest *d, uint16_t least)
{
    for (uint32_t k = 0; k < b->neigh_top; k++) {
        const struct neighbour *n = b->neigh[k];
        if (n && handicapped(least) < n->ifc->below && nearer_itself(b, n, d, least)) return true;
    }
    return false;
}

// At once only who is nearer than another with a place. Free places are for the nearest of all, and what is due to a link for
// the nearest that it offers: soon.
static bool at_once(const struct babel *b, uint16_t metric, const struct place *p)
{
    if (p->right != FREE) return nearer(b, metric, p);
    const struct dest *far = b->spare > 1 ? farthest_above(b, 0) : NULL;
    return !far || metric <= distance(b, far);
}

void cap_offer(struct babel *b, struct dest *d)
{
    if (d->flags & DEST_PLACED) return;
    bool exit = bw_addr_eq(&d->addr, &bw_addr_any_exit);
    uint16_t metric = least_offer(b, d);
    struct iface *ifc = link_for(b, d, metric);
    struct place p = find_place(b, ifc, exit);
    if (exit || at_once(b, metric, &p)) take_place(b, ifc, d, metric, &p);
    else if (handicapped(metric) < p.below || has_chance(b, d, metric)) cap_place_soon(b);
}

// ---- admission ----

// Feasibility distances are never thrown away. Whoever makes ever new destinations is stopped before there is no room for
// those of others.
static bool room_for_source(const struct babel *b, const struct iface *ifc)
{
    uint64_t max = 4 * (uint64_t)b->cfg.max_dests + 256;
    return b->dest_count < max / 2 || (b->dest_count < max && ifc->kept < max / (b->holders + !ifc->held));
}

bool cap_admit(struct babel *b, const struct neighbour *n, const struct dest *d, const struct bw_prefix *p, uint16_t refmetric)
{
    uint16_t metric = offered(n, refmetric);
    if (bw_addr_eq(&p->addr, &bw_addr_any_exit)) return true;
    if (!d && !room_for_source(b, n->ifc)) return false;
    struct place place = find_place(b, n->ifc, false);
    return at_once(b, metric, &place) || room_for_spare(b, n->ifc, metric);
}

// ---- places for spares ----

void cap_place_soon(struct babel *b)
{
    if (b->spare && b->place_at == BW_NEVER) b->place_at = b->now + babel_jitter(b, PLACE_WAIT_MIN, PLACE_WAIT_MAX);
}

struct wish {
    struct dest *d;
    uint16_t metric;
};

// The nearest that could have a place.
static unsigned wishes(struct babel *b, struct wish w[PLACES])
{
    unsigned count = 0;
    for (uint32_t i = 0; i < b->dest_top; i++) {
        struct dest *d = &b->dests[i];
        if (standing(d) != DEST_LEARNT) continue;
        uint16_t metric = least_offer(b, d);
        if ((count == PLACES && metric >= w[count - 1].metric) || !has_chance(b, d, metric)) continue;
        unsigned k = count < PLACES ? count++ : count - 1;
        for (; k && w[k - 1].metric > metric; k--) w[k] = w[k - 1];
        w[k] = (struct wish){d, metric};
    }
    return count;
}

// By the best right that one of its links has, of several links for the one that holds least.
static bool give_place(struct babel *b, const struct wish *w)
{
    struct iface *best = NULL;
    struct place place = {0};
    if (standing(w->d) != DEST_LEARNT) return false;
    for (uint32_t k = 0; k < b->neigh_top; k++) {
        struct neighbour *n = b->neigh[k];
        if (!n || !nearer_itself(b, n, w->d, w->metric)) continue;
        struct place p = find_place(b, n->ifc, false);
        if (handicapped(w->metric) >= p.below) continue;
        if (best && (p.right < place.right || (p.right == place.right && n->ifc->held >= best->held))) continue;
        best = n->ifc;
        place = p;
    }
    if (!best) return false;
    take_place(b, best, w->d, w->metric, &place);
    dest_select(b, w->d);
    return true;
}

void cap_run(struct babel *b)
{
    struct wish w[PLACES];
    unsigned count, given = 0;
    if (b->now < b->place_at) return;
    b->place_at = BW_NEVER;
    if (!b->spare || b->stage != STAGE_RUN) return;
    for (uint32_t k = 0; k < b->heap_count; k++) b->heap[k]->far[PLACED].count = 0;
    for (uint32_t k = 0; k < b->heap_count; k++) b->heap[k]->below = find_place(b, b->heap[k], false).below;
    count = wishes(b, w);
    for (unsigned k = 0; k < count; k++) given += give_place(b, &w[k]);
    if (given && count == PLACES && b->spare) b->place_at = b->now + PLACE_AGAIN;
}
