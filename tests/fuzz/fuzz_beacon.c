// Beacons: what decodes must encode to the same bytes; and the discovery state machine takes anything, from anywhere.
#include <stdlib.h>
#include <string.h>

#include "core/discover/discover.h"
#include "wire/beacon.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    bool ready;
    struct bw_mem mem;
    struct bw_rng rng;
    struct identity me;
    bw_time now;
} g;

static void do_send(void *ctx, uint32_t ifindex, const uint8_t *p, size_t n)
{
    (void)ctx, (void)ifindex, (void)p, (void)n;
}
static void do_found(void *ctx, const uint8_t *key, uint32_t ifindex, const struct bw_endpoint *at, bool fresh)
{
    (void)ctx, (void)key, (void)ifindex, (void)fresh;
    if (!at->port) abort();
}
static uint64_t do_stamp(void *ctx, uint64_t unix_ns)
{
    (void)ctx;
    return unix_ns;
}

static void decoder(const uint8_t *data, size_t size)
{
    struct beacon b;
    uint8_t out[BEACON_MAX_LEN];
    if (beacon_decode(data, size, &b)) return;
    int n = beacon_encode(out, sizeof out, &b);
    if (n < 0 || (size_t)n + BEACON_SIG_LEN != size || memcmp(out, data, (size_t)n) || b.sig != data + n) abort();
}

// Input: the first byte picks the way in, the rest is the datagram.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decoder(data, size);
    if (!g.ready) {
        uint8_t seed[32] = {1};
        if (bw_crypto_init()) abort();
        bw_mem_system(&g.mem);
        bw_rng_seed(&g.rng, seed);
        identity_draw(&g.me, &g.rng);
        g.ready = true;
    }
    struct discover_config c = {.identity = &g.me, .port = 4870, .has_secret = size && data[0] & 1};
    struct discover_ops ops = {.send = do_send, .found = do_found, .stamp = do_stamp};
    struct discover *d = discover_new(&g.mem, &g.rng, NULL, &c, &ops);
    if (!d || discover_iface_add(d, 1, g.now)) abort();
    struct bw_endpoint from = {.addr = {{0xfe, 0x80, [15] = 9}}, .port = 4870, .scope = 1};
    if (size > 1 && data[1] & 0x80) from.addr.b[0] = data[0];
    for (int i = 0; i < 2; i++) {
        discover_rx(d, 1, &from, data, size, g.now);
        if (size) discover_rx(d, 1 + (data[0] & 1u), &from, data + 1, size - 1, g.now);
        discover_tick(d, g.now, g.now * 1000);
    }
    g.now += BW_S;
    discover_free(d);
    if (g.mem.used) abort();
    return 0;
}
