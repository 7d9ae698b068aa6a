#include "daemon/config.h"

#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "crypto/crypto.h"

// The host's name as far as it is one: letters, digits, hyphens, up to the first dot.
static void host_name(char out[CONFIG_NAME])
{
    char host[256] = "";
    if (gethostname(host, sizeof host - 1)) host[0] = 0;
    size_t n = 0;
    for (const char *p = host; *p && *p != '.' && n < CONFIG_NAME - 1; p++) {
        if (isalnum((unsigned char)*p) || (n && *p == '-')) out[n++] = *p;
    }
    while (n && out[n - 1] == '-') n--;
    out[n] = 0;
    if (!n) snprintf(out, CONFIG_NAME, "node");
}

void config_defaults(struct config *c)
{
    *c = (struct config){
        .listen = {.port = 4870},
        .tun = {.interface = "byway0"},
        .internet = {.dns = true},
        .firewall = {.rules = {{.what = CONFIG_ALLOW_ICMP}}, .count = 1},
        .routing = {.transit = true},
        .api = {.listen = {.port = 4871}},
        .log = {.level = BW_INFO},
    };
    c->api.listen.addr = bw_addr_v4((const uint8_t[]){127, 0, 0, 1});
    snprintf(c->path, sizeof c->path, "%s", CONFIG_DEFAULT_PATH);
    host_name(c->node.name);
}

void config_free(struct config *c)
{
    if (c->peers) {
        bw_wipe(c->peers, c->peer_count * sizeof *c->peers);
        free(c->peers);
    }
    bw_wipe(c, sizeof *c);
}

// ---- comparing: field by field, since bytes between and behind them mean nothing ----

static bool endpoint_equal(const struct config_endpoint *a, const struct config_endpoint *b)
{
    return !strcmp(a->host, b->host) && a->port == b->port;
}

static bool discover_equal(const struct config_discover *a, const struct config_discover *b)
{
    if (a->mode != b->mode || a->count != b->count || a->policy != b->policy || a->has_secret != b->has_secret)
        return false;
    if (a->has_secret && memcmp(a->secret, b->secret, sizeof a->secret)) return false;
    for (uint32_t i = 0; i < a->count; i++) {
        if (strcmp(a->interfaces[i], b->interfaces[i])) return false;
    }
    return !strcmp(a->secret_file, b->secret_file);
}

static bool limits_equal(const struct config_internet *a, const struct config_internet *b)
{
    if (a->limit_down_bps != b->limit_down_bps || a->limit_up_bps != b->limit_up_bps) return false;
    if (a->limit_client_down_bps != b->limit_client_down_bps || a->limit_client_up_bps != b->limit_client_up_bps) return false;
    if (a->floor_down_bps != b->floor_down_bps || a->floor_up_bps != b->floor_up_bps) return false;
    if (a->volume != b->volume || a->volume_client != b->volume_client) return false;
    if (a->connections != b->connections || a->connections_client != b->connections_client) return false;
    if (a->block_count != b->block_count || a->log_leases_days != b->log_leases_days) return false;
    for (uint32_t i = 0; i < a->block_count; i++)
        if (a->block[i].what != b->block[i].what || a->block[i].from != b->block[i].from || a->block[i].to != b->block[i].to) return false;
    return true;
}

static bool exits_equal(const struct config_internet *a, const struct config_internet *b)
{
    if (a->prefer_count != b->prefer_count || a->never_count != b->never_count) return false;
    return !memcmp(a->prefer, b->prefer, a->prefer_count * sizeof *a->prefer) &&
           !memcmp(a->never, b->never, a->never_count * sizeof *a->never);
}

bool config_probe_equal(const struct config_internet *a, const struct config_internet *b)
{
    if (a->probe != b->probe || a->probe_count != b->probe_count) return false;
    for (uint32_t i = 0; i < a->probe_count; i++) {
        if (!endpoint_equal(&a->probes[i], &b->probes[i])) return false;
    }
    return true;
}

static bool internet_equal(const struct config_internet *a, const struct config_internet *b)
{
    if (a->share != b->share || strcmp(a->share_interface, b->share_interface)) return false;
    if (a->use != b->use || !bw_addr_eq(&a->use_address, &b->use_address)) return false;
    if (a->killswitch != b->killswitch || a->dns != b->dns) return false;
    return limits_equal(a, b) && exits_equal(a, b) && config_probe_equal(a, b);
}

bool config_lan_equal(const struct config_lan *a, const struct config_lan *b)
{
    if (a->count != b->count) return false;
    for (uint32_t i = 0; i < a->count; i++) {
        if (strcmp(a->interfaces[i], b->interfaces[i])) return false;
    }
    return true;
}

static bool firewall_equal(const struct config_firewall *a, const struct config_firewall *b)
{
    if (a->count != b->count) return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct config_rule *p = &a->rules[i], *q = &b->rules[i];
        if (p->what != q->what || p->from != q->from || p->to != q->to) return false;
    }
    return true;
}

static bool routing_equal(const struct config_routing *a, const struct config_routing *b)
{
    if (a->transit != b->transit || a->export_count != b->export_count || a->import_count != b->import_count)
        return false;
    for (uint32_t i = 0; i < a->export_count; i++) {
        if (!bw_prefix_eq(&a->exports[i], &b->exports[i])) return false;
    }
    for (uint32_t i = 0; i < a->import_count; i++) {
        if (a->imports[i].deny != b->imports[i].deny || !bw_prefix_eq(&a->imports[i].prefix, &b->imports[i].prefix))
            return false;
    }
    return true;
}

bool config_peer_equal(const struct config_peer *a, const struct config_peer *b)
{
    if (strcmp(a->name, b->name) || memcmp(a->key, b->key, 32) || a->internet != b->internet) return false;
    if (a->has_endpoint != b->has_endpoint || a->has_psk != b->has_psk || strcmp(a->psk_file, b->psk_file))
        return false;
    if (a->has_endpoint && !endpoint_equal(&a->endpoint, &b->endpoint)) return false;
    return !a->has_psk || !memcmp(a->psk, b->psk, 32);
}

const struct config_peer *config_peer_find(const struct config *c, const uint8_t key[32])
{
    for (size_t i = 0; i < c->peer_count; i++) {
        if (!memcmp(c->peers[i].key, key, 32)) return &c->peers[i];
    }
    return NULL;
}

static bool peers_equal(const struct config *a, const struct config *b)
{
    if (a->peer_count != b->peer_count) return false;
    for (size_t i = 0; i < a->peer_count; i++) { // in any order
        const struct config_peer *other = config_peer_find(b, a->peers[i].key);
        if (!other || !config_peer_equal(&a->peers[i], other)) return false;
    }
    return true;
}

unsigned config_diff(const struct config *a, const struct config *b)
{
    unsigned d = 0;
    if (strcmp(a->node.name, b->node.name)) d |= CONFIG_NODE;
    if (a->listen.port != b->listen.port || a->listen.is_public != b->listen.is_public) d |= CONFIG_LISTEN;
    if (!discover_equal(&a->discover, &b->discover)) d |= CONFIG_DISCOVER;
    if (strcmp(a->tun.interface, b->tun.interface) || a->tun.mtu != b->tun.mtu) d |= CONFIG_TUN;
    if (!internet_equal(&a->internet, &b->internet)) d |= CONFIG_INTERNET;
    if (!config_lan_equal(&a->lan, &b->lan)) d |= CONFIG_LAN;
    if (!firewall_equal(&a->firewall, &b->firewall)) d |= CONFIG_FIREWALL;
    if (!routing_equal(&a->routing, &b->routing)) d |= CONFIG_ROUTING;
    if (a->api.none != b->api.none || !bw_endpoint_eq(&a->api.listen, &b->api.listen)) d |= CONFIG_API;
    if (a->log.level != b->log.level) d |= CONFIG_LOG;
    if (!peers_equal(a, b)) d |= CONFIG_PEER;
    return d;
}
