// What people see of it: the status fields, the table of exits, counters.
#include <stdio.h>

#include "core/exit/client_parts.h"
#include "core/exit/internet_parts.h"

static void client_problems(const struct internet *i, struct view_status *v, bw_time now)
{
    const struct exitc *c = &i->client;
    bool without = c->state == VIEW_EXIT_SEARCHING || c->state == VIEW_EXIT_LOST || c->state == VIEW_EXIT_JOINING;
    if (!without || now - c->state_since < 5 * BW_S) return;
    char exit[BW_ADDR_TEXT], text[sizeof v->problems[0].text];
    if (c->use == EXITC_PINNED) {
        snprintf(text, sizeof text, "the chosen exit %s gives no Internet", bw_addr_text(&c->pinned, exit));
        view_add_problem(v, "exit-unreachable", text, "see whether it is up with `byway exits`, or take any: byway exit use auto");
    } else if (!c->any_route) {
        view_add_problem(v, "no-exit", "no node in reach shares an Internet connection",
                         "start one that has a connection with `byway run --share`, or connect this machine");
    } else {
        view_add_problem(v, "exit-silent", "an exit is announced, but none gives us a lease that works",
                         "`byway exits` lists them; the owner of one can see with `byway status` what is wrong there");
    }
}

static void slowed_problem(const struct internet *i, struct view_status *v)
{
    const struct exitc *c = &i->client;
    if (c->active < 0 || !*c->tunnel[c->active].lease.notice) return;
    char exit[BW_ADDR_TEXT], text[sizeof v->problems[0].text];
    const struct lease *l = &c->tunnel[c->active].lease;
    snprintf(text, sizeof text, "exit %.45s: %.107s", bw_addr_text(&l->address, exit), l->notice);
    view_add_problem(v, "exit-slowed", text, "`byway exits` lists other exits; byway exit use ADDRESS changes to one");
}

static void share_problems(const struct internet *i, struct view_status *v, bw_time now)
{
    const struct exits *s = &i->exits;
    if (!i->share) return;
    if (!s->plan.wanted && i->client.active >= 0 && i->use != EXITC_AUTO)
        view_add_problem(v, "share-behind-exit", "sharing is on, but this node goes out through another exit, so it does not share",
                         "choose one of the two: share = no, or use = auto");
    else if (s->plan.wanted && !s->plan.pool4.len)
        view_add_problem(v, "no-pool", "all of 100.64.0.0/10 is in use on this machine, so clients cannot be given addresses",
                         "remove routes inside 100.64.0.0/10");
    else if (!s->plan.on && uplink_settled(&i->uplink) && now - i->uplink_since >= 3 * BW_S)
        view_add_problem(v, "uplink-down", "sharing is on, but this machine's own Internet connection does not answer",
                         "mend the connection; it is shared by itself once it works again (what proves it: internet.probe)");
    if (exits_active(s) >= s->config.max_leases)
        view_add_problem(v, "pool-full", "all leases are taken; further clients are sent away", "share from a second node as well");
}

static enum view_share_state share_state(const struct internet *i)
{
    if (!i->share) return VIEW_SHARE_OFF;
    if (i->exits.plan.on) return VIEW_SHARE_ON;
    return uplink_settled(&i->uplink) ? VIEW_SHARE_DOWN : VIEW_SHARE_PROBING;
}

void internet_view_status(const struct internet *i, struct view_status *v, bw_time now)
{
    const struct exitc *c = &i->client;
    struct exitc_plan p;
    exitc_plan(c, &p);
    v->exit_state = c->state;
    v->exit_address = p.exit;
    v->exit_since_s = (now - c->state_since) / BW_S;
    v->share_state = share_state(i);
    v->share_clients = exits_active(&i->exits);
    client_problems(i, v, now);
    slowed_problem(i, v);
    share_problems(i, v, now);
}

static const struct exitc_tunnel *ready_tunnel(const struct exitc *c, const struct book_entry *e)
{
    for (int k = 0; k < EXITC_TUNNELS; k++) {
        const struct exitc_tunnel *t = &c->tunnel[k];
        if (t->state == EXITC_READY && bw_addr_eq(&t->exit, &e->address)) return t;
    }
    return NULL;
}

static const char *entry_state(const struct exitc *c, const struct book_entry *e, bw_time now)
{
    const struct exitc_tunnel *t = ready_tunnel(c, e);
    if (t) return c->active >= 0 && t == &c->tunnel[c->active] ? "active" : "standby";
    return e->metric < BOOK_UNREACHABLE && now >= e->blocked_until ? "available" : "failed";
}

void internet_view_exits(const struct internet *i, view_exit_fn *each, void *ctx, bw_time now)
{
    for (unsigned k = 0; k < BOOK_MAX; k++) {
        const struct book_entry *e = &i->book.entry[k];
        if (!e->used || !e->has_offer) continue;
        struct view_exit v = {.address = e->address, .metric = e->metric, .rtt_us = e->rtt_us, .v4 = e->offer.v4,
                              .v6 = e->offer.v6, .price = e->offer.price};
        snprintf(v.name, sizeof v.name, "%s", e->offer.name);
        snprintf(v.state, sizeof v.state, "%s", entry_state(&i->client, e, now));
        const struct exitc_tunnel *t = ready_tunnel(&i->client, e);
        v.loss_percent = t ? exitc_beat_loss(t, now) : -1;
        each(ctx, &v);
    }
}

void internet_view_counters(const struct internet *i, view_counter_fn *each, void *ctx)
{
    for (enum exits_count k = 0; k < EXITS_COUNTS; k++)
        each(ctx, &(struct view_counter){"byway_lease_requests_total", "result", exits_count_name(k), i->exits.counts[k]});
    each(ctx, &(struct view_counter){"byway_exit_failovers_total", NULL, NULL, i->client.failovers});
    each(ctx, &(struct view_counter){"byway_exit_unproven_total", NULL, NULL, i->client.unproven});
    each(ctx, &(struct view_counter){"byway_exit_forged_total", NULL, NULL, i->client.forged});
}
