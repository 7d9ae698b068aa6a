// The firewall and NAT in a real kernel, with packets: a client behind the TUN, the gate, the Internet. A veth that is named
// like the TUN takes its place. Skipped where namespaces may not be made.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "daemon/share.h"
#include "os/why.h"
#include "unit/daemon/netns.h"
#include "unit/parse.h"

static bool may;
static pid_t client, gate, net;
static struct os_nft *nft;
static struct os_sysctl *keeper;
static struct share s;
static struct share_rules rules;
static struct config_firewall firewall;
static struct bw_prefix connected[3];
static char why[OS_WHY];
static int patience_ms = 600; // until no answer counts as silence

static void apply(void)
{
    int err = share_apply(&s, &rules, why, sizeof why);
    if (err) print_message("%s\n", why);
    assert_int_equal(err, 0);
}

// Addresses: client 100.70.3.4, fd12::304, fc99::1 | gate byway0 100.70.0.1, fd12::1, fc12::1; eth0 198.51.100.2,
// 2001:db8::2 | net 198.51.100.1, 2001:db8::1, and private 10.66.0.1, 192.168.66.1, fd66::1 that clients may not reach.
// Like a TUN, byway0 knows no neighbour discovery: both ends have one hardware address.
static bool wire(void)
{
    return !netns_run(gate, "ip link set lo up; ip link add byway0 type veth peer name c0 netns %d;"
                            "ip link add eth0 type veth peer name n0 netns %d; ip link set byway0 address 02:00:00:00:00:01 arp off up; ip link set eth0 up;"
                            "ip addr add 198.51.100.2/24 dev eth0; ip addr add 2001:db8::2/64 dev eth0 nodad;"
                            "ip addr add 100.70.0.1/16 dev byway0; ip addr add fd12::1/64 dev byway0 nodad;"
                            "ip addr add fc12::1/128 dev byway0 nodad; ip -6 route add fc00::/8 dev byway0;"
                            "ip route add default via 198.51.100.1; ip route add default via 2001:db8::1", (int)client, (int)net) &&
           !netns_run(client, "ip link set lo up; ip link set c0 address 02:00:00:00:00:01 arp off up; ip addr add 100.70.3.4/16 dev c0; ip addr add fd12::304/64 dev c0 nodad;"
                              "ip addr add fc99::1/8 dev c0 nodad; ip route add default via 100.70.0.1; ip route add default via fd12::1 src fd12::304") &&
           !netns_run(net, "ip link set lo up; ip link set n0 up; ip addr add 198.51.100.1/24 dev n0; ip addr add 2001:db8::1/64 dev n0 nodad;"
                           "ip addr add 10.66.0.1/32 dev lo; ip addr add 192.168.66.1/32 dev lo; ip addr add fd66::1/128 dev lo;"
                           "for a in 64:ff9b::10.66.0.1 64:ff9b:1::1 2002:a42:1::1; do ip addr add $a/128 dev lo; done;"
                           "ip route add 100.70.0.0/16 via 198.51.100.2; ip route add fd12::/64 via 2001:db8::2;"
                           "ip route add 192.168.7.0/24 via 198.51.100.2");
}

static int start(void **state)
{
    (void)state;
    if (!may) return 0;
    client = netns_new();
    gate = netns_new();
    net = netns_new();
    const pid_t all[] = {client, gate, net};
    for (unsigned i = 0; i < 3; i++) // link-local addresses would wait 1.7 s for duplicates, and neighbour discovery with them
        if (netns_run(all[i], "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad")) return -1;
    if (!wire() || !netns_enter(gate)) return -1;
    if (os_nft_open(&nft, why, sizeof why) || os_sysctl_open(NULL, &keeper)) {
        print_message("%s\n", why);
        return -1;
    }
    share_init(&s, nft, keeper);
    firewall = (struct config_firewall){.count = 1, .rules = {{CONFIG_ALLOW_ICMP, 0, 0}}};
    connected[0] = prefix("198.51.100.0/24"); // documentation: not blocked
    connected[1] = prefix("203.0.114.0/24");
    connected[2] = prefix("2001:db8::/64");
    rules = (struct share_rules){.tun = "byway0", .mesh = addr("fc12::1"), .allow = &firewall, .connected = connected, .connected_count = 3,
                                 .uplink4 = "eth0", .uplink6 = "eth0", .mtu = 1420};
    rules.share = (struct exits_plan){.wanted = true, .on = true, .v6 = true, .pool4 = prefix("100.70.0.0/16"), .pool6 = prefix("fd12::/64"),
                                      .gateway4 = addr("100.70.0.1"), .gateway6 = addr("fd12::1"), .mtu = 1380};
    return 0;
}

static int stop(void **state)
{
    (void)state;
    if (!may) return 0;
    share_remove(&s);
    os_sysctl_close(keeper);
    os_nft_close(nft);
    netns_end(client);
    netns_end(gate);
    netns_end(net);
    return 0;
}

// ---- sockets in other namespaces ----

static socklen_t sockaddr_of(const char *text, uint16_t port, struct sockaddr_storage *out)
{
    struct sockaddr_in6 *six = (void *)out;
    struct sockaddr_in *four = (void *)out;
    memset(out, 0, sizeof *out);
    if (strchr(text, ':')) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        assert_int_equal(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
        return sizeof *six;
    }
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    assert_int_equal(inet_pton(AF_INET, text, &four->sin_addr), 1);
    return sizeof *four;
}

static int socket_in(pid_t where, int family)
{
    assert_true(netns_enter(where));
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(netns_enter(gate)); // a socket stays where it was made
    assert_true(fd >= 0);
    return fd;
}

static int listen_in(pid_t where, const char *at, uint16_t port)
{
    struct sockaddr_storage a;
    socklen_t n = sockaddr_of(at, port, &a);
    int fd = socket_in(where, a.ss_family), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    assert_int_equal(bind(fd, (void *)&a, n), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

// 0: connected; errno: refused or unreachable; ETIMEDOUT: silence.
static int connect_from(pid_t where, const char *from, const char *to, uint16_t port, int *out)
{
    struct sockaddr_storage a;
    socklen_t n = sockaddr_of(to, port, &a);
    int fd = socket_in(where, a.ss_family), err = 0;
    if (from) {
        struct sockaddr_storage b;
        socklen_t m = sockaddr_of(from, 0, &b);
        assert_int_equal(bind(fd, (void *)&b, m), 0);
    }
    if (connect(fd, (void *)&a, n) && errno != EINPROGRESS) err = errno;
    struct pollfd p = {fd, POLLOUT, 0};
    socklen_t len = sizeof err;
    if (!err) {
        if (poll(&p, 1, patience_ms) < 1) err = ETIMEDOUT;
        else getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    }
    if (out && !err) *out = fd;
    else close(fd);
    return err;
}

static int accepted(int listener, char peer[INET6_ADDRSTRLEN])
{
    struct pollfd p = {listener, POLLIN, 0};
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    assert_int_equal(poll(&p, 1, 2000), 1);
    int fd = accept4(listener, (void *)&a, &n, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    if (a.ss_family == AF_INET) inet_ntop(AF_INET, &((struct sockaddr_in *)&a)->sin_addr, peer, INET6_ADDRSTRLEN);
    else inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&a)->sin6_addr, peer, INET6_ADDRSTRLEN);
    return fd;
}

// Connects and returns what the listener sees as the peer.
static const char *seen_as(pid_t from, int listener, const char *to, uint16_t port)
{
    static char peer[INET6_ADDRSTRLEN];
    int fd = -1;
    assert_int_equal(connect_from(from, NULL, to, port, &fd), 0);
    close(accepted(listener, peer));
    close(fd);
    return peer;
}

// ---- what must hold ----

static void clients_reach_the_internet(void **state)
{
    (void)state;
    if (!may) skip();
    apply();
    int l4 = listen_in(net, "198.51.100.1", 80), l6 = listen_in(net, "2001:db8::1", 80);
    assert_string_equal(seen_as(client, l4, "198.51.100.1", 80), "198.51.100.2"); // as the gate
    assert_string_equal(seen_as(client, l6, "2001:db8::1", 80), "2001:db8::2");
    int fd, mss;
    char peer[INET6_ADDRSTRLEN];
    socklen_t n = sizeof mss;
    assert_int_equal(connect_from(client, NULL, "198.51.100.1", 80, &fd), 0);
    int other = accepted(l4, peer);
    assert_int_equal(getsockopt(other, IPPROTO_TCP, TCP_MAXSEG, &mss, &n), 0);
    assert_in_range(mss, 1000, 1340); // clamped to what the tunnel carries
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &n), 0);
    assert_in_range(mss, 1000, 1340);
    close(fd);
    close(other);
    apply(); // the same again does nothing, and what is open stays open
    close(l4);
    close(l6);
}

static void out_of_bounds(void **state)
{
    (void)state;
    if (!may) skip();
    static const char *const far[] = {"10.66.0.1", "192.168.66.1", "fd66::1", "203.0.114.9", "100.100.0.1", "169.254.9.9",
                                      "64:ff9b::10.66.0.1", "64:ff9b:1::1", "2002:a42:1::1"};
    apply();
    patience_ms = 1800; // the error may come while connect() holds the socket; then the second SYN brings it up
    for (unsigned i = 0; i < sizeof far / sizeof far[0]; i++) {
        int err = connect_from(client, NULL, far[i], 80, NULL);
        if (err != EHOSTUNREACH && err != EACCES) print_message("%s: %s\n", far[i], strerror(err));
        assert_true(err == EHOSTUNREACH || err == EACCES || err == ENETUNREACH); // told, not left waiting
    }
    patience_ms = 600;
}

// Packets that belong to no connection and can begin none are not translated: they must not leave with their inner address.
static void nothing_leaves_untranslated(void **state)
{
    (void)state;
    if (!may) skip();
    apply();
    assert_int_equal(netns_run(net, "nft \"add table ip watch; add chain ip watch in { type filter hook prerouting priority -300; };"
                                    "add rule ip watch in ip saddr 100.70.0.0/16 counter\""), 0);
    struct tcphdr reset = {.source = htons(1234), .dest = htons(80), .doff = 5, .rst = 1}; // without a checksum even
    struct sockaddr_storage to;
    socklen_t n = sockaddr_of("198.51.100.1", 0, &to);
    assert_true(netns_enter(client));
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP);
    assert_true(netns_enter(gate));
    assert_int_equal(sendto(fd, &reset, sizeof reset, 0, (void *)&to, n), sizeof reset);
    int l = listen_in(net, "198.51.100.1", 80);
    assert_string_equal(seen_as(client, l, "198.51.100.1", 80), "198.51.100.2"); // what was sent before has come
    assert_true(netns_enter(net));
    assert_non_null(strstr(netns_output("nft list table ip watch"), "counter packets 0 "));
    assert_true(netns_enter(gate));
    close(fd);
    close(l);
}

static void the_machine_itself(void **state)
{
    (void)state;
    if (!may) skip();
    apply();
    int fd = listen_in(gate, "fc12::1", 2222), api = listen_in(gate, "fc12::1", SHARE_API_PORT), dns = listen_in(gate, "100.70.0.1", 53);
    int uplink = listen_in(gate, "198.51.100.2", 80);
    assert_int_equal(connect_from(client, "fc99::1", "fc12::1", 2222, NULL), ETIMEDOUT);
    assert_int_equal(connect_from(client, NULL, "198.51.100.2", 80, NULL), EHOSTUNREACH);
    assert_int_equal(connect_from(client, "fc99::1", "fc12::1", SHARE_API_PORT, NULL), 0);
    assert_int_equal(connect_from(client, "fd12::304", "fc12::1", SHARE_API_PORT, NULL), ETIMEDOUT); // no mesh address, no login
    assert_int_equal(connect_from(client, NULL, "100.70.0.1", 53, NULL), 0);
    assert_int_equal(netns_run(client, "ping -c1 -W2 fc12::1 >/dev/null"), 0);
    firewall = (struct config_firewall){.count = 1, .rules = {{CONFIG_ALLOW_TCP, 2000, 2222}}};
    apply();
    assert_int_equal(connect_from(client, "fc99::1", "fc12::1", 2222, NULL), 0);
    assert_int_not_equal(netns_run(client, "ping -c1 -W1 fc12::1 >/dev/null"), 0);
    firewall = (struct config_firewall){.count = 1, .rules = {{CONFIG_ALLOW_ALL, 0, 0}}};
    apply();
    assert_int_equal(netns_run(client, "ping -c1 -W2 fc12::1 >/dev/null"), 0);
    int far = listen_in(client, "fc99::1", 99); // what the machine itself asks comes back
    assert_string_equal(seen_as(gate, far, "fc99::1", 99), "fc12::1");
    close(far);
    close(fd);
    close(api);
    close(dns);
    close(uplink);
}

static void nobody_comes_in(void **state)
{
    (void)state;
    if (!may) skip();
    apply();
    int l = listen_in(client, "100.70.3.4", 80);
    assert_int_equal(connect_from(net, NULL, "100.70.3.4", 80, NULL), ETIMEDOUT);
    assert_int_equal(connect_from(gate, NULL, "100.70.3.4", 80, NULL), 0); // the gate itself may
    close(l);
    rules.share.wanted = rules.share.on = false; // sharing ends
    apply();
    int h = listen_in(net, "198.51.100.1", 80);
    assert_int_equal(connect_from(client, NULL, "198.51.100.1", 80, NULL), ETIMEDOUT);
    close(h);
}

static void exported_networks(void **state)
{
    (void)state;
    if (!may) skip();
    struct bw_prefix lan = prefix("192.168.66.0/24");
    assert_int_equal(netns_run(gate, "ip route add 192.168.66.0/24 via 198.51.100.1"), 0);
    assert_int_equal(netns_run(client, "ip addr add 10.5.5.5/32 dev c0"), 0);
    assert_int_equal(netns_run(gate, "ip route add 10.5.5.5/32 dev byway0"), 0);
    assert_int_equal(netns_run(net, "ip route add 10.5.5.5/32 via 198.51.100.2"), 0);
    int l = listen_in(net, "192.168.66.1", 80);
    rules.exports = &lan;
    rules.export_count = 1;
    apply();
    assert_int_equal(connect_from(client, "10.5.5.5", "192.168.66.1", 80, NULL), 0); // the mesh reaches what is exported
    int err = connect_from(client, NULL, "192.168.66.1", 80, NULL);                  // clients of the exit do not
    assert_true(err == EHOSTUNREACH || err == EACCES);
    rules.export_count = 0;
    apply();
    assert_int_equal(connect_from(client, "10.5.5.5", "192.168.66.1", 80, NULL), ETIMEDOUT);
    close(l);
}

static void stock_peers(void **state)
{
    (void)state;
    if (!may) skip();
    assert_int_equal(netns_run(client, "ip addr add 10.7.0.2/32 dev c0"), 0);
    assert_int_equal(netns_run(gate, "ip route add 10.7.0.2/32 dev byway0"), 0);
    rules.share = (struct exits_plan){0};
    rules.stock = true;
    apply();
    int l = listen_in(net, "198.51.100.1", 80);
    char peer[INET6_ADDRSTRLEN];
    assert_int_equal(connect_from(client, "10.7.0.2", "198.51.100.1", 80, NULL), 0);
    close(accepted(l, peer));
    assert_string_equal(peer, "198.51.100.2");
    int err = connect_from(client, "10.7.0.2", "10.66.0.1", 80, NULL);
    assert_true(err == EHOSTUNREACH || err == EACCES);
    rules.stock = false;
    apply();
    assert_int_equal(connect_from(client, "10.7.0.2", "198.51.100.1", 80, NULL), ETIMEDOUT);
    close(l);
}

// What others send through our own exit carries the leased address; what goes to the mesh as such does not.
static void through_our_own_exit(void **state)
{
    (void)state;
    if (!may) skip();
    assert_int_equal(netns_run(gate, "ip addr add 100.71.9.9/32 dev byway0; ip route add 203.0.113.0/24 dev byway0; ip route add 10.55.0.0/16 dev byway0;"
                                     "echo 1 > /proc/sys/net/ipv4/ip_forward"), 0);
    assert_int_equal(netns_run(client, "ip addr add 203.0.113.9/24 dev c0; ip addr add 10.55.0.9/16 dev c0; ip route add 100.71.9.9/32 dev c0"), 0);
    assert_int_equal(netns_run(net, "ip route add 203.0.113.0/24 via 198.51.100.2; ip route add 10.55.0.0/16 via 198.51.100.2"), 0);
    rules.share = (struct exits_plan){0};
    rules.exit = (struct exitc_plan){.active = true, .exit = addr("fc34::1"), .inner4 = addr("100.71.9.9"), .gateway4 = addr("100.71.0.1"), .mtu = 1380};
    apply();
    int l = listen_in(client, "203.0.113.9", 80), direct = listen_in(client, "10.55.0.9", 80);
    assert_string_equal(seen_as(net, l, "203.0.113.9", 80), "100.71.9.9");
    assert_string_equal(seen_as(net, direct, "10.55.0.9", 80), "198.51.100.1");
    close(l);
    close(direct);
}

// How connect(2) ended, for a client that has an address of the pool.
static int refused(uint16_t port, int *fd)
{
    return connect_from(client, NULL, "198.51.100.1", port, fd);
}

static void ports_are_blocked(void **state)
{
    (void)state;
    if (!may) skip();
    struct config_rule block[] = {{CONFIG_ALLOW_TCP, 25, 25}, {CONFIG_ALLOW_ALL, 6881, 6889}, {CONFIG_ALLOW_UDP, 80, 80}};
    rules.block = block;
    rules.block_count = 3;
    apply();
    int smtp = listen_in(net, "198.51.100.1", 25), torrent = listen_in(net, "198.51.100.1", 6885), web = listen_in(net, "198.51.100.1", 80), fd;
    assert_int_not_equal(refused(25, &fd), 0);
    assert_int_not_equal(refused(6885, &fd), 0);
    assert_int_equal(refused(80, &fd), 0); // by UDP only
    close(fd);
    close(smtp);
    close(torrent);
    close(web);
}

static void connections_are_counted(void **state)
{
    (void)state;
    if (!may) skip();
    rules.connections_client = 3;
    apply();
    int l = listen_in(net, "198.51.100.1", 80), fd[4];
    for (int i = 0; i < 3; i++) assert_int_equal(refused(80, &fd[i]), 0);
    assert_int_not_equal(refused(80, &fd[3]), 0);
    for (int i = 0; i < 3; i++) close(fd[i]);
    rules.connections_client = 0;
    rules.connections = 2; // all clients together; counted from here on
    apply();
    for (int i = 0; i < 2; i++) assert_int_equal(refused(80, &fd[i]), 0);
    assert_int_not_equal(refused(80, &fd[2]), 0);
    for (int i = 0; i < 2; i++) close(fd[i]);
    close(l);
}

// The machine has a second network. It was no router before, or it was.
static void forwards_nothing_else(void **state)
{
    (void)state;
    if (!may) skip();
    assert_int_equal(netns_run(gate, "ip link add eth1 type veth peer name c1 netns %d; ip link set eth1 up; ip addr add 192.168.9.1/24 dev eth1;"
                                     "ip addr add 2001:db8:9::1/64 dev eth1 nodad", (int)client), 0);
    assert_int_equal(netns_run(client, "ip link set c1 up; ip addr add 192.168.9.2/24 dev c1; ip addr add 2001:db8:9::2/64 dev c1 nodad;"
                                       "ip route add 198.51.100.77/32 via 192.168.9.1; ip route add 2001:db8::77/128 via 2001:db8:9::1"), 0);
    assert_int_equal(netns_run(net, "ip addr add 198.51.100.77/32 dev lo; ip addr add 2001:db8::77/128 dev lo;"
                                    "ip route add 192.168.9.0/24 via 198.51.100.2; ip route add 2001:db8:9::/64 via 2001:db8::2"), 0);
    assert_int_equal(netns_run(gate, "ip route add 198.51.100.77/32 via 198.51.100.1; ip route add 2001:db8::77/128 via 2001:db8::1"), 0);
    int l4 = listen_in(net, "198.51.100.77", 80), l6 = listen_in(net, "2001:db8::77", 80), first = listen_in(net, "198.51.100.1", 80);
    for (int router = 0; router < 2; router++) {
        assert_int_equal(netns_run(gate, "echo %d > /proc/sys/net/ipv4/ip_forward; echo %d > /proc/sys/net/ipv6/conf/all/forwarding", router, router), 0);
        apply();
        assert_string_equal(seen_as(client, first, "198.51.100.1", 80), "198.51.100.2");
        assert_int_equal(connect_from(client, NULL, "198.51.100.77", 80, NULL), router ? 0 : ETIMEDOUT);
        assert_int_equal(connect_from(client, NULL, "2001:db8::77", 80, NULL), router ? 0 : ETIMEDOUT);
        share_again(&s);
        apply(); // the switch is on by now, by us: that changes nothing
        assert_int_equal(connect_from(client, NULL, "198.51.100.77", 80, NULL), router ? 0 : ETIMEDOUT);
        share_remove(&s);
        share_init(&s, nft, keeper);
    }
    close(l4);
    close(l6);
    close(first);
}

static void comes_and_goes(void **state)
{
    (void)state;
    if (!may) skip();
    char value[OS_SYSCTL_VALUE];
    assert_int_equal(netns_run(gate, "echo 0 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv6/conf/all/forwarding;"
                                     "echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_ra; nft add table inet other"), 0);
    assert_int_equal(share_clean(&s, why, sizeof why), 0); // nothing there: fine
    apply();
    assert_int_equal(os_sysctl_read("net/ipv4/ip_forward", value), 0);
    assert_string_equal(value, "1");
    assert_int_equal(os_sysctl_read("net/ipv6/conf/eth0/accept_ra", value), 0);
    assert_string_equal(value, "2"); // else forwarding cuts off the uplink's own router advertisements
    assert_int_equal(netns_run(gate, "nft list table inet byway >/dev/null"), 0);
    share_remove(&s);
    assert_string_equal(netns_output("nft list tables"), "table inet other\n");
    assert_int_equal(os_sysctl_read("net/ipv4/ip_forward", value), 0);
    assert_string_equal(value, "0");
    assert_int_equal(os_sysctl_read("net/ipv6/conf/eth0/accept_ra", value), 0);
    assert_string_equal(value, "1");
    apply(); // killed here: the next start cleans up
    free(s.last);
    share_init(&s, nft, keeper);
    assert_int_equal(share_clean(&s, why, sizeof why), 0);
    assert_string_equal(netns_output("nft list tables"), "table inet other\n");
}

static void text_is_bounded(void **state)
{
    (void)state;
    char out[512];
    struct share_rules r = {.tun = "byway0", .mtu = 1420};
    assert_int_equal(share_ruleset(&r, out, sizeof out), BW_ERR_SHORT);
    assert_int_equal(share_ruleset(&r, out, 0), BW_ERR_SHORT);
}

int main(void)
{
    may = netns_may();
    if (!may) print_message("no network namespace may be made here: skipped\n");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_bounded),
        cmocka_unit_test_setup_teardown(clients_reach_the_internet, start, stop),
        cmocka_unit_test_setup_teardown(out_of_bounds, start, stop),
        cmocka_unit_test_setup_teardown(nothing_leaves_untranslated, start, stop),
        cmocka_unit_test_setup_teardown(the_machine_itself, start, stop),
        cmocka_unit_test_setup_teardown(nobody_comes_in, start, stop),
        cmocka_unit_test_setup_teardown(exported_networks, start, stop),
        cmocka_unit_test_setup_teardown(stock_peers, start, stop),
        cmocka_unit_test_setup_teardown(through_our_own_exit, start, stop),
        cmocka_unit_test_setup_teardown(ports_are_blocked, start, stop),
        cmocka_unit_test_setup_teardown(connections_are_counted, start, stop),
        cmocka_unit_test_setup_teardown(forwards_nothing_else, start, stop),
        cmocka_unit_test_setup_teardown(comes_and_goes, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
