// Keyed AEAD contexts for the packet path: the key schedule is made once, a packet only changes the nonce.
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>

#include "crypto/crypto.h"
#include "crypto/fetched.h"

struct bw_aead {
    EVP_CIPHER_CTX *ctx;
};

struct bw_aead *bw_aead_new(enum bw_cipher cipher, const uint8_t key[32], bool seal)
{
    EVP_CIPHER *c = cipher == BW_AES_256_GCM ? crypto_fetched.aes_256_gcm : crypto_fetched.chacha20_poly1305;
    BW_ASSERT(crypto_fetched.ready);
    struct bw_aead *a = OPENSSL_zalloc(sizeof *a);
    if (!a) return NULL;
    a->ctx = EVP_CIPHER_CTX_new();
    if (!a->ctx || !EVP_CipherInit_ex2(a->ctx, c, key, NULL, seal, NULL)) {
        bw_aead_free(a);
        return NULL;
    }
    return a;
}

void bw_aead_free(struct bw_aead *a)
{
    if (!a) return;
    EVP_CIPHER_CTX_free(a->ctx); // wipes the key schedule
    OPENSSL_free(a);
}

// The tag by way of a parameter array of our own: EVP_CIPHER_CTX_ctrl would build the same one after a table search.
static OSSL_PARAM tag_param(uint8_t *tag)
{
    return OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, BW_TAG_LEN);
}

static int crypt(struct bw_aead *a, uint8_t *out, const uint8_t *in, size_t n, const void *ad, size_t ad_len)
{
    int len;
    if (n > INT_MAX || ad_len > INT_MAX) return BW_ERR_RANGE;
    if (ad_len && !EVP_CipherUpdate(a->ctx, NULL, &len, ad, (int)ad_len)) return BW_ERR_SYS;
    // An empty text still has to pass through once: GCM and Poly1305 only then know that the additional data have
    // ended.
    return EVP_CipherUpdate(a->ctx, out, &len, in, (int)n) ? 0 : BW_ERR_SYS;
}

int bw_aead_seal(struct bw_aead *a, uint8_t *out, const uint8_t *in, size_t n, const void *ad, size_t ad_len,
                 const uint8_t nonce[12])
{
    int len;
    OSSL_PARAM params[] = {tag_param(out + n), OSSL_PARAM_construct_end()};
    if (!EVP_EncryptInit_ex2(a->ctx, NULL, NULL, nonce, NULL)) return BW_ERR_SYS;
    int err = crypt(a, out, in, n, ad, ad_len);
    if (err) return err;
    uint8_t none[BW_TAG_LEN]; // a stream mode has nothing left to write at its end
    if (!EVP_EncryptFinal_ex(a->ctx, none, &len)) return BW_ERR_SYS;
    return EVP_CIPHER_CTX_get_params(a->ctx, params) ? 0 : BW_ERR_SYS;
}

int bw_aead_open(struct bw_aead *a, uint8_t *out, const uint8_t *in, size_t n, const void *ad, size_t ad_len,
                 const uint8_t nonce[12])
{
    int len;
    if (n < BW_TAG_LEN) return BW_ERR_SHORT;
    n -= BW_TAG_LEN;
    uint8_t tag[BW_TAG_LEN], none[BW_TAG_LEN];
    for (size_t i = 0; i < BW_TAG_LEN; i++) tag[i] = in[n + i];
    OSSL_PARAM params[] = {tag_param(tag), OSSL_PARAM_construct_end()};
    if (!EVP_DecryptInit_ex2(a->ctx, NULL, NULL, nonce, NULL)) return BW_ERR_SYS;
    if (!EVP_CIPHER_CTX_set_params(a->ctx, params)) return BW_ERR_SYS;
    int err = crypt(a, out, in, n, ad, ad_len);
    if (err) return err;
    return EVP_DecryptFinal_ex(a->ctx, none, &len) ? 0 : BW_ERR_AUTH;
}
