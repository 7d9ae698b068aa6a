// The ESP keys of a session and how they follow one another. Current keys send and receive; next ones, made as responder,
// receive and wait for the initiator's first packet under them; old ones go on receiving until the other end has changed as well and what
// was under way has come, 180 s at most, so that nothing is lost.
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "core/session/set.h"

struct sa *session_tx(const struct session *s, bw_time now)
{
    struct sa *a = s->keys[SA_CURRENT].sa;
    if (!a || (now > a->born && now - a->born >= SA_REJECT_AFTER_TIME)) return NULL;
    return a;
}

void keys_drop(struct sessions *ss, struct session *s, unsigned slot)
{
    struct spi_entry *e = &s->keys[slot];
    if (!e->sa) return;
    table_remove(&ss->by_spi, &e->node);
    sa_unref(e->sa);
    *e = (struct spi_entry){0};
    ss->dirty = true;
}

// An entry's place in memory changes, so it leaves the table and enters it again.
static void move(struct sessions *ss, struct session *s, unsigned to, struct spi_entry *from)
{
    keys_drop(ss, s, to);
    table_remove(&ss->by_spi, &from->node);
    s->keys[to] = *from;
    *from = (struct spi_entry){0};
    table_insert(&ss->by_spi, &s->keys[to].node, &s->keys[to].spi, sizeof s->keys[to].spi);
    ss->dirty = true;
}

static void retire(struct sessions *ss, struct session *s, unsigned slot)
{
    s->heard_at = 0;
    if (!s->keys[slot].sa) return;
    if (s->keys[SA_OLD].sa) move(ss, s, SA_OLDER, &s->keys[SA_OLD]);
    move(ss, s, SA_OLD, &s->keys[slot]);
}

static void now_up(struct sessions *ss, struct session *s, bw_time now)
{
    if (s->half_open) ss->half_open--;
    s->half_open = false;
    ss->stats.handshakes++;
    // What is not kept now will be with the next keys, or asked for again.
    if (!s->kept && ss->ops.keep_key && bucket_take(&ss->keeps, SESSION_KEEPS_PER_S, SESSION_KEEPS_BURST, now)) {
        ss->ops.keep_key(ss->ops.ctx, &s->addr, s->key);
        s->kept = true;
    }
    atomic_store_explicit(&s->shared->first_tx_unanswered, 0, memory_order_relaxed);
    if (s->up) return;
    s->up = true;
    s->up_since = now;
    if (ss->ops.told) ss->ops.told(ss->ops.ctx, &s->addr, SESSION_UP);
}

void keys_initiated(struct sessions *ss, struct session *s, struct sa *sa, struct spi_entry *index, bw_time now)
{
    index->sa = sa;
    retire(ss, s, SA_CURRENT);
    move(ss, s, SA_CURRENT, index);
    now_up(ss, s, now);
    if (s->queued) session_flush(ss, s, now);
    else session_send_dummy(ss, s, now); // so that the responder may send
}

void keys_answered(struct sessions *ss, struct session *s, struct sa *sa, struct spi_entry *index, bw_time now)
{
    index->sa = sa;
    move(ss, s, SA_NEXT, index);
    session_due(ss, s, now + SESSION_POLL);
}

// Both ends began at once: both then send under what the smaller key began (as links do, link.md section 5.2).
static bool own_wins(const struct sessions *ss, const struct session *s)
{
    const struct sa *own = s->keys[SA_CURRENT].sa, *theirs = s->keys[SA_NEXT].sa;
    if (!own || !own->initiator || memcmp(ss->config.identity->link_pk, s->key, BW_KEY_LEN) > 0) return false;
    bw_time apart = own->born > theirs->born ? own->born - theirs->born : theirs->born - own->born;
    return apart < SESSION_TIE;
}

void sessions_confirm(struct sessions *ss, uint32_t local_spi, bw_time now)
{
    struct spi_entry *e = spi_find(ss, local_spi);
    if (!e || !e->sa) return;
    struct session *s = e->session;
    atomic_store_explicit(&e->sa->confirmed, true, memory_order_relaxed);
    if (e != &s->keys[SA_NEXT]) return;
    // The initiator sends at once when it has our response. Unless that packet was lost, so that this is a later one.
    if (now >= e->sa->born && now - e->sa->born < SESSION_RETRY_FIRST) s->rtt_us = (int64_t)(now - e->sa->born);
    if (own_wins(ss, s)) {
        retire(ss, s, SA_NEXT);
    } else {
        retire(ss, s, SA_CURRENT);
        move(ss, s, SA_CURRENT, &s->keys[SA_NEXT]);
        // Our own attempt is moot, unless ours is the smaller key: then the other end waits for it to win.
        if (s->attempt && memcmp(ss->config.identity->link_pk, s->key, BW_KEY_LEN) > 0) attempt_end(ss, s);
        if (!s->attempt) s->start_at = BW_NEVER;
    }
    now_up(ss, s, now);
    session_flush(ss, s, now);
    session_due(ss, s, now + SESSION_POLL);
    sessions_settle(ss, now);
}

static void drop_old(struct sessions *ss, struct session *s, bw_time now)
{
    const struct sa *a = s->keys[SA_CURRENT].sa;
    if (!a || !atomic_load_explicit(&a->heard, memory_order_relaxed)) return;
    if (!s->heard_at) s->heard_at = now;
    if (now - s->heard_at < SESSION_OLD_TIME) return;
    keys_drop(ss, s, SA_OLD);
    keys_drop(ss, s, SA_OLDER);
}

void keys_expire(struct sessions *ss, struct session *s, bw_time now)
{
    drop_old(ss, s, now);
    for (unsigned i = 0; i < SA_SLOTS; i++)
        if (s->keys[i].sa && now >= s->keys[i].sa->born + SA_REJECT_AFTER_TIME) keys_drop(ss, s, i);
    if (!s->up || s->keys[SA_CURRENT].sa) return;
    s->up = false;
    if (ss->ops.told) ss->ops.told(ss->ops.ctx, &s->addr, SESSION_IDLE);
}

// ---- making ----

// One line of tshark's ESP SA table (wiretap preferences file "esp_sa"), marked so that other readers pass over it.
static void keylog(struct sessions *ss, const struct bw_addr *src, const struct bw_addr *dst, uint32_t spi, enum bw_cipher c,
                   const struct sa_keys *k)
{
    char from[BW_ADDR_TEXT], to[BW_ADDR_TEXT], hex[2 * (BW_KEY_LEN + SA_SALT_LEN) + 1], line[400];
    bw_hex_encode(k->key, BW_KEY_LEN, hex);
    bw_hex_encode(k->salt, SA_SALT_LEN, hex + 2 * BW_KEY_LEN);
    snprintf(line, sizeof line, "ESP_SA \"IPv6\",\"%s\",\"%s\",\"0x%08x\",\"%s\",\"0x%s\",\"NULL\",\"\"", bw_addr_text(src, from),
             bw_addr_text(dst, to), spi, c == BW_AES_256_GCM ? "AES-GCM with 16 octet ICV [RFC4106]" : "ChaCha20 with Poly1305 [RFC7634]", hex);
    ss->ops.keylog(ss->ops.ctx, line);
    bw_wipe(line, sizeof line);
    bw_wipe(hex, sizeof hex);
}

struct sa *keys_make(struct sessions *ss, struct session *s, struct noise_handshake *hs, bool initiator, enum bw_cipher cipher,
                     uint32_t local, uint32_t remote, bw_time now)
{
    uint8_t send[BW_KEY_LEN], recv[BW_KEY_LEN];
    struct sa_keys tx, rx;
    noise_split(hs, initiator, send, recv);
    sa_derive(&tx, cipher, send);
    sa_derive(&rx, cipher, recv);
    if (ss->ops.keylog) {
        const struct bw_addr *me = &ss->config.identity->addr;
        keylog(ss, me, &s->addr, remote, cipher, &tx);
        keylog(ss, &s->addr, me, local, cipher, &rx);
    }
    struct sa *a = sa_new(ss->mem, ss->config.threads, cipher, &tx, &rx, initiator, &s->addr, local, remote, s->shared, now);
    bw_wipe(send, sizeof send);
    bw_wipe(recv, sizeof recv);
    bw_wipe(&tx, sizeof tx);
    bw_wipe(&rx, sizeof rx);
    if (!a) session_drop(ss, SESSION_DROP_NOMEM);
    return a;
}
