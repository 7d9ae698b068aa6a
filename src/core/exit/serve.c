// The exit's two resources: GET /v1/exit and POST /v1/lease (docs/spec/exit.md, sections 3 and 4).
#include "core/exit/server.h"

// Checking signatures costs. Each neighbour through which requests come has a little of its own, so that a flood through one
// does not shut out the clients behind others; what goes beyond that shares the rest.
#define OWN_PER_S 20u
#define OWN_BURST 40u
#define ALL_PER_S 80u
#define ALL_BURST 160u

static int answer(int status, int n, size_t *len)
{
    *len = n > 0 ? (size_t)n : 0;
    return n > 0 ? status : 500;
}

static int refuse(struct exits *s, enum exits_count why, int status, const char *code, const char *text, char *out, size_t cap,
                  size_t *n)
{
    s->counts[why]++;
    return answer(status, lease_refusal_encode(code, text, NULL, out, cap), n);
}

static int refuse_off(struct exits *s, char *out, size_t cap, size_t *n)
{
    return s->plan.wanted ? refuse(s, EXITS_OFF, 503, "no-uplink", "this exit's own connection does not answer", out, cap, n)
                          : refuse(s, EXITS_OFF, 503, "not-sharing", "this node shares no connection", out, cap, n);
}

int exits_get_offer(struct exits *s, const struct book *others, char *out, size_t cap, size_t *n, bw_time now)
{
    struct offer_text own, more[OFFER_OTHERS];
    if (!s->plan.on) return refuse_off(s, out, cap, n);
    if (exits_own_offer(s, &own, now)) return answer(500, 0, n);
    unsigned count = others ? book_texts(others, more, OFFER_OTHERS) : 0;
    return answer(200, offer_answer_encode(&own, more, count, out, cap), n);
}

static bool take(struct exits_budget *b, uint32_t per_s, uint32_t burst, bw_time now)
{
    uint64_t more = (now - b->at) * per_s / BW_S;
    if (!b->at || b->tokens + more > burst) {
        b->tokens = burst;
        b->at = now;
    } else if (more) {
        b->tokens += (uint32_t)more;
        b->at = now;
    }
    if (!b->tokens) return false;
    b->tokens--;
    return true;
}

static uint64_t left(const struct exits_budget *b, bw_time now)
{
    uint64_t more = (now - b->at) * OWN_PER_S / BW_S;
    return !b->at || b->tokens + more > OWN_BURST ? OWN_BURST : b->tokens + more;
}

// The neighbour's budget; a new one takes the place of the fullest, and no more than that had: who comes by ever new neighbours
// gains nothing.
static struct exits_budget *budget_of(struct exits *s, const struct bw_addr *via, bw_time now)
{
    struct exits_budget *fullest = &s->budget[0];
    for (unsigned i = 0; i < EXITS_BUDGETS; i++) {
        struct exits_budget *b = &s->budget[i];
        if (b->at && bw_addr_eq(&b->via, via)) return b;
        if (left(b, now) > left(fullest, now)) fullest = b;
    }
    fullest->via = *via;
    return fullest;
}

static bool may_ask(struct exits *s, const struct bw_addr *via, bw_time now)
{
    return take(budget_of(s, via, now), OWN_PER_S, OWN_BURST, now) || take(&s->budget_all, ALL_PER_S, ALL_BURST, now);
}

static int stale(struct exits *s, char *out, size_t cap, size_t *n, bw_time now)
{
    struct offer_text own;
    s->counts[EXITS_STALE]++;
    if (exits_own_offer(s, &own, now)) return answer(500, 0, n);
    return answer(409, lease_refusal_encode("stale-stamp", "ask again with the stamp of this offer", &own, out, cap), n);
}

static int give(struct exits *s, const struct exits_lease *l, const struct lease_request *r, char *out, size_t cap, size_t *n,
                bw_time now)
{
    struct lease v = {.version = 1, .address = s->id->addr, .client = l->address, .mtu = s->plan.mtu, .serial = l->serial};
    memcpy(v.key, s->id->sign_pk, sizeof v.key);
    memcpy(v.nonce, r->nonce, sizeof v.nonce);
    v.lifetime_s = (uint32_t)((l->expires - now) / BW_S);
    if (l->v4) {
        v.inner4 = l->inner4;
        v.gateway4 = s->plan.gateway4;
    }
    if (l->v6) {
        v.inner6 = l->inner6;
        v.gateway6 = s->plan.gateway6;
    }
    v.news = l->news;
    exits_notice(s, l, v.notice, sizeof v.notice);
    v.dns[v.dns_count++] = l->v4 ? s->plan.gateway4 : s->plan.gateway6;
    return answer(200, record_lease(s->id, &v, out, cap), n);
}

static int release(struct exits *s, struct exits_lease *l, const struct lease_request *r, char *out, size_t cap, size_t *n,
                   bool *changed, bw_time now)
{
    if (l && memcmp(l->key, r->key, sizeof l->key) == 0) {
        *changed |= exits_release(s, l, now);
        memmove(l->nonces[1], l->nonces[0], sizeof l->nonces - sizeof l->nonces[0]);
        memcpy(l->nonces[0], r->nonce, sizeof l->nonces[0]);
    }
    static const char done[] = "{\"released\":true}";
    if (cap < sizeof done) return answer(500, 0, n);
    memcpy(out, done, sizeof done);
    return answer(200, (int)sizeof done - 1, n);
}

static int grant(struct exits *s, const struct lease_request *r, const struct bw_addr *via, char *out, size_t cap, size_t *n, bool *changed, bw_time now)
{
    struct exits_lease *l;
    if (!s->plan.on) return refuse_off(s, out, cap, n);
    if (!(r->v4 && s->uplink4) && !(r->v6 && s->plan.v6))
        return refuse(s, EXITS_OFF, 503, "no-family", "no family that you ask for is carried here now", out, cap, n);
    int err = exits_grant(s, r, via, &l, changed, now);
    if (err == BW_ERR_DENIED) return refuse(s, EXITS_FORGED, 403, "other-key", "this address has a lease under another key", out, cap, n);
    if (err) return refuse(s, EXITS_FULL, 503, "pool-full", "no lease is left for you; try another exit", out, cap, n);
    return give(s, l, r, out, cap, n, now);
}

int exits_post_lease(struct exits *s, const struct bw_addr *caller, const struct bw_addr *via, const char *body, size_t len,
                     char *out, size_t cap, size_t *n, bool *changed, struct lease_request *r, bw_time now)
{
    struct signed_part part;
    *n = 0;
    if (!may_ask(s, via, now)) return refuse(s, EXITS_BUSY, 429, "busy", "too many requests; try again in a second", out, cap, n);
    if (lease_request_decode(body, len, r, &part))
        return refuse(s, EXITS_BAD, 400, "malformed", "not a lease request", out, cap, n);
    if (!bw_addr_eq(caller, &r->address) || !bw_addr_eq(&r->exit, &s->id->addr) || record_verify(&part, &r->address))
        return refuse(s, EXITS_FORGED, 403, "forged", "key, address, caller and signature do not belong together", out, cap, n);
    if (!exits_stamp_good(s, r->stamp, now)) return stale(s, out, cap, n, now);
    struct exits_lease *l = exits_lease_of(s, &r->address);
    for (unsigned i = 0; l && i < EXITS_NONCES; i++) {
        if (memcmp(l->nonces[i], r->nonce, LEASE_NONCE)) continue;
        if (!i && l->active && !r->release && s->plan.on) return give(s, l, r, out, cap, n, now); // the answer was lost
        return refuse(s, EXITS_REPLAYED, 409, "replayed", "this request was answered before", out, cap, n);
    }
    return r->release ? release(s, l, r, out, cap, n, changed, now) : grant(s, r, via, out, cap, n, changed, now);
}
