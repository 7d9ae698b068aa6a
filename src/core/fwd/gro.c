#include "core/fwd/gro.h"

#include "core/fwd/csum.h"

#define TCP_PSH 8
#define TCP_ACK 16

// A TCP or UDP packet without IP options, extension headers or fragmentation.
struct segment {
    const struct ip_view *v;
    const uint8_t *l4;
    uint16_t l4_len;
    uint32_t payload;
    bool joins; // could be part of a super-frame
    bool psh;
};

static void send_single(const struct fwd_sink *sink, const struct ip_view *v)
{
    uint8_t *frame = v->p - VNET_LEN;
    memset(frame, 0, VNET_LEN);
    struct fwd_piece piece = {frame, VNET_LEN + v->len};
    sink->tun(sink->ctx, &piece, 1);
}

static uint64_t pseudo(const struct ip_view *v, uint32_t len)
{
    if (v->version == 4) return csum_pseudo(v->p + 12, v->p + 16, 4, v->proto, len);
    return csum_pseudo(v->p + 8, v->p + 24, 16, v->proto, len);
}

static bool checksum_good(const struct ip_view *v)
{
    uint32_t n = v->len - v->header;
    return csum_fold(csum_add(pseudo(v, n), v->p + v->header, n)) == 0xffff;
}

// Headers of the super-frame: the first packet's, with lengths, PSH and checksums for the whole (virtio 1.2, 5.1.6.2).
static void write_head(struct gro_flow *w)
{
    const struct ip_view *v = &w->first;
    uint32_t l4_total = w->l4 + w->payload;
    bool tcp = v->proto == IP_TCP;
    uint8_t *ip = w->head + VNET_LEN, *l4 = ip + v->header;
    memcpy(ip, v->p, (size_t)v->header + w->l4);
    if (v->version == 4) {
        ip_put16(ip + 2, (uint16_t)(v->header + l4_total));
        ip4_checksum(ip, v->header);
    } else {
        ip_put16(ip + 4, (uint16_t)l4_total);
    }
    if (w->psh) l4[13] |= TCP_PSH; // the kernel leaves it on the last segment only
    if (!tcp) ip_put16(l4 + 4, (uint16_t)l4_total);
    csum_store_partial(l4 + (tcp ? 16 : 6), pseudo(v, l4_total));
    struct vnet h = {
        .flags = VNET_NEEDS_CSUM,
        .gso_type = !tcp              ? VNET_GSO_UDP_L4
                    : v->version == 4 ? VNET_GSO_TCPV4
                                      : VNET_GSO_TCPV6,
        .hdr_len = (uint16_t)(v->header + w->l4),
        .gso_size = w->size,
        .csum_start = v->header,
        .csum_offset = tcp ? 16 : 6,
    };
    vnet_write(w->head, &h);
}

static void flush_flow(struct gro_flow *w, const struct fwd_sink *sink)
{
    if (!w->used) return;
    w->used = false;
    if (w->count == 1) {
        send_single(sink, &w->first);
        return;
    }
    write_head(w);
    w->pieces[0] = (struct fwd_piece){w->head, VNET_LEN + (size_t)w->first.header + w->l4};
    sink->tun(sink->ctx, w->pieces, w->count + 1u);
}

void gro_flush(struct gro *g, const struct fwd_sink *sink)
{
    for (unsigned i = 0; i < GRO_FLOWS; i++) flush_flow(&g->flow[i], sink);
}

// False: no ports, or nothing that may be compared with a flow.
static bool read_segment(const struct ip_view *v, bool uso, struct segment *s)
{
    if (v->header != (v->version == 4 ? 20 : IP6_HEADER) || ip_is_fragment(v)) return false;
    uint32_t n = v->len - v->header;
    *s = (struct segment){.v = v, .l4 = v->p + v->header};
    if (v->proto == IP_UDP) {
        if (n < 8 || ip_get16(s->l4 + 4) != n) return false;
        s->l4_len = 8;
        s->payload = n - 8;
        s->joins = uso && s->payload && ip_get16(s->l4 + 6); // without a checksum nothing could be verified
        return true;
    }
    if (v->proto != IP_TCP || n < 20) return false;
    s->l4_len = (uint16_t)((s->l4[12] >> 4) * 4);
    if (s->l4_len < 20 || s->l4_len > n) return false;
    s->payload = n - s->l4_len;
    s->psh = s->l4[13] & TCP_PSH;
    // RFC 9293 flags: ACK alone, with or without PSH; ECN's flags and urgent data stay as they came
    s->joins = s->payload && (s->l4[13] & ~TCP_PSH) == TCP_ACK && !(s->l4[12] & 0xf);
    return true;
}

static bool same_flow(const struct gro_flow *w, const struct segment *s)
{
    return w->used && w->first.proto == s->v->proto && !memcmp(w->first.p + w->first.header, s->l4, 4) &&
           bw_addr_eq(&w->first.src, &s->v->src) && bw_addr_eq(&w->first.dst, &s->v->dst);
}

// TOS, TTL, DF / traffic class, flow label, hop limit: one header has to serve for all.
static bool same_ip(const struct gro_flow *w, const struct ip_view *v)
{
    const uint8_t *a = w->first.p, *b = v->p;
    if (v->version == 6) return !memcmp(a, b, 4) && a[7] == b[7];
    if (a[1] != b[1] || a[8] != b[8] || a[6] != b[6]) return false;
    return (a[6] & 0x40) || ip_get16(b + 4) == (uint16_t)(w->id + 1);
}

static bool follows(const struct gro_flow *w, const struct segment *s)
{
    const uint8_t *a = w->first.p + w->first.header, *b = s->l4;
    if (w->closed || !s->joins || w->count == FWD_PIECES_MAX - 1 || s->payload > w->size) return false;
    if (w->first.header + w->l4 + w->payload + s->payload > 65535) return false;
    if (!same_ip(w, s->v)) return false;
    if (s->v->proto == IP_UDP) return true;
    return w->l4 == s->l4_len && ip_get32(b + 4) == w->seq && !memcmp(a + 8, b + 8, 4) && // acknowledgment number
           !memcmp(a + 14, b + 14, 2) && !memcmp(a + 18, b + 18, w->l4 - 18u); // window; urgent pointer, options
}

static void begin(struct gro_flow *w, const struct segment *s)
{
    w->used = true;
    w->closed = w->psh = s->psh;
    w->verified = false;
    w->first = *s->v;
    w->l4 = s->l4_len;
    w->size = (uint16_t)s->payload;
    w->payload = s->payload;
    w->count = 1;
    w->id = ip_get16(s->v->p + 4);
    w->seq = ip_get32(s->l4 + 4) + s->payload;
    w->pieces[1] = (struct fwd_piece){s->l4 + s->l4_len, s->payload};
}

static void append(struct gro_flow *w, const struct segment *s)
{
    w->count++;
    w->pieces[w->count] = (struct fwd_piece){s->l4 + s->l4_len, s->payload};
    w->payload += s->payload;
    w->seq += s->payload;
    w->id = ip_get16(s->v->p + 4);
    w->psh |= s->psh;
    w->closed = s->psh || s->payload < w->size;
}

static void start(struct gro *g, const struct fwd_sink *sink, const struct segment *s)
{
    for (unsigned i = 0; i < GRO_FLOWS; i++) {
        if (g->flow[i].used) continue;
        begin(&g->flow[i], s);
        return;
    }
    g->next = (g->next + 1) % GRO_FLOWS;
    flush_flow(&g->flow[g->next], sink);
    begin(&g->flow[g->next], s);
}

// A packet whose flow can't be told goes behind everything between the same two addresses.
static void flush_pair(struct gro *g, const struct fwd_sink *sink, const struct ip_view *v)
{
    for (unsigned i = 0; i < GRO_FLOWS; i++) {
        struct gro_flow *w = &g->flow[i];
        if (w->used && bw_addr_eq(&w->first.src, &v->src) && bw_addr_eq(&w->first.dst, &v->dst)) flush_flow(w, sink);
    }
}

void gro_add(struct gro *g, const struct fwd_sink *sink, bool uso, const struct ip_view *v)
{
    struct segment s;
    if (!read_segment(v, uso, &s)) {
        flush_pair(g, sink, v);
        send_single(sink, v);
        return;
    }
    struct gro_flow *w = NULL;
    for (unsigned i = 0; i < GRO_FLOWS && !w; i++)
        if (same_flow(&g->flow[i], &s)) w = &g->flow[i];
    if (w && follows(w, &s)) {
        // A super-frame claims that every checksum in it was right, so each is seen to be.
        w->verified = w->verified || checksum_good(&w->first);
        if (w->verified && checksum_good(v)) {
            append(w, &s);
            return;
        }
    }
    if (w) flush_flow(w, sink);
    if (s.joins) start(g, sink, &s);
    else send_single(sink, v);
}
