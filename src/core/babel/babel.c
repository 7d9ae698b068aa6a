// The speaker: creation, links, originations, timers, and how it starts and stops.
#include "core/babel/internal.h"

enum { SEQNO_BLOCK = 64 }; // numbers reserved ahead

// A start that is not clean: learnt routes are not used before all links' peers have acknowledged that they forgot what an
// earlier life announced. A link without an answer may be cut with its peer not knowing yet: it gets the time that the most
// patient of peers takes to notice. The minimum is for peers whose links are not there yet.
#define HOLD_MIN (3 * BW_S)
#define HOLD_MAX (8 * BW_S)
#define LEAP BW_S
#define DRAIN (400 * BW_MS)
#define BYE_EVERY (150 * BW_MS)

bw_time babel_jitter(struct babel *b, bw_time lo, bw_time hi)
{
    return hi <= lo ? lo : lo + bw_rng_below(b->rng, (uint32_t)(hi - lo) + 1);
}

// Far past a deadline the clock has leapt, or we slept. Nobody can tell how much time others saw go by: they may still send
// through us as before, so nothing that guards against loops runs out by that.
static void leapt(struct babel *b, bw_time due, bw_time now)
{
    uint16_t by = (uint16_t)(now / BW_S - due / BW_S);
    b->unsure_until = now + HOLD_MAX;
    if (b->holding) {
        b->start += now - due;
        b->hold_until += now - due;
    }
    for (uint32_t i = 0; i < b->dest_top; i++) {
        struct dest *d = &b->dests[i];
        if (!(d->flags & DEST_USED)) continue;
        d->held_until = (uint16_t)(d->held_until + by);
        for (unsigned k = 0; k < dest_source_count(d); k++) dest_source(d, k)->gc = (uint16_t)(dest_source(d, k)->gc + by);
    }
}

void babel_advance(struct babel *b, bw_time now)
{
    bw_time due = babel_deadline(b);
    if (now <= b->now) return;
    if (due < b->now) due = b->now;
    if (due < now && now - due > LEAP) leapt(b, due, now);
    b->now = now;
}

// ---- links in the order of their deadlines: a binary heap ----

static void heap_put(struct babel *b, uint32_t i, struct iface *ifc)
{
    b->heap[i] = ifc;
    ifc->heap = i;
}

static void heap_fix(struct babel *b, struct iface *ifc)
{
    uint32_t i = ifc->heap;
    while (i && b->heap[(i - 1) / 2]->at > ifc->at) {
        heap_put(b, i, b->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (;;) {
        uint32_t k = 2 * i + 1;
        if (k + 1 < b->heap_count && b->heap[k + 1]->at < b->heap[k]->at) k++;
        if (k >= b->heap_count || b->heap[k]->at >= ifc->at) break;
        heap_put(b, i, b->heap[k]);
        i = k;
    }
    heap_put(b, i, ifc);
}

void iface_touch(struct babel *b, struct iface *ifc)
{
    bw_time t = bw_time_min(bw_time_min(ifc->hello_at, ifc->flush_at), bw_time_min(ifc->resend_at, ifc->update_at));
    t = bw_time_min(t, ifc->redump_at);
    for (unsigned k = 0; k < ifc->neigh_count; k++) t = bw_time_min(t, neighbour_deadline(ifc->neigh[k]));
    if (t == ifc->at) return;
    ifc->at = t;
    heap_fix(b, ifc);
}

// ---- creation ----

static void reserve_seqnos(struct babel *b)
{
    if (babel_seqno_less(b->seqno, (uint16_t)(b->seqno_limit - SEQNO_BLOCK / 4))) return;
    b->seqno_limit = (uint16_t)(b->seqno + SEQNO_BLOCK);
    if (b->ops.persist_seqno) b->ops.persist_seqno(b->ctx, b->seqno_limit);
}

struct babel *babel_new(const struct babel_config *c, const struct babel_ops *ops, void *ctx, struct bw_mem *mem,
                        struct bw_rng *rng, const struct bw_log *log, bw_time now)
{
    if (!babel_router_id_valid(c->router_id)) return NULL;
    struct babel *b = bw_alloc(mem, sizeof *b);
    if (!b) return NULL;
    *b = (struct babel){.cfg = *c, .ops = *ops, .ctx = ctx, .mem = mem, .rng = rng, .log = log, .now = now, .start = now,
                        .dest_free = NIL, .head = NIL, .tail = NIL, .later = {NIL, NIL}, .later_tail = {NIL, NIL},
                        .later_at = BW_NEVER, .request_free = NIL, .request_at = BW_NEVER, .kick = BW_NEVER,
                        .stage_at = BW_NEVER, .hold_until = BW_NEVER, .place_at = BW_NEVER, .hold_min_s = 240, .source_life_s = 180};
    if (!b->cfg.max_dests) b->cfg.max_dests = BABEL_MAX_DESTS_DEFAULT;
    bw_rng_bytes(rng, b->hash_key, sizeof b->hash_key);
    b->scan_at = now + scan_period(b);
    b->seqno = b->seqno_limit = (uint16_t)(c->seqno + 1);
    reserve_seqnos(b);
    if (!c->clean_start) {
        b->holding = true;
        b->hold_until = now + HOLD_MIN;
    }
    return b;
}

static void iface_free(struct babel *b, struct iface *ifc)
{
    bw_free(b->mem, ifc->items, ifc->item_cap * sizeof *ifc->items);
    bw_free(b->mem, ifc, sizeof *ifc);
}

void babel_free(struct babel *b)
{
    if (!b) return;
    struct bw_mem *mem = b->mem;
    for (uint32_t i = 0; i < b->neigh_top; i++) {
        struct neighbour *n = b->neigh[i];
        if (!n) continue;
        bw_free(mem, n->col, n->col_cap * sizeof *n->col);
        bw_free(mem, n, sizeof *n);
    }
    for (uint32_t i = 0; i < b->heap_count; i++) iface_free(b, b->heap[i]);
    table_free(b);
    bw_free(mem, b->neigh, b->neigh_cap * sizeof *b->neigh);
    bw_free(mem, b->heap, b->heap_cap * sizeof *b->heap);
    bw_free(mem, b->by_slot, b->slot_cap * sizeof *b->by_slot);
    bw_free(mem, b->own, b->own_cap * sizeof *b->own);
    bw_free(mem, b->requests, b->request_cap * sizeof *b->requests);
    bw_free(mem, b, sizeof *b);
}

// ---- links ----

static int make_room(struct babel *b, uint16_t slot)
{
    if (slot >= b->slot_cap) {
        uint32_t cap = slot < 4 ? 4 : slot + slot / 4u + 1;
        struct iface **p = bw_resize(b->mem, b->by_slot, b->slot_cap * sizeof *p, cap * sizeof *p);
        if (!p) return BW_ERR_NOMEM;
        b->by_slot = p;
        b->slot_cap = cap;
    }
    if (b->heap_count == b->heap_cap) {
        uint32_t cap = b->heap_cap ? b->heap_cap * 2 : 4;
        struct iface **p = bw_resize(b->mem, b->heap, b->heap_cap * sizeof *p, cap * sizeof *p);
        if (!p) return BW_ERR_NOMEM;
        b->heap = p;
        b->heap_cap = cap;
    }
    return 0;
}

static struct babel_iface_params with_defaults(const struct babel_iface_params *given)
{
    struct babel_iface_params p = given ? *given : (struct babel_iface_params){0};
    if (!p.cost) p.cost = BABEL_COST_DEFAULT;
    if (!p.max_payload || p.max_payload > BABEL_PAYLOAD_MAX) p.max_payload = BABEL_PAYLOAD_MAX;
    if (p.max_payload < 512) p.max_payload = 512;
    if (!p.hello_ms) p.hello_ms = 4000;
    if (p.hello_ms < 50) p.hello_ms = 50;
    if (p.hello_ms > 200000) p.hello_ms = 200000; // three times that fits an IHU's interval
    if (!p.fast_hello_ms) p.fast_hello_ms = 350;
    if (p.update_ms && p.update_ms < 100) p.update_ms = 100;
    if (p.update_ms > 600000) p.update_ms = 600000;
    if (!p.rtt_min_us) p.rtt_min_us = 10000;
    if (p.rtt_max_us <= p.rtt_min_us) p.rtt_max_us = p.rtt_min_us + 110000;
    if (!p.rtt_penalty) p.rtt_penalty = 150;
    return p;
}

int babel_iface_add(struct babel *b, uint16_t slot, const struct babel_iface_params *params, bw_time now)
{
    babel_advance(b, now);
    if (slot == BABEL_ANY_SLOT) return BW_ERR_RANGE;
    if (slot < b->slot_cap && b->by_slot[slot]) return BW_ERR_EXISTS;
    if (make_room(b, slot)) return BW_ERR_NOMEM;
    struct iface *ifc = bw_alloc(b->mem, sizeof *ifc);
    if (!ifc) return BW_ERR_NOMEM;
    ifc->slot = slot;
    ifc->p = with_defaults(params);
    ifc->hello_seqno = (uint16_t)bw_rng_u32(b->rng);
    ifc->greet_opaque = (uint16_t)bw_rng_u32(b->rng);
    ifc->bye_opaque = (uint16_t)bw_rng_u32(b->rng);
    ifc->hello_at = b->now + babel_jitter(b, 0, 10 * BW_MS);
    ifc->flush_at = ifc->resend_at = ifc->update_at = ifc->redump_at = BW_NEVER;
    ifc->at = BW_NEVER;
    ifc->cur = b->head;
    ifc->retract_from = b->change;
    ifc->dump_next = NIL;
    ifc->window = 4;
    iface_set_interval(b, ifc);
    b->by_slot[slot] = ifc;
    heap_put(b, b->heap_count++, ifc);
    iface_touch(b, ifc);
    babel_finish(b);
    return 0;
}

static void neighbours_free(struct babel *b, struct iface *ifc)
{
    while (ifc->neigh_count) {
        struct neighbour *n = ifc->neigh[ifc->neigh_count - 1];
        neighbour_free(b, n);
    }
}

void babel_iface_remove(struct babel *b, uint16_t slot, bw_time now)
{
    babel_advance(b, now);
    struct iface *ifc = slot < b->slot_cap ? b->by_slot[slot] : NULL;
    if (!ifc) return;
    neighbours_free(b, ifc);
    cap_iface_gone(b, ifc);
    b->by_slot[slot] = NULL;
    uint32_t i = ifc->heap;
    struct iface *last = b->heap[--b->heap_count];
    if (last != ifc) {
        heap_put(b, i, last);
        heap_fix(b, last);
    }
    iface_free(b, ifc);
    hold_check(b);
    babel_finish(b);
}

// ---- originations ----

static int restrict_to(struct babel *b, const struct bw_prefix *p, uint16_t metric, uint16_t slot)
{
    uint32_t at;
    if (!restricted_find(b, p, slot, &at)) {
        if (b->own_count == b->own_cap) {
            uint32_t cap = b->own_cap ? b->own_cap * 2 : 4;
            struct own *o = bw_resize(b->mem, b->own, b->own_cap * sizeof *o, cap * sizeof *o);
            if (!o) return BW_ERR_NOMEM;
            b->own = o;
            b->own_cap = cap;
        }
        at = b->own_count++;
    }
    b->own[at] = (struct own){*p, metric, slot};
    restricted_changed(b, slot);
    babel_finish(b);
    return 0;
}

int babel_originate(struct babel *b, const struct bw_prefix *p, uint16_t metric, uint16_t slot, bw_time now)
{
    babel_advance(b, now);
    if (metric == INF) return BW_ERR_RANGE;
    if (slot != BABEL_ANY_SLOT) return restrict_to(b, p, metric, slot);
    struct dest *d = dest_find(b, p);
    if (!d) d = dest_new(b, p);
    if (!d) return BW_ERR_NOMEM;
    d->flags |= DEST_OWN;
    d->own_metric = metric;
    dest_select(b, d);
    babel_finish(b);
    return 0;
}

void babel_withdraw(struct babel *b, const struct bw_prefix *p, uint16_t slot, bw_time now)
{
    uint32_t at;
    babel_advance(b, now);
    if (slot != BABEL_ANY_SLOT) {
        if (!restricted_find(b, p, slot, &at)) return;
        b->own[at].metric = INF;
        if (slot >= b->slot_cap || !b->by_slot[slot]) b->own[at] = b->own[--b->own_count];
        restricted_changed(b, slot);
    } else {
        struct dest *d = dest_find(b, p);
        if (!d || !(d->flags & DEST_OWN)) return;
        d->flags &= (uint16_t)~DEST_OWN;
        dest_select(b, d);
        dest_release(b, d);
    }
    babel_finish(b);
}

// Announces all learnt destinations again, because what is said about them differs now.
static void announce_learnt(struct babel *b, bool moved)
{
    for (uint32_t i = 0; i < b->dest_top; i++) {
        struct dest *d = &b->dests[i];
        if (!(d->flags & DEST_USED) || d->selected >= SEL_OWN) continue;
        change(b, d, URGENT);
        if (moved) d->switched = d->change;
    }
}

void babel_set_transit(struct babel *b, bool transit, bw_time now)
{
    babel_advance(b, now);
    if (b->cfg.no_transit == !transit) return;
    b->cfg.no_transit = !transit;
    announce_learnt(b, true);
    babel_finish(b);
}

void babel_reimport(struct babel *b, bw_time now)
{
    babel_advance(b, now);
    for (uint32_t k = 0; k < b->neigh_top; k++) {
        struct neighbour *n = b->neigh[k];
        for (uint32_t i = 0; n && i < n->col_cap; i++) {
            struct route *r = route_get(n, i);
            struct dest *d = &b->dests[i];
            struct bw_prefix p = dest_prefix(d);
            const uint8_t *id = r ? dest_source(d, r->src)->router_id : NULL;
            if (!r || (b->ops.import ? b->ops.import(b->ctx, n->ifc->slot, &p, id) : babel_import_default(&p))) continue;
            route_drop(b, n, d);
            if (d->selected == k) dest_select(b, d);
            dest_release(b, d);
        }
        struct item it = {.type = BABEL_ROUTE_REQUEST, .wildcard = true};
        if (n && n->up) item_add(b, n->ifc, &it, b->now + babel_jitter(b, 0, 50 * BW_MS));
    }
    babel_finish(b);
}

// ---- a start without the feasibility distances of the life before ----

void hold_check(struct babel *b)
{
    if (!b->holding || b->now < b->start + HOLD_MIN) return;
    bool waiting = false;
    for (uint32_t i = 0; i < b->heap_count; i++) waiting |= !b->heap[i]->greeted;
    if (waiting && b->now < b->start + HOLD_MAX) {
        b->hold_until = b->start + HOLD_MAX;
        return;
    }
    b->holding = false;
    b->hold_until = BW_NEVER;
    for (uint32_t i = 0; i < b->dest_top; i++)
        if (b->dests[i].flags & DEST_LEARNT) dest_select(b, &b->dests[i]);
}

// ---- stopping ----

static void down(struct babel *b, bool clean)
{
    b->stage = STAGE_DOWN;
    b->stage_at = BW_NEVER;
    if (b->ops.shutdown_done) b->ops.shutdown_done(b->ctx, clean);
}

static void bye(struct babel *b)
{
    bool all = true;
    b->stage = STAGE_BYE;
    for (uint32_t i = 0; i < b->heap_count; i++) {
        struct iface *ifc = b->heap[i];
        if (!ifc->peer || !iface_up(ifc) || ifc->bye_acked) continue;
        all = false;
        if (b->now < b->shutdown_deadline) send_bye(b, ifc);
    }
    if (all || b->now >= b->shutdown_deadline) down(b, all);
    else b->stage_at = bw_time_min(b->now + BYE_EVERY, b->shutdown_deadline);
}

void babel_shutdown(struct babel *b, bw_time deadline, bw_time now)
{
    babel_advance(b, now);
    if (b->stage != STAGE_RUN) return;
    b->stage = STAGE_DRAIN;
    b->shutdown_deadline = deadline;
    b->stage_at = b->now;
    uint32_t before = b->change;
    if (!b->cfg.no_transit && deadline > b->now) announce_learnt(b, false);
    if (b->change != before) b->stage_at += deadline - b->now < 3 * DRAIN ? (deadline - b->now) / 3 : DRAIN;
    babel_finish(b);
}

bool babel_is_down(const struct babel *b)
{
    return b->stage == STAGE_DOWN;
}

// ---- timers ----

static void full_update(struct babel *b, struct iface *ifc)
{
    for (uint32_t k = b->own_count; k-- > 0;) // by now their retraction has been heard
        if (b->own[k].slot == ifc->slot && b->own[k].metric == INF) b->own[k] = b->own[--b->own_count];
    iface_set_interval(b, ifc);
    ifc->update_at = b->now + babel_jitter(b, ifc->interval * 3 / 4, ifc->interval * 9 / 10);
    if (!iface_up(ifc) || !ifc->greeted) return;
    ifc->dump_next = 0;
    ifc->own_due = true;
    iface_flush_by(b, ifc, b->now);
}

static void iface_run(struct babel *b, struct iface *ifc)
{
    for (unsigned k = ifc->neigh_count; k-- > 0;) (void)neighbour_timers(b, ifc->neigh[k]);
    if (ifc->hello_at <= b->now) send_hello(b, ifc);
    if (ifc->resend_at <= b->now) iface_resend(b, ifc);
    if (ifc->redump_at <= b->now) iface_restart(b, ifc);
    if (ifc->update_at <= b->now) full_update(b, ifc);
    if (ifc->flush_at <= b->now) iface_flush(b, ifc);
    iface_touch(b, ifc);
}

static void stage_run(struct babel *b)
{
    if (b->now < b->stage_at) return;
    if (b->stage == STAGE_DRAIN || b->stage == STAGE_BYE) bye(b);
}

void babel_finish(struct babel *b)
{
    requests_run(b);
    waiting_run(b);
    if (b->kick != BW_NEVER) {
        bw_time kick = b->kick;
        b->kick = BW_NEVER;
        for (uint32_t i = 0; i < b->slot_cap; i++)
            if (b->by_slot[i] && b->by_slot[i]->cur != NIL && iface_up(b->by_slot[i])) iface_flush_by(b, b->by_slot[i], kick);
    }
    reserve_seqnos(b);
}

void babel_tick(struct babel *b, bw_time now)
{
    babel_advance(b, now);
    if (b->stage == STAGE_DOWN) return;
    while (b->heap_count && b->heap[0]->at <= b->now) iface_run(b, b->heap[0]);
    later_run(b);
    scan_run(b);
    cap_run(b);
    if (b->hold_until <= b->now) hold_check(b);
    stage_run(b);
    if (b->stage != STAGE_DOWN) babel_finish(b);
}

bw_time babel_deadline(const struct babel *b)
{
    if (b->stage == STAGE_DOWN) return BW_NEVER;
    bw_time t = b->heap_count ? b->heap[0]->at : BW_NEVER;
    t = bw_time_min(bw_time_min(t, b->later_at), bw_time_min(b->scan_at, b->hold_until));
    return bw_time_min(bw_time_min(t, b->place_at), bw_time_min(b->request_at, b->stage_at));
}
