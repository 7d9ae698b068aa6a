#include "wire/babel.h"

enum { AE_WILDCARD, AE_IPV4, AE_IPV6, AE_LINKLOCAL, AE_V4_VIA_V6 };
enum { FLAG_PREFIX = 0x80, FLAG_ROUTER_ID = 0x40, HELLO_UNICAST = 0x8000 };

void babel_write_begin(struct babel_writer *w, void *p, size_t n)
{
    w->wr = bw_wr(p, n);
    w->have_router_id = false;
    memset(w->have_default, 0, sizeof w->have_default);
    bw_wr_u8(&w->wr, 42);
    bw_wr_u8(&w->wr, 2);
    bw_wr_be16(&w->wr, 0); // body length, see babel_write_end
    BW_ASSERT(!w->wr.bad);
}

size_t babel_write_end(struct babel_writer *w)
{
    size_t n = bw_wr_len(&w->wr), body = n - BABEL_HEADER;
    w->wr.start[2] = (uint8_t)(body >> 8);
    w->wr.start[3] = (uint8_t)body;
    return n;
}

// Room for a TLV of `len` bytes of body, its head written; NULL: the packet is full.
static struct bw_wr *tlv(struct babel_writer *w, uint8_t type, size_t len)
{
    if (bw_wr_left(&w->wr) < len + 2) return NULL;
    bw_wr_u8(&w->wr, type);
    bw_wr_u8(&w->wr, (uint8_t)len);
    return &w->wr;
}

bool babel_write_padn(struct babel_writer *w, uint8_t zeros)
{
    struct bw_wr *o = tlv(w, BABEL_PADN, zeros);
    if (o) bw_wr_zero(o, zeros);
    return o;
}

bool babel_write_ack_request(struct babel_writer *w, uint16_t opaque, uint16_t interval_cs)
{
    struct bw_wr *o = tlv(w, BABEL_ACK_REQUEST, 6);
    if (!o) return false;
    bw_wr_be16(o, 0);
    bw_wr_be16(o, opaque);
    bw_wr_be16(o, interval_cs);
    return true;
}

bool babel_write_ack(struct babel_writer *w, uint16_t opaque)
{
    struct bw_wr *o = tlv(w, BABEL_ACK, 2);
    if (o) bw_wr_be16(o, opaque);
    return o;
}

bool babel_write_hello(struct babel_writer *w, bool unicast, uint16_t seqno, uint16_t interval_cs, uint32_t timestamp,
                       const struct babel_capability *c)
{
    struct bw_wr *o = tlv(w, BABEL_HELLO, 6 + 6 + (c ? 2 + BABEL_CAPABILITY_LEN : 0u));
    if (!o) return false;
    bw_wr_be16(o, unicast ? HELLO_UNICAST : 0);
    bw_wr_be16(o, seqno);
    bw_wr_be16(o, interval_cs);
    bw_wr_u8(o, BABEL_SUB_TIMESTAMP);
    bw_wr_u8(o, 4);
    bw_wr_be32(o, timestamp);
    if (!c) return true;
    bw_wr_u8(o, BABEL_SUB_CAPABILITY);
    bw_wr_u8(o, BABEL_CAPABILITY_LEN);
    bw_wr_u8(o, c->version);
    bw_wr_u8(o, c->flags);
    bw_wr_be16(o, c->interval_cs);
    bw_wr_be64(o, c->epoch);
    return true;
}

bool babel_write_ihu(struct babel_writer *w, const struct bw_addr *addr, uint16_t rxcost, uint16_t interval_cs,
                     const uint32_t times[2])
{
    static const uint8_t linklocal[8] = {0xfe, 0x80};
    uint8_t ae = !addr ? AE_WILDCARD : !memcmp(addr->b, linklocal, 8) ? AE_LINKLOCAL : AE_IPV6;
    size_t n = ae == AE_WILDCARD ? 0 : ae == AE_LINKLOCAL ? 8 : 16;
    struct bw_wr *o = tlv(w, BABEL_IHU, 6 + n + (times ? 10 : 0u));
    if (!o) return false;
    bw_wr_u8(o, ae);
    bw_wr_u8(o, 0);
    bw_wr_be16(o, rxcost);
    bw_wr_be16(o, interval_cs);
    if (n) bw_wr_bytes(o, addr->b + 16 - n, n);
    if (!times) return true;
    bw_wr_u8(o, BABEL_SUB_TIMESTAMP);
    bw_wr_u8(o, 8);
    bw_wr_be32(o, times[0]);
    bw_wr_be32(o, times[1]);
    return true;
}

// ---- updates ----

// Wire form of a prefix: its bytes and length.
static const uint8_t *raw_prefix(const struct bw_prefix *p, bool v4, unsigned *plen)
{
    *plen = v4 ? p->len - 96u : p->len;
    return v4 ? p->addr.b + 12 : p->addr.b;
}

// How many leading bytes of the prefix the receiver knows already (RFC 8966 section 4.5).
static unsigned omittable(const struct babel_writer *w, int slot, const uint8_t *raw, unsigned bytes)
{
    unsigned k = 0;
    if (!w->have_default[slot]) return 0;
    while (k < bytes && raw[k] == w->default_prefix[slot][k]) k++;
    return k;
}

bool babel_write_update(struct babel_writer *w, const struct bw_prefix *p, const uint8_t router_id[8], uint16_t interval_cs,
                        uint16_t seqno, uint16_t metric)
{
    bool v4 = bw_prefix_is_v4(p), retraction = metric == BABEL_INF;
    uint8_t ae = !v4 ? AE_IPV6 : retraction ? AE_IPV4 : AE_V4_VIA_V6, flags = FLAG_PREFIX;
    int slot = ae == AE_IPV4 ? 0 : ae == AE_IPV6 ? 1 : 2;
    unsigned plen;
    const uint8_t *raw = raw_prefix(p, v4, &plen);
    unsigned bytes = (plen + 7) / 8, omit = omittable(w, slot, raw, bytes);
    bool tell_id = !retraction && (!w->have_router_id || memcmp(w->router_id, router_id, 8));
    if (tell_id && !v4 && !memcmp(p->addr.b + 8, router_id, 8)) {
        flags |= FLAG_ROUTER_ID;
        tell_id = false;
    }
    if (bw_wr_left(&w->wr) < (tell_id ? 12u : 0u) + 12 + bytes - omit) return false;
    if (tell_id) {
        struct bw_wr *o = tlv(w, BABEL_ROUTER_ID, 10);
        bw_wr_be16(o, 0);
        bw_wr_bytes(o, router_id, 8);
    }
    if (tell_id || flags & FLAG_ROUTER_ID) {
        memcpy(w->router_id, router_id, 8);
        w->have_router_id = true;
    }
    struct bw_wr *o = tlv(w, BABEL_UPDATE, 10 + bytes - omit);
    bw_wr_u8(o, ae);
    bw_wr_u8(o, flags);
    bw_wr_u8(o, (uint8_t)plen);
    bw_wr_u8(o, (uint8_t)omit);
    bw_wr_be16(o, interval_cs);
    bw_wr_be16(o, seqno);
    bw_wr_be16(o, metric);
    bw_wr_bytes(o, raw + omit, bytes - omit);
    memset(w->default_prefix[slot], 0, 16);
    memcpy(w->default_prefix[slot], raw, bytes);
    w->have_default[slot] = true;
    return true;
}

bool babel_write_wildcard_retraction(struct babel_writer *w, uint16_t interval_cs)
{
    struct bw_wr *o = tlv(w, BABEL_UPDATE, 10);
    if (!o) return false;
    bw_wr_be32(o, 0); // AE 0, no flags, no prefix
    bw_wr_be16(o, interval_cs);
    bw_wr_be16(o, 0);
    bw_wr_be16(o, BABEL_INF);
    return true;
}

// ---- requests ----

bool babel_write_route_request(struct babel_writer *w, const struct bw_prefix *p)
{
    bool v4 = p && bw_prefix_is_v4(p);
    unsigned plen = 0;
    const uint8_t *raw = p ? raw_prefix(p, v4, &plen) : NULL;
    struct bw_wr *o = tlv(w, BABEL_ROUTE_REQUEST, 2 + (plen + 7) / 8);
    if (!o) return false;
    bw_wr_u8(o, !p ? AE_WILDCARD : v4 ? AE_IPV4 : AE_IPV6);
    bw_wr_u8(o, (uint8_t)plen);
    bw_wr_bytes(o, raw, (plen + 7) / 8);
    return true;
}

bool babel_write_seqno_request(struct babel_writer *w, const struct bw_prefix *p, const uint8_t router_id[8], uint16_t seqno,
                               uint8_t hops)
{
    bool v4 = bw_prefix_is_v4(p);
    unsigned plen;
    const uint8_t *raw = raw_prefix(p, v4, &plen);
    struct bw_wr *o = tlv(w, BABEL_SEQNO_REQUEST, 14 + (plen + 7) / 8);
    if (!o) return false;
    bw_wr_u8(o, v4 ? AE_IPV4 : AE_IPV6);
    bw_wr_u8(o, (uint8_t)plen);
    bw_wr_be16(o, seqno);
    bw_wr_u8(o, hops);
    bw_wr_u8(o, 0);
    bw_wr_bytes(o, router_id, 8);
    bw_wr_bytes(o, raw, (plen + 7) / 8);
    return true;
}
