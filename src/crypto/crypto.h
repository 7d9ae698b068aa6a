// A thin face over libsodium and OpenSSL 3: the primitives that byway's protocols name, and nothing else. No entropy is
// drawn here: random bytes come from a bw_rng that the caller seeded.
#ifndef CRYPTO_CRYPTO_H
#define CRYPTO_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define BW_KEY_LEN 32
#define BW_TAG_LEN 16
#define BW_HASH_LEN 32 // BLAKE2s-256
#define BW_SIGN_PK_LEN 32
#define BW_SIGN_SK_LEN 64
#define BW_SIG_LEN 64

// Once per process before anything else here. BW_ERR_SYS if a primitive cannot be had from the libraries.
int bw_crypto_init(void) BW_NODISCARD;
// Whether the processor has AES and carry-less multiplication: without them ChaCha20-Poly1305 is faster.
bool bw_aes_fast(void);

// ---- X25519 (RFC 7748) ----
void bw_x25519_public(uint8_t pk[BW_KEY_LEN], const uint8_t sk[BW_KEY_LEN]);
// BW_ERR_AUTH: all-zero result
int bw_x25519(uint8_t out[BW_KEY_LEN], const uint8_t sk[BW_KEY_LEN], const uint8_t pk[BW_KEY_LEN]) BW_NODISCARD;

// ---- Ed25519 (RFC 8032), and the birational map to X25519 (RFC 7748 section 4.1) ----
void bw_sign_keypair(const uint8_t seed[32], uint8_t pk[BW_SIGN_PK_LEN], uint8_t sk[BW_SIGN_SK_LEN]);
void bw_sign(uint8_t sig[BW_SIG_LEN], const void *m, size_t n, const uint8_t sk[BW_SIGN_SK_LEN]);
int bw_verify(const uint8_t sig[BW_SIG_LEN], const void *m, size_t n, const uint8_t pk[BW_SIGN_PK_LEN]) BW_NODISCARD;
int bw_sign_pk_to_x25519(uint8_t out[BW_KEY_LEN], const uint8_t pk[BW_SIGN_PK_LEN]) BW_NODISCARD;
void bw_sign_sk_to_x25519(uint8_t out[BW_KEY_LEN], const uint8_t sk[BW_SIGN_SK_LEN]);

// ---- hashes ----
void bw_sha512(uint8_t out[64], const void *p, size_t n);
// BLAKE2s (RFC 7693): with a key (1..32 bytes) 1..32 bytes out, without one always 32. Two inputs are hashed as one;
// either may be empty.
void bw_blake2s(uint8_t *out, size_t out_len, const void *key, size_t key_len, const void *a, size_t a_len,
                const void *b, size_t b_len);
// HMAC, RFC 2104
void bw_hmac_blake2s(uint8_t out[BW_HASH_LEN], const void *key, size_t key_len, const void *p, size_t n);

// ---- AEAD, one shot (handshakes, cookies) ----
// out: n + 16
int bw_chacha20poly1305_seal(uint8_t *out, const void *in, size_t n, const void *ad, size_t ad_len,
                             const uint8_t nonce[12], const uint8_t key[32]) BW_NODISCARD;
// in: n, out: n - 16
int bw_chacha20poly1305_open(uint8_t *out, const void *in, size_t n, const void *ad, size_t ad_len,
                             const uint8_t nonce[12], const uint8_t key[32]) BW_NODISCARD;
int bw_xchacha20poly1305_seal(uint8_t *out, const void *in, size_t n, const void *ad, size_t ad_len,
                              const uint8_t nonce[24], const uint8_t key[32]) BW_NODISCARD;
int bw_xchacha20poly1305_open(uint8_t *out, const void *in, size_t n, const void *ad, size_t ad_len,
                              const uint8_t nonce[24], const uint8_t key[32]) BW_NODISCARD;

// ---- AEAD, keyed context for the packet path. One direction, one thread at a time; no allocation per packet. ----
enum bw_cipher { BW_CHACHA20_POLY1305, BW_AES_256_GCM };
struct bw_aead;
struct bw_aead *bw_aead_new(enum bw_cipher cipher, const uint8_t key[32], bool seal); // NULL: no memory
void bw_aead_free(struct bw_aead *a);                                                  // NULL is fine; key is wiped
// out may equal in. seal: n bytes in, n + 16 out. open: n bytes in (tag last), n - 16 out; BW_ERR_AUTH leaves out
// undefined.
int bw_aead_seal(struct bw_aead *a, uint8_t *out, const uint8_t *in, size_t n, const void *ad, size_t ad_len,
                 const uint8_t nonce[12]) BW_NODISCARD;
int bw_aead_open(struct bw_aead *a, uint8_t *out, const uint8_t *in, size_t n, const void *ad, size_t ad_len,
                 const uint8_t nonce[12]) BW_NODISCARD;
// The same in place, without additional data and with the tag somewhere else: n bytes of text either way.
int bw_aead_seal_apart(struct bw_aead *a, uint8_t *text, size_t n, uint8_t tag[BW_TAG_LEN],
                       const uint8_t nonce[12]) BW_NODISCARD;
int bw_aead_open_apart(struct bw_aead *a, uint8_t *text, size_t n, const uint8_t tag[BW_TAG_LEN],
                       const uint8_t nonce[12]) BW_NODISCARD;

// ---- random: a ChaCha20 generator with fast key erasure, so that a run is a pure function of its seed ----
struct bw_rng {
    uint8_t key[32];
    uint8_t buf[224];
    uint32_t left;
};
void bw_rng_seed(struct bw_rng *r, const uint8_t seed[32]);
void bw_rng_bytes(struct bw_rng *r, void *out, size_t n);
uint32_t bw_rng_u32(struct bw_rng *r);
uint32_t bw_rng_below(struct bw_rng *r, uint32_t n); // uniform in 0..n-1; n > 0

// ---- memory hygiene ----
void bw_wipe(void *p, size_t n);
bool bw_same(const void *a, const void *b, size_t n); // constant time

#endif
