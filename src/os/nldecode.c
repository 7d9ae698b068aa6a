#include "os/nldecode.h"

#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#ifndef RTA_VIA
#define RTA_VIA 18
#endif

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000 // linux/if.h, which does not go together with net/if.h
#endif

#define ATTRS 64 // higher numbers than we know are passed over

struct attr {
    const uint8_t *p; // NULL: not there
    size_t n;
};

struct attrs {
    struct attr a[ATTRS];
    bool bad; // some value that we wanted had a wrong length
};

static int split(const uint8_t *p, size_t n, struct attrs *out)
{
    memset(out, 0, sizeof *out);
    while (n >= sizeof(struct nlattr)) {
        struct nlattr h;
        memcpy(&h, p, sizeof h);
        if (h.nla_len < sizeof h || h.nla_len > n) return BW_ERR_MALFORMED;
        unsigned type = h.nla_type & NLA_TYPE_MASK;
        if (type < ATTRS) out->a[type] = (struct attr){p + sizeof h, h.nla_len - sizeof h};
        size_t step = NLA_ALIGN(h.nla_len);
        if (step >= n) break; // the last one may come without its padding
        p += step;
        n -= step;
    }
    return 0;
}

static void get(struct attrs *as, unsigned type, void *out, size_t n)
{
    const struct attr *a = &as->a[type];
    if (!a->p) return;
    if (a->n == n) memcpy(out, a->p, n);
    else as->bad = true;
}

static uint32_t get_u32(struct attrs *as, unsigned type, uint32_t otherwise)
{
    get(as, type, &otherwise, sizeof otherwise);
    return otherwise;
}

// A C string in out[cap]; the kernel sends its NUL, but we do not rely on it.
static void get_text(struct attrs *as, unsigned type, char *out, size_t cap)
{
    const struct attr *a = &as->a[type];
    if (!a->p) return;
    size_t n = strnlen((const char *)a->p, a->n);
    if (n >= cap) {
        as->bad = true;
        return;
    }
    memcpy(out, a->p, n);
    out[n] = 0;
}

static void get_addr(struct attrs *as, unsigned type, int family, struct bw_addr *out)
{
    const struct attr *a = &as->a[type];
    if (!a->p) return;
    if (family == AF_INET && a->n == 4) *out = bw_addr_v4(a->p);
    else if (family == AF_INET6 && a->n == 16) memcpy(out->b, a->p, 16);
    else as->bad = true;
}

static bool length_128(int family, uint8_t len, uint8_t *out)
{
    if (len > (family == AF_INET ? 32 : 128)) return false;
    *out = (uint8_t)(family == AF_INET ? len + 96 : len);
    return true;
}

// The prefix of an optional address attribute: without it, the family's default prefix.
static void get_prefix(struct attrs *as, unsigned type, int family, uint8_t len, struct bw_prefix *out)
{
    static const uint8_t any4[4];
    struct bw_addr a = {{0}};
    if (family == AF_INET) a = bw_addr_v4(any4);
    get_addr(as, type, family, &a);
    if (length_128(family, len, &len)) *out = bw_prefix_make(&a, len);
    else as->bad = true;
}

static int decode_link(const uint8_t *p, size_t n, struct os_link *l)
{
    struct ifinfomsg h;
    struct attrs as, info;
    if (n < sizeof h) return BW_ERR_SHORT;
    memcpy(&h, p, sizeof h);
    if (h.ifi_family != AF_UNSPEC) return BW_ERR_UNSUPPORTED; // a bridge speaking of its port
    if (split(p + NLMSG_ALIGN(sizeof h), n - NLMSG_ALIGN(sizeof h), &as)) return BW_ERR_MALFORMED;
    if (as.a[IFLA_WIRELESS].p)
        return BW_ERR_UNSUPPORTED; // a Wi-Fi scan result in a link's clothes, without its attributes
    if (h.ifi_index <= 0) return BW_ERR_MALFORMED;
    *l = (struct os_link){.index = (uint32_t)h.ifi_index, .flags = h.ifi_flags, .type = h.ifi_type};
    get_text(&as, IFLA_IFNAME, l->name, sizeof l->name);
    l->master = get_u32(&as, IFLA_MASTER, 0);
    l->mtu = get_u32(&as, IFLA_MTU, 0);
    uint8_t carrier = (h.ifi_flags & IFF_LOWER_UP) != 0;
    get(&as, IFLA_CARRIER, &carrier, 1);
    l->carrier = carrier != 0;
    const struct attr *mac = &as.a[IFLA_ADDRESS];
    if (mac->p && mac->n <= sizeof l->mac) { // InfiniBand's are longer and no use to us
        memcpy(l->mac, mac->p, mac->n);
        l->mac_len = (uint8_t)mac->n;
    }
    if (as.a[IFLA_LINKINFO].p) {
        if (split(as.a[IFLA_LINKINFO].p, as.a[IFLA_LINKINFO].n, &info)) return BW_ERR_MALFORMED;
        get_text(&info, IFLA_INFO_KIND, l->kind, sizeof l->kind);
        get_text(&info, IFLA_INFO_SLAVE_KIND, l->slave_kind, sizeof l->slave_kind);
        as.bad |= info.bad;
    }
    return as.bad ? BW_ERR_MALFORMED : 0;
}

static int decode_addr(const uint8_t *p, size_t n, struct os_ifaddr *a)
{
    struct ifaddrmsg h;
    struct attrs as;
    if (n < sizeof h) return BW_ERR_SHORT;
    memcpy(&h, p, sizeof h);
    if (h.ifa_family != AF_INET && h.ifa_family != AF_INET6) return BW_ERR_UNSUPPORTED;
    if (split(p + NLMSG_ALIGN(sizeof h), n - NLMSG_ALIGN(sizeof h), &as)) return BW_ERR_MALFORMED;
    *a = (struct os_ifaddr){.index = h.ifa_index, .scope = h.ifa_scope};
    if (!length_128(h.ifa_family, h.ifa_prefixlen, &a->len)) return BW_ERR_MALFORMED;
    a->flags = get_u32(&as, IFA_FLAGS, h.ifa_flags);
    get_addr(&as, IFA_ADDRESS, h.ifa_family, &a->addr);
    if (as.a[IFA_LOCAL].p) { // then ADDRESS is the other end, which is ourselves on anything but point-to-point
        a->peer = a->addr;
        get_addr(&as, IFA_LOCAL, h.ifa_family, &a->addr);
        if (bw_addr_eq(&a->addr, &a->peer)) a->peer = (struct bw_addr){{0}};
    } else if (!as.a[IFA_ADDRESS].p) {
        return BW_ERR_MALFORMED;
    }
    return as.bad ? BW_ERR_MALFORMED : 0;
}

static void get_via(struct attrs *as, struct os_route *r)
{
    const struct attr *a = &as->a[RTA_VIA]; // an IPv4 route over an IPv6 next hop
    uint16_t family;
    if (!a->p) return;
    if (a->n < sizeof family) {
        as->bad = true;
        return;
    }
    memcpy(&family, a->p, sizeof family);
    if (family == AF_INET6 && a->n == 18) memcpy(r->gateway.b, a->p + 2, 16);
    else if (family == AF_INET && a->n == 6) r->gateway = bw_addr_v4(a->p + 2);
}

static int first_hop(const struct attr *multi, int family, struct os_route *r)
{
    struct rtnexthop h;
    struct attrs as;
    if (multi->n < sizeof h) return BW_ERR_MALFORMED;
    memcpy(&h, multi->p, sizeof h);
    if (h.rtnh_len < sizeof h || h.rtnh_len > multi->n) return BW_ERR_MALFORMED;
    if (split(multi->p + sizeof h, h.rtnh_len - sizeof h, &as)) return BW_ERR_MALFORMED;
    r->out_if = (uint32_t)h.rtnh_ifindex;
    r->flags |= h.rtnh_flags;
    get_addr(&as, RTA_GATEWAY, family, &r->gateway);
    get_via(&as, r);
    return as.bad ? BW_ERR_MALFORMED : 0;
}

static int decode_route(const uint8_t *p, size_t n, struct os_route *r)
{
    struct rtmsg h;
    struct attrs as, metrics;
    if (n < sizeof h) return BW_ERR_SHORT;
    memcpy(&h, p, sizeof h);
    if (h.rtm_family != AF_INET && h.rtm_family != AF_INET6) return BW_ERR_UNSUPPORTED;
    if (split(p + NLMSG_ALIGN(sizeof h), n - NLMSG_ALIGN(sizeof h), &as)) return BW_ERR_MALFORMED;
    *r = (struct os_route){.protocol = h.rtm_protocol, .type = h.rtm_type, .scope = h.rtm_scope, .flags = h.rtm_flags};
    r->table = get_u32(&as, RTA_TABLE, h.rtm_table);
    get_prefix(&as, RTA_DST, h.rtm_family, h.rtm_dst_len, &r->dst);
    r->out_if = get_u32(&as, RTA_OIF, 0);
    r->metric = get_u32(&as, RTA_PRIORITY, 0);
    get_addr(&as, RTA_GATEWAY, h.rtm_family, &r->gateway);
    get_addr(&as, RTA_PREFSRC, h.rtm_family, &r->src);
    get_via(&as, r);
    if (as.a[RTA_METRICS].p) {
        if (split(as.a[RTA_METRICS].p, as.a[RTA_METRICS].n, &metrics)) return BW_ERR_MALFORMED;
        r->mtu = get_u32(&metrics, RTAX_MTU, 0);
        as.bad |= metrics.bad;
    }
    if (as.a[RTA_MULTIPATH].p && first_hop(&as.a[RTA_MULTIPATH], h.rtm_family, r)) return BW_ERR_MALFORMED;
    return as.bad ? BW_ERR_MALFORMED : 0;
}

static int decode_rule(const uint8_t *p, size_t n, struct os_rule *r)
{
    struct fib_rule_hdr h;
    struct attrs as;
    if (n < sizeof h) return BW_ERR_SHORT;
    memcpy(&h, p, sizeof h);
    if (h.family != AF_INET && h.family != AF_INET6) return BW_ERR_UNSUPPORTED;
    if (split(p + NLMSG_ALIGN(sizeof h), n - NLMSG_ALIGN(sizeof h), &as)) return BW_ERR_MALFORMED;
    *r = (struct os_rule){.v4 = h.family == AF_INET, .invert = h.flags & FIB_RULE_INVERT};
    r->table = h.action == FR_ACT_TO_TBL ? get_u32(&as, FRA_TABLE, h.table) : 0;
    r->priority = get_u32(&as, FRA_PRIORITY, 0);
    r->mark = get_u32(&as, FRA_FWMARK, 0);
    r->mask = get_u32(&as, FRA_FWMASK, 0);
    r->suppress_len = (int32_t)get_u32(&as, FRA_SUPPRESS_PREFIXLEN, UINT32_MAX);
    get_text(&as, FRA_IIFNAME, r->in_name, sizeof r->in_name);
    get_prefix(&as, FRA_SRC, h.family, h.src_len, &r->src);
    get_prefix(&as, FRA_DST, h.family, h.dst_len, &r->dst);
    get(&as, FRA_PROTOCOL, &r->protocol, 1);
    return as.bad ? BW_ERR_MALFORMED : 0;
}

int os_nl_decode(const void *msg, size_t n, struct os_nl_event *out)
{
    struct nlmsghdr h;
    if (n < sizeof h) return BW_ERR_SHORT;
    memcpy(&h, msg, sizeof h);
    if (h.nlmsg_len < sizeof h || h.nlmsg_len > n) return BW_ERR_SHORT;
    const uint8_t *p = (const uint8_t *)msg + sizeof h;
    size_t left = h.nlmsg_len - sizeof h;
    memset(out, 0, sizeof *out);
    switch (h.nlmsg_type) {
    case RTM_DELLINK:
        out->gone = true; // fall through
    case RTM_NEWLINK:
        out->what = OS_NL_LINK;
        return decode_link(p, left, &out->link);
    case RTM_DELADDR:
        out->gone = true; // fall through
    case RTM_NEWADDR:
        out->what = OS_NL_ADDR;
        return decode_addr(p, left, &out->addr);
    case RTM_DELROUTE:
        out->gone = true; // fall through
    case RTM_NEWROUTE:
        out->what = OS_NL_ROUTE;
        return decode_route(p, left, &out->route);
    case RTM_DELRULE:
        out->gone = true; // fall through
    case RTM_NEWRULE:
        out->what = OS_NL_RULE;
        return decode_rule(p, left, &out->rule);
    default:
        return BW_ERR_UNSUPPORTED;
    }
}
