// Lease requests and leases from strangers: first the decoders, then an exit that is open to all and a client's check of an
// answer. What is taken comes back the same when it is written and read again.
#include <stdlib.h>
#include <string.h>

#include "core/exit/server.h"

static struct identity id;
static struct exits exits;
static struct bw_mem mem;
static struct bw_rng rng;
static size_t used;

static void open_exit(void)
{
    uint8_t seed[32] = {1};
    if (bw_crypto_init()) abort();
    bw_mem_system(&mem);
    bw_rng_seed(&rng, seed);
    identity_draw(&id, &rng);
    struct exits_config c = {.id = &id, .name = "fuzz"};
    exits_init(&exits, &mem, &rng, &c, NULL, BW_S);
    exits_want(&exits, true, BW_S);
    exits_uplink(&exits, true, true, BW_S);
    used = mem.used;
}

static void decoders(const char *text, size_t n)
{
    struct signed_part part, again;
    struct lease_request r, r2;
    struct lease l, l2;
    static char out[SIGNED_MAX];
    if (!lease_request_decode(text, n, &r, &part)) {
        int len = lease_request_encode(&r, part.signature, out, sizeof out);
        if (len > 0 && (lease_request_decode(out, (size_t)len, &r2, &again) || memcmp(&r, &r2, sizeof r))) __builtin_trap();
    }
    if (!lease_decode(text, n, &l, &part)) {
        int len = lease_encode(&l, part.signature, out, sizeof out);
        if (len > 0 && (lease_decode(out, (size_t)len, &l2, &again) || memcmp(&l, &l2, sizeof l))) __builtin_trap();
    }
}

static void packets(const uint8_t *p, size_t n)
{
    static uint8_t out[2048];
    struct echo e, back;
    if (echo_parse(p, n, &e) || e.kind != ECHO_REQUEST) return;
    size_t len = echo_reply(p, n, 7, out, sizeof out);
    if (len && (echo_parse(out, len, &back) || back.kind != ECHO_REPLY || back.seq != e.seq)) __builtin_trap();
    len = echo_unreachable(p, n, &e.dst, out, sizeof out);
    if (len && (echo_parse(out, len, &back) || back.kind != ECHO_UNREACHABLE)) __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bw_time now = 10 * BW_S;
    static char out[OFFER_ANSWER_MAX];
    struct lease_request r;
    size_t n;
    bool changed = false;
    if (!id.addr.b[0]) open_exit();
    now += 20 * BW_MS; // slow enough for the request limit
    decoders((const char *)data, size);
    packets(data, size);
    int status = exits_post_lease(&exits, &id.addr, &id.addr, (const char *)data, size, out, sizeof out, &n, &changed, &r, now);
    if (status != 400 && status != 403 && status != 409 && status != 200) __builtin_trap();
    if (status == 200 || exits_active(&exits) || mem.used != used) __builtin_trap(); // nobody can sign by chance
    size_t answer = exits_answer(&exits, &id.addr, data, size, (uint8_t *)out, sizeof out);
    if (answer) __builtin_trap(); // no lease, no answer
    return 0;
}
