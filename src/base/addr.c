#include "base/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

const struct bw_addr bw_addr_any_exit = {{0xfc, [15] = 0x0e}};

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

bool bw_addr_is_v4(const struct bw_addr *a)
{
    return !memcmp(a->b, v4_mapped, 12);
}

bool bw_addr_is_zero(const struct bw_addr *a)
{
    static const struct bw_addr zero;
    return bw_addr_eq(a, &zero);
}

bool bw_addr_is_linklocal(const struct bw_addr *a)
{
    if (bw_addr_is_v4(a)) return a->b[12] == 169 && a->b[13] == 254;
    return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool bw_addr_is_multicast(const struct bw_addr *a)
{
    if (bw_addr_is_v4(a)) return (a->b[12] & 0xf0) == 0xe0;
    return a->b[0] == 0xff;
}

struct bw_addr bw_addr_v4(const uint8_t b[4])
{
    struct bw_addr a;
    memcpy(a.b, v4_mapped, 12);
    memcpy(a.b + 12, b, 4);
    return a;
}

bool bw_addr_is_mesh(const struct bw_addr *a)
{
    return a->b[0] == 0xfc && (a->b[1] | a->b[2] | a->b[3]);
}

struct bw_prefix bw_prefix_make(const struct bw_addr *a, uint8_t len)
{
    struct bw_prefix p = {*a, len};
    if (len >= 128) return p;
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = len > 8 * i ? len - 8 * i : 0;
        if (keep < 8) p.addr.b[i] &= (uint8_t)(0xff00u >> keep);
    }
    return p;
}

bool bw_prefix_has(const struct bw_prefix *p, const struct bw_addr *a)
{
    struct bw_prefix q = bw_prefix_make(a, p->len);
    return bw_addr_eq(&p->addr, &q.addr);
}

bool bw_prefix_overlaps(const struct bw_prefix *p, const struct bw_prefix *q)
{
    return p->len <= q->len ? bw_prefix_has(p, &q->addr) : bw_prefix_has(q, &p->addr);
}

int bw_addr_parse(const char *s, struct bw_addr *out)
{
    uint8_t v4[4];
    if (inet_pton(AF_INET, s, v4) == 1) {
        *out = bw_addr_v4(v4);
        return 0;
    }
    return inet_pton(AF_INET6, s, out->b) == 1 ? 0 : BW_ERR_MALFORMED;
}

// A decimal number without sign or blanks, up to max; NULL if there is none.
static const char *number(const char *s, unsigned long max, unsigned long *out)
{
    uint64_t v = 0; // long may have 32 bits, all of which max may take
    const char *p = s;
    for (; *p >= '0' && *p <= '9'; p++) {
        v = v * 10 + (uint64_t)(*p - '0');
        if (v > max) return NULL;
    }
    *out = (unsigned long)v;
    return p == s ? NULL : p;
}

int bw_prefix_parse(const char *s, struct bw_prefix *out)
{
    const char *slash = strchr(s, '/');
    char text[BW_ADDR_TEXT];
    if (!slash || (size_t)(slash - s) >= sizeof text) return BW_ERR_MALFORMED;
    memcpy(text, s, (size_t)(slash - s));
    text[slash - s] = 0;
    struct bw_addr a;
    if (bw_addr_parse(text, &a)) return BW_ERR_MALFORMED;
    bool v4 = !strchr(text, ':');
    unsigned long len;
    const char *end = number(slash + 1, v4 ? 32 : 128, &len);
    if (!end || *end) return BW_ERR_RANGE;
    struct bw_prefix p = bw_prefix_make(&a, (uint8_t)(len + (v4 ? 96 : 0)));
    if (!bw_addr_eq(&p.addr, &a)) return BW_ERR_RANGE;
    *out = p;
    return 0;
}

int bw_endpoint_parse(const char *s, struct bw_endpoint *out)
{
    char text[BW_ADDR_TEXT];
    const char *from = s, *end, *port;
    if (*s == '[') {
        from = s + 1;
        end = strchr(s, ']');
        if (!end || end[1] != ':') return BW_ERR_MALFORMED;
        port = end + 2;
    } else {
        end = strrchr(s, ':');
        if (!end || strchr(s, ':') != end) return BW_ERR_MALFORMED;
        port = end + 1;
    }
    unsigned long scope = 0, number_port;
    const char *percent = memchr(from, '%', (size_t)(end - from));
    if (percent) {
        const char *after = number(percent + 1, UINT32_MAX, &scope);
        if (after != end) return BW_ERR_MALFORMED;
    }
    size_t n = (size_t)((percent ? percent : end) - from);
    if (n >= sizeof text) return BW_ERR_MALFORMED;
    memcpy(text, from, n);
    text[n] = 0;
    struct bw_endpoint e = {.scope = (uint32_t)scope};
    if (bw_addr_parse(text, &e.addr)) return BW_ERR_MALFORMED;
    const char *after = number(port, 65535, &number_port);
    if (!after || *after || !number_port) return BW_ERR_RANGE;
    e.port = (uint16_t)number_port;
    *out = e;
    return 0;
}

char *bw_addr_text(const struct bw_addr *a, char *out)
{
    if (bw_addr_is_v4(a)) inet_ntop(AF_INET, a->b + 12, out, BW_ADDR_TEXT);
    else inet_ntop(AF_INET6, a->b, out, BW_ADDR_TEXT);
    return out;
}

char *bw_prefix_text(const struct bw_prefix *p, char *out)
{
    char a[BW_ADDR_TEXT];
    bool v4 = bw_prefix_is_v4(p);
    snprintf(out, BW_PREFIX_TEXT, "%s/%d", bw_addr_text(&p->addr, a), v4 ? p->len - 96 : p->len);
    return out;
}

char *bw_endpoint_text(const struct bw_endpoint *e, char *out)
{
    char a[BW_ADDR_TEXT];
    bw_addr_text(&e->addr, a);
    if (bw_addr_is_v4(&e->addr)) snprintf(out, BW_ENDPOINT_TEXT, "%s:%u", a, e->port);
    else if (e->scope) snprintf(out, BW_ENDPOINT_TEXT, "[%s%%%u]:%u", a, e->scope, e->port);
    else snprintf(out, BW_ENDPOINT_TEXT, "[%s]:%u", a, e->port);
    return out;
}
