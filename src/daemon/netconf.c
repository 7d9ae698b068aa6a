#include "daemon/netconf.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/why.h"

#define METRIC 4870 // of our routes: whatever else the machine has for the same prefix comes first
#define ADDRS 12
#define RULES 10
#define FIXED_ROUTES 16 // besides believed prefixes
#define HALVES 7        // prefixes up to this length are pieces of a default route; fc00::/8 is not
#define LOOSE "2"       // rp_filter: a source must be routable, by whatever interface

struct set { // what stands, or shall stand, in the kernel
    struct os_ifaddr addr[ADDRS];
    unsigned addrs;
    struct os_rule rule[RULES];
    unsigned rules;
    struct os_route *route;
    unsigned routes, room;
};

struct netconf {
    struct os_nl *nl;
    struct os_sysctl *sysctl;
    struct set now;
    uint32_t ifindex;
    uint16_t mtu;  // as set; 0: not yet
    bool loose;    // we loosened rp_filter
    bool again;    // somebody may have taken things away: set everything anew
};

struct netconf *netconf_new(struct os_nl *nl, struct os_sysctl *sysctl)
{
    struct netconf *n = calloc(1, sizeof *n);
    if (!n) return NULL;
    n->nl = nl;
    n->sysctl = sysctl;
    return n;
}

void netconf_free(struct netconf *n)
{
    if (n) free(n->now.route);
    free(n);
}

void netconf_again(struct netconf *n)
{
    n->again = true;
}

static bool is_set(const struct bw_addr *a)
{
    return !bw_addr_is_zero(a);
}

// ---- what shall be ----

static void want_addr(struct set *s, const struct netconf_want *w, const struct bw_addr *a)
{
    if (!is_set(a) || s->addrs == ADDRS) return;
    s->addr[s->addrs++] = (struct os_ifaddr){.index = w->ifindex, .addr = *a, .len = 128, .flags = IFA_F_NODAD | IFA_F_NOPREFIXROUTE};
}

static void want_route(struct set *s, const struct os_route *r)
{
    BW_ASSERT(s->routes < s->room);
    s->route[s->routes++] = *r;
}

static void to_tun(struct set *s, const struct netconf_want *w, uint32_t table, const struct bw_prefix *dst, const struct bw_addr *src,
                   uint32_t mtu)
{
    struct os_route r = {.dst = *dst, .table = table, .out_if = w->ifindex, .metric = METRIC, .mtu = mtu};
    if (src) r.src = *src;
    want_route(s, &r);
}

static void want_mesh(struct set *s, const struct netconf_want *w)
{
    static const struct bw_prefix mesh = {{{0xfc}}, 8};
    want_addr(s, w, &w->mesh);
    if (w->shares) want_addr(s, w, &bw_addr_any_exit);
    to_tun(s, w, OS_NL_TABLE_MAIN, &mesh, &w->mesh, 0);
    for (unsigned i = 0; i < w->believed_count; i++) {
        const struct bw_prefix *p = &w->believed[i];
        to_tun(s, w, NETCONF_TABLE_MESH, p, !bw_prefix_is_v4(p) ? &w->mesh : is_set(&w->home4) ? &w->home4 : NULL, 0);
    }
}

static void want_share(struct set *s, const struct netconf_want *w)
{
    const struct exits_plan *p = &w->share;
    if (!p->wanted) return;
    want_addr(s, w, &p->gateway4);
    want_addr(s, w, &p->gateway6);
    if (p->pool4.len) to_tun(s, w, OS_NL_TABLE_MAIN, &p->pool4, &p->gateway4, p->mtu);
    if (p->pool6.len) to_tun(s, w, OS_NL_TABLE_MAIN, &p->pool6, &p->gateway6, p->mtu);
}

static void want_default(struct set *s, const struct netconf_want *w, bool v4, const struct bw_addr *inner)
{
    static const struct bw_prefix all4 = {{{[10] = 0xff, [11] = 0xff}}, 96}, all6;
    struct os_route r = {.dst = v4 ? all4 : all6, .table = NETCONF_TABLE};
    if (is_set(inner)) {
        r.out_if = w->ifindex;
        r.src = *inner;
        r.mtu = w->exit.mtu;
    } else {
        r.type = RTN_UNREACHABLE; // a family that the exit lacks must not leave beside the tunnel
    }
    want_route(s, &r);
}

static void want_exit(struct set *s, const struct netconf_want *w)
{
    const struct exitc_plan *p = &w->exit;
    if (!p->active) return;
    want_addr(s, w, &p->inner4);
    want_addr(s, w, &p->inner6);
    want_addr(s, w, &p->kept4);
    want_addr(s, w, &p->kept6);
    struct bw_prefix gateway4 = bw_prefix_host(&p->gateway4), gateway6 = bw_prefix_host(&p->gateway6);
    if (is_set(&p->inner4)) to_tun(s, w, OS_NL_TABLE_MAIN, &gateway4, &p->inner4, p->mtu); // also where the LAN uses 100.64.0.0/10
    if (is_set(&p->inner6)) to_tun(s, w, OS_NL_TABLE_MAIN, &gateway6, &p->inner6, p->mtu);
    want_default(s, w, true, &p->inner4);
    want_default(s, w, false, &p->inner6);
}

static void want_rule(struct set *s, bool v4, uint32_t priority, uint32_t table, int32_t suppress_len)
{
    bool lan = priority == NETCONF_RULE_LAN;
    s->rule[s->rules++] = (struct os_rule){.v4 = v4, .invert = !lan, .priority = priority, .table = table, .mark = lan ? 0 : NETCONF_MARK,
                                           .mask = lan ? 0 : UINT32_MAX, .suppress_len = suppress_len};
}

static void want_rules(struct set *s, const struct netconf_want *w)
{
    int32_t halves = w->killswitch ? HALVES : 0;
    for (int v4 = 0; v4 < 2; v4++) {
        if (w->exit.active || w->killswitch || w->believed_count) want_rule(s, v4, NETCONF_RULE_LAN, OS_NL_TABLE_MAIN, halves);
        if (w->believed_count) want_rule(s, v4, NETCONF_RULE_MESH, NETCONF_TABLE_MESH, halves);
        if (w->believed_count) want_rule(s, v4, NETCONF_RULE_LAST, NETCONF_TABLE_MESH, -1);
        if (w->exit.active) want_rule(s, v4, NETCONF_RULE_EXIT, NETCONF_TABLE, -1);
        if (w->killswitch) want_rule(s, v4, NETCONF_RULE_KILL, NETCONF_TABLE_KILL, -1);
    }
    if (!w->killswitch) return;
    static const struct bw_prefix all4 = {{{[10] = 0xff, [11] = 0xff}}, 96}, all6;
    want_route(s, &(struct os_route){.dst = all4, .table = NETCONF_TABLE_KILL, .type = RTN_UNREACHABLE});
    want_route(s, &(struct os_route){.dst = all6, .table = NETCONF_TABLE_KILL, .type = RTN_UNREACHABLE});
}

static int by_place(const void *x, const void *y) // in the tables
{
    const struct os_route *a = x, *b = y;
    if (a->table != b->table) return a->table < b->table ? -1 : 1;
    int c = memcmp(&a->dst.addr, &b->dst.addr, sizeof a->dst.addr);
    return c ? c : a->dst.len - b->dst.len;
}

static int wanted(struct set *s, const struct netconf_want *w)
{
    *s = (struct set){.room = FIXED_ROUTES + w->believed_count};
    s->route = calloc(s->room, sizeof *s->route);
    if (!s->route) return BW_ERR_NOMEM;
    want_mesh(s, w);
    want_share(s, w);
    want_exit(s, w);
    want_rules(s, w);
    qsort(s->route, s->routes, sizeof *s->route, by_place);
    return 0;
}

// ---- from what is to what shall be ----

static const struct os_route *route_in(const struct set *s, const struct os_route *r)
{
    return s->routes ? bsearch(r, s->route, s->routes, sizeof *r, by_place) : NULL;
}

static bool same_route(const struct os_route *a, const struct os_route *b)
{
    return a->type == b->type && a->out_if == b->out_if && bw_addr_eq(&a->src, &b->src) && a->mtu == b->mtu;
}

static bool addr_in(const struct set *s, const struct os_ifaddr *a)
{
    for (unsigned i = 0; i < s->addrs; i++)
        if (bw_addr_eq(&s->addr[i].addr, &a->addr)) return true;
    return false;
}

static bool rule_in(const struct set *s, const struct os_rule *r)
{
    for (unsigned i = 0; i < s->rules; i++)
        if (s->rule[i].v4 == r->v4 && s->rule[i].priority == r->priority && s->rule[i].suppress_len == r->suppress_len) return true;
    return false;
}

static int failed(struct netconf *n, int err, const char *what, const char *which, char *why, size_t size)
{
    return os_why(err, why, size, "%s %s could not be set: %s", what, which, os_nl_error(n->nl));
}

static int add_addrs(struct netconf *n, const struct set *s, char *why, size_t size)
{
    char text[BW_ADDR_TEXT];
    for (unsigned i = 0; i < s->addrs; i++) {
        if (!n->again && addr_in(&n->now, &s->addr[i])) continue;
        int err = os_nl_addr_add(n->nl, &s->addr[i]);
        if (err) return failed(n, err, "address", bw_addr_text(&s->addr[i].addr, text), why, size);
    }
    return 0;
}

static int add_routes(struct netconf *n, const struct set *s, char *why, size_t size)
{
    char text[BW_PREFIX_TEXT];
    for (unsigned i = 0; i < s->routes; i++) {
        const struct os_route *old = route_in(&n->now, &s->route[i]);
        if (!n->again && old && same_route(old, &s->route[i])) continue;
        int err = os_nl_route_replace(n->nl, &s->route[i]);
        if (err) return failed(n, err, "route", bw_prefix_text(&s->route[i].dst, text), why, size);
    }
    return 0;
}

static int add_rules(struct netconf *n, const struct set *s, char *why, size_t size)
{
    char text[16];
    for (unsigned i = 0; i < s->rules; i++) {
        if (!n->again && rule_in(&n->now, &s->rule[i])) continue;
        int err = os_nl_rule_add(n->nl, &s->rule[i]);
        snprintf(text, sizeof text, "%u", s->rule[i].priority);
        if (err && err != BW_ERR_EXISTS) return failed(n, err, "policy rule", text, why, size);
    }
    return 0;
}

// Whatever is gone already is as it should be.
static void take_away(struct netconf *n, const struct set *keep)
{
    struct set *s = &n->now;
    for (unsigned i = 0; i < s->rules; i++)
        if (!rule_in(keep, &s->rule[i]) && os_nl_rule_del(n->nl, &s->rule[i])) continue;
    for (unsigned i = 0; i < s->routes; i++)
        if (!route_in(keep, &s->route[i]) && os_nl_route_del(n->nl, &s->route[i])) continue;
    for (unsigned i = 0; i < s->addrs; i++)
        if (!addr_in(keep, &s->addr[i]) && os_nl_addr_del(n->nl, &s->addr[i])) continue;
}

// ---- reverse path filter ----

static int strict_one(void *ctx, const struct os_link *l)
{
    char name[64], value[OS_SYSCTL_VALUE];
    (void)ctx;
    snprintf(name, sizeof name, "net/ipv4/conf/%s/rp_filter", l->name);
    return !os_sysctl_read(name, value) && !strcmp(value, "1");
}

static bool strict_somewhere(struct netconf *n)
{
    char value[OS_SYSCTL_VALUE];
    if (!os_sysctl_read("net/ipv4/conf/all/rp_filter", value) && !strcmp(value, "1")) return true;
    return os_nl_links(n->nl, strict_one, NULL) == 1;
}

// A strict filter asks by which interface it would answer an unmarked packet, finds the tunnel, and drops what the underlay
// receives. A loose one is content if the source can be reached at all. The value for "all" counts where it is the higher.
static int filter(struct netconf *n, bool policy, char *why, size_t size)
{
    if (!n->sysctl || policy == n->loose) return 0;
    if (!policy) {
        os_sysctl_restore(n->sysctl, "net/ipv4/conf/all/rp_filter");
        n->loose = false;
        return 0;
    }
    if (!strict_somewhere(n)) return 0;
    int err = os_sysctl_set(n->sysctl, "net/ipv4/conf/all/rp_filter", LOOSE, why, size);
    if (!err) n->loose = true;
    return err;
}

// ---- the whole ----

int netconf_clean(struct netconf *n, char *why, size_t size)
{
    int err = os_nl_cleanup(n->nl);
    if (err >= 0) return 0;
    return os_why(err, why, size, "routes of an earlier run could not be removed: %s", os_nl_error(n->nl));
}

static int link_up(struct netconf *n, const struct netconf_want *w, char *why, size_t size)
{
    if (n->ifindex == w->ifindex && n->mtu == w->mtu && !n->again) return 0;
    int err = os_nl_link_set(n->nl, w->ifindex, true, w->mtu);
    if (err) return os_why(err, why, size, "%s could not be brought up: %s", w->tun, os_nl_error(n->nl));
    n->ifindex = w->ifindex;
    n->mtu = w->mtu;
    return 0;
}

int netconf_apply(struct netconf *n, const struct netconf_want *w, char *why, size_t size)
{
    struct set s;
    if (wanted(&s, w)) return os_why(BW_ERR_NOMEM, why, size, "no memory for routes");
    int err = link_up(n, w, why, size);
    if (!err) err = filter(n, s.rules > 0, why, size);
    if (!err) err = add_addrs(n, &s, why, size);
    if (!err) err = add_routes(n, &s, why, size);
    if (!err) err = add_rules(n, &s, why, size);
    take_away(n, &s);
    free(n->now.route);
    n->now = s;
    n->again = err != 0; // after a failure everything is tried again next time
    return err;
}

void netconf_remove(struct netconf *n)
{
    static const struct set nothing;
    char why[OS_WHY];
    // Down first: the firewall goes next, and until the interface itself goes nothing may come in by it.
    if (n->ifindex && os_nl_link_set(n->nl, n->ifindex, false, n->mtu)) {} // somebody removed it
    take_away(n, &nothing);
    free(n->now.route);
    n->now = nothing;
    n->ifindex = 0;
    n->mtu = 0;
    if (filter(n, false, why, sizeof why)) {} // os_sysctl_close, or the next start, tries again
}
