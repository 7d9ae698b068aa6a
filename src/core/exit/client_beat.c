// Heartbeats: ICMP echo to the exit's gateway through the tunnel. They prove an exit before use and while in use.
#include "core/exit/client_parts.h"
#include "core/exit/echo.h"

#define PACE_ACTIVE_US (600 * BW_MS)
#define PACE_STANDBY_US (1 * BW_S)
#define PACE_PROVING_US (250 * BW_MS)
#define DOUBT_US (750 * BW_MS)       // after this much silence the active exit is asked faster, so that a lossy link is not taken for death
#define PACE_DOUBT_US (200 * BW_MS)
#define DOUBT_STANDBY_US (1500 * BW_MS)
#define PACE_DOUBT_STANDBY_US (400 * BW_MS)
#define PROVING_US (2 * BW_S)
// Silence that means death. An exit that Babel still has a route to gets longer than one that it has lost, and a little more
// after the route has just changed, so that the death of a relay is not taken for the death of the exit.
#define SILENCE_US (2200 * BW_MS)
#define SILENCE_LOST_US (1200 * BW_MS)
#define LOST_US (500 * BW_MS)
#define CHANGE_GRACE_US (500 * BW_MS)
#define SILENCE_MOST_US (2700 * BW_MS)
#define SILENCE_STANDBY_US (3500 * BW_MS)
#define LOST_AFTER_US (1 * BW_S) // for people: a heartbeat unanswered for so long was lost
#define NEWS_US (10 * BW_S) // renewals because of news are not more frequent

static bool is_active(const struct exitc *c, const struct exitc_tunnel *t)
{
    return c->active >= 0 && t == &c->tunnel[c->active];
}

static bw_time heard(const struct exitc_tunnel *t)
{
    bw_time rx = atomic_load_explicit(&t->shared->last_rx, memory_order_relaxed);
    return rx > t->heard ? rx : t->heard;
}

static bw_time pace(const struct exitc *c, const struct exitc_tunnel *t, bw_time now)
{
    bw_time silent = now - bw_time_min(heard(t), now);
    if (t->state == EXITC_PROVING) return PACE_PROVING_US;
    if (is_active(c, t)) return silent > DOUBT_US ? PACE_DOUBT_US : PACE_ACTIVE_US;
    return silent > DOUBT_STANDBY_US ? PACE_DOUBT_STANDBY_US : PACE_STANDBY_US;
}

// When the tunnel counts as dead if nothing is heard until then.
static bw_time dead_at(const struct exitc *c, const struct exitc_tunnel *t)
{
    bw_time last = heard(t);
    if (t->state == EXITC_PROVING) return (t->answered ? t->answered : t->since) + PROVING_US; // then for the Internet
    if (!is_active(c, t)) return last + SILENCE_STANDBY_US;
    const struct book_entry *e = book_find(c->book, &t->exit);
    bw_time dead = last + SILENCE_US;
    if (!e) return dead;
    if (e->lost_at != BW_NEVER) {
        bw_time lost = e->lost_at + LOST_US, least = last + SILENCE_LOST_US;
        return bw_time_min(dead, lost > least ? lost : least);
    }
    bw_time grace = e->changed_at + CHANGE_GRACE_US;
    return grace > dead ? bw_time_min(grace, last + SILENCE_MOST_US) : dead;
}

static void send(struct exitc *c, struct exitc_tunnel *t, bw_time now)
{
    uint8_t packet[ECHO_MAX];
    bool v4 = !bw_addr_is_zero(&t->lease.inner4);
    uint16_t seq = (uint16_t)++t->beat_seq;
    size_t n = echo_request(packet, v4 ? &t->lease.inner4 : &t->lease.inner6, v4 ? &t->lease.gateway4 : &t->lease.gateway6, seq);
    t->beats[seq % EXITC_BEATS] = now;
    t->beat_next = now + pace(c, t, now);
    t->proof.own_tx++;
    c->ops.send(c->ops.ctx, &t->exit, packet, n);
}

void exitc_beat(struct exitc *c, struct exitc_tunnel *t, bw_time now)
{
    if (now >= t->expires) {
        exitc_fail(c, t, "its lease ran out", now);
        return;
    }
    if (now >= dead_at(c, t)) {
        bool gateway = t->state == EXITC_PROVING && t->answered;
        if (gateway) exitc_not_proven(c, t, now);
        else if (exitc_wait_for(c, t, now)) return;
        exitc_fail(c, t, gateway                     ? "the Internet does not answer through it"
                         : t->state == EXITC_PROVING ? "its gateway does not answer"
                                                     : "it stopped answering", now);
        return;
    }
    if (now >= t->beat_next) send(c, t, now);
}

bw_time exitc_beat_deadline(const struct exitc *c, const struct exitc_tunnel *t)
{
    return bw_time_min(bw_time_min(t->beat_next, t->expires), bw_time_min(dead_at(c, t), exitc_proof_deadline(c, t)));
}

int exitc_beat_loss(const struct exitc_tunnel *t, bw_time now)
{
    int sent = 0, lost = 0;
    for (uint32_t k = 0; k < EXITC_BEATS && k < t->beat_seq; k++) {
        bw_time at = t->beats[(t->beat_seq - k) % EXITC_BEATS];
        if (at && now - at < LOST_AFTER_US) continue; // under way
        sent++;
        if (at) lost++;
    }
    return sent ? 100 * lost / sent : -1;
}

// A tunnel whose gateway answers, and whose Internet, as far as that can be asked.
static void ready(struct exitc *c, struct exitc_tunnel *t, bw_time now)
{
    if (t->state != EXITC_PROVING || !t->answered || (!t->proof.good && exitc_proof_needed(c, t, now))) return;
    t->state = EXITC_READY;
    t->since = now;
    t->missing_since = 0;
}

static void replied(struct exitc *c, struct exitc_tunnel *t, const struct echo *reply, bw_time now)
{
    uint16_t seq = reply->seq;
    bw_time *sent = &t->beats[seq % EXITC_BEATS];
    if ((uint16_t)(t->beat_seq - seq) >= EXITC_BEATS || !*sent) return; // not asked, or answered before
    struct book_entry *e = book_find(c->book, &t->exit);
    if (e) e->rtt_us = (int64_t)(now - *sent);
    *sent = 0;
    t->heard = now;
    if (t->state == EXITC_PROVING && !t->answered) {
        t->answered = now;
        t->proof.asked = 0; // what was asked before may never have got there
        t->proof.next = now;
    }
    ready(c, t, now);
    if (!reply->has_news || reply->news == t->lease.news || now - t->news_asked < NEWS_US) return;
    t->news_asked = t->renew = now; // the signed lease will say what it is
}

void exitc_packet(struct exitc *c, const struct bw_addr *peer, const uint8_t *packet, size_t n, bw_time now)
{
    struct echo e;
    if (echo_parse(packet, n, &e) || (e.kind != ECHO_REPLY && e.kind != ECHO_UNREACHABLE) || e.id != ECHO_ID) return;
    for (unsigned i = 0; i < EXITC_TUNNELS; i++) {
        struct exitc_tunnel *t = &c->tunnel[i];
        if (t->state < EXITC_PROVING || !bw_addr_eq(&t->exit, peer)) continue;
        t->proof.own_rx++;
        bool v4 = bw_addr_is_v4(&e.src);
        const struct bw_addr *gateway = v4 ? &t->lease.gateway4 : &t->lease.gateway6;
        if (!bw_addr_eq(&e.dst, v4 ? &t->lease.inner4 : &t->lease.inner6)) continue;
        if (e.kind == ECHO_REPLY && exitc_is_target(c, &e.src)) {
            exitc_proof_answered(c, t, e.seq, now);
            ready(c, t, now);
        } else if (e.kind == ECHO_UNREACHABLE && exitc_is_target(c, &e.quoted)) {
            exitc_proof_refused(c, t, e.seq, now);
        }
        if (!bw_addr_eq(&e.src, gateway)) continue;
        if (e.kind == ECHO_REPLY) replied(c, t, &e, now);
        else if (bw_addr_eq(&e.quoted, gateway)) exitc_fail(c, t, "it says that its own connection is down", now);
    }
}
