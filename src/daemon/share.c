#include "daemon/share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "daemon/netconf.h"
#include "os/conntrack.h"
#include "os/why.h"

#define RULES_MAX 65536 // besides the machine's own networks
#define TCP4_OVERHEAD 40 // IP and TCP headers
#define TCP6_OVERHEAD 60
#define COUNTED_MAX 8192 // clients whose connections are counted; more than there are leases

// ---- the rules as text ----

static bool is_set(const struct bw_addr *a)
{
    return !bw_addr_is_zero(a);
}

static const char *family(bool v4)
{
    return v4 ? "ip" : "ip6";
}

// ---- sets ----

// Where clients of the exit may never get to, whatever the routing table says (DESIGN 2).
static const char bounds4[] = "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, "
                              "192.168.0.0/16, 224.0.0.0/3";
// The same by way of a translator on the owner's network: NAT64 (RFC 6052, RFC 8215) and 6to4, which is no more (RFC 7526).
static const char bounds6[] = "::/96, ::ffff:0:0/96, fc00::/7, fe80::/10, fec0::/10, ff00::/8, 64:ff9b::/104, 64:ff9b::a00:0/104, "
                              "64:ff9b::6440:0/106, 64:ff9b::7f00:0/104, 64:ff9b::a9fe:0/112, 64:ff9b::ac10:0/108, "
                              "64:ff9b::c0a8:0/112, 64:ff9b::e000:0/99, 64:ff9b:1::/48, 2002::/16";
// Not on the Internet, but reached over the mesh as they are.
static const char private4[] = "10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16, 224.0.0.0/3";
static const char private6[] = "fc00::/7, fe80::/10, ff00::/8";

// Documentation prefixes are not blocked: laboratories use them as their Internet.
static bool is_documentation(const struct bw_prefix *p)
{
    static const char *const text[] = {"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"};
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        struct bw_prefix doc;
        if (!bw_prefix_parse(text[i], &doc) && bw_prefix_has(&doc, &p->addr) && p->len >= doc.len) return true;
    }
    return false;
}

// A route that covers half the Internet is a way to it, not a network of our own.
static bool is_network(const struct bw_prefix *p)
{
    return p->len >= (bw_prefix_is_v4(p) ? 96 + 8 : 16) && !is_documentation(p);
}

static void add_prefixes(struct bw_text *t, bool v4, const struct bw_prefix *p, unsigned count,
                         bool (*take)(const struct bw_prefix *))
{
    char text[BW_PREFIX_TEXT];
    for (unsigned i = 0; i < count; i++)
        if (bw_prefix_is_v4(&p[i]) == v4 && (!take || take(&p[i]))) bw_put(t, ", %s", bw_prefix_text(&p[i], text));
}

static void add_set(struct bw_text *t, const char *name, bool v4, const char *fixed, const struct bw_prefix *p, unsigned count,
                    bool (*take)(const struct bw_prefix *))
{
    bw_put(t, "  set %s {\n    type %s; flags interval; auto-merge\n    elements = { %s", name,
           v4 ? "ipv4_addr" : "ipv6_addr", fixed);
    add_prefixes(t, v4, p, count, take);
    bw_put(t, " }\n  }\n");
}

static void sets(struct bw_text *t, const struct share_rules *r)
{
    add_set(t, "bounds4", true, bounds4, r->connected, r->connected_count, is_network);
    add_set(t, "bounds6", false, bounds6, r->connected, r->connected_count, is_network);
    if (r->share.wanted && r->connections_client) {
        bw_put(t, "  set each4 {\n    type ipv4_addr; flags dynamic; size %u\n  }\n", COUNTED_MAX);
        bw_put(t, "  set each6 {\n    type ipv6_addr; flags dynamic; size %u\n  }\n", COUNTED_MAX);
    }
    add_set(t, "direct4", true, private4, r->imports, r->import_count, NULL);
    add_set(t, "direct6", false, private6, r->imports, r->import_count, NULL);
}

// ---- this machine ----

static void allow_rule(struct bw_text *t, const struct config_rule *a)
{
    const char *proto = a->what == CONFIG_ALLOW_TCP ? "tcp" : "udp";
    switch (a->what) {
    case CONFIG_ALLOW_ALL: bw_put(t, "    accept\n"); break;
    case CONFIG_ALLOW_ICMP:
        bw_put(t, "    icmp type echo-request accept\n    icmpv6 type echo-request accept\n");
        break;
    case CONFIG_ALLOW_TCP:
    case CONFIG_ALLOW_UDP:
        if (a->from == a->to) bw_put(t, "    %s dport %u accept\n", proto, a->from);
        else bw_put(t, "    %s dport %u-%u accept\n", proto, a->from, a->to);
        break;
    }
}

static void dns_rule(struct bw_text *t, const struct bw_prefix *pool, const struct bw_addr *gateway)
{
    char p[BW_PREFIX_TEXT], g[BW_ADDR_TEXT];
    if (!pool->len) return;
    const char *ip = family(bw_prefix_is_v4(pool));
    bw_put(t, "    %s saddr %s %s daddr %s meta l4proto { tcp, udp } th dport 53 accept\n", ip, bw_prefix_text(pool, p), ip,
           bw_addr_text(gateway, g));
}

// A client that comes out of the tunnel may ask the gateway; the machine's other addresses are as far from it as its LAN.
static void gateway_rule(struct bw_text *t, const struct bw_prefix *pool, const struct bw_addr *gateway)
{
    char p[BW_PREFIX_TEXT], g[BW_ADDR_TEXT];
    if (!pool->len) return;
    const char *ip = family(bw_prefix_is_v4(pool));
    bw_put(t, "    %s saddr %s %s daddr != %s counter reject with icmpx type admin-prohibited\n", ip, bw_prefix_text(pool, p), ip,
           bw_addr_text(gateway, g));
}

static void input(struct bw_text *t, const struct share_rules *r)
{
    char mesh[BW_ADDR_TEXT];
    bw_put(t, "  chain input {\n    type filter hook input priority filter; policy accept\n");
    bw_put(t, "    iifname != \"%s\" accept\n    ct state established,related accept\n", r->tun);
    bw_put(t, "    icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept\n");
    bw_put(t, "    ip6 saddr fc00::/8 ip6 daddr %s tcp dport %u accept\n", bw_addr_text(&r->mesh, mesh), SHARE_API_PORT);
    if (r->shares) bw_put(t, "    ip6 saddr fc00::/8 ip6 daddr fc00::e tcp dport %u accept\n", SHARE_API_PORT);
    if (r->share.wanted) {
        gateway_rule(t, &r->share.pool4, &r->share.gateway4);
        gateway_rule(t, &r->share.pool6, &r->share.gateway6);
        dns_rule(t, &r->share.pool4, &r->share.gateway4);
        dns_rule(t, &r->share.pool6, &r->share.gateway6);
    }
    for (uint32_t i = 0; r->allow && i < r->allow->count; i++) allow_rule(t, &r->allow->rules[i]);
    bw_put(t, "    counter drop\n  }\n");
}

// The underlay's own packets, should a believed prefix lie over a neighbour's address, would go round in circles.
static void output(struct bw_text *t, const struct share_rules *r)
{
    bw_put(t, "  chain output {\n    type filter hook output priority filter; policy accept\n");
    bw_put(t, "    oifname \"%s\" meta mark %#x counter drop\n  }\n", r->tun, NETCONF_MARK);
}

// ---- packets that pass through ----

static uint16_t clamp_mtu(const struct share_rules *r)
{
    uint16_t mtu = r->mtu;
    if (r->share.wanted && r->share.mtu < mtu) mtu = r->share.mtu;
    if (r->exit.active && r->exit.mtu < mtu) mtu = r->exit.mtu;
    return mtu;
}

static void clamp(struct bw_text *t, const struct share_rules *r)
{
    unsigned mtu = clamp_mtu(r);
    bw_put(t, "    meta nfproto ipv4 tcp flags & (syn | rst) == syn tcp option maxseg size set %u\n", mtu - TCP4_OVERHEAD);
    bw_put(t, "    meta nfproto ipv6 tcp flags & (syn | rst) == syn tcp option maxseg size set %u\n", mtu - TCP6_OVERHEAD);
}

static void pool_rule(struct bw_text *t, const struct bw_prefix *pool, const char *end, const char *verdict)
{
    char p[BW_PREFIX_TEXT];
    if (pool->len) bw_put(t, "    %s %s %s %s\n", family(bw_prefix_is_v4(pool)), end, bw_prefix_text(pool, p), verdict);
}

static void from_mesh(struct bw_text *t, const struct share_rules *r)
{
    bw_put(t, "  chain from_mesh {\n");
    clamp(t, r);
    bw_put(t, "    ct state established,related accept\n");
    if (r->share.wanted) {
        pool_rule(t, &r->share.pool4, "saddr", "goto internet");
        pool_rule(t, &r->share.pool6, "saddr", "goto internet");
    }
    for (unsigned i = 0; i < r->export_count; i++) pool_rule(t, &r->exports[i], "daddr", "accept");
    if (r->stock) bw_put(t, "    goto internet\n");
    bw_put(t, "    counter drop\n  }\n");
}

static void blocked_ports(struct bw_text *t, const struct share_rules *r)
{
    static const char *const protocols[] = {[CONFIG_ALLOW_ALL] = "{ tcp, udp }", [CONFIG_ALLOW_TCP] = "tcp", [CONFIG_ALLOW_UDP] = "udp"};
    for (unsigned i = 0; i < r->block_count; i++) {
        const struct config_rule *b = &r->block[i];
        if (b->what == CONFIG_ALLOW_ICMP) continue;
        bw_put(t, "    meta l4proto %s th dport %u-%u counter reject with icmpx type admin-prohibited\n", protocols[b->what],
               b->from, b->to);
    }
}

// How many connections clients may have. What goes beyond that is told so at once: a new one can be tried when others end.
static void connections(struct bw_text *t, const struct share_rules *r, const struct bw_prefix *pool)
{
    char p[BW_PREFIX_TEXT];
    if (!pool->len) return;
    bool v4 = bw_prefix_is_v4(pool);
    const char *ip = family(v4);
    bw_prefix_text(pool, p);
    if (r->connections_client)
        bw_put(t, "    %s saddr %s ct state new add @each%d { %s saddr ct count over %u } counter reject with icmpx type "
                  "admin-prohibited\n", ip, p, v4 ? 4 : 6, ip, r->connections_client);
    if (r->connections)
        bw_put(t, "    %s saddr %s ct state new ct count over %u counter reject with icmpx type admin-prohibited\n", ip, p,
               r->connections);
}

// Clients and stock peers: out through the uplink (or, for stock peers, our own exit), and nowhere else.
static void internet(struct bw_text *t, const struct share_rules *r)
{
    bw_put(t, "  chain internet {\n    ct state invalid counter drop\n"); // NAT passes it by: it would leave with its inner address
    bw_put(t, "    ip daddr @bounds4 counter reject with icmpx type admin-prohibited\n");
    bw_put(t, "    ip6 daddr @bounds6 counter reject with icmpx type admin-prohibited\n");
    blocked_ports(t, r);
    if (r->share.wanted) {
        connections(t, r, &r->share.pool4);
        connections(t, r, &r->share.pool6);
    }
    if (r->exit.active) bw_put(t, "    oifname \"%s\" accept\n", r->tun);
    if (r->uplink4) bw_put(t, "    meta nfproto ipv4 oifname \"%s\" accept\n", r->uplink4);
    if (r->uplink6) bw_put(t, "    meta nfproto ipv6 oifname \"%s\" accept\n", r->uplink6);
    bw_put(t, "    counter reject with icmpx type no-route\n  }\n");
}

static void to_mesh(struct bw_text *t, const struct share_rules *r)
{
    bw_put(t, "  chain to_mesh {\n");
    clamp(t, r);
    bw_put(t, "    ct state established,related accept\n");
    if (r->share.wanted) { // clients are reached by answers only
        pool_rule(t, &r->share.pool4, "daddr", "counter drop");
        pool_rule(t, &r->share.pool6, "daddr", "counter drop");
    }
    bw_put(t, "    accept\n  }\n");
}

static void lan_names(struct bw_text *t, const struct share_rules *r)
{
    bw_put(t, "{ ");
    for (unsigned i = 0; i < r->lan_count; i++) bw_put(t, "%s\"%s\"", i ? ", " : "", r->lan[i].name);
    bw_put(t, " }");
}

// The kernel's switch is for all interfaces: it would make a router between the machine's other networks as well.
static void nothing_else(struct bw_text *t, const struct share_rules *r, bool v4)
{
    for (int out = 0; out < 2; out++) {
        bw_put(t, "%s %sifname != { \"%s\"", out ? "" : v4 ? "    meta nfproto ipv4" : "    meta nfproto ipv6", out ? "o" : "i",
               r->tun);
        for (unsigned i = 0; i < r->lan_count; i++) bw_put(t, ", \"%s\"", r->lan[i].name);
        bw_put(t, " }");
    }
    bw_put(t, " counter drop\n");
}

static void forward(struct bw_text *t, const struct share_rules *r)
{
    bw_put(t, "  chain forward {\n    type filter hook forward priority filter; policy accept\n");
    if (r->lan_count) { // as in chain internet
        bw_put(t, "    iifname ");
        lan_names(t, r);
        bw_put(t, " ct state invalid counter drop\n");
    }
    bw_put(t, "    iifname \"%s\" jump from_mesh\n    oifname \"%s\" jump to_mesh\n", r->tun, r->tun);
    if (r->closed4) nothing_else(t, r, true);
    if (r->closed6) nothing_else(t, r, false);
    if (r->lan_count) { // nobody comes in from beside the tunnel
        bw_put(t, "    iifname != ");
        lan_names(t, r);
        bw_put(t, " oifname ");
        lan_names(t, r);
        bw_put(t, " ct state != { established, related } counter drop\n");
    }
    bw_put(t, "  }\n");
}

// ---- address translation ----

static void masquerade(struct bw_text *t, const struct bw_prefix *pool, const char *uplink)
{
    char p[BW_PREFIX_TEXT];
    if (pool->len && uplink)
        bw_put(t, "    %s saddr %s oifname \"%s\" masquerade\n", family(bw_prefix_is_v4(pool)), bw_prefix_text(pool, p), uplink);
}

// What leaves through our own exit carries the leased address, whoever sent it.
static void leave_through_exit(struct bw_text *t, const struct share_rules *r, const struct bw_addr *inner, const char *direct)
{
    char a[BW_ADDR_TEXT];
    if (!r->exit.active || !is_set(inner)) return;
    const char *ip = family(bw_addr_is_v4(inner));
    bw_addr_text(inner, a);
    bw_put(t, "    oifname \"%s\" %s saddr != %s %s daddr != @%s snat %s to %s\n", r->tun, ip, a, ip, direct, ip, a);
}

// The house's machines go out as this one: to the mesh with its mesh address, to the Internet through the exit (above) or,
// while this machine uses its own connection, with the uplink's.
static void leave_the_house(struct bw_text *t, const struct share_rules *r)
{
    char mesh[BW_ADDR_TEXT];
    if (!r->lan_count) return;
    bw_put(t, "    iifname ");
    lan_names(t, r);
    bw_put(t, " oifname \"%s\" ip6 daddr @direct6 snat ip6 to %s\n    iifname ", r->tun, bw_addr_text(&r->mesh, mesh));
    lan_names(t, r);
    bw_put(t, " oifname != \"%s\" oifname != ", r->tun);
    lan_names(t, r);
    bw_put(t, " masquerade\n");
}

static void postrouting(struct bw_text *t, const struct share_rules *r)
{
    bw_put(t, "  chain postrouting {\n    type nat hook postrouting priority srcnat; policy accept\n");
    if (r->share.wanted) {
        masquerade(t, &r->share.pool4, r->uplink4);
        masquerade(t, &r->share.pool6, r->uplink6);
    }
    if (r->stock && r->uplink4) bw_put(t, "    meta nfproto ipv4 iifname \"%s\" oifname \"%s\" masquerade\n", r->tun, r->uplink4);
    if (r->stock && r->uplink6) bw_put(t, "    meta nfproto ipv6 iifname \"%s\" oifname \"%s\" masquerade\n", r->tun, r->uplink6);
    leave_through_exit(t, r, &r->exit.inner4, "direct4");
    leave_through_exit(t, r, &r->exit.inner6, "direct6");
    leave_the_house(t, r);
    bw_put(t, "  }\n");
}

int share_ruleset(const struct share_rules *r, char *out, size_t cap)
{
    struct bw_text t = {.p = out, .cap = cap};
    if (!cap) return BW_ERR_SHORT;
    bw_put(&t, "table inet " SHARE_TABLE " {\n");
    sets(&t, r);
    input(&t, r);
    output(&t, r);
    internet(&t, r);
    from_mesh(&t, r);
    to_mesh(&t, r);
    forward(&t, r);
    postrouting(&t, r);
    bw_put(&t, "}\n");
    return t.full ? BW_ERR_SHORT : (int)t.n;
}

// ---- putting it in place ----

void share_init(struct share *s, struct os_nft *nft, struct os_sysctl *sysctl)
{
    *s = (struct share){.nft = nft, .sysctl = sysctl};
}

int share_clean(struct share *s, char *why, size_t n)
{
    free(s->last);
    s->last = NULL;
    return os_nft_delete_table(s->nft, "inet " SHARE_TABLE, why, n); // the switches were put back by os_sysctl_open
}

static void stop_forwarding(struct share *s)
{
    char name[64];
    if (!s->forwarding) return;
    os_sysctl_restore(s->sysctl, "net/ipv4/ip_forward");
    os_sysctl_restore(s->sysctl, "net/ipv6/conf/all/forwarding");
    snprintf(name, sizeof name, "net/ipv6/conf/%s/accept_ra", s->uplink6);
    if (*s->uplink6) os_sysctl_restore(s->sysctl, name);
    s->forwarding = false;
    s->uplink6[0] = 0;
}

static bool forwards(const struct share_rules *r)
{
    return r->share.wanted || r->export_count || r->stock || r->lan_count;
}

static bool was_off(const struct share *s, const char *name)
{
    char value[OS_SYSCTL_VALUE];
    return s->sysctl && !os_sysctl_before(s->sysctl, name, value) && !strcmp(value, "0");
}

static int set_forwarding(struct share *s, const struct share_rules *r, char *why, size_t n)
{
    const char *uplink6 = r->uplink6 ? r->uplink6 : "";
    if (!s->sysctl) return 0;
    if (!forwards(r)) {
        stop_forwarding(s);
        return 0;
    }
    if (s->forwarding && !strcmp(s->uplink6, uplink6)) return 0;
    int err = os_sysctl_forwarding(s->sysctl, r->uplink6, why, n);
    if (err) return err;
    s->forwarding = true;
    snprintf(s->uplink6, sizeof s->uplink6, "%s", uplink6);
    return 0;
}

static int load(struct share *s, const char *rules, char *why, size_t n)
{
    static const char replace[] = "add table inet " SHARE_TABLE "\ndelete table inet " SHARE_TABLE "\n";
    char *all = malloc(sizeof replace + strlen(rules));
    if (!all) return os_why(BW_ERR_NOMEM, why, n, "no memory for the firewall's rules");
    memcpy(all, replace, sizeof replace);
    strcat(all, rules);
    int err = os_nft_run(s->nft, all, why, n);
    free(all);
    return err;
}

// Where that can't be done, connections to which this matters begin to work again after a pause of some 30 s.
static void forget_old_sources(struct share *s, const struct share_rules *r)
{
    const struct bw_addr now[SHARE_SOURCES] = {r->exit.inner4, r->exit.inner6, r->exit.kept4, r->exit.kept6};
    for (unsigned i = 0; i < SHARE_SOURCES; i++) {
        bool stays = !is_set(&s->source[i]);
        for (unsigned k = 0; k < SHARE_SOURCES; k++) stays |= bw_addr_eq(&s->source[i], &now[k]);
        if (!stays && os_conntrack_forget(&s->source[i], NULL, 0) < 0) {}
    }
    memcpy(s->source, now, sizeof now);
}

int share_apply(struct share *s, const struct share_rules *r, char *why, size_t n)
{
    size_t cap = RULES_MAX + r->connected_count * (BW_PREFIX_TEXT + 2);
    char *rules = malloc(cap);
    if (!rules) return os_why(BW_ERR_NOMEM, why, n, "no memory for the firewall's rules");
    struct share_rules all = *r;
    all.closed4 = forwards(r) && was_off(s, "net/ipv4/ip_forward");
    all.closed6 = forwards(r) && was_off(s, "net/ipv6/conf/all/forwarding");
    int len = share_ruleset(&all, rules, cap);
    int err = len < 0 ? os_why(len, why, n, "too many prefixes for the firewall (shorten [routing])") : 0;
    if (!err && s->last && !strcmp(s->last, rules)) {
        free(rules);
        forget_old_sources(s, r);
        return set_forwarding(s, r, why, n);
    }
    if (!err) err = load(s, rules, why, n); // first the filter, then the switch that lets packets through
    if (!err) forget_old_sources(s, r);
    if (!err) err = set_forwarding(s, r, why, n);
    free(s->last);
    s->last = err ? NULL : rules; // after a failure everything is tried again next time
    if (err) free(rules);
    return err;
}

void share_again(struct share *s)
{
    free(s->last);
    s->last = NULL;
}

void share_remove(struct share *s)
{
    char why[OS_WHY];
    stop_forwarding(s);
    if (s->nft && os_nft_delete_table(s->nft, "inet " SHARE_TABLE, why, sizeof why)) {} // the next start tries again
    free(s->last);
    s->last = NULL;
}
