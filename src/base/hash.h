// Keyed hashing for tables whose keys come off the wire: SipHash-2-4 (Aumasson, Bernstein 2012), and uthash set up to use
// it. A file that uses uthash tables includes this header instead of <uthash.h> and has a variable or macro named
// BW_HASH_KEY (const uint8_t[16], from the owner's entropy) in scope at each table operation.
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t bw_siphash(const uint8_t key[16], const void *p, size_t n);
// A keyed permutation: other numbers give other numbers, and nobody without the key can tell the next one of a counter's.
uint32_t bw_permute32(const uint8_t key[16], uint32_t v);

#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = (unsigned)bw_siphash(BW_HASH_KEY, (keyptr), (keylen)))
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#endif
