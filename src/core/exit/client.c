#include "core/exit/client.h"

#include "core/exit/client_parts.h"

#define OWN_GOOD_US (5 * BW_S)     // own connection must have worked for this long before an exit is left for it
#define BETTER_US (30 * BW_S)      // another exit must have been better for this long before we change
#define STALL_US (1500 * BW_MS)    // not called for this long: it was we who were silent
#define BETTER_STEP 32u            // what "better" means, in Babel's metric: a quarter and a little
#define WAIT_US (10 * BW_S)        // an exit that fell silent is waited for, if there is no other
#define WEIGH_US (1 * BW_S)
#define KEEP_US (120 * BW_S)       // a standby that carried others' packets so lately is not exchanged for a better one
#define SLOWED_COST (1u << 24)     // more than any metric

void exitc_init(struct exitc *c, struct bw_mem *mem, struct bw_rng *rng, const struct identity *id, struct book *book,
                const struct exitc_ops *ops, bw_time now)
{
    *c = (struct exitc){.mem = mem, .rng = rng, .id = id, .book = book, .ops = *ops, .use = EXITC_NONE, .own_since = BW_NEVER,
                        .state = VIEW_EXIT_NONE, .state_since = now, .last_tick = now, .active = -1, .better_since = BW_NEVER};
}

void exitc_drop(struct exitc *c, struct exitc_tunnel *t)
{
    if (t->shared) fwd_tunnel_shared_unref(t->shared);
    if (t->state >= EXITC_PROVING) c->changed = true;
    if (c->active >= 0 && t == &c->tunnel[c->active]) c->active = -1;
    *t = (struct exitc_tunnel){0};
}

void exitc_free(struct exitc *c)
{
    for (unsigned i = 0; i < EXITC_TUNNELS; i++) exitc_drop(c, &c->tunnel[i]);
}

static void tell(struct exitc *c, const struct bw_addr *exit, const char *why)
{
    if (c->ops.tell) c->ops.tell(c->ops.ctx, c->state, exit, why);
}

static void enter(struct exitc *c, enum view_exit_state state, const struct bw_addr *exit, const char *why, bw_time now)
{
    if (c->state == state && state != VIEW_EXIT_ACTIVE) return;
    c->state = state;
    c->state_since = now;
    c->changed = true;
    tell(c, exit, why);
}

// ---- choosing ----

// By [internet] use.
static bool exitc_allows(const struct exitc *c, const struct bw_addr *exit)
{
    if (c->use == EXITC_PINNED) return bw_addr_eq(exit, &c->pinned);
    for (unsigned i = 0; i < c->rules.never_count; i++)
        if (bw_addr_eq(exit, &c->rules.never[i])) return false;
    return c->use != EXITC_NONE;
}

// The owner's preference first, then those that have not slowed us, then Babel's metric (round trips are in it), more for a
// busy exit. The upper half is the preference: nothing below makes up for it.
static uint64_t cost(const struct exitc *c, const struct book_entry *e)
{
    uint64_t tier = 0;
    if (!e || e->metric >= BOOK_UNREACHABLE) return UINT64_MAX;
    while (tier < c->rules.prefer_count && !bw_addr_eq(&c->rules.prefer[tier], &e->address)) tier++;
    uint64_t slowed = e->slowed_until > c->last_tick ? SLOWED_COST : 0;
    return tier << 32 | (slowed + e->metric + e->metric * (uint64_t)e->offer.load / 100);
}

static bool in_use(const struct exitc *c, const struct bw_addr *exit)
{
    for (unsigned i = 0; i < EXITC_TUNNELS; i++)
        if (c->tunnel[i].state != EXITC_FREE && bw_addr_eq(&c->tunnel[i].exit, exit)) return true;
    return false;
}

static uint64_t cost_of(struct exitc *c, const struct exitc_tunnel *t)
{
    return cost(c, book_find(c->book, &t->exit));
}

static bool much_better(uint64_t a, uint64_t b)
{
    uint64_t low = a & UINT32_MAX;
    if (a == UINT64_MAX || b == UINT64_MAX || a >> 32 != b >> 32) return a < b;
    return low + low / 4 + BETTER_STEP < (b & UINT32_MAX);
}

// Cheaper only decides between two that are as good.
static bool before(const struct exitc *c, const struct book_entry *a, const struct book_entry *b)
{
    uint64_t ca = cost(c, a), cb = cost(c, b);
    return ca < cb || (ca == cb && a->offer.price < b->offer.price);
}

// The best exit that may be used and is not in use already; NULL: none.
static struct book_entry *candidate(struct exitc *c, bw_time now)
{
    struct book_entry *best = NULL;
    for (unsigned i = 0; i < c->book->top; i++) {
        struct book_entry *e = &c->book->entry[i];
        if (!book_usable(e, now) || !exitc_allows(c, &e->address) || in_use(c, &e->address)) continue;
        if (!best || before(c, e, best)) best = e;
    }
    return best;
}

static struct exitc_tunnel *best_ready(struct exitc *c)
{
    struct exitc_tunnel *best = NULL;
    for (unsigned i = 0; i < EXITC_TUNNELS; i++) {
        struct exitc_tunnel *t = &c->tunnel[i];
        if (t->state == EXITC_READY && (!best || cost_of(c, t) < cost_of(c, best))) best = t;
    }
    return best;
}

static void use_tunnel(struct exitc *c, struct exitc_tunnel *t, const char *why, bw_time now)
{
    c->active = (int)(t - c->tunnel);
    c->better_since = BW_NEVER;
    t->served = true;
    t->beat_next = now; // a standby may have died since its last heartbeat: find out at once
    enter(c, VIEW_EXIT_ACTIVE, &t->exit, why, now);
}

void exitc_fail(struct exitc *c, struct exitc_tunnel *t, const char *why, bw_time now)
{
    struct bw_addr exit = t->exit;
    struct book_entry *e = book_find(c->book, &exit);
    bool was_active = c->active >= 0 && t == &c->tunnel[c->active];
    bool served_long = t->state == EXITC_READY && now - t->since >= EXITC_BLOCKED_FOR_GOOD_US;
    if (e && served_long) book_worked(e);
    if (e) book_failed(e, now);
    exitc_drop(c, t);
    if (!was_active) return;
    c->failovers++;
    c->better_since = BW_NEVER;
    c->any_next = now; // the nearest one may be another now
    struct exitc_tunnel *next = best_ready(c);
    if (next) use_tunnel(c, next, why, now);
    else enter(c, VIEW_EXIT_LOST, &exit, why, now);
}

bool exitc_wait_for(struct exitc *c, struct exitc_tunnel *t, bw_time now)
{
    const struct exitc_tunnel *other = &c->tunnel[t == &c->tunnel[0]];
    bool was_active = c->active >= 0 && t == &c->tunnel[c->active];
    if (!was_active && !t->missing_since) return false;
    if (other->state == EXITC_READY || candidate(c, now)) return false;
    if (!t->missing_since) t->missing_since = now;
    if (now - t->missing_since > WAIT_US) return false; // it may have forgotten the lease
    t->state = EXITC_PROVING;
    t->since = t->heard = t->beat_next = now;
    t->answered = 0;
    t->proof = (struct exitc_proof){.next = now, .lively = now, .own_tx = t->proof.own_tx, .own_rx = t->proof.own_rx};
    if (!was_active) return true;
    c->active = -1;
    c->changed = true;
    c->failovers++;
    c->any_next = now;
    enter(c, VIEW_EXIT_LOST, &t->exit, "it stopped answering; it is waited for", now);
    return true;
}

static struct exitc_tunnel *free_tunnel(struct exitc *c)
{
    for (unsigned i = 0; i < EXITC_TUNNELS; i++)
        if (c->tunnel[i].state == EXITC_FREE) return &c->tunnel[i];
    return NULL;
}

static void join(struct exitc *c, struct exitc_tunnel *t, struct book_entry *e, bw_time now)
{
    t->state = EXITC_ASKING;
    t->since = now;
    exitc_ask_lease(c, t, e, now);
}

// Leases at the nearest exits: one to use, one ahead. While nothing is in use both may be asked at once.
static void fill(struct exitc *c, bw_time now)
{
    struct exitc_tunnel *t;
    struct book_entry *e;
    while ((t = free_tunnel(c)) && (e = candidate(c, now))) join(c, t, e, now);
}

// Connections that began while it was in use still go through it.
static bool carries(const struct exitc_tunnel *t, bw_time now)
{
    return t->served && now - t->proof.others < KEEP_US;
}

// Someone better than what we use, or than our standby, for a while: change over.
static void improve(struct exitc *c, bw_time now)
{
    struct exitc_tunnel *active = &c->tunnel[c->active], *other = &c->tunnel[!c->active];
    if (now - c->weighed >= WEIGH_US) { // routes that stay are not told of when they become longer or shorter
        book_routes_changed(c->book, now);
        c->weighed = now;
    }
    struct book_entry *e = candidate(c, now);
    uint64_t mine = cost_of(c, active), theirs = other->state == EXITC_READY ? cost_of(c, other) : UINT64_MAX;
    const struct bw_addr *better = NULL;
    if (theirs != UINT64_MAX && much_better(theirs, mine)) better = &other->exit;
    else if (e && !carries(other, now) && other->state == EXITC_READY && much_better(cost(c, e), theirs)) better = &e->address;
    if (!better) {
        c->better_since = BW_NEVER;
        return;
    }
    if (c->better_since == BW_NEVER || !bw_addr_eq(better, &c->better)) {
        c->better = *better;
        c->better_since = now;
    }
    if (now - c->better_since < BETTER_US) return;
    c->better_since = BW_NEVER;
    if (bw_addr_eq(better, &other->exit)) {
        use_tunnel(c, other, "it has been better for a while", now);
        return;
    }
    exitc_release(c, other, now);
    exitc_drop(c, other); // fill() takes the better one as standby; once proven it is weighed like any other
}

// ---- the state machine ----

static bool busy(const struct exitc *c)
{
    return c->tunnel[0].state != EXITC_FREE || c->tunnel[1].state != EXITC_FREE;
}

static bool wants_exit(const struct exitc *c, bw_time now)
{
    if (c->use == EXITC_NONE) return false;
    if (c->use != EXITC_AUTO) return true;
    if (!c->own_settled) return busy(c);
    if (!c->own) return true;
    return c->active >= 0 && now - c->own_since < OWN_GOOD_US; // stay until it has worked for a while
}

static void leave_all(struct exitc *c, bw_time now)
{
    for (unsigned i = 0; i < EXITC_TUNNELS; i++) {
        if (c->tunnel[i].state >= EXITC_PROVING) exitc_release(c, &c->tunnel[i], now);
        exitc_drop(c, &c->tunnel[i]);
    }
    c->better_since = BW_NEVER;
}

static void rest(struct exitc *c, bw_time now)
{
    static const struct bw_addr nobody;
    leave_all(c, now);
    if (c->use == EXITC_NONE) enter(c, VIEW_EXIT_NONE, &nobody, "no exit is wanted", now);
    else if (c->own_settled) enter(c, VIEW_EXIT_OWN, &nobody, "this machine's own connection works", now);
    else enter(c, VIEW_EXIT_SEARCHING, &nobody, "looking whether this machine has a connection of its own", now);
}

static void drop_disallowed(struct exitc *c, bw_time now)
{
    for (unsigned i = 0; i < EXITC_TUNNELS; i++) {
        struct exitc_tunnel *t = &c->tunnel[i];
        if (t->state == EXITC_FREE || exitc_allows(c, &t->exit)) continue;
        if (t->state >= EXITC_PROVING) exitc_release(c, t, now);
        exitc_drop(c, t);
    }
}

static void renew(struct exitc *c, bw_time now)
{
    for (unsigned i = 0; i < EXITC_TUNNELS; i++) {
        struct exitc_tunnel *t = &c->tunnel[i];
        struct book_entry *e = t->state >= EXITC_PROVING && !t->http && now >= t->renew ? book_find(c->book, &t->exit) : NULL;
        if (e && e->has_offer) exitc_ask_lease(c, t, e, now);
        else if (t->state >= EXITC_PROVING && now >= t->renew && !t->http) t->renew = now + 5 * BW_S; // no offer at hand just now
    }
}

static void pursue(struct exitc *c, bw_time now)
{
    static const struct bw_addr nobody;
    drop_disallowed(c, now);
    if (c->use != EXITC_PINNED) exitc_ask_any(c, now);
    else book_hear(c->book, &c->pinned, now);
    renew(c, now);
    for (unsigned i = 0; i < EXITC_TUNNELS; i++)
        if (c->tunnel[i].state >= EXITC_PROVING) exitc_beat(c, &c->tunnel[i], now);
    for (unsigned i = 0; i < EXITC_TUNNELS; i++)
        if (c->tunnel[i].state >= EXITC_PROVING) exitc_prove(c, &c->tunnel[i], now);
    fill(c, now);
    struct exitc_tunnel *ready = c->active < 0 ? best_ready(c) : NULL;
    if (ready) use_tunnel(c, ready, "it answers", now);
    if (c->active >= 0) {
        improve(c, now);
        fill(c, now);
        return;
    }
    bool joining = busy(c);
    if (c->state == VIEW_EXIT_LOST && now - c->state_since < 30 * BW_S) return; // say so for a while
    enter(c, joining ? VIEW_EXIT_JOINING : VIEW_EXIT_SEARCHING, &nobody, joining ? "asking for a lease" : "looking for an exit", now);
}

// A machine that slept, or a loop that was held up: what we did not hear may have been said.
static void stalled(struct exitc *c, bw_time now)
{
    if (now - c->last_tick < STALL_US) return;
    for (unsigned i = 0; i < EXITC_TUNNELS; i++) {
        struct exitc_tunnel *t = &c->tunnel[i];
        if (t->state < EXITC_PROVING) continue;
        t->heard = t->proof.lively = now;
        t->beat_next = now;
        if (t->proof.asked) t->proof.asked = now;
        if (t->state == EXITC_PROVING) t->since = now;
        if (t->answered) t->answered = now;
    }
}

static bw_time deadline(const struct exitc *c, bool wants, bw_time now)
{
    bw_time t = c->any.serial ? c->any.until : BW_NEVER;
    if (wants && !c->any.serial && c->any_route && !c->sharing && c->use != EXITC_PINNED) t = bw_time_min(t, c->any_next);
    for (unsigned i = 0; i < EXITC_ASKS; i++)
        if (c->ask[i].serial) t = bw_time_min(t, c->ask[i].until);
    for (unsigned i = 0; i < EXITC_TUNNELS; i++) {
        const struct exitc_tunnel *u = &c->tunnel[i];
        if (u->http) t = bw_time_min(t, u->http_until);
        if (u->state >= EXITC_PROVING) t = bw_time_min(t, bw_time_min(exitc_beat_deadline(c, u), u->http ? BW_NEVER : u->renew));
    }
    if (c->better_since != BW_NEVER) t = bw_time_min(t, c->better_since + BETTER_US);
    if (c->use == EXITC_AUTO && c->own && c->active >= 0) t = bw_time_min(t, c->own_since + OWN_GOOD_US);
    if (!wants && !c->sharing) return t;
    for (unsigned i = 0; i < c->book->top; i++) {
        const struct book_entry *e = &c->book->entry[i];
        if (!e->used || e->metric >= BOOK_UNREACHABLE) continue;
        if (!e->asking) t = bw_time_min(t, e->next_ask > now ? e->next_ask : now + 100 * BW_MS); // no place to ask was free
        if (e->blocked_until > now) t = bw_time_min(t, e->blocked_until);
    }
    return t;
}

bw_time exitc_tick(struct exitc *c, bw_time now)
{
    if (busy(c)) stalled(c, now);
    c->last_tick = now;
    exitc_http_timeouts(c, now);
    book_age(c->book, now);
    bool wants = wants_exit(c, now);
    if (wants) pursue(c, now);
    else rest(c, now);
    if (wants || c->sharing) exitc_ask_offers(c, now);
    bw_time t = deadline(c, wants, now);
    return t > now ? t : now + 1 * BW_MS;
}

// ---- inputs ----

void exitc_use(struct exitc *c, enum exitc_use use, const struct bw_addr *pinned, bw_time now)
{
    (void)now;
    c->use = use;
    c->pinned = use == EXITC_PINNED && pinned ? *pinned : (struct bw_addr){0};
    c->changed = true;
}

void exitc_rules(struct exitc *c, const struct exitc_rules *r)
{
    c->rules = *r;
    c->changed = true;
}

void exitc_target(struct exitc *c, const struct bw_addr *target)
{
    if (c->target_count < EXITC_TARGETS) c->target[c->target_count++] = *target;
}

void exitc_tell_notice(struct exitc *c, const struct lease *l)
{
    tell(c, &l->address, *l->notice ? l->notice : "it has ended its restriction");
}

void exitc_own(struct exitc *c, bool works, bool settled, bw_time now)
{
    if (works != c->own) {
        c->own_since = works ? now : BW_NEVER;
        if (!works) c->any_next = now;
    }
    c->own = works;
    c->own_settled = settled;
}

void exitc_sharing(struct exitc *c, bool sharing, bw_time now)
{
    if (c->sharing == sharing) return;
    c->sharing = sharing;
    c->any_next = now;
}

void exitc_any_route(struct exitc *c, const uint8_t router_id[8], bw_time now)
{
    bool other = router_id && (!c->any_route || memcmp(router_id, c->any_router, sizeof c->any_router));
    c->any_route = router_id != NULL;
    if (!other) return;
    memcpy(c->any_router, router_id, sizeof c->any_router);
    c->any_failures = 0;
    c->any_next = now;
}

void exitc_routes_changed(struct exitc *c, bw_time now)
{
    bw_time before = now; // entries whose route changed now are marked with now
    book_routes_changed(c->book, now);
    for (unsigned i = 0; i < EXITC_TUNNELS; i++) {
        struct exitc_tunnel *t = &c->tunnel[i];
        const struct book_entry *e = t->state >= EXITC_PROVING ? book_find(c->book, &t->exit) : NULL;
        if (e && e->changed_at == before && e->lost_at == BW_NEVER) t->beat_next = now; // is the new way good?
    }
}

void exitc_leave(struct exitc *c, bw_time now)
{
    leave_all(c, now);
    c->use = EXITC_NONE;
}

// ---- outputs ----

bool exitc_take_changed(struct exitc *c)
{
    bool was = c->changed;
    c->changed = false;
    return was;
}

void exitc_plan(const struct exitc *c, struct exitc_plan *out)
{
    *out = (struct exitc_plan){0};
    if (c->active < 0) return;
    const struct lease *l = &c->tunnel[c->active].lease;
    *out = (struct exitc_plan){.active = true, .exit = l->address, .inner4 = l->inner4, .inner6 = l->inner6,
                               .gateway4 = l->gateway4, .gateway6 = l->gateway6, .dns_count = l->dns_count, .mtu = l->mtu};
    memcpy(out->dns, l->dns, sizeof out->dns);
    const struct exitc_tunnel *before = &c->tunnel[!c->active];
    if (before->state != EXITC_READY || !before->served) return;
    if (!bw_addr_eq(&before->lease.inner4, &l->inner4)) out->kept4 = before->lease.inner4;
    if (!bw_addr_eq(&before->lease.inner6, &l->inner6)) out->kept6 = before->lease.inner6;
}
