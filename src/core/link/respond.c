// Datagrams as they come in: the gate against floods (paper, section 5.3), the responder's half of the handshake
// (5.4.2, 5.4.3), cookie replies (5.4.7).
#include <string.h>

#include "base/cursor.h"
#include "core/link/set.h"
#include "wire/wg.h"

static void send_cookie(struct linkset *ls, uint32_t ifindex, const struct bw_endpoint *from, const void *source,
                        size_t source_len, uint32_t receiver, const uint8_t *p, size_t n, bw_time now)
{
    struct wg_cookie m = {.receiver = receiver};
    if (cookie_make(&ls->jar, ls->rng, source, source_len, p, n, m.nonce, m.enc_cookie, now)) return;
    uint8_t out[WG_COOKIE_LEN];
    wg_cookie_encode(out, &m);
    ls->stats.cookies_sent++;
    ls->ops.send(ls->ops.ctx, from, bw_addr_is_linklocal(&from->addr) ? ifindex : 0, out, sizeof out);
}

// Answering a stranger on the own wire makes the kernel look that neighbour up: with forged sources that fills the
// machine's neighbour table and cuts off the real ones. So strangers on-link share a few cookies a second; who has a
// link does not wait.
static bool may_answer(struct linkset *ls, const struct bw_endpoint *from, bool on_link, bw_time now)
{
    if (!on_link && !bw_addr_is_linklocal(&from->addr)) return true;
    for (unsigned i = 0; i < ls->slots_used; i++)
        if (ls->slots[i] && bw_addr_eq(&ls->slots[i]->endpoint.addr, &from->addr)) return true;
    return bucket_take(&ls->strangers, LINK_STRANGERS_PER_S, LINK_STRANGERS_PER_S, now);
}

static bool under_load(struct linkset *ls, bw_time now)
{
    uint32_t rate = ls->config.load_per_s;
    if (!bucket_take(&ls->load, rate, rate, now)) ls->load_until = now + BW_S;
    return now < ls->load_until;
}

// mac1 always; under load also mac2 and a rate per source. False: dropped and counted. sender: the message's sender
// index.
static bool gate(struct linkset *ls, uint32_t ifindex, const struct bw_endpoint *from, bool on_link, uint32_t sender,
                 const uint8_t *p, size_t n, bw_time now)
{
    if (!cookie_mac1_fits(&ls->jar, p, n)) {
        ls->drops[LINK_DROP_MAC1]++;
        return false;
    }
    if (!under_load(ls, now)) return true;
    uint8_t source[22];
    struct bw_wr w = bw_wr(source, sizeof source);
    bw_wr_bytes(&w, from->addr.b, sizeof from->addr.b);
    bw_wr_be16(&w, from->port);
    bw_wr_be32(&w, from->scope ? ifindex : 0);
    if (!cookie_mac2_fits(&ls->jar, ls->rng, source, sizeof source, p, n, now)) {
        ls->drops[LINK_DROP_COOKIE]++;
        if (may_answer(ls, from, on_link, now))
            send_cookie(ls, ifindex, from, source, sizeof source, sender, p, n, now);
        return false;
    }
    if (!source_limit_take(&ls->sources, &from->addr, now)) {
        ls->drops[LINK_DROP_RATE]++;
        return false;
    }
    return true;
}

// Who sends this initiation? Proves the key and yields its stamp; *peer is NULL when we do not know the key yet, then
// *ss is for peer_get. Returns LINK_DROP_COUNT or why it is dropped.
static enum link_drop identify(struct linkset *ls, const struct wg_initiation *m, bool on_link,
                               struct noise_handshake *hs, struct peer **peer, uint8_t ss[BW_KEY_LEN],
                               struct stamp *stamp)
{
    const struct identity *me = ls->config.identity;
    if (noise_read_static(hs, &ls->noise, me->link_sk, me->link_pk, m->ephemeral, m->enc_static)) return LINK_DROP_AUTH;
    if (!memcmp(hs->rs, me->link_pk, BW_KEY_LEN)) return LINK_DROP_OWN_KEY;
    *peer = peer_find(ls, hs->rs);
    // A key with links may stay, wherever it comes from now; for any other the policy is asked before more work is
    // done.
    bool known = *peer && !LIST_EMPTY(&(*peer)->links);
    if (!known && !peer_allowed(ls, *peer, on_link)) return LINK_DROP_POLICY;
    if (*peer) memcpy(ss, (*peer)->ss, BW_KEY_LEN);
    else if (bw_x25519(ss, me->link_sk, hs->rs)) return LINK_DROP_AUTH;
    if (noise_read_payload(hs, ss, m->enc_timestamp, sizeof m->enc_timestamp, stamp->b)) return LINK_DROP_AUTH;
    return LINK_DROP_COUNT;
}

static void drop_oldest_half_open(struct linkset *ls)
{
    struct link *oldest = NULL;
    for (unsigned i = 0; i < ls->slots_used; i++) {
        struct link *l = ls->slots[i];
        if (l && l->half_open && (!oldest || l->since < oldest->since)) oldest = l;
    }
    if (oldest) link_free(ls, oldest);
}

static struct link *incoming_link(struct linkset *ls, struct peer *p, uint32_t ifindex, const struct bw_endpoint *from,
                                  bool on_link, bw_time now)
{
    if (!p->listed && ls->stats.half_open >= LINK_HALF_OPEN_MAX) drop_oldest_half_open(ls);
    struct link *l = link_new(ls, p, arrival_is_on_link(p, from), ifindex, LINK_INCOMING, now);
    if (!l || p->listed) return l;
    l->near = on_link;
    l->half_open = true;
    ls->stats.half_open++;
    return l;
}

// The link that an authentic initiation is for; made if need be. NULL: dropped and counted. Frees the peer if it came
// to nothing and has no other use.
static struct link *link_of_initiation(struct linkset *ls, struct peer *p, uint32_t ifindex,
                                       const struct bw_endpoint *from, bool on_link, const struct stamp *stamp,
                                       bw_time now)
{
    struct link *l = link_for_arrival(p, ifindex, from);
    // One stamp is good once, on one link: what was recorded on one interface is worth nothing on another.
    if (!stamp_is_new(&p->seen, stamp) || (l && !stamp_after(stamp, &l->latest))) {
        ls->drops[LINK_DROP_REPLAY]++;
        return NULL;
    }
    if (!l && !peer_allowed(ls, p, on_link)) {
        ls->drops[LINK_DROP_POLICY]++;
        return NULL;
    }
    if (l && !bucket_take(&l->initiations, LINK_INITIATIONS_PER_S, 5, now)) {
        ls->drops[LINK_DROP_FLOOD]++;
        return NULL;
    }
    if (!l) l = incoming_link(ls, p, ifindex, from, on_link, now);
    if (!l) return NULL;
    stamp_remember(&p->seen, stamp);
    l->latest = *stamp;
    return l;
}

static void respond(struct linkset *ls, struct link *l, struct noise_handshake *hs, uint32_t remote_index,
                    uint32_t ifindex, const struct bw_endpoint *from, bw_time now)
{
    struct wg_response m = {.sender = index_new(ls), .receiver = remote_index};
    uint8_t e_sk[BW_KEY_LEN], send[BW_KEY_LEN], recv[BW_KEY_LEN];
    bw_rng_bytes(ls->rng, e_sk, sizeof e_sk);
    int err = noise_respond(hs, peer_psk(ls, l->peer), e_sk, NULL, 0, m.ephemeral, m.enc_nothing);
    if (!err) link_keylog(ls, l, e_sk);
    bw_wipe(e_sk, sizeof e_sk);
    if (err) {
        ls->drops[LINK_DROP_AUTH]++;
        return;
    }
    noise_split(hs, false, send, recv);
    struct keypair *k =
        keypair_new(ls->mem, ls->config.threads, send, recv, ls->config.aes, false, m.sender, m.receiver, l->shared, now);
    bw_wipe(send, sizeof send);
    bw_wipe(recv, sizeof recv);
    if (!k) {
        ls->drops[LINK_DROP_NOMEM]++;
        return;
    }
    link_answered(ls, l, k);
    bool moved = link_moved(l, from, ifindex);
    link_tell(ls, l, LINK_CHANGED_KEYS | (moved ? LINK_CHANGED_ENDPOINT : 0));
    uint8_t out[WG_RESPONSE_LEN];
    wg_response_encode(out, &m);
    mac_write(&l->macs, out, sizeof out, now);
    ls->stats.responses_sent++;
    ls->ops.send(ls->ops.ctx, &l->endpoint, l->ifindex, out, sizeof out);
}

static void rx_initiation(struct linkset *ls, uint32_t ifindex, const struct bw_endpoint *from, bool on_link,
                          const struct wg_initiation *m, bw_time now)
{
    struct noise_handshake hs = {0};
    struct peer *p = NULL;
    struct stamp stamp;
    uint8_t ss[BW_KEY_LEN] = {0};
    enum link_drop why = identify(ls, m, on_link, &hs, &p, ss, &stamp);
    if (why == LINK_DROP_COUNT && !p) {
        p = peer_get(ls, hs.rs, ss);
        if (!p) why = LINK_DROP_NOMEM;
    }
    bw_wipe(ss, sizeof ss);
    if (why != LINK_DROP_COUNT) {
        ls->drops[why]++;
    } else {
        ls->stats.initiations_received++;
        peer_touch(ls, p); // what follows may forget an old peer
        struct link *l = link_of_initiation(ls, p, ifindex, from, on_link, &stamp, now);
        if (l) respond(ls, l, &hs, m->sender, ifindex, from, now);
        else if (LIST_EMPTY(&p->links)) peer_unused(ls, p);
    }
    noise_wipe(&hs);
}

static void rx_cookie(struct linkset *ls, const uint8_t *p, size_t n, bw_time now)
{
    struct wg_cookie m;
    if (wg_cookie_decode(p, n, &m)) return;
    struct index_entry *e = index_find(ls, m.receiver);
    if (!e) ls->drops[LINK_DROP_INDEX]++;
    else if (mac_take_cookie(&e->link->macs, m.nonce, m.enc_cookie, now)) ls->drops[LINK_DROP_AUTH]++;
    else ls->stats.cookies_received++;
}

void linkset_rx(struct linkset *ls, uint32_t ifindex, const struct bw_endpoint *from, bool on_link, const uint8_t *p,
                size_t n, bw_time now, uint64_t unix_ns)
{
    (void)unix_ns; // initiations are left to linkset_tick
    struct wg_initiation initiation;
    struct wg_response response;
    switch (wg_type(p, n)) {
    case WG_INITIATION:
        if (!wg_initiation_decode(p, n, &initiation) && gate(ls, ifindex, from, on_link, initiation.sender, p, n, now))
            rx_initiation(ls, ifindex, from, on_link, &initiation, now);
        return;
    case WG_RESPONSE:
        if (!wg_response_decode(p, n, &response) && gate(ls, ifindex, from, on_link, response.sender, p, n, now))
            rx_response(ls, ifindex, from, &response, now);
        return;
    case WG_COOKIE: rx_cookie(ls, p, n, now); return;
    default: ls->drops[LINK_DROP_MALFORMED]++;
    }
}
