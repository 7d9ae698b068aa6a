// The client's requests: the nearest exit's offer from fc00::e, others' from themselves, leases; and what comes back.
#include "core/exit/client_parts.h"

#define OFFER_MS 1500u
#define LEASE_MS 2000u
#define HTTP_SLACK_US (500 * BW_MS)    // past its timeout a request counts as failed even if nobody says so
#define ANY_FIRST_US (1 * BW_S)        // fc00::e asked again after a failure, doubling
#define ANY_MOST_US (8 * BW_S)
#define ANY_REFRESH_US (60 * BW_S)
#define OFFER_REFRESH_US (240 * BW_S)  // well within the five minutes that a stamp is good for at least
#define RENEW_AGAIN_US (15 * BW_S)
#define SLOWED_US (2 * 3600 * BW_S)    // an exit where our volume is used up comes last for so long, or until it says otherwise
#define MTU_MOST (FWD_MTU - FWD_TUNNEL_OVERHEAD)

static uint32_t serial(struct exitc *c)
{
    if (!++c->last_serial) ++c->last_serial;
    return c->last_serial;
}

static uint32_t http(struct exitc *c, const struct exitc_http *r)
{
    uint32_t s = serial(c);
    c->ops.http(c->ops.ctx, s, r);
    return s;
}

// ---- offers ----

static void get_offer(struct exitc *c, struct exitc_ask *a, const struct bw_addr *to, bw_time now)
{
    a->to = *to;
    a->until = now + OFFER_MS * BW_MS + HTTP_SLACK_US;
    a->serial = http(c, &(struct exitc_http){.to = *to, .method = "GET", .path = "/v1/exit", .timeout_ms = OFFER_MS});
}

void exitc_ask_any(struct exitc *c, bw_time now)
{
    if (c->any.serial || !c->any_route || c->sharing || now < c->any_next) return;
    get_offer(c, &c->any, &bw_addr_any_exit, now);
}

void exitc_ask_offers(struct exitc *c, bw_time now)
{
    for (unsigned i = 0; i < c->book->top; i++) {
        struct book_entry *e = &c->book->entry[i];
        if (!e->used || e->asking || now < e->next_ask || e->metric >= BOOK_UNREACHABLE) continue;
        struct exitc_ask *a = c->ask;
        while (a < c->ask + EXITC_ASKS && a->serial) a++;
        if (a == c->ask + EXITC_ASKS) return;
        e->asking = true;
        get_offer(c, a, &e->address, now);
    }
}

struct taking {
    struct exitc *c;
    const struct bw_addr *from;
    bw_time now;
    unsigned good;
};

static void take_offer(void *ctx, bool first, const char *text, size_t n)
{
    struct taking *k = ctx;
    struct book_entry *e;
    int err = book_offer(k->c->book, text, n, first ? k->from : NULL, k->now, &e);
    if (err == BW_ERR_AUTH) k->c->forged++;
    if (err) return;
    k->good++;
    if (first && e->next_ask < k->now + OFFER_REFRESH_US) e->next_ask = k->now + OFFER_REFRESH_US;
}

static unsigned take_answer(struct exitc *c, const struct bw_addr *from, const char *body, size_t n, bw_time now)
{
    struct taking k = {.c = c, .from = from, .now = now};
    return offer_answer_decode(body, n, take_offer, &k) ? 0 : k.good;
}

static void any_done(struct exitc *c, int status, const char *body, size_t n, bw_time now)
{
    c->any.serial = 0;
    if (status == 200 && take_answer(c, &bw_addr_any_exit, body, n, now)) {
        c->any_failures = 0;
        c->any_next = now + (c->active >= 0 ? ANY_REFRESH_US : ANY_MOST_US);
        return;
    }
    bw_time wait = ANY_FIRST_US << (c->any_failures < 3 ? c->any_failures : 3);
    c->any_failures++;
    c->any_next = now + bw_time_min(wait, ANY_MOST_US);
}

static void ask_done(struct exitc *c, struct exitc_ask *a, int status, const char *body, size_t n, bw_time now)
{
    a->serial = 0;
    struct book_entry *e = book_find(c->book, &a->to);
    if (e) e->asking = false;
    if (status == 200) take_answer(c, &a->to, body, n, now);
    e = book_find(c->book, &a->to); // what came with it may have moved entries
    if (!e) return;
    if (status != 200 || !e->direct) book_failed(e, now);
    else if (e->next_ask < now + OFFER_REFRESH_US) e->next_ask = now + OFFER_REFRESH_US;
}

// ---- leases ----

static void known(struct exitc *c, struct lease_request *r)
{
    for (unsigned i = 0; i < c->book->top && r->known_count < LEASE_KNOWN; i++) {
        const struct book_entry *e = &c->book->entry[i];
        if (e->used && e->has_offer && e->metric < BOOK_UNREACHABLE && !bw_addr_eq(&e->address, &r->exit))
            r->known[r->known_count++] = e->address;
    }
}

static void post(struct exitc *c, const struct bw_addr *to, const struct lease_request *r, uint32_t *out)
{
    char text[SIGNED_MAX];
    int n = record_request(c->id, r, text, sizeof text);
    if (n < 0) return; // no memory: counts as unanswered
    uint32_t s = http(c, &(struct exitc_http){.to = *to, .method = "POST", .path = "/v1/lease", .body = text, .len = (size_t)n,
                                              .timeout_ms = LEASE_MS});
    if (out) *out = s;
}

static struct lease_request request(struct exitc *c, const struct book_entry *e)
{
    struct lease_request r = {.version = 1, .address = c->id->addr, .exit = e->address, .v4 = true, .v6 = true,
                              .previous4 = e->previous4, .previous6 = e->previous6};
    memcpy(r.key, c->id->sign_pk, sizeof r.key);
    memcpy(r.stamp, e->offer.stamp, sizeof r.stamp);
    bw_rng_bytes(c->rng, r.nonce, sizeof r.nonce);
    return r;
}

void exitc_ask_lease(struct exitc *c, struct exitc_tunnel *t, struct book_entry *e, bw_time now)
{
    struct lease_request r = request(c, e);
    known(c, &r);
    memcpy(t->nonce, r.nonce, sizeof t->nonce);
    t->exit = e->address;
    t->http = serial(c); // stands even if nothing can be sent, so that the timeout ends it
    t->http_until = now + LEASE_MS * BW_MS + HTTP_SLACK_US;
    post(c, &e->address, &r, &t->http);
}

void exitc_release(struct exitc *c, struct exitc_tunnel *t, bw_time now)
{
    (void)now;
    const struct book_entry *e = book_find(c->book, &t->exit);
    if (!e || !e->has_offer || e->metric >= BOOK_UNREACHABLE) return; // it will run out by itself
    struct lease_request r = request(c, e);
    r.release = true;
    post(c, &e->address, &r, NULL);
}

// An address on one of our own networks: whoever leases it out wants that host's traffic, or does not know better.
static bool is_local(const struct exitc *c, const struct bw_addr *a)
{
    for (unsigned i = 0; i < c->local_count; i++)
        if (c->local[i].len && bw_prefix_has(&c->local[i], a)) return true;
    return false;
}

static int lease_check(struct exitc *c, const struct exitc_tunnel *t, const char *body, size_t n, struct lease *out)
{
    struct signed_part part;
    int err = lease_decode(body, n, out, &part);
    if (!err) err = record_verify(&part, &out->address);
    bool bound = !err && bw_addr_eq(&out->address, &t->exit) && bw_addr_eq(&out->client, &c->id->addr) &&
                 !memcmp(out->nonce, t->nonce, sizeof t->nonce);
    if (!err && !bound) err = BW_ERR_REPLAY;
    bool taken = !err && !bw_addr_is_zero(&out->inner6) && (is_local(c, &out->inner6) || is_local(c, &out->gateway6));
    if (taken) err = BW_ERR_DENIED;
    if (err) c->forged++;
    return err;
}

static bool same_set_up(const struct lease *a, const struct lease *b)
{
    return bw_addr_eq(&a->inner4, &b->inner4) && bw_addr_eq(&a->inner6, &b->inner6) && bw_addr_eq(&a->gateway4, &b->gateway4) &&
           bw_addr_eq(&a->gateway6, &b->gateway6) && a->mtu == b->mtu && a->dns_count == b->dns_count &&
           !memcmp(a->dns, b->dns, a->dns_count * sizeof a->dns[0]);
}

static void leased(struct exitc *c, struct exitc_tunnel *t, struct lease *l, bw_time now)
{
    if (l->mtu > MTU_MOST) l->mtu = MTU_MOST;
    bool first = t->state == EXITC_ASKING;
    if (first) t->shared = fwd_tunnel_shared_new(c->mem);
    if (!t->shared) {
        exitc_drop(c, t);
        return;
    }
    if (first || !same_set_up(l, &t->lease)) c->changed = true;
    if (!first && strcmp(l->notice, t->lease.notice)) exitc_tell_notice(c, l);
    t->lease = *l;
    t->expires = now + l->lifetime_s * BW_S;
    t->renew = now + l->lifetime_s * BW_S / 2;
    t->fresh_stamp_tried = false;
    struct book_entry *e = book_find(c->book, &t->exit);
    if (e) {
        e->slowed_until = *l->notice ? now + SLOWED_US : 0;
        e->previous4 = l->inner4;
        e->previous6 = l->inner6;
    }
    if (!first) return;
    t->state = EXITC_PROVING;
    t->since = t->heard = t->proof.lively = now;
    t->beat_next = t->proof.next = now + 20 * BW_MS; // the packet path must have the tunnel first
}

// 409: our stamp is old; the answer brings a fresh offer, and we may ask once more.
static bool again_with_fresh_stamp(struct exitc *c, struct exitc_tunnel *t, const char *body, size_t n, bw_time now)
{
    if (t->fresh_stamp_tried || !take_answer(c, &t->exit, body, n, now)) return false;
    struct book_entry *e = book_find(c->book, &t->exit);
    if (!e || !e->has_offer) return false;
    t->fresh_stamp_tried = true;
    exitc_ask_lease(c, t, e, now);
    return true;
}

static void lease_done(struct exitc *c, struct exitc_tunnel *t, int status, const char *body, size_t n, bw_time now)
{
    struct lease l;
    t->http = 0;
    if (status == 200 && !lease_check(c, t, body, n, &l)) {
        leased(c, t, &l, now);
        return;
    }
    if (status == 409 && again_with_fresh_stamp(c, t, body, n, now)) return;
    t->fresh_stamp_tried = false;
    if (t->state == EXITC_ASKING) exitc_fail(c, t, status == 503 ? "it has no lease for us" : "it does not answer our request", now);
    else t->renew = now + RENEW_AGAIN_US; // heartbeats tell whether it lives
}

int exitc_http_done(struct exitc *c, uint32_t s, int status, const char *body, size_t n, bw_time now)
{
    if (!s) return BW_ERR_NOTFOUND;
    if (!body) n = 0;
    if (s == c->any.serial) {
        any_done(c, status, body ? body : "", n, now);
        return 0;
    }
    for (unsigned i = 0; i < EXITC_ASKS; i++) {
        if (c->ask[i].serial != s) continue;
        ask_done(c, &c->ask[i], status, body ? body : "", n, now);
        return 0;
    }
    for (unsigned i = 0; i < EXITC_TUNNELS; i++) {
        if (c->tunnel[i].http != s) continue;
        lease_done(c, &c->tunnel[i], status, body ? body : "", n, now);
        return 0;
    }
    return BW_ERR_NOTFOUND; // of a request that nobody waits for any more
}

void exitc_http_timeouts(struct exitc *c, bw_time now)
{
    if (c->any.serial && now >= c->any.until) any_done(c, 0, "", 0, now);
    for (unsigned i = 0; i < EXITC_ASKS; i++)
        if (c->ask[i].serial && now >= c->ask[i].until) ask_done(c, &c->ask[i], 0, "", 0, now);
    for (unsigned i = 0; i < EXITC_TUNNELS; i++)
        if (c->tunnel[i].http && now >= c->tunnel[i].http_until) lease_done(c, &c->tunnel[i], 0, "", 0, now);
}
