// The underlay's sockets on a loopback of their own: trains by UDP_SEGMENT and UDP_GRO, fallback, errors, multicast.
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "os/udp.h"
#include "unit/os/own_netns.h"

static bool alone; // in a namespace of our own

static void need_netns(void)
{
    if (!alone) skip();
}

static void open_pair(struct os_udp *a, struct os_udp *b)
{
    char err[OS_ERROR_TEXT];
    struct os_udp_options o = {.loopback = true};
    assert_int_equal(os_udp_open(a, &o, err), 0);
    assert_int_equal(os_udp_open(b, &o, err), 0);
}

static struct bw_endpoint to(const char *address, const struct os_udp *u)
{
    struct bw_endpoint e = {.port = u->port};
    assert_int_equal(bw_addr_parse(address, &e.addr), 0);
    return e;
}

// Everything that arrives at fd until `want` bytes are there (or two seconds have passed), one train after the other.
static uint8_t buffers[OS_UDP_BATCH][OS_UDP_ROOM];
static unsigned collect(int fd, struct os_udp_train *all, unsigned most, uint8_t *bytes, size_t want)
{
    unsigned n = 0;
    size_t len = 0;
    while (len < want && n < most) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 2000) <= 0) break;
        struct os_udp_train t[OS_UDP_BATCH];
        for (unsigned i = 0; i < OS_UDP_BATCH; i++)
            t[i] = (struct os_udp_train){.data = buffers[i], .room = OS_UDP_ROOM};
        int got = os_udp_receive(fd, t, OS_UDP_BATCH);
        for (int i = 0; i < got && n < most; i++) {
            memcpy(bytes + len, t[i].data, t[i].len);
            len += t[i].len;
            all[n++] = t[i];
        }
    }
    assert_int_equal(len, want);
    return n;
}

static void fill(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(i * 31 + i / 777);
}

static void trains_both_families(void **state)
{
    (void)state;
    struct os_udp a, b;
    open_pair(&a, &b);
    static uint8_t data[65507], got[65507];
    fill(data, sizeof data);
    const char *self[] = {"127.0.0.1", "::1"};
    for (int v6 = 0; v6 < 2; v6++) {
        int fd = v6 ? b.fd6 : b.fd4;
        if (fd < 0) continue;
        struct bw_endpoint e = to(self[v6], &b);
        uint32_t len = 45 * 1452 + 17; // the last one is shorter
        struct os_udp_train t[64];
        assert_int_equal(os_udp_send(&a, &e, 0, data, len, 1452), 46);
        unsigned n = collect(fd, t, 64, got, len);
        if (b.gro) assert_in_range(n, 1, 3);
        for (unsigned i = 0; i < n; i++) {
            assert_int_equal(t[i].seg, t[i].len < 1452 ? t[i].len : 1452);
            assert_int_equal(t[i].remote.port, a.port);
            assert_true(bw_addr_eq(&t[i].remote.addr, &e.addr));
            assert_int_equal(t[i].ifindex, if_nametoindex("lo"));
            assert_false(t[i].multicast);
        }
        assert_memory_equal(got, data, len);
        assert_int_equal(os_udp_send(&a, &e, if_nametoindex("lo"), data, 5, 5), 1); // a single one, interface given
        assert_int_equal(collect(fd, t, 1, got, 5), 1);
        assert_int_equal(t[0].seg, 5);
        assert_int_equal(os_udp_send(&a, &e, 0, data, 0, 1), 1); // an empty datagram is one
    }
    struct os_udp_train none = {.data = buffers[0], .room = OS_UDP_ROOM};
    assert_int_equal(os_udp_receive(a.fd4, &none, 1), 0);
    os_udp_close(&a);
    os_udp_close(&b);
}

static void port_taken(void **state)
{
    (void)state;
    struct os_udp a, b, c;
    char err[OS_ERROR_TEXT];
    struct os_udp_options o = {.loopback = true};
    assert_int_equal(os_udp_open(&a, &o, err), 0);
    o.port = a.port;
    assert_int_equal(os_udp_open(&b, &o, err), BW_ERR_EXISTS);
    assert_non_null(strstr(err, "[listen] port"));
    assert_true(b.fd4 < 0 && b.fd6 < 0);
    os_udp_close(&a);
    // a shared set: the others join, a stranger (who asks to be the first) does not get in
    o.share = true;
    assert_int_equal(os_udp_open(&a, &o, err), 0);
    o.join = true;
    assert_int_equal(os_udp_open(&b, &o, err), 0);
    o.join = false;
    assert_int_equal(os_udp_open(&c, &o, err), BW_ERR_EXISTS);
    os_udp_close(&a);
    os_udp_close(&b);
}

static void smaller_underlay(void **state)
{
    (void)state;
    need_netns();
    struct os_udp a, b;
    open_pair(&a, &b);
    assert_true(own_link_up("lo", 1400));
    static uint8_t data[65507], got[65507];
    fill(data, sizeof data);
    struct os_udp_train t[64];
    const char *self[] = {"127.0.0.1", "::1"};
    for (int v6 = 0; v6 < 2; v6++)
        for (int again = 0; again < 3;
             again++) { // segments larger than the route: sent singly, fragmented by the kernel
            struct bw_endpoint e = to(self[v6], &b);
            assert_int_equal(os_udp_send(&a, &e, 0, data, 20 * 1452, 1452), 20);
            collect(v6 ? b.fd6 : b.fd4, t, 64, got, 20 * 1452);
            assert_memory_equal(got, data, 20 * 1452);
        }
    unsigned remembered = 0;
    for (unsigned i = 0; i < OS_UDP_GSO_OFF; i++) remembered += atomic_load(&a.gso_off[i]) > 0;
    assert_in_range(remembered, 1, 2);
    assert_true(own_link_up("lo", 65536));
    os_udp_close(&a);
    os_udp_close(&b);
}

static void nobody_there(void **state)
{
    (void)state;
    need_netns();
    struct os_udp a;
    char err[OS_ERROR_TEXT];
    assert_int_equal(os_udp_open(&a, &(struct os_udp_options){0}, err), 0);
    struct bw_endpoint e = {.port = 9};
    assert_int_equal(bw_addr_parse("192.0.2.1", &e.addr), 0);
    uint8_t data[3000] = {0};
    assert_int_equal(os_udp_send(&a, &e, 0, data, 3000, 1000), 0); // no route
    assert_int_equal(os_udp_send(&a, &e, 0, data, 10, 10), 0);
    for (unsigned i = 0; i < OS_UDP_GSO_OFF; i++) assert_int_equal(atomic_load(&a.gso_off[i]), 0);
    os_udp_close(&a);
}

static void multicast(void **state)
{
    (void)state;
    need_netns();
    if (system("ip link add va type veth peer name vb && ip link set va up && ip link set vb up")) skip();
    struct os_udp a, b;
    char err[OS_ERROR_TEXT];
    assert_int_equal(os_udp_open(&a, &(struct os_udp_options){.mark = 7}, err), 0);
    assert_int_equal(os_udp_open(&b, &(struct os_udp_options){0}, err), 0);
    struct bw_endpoint group = {.port = b.port};
    assert_int_equal(bw_addr_parse("ff02::4870", &group.addr), 0);
    uint32_t va = if_nametoindex("va"), vb = if_nametoindex("vb");
    assert_int_equal(os_udp_join(&b, &group.addr, vb), 0);
    assert_int_equal(os_udp_join(&b, &group.addr, vb), 0); // twice is fine
    assert_int_equal(os_udp_join(&b, &group.addr, 9999), BW_ERR_SYS);
    uint8_t got[100];
    struct os_udp_train t[4];
    bool sent = false;
    for (int i = 0; i < 200 && !sent; i++) { // until the link-local address is there
        sent = os_udp_send(&a, &group, va, (const uint8_t *)"beacon", 6, 6);
        if (!sent) poll(NULL, 0, 10);
    }
    assert_true(sent);
    assert_int_equal(collect(b.fd6, t, 1, got, 6), 1);
    assert_true(t[0].multicast);
    assert_int_equal(t[0].ifindex, vb);
    assert_true(bw_addr_is_linklocal(&t[0].remote.addr));
    assert_int_equal(t[0].remote.scope, vb);
    assert_int_equal(t[0].remote.port, a.port);
    // and the answer, to a link-local address
    assert_int_equal(os_udp_send(&b, &t[0].remote, 0, (const uint8_t *)"hello", 5, 5), 1);
    assert_int_equal(collect(a.fd6, t, 1, got, 5), 1);
    assert_false(t[0].multicast);
    os_udp_leave(&b, &group.addr, vb);
    assert_int_equal(os_udp_send(&a, &group, va, (const uint8_t *)"gone", 4, 4), 1);
    struct os_udp_train none = {.data = buffers[0], .room = OS_UDP_ROOM};
    assert_int_equal(os_udp_receive(b.fd6, &none, 1), 0);
    os_udp_close(&a);
    os_udp_close(&b);
}

int main(void)
{
    alone = own_netns();
    const struct CMUnitTest tests[] = {cmocka_unit_test(trains_both_families), cmocka_unit_test(port_taken),
                                       cmocka_unit_test(smaller_underlay), cmocka_unit_test(nobody_there),
                                       cmocka_unit_test(multicast)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
