#include "daemon/guard.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "daemon/netconf.h"
#include "os/why.h"

#define RULES_MAX 4096

// Where the LAN is. Not "whatever is connected": whoever runs the network that the uplink hangs on chooses what that is, and
// could name any part of the Internet so (TunnelCrack, CVE-2023-36672). fc00::/8 is the mesh and has only the TUN.
static const char lan4[] = "10.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16";
static const char lan6[] = "fd00::/8, fe80::/10";

static void dns(struct bw_text *t)
{
    bw_put(t, "    meta l4proto { tcp, udp } th dport { 53, 853 } counter reject\n");
}

static void lan(struct bw_text *t)
{
    bw_put(t, "    ip daddr { %s } accept\n    ip6 daddr { %s } accept\n", lan4, lan6);
}

// What an interface needs to have an address at all, and what never leaves the wire.
static void wire(struct bw_text *t)
{
    bw_put(t, "    udp sport 68 udp dport 67 accept\n    udp sport 546 udp dport 547 accept\n");
    bw_put(t, "    icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept\n");
    bw_put(t, "    ip daddr 224.0.0.0/24 accept\n    ip protocol igmp accept\n    ip6 daddr ff02::/16 accept\n");
}

static void output(struct bw_text *t, const struct guard_rules *r)
{
    bw_put(t, "  chain output {\n    type filter hook output priority 10; policy accept\n");
    bw_put(t, "    oifname { \"lo\", \"%s\" } accept\n    meta mark %#x accept\n", r->tun, NETCONF_MARK);
    if (r->dns) dns(t);
    if (r->killswitch) {
        wire(t);
        lan(t);
        bw_put(t, "    counter reject with icmpx type admin-prohibited\n");
    }
    bw_put(t, "  }\n");
}

static void forward(struct bw_text *t, const struct guard_rules *r)
{
    bw_put(t, "  chain forward {\n    type filter hook forward priority 10; policy accept\n");
    bw_put(t, "    oifname \"%s\" accept\n", r->tun);
    if (r->dns) bw_put(t, "    iifname != \"%s\" meta l4proto { tcp, udp } th dport { 53, 853 } counter reject\n", r->tun);
    if (r->killswitch) {
        lan(t);
        bw_put(t, "    counter reject with icmpx type admin-prohibited\n");
    }
    bw_put(t, "  }\n");
}

int guard_ruleset(const struct guard_rules *r, char *out, size_t cap)
{
    struct bw_text t = {.p = out, .cap = cap};
    if (!cap) return BW_ERR_SHORT;
    bw_put(&t, "table inet " GUARD_TABLE " {\n");
    output(&t, r);
    forward(&t, r);
    bw_put(&t, "}\n");
    return t.full ? BW_ERR_SHORT : (int)t.n;
}

void guard_init(struct guard *g, struct os_nft *nft)
{
    *g = (struct guard){.nft = nft};
}

void guard_again(struct guard *g)
{
    g->now.known = false;
}

static bool stands(const struct guard *g, const struct guard_rules *r)
{
    return g->now.known && g->now.killswitch == r->killswitch && g->now.dns == r->dns && !strcmp(g->now.tun, r->tun);
}

int guard_apply(struct guard *g, const struct guard_rules *r, char *why, size_t n)
{
    static const char replace[] = "add table inet " GUARD_TABLE "\ndelete table inet " GUARD_TABLE "\n";
    char text[RULES_MAX];
    if (stands(g, r)) return 0;
    int err;
    if (r->killswitch || r->dns) {
        memcpy(text, replace, sizeof replace);
        err = guard_ruleset(r, text + sizeof replace - 1, sizeof text - sizeof replace);
        err = err < 0 ? os_why(err, why, n, "the guard's rules are too long") : os_nft_run(g->nft, text, why, n);
    } else {
        err = os_nft_delete_table(g->nft, "inet " GUARD_TABLE, why, n);
    }
    g->now.known = !err; // after a failure everything is tried again next time
    g->now.killswitch = r->killswitch;
    g->now.dns = r->dns;
    snprintf(g->now.tun, sizeof g->now.tun, "%s", r->tun);
    return err;
}
