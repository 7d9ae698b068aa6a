#include "os/local.h"

#include <linux/rtnetlink.h>

struct uplink {
    bool v4, found;
    uint32_t skip_if;
    struct os_route *best;
};

static int better_default(void *ctx, const struct os_route *r)
{
    struct uplink *u = ctx;
    bool v4 = bw_prefix_is_v4(&r->dst);
    if (v4 != u->v4 || r->dst.len != (v4 ? 96 : 0) || r->type != RTN_UNICAST || r->protocol == OS_NL_PROTO) return 0;
    if (!r->out_if || r->out_if == u->skip_if || r->flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) return 0;
    if (!u->found || r->metric < u->best->metric) *u->best = *r;
    u->found = true;
    return 0;
}

int os_local_uplink(struct os_nl *nl, bool v4, uint32_t skip_if, struct os_route *out)
{
    struct uplink u = {.v4 = v4, .skip_if = skip_if, .best = out};
    int err = os_nl_routes(nl, OS_NL_TABLE_MAIN, better_default, &u);
    if (err && err != BW_ERR_AGAIN) return err;
    return u.found ? 0 : BW_ERR_NOTFOUND;
}

struct prefixes {
    uint32_t skip_if;
    os_local_fn *fn;
    void *ctx;
};

static bool of_interest(const struct bw_prefix *p)
{
    static const struct bw_prefix loopback6 = {{{[15] = 1}}, 128};
    if (bw_addr_is_linklocal(&p->addr) || bw_addr_is_multicast(&p->addr)) return false;
    if (bw_prefix_is_v4(p)) return p->addr.b[12] != 127 && p->len > 96;
    return p->len > 0 && !bw_prefix_eq(p, &loopback6);
}

static int addr_network(void *ctx, const struct os_ifaddr *a)
{
    struct prefixes *q = ctx;
    if (a->index == q->skip_if) return 0;
    struct bw_prefix p = bw_prefix_make(bw_addr_is_zero(&a->peer) ? &a->addr : &a->peer, a->len);
    struct bw_prefix own = bw_prefix_host(&a->addr);
    if (!of_interest(&p) || !of_interest(&own)) return 0;
    int r = q->fn(q->ctx, &p, a->index);
    return r || bw_addr_is_zero(&a->peer) ? r : q->fn(q->ctx, &own, a->index);
}

static int route_network(void *ctx, const struct os_route *r)
{
    struct prefixes *q = ctx;
    if (r->type != RTN_UNICAST || r->protocol == OS_NL_PROTO || !r->out_if || r->out_if == q->skip_if) return 0;
    return of_interest(&r->dst) ? q->fn(q->ctx, &r->dst, r->out_if) : 0;
}

int os_local_prefixes(struct os_nl *nl, uint32_t skip_if, os_local_fn *fn, void *ctx)
{
    struct prefixes q = {skip_if, fn, ctx};
    int r = os_nl_addrs(nl, addr_network, &q);
    if (r && r != BW_ERR_AGAIN) return r;
    r = os_nl_routes(nl, OS_NL_TABLE_MAIN, route_network, &q);
    return r == BW_ERR_AGAIN ? 0 : r;
}

int os_local_onlink(struct os_nl *nl, uint32_t skip_if, os_local_fn *fn, void *ctx)
{
    struct prefixes q = {skip_if, fn, ctx};
    int r = os_nl_addrs(nl, addr_network, &q);
    return r == BW_ERR_AGAIN ? 0 : r;
}

struct inside {
    const struct bw_prefix *p;
    unsigned count;
    struct bw_addr *out;
};

static int addr_inside(void *ctx, const struct os_ifaddr *a)
{
    struct inside *i = ctx;
    for (unsigned k = 0; k < i->count; k++) {
        if (!bw_prefix_has(&i->p[k], &a->addr)) continue;
        *i->out = a->addr;
        return 1;
    }
    return 0;
}

int os_local_addr_in(struct os_nl *nl, const struct bw_prefix *p, unsigned count, struct bw_addr *out)
{
    struct inside i = {p, count, out};
    int r = os_nl_addrs(nl, addr_inside, &i);
    return r == 1 ? 0 : r < 0 && r != BW_ERR_AGAIN ? r : BW_ERR_NOTFOUND;
}
