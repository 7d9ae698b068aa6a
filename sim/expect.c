#include "sim/expect.h"

#include "sim/look.h"

// How much longer than the shortest path a route may be for good. A cost is adopted when it has changed by more than a tenth
// (or a twenty-fifth for half a minute), told when the metric has changed by a sixteenth, and a better route has to last.
#define SAID_SLACK(d) ((d) / 8 + 40)
#define REAL_SLACK(d) ((d) / 3 + 80)

static const struct world *world_of(const struct paths *p) { return p->c->w; }
static bool runs(const struct paths *p, uint32_t n) { return world_of(p)->nodes[n].node; }

static bool reach(struct paths *p, uint32_t a, uint32_t b, char why[EXPECT_WHY])
{
    if (paths_taken(p, p->real, a, b) != PATH_FAR) return true; // over wires that are whole
    snprintf(why, EXPECT_WHY, "n%u does not reach n%u", a + 1, b + 1);
    return false;
}

static bool all_reach(struct paths *p, char why[EXPECT_WHY])
{
    uint32_t n = p->c->n;
    for (uint32_t d = 0; d < n; d++) {
        if (!runs(p, d)) continue;
        for (uint32_t a = 0; a < n; a++)
            if (runs(p, a) && paths_joined(p, a, d) && a != d && !reach(p, a, d, why)) return false;
    }
    return true;
}

static bool too_long(struct paths *p, uint32_t a, uint32_t d, const uint32_t *cost, bool real, char why[EXPECT_WHY])
{
    uint32_t best = p->dist[a], taken = paths_taken(p, cost, a, d);
    if (best == PATH_FAR) return false;
    if (taken != PATH_FAR && taken <= best + (real ? REAL_SLACK(best) : SAID_SLACK(best))) return false;
    char to[16] = "fc00::e";
    if (d < p->c->n) snprintf(to, sizeof to, "n%u", d + 1);
    if (taken == PATH_FAR) snprintf(why, EXPECT_WHY, "n%u has no way to %s, the shortest is %u", a + 1, to, best);
    else snprintf(why, EXPECT_WHY, "n%u's way to %s costs %u, the shortest is %u (%s costs)", a + 1, to, taken, best, real ? "true" : "said");
    return true;
}

static bool shortest(struct paths *p, char why[EXPECT_WHY])
{
    uint32_t n = p->c->n;
    for (uint32_t d = 0; d <= n; d++) {
        if (d < n && !runs(p, d)) continue;
        for (unsigned real = 0; real < 2; real++) {
            const uint32_t *cost = real ? p->real : p->said;
            paths_to(p, cost, d);
            for (uint32_t a = 0; a < n; a++)
                if (runs(p, a) && too_long(p, a, d, cost, real, why)) return false;
        }
    }
    return true;
}

static bool wire_fits(const struct paths *p, uint32_t i, char why[EXPECT_WHY])
{
    const struct world_link *l = &world_of(p)->links[i];
    if (l->alive_since == BW_NEVER) return true;
    for (unsigned way = 0; way < 2; way++) {
        uint32_t said = p->said[2 * i + way], real = p->real[2 * i + way];
        if (real == PATH_FAR) continue;
        uint32_t slack = l->k.loss_ppm || l->k.rate_bps ? real / 2 + 60 : real / 4 + 20;
        if (said != PATH_FAR && said <= real + slack && (said >= real || real - said <= slack)) continue;
        uint32_t from = way ? l->b : l->a, to = way ? l->a : l->b;
        if (said == PATH_FAR) snprintf(why, EXPECT_WHY, "n%u cannot use its wire to n%u", from + 1, to + 1);
        else snprintf(why, EXPECT_WHY, "n%u gives its wire to n%u the cost %u, it is worth %u", from + 1, to + 1, said, real);
        return false;
    }
    return true;
}

static bool links(struct paths *p, char why[EXPECT_WHY])
{
    for (uint32_t i = 0; i < world_of(p)->link_count; i++)
        if (!wire_fits(p, i, why)) return false;
    return true;
}

static bool uses_exit(const struct paths *p, uint32_t a, uint32_t b, char why[EXPECT_WHY])
{
    const struct world_node *n = &world_of(p)->nodes[a];
    struct exitc_plan plan = {0};
    if (n->node) internet_client_plan(node_internet(n->node), &plan);
    uint32_t exit = plan.active ? check_dest(p->c, &plan.exit) : UINT32_MAX;
    if (plan.active && (b == SCENARIO_ALL || exit == b) && exit < p->c->n && world_shares(&world_of(p)->nodes[exit])) return true;
    if (!plan.active) snprintf(why, EXPECT_WHY, "n%u uses no exit", a + 1);
    else snprintf(why, EXPECT_WHY, "n%u uses the exit n%u", a + 1, exit + 1);
    return false;
}

static bool all_online(const struct paths *p, char why[EXPECT_WHY])
{
    const struct world *w = world_of(p);
    for (uint32_t a = 0; a < p->c->n; a++) {
        bool some = false;
        if (!runs(p, a) || w->nodes[a].share) continue;
        for (uint32_t e = 0; e < p->c->n && !some; e++)
            some = runs(p, e) && w->nodes[e].share && w->nodes[e].uplink && paths_joined(p, a, e);
        if (some && !uses_exit(p, a, SCENARIO_ALL, why)) return false;
    }
    return true;
}

// ---- tidy: as many destinations as there are ----

static bool tidy(const struct paths *p, char why[EXPECT_WHY])
{
    const struct world *w = world_of(p);
    for (uint32_t a = 0; a < p->c->n; a++) {
        if (!runs(p, a)) continue;
        struct babel_totals t;
        uint32_t alive = 0, shares = 0;
        babel_totals(look_babel(&w->nodes[a]), &t);
        for (uint32_t d = 0; d < p->c->n; d++) {
            alive += runs(p, d) && paths_joined(p, a, d);
            shares += world_shares(&w->nodes[d]);
        }
        uint32_t links = 0;
        for (int s = -1; (s = linkset_next(node_links(w->nodes[a].node), s)) >= 0;) links++;
        uint32_t most = alive + (shares ? 1 : 0), sources = alive + shares + (w->nodes[a].share ? 1 : 0);
        if (t.dests <= most && t.sources <= sources && !t.requests && links <= w->nodes[a].link_count) continue;
        snprintf(why, EXPECT_WHY, "n%u keeps %u destinations (of %u), %u distances (of %u), %u requests, %u links (of %u)", a + 1, t.dests, most,
                 t.sources, sources, t.requests, links, w->nodes[a].link_count);
        return false;
    }
    return true;
}

static bool routes(const struct paths *p, const struct statement *t, char why[EXPECT_WHY])
{
    for (uint32_t a = 0; a < p->c->n; a++) {
        if ((t->a != SCENARIO_ALL && t->a != a) || !runs(p, a)) continue;
        struct babel_totals b;
        babel_totals(look_babel(&world_of(p)->nodes[a]), &b);
        if (b.selected >= t->number && b.selected <= t->number2) continue;
        snprintf(why, EXPECT_WHY, "n%u has %u routes", a + 1, b.selected);
        return false;
    }
    return true;
}

bool expect_holds(struct paths *p, const struct statement *t, char why[EXPECT_WHY])
{
    paths_look(p);
    switch (t->is) {
    case IS_REACH: return t->a == SCENARIO_ALL ? all_reach(p, why) : reach(p, t->a, t->b, why);
    case IS_LOST:
        if (check_next(p->c, t->a, t->b) >= HELD_HOP) return true;
        snprintf(why, EXPECT_WHY, "n%u has a route to n%u by n%u", t->a + 1, t->b + 1, check_next(p->c, t->a, t->b) + 1u);
        return false;
    case IS_VIA:
        if (check_next(p->c, t->a, t->b) == t->c) return true;
        if (check_next(p->c, t->a, t->b) >= HELD_HOP) snprintf(why, EXPECT_WHY, "n%u has no route to n%u", t->a + 1, t->b + 1);
        else snprintf(why, EXPECT_WHY, "n%u routes to n%u by n%u", t->a + 1, t->b + 1, check_next(p->c, t->a, t->b) + 1u);
        return false;
    case IS_SHORTEST: return shortest(p, why);
    case IS_LINKS: return links(p, why);
    case IS_EXIT: return t->a == SCENARIO_ALL ? all_online(p, why) : uses_exit(p, t->a, t->b, why);
    case IS_OFFLINE:
        if (!uses_exit(p, t->a, SCENARIO_ALL, why)) return true;
        snprintf(why, EXPECT_WHY, "n%u uses an exit", t->a + 1);
        return false;
    case IS_TIDY: return tidy(p, why);
    case IS_SETTLED: return links(p, why) && all_reach(p, why) && shortest(p, why) && all_online(p, why);
    case IS_ROUTES: return routes(p, t, why);
    case IS_DELIVERED: return true;
    }
    return true;
}
