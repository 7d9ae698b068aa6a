#include "wire/invite.h"

#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/cursor.h"

#define RAW_MAX 2240 // key, name, 8 names of hosts, secret, check
#define CHECK_LEN 4

enum item { ITEM_NAME = 1, ITEM_V4 = 2, ITEM_V6 = 3, ITEM_HOST = 4, ITEM_SECRET = 5, ITEM_OPTIONAL = 128 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"; // RFC 4648 section 5

// CRC-32 as in IEEE 802.3: it catches a mistyped or cut line, and is no protection against anybody.
static uint32_t crc32(const uint8_t *p, size_t n)
{
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
    }
    return ~c;
}

static bool plain(const char *s, size_t n)
{
    static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    if (!n || s[0] == '-') return false;
    for (size_t i = 0; i < n; i++) {
        if (!s[i] || !strchr(fine, s[i])) return false;
    }
    return true;
}

// ---- writing ----

static int put_endpoint(struct bw_wr *w, const struct invite_endpoint *e)
{
    struct bw_addr a;
    size_t n = strnlen(e->host, INVITE_HOST);
    if (!e->port || !n || n == INVITE_HOST) return BW_ERR_RANGE;
    bool literal = !bw_addr_parse(e->host, &a), v4 = literal && bw_addr_is_v4(&a);
    if (!literal && !plain(e->host, n)) return BW_ERR_RANGE; // a scope means nothing elsewhere either
    bw_wr_u8(w, v4 ? ITEM_V4 : literal ? ITEM_V6 : ITEM_HOST);
    bw_wr_u8(w, (uint8_t)(2 + (v4 ? 4 : literal ? 16 : n)));
    bw_wr_be16(w, e->port);
    if (v4) bw_wr_bytes(w, bw_addr_v4_bytes(&a), 4);
    else if (literal) bw_wr_bytes(w, a.b, 16);
    else bw_wr_bytes(w, e->host, n);
    return 0;
}

static void put_text(const uint8_t *p, size_t n, char *out)
{
    char *o = out + strlen(strcpy(out, INVITE_PREFIX));
    for (size_t i = 0; i < n; i += 3) {
        size_t k = n - i < 3 ? n - i : 3;
        uint32_t v = (uint32_t)p[i] << 16 | (k > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (k > 2 ? p[i + 2] : 0);
        for (size_t j = 0; j <= k; j++) *o++ = alphabet[v >> (18 - 6 * j) & 63];
    }
    *o = 0;
}

int invite_encode(const struct invite *i, char *out)
{
    uint8_t raw[RAW_MAX];
    struct bw_wr w = bw_wr(raw, sizeof raw);
    size_t name = strnlen(i->name, INVITE_NAME);
    if (i->endpoint_count > INVITE_ENDPOINTS || name == INVITE_NAME || (name && !plain(i->name, name)))
        return BW_ERR_RANGE;
    bw_wr_bytes(&w, i->key, 32);
    if (name) {
        bw_wr_u8(&w, ITEM_NAME);
        bw_wr_u8(&w, (uint8_t)name);
        bw_wr_bytes(&w, i->name, name);
    }
    for (unsigned k = 0; k < i->endpoint_count; k++) {
        int err = put_endpoint(&w, &i->endpoints[k]);
        if (err) return err;
    }
    if (i->has_secret) {
        bw_wr_u8(&w, ITEM_SECRET);
        bw_wr_u8(&w, 32);
        bw_wr_bytes(&w, i->secret, 32);
    }
    bw_wr_be32(&w, crc32(raw, bw_wr_len(&w)));
    BW_ASSERT(!w.bad); // the sizes above add up to less than RAW_MAX
    put_text(raw, bw_wr_len(&w), out);
    memset(raw, 0, sizeof raw);
    return 0;
}

// ---- reading ----

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// The characters behind the prefix without blanks (a terminal may have broken the line) to bytes.
static int get_bytes(const char *s, uint8_t *out, size_t size, size_t *n)
{
    uint32_t bits = 0;
    unsigned have = 0;
    *n = 0;
    for (; *s; s++) {
        if (is_blank(*s)) continue;
        const char *at = memchr(alphabet, *s, 64);
        if (!at) return BW_ERR_MALFORMED;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        have += 6;
        if (have < 8) continue;
        have -= 8;
        if (*n == size) return BW_ERR_MALFORMED;
        out[(*n)++] = (uint8_t)(bits >> have);
    }
    if (have == 6) return BW_ERR_SHORT; // no number of bytes ends there
    return bits & ((1u << have) - 1) ? BW_ERR_AUTH : 0; // what a lost last character looks like
}

static int get_endpoint(struct invite *i, unsigned type, struct bw_rd v)
{
    size_t n = bw_rd_left(&v);
    if (n < 3 || (type == ITEM_V4 && n != 6) || (type == ITEM_V6 && n != 18)) return BW_ERR_MALFORMED;
    if (i->endpoint_count == INVITE_ENDPOINTS) return BW_ERR_MALFORMED;
    struct invite_endpoint *e = &i->endpoints[i->endpoint_count++];
    e->port = bw_rd_be16(&v);
    n -= 2;
    const uint8_t *p = bw_rd_take(&v, n);
    if (!e->port || !p) return BW_ERR_MALFORMED;
    struct bw_addr a;
    if (type == ITEM_HOST) {
        if (n >= INVITE_HOST) return BW_ERR_MALFORMED;
        memcpy(e->host, p, n);
        e->host[n] = 0;
        return plain(e->host, n) && bw_addr_parse(e->host, &a) ? 0 : BW_ERR_MALFORMED; // an address has its own form
    }
    if (type == ITEM_V4) a = bw_addr_v4(p);
    else memcpy(a.b, p, 16);
    if (type == ITEM_V6 && bw_addr_is_v4(&a)) return BW_ERR_MALFORMED;
    bw_addr_text(&a, e->host);
    return 0;
}

static int get_item(struct invite *i, unsigned type, struct bw_rd v)
{
    size_t n = bw_rd_left(&v);
    switch (type) {
    case ITEM_NAME:
        if (i->name[0] || n >= INVITE_NAME) return BW_ERR_MALFORMED;
        bw_rd_bytes(&v, i->name, n);
        return plain(i->name, n) ? 0 : BW_ERR_MALFORMED;
    case ITEM_V4:
    case ITEM_V6:
    case ITEM_HOST: return get_endpoint(i, type, v);
    case ITEM_SECRET:
        if (i->has_secret || n != 32) return BW_ERR_MALFORMED;
        i->has_secret = true;
        bw_rd_bytes(&v, i->secret, 32);
        return 0;
    default: return type >= ITEM_OPTIONAL ? 0 : BW_ERR_UNSUPPORTED;
    }
}

static int get_all(const uint8_t *raw, size_t n, struct invite *i)
{
    if (n < 32 + CHECK_LEN) return BW_ERR_SHORT;
    struct bw_rd check = bw_rd(raw + n - CHECK_LEN, CHECK_LEN), r = bw_rd(raw, n - CHECK_LEN);
    if (bw_rd_be32(&check) != crc32(raw, n - CHECK_LEN)) return BW_ERR_AUTH;
    bw_rd_bytes(&r, i->key, 32);
    while (bw_rd_left(&r)) {
        unsigned type = bw_rd_u8(&r);
        size_t len = bw_rd_u8(&r);
        const uint8_t *p = bw_rd_take(&r, len);
        if (!p) return BW_ERR_MALFORMED;
        int err = get_item(i, type, bw_rd(p, len));
        if (err) return err;
    }
    return 0;
}

int invite_decode(const char *text, struct invite *out)
{
    uint8_t raw[RAW_MAX];
    size_t n;
    while (is_blank(*text)) text++;
    if (strncmp(text, "byway:", 6)) return BW_ERR_MALFORMED;
    if (strncmp(text, INVITE_PREFIX, sizeof INVITE_PREFIX - 1)) {
        size_t digits = strspn(text + 6, "0123456789");
        return digits && text[6 + digits] == ':' ? BW_ERR_UNSUPPORTED : BW_ERR_MALFORMED;
    }
    struct invite i = {.endpoint_count = 0};
    int err = get_bytes(text + sizeof INVITE_PREFIX - 1, raw, sizeof raw, &n);
    if (err == BW_ERR_AUTH && n < 32 + CHECK_LEN) err = BW_ERR_SHORT; // cut off before it could be checked
    if (!err) err = get_all(raw, n, &i);
    if (!err) *out = i;
    memset(raw, 0, sizeof raw);
    return err;
}
