#include "core/exit/limit.h"

#define HUNGRY_US                                                                                                      \
    (2 * BW_S) // a sender that was turned away waits a moment before it tries again: it is hungry all the same
#define BURST_US (1000 * BW_MS)   // what a sender may catch up on after such a wait
#define BURST_BYTES 48000u        // but a super-frame's worth at least
#define SPARE_BPS 1000000u        // everybody may start with this much more than it used
#define BUDGET_LEAST_BPS 4000000u // a budget that follows the uplink is never less
#define MOST_TICKS 2400u          // the highest rate seen fades with a time constant of ten minutes
#define GROWING_US (2 * BW_S)     // for so long after the highest rate has grown, it may grow fast
#define OWNER_IDLE_PART 32u       // the owner is there when it takes this part of its floor
#define OWNER_LEAST_BPS 200000u   // and more than this: a machine always chatters a little
#define HEADERS_PART 64u          // and more than this part of what clients take: frames' headers are counted as its own
#define WASTE_MOST 64u            // 256ths of a budget that are given up for what senders send in vain
#define CLOCK_SET 1704067200      // 2024: a clock before that was never set

int limits_init(struct limits *l, struct bw_mem *mem)
{
    *l = (struct limits){.all = fwd_tunnel_shared_new(mem)};
    for (unsigned w = 0; w < LIMIT_WAYS; w++) l->way[w].budget = l->way[w].level = SHAPE_FREE;
    return l->all ? 0 : BW_ERR_NOMEM;
}

void limits_free(struct limits *l)
{
    fwd_tunnel_shared_unref(l->all);
    l->all = NULL;
}

void limits_config(struct limits *l, const struct limit_config *c)
{
    l->config = *c;
}

// ---- reading counters ----

static struct shape *bucket(struct fwd_tunnel_shared *s, unsigned way)
{
    return way == LIMIT_DOWN ? &s->to_peer : &s->from_peer;
}

static uint64_t dropped(const struct fwd_tunnel_shared *s, unsigned way)
{
    return atomic_load_explicit(way == LIMIT_DOWN ? &s->to_peer.dropped : &s->from_peer.dropped, memory_order_relaxed);
}

// Bytes that passed. What comes from a peer is counted before its bucket is asked, what goes to it afterwards.
static uint64_t passed(const struct fwd_tunnel_shared *s, unsigned way)
{
    if (way == LIMIT_DOWN) return atomic_load_explicit(&s->tx_bytes, memory_order_relaxed);
    uint64_t lost = dropped(s, way), all = atomic_load_explicit(&s->rx_bytes, memory_order_relaxed);
    return all > lost ? all - lost : 0;
}

// How much a counter has grown since *seen; one that is smaller has begun anew.
static uint64_t grown(uint64_t *seen, uint64_t is)
{
    uint64_t d = is >= *seen ? is - *seen : is;
    *seen = is;
    return d;
}

static uint64_t bps(uint64_t bytes, bw_time span)
{
    return span ? bytes * 8 * BW_S / span : 0;
}

// ---- volume ----

uint32_t limits_month(int64_t unix_s)
{
    if (unix_s < CLOCK_SET) return 0;
    // Days to civil years and months, counted from 1 March of the year 0, so that leap days come last.
    uint64_t day = (uint64_t)unix_s / 86400 + 719468, era = day / 146097, in_era = day % 146097;
    uint64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    uint64_t in_year = in_era - (365 * year + year / 4 - year / 100), march = (5 * in_year + 2) / 153;
    return (uint32_t)((era * 400 + year) * 12 + march + 2); // March is number 2 of its year
}

// An unknown month (no clock yet) goes on with the count that there is.
static bool another(uint32_t *month, uint32_t now)
{
    bool other = now && *month && *month != now;
    if (now) *month = now;
    return other;
}

static void count_volume(struct limits *l, struct limit_use *u, uint64_t bytes, uint32_t month)
{
    if (another(&l->month, month)) l->volume_used = 0;
    if (another(&u->month, month)) {
        u->month_bytes = 0;
        u->dirty = true;
    }
    if (!bytes) return;
    u->month_bytes += bytes;
    l->volume_used += bytes;
    u->dirty = true;
}

static bool settle_over(const struct limits *l, struct limit_use *u)
{
    bool over = l->over || (l->config.volume_client && u->month_bytes >= l->config.volume_client), was = u->over;
    u->over = over;
    return over != was;
}

void limits_settle(struct limits *l, struct limit_use *u, const struct fwd_tunnel_shared *shared, int64_t unix_s)
{
    uint64_t bytes = 0;
    for (unsigned w = 0; w < LIMIT_WAYS; w++) bytes += grown(&u->seen[w], passed(shared, w));
    count_volume(l, u, bytes, limits_month(unix_s));
    for (unsigned w = 0; w < LIMIT_WAYS; w++) u->seen[w] = u->seen_dropped[w] = u->rate[w] = u->hungry_until[w] = 0;
}

// ---- sharing out ----

// What a client may have at most, whatever there is.
static uint64_t cap(const struct limits *l, const struct limit_use *u, unsigned way)
{
    uint64_t c = l->config.client_bps[way] ? l->config.client_bps[way] : SHAPE_FREE;
    return u->over && c > LIMIT_SLOW_BPS ? LIMIT_SLOW_BPS : c;
}

// What it wants, as far as can be told: what it used and some more, or all that it may have.
static uint64_t demand(const struct limits *l, const struct limit_use *u, unsigned way, bw_time now)
{
    uint64_t most = cap(l, u, way), want = u->rate[way] + u->rate[way] / 4;
    return now < u->hungry_until[way] || want > most ? most : want;
}

// The level at which the budget is used up when nobody gets more than it wants: max-min fairness. More than the budget
// must be wanted. Each round settles those who want less than an even share of what is left, so there are few rounds.
static uint64_t water_level(const struct limits *l, const struct limit_client *c, unsigned count, unsigned way,
                            bw_time now)
{
    uint64_t level = 0;
    for (unsigned round = 0; round < 64; round++) {
        uint64_t left = l->way[way].budget;
        unsigned hungry = 0;
        for (unsigned i = 0; i < count; i++) {
            uint64_t d = demand(l, c[i].use, way, now);
            if (d > level) hungry++;
            else left -= d < left ? d : left;
        }
        uint64_t next = hungry ? left / hungry : level;
        if (!hungry || next <= level) break;
        level = next;
    }
    return level;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > SHAPE_FREE - b ? SHAPE_FREE : a + b;
}

// What is turned away has come over the uplink all the same, where it took the owner's room: many senders push a fifth more than
// they get, however little that is. So for the whole of what comes to fit, they get less.
static uint64_t without_waste(const struct limit_way *w, uint64_t budget)
{
    uint64_t part = w->came > w->went ? w->went * 256 / w->came : 256;
    return budget / 256 * (part > 256 - WASTE_MOST ? part : 256 - WASTE_MOST);
}

// What all clients together may have now.
static uint64_t budget(const struct limits *l, unsigned way, unsigned active, bw_time now)
{
    const struct limit_way *w = &l->way[way];
    uint64_t limit = l->config.all_bps[way] ? l->config.all_bps[way] : SHAPE_FREE, floor = l->config.floor_bps[way];
    bool there = w->owner_bps > floor / OWNER_IDLE_PART && w->owner_bps > OWNER_LEAST_BPS && w->owner_bps > w->came / HEADERS_PART;
    if (limit != SHAPE_FREE && there) {
        // The owner's use may grow fourfold, up to its floor, before the next tick; what it wants beyond that it must
        // win by itself.
        uint64_t grow = 4 * w->owner_bps + floor / 8, keep = grow < floor ? grow : floor, least = limit / 10;
        uint64_t left = limit > keep ? without_waste(w, limit - keep) : 0;
        return left > least ? left : least; // clients are never shut out
    }
    if (limit != SHAPE_FREE || active < 2) return limit;
    uint64_t follow = now < w->growing_until ? w->rate + w->rate / 2 : w->most + w->most / 10;
    return follow > BUDGET_LEAST_BPS ? follow : BUDGET_LEAST_BPS;
}

static void share_out(struct limits *l, const struct limit_client *c, unsigned count, unsigned way, bw_time now)
{
    struct limit_way *w = &l->way[way];
    uint64_t wanted = 0;
    unsigned active = 0;
    for (unsigned i = 0; i < count; i++) {
        wanted = plus(wanted, demand(l, c[i].use, way, now));
        active += c[i].use->rate[way] > 64000 || now < c[i].use->hungry_until[way];
    }
    w->budget = budget(l, way, active, now);
    bool scarce = w->budget != SHAPE_FREE && wanted > w->budget;
    w->level = scarce ? water_level(l, c, count, way, now) : SHAPE_FREE;
    uint64_t spare = w->budget == SHAPE_FREE ? SHAPE_FREE : scarce ? 0 : w->budget - wanted;
    for (unsigned i = 0; i < count; i++) {
        uint64_t most = cap(l, c[i].use, way), rate = w->level;
        if (!scarce) rate = plus(plus(demand(l, c[i].use, way, now), spare), SPARE_BPS);
        shape_set(bucket(c[i].shared, way), rate < most ? rate : most, BURST_US, BURST_BYTES);
    }
    // Clients at their fair shares fit; this one is for the moment before they have been told. A little more, so that
    // it does not take at random from those who keep to their share.
    shape_set(bucket(l->all, way), w->budget == SHAPE_FREE ? SHAPE_FREE : w->budget + w->budget / 32, BURST_US,
              BURST_BYTES);
}

void limits_start(struct limits *l, struct limit_use *u, struct fwd_tunnel_shared *shared)
{
    settle_over(l, u);
    for (unsigned w = 0; w < LIMIT_WAYS; w++) {
        uint64_t most = cap(l, u, w), share = l->way[w].level < l->way[w].budget ? l->way[w].level : l->way[w].budget;
        shape_set(bucket(shared, w), share < most ? share : most, BURST_US, BURST_BYTES);
    }
}

static uint64_t smooth(uint64_t was, uint64_t is)
{
    return (was * 3 + is) / 4;
}

static void read_client(struct limits *l, const struct limit_client *c, uint64_t all[LIMIT_WAYS], uint32_t month,
                        bw_time span, bw_time now)
{
    struct limit_use *u = c->use;
    uint64_t bytes = 0;
    for (unsigned w = 0; w < LIMIT_WAYS; w++) {
        uint64_t d = grown(&u->seen[w], passed(c->shared, w));
        bytes += d;
        all[w] += d;
        u->rate[w] = smooth(u->rate[w], bps(d, span));
        if (grown(&u->seen_dropped[w], dropped(c->shared, w))) u->hungry_until[w] = now + HUNGRY_US;
    }
    count_volume(l, u, bytes, month);
}

bool limits_tick(struct limits *l, const struct limit_client *c, unsigned count, int64_t unix_s, bw_time now)
{
    bw_time span = l->last && now > l->last ? now - l->last : 0;
    uint64_t all[LIMIT_WAYS] = {0};
    uint32_t month = limits_month(unix_s);
    bool changed = false, read = !l->last || span >= LIMIT_TICK_US / 2; // over less a rate says nothing
    if (read) l->last = now;
    for (unsigned i = 0; read && i < count; i++) read_client(l, &c[i], all, month, span, now);
    l->over = l->config.volume && l->volume_used >= l->config.volume;
    for (unsigned i = 0; i < count; i++) changed |= settle_over(l, c[i].use);
    for (unsigned w = 0; w < LIMIT_WAYS; w++) {
        struct limit_way *v = &l->way[w];
        if (read) v->rate = bps(all[w], span);
        v->most -= v->most / MOST_TICKS;
        if (v->rate > v->most + v->most / 20) v->growing_until = now + GROWING_US;
        if (v->rate > v->most) v->most = v->rate;
        share_out(l, c, count, w, now);
    }
    return changed;
}

void limits_uplink(struct limits *l, uint64_t down, uint64_t up, const struct limit_client *c, unsigned count,
                   bw_time now)
{
    bw_time span = l->last && now > l->last ? now - l->last : 0; // called right before limits_tick
    if (l->last && span < LIMIT_TICK_US / 2) return;
    const uint64_t is[LIMIT_WAYS] = {down, up};
    for (unsigned w = 0; w < LIMIT_WAYS; w++) {
        struct limit_way *v = &l->way[w];
        uint64_t total = grown(&v->uplink_seen, is[w]), went = 0, lost = grown(&v->seen_dropped, dropped(l->all, w));
        for (unsigned i = 0; i < count; i++) {
            uint64_t seen = c[i].use->seen[w], seen_dropped = c[i].use->seen_dropped[w]; // read only: limits_tick counts them
            went += grown(&seen, passed(c[i].shared, w));
            lost += grown(&seen_dropped, dropped(c[i].shared, w));
        }
        uint64_t came = w == LIMIT_DOWN ? went + lost : went; // what goes up is turned away before it comes to the uplink
        if (v->uplink_known && span) {
            v->owner_bps = smooth(v->owner_bps, bps(total > came ? total - came : 0, span));
            v->went = smooth(v->went, bps(went, span));
            v->came = smooth(v->came, bps(came, span));
        }
        v->uplink_known = true;
    }
}

unsigned limits_load(const struct limits *l)
{
    uint64_t load = 0;
    for (unsigned w = 0; w < LIMIT_WAYS; w++) {
        const struct limit_way *v = &l->way[w];
        uint64_t of = l->config.all_bps[w] ? l->config.all_bps[w] : 0, is = of ? v->rate * 100 / of : 0;
        if (is > load) load = is;
    }
    return (unsigned)(load > 100 ? 100 : load);
}
