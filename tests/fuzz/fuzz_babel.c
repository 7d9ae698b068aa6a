// A whole speaker: packets, time, links that come and go, originations and failing memory, in any order. Records of the
// input: 0-3 packet {link, sender, length be16, TLVs}; 4 time passes {ms be16}; 5 originate or withdraw; 6 link added or
// removed; 7 memory fails from the n-th call on. Whatever the speaker sends must be well-formed.
#include <stdlib.h>

#include "base/cursor.h"
#include "core/babel/babel.h"
#include "crypto/crypto.h"
#include "wire/babel.h"

struct fuzz {
    struct bw_mem mem;
    unsigned until_failure; // 0: never
    struct bw_rng rng;
    struct babel *b;
    bw_time now;
};

static void *resize(struct bw_mem *m, void *old, size_t old_size, size_t size)
{
    struct fuzz *f = (struct fuzz *)m; // first member
    (void)old_size;
    if (!size) {
        free(old);
        return NULL;
    }
    if (f->until_failure && --f->until_failure == 0) {
        f->until_failure = 1;
        return NULL;
    }
    return realloc(old, size);
}

static void send_packet(void *ctx, uint16_t slot, const struct bw_addr *dst, const uint8_t *p, size_t n)
{
    struct babel_reader r;
    struct babel_tlv t;
    struct bw_addr source = {{0xfe, 0x80, [15] = 1}};
    int more;
    (void)ctx, (void)slot;
    if (n > BABEL_PAYLOAD_MAX || (!bw_addr_eq(dst, &babel_group) && !bw_addr_is_linklocal(dst))) abort();
    if (babel_read_begin(&r, &source, p, n)) abort();
    while ((more = babel_read_next(&r, &t)))
        if (more < 0) abort();
}

static void route_changed(void *ctx, const struct bw_prefix *p, const struct babel_selected *r)
{
    struct fuzz *f = ctx;
    struct babel_route v;
    if (f->b && (r && !r->unreachable) != babel_lookup(f->b, p, &v)) abort();
    if (r && !r->unreachable && !r->own && r->metric == BABEL_INFINITY) abort();
}

static void packet(struct fuzz *f, struct bw_rd *rd)
{
    uint8_t buf[4 + 2048];
    uint16_t slot = bw_rd_u8(rd) & 1;
    struct bw_addr src = {{0xfe, 0x80, [15] = (uint8_t)(2 + bw_rd_u8(rd) % 4)}};
    size_t n = bw_rd_be16(rd) & 2047;
    if (n > bw_rd_left(rd)) n = bw_rd_left(rd);
    buf[0] = 42, buf[1] = 2, buf[2] = (uint8_t)(n >> 8), buf[3] = (uint8_t)n;
    bw_rd_bytes(rd, buf + 4, n);
    babel_rx(f->b, slot, &src, buf, n + 4, f->now);
}

static void run_until(struct fuzz *f, bw_time t)
{
    while (babel_deadline(f->b) <= t) {
        bw_time d = babel_deadline(f->b);
        if (d > f->now) f->now = d;
        babel_tick(f->b, f->now);
    }
    f->now = t;
}

static void originate(struct fuzz *f, struct bw_rd *rd)
{
    uint8_t what = bw_rd_u8(rd), k = bw_rd_u8(rd);
    struct bw_addr a = {{0xfc, k, [15] = k}};
    struct bw_prefix p = bw_prefix_make(&a, what & 16 ? 64 : 128);
    uint16_t slot = what & 2 ? BABEL_ANY_SLOT : what & 4 ? 1 : 0;
    if (what & 1) (void)!babel_originate(f->b, &p, k, slot, f->now);
    else babel_withdraw(f->b, &p, slot, f->now);
    if (what == 0xf0) babel_shutdown(f->b, f->now + BW_S, f->now);
    if (what == 0xf2) babel_reimport(f->b, f->now);
    if (what == 0xf4) babel_set_transit(f->b, k & 1, f->now);
}

static void link_change(struct fuzz *f, struct bw_rd *rd)
{
    uint8_t what = bw_rd_u8(rd);
    struct babel_iface_params p = {.stock = what & 4};
    if (what & 1) (void)!babel_iface_add(f->b, what >> 7, &p, f->now);
    else babel_iface_remove(f->b, what >> 7, f->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = {.mem = {.resize = resize}, .now = BW_S};
    uint8_t seed[32] = {1};
    struct bw_rd rd = bw_rd(data, size);
    struct babel_ops ops = {.send = send_packet, .route_changed = route_changed};
    struct babel_config c = {.router_id = {1, 2, 3, 4, 5, 6, 7, 8}, .linklocal = {{0xfe, 0x80, [15] = 1}}, .epoch = 1,
                             .clean_start = size & 1, .max_dests = 16};
    struct bw_prefix own = {.addr = {{0xfc, 1, [15] = 1}}, .len = 128};
    bw_rng_seed(&f.rng, seed);
    f.b = babel_new(&c, &ops, &f, &f.mem, &f.rng, NULL, f.now);
    if (!f.b || babel_iface_add(f.b, 0, NULL, f.now) || babel_originate(f.b, &own, 0, BABEL_ANY_SLOT, f.now)) abort();
    for (unsigned steps = 0; bw_rd_left(&rd) && steps < 300; steps++) {
        switch (bw_rd_u8(&rd) & 7) {
        case 4: run_until(&f, f.now + bw_rd_be16(&rd) * BW_MS); break;
        case 5: originate(&f, &rd); break;
        case 6: link_change(&f, &rd); break;
        case 7: f.until_failure = bw_rd_u8(&rd); break;
        default: packet(&f, &rd);
        }
    }
    f.until_failure = 0;
    run_until(&f, f.now + 20 * BW_S);
    babel_free(f.b);
    if (f.mem.used) abort();
    return 0;
}
