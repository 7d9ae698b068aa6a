// The session handshake, byte for byte as an implementation of docs/spec/session.md that is not ours has it
// (tests/vectors/session.py): both messages for both ciphers, the first packets under the new keys, the cookie.
#include "unit/vectors.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "core/noise/cookie.h"
#include "core/session/session.h"
#include "core/session/set.h"

#define IP6 40
#define SESSION_UDP (IP6 + 8)

struct end {
    struct identity me;
    struct bw_mem mem;
    struct bw_rng rng;
    struct sessions *ss;
    uint8_t sent[1500]; // the last
    size_t n;
    uint8_t peer_key[32];
};

static bool end_send(void *ctx, const struct bw_addr *to, const uint8_t *p, size_t n)
{
    struct end *e = ctx;
    (void)to;
    memcpy(e->sent, p, n);
    e->n = n;
    return true;
}

static void end_changed(void *ctx)
{
    (void)ctx;
}

static bool end_find_key(void *ctx, const struct bw_addr *addr, uint8_t key[BW_KEY_LEN])
{
    struct end *e = ctx;
    (void)addr;
    memcpy(key, e->peer_key, BW_KEY_LEN);
    return true;
}

static size_t of(const char *set, const char *name, uint8_t *out, size_t cap)
{
    char whole[128];
    snprintf(whole, sizeof whole, "%s.%s", set, name);
    return vector("session.txt", whole, out, cap);
}

static void end_start(struct end *e, const char *role, const char *peer, bool aes)
{
    uint8_t seed[32], key[32];
    struct bw_addr addr;
    of(role, "seed", seed, sizeof seed);
    of(role, "key", key, sizeof key);
    of(role, "address", addr.b, sizeof addr.b);
    of(peer, "key", e->peer_key, sizeof e->peer_key);
    assert_int_equal(identity_from_seed(&e->me, seed), 0);
    assert_memory_equal(e->me.link_pk, key, 32);
    assert_memory_equal(e->me.addr.b, addr.b, 16);
    bw_mem_system(&e->mem);
    bw_rng_seed(&e->rng, seed);
    struct sessions_config c = {.identity = &e->me, .threads = 1, .aes = aes};
    struct sessions_ops ops = {.ctx = e, .send = end_send, .changed = end_changed, .find_key = end_find_key};
    e->ss = sessions_new(&e->mem, &e->rng, NULL, &c, &ops);
    assert_non_null(e->ss);
}

// What is drawn next: so many bytes for something else, the ephemeral key, the index.
static void end_draws(struct end *e, const char *set, const char *role, uint32_t before)
{
    uint8_t ephemeral[32], index[4];
    char name[64];
    snprintf(name, sizeof name, "%s.ephemeral", role);
    of(set, name, ephemeral, sizeof ephemeral);
    snprintf(name, sizeof name, "%s.index", role);
    of(set, name, index, sizeof index);
    struct bw_rng *r = &e->rng;
    uint8_t *at = r->buf + sizeof r->buf - 200;
    r->left = 200 + before;
    memset(at - before, 0xff, before); // a number that bw_rng_below takes
    memcpy(at, ephemeral, sizeof ephemeral);
    for (unsigned i = 0; i < 4; i++) at[32 + i] = index[3 - i];
}

static void is(const struct end *e, size_t header, const char *set, const char *name)
{
    uint8_t want[1500];
    size_t n = of(set, name, want, sizeof want);
    assert_int_equal(e->n - header, n);
    assert_memory_equal(e->sent + header, want, n);
}

static void handshake(const char *set)
{
    struct end i = {0}, r = {0};
    uint8_t b[1500], offered;
    bw_time now = 1000 * BW_S;
    of(set, "offered", &offered, 1);
    of(set, "unix_ns", b, 8);
    struct bw_rd rd = bw_rd(b, 8);
    uint64_t unix_ns = bw_rd_be64(&rd);
    end_start(&i, "initiator", "responder", offered & SESSION_CIPHER_AES_256_GCM);
    end_start(&r, "responder", "initiator", true);
    sessions_want(i.ss, &r.me.addr, now);
    end_draws(&i, set, "initiator", 4); // the next try's moment comes first
    sessions_tick(i.ss, now, unix_ns);
    is(&i, SESSION_UDP, set, "initiation");
    end_draws(&r, set, "responder", 0);
    sessions_rx(r.ss, 3, &i.me.addr, i.sent + SESSION_UDP, i.n - SESSION_UDP, now);
    is(&r, SESSION_UDP, set, "response");
    sessions_rx(i.ss, 3, &r.me.addr, r.sent + SESSION_UDP, r.n - SESSION_UDP, now);
    is(&i, IP6, set, "first");
    sessions_rx_esp(r.ss, 3, i.sent, i.n, now); // no packet path here: control opens it
    struct session_info info;
    assert_int_equal(sessions_info(r.ss, &i.me.addr, &info), 0);
    assert_int_equal(info.state, SESSION_UP);
    uint8_t packet[] = {[IP6] = 'h', 'e', 'l', 'l', 'o', ',', ' ', 'i', 'n', 'i', 't', 'i', 'a', 't', 'o', 'r'};
    packet[0] = 0x60, packet[5] = sizeof packet - IP6, packet[6] = 17, packet[7] = 64;
    memcpy(packet + 8, r.me.addr.b, 16), memcpy(packet + 24, i.me.addr.b, 16);
    sessions_send(r.ss, &i.me.addr, packet, sizeof packet, now);
    is(&r, IP6, set, "answer");
    sessions_free(i.ss);
    sessions_free(r.ss);
    assert_int_equal(i.mem.used + r.mem.used, 0);
}

static void with_chacha(void **state)
{
    (void)state;
    handshake("chacha");
}

static void with_aes(void **state)
{
    (void)state;
    handshake("aes");
}

static void under_load(void **state)
{
    (void)state;
    struct noise_protocol p;
    struct cookie_jar jar;
    struct mac_sender sender = {0};
    struct bw_rng rng = {0};
    struct session_cookie m;
    uint8_t key[32], source[18], first[SESSION_INITIATION_LEN], want[SESSION_INITIATION_LEN], out[SESSION_COOKIE_LEN];
    noise_protocol_init(&p, NOISE_CONSTRUCTION, SESSION_IDENTIFIER, SESSION_LABEL_MAC1, SESSION_LABEL_COOKIE);
    of("responder", "key", key, sizeof key);
    of("initiator", "address", source, 16);
    of("cookie", "link", source + 16, 2);
    of("cookie", "initiation", first, sizeof first);
    cookie_jar_init(&jar, &p, key);
    of("cookie", "secret", jar.secret, sizeof jar.secret);
    jar.has_secret = true;
    assert_true(cookie_mac1_fits(&jar, first, sizeof first));
    assert_false(cookie_mac2_fits(&jar, &rng, source, sizeof source, first, sizeof first, 0));
    rng.left = COOKIE_NONCE_LEN;
    of("cookie", "nonce", rng.buf + sizeof rng.buf - COOKIE_NONCE_LEN, COOKIE_NONCE_LEN);
    assert_int_equal(cookie_make(&jar, &rng, source, sizeof source, first, sizeof first, m.nonce, m.enc_cookie, 0), 0);
    struct bw_rd rd = bw_rd(first + 4, 4);
    m.receiver = bw_rd_be32(&rd);
    session_cookie_encode(out, &m);
    assert_int_equal(of("cookie", "message", want, sizeof want), sizeof out);
    assert_memory_equal(out, want, sizeof out);
    mac_keys_init(&sender.keys, &p, key);
    mac_write(&sender, first, sizeof first, 0);
    assert_int_equal(mac_take_cookie(&sender, m.nonce, m.enc_cookie, 0), 0);
    mac_write(&sender, first, sizeof first, 0);
    of("cookie", "again", want, sizeof want);
    assert_memory_equal(first, want, sizeof first);
    assert_true(cookie_mac2_fits(&jar, &rng, source, sizeof source, first, sizeof first, 0));
    source[17] ^= 1; // over another link it is worth nothing
    assert_false(cookie_mac2_fits(&jar, &rng, source, sizeof source, first, sizeof first, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(with_chacha), cmocka_unit_test(with_aes), cmocka_unit_test(under_load)};
    return bw_crypto_init() ? 1 : cmocka_run_group_tests_name("core/session vectors", tests, NULL, NULL);
}
