// What comes in by the session protocol: the gate against floods, the responder's half of the handshake, responses, cookies,
// notices, keys.
#include <string.h>

#include "base/cursor.h"
#include "core/session/set.h"

// ---- the gate ----

static bool under_load(struct sessions *ss, bw_time now)
{
    uint32_t rate = ss->config.load_per_s;
    if (!bucket_take(&ss->load, rate, rate, now)) ss->load_until = now + BW_S;
    return now < ss->load_until;
}

static bool may_answer(struct sessions *ss, uint16_t slot, bw_time now)
{
    if (bucket_take(&ss->slot_answers[slot % SLOT_BUCKETS], SLOT_ANSWERS_PER_S, SLOT_ANSWERS_PER_S, now)) return true;
    session_drop(ss, SESSION_DROP_RATE);
    return false;
}

static void send_cookie(struct sessions *ss, const struct bw_addr *from, const uint8_t *source, size_t source_len, uint32_t receiver,
                        const uint8_t *p, size_t n, bw_time now)
{
    struct session_cookie m = {.receiver = receiver};
    uint8_t out[SESSION_COOKIE_LEN];
    if (cookie_make(&ss->jar, ss->rng, source, source_len, p, n, m.nonce, m.enc_cookie, now)) return;
    session_cookie_encode(out, &m);
    ss->stats.cookies_sent++;
    session_send_udp(ss, from, out, sizeof out);
}

// Under load an initiation must prove that its sender receives what is sent to its address, and is charged to the neighbour
// that brought it: addresses can be made up, neighbours can't.
static bool gate(struct sessions *ss, uint16_t slot, const struct bw_addr *from, uint32_t sender, const uint8_t *p, size_t n, bw_time now)
{
    uint8_t source[18];
    if (!under_load(ss, now)) return true;
    memcpy(source, from->b, 16);
    source[16] = (uint8_t)(slot >> 8);
    source[17] = (uint8_t)slot;
    if (!cookie_mac2_fits(&ss->jar, ss->rng, source, sizeof source, p, n, now)) {
        session_drop(ss, SESSION_DROP_COOKIE);
        if (may_answer(ss, slot, now)) send_cookie(ss, from, source, sizeof source, sender, p, n, now);
        return false;
    }
    if (bucket_take(&ss->slot_handshakes[slot % SLOT_BUCKETS], SLOT_HANDSHAKES_PER_S, SLOT_HANDSHAKES_PER_S / 3, now)) return true;
    session_drop(ss, SESSION_DROP_RATE);
    return false;
}

// ---- initiations ----

static void drop_oldest_half_open(struct sessions *ss)
{
    struct session *s;
    TAILQ_FOREACH(s, &ss->list, order) {
        if (!s->half_open) continue;
        session_free(ss, s);
        return;
    }
}

// Of the sessions that others began over that link, the one without data for longest.
static struct session *least_used(struct sessions *ss, unsigned bucket)
{
    struct session *s, *least = NULL;
    uint64_t since = 0;
    TAILQ_FOREACH(s, &ss->list, order) {
        if (!s->theirs || s->slot != bucket) continue;
        uint64_t used = atomic_load_explicit(&s->shared->last_rx_data, memory_order_relaxed);
        if (least && used >= since) continue;
        least = s;
        since = used;
    }
    return least;
}

// Identities cost nothing: whoever makes them by the thousand leaves a quarter of the room to what this node begins itself, and
// the rest is shared out among the links that they come over. The one that has most gives way until another has as many.
static bool make_room(struct sessions *ss, uint16_t slot)
{
    unsigned most = 0;
    if (ss->count - ss->dormant < ss->config.max_sessions - ss->config.max_sessions / 4) return true;
    for (unsigned i = 1; i < SLOT_BUCKETS; i++)
        if (ss->held[i] > ss->held[most]) most = i;
    if (ss->held[most] <= ss->held[slot % SLOT_BUCKETS] + 1) return false;
    session_free(ss, least_used(ss, most));
    return true;
}

static struct session *incoming(struct sessions *ss, uint16_t slot, const struct bw_addr *from, bw_time now)
{
    struct session *s = session_find(ss, from);
    if (s && !s->dormant) {
        if (s->theirs) session_claim(ss, s, slot);
        return s;
    }
    if (!make_room(ss, slot)) {
        session_drop(ss, SESSION_DROP_FULL);
        return NULL;
    }
    bool known = s;
    if (!known && ss->half_open >= SESSION_HALF_OPEN_MAX) drop_oldest_half_open(ss);
    s = session_get(ss, from, now);
    if (!s) return NULL;
    session_claim(ss, s, slot);
    if (known) return s;
    s->half_open = true;
    ss->half_open++;
    session_due(ss, s, now + SESSION_HALF_OPEN_TIME);
    return s;
}

// Who sends this? Proves key and address; nothing is stored yet. SESSION_DROP_COUNT: authentic, else why it is dropped.
static enum session_drop identify(struct sessions *ss, const struct bw_addr *from, const struct session_initiation *m,
                                  struct noise_handshake *hs, struct session_offer *offer)
{
    const struct identity *me = ss->config.identity;
    uint8_t shared[BW_KEY_LEN], plain[SESSION_OFFER_LEN];
    struct bw_addr addr;
    if (noise_read_static(hs, &ss->noise, me->link_sk, me->link_pk, m->ephemeral, m->enc_static)) return SESSION_DROP_AUTH;
    if (identity_addr_of_key(hs->rs, &addr) || !bw_addr_eq(&addr, from)) return SESSION_DROP_SOURCE;
    const struct session *s = session_find(ss, from);
    if (s && s->has_key) memcpy(shared, s->ss, BW_KEY_LEN);
    else if (bw_x25519(shared, me->link_sk, hs->rs)) return SESSION_DROP_AUTH;
    int err = noise_read_payload(hs, shared, m->enc_offer, sizeof m->enc_offer, plain);
    bw_wipe(shared, sizeof shared);
    if (err) return SESSION_DROP_AUTH;
    return session_offer_decode(plain, offer) ? SESSION_DROP_MALFORMED : SESSION_DROP_COUNT;
}

static void respond(struct sessions *ss, struct session *s, struct noise_handshake *hs, uint8_t offered, uint32_t remote, bw_time now)
{
    static const uint8_t no_psk[BW_KEY_LEN];
    bool aes = ss->config.aes && (offered & SESSION_CIPHER_AES_256_GCM);
    struct session_response m = {.receiver = remote};
    struct spi_entry index;
    struct mac_sender macs = {0};
    uint8_t e_sk[BW_KEY_LEN], choice[SESSION_CHOICE_LEN], out[SESSION_RESPONSE_LEN];
    session_choice_encode(choice, aes ? SESSION_CIPHER_AES_256_GCM : SESSION_CIPHER_CHACHA20_POLY1305);
    bw_rng_bytes(ss->rng, e_sk, sizeof e_sk);
    int err = noise_respond(hs, no_psk, e_sk, choice, sizeof choice, m.ephemeral, m.enc_choice);
    bw_wipe(e_sk, sizeof e_sk);
    if (err) {
        session_drop(ss, SESSION_DROP_AUTH);
        return;
    }
    spi_new(ss, &index, s);
    struct sa *sa = keys_make(ss, s, hs, false, aes ? BW_AES_256_GCM : BW_CHACHA20_POLY1305, index.spi, remote, now);
    if (!sa) {
        table_remove(&ss->by_spi, &index.node);
        return;
    }
    m.sender = index.spi;
    keys_answered(ss, s, sa, &index, now);
    session_response_encode(out, &m);
    mac_keys_init(&macs.keys, &ss->noise, s->key);
    mac_write(&macs, out, sizeof out, now);
    ss->stats.responses_sent++;
    session_send_udp(ss, &s->addr, out, sizeof out);
}

static void rx_initiation(struct sessions *ss, uint16_t slot, const struct bw_addr *from, const struct session_initiation *m, bw_time now)
{
    struct noise_handshake hs = {0};
    struct session_offer offer;
    struct stamp stamp;
    struct session *s = session_find(ss, from);
    enum session_drop why = SESSION_DROP_COUNT;
    if (s && !s->dormant && !bucket_take(&s->initiations, SESSION_INITIATIONS_PER_S, SESSION_INITIATIONS_PER_S, now)) why = SESSION_DROP_RATE;
    else why = identify(ss, from, m, &hs, &offer);
    if (why == SESSION_DROP_COUNT) {
        memcpy(stamp.b, offer.stamp, sizeof stamp.b);
        if (s && !stamp_after(&stamp, &s->latest)) why = SESSION_DROP_REPLAY;
    }
    if (why != SESSION_DROP_COUNT) {
        session_drop(ss, why);
        noise_wipe(&hs);
        return;
    }
    ss->stats.initiations_received++;
    s = incoming(ss, slot, from, now);
    if (s && session_learn(ss, s, hs.rs)) {
        session_drop(ss, SESSION_DROP_AUTH);
    } else if (s) {
        s->latest = stamp;
        respond(ss, s, &hs, offer.ciphers, m->sender, now);
    }
    noise_wipe(&hs);
}

// ---- answers to what we began ----

static struct attempt *attempt_of(struct sessions *ss, const struct bw_addr *from, uint32_t index)
{
    struct spi_entry *e = spi_find(ss, index);
    if (e && !e->sa && e->session->attempt && bw_addr_eq(&e->session->addr, from)) return e->session->attempt;
    session_drop(ss, SESSION_DROP_INDEX);
    return NULL;
}

static void rx_response(struct sessions *ss, const struct bw_addr *from, const struct session_response *m, bw_time now)
{
    static const uint8_t no_psk[BW_KEY_LEN];
    struct attempt *a = attempt_of(ss, from, m->receiver);
    if (!a) return;
    struct session *s = a->index.session;
    uint8_t choice[SESSION_CHOICE_LEN], cipher;
    uint8_t offered = SESSION_CIPHER_CHACHA20_POLY1305 | (ss->config.aes ? SESSION_CIPHER_AES_256_GCM : 0);
    struct noise_handshake hs = a->hs;
    if (noise_read_response(&hs, ss->config.identity->link_sk, no_psk, m->ephemeral, m->enc_choice, sizeof m->enc_choice, choice)) {
        session_drop(ss, SESSION_DROP_AUTH);
    } else if (session_choice_decode(choice, offered, &cipher)) {
        session_drop(ss, SESSION_DROP_CHOICE);
    } else {
        enum bw_cipher c = cipher == SESSION_CIPHER_AES_256_GCM ? BW_AES_256_GCM : BW_CHACHA20_POLY1305;
        struct sa *sa = keys_make(ss, s, &hs, true, c, a->index.spi, m->sender, now);
        ss->stats.responses_received++;
        if (sa) {
            s->rtt_us = (int64_t)(now - a->sent);
            a->initiated = false; // the index is the keys' from now on
            keys_initiated(ss, s, sa, &a->index, now);
            attempt_end(ss, s);
            session_due(ss, s, now + SESSION_POLL);
        }
    }
    noise_wipe(&hs);
}

static void rx_cookie(struct sessions *ss, const struct bw_addr *from, const struct session_cookie *m, bw_time now)
{
    struct attempt *a = attempt_of(ss, from, m->receiver);
    if (!a) return;
    if (mac_take_cookie(&a->macs, m->nonce, m->enc_cookie, now)) {
        session_drop(ss, SESSION_DROP_AUTH);
        return;
    }
    ss->stats.cookies_received++;
    // The other end is busy, not away: come back with the cookie at once, but not in step with all others.
    a->retry = now + bw_rng_below(ss->rng, SESSION_JITTER_US);
    session_due(ss, a->index.session, a->retry);
}

// ---- notices ----

static bool plausible(const struct sa *a, uint32_t spi, uint32_t seq)
{
    uint64_t sent = atomic_load_explicit(&a->tx_seq, memory_order_relaxed);
    return a->remote_spi == spi && seq && seq <= sent && sent - seq < SESSION_PLAUSIBLE;
}

static void rx_notice(struct sessions *ss, const struct bw_addr *from, const struct session_notice *m, bw_time now)
{
    struct session *s = session_find(ss, from);
    const struct sa *a = s ? s->keys[SA_CURRENT].sa : NULL;
    bool soon = s && (s->attempt ? now - s->attempt->sent < SESSION_NOTICE_RETRY
                                 : s->notice_at && now - s->notice_at < SESSION_NOTICE_SPACING);
    if (!a || !plausible(a, m->spi, m->seq) || soon) {
        session_drop(ss, SESSION_DROP_NOTICE);
        return;
    }
    ss->stats.notices_received++;
    s->notice_at = now;
    if (s->attempt) {
        s->attempt->retry = now; // it is there again, and what we sent was too early
        session_due(ss, s, now);
    }
    session_want(ss, s, now); // the old keys stay until the new ones stand: a forged notice stops nothing
}

static void send_notice(struct sessions *ss, const struct bw_addr *to, uint32_t spi, uint32_t seq)
{
    uint8_t out[SESSION_NOTICE_LEN];
    session_notice_encode(out, &(struct session_notice){spi, seq});
    ss->stats.notices_sent++;
    session_send_udp(ss, to, out, sizeof out);
}

void sessions_rx_esp(struct sessions *ss, uint16_t slot, const uint8_t *packet, size_t n, bw_time now)
{
    struct esp_header h;
    struct bw_addr from;
    uint8_t copy[SESSION_MTU], next;
    ss->now = now;
    if (n < 40 || n > sizeof copy || packet[6] != ESP_PROTOCOL || esp_header_decode(packet + 40, n - 40, &h)) {
        session_drop(ss, SESSION_DROP_MALFORMED);
        return;
    }
    memcpy(from.b, packet + 8, sizeof from.b);
    if (!bw_addr_is_mesh(&from) || bw_addr_eq(&from, &ss->config.identity->addr)) {
        session_drop(ss, SESSION_DROP_SOURCE);
        return;
    }
    struct spi_entry *e = spi_find(ss, h.spi);
    if (!e || !e->sa) {
        if (may_answer(ss, slot, now)) send_notice(ss, &from, h.spi, h.seq);
        return;
    }
    if (!bw_addr_eq(&e->session->addr, &from)) { // somebody else's keys
        session_drop(ss, SESSION_DROP_SOURCE);
        return;
    }
    // Keys that the packet path has not heard of yet.
    memcpy(copy, packet, n);
    int len = sa_open(e->sa, 0, copy + 40, n - 40, &next, now);
    sa_put_away(e->sa, 0);
    if (len < 0) {
        session_drop(ss, SESSION_DROP_AUTH);
        return;
    }
    sessions_confirm(ss, h.spi, now);
    if (next == ESP_NO_NEXT || next == 4 || next == 41 || !ss->ops.deliver) return;
    memmove(copy + 40, copy + 40 + ESP_HEADER, (size_t)len);
    copy[4] = (uint8_t)(len >> 8);
    copy[5] = (uint8_t)len;
    copy[6] = next;
    ss->ops.deliver(ss->ops.ctx, copy, 40 + (size_t)len);
}

// ---- the key question ----

static void rx_question(struct sessions *ss, uint16_t slot, const struct bw_addr *from, const struct session_key *q, bw_time now)
{
    struct session_key answer = *q;
    uint8_t out[SESSION_KEY_LEN];
    if (!may_answer(ss, slot, now)) return;
    ss->stats.questions_received++;
    memcpy(answer.key, ss->config.identity->link_pk, sizeof answer.key);
    session_key_encode(out, SESSION_KEY, &answer);
    session_send_udp(ss, from, out, sizeof out);
}

static void rx_key(struct sessions *ss, const struct bw_addr *from, const struct session_key *m, bw_time now)
{
    struct session *s = session_find(ss, from);
    if (!s || s->has_key || !s->attempt || !s->attempt->asked || memcmp(s->attempt->nonce, m->nonce, sizeof m->nonce)) {
        session_drop(ss, SESSION_DROP_UNASKED);
        return;
    }
    if (session_learn(ss, s, m->key)) { // whoever answers with another key than the address's is a liar on the way
        session_drop(ss, SESSION_DROP_SOURCE);
        return;
    }
    s->attempt->tries = 0;
    s->attempt->retry = now;
    session_due(ss, s, now);
}

// ---- all of them ----

static void dispatch(struct sessions *ss, uint16_t slot, const struct bw_addr *from, const uint8_t *p, size_t n, bw_time now)
{
    union {
        struct session_initiation initiation;
        struct session_response response;
        struct session_cookie cookie;
        struct session_notice notice;
        struct session_key key;
    } m;
    int err = BW_ERR_MALFORMED, type = session_type(p, n);
    if ((type == SESSION_INITIATION || type == SESSION_RESPONSE) && !cookie_mac1_fits(&ss->jar, p, n)) {
        session_drop(ss, SESSION_DROP_MAC1);
        return;
    }
    switch (type) {
    case SESSION_INITIATION:
        err = session_initiation_decode(p, n, &m.initiation);
        if (!err && gate(ss, slot, from, m.initiation.sender, p, n, now)) rx_initiation(ss, slot, from, &m.initiation, now);
        break;
    case SESSION_RESPONSE:
        if (!(err = session_response_decode(p, n, &m.response))) rx_response(ss, from, &m.response, now);
        break;
    case SESSION_COOKIE:
        if (!(err = session_cookie_decode(p, n, &m.cookie))) rx_cookie(ss, from, &m.cookie, now);
        break;
    case SESSION_NOTICE:
        if (!(err = session_notice_decode(p, n, &m.notice))) rx_notice(ss, from, &m.notice, now);
        break;
    case SESSION_QUESTION:
        if (!(err = session_key_decode(p, n, &m.key))) rx_question(ss, slot, from, &m.key, now);
        break;
    case SESSION_KEY:
        if (!(err = session_key_decode(p, n, &m.key))) rx_key(ss, from, &m.key, now);
        break;
    default: break;
    }
    if (err) session_drop(ss, SESSION_DROP_MALFORMED);
}

void sessions_rx(struct sessions *ss, uint16_t slot, const struct bw_addr *from, const uint8_t *p, size_t n, bw_time now)
{
    ss->now = now;
    if (!bw_addr_is_mesh(from) || bw_addr_eq(from, &ss->config.identity->addr)) {
        session_drop(ss, SESSION_DROP_SOURCE);
        return;
    }
    dispatch(ss, slot, from, p, n, now);
    sessions_settle(ss, now);
}
