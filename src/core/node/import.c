#include "core/node/import.h"

static bool inside(const struct bw_prefix *p, const struct bw_prefix *outer)
{
    return p->len >= outer->len && bw_prefix_has(outer, &p->addr);
}

static bool overlaps_any(const struct bw_prefix *p, const struct bw_prefix *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (bw_prefix_overlaps(p, &list[i])) return true;
    return false;
}

static bool private_v4(const struct bw_prefix *p)
{
    static const struct bw_prefix rfc1918[] = {
        {{{[10] = 0xff, 0xff, 10}}, 96 + 8},
        {{{[10] = 0xff, 0xff, 172, 16}}, 96 + 12},
        {{{[10] = 0xff, 0xff, 192, 168}}, 96 + 16},
    };
    for (unsigned i = 0; i < 3; i++)
        if (inside(p, &rfc1918[i])) return true;
    return false;
}

bool import_allows(const struct import_rule *r, const struct bw_prefix *p)
{
    if (bw_addr_eq(&p->addr, &r->self)) return false;
    if (p->len == 128 && (bw_addr_is_mesh(&p->addr) || bw_addr_eq(&p->addr, &bw_addr_any_exit))) return true;
    if (p->addr.b[0] == 0xfc) return false;
    if (overlaps_any(p, r->local, r->local_count)) return false;
    if (p->len >= 8 && p->addr.b[0] == 0xfd) return true;
    if (private_v4(p)) return true;
    for (unsigned i = 0; i < r->extra_count; i++)
        if (inside(p, &r->extra[i])) return true;
    return false;
}
