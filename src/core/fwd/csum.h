// The Internet checksum (RFC 1071), fast: 64-bit adds over whole words, folded once. A sum is kept as a 64-bit
// accumulator in the machine's byte order; sums of parts add up as long as every part but the last has an even length.
#ifndef CORE_FWD_CSUM_H
#define CORE_FWD_CSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/addr.h"

uint64_t csum_add(uint64_t sum, const uint8_t *p, size_t n);
// Copies n bytes and sums them in the same pass. No overlap.
uint64_t csum_copy(uint64_t sum, uint8_t *to, const uint8_t *from, size_t n);

// One's complement sum of two accumulators.
static inline uint64_t csum_plus(uint64_t a, uint64_t b)
{
    uint64_t s = a + b;
    return s + (s < b);
}
// A 16-bit number in host order, as it stands in a packet (big endian).
static inline uint64_t csum_plus_be16(uint64_t sum, uint16_t v)
{
    uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    uint16_t w;
    memcpy(&w, b, 2);
    return csum_plus(sum, w);
}
static inline uint16_t csum_fold(uint64_t s)
{
    s = (s & 0xffffffff) + (s >> 32);
    s = (s & 0xffffffff) + (s >> 32);
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    return (uint16_t)s;
}
// Stores the folded sum at p as it stands in a packet: complemented (a finished checksum) or not (a pseudo-header's).
static inline void csum_store(uint8_t *p, uint64_t sum)
{
    uint16_t v = (uint16_t)~csum_fold(sum);
    memcpy(p, &v, 2);
}
static inline void csum_store_partial(uint8_t *p, uint64_t sum)
{
    uint16_t v = csum_fold(sum);
    memcpy(p, &v, 2);
}

// Sum of the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1): addresses as in the IP header, `alen` bytes
// each.
uint64_t csum_pseudo(const uint8_t *src, const uint8_t *dst, size_t alen, uint8_t proto, uint32_t len);
// A 16-bit word of a packet changed from old to new, both as they stand there: the finished checksum at p follows (RFC
// 1624).
void csum_update(uint8_t *p, const uint8_t old[2], const uint8_t new[2]);

#endif
