#include "daemon/guard.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/netconf.h"
#include "os/why.h"

#define RULES_MAX 4096

// Where the LAN is. Not "whatever is connected": whoever runs the network that the uplink hangs on chooses what that is, and
// could name any part of the Internet so (TunnelCrack, CVE-2023-36672). fc00::/8 is the mesh and has only the TUN.
static const char lan4[] = "10.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16";
static const char lan6[] = "fd00::/8, fe80::/10";

struct text {
    char *p;
    size_t n, cap;
    bool full;
};

static void add(struct text *t, const char *fmt, ...) BW_PRINTF(2, 3);
static void add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->p + t->n, t->cap - t->n, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= t->cap - t->n) t->full = true;
    else t->n += (size_t)n;
}

static void dns(struct text *t)
{
    add(t, "    meta l4proto { tcp, udp } th dport { 53, 853 } counter reject\n");
}

static void lan(struct text *t)
{
    add(t, "    ip daddr { %s } accept\n    ip6 daddr { %s } accept\n", lan4, lan6);
}

// What an interface needs to have an address at all, and what never leaves the wire.
static void wire(struct text *t)
{
    add(t, "    udp sport 68 udp dport 67 accept\n    udp sport 546 udp dport 547 accept\n");
    add(t, "    icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept\n");
    add(t, "    ip daddr 224.0.0.0/24 accept\n    ip protocol igmp accept\n    ip6 daddr ff02::/16 accept\n");
}

static void output(struct text *t, const struct guard_rules *r)
{
    add(t, "  chain output {\n    type filter hook output priority 10; policy accept\n");
    add(t, "    oifname { \"lo\", \"%s\" } accept\n    meta mark %#x accept\n", r->tun, NETCONF_MARK);
    if (r->dns) dns(t);
    if (r->killswitch) {
        wire(t);
        lan(t);
        add(t, "    counter reject with icmpx type admin-prohibited\n");
    }
    add(t, "  }\n");
}

static void forward(struct text *t, const struct guard_rules *r)
{
    add(t, "  chain forward {\n    type filter hook forward priority 10; policy accept\n");
    add(t, "    oifname \"%s\" accept\n", r->tun);
    if (r->dns) add(t, "    iifname != \"%s\" meta l4proto { tcp, udp } th dport { 53, 853 } counter reject\n", r->tun);
    if (r->killswitch) {
        lan(t);
        add(t, "    counter reject with icmpx type admin-prohibited\n");
    }
    add(t, "  }\n");
}

int guard_ruleset(const struct guard_rules *r, char *out, size_t cap)
{
    struct text t = {.p = out, .cap = cap};
    if (!cap) return BW_ERR_SHORT;
    add(&t, "table inet " GUARD_TABLE " {\n");
    output(&t, r);
    forward(&t, r);
    add(&t, "}\n");
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
