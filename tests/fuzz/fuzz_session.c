// Two sets of sessions, one of which hears what the input says: each step is a byte that tells what happens and two that
// tell how long the data behind them are. Real messages of the other end can be replayed, changed and cut.
//   0 data from the other end for us, as session protocol     4 time passes
//   1 likewise, as ESP                                        5 the other end's last message, with the data xored into it
//   2 an ICMPv6 error                                         6 a packet of ours for the other end
//   3 the session protocol from another address               7 the other end's turn: what we sent reaches it
#include <stdlib.h>
#include <string.h>

#include "core/fwd/csum.h"
#include "core/fwd/ip.h"
#include "core/session/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEPT 8
struct side {
    struct bw_mem mem;
    struct bw_rng rng;
    struct identity me;
    struct sessions *ss;
    uint8_t sent[KEPT][1500];
    size_t len[KEPT];
    unsigned count;
};

static bool on_send(void *ctx, const struct bw_addr *to, const uint8_t *p, size_t n)
{
    struct side *s = ctx;
    (void)to;
    if (n < 40 || n > 1420 || ip_get16(p + 4) != n - 40) abort();
    memcpy(s->sent[s->count % KEPT], p, n);
    s->len[s->count++ % KEPT] = n;
    return true;
}
static void on_deliver(void *ctx, const uint8_t *p, size_t n)
{
    (void)ctx;
    if (n < 40 || ip_get16(p + 4) != n - 40) abort();
}
static void on_changed(void *ctx)
{
    (void)ctx;
}

static void make(struct side *s, uint8_t seed, const struct identity *id)
{
    uint8_t k[32] = {seed};
    bw_mem_system(&s->mem);
    bw_rng_seed(&s->rng, k);
    s->me = *id;
    s->count = 0;
    struct sessions_config c = {.identity = &s->me, .threads = 1, .max_sessions = 20, .aes = seed & 1};
    struct sessions_ops o = {.ctx = s, .send = on_send, .deliver = on_deliver, .changed = on_changed};
    s->ss = sessions_new(&s->mem, &s->rng, NULL, &c, &o);
    if (!s->ss) abort();
}

static void hear(struct side *s, const struct bw_addr *from, const uint8_t *p, size_t n, bw_time now)
{
    if (n < 40) return;
    if (p[6] == 17 && n > 48) sessions_rx(s->ss, 1, from, p + 48, n - 48, now);
    else if (p[6] == ESP_PROTOCOL) sessions_rx_esp(s->ss, 1, p, n, now);
    else sessions_icmp_error(s->ss, p, n, now);
}

static void error_packet(struct side *s, const uint8_t *data, size_t n, bw_time now)
{
    uint8_t p[1500];
    if (n < 16 || n > 1300) return;
    ip6_header(p, 0, (uint16_t)n, IP_ICMPV6, 60, (const struct bw_addr *)data, &s->me.addr);
    memcpy(p + 40, data, n);
    p[40] &= 127;
    p[42] = p[43] = 0;
    csum_store(p + 42, csum_add(csum_pseudo(p + 8, p + 24, 16, IP_ICMPV6, (uint32_t)n), p + 40, n));
    sessions_icmp_error(s->ss, p, 40 + n, now);
}

static struct side us, them;

static void step(uint8_t what, const uint8_t *data, size_t n, bw_time *now)
{
    uint8_t p[1500];
    struct bw_addr other = {{0xfc, 9, [15] = 1}};
    switch (what & 7) {
    case 0: sessions_rx(us.ss, what >> 3, &them.me.addr, data, n, *now); break;
    case 1:
        if (n > 1300) return;
        ip6_header(p, 0, (uint16_t)n, ESP_PROTOCOL, 60, &them.me.addr, &us.me.addr);
        memcpy(p + 40, data, n);
        sessions_rx_esp(us.ss, 1, p, 40 + n, *now);
        break;
    case 2: error_packet(&us, data, n, *now); break;
    case 3: sessions_rx(us.ss, 1, &other, data, n, *now); break;
    case 4: *now += (bw_time)(1 + (what >> 3)) * (what >> 3) * (what >> 3) * BW_S / 16; break;
    case 5:
        if (!them.count) return;
        memcpy(p, them.sent[(them.count - 1) % KEPT], sizeof p);
        for (size_t i = 0; i < n && i + 40 < sizeof p; i++) p[40 + i] ^= data[i];
        hear(&us, &them.me.addr, p, them.len[(them.count - 1) % KEPT], *now);
        break;
    case 6:
        if (n > 1200) return;
        ip6_header(p, 0, (uint16_t)n, what & 8 ? 17 : 44, 20, &us.me.addr, &them.me.addr);
        memcpy(p + 40, data, n);
        sessions_send(us.ss, what & 16 ? &other : &them.me.addr, p, 40 + n, *now);
        break;
    default:
        if (us.count) hear(&them, &us.me.addr, us.sent[(us.count - 1) % KEPT], us.len[(us.count - 1) % KEPT], *now);
    }
    sessions_tick(us.ss, *now, *now * 1000);
    sessions_tick(them.ss, *now, *now * 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct identity ids[2];
    bw_time now = 1000 * BW_S;
    if (!ids[0].addr.b[0]) {
        struct bw_rng r;
        uint8_t seed[32] = {1};
        if (bw_crypto_init()) abort();
        bw_rng_seed(&r, seed);
        identity_draw(&ids[0], &r);
        identity_draw(&ids[1], &r);
    }
    make(&us, 1, &ids[0]);
    make(&them, 3, &ids[1]);
    for (unsigned steps = 0; size >= 3 && steps < 100; steps++) {
        size_t n = data[1] | (size_t)(data[2] & 7) << 8;
        uint8_t what = data[0];
        data += 3, size -= 3;
        if (n > size) n = size;
        step(what, data, n, &now);
        data += n, size -= n;
    }
    sessions_free(us.ss);
    sessions_free(them.ss);
    if (us.mem.used || them.mem.used) abort();
    return 0;
}
