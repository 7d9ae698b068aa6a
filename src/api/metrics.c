// /metrics: the Prometheus text format, version 0.0.4. Each name's samples stand together behind one TYPE line.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"

struct out {
    char *p;
    size_t n, cap;
    bool bad;
    char last[96]; // name of the latest counter, for its TYPE line
};

static void put(struct out *o, const char *fmt, ...) BW_PRINTF(2, 3);
static void put(struct out *o, const char *fmt, ...)
{
    for (;;) {
        va_list ap;
        va_start(ap, fmt);
        size_t room = o->cap - o->n;
        int n = vsnprintf(o->p ? o->p + o->n : NULL, room, fmt, ap);
        va_end(ap);
        if (o->bad || n < 0) return;
        if ((size_t)n < room) {
            o->n += (size_t)n;
            return;
        }
        size_t cap = 2 * o->cap + (size_t)n + 1024;
        char *p = realloc(o->p, cap);
        if (!p) {
            o->bad = true;
            return;
        }
        o->p = p;
        o->cap = cap;
    }
}

// A label's value with backslash, quote and newline escaped.
static const char *label(const char *s, char *buf, size_t size)
{
    size_t n = 0;
    for (; *s && n + 2 < size; s++) {
        if (*s == '\\' || *s == '"' || *s == '\n') buf[n++] = '\\';
        buf[n++] = *s == '\n' ? 'n' : *s;
    }
    buf[n] = 0;
    return buf;
}

static void head(struct out *o, const char *name, const char *type, const char *help)
{
    put(o, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void status(struct out *o, const struct view_status *s)
{
    char name[2 * VIEW_NAME], addr[BW_ADDR_TEXT];
    head(o, "byway_info", "gauge", "Who this node is.");
    put(o, "byway_info{name=\"%s\",address=\"%s\",version=\"%s\"} 1\n", label(s->name, name, sizeof name),
        bw_addr_text(&s->address, addr), BYWAY_VERSION);
    head(o, "byway_uptime_seconds", "counter", "Seconds since the node started.");
    put(o, "byway_uptime_seconds %llu\n", (unsigned long long)s->uptime_s);
    head(o, "byway_peers", "gauge", "Links that are up.");
    put(o, "byway_peers %u\n", s->peers);
    head(o, "byway_routes", "gauge", "Selected routes.");
    put(o, "byway_routes %u\n", s->routes);
    head(o, "byway_rx_bytes_total", "counter", "Bytes received from neighbours.");
    put(o, "byway_rx_bytes_total %llu\n", (unsigned long long)s->rx_bytes);
    head(o, "byway_tx_bytes_total", "counter", "Bytes sent to neighbours.");
    put(o, "byway_tx_bytes_total %llu\n", (unsigned long long)s->tx_bytes);
    head(o, "byway_exit_state", "gauge", "State of the way to the Internet: 1 for the state that holds.");
    for (int i = VIEW_EXIT_NONE; i <= VIEW_EXIT_LOST; i++) {
        put(o, "byway_exit_state{state=\"%s\"} %d\n", view_exit_state_name((enum view_exit_state)i),
            (int)s->exit_state == i);
    }
    head(o, "byway_share_state", "gauge", "State of sharing: 1 for the state that holds.");
    for (int i = VIEW_SHARE_OFF; i <= VIEW_SHARE_DOWN; i++) {
        put(o, "byway_share_state{state=\"%s\"} %d\n", view_share_state_name((enum view_share_state)i),
            (int)s->share_state == i);
    }
    head(o, "byway_share_clients", "gauge", "Clients that go out through this node.");
    put(o, "byway_share_clients %u\n", s->share_clients);
    head(o, "byway_problems", "gauge", "Problems that byway status names.");
    put(o, "byway_problems %u\n", s->problem_count);
}

struct peer_pass {
    struct out *o;
    int what;
};
enum { PEER_RX, PEER_TX, PEER_RTT, PEER_COST, PEER_FIELDS };
static const struct {
    const char *name, *type, *help;
} peer_field[PEER_FIELDS] = {
    {"byway_peer_rx_bytes_total", "counter", "Bytes received over a link."},
    {"byway_peer_tx_bytes_total", "counter", "Bytes sent over a link."},
    {"byway_peer_rtt_seconds", "gauge", "Round-trip time of a link."},
    {"byway_peer_cost", "gauge", "Cost of a link; 65535: unusable."},
};

static void peer(void *arg, const struct view_peer *p)
{
    const struct peer_pass *pass = arg;
    char key[BW_KEY_TEXT], name[2 * VIEW_NAME], link[2 * VIEW_LINK];
    if (pass->what == PEER_RTT && p->rtt_us < 0) return;
    put(pass->o, "%s{key=\"%s\",name=\"%s\",link=\"%s\"} ", peer_field[pass->what].name,
        bw_base64_encode(p->key, 32, key), label(p->name, name, sizeof name), label(p->link, link, sizeof link));
    switch (pass->what) {
    case PEER_RX: put(pass->o, "%llu\n", (unsigned long long)p->rx_bytes); break;
    case PEER_TX: put(pass->o, "%llu\n", (unsigned long long)p->tx_bytes); break;
    case PEER_RTT: put(pass->o, "%lld.%06lld\n", (long long)p->rtt_us / 1000000, (long long)p->rtt_us % 1000000); break;
    default: put(pass->o, "%u\n", p->cost);
    }
}

static void counter(void *arg, const struct view_counter *c)
{
    struct out *o = arg;
    char value[256];
    size_t n = strlen(c->name);
    if (strcmp(o->last, c->name)) {
        snprintf(o->last, sizeof o->last, "%s", c->name);
        put(o, "# TYPE %s %s\n", c->name, n > 6 && !strcmp(c->name + n - 6, "_total") ? "counter" : "gauge");
    }
    if (c->label)
        put(o, "%s{%s=\"%s\"} %llu\n", c->name, c->label, label(c->label_value, value, sizeof value),
            (unsigned long long)c->value);
    else put(o, "%s %llu\n", c->name, (unsigned long long)c->value);
}

char *metrics_text(const struct api_source *s, size_t *n)
{
    struct out o = {0};
    struct view_status *v = calloc(1, sizeof *v);
    if (!v) return NULL;
    s->status(s->ctx, v);
    status(&o, v);
    free(v);
    for (int i = 0; i < PEER_FIELDS; i++) {
        head(&o, peer_field[i].name, peer_field[i].type, peer_field[i].help);
        s->peers(s->ctx, peer, &(struct peer_pass){&o, i});
    }
    s->counters(s->ctx, counter, &o);
    if (o.bad) {
        free(o.p);
        return NULL;
    }
    *n = o.n;
    return o.p;
}
