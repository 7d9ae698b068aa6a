// A linkset's making and ending, and the views of it.
#include <string.h>

#include "core/link/set.h"

const char *link_source_name(enum link_source s)
{
    static const char *const names[] = {"discovered", "config", "command", "incoming"};
    return s <= LINK_INCOMING ? names[s] : "unknown";
}

const char *link_state_name(enum link_state s)
{
    static const char *const names[] = {"idle", "connecting", "up"};
    return s <= LINK_UP ? names[s] : "unknown";
}

const char *link_drop_name(enum link_drop d)
{
    static const char *const names[LINK_DROP_COUNT] = {"malformed", "mac1",   "cookie", "rate",    "index",
                                                       "auth",      "replay", "flood",  "own_key", "policy",
                                                       "full",      "nomem",  "roam"};
    return d < LINK_DROP_COUNT ? names[d] : "unknown";
}

struct linkset *linkset_new(struct bw_mem *mem, struct bw_rng *rng, const struct bw_log *log,
                            const struct linkset_config *config, const struct linkset_ops *ops)
{
    struct linkset *ls = bw_alloc(mem, sizeof *ls);
    if (!ls) return NULL;
    ls->mem = mem;
    ls->rng = rng;
    ls->log = log;
    ls->config = *config;
    ls->ops = *ops;
    if (!ls->config.max_links) ls->config.max_links = LINK_LINKS_DEFAULT;
    if (!ls->config.load_per_s) ls->config.load_per_s = 100;
    BW_ASSERT(ls->config.max_links <= LINK_SLOTS_MAX);
    BW_ASSERT(ls->config.threads >= 1 && ls->config.threads <= KEYPAIR_THREADS_MAX);
    TAILQ_INIT(&ls->listed);
    TAILQ_INIT(&ls->unlisted);
    noise_protocol_wireguard(&ls->noise);
    cookie_jar_init(&ls->jar, &ls->noise, config->identity->link_pk);
    stamp_clock_init(&ls->clock, config->tai_high);
    uint8_t hash_key[16];
    bw_rng_bytes(rng, hash_key, sizeof hash_key);
    bw_rng_bytes(rng, ls->sources.hash_key, sizeof ls->sources.hash_key);
    ls->slots = bw_alloc(mem, ls->config.max_links * sizeof *ls->slots);
    int err = table_init(&ls->peers, mem, hash_key);
    if (table_init(&ls->indices, mem, hash_key) || err || !ls->slots) {
        linkset_free(ls);
        return NULL;
    }
    return ls;
}

static void ignore_change(void *ctx, uint16_t slot, unsigned what)
{
    (void)ctx, (void)slot, (void)what;
}

void linkset_free(struct linkset *ls)
{
    if (!ls) return;
    ls->ops.changed = ignore_change;
    for (unsigned i = ls->slots_used; i-- > 0;)
        if (ls->slots[i]) link_free(ls, ls->slots[i]);
    peers_free(ls);
    table_dispose(&ls->peers);
    table_dispose(&ls->indices);
    bw_free(ls->mem, ls->slots, ls->config.max_links * sizeof *ls->slots);
    bw_wipe(&ls->config.secret, sizeof ls->config.secret);
    bw_wipe(&ls->jar, sizeof ls->jar);
    bw_free(ls->mem, ls, sizeof *ls);
}

uint64_t linkset_stamp(struct linkset *ls, uint64_t unix_ns)
{
    uint64_t persist, stamp = stamp_next(&ls->clock, unix_ns, &persist);
    if (persist && ls->ops.persist_tai(ls->ops.ctx, persist) < 0)
        bw_log(ls->log, BW_WARN,
               "the timestamp high water cannot be stored: after a restart with a wrong clock neighbours "
               "may refuse this node");
    return stamp;
}

void linkset_iface_gone(struct linkset *ls, uint32_t ifindex, bw_time now)
{
    (void)now;
    for (unsigned i = 0; i < ls->slots_used; i++)
        if (ls->slots[i] && ls->slots[i]->on_link && ls->slots[i]->ifindex == ifindex) link_free(ls, ls->slots[i]);
}

static struct link *at(const struct linkset *ls, int slot)
{
    return slot >= 0 && slot < ls->slots_used ? ls->slots[slot] : NULL;
}

int linkset_next(const struct linkset *ls, int after)
{
    for (int i = after < 0 ? 0 : after + 1; i < ls->slots_used; i++)
        if (ls->slots[i]) return i;
    return -1;
}

int linkset_info(const struct linkset *ls, uint16_t slot, struct link_info *out)
{
    const struct link *l = at(ls, slot);
    if (!l) return BW_ERR_NOTFOUND;
    const struct peer *p = l->peer;
    *out = (struct link_info){
        .slot = slot,
        .addr = p->addr,
        .kind = p->kind,
        .source = l->source,
        .state = link_tx_keys(l)                                                         ? LINK_UP
                 : l->attempt.active || l->start_at != BW_NEVER || l->rx[KEYS_NEXT].keys ? LINK_CONNECTING
                                                                                         : LINK_IDLE,
        .listed = p->listed,
        .internet = p->listed && p->listing.internet,
        .has_psk = p->listed && p->listing.has_psk,
        .light = bw_same(peer_psk(ls, p), (const uint8_t[BW_KEY_LEN]){0}, BW_KEY_LEN) ? l->light : LIGHT_NO,
        .keepalive_s = p->listed ? p->listing.keepalive_s : 0,
        .on_link = l->on_link,
        .asking = l->attempt.active && l->attempt.tries > 1,
        .ifindex = l->ifindex,
        .rx_ifindex = l->rx_ifindex,
        .endpoint = l->endpoint,
        .last_handshake = l->last_handshake,
        .since = l->since,
        .shared = l->shared,
    };
    memcpy(out->key, p->key, BW_KEY_LEN);
    if (p->listed) memcpy(out->name, p->listing.name, sizeof out->name);
    return 0;
}

void linkset_keys(const struct linkset *ls, uint16_t slot, struct keypair **tx, struct keypair *rx[LINK_RX_KEYS],
                  unsigned *rx_count)
{
    const struct link *l = at(ls, slot);
    *tx = l ? link_tx_keys(l) : NULL;
    *rx_count = 0;
    for (unsigned i = 0; l && i < LINK_RX_KEYS; i++)
        if (l->rx[i].keys) rx[(*rx_count)++] = l->rx[i].keys;
}

struct keypair *linkset_find_keys(const struct linkset *ls, uint32_t local_index, uint16_t *slot)
{
    struct index_entry *e = index_find(ls, local_index);
    if (!e || !e->keys) return NULL;
    if (slot) *slot = e->link->slot;
    return e->keys;
}

uint64_t linkset_drops(const struct linkset *ls, enum link_drop d)
{
    return d < LINK_DROP_COUNT ? ls->drops[d] : 0;
}

void linkset_stats(const struct linkset *ls, struct linkset_stats *out)
{
    *out = ls->stats;
    out->under_load = ls->last_tick < ls->load_until;
}
