// A hash table with its links inside the entries and a keyed hash, on the caller's allocator. Entries are owned by
// others.
#ifndef CORE_LINK_TABLE_H
#define CORE_LINK_TABLE_H

#include "base/mem.h"

#include <stdint.h>

struct table_node { // put it first in the entry, so that a cast gives the entry
    struct table_node *next;
    uint64_t hash;
};
struct table {
    struct bw_mem *mem;
    struct table_node **bucket;
    size_t buckets, count; // buckets: a power of two
    uint8_t hash_key[16];
};

int table_init(struct table *t, struct bw_mem *mem, const uint8_t hash_key[16]) BW_NODISCARD; // BW_ERR_NOMEM
void table_dispose(struct table *t);                                                              // not the entries
// can't fail; duplicates are kept
void table_insert(struct table *t, struct table_node *node, const void *key, size_t n);
void table_remove(struct table *t, struct table_node *node);                                   // must be in it
// All entries whose hash is the key's: compare the key itself. for (n = table_first(...); n; n = table_more(n))
struct table_node *table_first(const struct table *t, const void *key, size_t n);
struct table_node *table_more(const struct table_node *node);

#endif
