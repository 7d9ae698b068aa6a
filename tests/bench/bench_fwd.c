// The packet path in memory, one thread: what open -> look up -> seal and its neighbours cost without any system call.
// One line per figure: packets a second and Gbit/s of inner bytes, median of ROUNDS runs.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/fwd/csum.h"
#include "core/fwd/fwd.h"
#include "core/fwd/ip.h"
#include "core/fwd/vnet.h"

#define ROUNDS 5
#define SECONDS 0.4

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void must(bool good)
{
    if (good) return;
    fputs("bench_fwd: set-up failed\n", stderr);
    exit(1);
}

// ---- two ends and a relay between them, each with a sink that keeps one train ----

struct end {
    struct fwd *fwd;
    struct fwd_snapshot *s;
    struct fwd_train train[8];
    uint8_t kept[8][65536];
    unsigned trains;
    uint64_t frames, bytes;
};

static void on_wire(void *ctx, const struct fwd_train *t)
{
    struct end *e = ctx;
    if (e->trains == 8) return;
    e->train[e->trains] = *t;
    memcpy(e->kept[e->trains], t->data, t->len);
    e->train[e->trains].data = e->kept[e->trains];
    e->trains++;
}
static void off_wire(void *ctx, const struct fwd_train *t)
{
    struct end *e = ctx;
    e->bytes += t->len;
    e->frames++;
}
static void on_tun(void *ctx, const struct fwd_piece *v, unsigned n)
{
    struct end *e = ctx;
    for (unsigned i = 0; i < n; i++) e->bytes += v[i].len;
    e->frames++;
}
static void on_punt(void *ctx, const struct fwd_punt *p)
{
    (void)ctx, (void)p;
}

static struct bw_mem mem;
static struct end a, r, b;

static struct keypair *key(uint8_t id, bool first, struct link_shared *s)
{
    uint8_t k1[32] = {id, 1}, k2[32] = {id, 2};
    return keypair_new(&mem, 1, first ? k1 : k2, first ? k2 : k1, true, true, id * 16u + first, id * 16u + !first, s, 1);
}

static void make(struct end *e, const char *self, struct keypair *k0, struct keypair *k1, const char *to1, bool keep,
                 unsigned hosts)
{
    struct fwd_sink sink = {e, keep ? on_wire : off_wire, on_tun, on_punt};
    e->fwd = fwd_init(aligned_alloc(64, (fwd_size() + 63) & ~63ul), 0, &sink);
    fwd_set_uso(e->fwd, true);
    struct fwd_link link[2] = {{.used = true, .remote = {{{1}}, 1, 0}, .tx = k0, .shared = k0->shared}};
    if (k1) link[1] = (struct fwd_link){.used = true, .remote = {{{2}}, 2, 0}, .tx = k1, .shared = k1->shared};
    struct keypair *rx[2] = {k0, k1};
    uint16_t slots[2] = {0, 1};
    struct fwd_route *routes = calloc(hosts + 2, sizeof *routes);
    for (unsigned i = 0; i < hosts; i++) {
        routes[i].prefix.len = 128;
        routes[i].prefix.addr.b[0] = 0xfc;
        for (unsigned j = 0; j < 4; j++) routes[i].prefix.addr.b[2 + j] = (uint8_t)(i * 2654435761u >> 8 * j);
    }
    must(!bw_prefix_parse(to1, &routes[hosts].prefix));
    routes[hosts].link = k1 ? 1 : 0;
    struct fwd_config c = {.transit = true,
                           .links = link,
                           .link_count = k1 ? 2 : 1,
                           .rx_keys = rx,
                           .rx_links = slots,
                           .rx_count = k1 ? 2 : 1,
                           .mesh = routes,
                           .mesh_count = hosts + 1};
    must(!bw_addr_parse(self, &c.self));
    e->s = fwd_snapshot_new(&mem, &c);
    must(e->s);
    free(routes);
}

// A TCP super-frame from a to b, `gso` bytes of payload a segment.
static uint8_t frame[VNET_LEN + 65535];
static size_t super(uint16_t gso, size_t payload)
{
    struct bw_addr s, d;
    must(!bw_addr_parse("fd01::1", &s) && !bw_addr_parse("fd02::2", &d));
    ip6_header(frame + VNET_LEN, 0, (uint16_t)(20 + payload), IP_TCP, 64, &s, &d);
    uint8_t *t = frame + VNET_LEN + 40;
    memset(t, 0, 20);
    t[12] = 0x50;
    t[13] = 0x10;
    vnet_write(frame, &(struct vnet){.flags = VNET_NEEDS_CSUM,
                                     .gso_type = VNET_GSO_TCPV6,
                                     .gso_size = gso,
                                     .csum_start = 40,
                                     .csum_offset = 16});
    return VNET_LEN + 60 + payload;
}

static int up(const void *x, const void *y)
{
    double p = *(const double *)x, q = *(const double *)y;
    return (p > q) - (p < q);
}

// Runs `step` for a while; it returns how many packets it handled.
static void measure(const char *name, unsigned (*step)(size_t), size_t size)
{
    double rate[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t n = 0;
        double t0 = now(), t;
        do n += step(size);
        while ((t = now()) - t0 < SECONDS);
        rate[i] = (double)n / (t - t0);
    }
    qsort(rate, ROUNDS, sizeof *rate, up);
    double m = rate[ROUNDS / 2];
    printf("fwd %s-%zu %.0f kpackets/s %.2f Gbit/s %.0f ns/packet\n", name, size, m / 1e3, m * (double)size * 8 / 1e9,
           1e9 / m);
    fflush(stdout);
}

static unsigned tun_to_wire(size_t size)
{
    size_t segments = 65000 / size < 44 ? 65000 / size : 44;
    size_t n = super((uint16_t)(size - 60), (size - 60) * segments);
    fwd_from_tun(a.fwd, a.s, frame, n, 1);
    fwd_flush(a.fwd);
    a.trains = 0;
    return (unsigned)segments;
}

static unsigned carried(struct end *from, struct end *to)
{
    unsigned n = 0;
    for (unsigned i = 0; i < from->trains; i++)
        n += (from->train[i].len + from->train[i].seg - 1u) / from->train[i].seg;
    fwd_from_wire(to->fwd, to->s, from->train, from->trains, 1);
    from->trains = 0;
    return n;
}

// Both of the following need fresh messages each time (the replay window), so the sender's part is measured first and
// taken off by the reader: "and" says that it is in.
static unsigned tun_and_relay(size_t size)
{
    size_t segments = 65000 / size < 44 ? 65000 / size : 44;
    fwd_from_tun(a.fwd, a.s, frame, super((uint16_t)(size - 60), (size - 60) * segments), 1);
    fwd_flush(a.fwd);
    return carried(&a, &r);
}

static struct end direct; // a's neighbour b without the relay
static unsigned tun_and_tun(size_t size)
{
    size_t segments = 65000 / size < 44 ? 65000 / size : 44;
    fwd_from_tun(a.fwd, a.s, frame, super((uint16_t)(size - 60), (size - 60) * segments), 1);
    fwd_flush(a.fwd);
    return carried(&a, &direct);
}

static unsigned checksum(size_t size)
{
    static volatile uint64_t out;
    for (unsigned i = 0; i < 1000; i++) out = csum_add(out, frame, size);
    return 1000;
}
static unsigned copy_and_checksum(size_t size)
{
    static uint8_t to[65536];
    static volatile uint64_t out;
    for (unsigned i = 0; i < 1000; i++) out = csum_copy(out, to, frame, size);
    return 1000;
}
static unsigned seal_only(size_t size)
{
    static struct keypair *k;
    static uint8_t buf[2048];
    if (!k) k = key(9, true, link_shared_new(&mem));
    for (unsigned i = 0; i < 100; i++)
        if (keypair_seal(k, 0, buf, size, FWD_MTU, 1) < 0) exit(1);
    return 100;
}
static unsigned cipher_only(size_t size)
{
    static struct bw_aead *c;
    static uint8_t buf[2048], nonce[12];
    if (!c) c = bw_aead_new(BW_CHACHA20_POLY1305, (uint8_t[32]){1}, true);
    for (unsigned i = 0; i < 100; i++)
        if (bw_aead_seal(c, buf, buf, size, NULL, 0, nonce)) exit(1);
    return 100;
}
static unsigned lookup(size_t size)
{
    struct bw_addr d = {{0xfc}};
    (void)size;
    for (unsigned i = 0; i < 1000; i++) {
        for (unsigned j = 0; j < 4; j++) d.b[2 + j] = (uint8_t)(i * 2654435761u >> 8 * j);
        if (!fwd_lookup(r.s, &d, false)) exit(1);
    }
    return 1000;
}

int main(void)
{
    if (bw_crypto_init()) return 1;
    bw_mem_system(&mem);
    struct link_shared *s = link_shared_new(&mem);
    struct keypair *ar = key(1, true, s), *ra = key(1, false, s), *rb = key(2, true, s), *br = key(2, false, s);
    make(&a, "fd01::1", ar, NULL, "fd02::2/128", true, 0);
    make(&r, "fd09::9", ra, rb, "fd02::2/128", false, 10000);
    make(&b, "fd02::2", br, NULL, "fd01::1/128", false, 0);
    make(&direct, "fd02::2", ra, NULL, "fd01::1/128", false, 0);
    static const size_t sizes[] = {100, 500, 1420};
    for (unsigned i = 0; i < 3; i++) measure("chacha20poly1305", cipher_only, sizes[i]);
    for (unsigned i = 0; i < 3; i++) measure("seal", seal_only, sizes[i]);
    measure("checksum", checksum, 1420);
    measure("copy-and-checksum", copy_and_checksum, 1420);
    measure("lookup-10000-routes", lookup, 0);
    for (unsigned i = 0; i < 3; i++) measure("tun-to-wire", tun_to_wire, sizes[i]);
    for (unsigned i = 0; i < 3; i++) measure("tun-to-wire-and-relay", tun_and_relay, sizes[i]);
    for (unsigned i = 0; i < 3; i++) measure("tun-to-wire-and-wire-to-tun", tun_and_tun, sizes[i]);
    return 0;
}
