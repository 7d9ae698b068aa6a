// The table of all keys: the one place that says what may stand in byway.conf.
#include "daemon/config_parse.h"

#define SAY(...) (snprintf(why, WHY, __VA_ARGS__), -1)
#define KEY(name) static int name(struct config *c, struct config_peer *peer, const char *s, char *why)

KEY(node_name)
{
    (void)peer;
    return value_name(s, c->node.name, "-", why);
}

KEY(listen_port)
{
    (void)peer;
    unsigned long v;
    if (value_number(s, 1, 65535, &v, why)) return SAY("not a port (1 to 65535)");
    c->listen.port = (uint16_t)v;
    return 0;
}

KEY(listen_public)
{
    (void)peer;
    return value_bool(s, &c->listen.is_public, why);
}

KEY(discover_interfaces)
{
    (void)peer;
    return value_interfaces(s, &c->discover, why);
}

// The index of s among names, or -1.
static int choice(const char *s, const char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        if (!strcmp(s, names[i])) return i;
    }
    return -1;
}

KEY(discover_policy)
{
    (void)peer;
    static const char *const names[] = {"open", "secret", "closed"};
    int i = choice(s, names, 3);
    if (i < 0) return SAY("neither open, secret nor closed");
    c->discover.policy = (enum config_policy)i;
    return 0;
}

KEY(discover_secret_file)
{
    (void)peer;
    return value_path(s, c->discover.secret_file, why);
}

KEY(tun_interface)
{
    (void)peer;
    if (!strcmp(s, "lo") || !strcmp(s, "l") || !strcmp(s, "r")) return SAY("an interface cannot be called that");
    return value_interface(s, c->tun.interface, why);
}

KEY(tun_mtu)
{
    (void)peer;
    unsigned long v = 0;
    if (strcmp(s, "auto") && value_number(s, 1280, 1420, &v, why))
        return SAY("neither auto nor a number from 1280 to 1420");
    c->tun.mtu = (uint16_t)v;
    return 0;
}

KEY(internet_share)
{
    (void)peer;
    static const char *const names[] = {"no", "auto"};
    int i = choice(s, names, 2);
    c->internet.share_interface[0] = 0;
    if (!strcmp(s, "yes")) i = CONFIG_SHARE_AUTO;
    if (i < 0 && value_interface(s, c->internet.share_interface, why))
        return SAY("neither no, auto nor the name of an interface");
    c->internet.share = i < 0 ? CONFIG_SHARE_INTERFACE : (enum config_share)i;
    return 0;
}

KEY(internet_use)
{
    (void)peer;
    static const char *const names[] = {"auto", "always", "none"};
    int i = choice(s, names, 3);
    struct bw_addr a = {{0}};
    if (i < 0 && (bw_addr_parse(s, &a) || !bw_addr_is_mesh(&a)))
        return SAY("neither auto, always, none nor a mesh address (fc...)");
    c->internet.use = i < 0 ? CONFIG_USE_ADDRESS : (enum config_use)i;
    c->internet.use_address = a;
    return 0;
}

KEY(internet_killswitch)
{
    (void)peer;
    return value_bool(s, &c->internet.killswitch, why);
}

KEY(internet_probe)
{
    (void)peer;
    return value_probes(s, &c->internet, why);
}

KEY(internet_dns)
{
    (void)peer;
    static const char *const names[] = {"none", "auto"};
    int i = choice(s, names, 2);
    if (i < 0) return SAY("neither auto nor none");
    c->internet.dns = i;
    return 0;
}

KEY(internet_limit_down)
{
    (void)peer;
    return value_rate(s, &c->internet.limit_down_bps, why);
}

KEY(internet_limit_up)
{
    (void)peer;
    return value_rate(s, &c->internet.limit_up_bps, why);
}

KEY(internet_prefer)
{
    (void)peer;
    return value_exits(s, c->internet.prefer, &c->internet.prefer_count, why);
}

KEY(internet_never)
{
    (void)peer;
    return value_exits(s, c->internet.never, &c->internet.never_count, why);
}

KEY(internet_limit_client_down)
{
    (void)peer;
    return value_rate(s, &c->internet.limit_client_down_bps, why);
}

KEY(internet_limit_client_up)
{
    (void)peer;
    return value_rate(s, &c->internet.limit_client_up_bps, why);
}

KEY(internet_floor_down)
{
    (void)peer;
    return value_rate(s, &c->internet.floor_down_bps, why);
}

KEY(internet_floor_up)
{
    (void)peer;
    return value_rate(s, &c->internet.floor_up_bps, why);
}

KEY(internet_volume)
{
    (void)peer;
    return value_volume(s, &c->internet.volume, why);
}

KEY(internet_volume_client)
{
    (void)peer;
    return value_volume(s, &c->internet.volume_client, why);
}

KEY(internet_connections)
{
    (void)peer;
    return value_count(s, &c->internet.connections, why);
}

KEY(internet_connections_client)
{
    (void)peer;
    return value_count(s, &c->internet.connections_client, why);
}

KEY(internet_block_ports)
{
    (void)peer;
    return value_blocks(s, &c->internet, why);
}

KEY(internet_log_leases)
{
    (void)peer;
    return value_days(s, &c->internet.log_leases_days, why);
}

KEY(lan_interfaces)
{
    (void)peer;
    return value_lan(s, &c->lan, why);
}

KEY(firewall_allow)
{
    (void)peer;
    return value_rules(s, &c->firewall, why);
}

KEY(routing_export)
{
    (void)peer;
    return value_exports(s, &c->routing, why);
}

KEY(routing_import)
{
    (void)peer;
    return value_imports(s, &c->routing, why);
}

KEY(routing_transit)
{
    (void)peer;
    return value_bool(s, &c->routing.transit, why);
}

KEY(api_listen)
{
    (void)peer;
    struct bw_endpoint e = {0};
    c->api.none = !strcmp(s, "none");
    if (!c->api.none && bw_endpoint_parse(s, &e)) return SAY("neither none nor ADDRESS:PORT (e.g. 127.0.0.1:4871)");
    c->api.listen = e;
    return 0;
}

KEY(log_level)
{
    (void)peer;
    static const char *const names[] = {"error", "warn", "info", "debug"};
    int i = choice(s, names, 4);
    if (i < 0) return SAY("neither error, warn, info nor debug");
    c->log.level = (enum bw_level)i;
    return 0;
}

KEY(peer_key)
{
    (void)c;
    return value_key(s, peer->key, why);
}

KEY(peer_endpoint)
{
    (void)c;
    peer->has_endpoint = *s;
    if (!*s) return 0;
    return value_endpoint(s, true, &peer->endpoint, why);
}

KEY(peer_psk_file)
{
    (void)c;
    return value_path(s, peer->psk_file, why);
}

KEY(peer_internet)
{
    (void)c;
    return value_bool(s, &peer->internet, why);
}

const struct config_key config_keys[] = {
    {"node", "name", CONFIG_NODE, false, node_name},
    {"listen", "port", CONFIG_LISTEN, false, listen_port},
    {"listen", "public", CONFIG_LISTEN, false, listen_public},
    {"discover", "interfaces", CONFIG_DISCOVER, false, discover_interfaces},
    {"discover", "policy", CONFIG_DISCOVER, false, discover_policy},
    {"discover", "secret-file", CONFIG_DISCOVER, true, discover_secret_file},
    {"tun", "interface", CONFIG_TUN, false, tun_interface},
    {"tun", "mtu", CONFIG_TUN, false, tun_mtu},
    {"internet", "share", CONFIG_INTERNET, false, internet_share},
    {"internet", "use", CONFIG_INTERNET, false, internet_use},
    {"internet", "killswitch", CONFIG_INTERNET, false, internet_killswitch},
    {"internet", "probe", CONFIG_INTERNET, false, internet_probe},
    {"internet", "dns", CONFIG_INTERNET, false, internet_dns},
    {"internet", "limit-down", CONFIG_INTERNET, false, internet_limit_down},
    {"internet", "limit-up", CONFIG_INTERNET, false, internet_limit_up},
    {"internet", "limit-client-down", CONFIG_INTERNET, false, internet_limit_client_down},
    {"internet", "limit-client-up", CONFIG_INTERNET, false, internet_limit_client_up},
    {"internet", "floor-down", CONFIG_INTERNET, false, internet_floor_down},
    {"internet", "floor-up", CONFIG_INTERNET, false, internet_floor_up},
    {"internet", "volume", CONFIG_INTERNET, false, internet_volume},
    {"internet", "volume-client", CONFIG_INTERNET, false, internet_volume_client},
    {"internet", "connections", CONFIG_INTERNET, false, internet_connections},
    {"internet", "connections-client", CONFIG_INTERNET, false, internet_connections_client},
    {"internet", "block-ports", CONFIG_INTERNET, true, internet_block_ports},
    {"internet", "log-leases", CONFIG_INTERNET, false, internet_log_leases},
    {"internet", "prefer", CONFIG_INTERNET, true, internet_prefer},
    {"internet", "never", CONFIG_INTERNET, true, internet_never},
    {"lan", "interfaces", CONFIG_LAN, false, lan_interfaces},
    {"firewall", "allow", CONFIG_FIREWALL, true, firewall_allow},
    {"routing", "export", CONFIG_ROUTING, true, routing_export},
    {"routing", "import", CONFIG_ROUTING, true, routing_import},
    {"routing", "transit", CONFIG_ROUTING, false, routing_transit},
    {"api", "listen", CONFIG_API, false, api_listen},
    {"log", "level", CONFIG_LOG, false, log_level},
    {"peer", "key", CONFIG_PEER, false, peer_key},
    {"peer", "endpoint", CONFIG_PEER, true, peer_endpoint},
    {"peer", "psk-file", CONFIG_PEER, true, peer_psk_file},
    {"peer", "internet", CONFIG_PEER, false, peer_internet},
};
const size_t config_key_count = sizeof config_keys / sizeof *config_keys;

bool config_key_at(size_t i, const char **section, const char **key)
{
    if (i >= config_key_count) return false;
    *section = config_keys[i].section;
    *key = config_keys[i].key;
    return true;
}

const struct config_key *config_key_find(const char *section, const char *key)
{
    for (size_t i = 0; i < config_key_count; i++) {
        if (!strcmp(config_keys[i].section, section) && !strcmp(config_keys[i].key, key)) return &config_keys[i];
    }
    return NULL;
}

bool config_section_known(const char *section)
{
    for (size_t i = 0; i < config_key_count; i++) {
        if (!strcmp(config_keys[i].section, section)) return true;
    }
    return false;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

// Letters to change, add or drop to turn a into b (Levenshtein), for short names only.
static unsigned distance(const char *a, const char *b)
{
    unsigned row[33], n = (unsigned)strnlen(b, 32);
    for (unsigned j = 0; j <= n; j++) row[j] = j;
    for (unsigned i = 1; *a && i < 64; a++, i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned above = row[j];
            row[j] = least(least(above, row[j - 1]) + 1, diagonal + (*a != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n];
}

void config_hint_section(const char *section, char *out, size_t size)
{
    unsigned best = 3;
    out[0] = 0;
    for (size_t i = 0; i < config_key_count; i++) {
        unsigned d = distance(section, config_keys[i].section);
        if (d >= best) continue;
        best = d;
        const char *name = config_keys[i].section;
        snprintf(out, size, " (did you mean [%s]?)", strcmp(name, "peer") ? name : "peer NAME");
    }
}

void config_hint_key(const char *section, const char *key, char *out, size_t size)
{
    unsigned best = 3;
    out[0] = 0;
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *k = &config_keys[i];
        unsigned d = distance(key, k->key);
        if (strcmp(k->section, section) || d >= best || d >= strlen(k->key)) continue;
        best = d;
        snprintf(out, size, " (did you mean `%.40s`?)", k->key);
    }
    if (out[0]) return;
    for (size_t i = 0; i < config_key_count; i++) {
        if (strcmp(config_keys[i].key, key)) continue;
        const char *home = config_keys[i].section;
        snprintf(out, size, " (it belongs to [%s])", strcmp(home, "peer") ? home : "peer NAME");
        return;
    }
}
