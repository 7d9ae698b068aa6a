// What can be changed, by the unix socket only. Fields are checked here, all of them by name, so that a typing error in
// a script is an answer and not a silence.
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"

// ---- fields ----

struct fields {
    json_t *j;
    char wrong[160]; // the first mistake
};

static bool known(const char *name, const char *const *names)
{
    for (; *names; names++) {
        if (!strcmp(name, *names)) return true;
    }
    return false;
}

// An object with no other fields than `names` (NULL ends them). An empty body is an empty object.
static bool fields_open(struct fields *f, const struct request *q, const char *const *names)
{
    f->wrong[0] = 0;
    f->j = q->len ? json_loadb(q->body, q->len, JSON_REJECT_DUPLICATES, NULL) : json_object();
    if (!json_is_object(f->j)) {
        snprintf(f->wrong, sizeof f->wrong, "the body is no JSON object");
        return false;
    }
    const char *name;
    json_t *value;
    json_object_foreach(f->j, name, value)
    {
        if (known(name, names)) continue;
        snprintf(f->wrong, sizeof f->wrong, "unknown field \"%.60s\"", name);
        return false;
    }
    return true;
}

static void fields_wrong(struct fields *f, const char *name, const char *wanted)
{
    if (!f->wrong[0]) snprintf(f->wrong, sizeof f->wrong, "\"%s\" is not %s", name, wanted);
}

static bool plain(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f) return false;
    }
    return true;
}

static void field_text(struct fields *f, const char *name, char *out, size_t size)
{
    json_t *v = json_object_get(f->j, name);
    const char *s = json_string_value(v);
    out[0] = 0;
    if (!v || json_is_null(v)) return;
    if (!s || strlen(s) != json_string_length(v) || strlen(s) >= size || !plain(s))
        fields_wrong(f, name, "a text of sensible length");
    else strcpy(out, s);
}

static void field_bool(struct fields *f, const char *name, bool *out)
{
    json_t *v = json_object_get(f->j, name);
    if (!v || json_is_null(v)) return;
    if (!json_is_boolean(v)) fields_wrong(f, name, "true or false");
    *out = json_is_true(v);
}

static void field_number(struct fields *f, const char *name, uint32_t min, uint32_t max, uint32_t *out)
{
    json_t *v = json_object_get(f->j, name);
    if (!v || json_is_null(v)) return;
    char wanted[64];
    snprintf(wanted, sizeof wanted, "a number from %u to %u", min, max);
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
        fields_wrong(f, name, wanted);
    else *out = (uint32_t)json_integer_value(v);
}

static bool field_key(struct fields *f, const char *name, uint8_t out[32])
{
    json_t *v = json_object_get(f->j, name);
    if (!v || json_is_null(v)) return false;
    if (!json_is_string(v) || bw_base64_decode(json_string_value(v), out, 32))
        fields_wrong(f, name, "a key (44 characters of base64)");
    return true;
}

// ---- answers ----

static enum MHD_Result done(struct request *q, const char *text)
{
    return answer_json(q, MHD_HTTP_OK,
                       text && *text ? json_pack("{s:b, s:s}", "ok", 1, "text", text) : json_pack("{s:b}", "ok", 1));
}

static enum MHD_Result outcome(struct request *q, int status, const struct api_error *e, const char *text)
{
    return status ? answer_error(q, status, e->text[0] ? e->text : "it did not work", e->hint) : done(q, text);
}

static enum MHD_Result not_here(struct request *q)
{
    return answer_error(q, MHD_HTTP_NOT_IMPLEMENTED, "this node cannot do that", "");
}

static enum MHD_Result wrong(struct request *q, const struct fields *f)
{
    json_decref(f->j);
    return answer_error(q, MHD_HTTP_BAD_REQUEST, f->wrong, "");
}

// ---- changes ----

static bool name_fits(const char *s)
{
    return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == strlen(s);
}

static enum MHD_Result post_peers(struct request *q, struct api_error *e)
{
    static const char *const names[] = {"key", "name", "endpoint", "psk", "psk_file", "internet", "save", NULL};
    struct api_peer_add p = {0};
    struct fields f;
    if (!q->api->o.actions.peer_add) return not_here(q);
    if (!fields_open(&f, q, names)) return wrong(q, &f);
    if (!field_key(&f, "key", p.key)) fields_wrong(&f, "key", "given");
    p.has_psk = field_key(&f, "psk", p.psk);
    field_text(&f, "name", p.name, sizeof p.name);
    field_text(&f, "endpoint", p.endpoint, sizeof p.endpoint);
    field_text(&f, "psk_file", p.psk_file, sizeof p.psk_file);
    field_bool(&f, "internet", &p.internet);
    field_bool(&f, "save", &p.save);
    if (!name_fits(p.name)) fields_wrong(&f, "name", "a name (letters, digits, hyphens, dots, underscores)");
    if (p.psk_file[0] && p.psk_file[0] != '/') fields_wrong(&f, "psk_file", "an absolute path");
    if (f.wrong[0]) return wrong(q, &f);
    json_decref(f.j);
    int status = q->api->o.actions.peer_add(q->api->o.actions.ctx, &p, e);
    explicit_bzero(&p, sizeof p);
    return outcome(q, status, e, NULL);
}

// KEY as base64, url-safe (RFC 4648 section 5) or not, with or without its padding; the path came unescaped.
static bool key_of_path(const char *s, uint8_t key[32])
{
    char text[BW_KEY_TEXT];
    size_t n = strlen(s);
    if (n != 43 && n != 44) return false;
    for (size_t i = 0; i <= n; i++) text[i] = s[i] == '-' ? '+' : s[i] == '_' ? '/' : s[i];
    text[43] = '=';
    text[44] = 0;
    return !bw_base64_decode(text, key, 32) && (n == 43 || s[43] == '=');
}

static enum MHD_Result delete_peer(struct request *q, struct api_error *e)
{
    uint8_t key[32];
    const char *save = MHD_lookup_connection_value(q->conn, MHD_GET_ARGUMENT_KIND, "save");
    if (!q->api->o.actions.peer_remove) return not_here(q);
    if (!key_of_path(q->path + strlen("/v1/peers/"), key))
        return answer_error(q, MHD_HTTP_BAD_REQUEST, "that is no key", "DELETE /v1/peers/KEY, KEY as url-safe base64");
    int status = q->api->o.actions.peer_remove(q->api->o.actions.ctx, key, save && !strcmp(save, "yes"), e);
    return outcome(q, status, e, NULL);
}

static enum MHD_Result post_exit(struct request *q, struct api_error *e)
{
    static const char *const names[] = {"use", NULL}, *const uses[] = {"auto", "always", "none"};
    struct bw_addr address = {{0}};
    struct fields f;
    char use[64];
    if (!q->api->o.actions.exit_use) return not_here(q);
    if (!fields_open(&f, q, names)) return wrong(q, &f);
    field_text(&f, "use", use, sizeof use);
    int which = API_USE_AUTO;
    while (which < 3 && strcmp(use, uses[which])) which++;
    if (which == API_USE_ADDRESS && (bw_addr_parse(use, &address) || !bw_addr_is_mesh(&address)))
        fields_wrong(&f, "use", "auto, always, none or an exit's mesh address");
    if (f.wrong[0]) return wrong(q, &f);
    json_decref(f.j);
    return outcome(q, q->api->o.actions.exit_use(q->api->o.actions.ctx, (enum api_use)which, &address, e), e, NULL);
}

static enum MHD_Result post_reload(struct request *q, struct api_error *e)
{
    if (!q->api->o.actions.reload) return not_here(q);
    char out[512] = "";
    int status = q->api->o.actions.reload(q->api->o.actions.ctx, out, sizeof out, e);
    return outcome(q, status, e, out[0] ? out : NULL);
}

static enum MHD_Result post_join(struct request *q, struct api_error *e)
{
    static const char *const names[] = {"text", NULL};
    char text[4096], out[512] = "";
    struct fields f;
    if (!q->api->o.actions.join) return not_here(q);
    if (!fields_open(&f, q, names)) return wrong(q, &f);
    field_text(&f, "text", text, sizeof text);
    if (!text[0]) fields_wrong(&f, "text", "given");
    if (f.wrong[0]) return wrong(q, &f);
    json_decref(f.j);
    int status = q->api->o.actions.join(q->api->o.actions.ctx, text, out, sizeof out, e);
    explicit_bzero(text, sizeof text); // it may hold the network's secret
    return outcome(q, status, e, out);
}

static enum MHD_Result probe(struct request *q, struct api_error *e, bool trace)
{
    static const char *const names[] = {"address", "count", "interval_ms", "max_hops", NULL};
    struct api_probe p = {.count = trace ? 3 : 4, .interval_ms = 1000, .max_hops = 64};
    struct fields f;
    char address[64];
    int (*start)(void *, const struct api_probe *, struct api_reply *, struct api_error *) =
        trace ? q->api->o.actions.trace : q->api->o.actions.ping;
    if (!start) return not_here(q);
    if (!fields_open(&f, q, names)) return wrong(q, &f);
    field_text(&f, "address", address, sizeof address);
    field_number(&f, "count", 1, trace ? 10 : 10000, &p.count);
    field_number(&f, "interval_ms", 10, 60000, &p.interval_ms);
    field_number(&f, "max_hops", 1, 255, &p.max_hops);
    if (bw_addr_parse(address, &p.address)) fields_wrong(&f, "address", "an address");
    if (f.wrong[0]) return wrong(q, &f);
    json_decref(f.j);
    struct api_reply *r = reply_new(q, false);
    if (!r) return MHD_NO;
    int status = start(q->api->o.actions.ctx, &p, r, e);
    if (!status) return reply_attach(q, r, "application/x-ndjson");
    reply_drop(r);
    return outcome(q, status, e, NULL);
}

static enum MHD_Result post_ping(struct request *q, struct api_error *e)
{
    return probe(q, e, false);
}

static enum MHD_Result post_trace(struct request *q, struct api_error *e)
{
    return probe(q, e, true);
}

static const struct {
    const char *path;
    enum MHD_Result (*post)(struct request *q, struct api_error *e);
} posts[] = {
    {"/v1/peers", post_peers}, {"/v1/exit", post_exit}, {"/v1/reload", post_reload},
    {"/v1/join", post_join},   {"/v1/ping", post_ping}, {"/v1/trace", post_trace},
};

const char *change_allowed(const char *path)
{
    for (size_t i = 0; i < sizeof posts / sizeof *posts; i++)
        if (!strcmp(posts[i].path, path)) return resource_exists(path) ? "GET, HEAD, POST" : "POST";
    return strncmp(path, "/v1/peers/", 10) ? NULL : "DELETE";
}

enum MHD_Result resource_change(struct request *q, const char *method)
{
    struct api_error *e = calloc(1, sizeof *e);
    if (!e) return MHD_NO;
    enum MHD_Result r = MHD_NO;
    bool answered = false;
    for (size_t i = 0; i < sizeof posts / sizeof *posts && !strcmp(method, "POST"); i++) {
        if (strcmp(posts[i].path, q->path)) continue;
        r = posts[i].post(q, e);
        answered = true;
    }
    if (!strcmp(method, "DELETE") && !strncmp(q->path, "/v1/peers/", 10)) {
        r = delete_peer(q, e);
        answered = true;
    }
    if (!answered && (q->allow = change_allowed(q->path)))
        r = answer_error(q, MHD_HTTP_METHOD_NOT_ALLOWED, "not in this way", q->allow);
    else if (!answered && resource_exists(q->path))
        r = answer_error(q, MHD_HTTP_METHOD_NOT_ALLOWED, "that can only be read", "GET it");
    else if (!answered)
        r = answer_error(q, MHD_HTTP_NOT_FOUND, "there is nothing here to change",
                         "POST /v1/peers, exit, reload, join, ping, trace; DELETE /v1/peers/KEY");
    explicit_bzero(e, sizeof *e);
    free(e);
    return r;
}
