// IPv4 and IPv6 headers as the packet path needs them: checked once, then read by offset.
#ifndef CORE_FWD_IP_H
#define CORE_FWD_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define IP_ICMP 1
#define IP_IPIP 4
#define IP_TCP 6
#define IP_UDP 17
#define IP_IPV6 41
#define IP_FRAGMENT 44
#define IP_ICMPV6 58
#define IP6_HEADER 40
#define IP6_MTU_MIN 1280

static inline uint16_t ip_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t ip_get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline void ip_put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void ip_put32(uint8_t *p, uint32_t v)
{
    ip_put16(p, (uint16_t)(v >> 16));
    ip_put16(p + 2, (uint16_t)v);
}

struct ip_view {
    uint8_t *p;      // first byte of the IP header
    uint32_t len;    // whole IP packet, by its own header
    uint16_t header; // bytes of the IP header without IPv6 extension headers
    uint8_t version; // 4 or 6
    uint8_t proto;   // IPv4 protocol or first IPv6 next header
    struct bw_addr src, dst;
};

// Checks version, lengths (the packet may be followed by padding, n >= len) and IPv4's header checksum.
// BW_ERR_MALFORMED otherwise.
int ip_parse(uint8_t *p, size_t n, struct ip_view *v) BW_NODISCARD;

static inline uint8_t *ip_ttl(const struct ip_view *v)
{
    return v->p + (v->version == 4 ? 8 : 7);
}
// TTL or hop limit less one, IPv4's checksum following. The caller has seen that it is more than 1.
void ip_hop(const struct ip_view *v);
// Writes IPv4's header checksum anew.
void ip4_checksum(uint8_t *p, size_t header);

static inline uint8_t ip_ecn(const struct ip_view *v)
{
    return v->version == 4 ? v->p[1] & 3 : v->p[1] >> 4 & 3;
}
void ip_set_ecn(const struct ip_view *v, uint8_t ecn);

static inline bool ip4_dont_fragment(const struct ip_view *v)
{
    return v->p[6] & 0x40;
}
// Not the whole packet's beginning: an IPv4 fragment or one by an IPv6 fragment header in the place it usually has.
bool ip_is_fragment(const struct ip_view *v);

// Where the transport header is, IPv6 extension headers skipped.
struct ip_transport {
    uint8_t proto;
    bool later_fragment; // of a fragmented packet, and not the first: there is no transport header
    uint32_t offset;     // from the IP header's first byte; at most len
};
// False: headers run past the packet's end.
bool ip_transport(const struct ip_view *v, struct ip_transport *t);

// Never a sender on the wire: unspecified, loopback, multicast, IPv4's class E and broadcast, mapped IPv4 in IPv6.
bool ip_bad_source(const struct ip_view *v);

// Writes an IPv6 header (flow label and DSCP zero) for `payload` bytes.
void ip6_header(uint8_t *p, uint8_t ecn, uint16_t payload, uint8_t next, uint8_t hops, const struct bw_addr *src,
                const struct bw_addr *dst);

#endif
