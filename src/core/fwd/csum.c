#include "core/fwd/csum.h"

static inline uint64_t word(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
    return w;
}

// The bytes that are left, fewer than 8, as a word padded with zeros behind.
static inline uint64_t rest(const uint8_t *p, size_t n)
{
    uint8_t b[8] = {0};
    memcpy(b, p, n);
    return word(b);
}

// Two words at a time, by whatever the machine has for that. Halves of words go into accumulators of their own that
// can't overflow (2^32 words would be needed), so no carry has to be caught inside the loop.
typedef uint64_t pair __attribute__((vector_size(16)));

static inline pair two_words(const uint8_t *p)
{
    pair w;
    memcpy(&w, p, 16);
    return w;
}

uint64_t csum_add(uint64_t sum, const uint8_t *p, size_t n)
{
    const pair half = {UINT32_MAX, UINT32_MAX};
    pair low0 = {0}, high0 = {0}, low1 = {0}, high1 = {0};
    for (; n >= 32; p += 32, n -= 32) {
        pair a = two_words(p), b = two_words(p + 16);
        low0 += a & half, high0 += a >> 32;
        low1 += b & half, high1 += b >> 32;
    }
    low0 += low1, high0 += high1;
    uint64_t low = low0[0] + low0[1], high = high0[0] + high0[1];
    sum = csum_plus(sum, csum_plus(low, csum_plus(high << 32, high >> 32)));
    for (; n >= 8; p += 8, n -= 8) sum = csum_plus(sum, word(p));
    return n ? csum_plus(sum, rest(p, n)) : sum;
}

// A block of 512 bytes stays in the first-level cache between its copy and its sum; the C library's copy and the loop
// above both run on vectors that way, which no single loop in C does.
uint64_t csum_copy(uint64_t sum, uint8_t *to, const uint8_t *from, size_t n)
{
    while (n) {
        size_t k = n < 512 ? n : 512;
        memcpy(to, from, k);
        sum = csum_add(sum, to, k);
        to += k, from += k, n -= k;
    }
    return sum;
}

uint64_t csum_pseudo(const uint8_t *src, const uint8_t *dst, size_t alen, uint8_t proto, uint32_t len)
{
    uint8_t b[8] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, [7] = proto};
    return csum_plus(csum_add(csum_add(0, src, alen), dst, alen), word(b));
}

void csum_update(uint8_t *p, const uint8_t old[2], const uint8_t new[2])
{
    uint16_t c, m, n;
    memcpy(&c, p, 2);
    memcpy(&m, old, 2);
    memcpy(&n, new, 2);
    uint16_t v = (uint16_t)~csum_fold((uint64_t)(uint16_t)~c + (uint16_t)~m + n); // RFC 1624 equation 3
    memcpy(p, &v, 2);
}
