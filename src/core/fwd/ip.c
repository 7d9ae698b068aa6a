#include "core/fwd/ip.h"

#include "core/fwd/csum.h"

static int parse4(uint8_t *p, size_t n, struct ip_view *v)
{
    if (n < 20) return BW_ERR_MALFORMED;
    uint32_t header = (p[0] & 15u) * 4, len = ip_get16(p + 2);
    if (header < 20 || len < header || len > n) return BW_ERR_MALFORMED;
    if (csum_fold(csum_add(0, p, header)) != 0xffff) return BW_ERR_MALFORMED;
    v->len = len;
    v->header = (uint16_t)header;
    v->proto = p[9];
    v->src = bw_addr_v4(p + 12);
    v->dst = bw_addr_v4(p + 16);
    return 0;
}

int ip_parse(uint8_t *p, size_t n, struct ip_view *v)
{
    if (!n) return BW_ERR_MALFORMED;
    v->p = p;
    v->version = p[0] >> 4;
    if (v->version == 4) return parse4(p, n, v);
    if (v->version != 6 || n < IP6_HEADER) return BW_ERR_MALFORMED;
    v->len = IP6_HEADER + (uint32_t)ip_get16(p + 4);
    if (v->len > n) return BW_ERR_MALFORMED;
    v->header = IP6_HEADER;
    v->proto = p[6];
    memcpy(v->src.b, p + 8, 16);
    memcpy(v->dst.b, p + 24, 16);
    return 0;
}

void ip_hop(const struct ip_view *v)
{
    if (v->version == 6) {
        v->p[7]--;
        return;
    }
    uint8_t old[2] = {v->p[8], v->p[9]};
    v->p[8]--;
    csum_update(v->p + 10, old, v->p + 8);
}

void ip4_checksum(uint8_t *p, size_t header)
{
    p[10] = p[11] = 0;
    csum_store(p + 10, csum_add(0, p, header));
}

void ip_set_ecn(const struct ip_view *v, uint8_t ecn)
{
    if (v->version == 6) {
        v->p[1] = (uint8_t)((v->p[1] & 0xcf) | ecn << 4);
        return;
    }
    uint8_t old[2] = {v->p[0], v->p[1]};
    v->p[1] = (uint8_t)((v->p[1] & 0xfc) | ecn);
    csum_update(v->p + 10, old, v->p);
}

bool ip_is_fragment(const struct ip_view *v)
{
    if (v->version == 4) return ip_get16(v->p + 6) & 0x3fff;
    return v->proto == IP_FRAGMENT;
}

bool ip_transport(const struct ip_view *v, struct ip_transport *t)
{
    *t = (struct ip_transport){.proto = v->proto, .offset = v->header};
    if (v->version == 4) {
        t->later_fragment = ip_get16(v->p + 6) & 0x1fff;
        return true;
    }
    for (;;) {
        size_t left = v->len - t->offset, n;
        const uint8_t *h = v->p + t->offset;
        if (t->proto == 0 || t->proto == 43 || t->proto == 60) { // hop-by-hop, routing, destination options
            if (left < 8) return false;
            n = (h[1] + 1u) * 8;
        } else if (t->proto == IP_FRAGMENT) {
            if (left < 8) return false;
            if (ip_get16(h + 2) & 0xfff8) {
                t->later_fragment = true;
                t->proto = h[0];
                return true;
            }
            n = 8;
        } else {
            return true;
        }
        if (n > left) return false;
        t->proto = h[0];
        t->offset += (uint32_t)n;
    }
}

bool ip_bad_source(const struct ip_view *v)
{
    const uint8_t *a = v->src.b;
    if (v->version == 4) return a[12] == 0 || a[12] == 127 || a[12] >= 224;
    if (a[0] == 0xff) return true;
    for (unsigned i = 0; i < 10; i++)
        if (a[i]) return false;
    return true; // ::/80 holds the unspecified address, loopback, IPv4-compatible and IPv4-mapped ones
}

void ip6_header(uint8_t *p, uint8_t ecn, uint16_t payload, uint8_t next, uint8_t hops, const struct bw_addr *src,
                const struct bw_addr *dst)
{
    memset(p, 0, 4);
    p[0] = 0x60;
    p[1] = (uint8_t)(ecn << 4);
    ip_put16(p + 4, payload);
    p[6] = next;
    p[7] = hops;
    memcpy(p + 8, src->b, 16);
    memcpy(p + 24, dst->b, 16);
}
