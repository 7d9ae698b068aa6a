#include "daemon/lan.h"

#include <linux/if_addr.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/local.h"
#include "os/timer.h"
#include "os/why.h"

#define TABLE "lan"      // in the store: interface -> struct row
#define CONFIG_TEXT 8192
#define TRIES 4096       // networks that are looked at before we give up
#define STOP_MS 1000
#define FIRST_PAUSE (1 * BW_S)
#define LONGEST_PAUSE (30 * BW_S)
#define STEADY (60 * BW_S) // having run for so long it may be started again at once

struct row {
    uint8_t v4[16], v6[16];
};

struct lan {
    uv_loop_t *loop;
    struct os_nl *nl;
    struct os_store *store;
    struct bw_log *log;
    struct bw_addr me;
    char state_dir[OS_PATH], conf[OS_PATH], resolv[OS_PATH];
    struct lan_net net[CONFIG_INTERFACES];
    unsigned count;
    struct os_child *child;
    struct os_timer *again;
    bw_time started, pause;
    char config[CONFIG_TEXT], servers[1024]; // as dnsmasq has them
    char last[160], trouble[OS_WHY];         // what it said last; what is wrong
};

// ---- text ----

static struct bw_addr host(const struct bw_prefix *p, uint8_t number)
{
    struct bw_addr a = p->addr;
    a.b[15] = number;
    return a;
}

int lan_dnsmasq(const struct lan_net *nets, unsigned count, const char *state_dir, char *out, size_t cap)
{
    struct bw_text t = {.p = out, .cap = cap};
    char from[BW_ADDR_TEXT], to[BW_ADDR_TEXT];
    if (!cap) return BW_ERR_SHORT;
    bw_put(&t, "# Made by byway for [lan]; it is written anew whenever something changes.\n");
    bw_put(&t, "user=root\ngroup=root\npid-file=\nlog-facility=-\nquiet-dhcp\nquiet-dhcp6\nquiet-ra\n");
    bw_put(&t, "bind-dynamic\nexcept-interface=lo\nno-hosts\nbogus-priv\ncache-size=1000\nclear-on-reload\n");
    bw_put(&t, "resolv-file=%s/lan.resolv\ndhcp-leasefile=%s/lan.leases\ndhcp-authoritative\nenable-ra\n", state_dir, state_dir);
    for (unsigned i = 0; i < count; i++) {
        struct bw_addr first = host(&nets[i].v4, 10), last = host(&nets[i].v4, 250);
        bw_put(&t, "interface=%s\n", nets[i].name);
        bw_put(&t, "dhcp-range=%s,%s,255.255.255.0,1h\n", bw_addr_text(&first, from), bw_addr_text(&last, to));
        bw_put(&t, "dhcp-range=%s,ra-stateless,64,1h\n", bw_addr_text(&nets[i].v6.addr, from));
    }
    return t.full ? BW_ERR_SHORT : (int)t.n;
}

// ---- networks ----

// The mesh address is a hash already; any of its bytes are as good as drawn.
struct bw_prefix lan_candidate4(const struct bw_addr *me, unsigned i)
{
    unsigned start = (unsigned)me->b[8] << 8 | me->b[9], at = (start + i * 257) & 0xffff; // 10.X.Y, X changes first of all
    const uint8_t b[4] = {10, (uint8_t)(at >> 8), (uint8_t)at, 0};
    struct bw_addr a = bw_addr_v4(b);
    return bw_prefix_make(&a, 96 + 24);
}

struct bw_prefix lan_candidate6(const struct bw_addr *me, unsigned i)
{
    struct bw_addr a = {{0xfd, me->b[10], me->b[11], me->b[12], me->b[13], me->b[14], (uint8_t)(0x4c + (i >> 8)), (uint8_t)i}};
    return bw_prefix_make(&a, 64);
}

struct taken {
    const struct lan *lan;
    const struct lan_net *except; // the network that is being judged: what stands on its own interface does not count
    const struct bw_prefix *p;
    bool overlaps;
};

static int look(void *ctx, const struct bw_prefix *p, uint32_t index)
{
    struct taken *t = ctx;
    if (index == t->except->ifindex && (bw_prefix_eq(p, &t->except->v4) || bw_prefix_eq(p, &t->except->v6))) return 0;
    t->overlaps |= p->len > (bw_prefix_is_v4(p) ? 96 + 7 : 8) && bw_prefix_overlaps(p, t->p); // halves of a default route aside
    return 0;
}

static bool is_free(const struct lan *l, const struct lan_want *w, const struct lan_net *net, const struct bw_prefix *p)
{
    struct taken t = {.lan = l, .except = net, .p = p};
    if (os_local_prefixes(l->nl, w->tun, look, &t)) return false;
    for (unsigned i = 0; i < l->count; i++)
        t.overlaps |= &l->net[i] != net && (bw_prefix_overlaps(&l->net[i].v4, p) || bw_prefix_overlaps(&l->net[i].v6, p));
    for (unsigned i = 0; i < w->believed_count; i++) t.overlaps |= bw_prefix_overlaps(&w->believed[i], p);
    return !t.overlaps;
}

static bool choose(const struct lan *l, const struct lan_want *w, struct lan_net *net)
{
    bool has4 = net->v4.len && is_free(l, w, net, &net->v4), has6 = net->v6.len && is_free(l, w, net, &net->v6);
    for (unsigned i = 0; !has4 && i < TRIES; i++) {
        net->v4 = lan_candidate4(&l->me, i);
        has4 = is_free(l, w, net, &net->v4);
    }
    for (unsigned i = 0; !has6 && i < TRIES; i++) {
        net->v6 = lan_candidate6(&l->me, i);
        has6 = is_free(l, w, net, &net->v6);
    }
    net->gateway4 = host(&net->v4, 1);
    net->gateway6 = host(&net->v6, 1);
    return has4 && has6;
}

// ---- addresses ----

static void drop_addresses(struct lan *l, uint32_t ifindex, const struct bw_addr *v4, const struct bw_addr *v6)
{
    if (os_nl_addr_del(l->nl, &(struct os_ifaddr){.index = ifindex, .addr = *v4, .len = 96 + 24})) {} // gone already
    if (os_nl_addr_del(l->nl, &(struct os_ifaddr){.index = ifindex, .addr = *v6, .len = 64})) {}
}

static int set_addresses(struct lan *l, const struct lan_net *net, char *why, size_t n)
{
    struct row row;
    memcpy(row.v4, net->gateway4.b, 16);
    memcpy(row.v6, net->gateway6.b, 16);
    int err = os_store_put(l->store, TABLE, net->name, strlen(net->name), &row, sizeof row);
    if (err) return os_why(err, why, n, "%s", os_store_error(l->store));
    struct os_ifaddr v4 = {.index = net->ifindex, .addr = net->gateway4, .len = 96 + 24};
    struct os_ifaddr v6 = {.index = net->ifindex, .addr = net->gateway6, .len = 64, .flags = IFA_F_NODAD};
    err = os_nl_link_set(l->nl, net->ifindex, true, 0);
    if (!err) err = os_nl_addr_add(l->nl, &v4);
    if (!err) err = os_nl_addr_add(l->nl, &v6);
    return err ? os_why(err, why, n, "%s could not be given its addresses: %s", net->name, os_nl_error(l->nl)) : 0;
}

static void leave(struct lan *l, unsigned i)
{
    struct lan_net *net = &l->net[i];
    drop_addresses(l, net->ifindex, &net->gateway4, &net->gateway6);
    if (os_store_del(l->store, TABLE, net->name, strlen(net->name))) {} // harmless: an address that is not there is not removed
    memmove(net, net + 1, (--l->count - i) * sizeof *net);
}

static int sweep(void *ctx, const uint8_t *key, size_t key_n, const uint8_t *p, size_t n)
{
    struct lan *l = ctx;
    char name[CONFIG_IFNAME] = "";
    struct row row;
    struct os_link link;
    struct bw_addr v4, v6;
    if (key_n < sizeof name && n == sizeof row) {
        memcpy(name, key, key_n);
        memcpy(&row, p, sizeof row);
        memcpy(v4.b, row.v4, 16);
        memcpy(v6.b, row.v6, 16);
        if (!os_nl_link_named(l->nl, name, &link)) drop_addresses(l, link.index, &v4, &v6);
    }
    return os_store_del(l->store, TABLE, key, key_n);
}

int lan_clean(struct lan *l, char *why, size_t n)
{
    int err = os_store_iter(l->store, TABLE, sweep, l);
    return err ? os_why(err, why, n, "%s", os_store_error(l->store)) : 0;
}

// ---- dnsmasq ----

static void start(struct lan *l);

static void on_line(void *ctx, const char *line)
{
    struct lan *l = ctx;
    const char *text = strstr(line, "dnsmasq: ") ? strstr(line, "dnsmasq: ") + 9 : line;
    snprintf(l->last, sizeof l->last, "%s", text);
    bw_log(l->log, BW_DEBUG, "dnsmasq: %s", text);
}

static void on_end(void *ctx, int status)
{
    struct lan *l = ctx;
    bw_time now = os_clock_now();
    l->child = NULL;
    l->pause = now - l->started > STEADY || !l->pause ? FIRST_PAUSE : l->pause * 2 > LONGEST_PAUSE ? LONGEST_PAUSE : l->pause * 2;
    if (WIFSIGNALED(status)) snprintf(l->last, sizeof l->last, "ended by signal %d", WTERMSIG(status));
    snprintf(l->trouble, sizeof l->trouble, "dnsmasq, which serves the LAN, ended: %s (it is started again)", l->last);
    bw_log(l->log, BW_WARN, "%s", l->trouble);
    os_timer_at(l->again, now + l->pause);
}

// As some user's root, in a namespace that may not change groups, dnsmasq gives up unless it is told to debug.
static bool may_set_groups(void)
{
    char text[16] = "";
    ssize_t n = os_file_read("/proc/self/setgroups", text, sizeof text);
    return n < 0 || strncmp(text, "deny", 4) != 0;
}

static void start(struct lan *l)
{
    char program[OS_CHILD_PATH], conf[OS_PATH + 16];
    os_timer_at(l->again, BW_NEVER);
    if (os_child_find("dnsmasq", program)) {
        snprintf(l->trouble, sizeof l->trouble, "dnsmasq is not installed: nobody gets an address on the LAN (apt install dnsmasq-base)");
        bw_log(l->log, BW_ERROR, "%s", l->trouble);
        os_timer_at(l->again, os_clock_now() + LONGEST_PAUSE);
        return;
    }
    snprintf(conf, sizeof conf, "--conf-file=%s", l->conf);
    char *mode = may_set_groups() ? "--keep-in-foreground" : "--no-daemon";
    l->last[0] = 0;
    l->started = os_clock_now();
    if (os_child_start(l->loop, (char *[]){program, mode, conf, NULL}, on_line, on_end, l, &l->child)) {
        l->child = NULL;
        snprintf(l->trouble, sizeof l->trouble, "dnsmasq cannot be started: %.200s", strerror(errno));
        os_timer_at(l->again, os_clock_now() + LONGEST_PAUSE);
        return;
    }
    bw_log(l->log, BW_INFO, "dnsmasq serves the LAN (process %d)", (int)os_child_pid(l->child));
    l->trouble[0] = 0;
}

static void on_again(void *ctx)
{
    start(ctx);
}

static void halt(struct lan *l)
{
    os_child_stop(l->child, STOP_MS);
    l->child = NULL;
    os_timer_at(l->again, BW_NEVER);
    l->config[0] = l->trouble[0] = 0;
    l->pause = 0;
}

static int write_servers(struct lan *l, const struct lan_want *w, char *why, size_t n)
{
    char text[sizeof l->servers], a[BW_ADDR_TEXT], scope[IF_NAMESIZE];
    struct bw_text t = {.p = text, .cap = sizeof text};
    bw_put(&t, "# Made by byway for dnsmasq.\n");
    for (size_t i = 0; i < w->server_count; i++) {
        bool scoped = w->servers[i].scope && if_indextoname(w->servers[i].scope, scope);
        bw_put(&t, "nameserver %s%s%s\n", bw_addr_text(&w->servers[i].addr, a), scoped ? "%" : "", scoped ? scope : "");
    }
    if (!strcmp(text, l->servers)) return 0;
    int err = os_file_write(l->resolv, text, t.n, 0644, true); // dnsmasq looks at it again by itself
    if (err) return os_why(err, why, n, "%s cannot be written: %m", l->resolv);
    memcpy(l->servers, text, sizeof text);
    return 0;
}

static int serve(struct lan *l, const struct lan_want *w, char *why, size_t n)
{
    char text[CONFIG_TEXT];
    if (!l->count) {
        halt(l);
        return 0;
    }
    int err = write_servers(l, w, why, n);
    int len = err ? err : lan_dnsmasq(l->net, l->count, l->state_dir, text, sizeof text);
    if (len < 0) return err ? err : os_why(len, why, n, "too many interfaces in [lan]");
    if (!strcmp(text, l->config)) return 0;
    halt(l);
    err = os_file_write(l->conf, text, (size_t)len, 0644, true);
    if (err) return os_why(err, why, n, "%s cannot be written: %m", l->conf);
    memcpy(l->config, text, (size_t)len + 1);
    start(l);
    return 0;
}

// ---- the whole ----

struct lan *lan_new(uv_loop_t *loop, struct os_nl *nl, struct os_store *store, struct bw_log *log, const char *state_dir,
                    const struct bw_addr *me)
{
    struct lan *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    *l = (struct lan){.loop = loop, .nl = nl, .store = store, .log = log, .me = *me};
    snprintf(l->state_dir, sizeof l->state_dir, "%s", state_dir);
    if (os_file_path(l->conf, state_dir, "lan.conf") || os_file_path(l->resolv, state_dir, "lan.resolv") ||
        os_timer_open(loop, on_again, l, &l->again)) {
        free(l);
        return NULL;
    }
    return l;
}

static struct lan_net *find(struct lan *l, const char *name)
{
    for (unsigned i = 0; i < l->count; i++)
        if (!strcmp(l->net[i].name, name)) return &l->net[i];
    return NULL;
}

static bool is_listed(const struct config_lan *c, const char *name)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (!strcmp(c->interfaces[i], name)) return true;
    return false;
}

// The interface's network, made if it is new, renumbered if something else has come to lie over it.
static int serve_interface(struct lan *l, const struct lan_want *w, const struct os_link *link, char *why, size_t n)
{
    struct lan_net *net = find(l, link->name), old;
    if (!net) {
        net = &l->net[l->count];
        *net = (struct lan_net){.ifindex = link->index};
        memcpy(net->name, link->name, sizeof net->name);
    }
    old = *net;
    net->ifindex = link->index; // the same name may be another device by now
    if (!choose(l, w, net)) return os_why(BW_ERR_NOTFOUND, why, n, "no private network is free for %s", link->name);
    if (net != &l->net[l->count] && !bw_prefix_eq(&old.v4, &net->v4)) drop_addresses(l, link->index, &old.gateway4, &old.gateway6);
    int err = set_addresses(l, net, why, n);
    if (net != &l->net[l->count]) return err;
    char v4[BW_PREFIX_TEXT], v6[BW_PREFIX_TEXT];
    l->count++;
    bw_log(l->log, BW_INFO, "%s: a LAN with %s and %s", net->name, bw_prefix_text(&net->v4, v4), bw_prefix_text(&net->v6, v6));
    return err;
}

int lan_apply(struct lan *l, const struct lan_want *w, char *why, size_t n)
{
    int err = 0;
    for (unsigned i = l->count; i-- > 0;) {
        struct os_link link;
        bool there = !os_nl_link_named(l->nl, l->net[i].name, &link);
        if (!there || !is_listed(w->config, l->net[i].name)) leave(l, i);
    }
    for (uint32_t i = 0; i < w->config->count; i++) {
        const char *name = w->config->interfaces[i];
        struct os_link link;
        if ((w->uplink4 && !strcmp(name, w->uplink4)) || (w->uplink6 && !strcmp(name, w->uplink6)))
            err = os_why(BW_ERR_DENIED, why, n, "%s leads to the Internet and is not served as a LAN (take it out of [lan] interfaces)", name);
        else if (os_nl_link_named(l->nl, name, &link))
            err = os_why(BW_ERR_NOTFOUND, why, n, "there is no interface %s (it is served as soon as it comes)", name);
        else if (serve_interface(l, w, &link, why, n))
            err = BW_ERR_SYS;
    }
    char later[OS_WHY];
    return serve(l, w, err ? later : why, err ? sizeof later : n) ? BW_ERR_SYS : err;
}

const struct lan_net *lan_nets(const struct lan *l, unsigned *count)
{
    *count = l ? l->count : 0;
    return l ? l->net : NULL;
}

const char *lan_trouble(const struct lan *l)
{
    return l->trouble[0] ? l->trouble : NULL;
}

void lan_close(struct lan *l)
{
    if (!l) return;
    halt(l);
    while (l->count) leave(l, l->count - 1);
    os_timer_close(l->again);
    unlink(l->conf);
    unlink(l->resolv);
    free(l);
}
