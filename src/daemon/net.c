// The machine's own network: discovery interfaces as they come and go, local prefixes, default routes outside the TUN.
#include "daemon/daemon_private.h"

#include <stdlib.h>

#include "core/discover/discover.h"
#include "os/local.h"

#define REFRESH_DELAY (30 * BW_MS) // changes come in swarms

static bool is_lan(const struct daemon *d, const char *name)
{
    for (uint32_t i = 0; i < d->config.lan.count; i++)
        if (!strcmp(d->config.lan.interfaces[i], name)) return true;
    return false;
}

static void on_iface(void *ctx, const struct os_iface *i, bool present)
{
    struct daemon *d = ctx;
    if (is_lan(d, i->name)) return; // a house's machines are clients, not neighbours
    if (present) {
        if (os_udp_join(d->beacons_open ? &d->beacons : &d->udp[0], &discover_group, i->index))
            bw_log(&d->log, BW_WARN, "%s: cannot listen for beacons there", i->name);
        node_iface_add(d->node, i->index, i->name, os_clock_now());
    } else {
        os_udp_leave(d->beacons_open ? &d->beacons : &d->udp[0], &discover_group, i->index);
        node_iface_remove(d->node, i->index, os_clock_now());
    }
    bw_log(&d->log, BW_INFO, "%s: %s", i->name, present ? "looking for neighbours" : "gone");
    if (d->ifwatch) daemon_turn(d); // not from within net_open
}

static void on_any(void *ctx, const struct os_nl_event *e)
{
    struct daemon *d = ctx;
    if (e->what == OS_NL_LINK && e->gone && e->link.index == d->tun.ifindex && !d->stopping) {
        daemon_fail(d, "the interface %s was removed by somebody: the node ends (start it again)", d->tun.name);
        daemon_end(d);
        return;
    }
    // Ours can be taken away by others (a network manager that restarts); our own doing is harmless to repeat once.
    if (e->what == OS_NL_RESYNC || (e->gone && e->what == OS_NL_ROUTE && e->route.protocol == OS_NL_PROTO) ||
        (e->gone && e->what == OS_NL_RULE && e->rule.protocol == OS_NL_PROTO))
        d->routes_lost = true;
    os_timer_at(d->renet, os_clock_now() + REFRESH_DELAY);
}

static void on_renet(void *ctx)
{
    struct daemon *d = ctx;
    net_refresh(d);
    setup_upstreams(d);
    if (d->config.lan.count) d->setup_dirty = true; // perhaps one of its interfaces, or another resolver
    if (d->routes_lost) {
        netconf_again(d->netconf);
        d->setup_dirty = true;
        d->routes_lost = false;
    }
    daemon_turn(d);
}

static struct os_ifwatch_config watch_config(const struct daemon *d, const char *names[CONFIG_INTERFACES])
{
    const struct config_discover *c = &d->config.discover;
    for (uint32_t i = 0; i < c->count; i++) names[i] = c->interfaces[i];
    return (struct os_ifwatch_config){.mode = c->mode == CONFIG_DISCOVER_AUTO   ? OS_IFWATCH_AUTO
                                              : c->mode == CONFIG_DISCOVER_LIST ? OS_IFWATCH_LIST
                                                                                : OS_IFWATCH_NONE,
                                      .names = names, .name_count = c->count, .skip = d->tun.name};
}

// Beacons are heard on the discovery port only; if links use another port, that takes a socket of its own.
static void on_beacon(void *ctx, int events)
{
    struct daemon *d = ctx;
    static uint8_t buf[2048];
    (void)events;
    int fds[2] = {d->beacons.fd4, d->beacons.fd6};
    for (int i = 0; i < 2; i++) {
        for (int k = 0; fds[i] >= 0 && k < 32; k++) {
            struct os_udp_train t = {.data = buf, .room = sizeof buf};
            if (os_udp_receive(fds[i], &t, 1) != 1) break;
            struct fwd_punt p = {.kind = FWD_PUNT_HANDSHAKE, .link = FWD_NO_LINK, .remote = t.remote, .ifindex = t.ifindex,
                                 .data = t.data, .len = t.len < t.seg ? t.len : t.seg};
            node_punt(d->node, &p, os_clock_now(), os_clock_unix_ns());
        }
    }
    daemon_turn(d);
}

static int open_beacons(struct daemon *d, char *why, size_t n)
{
    char err[OS_ERROR_TEXT];
    struct os_udp_options o = {.port = DISCOVER_PORT, .mark = NETCONF_MARK, .share = true, .join = true};
    if (d->config.listen.port == DISCOVER_PORT || d->config.discover.mode == CONFIG_DISCOVER_NONE) return 0;
    if (os_udp_open(&d->beacons, &o, err)) return os_why(BW_ERR_SYS, why, n, "no beacons on UDP port %d: %s", DISCOVER_PORT, err);
    d->beacons_open = true;
    int fds[2] = {d->beacons.fd4, d->beacons.fd6};
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0 && os_watch_open(&d->loop, fds[i], UV_READABLE, on_beacon, d, &d->beacon_watch[i]))
            return os_why(BW_ERR_NOMEM, why, n, "no memory");
    return 0;
}

int net_open(struct daemon *d, char *why, size_t n)
{
    const char *names[CONFIG_INTERFACES];
    int err = open_beacons(d, why, n);
    if (err) return err;
    if (os_timer_open(&d->loop, on_renet, d, &d->renet)) return os_why(BW_ERR_NOMEM, why, n, "no memory");
    net_refresh(d);
    struct os_ifwatch_config c = watch_config(d, names);
    return os_ifwatch_open(&d->loop, d->nl, &c, on_iface, on_any, d, &d->ifwatch, why, n);
}

int net_discovery(struct daemon *d)
{
    const char *names[CONFIG_INTERFACES];
    struct os_ifwatch_config c = watch_config(d, names);
    return os_ifwatch_reload(d->ifwatch, &c);
}

struct prefixes {
    struct bw_prefix *v;
    unsigned count, room;
};

static int add_prefix(void *ctx, const struct bw_prefix *p, uint32_t index)
{
    struct prefixes *l = ctx;
    (void)index;
    if (l->count == l->room) {
        unsigned room = l->room ? 2 * l->room : 64;
        struct bw_prefix *more = realloc(l->v, room * sizeof *more);
        if (!more) return BW_ERR_NOMEM;
        l->v = more;
        l->room = room;
    }
    l->v[l->count++] = *p;
    return 0;
}

static int by_prefix(const void *x, const void *y)
{
    const struct bw_prefix *a = x, *b = y;
    int c = memcmp(&a->addr, &b->addr, sizeof a->addr);
    return c ? c : a->len - b->len;
}

static void refresh_local(struct daemon *d)
{
    struct prefixes l = {0};
    unsigned count = 0;
    int err = os_local_prefixes(d->nl, d->tun.ifindex, add_prefix, &l);
    if (err) {
        bw_log(&d->log, BW_WARN, "the kernel's routes cannot be read: %s", err == BW_ERR_NOMEM ? "no memory" : os_nl_error(d->nl));
        free(l.v); // the old list stands
        return;
    }
    if (l.count) qsort(l.v, l.count, sizeof *l.v, by_prefix);
    for (unsigned i = 0; i < l.count; i++)
        if (!count || !bw_prefix_eq(&l.v[count - 1], &l.v[i])) l.v[count++] = l.v[i];
    bool too_many = count > DAEMON_PREFIXES;
    char text[160];
    snprintf(text, sizeof text, "this machine has %u networks and routes of its own, only %u are looked at", count, DAEMON_PREFIXES);
    if (too_many && !d->problems[PROBLEM_PREFIXES].on) bw_log(&d->log, BW_WARN, "%s", text);
    daemon_problem(d, PROBLEM_PREFIXES, too_many, "too-many-networks", text,
                   "neighbours may announce the others, and clients may reach them: `![NETWORK]` in routing.import forbids the one");
    free(d->local);
    d->local = l.v;
    d->local_count = too_many ? DAEMON_PREFIXES : count;
}

struct onlink {
    struct node_onlink v[NODE_ONLINK_MAX];
    unsigned count;
};

static int add_onlink(void *ctx, const struct bw_prefix *p, uint32_t index)
{
    struct onlink *o = ctx;
    if (o->count < NODE_ONLINK_MAX) o->v[o->count++] = (struct node_onlink){*p, index};
    return 0;
}

static int match_index(void *ctx, const struct os_link *l)
{
    struct os_link *want = ctx;
    if (l->index != want->index) return 0;
    *want = *l;
    return 1;
}

static bool uplink_name(struct daemon *d, bool v4, char out[16])
{
    struct os_route r;
    out[0] = 0;
    if (os_local_uplink(d->nl, v4, d->tun.ifindex, &r)) return false;
    struct os_link l = {.index = r.out_if};
    if (os_nl_links(d->nl, match_index, &l) != 1) return false;
    memcpy(out, l.name, 16);
    return true;
}

void net_refresh(struct daemon *d)
{
    char up4[16] = "", up6[16] = "";
    refresh_local(d);
    struct onlink onlink = {.count = 0};
    if (!os_local_onlink(d->nl, d->tun.ifindex, add_onlink, &onlink)) node_onlink(d->node, onlink.v, onlink.count);
    bool v4 = uplink_name(d, true, up4), v6 = uplink_name(d, false, up6);
    bool other = memcmp(up4, d->uplink4, 16) || memcmp(up6, d->uplink6, 16);
    memcpy(d->uplink4, up4, 16);
    memcpy(d->uplink6, up6, 16);
    if (other) {
        d->setup_dirty = true;
        if (d->ready_told) reload_share(d); // before that it is too early: stored leases come first
    }
    node_local(d->node, d->local, d->local_count, os_clock_now());
    node_uplink(d->node, v4, v6, os_clock_now());
}

void net_close(struct daemon *d)
{
    os_ifwatch_close(d->ifwatch);
    os_timer_close(d->renet);
    for (int i = 0; i < 2; i++) os_watch_close(d->beacon_watch[i], false);
    if (d->beacons_open) os_udp_close(&d->beacons);
    free(d->local);
    d->local = NULL;
    d->local_count = 0;
    d->ifwatch = NULL;
    d->renet = NULL;
    d->beacons_open = false;
}
