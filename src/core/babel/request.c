// Route and seqno requests (RFC 8966 section 3.8): answering, forwarding, and asking for ourselves.
#include "core/babel/internal.h"

enum {
    OWN_TRIES = 4, // sent at 0, 0.5, 1.5 and 3.5 s, given up at 7.5 s
    FORWARD_TRIES = 2,
    TARGETS = 6, // neighbours asked at once when the destination is lost
    REQUESTS_MIN = 256,
};
#define FIRST_WAIT (500 * BW_MS)
#define DUMP_GAP (500 * BW_MS) // between two tables that a neighbour asks for

// ---- the table of pending requests (section 3.2.7) ----

static struct request *find(struct babel *b, const struct dest *d, const uint8_t router_id[8])
{
    for (uint32_t i = d->requests; i != NIL; i = b->requests[i].next)
        if (!memcmp(b->requests[i].router_id, router_id, 8)) return &b->requests[i];
    return NULL;
}

static struct request *add(struct babel *b, struct dest *d, const uint8_t router_id[8], uint16_t seqno)
{
    if (b->request_count >= REQUESTS_MIN + b->cfg.max_dests) {
        babel_drop(b, BABEL_DROP_CAP);
        return NULL;
    }
    if (b->request_free == NIL && b->request_top == b->request_cap) {
        uint32_t cap = b->request_cap ? b->request_cap * 2 : 8;
        struct request *p = bw_resize(b->mem, b->requests, b->request_cap * sizeof *p, cap * sizeof *p);
        if (!p) {
            babel_drop(b, BABEL_DROP_NOMEM);
            return NULL;
        }
        b->requests = p;
        b->request_cap = cap;
    }
    uint32_t i = b->request_free;
    if (i != NIL) b->request_free = b->requests[i].next;
    else i = b->request_top++;
    struct request *q = &b->requests[i];
    *q = (struct request){.dest = dest_index(b, d), .next = d->requests, .seqno = seqno, .asked = SEL_NONE, .hops = 255,
                          .used = true, .at = b->now};
    memcpy(q->router_id, router_id, 8);
    d->requests = i;
    b->request_count++;
    b->request_at = bw_time_min(b->request_at, b->now);
    return q;
}

static void discard(struct babel *b, struct dest *d, uint32_t i)
{
    uint32_t *link = &d->requests;
    while (*link != i) link = &b->requests[*link].next;
    *link = b->requests[i].next;
    b->requests[i] = (struct request){.next = b->request_free};
    b->request_free = i;
    b->request_count--;
}

void requests_forget(struct babel *b, struct dest *d)
{
    while (d->requests != NIL) discard(b, d, d->requests);
}

// ---- sending ----

static void ask(struct babel *b, struct neighbour *n, const struct dest *d, const struct request *q)
{
    struct item it = {.type = BABEL_SEQNO_REQUEST, .prefix = dest_prefix(d), .value = q->seqno, .hops = q->hops};
    memcpy(it.router_id, q->router_id, 8);
    item_add(b, n->ifc, &it, b->now + babel_jitter(b, 0, 5 * BW_MS));
}

// Our own wish: to the neighbour whose route shall become feasible, and to all that have one if nothing is left.
static void ask_own(struct babel *b, struct dest *d, const struct request *q)
{
    unsigned targets = 0;
    for (uint32_t k = 0; k < b->neigh_top && targets < TARGETS; k++) {
        struct neighbour *n = b->neigh[k];
        struct route *r = n ? route_get(n, dest_index(b, d)) : NULL;
        uint16_t m = r ? route_metric(n, r) : INF;
        if (m == INF || memcmp(dest_source(d, r->src)->router_id, q->router_id, 8)) continue;
        if (k != q->asked && !(m < q->below && !route_feasible(d, r))) continue;
        ask(b, n, d, q);
        targets++;
    }
}

static bool asked_for(const struct request *q, uint32_t neigh)
{
    for (unsigned k = 0; k < q->requester_count; k++)
        if (q->requesters[k] == neigh) return true;
    return false;
}

// Section 3.8.1.2: to one neighbour that is not asking itself, the selected or a feasible route's first.
static void ask_forward(struct babel *b, struct dest *d, const struct request *q)
{
    struct neighbour *best = NULL;
    uint32_t best_rank = UINT32_MAX;
    for (uint32_t k = 0; k < b->neigh_top; k++) {
        struct neighbour *n = b->neigh[k];
        struct route *r = n ? route_get(n, dest_index(b, d)) : NULL;
        uint32_t rank = r ? route_metric(n, r) : INF;
        if (rank == INF || asked_for(q, k)) continue;
        if (!route_feasible(d, r)) rank += 1u << 16;
        if (d->selected == k) rank = 0;
        if (rank < best_rank) best = n, best_rank = rank;
    }
    if (best) ask(b, best, d, q);
}

void requests_run(struct babel *b)
{
    if (b->now < b->request_at) return;
    b->request_at = BW_NEVER;
    for (uint32_t i = 0; i < b->request_top; i++) {
        struct request *q = &b->requests[i];
        if (!q->used) continue;
        struct dest *d = &b->dests[q->dest];
        if (q->at <= b->now) {
            if (q->tries == (q->own ? OWN_TRIES : FORWARD_TRIES)) {
                discard(b, d, i);
                continue;
            }
            if (q->own) ask_own(b, d, q);
            if (q->requester_count) ask_forward(b, d, q); // who has the answer need not be whom we would like to hear it from
            q->at = b->now + (FIRST_WAIT << q->tries++);
        }
        b->request_at = bw_time_min(b->request_at, q->at);
    }
}

// ---- our own wishes ----

void request_want(struct babel *b, struct dest *d, const struct source *s, uint16_t seqno, uint16_t neigh, uint16_t below, bool urgent)
{
    if (b->stage != STAGE_RUN) return;
    struct request *q = find(b, d, s->router_id);
    // Asked already, unless it is urgent now and those asked for less urgent reasons were others: they may be gone themselves.
    bool covered = q && q->own && (q->below == INF || (q->below >= below && q->asked == neigh));
    if (q && !babel_seqno_less(q->seqno, seqno) && (covered || !urgent)) return;
    if (!q) q = add(b, d, s->router_id, seqno);
    if (!q) return;
    if (babel_seqno_less(q->seqno, seqno)) q->seqno = seqno;
    q->own = true;
    q->hops = 255;
    q->tries = 0;
    q->asked = neigh;
    q->below = below;
    q->at = b->now;
    b->request_at = b->now;
}

// ---- answers ----

static void answer(struct babel *b, struct iface *ifc, const struct bw_prefix *p, bool urgent)
{
    struct item it = {.type = BABEL_UPDATE, .prefix = *p};
    item_add(b, ifc, &it, b->now + (urgent ? babel_jitter(b, 0, 5 * BW_MS) : babel_jitter(b, 5 * BW_MS, 50 * BW_MS)));
}

// Our own wish: the neighbour's route has the seqno (or is gone), or, where any way would do, there is one.
static bool arrived(const struct babel *b, const struct dest *d, const struct request *q)
{
    const struct neighbour *n = q->asked < b->neigh_top ? b->neigh[q->asked] : NULL;
    const struct route *r = n ? route_get(n, dest_index(b, d)) : NULL;
    if (q->below == INF && d->selected != SEL_NONE) return true;
    return !r || !babel_seqno_less(r->seqno, q->seqno) || memcmp(dest_source(d, r->src)->router_id, q->router_id, 8);
}

// The selected route answers a request for (router_id, seqno).
static bool answers(const struct babel *b, const struct dest *d, const uint8_t router_id[8], uint16_t seqno)
{
    struct babel_selected s;
    if (d->selected == SEL_NONE) return false;
    selected_view(b, d, &s);
    return memcmp(s.router_id, router_id, 8) || !babel_seqno_less(s.seqno, seqno);
}

void request_satisfy(struct babel *b, struct dest *d)
{
    struct bw_prefix p = dest_prefix(d);
    for (uint32_t i = d->requests, next; i != NIL; i = next) {
        struct request *q = &b->requests[i];
        next = q->next;
        bool serves = answers(b, d, q->router_id, q->seqno);
        if (q->requester_count && !serves) continue;
        if (!q->requester_count && !arrived(b, d, q)) continue;
        if (q->all) change(b, d, URGENT);
        for (unsigned k = 0; k < q->requester_count && !q->all; k++) {
            struct neighbour *n = b->neigh[q->requesters[k]];
            if (n) answer(b, n->ifc, &p, true);
        }
        discard(b, d, i);
    }
}

// ---- received ----

void route_request_received(struct babel *b, struct neighbour *n, const struct babel_tlv *t)
{
    struct iface *ifc = n->ifc;
    if (!t->route_request.wildcard) answer(b, ifc, &t->route_request.prefix, false);
    else if (!ifc->dumped || b->now >= ifc->dumped + DUMP_GAP) iface_restart(b, ifc);
    else ifc->redump_at = ifc->dumped + DUMP_GAP; // what it lost since may be what it had a moment ago
}

// Section 3.2.2: one step per request. Only when a neighbour insists on a far newer number has an earlier life of this node
// used numbers that were not stored; then they are left behind in one step.
static void raise_seqno(struct babel *b, uint16_t wanted)
{
    uint16_t gap = (uint16_t)(wanted - b->seqno);
    if (gap > 1 && b->now < b->wanted_until && !babel_seqno_less(wanted, b->wanted_seqno)) {
        b->seqno = wanted;
        b->wanted_until = 0;
    } else {
        b->seqno++;
        b->wanted_seqno = wanted;
        b->wanted_until = gap > 1 ? b->now + 60 * BW_S : 0;
    }
}

static void request_own(struct babel *b, struct neighbour *n, const struct babel_tlv *t)
{
    if (!memcmp(t->seqno_request.router_id, b->cfg.router_id, 8) && babel_seqno_less(b->seqno, t->seqno_request.seqno))
        raise_seqno(b, t->seqno_request.seqno);
    answer(b, n->ifc, &t->seqno_request.prefix, true);
}

static void forward(struct babel *b, struct neighbour *n, struct dest *d, const struct babel_tlv *t)
{
    struct request *q = find(b, d, t->seqno_request.router_id);
    uint16_t seqno = t->seqno_request.seqno;
    bool known = q && q->requester_count && !babel_seqno_less(q->seqno, seqno); // a wish of our own alone went elsewhere
    if (!q) q = add(b, d, t->seqno_request.router_id, seqno);
    if (!q) return;
    if (!asked_for(q, n->index)) {
        if (q->requester_count < REQUESTERS_MAX) q->requesters[q->requester_count++] = n->index;
        else q->all = true;
    }
    if (known) return;
    if (babel_seqno_less(q->seqno, seqno)) q->seqno = seqno;
    q->hops = (uint8_t)(t->seqno_request.hops - 1);
    q->tries = 0;
    q->at = b->now;
    b->request_at = b->now;
}

void seqno_request_received(struct babel *b, struct neighbour *n, const struct babel_tlv *t)
{
    struct dest *d = dest_find(b, &t->seqno_request.prefix);
    uint32_t at;
    if (restricted_find(b, &t->seqno_request.prefix, n->ifc->slot, &at) || (d && d->flags & DEST_OWN)) {
        request_own(b, n, t);
    } else if (d && d->selected != SEL_NONE && !b->cfg.no_transit && b->stage < STAGE_BYE) {
        struct bw_prefix p = dest_prefix(d);
        if (answers(b, d, t->seqno_request.router_id, t->seqno_request.seqno)) {
            if (b->neigh[d->selected]->ifc != n->ifc) answer(b, n->ifc, &p, true); // split horizon
        } else if (t->seqno_request.hops >= 2 && memcmp(t->seqno_request.router_id, b->cfg.router_id, 8)) {
            forward(b, n, d, t);
        }
    }
}
