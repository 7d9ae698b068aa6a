// The TUN: a real one, in a namespace of its own.
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "os/tun.h"
#include "unit/os/own_netns.h"

static bool ready;
static char err[OS_ERROR_TEXT];

static bool read_soon(const struct os_tun *t, uint8_t *frame, size_t *n, unsigned *queue)
{
    struct pollfd p[OS_TUN_QUEUES_MAX];
    for (unsigned i = 0; i < t->queues; i++) p[i] = (struct pollfd){.fd = t->fd[i], .events = POLLIN};
    if (poll(p, t->queues, 2000) <= 0) return false;
    for (*queue = 0; !(p[*queue].revents & POLLIN); ++*queue) continue;
    *n = os_tun_read(t->fd[*queue], frame, OS_TUN_FRAME_MAX);
    return *n > 0;
}

static void up(const char *name)
{
    char cmd[200];
    snprintf(cmd, sizeof cmd, "ip addr add 10.77.0.1/24 dev %s && ip link set %s up mtu 1420", name, name);
    assert_int_equal(system(cmd), 0);
}

static void packets_pass(void **state)
{
    (void)state;
    if (!ready) skip();
    struct os_tun t;
    assert_int_equal(os_tun_open(&t, "byway0", 2, err), 0);
    assert_int_equal(t.queues, 2);
    assert_int_equal(t.ifindex, if_nametoindex("byway0"));
    uint8_t frame[OS_TUN_FRAME_MAX];
    struct iovec down = {frame, 30};
    memset(frame, 0, 30);
    frame[10] = 0x45;
    assert_false(os_tun_write(t.fd[0], &down, 1)); // still down
    assert_int_equal(os_tun_read(t.fd[0], frame, sizeof frame), 0);
    up("byway0");
    // out of the kernel: 10 bytes of header, then the datagram
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0x0a4d0002)};
    assert_int_equal(sendto(s, "hello", 5, 0, (void *)&to, sizeof to), 5);
    size_t n;
    unsigned q;
    do assert_true(read_soon(&t, frame, &n, &q)); // the kernel may have its own words first (IPv6 router solicitation)
    while (frame[10] >> 4 != 4);
    assert_int_equal(n, 10 + 33);
    assert_memory_equal(frame + 10 + 28, "hello", 5);
    // into the kernel, in pieces: the same datagram turned round
    struct sockaddr_in me = {0};
    socklen_t len = sizeof me;
    assert_int_equal(getsockname(s, (void *)&me, &len), 0);
    uint8_t ip[28];
    memcpy(ip, frame + 10, 28);
    memcpy(ip + 12, frame + 10 + 16, 4);
    memcpy(ip + 16, frame + 10 + 12, 4);
    memcpy(ip + 20, frame + 10 + 22, 2);
    memcpy(ip + 22, frame + 10 + 20, 2);
    ip[26] = ip[27] = 0; // no UDP checksum
    memset(frame, 0, 10);
    struct iovec v[] = {{frame, 10}, {ip, 28}, {"world", 5}};
    assert_true(os_tun_write(t.fd[0], v, 3));
    char got[10];
    struct pollfd p = {.fd = s, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 2000), 1);
    assert_int_equal(recv(s, got, sizeof got, 0), 5);
    assert_memory_equal(got, "world", 5);
    close(s);
    os_tun_close(&t);
    assert_int_equal(if_nametoindex("byway0"), 0); // gone with its queues
}

static void super_frames_come(void **state)
{
    (void)state;
    if (!ready) skip();
    struct os_tun t;
    assert_int_equal(os_tun_open(&t, "byway0", 1, err), 0);
    if (!t.uso) skip();
    up("byway0");
    int s = socket(AF_INET, SOCK_DGRAM, 0), seg = 1000;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0x0a4d0002)};
    assert_int_equal(setsockopt(s, IPPROTO_UDP, 103, &seg, sizeof seg), 0);
    static char data[20000];
    assert_int_equal(sendto(s, data, sizeof data, 0, (void *)&to, sizeof to), sizeof data);
    uint8_t frame[OS_TUN_FRAME_MAX];
    size_t n;
    unsigned q;
    do assert_true(read_soon(&t, frame, &n, &q));
    while (frame[10] >> 4 != 4);
    assert_int_equal(n, 10 + 28 + 20000);
    assert_int_equal(frame[1], 5);                    // USO
    assert_int_equal(frame[4] | frame[5] << 8, 1000); // little endian, as asked
    close(s);
    os_tun_close(&t);
}

static void clear_errors(void **state)
{
    (void)state;
    struct os_tun t, u;
    assert_int_equal(os_tun_open(&t, "a name", 1, err), BW_ERR_RANGE);
    assert_int_equal(os_tun_open(&t, "sixteencharacter", 1, err), BW_ERR_RANGE);
    assert_int_equal(os_tun_open(&t, "", 1, err), BW_ERR_RANGE);
    if (!ready) skip();
    assert_int_equal(os_tun_open(&t, "byway0", 1, err), 0);
    assert_int_equal(os_tun_open(&u, "byway0", 1, err), BW_ERR_EXISTS);
    assert_non_null(strstr(err, "[tun] interface"));
    assert_int_equal(os_tun_open(&u, "lo", 1, err), BW_ERR_EXISTS);
    os_tun_close(&t);
    assert_int_equal(system("ip tuntap add dev kept mode tun"), 0); // persistent, not in use: still not ours
    assert_int_equal(os_tun_open(&u, "kept", 1, err), BW_ERR_EXISTS);
    assert_int_equal(system("ip link del kept"), 0);
}

int main(void)
{
    ready = own_netns() && !access("/dev/net/tun", R_OK | W_OK);
    const struct CMUnitTest tests[] = {cmocka_unit_test(packets_pass), cmocka_unit_test(super_frames_come),
                                       cmocka_unit_test(clear_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
