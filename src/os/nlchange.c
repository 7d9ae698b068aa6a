// The changes of os/netlink.h: links, addresses, routes, rules, and sweeping up what a killed run has left.
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "os/nlsock.h"

int os_nl_link_set(struct os_nl *nl, uint32_t index, bool up, uint32_t mtu)
{
    struct nlmsghdr *h = nlsock_start(nl, RTM_NEWLINK, 0);
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof *i);
    i->ifi_index = (int)index;
    i->ifi_change = IFF_UP;
    i->ifi_flags = up ? IFF_UP : 0;
    if (mtu) mnl_attr_put_u32(h, IFLA_MTU, mtu);
    return nlsock_ask(nl, h, NULL, NULL);
}

static int addr_request(struct os_nl *nl, const struct os_ifaddr *a, uint16_t type, uint16_t flags)
{
    bool v4 = bw_addr_is_v4(&a->addr);
    if (a->len > 128 || (v4 && a->len < 96)) return BW_ERR_RANGE;
    struct nlmsghdr *h = nlsock_start(nl, type, flags);
    struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);
    m->ifa_family = v4 ? AF_INET : AF_INET6;
    m->ifa_prefixlen = (uint8_t)(v4 ? a->len - 96 : a->len);
    m->ifa_scope = a->scope;
    m->ifa_index = a->index;
    m->ifa_flags = (uint8_t)a->flags;
    nlsock_put_addr(h, IFA_LOCAL, &a->addr);
    nlsock_put_addr(h, IFA_ADDRESS, bw_addr_is_zero(&a->peer) ? &a->addr : &a->peer);
    if (a->flags) mnl_attr_put_u32(h, IFA_FLAGS, a->flags);
    return nlsock_ask(nl, h, NULL, NULL);
}

int os_nl_addr_add(struct os_nl *nl, const struct os_ifaddr *a)
{
    return addr_request(nl, a, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
}

int os_nl_addr_del(struct os_nl *nl, const struct os_ifaddr *a)
{
    return addr_request(nl, a, RTM_DELADDR, 0);
}

static void put_gateway(struct nlmsghdr *h, const struct os_route *r, bool v4)
{
    if (bw_addr_is_zero(&r->gateway)) return;
    if (!v4 || bw_addr_is_v4(&r->gateway)) {
        nlsock_put_addr(h, RTA_GATEWAY, &r->gateway);
        return;
    }
    uint8_t via[18]; // struct rtvia: IPv4 over an IPv6 next hop (RFC 9229's case)
    uint16_t family = AF_INET6;
    memcpy(via, &family, 2);
    memcpy(via + 2, r->gateway.b, 16);
    mnl_attr_put(h, RTA_VIA, sizeof via, via);
}

// A gateway is farther than a neighbour on the wire, which is farther than ourselves; IPv6 does not use this.
static uint8_t scope_for(const struct os_route *r, uint8_t type)
{
    if (type == RTN_LOCAL) return RT_SCOPE_HOST;
    if (type == RTN_UNICAST && bw_addr_is_zero(&r->gateway)) return RT_SCOPE_LINK;
    return RT_SCOPE_UNIVERSE;
}

static int route_request(struct os_nl *nl, const struct os_route *r, uint16_t type, uint16_t flags)
{
    bool v4 = bw_prefix_is_v4(&r->dst), del = type == RTM_DELROUTE;
    uint32_t table = r->table ? r->table : OS_NL_TABLE_MAIN;
    struct nlmsghdr *h = nlsock_start(nl, type, flags);
    struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);
    m->rtm_family = v4 ? AF_INET : AF_INET6;
    m->rtm_dst_len = (uint8_t)(v4 ? r->dst.len - 96 : r->dst.len);
    m->rtm_table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC;
    m->rtm_protocol = r->protocol ? r->protocol : OS_NL_PROTO;
    m->rtm_type = r->type || del ? r->type : RTN_UNICAST;
    m->rtm_scope = del ? RT_SCOPE_NOWHERE : scope_for(r, m->rtm_type); // NOWHERE: delete whatever its scope is
    nlsock_put_addr(h, RTA_DST, &r->dst.addr);
    mnl_attr_put_u32(h, RTA_TABLE, table);
    if (r->out_if) mnl_attr_put_u32(h, RTA_OIF, r->out_if);
    if (r->metric) mnl_attr_put_u32(h, RTA_PRIORITY, r->metric);
    put_gateway(h, r, v4);
    if (!bw_addr_is_zero(&r->src)) nlsock_put_addr(h, RTA_PREFSRC, &r->src);
    if (r->mtu && !del) {
        struct nlattr *nest = mnl_attr_nest_start(h, RTA_METRICS);
        mnl_attr_put_u32(h, RTAX_MTU, r->mtu);
        mnl_attr_nest_end(h, nest);
    }
    return nlsock_ask(nl, h, NULL, NULL);
}

int os_nl_route_add(struct os_nl *nl, const struct os_route *r)
{
    return route_request(nl, r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
}

int os_nl_route_replace(struct os_nl *nl, const struct os_route *r)
{
    return route_request(nl, r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
}

int os_nl_route_del(struct os_nl *nl, const struct os_route *r)
{
    return route_request(nl, r, RTM_DELROUTE, 0);
}

static void put_rule_prefix(struct nlmsghdr *h, uint16_t type, const struct bw_prefix *p, bool v4, uint8_t *len)
{
    *len = (uint8_t)(v4 && p->len >= 96 ? p->len - 96 : v4 ? 0 : p->len);
    if (*len) nlsock_put_addr(h, type, &p->addr);
}

static int rule_request(struct os_nl *nl, const struct os_rule *r, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *h = nlsock_start(nl, type, flags);
    struct fib_rule_hdr *m = mnl_nlmsg_put_extra_header(h, sizeof *m);
    m->family = r->v4 ? AF_INET : AF_INET6;
    m->action = FR_ACT_TO_TBL;
    m->flags = r->invert ? FIB_RULE_INVERT : 0;
    m->table = r->table < 256 ? (uint8_t)r->table : RT_TABLE_UNSPEC;
    mnl_attr_put_u32(h, FRA_TABLE, r->table);
    mnl_attr_put_u32(h, FRA_PRIORITY, r->priority);
    mnl_attr_put_u8(h, FRA_PROTOCOL, r->protocol ? r->protocol : OS_NL_PROTO);
    if (r->mask) {
        mnl_attr_put_u32(h, FRA_FWMARK, r->mark);
        mnl_attr_put_u32(h, FRA_FWMASK, r->mask);
    }
    if (r->suppress_len >= 0) mnl_attr_put_u32(h, FRA_SUPPRESS_PREFIXLEN, (uint32_t)r->suppress_len);
    if (r->in_name[0]) mnl_attr_put_strz(h, FRA_IIFNAME, r->in_name);
    put_rule_prefix(h, FRA_SRC, &r->src, r->v4, &m->src_len);
    put_rule_prefix(h, FRA_DST, &r->dst, r->v4, &m->dst_len);
    return nlsock_ask(nl, h, NULL, NULL);
}

int os_nl_rule_add(struct os_nl *nl, const struct os_rule *r)
{
    return rule_request(nl, r, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
}

int os_nl_rule_del(struct os_nl *nl, const struct os_rule *r)
{
    return rule_request(nl, r, RTM_DELRULE, 0);
}

#define SWEEP 64 // at a time: a dump may not be mixed with changes

struct sweep {
    size_t n;
    struct os_route routes[SWEEP];
    struct os_rule rules[SWEEP];
};

static int our_route(void *ctx, const struct os_route *r)
{
    struct sweep *s = ctx;
    if (r->protocol != OS_NL_PROTO) return 0;
    s->routes[s->n++] = *r;
    return s->n == SWEEP;
}

static int our_rule(void *ctx, const struct os_rule *r)
{
    struct sweep *s = ctx;
    if (r->protocol != OS_NL_PROTO) return 0;
    s->rules[s->n++] = *r;
    return s->n == SWEEP;
}

// Deletes up to SWEEP of them: 1 if there may be more. Gone meanwhile is as good.
static int sweep_once(struct os_nl *nl, bool rules, struct sweep *s, int *removed)
{
    s->n = 0;
    int r = rules ? os_nl_rules(nl, our_rule, s) : os_nl_routes(nl, 0, our_route, s);
    if (r < 0 && r != BW_ERR_AGAIN) return r;
    for (size_t i = 0; i < s->n; i++) {
        int err = rules ? os_nl_rule_del(nl, &s->rules[i]) : os_nl_route_del(nl, &s->routes[i]);
        if (err && err != BW_ERR_NOTFOUND) return err;
        if (!err) ++*removed;
    }
    return r == 1 || r == BW_ERR_AGAIN;
}

int os_nl_cleanup(struct os_nl *nl)
{
    struct sweep *s = malloc(sizeof *s);
    if (!s) return BW_ERR_NOMEM;
    int removed = 0, more = 1;
    // Rules first: without them no packet meets the tables that are being emptied. Bounded, should a delete do nothing.
    for (int i = 0; more == 1 && i < 10000; i++) more = sweep_once(nl, true, s, &removed);
    if (more >= 0) more = 1;
    for (int i = 0; more == 1 && i < 10000; i++) more = sweep_once(nl, false, s, &removed);
    free(s);
    return more < 0 ? more : removed;
}
