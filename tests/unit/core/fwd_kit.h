// What the packet path's tests share: nodes with keys between them, a sink that keeps what it is given, packets to
// send.
#ifndef TESTS_FWD_KIT_H
#define TESTS_FWD_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/fwd/csum.h"
#include "core/fwd/fwd.h"
#include "core/fwd/ip.h"
#include "core/fwd/vnet.h"
#include "unit/parse.h"

#define NOW (1000 * BW_S)
// A train, with 200 bytes of headers before it, stays below what a device takes at once (gso_max_size): fwd's own limit may be
// lower, but not higher.
#define KIT_TRAIN_MAX (65536 - 200)

// ---- chance, the same in every run ----
static uint64_t kit_state = 1;
static inline uint32_t rnd(void)
{
    kit_state = kit_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(kit_state >> 33);
}
static inline void rnd_bytes(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)rnd();
}

// ---- what came out ----
struct kit_bytes {
    uint8_t *p;
    size_t n;
};
#define KIT_MAX 4096
struct kit_out {
    struct kit_bytes wire[KIT_MAX], tun[KIT_MAX], punt_data[KIT_MAX];
    struct fwd_train train[KIT_MAX]; // data points into wire
    struct fwd_punt punt[KIT_MAX];
    unsigned wires, tuns, punts;
};

static inline struct kit_bytes kit_copy(const void *p, size_t n)
{
    struct kit_bytes b = {malloc(n ? n : 1), n};
    if (n) memcpy(b.p, p, n);
    return b;
}
static inline void kit_wire(void *ctx, const struct fwd_train *t)
{
    struct kit_out *o = ctx;
    assert_in_range(o->wires, 0, KIT_MAX - 1);
    o->wire[o->wires] = kit_copy(t->data, t->len);
    o->train[o->wires] = *t;
    o->train[o->wires].data = o->wire[o->wires].p;
    o->wires++;
    assert_true(t->seg > 0 && t->len > 0 && t->len < KIT_TRAIN_MAX && (t->len + t->seg - 1) / t->seg <= 64);
}
static inline void kit_tun(void *ctx, const struct fwd_piece *v, unsigned n)
{
    struct kit_out *o = ctx;
    size_t len = 0;
    assert_in_range(o->tuns, 0, KIT_MAX - 1);
    assert_in_range(n, 1, FWD_PIECES_MAX);
    for (unsigned i = 0; i < n; i++) len += v[i].len;
    uint8_t *p = malloc(len);
    len = 0;
    for (unsigned i = 0; i < n; i++) {
        memcpy(p + len, v[i].base, v[i].len);
        len += v[i].len;
    }
    assert_in_range(len, VNET_LEN + 20, VNET_LEN + 65575);
    o->tun[o->tuns++] = (struct kit_bytes){p, len};
}
static inline void kit_punt(void *ctx, const struct fwd_punt *p)
{
    struct kit_out *o = ctx;
    assert_in_range(o->punts, 0, KIT_MAX - 1);
    o->punt_data[o->punts] = kit_copy(p->data, p->len);
    o->punt[o->punts] = *p;
    o->punt[o->punts].data = o->punt_data[o->punts].p;
    o->punts++;
}
static inline void kit_clear(struct kit_out *o)
{
    for (unsigned i = 0; i < o->wires; i++) free(o->wire[i].p);
    for (unsigned i = 0; i < o->tuns; i++) free(o->tun[i].p);
    for (unsigned i = 0; i < o->punts; i++) free(o->punt_data[i].p);
    o->wires = o->tuns = o->punts = 0;
}

// ---- a node: one struct fwd and its snapshot ----
struct kit_node {
    struct bw_mem mem;
    void *memory;
    struct fwd *fwd;
    struct fwd_snapshot *s;
    struct fwd_config c;
    struct fwd_link link[8];
    struct keypair *rx[8];
    uint16_t rx_link[8];
    struct fwd_route mesh[16], tun[16];
    struct fwd_tunnel tunnel[4];
    struct session_entry session[4];
    unsigned session_count;
    struct session_traces *traces;
    struct kit_out out;
};

static inline void kit_node(struct kit_node *n, const char *self)
{
    memset(n, 0, sizeof *n);
    bw_mem_system(&n->mem);
    n->memory = aligned_alloc(64, (fwd_size() + 63) & ~(size_t)63);
    struct fwd_sink sink = {&n->out, kit_wire, kit_tun, kit_punt};
    n->fwd = fwd_init(n->memory, 0, &sink);
    n->c.self = addr(self);
    n->c.linklocal = addr("fe80::1");
    memcpy(n->c.linklocal.b + 8, n->c.self.b + 8, 8);
    n->c.transit = true;
    n->c.links = n->link;
    n->c.rx_keys = n->rx;
    n->c.rx_links = n->rx_link;
    n->c.mesh = n->mesh;
    n->c.tun = n->tun;
    n->c.tunnels = n->tunnel;
    n->traces = session_traces_new(&n->mem);
}

// A link between two nodes: a's slot i to b's slot j, keys from a counter.
static inline void kit_link(struct kit_node *a, uint16_t i, struct kit_node *b, uint16_t j)
{
    static uint8_t serial;
    uint8_t k1[32] = {++serial, 1}, k2[32] = {serial, 2};
    uint32_t ia = 0x1000u * serial + 1, ib = 0x1000u * serial + 2;
    struct link_shared *sa = link_shared_new(&a->mem), *sb = link_shared_new(&b->mem);
    struct keypair *ka = keypair_new(&a->mem, 1, k1, k2, true, true, ia, ib, sa, NOW);
    struct keypair *kb = keypair_new(&b->mem, 1, k2, k1, true, true, ib, ia, sb, NOW);
    char ea[32], eb[32];
    snprintf(ea, sizeof ea, "10.0.%u.1:4870", serial);
    snprintf(eb, sizeof eb, "10.0.%u.2:4870", serial);
    a->link[i] = (struct fwd_link){.used = true, .ifindex = 10u + i, .remote = endpoint(eb), .tx = ka, .shared = sa};
    b->link[j] = (struct fwd_link){.used = true, .ifindex = 10u + j, .remote = endpoint(ea), .tx = kb, .shared = sb};
    if (a->c.link_count <= i) a->c.link_count = i + 1u;
    if (b->c.link_count <= j) b->c.link_count = j + 1u;
    a->rx[a->c.rx_count] = ka, a->rx_link[a->c.rx_count++] = i;
    b->rx[b->c.rx_count] = kb, b->rx_link[b->c.rx_count++] = j;
}
static inline void kit_route(struct kit_node *n, const char *to, enum fwd_target target, uint16_t link)
{
    n->mesh[n->c.mesh_count++] = (struct fwd_route){.prefix = prefix(to), .target = target, .link = link};
}
static inline void kit_tun_route(struct kit_node *n, const char *to, const char *via)
{
    n->tun[n->c.tun_count++] = (struct fwd_route){.prefix = prefix(to), .target = FWD_TO_TUNNEL, .via = addr(via)};
}
static inline struct sa *kit_sa(struct kit_node *n, struct kit_node *other, const uint8_t tx[32], const uint8_t rx[32],
                                uint32_t local, uint32_t remote)
{
    struct sa_keys s, r;
    struct session_shared *shared = session_shared_new(&n->mem);
    sa_derive(&s, BW_AES_256_GCM, tx);
    sa_derive(&r, BW_AES_256_GCM, rx);
    struct sa *a = sa_new(&n->mem, 2, BW_AES_256_GCM, &s, &r, true, &other->c.self, local, remote, shared, NOW);
    session_shared_unref(shared);
    n->session[n->session_count++] = (struct session_entry){other->c.self, a, FWD_MTU};
    return a;
}
// End-to-end keys between two nodes; they stand after kit_ready.
static inline void kit_session(struct kit_node *a, struct kit_node *b)
{
    static uint8_t serial;
    uint8_t k1[32] = {++serial, 3}, k2[32] = {serial, 4};
    kit_sa(a, b, k1, k2, 0x5000u * serial, 0x5000u * serial + 1);
    kit_sa(b, a, k2, k1, 0x5000u * serial + 1, 0x5000u * serial);
}
static inline void kit_ready(struct kit_node *n)
{
    struct sa *rx[4];
    for (unsigned i = 0; i < n->session_count; i++) rx[i] = n->session[i].tx;
    session_table_unref(n->c.sessions);
    n->c.sessions = session_table_new(&n->mem, n->c.hash_key, n->session, n->session_count, rx, n->session_count, n->traces);
    fwd_snapshot_free(n->s);
    n->s = fwd_snapshot_new(&n->mem, &n->c);
    assert_non_null(n->s);
}
static inline void kit_free(struct kit_node *n)
{
    kit_clear(&n->out);
    fwd_snapshot_free(n->s);
    session_table_unref(n->c.sessions);
    for (unsigned i = 0; i < n->session_count; i++) sa_unref(n->session[i].tx);
    session_traces_unref(n->traces);
    for (unsigned i = 0; i < n->c.rx_count; i++) keypair_unref(n->rx[i]);
    for (unsigned i = 0; i < n->c.link_count; i++)
        if (n->link[i].used) link_shared_unref(n->link[i].shared);
    for (unsigned i = 0; i < n->c.tunnel_count; i++) fwd_tunnel_shared_unref(n->tunnel[i].shared);
    assert_int_equal(n->mem.used, 0); // nothing was kept
    free(n->memory);
}

// ---- some nodes, NULL at the end, as cmocka's set-up (`return kit_start(state, nodes)`) and its teardown ----
static inline int kit_start(void **state, struct kit_node *const *nodes)
{
    for (unsigned i = 0; nodes[i]; i++) kit_ready(nodes[i]);
    *state = (void *)(uintptr_t)nodes;
    return 0;
}
static inline int kit_end(void **state)
{
    struct kit_node *const *nodes = *state;
    for (unsigned i = 0; nodes[i]; i++) kit_free(nodes[i]);
    return 0;
}
// Three nodes in a row: the relay's link 0 is to the first, its link 1 to the last; these have one link, 0.
static inline void kit_row(struct kit_node *const row[3], const char *first, const char *relay, const char *last)
{
    kit_node(row[0], first);
    kit_node(row[1], relay);
    kit_node(row[2], last);
    kit_link(row[0], 0, row[1], 0);
    kit_link(row[1], 1, row[2], 0);
}
// A client, all whose traffic goes through an exit that leased it these two addresses.
static inline void kit_lease(struct kit_node *client, struct kit_node *ex)
{
    struct fwd_tunnel t = {.inner4 = addr("100.64.0.7"), .inner6 = addr("2001:db8:e::7"), .peer = client->c.self};
    t.shared = fwd_tunnel_shared_new(&ex->mem);
    ex->tunnel[ex->c.tunnel_count++] = t;
    ex->c.sharing = true;
    t.peer = ex->c.self, t.is_exit = true, t.shared = fwd_tunnel_shared_new(&client->mem);
    client->tunnel[client->c.tunnel_count++] = t;
    for (int v6 = 0; v6 < 2; v6++)
        client->tun[client->c.tun_count++] =
            (struct fwd_route){.prefix = prefix(v6 ? "::/0" : "0.0.0.0/0"), .target = FWD_TO_TUNNEL, .via = ex->c.self};
}

// Carries everything that a sent over the wire to b, which sees it come from a's link end. Exactly sized buffers.
static inline void kit_carry(struct kit_node *a, struct kit_node *b, uint16_t b_slot)
{
    struct fwd_train t[64];
    unsigned n = 0, w = 0;
    while (w < a->out.wires) {
        for (n = 0; n < 64 && w < a->out.wires; n++, w++) {
            t[n] = a->out.train[w];
            t[n].remote = b->link[b_slot].remote;
            t[n].ifindex = b->link[b_slot].ifindex;
        }
        fwd_from_wire(b->fwd, b->s, t, n, NOW + 1);
    }
    for (unsigned i = 0; i < a->out.wires; i++) free(a->out.wire[i].p);
    a->out.wires = 0;
}

// ... along a row (kit_row), from its first node to its last or back.
static inline void kit_there(struct kit_node *const row[3])
{
    kit_carry(row[0], row[1], 0);
    kit_carry(row[1], row[2], 0);
}
static inline void kit_back(struct kit_node *const row[3])
{
    kit_carry(row[2], row[1], 1);
    kit_carry(row[1], row[0], 0);
}

// ---- packets ----
static inline uint64_t kit_pseudo(const uint8_t *ip, uint8_t proto, uint32_t n)
{
    return ip[0] >> 4 == 4 ? csum_pseudo(ip + 12, ip + 16, 4, proto, n) : csum_pseudo(ip + 8, ip + 24, 16, proto, n);
}
// IP header for n bytes of payload; returns its length.
static inline size_t kit_ip(uint8_t *p, const char *src, const char *dst, uint8_t proto, size_t n)
{
    struct bw_addr s = addr(src), d = addr(dst);
    if (!bw_addr_is_v4(&s)) {
        ip6_header(p, 0, (uint16_t)n, proto, 64, &s, &d);
        return 40;
    }
    memset(p, 0, 20);
    p[0] = 0x45;
    ip_put16(p + 2, (uint16_t)(20 + n));
    p[6] = 0x40;
    p[8] = 64;
    p[9] = proto;
    memcpy(p + 12, s.b + 12, 4);
    memcpy(p + 16, d.b + 12, 4);
    ip4_checksum(p, 20);
    return 20;
}
// A UDP packet with n bytes of payload that start at `fill`; returns the IP packet's length.
static inline size_t kit_udp(uint8_t *p, const char *src, const char *dst, uint16_t sport, uint16_t dport, size_t n,
                             uint8_t fill)
{
    size_t h = kit_ip(p, src, dst, IP_UDP, 8 + n);
    uint8_t *u = p + h;
    ip_put16(u, sport);
    ip_put16(u + 2, dport);
    ip_put16(u + 4, (uint16_t)(8 + n));
    u[6] = u[7] = 0;
    for (size_t i = 0; i < n; i++) u[8 + i] = (uint8_t)(fill + i);
    csum_store(u + 6, csum_add(kit_pseudo(p, IP_UDP, (uint32_t)(8 + n)), u, 8 + n));
    if (!(u[6] | u[7])) u[6] = u[7] = 0xff;
    return h + 8 + n;
}
static inline size_t kit_echo(uint8_t *p, const char *src, const char *dst, bool reply, uint16_t id, size_t n)
{
    bool v4 = bw_addr_is_v4(&(struct bw_addr){0}) || strchr(src, '.');
    size_t h = kit_ip(p, src, dst, v4 ? IP_ICMP : IP_ICMPV6, 8 + n);
    uint8_t *e = p + h;
    memset(e, 0, 8 + n);
    e[0] = v4 ? (reply ? 0 : 8) : (reply ? 129 : 128);
    ip_put16(e + 4, id);
    csum_store(e + 2, csum_add(v4 ? 0 : kit_pseudo(p, IP_ICMPV6, (uint32_t)(8 + n)), e, 8 + n));
    return h + 8 + n;
}
// An IP packet as a TUN frame without offloads, in a buffer of exactly its size, given to the node.
static inline void kit_from_tun(struct kit_node *n, const uint8_t *packet, size_t len)
{
    uint8_t *f = calloc(1, VNET_LEN + len);
    memcpy(f + VNET_LEN, packet, len);
    fwd_from_tun(n->fwd, n->s, f, VNET_LEN + len, NOW);
    fwd_flush(n->fwd);
    free(f);
}
static inline bool kit_l4_good(const uint8_t *ip, size_t n)
{
    size_t h = ip[0] >> 4 == 4 ? (ip[0] & 15) * 4u : 40u;
    uint8_t proto = ip[0] >> 4 == 4 ? ip[9] : ip[6];
    uint64_t base = proto == IP_ICMP ? 0 : kit_pseudo(ip, proto, (uint32_t)(n - h));
    return csum_fold(csum_add(base, ip + h, n - h)) == 0xffff;
}

#endif
