// What bw_crypto_init fetched from OpenSSL once, so that no call afterwards searches for an algorithm. Private to
// crypto.
#ifndef CRYPTO_FETCHED_H
#define CRYPTO_FETCHED_H

#include <openssl/evp.h>
#include <stdbool.h>

struct crypto_fetched {
    EVP_MD *blake2s;
    EVP_MAC *blake2s_mac;
    EVP_CIPHER *chacha20_poly1305, *aes_256_gcm;
    bool ready;
    bool quick_chacha, quick_gcm; // the nonce may be set by a parameter: see aead.c
};
extern struct crypto_fetched crypto_fetched;

void aead_try_quick_nonces(void); // once, by bw_crypto_init

#endif
