// From the TUN: one frame of up to 64 KiB becomes sealed messages of a link, each an IP packet that fits.
#include "core/fwd/path.h"

#include "core/fwd/csum.h"

#define TCP_FIN 1
#define TCP_PSH 8
#define TCP_CWR 0x80
#define SEGMENTS_MAX 2048 // the kernel's smallest TCP segment is 48 bytes

struct tx {
    struct fwd *f;
    const struct fwd_snapshot *s;
    struct ip_view v;
    bw_time now;
};

static void too_big(struct tx *b, const struct path *p)
{
    fwd_drop(b->f, FWD_DROP_TOO_BIG);
    icmp_error(b->f, b->s, &b->v, ICMP_TOO_BIG, path_told_mtu(p, b->v.version), FWD_NO_LINK, b->now);
}

// The checksum that the kernel left to us (virtio 1.2, 5.1.6.2: the field holds the pseudo-header's sum).
static bool complete_checksum(struct tx *b, const struct vnet *h)
{
    uint32_t start = h->csum_start, field = start + h->csum_offset;
    if (start < b->v.header || field + 2 > b->v.len) return false;
    uint8_t *p = b->v.p;
    uint64_t sum = csum_add(0, p + start, b->v.len - start);
    csum_store(p + field, sum);
    if (b->v.proto == IP_UDP && h->csum_offset == 6 && !(p[field] | p[field + 1])) p[field] = p[field + 1] = 0xff;
    return true;
}

static void whole_packet(struct tx *b, const struct path *p, const struct vnet *h)
{
    if ((h->flags & VNET_NEEDS_CSUM) && !complete_checksum(b, h)) fwd_drop(b->f, FWD_DROP_MALFORMED);
    else if (p->tunnel && !fwd_may_pass(b->f, p->tunnel, true, b->v.len, b->now)) return;
    else if (!out_packet(b->f, b->s, p, &b->v, b->now)) too_big(b, p);
}

struct super { // a frame that has to be cut
    bool tcp;
    uint16_t l4, head, size; // transport header, all headers, payload of a segment
    uint32_t payload;
    uint64_t pseudo_base; // pseudo-header's sum with length 0
};

// False: not what the kernel makes.
static bool read_super(const struct ip_view *v, const struct vnet *h, struct super *u)
{
    uint8_t type = h->gso_type & (uint8_t)~VNET_GSO_ECN;
    uint32_t n = v->len - v->header;
    u->tcp = type == VNET_GSO_TCPV4 || type == VNET_GSO_TCPV6;
    if (u->tcp && v->version != (type == VNET_GSO_TCPV4 ? 4 : 6)) return false;
    if (!u->tcp && type != VNET_GSO_UDP_L4) return false;
    if (v->proto != (u->tcp ? IP_TCP : IP_UDP) || ip_is_fragment(v)) return false;
    if (n < (u->tcp ? 20u : 8u)) return false;
    u->l4 = u->tcp ? (uint16_t)((v->p[v->header + 12] >> 4) * 4) : 8;
    if (u->l4 < (u->tcp ? 20 : 8) || u->l4 > n) return false;
    u->head = (uint16_t)(v->header + u->l4);
    u->payload = n - u->l4;
    u->size = h->gso_size;
    if (!u->size || !u->payload || u->payload / u->size >= SEGMENTS_MAX) return false;
    if (v->version == 4) u->pseudo_base = csum_pseudo(v->p + 12, v->p + 16, 4, v->proto, 0);
    else u->pseudo_base = csum_pseudo(v->p + 8, v->p + 24, 16, v->proto, 0);
    return true;
}

// Segment number k, `n` bytes of payload from `at`, written to q.
static void write_segment(const struct ip_view *v, const struct super *u, uint8_t *q, unsigned k, uint32_t at,
                          uint32_t n)
{
    bool first = at == 0, last = at + n == u->payload;
    uint8_t *l4 = q + v->header;
    uint16_t l4_len = (uint16_t)(u->l4 + n);
    memcpy(q, v->p, u->head);
    if (v->version == 4) {
        ip_put16(q + 2, (uint16_t)(v->header + l4_len));
        ip_put16(q + 4, (uint16_t)(ip_get16(v->p + 4) + k));
        ip4_checksum(q, v->header);
    } else {
        ip_put16(q + 4, l4_len);
    }
    if (u->tcp) {
        ip_put32(l4 + 4, ip_get32(l4 + 4) + at);
        if (!last) l4[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
        if (!first) l4[13] &= (uint8_t)~TCP_CWR;
    } else {
        ip_put16(l4 + 4, l4_len);
    }
    uint8_t *field = l4 + (u->tcp ? 16 : 6);
    field[0] = field[1] = 0;
    uint64_t sum = csum_plus_be16(csum_add(u->pseudo_base, l4, u->l4), l4_len);
    csum_store(field, csum_copy(sum, q + u->head, v->p + u->head + at, n));
    if (!u->tcp && !(field[0] | field[1])) field[0] = field[1] = 0xff; // RFC 768
}

// A segment that is smaller than any that the kernel could be asked for, and too long for the path.
static void cut_segment(struct tx *b, const struct path *p, const struct super *u, unsigned k, uint32_t at, uint32_t n)
{
    struct ip_view v = b->v;
    v.p = b->f->scratch;
    v.len = u->head + n;
    write_segment(&b->v, u, v.p, k, at, n);
    (void)!out_packet(b->f, b->s, p, &v, b->now);
}

static void super_frame(struct tx *b, const struct path *p, const struct vnet *h)
{
    struct super u;
    if (!read_super(&b->v, h, &u)) {
        fwd_drop(b->f, FWD_DROP_MALFORMED);
        return;
    }
    uint32_t longest = u.head + (u.payload < u.size ? u.payload : u.size);
    bool cut = longest > path_mtu(p) && b->v.version == 6 && longest <= IP6_MTU_MIN;
    if (longest > path_mtu(p) && !cut) {
        too_big(b, p);
        return;
    }
    uint32_t n;
    unsigned k = 0;
    for (uint32_t at = 0; at < u.payload; at += n, k++) {
        n = u.payload - at < u.size ? u.payload - at : u.size;
        if (p->tunnel && !fwd_may_pass(b->f, p->tunnel, true, u.head + n, b->now)) continue;
        if (cut) {
            cut_segment(b, p, &u, k, at, n);
            continue;
        }
        write_segment(&b->v, &u, out_room(b->f, p, u.head + n), k, at, n);
        if (out_seal(b->f, b->s, p, u.head + n, b->now)) return;
    }
}

// Where the packet goes; false: nowhere, and that is dealt with.
static bool route(struct tx *b, struct path *p)
{
    const struct ip_view *v = &b->v;
    enum fwd_drop why;
    if (bw_addr_is_multicast(&v->dst) || bw_addr_is_linklocal(&v->dst) || bw_addr_is_linklocal(&v->src)) {
        fwd_drop(b->f, FWD_DROP_LINKLOCAL); // the kernel's own chatter on an interface
        return false;
    }
    if (bw_addr_eq(&v->dst, &b->s->self)) {
        fwd_drop(b->f, FWD_DROP_LOOP);
        return false;
    }
    // A mesh address is proof of who speaks: what the kernel forwards for others (its LAN, its uplink) can't borrow one.
    if (v->version == 6 && v->src.b[0] == 0xfc && !snapshot_is_self(b->s, &v->src)) {
        fwd_drop(b->f, FWD_DROP_MARTIAN);
        return false;
    }
    if (end_out(b->f, b->s, fwd_route_to(b->f, b->s, &v->dst, true), v, p, &why)) return true;
    fwd_drop(b->f, why);
    if (why == FWD_DROP_NO_ROUTE) icmp_error(b->f, b->s, v, ICMP_NO_ROUTE, 0, FWD_NO_LINK, b->now);
    if (why == FWD_DROP_NOT_EXPORTED) icmp_error(b->f, b->s, v, ICMP_PROHIBITED, 0, FWD_NO_LINK, b->now);
    return false;
}

void fwd_from_tun(struct fwd *f, const struct fwd_snapshot *s, uint8_t *frame, size_t n, bw_time now)
{
    struct tx b = {.f = f, .s = s, .now = now};
    struct path p;
    if (n < VNET_LEN || ip_parse(frame + VNET_LEN, n - VNET_LEN, &b.v)) {
        fwd_drop(f, FWD_DROP_MALFORMED);
        return;
    }
    if (!route(&b, &p)) return;
    struct vnet h = vnet_read(frame);
    if (h.gso_type == VNET_GSO_NONE) whole_packet(&b, &p, &h);
    else super_frame(&b, &p, &h);
}
