// What is sent: Hellos, the list of changes with acknowledgments, full updates, requests and answers, the farewell.
#include "core/babel/internal.h"

enum {
    ACK_ROOM = 8,        // kept free at the end of a packet for its Acknowledgment Request
    ACK_URGENT_CS = 20,  // acknowledge within ...
    ACK_CS = 80,         // so late that the acknowledgment rides on the next Hello
    TRIES = 5,           // copies of an update (RFC 8966 section 3.7.2 allows no more)
    BURST = 4,           // packets at once
    WINDOW = 4,          // packets in flight at first
    DRAIN_PENALTY = 4096,
    GREET_TRIES = 4,
};
#define GAP (3 * BW_MS) // between bursts

bool iface_up(const struct iface *ifc)
{
    for (unsigned k = 0; k < ifc->neigh_count; k++)
        if (ifc->neigh[k]->up) return true;
    return false;
}

// ---- the list of changes ----

void change_unlink(struct babel *b, struct dest *d)
{
    uint32_t i = dest_index(b, d);
    if (!(d->flags & DEST_LISTED)) return;
    for (uint32_t k = 0; k < b->heap_count; k++)
        if (b->heap[k]->cur == i) b->heap[k]->cur = d->next;
    if (d->prev != NIL) b->dests[d->prev].next = d->next;
    else b->head = d->next;
    if (d->next != NIL) b->dests[d->next].prev = d->prev;
    else b->tail = d->prev;
    d->flags &= (uint16_t)~DEST_LISTED;
}

// What neighbours may hold of us, see mixed_bound(). An increase alone does not supersede a smaller metric of the same
// source and seqno: it may be unfeasible for them, and ignored.
static void change_noted(struct babel *b, struct dest *d)
{
    uint8_t src = d->selected == SEL_NONE ? TOLD_NOTHING : d->told_src;
    uint16_t seqno = d->selected < SEL_OWN ? b->neigh[d->selected]->col[dest_index(b, d)].seqno : b->seqno;
    if (d->flags & DEST_FRESH && d->more_cap && all_know(b, d->change)) d->sent_before = INF;
    if (d->sent_now < d->sent_before) d->sent_before = d->sent_now;
    d->sent_now = INF;
    d->flags &= (uint16_t)~DEST_FRESH;
    if (src == d->base_src && !babel_seqno_less(d->base_seqno, seqno)) return;
    d->flags |= DEST_FRESH;
    d->base_src = src;
    d->base_seqno = seqno;
}

void change(struct babel *b, struct dest *d, enum urgency u)
{
    uint32_t i = dest_index(b, d);
    change_unlink(b, d);
    change_noted(b, d);
    d->change = ++b->change;
    d->prev = b->tail;
    d->next = NIL;
    if (b->tail != NIL) b->dests[b->tail].next = i;
    else b->head = i;
    b->tail = i;
    d->flags |= DEST_LISTED;
    for (uint32_t k = 0; k < b->heap_count; k++) {
        if (b->heap[k]->cur == NIL) b->heap[k]->cur = i;
        if (u == URGENT) b->heap[k]->urgent = true;
    }
    b->kick = bw_time_min(b->kick, b->now + (u == URGENT ? babel_jitter(b, 0, 8 * BW_MS) : babel_jitter(b, 30 * BW_MS, 90 * BW_MS)));
}

static uint32_t iface_acked_upto(const struct iface *ifc)
{
    uint32_t upto = ifc->sent;
    for (unsigned k = 0; k < ifc->flight_count; k++)
        if (ifc->flight[k].from < upto) upto = ifc->flight[k].from;
    return upto;
}

bool all_know(const struct babel *b, uint32_t upto)
{
    for (uint32_t k = 0; k < b->heap_count; k++)
        if (iface_up(b->heap[k]) && iface_acked_upto(b->heap[k]) < upto) return false;
    return true;
}

// ---- timing ----

void iface_flush_by(struct babel *b, struct iface *ifc, bw_time at)
{
    if (at < ifc->paced_until) at = ifc->paced_until;
    if (at >= ifc->flush_at) return;
    ifc->flush_at = at;
    iface_touch(b, ifc);
}

// Full updates: every 16 s for tables that cost nothing, more rarely the larger the table, so that they take about 1 kbit/s.
static bw_time update_interval(const struct babel *b, const struct iface *ifc)
{
    if (ifc->p.update_ms) return ifc->p.update_ms * BW_MS;
    bw_time t = (b->dest_count - b->spare) * BW_S / 4;
    return t < 16 * BW_S ? 16 * BW_S : t > 300 * BW_S ? 300 * BW_S : t;
}

void iface_set_interval(struct babel *b, struct iface *ifc)
{
    ifc->interval = update_interval(b, ifc);
    uint32_t life = (uint32_t)(ifc->interval * 4 / BW_S) + 10; // neighbours hold a route for 3.5 intervals
    if (life > b->source_life_s) b->source_life_s = (uint16_t)(life > 4000 ? 4000 : life);
}

static uint16_t interval_cs(const struct iface *ifc)
{
    bw_time cs = ifc->interval / (10 * BW_MS);
    return (uint16_t)(cs < 1 ? 1 : cs > INF - 1 ? INF - 1 : cs);
}

void iface_restart(struct babel *b, struct iface *ifc)
{
    uint32_t known = iface_acked_upto(ifc);
    if (known > ifc->retract_from) ifc->retract_from = known;
    ifc->cur = b->head;
    ifc->sent = 0;
    ifc->flight_count = 0;
    ifc->resend_at = BW_NEVER;
    ifc->window = WINDOW;
    ifc->own_due = true;
    ifc->dumped = b->now;
    ifc->redump_at = BW_NEVER;
    ifc->dump_next = NIL;
    iface_set_interval(b, ifc);
    ifc->update_at = b->now + babel_jitter(b, ifc->interval * 3 / 4, ifc->interval * 9 / 10);
    iface_flush_by(b, ifc, b->now + babel_jitter(b, 0, 5 * BW_MS));
    iface_touch(b, ifc);
}

// ---- packets ----

struct packet {
    struct babel_writer w;
    unsigned updates;
    size_t ihu_end; // where the last IHU with timestamps ends
    uint8_t buf[BABEL_PAYLOAD_MAX];
};

static void packet_begin(const struct iface *ifc, struct packet *p)
{
    p->updates = 0;
    p->ihu_end = 0;
    babel_write_begin(&p->w, p->buf, ifc->p.max_payload);
    p->w.wr.end -= ACK_ROOM;
}

static void count_sent(struct babel *b, const uint8_t *p, size_t n)
{
    b->count.tx_packets++;
    b->count.tx_bytes += n;
    for (size_t i = BABEL_HEADER; i + 1 < n; i += 2u + p[i + 1])
        if (p[i] < BABEL_TYPES) b->count.tx_tlvs[p[i]]++;
}

static void packet_send(struct babel *b, struct iface *ifc, struct packet *p, const struct bw_addr *dst)
{
    // tshark up to 4.0 looks for an IHU's timestamps four bytes too far, and calls a packet that ends there malformed.
    if (p->ihu_end == bw_wr_len(&p->w.wr)) {
        p->w.wr.end = p->buf + ifc->p.max_payload;
        BW_ASSERT(babel_write_padn(&p->w, 2));
    }
    size_t n = babel_write_end(&p->w);
    count_sent(b, p->buf, n);
    if (b->ops.send) b->ops.send(b->ctx, ifc->slot, dst, p->buf, n);
}

// ---- one destination's update ----

bool restricted_find(const struct babel *b, const struct bw_prefix *p, uint16_t slot, uint32_t *at)
{
    for (*at = 0; *at < b->own_count; ++*at)
        if (b->own[*at].slot == slot && bw_prefix_eq(&b->own[*at].prefix, p)) return true;
    return false;
}

void restricted_changed(struct babel *b, uint16_t slot)
{
    if (slot >= b->slot_cap || !b->by_slot[slot]) return;
    b->by_slot[slot]->own_due = true;
    if (iface_up(b->by_slot[slot])) iface_flush_by(b, b->by_slot[slot], b->now + babel_jitter(b, 0, 20 * BW_MS));
}

static bool restricted_here(const struct babel *b, const struct iface *ifc, const struct dest *d)
{
    uint32_t at;
    struct bw_prefix p = dest_prefix(d);
    return b->own_count && restricted_find(b, &p, ifc->slot, &at);
}

// Sections 3.7.1, 3.7.3, 3.7.4: the update for d that this link should see now. False: the packet is full.
enum kind { K_NONE, K_FINITE, K_RETRACT };

static enum kind update_kind(const struct babel *b, const struct iface *ifc, const struct dest *d)
{
    if (restricted_here(b, ifc, d)) return K_NONE;
    if (d->selected == SEL_OWN) return K_FINITE;
    if (d->selected == SEL_NONE || b->cfg.no_transit || b->neigh[d->selected]->ifc == ifc) return K_RETRACT;
    return K_FINITE;
}

static bool write_finite(struct babel *b, struct iface *ifc, struct packet *p, struct dest *d)
{
    struct bw_prefix prefix = dest_prefix(d);
    uint32_t metric = d->own_metric;
    if (d->selected == SEL_OWN) {
        if (!babel_write_update(&p->w, &prefix, b->cfg.router_id, interval_cs(ifc), b->seqno, (uint16_t)metric)) return false;
    } else {
        const struct route *r = &b->neigh[d->selected]->col[dest_index(b, d)];
        struct source *s = dest_source(d, r->src);
        metric = d->metric;
        if (b->stage == STAGE_DRAIN && metric + DRAIN_PENALTY < INF) metric += DRAIN_PENALTY;
        if (!babel_write_update(&p->w, &prefix, s->router_id, interval_cs(ifc), r->seqno, (uint16_t)metric)) return false;
        source_announce(b, s, r->seqno, (uint16_t)metric);
    }
    d->flags |= DEST_ANNOUNCED;
    if (metric < d->sent_now) d->sent_now = (uint16_t)metric;
    p->updates++;
    return true;
}

static bool write_retraction(struct iface *ifc, struct packet *p, const struct dest *d)
{
    static const uint8_t nobody[8];
    struct bw_prefix prefix = dest_prefix(d);
    if (!babel_write_update(&p->w, &prefix, nobody, interval_cs(ifc), 0, INF)) return false;
    p->updates++;
    return true;
}

static bool write_change(struct babel *b, struct iface *ifc, struct packet *p, struct dest *d)
{
    switch (update_kind(b, ifc, d)) {
    case K_FINITE: return write_finite(b, ifc, p, d);
    case K_RETRACT: // only to those who have, or may have, a route from us
        return !(d->flags & DEST_ANNOUNCED) || d->switched <= ifc->retract_from || write_retraction(ifc, p, d);
    default: return true;
    }
}

static void write_restricted(struct babel *b, struct iface *ifc, struct packet *p)
{
    ifc->own_due = false;
    for (uint32_t k = 0; k < b->own_count; k++) {
        const struct own *o = &b->own[k];
        if (o->slot != ifc->slot) continue;
        if (!babel_write_update(&p->w, &o->prefix, b->cfg.router_id, interval_cs(ifc), b->seqno, o->metric)) return;
        p->updates++;
    }
}

// ---- items ----

void item_add(struct babel *b, struct iface *ifc, const struct item *it, bw_time by)
{
    if (ifc->item_count == ifc->item_cap) {
        unsigned cap = ifc->item_cap ? ifc->item_cap * 2 : 8;
        struct item *p = ifc->item_count < ITEMS_MAX ? bw_resize(b->mem, ifc->items, ifc->item_cap * sizeof *p, cap * sizeof *p) : NULL;
        if (!p) {
            babel_drop(b, ifc->item_count < ITEMS_MAX ? BABEL_DROP_NOMEM : BABEL_DROP_CAP);
            return;
        }
        ifc->items = p;
        ifc->item_cap = cap;
    }
    ifc->items[ifc->item_count++] = *it;
    iface_flush_by(b, ifc, by);
}

// The answer to a request: whatever is true for the prefix now.
static bool write_answer(struct babel *b, struct iface *ifc, struct packet *p, const struct bw_prefix *prefix)
{
    uint32_t at;
    static const uint8_t nobody[8];
    if (restricted_find(b, prefix, ifc->slot, &at))
        return babel_write_update(&p->w, prefix, b->cfg.router_id, interval_cs(ifc), b->seqno, b->own[at].metric);
    struct dest *d = dest_find(b, prefix);
    if (d && update_kind(b, ifc, d) == K_FINITE && b->stage < STAGE_BYE) return write_finite(b, ifc, p, d);
    return babel_write_update(&p->w, prefix, nobody, interval_cs(ifc), 0, INF);
}

static bool write_item(struct babel *b, struct iface *ifc, struct packet *p, const struct item *it)
{
    switch (it->type) {
    case BABEL_ACK: return babel_write_ack(&p->w, it->value);
    case BABEL_UPDATE: return write_answer(b, ifc, p, &it->prefix);
    case BABEL_ROUTE_REQUEST: return babel_write_route_request(&p->w, it->wildcard ? NULL : &it->prefix);
    default: return babel_write_seqno_request(&p->w, &it->prefix, it->router_id, it->value, it->hops);
    }
}

static void write_items(struct babel *b, struct iface *ifc, struct packet *p)
{
    unsigned k = 0;
    while (k < ifc->item_count && write_item(b, ifc, p, &ifc->items[k])) k++;
    if (!k) return;
    ifc->item_count -= k;
    memmove(ifc->items, ifc->items + k, ifc->item_count * sizeof *ifc->items);
}

// ---- updates that are acknowledged ----

static bw_time ack_timeout(const struct iface *ifc, unsigned cs, unsigned tries)
{
    bw_time t = cs * 10 * BW_MS + 100 * BW_MS;
    if (ifc->peer && ifc->peer->rtt > 0) t += (bw_time)(2 * ifc->peer->rtt + 4 * ifc->peer->rtt_dev);
    return t << tries;
}

static void request_ack(struct babel *b, struct iface *ifc, struct packet *p, struct flight *f)
{
    unsigned cs = ifc->urgent ? ACK_URGENT_CS : ACK_CS;
    p->w.wr.end += ACK_ROOM;
    BW_ASSERT(babel_write_ack_request(&p->w, f->opaque, (uint16_t)cs));
    f->at = b->now + ack_timeout(ifc, cs, f->tries);
    ifc->resend_at = bw_time_min(ifc->resend_at, f->at);
}

static bool may_announce(const struct babel *b, const struct iface *ifc)
{
    return ifc->greeted && b->stage < STAGE_BYE && iface_up(ifc) && ifc->flight_count < ifc->window;
}

// The next changes, as many as fit. They are noted as in flight.
static void write_changes(struct babel *b, struct iface *ifc, struct packet *p)
{
    uint32_t from = ifc->sent;
    unsigned before = p->updates;
    if (ifc->own_due) write_restricted(b, ifc, p);
    while (ifc->cur != NIL) {
        struct dest *d = &b->dests[ifc->cur];
        if (!write_change(b, ifc, p, d)) break;
        ifc->sent = d->change;
        ifc->cur = d->next;
    }
    if (p->updates == before) return;
    struct flight *f = &ifc->flight[ifc->flight_count++];
    *f = (struct flight){.opaque = (uint16_t)bw_rng_u32(b->rng), .from = from, .to = ifc->sent};
    request_ack(b, ifc, p, f);
}

static bw_time resend_deadline(const struct iface *ifc)
{
    bw_time t = BW_NEVER;
    for (unsigned k = 0; k < ifc->flight_count; k++) t = bw_time_min(t, ifc->flight[k].at);
    return t;
}

static void landed(struct iface *ifc, unsigned k)
{
    memmove(&ifc->flight[k], &ifc->flight[k + 1], (--ifc->flight_count - k) * sizeof *ifc->flight);
    uint32_t known = iface_acked_upto(ifc);
    if (known > ifc->retract_from) ifc->retract_from = known;
    ifc->resend_at = resend_deadline(ifc);
}

void iface_acked(struct babel *b, struct iface *ifc, uint16_t opaque)
{
    if (!ifc->greeted && opaque == ifc->greet_opaque) {
        ifc->greeted = true;
        if (iface_up(ifc)) iface_restart(b, ifc);
        hold_check(b);
    }
    if (b->stage == STAGE_BYE && opaque == ifc->bye_opaque) ifc->bye_acked = true;
    for (unsigned k = 0; k < ifc->flight_count; k++) {
        if (ifc->flight[k].opaque != opaque) continue;
        landed(ifc, k);
        if (ifc->window < FLIGHT_MAX) ifc->window++;
        break;
    }
    if (ifc->cur != NIL && may_announce(b, ifc)) iface_flush_by(b, ifc, b->now + 1);
}

// The changes of a packet that was not acknowledged, as they are now. False: nothing of them is left to say.
static bool resend(struct babel *b, struct iface *ifc, struct flight *f)
{
    struct packet p;
    uint32_t i = b->tail;
    while (i != NIL && b->dests[i].prev != NIL && b->dests[b->dests[i].prev].change > f->from) i = b->dests[i].prev;
    packet_begin(ifc, &p);
    write_restricted(b, ifc, &p);
    for (; i != NIL && b->dests[i].change <= f->to; i = b->dests[i].next) {
        if (b->dests[i].change <= f->from || write_change(b, ifc, &p, &b->dests[i])) continue;
        ifc->cur = i; // no longer fits into one packet: goes on from here
        ifc->sent = b->dests[i].prev == NIL ? 0 : b->dests[b->dests[i].prev].change;
        f->to = ifc->sent;
        break;
    }
    if (!p.updates) return false;
    request_ack(b, ifc, &p, f);
    packet_send(b, ifc, &p, &ifc->peer->addr);
    return true;
}

void iface_resend(struct babel *b, struct iface *ifc)
{
    for (unsigned k = 0; k < ifc->flight_count;) {
        struct flight *f = &ifc->flight[k];
        if (f->at > b->now) {
            k++;
            continue;
        }
        ifc->window = ifc->window > 1 ? ifc->window / 2 : 1;
        if (++f->tries >= TRIES || !iface_up(ifc) || b->stage >= STAGE_BYE || !resend(b, ifc, f)) landed(ifc, k);
        else k++; // after the last try the next full update has to do
    }
    ifc->resend_at = resend_deadline(ifc);
    if (ifc->cur != NIL && may_announce(b, ifc)) iface_flush_by(b, ifc, b->now + GAP);
}

// ---- flushing ----

// A full update goes on from where the last packet ended. Spread out: a large table takes a good part of its interval.
static void write_dump(struct babel *b, struct iface *ifc, struct packet *p)
{
    while (ifc->dump_next < b->dest_top) {
        struct dest *d = &b->dests[ifc->dump_next];
        if (d->flags & DEST_USED && update_kind(b, ifc, d) == K_FINITE && !write_finite(b, ifc, p, d)) return;
        ifc->dump_next++;
    }
    ifc->dump_next = NIL;
}

static bw_time dump_gap(const struct babel *b, const struct iface *ifc)
{
    bw_time packets = b->dest_count / 32 + 1, gap = ifc->interval / 3 / packets;
    return gap < GAP ? GAP : gap > BW_S ? BW_S : gap;
}

static void fill(struct babel *b, struct iface *ifc, struct packet *p)
{
    write_items(b, ifc, p);
    if ((ifc->cur != NIL || ifc->own_due) && may_announce(b, ifc)) write_changes(b, ifc, p);
}

void iface_flush(struct babel *b, struct iface *ifc)
{
    ifc->flush_at = BW_NEVER;
    if (!ifc->peer) {
        ifc->item_count = 0;
        return;
    }
    bool dumped = false, more = true;
    for (unsigned k = 0; k < BURST && more; k++) {
        struct packet p;
        packet_begin(ifc, &p);
        fill(b, ifc, &p);
        if (!dumped && ifc->dump_next != NIL && ifc->cur == NIL && iface_up(ifc) && b->stage == STAGE_RUN) {
            write_dump(b, ifc, &p);
            dumped = true;
        }
        if (babel_write_empty(&p.w)) break;
        packet_send(b, ifc, &p, &ifc->peer->addr);
        more = ifc->item_count || (ifc->cur != NIL && may_announce(b, ifc));
    }
    if (ifc->cur == NIL) ifc->urgent = false;
    ifc->paced_until = b->now + GAP;
    if (ifc->item_count || (ifc->cur != NIL && may_announce(b, ifc))) ifc->flush_at = b->now + GAP;
    else if (ifc->dump_next != NIL) ifc->flush_at = b->now + dump_gap(b, ifc);
}

// ---- Hellos ----

static const struct babel_capability *capability(const struct babel *b, const struct iface *ifc, const struct neighbour *n,
                                                 struct babel_capability *c)
{
    if (ifc->p.stock) return NULL;
    uint32_t ms = n ? neighbour_wanted_ms(n) : ifc->p.fast_hello_ms;
    *c = (struct babel_capability){.version = 1, .flags = b->cfg.flags, .interval_cs = (uint16_t)(ms / 10), .epoch = b->cfg.epoch};
    return c;
}

static bool write_ihu(struct packet *p, const struct neighbour *n, bool unicast, bw_time interval)
{
    uint32_t times[2] = {n->origin, n->receive};
    bw_time cs = interval * 3 / (10 * BW_MS);
    bool ok = babel_write_ihu(&p->w, unicast ? NULL : &n->addr, n->rxcost, (uint16_t)(cs > INF ? INF : cs), n->have_times ? times : NULL);
    if (n->have_times) p->ihu_end = bw_wr_len(&p->w.wr);
    return ok;
}

static void greet(struct iface *ifc, struct packet *p)
{
    p->w.wr.end += ACK_ROOM;
    BW_ASSERT(babel_write_ack_request(&p->w, ifc->greet_opaque, ACK_URGENT_CS));
    BW_ASSERT(babel_write_wildcard_retraction(&p->w, interval_cs(ifc)));
    BW_ASSERT(babel_write_route_request(&p->w, NULL));
}

// The scheduled multicast Hello with an IHU for each neighbour. Until the peer has acknowledged it, it also says: forget
// what an earlier life of this node has announced, and tell me all you have.
void send_hello(struct babel *b, struct iface *ifc)
{
    struct packet p;
    struct babel_capability c;
    bw_time interval = ifc->p.hello_ms * BW_MS;
    packet_begin(ifc, &p);
    BW_ASSERT(babel_write_hello(&p.w, false, ifc->hello_seqno++, (uint16_t)(interval / (10 * BW_MS)), (uint32_t)b->now,
                                capability(b, ifc, ifc->peer, &c)));
    for (unsigned k = 0; k < ifc->neigh_count; k++) BW_ASSERT(write_ihu(&p, ifc->neigh[k], false, interval));
    ifc->hello_at = b->now + babel_jitter(b, interval * 9 / 10, interval);
    if (!ifc->greeted && ifc->neigh_count && ifc->greet_tries >= GREET_TRIES) {
        ifc->greeted = true; // a peer that never acknowledges
        if (iface_up(ifc)) iface_restart(b, ifc);
        hold_check(b);
    }
    if (!ifc->greeted && b->stage == STAGE_RUN) {
        greet(ifc, &p);
        if (ifc->neigh_count) ifc->hello_at = bw_time_min(ifc->hello_at, b->now + (300 * BW_MS << ifc->greet_tries++));
    }
    packet_send(b, ifc, &p, &babel_group);
}

// One small packet: Hello and IHU with timestamps, and whatever waits to be sent.
void send_unicast_hello(struct babel *b, struct neighbour *n)
{
    struct packet p;
    struct babel_capability c;
    struct iface *ifc = n->ifc;
    bw_time interval = n->uhello_ms * BW_MS;
    packet_begin(ifc, &p);
    BW_ASSERT(babel_write_hello(&p.w, true, n->uhello_seqno++, (uint16_t)(interval / (10 * BW_MS)), (uint32_t)b->now,
                                capability(b, ifc, n, &c)));
    BW_ASSERT(write_ihu(&p, n, true, interval));
    if (n == ifc->peer) fill(b, ifc, &p);
    packet_send(b, ifc, &p, &n->addr);
    n->uhello_at = b->now + babel_jitter(b, interval * 9 / 10, interval);
}

void send_bye(struct babel *b, struct iface *ifc)
{
    struct packet p;
    packet_begin(ifc, &p);
    BW_ASSERT(babel_write_wildcard_retraction(&p.w, interval_cs(ifc)));
    p.w.wr.end += ACK_ROOM;
    BW_ASSERT(babel_write_ack_request(&p.w, ifc->bye_opaque, ACK_URGENT_CS));
    packet_send(b, ifc, &p, &ifc->peer->addr);
}
