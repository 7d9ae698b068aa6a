#include "wire/offer.h"

#include <jansson.h>

#define PRICE_MAX (1ull << 53)
#define RATE_MAX 1000000000000ull // 1 Tbit/s
#define LIFETIME_MAX 86400u
#define LANDMARKS_MAX 16

// A name is shown to people and written to logs: nothing but plain letters, digits and a few signs.
static int name_take(json_t *o, char *out)
{
    const json_t *v = json_object_get(o, "name");
    const char *s = json_string_value(v);
    if (!s) return v ? BW_ERR_MALFORMED : 0;
    size_t n = json_string_length(v);
    if (n >= OFFER_NAME) return BW_ERR_RANGE;
    for (size_t i = 0; i < n; i++) {
        bool plain = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-' ||
                     s[i] == '.' || s[i] == '_';
        if (!plain) return BW_ERR_RANGE;
    }
    memcpy(out, s, n + 1);
    return 0;
}

static int limits_put(json_t *o, const struct offer *f)
{
    json_t *limits = json_pack("{s:I, s:I}", "down_bps", (json_int_t)f->down_bps, "up_bps", (json_int_t)f->up_bps);
    if (json_object_set_new(o, "limits", limits)) return BW_ERR_NOMEM;
    if (f->volume && json_object_set_new(limits, "volume", json_integer((json_int_t)f->volume))) return BW_ERR_NOMEM;
    return f->load && json_object_set_new(o, "load", json_integer(f->load)) ? BW_ERR_NOMEM : 0;
}

static json_t *to_json(const struct offer *f)
{
    json_t *o = json_pack("{s:i, s:s, s:I, s:i, s:I, s:I, s:[]}", "version", (int)f->version, "name", f->name, "price",
                          (json_int_t)f->price, "mtu", (int)f->mtu, "issued", (json_int_t)f->issued, "lifetime",
                          (json_int_t)f->lifetime_s, "landmarks");
    if (!o) return NULL;
    if (signed_set_addr(o, "address", &f->address) || signed_set_bytes(o, "key", f->key, sizeof f->key) ||
        signed_set_families(o, f->v4, f->v6) || limits_put(o, f) || signed_set_addr(o, "gateway4", &f->gateway4) ||
        signed_set_addr(o, "gateway6", &f->gateway6) || signed_set_bytes(o, "stamp", f->stamp, sizeof f->stamp)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

int offer_cover(const struct offer *f, uint8_t *out, size_t cap)
{
    json_t *o = to_json(f);
    if (!o) return BW_ERR_NOMEM;
    int n = signed_cover(o, OFFER_LABEL, out, cap);
    json_decref(o);
    return n;
}

int offer_encode(const struct offer *f, const uint8_t signature[64], char *out, size_t cap)
{
    json_t *o = to_json(f);
    if (!o) return BW_ERR_NOMEM;
    int n = signed_text(o, signature, out, cap);
    json_decref(o);
    return n;
}

static int limits_take(json_t *o, struct offer *f)
{
    json_t *limits = json_object_get(o, "limits");
    if (!limits) return 0;
    if (!json_is_object(limits)) return BW_ERR_MALFORMED;
    int err = signed_get_u64_opt(limits, "down_bps", RATE_MAX, &f->down_bps);
    if (!err) err = signed_get_u64_opt(limits, "up_bps", RATE_MAX, &f->up_bps);
    return err ? err : signed_get_u64_opt(limits, "volume", INT64_MAX, &f->volume);
}

static int landmarks_check(json_t *o)
{
    const json_t *list = json_object_get(o, "landmarks");
    return !list || (json_is_array(list) && json_array_size(list) <= LANDMARKS_MAX) ? 0 : BW_ERR_MALFORMED;
}

// What no honest exit says: an address that is no node's, no family, a family without gateway, an MTU below IPv6's least.
static int sensible(const struct offer *f)
{
    if (!bw_addr_is_mesh(&f->address) || (!f->v4 && !f->v6)) return BW_ERR_RANGE;
    if (f->v4 && (!bw_addr_is_v4(&f->gateway4) || bw_addr_is_multicast(&f->gateway4))) return BW_ERR_RANGE;
    if (f->v6 && (bw_addr_is_zero(&f->gateway6) || bw_addr_is_v4(&f->gateway6) || bw_addr_is_multicast(&f->gateway6)))
        return BW_ERR_RANGE;
    return f->mtu >= 1280 && f->lifetime_s ? 0 : BW_ERR_RANGE;
}

static int from_json(json_t *o, struct offer *f)
{
    uint64_t version = 0, mtu = 0, lifetime = 0, load = 0;
    int err = signed_get_u64(o, "version", UINT32_MAX, &version);
    if (!err) err = signed_get_addr(o, "address", &f->address);
    if (!err) err = name_take(o, f->name);
    if (!err) err = signed_get_families(o, &f->v4, &f->v6);
    if (!err) err = signed_get_u64_opt(o, "price", PRICE_MAX, &f->price);
    if (!err) err = limits_take(o, f);
    if (!err) err = signed_get_u64_opt(o, "load", 100, &load);
    if (!err) err = signed_get_addr_opt(o, "gateway4", &f->gateway4);
    if (!err) err = signed_get_addr_opt(o, "gateway6", &f->gateway6);
    if (!err) err = signed_get_u64(o, "mtu", UINT16_MAX, &mtu);
    if (!err) err = signed_get_u64_opt(o, "issued", INT64_MAX, &f->issued);
    if (!err) err = signed_get_u64(o, "lifetime", LIFETIME_MAX, &lifetime);
    if (!err) err = signed_get_bytes(o, "stamp", f->stamp, sizeof f->stamp);
    if (!err) err = landmarks_check(o);
    if (err) return err;
    f->version = (uint32_t)version;
    f->mtu = (uint16_t)mtu;
    f->lifetime_s = (uint32_t)lifetime;
    f->load = (uint32_t)load;
    return sensible(f);
}

int offer_decode(const char *text, size_t n, struct offer *f, struct signed_part *s)
{
    json_t *o;
    int err = signed_parse(text, n, SIGNED_MAX, &o);
    if (err) return err;
    memset(f, 0, sizeof *f);
    err = signed_take(o, OFFER_LABEL, s);
    if (!err) err = from_json(o, f);
    memcpy(f->key, s->key, sizeof f->key);
    json_decref(o);
    return err;
}

static bool put(char *out, size_t cap, size_t *at, const char *p, size_t n)
{
    if (n >= cap - *at) return false;
    memcpy(out + *at, p, n);
    *at += n;
    out[*at] = 0;
    return true;
}

// Records are signed text already: they are put together as text, never taken apart again.
int offer_answer_encode(const struct offer_text *own, const struct offer_text *others, unsigned count, char *out, size_t cap)
{
    size_t at = 0;
    if (!cap) return BW_ERR_SHORT;
    bool ok = put(out, cap, &at, "{\"offer\":", 9) && put(out, cap, &at, own->text, own->len) &&
              put(out, cap, &at, ",\"others\":[", 11);
    for (unsigned i = 0; ok && i < count && i < OFFER_OTHERS; i++)
        ok = (!i || put(out, cap, &at, ",", 1)) && put(out, cap, &at, others[i].text, others[i].len);
    ok = ok && put(out, cap, &at, "]}", 2);
    return ok ? (int)at : BW_ERR_SHORT;
}

static void hand_on(const json_t *record, bool first, void (*each)(void *, bool, const char *, size_t), void *ctx)
{
    char text[SIGNED_MAX];
    if (!json_is_object(record)) return;
    size_t n = json_dumpb(record, text, sizeof text, JSON_COMPACT | JSON_SORT_KEYS);
    if (n && n <= sizeof text) each(ctx, first, text, n);
}

int offer_answer_decode(const char *text, size_t n, void (*each)(void *, bool, const char *, size_t), void *ctx)
{
    json_t *o;
    int err = signed_parse(text, n, OFFER_ANSWER_MAX, &o);
    if (err) return err;
    const json_t *own = json_object_get(o, "offer"), *others = json_object_get(o, "others");
    if ((!own && !others) || (others && !json_is_array(others))) {
        json_decref(o);
        return BW_ERR_MALFORMED;
    }
    hand_on(own, true, each, ctx);
    for (size_t i = 0; i < json_array_size(others) && i < OFFER_OTHERS; i++) hand_on(json_array_get(others, i), false, each, ctx);
    json_decref(o);
    return 0;
}
