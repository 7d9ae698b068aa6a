// What a link does by itself as time goes by (paper, section 6): renewing keys, trying again, keepalives, forgetting.
// The packet path leaves its news in struct link_shared; it is read here at least once a second.
#include "core/link/set.h"

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

void link_seal_keepalive(struct linkset *ls, struct link *l, struct keypair *k, bw_time now)
{
    uint8_t buf[WG_DATA_OVERHEAD];
    int n = keypair_seal(k, 0, buf, 0, 0, now);
    if (n > 0 && l->endpoint.port) ls->ops.send(ls->ops.ctx, &l->endpoint, l->ifindex, buf, (size_t)n);
}

// Is this a link that should have keys even when nobody sends anything?
static bool configured(const struct link *l)
{
    const struct peer *p = l->peer;
    return p->listed && !l->on_link && p->listing.endpoint.port;
}

static bool wanted(const struct link *l, bw_time now)
{
    if (configured(l)) return true;
    if (l->peer->listed && l->peer->listing.keepalive_s && l->endpoint.port) return true;
    return l->beacon_at && now < l->beacon_at + LINK_BEACON_LIFE;
}

static bool expired(const struct keypair *k, bw_time now)
{
    return now >= k->born + WG_REJECT_AFTER_TIME;
}

// The paper wipes keys after 3 x REJECT_AFTER_TIME; they are of no use after one, so ours go then.
static void expire_keys(struct linkset *ls, struct link *l, bw_time now)
{
    bool any = false;
    for (unsigned i = 0; i < LINK_RX_KEYS; i++)
        if (l->rx[i].keys && expired(l->rx[i].keys, now)) any |= link_drop_keys(ls, l, i);
    if (any) link_tell(ls, l, LINK_CHANGED_KEYS);
}

// Reasons for a new handshake that the packet path noticed, or should have.
static void ask_for_handshake(struct linkset *ls, struct link *l, bw_time now)
{
    struct link_shared *s = l->shared;
    const struct keypair *k = link_tx_keys(l), *next = l->rx[KEYS_NEXT].keys;
    if (atomic_exchange_explicit(&s->want_handshake, false, memory_order_relaxed)) link_want(l, now);
    uint64_t since = LOAD(s->first_tx_unanswered);
    if (since && since + LINK_NO_ANSWER <= now) { // section 6.5: 15 s without a word in answer
        atomic_store_explicit(&s->first_tx_unanswered, 0, memory_order_relaxed);
        link_want(l, now);
        if (!l->attempt.active) link_tell(ls, l, LINK_CHANGED_SILENT);
    }
    if (k && !k->initiator && now >= k->born + LINK_LATE_REKEY && LOAD(s->last_tx_data) + 2 * LINK_NO_ANSWER > now)
        link_want(l, now);
    bool answering = next && now < next->born + WG_REKEY_TIMEOUT; // give their handshake its time
    if (!k && !answering && !l->attempt.active && l->start_at == BW_NEVER && wanted(l, now)) link_want(l, now);
}

// REKEY_ATTEMPT_TIME without an answer. If nothing came in all that time either, the keys go too: the peer is not
// there.
static void give_up(struct linkset *ls, struct link *l, bw_time now)
{
    bw_time first = l->attempt.first;
    link_end_attempt(ls, l);
    if (LOAD(l->shared->last_rx) < first) link_drop_all_keys(ls, l);
    l->quiet_since = now;
    if (wanted(l, now)) link_want(l, now + LINK_SLOW_RETRY);
}

static void handshakes(struct linkset *ls, struct link *l, bw_time now, uint64_t unix_ns)
{
    struct attempt *a = &l->attempt;
    ask_for_handshake(ls, l, now);
    if (a->active) {
        l->start_at = BW_NEVER; // it has started already
        if (now < a->retry) return;
        if (now >= a->first + LINK_REKEY_ATTEMPT_TIME) {
            give_up(ls, l, now);
            return;
        }
        link_initiate(ls, l, now, unix_ns);
        if (a->tries == 4) link_tell(ls, l, LINK_CHANGED_SILENT); // 15 s have gone by
    } else if (l->start_at <= now) {
        link_initiate(ls, l, now, unix_ns);
    }
}

static bw_time keepalive_due(const struct link *l)
{
    const struct link_shared *s = l->shared;
    const struct keypair *k = link_tx_keys(l);
    if (!k) return BW_NEVER;
    uint64_t heard = LOAD(s->first_rx_unanswered), due = heard ? heard + WG_KEEPALIVE_TIMEOUT : BW_NEVER;
    uint64_t every = l->peer->listed ? l->peer->listing.keepalive_s * BW_S : 0;
    if (every) {
        uint64_t rx = LOAD(s->last_rx), tx = LOAD(s->last_tx);
        due = bw_time_min(due, (rx > tx ? rx : tx) + every);
    }
    return due;
}

// When a link that nobody keeps alive is let go of; BW_NEVER while it is in use.
static bw_time end_of(const struct link *l)
{
    if (l->half_open) return l->since + LINK_HALF_OPEN_TIME;
    if (link_tx_keys(l) || l->attempt.active || configured(l)) return BW_NEVER;
    bw_time end = l->quiet_since + LINK_LINGER;
    if (l->beacon_at && l->beacon_at + LINK_BEACON_LIFE > end) end = l->beacon_at + LINK_BEACON_LIFE;
    return l->peer->listed && l->peer->listing.keepalive_s && l->endpoint.port ? BW_NEVER : end;
}

static void run(struct linkset *ls, struct link *l, bw_time now, uint64_t unix_ns)
{
    expire_keys(ls, l, now);
    handshakes(ls, l, now, unix_ns);
    if (keepalive_due(l) <= now) link_seal_keepalive(ls, l, link_tx_keys(l), now);
    if (end_of(l) <= now) link_free(ls, l);
}

void linkset_tick(struct linkset *ls, bw_time now, uint64_t unix_ns)
{
    ls->last_tick = now;
    linkset_connect_missing(ls, now);
    for (unsigned i = 0; i < ls->slots_used; i++)
        if (ls->slots[i]) run(ls, ls->slots[i], now, unix_ns);
}

static bw_time due(const struct link *l)
{
    bw_time t = bw_time_min(end_of(l), keepalive_due(l));
    for (unsigned i = 0; i < LINK_RX_KEYS; i++)
        if (l->rx[i].keys) t = bw_time_min(t, l->rx[i].keys->born + WG_REJECT_AFTER_TIME);
    return bw_time_min(t, l->attempt.active ? l->attempt.retry : l->start_at);
}

bw_time linkset_deadline(const struct linkset *ls)
{
    bw_time t = ls->far_missing ? ls->far_at : BW_NEVER;
    for (unsigned i = 0; i < ls->slots_used; i++) {
        if (!ls->slots[i]) continue;
        t = bw_time_min(t, due(ls->slots[i]));
        t = bw_time_min(t, ls->last_tick + LINK_POLL); // what the packet path left for us
    }
    // What is overdue after a tick can't be hastened by another one at once.
    return t < ls->last_tick + BW_MS ? ls->last_tick + BW_MS : t;
}
