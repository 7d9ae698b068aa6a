// Views to JSON, exactly as INTERFACES has it. Times in seconds, sizes in bytes, addresses as RFC 5952 text; what is
// not known is null.
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"

// Text from elsewhere (names of other nodes) may not be UTF-8: jansson then gives nothing, and we say "".
static json_t *text(const char *s)
{
    json_t *j = json_string(s);
    return j ? j : json_string("");
}

static json_t *text_or_null(const char *s)
{
    return *s ? text(s) : json_null();
}

static json_t *ms(int64_t us)
{
    return us < 0 ? json_null() : json_real((double)us / 1000);
}

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)(n > INT64_MAX ? INT64_MAX : n));
}

json_t *json_addr(const struct bw_addr *a)
{
    char t[BW_ADDR_TEXT];
    return bw_addr_is_zero(a) ? json_null() : json_string(bw_addr_text(a, t));
}

json_t *json_key(const uint8_t key[32])
{
    char t[BW_KEY_TEXT];
    return json_string(bw_base64_encode(key, 32, t));
}

char *json_print(const json_t *j)
{
    return json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(9));
}

// Takes value. Order in the text is the order of these calls.
static void set(json_t *o, const char *name, json_t *value)
{
    json_object_set_new(o, name, value);
}

static json_t *problems(const struct view_status *s)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->problem_count; i++) {
        json_t *o = json_object();
        set(o, "code", text(s->problems[i].code));
        set(o, "text", text(s->problems[i].text));
        set(o, "hint", text(s->problems[i].hint));
        json_array_append_new(list, o);
    }
    return list;
}

json_t *json_status(const struct view_status *s)
{
    json_t *o = json_object(), *exit = json_object(), *share = json_object();
    set(exit, "state", text(view_exit_state_name(s->exit_state)));
    set(exit, "address", json_addr(&s->exit_address));
    set(exit, "via", text_or_null(s->exit_via));
    set(exit, "since_s", number(s->exit_since_s));
    set(share, "state", text(view_share_state_name(s->share_state)));
    set(share, "clients", number(s->share_clients));
    set(o, "name", text(s->name));
    set(o, "address", json_addr(&s->address));
    set(o, "key", json_key(s->key));
    set(o, "version", text(BYWAY_VERSION));
    set(o, "uptime_s", number(s->uptime_s));
    set(o, "peers", number(s->peers));
    set(o, "routes", number(s->routes));
    set(o, "exit", exit);
    set(o, "share", share);
    set(o, "rx_bytes", number(s->rx_bytes));
    set(o, "tx_bytes", number(s->tx_bytes));
    set(o, "problems", problems(s));
    return o;
}

static void add_peer(void *list, const struct view_peer *p)
{
    char endpoint[BW_ENDPOINT_TEXT];
    json_t *o = json_object();
    set(o, "name", text(p->name));
    set(o, "key", json_key(p->key));
    set(o, "address", p->stock ? json_null() : json_addr(&p->address));
    set(o, "link", text(p->link));
    set(o, "endpoint", p->endpoint.port ? text(bw_endpoint_text(&p->endpoint, endpoint)) : json_null());
    set(o, "state", text(p->state));
    set(o, "rtt_ms", ms(p->rtt_us));
    set(o, "cost", number(p->cost));
    set(o, "rx_bytes", number(p->rx_bytes));
    set(o, "tx_bytes", number(p->tx_bytes));
    set(o, "last_handshake_s", p->last_handshake_s < 0 ? json_null() : json_integer(p->last_handshake_s));
    set(o, "source", text(p->source));
    json_array_append_new(list, o);
}

// As babeld and bird print it: eight pairs of digits.
static char *router_id_text(const uint8_t id[8], char out[24])
{
    for (int i = 0; i < 8; i++) {
        bw_hex_encode(&id[i], 1, out + 3 * i);
        if (i < 7) out[3 * i + 2] = ':';
    }
    return out;
}

static void add_route(void *list, const struct view_route *r)
{
    char prefix[BW_PREFIX_TEXT], id[24];
    json_t *o = json_object();
    set(o, "prefix", text(bw_prefix_text(&r->prefix, prefix)));
    set(o, "router_id", text(router_id_text(r->router_id, id)));
    set(o, "metric", number(r->metric));
    set(o, "next_hop", json_addr(&r->next_hop));
    set(o, "link", text_or_null(r->link));
    set(o, "selected", json_boolean(r->selected));
    set(o, "seqno", number(r->seqno));
    json_array_append_new(list, o);
}

static void add_session(void *list, const struct view_session *s)
{
    json_t *o = json_object();
    set(o, "address", json_addr(&s->address));
    set(o, "state", text(s->state));
    set(o, "cipher", text(s->cipher));
    set(o, "age_s", s->age_s < 0 ? json_null() : json_integer(s->age_s));
    set(o, "rtt_ms", ms(s->rtt_us));
    set(o, "rx_bytes", number(s->rx_bytes));
    set(o, "tx_bytes", number(s->tx_bytes));
    json_array_append_new(list, o);
}

static void add_exit(void *list, const struct view_exit *e)
{
    json_t *o = json_object(), *families = json_array();
    if (e->v4) json_array_append_new(families, text("ipv4"));
    if (e->v6) json_array_append_new(families, text("ipv6"));
    set(o, "address", json_addr(&e->address));
    set(o, "name", text(e->name));
    set(o, "metric", number(e->metric));
    set(o, "rtt_ms", ms(e->rtt_us));
    set(o, "state", text(e->state));
    set(o, "families", families);
    set(o, "price", number(e->price));
    set(o, "via", text_or_null(e->via));
    set(o, "loss_percent", e->loss_percent < 0 ? json_null() : json_integer(e->loss_percent));
    json_array_append_new(list, o);
}

json_t *json_peers(const struct api_source *s)
{
    json_t *list = json_array();
    s->peers(s->ctx, add_peer, list);
    return list;
}

json_t *json_routes(const struct api_source *s)
{
    json_t *list = json_array();
    s->routes(s->ctx, add_route, list);
    return list;
}

json_t *json_sessions(const struct api_source *s)
{
    json_t *list = json_array();
    s->sessions(s->ctx, add_session, list);
    return list;
}

json_t *json_exits(const struct api_source *s)
{
    json_t *list = json_array();
    s->exits(s->ctx, add_exit, list);
    return list;
}
