// A link's life, its keypairs and how they take over from one another.
#include <string.h>

#include "core/link/set.h"

// ---- local indices ----

uint32_t index_new(struct linkset *ls)
{
    uint32_t i;
    do i = bw_rng_u32(ls->rng);
    while (!i || index_find(ls, i));
    return i;
}

struct index_entry *index_find(const struct linkset *ls, uint32_t index)
{
    for (struct table_node *n = table_first(&ls->indices, &index, sizeof index); n; n = table_more(n)) {
        struct index_entry *e = (struct index_entry *)n;
        if (e->index == index) return e;
    }
    return NULL;
}

void index_put(struct linkset *ls, struct index_entry *e, uint32_t index, struct link *l, struct keypair *k)
{
    *e = (struct index_entry){.index = index, .link = l, .keys = k};
    table_insert(&ls->indices, &e->node, &e->index, sizeof e->index);
}

void index_drop(struct linkset *ls, struct index_entry *e)
{
    if (e->link) table_remove(&ls->indices, &e->node);
    *e = (struct index_entry){0};
}

// ---- keypairs (paper, section 5.4.5: previous, current, next) ----

struct keypair *link_tx_keys(const struct link *l)
{
    return l->rx[KEYS_CURRENT].keys;
}

bool link_drop_keys(struct linkset *ls, struct link *l, unsigned which)
{
    struct keypair *k = l->rx[which].keys;
    if (!k) return false;
    index_drop(ls, &l->rx[which]);
    keypair_unref(k);
    return true;
}

void link_drop_all_keys(struct linkset *ls, struct link *l)
{
    bool any = false;
    for (unsigned i = 0; i < LINK_RX_KEYS; i++) any |= link_drop_keys(ls, l, i);
    if (any) link_tell(ls, l, LINK_CHANGED_KEYS);
}

static void set_keys(struct linkset *ls, struct link *l, unsigned which, struct keypair *k)
{
    link_drop_keys(ls, l, which);
    index_put(ls, &l->rx[which], k->local_index, l, k);
}

// Moves a keypair to another place; what was there goes.
static void move_keys(struct linkset *ls, struct link *l, unsigned from, unsigned to)
{
    struct keypair *k = l->rx[from].keys;
    if (!k) return;
    index_drop(ls, &l->rx[from]);
    set_keys(ls, l, to, k);
}

static bool our_key_is_smaller(const struct linkset *ls, const struct link *l)
{
    return memcmp(ls->config.identity->link_pk, l->peer->key, BW_KEY_LEN) < 0;
}

// Both ends began a handshake at the same moment and both succeeded: `answered` was made while our own initiation was
// under way, which led to `current`. Each end must then send under the same one of the two, or neither would see itself
// as the initiator who renews it: the one that the smaller key began. Stock WireGuard always ends under the one that we
// began.
static bool ours_wins(const struct linkset *ls, const struct link *l, const struct keypair *current,
                      const struct keypair *answered)
{
    bool crossed = current && current->initiator && answered->born <= current->born;
    return crossed && (l->peer->kind != LINK_KIND_BYWAY || our_key_is_smaller(ls, l));
}

static void handshake_done(struct linkset *ls, struct link *l, bw_time now)
{
    if (l->half_open) ls->stats.half_open--;
    l->half_open = false;
    l->last_handshake = now ? now : 1;
    l->start_at = BW_NEVER;
    atomic_store_explicit(&l->shared->want_handshake, false, memory_order_relaxed);
    link_end_attempt(ls, l);
    ls->stats.handshakes++;
}

void link_began(struct linkset *ls, struct link *l, struct keypair *k, bw_time now)
{
    handshake_done(ls, l, now);
    move_keys(ls, l, KEYS_CURRENT, KEYS_PREVIOUS);
    set_keys(ls, l, KEYS_CURRENT, k);
}

void link_answered(struct linkset *ls, struct link *l, struct keypair *k)
{
    l->start_at = BW_NEVER; // their handshake is under way; timers.c begins ours if it comes to nothing
    set_keys(ls, l, KEYS_NEXT, k);
}

void linkset_confirm(struct linkset *ls, uint32_t local_index, bw_time now)
{
    struct index_entry *e = index_find(ls, local_index);
    if (!e || !e->keys || e != &e->link->rx[KEYS_NEXT]) return;
    struct link *l = e->link;
    struct keypair *k = e->keys;
    atomic_store_explicit(&k->confirmed, true, memory_order_relaxed);
    handshake_done(ls, l, now);
    if (ours_wins(ls, l, l->rx[KEYS_CURRENT].keys, k)) {
        move_keys(ls, l, KEYS_NEXT, KEYS_PREVIOUS);
    } else {
        move_keys(ls, l, KEYS_CURRENT, KEYS_PREVIOUS);
        move_keys(ls, l, KEYS_NEXT, KEYS_CURRENT);
    }
    link_tell(ls, l, LINK_CHANGED_KEYS);
}

// ---- where a link leads ----

bool arrival_is_on_link(const struct peer *p, const struct bw_endpoint *from)
{
    return p->kind != LINK_KIND_STOCK && bw_addr_is_linklocal(&from->addr) && !bw_addr_is_v4(&from->addr);
}

struct link *link_for_arrival(const struct peer *p, uint32_t ifindex, const struct bw_endpoint *from)
{
    bool on_link = arrival_is_on_link(p, from);
    struct link *l, *far = NULL;
    LIST_FOREACH(l, &p->links, of_peer) {
        if (l->on_link && on_link && l->ifindex == ifindex) return l;
        if (!l->on_link) far = l;
    }
    if (!on_link) return far;
    // A configured endpoint may be a link-local address: then the far link is this interface's.
    return far && bw_addr_is_linklocal(&far->endpoint.addr) && far->endpoint.scope == ifindex ? far : NULL;
}

bool link_moved(struct link *l, const struct bw_endpoint *from, uint32_t ifindex)
{
    bool moved = !bw_endpoint_eq(&l->endpoint, from) || l->rx_ifindex != ifindex;
    l->endpoint = *from;
    l->rx_ifindex = ifindex;
    return moved;
}

void linkset_roam(struct linkset *ls, uint32_t local_index, const struct bw_endpoint *from, uint32_t ifindex,
                  bw_time now)
{
    (void)now;
    struct index_entry *e = index_find(ls, local_index);
    if (!e || !e->keys) return;
    struct link *l = e->link;
    if (l->on_link && (!arrival_is_on_link(l->peer, from) || ifindex != l->ifindex)) {
        ls->drops[LINK_DROP_ROAM]++;
        return;
    }
    if (link_moved(l, from, ifindex)) link_tell(ls, l, LINK_CHANGED_ENDPOINT);
}

// ---- birth, news and death ----

void link_tell(struct linkset *ls, struct link *l, unsigned what)
{
    bool up = link_tx_keys(l);
    if (up && !l->up) what |= LINK_CHANGED_UP;
    if (!up && l->up) what |= LINK_CHANGED_DOWN;
    if (!up && l->up) l->quiet_since = ls->last_tick;
    l->up = up;
    if (what) ls->ops.changed(ls->ops.ctx, l->slot, what);
}

// The lowest free slot; max_links: none.
static unsigned free_slot(const struct linkset *ls)
{
    unsigned i = 0;
    while (i < ls->config.max_links && ls->slots[i]) i++;
    return i;
}

// A listed neighbour gets in even when strangers have taken every slot: the youngest of them goes.
static void make_room(struct linkset *ls)
{
    struct link *youngest = NULL;
    for (unsigned i = 0; i < ls->slots_used; i++) {
        struct link *l = ls->slots[i];
        if (l && !l->peer->listed && (!youngest || l->since >= youngest->since)) youngest = l;
    }
    if (youngest) link_free(ls, youngest);
}

struct link *link_new(struct linkset *ls, struct peer *p, bool on_link, uint32_t ifindex, enum link_source source,
                      bw_time now)
{
    unsigned slot = free_slot(ls);
    if (slot == ls->config.max_links && p->listed) {
        make_room(ls);
        slot = free_slot(ls);
    }
    if (slot == ls->config.max_links) {
        ls->drops[LINK_DROP_FULL]++;
        return NULL;
    }
    struct link *l = bw_alloc(ls->mem, sizeof *l);
    struct link_shared *shared = l ? link_shared_new(ls->mem) : NULL;
    if (!shared) {
        bw_free(ls->mem, l, sizeof *l);
        ls->drops[LINK_DROP_NOMEM]++;
        return NULL;
    }
    l->shared = shared;
    l->peer = p;
    l->slot = (uint16_t)slot;
    l->on_link = on_link;
    l->ifindex = on_link ? ifindex : 0;
    l->source = source;
    l->since = l->quiet_since = now;
    l->start_at = BW_NEVER;
    mac_keys_init(&l->macs.keys, &ls->noise, p->key);
    LIST_INSERT_HEAD(&p->links, l, of_peer);
    ls->slots[slot] = l;
    if (slot >= ls->slots_used) ls->slots_used = (uint16_t)(slot + 1);
    ls->stats.links++;
    return l;
}

void link_free(struct linkset *ls, struct link *l)
{
    struct peer *p = l->peer;
    link_end_attempt(ls, l);
    bool had = false;
    for (unsigned i = 0; i < LINK_RX_KEYS; i++) had |= link_drop_keys(ls, l, i);
    link_tell(ls, l, LINK_CHANGED_GONE | (had ? LINK_CHANGED_KEYS : 0));
    LIST_REMOVE(l, of_peer);
    ls->slots[l->slot] = NULL;
    while (ls->slots_used && !ls->slots[ls->slots_used - 1]) ls->slots_used--;
    ls->stats.links--;
    if (l->half_open) ls->stats.half_open--;
    link_shared_unref(l->shared);
    bw_wipe(l, sizeof *l);
    bw_free(ls->mem, l, sizeof *l);
    if (LIST_EMPTY(&p->links)) peer_unused(ls, p);
}
