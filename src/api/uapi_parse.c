// WireGuard's userspace protocol, text to struct: pure but for the look-up of an interface's name in a link-local
// endpoint.
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/uapi.h"
#include "base/text.h"

#define VALUE_MAX 160

struct parse {
    struct uapi_request *r;
    struct uapi_peer_set *peer; // that the lines belong to, once there was a public_key
    size_t cap;
    bool begun; // "get=1" or "set=1" was read
};

static bool is_true(const char *v)
{
    return !strcmp(v, "true");
}

// A decimal number up to max.
static bool number(const char *s, unsigned long max, unsigned long *out)
{
    uint64_t v = 0; // long may have 32 bits, all of which max may take
    const char *p = s;
    for (; *p >= '0' && *p <= '9'; p++) {
        v = v * 10 + (uint64_t)(*p - '0');
        if (v > max) return false;
    }
    *out = (unsigned long)v;
    return p != s && !*p;
}

static int endpoint(const char *s, struct bw_endpoint *out)
{
    char buf[VALUE_MAX + 16];
    const char *percent = strchr(s, '%'), *close = strchr(s, ']');
    if (percent && close && percent < close && percent[1] &&
        strspn(percent + 1, "0123456789") != (size_t)(close - percent - 1)) {
        char name[IF_NAMESIZE];
        size_t n = (size_t)(close - percent - 1);
        if (n >= sizeof name) return EINVAL;
        memcpy(name, percent + 1, n);
        name[n] = 0;
        unsigned index = if_nametoindex(name);
        if (!index) return ENODEV;
        snprintf(buf, sizeof buf, "%.*s%%%u%s", (int)(percent - s), s, index, close);
        s = buf;
    }
    return bw_endpoint_parse(s, out) ? EINVAL : 0;
}

// Checked and then forgotten: Babel decides. wg sends host bits as they were typed.
static int allowed_ip(const char *s)
{
    char text[BW_ADDR_TEXT];
    struct bw_addr a;
    unsigned long len;
    if (*s == '-' || *s == '+') s++;
    size_t n = strcspn(s, "/");
    if (n >= sizeof text || !s[n]) return EINVAL;
    memcpy(text, s, n);
    text[n] = 0;
    if (bw_addr_parse(text, &a) || !number(s + n + 1, strchr(text, ':') ? 128 : 32, &len)) return EINVAL;
    return 0;
}

static int new_peer(struct parse *p, const char *v)
{
    struct uapi_request *r = p->r;
    uint8_t key[32];
    if (bw_hex_decode(v, key, 32)) return EINVAL;
    if (r->peer_count == UAPI_MAX_PEERS) return ENOMEM;
    if (r->peer_count == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 8;
        struct uapi_peer_set *peers = realloc(r->peers, cap * sizeof *peers);
        if (!peers) return ENOMEM;
        r->peers = peers;
        p->cap = cap;
    }
    p->peer = &r->peers[r->peer_count++];
    *p->peer = (struct uapi_peer_set){0};
    memcpy(p->peer->key, key, 32);
    return 0;
}

static int device_line(struct parse *p, const char *k, const char *v)
{
    struct uapi_request *r = p->r;
    unsigned long n;
    if (!strcmp(k, "private_key")) {
        r->has_private_key = true;
        return bw_hex_decode(v, r->private_key, 32) ? EINVAL : 0;
    }
    if (!strcmp(k, "listen_port")) {
        if (!number(v, UINT16_MAX, &n)) return EINVAL;
        r->has_listen_port = true;
        r->listen_port = (uint16_t)n;
        return 0;
    }
    if (!strcmp(k, "fwmark")) {
        if (!*v) n = 0;
        else if (!number(v, UINT32_MAX, &n)) return EINVAL;
        r->has_fwmark = true;
        r->fwmark = (uint32_t)n;
        return 0;
    }
    if (!strcmp(k, "replace_peers") && is_true(v)) {
        r->replace_peers = true;
        return 0;
    }
    return EINVAL;
}

static int peer_line(struct uapi_peer_set *p, const char *k, const char *v)
{
    unsigned long n;
    if (!strcmp(k, "remove")) return is_true(v) ? p->remove = true, 0 : EINVAL;
    if (!strcmp(k, "update_only")) return is_true(v) ? p->update_only = true, 0 : EINVAL;
    if (!strcmp(k, "replace_allowed_ips")) return is_true(v) ? p->replace_allowed_ips = true, 0 : EINVAL;
    if (!strcmp(k, "allowed_ip")) return allowed_ip(v);
    if (!strcmp(k, "protocol_version")) return strcmp(v, "1") ? EPROTONOSUPPORT : 0;
    if (!strcmp(k, "preshared_key")) {
        p->has_psk = true;
        return bw_hex_decode(v, p->psk, 32) ? EINVAL : 0;
    }
    if (!strcmp(k, "endpoint")) {
        p->has_endpoint = true;
        return endpoint(v, &p->endpoint);
    }
    if (!strcmp(k, "persistent_keepalive_interval")) {
        if (!number(v, UINT16_MAX, &n)) return EINVAL;
        p->has_keepalive = true;
        p->keepalive_s = (uint16_t)n;
        return 0;
    }
    return EINVAL;
}

static int line(struct parse *p, const char *text, size_t n)
{
    char k[40], v[VALUE_MAX];
    const char *eq = memchr(text, '=', n);
    if (!eq || memchr(text, 0, n)) return EPROTO;
    size_t kn = (size_t)(eq - text), vn = n - kn - 1;
    if (kn >= sizeof k || vn >= sizeof v) return EINVAL;
    memcpy(k, text, kn);
    k[kn] = 0;
    memcpy(v, eq + 1, vn);
    v[vn] = 0;
    int err;
    if (!p->begun) {
        p->begun = true;
        p->r->set = !strcmp(k, "set");
        err = (p->r->set || !strcmp(k, "get")) && !strcmp(v, "1") ? 0 : EPROTO;
    } else if (!p->r->set) {
        err = EPROTO; // get takes no more lines
    } else if (!strcmp(k, "public_key")) {
        err = new_peer(p, v);
    } else {
        err = p->peer ? peer_line(p->peer, k, v) : device_line(p, k, v);
    }
    explicit_bzero(v, sizeof v);
    return err;
}

int uapi_parse(const char *text, size_t n, struct uapi_request *out)
{
    *out = (struct uapi_request){0};
    struct parse p = {.r = out};
    int err = n > UAPI_MAX_REQUEST ? ENOMEM : 0;
    for (size_t at = 0; at < n && !err;) {
        const char *nl = memchr(text + at, '\n', n - at);
        size_t len = nl ? (size_t)(nl - text) - at : n - at;
        err = line(&p, text + at, len);
        at += len + 1;
    }
    if (!err && !p.begun) err = EPROTO;
    if (err) uapi_request_free(out);
    return err;
}

void uapi_request_free(struct uapi_request *r)
{
    if (r->peers) explicit_bzero(r->peers, r->peer_count * sizeof *r->peers);
    free(r->peers);
    explicit_bzero(r, sizeof *r);
}
