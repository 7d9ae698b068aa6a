// A ChaCha20 generator with fast key erasure (Bernstein, "Fast-key-erasure random-number generators", 2017): each block
// of 256 bytes replaces the key first, so that what was handed out can't be found again from the state.
#include <sodium.h>
#include <string.h>

#include "crypto/crypto.h"

void bw_rng_seed(struct bw_rng *r, const uint8_t seed[32])
{
    memcpy(r->key, seed, sizeof r->key);
    r->left = 0;
}

static void refill(struct bw_rng *r)
{
    static const uint8_t nonce[crypto_stream_chacha20_ietf_NONCEBYTES];
    uint8_t block[sizeof r->key + sizeof r->buf];
    crypto_stream_chacha20_ietf(block, sizeof block, nonce, r->key);
    memcpy(r->key, block, sizeof r->key);
    memcpy(r->buf, block + sizeof r->key, sizeof r->buf);
    r->left = sizeof r->buf;
    bw_wipe(block, sizeof block);
}

void bw_rng_bytes(struct bw_rng *r, void *out, size_t n)
{
    uint8_t *o = out;
    while (n) {
        if (!r->left) refill(r);
        size_t k = n < r->left ? n : r->left;
        uint8_t *from = r->buf + sizeof r->buf - r->left;
        memcpy(o, from, k);
        memset(from, 0, k);
        r->left -= (uint32_t)k;
        o += k;
        n -= k;
    }
}

uint32_t bw_rng_u32(struct bw_rng *r)
{
    uint8_t b[4];
    bw_rng_bytes(r, b, sizeof b);
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
           (uint32_t)b[3] << 24; // the same on every machine
}

uint32_t bw_rng_below(struct bw_rng *r, uint32_t n)
{
    BW_ASSERT(n > 0);
    uint32_t refuse = -n % n, v; // the first 2^32 mod n values would be one too many
    do v = bw_rng_u32(r);
    while (v < refuse);
    return v % n;
}
