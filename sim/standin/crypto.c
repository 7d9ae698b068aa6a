// A stand-in for src/crypto in large simulations: the same face, nothing secret. Key agreement commutes, tags fail when a
// key, nonce or byte is another, hashes spread; but anybody could compute all of it. It is linked in the place of bw_crypto
// into byway-sim-standin and into nothing else, and the same on every machine.
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "sim/standin.h"

const bool sim_crypto_is_standin = true;

int bw_crypto_init(void)
{
    return 0;
}

// ---- mixing ----

static uint64_t load(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 |
           (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static void store(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t absorb(uint64_t h, const void *in, size_t n)
{
    const uint8_t *p = in;
    h ^= n * 0x9e3779b97f4a7c15u;
    for (; n >= 8; n -= 8, p += 8) h = (h ^ load(p)) * 0x100000001b3u ^ h >> 29;
    uint8_t rest[8] = {0};
    if (n) memcpy(rest, p, n);
    return mix(h ^ load(rest));
}

static void squeeze(uint64_t h, uint8_t *out, size_t n)
{
    uint8_t block[8];
    for (size_t i = 0; i < n; i += 8) {
        store(block, mix(h += 0x9e3779b97f4a7c15u));
        memcpy(out + i, block, n - i < 8 ? n - i : 8);
    }
}

// ---- keys: two small Diffie-Hellman groups side by side; a public key is their elements and bytes that follow from them ----

#define PRIME 2147483647u // 2^31 - 1

static uint32_t power(uint32_t base, uint32_t exponent)
{
    uint64_t r = 1, b = base % PRIME;
    for (; exponent; exponent >>= 1, b = b * b % PRIME)
        if (exponent & 1) r = r * b % PRIME;
    return (uint32_t)r;
}

static void element(uint8_t out[32], const uint8_t sk[32], uint32_t base0, uint32_t base1)
{
    uint64_t s = absorb(1, sk, 32);
    uint64_t e = (uint64_t)power(base0, (uint32_t)s >> 2 | 1) << 32 | power(base1, (uint32_t)(s >> 34) | 1);
    store(out, e);
    squeeze(e, out + 8, 24);
}

void bw_x25519_public(uint8_t pk[32], const uint8_t sk[32])
{
    element(pk, sk, 7, 7);
}

int bw_x25519(uint8_t out[32], const uint8_t sk[32], const uint8_t pk[32])
{
    uint64_t e = load(pk);
    uint32_t hi = (uint32_t)(e >> 32) % PRIME, lo = (uint32_t)e % PRIME;
    if (!hi || !lo) return BW_ERR_AUTH;
    element(out, sk, hi, lo);
    return 0;
}

void bw_sign_keypair(const uint8_t seed[32], uint8_t pk[BW_SIGN_PK_LEN], uint8_t sk[BW_SIGN_SK_LEN])
{
    bw_x25519_public(pk, seed);
    memcpy(sk, seed, 32);
    memcpy(sk + 32, pk, 32);
}

void bw_sign(uint8_t sig[BW_SIG_LEN], const void *m, size_t n, const uint8_t sk[BW_SIGN_SK_LEN])
{
    squeeze(absorb(absorb(2, sk + 32, 32), m, n), sig, BW_SIG_LEN);
}

int bw_verify(const uint8_t sig[BW_SIG_LEN], const void *m, size_t n, const uint8_t pk[BW_SIGN_PK_LEN])
{
    uint8_t right[BW_SIG_LEN];
    squeeze(absorb(absorb(2, pk, 32), m, n), right, sizeof right);
    return memcmp(right, sig, sizeof right) ? BW_ERR_AUTH : 0;
}

int bw_sign_pk_to_x25519(uint8_t out[32], const uint8_t pk[BW_SIGN_PK_LEN])
{
    memcpy(out, pk, 32);
    return 0;
}

void bw_sign_sk_to_x25519(uint8_t out[32], const uint8_t sk[BW_SIGN_SK_LEN])
{
    memcpy(out, sk, 32);
}

// ---- hashes ----

void bw_sha512(uint8_t out[64], const void *p, size_t n)
{
    squeeze(absorb(3, p, n), out, 64);
}

void bw_blake2s(uint8_t *out, size_t out_len, const void *key, size_t key_len, const void *a, size_t a_len, const void *b, size_t b_len)
{
    uint64_t h = absorb(4 + out_len, key, key_len);
    h = absorb(h, a, a_len); // unlike BLAKE2s it tells (a, b) from (ab): no caller minds
    squeeze(absorb(h, b, b_len), out, out_len);
}

void bw_hmac_blake2s(uint8_t out[BW_HASH_LEN], const void *key, size_t key_len, const void *p, size_t n)
{
    squeeze(absorb(absorb(5, key, key_len), p, n), out, BW_HASH_LEN);
}

// ---- AEAD: the text as it is, and a tag ----

static void tag_of(uint8_t tag[BW_TAG_LEN], const uint8_t *text, size_t n, const void *ad, size_t ad_len, uint64_t key, const uint8_t *nonce, size_t nonce_len)
{
    uint64_t h = absorb(absorb(key, nonce, nonce_len), ad, ad_len);
    squeeze(absorb(h, text, n), tag, BW_TAG_LEN);
}

static int seal(uint8_t *out, const void *in, size_t n, const void *ad, size_t ad_len, const uint8_t *nonce, size_t nonce_len, uint64_t key)
{
    if (n && out != in) memmove(out, in, n);
    tag_of(out + n, out, n, ad, ad_len, key, nonce, nonce_len);
    return 0;
}

static int unseal(uint8_t *out, const void *in, size_t n, const void *ad, size_t ad_len, const uint8_t *nonce, size_t nonce_len, uint64_t key)
{
    uint8_t tag[BW_TAG_LEN];
    if (n < BW_TAG_LEN) return BW_ERR_SHORT;
    n -= BW_TAG_LEN;
    tag_of(tag, in, n, ad, ad_len, key, nonce, nonce_len);
    if (memcmp(tag, (const uint8_t *)in + n, sizeof tag)) return BW_ERR_AUTH;
    if (n && out != in) memmove(out, in, n);
    return 0;
}

int bw_chacha20poly1305_seal(uint8_t *out, const void *in, size_t n, const void *ad, size_t ad_len, const uint8_t nonce[12], const uint8_t key[32])
{
    return seal(out, in, n, ad, ad_len, nonce, 12, absorb(6, key, 32));
}

int bw_chacha20poly1305_open(uint8_t *out, const void *in, size_t n, const void *ad, size_t ad_len, const uint8_t nonce[12], const uint8_t key[32])
{
    return unseal(out, in, n, ad, ad_len, nonce, 12, absorb(6, key, 32));
}

int bw_xchacha20poly1305_seal(uint8_t *out, const void *in, size_t n, const void *ad, size_t ad_len, const uint8_t nonce[24], const uint8_t key[32])
{
    return seal(out, in, n, ad, ad_len, nonce, 24, absorb(7, key, 32));
}

int bw_xchacha20poly1305_open(uint8_t *out, const void *in, size_t n, const void *ad, size_t ad_len, const uint8_t nonce[24], const uint8_t key[32])
{
    return unseal(out, in, n, ad, ad_len, nonce, 24, absorb(7, key, 32));
}

struct bw_aead {
    uint64_t key;
};

struct bw_aead *bw_aead_new(enum bw_cipher cipher, const uint8_t key[32], bool sealing)
{
    struct bw_aead *a = malloc(sizeof *a);
    (void)sealing;
    if (a) a->key = absorb(6 + (cipher == BW_AES_256_GCM ? 100 : 0), key, 32); // as the one-shot functions of the same cipher
    return a;
}

void bw_aead_free(struct bw_aead *a)
{
    free(a);
}

int bw_aead_seal(struct bw_aead *a, uint8_t *out, const uint8_t *in, size_t n, const void *ad, size_t ad_len, const uint8_t nonce[12])
{
    return seal(out, in, n, ad, ad_len, nonce, 12, a->key);
}

int bw_aead_open(struct bw_aead *a, uint8_t *out, const uint8_t *in, size_t n, const void *ad, size_t ad_len, const uint8_t nonce[12])
{
    return unseal(out, in, n, ad, ad_len, nonce, 12, a->key);
}

int bw_aead_seal_apart(struct bw_aead *a, uint8_t *text, size_t n, uint8_t tag[BW_TAG_LEN], const uint8_t nonce[12])
{
    tag_of(tag, text, n, text, 0, a->key, nonce, 12);
    return 0;
}

int bw_aead_open_apart(struct bw_aead *a, uint8_t *text, size_t n, const uint8_t tag[BW_TAG_LEN], const uint8_t nonce[12])
{
    uint8_t right[BW_TAG_LEN];
    tag_of(right, text, n, text, 0, a->key, nonce, 12);
    return memcmp(right, tag, sizeof right) ? BW_ERR_AUTH : 0;
}

// ---- random ----

void bw_rng_seed(struct bw_rng *r, const uint8_t seed[32])
{
    memcpy(r->key, seed, sizeof r->key);
    store(r->key, absorb(8, seed, 32));
    r->left = 0;
}

void bw_rng_bytes(struct bw_rng *r, void *out, size_t n)
{
    uint64_t s = load(r->key);
    squeeze(s, out, n);
    store(r->key, s + (n + 7) / 8 * 0x9e3779b97f4a7c15u);
}

uint32_t bw_rng_u32(struct bw_rng *r)
{
    uint8_t b[4];
    bw_rng_bytes(r, b, sizeof b);
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint32_t bw_rng_below(struct bw_rng *r, uint32_t n)
{
    uint32_t refuse = -n % n, v;
    BW_ASSERT(n > 0);
    do v = bw_rng_u32(r);
    while (v < refuse);
    return v % n;
}

// ---- memory ----

void bw_wipe(void *p, size_t n)
{
    if (n) memset(p, 0, n);
}

bool bw_same(const void *a, const void *b, size_t n)
{
    return !n || !memcmp(a, b, n);
}
