#include "wire/babel.h"

enum { AE_WILDCARD, AE_IPV4, AE_IPV6, AE_LINKLOCAL, AE_V4_VIA_V6 };
enum { FLAG_PREFIX = 0x80, FLAG_ROUTER_ID = 0x40, HELLO_UNICAST = 0x8000 };

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

// Index into the reader's default prefixes, or -1 where compression is not allowed.
static int compression_slot(uint8_t ae)
{
    return ae == AE_IPV4 ? 0 : ae == AE_IPV6 ? 1 : ae == AE_V4_VIA_V6 ? 2 : -1;
}

int babel_read_begin(struct babel_reader *r, const struct bw_addr *source, const void *p, size_t n)
{
    struct bw_rd rd = bw_rd(p, n);
    uint8_t magic = bw_rd_u8(&rd), version = bw_rd_u8(&rd);
    uint16_t len = bw_rd_be16(&rd);
    const uint8_t *body = bw_rd_take(&rd, len);
    if (rd.bad || magic != 42 || version != 2) return BW_ERR_MALFORMED;
    *r = (struct babel_reader){.rd = bw_rd(body, len)}; // what follows the body is the trailer: nothing there concerns us
    if (bw_addr_is_v4(source)) r->next_hop4 = *source, r->have_next_hop4 = true;
    else r->next_hop6 = *source, r->have_next_hop6 = true;
    return 0;
}

// ---- addresses and prefixes (RFC 8966 section 4.1.4) ----

static int read_address(struct bw_rd *rd, uint8_t ae, struct bw_addr *out)
{
    memset(out, 0, sizeof *out);
    switch (ae) {
    case AE_IPV4: memcpy(out->b, v4_mapped, 12), bw_rd_bytes(rd, out->b + 12, 4); break;
    case AE_IPV6: bw_rd_bytes(rd, out->b, 16); break;
    case AE_LINKLOCAL: out->b[0] = 0xfe, out->b[1] = 0x80, bw_rd_bytes(rd, out->b + 8, 8); break;
    default: return BW_ERR_UNSUPPORTED;
    }
    return rd->bad ? BW_ERR_MALFORMED : 0;
}

// A prefix in its wire form: raw gets 4, 8 or 16 significant bytes with everything past plen zero.
static int read_raw_prefix(struct babel_reader *r, struct bw_rd *rd, uint8_t ae, unsigned plen, unsigned omitted, uint8_t raw[16])
{
    unsigned bits = plen;
    memset(raw, 0, 16);
    switch (ae) {
    case AE_IPV4:
    case AE_V4_VIA_V6:
        if (plen > 32) return BW_ERR_MALFORMED;
        break;
    case AE_IPV6:
        if (plen > 128) return BW_ERR_MALFORMED;
        break;
    case AE_LINKLOCAL:
        if (plen > 128 || omitted) return BW_ERR_MALFORMED;
        bits = plen > 64 ? plen - 64 : 0;
        break;
    default: return BW_ERR_UNSUPPORTED;
    }
    unsigned bytes = (bits + 7) / 8;
    if (omitted > bytes) return BW_ERR_MALFORMED;
    if (omitted) {
        int slot = compression_slot(ae);
        if (slot < 0 || !r->have_default[slot]) return BW_ERR_MALFORMED;
        memcpy(raw, r->default_prefix[slot], omitted);
    }
    bw_rd_bytes(rd, raw + omitted, bytes - omitted);
    if (ae == AE_IPV6 && plen >= 96 && !memcmp(raw, v4_mapped, 12)) return BW_ERR_MALFORMED; // our own form of IPv4
    if (bits % 8 && bytes) raw[bytes - 1] &= (uint8_t)(0xff00u >> (bits % 8));
    return rd->bad ? BW_ERR_MALFORMED : 0;
}

static struct bw_prefix prefix_from_raw(uint8_t ae, unsigned plen, const uint8_t raw[16])
{
    struct bw_prefix p = {.len = (uint8_t)plen};
    if (ae == AE_IPV6) {
        memcpy(p.addr.b, raw, 16);
    } else if (ae == AE_LINKLOCAL) {
        p.addr.b[0] = 0xfe, p.addr.b[1] = 0x80;
        memcpy(p.addr.b + 8, raw, 8);
        p = bw_prefix_make(&p.addr, (uint8_t)plen);
    } else {
        memcpy(p.addr.b, v4_mapped, 12);
        memcpy(p.addr.b + 12, raw, 4);
        p.len = (uint8_t)(plen + 96);
    }
    return p;
}

// ---- sub-TLVs: fn sees those that are not padding; types that nobody here knows go by the mandatory bit ----

static void hello_subtlv(struct babel_tlv *t, uint8_t type, struct bw_rd *body)
{
    size_t n = bw_rd_left(body);
    if (type == BABEL_SUB_TIMESTAMP && n >= 4) {
        t->hello.has_timestamp = true;
        t->hello.timestamp = bw_rd_be32(body);
    } else if (type == BABEL_SUB_CAPABILITY && n >= BABEL_CAPABILITY_LEN) { // longer: a later version's, the rest unknown
        t->hello.has_capability = true;
        t->hello.capability.version = bw_rd_u8(body);
        t->hello.capability.flags = bw_rd_u8(body);
        t->hello.capability.interval_cs = bw_rd_be16(body);
        t->hello.capability.epoch = bw_rd_be64(body);
    }
}

static void ihu_subtlv(struct babel_tlv *t, uint8_t type, struct bw_rd *body)
{
    if (type == BABEL_SUB_TIMESTAMP && bw_rd_left(body) >= 8) {
        t->ihu.has_timestamp = true;
        t->ihu.origin = bw_rd_be32(body);
        t->ihu.receive = bw_rd_be32(body);
    }
}

static int read_subtlvs(struct bw_rd *rd, struct babel_tlv *t)
{
    bool mandatory = false;
    while (bw_rd_left(rd)) {
        uint8_t type = bw_rd_u8(rd);
        if (type == BABEL_SUB_PAD1) continue;
        uint8_t len = bw_rd_u8(rd);
        const uint8_t *p = bw_rd_take(rd, len);
        if (rd->bad) return BW_ERR_MALFORMED;
        if (type & BABEL_SUB_MANDATORY) mandatory = true; // we know none of these
        struct bw_rd body = bw_rd(p, len);
        if (t->type == BABEL_HELLO) hello_subtlv(t, type, &body);
        else if (t->type == BABEL_IHU) ihu_subtlv(t, type, &body);
    }
    return mandatory ? BW_ERR_DENIED : 0;
}

// ---- TLVs. Each reads its own part of the body; what is left are sub-TLVs. ----

static int read_ack_request(struct bw_rd *rd, struct babel_tlv *t)
{
    bw_rd_take(rd, 2);
    t->ack_request.opaque = bw_rd_be16(rd);
    t->ack_request.interval_cs = bw_rd_be16(rd);
    return rd->bad || !t->ack_request.interval_cs ? BW_ERR_MALFORMED : 0;
}

static int read_hello(struct bw_rd *rd, struct babel_tlv *t)
{
    t->hello.unicast = bw_rd_be16(rd) & HELLO_UNICAST;
    t->hello.seqno = bw_rd_be16(rd);
    t->hello.interval_cs = bw_rd_be16(rd);
    t->hello.has_timestamp = t->hello.has_capability = false;
    return rd->bad ? BW_ERR_MALFORMED : 0;
}

static int read_ihu(struct bw_rd *rd, struct babel_tlv *t)
{
    uint8_t ae = bw_rd_u8(rd);
    bw_rd_take(rd, 1);
    t->ihu.rxcost = bw_rd_be16(rd);
    t->ihu.interval_cs = bw_rd_be16(rd);
    t->ihu.has_timestamp = false;
    t->ihu.wildcard = ae == AE_WILDCARD;
    if (rd->bad || !t->ihu.interval_cs) return BW_ERR_MALFORMED;
    return t->ihu.wildcard ? 0 : read_address(rd, ae, &t->ihu.addr);
}

static int read_router_id(struct babel_reader *r, struct bw_rd *rd)
{
    bw_rd_take(rd, 2);
    bw_rd_bytes(rd, r->router_id, 8);
    r->have_router_id = !rd->bad && babel_router_id_valid(r->router_id);
    return r->have_router_id ? 0 : BW_ERR_MALFORMED;
}

static int read_next_hop(struct babel_reader *r, struct bw_rd *rd)
{
    uint8_t ae = bw_rd_u8(rd);
    bw_rd_take(rd, 1);
    struct bw_addr a;
    int err = ae == AE_WILDCARD ? BW_ERR_MALFORMED : read_address(rd, ae, &a);
    if (err) return err;
    if (ae == AE_IPV4) r->next_hop4 = a, r->have_next_hop4 = true;
    else r->next_hop6 = a, r->have_next_hop6 = true;
    return 0;
}

static void set_router_id_from_prefix(struct babel_reader *r, uint8_t ae, const uint8_t raw[16])
{
    memset(r->router_id, 0, 8);
    if (ae == AE_IPV6) memcpy(r->router_id, raw + 8, 8);
    else if (ae == AE_LINKLOCAL) memcpy(r->router_id, raw, 8);
    else memcpy(r->router_id + 4, raw, 4);
    r->have_router_id = babel_router_id_valid(r->router_id);
}

static int complete_update(struct babel_reader *r, struct babel_tlv *t, uint8_t ae)
{
    if (t->update.metric == BABEL_INF) return 0;
    if (!r->have_router_id) return BW_ERR_MALFORMED;
    memcpy(t->update.router_id, r->router_id, 8);
    bool v4 = ae == AE_IPV4;
    if (!(v4 ? r->have_next_hop4 : r->have_next_hop6)) return BW_ERR_MALFORMED;
    t->update.next_hop = v4 ? r->next_hop4 : r->next_hop6;
    return 0;
}

static int read_update(struct babel_reader *r, struct bw_rd *rd, struct babel_tlv *t)
{
    uint8_t ae = bw_rd_u8(rd), flags = bw_rd_u8(rd), plen = bw_rd_u8(rd), omitted = bw_rd_u8(rd);
    t->update.interval_cs = bw_rd_be16(rd);
    t->update.seqno = bw_rd_be16(rd);
    t->update.metric = bw_rd_be16(rd);
    t->update.wildcard = ae == AE_WILDCARD;
    if (rd->bad || !t->update.interval_cs) return BW_ERR_MALFORMED;
    if (ae == AE_WILDCARD) return t->update.metric == BABEL_INF && !plen && !omitted ? 0 : BW_ERR_MALFORMED;
    uint8_t raw[16];
    int err = read_raw_prefix(r, rd, ae, plen, omitted, raw);
    if (err) return err;
    int slot = compression_slot(ae);
    if (flags & FLAG_PREFIX && slot >= 0) {
        memcpy(r->default_prefix[slot], raw, 16);
        r->have_default[slot] = true;
    }
    if (flags & FLAG_ROUTER_ID) set_router_id_from_prefix(r, ae, raw);
    t->update.prefix = prefix_from_raw(ae, plen, raw);
    return complete_update(r, t, ae);
}

static int read_route_request(struct babel_reader *r, struct bw_rd *rd, struct babel_tlv *t)
{
    uint8_t ae = bw_rd_u8(rd), plen = bw_rd_u8(rd), raw[16];
    t->route_request.wildcard = ae == AE_WILDCARD;
    if (rd->bad) return BW_ERR_MALFORMED;
    if (ae == AE_WILDCARD) return plen ? BW_ERR_MALFORMED : 0;
    int err = read_raw_prefix(r, rd, ae, plen, 0, raw);
    if (!err) t->route_request.prefix = prefix_from_raw(ae, plen, raw);
    return err;
}

static int read_seqno_request(struct babel_reader *r, struct bw_rd *rd, struct babel_tlv *t)
{
    uint8_t ae = bw_rd_u8(rd), plen = bw_rd_u8(rd), raw[16];
    t->seqno_request.seqno = bw_rd_be16(rd);
    t->seqno_request.hops = bw_rd_u8(rd);
    bw_rd_take(rd, 1);
    bw_rd_bytes(rd, t->seqno_request.router_id, 8);
    if (rd->bad || ae == AE_WILDCARD || !t->seqno_request.hops) return BW_ERR_MALFORMED;
    if (!babel_router_id_valid(t->seqno_request.router_id)) return BW_ERR_MALFORMED;
    int err = read_raw_prefix(r, rd, ae, plen, 0, raw);
    if (!err) t->seqno_request.prefix = prefix_from_raw(ae, plen, raw);
    return err;
}

static int read_body(struct babel_reader *r, struct bw_rd *rd, struct babel_tlv *t)
{
    switch (t->type) {
    case BABEL_ACK_REQUEST: return read_ack_request(rd, t);
    case BABEL_ACK: t->ack.opaque = bw_rd_be16(rd); return rd->bad ? BW_ERR_MALFORMED : 0;
    case BABEL_HELLO: return read_hello(rd, t);
    case BABEL_IHU: return read_ihu(rd, t);
    case BABEL_ROUTER_ID: return read_router_id(r, rd);
    case BABEL_NEXT_HOP: return read_next_hop(r, rd);
    case BABEL_UPDATE: return read_update(r, rd, t);
    case BABEL_ROUTE_REQUEST: return read_route_request(r, rd, t);
    case BABEL_SEQNO_REQUEST: return read_seqno_request(r, rd, t);
    default: return BW_ERR_UNSUPPORTED;
    }
}

int babel_read_next(struct babel_reader *r, struct babel_tlv *t)
{
    while (bw_rd_left(&r->rd)) {
        t->type = bw_rd_u8(&r->rd);
        if (t->type == BABEL_PAD1) continue;
        uint8_t len = bw_rd_u8(&r->rd);
        const uint8_t *p = bw_rd_take(&r->rd, len);
        if (r->rd.bad) {
            r->rd.p = r->rd.end; // a TLV longer than the body: nothing behind it can be found
            r->rd.bad = false;
            return BW_ERR_MALFORMED;
        }
        if (t->type == BABEL_PADN) continue;
        struct bw_rd rd = bw_rd(p, len);
        int err = read_body(r, &rd, t);
        if (!err) err = read_subtlvs(&rd, t);
        if (err) return err;
        if (t->type != BABEL_ROUTER_ID && t->type != BABEL_NEXT_HOP) return 1;
    }
    return 0;
}
