// What becomes due: keys that end, packets that waited too long, handshakes to begin or repeat, dummies to send.
#include "core/session/set.h"

static uint64_t at(const atomic_uint_least64_t *t)
{
    return atomic_load_explicit(t, memory_order_relaxed);
}

static bool passed(bw_time since, bw_time time, bw_time now)
{
    return since && now >= since + time;
}

static bool worn(const struct sa *a, bw_time now)
{
    return (a->initiator && passed(a->born, a->rekey_after, now)) || at(&a->tx_seq) >= SA_REKEY_AFTER_PACKETS;
}

// What the packet path has noticed since the last look.
static void look(struct sessions *ss, struct session *s, bw_time now)
{
    struct session_shared *h = s->shared;
    const struct sa *a = session_tx(s, now);
    // Packets under way set it again while the handshake runs: whether it still is so, the present keys say.
    bool want = atomic_exchange_explicit(&h->want_handshake, false, memory_order_relaxed);
    if (!a) return; // whoever has something to send comes to sessions_send
    want = want && worn(a, now);
    if (passed(at(&h->first_tx_unanswered), SESSION_NO_ANSWER, now)) {
        want = true;
        atomic_store_explicit(&h->first_tx_unanswered, now, memory_order_relaxed); // the next one in another 15 s
    }
    bool busy = at(&h->last_tx_data) && now - bw_time_min(now, at(&h->last_tx_data)) < 30 * BW_S;
    if (!a->initiator && busy && passed(a->born, SESSION_LATE_REKEY, now)) want = true;
    if (want) session_want(ss, s, now);
    if (passed(at(&h->first_rx_unanswered), SESSION_KEEPALIVE, now)) session_send_dummy(ss, s, now);
}

static bool has_keys(const struct session *s)
{
    for (unsigned i = 0; i < SA_SLOTS; i++)
        if (s->keys[i].sa) return true;
    return false;
}

static bw_time next_look(const struct session *s, bw_time now)
{
    bw_time due = s->start_at;
    if (s->attempt) due = bw_time_min(due, s->attempt->retry);
    if (s->queued) due = bw_time_min(due, STAILQ_FIRST(&s->queue)->since + SESSION_QUEUE_TIME);
    if (s->half_open) due = bw_time_min(due, s->since + SESSION_HALF_OPEN_TIME);
    if (has_keys(s)) due = bw_time_min(due, (now / SESSION_POLL + 1) * SESSION_POLL); // all sessions in one go
    return due;
}

bw_time session_turn(struct sessions *ss, struct session *s, bw_time now, uint64_t unix_ns)
{
    if (s->half_open && now >= s->since + SESSION_HALF_OPEN_TIME) {
        session_free(ss, s);
        return BW_NEVER;
    }
    keys_expire(ss, s, now);
    if (now >= SESSION_QUEUE_TIME) session_queue_drop(ss, s, now - SESSION_QUEUE_TIME);
    if (s->mtu < SESSION_MTU && now >= s->mtu_until) {
        s->mtu = SESSION_MTU;
        ss->dirty = true;
    }
    look(ss, s, now);
    if (s->start_at <= now) attempt_start(ss, s, now);
    if (s->attempt) attempt_turn(ss, s, now, unix_ns);
    s->due = next_look(s, now);
    if (s->due != BW_NEVER) return s->due;
    session_sleep(ss, s);
    return BW_NEVER;
}

void sessions_tick(struct sessions *ss, bw_time now, uint64_t unix_ns)
{
    ss->now = now;
    if (ss->next <= now) {
        struct session *s, *after;
        ss->next = BW_NEVER;
        for (s = TAILQ_FIRST(&ss->list); s; s = after) {
            after = TAILQ_NEXT(s, order); // a turn ends s at most, and dormant ones
            bw_time due = s->due <= now ? session_turn(ss, s, now, unix_ns) : s->due;
            ss->next = bw_time_min(ss->next, due);
        }
    }
    sessions_settle(ss, now);
}

bw_time sessions_deadline(const struct sessions *ss)
{
    return ss->next;
}
