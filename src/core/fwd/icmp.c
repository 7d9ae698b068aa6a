// ICMP (RFC 792, RFC 1812 section 4.3.2) and ICMPv6 (RFC 4443) errors.
#include "core/fwd/path.h"

#include "core/fwd/csum.h"

#define ERRORS_PER_S 200
#define ERRORS_BURST 50
#define QUOTE4 576u          // RFC 1812 section 4.3.2.3
#define OWN_HOPS 64

// RFC 4443 section 2.4 (e), RFC 1122 section 3.2.2.
static bool may_answer(const struct ip_view *v)
{
    struct ip_transport t;
    if (ip_bad_source(v) || bw_addr_is_multicast(&v->dst) || bw_addr_is_linklocal(&v->src) ||
        bw_addr_is_linklocal(&v->dst))
        return false;
    if (v->version == 4 && ip_get32(v->p + 16) == UINT32_MAX) return false;
    if (!ip_transport(v, &t) || t.later_fragment) return false;
    if (t.proto != IP_ICMP && t.proto != IP_ICMPV6) return true;
    if (t.offset >= v->len) return false;
    uint8_t type = v->p[t.offset];
    if (v->version == 6) return t.proto == IP_ICMPV6 && type >= 128;
    return type == 0 || type == 8 ||
           (type >= 13 && type <= 18); // questions and answers; all else is or may be an error
}

static size_t write4(uint8_t *q, const struct fwd_snapshot *s, const struct ip_view *v, enum icmp_kind kind, size_t mtu)
{
    static const uint8_t type[] = {
        [ICMP_HOP_LIMIT] = 11, [ICMP_NO_ROUTE] = 3, [ICMP_TOO_BIG] = 3, [ICMP_PROHIBITED] = 3};
    static const uint8_t code[] = {
        [ICMP_HOP_LIMIT] = 0, [ICMP_NO_ROUTE] = 0, [ICMP_TOO_BIG] = 4, [ICMP_PROHIBITED] = 13};
    size_t quote = v->len < QUOTE4 - 28 ? v->len : QUOTE4 - 28, len = 28 + quote;
    memset(q, 0, 28);
    q[0] = 0x45;
    q[1] = 0xc0; // RFC 1812 section 4.3.2.5: precedence of internetwork control
    ip_put16(q + 2, (uint16_t)len);
    q[8] = OWN_HOPS;
    q[9] = IP_ICMP;
    memcpy(q + 12, bw_addr_v4_bytes(&s->icmp4_source), 4);
    memcpy(q + 16, v->p + 12, 4);
    ip4_checksum(q, 20);
    q[20] = type[kind];
    q[21] = code[kind];
    if (kind == ICMP_TOO_BIG) ip_put16(q + 26, (uint16_t)mtu); // RFC 1191
    memcpy(q + 28, v->p, quote);
    csum_store(q + 22, csum_add(0, q + 20, len - 20));
    return len;
}

static size_t write6(uint8_t *q, const struct fwd_snapshot *s, const struct ip_view *v, enum icmp_kind kind, size_t mtu)
{
    static const uint8_t type[] = {
        [ICMP_HOP_LIMIT] = 3, [ICMP_NO_ROUTE] = 1, [ICMP_TOO_BIG] = 2, [ICMP_PROHIBITED] = 1};
    static const uint8_t code[] = {
        [ICMP_HOP_LIMIT] = 0, [ICMP_NO_ROUTE] = 0, [ICMP_TOO_BIG] = 0, [ICMP_PROHIBITED] = 1};
    size_t quote = v->len < ICMP_QUOTE_MAX - 48 ? v->len : ICMP_QUOTE_MAX - 48, n = 8 + quote;
    ip6_header(q, 0, (uint16_t)n, IP_ICMPV6, OWN_HOPS, &s->self, &v->src);
    uint8_t *icmp = q + IP6_HEADER;
    memset(icmp, 0, 8);
    icmp[0] = type[kind];
    icmp[1] = code[kind];
    if (kind == ICMP_TOO_BIG) ip_put32(icmp + 4, (uint32_t)mtu);
    memcpy(icmp + 8, v->p, quote);
    csum_store(icmp + 2, csum_add(csum_pseudo(q + 8, q + 24, 16, IP_ICMPV6, (uint32_t)n), icmp, n));
    return IP6_HEADER + n;
}

// The way back for an error about a packet from a link: as the mesh knows it, else over the link that it came from.
static bool way_back(struct fwd *f, const struct fwd_snapshot *s, const struct bw_addr *to, uint16_t from, struct path *p, bool *tun)
{
    enum fwd_drop why;
    const struct fwd_route *r = fib_lookup(&s->mesh, to);
    *tun = r && r->target == FWD_TO_TUN;
    if (*tun) return true;
    if (r && r->target == FWD_TO_TUNNEL) return path_to_tunnel(f, s, &r->via, p, &why);
    return path_to_link(s, r && r->target == FWD_TO_LINK ? r->link : from, p, &why);
}

void icmp_error(struct fwd *f, const struct fwd_snapshot *s, const struct ip_view *v, enum icmp_kind kind, size_t mtu,
                uint16_t from, bw_time now)
{
    struct path p;
    bool tun = from == FWD_NO_LINK;
    if (!may_answer(v) || !bucket_take(tun ? &f->icmp_tun : &f->icmp_wire, ERRORS_PER_S, ERRORS_BURST, now)) return;
    if (!tun && !way_back(f, s, &v->src, from, &p, &tun)) return;
    uint8_t *q = f->scratch + VNET_LEN;
    size_t n = v->version == 4 ? write4(q, s, v, kind, mtu) : write6(q, s, v, kind, mtu);
    if (tun) {
        memset(f->scratch, 0, VNET_LEN);
        struct fwd_piece piece = {f->scratch, VNET_LEN + n};
        f->sink.tun(f->sink.ctx, &piece, 1);
        return;
    }
    memcpy(out_room(f, &p, n), q, n);
    int ignored = out_seal(f, s, &p, n, now); // counted there
    (void)ignored;
}
