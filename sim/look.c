// The only file that opens a node: node.h has no view of Babel, and needs none outside of tests.
#include "sim/look.h"

#include "core/node/node_private.h"

const struct babel *look_babel(const struct world_node *n)
{
    return n->node ? n->node->babel : NULL;
}

bool look_published(const struct world_node *n)
{
    return n->node && !n->node->routes_changed && !n->node->stale_since;
}

struct cost_of {
    const struct world_node *n;
    uint32_t link;
    uint16_t cost;
};

static void on_neighbour(void *ctx, const struct babel_neighbour *b)
{
    struct cost_of *c = ctx;
    struct link_info l;
    if (b->cost >= c->cost || linkset_info(c->n->node->links, b->slot, &l)) return;
    struct fwd_link f = {.used = true, .remote = l.endpoint};
    if (world_wire_of(c->n->world, c->n->index, &f) == (int64_t)c->link) c->cost = b->cost;
}

uint16_t look_cost(const struct world_node *n, uint32_t link)
{
    struct cost_of c = {n, link, BABEL_INFINITY};
    if (n->node) babel_each_neighbour(n->node->babel, on_neighbour, &c);
    return c.cost;
}

#define RTT_MIN 10000u
#define RTT_MAX 120000u
#define RTT_PENALTY 150u

uint16_t look_true_cost(const struct world_link *l)
{
    uint64_t arrives = 1000000 - l->k.loss_ppm; // of a million, one way
    if (l->cut[0] || l->cut[1] || arrives < 100000) return BABEL_INFINITY;
    uint64_t cost = (uint64_t)BABEL_COST_DEFAULT * 1000000 / arrives * 1000000 / arrives;
    uint64_t rtt = 2 * (uint64_t)l->k.delay_us;
    if (rtt > RTT_MAX) rtt = RTT_MAX;
    if (rtt > RTT_MIN) cost += RTT_PENALTY * (rtt - RTT_MIN) / (RTT_MAX - RTT_MIN);
    return cost < BABEL_INFINITY ? (uint16_t)cost : BABEL_INFINITY;
}
