// The kernel's network configuration by rtnetlink: links, addresses, routes, policy rules. A struct os_nl asks and
// waits for the answer (the kernel answers at once); os/nlwatch.h tells of changes. IPv4 stands as ::ffff:a.b.c.d with
// lengths 96..128 as everywhere; the family of a route or address follows from it. Loop thread only.
//
// What byway makes carries its mark: routes and rules have protocol OS_NL_PROTO (112: in no rt_protos file of iproute2,
// FRR or BIRD), so that os_nl_cleanup finds them all, also after a SIGKILL. Addresses and routes on the TUN go with it.
#ifndef OS_NETLINK_H
#define OS_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

#define OS_NL_PROTO 112
#define OS_NL_TABLE_MAIN 254
#define OS_IFNAME 16 // longest interface name with its NUL (IFNAMSIZ)

struct os_link {
    uint32_t index;
    uint32_t master; // index of the bridge or bond that it belongs to, 0 if none
    uint32_t mtu;
    uint32_t flags;  // IFF_UP, IFF_RUNNING, IFF_MULTICAST, ...
    uint16_t type;   // ARPHRD_ETHER, ARPHRD_NONE, ...
    uint8_t mac_len; // 0 if none
    uint8_t mac[8];
    bool carrier;
    char name[OS_IFNAME];
    char kind[16];       // IFLA_INFO_KIND: "bridge", "veth", "tun", "wireguard", ...; "" for real hardware
    char slave_kind[16]; // IFLA_INFO_SLAVE_KIND: "bridge" for a bridge's port
};

struct os_ifaddr {
    uint32_t index;
    struct bw_addr addr; // with its host bits
    uint8_t len;         // prefix length on the 128 scale
    uint8_t scope;       // RT_SCOPE_*
    uint32_t flags;      // IFA_F_TENTATIVE, IFA_F_NODAD, IFA_F_NOPREFIXROUTE, ...
    struct bw_addr peer; // point-to-point: the other end, zero if none
};

struct os_route {
    struct bw_prefix dst;
    uint32_t table;         // 0 stands for main when a route is made
    uint8_t protocol;       // 0 stands for OS_NL_PROTO when a route is made
    uint8_t type;           // RTN_UNICAST (0 stands for it), RTN_UNREACHABLE, RTN_BLACKHOLE, RTN_LOCAL, ...
    uint8_t scope;          // read only; chosen by us when a route is made
    uint32_t out_if;        // 0: none (unreachable)
    struct bw_addr gateway; // zero: on-link
    struct bw_addr src;     // preferred source, zero: the kernel's choice
    uint32_t metric;        // 0: the kernel's default
    uint32_t mtu;           // 0: the interface's
    uint32_t flags;         // RTM_F_CLONED, RTNH_F_DEAD, RTNH_F_LINKDOWN, ...; read only
};

struct os_rule { // "ip rule": [not] fwmark mark/mask lookup table suppress_prefixlength N
    bool v4;
    bool invert; // "not"
    uint32_t priority;
    uint32_t table;
    uint32_t mark, mask;       // mask 0: no fwmark match
    int32_t suppress_len;      // -1: none; 0 ignores default routes found by this rule
    char in_name[OS_IFNAME];   // "" any
    struct bw_prefix src, dst; // len 0 (or the IPv4 default): any
    uint8_t protocol;          // 0 stands for OS_NL_PROTO when a rule is made
};

struct os_nl;
int os_nl_open(struct os_nl **out, char *why, size_t n) BW_NODISCARD;
void os_nl_close(struct os_nl *nl); // NULL is fine

// Dumps: fn returns 0 to go on, anything else stops and is returned. fn must not use nl.
typedef int os_nl_link_fn(void *ctx, const struct os_link *l);
typedef int os_nl_addr_fn(void *ctx, const struct os_ifaddr *a);
typedef int os_nl_route_fn(void *ctx, const struct os_route *r);
typedef int os_nl_rule_fn(void *ctx, const struct os_rule *r);
int os_nl_links(struct os_nl *nl, os_nl_link_fn *fn, void *ctx) BW_NODISCARD;
int os_nl_addrs(struct os_nl *nl, os_nl_addr_fn *fn, void *ctx) BW_NODISCARD;
// table 0: all. Cached (cloned) routes are left out.
int os_nl_routes(struct os_nl *nl, uint32_t table, os_nl_route_fn *fn, void *ctx) BW_NODISCARD;
int os_nl_rules(struct os_nl *nl, os_nl_rule_fn *fn, void *ctx) BW_NODISCARD;
int os_nl_link_named(struct os_nl *nl, const char *name, struct os_link *out) BW_NODISCARD; // BW_ERR_NOTFOUND

// Changes: 0, BW_ERR_EXISTS, BW_ERR_NOTFOUND, BW_ERR_DENIED (no CAP_NET_ADMIN), or BW_ERR_SYS (errno; os_nl_error tells
// more).
int os_nl_link_set(struct os_nl *nl, uint32_t index, bool up, uint32_t mtu /* 0: as it is */) BW_NODISCARD;
// An address that is there already is no error; its flags are brought up to date.
int os_nl_addr_add(struct os_nl *nl, const struct os_ifaddr *a) BW_NODISCARD;
int os_nl_addr_del(struct os_nl *nl, const struct os_ifaddr *a) BW_NODISCARD;
// replace adds, or takes the place of the route with the same dst, metric and table. del matches dst, table, protocol
// and whatever else is set.
int os_nl_route_add(struct os_nl *nl, const struct os_route *r) BW_NODISCARD;
int os_nl_route_replace(struct os_nl *nl, const struct os_route *r) BW_NODISCARD;
int os_nl_route_del(struct os_nl *nl, const struct os_route *r) BW_NODISCARD;
// BW_ERR_EXISTS if an equal rule is there.
int os_nl_rule_add(struct os_nl *nl, const struct os_rule *r) BW_NODISCARD;
int os_nl_rule_del(struct os_nl *nl, const struct os_rule *r) BW_NODISCARD;
// Removes every route and rule with protocol OS_NL_PROTO, whatever the table. Returns how many, or an error.
int os_nl_cleanup(struct os_nl *nl) BW_NODISCARD;

// What the kernel said about the last failure, with its own words where it gave some; valid until the next call.
const char *os_nl_error(const struct os_nl *nl);

#endif
