// ICMPv6 errors from the way (RFC 4443) about our ESP: believed only if they quote a packet that was really sent, turned back
// into errors about the inner packet where that is remembered, and heeded where they tell of a smaller path.
#include <string.h>

#include "core/fwd/csum.h"
#include "core/fwd/ip.h"
#include "core/session/set.h"

#define TOO_BIG 2
#define HOPS 64
#define QUOTE (IP6_HEADER + 8)                     // where the quoted packet begins
#define QUOTE_MIN (QUOTE + IP6_HEADER + ESP_AAD)   // its SPI and sequence number must be there

static bool is_error(const uint8_t *p, size_t n)
{
    if (n < QUOTE_MIN || p[0] >> 4 != 6 || p[6] != IP_ICMPV6 || p[IP6_HEADER] >= 128) return false;
    if (IP6_HEADER + (size_t)ip_get16(p + 4) != n) return false;
    return csum_fold(csum_add(csum_pseudo(p + 8, p + 24, 16, IP_ICMPV6, (uint32_t)(n - IP6_HEADER)), p + IP6_HEADER, n - IP6_HEADER)) == 0xffff;
}

static bool sent(const struct session *s, uint32_t spi, uint32_t seq)
{
    for (unsigned i = 0; i < SA_SLOTS; i++) {
        const struct sa *a = s->keys[i].sa;
        if (!a || a->remote_spi != spi) continue;
        uint64_t high = atomic_load_explicit(&a->tx_seq, memory_order_relaxed);
        return seq && seq <= high && high - seq < SESSION_PLAUSIBLE;
    }
    return false;
}

// Whether it says something new.
static bool lower_mtu(struct sessions *ss, struct session *s, const uint8_t *p, const uint8_t *quoted, bw_time now)
{
    uint32_t mtu = ip_get32(p + IP6_HEADER + 4), was = IP6_HEADER + (uint32_t)ip_get16(quoted + 4);
    if (mtu >= was || mtu >= s->mtu) return false; // the packet was not too big for that
    if (mtu < SESSION_MTU_MIN) mtu = SESSION_MTU_MIN;
    if (mtu >= s->mtu) return false;
    s->mtu = (uint16_t)mtu;
    s->mtu_until = now + SESSION_MTU_LIFE;
    session_due(ss, s, s->mtu_until);
    ss->stats.mtu_lowered++;
    ss->dirty = true;
    return true;
}

// The same error about the packet as this machine knows it.
static void translate(struct sessions *ss, const struct session *s, const uint8_t *p, const uint8_t *quoted, const struct session_trace *t)
{
    uint8_t out[QUOTE + IP6_HEADER + SESSION_TRACE_BYTES], *icmp = out + IP6_HEADER, *q = out + QUOTE;
    size_t n = 8 + IP6_HEADER + t->count;
    memcpy(out, p, QUOTE);
    ip_put16(out + 4, (uint16_t)n);
    memcpy(q, quoted, IP6_HEADER);
    ip_put16(q + 4, t->payload);
    q[6] = t->next;
    memcpy(q + IP6_HEADER, t->bytes, t->count);
    if (icmp[0] == TOO_BIG) ip_put32(icmp + 4, (uint32_t)session_transport_mtu(s->mtu));
    icmp[2] = icmp[3] = 0;
    csum_store(icmp + 2, csum_add(csum_pseudo(out + 8, out + 24, 16, IP_ICMPV6, (uint32_t)n), icmp, n));
    ss->stats.errors_translated++;
    if (ss->ops.deliver) ss->ops.deliver(ss->ops.ctx, out, IP6_HEADER + n);
}

// Whether whoever sent the packet that begins so can make something of an error about it: the question of a ping, or the first
// fragment of what has ports. An error about an error, or about an answer, is for nobody.
static bool answerable(const struct session_trace *t, size_t *header)
{
    const uint8_t *q = t->bytes;
    bool v4 = t->next == IP_IPIP;
    if (t->count < (v4 ? 20 : IP6_HEADER)) return false;
    *header = v4 ? (q[0] & 15u) * 4 : IP6_HEADER;
    if (*header < 20 || t->count < *header + 8 || (v4 && (ip_get16(q + 6) & 0x1fff))) return false;
    uint8_t proto = v4 ? q[9] : q[6];
    if (proto == (v4 ? IP_ICMP : IP_ICMPV6)) return q[*header] == (v4 ? 8 : 128);
    return proto == IP_UDP || proto == IP_TCP;
}

// Tunnel mode (RFC 2473 section 8.2): whatever keeps the outer packet from its end, to the inner one's sender that end is out of
// reach: address unreachable, or for IPv4 host unreachable, from the address that stands for nodes without one (RFC 7600).
static void translate_tunnel(struct sessions *ss, const uint8_t *p, const struct session_trace *t)
{
    uint8_t out[QUOTE + SESSION_TRACE_BYTES] = {0};
    size_t header, n;
    if (!answerable(t, &header)) return;
    if (t->next == IP_IPIP) {
        static const uint8_t fixed[16] = {0x45, 0xc0, [8] = HOPS, IP_ICMP, [12] = 192, 0, 0, 8};
        n = 28 + header + 8;
        memcpy(out, fixed, sizeof fixed);
        ip_put16(out + 2, (uint16_t)n);
        memcpy(out + 16, t->bytes + 12, 4);
        ip4_checksum(out, 20);
        out[20] = 3;
        out[21] = 1;
        memcpy(out + 28, t->bytes, header + 8);
        csum_store(out + 22, csum_add(0, out + 20, n - 20));
    } else {
        struct bw_addr relay, to;
        uint8_t *icmp = out + IP6_HEADER;
        n = QUOTE + t->count;
        memcpy(relay.b, p + 8, sizeof relay.b);
        memcpy(to.b, t->bytes + 8, sizeof to.b);
        ip6_header(out, 0, (uint16_t)(n - IP6_HEADER), IP_ICMPV6, HOPS, &relay, &to);
        icmp[0] = 1;
        icmp[1] = 3;
        memcpy(icmp + 8, t->bytes, t->count);
        csum_store(icmp + 2, csum_add(csum_pseudo(out + 8, out + 24, 16, IP_ICMPV6, (uint32_t)(n - IP6_HEADER)), icmp, n - IP6_HEADER));
    }
    ss->stats.errors_translated++;
    if (ss->ops.deliver) ss->ops.deliver(ss->ops.ctx, out, n);
}

void sessions_icmp_error(struct sessions *ss, const uint8_t *p, size_t n, bw_time now)
{
    struct bw_addr peer;
    struct session_trace t;
    const uint8_t *quoted = p + QUOTE;
    ss->now = now;
    if (!is_error(p, n)) {
        session_drop(ss, SESSION_DROP_MALFORMED);
        return;
    }
    memcpy(peer.b, quoted + 24, 16);
    struct session *s = session_find(ss, &peer);
    uint32_t spi = ip_get32(quoted + IP6_HEADER), seq = ip_get32(quoted + IP6_HEADER + 4);
    if (!s || quoted[6] != ESP_PROTOCOL || memcmp(quoted + 8, ss->config.identity->addr.b, 16) || !sent(s, spi, seq)) {
        session_drop(ss, SESSION_DROP_ERROR);
        return;
    }
    bool too_big = p[IP6_HEADER] == TOO_BIG;
    if (too_big && !lower_mtu(ss, s, p, quoted, now)) {
        session_drop(ss, SESSION_DROP_ERROR);
    } else if (session_trace_take(ss->traces, spi, seq, &t)) {
        if (t.next != IP_IPIP && t.next != IP_IPV6) translate(ss, s, p, quoted, &t);
        else if (!too_big && p[IP6_HEADER] <= 4) translate_tunnel(ss, p, &t); // the next one that is too big is told so here
    }
    sessions_settle(ss, now);
}
