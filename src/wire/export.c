#include "wire/export.h"

#include <jansson.h>

#define LANDMARKS_MAX 16

static json_t *to_json(const struct export_record *e)
{
    json_t *o = json_pack("{s:i, s:I, s:i, s:[], s:[]}", "version", (int)e->version, "issued", (json_int_t)e->issued, "lifetime",
                          (int)e->lifetime_s, "prefixes", "landmarks");
    if (!o) return NULL;
    bool bad = signed_set_addr(o, "address", &e->address) || signed_set_bytes(o, "key", e->key, sizeof e->key);
    json_t *list = json_object_get(o, "prefixes");
    for (unsigned i = 0; !bad && i < e->count; i++) {
        char text[BW_PREFIX_TEXT];
        bad = json_array_append_new(list, json_string(bw_prefix_text(&e->prefixes[i], text)));
    }
    if (!bad) return o;
    json_decref(o);
    return NULL;
}

int export_cover(const struct export_record *e, uint8_t *out, size_t cap)
{
    json_t *o = to_json(e);
    if (!o) return BW_ERR_NOMEM;
    int n = signed_cover(o, EXPORT_LABEL, out, cap);
    json_decref(o);
    return n;
}

int export_encode(const struct export_record *e, const uint8_t signature[64], char *out, size_t cap)
{
    json_t *o = to_json(e);
    if (!o) return BW_ERR_NOMEM;
    int n = signed_text(o, signature, out, cap);
    json_decref(o);
    return n;
}

static int prefixes_take(json_t *o, struct export_record *e)
{
    const json_t *list = json_object_get(o, "prefixes");
    if (!json_is_array(list)) return BW_ERR_MALFORMED;
    if (json_array_size(list) > EXPORT_PREFIXES) return BW_ERR_RANGE;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        struct bw_prefix *p = &e->prefixes[e->count++];
        if (!s || bw_prefix_parse(s, p)) return BW_ERR_MALFORMED;
        if (p->addr.b[0] == 0xfc) return BW_ERR_RANGE; // mesh addresses are proven by their keys, not by somebody's word
    }
    return 0;
}

static int from_json(json_t *o, struct export_record *e)
{
    uint64_t version = 0, lifetime = 0;
    const json_t *landmarks = json_object_get(o, "landmarks");
    int err = signed_get_u64(o, "version", UINT32_MAX, &version);
    if (!err) err = signed_get_addr(o, "address", &e->address);
    if (!err) err = prefixes_take(o, e);
    if (!err) err = signed_get_u64_opt(o, "issued", INT64_MAX, &e->issued);
    if (!err) err = signed_get_u64(o, "lifetime", EXPORT_LIFETIME_MAX, &lifetime);
    if (err) return err;
    if (landmarks && (!json_is_array(landmarks) || json_array_size(landmarks) > LANDMARKS_MAX)) return BW_ERR_MALFORMED;
    e->version = (uint32_t)version;
    e->lifetime_s = (uint32_t)lifetime;
    return bw_addr_is_mesh(&e->address) && lifetime ? 0 : BW_ERR_RANGE;
}

int export_decode(const char *text, size_t n, struct export_record *e, struct signed_part *s)
{
    json_t *o;
    int err = signed_parse(text, n, SIGNED_MAX, &o);
    if (err) return err;
    memset(e, 0, sizeof *e);
    err = signed_take(o, EXPORT_LABEL, s);
    if (!err) err = from_json(o, e);
    memcpy(e->key, s->key, sizeof e->key);
    json_decref(o);
    return err;
}
