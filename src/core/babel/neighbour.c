// Neighbours: Hello histories, loss, RTT, and the cost of the link to each (RFC 8966 sections 3.4, appendix A; RFC 9616).
#include "core/babel/internal.h"

enum {
    WHOLE = 65536,          // n->quality: every Hello arrives
    IHU_HOLD = 35,          // tenths of the advertised interval
    RTT_AGE_US = 180000000, // older timestamps mean nothing (RFC 9616 section 3.3)
    RTT_MOST_US = 10000000, // longer than any queue: of a sample from across a clock's leap no more counts
    RTT_OVER_US = 11200000, // smoothed over so long, whatever the interval of Hellos
    RTT_COARSE = 6,         // ... but a sample never counts for more than a sixth (RFC 9616 section 3.4.1: 0.164)
    HISTORY = 16,
    TABLE_TRIES = 4,
    WANTED_MOST_MS = 2000, // unicast Hellos are asked for at least so often
};
#define LAST_WORDS (10 * BW_S) // a dead neighbour goes on hearing from us that we don't hear it
#define FORGET (120 * BW_S)
#define ADOPT_ANYWAY (30 * BW_S)

struct neighbour *neighbour_find(const struct iface *ifc, const struct bw_addr *addr)
{
    for (unsigned k = 0; k < ifc->neigh_count; k++)
        if (bw_addr_eq(&ifc->neigh[k]->addr, addr)) return ifc->neigh[k];
    return NULL;
}

static int free_index(struct babel *b, uint32_t *out)
{
    for (*out = 0; *out < b->neigh_top; ++*out)
        if (!b->neigh[*out]) return 0;
    if (b->neigh_top >= SEL_OWN) return BW_ERR_RANGE;
    if (b->neigh_top == b->neigh_cap) {
        uint32_t cap = b->neigh_cap ? b->neigh_cap * 2 : 4;
        struct neighbour **p = bw_resize(b->mem, b->neigh, b->neigh_cap * sizeof *p, cap * sizeof *p);
        if (!p) return BW_ERR_NOMEM;
        b->neigh = p;
        b->neigh_cap = cap;
    }
    b->neigh_top++;
    return 0;
}

struct neighbour *neighbour_new(struct babel *b, struct iface *ifc, const struct bw_addr *addr)
{
    if (ifc->neigh_count == IFACE_NEIGHBOURS) { // a peer that keeps changing its address: the one heard longest ago goes
        struct neighbour *oldest = ifc->neigh[0];
        for (unsigned k = 1; k < ifc->neigh_count; k++)
            if (ifc->neigh[k]->heard < oldest->heard) oldest = ifc->neigh[k];
        babel_drop(b, BABEL_DROP_CAP);
        neighbour_free(b, oldest);
    }
    struct neighbour *n = bw_alloc(b->mem, sizeof *n);
    uint32_t index;
    if (!n || free_index(b, &index)) {
        bw_free(b->mem, n, sizeof *n);
        babel_drop(b, BABEL_DROP_NOMEM);
        return NULL;
    }
    *n = (struct neighbour){.ifc = ifc, .addr = *addr, .index = (uint16_t)index, .quality = WHOLE, .rxcost = INF, .txcost = INF,
                            .cost = INF, .rtt = -1, .since = b->now, .heard = b->now, .uhello_at = BW_NEVER,
                            .ihu_deadline = BW_NEVER};
    n->m.deadline = n->u.deadline = BW_NEVER;
    n->uhello_seqno = (uint16_t)bw_rng_u32(b->rng);
    b->neigh[index] = n;
    ifc->neigh[ifc->neigh_count++] = n;
    ifc->peer = n;
    return n;
}

static void tell(struct babel *b, const struct neighbour *n, enum babel_neighbour_event e)
{
    struct babel_neighbour v;
    if (!b->ops.neighbour_changed) return;
    neighbour_view(n, &v);
    b->ops.neighbour_changed(b->ctx, e, &v);
}

void neighbour_free(struct babel *b, struct neighbour *n)
{
    struct iface *ifc = n->ifc;
    unsigned k = 0;
    routes_flush(b, n);
    n->up = false;
    n->cost = INF;
    while (ifc->neigh[k] != n) k++;
    ifc->neigh[k] = ifc->neigh[--ifc->neigh_count];
    if (ifc->peer == n) ifc->peer = ifc->neigh_count ? ifc->neigh[0] : NULL;
    tell(b, n, BABEL_GONE);
    b->neigh[n->index] = NULL;
    while (b->neigh_top && !b->neigh[b->neigh_top - 1]) b->neigh_top--;
    bw_free(b->mem, n->col, n->col_cap * sizeof *n->col);
    bw_free(b->mem, n, sizeof *n);
}

// The node behind it has restarted: whatever it said is void, and it knows nothing of what we said.
static void restarted(struct babel *b, struct neighbour *n)
{
    bool up = n->up;
    uint16_t old = n->cost;
    n->m = n->u = (struct hellos){.deadline = BW_NEVER};
    n->txcost = n->rxcost = n->cost = INF;
    n->up = n->have_times = false;
    n->ihu_deadline = BW_NEVER;
    n->since = b->now;
    if (old != INF) routes_recost(b, n, old);
    routes_flush(b, n);
    n->ifc->retract_from = b->change;
    n->ifc->hello_at = bw_time_min(n->ifc->hello_at, b->now + babel_jitter(b, 0, 5 * BW_MS));
    if (up) tell(b, n, BABEL_DOWN);
    tell(b, n, BABEL_RESTARTED);
}

// ---- Hellos (appendix A.1) ----

// How many Hellos in a row may be missing: so many that chance alone does that about once in 10^6, at the loss seen so far.
static unsigned patience(const struct neighbour *n)
{
    unsigned lost = (WHOLE - n->quality) / (WHOLE / 100);
    return lost < 5 ? 4 : lost < 12 ? 6 : lost < 20 ? 8 : lost < 35 ? 12 : HISTORY;
}

// Once dead, only a Hello brings it back: a slower kind of Hello that has not been missed yet does not.
static bool dead(const struct neighbour *n)
{
    if (n->silent) return true;
    if (n->u.active) return n->u.missed >= patience(n);
    if (n->m.active) return n->m.missed >= (n->quality > WHOLE / 100 * 95 ? 2u : 3u);
    return true;
}

// One Hello into the history. False: so far from what was expected that this is another history. *lost: how many are now
// known to be lost, since the last one.
static bool history_add(struct hellos *h, uint16_t seqno, unsigned *lost)
{
    *lost = 0;
    if (h->seen) {
        int diff = (int16_t)(uint16_t)(seqno - h->expected);
        if (diff > HISTORY || diff < -HISTORY) return false;
        if (diff < 0) h->bits = (uint16_t)(h->bits >> -diff);
        else h->bits = (uint16_t)((uint32_t)h->bits << diff);
        int n = (int)h->missed + diff;
        *lost = n > 0 ? (unsigned)n : 0;
        int seen = h->seen + diff;
        h->seen = (uint8_t)(seen < 0 ? 0 : seen > HISTORY ? HISTORY : seen);
    }
    h->bits = (uint16_t)(h->bits << 1 | 1);
    if (h->seen < HISTORY) h->seen++;
    h->expected = (uint16_t)(seqno + 1);
    return true;
}

static void quality_add(struct neighbour *n, unsigned lost)
{
    unsigned gain = n->quality_n < 16 ? 8 : 32;
    n->quality_n += lost + 1;
    while (lost--) n->quality -= n->quality / gain;
    n->quality += (WHOLE - n->quality) / gain;
    if (WHOLE - n->quality < gain) n->quality = WHOLE;
}

static void schedule_unicast(struct babel *b, struct neighbour *n)
{
    uint32_t ms = n->byway && !n->ifc->p.stock ? n->cap.interval_cs * 10u : 0;
    if (!ms) {
        n->uhello_ms = 0;
        n->uhello_at = BW_NEVER;
        return;
    }
    n->uhello_ms = ms < 200 ? 200 : ms > 10000 ? 10000 : ms;
    if (n->uhello_at == BW_NEVER) n->uhello_at = b->now + babel_jitter(b, 0, n->uhello_ms * BW_MS / 4);
}

void neighbour_hello(struct babel *b, struct neighbour *n, const struct babel_tlv *t)
{
    struct hellos *h = t->hello.unicast ? &n->u : &n->m;
    bw_time interval = t->hello.interval_cs * 10 * BW_MS;
    bool was_dead = dead(n);
    unsigned lost;
    if (!n->ifc->p.stock && (t->hello.has_capability || n->byway)) { // byway has it in every Hello: without, a stock program has taken over
        bool other = n->byway && (!t->hello.has_capability || n->cap.epoch != t->hello.capability.epoch);
        n->byway = t->hello.has_capability;
        n->cap = n->byway ? t->hello.capability : (struct babel_capability){0};
        if (other) restarted(b, n);
    }
    if (!history_add(h, t->hello.seqno, &lost)) {
        if (!n->byway) restarted(b, n); // a stock peer has no other way to say so
        *h = (struct hellos){.deadline = BW_NEVER};
        (void)history_add(h, t->hello.seqno, &lost);
    }
    if (h == &n->u || !n->u.active) quality_add(n, was_dead ? 0 : lost); // an outage says nothing about the loss after it
    n->heard = b->now;
    n->m.missed = n->u.missed = 0;
    n->silent = false;
    n->ifc->peer = n;
    if (interval) {
        h->active = true;
        h->interval = interval;
        // The margin of 1.5 intervals is for jitter; between byway nodes an interval is the upper bound that it says it is.
        h->deadline = b->now + (h == &n->u && n->byway ? interval * 5 / 4 : interval * 3 / 2);
    }
    schedule_unicast(b, n);
}

static void history_timeout(struct babel *b, struct hellos *h)
{
    while (h->deadline <= b->now) {
        h->bits = (uint16_t)(h->bits << 1);
        h->expected++;
        if (h->missed < UINT8_MAX) h->missed++;
        if (h->seen && h->seen < HISTORY) h->seen++;
        h->deadline += h->interval;
        if (!h->bits || h->missed >= HISTORY) {
            *h = (struct hellos){.deadline = BW_NEVER, .missed = h->missed};
            return;
        }
    }
}

// ---- IHU, RTT ----

// It has heard a Hello of ours, which asks for unicast ones: the first of them is due. One that dies before would otherwise
// be missed by its multicast Hellos alone, much later.
static void expect_unicast(struct babel *b, struct neighbour *n)
{
    if (!n->byway || n->ifc->p.stock || n->u.active || n->u.seen) return;
    bw_time interval = neighbour_wanted_ms(n) * BW_MS;
    n->u = (struct hellos){.active = true, .bits = 1, .missed = n->u.missed, .interval = interval, .deadline = b->now + interval * 5 / 4};
}

void neighbour_ihu(struct babel *b, struct neighbour *n, const struct babel_tlv *t)
{
    if (!t->ihu.wildcard && !bw_addr_eq(&t->ihu.addr, &b->cfg.linklocal)) return;
    n->txcost = t->ihu.rxcost;
    n->ihu_deadline = b->now + t->ihu.interval_cs * 10 * BW_MS * IHU_HOLD / 10;
    if (n->txcost != INF) expect_unicast(b, n);
}

// The median of the last three samples. One alone says nothing of the path: an end whose processor was busy looks like a long
// queue, and would slow the Hellos down for a while. A queue is seen by several Hellos in a row.
static int64_t steady(struct neighbour *n, int64_t sample)
{
    int64_t a = n->rtt_last[0], b = n->rtt_last[1], low = a < b ? a : b, high = a < b ? b : a;
    n->rtt_last[0] = b;
    n->rtt_last[1] = sample;
    return sample < low ? low : sample > high ? high : sample;
}

// RFC 9616 section 3.2: sent is the timestamp of the Hello in the same packet as the IHU with origin and receive.
void neighbour_rtt(struct babel *b, struct neighbour *n, uint32_t sent, uint32_t origin, uint32_t receive)
{
    uint32_t away = (uint32_t)b->now - origin, there = sent - receive;
    if (away > RTT_AGE_US || there > RTT_AGE_US || there > away) return;
    if (n->have_times && sent - n->origin > RTT_AGE_US) return;
    int64_t raw = away - there < RTT_MOST_US ? away - there : RTT_MOST_US, sample = steady(n, raw), late, over = RTT_COARSE;
    if (n->rtt_n < UINT8_MAX) n->rtt_n++;
    if (n->rtt_n <= 3) { // to begin with: the best of the first three
        if (n->rtt < 0 || raw < n->rtt) n->rtt = raw;
        n->rtt_dev = n->rtt / 4;
        return;
    }
    if (n->rtt_n >= 32 && n->u.active && n->u.interval * RTT_COARSE < RTT_OVER_US) over = RTT_OVER_US / (int64_t)n->u.interval;
    // The deviation follows at once: it is what tells of a growing queue. One that shrinks is no reason to ask less often.
    late = sample > n->rtt ? sample - n->rtt : 0;
    n->rtt_dev += (late - n->rtt_dev) / 4;
    n->rtt += (sample - n->rtt) / over;
}

// Fast where that costs nothing, slower where packets queue or get lost: RTT grows with the queue, so a 64 kbit/s link that
// is full is asked for a Hello every two seconds, and needs as much longer to be declared dead: half a minute at the most.
uint32_t neighbour_wanted_ms(const struct neighbour *n)
{
    uint64_t ms = n->ifc->p.fast_hello_ms, by_rtt = n->rtt < 0 ? 0 : (uint64_t)(2 * n->rtt + 4 * n->rtt_dev) / BW_MS;
    uint64_t most = ms > WANTED_MOST_MS ? ms : WANTED_MOST_MS;
    if (by_rtt > ms) ms = by_rtt;
    if (n->quality < WHOLE / 100 * 80) ms += ms / 2;
    return (uint32_t)((ms < most ? ms : most) + 9) / 10 * 10;
}

// ---- cost ----

static uint32_t rtt_penalty(const struct neighbour *n)
{
    const struct babel_iface_params *p = &n->ifc->p;
    if (p->rtt_penalty == UINT16_MAX || n->rtt <= (int64_t)p->rtt_min_us) return 0;
    if (n->rtt >= (int64_t)p->rtt_max_us) return p->rtt_penalty;
    return (uint32_t)((uint64_t)(n->rtt - p->rtt_min_us) * p->rtt_penalty / (p->rtt_max_us - p->rtt_min_us));
}

// Appendix A.2.2: rxcost = C / (share that arrives); cost = MAX(txcost, C) * rxcost / C. C is the nominal cost.
static uint16_t compute(struct neighbour *n, bool *suspect)
{
    uint32_t c = n->ifc->p.cost;
    *suspect = false;
    n->rxcost = INF;
    n->silent = dead(n);
    if (n->silent || n->quality < WHOLE / 20) return INF;
    uint64_t rx = ((uint64_t)c * WHOLE + n->quality / 2) / n->quality;
    n->rxcost = rx >= INF ? INF - 1 : (uint16_t)rx;
    if (n->txcost == INF) return INF;
    uint64_t cost = (n->txcost > c ? n->txcost : c) * rx / c + rtt_penalty(n);
    if (n->u.active && n->u.missed >= patience(n) / 2) { // half way to dead: others are better, if there are any
        *suspect = true;
        cost *= 4;
    }
    return cost >= INF ? INF - 1 : cost < 1 ? 1 : (uint16_t)cost;
}

// Small differences are noise: a tenth counts at once, less only if the last change was long ago.
static bool adopt(const struct babel *b, const struct neighbour *n, uint16_t cost, bool suspect)
{
    if (cost == n->cost) return false;
    if (cost == INF || n->cost == INF || suspect != n->suspect) return true;
    unsigned diff = cost > n->cost ? (unsigned)(cost - n->cost) : (unsigned)(n->cost - cost);
    return diff > n->cost / 10u + 3 || (diff > n->cost / 25u + 2 && b->now >= n->cost_since + ADOPT_ANYWAY);
}

static void ask_table(struct babel *b, struct neighbour *n)
{
    struct item it = {.type = BABEL_ROUTE_REQUEST, .wildcard = true};
    if (!n->table_due) n->table_tries = 0;
    n->table_due = n->table_tries++ < TABLE_TRIES;
    n->table_at = b->now + (BW_S / 2 << n->table_tries);
    if (n->table_due) item_add(b, n->ifc, &it, b->now + babel_jitter(b, 0, 5 * BW_MS));
}

void neighbour_refresh(struct babel *b, struct neighbour *n)
{
    bool suspect;
    uint16_t cost = compute(n, &suspect), old = n->cost;
    if (!adopt(b, n, cost, suspect)) return;
    n->suspect = suspect;
    n->cost = cost;
    n->cost_since = b->now;
    bool went_up = old == INF, went_down = cost == INF;
    n->up = !went_down;
    if (went_up || went_down) n->since = b->now;
    routes_recost(b, n, old);
    if (went_down) n->was_down = true, routes_flush(b, n); // what it says from now on may be lost: its table is asked for when it is back
    if (went_up) {
        if (n->was_up) ask_table(b, n);
        n->was_up = true;
        if (n->ifc->greeted) iface_restart(b, n->ifc);
    }
    if (went_down && n->ifc->hello_at > b->now + 5 * BW_MS && n->ifc->greeted)
        n->ifc->hello_at = b->now + babel_jitter(b, 0, 5 * BW_MS); // says "I don't hear you"
    tell(b, n, went_up ? BABEL_UP : went_down ? BABEL_DOWN : BABEL_COST);
    hold_check(b);
}

// ---- timers ----

bool neighbour_timers(struct babel *b, struct neighbour *n)
{
    if (n->m.deadline <= b->now) history_timeout(b, &n->m);
    if (n->u.deadline <= b->now) history_timeout(b, &n->u);
    if (n->ihu_deadline <= b->now) {
        n->txcost = INF;
        n->ihu_deadline = BW_NEVER;
    }
    neighbour_refresh(b, n);
    bool silent = !n->m.active && !n->u.active && !n->m.seen && !n->u.seen;
    if (silent || n->heard + FORGET < b->now) {
        neighbour_free(b, n);
        return false;
    }
    if (n->table_due && n->up && n->table_at <= b->now) ask_table(b, n);
    if (n->uhello_at <= b->now) {
        if (n->heard + LAST_WORDS < b->now && !n->u.active) n->uhello_at = BW_NEVER;
        else send_unicast_hello(b, n);
    }
    return true;
}

bw_time neighbour_deadline(const struct neighbour *n)
{
    bw_time t = bw_time_min(n->m.deadline, n->u.deadline);
    if (n->table_due && n->up) t = bw_time_min(t, n->table_at);
    return bw_time_min(bw_time_min(t, n->ihu_deadline), n->uhello_at);
}

void neighbour_view(const struct neighbour *n, struct babel_neighbour *out)
{
    bool fast = n->u.active;
    *out = (struct babel_neighbour){
        .slot = n->ifc->slot, .address = n->addr, .up = n->up, .byway = n->byway, .version = n->cap.version, .flags = n->cap.flags,
        .epoch = n->cap.epoch, .rtt_us = n->rtt, .rxcost = n->rxcost, .txcost = n->txcost, .cost = n->cost,
        .loss_permille = (uint32_t)((uint64_t)(WHOLE - n->quality) * 1000 / WHOLE),
        .hello_rx_ms = (uint32_t)((fast ? n->u.interval : n->m.interval) / BW_MS),
        .since = n->since};
}
