// Key agreement, signatures, hashes, one-shot AEAD and memory hygiene.
#include "crypto/crypto.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

#include "crypto/fetched.h"

struct crypto_fetched crypto_fetched; // written once by bw_crypto_init, constant from then on

int bw_crypto_init(void)
{
    struct crypto_fetched *f = &crypto_fetched;
    if (sodium_init() < 0) return BW_ERR_SYS;
    if (f->ready) return 0;
    f->blake2s = EVP_MD_fetch(NULL, "BLAKE2S-256", NULL);
    f->blake2s_mac = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
    f->chacha20_poly1305 = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    f->aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    f->ready = f->blake2s && f->blake2s_mac && f->chacha20_poly1305 && f->aes_256_gcm;
    if (!f->ready) return BW_ERR_SYS;
    aead_try_quick_nonces();
    return 0;
}

void bw_x25519_public(uint8_t pk[BW_KEY_LEN], const uint8_t sk[BW_KEY_LEN])
{
    BW_ASSERT(!crypto_scalarmult_base(pk, sk));
}

int bw_x25519(uint8_t out[BW_KEY_LEN], const uint8_t sk[BW_KEY_LEN], const uint8_t pk[BW_KEY_LEN])
{
    return crypto_scalarmult(out, sk, pk) ? BW_ERR_AUTH : 0;
}

void bw_sign_keypair(const uint8_t seed[32], uint8_t pk[BW_SIGN_PK_LEN], uint8_t sk[BW_SIGN_SK_LEN])
{
    crypto_sign_seed_keypair(pk, sk, seed);
}

void bw_sign(uint8_t sig[BW_SIG_LEN], const void *m, size_t n, const uint8_t sk[BW_SIGN_SK_LEN])
{
    crypto_sign_detached(sig, NULL, m, n, sk);
}

int bw_verify(const uint8_t sig[BW_SIG_LEN], const void *m, size_t n, const uint8_t pk[BW_SIGN_PK_LEN])
{
    return crypto_sign_verify_detached(sig, m, n, pk) ? BW_ERR_AUTH : 0;
}

int bw_sign_pk_to_x25519(uint8_t out[BW_KEY_LEN], const uint8_t pk[BW_SIGN_PK_LEN])
{
    return crypto_sign_ed25519_pk_to_curve25519(out, pk) ? BW_ERR_AUTH : 0;
}

void bw_sign_sk_to_x25519(uint8_t out[BW_KEY_LEN], const uint8_t sk[BW_SIGN_SK_LEN])
{
    crypto_sign_ed25519_sk_to_curve25519(out, sk);
}

void bw_sha512(uint8_t out[64], const void *p, size_t n)
{
    crypto_hash_sha512(out, p, n);
}

static void blake2s_plain(uint8_t out[BW_HASH_LEN], const void *a, size_t a_len, const void *b, size_t b_len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    BW_ASSERT(ctx && EVP_DigestInit_ex2(ctx, crypto_fetched.blake2s, NULL));
    BW_ASSERT(EVP_DigestUpdate(ctx, a, a_len) && EVP_DigestUpdate(ctx, b, b_len));
    BW_ASSERT(EVP_DigestFinal_ex(ctx, out, NULL));
    EVP_MD_CTX_free(ctx);
}

static void blake2s_keyed(uint8_t *out, size_t out_len, const void *key, size_t key_len, const void *a, size_t a_len,
                          const void *b, size_t b_len)
{
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(crypto_fetched.blake2s_mac);
    OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t("size", &out_len), OSSL_PARAM_construct_end()};
    BW_ASSERT(ctx && EVP_MAC_init(ctx, key, key_len, params));
    BW_ASSERT(EVP_MAC_update(ctx, a, a_len) && EVP_MAC_update(ctx, b, b_len));
    BW_ASSERT(EVP_MAC_final(ctx, out, NULL, out_len));
    EVP_MAC_CTX_free(ctx);
}

void bw_blake2s(uint8_t *out, size_t out_len, const void *key, size_t key_len, const void *a, size_t a_len,
                const void *b, size_t b_len)
{
    BW_ASSERT(out_len >= 1 && out_len <= BW_HASH_LEN && key_len <= 32);
    if (key_len) {
        blake2s_keyed(out, out_len, key, key_len, a, a_len, b, b_len);
    } else {
        BW_ASSERT(out_len == BW_HASH_LEN);
        blake2s_plain(out, a, a_len, b, b_len);
    }
}

void bw_hmac_blake2s(uint8_t out[BW_HASH_LEN], const void *key, size_t key_len, const void *p, size_t n)
{
    uint8_t pad[64], inner[BW_HASH_LEN], k[64] = {0};
    if (key_len > sizeof k) blake2s_plain(k, key, key_len, NULL, 0);
    else if (key_len) memcpy(k, key, key_len);
    for (size_t i = 0; i < sizeof k; i++) pad[i] = k[i] ^ 0x36;
    blake2s_plain(inner, pad, sizeof pad, p, n);
    for (size_t i = 0; i < sizeof k; i++) pad[i] = k[i] ^ 0x5c;
    blake2s_plain(out, pad, sizeof pad, inner, sizeof inner);
    bw_wipe(k, sizeof k);
    bw_wipe(pad, sizeof pad);
    bw_wipe(inner, sizeof inner);
}

int bw_chacha20poly1305_seal(uint8_t *out, const void *in, size_t n, const void *ad, size_t ad_len,
                             const uint8_t nonce[12], const uint8_t key[32])
{
    return crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, in, n, ad, ad_len, NULL, nonce, key) ? BW_ERR_RANGE : 0;
}

int bw_chacha20poly1305_open(uint8_t *out, const void *in, size_t n, const void *ad, size_t ad_len,
                             const uint8_t nonce[12], const uint8_t key[32])
{
    if (n < BW_TAG_LEN) return BW_ERR_SHORT;
    return crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, in, n, ad, ad_len, nonce, key) ? BW_ERR_AUTH : 0;
}

int bw_xchacha20poly1305_seal(uint8_t *out, const void *in, size_t n, const void *ad, size_t ad_len,
                              const uint8_t nonce[24], const uint8_t key[32])
{
    return crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, in, n, ad, ad_len, NULL, nonce, key) ? BW_ERR_RANGE
                                                                                                      : 0;
}

int bw_xchacha20poly1305_open(uint8_t *out, const void *in, size_t n, const void *ad, size_t ad_len,
                              const uint8_t nonce[24], const uint8_t key[32])
{
    if (n < BW_TAG_LEN) return BW_ERR_SHORT;
    return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in, n, ad, ad_len, nonce, key) ? BW_ERR_AUTH : 0;
}

void bw_wipe(void *p, size_t n)
{
    sodium_memzero(p, n);
}

bool bw_same(const void *a, const void *b, size_t n)
{
    return !sodium_memcmp(a, b, n);
}
