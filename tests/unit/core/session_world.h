// Session nodes joined by a fake mesh under virtual time. The packet path is played here as core/fwd does it: packets for a
// peer are sealed with the table's keys or handed to sessions_send, ESP that came is opened with the table's keys.
#ifndef UNIT_CORE_SESSION_WORLD_H
#define UNIT_CORE_SESSION_WORLD_H

#include "unit/vectors.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "core/fwd/csum.h"
#include "core/fwd/ip.h"
#include "core/session/session.h"

#define S_NODES 4
#define S_PACKETS 4096
#define S_YEAR_NS (365ull * 86400 * 1000000000)

struct s_packet {
    bw_time at;
    uint64_t order;
    int from, to; // to -1: free
    size_t n;
    uint8_t data[1500];
};

struct s_node {
    struct s_world *w;
    int id;
    struct identity me;
    struct bw_mem mem;
    struct bw_rng rng;
    struct sessions *ss;
    struct sessions_config config;
    uint64_t unix_ns, tai; // wall clock at time 0; "disk"
    struct { // "disk"
        struct bw_addr addr;
        uint8_t key[32];
    } keys[64];
    unsigned key_count, changes, ups, downs, persists;
    struct session_table *table; // what the packet path has
    unsigned sent, got, plain, undeliverable; // data packets; `plain` must stay 0
    uint8_t seen[1 << 16];       // by number: how often it came
    uint8_t delivered[1500];     // the last that came by ops.deliver
    size_t delivered_n;
    unsigned deliveries;
};

struct s_world {
    bw_time now;
    uint64_t order;
    struct s_node node[S_NODES];
    struct s_packet packet[S_PACKETS];
    struct bw_rng rng;
    unsigned loss_permille, delay_us, jitter_us;
    bool no_questions, no_table; // a relay that suppresses the key question; a packet path that has no table yet
    int (*evil)(struct s_world *w, struct s_packet *p); // may change it; -1: drop it
    unsigned initiations, notices, questions, esp, dummies;
    char keylog[1 << 16];
    int fail_after; // allocations of every node; 0: never
};

static inline void *s_resize(struct bw_mem *m, void *old, size_t old_size, size_t new_size)
{
    struct s_node *n = (struct s_node *)((char *)m - offsetof(struct s_node, mem));
    (void)old_size;
    if (!new_size) {
        free(old);
        return NULL;
    }
    if (n->w && n->w->fail_after && !--n->w->fail_after) {
        n->w->fail_after = 1;
        return NULL;
    }
    return realloc(old, new_size);
}

static inline int s_node_of(const struct s_world *w, const uint8_t *addr)
{
    for (int i = 0; i < S_NODES; i++)
        if (!memcmp(w->node[i].me.addr.b, addr, 16)) return i;
    return -1;
}

static inline void s_queue(struct s_world *w, int from, int to, const uint8_t *p, size_t n)
{
    struct s_packet q = {.from = from, .to = to, .n = n};
    memcpy(q.data, p, n);
    if (w->evil && w->evil(w, &q) < 0) return;
    if (q.to < 0 || (w->loss_permille && bw_rng_below(&w->rng, 1000) < w->loss_permille)) return;
    for (int i = 0; i < S_PACKETS; i++) {
        if (w->packet[i].to >= 0) continue;
        q.at = w->now + w->delay_us + (w->jitter_us ? bw_rng_below(&w->rng, w->jitter_us) : 0);
        q.order = ++w->order;
        w->packet[i] = q;
        return;
    }
    fail_msg("too many packets under way");
}

static inline bool s_send(void *ctx, const struct bw_addr *to, const uint8_t *p, size_t n)
{
    struct s_node *me = ctx;
    struct s_world *w = me->w;
    assert_in_range(n, 40, 1420);
    assert_int_equal(ip_get16(p + 4), n - 40);
    assert_memory_equal(p + 8, me->me.addr.b, 16);
    assert_memory_equal(p + 24, to->b, 16);
    if (p[6] == 50) {
        w->esp++;
        if (n == 40 + esp_len(0)) w->dummies++;
    } else if (p[6] == 17 && ip_get16(p + 42) == SESSION_PORT) {
        uint8_t type = p[48];
        if (type == SESSION_INITIATION) w->initiations++;
        if (type == SESSION_NOTICE) w->notices++;
        if (type == SESSION_QUESTION) w->questions++;
        if (w->no_questions && type >= SESSION_QUESTION) return true;
    } else {
        me->plain++;
    }
    int peer = s_node_of(w, to->b);
    if (peer >= 0) s_queue(w, me->id, peer, p, n);
    return peer >= 0;
}

static inline void s_number(struct s_node *me, const uint8_t *payload, size_t n)
{
    assert_true(n >= 4);
    uint32_t k = ip_get32(payload);
    assert_true(k < sizeof me->seen);
    assert_int_equal(me->seen[k], 0); // nothing comes twice
    me->seen[k]++;
    me->got++;
    for (size_t i = 4; i < n; i++) assert_int_equal(payload[i], (uint8_t)(k + i));
}

static inline void s_deliver(void *ctx, const uint8_t *p, size_t n)
{
    struct s_node *me = ctx;
    memcpy(me->delivered, p, n);
    me->delivered_n = n;
    me->deliveries++;
    if (p[6] == 253) s_number(me, p + 40, n - 40);
}

static inline void s_changed(void *ctx)
{
    struct s_node *me = ctx;
    me->changes++;
    if (me->w->no_table) return;
    session_table_unref(me->table);
    me->table = sessions_table(me->ss);
    session_table_ref(me->table);
}

static inline int s_persist(void *ctx, uint64_t high)
{
    struct s_node *me = ctx;
    assert_true(high > me->tai);
    me->tai = high;
    me->persists++;
    return 0;
}

static inline bool s_find_key(void *ctx, const struct bw_addr *a, uint8_t key[32])
{
    struct s_node *me = ctx;
    for (unsigned i = 0; i < me->key_count; i++) {
        if (!bw_addr_eq(&me->keys[i].addr, a)) continue;
        memcpy(key, me->keys[i].key, 32);
        return true;
    }
    return false;
}

static inline void s_keep_key(void *ctx, const struct bw_addr *a, const uint8_t key[32])
{
    struct s_node *me = ctx;
    uint8_t had[32];
    if (s_find_key(me, a, had)) {
        assert_memory_equal(key, had, 32);
        return;
    }
    assert_in_range(me->key_count, 0, 63);
    me->keys[me->key_count].addr = *a;
    memcpy(me->keys[me->key_count++].key, key, 32);
}

static inline void s_keylog(void *ctx, const char *line)
{
    struct s_world *w = ((struct s_node *)ctx)->w;
    size_t n = strlen(w->keylog);
    snprintf(w->keylog + n, sizeof w->keylog - n, "%s\n", line);
}

static inline void s_told(void *ctx, const struct bw_addr *a, enum session_state s)
{
    struct s_node *me = ctx;
    (void)a;
    if (s == SESSION_UP) me->ups++;
    else me->downs++;
}

static inline void s_start(struct s_node *me)
{
    struct sessions_ops ops = {.ctx = me, .send = s_send, .deliver = s_deliver, .changed = s_changed, .persist_tai = s_persist,
                               .find_key = s_find_key, .keep_key = s_keep_key, .keylog = s_keylog, .told = s_told};
    me->config.identity = &me->me;
    me->config.threads = 2;
    me->config.tai_high = me->tai;
    me->ss = sessions_new(&me->mem, &me->rng, NULL, &me->config, &ops);
    assert_non_null(me->ss);
}

static inline void s_stop(struct s_node *me)
{
    session_table_unref(me->table);
    me->table = NULL;
    sessions_free(me->ss);
    me->ss = NULL;
    assert_int_equal(me->mem.used, 0);
}

static inline void s_world(struct s_world *w, uint8_t seed)
{
    memset(w, 0, sizeof *w);
    w->now = 1000 * BW_S;
    w->delay_us = 20000;
    uint8_t s[32] = {seed, 77};
    bw_rng_seed(&w->rng, s);
    for (int i = 0; i < S_PACKETS; i++) w->packet[i].to = -1;
    for (int i = 0; i < S_NODES; i++) {
        struct s_node *n = &w->node[i];
        n->w = w;
        n->id = i;
        n->mem.resize = s_resize;
        uint8_t k[32] = {seed, (uint8_t)i, 1};
        bw_rng_seed(&n->rng, k);
        identity_draw(&n->me, &n->rng);
        n->unix_ns = 56 * S_YEAR_NS;
        n->config.aes = true;
        s_start(n);
    }
}

static inline void s_end(struct s_world *w)
{
    for (int i = 0; i < S_NODES; i++) {
        assert_int_equal(w->node[i].plain, 0); // ESP or nothing
        if (w->node[i].ss) s_stop(&w->node[i]);
    }
    free(w);
}

static inline struct s_world *s_new(uint8_t seed)
{
    struct s_world *w = malloc(sizeof *w);
    s_world(w, seed);
    return w;
}

// ---- the packet path ----

static inline size_t s_make(const struct s_world *w, int from, int to, uint32_t number, size_t payload, uint8_t *p)
{
    ip6_header(p, 0, (uint16_t)payload, 253, 64, &w->node[from].me.addr, &w->node[to].me.addr);
    ip_put32(p + 40, number);
    for (size_t i = 4; i < payload; i++) p[40 + i] = (uint8_t)(number + i);
    return 40 + payload;
}

static inline void s_tick(struct s_world *w, int i)
{
    struct s_node *n = &w->node[i];
    if (n->ss) sessions_tick(n->ss, w->now, n->unix_ns + w->now * 1000);
}

static inline void s_data(struct s_world *w, int from, int to, uint32_t number)
{
    uint8_t p[1420], out[1420];
    struct s_node *me = &w->node[from];
    size_t n = s_make(w, from, to, number, 100, p);
    const struct session_entry *e = session_table_peer(me->table, &w->node[to].me.addr);
    me->sent++;
    int len = -1;
    if (e) {
        memcpy(out + 40 + ESP_HEADER, p + 40, n - 40);
        len = sa_seal(e->tx, 1, out + 40, n - 40, 253, NULL, w->now);
    }
    if (len < 0) {
        sessions_send(me->ss, &w->node[to].me.addr, p, n, w->now);
    } else {
        ip6_header(out, 0, (uint16_t)len, 50, 64, &me->me.addr, &w->node[to].me.addr);
        s_send(me, &w->node[to].me.addr, out, 40 + (size_t)len);
    }
    s_tick(w, from);
}

static inline void s_receive(struct s_world *w, struct s_packet *q)
{
    struct s_node *me = &w->node[q->to];
    struct bw_addr from;
    uint8_t *p = q->data, next;
    if (!me->ss) return;
    memcpy(from.b, p + 8, 16);
    uint16_t slot = (uint16_t)q->from;
    if (p[6] == 17) {
        if (q->n >= 48) sessions_rx(me->ss, slot, &from, p + 48, q->n - 48, w->now);
    } else if (p[6] == IP_ICMPV6) {
        sessions_icmp_error(me->ss, p, q->n, w->now);
    } else if (p[6] == 50 && q->n >= 56) {
        struct sa *a = session_table_spi(me->table, ip_get32(p + 40));
        if (!a) {
            sessions_rx_esp(me->ss, slot, p, q->n, w->now);
        } else if (bw_addr_eq(&a->peer, &from)) {
            int len = sa_open(a, 1, p + 40, q->n - 40, &next, w->now);
            if (len >= 0 && !atomic_load(&a->confirmed)) sessions_confirm(me->ss, a->local_spi, w->now);
            if (len >= 0 && next == 253) s_number(me, p + 56, (size_t)len);
        }
    }
    s_tick(w, q->to);
}

// Everything that happens until `until`.
static inline void s_run(struct s_world *w, bw_time until)
{
    for (;;) {
        bw_time at = BW_NEVER;
        int next = -1, node = -1;
        for (int i = 0; i < S_PACKETS; i++) {
            struct s_packet *p = &w->packet[i];
            if (p->to < 0 || (next >= 0 && (p->at > w->packet[next].at || (p->at == w->packet[next].at && p->order > w->packet[next].order)))) continue;
            next = i;
        }
        if (next >= 0) at = w->packet[next].at;
        for (int i = 0; i < S_NODES; i++) {
            bw_time d = w->node[i].ss ? sessions_deadline(w->node[i].ss) : BW_NEVER;
            if (d < at) at = d, node = i, next = -1;
        }
        if (at > until) break;
        if (at > w->now) w->now = at;
        if (next >= 0) {
            struct s_packet q = w->packet[next];
            w->packet[next].to = -1;
            s_receive(w, &q);
        } else {
            s_tick(w, node);
        }
    }
    if (until > w->now) w->now = until;
}
static inline void s_for(struct s_world *w, bw_time t)
{
    s_run(w, w->now + t);
}

static inline enum session_state s_state(struct s_world *w, int a, int b)
{
    struct session_info i;
    return sessions_info(w->node[a].ss, &w->node[b].me.addr, &i) ? SESSION_IDLE : i.state;
}
static inline struct session_info s_info(struct s_world *w, int a, int b)
{
    struct session_info i;
    assert_int_equal(sessions_info(w->node[a].ss, &w->node[b].me.addr, &i), 0);
    return i;
}

#endif
