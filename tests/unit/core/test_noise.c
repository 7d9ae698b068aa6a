// The handshake against the published vectors of Noise, WireGuard's constants, and forgeries; macs, cookies, stamps, limits.
#include "unit/vectors.h"

#include "core/noise/cookie.h"
#include "core/noise/limit.h"
#include "core/noise/noise.h"
#include "core/noise/stamp.h"

#define V(name, out) vector("noise_ikpsk2.txt", name, out, sizeof(out))

struct pair { // both ends of a handshake from the vectors
    struct noise_protocol p;
    uint8_t prologue[16], psk[32], i_sk[32], i_pk[32], i_e[32], r_sk[32], r_pk[32], r_e[32], i_ss[32], r_ss[32];
    struct noise_handshake i, r;
};

static void load(struct pair *v)
{
    memset(v, 0, sizeof *v);
    char prologue[32] = {0};
    vector("noise_ikpsk2.txt", "prologue", (uint8_t *)prologue, sizeof prologue - 1);
    noise_protocol_init(&v->p, NOISE_CONSTRUCTION, prologue, "mac1----", "cookie--");
    V("psk", v->psk), V("init_static", v->i_sk), V("init_ephemeral", v->i_e), V("resp_static", v->r_sk), V("resp_ephemeral", v->r_e);
    bw_x25519_public(v->i_pk, v->i_sk);
    bw_x25519_public(v->r_pk, v->r_sk);
    assert_int_equal(bw_x25519(v->i_ss, v->i_sk, v->r_pk), 0);
    assert_int_equal(bw_x25519(v->r_ss, v->r_sk, v->i_pk), 0);
}

static void transport(const char *payload_name, const char *message_name, const uint8_t key[32], uint8_t counter)
{
    uint8_t payload[64], want[80], got[80], nonce[12] = {[4] = counter};
    size_t n = V(payload_name, payload);
    assert_int_equal(V(message_name, want), n + 16);
    assert_int_equal(bw_chacha20poly1305_seal(got, payload, n, NULL, 0, nonce, key), 0);
    assert_memory_equal(got, want, n + 16);
}

static void test_vectors(void **state)
{
    (void)state;
    struct pair v;
    load(&v);
    uint8_t payload[64], want[200], got[200], back[64], remote[32];
    V("init_remote_static", remote);
    assert_memory_equal(remote, v.r_pk, 32);
    size_t n = V("payload1", payload);
    assert_int_equal(V("message1", want), 32 + 48 + n + 16);
    assert_int_equal(noise_initiate(&v.i, &v.p, v.i_pk, v.r_pk, v.i_ss, v.i_e, payload, n, got, got + 32, got + 80), 0);
    assert_memory_equal(got, want, 96 + n);
    assert_int_equal(noise_read_static(&v.r, &v.p, v.r_sk, v.r_pk, got, got + 32), 0);
    assert_memory_equal(v.r.rs, v.i_pk, 32);
    assert_int_equal(noise_read_payload(&v.r, v.r_ss, got + 80, n + 16, back), 0);
    assert_memory_equal(back, payload, n);
    n = V("payload2", payload);
    assert_int_equal(V("message2", want), 32 + n + 16);
    assert_int_equal(noise_respond(&v.r, v.psk, v.r_e, payload, n, got, got + 32), 0);
    assert_memory_equal(got, want, 48 + n);
    assert_int_equal(noise_read_response(&v.i, v.i_sk, v.psk, got, got + 32, n + 16, back), 0);
    assert_memory_equal(back, payload, n);
    assert_memory_equal(v.i.h, v.r.h, 32);
    uint8_t i_send[32], i_recv[32], r_send[32], r_recv[32];
    noise_split(&v.i, true, i_send, i_recv);
    noise_split(&v.r, false, r_send, r_recv);
    assert_memory_equal(i_send, r_recv, 32);
    assert_memory_equal(r_send, i_recv, 32);
    transport("payload3", "message3", i_send, 0);
    transport("payload4", "message4", r_send, 0);
    transport("payload5", "message5", i_send, 1);
    transport("payload6", "message6", r_send, 1);
    struct noise_handshake zero = {0};
    assert_memory_equal(&v.i, &zero, sizeof zero); // nothing is left behind
    assert_memory_equal(&v.r, &zero, sizeof zero);
}

static void test_wireguard_constants(void **state)
{
    (void)state;
    struct noise_protocol p;
    uint8_t want[32];
    noise_protocol_wireguard(&p);
    V("wireguard_ck", want);
    assert_memory_equal(p.ck, want, 32);
    V("wireguard_h", want);
    assert_memory_equal(p.h, want, 32);
}

static void test_kdf(void **state)
{
    (void)state;
    uint8_t key[32], m[100], want[32], a[32], b[32], c[32];
    for (size_t i = 0; i < sizeof m; i++) m[i] = (uint8_t)i;
    memcpy(key, m, 32);
    noise_kdf(a, b, c, key, m, sizeof m);
    vector("crypto.txt", "kdf1", want, 32);
    assert_memory_equal(a, want, 32);
    vector("crypto.txt", "kdf2", want, 32);
    assert_memory_equal(b, want, 32);
    vector("crypto.txt", "kdf3", want, 32);
    assert_memory_equal(c, want, 32);
    noise_kdf(key, NULL, NULL, key, m, sizeof m); // in place
    assert_memory_equal(key, a, 32);
}

// Every bit of both messages counts, a forgery changes nothing, and the true message still works afterwards.
static void test_forgeries(void **state)
{
    (void)state;
    struct pair v;
    load(&v);
    uint8_t m1[32 + 48 + 12 + 16], m2[32 + 16], stamp[12] = "hello there", back[12], none[1];
    assert_int_equal(noise_initiate(&v.i, &v.p, v.i_pk, v.r_pk, v.i_ss, v.i_e, stamp, 12, m1, m1 + 32, m1 + 80), 0);
    for (size_t i = 0; i < 80; i++) {
        if (i == 31) continue; // the top bit of an X25519 key means nothing to DH, though the hash catches it: see below
        m1[i] ^= 1;
        assert_int_equal(noise_read_static(&v.r, &v.p, v.r_sk, v.r_pk, m1, m1 + 32), BW_ERR_AUTH);
        m1[i] ^= 1;
    }
    m1[31] ^= 0x80;
    assert_int_equal(noise_read_static(&v.r, &v.p, v.r_sk, v.r_pk, m1, m1 + 32), BW_ERR_AUTH);
    m1[31] ^= 0x80;
    assert_int_equal(noise_read_static(&v.r, &v.p, v.r_sk, v.r_pk, m1, m1 + 32), 0);
    struct noise_handshake before = v.r;
    for (size_t i = 80; i < sizeof m1; i++) {
        m1[i] ^= 1;
        assert_int_equal(noise_read_payload(&v.r, v.r_ss, m1 + 80, 28, back), BW_ERR_AUTH);
        m1[i] ^= 1;
    }
    assert_memory_equal(&v.r, &before, sizeof before);
    assert_int_equal(noise_read_payload(&v.r, v.i_e, m1 + 80, 28, back), BW_ERR_AUTH); // another's static-static secret
    assert_int_equal(noise_read_payload(&v.r, v.r_ss, m1 + 80, 28, back), 0);
    assert_int_equal(noise_respond(&v.r, v.psk, v.r_e, NULL, 0, m2, m2 + 32), 0);
    before = v.i;
    for (size_t i = 0; i < sizeof m2; i++) {
        m2[i] ^= 1;
        assert_int_equal(noise_read_response(&v.i, v.i_sk, v.psk, m2, m2 + 32, 16, none), BW_ERR_AUTH);
        m2[i] ^= 1;
    }
    uint8_t psk[32] = {0};
    assert_int_equal(noise_read_response(&v.i, v.i_sk, psk, m2, m2 + 32, 16, none), BW_ERR_AUTH); // another PSK
    assert_memory_equal(&v.i, &before, sizeof before);
    assert_int_equal(noise_read_response(&v.i, v.i_sk, v.psk, m2, m2 + 32, 16, none), 0);
}

// Keys of low order, and another protocol's identifier, come to nothing.
static void test_refused(void **state)
{
    (void)state;
    struct pair v;
    load(&v);
    uint8_t m1[108], zero[32] = {0};
    assert_int_equal(noise_initiate(&v.i, &v.p, v.i_pk, zero, v.i_ss, v.i_e, "stamp and so", 12, m1, m1 + 32, m1 + 80), BW_ERR_AUTH);
    assert_int_equal(noise_initiate(&v.i, &v.p, v.i_pk, v.r_pk, zero, v.i_e, "stamp and so", 12, m1, m1 + 32, m1 + 80), BW_ERR_AUTH);
    assert_int_equal(noise_initiate(&v.i, &v.p, v.i_pk, v.r_pk, v.i_ss, v.i_e, "stamp and so", 12, m1, m1 + 32, m1 + 80), 0);
    struct noise_protocol other;
    noise_protocol_init(&other, NOISE_CONSTRUCTION, "byway session v1", "mac1----", "cookie--");
    assert_int_equal(noise_read_static(&v.r, &other, v.r_sk, v.r_pk, m1, m1 + 32), BW_ERR_AUTH);
    memset(m1, 0, 32);
    assert_int_equal(noise_read_static(&v.r, &v.p, v.r_sk, v.r_pk, m1, m1 + 32), BW_ERR_AUTH);
}

static void test_cookies(void **state)
{
    (void)state;
    struct pair v;
    load(&v);
    struct bw_rng rng;
    bw_rng_seed(&rng, v.psk);
    struct cookie_jar jar;
    struct mac_sender s = {0};
    cookie_jar_init(&jar, &v.p, v.r_pk);
    mac_keys_init(&s.keys, &v.p, v.r_pk);
    uint8_t msg[92] = "anything", nonce[24], sealed[32], here[6] = "here", there[6] = "there", zero[16] = {0};
    bw_time t = 1000 * BW_S;
    assert_int_equal(mac_take_cookie(&s, nonce, sealed, t), BW_ERR_AUTH); // nothing was sent yet
    mac_write(&s, msg, sizeof msg, t);
    assert_true(cookie_mac1_fits(&jar, msg, sizeof msg));
    assert_memory_equal(msg + 76, zero, 16);
    assert_false(cookie_mac2_fits(&jar, &rng, here, 6, msg, sizeof msg, t));
    assert_int_equal(cookie_make(&jar, &rng, here, 6, msg, sizeof msg, nonce, sealed, t), 0);
    sealed[3] ^= 1;
    assert_int_equal(mac_take_cookie(&s, nonce, sealed, t), BW_ERR_AUTH);
    sealed[3] ^= 1;
    assert_int_equal(mac_take_cookie(&s, nonce, sealed, t), 0);
    assert_int_equal(mac_take_cookie(&s, nonce, sealed, t), BW_ERR_AUTH); // one per message
    mac_write(&s, msg, sizeof msg, t);
    assert_true(cookie_mac2_fits(&jar, &rng, here, 6, msg, sizeof msg, t));
    assert_false(cookie_mac2_fits(&jar, &rng, there, 6, msg, sizeof msg, t)); // good only where it was sent to
    msg[0] ^= 1;
    assert_false(cookie_mac1_fits(&jar, msg, sizeof msg));
    assert_false(cookie_mac2_fits(&jar, &rng, here, 6, msg, sizeof msg, t));
    msg[0] ^= 1;
    assert_true(cookie_mac2_fits(&jar, &rng, here, 6, msg, sizeof msg, t + COOKIE_LIFE - 1));
    assert_false(cookie_mac2_fits(&jar, &rng, here, 6, msg, sizeof msg, t + COOKIE_LIFE)); // a new secret
    mac_write(&s, msg, sizeof msg, t + COOKIE_LIFE - COOKIE_LATENCY); // and the sender no longer trusts its cookie
    assert_memory_equal(msg + 76, zero, 16);
    assert_false(cookie_mac1_fits(&jar, msg, 31));
}

static void test_stamps(void **state)
{
    (void)state;
    struct stamp a = stamp_of_ns(0), b = stamp_of_ns(1000000000ull * 5 + 7);
    const uint8_t epoch[12] = {0x40, 0, 0, 0, 0, 0, 0, 10}, later[12] = {0x40, 0, 0, 0, 0, 0, 0, 15, 0, 0, 0, 7};
    assert_memory_equal(a.b, epoch, 12);
    assert_memory_equal(b.b, later, 12);
    assert_true(stamp_after(&b, &a));
    assert_false(stamp_after(&a, &a));
    struct stamp_clock c;
    uint64_t persist, year = 365ull * 86400 * 1000000000, now = 55 * year, last = 0, stored = 0;
    stamp_clock_init(&c, 0);
    for (int i = 0; i < 1000; i++) { // a clock that stands still, jumps back by decades and returns
        uint64_t t = stamp_next(&c, i < 300 ? now : i < 600 ? now - 50 * year : now + (uint64_t)i * 1000000000, &persist);
        if (persist) stored = persist;
        assert_true(t > last && t < stored);
        last = t;
    }
    stamp_clock_init(&c, stored); // a restart with the clock at the epoch
    assert_true(stamp_next(&c, 0, &persist) > last);
    assert_true(persist > stored);
}

static void test_stamps_seen(void **state)
{
    (void)state;
    struct stamp_seen s = {0};
    struct bw_rng rng;
    uint8_t seed[32] = {9}, accepted[4096] = {0};
    bw_rng_seed(&rng, seed);
    uint32_t newest = 0;
    for (int i = 0; i < 20000; i++) {
        uint32_t n = newest + bw_rng_below(&rng, 6);
        n = n > 4 ? n - 4 : 1;
        if (n >= sizeof accepted) break;
        struct stamp t = stamp_of_ns(n);
        bool new = stamp_is_new(&s, &t);
        if (accepted[n]) assert_false(new);
        else if (n > newest) assert_true(new);
        if (!new) continue;
        stamp_remember(&s, &t);
        accepted[n] = 1;
        if (n > newest) newest = n;
    }
    assert_true(newest > 1000);
    struct stamp old = stamp_of_ns(1);
    assert_false(stamp_is_new(&s, &old));
}

static void test_limits(void **state)
{
    (void)state;
    struct bucket b = {0};
    bw_time t = 77 * BW_S;
    for (int i = 0; i < 10; i++) assert_true(bucket_take(&b, 5, 10, t));
    assert_false(bucket_take(&b, 5, 10, t));
    assert_false(bucket_take(&b, 5, 10, t + 199 * BW_MS));
    assert_true(bucket_take(&b, 5, 10, t + 200 * BW_MS));
    assert_false(bucket_take(&b, 5, 10, t + 300 * BW_MS));
    unsigned n = 0; // in the long run the rate holds, however often it is asked
    for (bw_time u = t + 300 * BW_MS; u < t + 100 * BW_S; u += 1237) n += bucket_take(&b, 5, 10, u);
    assert_in_range(n, 490, 510);
    assert_true(bucket_take(&b, 5, 10, t + 3600 * BW_S * 24 * 365));
    static struct source_limit l;
    struct bw_addr a, other;
    assert_int_equal(bw_addr_parse("2001:db8::1", &a), 0);
    assert_int_equal(bw_addr_parse("2001:db8::2", &other), 0); // the same /64
    for (int i = 0; i < SOURCE_BURST; i++) assert_true(source_limit_take(&l, i % 2 ? &a : &other, t));
    assert_false(source_limit_take(&l, &a, t));
    assert_int_equal(bw_addr_parse("2001:db8:0:1::1", &other), 0);
    assert_true(source_limit_take(&l, &other, t));
    assert_int_equal(bw_addr_parse("192.0.2.1", &a), 0);
    assert_int_equal(bw_addr_parse("192.0.2.2", &other), 0);
    for (int i = 0; i < SOURCE_BURST; i++) assert_true(source_limit_take(&l, &a, t));
    assert_false(source_limit_take(&l, &a, t));
    assert_true(source_limit_take(&l, &other, t));
    assert_true(source_limit_take(&l, &a, t + BW_S / SOURCE_PER_S));
    for (uint32_t i = 0; i < 100000; i++) { // a flood of sources stays within the table
        uint8_t v4[4] = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        struct bw_addr x = bw_addr_v4(v4);
        source_limit_take(&l, &x, t + i);
    }
}

int main(void)
{
    if (bw_crypto_init()) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_wireguard_constants), cmocka_unit_test(test_kdf),
        cmocka_unit_test(test_forgeries), cmocka_unit_test(test_refused), cmocka_unit_test(test_cookies),
        cmocka_unit_test(test_stamps), cmocka_unit_test(test_stamps_seen), cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
