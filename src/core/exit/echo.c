#include "core/exit/echo.h"

#include "base/cursor.h"

enum { ICMP4 = 1, ICMP6 = 58, V4_HEADER = 20, V6_HEADER = 40, ICMP_HEADER = 8, HOP_LIMIT = 64 };
enum { TYPE4_REPLY = 0, TYPE4_UNREACHABLE = 3, TYPE4_REQUEST = 8, TYPE6_UNREACHABLE = 1, TYPE6_REQUEST = 128, TYPE6_REPLY = 129 };
#define QUOTE4 (V4_HEADER + 8 + 40) // IP header and 8 bytes are the least (RFC 792); a heartbeat fits whole
#define QUOTE6 512
#define NEWS 2

static uint32_t sum(uint32_t s, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + 1 < n; i += 2) s += (uint32_t)(p[i] << 8 | p[i + 1]);
    if (n & 1) s += (uint32_t)(p[n - 1] << 8);
    return s;
}

static uint16_t fold(uint32_t s)
{
    while (s >> 16) s = (s & 0xffff) + (s >> 16);
    return (uint16_t)~s;
}

// ICMPv6 is summed with a pseudo header (RFC 8200 section 8.1); p is the whole packet, n its length.
static uint16_t icmp_sum(const uint8_t *p, size_t n, bool v4)
{
    if (v4) return fold(sum(0, p + V4_HEADER, n - V4_HEADER));
    uint32_t s = sum(0, p + 8, 32) + (uint32_t)(n - V6_HEADER) + ICMP6;
    return fold(sum(s, p + V6_HEADER, n - V6_HEADER));
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

// The IP header of a packet of n bytes in all; the ICMP part must stand already, its checksum zero.
static void finish(uint8_t *p, size_t n, const struct bw_addr *src, const struct bw_addr *dst, bool v4)
{
    if (v4) {
        memset(p, 0, V4_HEADER);
        p[0] = 0x45;
        put16(p + 2, (uint32_t)n);
        p[8] = HOP_LIMIT;
        p[9] = ICMP4;
        memcpy(p + 12, src->b + 12, 4);
        memcpy(p + 16, dst->b + 12, 4);
        put16(p + 10, fold(sum(0, p, V4_HEADER)));
        put16(p + V4_HEADER + 2, icmp_sum(p, n, true));
        return;
    }
    memset(p, 0, 8);
    p[0] = 0x60;
    put16(p + 4, (uint32_t)(n - V6_HEADER));
    p[6] = ICMP6;
    p[7] = HOP_LIMIT;
    memcpy(p + 8, src->b, 16);
    memcpy(p + 24, dst->b, 16);
    put16(p + V6_HEADER + 2, icmp_sum(p, n, false));
}

// Family and header length; 0: not a whole, unfragmented IP packet without options.
static size_t header(const uint8_t *p, size_t n, bool *v4)
{
    if (n >= V4_HEADER && p[0] == 0x45 && get16(p + 2) == n && !(get16(p + 6) & 0x3fff)) {
        *v4 = true;
        return V4_HEADER;
    }
    if (n >= V6_HEADER && p[0] >> 4 == 6 && get16(p + 4) + (size_t)V6_HEADER == n) {
        *v4 = false;
        return V6_HEADER;
    }
    return 0;
}

static void addresses(const uint8_t *p, bool v4, struct bw_addr *src, struct bw_addr *dst)
{
    if (v4) {
        *src = bw_addr_v4(p + 12);
        *dst = bw_addr_v4(p + 16);
    } else {
        memcpy(src->b, p + 8, 16);
        memcpy(dst->b, p + 24, 16);
    }
}

// The packet inside an unreachable: cut short, so only its addresses, and its id and seq if it was a heartbeat.
static void quote(const uint8_t *q, size_t n, bool v4, struct echo *out)
{
    size_t head = v4 ? V4_HEADER : V6_HEADER;
    struct bw_addr src;
    if (n < head || (v4 ? q[0] != 0x45 : q[0] >> 4 != 6)) return;
    addresses(q, v4, &src, &out->quoted);
    bool echo = (v4 ? q[9] == ICMP4 : q[6] == ICMP6) && n >= head + ICMP_HEADER && q[head] == (v4 ? TYPE4_REQUEST : TYPE6_REQUEST);
    if (!echo) return;
    out->id = get16(q + head + 4);
    out->seq = get16(q + head + 6);
}

int echo_parse(const uint8_t *p, size_t n, struct echo *out)
{
    bool v4;
    size_t head = header(p, n, &v4);
    *out = (struct echo){.kind = ECHO_OTHER};
    if (!head) return BW_ERR_MALFORMED;
    addresses(p, v4, &out->src, &out->dst);
    if ((v4 ? p[9] != ICMP4 : p[6] != ICMP6)) return 0;
    if (n < head + ICMP_HEADER || icmp_sum(p, n, v4)) return BW_ERR_MALFORMED;
    uint8_t type = p[head];
    if (type == (v4 ? TYPE4_REQUEST : TYPE6_REQUEST)) out->kind = ECHO_REQUEST;
    else if (type == (v4 ? TYPE4_REPLY : TYPE6_REPLY)) out->kind = ECHO_REPLY;
    else if (type == (v4 ? TYPE4_UNREACHABLE : TYPE6_UNREACHABLE)) out->kind = ECHO_UNREACHABLE;
    if (out->kind == ECHO_UNREACHABLE) {
        quote(p + head + ICMP_HEADER, n - head - ICMP_HEADER, v4, out);
    } else if (out->kind != ECHO_OTHER) {
        out->id = get16(p + head + 4);
        out->seq = get16(p + head + 6);
        out->has_news = out->kind == ECHO_REPLY && n == head + ICMP_HEADER + NEWS;
        if (out->has_news) out->news = get16(p + head + ICMP_HEADER);
    }
    return 0;
}

size_t echo_request(uint8_t out[ECHO_MAX], const struct bw_addr *src, const struct bw_addr *dst, uint16_t seq)
{
    bool v4 = bw_addr_is_v4(dst);
    size_t head = v4 ? V4_HEADER : V6_HEADER, n = head + ICMP_HEADER;
    memset(out, 0, n);
    out[head] = v4 ? TYPE4_REQUEST : TYPE6_REQUEST;
    put16(out + head + 4, ECHO_ID);
    put16(out + head + 6, seq);
    finish(out, n, src, dst, v4);
    return n;
}

size_t echo_reply(const uint8_t *p, size_t n, uint16_t news, uint8_t *out, size_t cap)
{
    bool v4;
    size_t head = header(p, n, &v4);
    if (!head || n < head + ICMP_HEADER || n + NEWS > cap) return 0;
    struct bw_addr src, dst;
    addresses(p, v4, &src, &dst);
    memcpy(out, p, n);
    if (n == head + ICMP_HEADER) {
        put16(out + n, news);
        n += NEWS;
    }
    out[head] = v4 ? TYPE4_REPLY : TYPE6_REPLY;
    out[head + 1] = 0;
    put16(out + head + 2, 0);
    finish(out, n, &dst, &src, v4);
    return n;
}

size_t echo_unreachable(const uint8_t *p, size_t n, const struct bw_addr *from, uint8_t *out, size_t cap)
{
    bool v4 = false;
    size_t head = header(p, n, &v4);
    size_t most = v4 ? QUOTE4 : QUOTE6, quoted = n < most ? n : most;
    if (!head || head + ICMP_HEADER + quoted > cap) return 0;
    struct bw_addr src, dst;
    addresses(p, v4, &src, &dst);
    memset(out + head, 0, ICMP_HEADER);
    out[head] = v4 ? TYPE4_UNREACHABLE : TYPE6_UNREACHABLE; // code 0: network unreachable, no route
    memcpy(out + head + ICMP_HEADER, p, quoted);
    finish(out, head + ICMP_HEADER + quoted, from, &src, v4);
    return head + ICMP_HEADER + quoted;
}
