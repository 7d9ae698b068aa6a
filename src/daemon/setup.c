// This machine follows the node's plans: addresses and routes (netconf), firewall and NAT (share), DNS, the mesh API at fc00::e.
#include "daemon/daemon_private.h"

#include "os/file.h"
#include "os/fwcheck.h"
#include "os/local.h"

#define NAMES_EVERY (2 * BW_S)  // how long others' changes of the resolvers' set-up last
#define NAMES_AGAIN (30 * BW_S) // after a failure: a program of others that hangs holds us up for two seconds

// Questions are kept off the uplink also where this machine's resolvers could not be told whom to ask, and where the exit has named
// nobody: then some names have no answer, but nobody in the LAN hears them.
static int apply_guard(struct daemon *d, char *why, size_t n)
{
    const struct config_internet *c = &d->config.internet;
    struct guard_rules r = {.tun = d->config.tun.interface, .killswitch = c->killswitch, .dns = c->dns && (c->killswitch || d->exit.active)};
    return guard_apply(&d->guard, &r, why, n);
}

// A kill switch outlives whatever was not meant to end.
static void lift_guard(struct daemon *d)
{
    char why[OS_WHY];
    const struct guard_rules nothing = {.tun = ""};
    if (d->config.internet.killswitch && !d->stopping)
        bw_log(&d->log, BW_WARN, "the kill switch stays: nothing leaves this machine until the node runs again (to lift it: " GUARD_LIFT ")");
    else if (guard_apply(&d->guard, &nothing, why, sizeof why))
        bw_log(&d->log, BW_ERROR, "the guard could not be lifted: %s (" GUARD_LIFT ")", why);
}

static void on_firewall_lost(void *ctx)
{
    struct daemon *d = ctx;
    if (!d->firewall_lost) bw_log(&d->log, BW_WARN, "somebody took byway's nftables rules away (nft flush ruleset?): they are put back");
    d->firewall_lost = d->setup_dirty = true;
    if (d->renet) os_timer_at(d->renet, os_clock_now());
}

static void watch_firewall(struct daemon *d)
{
    static const char *const tables[] = {SHARE_TABLE, GUARD_TABLE};
    char why[OS_WHY];
    if (os_nftwatch_open(&d->loop, tables, 2, on_firewall_lost, d, &d->nftwatch, why, sizeof why))
        bw_log(&d->log, BW_WARN, "%s: if somebody removes byway's rules, nobody puts them back", why);
}

// What others took away until now counts as gone; what we do from here on is not theirs.
static void firewall_begin(struct daemon *d)
{
    os_nftwatch_look(d->nftwatch);
    if (!d->firewall_lost) return;
    share_again(&d->share);
    guard_again(&d->guard);
    d->firewall_lost = false;
}

static void on_names(void *ctx);

static bool open_resolv(struct daemon *d, char *why, size_t n)
{
    if (d->resolv || !d->fixed.internet.dns) return d->resolv;
    if (os_resolv_open(d->state.dir, NULL, &d->resolv, why, n)) return false;
    os_resolv_interface(d->resolv, d->tun.name);
    return true;
}

int setup_guard(struct daemon *d, char *why, size_t n)
{
    int err = d->nft ? 0 : os_nft_open(&d->nft, why, n);
    if (err) return err;
    if (!d->guard_ready) guard_init(&d->guard, d->nft);
    d->guard_ready = true;
    return apply_guard(d, why, n);
}

int setup_open(struct daemon *d, char *why, size_t n)
{
    int err = setup_guard(d, why, n); // before anything of an earlier run is taken away
    if (err) return err;
    if (os_sysctl_open(d->store, &d->sysctl)) return os_why(BW_ERR_NOMEM, why, n, "no memory");
    share_init(&d->share, d->nft, d->sysctl);
    d->share_ready = true;
    if ((err = share_clean(&d->share, why, n))) return err;
    d->netconf = netconf_new(d->nl, d->sysctl);
    if (!d->netconf) return os_why(BW_ERR_NOMEM, why, n, "no memory");
    if ((err = netconf_clean(d->netconf, why, n))) return err;
    d->lan = lan_new(&d->loop, d->nl, d->store, &d->log, d->state.dir, &d->id.addr);
    if (!d->lan) return os_why(BW_ERR_NOMEM, why, n, "no memory");
    if ((err = lan_clean(d->lan, why, n))) return err;
    char dns_why[OS_WHY];
    if (!open_resolv(d, dns_why, sizeof dns_why) && d->config.internet.dns) bw_log(&d->log, BW_WARN, "DNS stays as it is: %s", dns_why);
    if (os_timer_open(&d->loop, on_names, d, &d->names)) return os_why(BW_ERR_NOMEM, why, n, "no memory");
    watch_firewall(d);
    return 0;
}

static int apply_netconf(struct daemon *d, const struct exits_plan *share, const struct exitc_plan *exit, char *why, size_t n)
{
    struct netconf_want w = {.tun = d->tun.name, .ifindex = d->tun.ifindex, .mesh = d->id.addr, .share = *share, .exit = *exit,
                             .mtu = d->config.tun.mtu ? d->config.tun.mtu : FWD_TUN_MTU,
                             .shares = internet_shares(node_internet(d->node)), .killswitch = d->config.internet.killswitch};
    w.believed = node_believed(d->node, &w.believed_count);
    const struct config_routing *c = &d->config.routing;
    for (unsigned i = 0; i < c->export_count && bw_addr_is_zero(&w.home4); i++)
        if (bw_prefix_is_v4(&c->exports[i]) && os_local_addr_in(d->nl, &c->exports[i], 1, &w.home4)) w.home4 = (struct bw_addr){{0}};
    return netconf_apply(d->netconf, &w, why, n);
}

static int apply_share(struct daemon *d, const struct exits_plan *share, const struct exitc_plan *exit, char *why, size_t n)
{
    const struct config *c = &d->config;
    struct bw_prefix imports[CONFIG_PREFIXES];
    unsigned count = 0;
    for (uint32_t i = 0; i < c->routing.import_count; i++)
        if (!c->routing.imports[i].deny) imports[count++] = c->routing.imports[i].prefix;
    const char *forced = c->internet.share == CONFIG_SHARE_INTERFACE ? c->internet.share_interface : NULL;
    unsigned lan_count;
    struct share_rules r = {
        .tun = d->tun.name,
        .mesh = d->id.addr,
        .shares = internet_shares(node_internet(d->node)),
        .allow = &c->firewall,
        .exports = c->routing.exports,
        .export_count = c->routing.export_count,
        .imports = imports,
        .import_count = count,
        .connected = d->local,
        .connected_count = d->local_count,
        .share = *share,
        .exit = *exit,
        .uplink4 = forced ? forced : *d->uplink4 ? d->uplink4 : NULL,
        .uplink6 = forced ? forced : *d->uplink6 ? d->uplink6 : NULL,
        .lan = lan_nets(d->lan, &lan_count),
        .stock = node_has_stock_internet(d->node),
        .connections = c->internet.connections,
        .connections_client = c->internet.connections_client,
        .block = c->internet.block,
        .block_count = c->internet.block_count,
        .mtu = c->tun.mtu ? c->tun.mtu : FWD_TUN_MTU,
    };
    r.lan_count = lan_count;
    return share_apply(&d->share, &r, why, n);
}

static size_t upstreams(struct daemon *d, struct bw_endpoint out[OS_DNSFWD_UPSTREAMS])
{
    char text[8192];
    if (d->resolv) return os_resolv_upstreams(d->resolv, out, OS_DNSFWD_UPSTREAMS);
    return os_file_read("/etc/resolv.conf", text, sizeof text) < 0 ? 0 : os_resolv_parse(text, out, OS_DNSFWD_UPSTREAMS);
}

void setup_upstreams(struct daemon *d)
{
    struct bw_endpoint up[OS_DNSFWD_UPSTREAMS];
    if (!d->dns[0] && !d->dns[1]) return;
    size_t count = upstreams(d, up);
    for (int i = 0; i < 2; i++)
        if (d->dns[i]) os_dnsfwd_upstreams(d->dns[i], up, count);
}

// The exit answers its clients' DNS questions at its inner addresses: a client that has only one family asks there.
static void apply_dns_at(struct daemon *d, int i, bool wanted, const struct bw_addr *at, const struct bw_prefix *pool)
{
    wanted = wanted && !bw_addr_is_zero(at);
    if (wanted && d->dns[i] && bw_addr_eq(&d->dns_at[i], at)) return;
    os_dnsfwd_close(d->dns[i]);
    d->dns[i] = NULL;
    if (!wanted) return;
    struct os_dnsfwd_config c = {.listen = {.addr = *at, .port = 53}, .mark = NETCONF_MARK, .clients = {*pool}, .client_count = 1};
    char why[OS_WHY];
    int err = os_dnsfwd_open(&d->loop, &c, &d->dns[i], why, sizeof why);
    d->dns_at[i] = *at;
    if (err) bw_log(&d->log, BW_WARN, "clients get no DNS from this exit: %s", why);
}

static void apply_dns_service(struct daemon *d, const struct exits_plan *share)
{
    apply_dns_at(d, 0, share->wanted, &share->gateway4, &share->pool4);
    apply_dns_at(d, 1, share->wanted, &share->gateway6, &share->pool6);
    setup_upstreams(d);
}

static void leave_dns(struct daemon *d)
{
    char why[OS_WHY] = "";
    d->dns_in_use = false;
    if (d->resolv && os_resolv_restore(d->resolv, why, sizeof why)) bw_log(&d->log, BW_WARN, "DNS was not put back: %s", why);
    daemon_problem(d, PROBLEM_DNS, false, "", "", "");
}

// This machine asks the exit's DNS server while it uses an exit.
static void apply_dns_use(struct daemon *d, const struct exitc_plan *exit)
{
    char why[OS_WHY] = "", how[64];
    bool wanted = exit->active && exit->dns_count && d->fixed.internet.dns && d->config.internet.dns;
    if (!wanted) {
        os_timer_at(d->names, BW_NEVER);
        leave_dns(d);
        return;
    }
    bool good = open_resolv(d, why, sizeof why) && os_resolv_may(NULL, why, sizeof why) &&
                !os_resolv_set(d->resolv, exit->dns, exit->dns_count, why, sizeof why);
    if (good && !d->dns_in_use) bw_log(&d->log, BW_INFO, "names are asked of the exit by way of %s", os_resolv_how(d->resolv, how));
    d->dns_in_use = good;
    os_timer_at(d->names, os_clock_now() + (good ? NAMES_EVERY : NAMES_AGAIN));
    daemon_problem(d, PROBLEM_DNS, !good, "dns-not-set", why,
                   "names do not resolve while the exit is in use, unless whom this machine asks is reached through it; or set internet.dns = none");
}

// A DHCP client that renews its lease writes its own servers there again, a systemd-resolved that was restarted knows none of ours.
static void on_names(void *ctx)
{
    struct daemon *d = ctx;
    struct exitc_plan exit;
    internet_client_plan(node_internet(d->node), &exit);
    apply_dns_use(d, &exit);
}

// Whom the house's machines ask: the exit, or whom this machine asks.
static size_t lan_servers(struct daemon *d, const struct exitc_plan *exit, struct bw_endpoint out[LAN_SERVERS])
{
    size_t n = 0;
    for (; exit->active && n < exit->dns_count && n < LAN_SERVERS; n++) out[n] = (struct bw_endpoint){.addr = exit->dns[n], .port = 53};
    return n ? n : upstreams(d, out);
}

static void apply_lan(struct daemon *d, const struct exitc_plan *exit)
{
    char why[OS_WHY] = "";
    struct bw_endpoint servers[LAN_SERVERS];
    struct lan_want w = {.config = &d->config.lan, .tun = d->tun.ifindex, .uplink4 = d->uplink4, .uplink6 = d->uplink6, .servers = servers};
    w.server_count = lan_servers(d, exit, servers);
    w.believed = node_believed(d->node, &w.believed_count);
    int err = lan_apply(d->lan, &w, why, sizeof why);
    const char *trouble = lan_trouble(d->lan);
    daemon_problem(d, PROBLEM_LAN, err || trouble, "lan", err ? why : trouble ? trouble : "", "the house behind this node may be without addresses or names");
}

static void apply_any_exit(struct daemon *d)
{
    bool wanted = internet_shares(node_internet(d->node));
    char why[OS_WHY];
    if (!d->api || wanted == d->any_listening) return;
    if (wanted && api_listen_mesh(d->api, &bw_addr_any_exit, SHARE_API_PORT, d->tun.name, why, sizeof why)) {
        bw_log(&d->log, BW_WARN, "clients cannot ask at fc00::e: %s", why);
        return;
    }
    if (!wanted) api_unlisten_mesh(d->api, &bw_addr_any_exit);
    d->any_listening = wanted;
}

static void check_foreign(struct daemon *d, const struct exits_plan *share)
{
    char which[OS_WHY] = "", text[OS_WHY + 64];
    bool drops = share->wanted && os_nft_foreign_forward_drop(d->nft, "inet " SHARE_TABLE, d->tun.name, which, sizeof which) == 1;
    snprintf(text, sizeof text, "%s drops what this exit forwards", which);
    daemon_problem(d, PROBLEM_FOREIGN, drops, "foreign-firewall", text,
                   "let it accept forwarded packets from and to the mesh interface, or it shares nothing");
}

void setup_apply(struct daemon *d)
{
    char why[OS_WHY] = "";
    struct exitc_plan exit;
    firewall_begin(d);
    bool bad = d->config.internet.killswitch && apply_guard(d, why, sizeof why); // first of all
    const struct exits_plan *share = internet_share_plan(node_internet(d->node));
    internet_client_plan(node_internet(d->node), &exit);
    d->exit = exit;
    d->setup_dirty = false;
    bad = apply_netconf(d, share, &exit, why, sizeof why);
    if (bad) bw_log(&d->log, BW_ERROR, "addresses or routes could not be set: %s", why);
    daemon_problem(d, PROBLEM_SETUP, bad, "network-setup", why, "see the log; `byway reload` tries again");
    apply_dns_use(d, &exit);
    apply_lan(d, &exit);
    bad = apply_share(d, share, &exit, why, sizeof why);
    if (bad) bw_log(&d->log, BW_ERROR, "the firewall could not be set: %s", why);
    daemon_problem(d, PROBLEM_FIREWALL, bad, "firewall-setup", why, "see the log; `byway reload` tries again");
    apply_dns_service(d, share);
    bad = apply_guard(d, why, sizeof why);
    if (bad) bw_log(&d->log, BW_ERROR, "the guard against leaks could not be set: %s", why);
    daemon_problem(d, PROBLEM_GUARD, bad, "guard-setup", why, "packets may leave beside the tunnel; see the log; `byway reload` tries again");
    os_nftwatch_mine(d->nftwatch);
    apply_any_exit(d);
    check_foreign(d, share);
}

void setup_close(struct daemon *d)
{
    os_nftwatch_close(d->nftwatch);
    d->nftwatch = NULL;
    for (int i = 0; i < 2; i++) os_dnsfwd_close(d->dns[i]);
    d->dns[0] = d->dns[1] = NULL;
    lan_close(d->lan);
    d->lan = NULL;
    os_timer_close(d->names);
    d->names = NULL;
    os_resolv_close(d->resolv);
    d->resolv = NULL;
    if (d->netconf) netconf_remove(d->netconf);
    netconf_free(d->netconf);
    d->netconf = NULL;
    if (d->share_ready) share_remove(&d->share);
    d->share_ready = false;
    os_sysctl_close(d->sysctl);
    d->sysctl = NULL;
    if (d->guard_ready) lift_guard(d);
    d->guard_ready = false;
    os_nft_close(d->nft);
    d->nft = NULL;
}
