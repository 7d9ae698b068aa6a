// /metrics: the Prometheus text format, version 0.0.4. Each name's samples stand together behind one TYPE line.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"

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

static void head(struct bw_text *t, const char *name, const char *type, const char *help)
{
    bw_put(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void status(struct bw_text *t, const struct view_status *s)
{
    char name[2 * VIEW_NAME], addr[BW_ADDR_TEXT];
    head(t, "byway_info", "gauge", "Who this node is.");
    bw_put(t, "byway_info{name=\"%s\",address=\"%s\",version=\"%s\"} 1\n", label(s->name, name, sizeof name),
           bw_addr_text(&s->address, addr), BYWAY_VERSION);
    head(t, "byway_uptime_seconds", "counter", "Seconds since the node started.");
    bw_put(t, "byway_uptime_seconds %llu\n", (unsigned long long)s->uptime_s);
    head(t, "byway_peers", "gauge", "Links that are up.");
    bw_put(t, "byway_peers %u\n", s->peers);
    head(t, "byway_routes", "gauge", "Selected routes.");
    bw_put(t, "byway_routes %u\n", s->routes);
    head(t, "byway_rx_bytes_total", "counter", "Bytes received from neighbours.");
    bw_put(t, "byway_rx_bytes_total %llu\n", (unsigned long long)s->rx_bytes);
    head(t, "byway_tx_bytes_total", "counter", "Bytes sent to neighbours.");
    bw_put(t, "byway_tx_bytes_total %llu\n", (unsigned long long)s->tx_bytes);
    head(t, "byway_exit_state", "gauge", "State of the way to the Internet: 1 for the state that holds.");
    for (int i = VIEW_EXIT_NONE; i <= VIEW_EXIT_LOST; i++) {
        bw_put(t, "byway_exit_state{state=\"%s\"} %d\n", view_exit_state_name((enum view_exit_state)i),
               (int)s->exit_state == i);
    }
    head(t, "byway_share_state", "gauge", "State of sharing: 1 for the state that holds.");
    for (int i = VIEW_SHARE_OFF; i <= VIEW_SHARE_DOWN; i++) {
        bw_put(t, "byway_share_state{state=\"%s\"} %d\n", view_share_state_name((enum view_share_state)i),
               (int)s->share_state == i);
    }
    head(t, "byway_share_clients", "gauge", "Clients that go out through this node.");
    bw_put(t, "byway_share_clients %u\n", s->share_clients);
    head(t, "byway_problems", "gauge", "Problems that byway status names.");
    bw_put(t, "byway_problems %u\n", s->problem_count);
}

struct peer_pass {
    struct bw_text *t;
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
    bw_put(pass->t, "%s{key=\"%s\",name=\"%s\",link=\"%s\"} ", peer_field[pass->what].name,
           bw_base64_encode(p->key, 32, key), label(p->name, name, sizeof name), label(p->link, link, sizeof link));
    switch (pass->what) {
    case PEER_RX: bw_put(pass->t, "%llu\n", (unsigned long long)p->rx_bytes); break;
    case PEER_TX: bw_put(pass->t, "%llu\n", (unsigned long long)p->tx_bytes); break;
    case PEER_RTT: bw_put(pass->t, "%lld.%06lld\n", (long long)p->rtt_us / 1000000, (long long)p->rtt_us % 1000000); break;
    default: bw_put(pass->t, "%u\n", p->cost);
    }
}

struct counter_pass {
    struct bw_text *t;
    char last[96]; // name of the latest counter, for its TYPE line
};

static void counter(void *arg, const struct view_counter *c)
{
    struct counter_pass *pass = arg;
    char value[256];
    size_t n = strlen(c->name);
    if (strcmp(pass->last, c->name)) {
        snprintf(pass->last, sizeof pass->last, "%s", c->name);
        bw_put(pass->t, "# TYPE %s %s\n", c->name, n > 6 && !strcmp(c->name + n - 6, "_total") ? "counter" : "gauge");
    }
    if (c->label)
        bw_put(pass->t, "%s{%s=\"%s\"} %llu\n", c->name, c->label, label(c->label_value, value, sizeof value),
               (unsigned long long)c->value);
    else bw_put(pass->t, "%s %llu\n", c->name, (unsigned long long)c->value);
}

void metrics_text(const struct api_source *s, struct bw_text *t)
{
    struct view_status *v = calloc(1, sizeof *v);
    t->full |= !v;
    if (!v) return;
    s->status(s->ctx, v);
    status(t, v);
    free(v);
    for (int i = 0; i < PEER_FIELDS; i++) {
        head(t, peer_field[i].name, peer_field[i].type, peer_field[i].help);
        s->peers(s->ctx, peer, &(struct peer_pass){t, i});
    }
    s->counters(s->ctx, counter, &(struct counter_pass){.t = t});
}
