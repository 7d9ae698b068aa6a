#include "wire/lease.h"

#include <jansson.h>

#define LIFETIME_MAX 86400u

// ---- the request ----

static json_t *request_json(const struct lease_request *r)
{
    json_t *o = json_pack("{s:i, s:b}", "version", (int)r->version, "release", (int)r->release);
    if (!o) return NULL;
    if (signed_set_bytes(o, "key", r->key, sizeof r->key) || signed_set_addr(o, "address", &r->address) ||
        signed_set_addr(o, "exit", &r->exit) || signed_set_bytes(o, "nonce", r->nonce, sizeof r->nonce) ||
        signed_set_bytes(o, "stamp", r->stamp, sizeof r->stamp) || signed_set_families(o, r->v4, r->v6) ||
        signed_set_addr(o, "previous4", &r->previous4) || signed_set_addr(o, "previous6", &r->previous6) ||
        signed_set_addrs(o, "known", r->known, r->known_count)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

int lease_request_cover(const struct lease_request *r, uint8_t *out, size_t cap)
{
    json_t *o = request_json(r);
    if (!o) return BW_ERR_NOMEM;
    int n = signed_cover(o, LEASE_REQUEST_LABEL, out, cap);
    json_decref(o);
    return n;
}

int lease_request_encode(const struct lease_request *r, const uint8_t signature[64], char *out, size_t cap)
{
    json_t *o = request_json(r);
    if (!o) return BW_ERR_NOMEM;
    int n = signed_text(o, signature, out, cap);
    json_decref(o);
    return n;
}

static int request_take(json_t *o, struct lease_request *r)
{
    uint64_t version = 0;
    int err = signed_get_u64(o, "version", UINT32_MAX, &version);
    if (!err) err = signed_get_addr(o, "address", &r->address);
    if (!err) err = signed_get_addr(o, "exit", &r->exit);
    if (!err) err = signed_get_bytes(o, "nonce", r->nonce, sizeof r->nonce);
    if (!err) err = signed_get_bytes(o, "stamp", r->stamp, sizeof r->stamp);
    if (!err) err = signed_get_families(o, &r->v4, &r->v6);
    if (!err) err = signed_get_flag_opt(o, "release", &r->release);
    if (!err) err = signed_get_addr_opt(o, "previous4", &r->previous4);
    if (!err) err = signed_get_addr_opt(o, "previous6", &r->previous6);
    if (!err) err = signed_get_addrs_opt(o, "known", r->known, LEASE_KNOWN, &r->known_count);
    if (err) return err;
    r->version = (uint32_t)version;
    return bw_addr_is_mesh(&r->address) && bw_addr_is_mesh(&r->exit) ? 0 : BW_ERR_RANGE;
}

int lease_request_decode(const char *text, size_t n, struct lease_request *r, struct signed_part *s)
{
    json_t *o;
    int err = signed_parse(text, n, SIGNED_MAX, &o);
    if (err) return err;
    memset(r, 0, sizeof *r);
    err = signed_take(o, LEASE_REQUEST_LABEL, s);
    if (!err) err = request_take(o, r);
    memcpy(r->key, s->key, sizeof r->key);
    json_decref(o);
    return err;
}

// ---- the lease ----

static int news_put(json_t *o, const struct lease *l)
{
    if (l->news && json_object_set_new(o, "news", json_integer(l->news))) return BW_ERR_NOMEM;
    return *l->notice && json_object_set_new(o, "notice", json_string(l->notice)) ? BW_ERR_NOMEM : 0;
}

// Shown to people and written to logs: printable ASCII only.
static int notice_take(json_t *o, char out[LEASE_NOTICE])
{
    const json_t *v = json_object_get(o, "notice");
    const char *s = json_string_value(v);
    if (!s) return v ? BW_ERR_MALFORMED : 0;
    size_t n = json_string_length(v);
    if (n >= LEASE_NOTICE) return BW_ERR_RANGE;
    for (size_t i = 0; i < n; i++)
        if (s[i] < 0x20 || s[i] > 0x7e) return BW_ERR_RANGE;
    memcpy(out, s, n + 1);
    return 0;
}

static json_t *lease_json(const struct lease *l)
{
    json_t *o = json_pack("{s:i, s:i, s:I, s:I, s:[]}", "version", (int)l->version, "mtu", (int)l->mtu, "lifetime",
                          (json_int_t)l->lifetime_s, "serial", (json_int_t)l->serial, "landmarks");
    if (!o) return NULL;
    if (signed_set_bytes(o, "key", l->key, sizeof l->key) || signed_set_addr(o, "address", &l->address) ||
        signed_set_addr(o, "client", &l->client) || signed_set_bytes(o, "nonce", l->nonce, sizeof l->nonce) ||
        signed_set_addr(o, "inner4", &l->inner4) || signed_set_addr(o, "inner6", &l->inner6) ||
        signed_set_addr(o, "gateway4", &l->gateway4) || signed_set_addr(o, "gateway6", &l->gateway6) ||
        signed_set_addrs(o, "dns", l->dns, l->dns_count) || news_put(o, l)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

int lease_cover(const struct lease *l, uint8_t *out, size_t cap)
{
    json_t *o = lease_json(l);
    if (!o) return BW_ERR_NOMEM;
    int n = signed_cover(o, LEASE_LABEL, out, cap);
    json_decref(o);
    return n;
}

int lease_encode(const struct lease *l, const uint8_t signature[64], char *out, size_t cap)
{
    json_t *o = lease_json(l);
    if (!o) return BW_ERR_NOMEM;
    int n = signed_text(o, signature, out, cap);
    json_decref(o);
    return n;
}

// An address that a client may put on its machine, or route to: never one that could catch traffic of its own.
static bool plain4(const struct bw_addr *a)
{
    uint8_t first = a->b[12];
    return bw_addr_is_v4(a) && first && first != 127 && !bw_addr_is_linklocal(a) && first < 224;
}

// 100.64.0.0/10: a lease with an address of a home network would take that host's traffic.
static bool shared4(const struct bw_addr *a)
{
    return bw_addr_is_v4(a) && a->b[12] == 100 && (a->b[13] & 0xc0) == 64;
}

static bool plain6(const struct bw_addr *a)
{
    return !bw_addr_is_v4(a) && ((a->b[0] & 0xe0) == 0x20 || a->b[0] == 0xfd); // 2000::/3 or fd00::/8
}

static int lease_sensible(const struct lease *l)
{
    bool v4 = !bw_addr_is_zero(&l->inner4), v6 = !bw_addr_is_zero(&l->inner6);
    if (!bw_addr_is_mesh(&l->address) || !bw_addr_is_mesh(&l->client) || (!v4 && !v6)) return BW_ERR_RANGE;
    if (v4 && (!shared4(&l->inner4) || !shared4(&l->gateway4) || bw_addr_eq(&l->inner4, &l->gateway4))) return BW_ERR_RANGE;
    if (v6 && (!plain6(&l->inner6) || !plain6(&l->gateway6) || bw_addr_eq(&l->inner6, &l->gateway6))) return BW_ERR_RANGE;
    for (unsigned i = 0; i < l->dns_count; i++)
        if (!plain4(&l->dns[i]) && !plain6(&l->dns[i])) return BW_ERR_RANGE;
    return l->mtu >= 1280 && l->lifetime_s >= 10 ? 0 : BW_ERR_RANGE;
}

static int lease_take(json_t *o, struct lease *l)
{
    uint64_t version = 0, mtu = 0, lifetime = 0, news = 0;
    int err = signed_get_u64(o, "version", UINT32_MAX, &version);
    if (!err) err = signed_get_addr(o, "address", &l->address);
    if (!err) err = signed_get_addr(o, "client", &l->client);
    if (!err) err = signed_get_bytes(o, "nonce", l->nonce, sizeof l->nonce);
    if (!err) err = signed_get_addr_opt(o, "inner4", &l->inner4);
    if (!err) err = signed_get_addr_opt(o, "inner6", &l->inner6);
    if (!err) err = signed_get_addr_opt(o, "gateway4", &l->gateway4);
    if (!err) err = signed_get_addr_opt(o, "gateway6", &l->gateway6);
    if (!err) err = signed_get_addrs_opt(o, "dns", l->dns, LEASE_DNS, &l->dns_count);
    if (!err) err = signed_get_u64(o, "mtu", UINT16_MAX, &mtu);
    if (!err) err = signed_get_u64(o, "lifetime", LIFETIME_MAX, &lifetime);
    if (!err) err = signed_get_u64_opt(o, "serial", INT64_MAX, &l->serial);
    if (!err) err = signed_get_u64_opt(o, "news", UINT16_MAX, &news);
    if (!err) err = notice_take(o, l->notice);
    if (err) return err;
    l->version = (uint32_t)version;
    l->mtu = (uint16_t)mtu;
    l->lifetime_s = (uint32_t)lifetime;
    l->news = (uint16_t)news;
    return lease_sensible(l);
}

int lease_decode(const char *text, size_t n, struct lease *l, struct signed_part *s)
{
    json_t *o;
    int err = signed_parse(text, n, SIGNED_MAX, &o);
    if (err) return err;
    memset(l, 0, sizeof *l);
    err = signed_take(o, LEASE_LABEL, s);
    if (!err) err = lease_take(o, l);
    memcpy(l->key, s->key, sizeof l->key);
    json_decref(o);
    return err;
}

int lease_refusal_encode(const char *code, const char *text, const struct offer_text *offer, char *out, size_t cap)
{
    json_t *o = json_pack("{s:s, s:s}", "error", code, "text", text);
    if (!o) return BW_ERR_NOMEM;
    json_t *inner = offer ? json_loadb(offer->text, offer->len, 0, NULL) : NULL;
    if (inner) json_object_set_new(o, "offer", inner);
    size_t n = json_dumpb(o, out, cap, JSON_COMPACT);
    json_decref(o);
    if (!n || n >= cap) return BW_ERR_SHORT;
    out[n] = 0;
    return (int)n;
}
