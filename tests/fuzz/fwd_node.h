// What the packet path's fuzz targets share: a relay with two links, a tunnel client and a tunnel exit, and a sink that
// looks at everything that comes out.
#ifndef TESTS_FWD_NODE_H
#define TESTS_FWD_NODE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fwd/fwd.h"
#include "core/fwd/ip.h"
#include "core/fwd/vnet.h"
#include "core/session/session.h"

#define NOW (1000 * BW_S)

struct fuzz_node {
    struct bw_mem mem;
    struct fwd *fwd;
    struct fwd_snapshot *s;
    struct keypair *there[2], *here[2]; // the neighbours' ends and ours
    struct bw_endpoint remote[2];
    struct sa *esp; // of the client, to us
    uint64_t wires, tuns, punts;
    volatile uint8_t seen;
};

static inline void fuzz_must(bool good)
{
    if (!good) abort();
}

static inline void fuzz_wire(void *ctx, const struct fwd_train *t)
{
    struct fuzz_node *n = ctx;
    n->wires++;
    fuzz_must(t->seg >= 32 && t->len && t->len <= 65507 && (t->len + t->seg - 1u) / t->seg <= 64);
    uint8_t sum = 0;
    for (uint32_t i = 0; i < t->len; i++) sum ^= t->data[i]; // every byte is there
    n->seen = sum;
}
static inline void fuzz_tun(void *ctx, const struct fwd_piece *v, unsigned count)
{
    struct fuzz_node *n = ctx;
    static uint8_t frame[VNET_LEN + 65600];
    size_t len = 0;
    n->tuns++;
    fuzz_must(count >= 1 && count <= FWD_PIECES_MAX);
    for (unsigned i = 0; i < count; i++) {
        fuzz_must(len + v[i].len <= sizeof frame);
        memcpy(frame + len, v[i].base, v[i].len);
        len += v[i].len;
    }
    struct ip_view view;
    fuzz_must(!ip_parse(frame + VNET_LEN, len - VNET_LEN, &view) && view.len == len - VNET_LEN);
    struct vnet h = vnet_read(frame);
    fuzz_must((h.gso_type == VNET_GSO_NONE) == (h.flags == 0) && h.hdr_len < len && h.csum_start <= h.hdr_len);
}
static inline void fuzz_punt(void *ctx, const struct fwd_punt *p)
{
    struct fuzz_node *n = ctx;
    n->punts++;
    fuzz_must(p->kind <= FWD_PUNT_SESSION_WANTED && (p->data || !p->len));
}

static inline struct bw_addr fuzz_addr(const char *s)
{
    struct bw_addr a;
    fuzz_must(!bw_addr_parse(s, &a));
    return a;
}

// fc09::9 between fc01::1 (link 0) and fc02::2 (link 1); an exit for the client fc01::1, and a client of the exit
// fc02::2, which also exports networks.
static inline struct session_table *fuzz_sessions(struct fuzz_node *n)
{
    static const uint8_t hash[16] = {1};
    struct sa_keys k1, k2;
    uint8_t t1[32] = {1}, t2[32] = {2};
    struct bw_addr me = fuzz_addr("fc09::9"), client = fuzz_addr("fc01::1"), exit_ = fuzz_addr("fc02::2");
    sa_derive(&k1, BW_AES_256_GCM, t1);
    sa_derive(&k2, BW_AES_256_GCM, t2);
    struct session_shared *s = session_shared_new(&n->mem);
    struct sa *a = sa_new(&n->mem, 1, BW_AES_256_GCM, &k1, &k2, true, &client, 0x1000, 0x2000, s, NOW);
    struct sa *b = sa_new(&n->mem, 1, BW_CHACHA20_POLY1305, &k1, &k2, true, &exit_, 0x1001, 0x2001, s, NOW);
    n->esp = sa_new(&n->mem, 1, BW_AES_256_GCM, &k2, &k1, true, &me, 0x2000, 0x1000, s, NOW);
    fuzz_must(a && b && n->esp);
    struct session_entry e[] = {{client, a, FWD_MTU}, {exit_, b, SESSION_MTU_MIN}};
    return session_table_new(&n->mem, hash, e, 2, (struct sa *[]){a, b}, 2, session_traces_new(&n->mem));
}

static inline struct fuzz_node *fuzz_node(void)
{
    static struct fuzz_node n;
    if (n.fwd) return &n;
    fuzz_must(!bw_crypto_init());
    bw_mem_system(&n.mem);
    struct fwd_sink sink = {&n, fuzz_wire, fuzz_tun, fuzz_punt};
    n.fwd = fwd_init(aligned_alloc(64, (fwd_size() + 63) & ~(size_t)63), 0, &sink);
    fwd_set_uso(n.fwd, true);
    struct fwd_link link[2];
    uint16_t slots[2] = {0, 1};
    for (unsigned i = 0; i < 2; i++) {
        uint8_t k1[32] = {(uint8_t)i, 1}, k2[32] = {(uint8_t)i, 2};
        struct link_shared *s = link_shared_new(&n.mem);
        n.here[i] = keypair_new(&n.mem, 1, k1, k2, true, true, 0x01010101 * (i + 1), 7, s, NOW);
        n.there[i] = keypair_new(&n.mem, 1, k2, k1, true, true, 7, 0x01010101 * (i + 1), s, NOW);
        n.remote[i] = (struct bw_endpoint){fuzz_addr("10.0.0.1"), (uint16_t)(4870 + i), 0};
        link[i] = (struct fwd_link){.used = true, .internet = i, .light = i ? LIGHT_AES : LIGHT_NO, .remote = n.remote[i], .tx = n.here[i], .shared = s};
    }
    struct fwd_route mesh[] = {
        {.prefix = bw_prefix_host(&(struct bw_addr){{0xfc, 1, [15] = 1}}), .target = FWD_TO_LINK, .link = 0},
        {.prefix = bw_prefix_host(&(struct bw_addr){{0xfc, 2, [15] = 2}}), .target = FWD_TO_LINK, .link = 1},
        {.prefix = {fuzz_addr("10.1.0.0"), 112}, .target = FWD_TO_LINK, .link = 0},
        {.prefix = {fuzz_addr("10.2.0.0"), 112}, .target = FWD_TO_LINK, .link = 1},
        {.prefix = {fuzz_addr("10.9.0.0"), 112}, .target = FWD_TO_TUN},
        {.prefix = {fuzz_addr("10.8.0.0"), 112}, .target = FWD_TO_TUNNEL, .via = fuzz_addr("fc02::2")},
        {.prefix = {fuzz_addr("10.7.0.0"), 112}, .target = FWD_UNREACHABLE},
        {.prefix = {fuzz_addr("fd00:9::"), 64}, .target = FWD_TO_TUN},
        {.prefix = {fuzz_addr("fd00:2::"), 64}, .target = FWD_TO_LINK, .link = 1},
    };
    struct fwd_route tun[] = {
        {.prefix = {fuzz_addr("0.0.0.0"), 96}, .target = FWD_TO_TUNNEL, .via = fuzz_addr("fc02::2")},
        {.prefix = {fuzz_addr("::"), 0}, .target = FWD_TO_TUNNEL, .via = fuzz_addr("fc02::2")},
        {.prefix = {fuzz_addr("100.64.0.7"), 128}, .target = FWD_TO_TUNNEL, .via = fuzz_addr("fc01::1")},
        {.prefix = {fuzz_addr("10.2.0.0"), 112}, .target = FWD_TO_EXPORT, .via = fuzz_addr("fc02::2")},
        {.prefix = {fuzz_addr("fd00:2::"), 64}, .target = FWD_TO_EXPORT, .via = fuzz_addr("fc02::2")},
        {.prefix = {fuzz_addr("fd00:1::"), 64}, .target = FWD_TO_EXPORT},
    };
    struct bw_prefix exported[] = {{fuzz_addr("10.2.0.0"), 112}, {fuzz_addr("fd00:2::"), 64}};
    struct fwd_exporter exporter = {fuzz_addr("fc02::2"), exported, 2};
    struct fwd_tunnel tunnels[] = {
        {.peer = fuzz_addr("fc01::1"), .inner4 = fuzz_addr("100.64.0.7"), .inner6 = fuzz_addr("2001:db8:e::7")},
        {.peer = fuzz_addr("fc02::2"),
         .is_exit = true,
         .inner4 = fuzz_addr("100.64.9.9"),
         .inner6 = fuzz_addr("2001:db8:f::9")},
    };
    struct fwd_config c = {
        .self = fuzz_addr("fc09::9"),
        .linklocal = fuzz_addr("fe80::9"),
        .gateway4 = fuzz_addr("100.64.0.1"),
        .gateway6 = fuzz_addr("2001:db8:e::1"),
        .sharing = true,
        .transit = true,
        .sessions = fuzz_sessions(&n),
        .links = link,
        .link_count = 2,
        .rx_keys = n.here,
        .rx_links = slots,
        .rx_count = 2,
        .mesh = mesh,
        .mesh_count = sizeof mesh / sizeof *mesh,
        .tun = tun,
        .tun_count = sizeof tun / sizeof *tun,
        .tunnels = tunnels,
        .tunnel_count = 2,
        .exporters = &exporter,
        .exporter_count = 1,
    };
    n.s = fwd_snapshot_new(&n.mem, &c);
    fuzz_must(n.s);
    return &n;
}

#endif
