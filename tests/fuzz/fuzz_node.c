// Two whole nodes that talk to each other, and an input that interferes: packets from nowhere, packets of theirs that are
// changed on their way, time, failures. Records of the input: 0 time passes {ms be16}; 1 a datagram for a node {node, length,
// bytes}; 2 the next datagram in flight is changed {offset, xor}; 3 an IP packet from a node's machine {node, length, bytes};
// 4 a wire is cut or healed {what}; 5 crash, stop, forget or start {what}; 6 memory {node, call}; 7 clock {node, what};
// 8 a request over HTTP {node, length, path and body}; 9 the uplink {works}; 10 Babel from the peer, which holds the keys
// {node, length, TLVs}. The simulator's checks hold throughout, those of routing until a peer has lied (10). The cryptography is
// the simulator's stand-in: real keys took nine tenths of the time, and have fuzz targets of their own (link, session, wg).
#include <stdio.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "core/fwd/csum.h"
#include "core/fwd/ip.h"
#include "sim/check.h"
#include "sim/standin.h"

struct fuzz {
    struct world *w;
    struct check *c;
    unsigned starts;
    bool lied;
};

static void on_routes(void *ctx, uint32_t node, const struct fwd_snapshot *before)
{
    check_routes(((struct fuzz *)ctx)->c, node, before);
}

static void on_said(void *ctx, uint32_t node, const uint8_t *packet, size_t n)
{
    check_said(((struct fuzz *)ctx)->c, node, packet, n);
}

static size_t take(struct bw_rd *rd, uint8_t *out, size_t max)
{
    size_t n = bw_rd_be16(rd) % (max + 1);
    if (n > bw_rd_left(rd)) n = bw_rd_left(rd);
    bw_rd_bytes(rd, out, n);
    return n;
}

static void datagram(struct fuzz *f, struct bw_rd *rd)
{
    uint8_t which = bw_rd_u8(rd), buf[2048];
    size_t n = take(rd, buf, sizeof buf);
    struct event e = {.at = f->w->now + 1, .kind = EVENT_DATAGRAM, .node = which & 1, .link = which >> 1 & 1, .len = n};
    if (!n || !(e.data = malloc(n))) return;
    memcpy(e.data, buf, n);
    if (events_push(&f->w->events, &e)) abort();
}

static void change_one(struct fuzz *f, struct bw_rd *rd)
{
    uint16_t at = bw_rd_be16(rd);
    uint8_t x = bw_rd_u8(rd);
    for (size_t i = 0; i < f->w->events.count; i++) {
        struct event *e = &f->w->events.v[i];
        if (e->kind != EVENT_DATAGRAM || !e->len) continue;
        ((uint8_t *)e->data)[at % e->len] ^= x;
        return;
    }
}

static void packet(struct fuzz *f, struct bw_rd *rd)
{
    uint8_t node = bw_rd_u8(rd) & 1, buf[1500];
    size_t n = take(rd, buf, sizeof buf);
    if (n) world_inject(f->w, node, buf, n);
}

// What a neighbour that holds the keys may say: sealed by the one, opened by the other.
static void babel(struct fuzz *f, struct bw_rd *rd)
{
    uint8_t from = bw_rd_u8(rd) & 1, p[IP6_HEADER + 8 + 4 + 1024];
    struct world_node *n = &f->w->nodes[from];
    size_t len = take(rd, p + IP6_HEADER + 12, 1024);
    static const struct bw_addr group = {{0xff, 0x02, [13] = 1, [15] = 6}};
    struct bw_addr src = identity_linklocal(n->id.router_id);
    uint16_t udp = (uint16_t)(8 + 4 + len);
    uint8_t *u = p + IP6_HEADER;
    if (!n->snapshot) return;
    f->lied = true;
    f->w->hooks.routes = NULL;
    f->w->hooks.said = NULL;
    ip6_header(p, 0, udp, IP_UDP, 1, &src, &group);
    ip_put16(u, 6696), ip_put16(u + 2, 6696), ip_put16(u + 4, udp), ip_put16(u + 6, 0);
    u[8] = 42, u[9] = 2, ip_put16(u + 10, (uint16_t)len);
    csum_store(u + 6, csum_add(csum_pseudo(src.b, group.b, 16, IP_UDP, udp), u, udp));
    (void)!fwd_to_link(n->fwd, n->snapshot, 0, p, (size_t)(IP6_HEADER + udp), world_local(n));
}

static void life(struct fuzz *f, uint8_t what)
{
    uint32_t node = what & 1;
    switch (what >> 1 & 3) {
    case 0: world_crash(f->w, node); break;
    case 1: world_stop(f->w, node); break;
    case 2:
        if (!f->w->nodes[node].node) world_forget(f->w, node);
        break;
    default:
        if (f->starts++ < 6) world_start(f->w, node);
    }
}

static void memory(struct fuzz *f, struct bw_rd *rd)
{
    struct world_mem *m = &f->w->nodes[bw_rd_u8(rd) & 1].memory;
    uint8_t call = bw_rd_u8(rd);
    m->fail_at = call ? m->calls + call : 0;
    m->fail_on = call & 1;
}

static void clocks(struct fuzz *f, struct bw_rd *rd)
{
    uint8_t node = bw_rd_u8(rd) & 1, what = bw_rd_u8(rd);
    if (what & 1) world_clock_jump(f->w, node, (bw_time)(what >> 1) * BW_S);
    else if (what & 2) world_clock_wall(f->w, node, ((int64_t)what - 128) * 100000);
    else world_clock_rate(f->w, node, CLOCK_UNIT + (uint64_t)what * 100 - 12800);
}

static void request(struct fuzz *f, struct bw_rd *rd)
{
    static const char *const paths[] = {"/v1/exit", "/v1/lease", "/v1/key", "/v1/nothing"};
    uint8_t which = bw_rd_u8(rd);
    uint8_t body[1500];
    char out[OFFER_ANSWER_MAX];
    size_t len = take(rd, body, sizeof body), n = 0;
    struct world_node *wn = &f->w->nodes[which & 1];
    const struct bw_addr *from = &f->w->nodes[!(which & 1)].id.addr;
    if (!wn->node) return;
    (void)node_request(wn->node, from, which & 8 ? "POST" : "GET", paths[which >> 1 & 3], (const char *)body, len, out, sizeof out,
                       &n, world_local(wn));
    if (n > sizeof out) abort();
    world_turn(f->w, wn);
}

static void pass(struct fuzz *f, bw_time left)
{
    while (left && !f->w->halt) {
        bw_time part = bw_time_min(left, BW_S);
        world_run(f->w, f->w->now + part);
        if (!f->lied) check_second(f->c);
        left -= part;
    }
    if (!f->c->first || f->lied) return;
    fprintf(stderr, "%s at %.6f s: %s\n", violation_name(f->c->first), (double)f->c->when / 1e6, f->c->what);
    abort();
}

static void step(struct fuzz *f, struct bw_rd *rd, bw_time *left)
{
    bw_time time;
    uint8_t what;
    switch (bw_rd_u8(rd) % 11) {
    case 0:
        time = bw_time_min(bw_rd_be16(rd) * BW_MS, *left);
        *left -= time;
        pass(f, time);
        break;
    case 1: datagram(f, rd); break;
    case 2: change_one(f, rd); break;
    case 3: packet(f, rd); break;
    case 4: what = bw_rd_u8(rd), world_cut(f->w, what & 1, what >> 1 & 1, CUT_LINK, what & 4); break;
    case 5: life(f, bw_rd_u8(rd)); break;
    case 6: memory(f, rd); break;
    case 7: clocks(f, rd); break;
    case 8: request(f, rd); break;
    case 9: world_uplink(f->w, 0, bw_rd_u8(rd) & 1); break;
    case 10: babel(f, rd); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    static struct identity ids[2];
    struct fuzz f = {0};
    struct bw_rd rd = bw_rd(data, size);
    struct wire k = {.delay_us = 1000};
    bw_time left = 90 * BW_S; // simulated time that one input may use
    if (!ready && (bw_crypto_init() || !sim_crypto_is_standin)) abort();
    f.w = world_new(1, 2, ready ? ids : NULL);
    if (!f.w || world_link(f.w, 0, 1, &k, false) < 0 || world_link(f.w, 0, 1, &k, size & 1) < 0) abort();
    for (unsigned i = 0; i < 2; i++) ids[i] = f.w->nodes[i].id;
    ready = true;
    if (!(f.c = check_new(f.w, true))) abort();
    f.w->hooks = (struct world_hooks){.ctx = &f, .routes = on_routes, .said = on_said};
    f.w->nodes[0].share = true;
    world_start(f.w, 0);
    world_start(f.w, 1);
    pass(&f, 300 * BW_MS); // links are up
    for (unsigned steps = 0; bw_rd_left(&rd) && steps < 200; steps++) step(&f, &rd, &left);
    for (unsigned i = 0; i < 2; i++) f.w->nodes[i].memory.fail_at = 0;
    pass(&f, 2 * BW_S);
    world_crash(f.w, 0);
    world_crash(f.w, 1);
    if (f.w->leaked) abort();
    check_free(f.c);
    world_free(f.w);
    return 0;
}
