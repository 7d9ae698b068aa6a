// Networks behind nodes: which of Babel's routes lead to whom, what those nodes confirm, and our own word for ours.
#include "core/node/node_private.h"

#include <stdio.h>

static void on_ask(void *ctx, uint32_t serial, const struct bw_addr *to)
{
    struct node *n = ctx;
    struct exitc_http r = {.to = *to, .method = "GET", .path = "/v1/export", .timeout_ms = (uint32_t)(EXPORT_ASK_TIME / BW_MS) - 1000};
    if (n->out.http) n->out.http(n->out.ctx, NODE_EXPORT_SERIAL | serial, &r);
}

static void on_changed(void *ctx)
{
    struct node *n = ctx;
    n->routes_changed = true;
}

static void on_again(void *ctx)
{
    struct node *n = ctx;
    n->exits_stale = true;
}

bool node_make_exporters(struct node *n)
{
    struct exporters_ops ops = {n, on_ask, on_changed, on_again};
    n->export_due = BW_NEVER;
    n->exporters = exporters_new(n->mem, n->config.id, n->hash_key, &ops);
    return n->exporters;
}

static void tell_network(void *ctx, const struct babel_route *r)
{
    struct node *n = ctx;
    if (!r->own && r->metric != BABEL_INFINITY && r->prefix.addr.b[0] != 0xfc) exporters_route(n->exporters, &r->prefix, r->router_id, r->slot, n->now);
}

static void tell_node(void *ctx, const struct babel_route *r)
{
    struct node *n = ctx;
    if (!r->own && r->metric != BABEL_INFINITY && r->prefix.len == 128 && bw_addr_is_mesh(&r->prefix.addr))
        exporters_node(n->exporters, &r->prefix.addr);
}

void node_tell_exports(struct node *n)
{
    if (!n->believed.count && exporters_none(n->exporters)) return; // most meshes: each change would cost a look at every route
    exporters_begin(n->exporters);
    babel_each_selected(n->babel, tell_network, n);
    babel_each_selected(n->babel, tell_node, n);
    exporters_end(n->exporters, n->now);
}

void node_export_tick(struct node *n)
{
    n->export_due = exporters_tick(n->exporters, n->now);
    if (n->exits_stale) n->export_due = n->now;
}

void node_export_answered(struct node *n, uint32_t serial, int status, const char *body, size_t len)
{
    exporters_answered(n->exporters, serial & ~NODE_EXPORT_SERIAL, status, body, len, n->now);
}

int node_export_request(struct node *n, const char *method, char *out, size_t cap, size_t *out_len)
{
    *out_len = 0;
    if (strcmp(method, "GET")) return 405;
    int len = exporters_own(n->config.id, n->exports.v, n->exports.count, n->unix_ns / 1000000000u, out, cap);
    if (len < 0) return 500;
    *out_len = (size_t)len;
    return 200;
}
