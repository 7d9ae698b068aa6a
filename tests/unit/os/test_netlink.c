// os/netlink and os/nlwatch against the kernel in a network namespace of our own; `ip` is the second opinion.
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "os/local.h"
#include "os/netlink.h"
#include "os/nlwatch.h"
#include "os/why.h"
#include "unit/os/scratch.h"
#include "unit/os/space.h"
#include "unit/parse.h"

static bool have_space;
static struct os_nl *nl;
static char why[OS_WHY];

static int enter(void **state)
{
    (void)state;
    have_space = space_network();
    if (!have_space) return 0;
    if (!space_write("/proc/sys/net/ipv6/conf/default/accept_dad", "0")) return -1; // no 1.7 s for each address
    if (!space_run("ip link add va type veth peer name vb && ip link set va up && ip link set vb up")) return -1;
    return os_nl_open(&nl, why, sizeof why);
}

static int leave(void **state)
{
    (void)state;
    os_nl_close(nl);
    os_nl_close(NULL);
    return 0;
}

static uint32_t index_of(const char *name)
{
    struct os_link l;
    assert_int_equal(os_nl_link_named(nl, name, &l), 0);
    return l.index;
}

// Does `ip ...` print something that contains text?
static bool ip_says(const char *command, const char *text)
{
    char out[8192];
    FILE *f = popen(command, "r");
    size_t n = fread(out, 1, sizeof out - 1, f);
    pclose(f);
    out[n] = 0;
    return strstr(out, text) != NULL;
}

static int find_veth(void *ctx, const struct os_link *l)
{
    if (!strcmp(l->name, "va")) *(struct os_link *)ctx = *l;
    return 0;
}

static int stop_at_once(void *ctx, const struct os_link *l)
{
    (void)l;
    return ++*(int *)ctx + 6;
}

static void links_are_listed_and_changed(void **state)
{
    (void)state;
    if (!have_space) skip();
    struct os_link l = {0}, m;
    assert_int_equal(os_nl_links(nl, find_veth, &l), 0);
    assert_string_equal(l.kind, "veth");
    assert_int_equal(l.type, 1); // ARPHRD_ETHER
    assert_int_equal(l.mac_len, 6);
    assert_int_equal(l.mtu, 1500);
    assert_true(l.flags & IFF_UP && l.flags & IFF_MULTICAST && l.carrier);
    assert_int_equal(os_nl_link_set(nl, l.index, true, 1280), 0);
    assert_int_equal(os_nl_link_named(nl, "va", &m), 0);
    assert_int_equal(m.mtu, 1280);
    assert_int_equal(os_nl_link_set(nl, l.index, false, 0), 0);
    assert_int_equal(os_nl_link_named(nl, "va", &m), 0);
    assert_false(m.flags & IFF_UP);
    assert_int_equal(os_nl_link_named(nl, "vb", &m), 0);
    assert_false(m.carrier);
    assert_int_equal(os_nl_link_set(nl, l.index, true, 1500), 0);
    assert_int_equal(os_nl_link_named(nl, "nosuch", &m), BW_ERR_NOTFOUND);
    assert_int_equal(os_nl_link_named(nl, "", &m), BW_ERR_NOTFOUND);
    assert_int_equal(os_nl_link_named(nl, "muchtoolonganame", &m), BW_ERR_NOTFOUND);
    assert_int_equal(os_nl_link_set(nl, 9999, true, 0), BW_ERR_NOTFOUND);
    int count = 0;
    assert_int_equal(os_nl_links(nl, stop_at_once, &count),
                     7); // and the rest of the dump does not disturb what follows
    assert_int_equal(count, 1);
    assert_int_equal(os_nl_link_set(nl, l.index, true, 70000), BW_ERR_SYS);
    assert_non_null(strstr(os_nl_error(nl), "mtu"));
}

struct want_addr {
    struct os_ifaddr want;
    int found;
};

static int match_addr(void *ctx, const struct os_ifaddr *a)
{
    struct want_addr *w = ctx;
    if (a->index == w->want.index && bw_addr_eq(&a->addr, &w->want.addr) && a->len == w->want.len) {
        w->found++;
        w->want = *a;
    }
    return 0;
}

static int addr_count(struct want_addr *w)
{
    w->found = 0;
    assert_int_equal(os_nl_addrs(nl, match_addr, w), 0);
    return w->found;
}

static void addresses_come_and_go(void **state)
{
    (void)state;
    if (!have_space) skip();
    struct os_ifaddr a4 = {.index = index_of("va"), .addr = addr("192.0.2.7"), .len = 96 + 24};
    struct os_ifaddr a6 = {
        .index = a4.index, .addr = addr("2001:db8::7"), .len = 64, .flags = IFA_F_NODAD | IFA_F_NOPREFIXROUTE};
    struct os_ifaddr pp = {.index = a4.index, .addr = addr("100.64.0.2"), .len = 128, .peer = addr("100.64.0.1")};
    assert_int_equal(os_nl_addr_add(nl, &a4), 0);
    assert_int_equal(os_nl_addr_add(nl, &a4), 0); // there already
    assert_int_equal(os_nl_addr_add(nl, &a6), 0);
    assert_int_equal(os_nl_addr_add(nl, &a6), 0);
    assert_int_equal(os_nl_addr_add(nl, &pp), 0);
    struct want_addr w = {.want = a4};
    assert_int_equal(addr_count(&w), 1);
    assert_true(bw_addr_is_zero(&w.want.peer));
    w.want = a6;
    assert_int_equal(addr_count(&w), 1);
    assert_true(w.want.flags & IFA_F_NOPREFIXROUTE);
    w.want = pp;
    assert_int_equal(addr_count(&w), 1);
    assert_true(bw_addr_eq(&w.want.peer, &pp.peer));
    assert_true(ip_says("ip addr show dev va", "inet 100.64.0.2 peer 100.64.0.1/32"));
    assert_true(ip_says("ip addr show dev va", "inet6 2001:db8::7/64 scope global nodad noprefixroute"));
    assert_int_equal(os_nl_addr_del(nl, &a4), 0);
    assert_int_equal(os_nl_addr_del(nl, &a4), BW_ERR_NOTFOUND);
    assert_int_equal(os_nl_addr_del(nl, &a6), 0);
    assert_int_equal(os_nl_addr_del(nl, &pp), 0);
    assert_false(ip_says("ip addr show dev va", "2001:db8::7"));
    a4.len = 30; // not an IPv4 length on the 128 scale
    assert_int_equal(os_nl_addr_add(nl, &a4), BW_ERR_RANGE);
}

struct want_route {
    struct os_route want;
    int found, ours;
};

static int match_route(void *ctx, const struct os_route *r)
{
    struct want_route *w = ctx;
    if (r->protocol == OS_NL_PROTO) w->ours++;
    if (bw_prefix_eq(&r->dst, &w->want.dst) && r->protocol == OS_NL_PROTO) {
        w->found++;
        w->want = *r;
    }
    return 0;
}

static int route_count(struct want_route *w, uint32_t table)
{
    w->found = w->ours = 0;
    assert_int_equal(os_nl_routes(nl, table, match_route, w), 0);
    return w->found;
}

static void routes_of_both_families(void **state)
{
    (void)state;
    if (!have_space) skip();
    uint32_t va = index_of("va");
    struct os_ifaddr a4 = {.index = va, .addr = addr("192.0.2.7"), .len = 96 + 24};
    assert_int_equal(os_nl_addr_add(nl, &a4), 0);
    struct os_route r4 = {.dst = prefix("0.0.0.0/0"), .table = 4870, .out_if = va, .mtu = 1340, .metric = 50};
    struct os_route r6 = {.dst = prefix("fc00::/8"), .out_if = va, .metric = 77, .mtu = 1380};
    struct os_route gw = {
        .dst = prefix("198.51.100.0/24"), .out_if = va, .gateway = addr("192.0.2.1"), .src = addr("192.0.2.7")};
    struct os_route via6 = {.dst = prefix("203.0.113.0/24"), .out_if = va, .gateway = addr("fe80::99")};
    struct os_route no6 = {.dst = prefix("::/0"), .table = 4870, .type = RTN_UNREACHABLE, .metric = 4278198272};
    struct os_route no4 = {.dst = prefix("0.0.0.0/0"), .table = 4870, .type = RTN_UNREACHABLE, .metric = 4278198272};
    struct os_route *all[] = {&r4, &r6, &gw, &via6, &no6, &no4};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(os_nl_route_add(nl, all[i]), 0);
        assert_int_equal(os_nl_route_add(nl, all[i]), BW_ERR_EXISTS);
        assert_int_equal(os_nl_route_replace(nl, all[i]), 0);
    }
    assert_true(ip_says("ip route show table 4870", "default dev va proto 112 scope link metric 50 mtu 1340"));
    assert_true(ip_says("ip -6 route show", "fc00::/8 dev va proto 112 metric 77 mtu 1380"));
    assert_true(ip_says("ip route show", "198.51.100.0/24 via 192.0.2.1 dev va proto 112 src 192.0.2.7"));
    assert_true(ip_says("ip route show", "203.0.113.0/24 via inet6 fe80::99 dev va proto 112"));
    assert_true(ip_says("ip -6 route show table 4870", "unreachable default dev lo proto 112 metric 4278198272"));
    assert_true(ip_says("ip route show table 4870", "unreachable default proto 112 metric 4278198272"));
    struct want_route w = {.want = via6};
    assert_int_equal(route_count(&w, 0), 1);
    assert_int_equal(w.ours, 6);
    assert_true(bw_addr_eq(&w.want.gateway, &via6.gateway));
    w.want = r4;
    assert_int_equal(route_count(&w, 4870), 2); // with its unreachable twin
    w.want = r6;
    assert_int_equal(route_count(&w, OS_NL_TABLE_MAIN), 1);
    assert_int_equal(w.want.mtu, 1380);
    r6.mtu = 1420;
    assert_int_equal(os_nl_route_replace(nl, &r6), 0);
    w.want = r6;
    assert_int_equal(route_count(&w, OS_NL_TABLE_MAIN), 1);
    assert_int_equal(w.want.mtu, 1420);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(os_nl_route_del(nl, all[i]), 0);
        assert_int_equal(os_nl_route_del(nl, all[i]), BW_ERR_NOTFOUND);
    }
    assert_int_equal(os_nl_addr_del(nl, &a4), 0);
}

struct want_rule {
    struct os_rule want;
    int found, ours;
};

static int match_rule(void *ctx, const struct os_rule *r)
{
    struct want_rule *w = ctx;
    if (r->protocol == OS_NL_PROTO) w->ours++;
    if (r->priority == w->want.priority && r->v4 == w->want.v4) {
        w->found++;
        w->want = *r;
    }
    return 0;
}

static void rules_and_the_sweep(void **state)
{
    (void)state;
    if (!have_space) skip();
    uint32_t va = index_of("va");
    for (int v4 = 0; v4 < 2; v4++) {
        struct os_rule keep = {.v4 = v4, .priority = 4869, .table = OS_NL_TABLE_MAIN, .suppress_len = 0};
        struct os_rule tunnel = {.v4 = v4,
                                 .invert = true,
                                 .priority = 4870,
                                 .table = 4870,
                                 .mark = 0x4870,
                                 .mask = 0xffffffff,
                                 .suppress_len = -1};
        struct os_rule from = {.v4 = v4,
                               .priority = 4871,
                               .table = 100000,
                               .suppress_len = -1,
                               .in_name = "va",
                               .src = prefix(v4 ? "10.0.0.0/8" : "fd00::/8")};
        assert_int_equal(os_nl_rule_add(nl, &keep), 0);
        assert_int_equal(os_nl_rule_add(nl, &keep), BW_ERR_EXISTS);
        assert_int_equal(os_nl_rule_add(nl, &tunnel), 0);
        assert_int_equal(os_nl_rule_add(nl, &from), 0);
        struct want_rule w = {.want = tunnel};
        assert_int_equal(os_nl_rules(nl, match_rule, &w), 0);
        assert_int_equal(w.found, 1);
        assert_int_equal(w.ours, 3 + 2 * v4);
        assert_true(w.want.invert && w.want.mark == 0x4870 && w.want.mask == 0xffffffff && w.want.table == 4870);
        assert_int_equal(w.want.suppress_len, -1);
        w = (struct want_rule){.want = keep};
        assert_int_equal(os_nl_rules(nl, match_rule, &w), 0);
        assert_int_equal(w.want.suppress_len, 0);
        w = (struct want_rule){.want = from};
        assert_int_equal(os_nl_rules(nl, match_rule, &w), 0);
        assert_true(bw_prefix_eq(&w.want.src, &from.src));
        assert_string_equal(w.want.in_name, "va");
        assert_true(ip_says(v4 ? "ip rule" : "ip -6 rule", "4870:\tnot from all fwmark 0x4870 lookup 4870 proto 112"));
        assert_true(ip_says(v4 ? "ip rule" : "ip -6 rule", "lookup main suppress_prefixlength 0 proto 112"));
        assert_int_equal(os_nl_rule_del(nl, &from), 0);
        assert_int_equal(os_nl_rule_del(nl, &from), BW_ERR_NOTFOUND);
    }
    // Much more than one sweep takes at a time, and things of others in between.
    for (uint32_t i = 0; i < 200; i++) {
        struct os_route r = {.dst = prefix("10.0.0.0/32"), .out_if = va, .table = 4870 + i % 3};
        r.dst.addr.b[15] = (uint8_t)i;
        assert_int_equal(os_nl_route_add(nl, &r), 0);
    }
    struct os_route no6 = {.dst = prefix("::/0"), .table = 4870, .type = RTN_UNREACHABLE, .metric = 9999};
    assert_int_equal(os_nl_route_add(nl, &no6), 0);
    assert_true(space_run("ip route add 10.1.0.0/16 dev va proto static && ip rule add priority 77 table 5"));
    assert_int_equal(os_nl_cleanup(nl), 200 + 1 + 4);
    assert_int_equal(os_nl_cleanup(nl), 0);
    assert_true(ip_says("ip route", "10.1.0.0/16"));
    assert_true(ip_says("ip rule", "77:"));
    assert_true(space_run("ip route del 10.1.0.0/16 && ip rule del priority 77"));
}

struct watched {
    volatile bool done;
    enum os_nl_what what;
    bool gone;
    char name[OS_IFNAME];
    struct bw_prefix dst;
    struct bw_addr addr;
    uint32_t priority;
    int resyncs, events;
};

static void on_event(void *ctx, const struct os_nl_event *e)
{
    struct watched *w = ctx;
    w->events++;
    if (e->what == OS_NL_RESYNC) {
        w->resyncs++;
        w->done |= w->what == OS_NL_RESYNC;
    }
    if (e->what != w->what || e->gone != w->gone) return;
    switch (e->what) {
    case OS_NL_LINK:
        w->done |= !strcmp(e->link.name, w->name);
        break;
    case OS_NL_ADDR:
        w->done |= bw_addr_eq(&e->addr.addr, &w->addr);
        break;
    case OS_NL_ROUTE:
        w->done |= bw_prefix_eq(&e->route.dst, &w->dst);
        break;
    case OS_NL_RULE:
        w->done |= e->rule.priority == w->priority;
        break;
    default:
        break;
    }
}

static void changes_are_told(void **state)
{
    (void)state;
    if (!have_space) skip();
    uv_loop_t loop;
    struct os_nlwatch *nw;
    struct watched w = {0};
    uv_loop_init(&loop);
    assert_int_equal(os_nlwatch_open(&loop, on_event, &w, &nw, why, sizeof why), 0);
    static const struct {
        const char *command;
        struct watched want;
    } steps[] = {
        {"ip link add br0 type bridge", {.what = OS_NL_LINK, .name = "br0"}},
        {"ip link set vb master br0", {.what = OS_NL_LINK, .name = "vb"}},
        {"ip addr add 192.0.2.9/24 dev va", {.what = OS_NL_ADDR}},
        {"ip route add 198.51.100.0/24 via 192.0.2.1", {.what = OS_NL_ROUTE}},
        {"ip route del 198.51.100.0/24", {.what = OS_NL_ROUTE, .gone = true}},
        {"ip rule add priority 4321 table 9", {.what = OS_NL_RULE, .priority = 4321}},
        {"ip rule del priority 4321", {.what = OS_NL_RULE, .gone = true, .priority = 4321}},
        {"ip -6 rule add priority 4322 table 9", {.what = OS_NL_RULE, .priority = 4322}},
        {"ip -6 rule del priority 4322", {.what = OS_NL_RULE, .gone = true, .priority = 4322}},
        {"ip addr del 192.0.2.9/24 dev va", {.what = OS_NL_ADDR, .gone = true}},
        {"ip link del br0", {.what = OS_NL_LINK, .gone = true, .name = "br0"}},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        w = steps[i].want;
        w.addr = addr("192.0.2.9");
        w.dst = prefix("198.51.100.0/24");
        assert_true(space_run(steps[i].command));
        if (!loop_until(&loop, &w.done, 3000)) fail_msg("nothing heard of: %s", steps[i].command);
    }
    // Far more changes than the socket holds while nobody reads: one resync, and then it goes on.
    w = (struct watched){.what = OS_NL_RESYNC};
    uint32_t va = index_of("va");
    for (uint32_t i = 0; i < 30000; i++) {
        struct os_route r = {.dst = prefix("10.0.0.0/32"), .out_if = va};
        r.dst.addr.b[15] = (uint8_t)i;
        assert_int_equal(i / 256 % 2 ? os_nl_route_del(nl, &r) : os_nl_route_add(nl, &r), 0);
    }
    assert_true(loop_until(&loop, &w.done, 3000));
    assert_true(w.resyncs >= 1);
    assert_int_equal(w.events, w.resyncs); // and nothing stale before or after it
    w = (struct watched){.what = OS_NL_LINK, .name = "va"};
    assert_true(space_run("ip link set va mtu 1400"));
    assert_true(loop_until(&loop, &w.done, 3000));
    os_nlwatch_close(nw);
    assert_int_equal(loop_finish(&loop), 0);
    assert_true(os_nl_cleanup(nl) >= 0);
}

static int note_prefix(void *ctx, const struct bw_prefix *p, uint32_t index)
{
    char text[BW_PREFIX_TEXT], *all = ctx;
    assert_true(index > 0);
    strcat(strcat(all, bw_prefix_text(p, text)), " ");
    return 0;
}

static void what_is_local(void **state)
{
    (void)state;
    if (!have_space) skip();
    struct os_route r;
    assert_int_equal(os_local_uplink(nl, true, 0, &r), BW_ERR_NOTFOUND);
    assert_int_equal(os_local_uplink(nl, false, 0, &r), BW_ERR_NOTFOUND);
    assert_true(space_run(
        "ip addr add 10.1.2.3/24 dev va && ip addr add 10.9.0.1/32 dev vb && ip addr add fd01::1/64 dev va nodad"
        " && ip route add default via 10.1.2.1 metric 100 && ip route add default dev vb metric 200"
        " && ip route add 172.16.5.0/24 via 10.1.2.9 && ip route add unreachable 192.168.99.0/24"
        " && ip route add 10.77.0.0/16 dev va proto 112"
        " && ip -6 route add default via fd01::2 metric 5 && ip -6 route add unreachable default metric 1"));
    uint32_t va = index_of("va"), vb = index_of("vb");
    assert_int_equal(os_local_uplink(nl, true, 0, &r), 0);
    assert_int_equal(r.out_if, va);
    struct bw_addr gw = addr("10.1.2.1");
    assert_true(bw_addr_eq(&r.gateway, &gw));
    assert_int_equal(os_local_uplink(nl, true, va, &r), 0);
    assert_int_equal(r.out_if, vb);
    assert_int_equal(os_local_uplink(nl, false, 0, &r), 0); // the unreachable one is none
    assert_int_equal(r.out_if, va);
    char all[2048] = "";
    assert_int_equal(os_local_prefixes(nl, 0, note_prefix, all), 0);
    assert_non_null(strstr(all, "10.1.2.0/24 "));
    assert_non_null(strstr(all, "10.9.0.1/32 "));
    assert_non_null(strstr(all, "fd01::/64 "));
    assert_non_null(strstr(all, "172.16.5.0/24 "));
    assert_null(strstr(all, "10.77."));
    assert_null(strstr(all, "192.168.99."));
    assert_null(strstr(all, "/0 "));
    assert_null(strstr(all, "127."));
    assert_null(strstr(all, "fe80"));
    all[0] = 0;
    assert_int_equal(os_local_prefixes(nl, va, note_prefix, all), 0);
    assert_string_equal(all, "10.9.0.1/32 ");
    assert_true(space_run("ip link set vb down"));
    assert_int_equal(os_local_uplink(nl, true, va, &r), BW_ERR_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_are_listed_and_changed),
        cmocka_unit_test(addresses_come_and_go),
        cmocka_unit_test(routes_of_both_families),
        cmocka_unit_test(rules_and_the_sweep),
        cmocka_unit_test(changes_are_told),
        cmocka_unit_test(what_is_local),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
