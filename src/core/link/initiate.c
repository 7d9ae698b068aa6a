// The initiator's half of the handshake (paper, sections 5.4.2 and 5.4.3, 6.4).
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "core/link/set.h"
#include "wire/wg.h"

void link_want(struct link *l, bw_time at)
{
    if (at < l->start_at) l->start_at = at;
}

void link_end_attempt(struct linkset *ls, struct link *l)
{
    index_drop(ls, &l->attempt.index);
    bw_wipe(&l->attempt, sizeof l->attempt);
}

static void keylog_line(struct linkset *ls, const char *name, const uint8_t key[BW_KEY_LEN])
{
    char line[96], text[BW_KEY_TEXT];
    snprintf(line, sizeof line, "%s = %s", name, bw_base64_encode(key, BW_KEY_LEN, text));
    ls->ops.keylog(ls->ops.ctx, line);
    bw_wipe(line, sizeof line);
    bw_wipe(text, sizeof text);
}

void link_keylog(struct linkset *ls, const struct link *l, const uint8_t e_sk[BW_KEY_LEN])
{
    if (!ls->ops.keylog) return;
    keylog_line(ls, "LOCAL_STATIC_PRIVATE_KEY", ls->config.identity->link_sk);
    keylog_line(ls, "REMOTE_STATIC_PUBLIC_KEY", l->peer->key);
    keylog_line(ls, "LOCAL_EPHEMERAL_PRIVATE_KEY", e_sk);
    keylog_line(ls, "PRESHARED_KEY", peer_psk(ls, l->peer));
}

// After three tries without an answer a roaming far link is looked for where the configuration says it is.
static void fall_back_to_configured(struct linkset *ls, struct link *l)
{
    const struct peer *p = l->peer;
    if (l->on_link || !p->listed || !p->listing.endpoint.port || bw_endpoint_eq(&l->endpoint, &p->listing.endpoint))
        return;
    l->endpoint = p->listing.endpoint;
    link_tell(ls, l, LINK_CHANGED_ENDPOINT);
}

static int make_initiation(struct linkset *ls, struct link *l, struct wg_initiation *m, uint64_t unix_ns)
{
    const struct identity *me = ls->config.identity;
    struct stamp stamp = stamp_of_ns(linkset_stamp(ls, unix_ns));
    uint8_t e_sk[BW_KEY_LEN];
    bw_rng_bytes(ls->rng, e_sk, sizeof e_sk);
    int err = noise_initiate(&l->attempt.hs, &ls->noise, me->link_pk, l->peer->key, l->peer->ss, e_sk, stamp.b,
                             STAMP_LEN, m->ephemeral, m->enc_static, m->enc_timestamp);
    if (!err) link_keylog(ls, l, e_sk);
    bw_wipe(e_sk, sizeof e_sk);
    return err;
}

void link_initiate(struct linkset *ls, struct link *l, bw_time now, uint64_t unix_ns)
{
    struct attempt *a = &l->attempt;
    l->start_at = BW_NEVER;
    if (!l->endpoint.port) {
        link_end_attempt(ls, l);
        return;
    }
    if (l->ever_sent && now < l->last_sent + WG_REKEY_TIMEOUT) { // never more often, whatever the reason
        l->start_at = l->last_sent + WG_REKEY_TIMEOUT;
        if (a->active && a->retry < l->start_at) a->retry = l->start_at;
        return;
    }
    if (!a->active) {
        a->active = true;
        a->first = now;
    }
    a->retry = now + WG_REKEY_TIMEOUT + bw_rng_below(ls->rng, LINK_JITTER_MS) * BW_MS;
    if (++a->tries > 3) fall_back_to_configured(ls, l);
    struct wg_initiation m;
    if (make_initiation(ls, l, &m, unix_ns)) {
        link_end_attempt(ls, l);
        return;
    }
    index_drop(ls, &a->index);
    index_put(ls, &a->index, index_new(ls), l, NULL);
    m.sender = a->index.index;
    uint8_t out[WG_INITIATION_LEN];
    wg_initiation_encode(out, &m);
    mac_write(&l->macs, out, sizeof out, now);
    l->last_sent = now;
    l->ever_sent = true;
    ls->stats.initiations_sent++;
    ls->ops.send(ls->ops.ctx, &l->endpoint, l->ifindex, out, sizeof out);
}

void rx_response(struct linkset *ls, uint32_t ifindex, const struct bw_endpoint *from, const struct wg_response *m,
                 bw_time now)
{
    struct index_entry *e = index_find(ls, m->receiver);
    if (!e || e->keys) {
        ls->drops[LINK_DROP_INDEX]++;
        return;
    }
    struct link *l = e->link;
    uint32_t local_index = e->index;
    uint8_t send[BW_KEY_LEN], recv[BW_KEY_LEN], nothing[1];
    if (noise_read_response(&l->attempt.hs, ls->config.identity->link_sk, peer_psk(ls, l->peer), m->ephemeral,
                            m->enc_nothing, sizeof m->enc_nothing, nothing)) {
        ls->drops[LINK_DROP_AUTH]++;
        return;
    }
    noise_split(&l->attempt.hs, true, send, recv);
    struct keypair *k =
        keypair_new(ls->mem, ls->config.threads, send, recv, ls->config.aes, true, local_index, m->sender, l->shared, now);
    bw_wipe(send, sizeof send);
    bw_wipe(recv, sizeof recv);
    if (!k) { // the handshake is spent; the retry makes another
        index_drop(ls, &l->attempt.index);
        ls->drops[LINK_DROP_NOMEM]++;
        return;
    }
    ls->stats.responses_received++;
    link_began(ls, l, k, now);
    bool on_link_elsewhere = l->on_link && (ifindex != l->ifindex || !arrival_is_on_link(l->peer, from));
    if (on_link_elsewhere) ls->drops[LINK_DROP_ROAM]++;
    bool moved = !on_link_elsewhere && link_moved(l, from, ifindex);
    link_tell(ls, l, LINK_CHANGED_KEYS | (moved ? LINK_CHANGED_ENDPOINT : 0));
    link_seal_keepalive(ls, l, k, now); // the responder may not send before it has heard from us (section 5.4.3)
}
