#include "base/hash.h"

#include <string.h>

static inline uint64_t le64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

static inline uint64_t rotl(uint64_t v, int n)
{
    return v << n | v >> (64 - n);
}

static inline void rounds(uint64_t v[4], int n)
{
    while (n--) {
        v[0] += v[1], v[1] = rotl(v[1], 13) ^ v[0], v[0] = rotl(v[0], 32);
        v[2] += v[3], v[3] = rotl(v[3], 16) ^ v[2];
        v[0] += v[3], v[3] = rotl(v[3], 21) ^ v[0];
        v[2] += v[1], v[1] = rotl(v[1], 17) ^ v[2], v[2] = rotl(v[2], 32);
    }
}

uint64_t bw_siphash(const uint8_t key[16], const void *data, size_t n)
{
    uint64_t k0 = le64(key), k1 = le64(key + 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u};
    const uint8_t *p = data;
    size_t left = n;
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t m = le64(p);
        v[3] ^= m;
        rounds(v, 2);
        v[0] ^= m;
    }
    uint64_t last = (uint64_t)n << 56;
    for (size_t i = 0; i < left; i++) last |= (uint64_t)p[i] << (8 * i);
    v[3] ^= last;
    rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xff;
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint32_t bw_permute32(const uint8_t key[16], uint32_t v)
{
    uint16_t left = (uint16_t)(v >> 16), right = (uint16_t)v;
    for (uint8_t i = 0; i < 4; i++) { // a Feistel network of four rounds (Luby, Rackoff 1988)
        uint8_t in[3] = {i, (uint8_t)(right >> 8), (uint8_t)right};
        uint16_t mixed = left ^ (uint16_t)bw_siphash(key, in, sizeof in);
        left = right;
        right = mixed;
    }
    return (uint32_t)left << 16 | right;
}
