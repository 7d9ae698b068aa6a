// Proof that the Internet answers through a tunnel, and not only the exit's word for it: echo requests to targets out
// there, seldom while all is well, at once when others' packets are not answered. Silence counts only as far as it says
// something about this exit: the targets have answered before, and answer through another exit now.
#include "core/exit/client_parts.h"
#include "core/exit/echo.h"

#define TIMEOUT_US (700 * BW_MS)
#define MISSES 3
#define PACE_ACTIVE_US (15 * BW_S)
#define PACE_STANDBY_US (30 * BW_S)
#define PACE_SILENT_US (2 * BW_S)
#define LIVELY_US (1 * BW_S) // packets that stay unanswered for so long make us look
#define DOUBT_US (60 * BW_S) // targets that answer nobody are not asked to prove anything for so long
#define WAITING 2u           // packets without answer that are no accident

static bool has_family(const struct lease *l, bool v4)
{
    return !bw_addr_is_zero(v4 ? &l->inner4 : &l->inner6);
}

// Another target each time; NULL: none that this lease could reach.
static const struct bw_addr *target_for(const struct exitc *c, const struct exitc_tunnel *t, unsigned turn)
{
    for (unsigned i = 0; i < c->target_count; i++) {
        const struct bw_addr *a = &c->target[(turn + i) % c->target_count];
        if (has_family(&t->lease, bw_addr_is_v4(a))) return a;
    }
    return NULL;
}

bool exitc_proof_needed(const struct exitc *c, const struct exitc_tunnel *t, bw_time now)
{
    return c->targets_answer && now >= c->targets_doubt_until && target_for(c, t, 0);
}

static void ask(struct exitc *c, struct exitc_tunnel *t, bw_time now)
{
    uint8_t packet[ECHO_MAX];
    const struct bw_addr *to = target_for(c, t, t->proof.seq);
    size_t n = echo_request(packet, bw_addr_is_v4(to) ? &t->lease.inner4 : &t->lease.inner6, to, ++t->proof.seq);
    t->proof.asked = now;
    t->proof.own_tx++;
    c->ops.send(c->ops.ctx, &t->exit, packet, n);
}

// The other tunnel, if it is ready to take over.
static struct exitc_tunnel *other_ready(struct exitc *c, const struct exitc_tunnel *t)
{
    struct exitc_tunnel *o = &c->tunnel[t == &c->tunnel[0]];
    return o->state == EXITC_READY ? o : NULL;
}

static void missed(struct exitc *c, struct exitc_tunnel *t, bw_time now)
{
    struct exitc_tunnel *o = other_ready(c, t);
    if (!t->proof.misses++) {
        t->proof.missed_at = t->proof.asked;
        if (o && o->proof.next > now) o->proof.next = now; // does anybody's Internet answer?
    }
    t->proof.asked = 0;
    t->proof.next = t->proof.misses < MISSES ? now : now + PACE_SILENT_US;
}

// Others' packets go in and nothing comes out.
static bool silent(struct exitc_tunnel *t, bw_time now)
{
    struct exitc_proof *p = &t->proof;
    uint64_t tx = atomic_load_explicit(&t->shared->tx_packets, memory_order_relaxed) - p->own_tx;
    uint64_t rx = atomic_load_explicit(&t->shared->rx_packets, memory_order_relaxed) - p->own_rx;
    if (rx != p->rx_seen) p->others = now;
    if (rx != p->rx_seen || tx - p->tx_seen < WAITING || tx < p->tx_seen) {
        if (rx != p->rx_seen || tx < p->tx_seen) p->tx_seen = tx;
        p->rx_seen = rx;
        p->lively = now;
    }
    return now - p->lively >= LIVELY_US;
}

static bool in_vain(struct exitc *c, const struct exitc_tunnel *t)
{
    const struct exitc_tunnel *o = other_ready(c, t);
    return t->state == EXITC_READY && t->proof.misses >= MISSES && c->targets_answer && o &&
           o->proof.good >= t->proof.missed_at;
}

void exitc_prove(struct exitc *c, struct exitc_tunnel *t, bw_time now)
{
    struct exitc_proof *p = &t->proof;
    if (!target_for(c, t, 0)) return;
    if (p->asked && now >= p->asked + TIMEOUT_US) missed(c, t, now);
    if (silent(t, now) && !p->asked && !p->misses) {
        p->next = now;
        p->lively = now;
    }
    if (!p->asked && now >= p->next) ask(c, t, now);
    if (!in_vain(c, t)) return;
    c->unproven++;
    exitc_fail(c, t, "the Internet does not answer through it", now);
}

// A tunnel was to be proven, its gateway answers, the Internet does not. If nobody can show better, the targets are in
// doubt.
void exitc_not_proven(struct exitc *c, const struct exitc_tunnel *t, bw_time now)
{
    const struct exitc_tunnel *o = other_ready(c, t);
    c->unproven++;
    if (!o || !o->proof.good || o->proof.misses) c->targets_doubt_until = now + DOUBT_US;
}

bw_time exitc_proof_deadline(const struct exitc *c, const struct exitc_tunnel *t)
{
    if (!target_for(c, t, 0)) return BW_NEVER;
    return t->proof.asked ? t->proof.asked + TIMEOUT_US : t->proof.next;
}

bool exitc_is_target(const struct exitc *c, const struct bw_addr *a)
{
    for (unsigned i = 0; i < c->target_count; i++)
        if (bw_addr_eq(&c->target[i], a)) return true;
    return false;
}

void exitc_proof_answered(struct exitc *c, struct exitc_tunnel *t, uint16_t seq, bw_time now)
{
    struct exitc_proof *p = &t->proof;
    if (!p->asked || (uint16_t)(p->seq - seq) > MISSES) return; // a late answer is an answer
    bool active = c->active >= 0 && t == &c->tunnel[c->active];
    p->asked = 0;
    p->misses = 0;
    p->good = p->lively = now;
    p->next = now + (active ? PACE_ACTIVE_US : PACE_STANDBY_US);
    c->targets_answer = true;
    c->targets_doubt_until = 0;
}

void exitc_proof_refused(struct exitc *c, struct exitc_tunnel *t, uint16_t seq, bw_time now)
{
    if (t->proof.asked && seq == t->proof.seq) missed(c, t, now);
}
