// A changed configuration, applied without dropping what did not change.
#include "daemon/daemon_private.h"

// An uplink that is named is shared while the default route leaves by it: packets follow that route, and by any other
// interface they may not leave.
void reload_share(struct daemon *d)
{
    const struct config_internet *c = &d->config.internet;
    const char *up = *d->uplink4 ? d->uplink4 : d->uplink6;
    bool other = c->share == CONFIG_SHARE_INTERFACE && *up && strcmp(c->share_interface, d->uplink4) &&
                 strcmp(c->share_interface, d->uplink6);
    char text[160] = "";
    if (other) snprintf(text, sizeof text, "%s is to be shared, but this machine's Internet is behind %s", c->share_interface, up);
    daemon_problem(d, PROBLEM_SHARE, other, "share-interface", text, "set internet.share = auto, or give that interface the default route");
    node_share(d->node, c->share != CONFIG_SHARE_NO && !other, os_clock_now());
}

void reload_internet(struct daemon *d)
{
    const struct config_internet *c = &d->config.internet;
    static const enum exitc_use uses[] = {[CONFIG_USE_AUTO] = EXITC_AUTO, [CONFIG_USE_ALWAYS] = EXITC_ALWAYS,
                                          [CONFIG_USE_NONE] = EXITC_NONE, [CONFIG_USE_ADDRESS] = EXITC_PINNED};
    struct limit_config limits = ledger_limits(c);
    struct exitc_rules rules = ledger_rules(c);
    node_set_limits(d->node, &limits, os_clock_now());
    node_set_exit_rules(d->node, &rules, os_clock_now());
    node_use(d->node, uses[c->use], &c->use_address, c->killswitch, os_clock_now());
    reload_share(d);
    d->setup_dirty = true;
}

static void reload_routing(struct daemon *d)
{
    struct bw_prefix imports[CONFIG_PREFIXES], denied[CONFIG_PREFIXES];
    const struct config_routing *r = &d->config.routing;
    struct node_config c = {.transit = r->transit, .exports = r->exports, .export_count = r->export_count, .imports = imports,
                            .denied = denied};
    for (uint32_t i = 0; i < r->import_count; i++) {
        if (r->imports[i].deny) denied[c.denied_count++] = r->imports[i].prefix;
        else imports[c.import_count++] = r->imports[i].prefix;
    }
    node_set_routing(d->node, &c, os_clock_now());
    d->setup_dirty = true;
}

// ---- what takes a restart ----

void reload_remember(struct daemon *d)
{
    d->fixed.port = d->config.listen.port;
    d->fixed.tun = d->config.tun;
    d->fixed.lan = d->config.lan;
    d->fixed.internet = d->config.internet;
}

static void list(char *text, size_t size, bool on, const char *what)
{
    size_t n = strlen(text);
    if (on) snprintf(text + n, size - n, "%s%s", n ? ", " : "", what);
}

static void warn_fixed(struct daemon *d)
{
    const struct config *c = &d->config;
    char which[128] = "", text[sizeof which + 80] = "";
    list(which, sizeof which, c->listen.port != d->fixed.port, "listen.port");
    list(which, sizeof which, strcmp(c->tun.interface, d->fixed.tun.interface) || c->tun.mtu != d->fixed.tun.mtu, "[tun]");
    list(which, sizeof which, !config_probe_equal(&c->internet, &d->fixed.internet), "internet.probe");
    list(which, sizeof which, c->internet.dns != d->fixed.internet.dns, "internet.dns");
    list(which, sizeof which, !config_lan_equal(&c->lan, &d->fixed.lan), "[lan] (where neighbours are looked for)");
    if (*which) snprintf(text, sizeof text, "a restart of the node is needed for what has changed in: %s", which);
    if (*which && strcmp(d->problems[PROBLEM_RESTART].view.text, text)) bw_log(&d->log, BW_WARN, "%s", text);
    daemon_problem(d, PROBLEM_RESTART, *which, "restart-needed", text, "until then it runs with the old value");
}

// Also where nothing has changed: the place may have been taken the last time.
static void apply_api(struct daemon *d)
{
    const struct config_api *c = &d->config.api;
    char why[OS_WHY] = "";
    bool bad = api_listen_tcp(d->api, c->none ? NULL : &c->listen, why, sizeof why);
    if (bad) bw_log(&d->log, BW_ERROR, "%s", why);
    daemon_problem(d, PROBLEM_API, bad, "api-listen", why, "give [api] listen another place, or free that one and `byway reload`");
}

static void apply(struct daemon *d, const struct config *old, unsigned diff)
{
    static const enum link_policy policies[] = {[CONFIG_POLICY_OPEN] = LINK_POLICY_OPEN, [CONFIG_POLICY_SECRET] = LINK_POLICY_SECRET,
                                                [CONFIG_POLICY_CLOSED] = LINK_POLICY_CLOSED};
    const struct config *c = &d->config;
    if (diff & CONFIG_LOG) d->log.level = c->log.level;
    if (diff & CONFIG_NODE) node_set_name(d->node, c->node.name);
    if (diff & (CONFIG_LISTEN | CONFIG_DISCOVER))
        node_set_policy(d->node, policies[c->discover.policy], c->listen.is_public, c->discover.secret, os_clock_now());
    if (diff & CONFIG_DISCOVER && net_discovery(d)) bw_log(&d->log, BW_ERROR, "the discovery interfaces could not be changed");
    if (diff & CONFIG_INTERNET) reload_internet(d);
    if (diff & CONFIG_INTERNET) ledger_sweep(d);
    if (diff & CONFIG_ROUTING) reload_routing(d);
    if (diff & CONFIG_FIREWALL) d->setup_dirty = true;
    apply_api(d);
    if (diff & CONFIG_PEER) (void)peers_apply(d, old);
    warn_fixed(d);
}

static void keep_choice(struct daemon *d, struct config_internet *fresh)
{
    struct chosen *c = &d->chosen;
    c->on = c->on && fresh->use == c->file_use && bw_addr_eq(&fresh->use_address, &c->file_address);
    if (!c->on) return;
    fresh->use = d->config.internet.use;
    fresh->use_address = d->config.internet.use_address;
}

int reload_file(struct daemon *d, struct api_error *e)
{
    struct config fresh, old = d->config;
    struct config_report report;
    int err = config_load(d->opt->config_path, d->opt->sets, d->opt->set_count, &fresh, &report);
    if (err) {
        char line[CONFIG_MISTAKE_TEXT];
        config_report_text(&report, e->text, sizeof e->text);
        snprintf(e->hint, sizeof e->hint, "nothing was changed");
        bw_log(&d->log, BW_ERROR, "the changed configuration is refused, nothing was changed:");
        for (size_t i = 0; i < report.count; i++) {
            config_mistake_text(&report, i, line);
            bw_log(&d->log, BW_ERROR, "%s", line);
        }
    } else {
        keep_choice(d, &fresh.internet);
        unsigned diff = config_diff(&old, &fresh);
        d->config = fresh;
        d->setup_dirty = true;
        apply(d, &old, diff);
        config_free(&old);
        bw_log(&d->log, BW_INFO, "configuration read again%s", diff ? "" : ": nothing has changed");
    }
    config_report_free(&report);
    return err ? 400 : 0;
}
