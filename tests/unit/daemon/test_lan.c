// The house's networks and dnsmasq's configuration, the guard's rules, and both in a real kernel. The rest of router
// mode is shown with packets by tests/lab/house.py and killswitch.py.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/guard.h"
#include "daemon/lan.h"
#include "os/file.h"
#include "os/why.h"
#include "unit/daemon/netns.h"

static bool may;
static char why[OS_WHY];
static char scratch[] = "/tmp/byway-test-lan-XXXXXX";
static struct bw_addr me;
static struct bw_log quiet;

static bool says(const char *command, const char *what)
{
    const char *out = netns_output(command);
    if (strstr(out, what)) return true;
    print_message("%s: no \"%s\" in:\n%s\n", command, what, out);
    return false;
}

static void candidates(void **state)
{
    char seen[512][BW_PREFIX_TEXT], text[BW_PREFIX_TEXT];
    struct bw_prefix ten, ula;
    struct bw_addr other;
    (void)state;
    assert_int_equal(bw_prefix_parse("10.0.0.0/8", &ten) | bw_prefix_parse("fd00::/8", &ula), 0);
    for (unsigned i = 0; i < 512; i++) {
        struct bw_prefix p4 = lan_candidate4(&me, i), p6 = lan_candidate6(&me, i);
        assert_true(bw_prefix_is_v4(&p4) && p4.len == 96 + 24 && bw_prefix_has(&ten, &p4.addr));
        assert_true(p6.len == 64 && bw_prefix_has(&ula, &p6.addr));
        bw_prefix_text(&p4, seen[i]);
        for (unsigned k = 0; k < i; k++) assert_string_not_equal(seen[i], seen[k]);
    }
    assert_int_equal(bw_addr_parse("fc12:3456:789a:bcde:1111:2222:3333:4444", &other), 0);
    struct bw_prefix p = lan_candidate4(&other, 0);
    assert_string_not_equal(bw_prefix_text(&p, text), seen[0]); // neighbours take different ones
}

static struct lan_net net(const char *name, unsigned i)
{
    struct lan_net n = {.v4 = lan_candidate4(&me, i), .v6 = lan_candidate6(&me, i)};
    snprintf(n.name, sizeof n.name, "%s", name);
    return n;
}

static void dnsmasq_takes_it(void **state)
{
    char text[4096], path[64], command[160];
    struct lan_net nets[2] = {net("eth1", 0), net("wlan0", 1)};
    (void)state;
    int n = lan_dnsmasq(nets, 2, scratch, text, sizeof text);
    assert_true(n > 0 && strlen(text) == (size_t)n);
    assert_non_null(strstr(text, "interface=eth1\n"));
    assert_non_null(strstr(text, ",ra-stateless,64,"));
    assert_int_equal(lan_dnsmasq(nets, 2, scratch, text, 100), BW_ERR_SHORT);
    assert_int_equal(lan_dnsmasq(nets, 2, scratch, text, sizeof text), n);
    snprintf(path, sizeof path, "%s/lan.conf", scratch);
    assert_int_equal(os_file_write(path, text, (size_t)n, 0644, true), 0);
    if (access("/usr/sbin/dnsmasq", X_OK)) skip();
    snprintf(command, sizeof command, "/usr/sbin/dnsmasq --test --conf-file=%s 2>&1", path);
    assert_true(says(command, "syntax check OK"));
}

static void interfaces_come_and_go(void **state)
{
    uv_loop_t loop;
    struct os_nl *nl;
    struct os_store *store;
    struct lan *l;
    unsigned count;
    char taken[200], first[BW_PREFIX_TEXT];
    (void)state;
    if (!may) skip();
    uv_loop_init(&loop);
    assert_int_equal(os_nl_open(&nl, why, sizeof why), 0);
    assert_int_equal(os_store_open(scratch, &store, why, sizeof why), 0);
    // What this node would take first stands on another interface already, and a believed prefix lies over the second.
    struct bw_prefix p = lan_candidate4(&me, 0), believed = lan_candidate4(&me, 1);
    assert_int_equal(netns_run(0, "ip link set lo up; ip link add eth1 type veth peer name x1; ip link add eth0 type "
                                  "veth peer name x0; ip link set eth0 up"),
                     0);
    bw_prefix_text(&p, first);
    snprintf(taken, sizeof taken, "ip addr add %s dev eth0", first);
    assert_int_equal(netns_run(0, "%s", taken), 0);
    l = lan_new(&loop, nl, store, &quiet, scratch, &me);
    assert_non_null(l);
    struct config_lan c = {.interfaces = {"eth0", "eth1", "eth2"}, .count = 3};
    struct lan_want w = {.config = &c, .uplink4 = "eth0", .believed = &believed, .believed_count = 1};
    assert_int_equal(lan_apply(l, &w, why, sizeof why), BW_ERR_NOTFOUND);
    assert_non_null(strstr(why, "eth2"));
    const struct lan_net *nets = lan_nets(l, &count);
    assert_int_equal(count, 1); // eth0 leads to the Internet, eth2 is not there
    struct bw_prefix third = lan_candidate4(&me, 2);
    assert_true(bw_prefix_eq(&nets[0].v4, &third));
    bw_addr_text(&nets[0].gateway4, first);
    assert_true(says("ip -o addr show dev eth1", first));
    assert_int_equal(lan_apply(l, &w, why, sizeof why), BW_ERR_NOTFOUND); // again: nothing new
    assert_true(says("ip -o -4 addr show dev eth1 | wc -l", "1\n"));
    struct os_link link;
    assert_int_equal(os_nl_link_named(nl, "eth1", &link), 0);
    assert_true(link.flags & 1); // up
    // Killed: nothing is taken away, until the next start.
    struct lan *next = lan_new(&loop, nl, store, &quiet, scratch, &me);
    assert_int_equal(lan_clean(next, why, sizeof why), 0);
    assert_true(says("ip -o -4 addr show dev eth1 | wc -l", "0\n"));
    lan_close(next);
    c.count = 0;
    assert_int_equal(lan_apply(l, &w, why, sizeof why), 0);
    lan_nets(l, &count);
    assert_int_equal(count, 0);
    lan_close(l);
    os_store_close(store);
    os_nl_close(nl);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void the_guard_comes_and_goes(void **state)
{
    struct os_nft *nft;
    struct guard g, next;
    struct guard_rules r = {.tun = "byway0", .killswitch = true, .dns = true};
    char text[4096];
    (void)state;
    assert_true(guard_ruleset(&r, text, sizeof text) > 0);
    assert_int_equal(guard_ruleset(&r, text, 50), BW_ERR_SHORT);
    if (!may || os_nft_open(&nft, why, sizeof why)) skip();
    for (int i = 0; i < 4; i++) {
        r.killswitch = i & 1;
        r.dns = i & 2;
        guard_init(&g, nft); // each time as a start after a kill
        if (guard_apply(&g, &r, why, sizeof why)) fail_msg("%s", why);
        if (i) assert_true(says("nft list ruleset", "priority filter + 10"));
        assert_int_equal(strstr(netns_output("nft list ruleset"), "10.0.0.0/8") != NULL, r.killswitch);
        assert_int_equal(strstr(netns_output("nft list ruleset"), "853") != NULL, r.dns);
        assert_int_equal(guard_apply(&g, &r, why, sizeof why), 0);
    }
    r.killswitch = r.dns = false;
    guard_init(&next, nft);
    assert_int_equal(guard_apply(&next, &r, why, sizeof why), 0);
    assert_string_equal(netns_output("nft list ruleset"), "");
    os_nft_close(nft);
}

static int enter(void **state)
{
    (void)state;
    if (bw_addr_parse("fcab:cdef:123:4567:89ab:cdef:123:4567", &me) || !mkdtemp(scratch)) return -1;
    may = netns_may();
    return 0;
}

static int leave(void **state)
{
    (void)state;
    return netns_run(0, "rm -r %s", scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(candidates),
        cmocka_unit_test(dnsmasq_takes_it),
        cmocka_unit_test(interfaces_come_and_go),
        cmocka_unit_test(the_guard_comes_and_goes),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
