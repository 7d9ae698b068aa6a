// Addresses, routes and rules in a real kernel, asked with `ip`. In a namespace of its own; skipped where none may be made.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "daemon/netconf.h"
#include "os/why.h"
#include "unit/daemon/netns.h"
#include "unit/parse.h"

static bool may;
static int tun_fd = -1;
static struct os_nl *nl;
static struct os_sysctl *sysctl_keeper;
static struct netconf *n;
static struct netconf_want want;
static char why[OS_WHY];

static bool says(const char *command, const char *text)
{
    char all[512];
    snprintf(all, sizeof all, "%s 2>&1", command);
    const char *out = netns_output(all);
    if (strstr(out, text)) return true;
    print_message("%s\n%s(wanted: %s)\n", command, out, text);
    return false;
}

static void apply(void)
{
    int err = netconf_apply(n, &want, why, sizeof why);
    if (err) print_message("%s\n", why);
    assert_int_equal(err, 0);
}

static int start(void **state)
{
    (void)state;
    if (!may) return 0;
    struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    strcpy(ifr.ifr_name, "byway0");
    tun_fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (tun_fd < 0 || ioctl(tun_fd, TUNSETIFF, &ifr)) return -1;
    if (netns_run(0, "ip link set lo up; ip link add eth0 type veth peer name far0; ip link set eth0 up; ip link set far0 up;"
                     "ip addr add 192.168.5.2/24 dev eth0; ip route add default via 192.168.5.1;"
                     "ip addr add 2001:db8:5::2/64 dev eth0 nodad; ip route add default via 2001:db8:5::1;"
                     "echo 1 > /proc/sys/net/ipv4/conf/eth0/rp_filter; echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter"))
        return -1;
    if (os_nl_open(&nl, why, sizeof why) || os_sysctl_open(NULL, &sysctl_keeper)) return -1;
    n = netconf_new(nl, sysctl_keeper);
    want = (struct netconf_want){.tun = "byway0", .ifindex = if_nametoindex("byway0"), .mtu = 1420, .mesh = addr("fc12::1")};
    return n ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    if (!may) return 0;
    if (n) netconf_remove(n);
    netconf_free(n);
    n = NULL;
    os_sysctl_close(sysctl_keeper);
    os_nl_close(nl);
    close(tun_fd);
    return netns_run(0, "ip link del eth0");
}

static struct exitc_plan exit_plan(const char *inner4, const char *inner6)
{
    struct exitc_plan p = {.active = true, .exit = addr("fc34::1"), .inner4 = addr(inner4), .gateway4 = addr("100.70.0.1"), .mtu = 1380};
    if (inner6) {
        p.inner6 = addr(inner6);
        p.gateway6 = addr("fd34::1");
    }
    return p;
}

static void nothing_of_ours_is_left(void)
{
    assert_string_equal(netns_output("ip route show table all proto 112; ip -6 route show table all proto 112"), "");
    assert_string_equal(netns_output("ip rule show | grep 48; ip -6 rule show | grep 48"), "");
}

static void mesh_alone(void **state)
{
    (void)state;
    if (!may) skip();
    struct bw_prefix believed[] = {prefix("10.9.0.0/16"), prefix("fd09::/48"), prefix("192.168.5.0/24")};
    want.believed = believed;
    want.believed_count = 3;
    apply();
    assert_true(says("ip link show byway0", "mtu 1420"));
    assert_true(says("ip -6 route get fc99::1", "dev byway0 proto 112 src fc12::1"));
    assert_true(says("ip -6 route get fd09::1", "dev byway0 table 4872 proto 112 src fc12::1"));
    assert_true(says("ip route get 10.9.1.1", "dev byway0"));
    assert_true(says("ip route get 192.168.5.9", "dev eth0")); // the machine's own comes first
    assert_true(says("ip route get 8.8.8.8", "dev eth0"));
    want.believed_count = 1;
    apply();
    assert_false(strstr(netns_output("ip -6 route show table all proto 112"), "fd09") != NULL);
    want.shares = true;
    want.share = (struct exits_plan){.wanted = true, .on = true, .pool4 = prefix("100.70.0.0/16"), .pool6 = prefix("fd12:0:0:4870::/64"),
                                     .gateway4 = addr("100.70.0.1"), .gateway6 = addr("fd12:0:0:4870::1"), .mtu = 1380};
    apply();
    assert_true(says("ip route get 100.70.3.4", "dev byway0 src 100.70.0.1"));
    assert_true(says("ip -6 route get fd12:0:0:4870::304", "dev byway0"));
    assert_true(says("ip -6 addr show dev byway0", "fc00::e/128"));
    want.shares = false;
    want.share = (struct exits_plan){0};
    apply();
    assert_false(strstr(netns_output("ip addr show dev byway0"), "100.70") != NULL);
    assert_false(strstr(netns_output("ip addr show dev byway0"), "fc00::e/128") != NULL);
    netconf_remove(n);
    nothing_of_ours_is_left();
}

static void the_exit_before_keeps_its_addresses(void **state)
{
    (void)state;
    if (!may) skip();
    want.exit = exit_plan("100.70.3.4", "fd34::304");
    want.exit.kept4 = addr("100.71.5.6");
    want.exit.kept6 = addr("fd35::506");
    apply();
    assert_true(says("ip route get 8.8.8.8", "src 100.70.3.4"));
    assert_true(says("ip route get 8.8.8.8 from 100.71.5.6", "dev byway0 table 4870"));
    assert_true(says("ip -6 route get 2606::1", "src fd34::304"));
    assert_true(says("ip -6 route get 2606::1 from fd35::506", "dev byway0 table 4870"));
    want.exit = exit_plan("100.70.3.4", "fd34::304");
    apply();
    assert_false(strstr(netns_output("ip addr show dev byway0"), "100.71.5.6") != NULL);
    assert_false(strstr(netns_output("ip addr show dev byway0"), "fd35::506") != NULL);
    want.exit = (struct exitc_plan){0};
    netconf_remove(n);
    nothing_of_ours_is_left();
}

// Whatever the neighbours announce, and we believe: packets to the neighbours themselves do not go there.
static void the_underlay_stays_out_of_what_is_believed(void **state)
{
    (void)state;
    if (!may) skip();
    struct bw_prefix believed[] = {prefix("0.0.0.0/0"), prefix("::/0"), prefix("10.9.0.0/16"), prefix("198.51.100.7/32"), prefix("2001:db8:7::/48")};
    want.believed = believed;
    want.believed_count = 5;
    apply();
    assert_true(says("ip route get 10.9.1.1", "dev byway0"));
    assert_true(says("ip route get 198.51.100.7", "dev byway0"));
    assert_true(says("ip -6 route get 2001:db8:7::1", "dev byway0"));
    assert_true(says("ip route get 10.9.1.1 mark 0x4870", "dev eth0"));
    assert_true(says("ip route get 198.51.100.7 mark 0x4870", "dev eth0"));
    assert_true(says("ip -6 route get 2001:db8:7::1 mark 0x4870", "dev eth0"));
    assert_true(says("ip route get 8.8.8.8", "dev eth0")); // its own default route comes first
    assert_true(says("ip -6 route get 2606::1", "dev eth0"));
    assert_int_equal(netns_run(0, "ip route del default; ip -6 route del default"), 0);
    assert_true(says("ip route get 8.8.8.8", "dev byway0"));
    assert_true(says("ip -6 route get 2606::1", "dev byway0"));
    assert_true(says("ip route get 8.8.8.8 mark 0x4870", "unreachable"));
    assert_true(says("ip -6 route get 2606::1 mark 0x4870", "unreachable"));
    assert_true(says("ip route get 192.168.5.9 mark 0x4870", "dev eth0"));
    want.exit = exit_plan("100.70.3.4", NULL);
    apply();
    assert_true(says("ip route get 8.8.8.8", "table 4870"));
    assert_true(says("ip route get 198.51.100.7", "table 4872"));
    want.exit = (struct exitc_plan){0};
    want.killswitch = true;
    apply();
    netconf_again(n); // with the last IPv4 address the kernel forgets the IPv4 routes; the daemon is told
    apply();
    assert_true(says("ip route get 8.8.8.8", "No route to host"));
    assert_true(says("ip route get 10.9.1.1", "dev byway0"));
    netconf_remove(n);
    nothing_of_ours_is_left();
}

static void many_routes(void **state)
{
    (void)state;
    if (!may) skip();
    enum { MANY = 4096 };
    static struct bw_prefix believed[MANY];
    for (unsigned i = 0; i < MANY; i++) { // in no order
        believed[i] = prefix("fd09::/64");
        believed[i].addr.b[2] = (uint8_t)(i * 2654435761u >> 24);
        believed[i].addr.b[6] = (uint8_t)(i >> 8), believed[i].addr.b[7] = (uint8_t)i;
    }
    want.believed = believed;
    want.believed_count = MANY;
    apply();
    assert_string_equal(netns_output("ip -6 route show table 4872 | wc -l"), "4096\n");
    want.believed = believed + 1;
    want.believed_count = MANY - 2;
    apply();
    assert_string_equal(netns_output("ip -6 route show table 4872 | wc -l"), "4094\n");
    netconf_remove(n);
    nothing_of_ours_is_left();
}

static void through_an_exit(void **state)
{
    (void)state;
    if (!may) skip();
    want.exit = exit_plan("100.70.3.4", "fd34::304");
    apply();
    assert_true(says("ip route get 8.8.8.8", "dev byway0 table 4870 src 100.70.3.4"));
    assert_true(says("ip -6 route get 2606::1", "src fd34::304"));
    assert_true(says("ip -6 route get 2606::1", "dev byway0"));
    assert_true(says("ip route get 8.8.8.8 mark 0x4870", "dev eth0")); // the underlay never enters the tunnel
    assert_true(says("ip -6 route get 2606::1 mark 0x4870", "dev eth0"));
    assert_true(says("ip route get 192.168.5.9", "dev eth0")); // the LAN stays reachable
    assert_true(says("ip -6 route get 2001:db8:5::9", "dev eth0"));
    assert_true(says("ip route get 100.70.0.1", "dev byway0"));
    assert_true(says("ip route show table 4870", "mtu 1380"));
    assert_true(says("cat /proc/sys/net/ipv4/conf/all/rp_filter", "2")); // eth0's strict filter would drop the underlay
    want.exit = exit_plan("100.99.1.2", NULL); // failover: other addresses, and this exit has no IPv6
    want.exit.gateway4 = addr("100.99.0.1");
    apply();
    assert_true(says("ip route get 8.8.8.8", "src 100.99.1.2"));
    assert_true(says("ip -6 route get 2606::1", "No route to host"));
    assert_false(strstr(netns_output("ip addr show dev byway0"), "100.70.3.4") != NULL);
    assert_false(strstr(netns_output("ip addr show dev byway0"), "fd34") != NULL);
    want.exit = (struct exitc_plan){0};
    apply();
    assert_true(says("ip route get 8.8.8.8", "dev eth0"));
    assert_true(says("ip -6 route get 2606::1", "dev eth0"));
    assert_true(says("cat /proc/sys/net/ipv4/conf/all/rp_filter", "0"));
    netconf_remove(n);
    nothing_of_ours_is_left();
}

static void kill_switch(void **state)
{
    (void)state;
    if (!may) skip();
    want.killswitch = true;
    apply();
    for (unsigned i = 0; i < 2; i++) {
        assert_true(says("ip route get 192.168.5.9", "dev eth0"));
        assert_true(says("ip route get 8.8.8.8 mark 0x4870", "dev eth0"));
        assert_true(says("ip -6 route get fc99::1", "dev byway0"));
        assert_true(says("ip route get 8.8.8.8", i ? "dev byway0" : "No route to host"));
        assert_true(says("ip -6 route get 2606::1", i ? "dev byway0" : "No route to host"));
        want.exit = exit_plan("100.70.3.4", "fd34::304");
        apply();
    }
    want.exit = (struct exitc_plan){0}; // the exit is gone: nothing leaves
    apply();
    assert_true(says("ip route get 8.8.8.8", "No route to host"));
    netconf_remove(n);
    nothing_of_ours_is_left();
}

static void after_a_kill(void **state)
{
    (void)state;
    if (!may) skip();
    want.exit = exit_plan("100.70.3.4", "fd34::304");
    want.killswitch = true;
    apply();
    netconf_free(n); // as SIGKILL: nothing is taken away
    n = netconf_new(nl, sysctl_keeper);
    assert_non_null(n);
    assert_int_equal(netconf_clean(n, why, sizeof why), 0);
    nothing_of_ours_is_left();
    assert_true(says("ip route get 8.8.8.8", "dev eth0"));
}

static void others_take_it_away(void **state)
{
    (void)state;
    if (!may) skip();
    want.exit = exit_plan("100.70.3.4", "fd34::304");
    apply();
    assert_int_equal(netns_run(0, "ip rule del priority 4871; ip route flush table 4870; ip addr flush dev byway0"), 0);
    apply();
    assert_true(says("ip route get 8.8.8.8", "dev eth0"));
    netconf_again(n);
    apply();
    assert_true(says("ip route get 8.8.8.8", "dev byway0"));
    assert_true(says("ip -6 route get 2606::1", "dev byway0"));
    netconf_again(n);
    apply(); // setting what stands already is no error
}

int main(void)
{
    may = !access("/dev/net/tun", R_OK | W_OK) && netns_may();
    if (!may) print_message("no network namespace or no TUN device may be made here: skipped\n");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mesh_alone, start, stop),
        cmocka_unit_test_setup_teardown(the_exit_before_keeps_its_addresses, start, stop),
        cmocka_unit_test_setup_teardown(the_underlay_stays_out_of_what_is_believed, start, stop),
        cmocka_unit_test_setup_teardown(many_routes, start, stop),
        cmocka_unit_test_setup_teardown(through_an_exit, start, stop),
        cmocka_unit_test_setup_teardown(kill_switch, start, stop),
        cmocka_unit_test_setup_teardown(after_a_kill, start, stop),
        cmocka_unit_test_setup_teardown(others_take_it_away, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
