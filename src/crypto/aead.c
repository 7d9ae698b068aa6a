// Keyed AEAD contexts for the packet path: the key schedule is made once, a packet only changes the nonce.
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <string.h>

#include "crypto/crypto.h"
#include "crypto/fetched.h"

struct bw_aead {
    EVP_CIPHER_CTX *ctx;
    bool quick;        // the nonce may be set by a parameter
    uint8_t nonce[12]; // what nonce_param points to
    // Made once; where the tag is changes from message to message. Each call asks for a dozen names, so who opens says both at once.
    OSSL_PARAM nonce_param[3], tag_param[2];
};

static bool prepare(struct bw_aead *a, enum bw_cipher cipher, const uint8_t key[32], bool seal)
{
    EVP_CIPHER *c = cipher == BW_AES_256_GCM ? crypto_fetched.aes_256_gcm : crypto_fetched.chacha20_poly1305;
    a->tag_param[0] = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, NULL, BW_TAG_LEN);
    a->nonce_param[0] =
        OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED, a->nonce, sizeof a->nonce);
    if (cipher == BW_AES_256_GCM) a->nonce_param[0].data_size = SIZE_MAX; // to GCM: "all of it", by its own length
    a->tag_param[1] = a->nonce_param[2] = OSSL_PARAM_construct_end();
    a->nonce_param[1] = seal ? a->tag_param[1] : a->tag_param[0];
    a->ctx = EVP_CIPHER_CTX_new();
    return a->ctx && EVP_CipherInit_ex2(a->ctx, c, key, a->nonce, seal, NULL);
}

struct bw_aead *bw_aead_new(enum bw_cipher cipher, const uint8_t key[32], bool seal)
{
    BW_ASSERT(crypto_fetched.ready);
    struct bw_aead *a = OPENSSL_zalloc(sizeof *a);
    if (!a) return NULL;
    a->quick = cipher == BW_AES_256_GCM ? crypto_fetched.quick_gcm : crypto_fetched.quick_chacha;
    if (prepare(a, cipher, key, seal)) return a;
    bw_aead_free(a);
    return NULL;
}

void bw_aead_free(struct bw_aead *a)
{
    if (!a) return;
    EVP_CIPHER_CTX_free(a->ctx); // wipes the key schedule
    OPENSSL_free(a);
}

// A new nonce for the next message. EVP_CipherInit_ex2 asks the provider for lengths on every call, which costs a fifth
// of what sealing a full packet does. OpenSSL 3's AEADs also take their whole nonce as a parameter (made for TLS, where the
// nonce is fixed once and the counter follows it); bw_crypto_init has tried for each whether that means the same.
static int begin(struct bw_aead *a, const uint8_t nonce[12])
{
    if (!a->quick) return EVP_CipherInit_ex2(a->ctx, NULL, NULL, nonce, -1, NULL) ? 0 : BW_ERR_SYS;
    memcpy(a->nonce, nonce, sizeof a->nonce);
    return EVP_CIPHER_CTX_set_params(a->ctx, a->nonce_param) ? 0 : BW_ERR_SYS;
}

static int crypt(struct bw_aead *a, uint8_t *out, const uint8_t *in, size_t n, const void *ad, size_t ad_len)
{
    int len;
    if (n > INT_MAX || ad_len > INT_MAX) return BW_ERR_RANGE;
    if (ad_len && !EVP_CipherUpdate(a->ctx, NULL, &len, ad, (int)ad_len)) return BW_ERR_SYS;
    // An empty text still has to pass through once: GCM and Poly1305 only then know that the additional data have
    // ended.
    if (EVP_CipherUpdate(a->ctx, out, &len, in, (int)n)) return 0;
    a->quick = false; // never seen to happen; only EVP_CipherInit_ex2 is sure to begin anew after it
    return BW_ERR_SYS;
}

static int seal(struct bw_aead *a, uint8_t *out, const uint8_t *in, size_t n, const void *ad, size_t ad_len, uint8_t *tag,
                const uint8_t nonce[12])
{
    int len, err = begin(a, nonce);
    if (!err) err = crypt(a, out, in, n, ad, ad_len);
    if (err) return err;
    uint8_t none[BW_TAG_LEN]; // a stream mode has nothing left to write at its end
    if (!EVP_EncryptFinal_ex(a->ctx, none, &len)) return BW_ERR_SYS;
    a->tag_param[0].data = tag;
    return EVP_CIPHER_CTX_get_params(a->ctx, a->tag_param) ? 0 : BW_ERR_SYS;
}

static int unseal(struct bw_aead *a, uint8_t *out, const uint8_t *in, size_t n, const void *ad, size_t ad_len,
                  const uint8_t *tag, const uint8_t nonce[12])
{
    uint8_t none[BW_TAG_LEN];
    int len, err;
    a->tag_param[0].data = a->nonce_param[1].data = (void *)tag; // only read
    err = begin(a, nonce);
    if (err) return err;
    if (!a->quick && !EVP_CIPHER_CTX_set_params(a->ctx, a->tag_param)) return BW_ERR_SYS;
    err = crypt(a, out, in, n, ad, ad_len);
    if (err) return err;
    return EVP_DecryptFinal_ex(a->ctx, none, &len) ? 0 : BW_ERR_AUTH;
}

int bw_aead_seal(struct bw_aead *a, uint8_t *out, const uint8_t *in, size_t n, const void *ad, size_t ad_len,
                 const uint8_t nonce[12])
{
    return seal(a, out, in, n, ad, ad_len, out + n, nonce);
}

int bw_aead_open(struct bw_aead *a, uint8_t *out, const uint8_t *in, size_t n, const void *ad, size_t ad_len,
                 const uint8_t nonce[12])
{
    if (n < BW_TAG_LEN) return BW_ERR_SHORT;
    n -= BW_TAG_LEN;
    return unseal(a, out, in, n, ad, ad_len, in + n, nonce);
}

int bw_aead_seal_apart(struct bw_aead *a, uint8_t *text, size_t n, uint8_t tag[BW_TAG_LEN], const uint8_t nonce[12])
{
    return seal(a, text, text, n, NULL, 0, tag, nonce);
}

int bw_aead_open_apart(struct bw_aead *a, uint8_t *text, size_t n, const uint8_t tag[BW_TAG_LEN], const uint8_t nonce[12])
{
    return unseal(a, text, text, n, NULL, 0, tag, nonce);
}

// Messages of several lengths, sealed by an EVP_CipherInit_ex2 each and by the parameter, must be equal, with and without
// additional data; and the parameter must open them, also after a message that was not authentic.
static bool quick_nonce_works(enum bw_cipher cipher)
{
    static const uint8_t key[32] = {1, 2, 3};
    struct bw_aead slow = {0}, quick = {.quick = true}, reader = {.quick = true};
    bool good = prepare(&slow, cipher, key, true) && prepare(&quick, cipher, key, true) && prepare(&reader, cipher, key, false);
    for (unsigned i = 0; i < 16 && good; i++) {
        uint8_t text[300] = {(uint8_t)i}, ad[8] = {(uint8_t)i}, a[316] = {0}, b[316] = {0};
        uint8_t nonce[12] = {[0] = 7, [4] = (uint8_t)i, [11] = (uint8_t)(200 + i)};
        size_t n = i / 2 * 41, ad_len = i % 2 * sizeof ad;
        good = !bw_aead_seal(&slow, a, text, n, ad, ad_len, nonce) && !bw_aead_seal(&quick, b, text, n, ad, ad_len, nonce) &&
               !memcmp(a, b, n + BW_TAG_LEN);
        b[n] ^= 1;
        good = good && bw_aead_open(&reader, b, b, n + BW_TAG_LEN, ad, ad_len, nonce) == BW_ERR_AUTH &&
               !bw_aead_open(&reader, b, a, n + BW_TAG_LEN, ad, ad_len, nonce) && !memcmp(b, text, n);
    }
    EVP_CIPHER_CTX_free(slow.ctx);
    EVP_CIPHER_CTX_free(quick.ctx);
    EVP_CIPHER_CTX_free(reader.ctx);
    return good;
}

void aead_try_quick_nonces(void)
{
    crypto_fetched.quick_chacha = quick_nonce_works(BW_CHACHA20_POLY1305);
    crypto_fetched.quick_gcm = quick_nonce_works(BW_AES_256_GCM);
}
