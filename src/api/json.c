// Views to JSON, exactly as INTERFACES has it. Times in seconds, sizes in bytes, addresses as RFC 5952 text; what is not known is null.
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

static json_t *bytes(uint64_t n)
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

json_t *json_status(const struct view_status *s)
{
    json_t *problems = json_array();
    for (uint32_t i = 0; i < s->problem_count; i++) {
        const struct view_problem *p = &s->problems[i];
        json_array_append_new(problems, json_pack("{s:o, s:o, s:o}", "code", text(p->code), "text", text(p->text), "hint", text(p->hint)));
    }
    json_t *exit = json_pack("{s:s, s:o, s:o, s:I}", "state", view_exit_state_name(s->exit_state), "address", json_addr(&s->exit_address),
                             "via", text_or_null(s->exit_via), "since_s", (json_int_t)s->exit_since_s);
    json_t *share = json_pack("{s:s, s:I}", "state", view_share_state_name(s->share_state), "clients", (json_int_t)s->share_clients);
    return json_pack("{s:o, s:o, s:o, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "name", text(s->name), "address", json_addr(&s->address),
                     "key", json_key(s->key), "version", BYWAY_VERSION, "uptime_s", (json_int_t)s->uptime_s, "peers", (json_int_t)s->peers,
                     "routes", (json_int_t)s->routes, "exit", exit, "share", share, "rx_bytes", bytes(s->rx_bytes), "tx_bytes",
                     bytes(s->tx_bytes), "problems", problems);
}

static void add_peer(void *list, const struct view_peer *p)
{
    char endpoint[BW_ENDPOINT_TEXT];
    json_array_append_new(
        list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "name", text(p->name), "key", json_key(p->key), "address",
                        p->stock ? json_null() : json_addr(&p->address), "link", text(p->link), "endpoint",
                        p->endpoint.port ? json_string(bw_endpoint_text(&p->endpoint, endpoint)) : json_null(), "state", text(p->state), "rtt_ms",
                        ms(p->rtt_us), "cost", (json_int_t)p->cost, "rx_bytes", bytes(p->rx_bytes), "tx_bytes", bytes(p->tx_bytes),
                        "last_handshake_s", p->last_handshake_s < 0 ? json_null() : json_integer(p->last_handshake_s), "source", text(p->source)));
}

static void add_route(void *list, const struct view_route *r)
{
    char prefix[BW_PREFIX_TEXT], id[24];
    for (int i = 0; i < 8; i++) {
        bw_hex_encode(&r->router_id[i], 1, id + 3 * i);
        if (i < 7) id[3 * i + 2] = ':';
    }
    json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:o, s:o, s:b, s:I}", "prefix", bw_prefix_text(&r->prefix, prefix), "router_id", id,
                                          "metric", (json_int_t)r->metric, "next_hop", json_addr(&r->next_hop), "link", text_or_null(r->link),
                                          "selected", (int)r->selected, "seqno", (json_int_t)r->seqno));
}

static void add_session(void *list, const struct view_session *s)
{
    json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "address", json_addr(&s->address), "state", text(s->state), "cipher",
                                          text(s->cipher), "rtt_ms", ms(s->rtt_us), "rx_bytes", bytes(s->rx_bytes), "tx_bytes", bytes(s->tx_bytes)));
}

static void add_exit(void *list, const struct view_exit *e)
{
    json_t *families = json_array();
    if (e->v4) json_array_append_new(families, json_string("ipv4"));
    if (e->v6) json_array_append_new(families, json_string("ipv6"));
    json_array_append_new(list, json_pack("{s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "address", json_addr(&e->address), "name", text(e->name), "metric",
                                          (json_int_t)e->metric, "rtt_ms", ms(e->rtt_us), "state", text(e->state), "families", families, "price",
                                          bytes(e->price)));
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
