// Published vectors, and what the header promises beyond them.
#include "unit/vectors.h"

#include "crypto/crypto.h"

#define V(name, out) vector("crypto.txt", name, out, sizeof(out))

static void test_x25519(void **state)
{
    (void)state;
    uint8_t a[32], b[32], pa[32], pb[32], want[32], got[32];
    V("x25519_a", a), V("x25519_b", b), V("x25519_a_public", pa), V("x25519_b_public", pb), V("x25519_shared", want);
    bw_x25519_public(got, a);
    assert_memory_equal(got, pa, 32);
    assert_int_equal(bw_x25519(got, a, pb), 0);
    assert_memory_equal(got, want, 32);
    assert_int_equal(bw_x25519(got, b, pa), 0);
    assert_memory_equal(got, want, 32);
    V("x25519_scalar", a), V("x25519_point", b), V("x25519_result", want);
    assert_int_equal(bw_x25519(got, a, b), 0);
    assert_memory_equal(got, want, 32);
    uint8_t zero[32] = {0}, one[32] = {1};
    assert_int_equal(bw_x25519(got, a, zero), BW_ERR_AUTH);
    assert_int_equal(bw_x25519(got, a, one), BW_ERR_AUTH);
}

static void test_ed25519(void **state)
{
    (void)state;
    uint8_t seed[32], pk[32], sk[64], m[1], sig[64], got_pk[32], got[64], x[32], x_sk[32], x_pk[32];
    V("ed25519_seed", seed), V("ed25519_public", pk), V("ed25519_message", m), V("ed25519_signature", sig);
    bw_sign_keypair(seed, got_pk, sk);
    assert_memory_equal(got_pk, pk, 32);
    bw_sign(got, m, 1, sk);
    assert_memory_equal(got, sig, 64);
    assert_int_equal(bw_verify(sig, m, 1, pk), 0);
    for (size_t i = 0; i < sizeof sig; i++) {
        sig[i] ^= 1;
        assert_int_equal(bw_verify(sig, m, 1, pk), BW_ERR_AUTH);
        sig[i] ^= 1;
    }
    assert_int_equal(bw_verify(sig, m, 0, pk), BW_ERR_AUTH);
    V("ed25519_as_x25519", x);
    assert_int_equal(bw_sign_pk_to_x25519(got_pk, pk), 0);
    assert_memory_equal(got_pk, x, 32);
    bw_sign_sk_to_x25519(x_sk, sk); // both ways around the map lead to the same public key
    bw_x25519_public(x_pk, x_sk);
    assert_memory_equal(x_pk, x, 32);
    uint8_t low_order[32] = {1};
    assert_int_equal(bw_sign_pk_to_x25519(x, low_order), BW_ERR_AUTH);
}

static void test_hashes(void **state)
{
    (void)state;
    uint8_t want[64], got[64], key[32], m[100];
    for (size_t i = 0; i < sizeof m; i++) m[i] = (uint8_t)i;
    memcpy(key, m, sizeof key);
    V("sha512_abc", want);
    bw_sha512(got, "abc", 3);
    assert_memory_equal(got, want, 64);
    V("blake2s_abc", want);
    bw_blake2s(got, 32, NULL, 0, "abc", 3, NULL, 0);
    assert_memory_equal(got, want, 32);
    bw_blake2s(got, 32, NULL, 0, "a", 1, "bc", 2);
    assert_memory_equal(got, want, 32);
    bw_blake2s(got, 32, NULL, 0, NULL, 0, "abc", 3);
    assert_memory_equal(got, want, 32);
    V("blake2s_empty", want);
    bw_blake2s(got, 32, NULL, 0, NULL, 0, NULL, 0);
    assert_memory_equal(got, want, 32);
    V("blake2s_keyed_16", want);
    bw_blake2s(got, 16, key, 32, m, 100, NULL, 0);
    assert_memory_equal(got, want, 16);
    V("blake2s_keyed_32", want);
    bw_blake2s(got, 32, key, 32, m, 37, m + 37, 63);
    assert_memory_equal(got, want, 32);
    V("blake2s_key16_16", want);
    bw_blake2s(got, 16, key, 16, m, 100, NULL, 0);
    assert_memory_equal(got, want, 16);
    V("hmac_blake2s", want);
    bw_hmac_blake2s(got, key, 32, m, 100);
    assert_memory_equal(got, want, 32);
    V("hmac_blake2s_longkey", want);
    bw_hmac_blake2s(got, m, 100, key, 32);
    assert_memory_equal(got, want, 32);
}

typedef int oneshot(uint8_t *, const void *, size_t, const void *, size_t, const uint8_t *, const uint8_t *);

static void check_oneshot(oneshot *seal, oneshot *open, const char *nonce_name, const char *sealed_name)
{
    uint8_t key[32], text[114], data[12], nonce[24], want[130], got[130], back[130];
    V("aead_key", key), V("aead_text", text), V("aead_data", data), V(nonce_name, nonce), V(sealed_name, want);
    assert_int_equal(seal(got, text, sizeof text, data, sizeof data, nonce, key), 0);
    assert_memory_equal(got, want, sizeof want);
    assert_int_equal(open(back, got, sizeof got, data, sizeof data, nonce, key), 0);
    assert_memory_equal(back, text, sizeof text);
    for (size_t i = 0; i < sizeof got; i++) {
        got[i] ^= 0x80;
        assert_int_equal(open(back, got, sizeof got, data, sizeof data, nonce, key), BW_ERR_AUTH);
        got[i] ^= 0x80;
    }
    assert_int_equal(open(back, got, sizeof got, data, sizeof data - 1, nonce, key), BW_ERR_AUTH);
    assert_int_equal(open(back, got, 15, data, sizeof data, nonce, key), BW_ERR_SHORT);
}

static int x_seal(uint8_t *o, const void *i, size_t n, const void *a, size_t al, const uint8_t *no, const uint8_t *k)
{
    return bw_xchacha20poly1305_seal(o, i, n, a, al, no, k);
}

static void test_oneshot_aead(void **state)
{
    (void)state;
    check_oneshot(bw_chacha20poly1305_seal, bw_chacha20poly1305_open, "chacha_nonce", "chacha_sealed");
    check_oneshot(x_seal, bw_xchacha20poly1305_open, "xchacha_nonce", "xchacha_sealed");
}

static void check_context(enum bw_cipher cipher, const char *key_name, const char *nonce_name, const char *text_name,
                          const char *data_name, const char *sealed_name)
{
    uint8_t key[32], text[128], data[32], nonce[12], want[160], buf[160];
    V(key_name, key), V(nonce_name, nonce);
    size_t n = V(text_name, text), data_len = V(data_name, data), sealed_len = V(sealed_name, want);
    struct bw_aead *s = bw_aead_new(cipher, key, true), *o = bw_aead_new(cipher, key, false);
    for (int round = 0; round < 3; round++) { // in place, again and again with the same context
        memcpy(buf, text, n);
        assert_int_equal(bw_aead_seal(s, buf, buf, n, data, data_len, nonce), 0);
        assert_int_equal(sealed_len, n + 16);
        assert_memory_equal(buf, want, sealed_len);
        assert_int_equal(bw_aead_open(o, buf, buf, sealed_len, data, data_len, nonce), 0);
        assert_memory_equal(buf, text, n);
        memcpy(buf, want, sealed_len); // a forgery in between must not spoil the context
        buf[round] ^= 1;
        assert_int_equal(bw_aead_open(o, buf, buf, sealed_len, data, data_len, nonce), BW_ERR_AUTH);
        memcpy(buf, want, sealed_len);
        assert_int_equal(bw_aead_open(o, buf, buf, sealed_len, NULL, 0, nonce), BW_ERR_AUTH);
    }
    assert_int_equal(bw_aead_open(o, buf, buf, 15, data, data_len, nonce), BW_ERR_SHORT);
    bw_aead_free(s);
    bw_aead_free(o);
}

static void test_aead_context(void **state)
{
    (void)state;
    check_context(BW_CHACHA20_POLY1305, "aead_key", "chacha_nonce", "aead_text", "aead_data", "chacha_sealed");
    check_context(BW_AES_256_GCM, "gcm_key", "gcm_nonce", "gcm_text", "gcm_data", "gcm_sealed");
    bw_aead_free(NULL);
}

// The context and the one-shot functions come from two libraries: they must agree on every length, the empty one included.
static void test_aead_agreement(void **state)
{
    (void)state;
    struct bw_rng r;
    uint8_t key[32] = {7}, nonce[12], text[300], a[316], b[316];
    bw_rng_seed(&r, key);
    struct bw_aead *s = bw_aead_new(BW_CHACHA20_POLY1305, key, true), *o = bw_aead_new(BW_CHACHA20_POLY1305, key, false);
    struct bw_aead *gs = bw_aead_new(BW_AES_256_GCM, key, true), *go = bw_aead_new(BW_AES_256_GCM, key, false);
    for (size_t n = 0; n < sizeof text; n++) {
        bw_rng_bytes(&r, nonce, sizeof nonce);
        bw_rng_bytes(&r, text, sizeof text);
        assert_int_equal(bw_aead_seal(s, a, text, n, nonce, n % 7, nonce), 0);
        assert_int_equal(bw_chacha20poly1305_seal(b, text, n, nonce, n % 7, nonce, key), 0);
        assert_memory_equal(a, b, n + 16);
        assert_int_equal(bw_aead_open(o, b, a, n + 16, nonce, n % 7, nonce), 0);
        assert_memory_equal(b, text, n);
        assert_int_equal(bw_aead_seal(gs, a, text, n, nonce, n % 7, nonce), 0);
        assert_int_equal(bw_aead_open(go, b, a, n + 16, nonce, n % 7, nonce), 0);
        assert_memory_equal(b, text, n);
    }
    bw_aead_free(s), bw_aead_free(o), bw_aead_free(gs), bw_aead_free(go);
}

static void test_rng(void **state)
{
    (void)state;
    struct bw_rng a, b;
    uint8_t seed[32] = {1}, x[1000], y[1000];
    bw_rng_seed(&a, seed);
    bw_rng_seed(&b, seed);
    bw_rng_bytes(&a, x, sizeof x);
    for (size_t i = 0, k = 1; i < sizeof y; i += k, k = k % 17 + 1) // the same stream, however it is cut
        bw_rng_bytes(&b, y + i, i + k > sizeof y ? sizeof y - i : k);
    assert_memory_equal(x, y, sizeof x);
    seed[0] = 2;
    bw_rng_seed(&b, seed);
    bw_rng_bytes(&b, y, sizeof y);
    assert_memory_not_equal(x, y, 32);
    unsigned seen[7] = {0};
    for (int i = 0; i < 7000; i++) seen[bw_rng_below(&a, 7)]++;
    for (int i = 0; i < 7; i++) assert_in_range(seen[i], 850, 1150);
    assert_int_equal(bw_rng_below(&a, 1), 0);
}

static void test_hygiene(void **state)
{
    (void)state;
    uint8_t a[4] = {1, 2, 3, 4}, b[4] = {1, 2, 3, 5};
    assert_false(bw_same(a, b, 4));
    assert_true(bw_same(a, b, 3));
    bw_wipe(a, 4);
    assert_int_equal(a[0] | a[1] | a[2] | a[3], 0);
}

int main(void)
{
    if (bw_crypto_init() || bw_crypto_init()) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x25519),       cmocka_unit_test(test_ed25519),      cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_oneshot_aead), cmocka_unit_test(test_aead_context), cmocka_unit_test(test_aead_agreement),
        cmocka_unit_test(test_rng),          cmocka_unit_test(test_hygiene),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
