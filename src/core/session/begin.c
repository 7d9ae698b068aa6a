// How keys are got: the other end's public key is asked of its address, then the initiator's half of the handshake.
#include <string.h>

#include "core/session/set.h"

bool attempt_start(struct sessions *ss, struct session *s, bw_time now)
{
    if (s->attempt) return true;
    s->start_at = BW_NEVER;
    s->attempt = bw_alloc(ss->mem, sizeof *s->attempt);
    if (!s->attempt) {
        session_drop(ss, SESSION_DROP_NOMEM);
        s->start_at = now + SESSION_RETRY_MOST;
        session_due(ss, s, s->start_at);
        return false;
    }
    s->attempt->first = s->attempt->retry = now;
    return true;
}

static void forget_index(struct sessions *ss, struct attempt *a)
{
    if (a->initiated) table_remove(&ss->by_spi, &a->index.node);
    a->initiated = false;
}

void attempt_end(struct sessions *ss, struct session *s)
{
    if (!s->attempt) return;
    forget_index(ss, s->attempt);
    bw_wipe(s->attempt, sizeof *s->attempt);
    bw_free(ss->mem, s->attempt, sizeof *s->attempt);
    s->attempt = NULL;
}

void session_want(struct sessions *ss, struct session *s, bw_time now)
{
    session_wake(ss, s);
    if (s->attempt || s->start_at <= now) return;
    s->start_at = now;
    session_due(ss, s, now);
}

static void ask(struct sessions *ss, struct session *s)
{
    struct attempt *a = s->attempt;
    struct session_key q = {{0}, {0}};
    uint8_t out[SESSION_QUESTION_LEN];
    if (!a->asked) bw_rng_bytes(ss->rng, a->nonce, sizeof a->nonce);
    a->asked = true;
    memcpy(q.nonce, a->nonce, sizeof q.nonce);
    session_key_encode(out, SESSION_QUESTION, &q);
    ss->stats.questions_sent++;
    session_send_udp(ss, &s->addr, out, sizeof out);
}

static uint64_t next_stamp(struct sessions *ss, uint64_t unix_ns)
{
    uint64_t persist, stamp = stamp_next(&ss->clock, unix_ns, &persist);
    if (persist && ss->ops.persist_tai && ss->ops.persist_tai(ss->ops.ctx, persist) < 0)
        bw_log(ss->log, BW_WARN, "the sessions' timestamp high water cannot be stored: after a restart with a wrong clock others may "
                                 "refuse this node");
    return stamp;
}

static void initiate(struct sessions *ss, struct session *s, bw_time now, uint64_t unix_ns)
{
    struct attempt *a = s->attempt;
    const struct identity *me = ss->config.identity;
    struct stamp stamp = stamp_of_ns(next_stamp(ss, unix_ns));
    struct session_offer offer = {.ciphers = SESSION_CIPHER_CHACHA20_POLY1305 | (ss->config.aes ? SESSION_CIPHER_AES_256_GCM : 0)};
    uint8_t plain[SESSION_OFFER_LEN], e_sk[BW_KEY_LEN], out[SESSION_INITIATION_LEN];
    struct session_initiation m;
    memcpy(offer.stamp, stamp.b, sizeof offer.stamp);
    session_offer_encode(plain, &offer);
    forget_index(ss, a);
    bw_rng_bytes(ss->rng, e_sk, sizeof e_sk);
    int err = noise_initiate(&a->hs, &ss->noise, me->link_pk, s->key, s->ss, e_sk, plain, sizeof plain, m.ephemeral, m.enc_static,
                             m.enc_offer);
    bw_wipe(e_sk, sizeof e_sk);
    if (err) {
        session_drop(ss, SESSION_DROP_AUTH);
        return;
    }
    spi_new(ss, &a->index, s);
    a->initiated = true;
    a->sent = now;
    m.sender = a->index.spi;
    session_initiation_encode(out, &m);
    if (!a->macs.sent && !a->macs.has_cookie) mac_keys_init(&a->macs.keys, &ss->noise, s->key);
    mac_write(&a->macs, out, sizeof out, now);
    ss->stats.initiations_sent++;
    session_send_udp(ss, &s->addr, out, sizeof out);
}

static void find_key(struct sessions *ss, struct session *s)
{
    uint8_t key[BW_KEY_LEN];
    if (!ss->ops.find_key || !ss->ops.find_key(ss->ops.ctx, &s->addr, key)) return;
    if (session_learn(ss, s, key)) session_drop(ss, SESSION_DROP_SOURCE); // what was stored is not its key: ask
    else s->kept = true;
}

void attempt_turn(struct sessions *ss, struct session *s, bw_time now, uint64_t unix_ns)
{
    struct attempt *a = s->attempt;
    if (a->retry > now) return;
    if (now - a->first >= SESSION_ATTEMPT_TIME) {
        attempt_end(ss, s);
        session_queue_drop(ss, s, BW_NEVER);
        return;
    }
    bw_time wait = SESSION_RETRY_FIRST << (a->tries < 3 ? a->tries : 3);
    a->tries++;
    a->retry = now + bw_time_min(wait, SESSION_RETRY_MOST) + bw_rng_below(ss->rng, SESSION_JITTER_US);
    if (!s->has_key) find_key(ss, s);
    if (s->has_key) initiate(ss, s, now, unix_ns);
    else ask(ss, s);
}
