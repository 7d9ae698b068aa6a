#include "core/fwd/snapshot.h"

#include "base/hash.h"

struct fwd_tunnel_shared *fwd_tunnel_shared_new(struct bw_mem *mem)
{
    struct fwd_tunnel_shared *s = bw_alloc(mem, sizeof *s);
    if (!s) return NULL;
    s->mem = mem;
    atomic_init(&s->refs, 1);
    return s;
}

void fwd_tunnel_shared_unref(struct fwd_tunnel_shared *s)
{
    if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1) bw_free(s->mem, s, sizeof *s);
}

// All ones, at least twice n.
static uint32_t mask_for(unsigned n)
{
    uint32_t mask = 1;
    while (mask < 2ull * n) mask = mask << 1 | 1;
    return mask;
}

static int copy_links(struct fwd_snapshot *s, const struct fwd_config *c)
{
    if (!c->link_count) return 0;
    s->links = bw_alloc(s->mem, c->link_count * sizeof *s->links);
    if (!s->links) return BW_ERR_NOMEM;
    s->link_count = c->link_count;
    for (unsigned i = 0; i < c->link_count; i++) {
        s->links[i] = c->links[i];
        if (!c->links[i].used) {
            s->links[i] = (struct fwd_link){0};
            continue;
        }
        if (c->links[i].tx) keypair_ref(c->links[i].tx);
        if (c->links[i].shared) link_shared_ref(c->links[i].shared);
    }
    return 0;
}

static int copy_keys(struct fwd_snapshot *s, const struct fwd_config *c)
{
    s->key_mask = mask_for(c->rx_count);
    s->keys = bw_alloc(s->mem, (s->key_mask + 1ull) * sizeof *s->keys);
    if (!s->keys) return BW_ERR_NOMEM;
    for (unsigned i = 0; i < c->rx_count; i++) {
        uint32_t at = c->rx_keys[i]->local_index & s->key_mask;
        while (s->keys[at].key) at = (at + 1) & s->key_mask;
        s->keys[at] = (struct rx_key){c->rx_keys[i], c->rx_links[i]};
        keypair_ref(c->rx_keys[i]);
    }
    return 0;
}

static uint32_t peer_slot(const struct fwd_snapshot *s, const struct bw_addr *peer, uint32_t mask)
{
    return (uint32_t)bw_siphash(s->hash_key, peer, sizeof *peer) & mask;
}
static uint32_t tunnel_slot(const struct fwd_snapshot *s, const struct bw_addr *peer)
{
    return peer_slot(s, peer, s->tunnel_mask);
}

static int copy_tunnels(struct fwd_snapshot *s, const struct fwd_config *c)
{
    if (!c->tunnel_count) return 0;
    s->tunnel_mask = mask_for(c->tunnel_count);
    s->tunnel_slots = bw_alloc(s->mem, (s->tunnel_mask + 1ull) * sizeof *s->tunnel_slots);
    s->tunnels = bw_alloc(s->mem, c->tunnel_count * sizeof *s->tunnels);
    if (s->tunnels) s->tunnel_count = c->tunnel_count;
    if (!s->tunnels || !s->tunnel_slots) return BW_ERR_NOMEM;
    for (unsigned i = 0; i < c->tunnel_count; i++) {
        s->tunnels[i] = c->tunnels[i];
        if (s->tunnels[i].shared) atomic_fetch_add_explicit(&s->tunnels[i].shared->refs, 1, memory_order_relaxed);
        if (s->tunnels[i].group) atomic_fetch_add_explicit(&s->tunnels[i].group->refs, 1, memory_order_relaxed);
        uint32_t at = tunnel_slot(s, &c->tunnels[i].peer);
        while (s->tunnel_slots[at]) at = (at + 1) & s->tunnel_mask;
        s->tunnel_slots[at] = i + 1;
    }
    return 0;
}

static int copy_exporters(struct fwd_snapshot *s, const struct fwd_config *c)
{
    if (!c->exporter_count) return 0;
    unsigned total = 0;
    for (unsigned i = 0; i < c->exporter_count; i++) total += c->exporters[i].count;
    s->exporter_mask = mask_for(c->exporter_count);
    s->exporter_count = c->exporter_count;
    s->export_prefix_count = total ? total : 1;
    s->exporter_slots = bw_alloc(s->mem, (s->exporter_mask + 1ull) * sizeof *s->exporter_slots);
    s->exporters = bw_alloc(s->mem, s->exporter_count * sizeof *s->exporters);
    s->export_prefixes = bw_alloc(s->mem, s->export_prefix_count * sizeof *s->export_prefixes);
    if (!s->exporter_slots || !s->exporters || !s->export_prefixes) return BW_ERR_NOMEM;
    struct bw_prefix *p = s->export_prefixes;
    for (unsigned i = 0; i < s->exporter_count; i++) {
        struct fwd_exporter *e = &s->exporters[i];
        *e = c->exporters[i];
        if (e->count) memcpy(p, e->prefixes, e->count * sizeof *p);
        e->prefixes = p;
        p += e->count;
        uint32_t at = peer_slot(s, &e->peer, s->exporter_mask);
        while (s->exporter_slots[at]) at = (at + 1) & s->exporter_mask;
        s->exporter_slots[at] = i + 1;
    }
    return 0;
}

struct fwd_snapshot *fwd_snapshot_new(struct bw_mem *mem, const struct fwd_config *c)
{
    struct fwd_snapshot *s = bw_alloc(mem, sizeof *s);
    if (!s) return NULL;
    s->mem = mem;
    s->self = c->self;
    s->linklocal = c->linklocal;
    s->icmp4_source = c->icmp4_source;
    if (bw_addr_is_zero(&s->icmp4_source))
        s->icmp4_source = bw_addr_v4((const uint8_t[4]){192, 0, 0, 8}); // RFC 7600 section 4
    s->gateway4 = c->gateway4;
    s->gateway6 = c->gateway6;
    s->pool4 = c->pool4;
    s->pool6 = c->pool6;
    s->sharing = c->sharing;
    s->transit = c->transit;
    s->sessions = c->sessions;
    if (s->sessions) session_table_ref(s->sessions);
    memcpy(s->hash_key, c->hash_key, sizeof s->hash_key);
    if (copy_links(s, c) || copy_keys(s, c) || copy_tunnels(s, c) || copy_exporters(s, c) ||
        (c->fib ? fib_share(&s->mesh, c->fib, mem) : fib_build(&s->mesh, mem, c->hash_key, c->mesh, c->mesh_count)) ||
        fib_build(&s->tun, mem, c->hash_key, c->tun, c->tun_count)) {
        fwd_snapshot_free(s);
        return NULL;
    }
    return s;
}

void fwd_snapshot_free(struct fwd_snapshot *s)
{
    if (!s) return;
    for (unsigned i = 0; i < s->link_count; i++) {
        keypair_unref(s->links[i].tx);
        link_shared_unref(s->links[i].shared);
    }
    bw_free(s->mem, s->links, s->link_count * sizeof *s->links);
    for (uint32_t i = 0; s->keys && i <= s->key_mask; i++) keypair_unref(s->keys[i].key);
    bw_free(s->mem, s->keys, (s->key_mask + 1ull) * sizeof *s->keys);
    for (unsigned i = 0; i < s->tunnel_count; i++) {
        fwd_tunnel_shared_unref(s->tunnels[i].shared);
        fwd_tunnel_shared_unref(s->tunnels[i].group);
    }
    bw_free(s->mem, s->tunnels, s->tunnel_count * sizeof *s->tunnels);
    bw_free(s->mem, s->tunnel_slots, (s->tunnel_mask + 1ull) * sizeof *s->tunnel_slots);
    bw_free(s->mem, s->exporter_slots, (s->exporter_mask + 1ull) * sizeof *s->exporter_slots);
    bw_free(s->mem, s->exporters, s->exporter_count * sizeof *s->exporters);
    bw_free(s->mem, s->export_prefixes, s->export_prefix_count * sizeof *s->export_prefixes);
    session_table_unref(s->sessions);
    fib_free(&s->mesh, s->mem);
    fib_free(&s->tun, s->mem);
    bw_free(s->mem, s, sizeof *s);
}

const struct rx_key *snapshot_key(const struct fwd_snapshot *s, uint32_t local_index)
{
    for (uint32_t at = local_index & s->key_mask; s->keys[at].key; at = (at + 1) & s->key_mask)
        if (s->keys[at].key->local_index == local_index) return &s->keys[at];
    return NULL;
}

const struct fwd_tunnel *snapshot_tunnel(const struct fwd_snapshot *s, const struct bw_addr *peer)
{
    if (!s->tunnel_count) return NULL;
    for (uint32_t at = tunnel_slot(s, peer); s->tunnel_slots[at]; at = (at + 1) & s->tunnel_mask) {
        const struct fwd_tunnel *t = &s->tunnels[s->tunnel_slots[at] - 1];
        if (bw_addr_eq(&t->peer, peer)) return t;
    }
    return NULL;
}

bool snapshot_exported_by(const struct fwd_snapshot *s, const struct bw_addr *peer, const struct bw_addr *a)
{
    if (!s->exporter_count) return false;
    for (uint32_t at = peer_slot(s, peer, s->exporter_mask); s->exporter_slots[at]; at = (at + 1) & s->exporter_mask) {
        const struct fwd_exporter *e = &s->exporters[s->exporter_slots[at] - 1];
        if (!bw_addr_eq(&e->peer, peer)) continue;
        for (unsigned i = 0; i < e->count; i++)
            if (bw_prefix_has(&e->prefixes[i], a)) return true;
    }
    return false;
}

bool snapshot_exported(const struct fwd_snapshot *s, const struct bw_addr *a)
{
    const struct fwd_route *r = fib_lookup(&s->mesh, a);
    return r && r->target == FWD_TO_TUN;
}

const struct fwd_route *fwd_lookup(const struct fwd_snapshot *s, const struct bw_addr *dst, bool from_tun)
{
    const struct fwd_route *m = fib_lookup(&s->mesh, dst);
    if (!from_tun) return m;
    const struct fwd_route *t = fib_lookup(&s->tun, dst);
    if (!m || !t) return m ? m : t;
    return t->prefix.len >= m->prefix.len ? t : m;
}
