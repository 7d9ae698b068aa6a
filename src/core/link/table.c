#include "core/link/table.h"

#include <string.h>

#include "base/hash.h"

#define FIRST_BUCKETS 16

int table_init(struct table *t, struct bw_mem *mem, const uint8_t hash_key[16])
{
    *t = (struct table){.mem = mem, .buckets = FIRST_BUCKETS};
    memcpy(t->hash_key, hash_key, sizeof t->hash_key);
    t->bucket = bw_alloc(mem, FIRST_BUCKETS * sizeof(struct table_node *));
    return t->bucket ? 0 : BW_ERR_NOMEM;
}

void table_dispose(struct table *t)
{
    bw_free(t->mem, t->bucket, t->buckets * sizeof(struct table_node *));
    t->bucket = NULL;
}

static struct table_node **head(const struct table *t, uint64_t hash)
{
    return &t->bucket[hash & (t->buckets - 1)];
}

static void put(struct table *t, struct table_node *node)
{
    struct table_node **h = head(t, node->hash);
    node->next = *h;
    *h = node;
}

// Without memory for more buckets the chains grow longer, and that is all.
static void grow(struct table *t)
{
    size_t old_count = t->buckets;
    struct table_node **old = t->bucket, **new = bw_alloc(t->mem, 2 * old_count * sizeof(struct table_node *));
    if (!new) return;
    t->bucket = new;
    t->buckets = 2 * old_count;
    for (size_t i = 0; i < old_count; i++) {
        for (struct table_node *n = old[i], *next; n; n = next) {
            next = n->next;
            put(t, n);
        }
    }
    bw_free(t->mem, old, old_count * sizeof(struct table_node *));
}

void table_insert(struct table *t, struct table_node *node, const void *key, size_t n)
{
    if (t->count >= t->buckets) grow(t);
    node->hash = bw_siphash(t->hash_key, key, n);
    put(t, node);
    t->count++;
}

void table_remove(struct table *t, struct table_node *node)
{
    struct table_node **p = head(t, node->hash);
    while (*p != node) {
        BW_ASSERT(*p);
        p = &(*p)->next;
    }
    *p = node->next;
    t->count--;
}

static struct table_node *same_hash(struct table_node *n, uint64_t hash)
{
    while (n && n->hash != hash) n = n->next;
    return n;
}

struct table_node *table_first(const struct table *t, const void *key, size_t n)
{
    uint64_t hash = bw_siphash(t->hash_key, key, n);
    return same_hash(*head(t, hash), hash);
}

struct table_node *table_more(const struct table_node *node)
{
    return same_hash(node->next, node->hash);
}
