#include "wire/signed.h"

#include <jansson.h>

#include "base/text.h"

#define BYTES_MAX 64 // longest binary member: a signature
#define BYTES_TEXT (4 * ((BYTES_MAX + 2) / 3) + 1)

// Nesting outside strings, counted before the parser recurses into it.
static bool too_deep(const char *text, size_t n)
{
    unsigned depth = 0;
    bool string = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (string) {
            if (c == '\\') i++;
            else if (c == '"') string = false;
        } else if (c == '"') {
            string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > SIGNED_DEPTH) return true;
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    return false;
}

// Reals have no one form as text; no record has any.
static bool has_real(const json_t *v)
{
    size_t i;
    const char *name;
    json_t *sub;
    if (json_is_real(v)) return true;
    if (json_is_array(v)) {
        json_array_foreach (v, i, sub) {
            if (has_real(sub)) return true;
        }
    } else if (json_is_object(v)) {
        json_object_foreach ((json_t *)v, name, sub) {
            if (has_real(sub)) return true;
        }
    }
    return false;
}

int signed_parse(const char *text, size_t n, size_t max, json_t **out)
{
    if (n > max) return BW_ERR_RANGE;
    if (too_deep(text, n)) return BW_ERR_MALFORMED;
    json_t *o = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    if (!o) return BW_ERR_MALFORMED;
    if (!json_is_object(o) || has_real(o)) {
        json_decref(o);
        return BW_ERR_MALFORMED;
    }
    *out = o;
    return 0;
}

int signed_cover(json_t *record, const char *label, uint8_t *out, size_t cap)
{
    size_t head = strlen(label) + 1;
    if (head > cap) return BW_ERR_SHORT;
    memcpy(out, label, head - 1);
    out[head - 1] = '\n';
    json_t *bare = json_copy(record);
    if (!bare) return BW_ERR_NOMEM;
    json_object_del(bare, "signature");
    size_t n = json_dumpb(bare, (char *)out + head, cap - head, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(bare);
    if (!n) return BW_ERR_NOMEM;
    return n > cap - head ? BW_ERR_SHORT : (int)(head + n);
}

int signed_take(json_t *record, const char *label, struct signed_part *out)
{
    uint64_t version;
    int err = signed_get_u64(record, "version", UINT32_MAX, &version);
    if (!err && !version) err = BW_ERR_RANGE;
    if (!err) err = signed_get_bytes(record, "key", out->key, sizeof out->key);
    if (!err) err = signed_get_bytes(record, "signature", out->signature, sizeof out->signature);
    if (err) return err;
    int n = signed_cover(record, label, out->covered, sizeof out->covered);
    if (n < 0) return n;
    out->covered_len = (size_t)n;
    return 0;
}

int signed_text(json_t *record, const uint8_t signature[64], char *out, size_t cap)
{
    int err = signed_set_bytes(record, "signature", signature, 64);
    if (err) return err;
    size_t n = json_dumpb(record, out, cap, JSON_COMPACT | JSON_SORT_KEYS);
    if (!n) return BW_ERR_NOMEM;
    if (n >= cap || n > SIGNED_MAX) return BW_ERR_SHORT;
    out[n] = 0;
    return (int)n;
}

int signed_get_u64(json_t *o, const char *name, uint64_t max, uint64_t *out)
{
    const json_t *v = json_object_get(o, name);
    if (!json_is_integer(v)) return BW_ERR_MALFORMED;
    json_int_t i = json_integer_value(v);
    if (i < 0 || (uint64_t)i > max) return BW_ERR_RANGE;
    *out = (uint64_t)i;
    return 0;
}

int signed_get_u64_opt(json_t *o, const char *name, uint64_t max, uint64_t *out)
{
    return json_object_get(o, name) ? signed_get_u64(o, name, max, out) : 0;
}

int signed_get_bytes(json_t *o, const char *name, uint8_t *out, size_t n)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? bw_base64_decode(s, out, n) : BW_ERR_MALFORMED;
}

static int addr_value(const json_t *v, struct bw_addr *out)
{
    const char *s = json_string_value(v);
    return s ? bw_addr_parse(s, out) : BW_ERR_MALFORMED;
}

int signed_get_addr(json_t *o, const char *name, struct bw_addr *out)
{
    return addr_value(json_object_get(o, name), out);
}

int signed_get_addr_opt(json_t *o, const char *name, struct bw_addr *out)
{
    return json_object_get(o, name) ? signed_get_addr(o, name, out) : 0;
}

int signed_get_flag_opt(json_t *o, const char *name, bool *out)
{
    const json_t *v = json_object_get(o, name);
    if (!v) return 0;
    if (!json_is_boolean(v)) return BW_ERR_MALFORMED;
    *out = json_is_true(v);
    return 0;
}

int signed_get_addrs_opt(json_t *o, const char *name, struct bw_addr *out, unsigned max, unsigned *count)
{
    const json_t *list = json_object_get(o, name);
    *count = 0;
    if (!list) return 0;
    if (!json_is_array(list) || json_array_size(list) > max) return BW_ERR_MALFORMED;
    for (size_t i = 0; i < json_array_size(list); i++) {
        int err = addr_value(json_array_get(list, i), &out[i]);
        if (err) return err;
    }
    *count = (unsigned)json_array_size(list);
    return 0;
}

int signed_get_families(json_t *o, bool *v4, bool *v6)
{
    const json_t *list = json_object_get(o, "families");
    *v4 = *v6 = false;
    if (!json_is_array(list) || json_array_size(list) > 8) return BW_ERR_MALFORMED;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (!s) return BW_ERR_MALFORMED;
        if (!strcmp(s, "ipv4")) *v4 = true;
        else if (!strcmp(s, "ipv6")) *v6 = true; // others: a family of the future, passed over
    }
    return 0;
}

int signed_set_bytes(json_t *o, const char *name, const uint8_t *p, size_t n)
{
    char text[BYTES_TEXT];
    if (n > BYTES_MAX) return BW_ERR_RANGE;
    return json_object_set_new(o, name, json_string(bw_base64_encode(p, n, text))) ? BW_ERR_NOMEM : 0;
}

int signed_set_addr(json_t *o, const char *name, const struct bw_addr *a)
{
    char text[BW_ADDR_TEXT];
    if (bw_addr_is_zero(a)) return 0;
    return json_object_set_new(o, name, json_string(bw_addr_text(a, text))) ? BW_ERR_NOMEM : 0;
}

int signed_set_addrs(json_t *o, const char *name, const struct bw_addr *a, unsigned count)
{
    if (!count) return 0;
    json_t *list = json_array();
    for (unsigned i = 0; i < count; i++) {
        char text[BW_ADDR_TEXT];
        if (json_array_append_new(list, json_string(bw_addr_text(&a[i], text)))) {
            json_decref(list);
            return BW_ERR_NOMEM;
        }
    }
    return json_object_set_new(o, name, list) ? BW_ERR_NOMEM : 0;
}

int signed_set_families(json_t *o, bool v4, bool v6)
{
    json_t *list = json_array();
    if ((v4 && json_array_append_new(list, json_string("ipv4"))) || (v6 && json_array_append_new(list, json_string("ipv6")))) {
        json_decref(list);
        return BW_ERR_NOMEM;
    }
    return json_object_set_new(o, "families", list) ? BW_ERR_NOMEM : 0;
}
