// A linkset under a script of datagrams, bent copies of its own messages, calls and jumps in time. Input: a sequence of
// operations, each one byte of kind and what follows; two linksets talk over a wire that the input controls.
#include <stdlib.h>
#include <string.h>

#include "core/link/link.h"
#include "core/noise/cookie.h"
#include "wire/wg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEPT 8

static struct {
    bool ready;
    struct identity me[2];
} fixed;

static struct {
    struct bw_mem mem;
    struct bw_rng rng;
    struct linkset *ls[2];
    bw_time now;
    struct {
        size_t n;
        int to;
        uint8_t p[256];
    } kept[KEPT]; // the last datagrams sent, ring
    unsigned next;
    const uint8_t *in, *end;
} f;

static uint8_t take(void)
{
    return f.in < f.end ? *f.in++ : 0;
}

static void do_send(void *ctx, const struct bw_endpoint *to, uint32_t ifindex, const uint8_t *p, size_t n)
{
    (void)to, (void)ifindex;
    int me = ctx != NULL;
    if (n > sizeof f.kept[0].p) abort();
    f.kept[f.next % KEPT].n = n;
    f.kept[f.next % KEPT].to = !me;
    memcpy(f.kept[f.next++ % KEPT].p, p, n);
}

static void do_changed(void *ctx, uint16_t slot, unsigned what)
{
    struct linkset *ls = f.ls[ctx != NULL];
    struct link_info info;
    struct keypair *tx, *rx[LINK_RX_KEYS];
    unsigned n;
    if (linkset_info(ls, slot, &info)) abort();
    linkset_keys(ls, slot, &tx, rx, &n);
    if (what & LINK_CHANGED_GONE && (tx || n)) abort();
}

static int do_persist(void *ctx, uint64_t high)
{
    (void)ctx, (void)high;
    return high % 5 ? 0 : BW_ERR_SYS;
}

static struct bw_endpoint somewhere(void)
{
    uint8_t b = take();
    struct bw_endpoint e = {.addr = {{0xfe, 0x80, [15] = b & 3}}, .port = 4870, .scope = 1 + (b >> 6)};
    if (b & 0x20) e = (struct bw_endpoint){.addr = bw_addr_v4((uint8_t[]){10, 0, 0, b & 3}), .port = 4870};
    return e;
}

static void receive(int to, uint8_t *p, size_t n, const struct bw_endpoint *from)
{
    if (n && p[0] == WG_DATA && n >= 8) {
        uint32_t index = (uint32_t)p[4] | (uint32_t)p[5] << 8 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 24;
        struct keypair *k = linkset_find_keys(f.ls[to], index, NULL);
        if (k && keypair_open(k, 0, p, n, f.now) >= 0) {
            linkset_confirm(f.ls[to], index, f.now);
            linkset_roam(f.ls[to], index, from, from->scope ? from->scope : 1, f.now);
        }
    } else {
        linkset_rx(f.ls[to], from->scope ? from->scope : 1, from, take() & 1, p, n, f.now, f.now * 1000);
    }
}

static void raw(int to)
{
    uint8_t buf[256];
    struct bw_endpoint from = somewhere();
    size_t n = take(), left = (size_t)(f.end - f.in);
    if (n > left) n = left;
    memcpy(buf, f.in, n);
    f.in += n;
    if (n >= 60 && take() & 1) { // past the outer gate
        struct noise_protocol noise;
        struct mac_sender s = {0};
        noise_protocol_wireguard(&noise);
        mac_keys_init(&s.keys, &noise, fixed.me[to].link_pk);
        mac_write(&s, buf, n, f.now);
    }
    receive(to, buf, n, &from);
}

static void bent(void)
{
    unsigned k = take() % KEPT;
    uint8_t buf[256];
    size_t n = f.kept[k].n;
    memcpy(buf, f.kept[k].p, n);
    uint8_t flips = take() % 4;
    while (flips-- && n) buf[take() % n] ^= take();
    struct bw_endpoint from = somewhere();
    receive(f.kept[k].to, buf, n, &from);
}

static void data(int me)
{
    struct keypair *tx, *rx[LINK_RX_KEYS];
    unsigned n;
    uint8_t buf[128] = {0};
    linkset_keys(f.ls[me], take() % 4, &tx, rx, &n);
    struct bw_endpoint none = {0};
    if (!tx) return;
    int len = keypair_seal(tx, 0, buf, take() % 64, 1420, f.now);
    if (len > 0) do_send(me ? &f : NULL, &none, 0, buf, (size_t)len);
}

static void configure(int me)
{
    struct link_peer p = {.endpoint = somewhere(), .keepalive_s = take() % 8, .has_psk = take() & 1, .source = LINK_COMMAND};
    memcpy(p.key, fixed.me[!me].link_pk, 32);
    if (take() & 1) p.key[0] ^= take();
    if (take() & 1) p.endpoint.port = 0;
    (void)!linkset_add_peer(f.ls[me], &p, f.now);
}

static void step(void)
{
    uint8_t op = take();
    int me = op >> 7;
    static const uint8_t zero[32];
    struct bw_endpoint at;
    switch (op % 12) {
    case 0: raw(me); break;
    case 1:
    case 2: bent(); break;
    case 3: f.now += take() * 10 * BW_MS; break;
    case 4: f.now += take() * BW_S; break;
    case 5: data(me); break;
    case 6: configure(me); break;
    case 7: (void)!linkset_remove_peer(f.ls[me], fixed.me[!me].link_pk, f.now); break;
    case 8:
        at = somewhere();
        (void)!linkset_discovered(f.ls[me], fixed.me[!me].link_pk, at.scope, &at, take() & 1, f.now);
        break;
    case 9: linkset_iface_gone(f.ls[me], 1 + take() % 4, f.now); break;
    case 10: linkset_set_policy(f.ls[me], (enum link_policy)(take() % 3), take() & 1, zero, f.now); break;
    default: linkset_set_stock(f.ls[me], fixed.me[!me].link_pk, take() & 1);
    }
    for (int i = 0; i < 2; i++) {
        if (linkset_deadline(f.ls[i]) > f.now) continue;
        linkset_tick(f.ls[i], f.now, f.now * 1000);
        if (linkset_deadline(f.ls[i]) <= f.now) abort(); // a deadline that makes no progress
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    uint8_t seed[32] = {1};
    memset(&f, 0, sizeof f);
    bw_mem_system(&f.mem);
    bw_rng_seed(&f.rng, seed);
    if (!fixed.ready) {
        if (bw_crypto_init()) abort();
        for (int i = 0; i < 2; i++) identity_draw(&fixed.me[i], &f.rng);
        fixed.ready = true;
        bw_rng_seed(&f.rng, seed);
    }
    f.in = input;
    f.end = input + (size < 600 ? size : 600);
    f.now = 1000 * BW_S;
    for (int i = 0; i < 2; i++) {
        struct linkset_config c = {.identity = &fixed.me[i], .threads = 1, .max_links = 6, .load_per_s = 4};
        struct linkset_ops ops = {.ctx = i ? &f : NULL, .send = do_send, .changed = do_changed, .persist_tai = do_persist};
        f.ls[i] = linkset_new(&f.mem, &f.rng, NULL, &c, &ops);
        if (!f.ls[i]) abort();
    }
    while (f.in < f.end) step();
    for (int i = 0; i < 2; i++) {
        struct linkset *ls = f.ls[i];
        linkset_free(ls);
    }
    if (f.mem.used) abort();
    return 0;
}
