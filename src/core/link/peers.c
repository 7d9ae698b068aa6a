// The static keys that a linkset knows: listed ones, and those of links.
#include <string.h>

#include "core/link/set.h"

struct peer *peer_find(const struct linkset *ls, const uint8_t key[BW_KEY_LEN])
{
    for (struct table_node *n = table_first(&ls->peers, key, BW_KEY_LEN); n; n = table_more(n)) {
        struct peer *p = (struct peer *)n;
        if (!memcmp(p->key, key, BW_KEY_LEN)) return p;
    }
    return NULL;
}

struct peer *peer_get(struct linkset *ls, const uint8_t key[BW_KEY_LEN], const uint8_t ss[BW_KEY_LEN])
{
    struct peer *p = peer_find(ls, key);
    if (p) return p;
    p = bw_alloc(ls->mem, sizeof *p);
    if (!p) return NULL;
    memcpy(p->key, key, BW_KEY_LEN);
    if (ss) {
        memcpy(p->ss, ss, BW_KEY_LEN);
    } else if (bw_x25519(p->ss, ls->config.identity->link_sk, key)) {
        bw_free(ls->mem, p, sizeof *p);
        return NULL;
    }
    if (identity_addr_of_key(key, &p->addr)) {
        p->addr = (struct bw_addr){0};
        p->kind = LINK_KIND_STOCK; // no byway node has such a key
    }
    LIST_INIT(&p->links);
    table_insert(&ls->peers, &p->node, p->key, BW_KEY_LEN);
    TAILQ_INSERT_TAIL(&ls->unlisted, p, order);
    ls->unlisted_count++;
    return p;
}

static void peer_free(struct linkset *ls, struct peer *p)
{
    table_remove(&ls->peers, &p->node);
    TAILQ_REMOVE(p->listed ? &ls->listed : &ls->unlisted, p, order);
    if (!p->listed) ls->unlisted_count--;
    bw_wipe(p, sizeof *p);
    bw_free(ls->mem, p, sizeof *p);
}

void peer_touch(struct linkset *ls, struct peer *p)
{
    if (p->listed) return;
    TAILQ_REMOVE(&ls->unlisted, p, order);
    TAILQ_INSERT_TAIL(&ls->unlisted, p, order);
}

void peer_unused(struct linkset *ls, struct peer *p)
{
    if (p->listed) return;
    peer_touch(ls, p);
    if (ls->unlisted_count <= PEERS_UNUSED_MAX + ls->stats.links) return;
    struct peer *old;
    TAILQ_FOREACH(old, &ls->unlisted, order) {
        if (!LIST_EMPTY(&old->links)) continue;
        peer_free(ls, old);
        return;
    }
}

void peers_free(struct linkset *ls)
{
    while (!TAILQ_EMPTY(&ls->listed)) peer_free(ls, TAILQ_FIRST(&ls->listed));
    while (!TAILQ_EMPTY(&ls->unlisted)) peer_free(ls, TAILQ_FIRST(&ls->unlisted));
}

const uint8_t *peer_psk(const struct linkset *ls, const struct peer *p)
{
    static const uint8_t none[BW_KEY_LEN];
    if (p->listed && p->listing.has_psk) return p->listing.psk;
    return ls->config.policy == LINK_POLICY_SECRET ? ls->config.secret : none;
}

bool peer_allowed(const struct linkset *ls, const struct peer *p, bool on_link)
{
    if (p && p->listed) return true;
    return ls->config.policy != LINK_POLICY_CLOSED && (on_link || ls->config.public_);
}

static void set_listed(struct linkset *ls, struct peer *p, bool listed)
{
    if (p->listed == listed) return;
    TAILQ_REMOVE(p->listed ? &ls->listed : &ls->unlisted, p, order);
    TAILQ_INSERT_TAIL(listed ? &ls->listed : &ls->unlisted, p, order);
    if (listed) ls->unlisted_count--;
    else ls->unlisted_count++;
    p->listed = listed;
}

static struct link *far_link(const struct peer *p)
{
    struct link *l;
    LIST_FOREACH(l, &p->links, of_peer)
    if (!l->on_link) return l;
    return NULL;
}

// New keys under a new PSK: the old session must not outlive the change.
static void psk_changed(struct linkset *ls, struct peer *p, bw_time now)
{
    struct link *l;
    LIST_FOREACH(l, &p->links, of_peer) {
        link_end_attempt(ls, l);
        link_drop_all_keys(ls, l);
        link_want(l, now);
    }
}

static int connect_far(struct linkset *ls, struct peer *p, bw_time now)
{
    struct link *l = far_link(p);
    const struct bw_endpoint *to = &p->listing.endpoint;
    if (!l) l = link_new(ls, p, false, 0, p->listing.source, now);
    if (!l) return BW_ERR_NOMEM;
    l->source = p->listing.source;
    if (bw_endpoint_eq(&l->endpoint, to)) {
        if (!link_tx_keys(l)) link_want(l, now);
        return 0;
    }
    l->endpoint = *to;
    link_tell(ls, l, LINK_CHANGED_ENDPOINT);
    link_want(l, now);
    return 0;
}

static void far_later(struct linkset *ls, bw_time now)
{
    ls->far_missing = true;
    ls->far_at = now + BW_S;
}

static bool same_listing(const struct link_peer *a, const struct link_peer *b)
{
    return !strcmp(a->name, b->name) && a->has_psk == b->has_psk &&
           (!a->has_psk || bw_same(a->psk, b->psk, BW_KEY_LEN)) && bw_endpoint_eq(&a->endpoint, &b->endpoint) &&
           a->keepalive_s == b->keepalive_s && a->internet == b->internet && a->source == b->source;
}

int linkset_add_peer(struct linkset *ls, const struct link_peer *peer, bw_time now)
{
    if (!memcmp(peer->key, ls->config.identity->link_pk, BW_KEY_LEN)) return BW_ERR_RANGE;
    struct peer *p = peer_get(ls, peer->key, NULL);
    if (!p) {
        uint8_t ss[BW_KEY_LEN];
        int err = bw_x25519(ss, ls->config.identity->link_sk, peer->key) ? BW_ERR_RANGE : BW_ERR_NOMEM;
        bw_wipe(ss, sizeof ss);
        return err;
    }
    if (p->listed && same_listing(&p->listing, peer)) return 0;
    uint8_t psk[BW_KEY_LEN];
    memcpy(psk, peer_psk(ls, p), sizeof psk);
    bool moved = !p->listed || !bw_endpoint_eq(&p->listing.endpoint, &peer->endpoint);
    set_listed(ls, p, true);
    p->listing = *peer;
    p->listing.name[LINK_NAME - 1] = 0;
    struct link *l;
    LIST_FOREACH(l, &p->links, of_peer) link_tell(ls, l, LINK_CHANGED_INFO);
    if (!bw_same(psk, peer_psk(ls, p), sizeof psk)) psk_changed(ls, p, now);
    bw_wipe(psk, sizeof psk);
    if (moved && peer->endpoint.port && connect_far(ls, p, now)) far_later(ls, now);
    return 0;
}

void linkset_connect_missing(struct linkset *ls, bw_time now)
{
    struct peer *p;
    if (!ls->far_missing || now < ls->far_at) return;
    ls->far_missing = false;
    TAILQ_FOREACH(p, &ls->listed, order)
    if (p->listing.endpoint.port && !far_link(p) && connect_far(ls, p, now)) far_later(ls, now);
}

static void drop_links(struct linkset *ls, struct peer *p)
{
    // The peer itself may be forgotten with its last link, if it is not listed: nothing touches it after that.
    struct link *l = LIST_FIRST(&p->links);
    while (l) {
        struct link *next = LIST_NEXT(l, of_peer);
        link_free(ls, l);
        l = next;
    }
}

int linkset_remove_peer(struct linkset *ls, const uint8_t key[BW_KEY_LEN], bw_time now)
{
    (void)now;
    struct peer *p = peer_find(ls, key);
    if (!p || (!p->listed && LIST_EMPTY(&p->links))) return BW_ERR_NOTFOUND;
    bool listed = p->listed;
    drop_links(ls, p);
    if (!listed) return 0; // and p may be gone
    bw_wipe(&p->listing, sizeof p->listing);
    set_listed(ls, p, false); // its stamps are remembered a while longer
    peer_unused(ls, p);
    return 0;
}

void linkset_set_policy(struct linkset *ls, enum link_policy policy, bool public_, const uint8_t secret[BW_KEY_LEN],
                        bw_time now)
{
    struct linkset_config old = ls->config;
    ls->config.policy = policy;
    ls->config.public_ = public_;
    memcpy(ls->config.secret, secret, BW_KEY_LEN);
    bool other_psk = (old.policy == LINK_POLICY_SECRET) != (policy == LINK_POLICY_SECRET) ||
                     (policy == LINK_POLICY_SECRET && !bw_same(old.secret, secret, BW_KEY_LEN));
    bw_wipe(&old, sizeof old);
    for (unsigned i = 0; i < ls->slots_used; i++) {
        struct link *l = ls->slots[i];
        if (!l) continue;
        if (!peer_allowed(ls, l->peer, l->on_link || l->near)) {
            link_free(ls, l);
        } else if (other_psk && !(l->peer->listed && l->peer->listing.has_psk)) {
            link_end_attempt(ls, l);
            link_drop_all_keys(ls, l);
            link_want(l, now);
        }
    }
}

int linkset_get_peer(const struct linkset *ls, const uint8_t key[BW_KEY_LEN], struct link_peer *out)
{
    struct peer *p = peer_find(ls, key);
    if (!p || !p->listed) return BW_ERR_NOTFOUND;
    *out = p->listing;
    return 0;
}

void linkset_each_waiting(const struct linkset *ls, link_waiting_fn *fn, void *ctx)
{
    const struct peer *p;
    TAILQ_FOREACH(p, &ls->listed, order) {
        if (!LIST_EMPTY(&p->links)) continue;
        struct link_info i = {.slot = LINK_SLOT_NONE, .addr = p->addr, .kind = p->kind, .source = p->listing.source, .listed = true,
                              .internet = p->listing.internet, .has_psk = p->listing.has_psk, .keepalive_s = p->listing.keepalive_s};
        memcpy(i.key, p->key, BW_KEY_LEN);
        memcpy(i.name, p->listing.name, sizeof i.name);
        fn(ctx, &i);
    }
}

static bool unproven(const struct link *l)
{
    return l->beacon_at && !l->last_handshake && !l->peer->listed;
}

// Beacons cost their sender nothing, but each new key costs us a link, and the kernel a place in its neighbour table for
// the address that the beacon came from. Who has shaken hands is not affected.
static int make_room_for_found(struct linkset *ls, bw_time now)
{
    struct link *oldest = NULL;
    unsigned count = 0;
    if (!bucket_take(&ls->found, LINK_FOUND_PER_S, LINK_FOUND_BURST, now)) {
        ls->drops[LINK_DROP_FLOOD]++;
        return BW_ERR_AGAIN;
    }
    for (unsigned i = 0; i < ls->slots_used; i++) {
        struct link *l = ls->slots[i];
        if (!l || !unproven(l)) continue;
        count++;
        if (!oldest || l->since < oldest->since) oldest = l;
    }
    if (count >= LINK_UNPROVEN_MAX) link_free(ls, oldest);
    return 0;
}

int linkset_discovered(struct linkset *ls, const uint8_t key[BW_KEY_LEN], uint32_t ifindex,
                       const struct bw_endpoint *at, bool fresh, bw_time now)
{
    const uint8_t *mine = ls->config.identity->link_pk;
    if (!memcmp(key, mine, BW_KEY_LEN)) return BW_ERR_RANGE;
    struct peer *p = peer_find(ls, key);
    if (!peer_allowed(ls, p, true)) return BW_ERR_DENIED;
    if (p) p->kind = LINK_KIND_BYWAY;
    struct link *l = p ? link_for_arrival(p, ifindex, at) : NULL;
    if (!l && !(p && p->listed)) {
        int err = make_room_for_found(ls, now);
        if (err) return err;
    }
    p = peer_get(ls, key, NULL);
    if (!p) return BW_ERR_NOMEM;
    p->kind = LINK_KIND_BYWAY;
    if (!l) l = link_for_arrival(p, ifindex, at);
    if (!l) {
        l = link_new(ls, p, true, ifindex, LINK_DISCOVERED, now);
        if (!l) {
            if (LIST_EMPTY(&p->links)) peer_unused(ls, p);
            return BW_ERR_NOMEM;
        }
    }
    if (l->half_open) ls->stats.half_open--;
    l->half_open = false;
    if (l->source == LINK_INCOMING) l->source = LINK_DISCOVERED;
    l->beacon_at = now ? now : 1;
    // A beacon moves a link only while there are no keys: with keys, their authentic messages do.
    if (!link_tx_keys(l) && link_moved(l, at, ifindex)) link_tell(ls, l, LINK_CHANGED_ENDPOINT);
    if (!l->attempt.active && (fresh || !link_tx_keys(l)))
        link_want(l, memcmp(mine, key, BW_KEY_LEN) < 0 ? now : now + LINK_YIELD_TIME);
    return 0;
}

void linkset_set_stock(struct linkset *ls, const uint8_t key[BW_KEY_LEN], bool stock)
{
    struct peer *p = peer_find(ls, key);
    enum link_kind kind = stock ? LINK_KIND_STOCK : LINK_KIND_BYWAY;
    if (!p || p->kind == kind || (!stock && bw_addr_is_zero(&p->addr))) return;
    p->kind = kind;
    struct link *l, *newest = NULL;
    LIST_FOREACH(l, &p->links, of_peer)
    if (!newest || l->last_handshake > newest->last_handshake) newest = l;
    if (stock && newest && !far_link(p)) { // the one link that it has roams from now on
        newest->on_link = false;
        newest->ifindex = 0;
    }
    LIST_FOREACH(l, &p->links, of_peer) link_tell(ls, l, LINK_CHANGED_INFO | LINK_CHANGED_ENDPOINT);
}

void linkset_set_light(struct linkset *ls, uint16_t slot, enum light light)
{
    struct link *l = slot < ls->slots_used ? ls->slots[slot] : NULL;
    if (light == LIGHT_AES && !ls->config.aes) light = LIGHT_CHACHA;
    if (!l || l->light == light) return;
    l->light = light;
    link_tell(ls, l, LINK_CHANGED_INFO);
}
