#include "core/node/import.h"

// IPv4 lies inside of ::/0 only in the way it is written.
static bool inside(const struct bw_prefix *p, const struct bw_prefix *outer)
{
    return bw_prefix_is_v4(p) == bw_prefix_is_v4(outer) && p->len >= outer->len && bw_prefix_has(outer, &p->addr);
}

static bool inside_any(const struct bw_prefix *p, const struct bw_prefix *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (inside(p, &list[i])) return true;
    return false;
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

// Addresses that mean something on one machine or one wire only.
static bool never_routed(const struct bw_prefix *p)
{
    bool v4 = bw_prefix_is_v4(p), default_route = p->len == (v4 ? 96 : 0);
    if (default_route) return false;
    if (v4) return p->addr.b[12] == 127 || p->addr.b[12] >= 224 || bw_addr_is_linklocal(&p->addr);
    return bw_addr_is_multicast(&p->addr) || bw_addr_is_linklocal(&p->addr) || (!p->addr.b[0] && p->len >= 8);
}

bool import_allows(const struct import_rule *r, const struct bw_prefix *p)
{
    if (bw_addr_eq(&p->addr, &r->self)) return false;
    if (p->len == 128 && (bw_addr_is_mesh(&p->addr) || bw_addr_eq(&p->addr, &bw_addr_any_exit))) return true;
    if (p->addr.b[0] == 0xfc || never_routed(p)) return false;
    if (inside_any(p, r->extra, r->extra_count)) return !inside_any(p, r->local, r->local_count);
    if (overlaps_any(p, r->local, r->local_count)) return false;
    return (p->len >= 8 && p->addr.b[0] == 0xfd) || private_v4(p);
}
