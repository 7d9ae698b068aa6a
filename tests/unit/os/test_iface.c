// The written rule set of os/iface.h, row by row; then the same through the kernel with os/ifwatch.
#include <net/if.h>
#include <net/if_arp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "os/ifwatch.h"
#include "os/why.h"
#include "unit/os/scratch.h"
#include "unit/os/space.h"

#define GOOD (IFF_UP | IFF_RUNNING | IFF_MULTICAST | IFF_BROADCAST)
#define E ARPHRD_ETHER

static const struct {
    const char *name, *kind, *slave;
    uint16_t type;
    uint32_t master, flags;
    bool carrier;
    enum os_iface_fit automatic, named;
} rows[] = {
    // clang-format off
    // name            kind          slave     type            master flags                     carrier  auto               named
    {"eth0",           "",           "",       E,               0, GOOD,                        true,  OS_IFACE_FIT,          OS_IFACE_FIT},
    {"enp3s0",         "",           "",       E,               0, GOOD,                        true,  OS_IFACE_FIT,          OS_IFACE_FIT},
    {"wlan0",          "",           "",       E,               0, GOOD,                        true,  OS_IFACE_FIT,          OS_IFACE_FIT},
    {"eth0.7",         "vlan",       "",       E,               0, GOOD,                        true,  OS_IFACE_FIT,          OS_IFACE_FIT},
    {"br-lan",         "bridge",     "",       E,               0, GOOD,                        true,  OS_IFACE_FIT,          OS_IFACE_FIT},
    {"br0",            "bridge",     "",       E,               0, GOOD,                        true,  OS_IFACE_FIT,          OS_IFACE_FIT},
    {"bond0",          "bond",       "",       E,               0, GOOD,                        true,  OS_IFACE_FIT,          OS_IFACE_FIT},
    {"bat0",           "batadv",     "",       E,               0, GOOD,                        true,  OS_IFACE_FIT,          OS_IFACE_FIT},
    {"mv0",            "macvlan",    "",       E,               0, GOOD,                        true,  OS_IFACE_FIT,          OS_IFACE_FIT},
    {"eth1",           "veth",       "",       E,               0, GOOD,                        true,  OS_IFACE_FIT,          OS_IFACE_FIT},
    {"n1-2",           "tun",        "",       E,               0, GOOD,                        true,  OS_IFACE_FIT,          OS_IFACE_FIT}, // a lab's TAP
    {"eth0",           "",           "bridge", E,               5, GOOD,                        true,  OS_IFACE_PORT,         OS_IFACE_FIT},
    {"veth1a2b3c",     "veth",       "bridge", E,               5, GOOD,                        true,  OS_IFACE_PORT,         OS_IFACE_FIT},
    {"eth2",           "",           "bond",   E,               5, GOOD,                        true,  OS_IFACE_PORT,         OS_IFACE_FIT},
    {"eth3",           "",           "",       E,               5, GOOD,                        true,  OS_IFACE_PORT,         OS_IFACE_FIT},
    {"eth0",           "",           "",       E,               0, GOOD & ~(unsigned)IFF_UP,      true,  OS_IFACE_DOWN,         OS_IFACE_DOWN},
    {"eth0",           "",           "",       E,               0, GOOD & ~(unsigned)IFF_RUNNING, true,  OS_IFACE_DOWN,         OS_IFACE_DOWN},
    {"eth0",           "",           "",       E,               0, GOOD,                        false, OS_IFACE_DOWN,         OS_IFACE_DOWN},
    {"eth0",           "",           "",       E,               0, IFF_UP | IFF_RUNNING,        true,  OS_IFACE_NOT_MULTICAST, OS_IFACE_NOT_MULTICAST},
    {"lo",             "",           "",       ARPHRD_LOOPBACK, 0, GOOD | IFF_LOOPBACK,         true,  OS_IFACE_LOOPBACK,     OS_IFACE_LOOPBACK},
    {"wg0",            "wireguard",  "",       ARPHRD_NONE,     0, IFF_UP | IFF_RUNNING,        true,  OS_IFACE_NOT_ETHERNET, OS_IFACE_NOT_MULTICAST},
    {"tun0",           "tun",        "",       ARPHRD_NONE,     0, GOOD,                        true,  OS_IFACE_NOT_ETHERNET, OS_IFACE_FIT},
    {"byway0",         "tun",        "",       ARPHRD_NONE,     0, GOOD,                        true,  OS_IFACE_NOT_ETHERNET, OS_IFACE_FIT},
    {"ppp0",           "ppp",        "",       ARPHRD_PPP,      0, GOOD,                        true,  OS_IFACE_NOT_ETHERNET, OS_IFACE_FIT},
    {"sit0",           "sit",        "",       ARPHRD_SIT,      0, GOOD,                        true,  OS_IFACE_NOT_ETHERNET, OS_IFACE_FIT},
    {"dummy0",         "dummy",      "",       E,               0, GOOD,                        true,  OS_IFACE_VIRTUAL,      OS_IFACE_FIT},
    {"vx0",            "vxlan",      "",       E,               0, GOOD,                        true,  OS_IFACE_VIRTUAL,      OS_IFACE_FIT},
    {"docker0",        "bridge",     "",       E,               0, GOOD,                        true,  OS_IFACE_GUESTS,       OS_IFACE_FIT},
    {"docker_gwbridge", "bridge",    "",       E,               0, GOOD,                        true,  OS_IFACE_GUESTS,       OS_IFACE_FIT},
    {"br-0123456789ab", "bridge",    "",       E,               0, GOOD,                        true,  OS_IFACE_GUESTS,       OS_IFACE_FIT},
    {"br-0123456789ax", "bridge",    "",       E,               0, GOOD,                        true,  OS_IFACE_FIT,          OS_IFACE_FIT},
    {"virbr0",         "bridge",     "",       E,               0, GOOD,                        true,  OS_IFACE_GUESTS,       OS_IFACE_FIT},
    {"lxcbr0",         "bridge",     "",       E,               0, GOOD,                        true,  OS_IFACE_GUESTS,       OS_IFACE_FIT},
    {"cni0",           "bridge",     "",       E,               0, GOOD,                        true,  OS_IFACE_GUESTS,       OS_IFACE_FIT},
    {"podman1",        "bridge",     "",       E,               0, GOOD,                        true,  OS_IFACE_GUESTS,       OS_IFACE_FIT},
    {"cali12345678901", "veth",      "",       E,               0, GOOD,                        true,  OS_IFACE_GUESTS,       OS_IFACE_FIT},
    {"ve-web",         "veth",       "",       E,               0, GOOD,                        true,  OS_IFACE_GUESTS,       OS_IFACE_FIT},
    {"vnet3",          "tun",        "",       E,               0, GOOD,                        true,  OS_IFACE_GUESTS,       OS_IFACE_FIT},
    {"tap0",           "tun",        "",       E,               0, GOOD,                        true,  OS_IFACE_GUESTS,       OS_IFACE_FIT},
    // clang-format on
};

static void every_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct os_link l = {.index = 3,
                            .type = rows[i].type,
                            .master = rows[i].master,
                            .flags = rows[i].flags,
                            .carrier = rows[i].carrier};
        strcpy(l.name, rows[i].name);
        strcpy(l.kind, rows[i].kind);
        strcpy(l.slave_kind, rows[i].slave);
        enum os_iface_fit a = os_iface_judge(&l, false), n = os_iface_judge(&l, true);
        if (a != rows[i].automatic || n != rows[i].named)
            fail_msg("row %zu, %s: auto %s, named %s", i, l.name, os_iface_fit_text(a), os_iface_fit_text(n));
    }
}

// ---- with the kernel ----

static bool have_space;
static struct os_nl *nl;
static char why[OS_WHY], text[OS_WHY];

static int enter(void **state)
{
    (void)state;
    have_space = space_network();
    return have_space ? os_nl_open(&nl, why, sizeof why) : 0;
}

static int leave(void **state)
{
    (void)state;
    os_nl_close(nl);
    return 0;
}

struct heard {
    const char *name;
    bool present;
    uint32_t mtu;
    int calls, any;
    volatile bool done;
};

static void on_iface(void *ctx, const struct os_iface *i, bool present)
{
    struct heard *h = ctx;
    h->calls++;
    assert_true(i->index > 0 && i->linklocal.b[0] == 0xfe);
    if (h->name && !strcmp(h->name, i->name) && present == h->present && (!h->mtu || h->mtu == i->mtu)) h->done = true;
}

static void on_any(void *ctx, const struct os_nl_event *e)
{
    (void)e;
    ((struct heard *)ctx)->any++;
}

static void expect(uv_loop_t *loop, struct heard *h, const char *command, const char *name, bool present, uint32_t mtu)
{
    h->name = name;
    h->present = present;
    h->mtu = mtu;
    h->done = false;
    if (!space_run(command)) fail_msg("failed: %s", command);
    if (!loop_until(loop, &h->done, 4000)) fail_msg("nothing heard of %s after: %s", name, command);
}

static void interfaces_come_and_go(void **state)
{
    (void)state;
    if (!have_space) skip();
    uv_loop_t loop;
    struct os_ifwatch *w;
    struct heard h = {.name = "n1", .present = true};
    uv_loop_init(&loop);
    assert_true(space_write("/proc/sys/net/ipv6/conf/default/accept_dad", "0"));
    assert_true(space_run(
        "ip link add n1 type veth peer name p1 && ip link set n1 up && ip link set p1 up && ip link set lo up"));
    struct os_ifwatch_config c = {.mode = OS_IFWATCH_AUTO, .skip = "byway0"};
    assert_int_equal(os_ifwatch_open(&loop, nl, &c, on_iface, on_any, &h, &w, why, sizeof why), 0);
    assert_true(loop_until(&loop, &h.done, 4000)); // told from within open, or as soon as it has its address
    assert_int_equal(os_ifwatch_explain(w, "n1", text, sizeof text), 1);
    assert_int_equal(os_ifwatch_explain(w, "lo", text, sizeof text), 0);
    assert_string_equal(text, "is loopback");
    assert_int_equal(os_ifwatch_explain(w, "nosuch", text, sizeof text), BW_ERR_NOTFOUND);
    expect(&loop, &h, "ip link set n1 mtu 1400", "n1", true, 1400);
    expect(&loop, &h, "ip link set p1 down", "n1", false, 0); // the carrier goes
    expect(&loop, &h, "ip link set p1 up", "n1", true, 0);
    expect(&loop, &h, "ip addr flush dev n1 scope link", "n1", false, 0); // no link-local address, no discovery
    assert_int_equal(os_ifwatch_explain(w, "n1", text, sizeof text), 0);
    assert_non_null(strstr(text, "link-local"));
    expect(&loop, &h, "ip addr add fe80::5/64 dev n1", "n1", true, 0);
    expect(&loop, &h, "ip addr add fe80::6/64 dev n1 && ip addr del fe80::5/64 dev n1", "n1", true, 0);
    expect(&loop, &h, "ip link add br7 type bridge && ip link set br7 up && ip link set p1 master br7", "p1", false, 0);
    // The bridge gets its own address for itself; its port is out.
    h = (struct heard){.name = "br7", .present = true};
    if (os_ifwatch_explain(w, "br7", text, sizeof text) != 1) assert_true(loop_until(&loop, &h.done, 4000));
    assert_int_equal(os_ifwatch_explain(w, "p1", text, sizeof text), 0);
    assert_non_null(strstr(text, "port"));
    expect(&loop, &h, "ip link add docker7 type bridge && ip link set docker7 up && ip link set p1 nomaster", "p1",
           true, 0);
    assert_int_equal(os_ifwatch_explain(w, "docker7", text, sizeof text), 0);
    assert_non_null(strstr(text, "containers"));
    expect(&loop, &h, "ip link del n1", "n1", false, 0);
    assert_int_equal(os_ifwatch_explain(w, "n1", text, sizeof text), BW_ERR_NOTFOUND);
    assert_true(h.any > 0);

    expect(&loop, &h, "ip link add n2 type veth peer name p2 && ip link set p2 up && ip link set n2 up", "n2", true, 0);
    const char *names[] = {"p2"};
    h = (struct heard){.name = "n2", .present = false};
    c = (struct os_ifwatch_config){.mode = OS_IFWATCH_LIST, .names = names, .name_count = 1};
    assert_int_equal(os_ifwatch_reload(w, &c), 0);
    assert_true(h.done);
    assert_int_equal(os_ifwatch_explain(w, "p2", text, sizeof text), 1);
    assert_int_equal(os_ifwatch_explain(w, "n2", text, sizeof text), 0);
    h = (struct heard){.name = "p2", .present = false};
    c = (struct os_ifwatch_config){.mode = OS_IFWATCH_NONE};
    assert_int_equal(os_ifwatch_reload(w, &c), 0);
    assert_true(h.done);
    os_ifwatch_close(w);
    os_ifwatch_close(NULL);
    assert_int_equal(loop_finish(&loop), 0);
}

// Thousands of changes that nobody reads: after the overrun the list is right again.
static void an_overrun_is_made_good(void **state)
{
    (void)state;
    if (!have_space) skip();
    uv_loop_t loop;
    struct os_ifwatch *w;
    struct heard h = {0};
    uv_loop_init(&loop);
    struct os_ifwatch_config c = {.mode = OS_IFWATCH_AUTO};
    assert_int_equal(os_ifwatch_open(&loop, nl, &c, on_iface, NULL, &h, &w, why, sizeof why), 0);
    assert_true(space_run("ip link add n3 type veth peer name p3 && ip link set p3 up && ip link set n3 up"));
    struct os_link l;
    struct os_route r = {0};
    assert_int_equal(os_nl_link_named(nl, "n3", &l), 0);
    assert_int_equal(bw_prefix_parse("10.0.0.1/32", &r.dst), 0);
    r.out_if = l.index;
    for (int i = 0; i < 15000; i++) {
        assert_int_equal(os_nl_route_add(nl, &r), 0);
        assert_int_equal(os_nl_route_del(nl, &r), 0);
    }
    expect(&loop, &h, "ip link add n4 type veth peer name p4 && ip link set p4 up && ip link set n4 up", "n4", true, 0);
    assert_int_equal(os_ifwatch_explain(w, "n3", text, sizeof text), 1);
    expect(&loop, &h, "ip link del n4", "n4", false, 0);
    os_ifwatch_close(w);
    assert_int_equal(loop_finish(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row),
        cmocka_unit_test(interfaces_come_and_go),
        cmocka_unit_test(an_overrun_is_made_good),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
