// The plain lists: peers, routes, sessions, exits.
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

static const struct option peers_options[] = {
    {"--wide", NULL, false, "keys and endpoints as well"},
    {NULL, NULL, false, NULL},
};

static char *count_text(const json_t *o, const char *key, char out[32])
{
    snprintf(out, 32, "%.0f", number_of(o, key));
    return out;
}

// Babel's infinity is no cost to read.
static char *cost_text(const json_t *o, const char *key, char out[32])
{
    double v = number_of(o, key);
    snprintf(out, 32, v >= 65535 ? "-" : "%.0f", v);
    return out;
}

static void peer_row(struct table *t, const json_t *p, bool wide)
{
    char rtt[32], cost[32], rx[32], tx[32], shake[64] = "", span[32];
    const char *address = text_of(p, "address");
    const json_t *last = json_object_get(p, "last_handshake_s");
    if (json_is_number(last)) snprintf(shake, sizeof shake, "%s ago", text_span(json_number_value(last), span));
    if (!*address) address = wide ? "(stock)" : text_of(p, "key"); // what `byway peer remove` takes
    const char *name = text_of(p, "name"), *link = text_of(p, "link"), *state = text_of(p, "state"),
               *source = text_of(p, "source");
    text_rtt(json_object_get(p, "rtt_ms"), rtt);
    cost_text(p, "cost", cost);
    text_bytes(number_of(p, "rx_bytes"), rx);
    text_bytes(number_of(p, "tx_bytes"), tx);
    if (wide)
        table_row(t, name, address, link, state, rtt, cost, rx, tx, shake, source, text_of(p, "key"),
                  text_of(p, "endpoint"));
    else table_row(t, name, address, link, state, rtt, cost, rx, tx, shake, source);
}

static int peers(const struct typed *t)
{
    bool wide = given(t, "--wide");
    if (t->json) return http_print(t, "/v1/peers");
    json_t *list = http_get(t, "/v1/peers", NULL), *p;
    if (!list) return EXIT_FAILED;
    size_t i;
    struct table table = {.columns = wide ? 12 : 10, .right = {[4] = true, [5] = true, [6] = true, [7] = true}};
    if (wide)
        table_row(&table, "NAME", "ADDRESS", "LINK", "STATE", "RTT", "COST", "RECEIVED", "SENT", "HANDSHAKE", "SOURCE",
                  "KEY", "ENDPOINT");
    else
        table_row(&table, "NAME", "ADDRESS", "LINK", "STATE", "RTT", "COST", "RECEIVED", "SENT", "HANDSHAKE", "SOURCE");
    json_array_foreach(list, i, p) peer_row(&table, p, wide);
    table_print(&table, "no neighbours yet");
    json_decref(list);
    return EXIT_DONE;
}

static int routes(const struct typed *t)
{
    if (t->json) return http_print(t, "/v1/routes");
    json_t *list = http_get(t, "/v1/routes", NULL), *r;
    if (!list) return EXIT_FAILED;
    size_t i;
    struct table table = {.columns = 7, .right = {[2] = true, [6] = true}};
    table_row(&table, "USED", "PREFIX", "METRIC", "NEXT HOP", "LINK", "ROUTER", "SEQNO");
    json_array_foreach(list, i, r)
    {
        char metric[32], seqno[32];
        table_row(&table, json_is_true(json_object_get(r, "selected")) ? "yes" : "no", text_of(r, "prefix"),
                  cost_text(r, "metric", metric), text_of(r, "next_hop"), text_of(r, "link"), text_of(r, "router_id"),
                  count_text(r, "seqno", seqno));
    }
    table_print(&table, "no routes yet");
    json_decref(list);
    return EXIT_DONE;
}

static int sessions(const struct typed *t)
{
    if (t->json) return http_print(t, "/v1/sessions");
    json_t *list = http_get(t, "/v1/sessions", NULL), *s;
    if (!list) return EXIT_FAILED;
    size_t i;
    struct table table = {.columns = 7, .right = {[3] = true, [4] = true, [5] = true, [6] = true}};
    table_row(&table, "ADDRESS", "STATE", "CIPHER", "AGE", "RTT", "RECEIVED", "SENT");
    json_array_foreach(list, i, s)
    {
        char age[32] = "-", rtt[32], rx[32], tx[32];
        if (json_is_number(json_object_get(s, "age_s"))) text_span(number_of(s, "age_s"), age);
        table_row(&table, text_of(s, "address"), text_of(s, "state"), text_of(s, "cipher"), age,
                  text_rtt(json_object_get(s, "rtt_ms"), rtt), text_bytes(number_of(s, "rx_bytes"), rx),
                  text_bytes(number_of(s, "tx_bytes"), tx));
    }
    table_print(&table, "no end-to-end sessions");
    json_decref(list);
    return EXIT_DONE;
}

static int exits(const struct typed *t)
{
    if (t->json) return http_print(t, "/v1/exits");
    json_t *list = http_get(t, "/v1/exits", NULL), *e, *family;
    if (!list) return EXIT_FAILED;
    size_t i, k;
    struct table table = {.columns = 9, .right = {[4] = true, [5] = true, [6] = true, [8] = true}};
    table_row(&table, "NAME", "ADDRESS", "STATE", "VIA", "METRIC", "RTT", "LOSS", "CARRIES", "PRICE");
    json_array_foreach(list, i, e)
    {
        char metric[32], rtt[32], loss[32] = "-", price[32], families[64] = "";
        if (json_is_number(json_object_get(e, "loss_percent")))
            snprintf(loss, sizeof loss, "%.0f %%", number_of(e, "loss_percent"));
        json_array_foreach(json_object_get(e, "families"), k, family)
        {
            size_t n = strlen(families);
            snprintf(families + n, sizeof families - n, "%s%s", n ? " " : "",
                     json_is_string(family) ? json_string_value(family) : "");
        }
        table_row(&table, text_of(e, "name"), text_of(e, "address"), text_of(e, "state"), text_of(e, "via"),
                  cost_text(e, "metric", metric), text_rtt(json_object_get(e, "rtt_ms"), rtt), loss, families,
                  number_of(e, "price") > 0 ? count_text(e, "price", price) : "free");
    }
    table_print(&table, "nobody in reach shares Internet");
    json_decref(list);
    return EXIT_DONE;
}

const struct command cmd_peers = {
    .name = "peers",
    .words = "",
    .summary = "the neighbours, one line per link",
    .text = "Lists the links to neighbours. A neighbour that is joined by two ways (a cable and a radio, say) has two "
            "lines. A stock WireGuard peer "
            "has no mesh address; its key stands there instead.\n\nCOST is what a route over the link costs; the sum "
            "along the way decides.",
    .options = peers_options,
    .asks = true,
    .reads = true,
    .run = peers,
};
const struct command cmd_routes = {
    .name = "routes",
    .words = "",
    .summary = "the routes that are known, and which are used",
    .text = "Lists what the routing protocol knows: where each prefix can be reached, at what metric, and whether that "
            "way is the one in use. A metric of "
            "- is a way that has been taken back.",
    .asks = true,
    .reads = true,
    .run = routes,
};
const struct command cmd_sessions = {
    .name = "sessions",
    .words = "",
    .summary = "end-to-end sessions with other nodes",
    .text = "Lists the encrypted sessions between this node and nodes anywhere in the mesh. AGE is how long a session "
            "has had keys without a break; the keys themselves change every 90 to 120 s. RTT is that of the "
            "last handshake. `byway trace` shows the way.",
    .asks = true,
    .reads = true,
    .run = sessions,
};
const struct command cmd_exits = {
    .name = "exits",
    .words = "",
    .summary = "the nodes that share their Internet connection",
    .text =
        "Lists the exits that this node knows of, which one is in use, and what they carry. VIA is the neighbour, or "
        "the link, by which each is reached; LOSS is what part of the latest signs of life was lost, of those to "
        "which there is a tunnel. `byway exit use` chooses.",
    .asks = true,
    .reads = true,
    .run = exits,
};
