#include "sim/report.h"

#include "sim/look.h"

struct writer {
    FILE *to;
    const char *before; // the next counter
};

// Named as in /metrics, a label's value behind a colon.
static void put_counter(void *ctx, const struct view_counter *v)
{
    struct writer *w = ctx;
    fprintf(w->to, "%s\"%s%s%s\":%llu", w->before, v->name, v->label ? ":" : "", v->label ? v->label_value : "", (unsigned long long)v->value);
    w->before = ",";
}

// What packets do, by the published table, and what Babel says it costs.
static void put_routes(FILE *to, const struct check *c, uint32_t node)
{
    const char *before = "";
    for (uint32_t d = 0; d < c->n; d++) {
        struct bw_prefix p = bw_prefix_host(&c->w->nodes[d].id.addr);
        struct babel_route r = {.metric = BABEL_INFINITY};
        uint16_t next = check_next(c, node, d);
        if (next >= HELD_HOP) continue;
        (void)babel_lookup(look_babel(&c->w->nodes[node]), &p, &r);
        fprintf(to, "%s\"n%u\":{\"via\":\"n%u\",\"metric\":%u}", before, d + 1, next + 1u, r.metric);
        before = ",";
    }
}

static void put_node(FILE *to, const struct check *c, uint32_t node)
{
    struct world_node *n = &c->w->nodes[node];
    struct writer w = {to, ""};
    uint64_t packets = 0, bytes = 0; // that it has put on its wires, in all its lives
    for (uint32_t i = 0; i < n->link_count; i++) {
        const struct world_link *l = &c->w->links[n->links[i]];
        packets += l->packets[l->a == node ? 0 : 1];
        bytes += l->bytes[l->a == node ? 0 : 1];
    }
    fprintf(to, ",\"wire_packets\":%llu,\"wire_bytes\":%llu,\"counters\":{", (unsigned long long)packets, (unsigned long long)bytes);
    if (n->node) node_view_counters(n->node, put_counter, &w);
    fprintf(to, "},\"routes\":{");
    if (n->node) put_routes(to, c, node);
    fprintf(to, "}");
}

void report_write(FILE *to, const struct check *c, bw_time at)
{
    for (uint32_t i = 0; i < c->n; i++) {
        fprintf(to, "{\"at_s\":%.3f,\"node\":\"n%u\",\"runs\":%s", (double)at / 1e6, i + 1, c->w->nodes[i].node ? "true" : "false");
        put_node(to, c, i);
        fprintf(to, "}\n");
    }
}
