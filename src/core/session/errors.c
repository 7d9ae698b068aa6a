// ICMPv6 errors from the way (RFC 4443) about our ESP: believed only if they quote a packet that was really sent, turned back
// into errors about the inner packet where that is remembered, and heeded where they tell of a smaller path.
#include <string.h>

#include "core/fwd/csum.h"
#include "core/fwd/ip.h"
#include "core/session/set.h"

#define TOO_BIG 2
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
    if (p[IP6_HEADER] == TOO_BIG && !lower_mtu(ss, s, p, quoted, now)) session_drop(ss, SESSION_DROP_ERROR);
    else if (session_trace_get(ss->traces, spi, seq, &t)) translate(ss, s, p, quoted, &t);
    sessions_settle(ss, now);
}
