// Linksets joined by a fake wire under virtual time, for tests. Node i has fe80::i on every interface it uses (interface
// numbers name segments, so they are the same on both sides) and 10.V.0.i from elsewhere, V changing when it roams.
#ifndef UNIT_CORE_LINK_WORLD_H
#define UNIT_CORE_LINK_WORLD_H

#include "unit/vectors.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "core/link/link.h"
#include "wire/wg.h"

#define W_NODES 4
#define W_SLOTS 8
#define W_PACKETS 512
#define W_YEAR_NS (365ull * 86400 * 1000000000)

struct w_packet {
    bw_time at;
    uint64_t order;
    int to; // -1: free
    uint32_t ifindex;
    struct bw_endpoint from;
    bool on_link;
    size_t n;
    uint8_t data[256];
};

struct w_node {
    struct world *w;
    int id;
    struct identity me;
    struct bw_mem mem;
    struct bw_rng rng;
    struct linkset *ls;
    struct linkset_config config;
    uint64_t unix_ns;  // wall clock at time 0
    uint64_t tai;      // "disk"
    uint8_t variant;   // of the address 10.V.0.i
    unsigned ups[W_SLOTS], downs[W_SLOTS], gones, silents, keys, persists, fails;
    unsigned got[W_SLOTS], sent[W_SLOTS], unopened, initiations;
    unsigned last_change;
};

struct world {
    bw_time now;
    uint64_t order;
    struct w_node node[W_NODES];
    struct w_packet packet[W_PACKETS];
    int packets; // one above the highest in use
    struct bw_rng rng;
    unsigned loss_permille, delay_us, jitter_us;
    bool cut[16];           // segments that carry nothing
    bool v4_on_link;
    bw_time every;          // each node sends on each up link; 0: no traffic
    bw_time next_traffic;
    int only_sender;        // -1: all
    void (*tap)(struct world *w, struct w_packet *p); // sees every packet before it is queued; may change `to` to -1
    struct w_packet last_initiation, kept;
    uint8_t last_cookie[WG_COOKIE_LEN]; // whoever it was for
    // memory that fails: countdown of allocations, 0: never
    unsigned fail_after;
    char keylog[8192];
};

static inline void *w_resize(struct bw_mem *m, void *old, size_t old_size, size_t new_size)
{
    struct w_node *n = (struct w_node *)((char *)m - offsetof(struct w_node, mem));
    (void)old_size;
    if (!new_size) {
        free(old);
        return NULL;
    }
    if (n->w->fail_after && !--n->w->fail_after) {
        n->w->fail_after = 1; // and every later one
        n->fails++;
        return NULL;
    }
    return realloc(old, new_size);
}

static inline struct bw_endpoint w_ll(int id, uint32_t ifindex)
{
    struct bw_endpoint e = {.addr = {{0xfe, 0x80, [15] = (uint8_t)id}}, .port = 4870, .scope = ifindex};
    return e;
}

static inline struct bw_endpoint w_v4(int id, uint8_t variant)
{
    struct bw_endpoint e = {.addr = bw_addr_v4((uint8_t[]){10, variant, 0, (uint8_t)id}), .port = 4870};
    return e;
}

static inline void w_deliver_later(struct world *w, const struct w_packet *p)
{
    for (int i = 0; i < W_PACKETS; i++) {
        if (w->packet[i].to >= 0) continue;
        w->packet[i] = *p;
        if (i >= w->packets) w->packets = i + 1;
        w->packet[i].order = w->order++;
        w->packet[i].at = w->now + w->delay_us + (w->jitter_us ? bw_rng_below(&w->rng, w->jitter_us) : 0);
        return;
    }
    fail_msg("too many packets under way");
}

static inline void w_send(void *ctx, const struct bw_endpoint *to, uint32_t ifindex, const uint8_t *data, size_t n)
{
    struct w_node *me = ctx;
    struct world *w = me->w;
    bool ll = bw_addr_is_linklocal(&to->addr);
    uint32_t segment = ll ? to->scope : 1;
    if (ll && ifindex) assert_int_equal(ifindex, to->scope);
    if (n == WG_INITIATION_LEN) me->initiations++;
    if (n == WG_COOKIE_LEN) memcpy(w->last_cookie, data, n);
    int id = to->addr.b[15];
    if (id >= W_NODES || !w->node[id].ls || w->cut[segment]) return;
    if (!ll && to->addr.b[13] != w->node[id].variant) return; // nobody lives there any more
    struct w_packet p = {.to = id, .ifindex = segment, .n = n, .from = ll ? w_ll(me->id, segment) : w_v4(me->id, me->variant)};
    p.on_link = ll || w->v4_on_link;
    assert_true(n <= sizeof p.data);
    memcpy(p.data, data, n);
    if (n == WG_INITIATION_LEN) w->last_initiation = p;
    if (w->tap) w->tap(w, &p);
    if (p.to < 0 || (w->loss_permille && bw_rng_below(&w->rng, 1000) < w->loss_permille)) return;
    w_deliver_later(w, &p);
}

static inline void w_changed(void *ctx, uint16_t slot, unsigned what)
{
    struct w_node *me = ctx;
    struct link_info info;
    struct keypair *tx, *rx[LINK_RX_KEYS];
    unsigned rx_count;
    assert_int_equal(linkset_info(me->ls, slot, &info), 0);
    linkset_keys(me->ls, slot, &tx, rx, &rx_count);
    if (what & LINK_CHANGED_GONE) assert_true(!tx && !rx_count);
    if (what & LINK_CHANGED_UP) assert_non_null(tx);
    if (what & LINK_CHANGED_DOWN) assert_null(tx);
    assert_true(!tx == (info.state != LINK_UP));
    if (what & LINK_CHANGED_UP && slot < W_SLOTS) me->ups[slot]++;
    if (what & LINK_CHANGED_DOWN && slot < W_SLOTS) me->downs[slot]++;
    if (what & LINK_CHANGED_GONE) me->gones++;
    if (what & LINK_CHANGED_SILENT) me->silents++;
    if (what & LINK_CHANGED_KEYS) me->keys++;
    me->last_change = what;
}

static inline int w_persist(void *ctx, uint64_t high)
{
    struct w_node *me = ctx;
    assert_true(high > me->tai);
    me->tai = high;
    me->persists++;
    return 0;
}

static inline void w_keylog(void *ctx, const char *line)
{
    struct world *w = ((struct w_node *)ctx)->w;
    size_t n = strlen(w->keylog);
    snprintf(w->keylog + n, sizeof w->keylog - n, "%s\n", line);
}

static inline void w_start(struct world *w, int i)
{
    struct w_node *n = &w->node[i];
    n->config.identity = &n->me;
    n->config.tai_high = n->tai;
    if (!n->config.threads) n->config.threads = 1;
    struct linkset_ops ops = {.ctx = n, .send = w_send, .changed = w_changed, .persist_tai = w_persist, .keylog = w_keylog};
    n->ls = linkset_new(&n->mem, &n->rng, NULL, &n->config, &ops);
}

static inline void w_stop(struct world *w, int i)
{
    linkset_free(w->node[i].ls);
    w->node[i].ls = NULL;
    for (int k = 0; k < W_PACKETS; k++)
        if (w->packet[k].to == i) w->packet[k].to = -1;
}

static inline struct world *w_new(uint8_t seed, int nodes)
{
    struct world *w = calloc(1, sizeof *w);
    uint8_t s[32] = {seed};
    bw_rng_seed(&w->rng, s);
    w->now = 1000 * BW_S;
    w->delay_us = 1000;
    w->v4_on_link = true;
    w->only_sender = -1;
    for (int i = 0; i < W_PACKETS; i++) w->packet[i].to = -1;
    for (int i = 0; i < W_NODES; i++) {
        struct w_node *n = &w->node[i];
        n->w = w;
        n->id = i;
        n->mem.resize = w_resize;
        n->unix_ns = 56 * W_YEAR_NS;
        bw_rng_bytes(&w->rng, s, sizeof s);
        bw_rng_seed(&n->rng, s);
        if (i >= nodes) continue;
        identity_draw(&n->me, &w->rng);
        w_start(w, i);
        assert_non_null(n->ls);
    }
    return w;
}

static inline void w_free(struct world *w)
{
    for (int i = 0; i < W_NODES; i++) {
        if (w->node[i].ls) w_stop(w, i);
        assert_int_equal(w->node[i].mem.used, 0);
    }
    free(w);
}

static inline uint64_t w_unix(const struct w_node *n)
{
    return n->unix_ns + n->w->now * 1000;
}

// What core/fwd does with a data message, one at a time.
static inline void w_data(struct w_node *n, struct w_packet *p)
{
    struct bw_rd r = bw_rd(p->data + 4, 4);
    uint32_t index = bw_rd_le32(&r);
    uint16_t slot = 0;
    struct keypair *k = linkset_find_keys(n->ls, index, &slot);
    int len = k ? keypair_open(k, 0, p->data, p->n, n->w->now) : BW_ERR_NOTFOUND;
    if (len < 0) {
        n->unopened++;
        return;
    }
    if (!k->confirmed) linkset_confirm(n->ls, index, n->w->now);
    struct link_info info;
    assert_int_equal(linkset_info(n->ls, slot, &info), 0);
    if (!bw_endpoint_eq(&info.endpoint, &p->from)) linkset_roam(n->ls, index, &p->from, p->ifindex, n->w->now);
    if (len && slot < W_SLOTS) n->got[slot]++;
}

static inline void w_receive(struct world *w, struct w_packet *p)
{
    struct w_node *n = &w->node[p->to];
    if (!n->ls) return;
    if (p->data[0] == WG_DATA) w_data(n, p);
    else linkset_rx(n->ls, p->ifindex, &p->from, p->on_link, p->data, p->n, w->now, w_unix(n));
}

// One payload over a link; false: no keys.
static inline bool w_send_data(struct w_node *n, uint16_t slot)
{
    struct keypair *tx, *rx[LINK_RX_KEYS];
    unsigned rx_count;
    struct link_info info;
    uint8_t buf[200] = {0};
    linkset_keys(n->ls, slot, &tx, rx, &rx_count);
    if (!tx || linkset_info(n->ls, slot, &info)) return false;
    int len = keypair_seal(tx, 0, buf, 50, 1420, n->w->now);
    if (len < 0) return false;
    assert_int_equal(len, 64 + 32);
    if (slot < W_SLOTS) n->sent[slot]++;
    w_send(n, &info.endpoint, info.ifindex, buf, (size_t)len);
    return true;
}

static inline void w_traffic(struct world *w)
{
    for (int i = 0; i < W_NODES; i++) {
        struct w_node *n = &w->node[i];
        if (!n->ls || (w->only_sender >= 0 && w->only_sender != i)) continue;
        for (int s = -1; (s = linkset_next(n->ls, s)) >= 0;) w_send_data(n, (uint16_t)s);
    }
    w->next_traffic = w->now + w->every;
}

static inline struct w_packet *w_next_packet(struct world *w)
{
    struct w_packet *best = NULL;
    while (w->packets && w->packet[w->packets - 1].to < 0) w->packets--;
    for (int i = 0; i < w->packets; i++) {
        struct w_packet *p = &w->packet[i];
        if (p->to >= 0 && (!best || p->at < best->at || (p->at == best->at && p->order < best->order))) best = p;
    }
    return best;
}

static inline void w_run(struct world *w, bw_time duration)
{
    bw_time end = w->now + duration;
    for (unsigned idle = 0;;) {
        bw_time next = end;
        struct w_packet *p = w_next_packet(w);
        if (p) next = bw_time_min(next, p->at);
        if (w->every) next = bw_time_min(next, w->next_traffic);
        for (int i = 0; i < W_NODES; i++)
            if (w->node[i].ls) next = bw_time_min(next, linkset_deadline(w->node[i].ls));
        idle = next <= w->now ? idle + 1 : 0;
        assert_true(idle < 5000); // deadlines must make progress
        if (next > w->now) w->now = next;
        if (p && p->at <= w->now) {
            struct w_packet now = *p;
            p->to = -1;
            w_receive(w, &now);
        }
        if (w->every && w->next_traffic <= w->now) w_traffic(w);
        for (int i = 0; i < W_NODES; i++) {
            struct w_node *n = &w->node[i];
            if (!n->ls || linkset_deadline(n->ls) > w->now) continue;
            linkset_tick(n->ls, w->now, w_unix(n));
            assert_true(linkset_deadline(n->ls) > w->now);
        }
        if (w->now >= end) return;
    }
}

static inline int w_discovered(struct world *w, int me, int other, uint32_t ifindex)
{
    struct bw_endpoint at = w_ll(other, ifindex);
    return linkset_discovered(w->node[me].ls, w->node[other].me.link_pk, ifindex, &at, true, w->now);
}

static inline struct link_peer w_peer(struct world *w, int other, bool endpoint)
{
    struct link_peer p = {.source = LINK_CONFIG};
    memcpy(p.key, w->node[other].me.link_pk, 32);
    snprintf(p.name, sizeof p.name, "node%d", other);
    if (endpoint) p.endpoint = w_v4(other, w->node[other].variant);
    return p;
}

static inline int w_add(struct world *w, int me, const struct link_peer *p)
{
    return linkset_add_peer(w->node[me].ls, p, w->now);
}

static inline struct link_info w_info(struct world *w, int me, uint16_t slot)
{
    struct link_info info;
    assert_int_equal(linkset_info(w->node[me].ls, slot, &info), 0);
    return info;
}

static inline bool w_up(struct world *w, int me, uint16_t slot)
{
    struct link_info info;
    return !linkset_info(w->node[me].ls, slot, &info) && info.state == LINK_UP;
}

static inline unsigned w_links(struct world *w, int me)
{
    struct linkset_stats s;
    linkset_stats(w->node[me].ls, &s);
    unsigned n = 0;
    for (int i = -1; (i = linkset_next(w->node[me].ls, i)) >= 0;) n++;
    assert_int_equal(n, s.links);
    return n;
}

static inline uint64_t w_drops(struct world *w, int me, enum link_drop d)
{
    return linkset_drops(w->node[me].ls, d);
}

// Two nodes that discovered each other on interface 1.
static inline struct world *w_joined(uint8_t seed)
{
    struct world *w = w_new(seed, 2);
    assert_int_equal(w_discovered(w, 0, 1, 1), 0);
    assert_int_equal(w_discovered(w, 1, 0, 1), 0);
    w_run(w, 100 * BW_MS);
    assert_true(w_up(w, 0, 0) && w_up(w, 1, 0));
    return w;
}

#endif
