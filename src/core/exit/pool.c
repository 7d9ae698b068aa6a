#include "core/exit/pool.h"

#include "crypto/crypto.h"

static const struct bw_prefix shared_space = {{{[10] = 0xff, [11] = 0xff, [12] = 100, [13] = 64}}, 96 + 10};

bool pool_is_shared_space(const struct bw_addr *a)
{
    return bw_prefix_has(&shared_space, a);
}

bool pool_conflicts(const struct bw_prefix *pool, const struct bw_prefix *local, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        bool whole_family = local[i].len == 0 || (local[i].len == 96 && bw_prefix_is_v4(&local[i])); // a default route is no network
        if (!whole_family && bw_prefix_overlaps(&local[i], pool)) return true;
    }
    return false;
}

int pool_choose4(const struct bw_addr *self, uint8_t len, const struct bw_prefix *local, unsigned count, struct bw_prefix *out)
{
    uint32_t parts = 1u << (len - 10);
    uint32_t first = ((uint32_t)self->b[12] << 24 | (uint32_t)self->b[13] << 16 | (uint32_t)self->b[14] << 8 | self->b[15]) % parts;
    for (uint32_t i = 0; i < parts; i++) {
        uint32_t v = 100u << 24 | 64u << 16 | (first + i) % parts << (32 - len);
        uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
        struct bw_addr a = bw_addr_v4(b);
        struct bw_prefix p = bw_prefix_make(&a, (uint8_t)(96 + len));
        if (pool_conflicts(&p, local, count)) continue;
        *out = p;
        return 0;
    }
    return BW_ERR_NOTFOUND;
}

int pool_choose6(const struct bw_addr *self, const struct bw_prefix *local, unsigned count, struct bw_prefix *out)
{
    for (uint8_t i = 0; i < 16; i++) {
        static const char label[] = "byway exit ula";
        uint8_t in[sizeof label + 17], hash[64];
        memcpy(in, label, sizeof label);
        memcpy(in + sizeof label, self->b, 16);
        in[sizeof label + 16] = i;
        bw_sha512(hash, in, sizeof in);
        struct bw_addr a = {{0xfd, hash[0], hash[1], hash[2], hash[3], hash[4], 0x48, 0x70}};
        struct bw_prefix p = {a, 64};
        if (pool_conflicts(&p, local, count)) continue;
        *out = p;
        return 0;
    }
    return BW_ERR_NOTFOUND;
}

struct bw_addr pool_at(const struct bw_prefix *pool, uint32_t host)
{
    struct bw_addr a = pool->addr;
    for (unsigned i = 0; i < 4; i++) a.b[15 - i] = (uint8_t)(a.b[15 - i] | host >> (8 * i));
    return a;
}

uint32_t pool_host(const struct bw_prefix *pool, const struct bw_addr *a)
{
    uint32_t host = 0;
    if (!pool->len || !bw_prefix_has(pool, a)) return 0;
    for (unsigned i = 0; i < 4; i++) host = host << 8 | (uint32_t)(a->b[12 + i] ^ pool->addr.b[12 + i]);
    return host;
}

uint32_t pool_hosts(const struct bw_prefix *pool4)
{
    return (1u << (128 - pool4->len)) - POOL_FIRST - 1; // the last one is the broadcast address
}
