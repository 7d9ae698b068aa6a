// os/dnsfwd between glibc's resolver and servers of the test's own, in a network namespace: UDP, TCP, silence, lies,
// floods.
#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <resolv.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/dnsfwd.h"
#include "os/sock.h"
#include "os/why.h"
#include "unit/os/scratch.h"
#include "unit/os/space.h"
#include "unit/parse.h"

static bool have_space;
static char why[OS_WHY];

static int enter(void **state)
{
    (void)state;
    have_space = space_network();
    return 0;
}

// ---- a DNS server in a child: every name is 192.0.2.99 ----

enum mode { HONEST, SILENT, LYING };

static size_t answer_to(uint8_t *b, size_t n)
{
    static const uint8_t rr[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 99};
    size_t q = 12;
    while (q < n && b[q]) q += 1u + b[q];
    q += 5;
    if (q > n) return 0;
    b[2] |= 0x80;
    b[3] = 0x80;
    memset(b + 6, 0, 6);
    b[7] = 1;
    memcpy(b + q, rr, sizeof rr);
    return q + sizeof rr;
}

static void serve_udp(int fd, enum mode mode)
{
    uint8_t b[2048];
    struct sockaddr_storage from;
    socklen_t fn = sizeof from;
    ssize_t n = recvfrom(fd, b, sizeof b / 2, 0, (void *)&from, &fn);
    if (n < 12 || mode == SILENT) return;
    size_t len = answer_to(b, (size_t)n);
    if (mode == LYING) { // wrong id; then right id but another question; never the truth
        b[0] ^= 0x55;
        sendto(fd, b, len, 0, (void *)&from, fn);
        b[0] ^= 0x55;
        b[13] ^= 1;
        sendto(fd, b, len, 0, (void *)&from, fn);
        return;
    }
    sendto(fd, b, len, 0, (void *)&from, fn);
}

static void serve_tcp(int listener)
{
    uint8_t b[2048];
    int fd = accept(listener, NULL, NULL);
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        poll(&p, 1, 1000);
        ssize_t n = recv(fd, b, sizeof b / 2, 0);
        if (n < 14) break;
        size_t len = answer_to(b + 2, (size_t)n - 2);
        b[0] = (uint8_t)(len >> 8);
        b[1] = (uint8_t)len;
        if (send(fd, b, len + 2, MSG_NOSIGNAL) < 0) break;
    }
    close(fd);
}

static int bound(const struct bw_endpoint *e, int type)
{
    struct sockaddr_storage sa;
    socklen_t n = os_sock_from_endpoint(e, &sa);
    int one = 1, fd = os_sock_open(e, type, 0, NULL);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return bind(fd, (void *)&sa, n) ? -1 : fd;
}

static pid_t server(const char *where, enum mode mode)
{
    int ready[2];
    char c;
    struct bw_endpoint e = endpoint(where);
    assert_int_equal(pipe(ready), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct pollfd p[2] = {{.fd = bound(&e, SOCK_DGRAM), .events = POLLIN},
                              {.fd = bound(&e, SOCK_STREAM), .events = POLLIN}};
        if (p[0].fd < 0 || p[1].fd < 0 || listen(p[1].fd, 16) || write(ready[1], "x", 1) != 1) _exit(1);
        while (poll(p, 2, -1) > 0) {
            if (p[0].revents) serve_udp(p[0].fd, mode);
            if (p[1].revents) serve_tcp(p[1].fd);
        }
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    return pid;
}

static void stop(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

// ---- glibc asks, in a child, while the loop runs here. 0: the right answer, 1: an error or nothing (after 8 s) ----

static int glibc_asks(const char *name, bool tcp)
{
    struct __res_state rs = {0};
    uint8_t out[512];
    if (res_ninit(&rs)) return 1;
    rs.nscount = 1;
    rs.retrans = 8;
    rs.retry = 1;
    rs.options = RES_RECURSE | (tcp ? RES_USEVC : 0u);
    rs.nsaddr_list[0] =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0x7f000001)};
    int n = res_nquery(&rs, name, C_IN, T_A, out, sizeof out);
    res_nclose(&rs);
    return n > 4 && !memcmp(out + n - 4, "\xc0\x00\x02\x63", 4) ? 0 : 1;
}

static void child_done(uv_timer_t *t)
{
    (void)t;
}

static int resolve(uv_loop_t *loop, const char *name, bool tcp)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) _exit(glibc_asks(name, tcp));
    uv_timer_t tick; // turns the loop until the child has ended
    uv_timer_init(loop, &tick);
    uv_timer_start(&tick, child_done, 2, 2);
    int status = 0;
    bw_time limit = os_clock_now() + 20 * BW_S;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        uv_run(loop, UV_RUN_ONCE);
        if (os_clock_now() > limit) fail_msg("%s is never answered", name);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
    return WEXITSTATUS(status);
}

static struct os_dnsfwd *forwarder(uv_loop_t *loop, size_t count, const char *a, const char *b)
{
    struct os_dnsfwd_config c = {.listen = endpoint("127.0.0.1:53"), .upstreams = {endpoint(a), endpoint(b)}, .upstream_count = count};
    struct os_dnsfwd *d;
    if (os_dnsfwd_open(loop, &c, &d, why, sizeof why)) fail_msg("%s", why);
    return d;
}

static void queries_go_through(void **state)
{
    (void)state;
    if (!have_space) skip();
    uv_loop_t loop;
    struct os_dnsfwd_stats st;
    uv_loop_init(&loop);
    pid_t good = server("127.0.0.2:5353", HONEST);
    struct os_dnsfwd *d = forwarder(&loop, 1, "127.0.0.2:5353", "127.0.0.3:5353"), *second;
    assert_int_equal(resolve(&loop, "a.example", false), 0);
    assert_int_equal(resolve(&loop, "a-rather-long-label-of-a-name.and.more.of.them.example.org", false), 0);
    assert_int_equal(resolve(&loop, "b.example", true), 0);
    os_dnsfwd_stats(d, &st);
    assert_int_equal(st.queries, 2);
    assert_int_equal(st.answers, 2);
    assert_int_equal(st.tcp_connections, 1);
    struct os_dnsfwd_config same = {.listen = endpoint("127.0.0.1:53")};
    assert_int_equal(os_dnsfwd_open(&loop, &same, &second, why, sizeof why), BW_ERR_EXISTS);
    assert_non_null(strstr(why, "127.0.0.1:53"));
    os_dnsfwd_close(d);
    uv_run(&loop, UV_RUN_NOWAIT);
    // Only clients that are named.
    same.client_count = 1;
    assert_int_equal(bw_prefix_parse("100.64.0.0/10", &same.clients[0]), 0);
    assert_int_equal(os_dnsfwd_open(&loop, &same, &d, why, sizeof why), 0);
    struct bw_endpoint to = endpoint("127.0.0.1:53");
    struct sockaddr_storage sa;
    socklen_t n = os_sock_from_endpoint(&to, &sa);
    int fd = os_sock_open(&to, SOCK_DGRAM, 0, NULL);
    static const uint8_t q[] = {1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'x', 0, 0, 1, 0, 1};
    assert_int_equal(sendto(fd, q, sizeof q, 0, (void *)&sa, n), sizeof q);
    bool never = false;
    for (int i = 0; i < 100 && (os_dnsfwd_stats(d, &st), st.refused_source == 0); i++) loop_until(&loop, &never, 5);
    assert_int_equal(st.refused_source, 1);
    assert_int_equal(resolve(&loop, "c.example", true), 1); // the connection is closed
    close(fd);
    os_dnsfwd_close(d);
    os_dnsfwd_close(NULL);
    assert_int_equal(loop_finish(&loop), 0);
    stop(good);
}

static void the_next_upstream_is_asked(void **state)
{
    (void)state;
    if (!have_space) skip();
    uv_loop_t loop;
    uv_loop_init(&loop);
    pid_t good = server("127.0.0.2:5353", HONEST), silent = server("127.0.0.3:5353", SILENT);
    struct os_dnsfwd *d = forwarder(&loop, 2, "127.0.0.4:5353", "127.0.0.2:5353"); // the first refuses
    assert_int_equal(resolve(&loop, "a.example", false), 0);
    assert_int_equal(resolve(&loop, "b.example", true), 0);
    struct bw_endpoint up[] = {endpoint("127.0.0.3:5353"), endpoint("127.0.0.2:5353"), endpoint("127.0.0.1:53")};
    os_dnsfwd_upstreams(d, up, 3); // silent, good, ourselves
    bw_time t = os_clock_now();
    assert_int_equal(resolve(&loop, "c.example", false), 0);
    assert_true(os_clock_now() - t >= 1400 * BW_MS && os_clock_now() - t < 5 * BW_S);
    up[0] = endpoint("127.0.0.4:5353");
    os_dnsfwd_upstreams(d, up, 1); // refuses, alone: told at once
    t = os_clock_now();
    assert_int_equal(resolve(&loop, "d.example", false), 1);
    os_dnsfwd_upstreams(d, &up[2], 1); // none at all
    assert_int_equal(resolve(&loop, "e.example", false), 1);
    assert_true(os_clock_now() - t < 4 * BW_S);
    os_dnsfwd_close(d);
    assert_int_equal(loop_finish(&loop), 0);
    stop(good);
    stop(silent);
}

static void lies_are_not_passed_on(void **state)
{
    (void)state;
    if (!have_space) skip();
    uv_loop_t loop;
    struct os_dnsfwd_stats st;
    uv_loop_init(&loop);
    pid_t liar = server("127.0.0.2:5353", LYING);
    struct os_dnsfwd *d = forwarder(&loop, 1, "127.0.0.2:5353", "127.0.0.3:5353");
    bw_time t = os_clock_now();
    assert_int_equal(resolve(&loop, "a.example", false), 1);
    assert_true(os_clock_now() - t < 7 * BW_S); // SERVFAIL, not silence
    os_dnsfwd_stats(d, &st);
    assert_int_equal(st.answers, 0);
    assert_int_equal(st.timeouts, 1);
    os_dnsfwd_close(d);
    assert_int_equal(loop_finish(&loop), 0);
    stop(liar);
}

static void floods_and_rubbish_are_bounded(void **state)
{
    (void)state;
    if (!have_space) skip();
    uv_loop_t loop;
    struct os_dnsfwd_stats st;
    bool never = false;
    uv_loop_init(&loop);
    pid_t silent = server("127.0.0.3:5353", SILENT);
    struct os_dnsfwd *d = forwarder(&loop, 1, "127.0.0.3:5353", "127.0.0.2:5353");
    struct bw_endpoint to = endpoint("127.0.0.1:53");
    struct sockaddr_storage sa;
    socklen_t n = os_sock_from_endpoint(&to, &sa);
    int fd = os_sock_open(&to, SOCK_DGRAM, 0, NULL);
    uint8_t q[] = {1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'x', 0, 0, 1, 0, 1};
    for (int i = 0; i < 400; i++) { // more than there are places, the same one twice now and then
        q[0] = (uint8_t)(i >> 8);
        q[1] = (uint8_t)i;
        for (int k = 0; k < 1 + (i % 7 == 0); k++) sendto(fd, q, sizeof q, 0, (void *)&sa, n);
        loop_until(&loop, &never, i % 50 == 0);
    }
    uint32_t x = 5;
    for (int i = 0; i < 3000; i++) {
        uint8_t b[64];
        for (size_t k = 0; k < sizeof b; k++) b[k] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
        sendto(fd, b, x % sizeof b, 0, (void *)&sa, n);
        if (i % 100 == 0) loop_until(&loop, &never, 1);
    }
    loop_until(&loop, &never, 20);
    os_dnsfwd_stats(d, &st);
    assert_true(st.queries >= OS_DNSFWD_UDP &&
                st.queries < OS_DNSFWD_UDP + 20); // a few of the rubbish may look like one
    assert_true(st.refused_full > 100);
    assert_true(st.malformed > 2000);
    // TCP: one client gets eight connections, and those that say nothing are closed with us.
    int conns[12], open_ones = 0;
    for (int i = 0; i < 12; i++) {
        conns[i] = os_sock_open(&to, SOCK_STREAM, 0, NULL);
        assert_true(connect(conns[i], (void *)&sa, n) == 0 || errno == EINPROGRESS);
    }
    loop_until(&loop, &never, 50);
    for (int i = 0; i < 12; i++) {
        char c;
        open_ones += recv(conns[i], &c, 1, 0) < 0 && errno == EAGAIN;
        close(conns[i]);
    }
    assert_int_equal(open_ones, 8);
    close(fd);
    os_dnsfwd_close(d);
    assert_int_equal(loop_finish(&loop), 0);
    stop(silent);
}

static int asking_from(const char *where, int type)
{
    struct bw_endpoint to = endpoint("127.0.0.1:53"), from = endpoint(where);
    struct sockaddr_storage sa;
    int fd = bound(&from, type);
    assert_true(fd >= 0);
    socklen_t n = os_sock_from_endpoint(&to, &sa);
    assert_true(connect(fd, (void *)&sa, n) == 0 || errno == EINPROGRESS);
    return fd;
}

static bool still_open(int fd)
{
    char c;
    return recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

// A few clients that hold all places, for queries or for connections, keep nobody else from being answered.
static void places_are_shared_between_clients(void **state)
{
    (void)state;
    if (!have_space) skip();
    uv_loop_t loop;
    struct os_dnsfwd_stats st;
    bool never = false;
    uv_loop_init(&loop);
    pid_t silent = server("127.0.0.3:5353", SILENT), good = server("127.0.0.2:5353", HONEST);
    struct os_dnsfwd *d = forwarder(&loop, 1, "127.0.0.3:5353", "127.0.0.2:5353");
    int greedy[2] = {asking_from("127.0.1.1:4000", SOCK_DGRAM), asking_from("127.0.1.2:4000", SOCK_DGRAM)};
    uint8_t q[] = {1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'x', 0, 0, 1, 0, 1};
    for (int i = 0; i < 2 * OS_DNSFWD_UDP; i++) {
        q[0] = (uint8_t)(i >> 8);
        q[1] = (uint8_t)i;
        assert_int_equal(send(greedy[i & 1], q, sizeof q, 0), sizeof q);
        if (i % 50 == 0) loop_until(&loop, &never, 1);
    }
    loop_until(&loop, &never, 20);
    os_dnsfwd_stats(d, &st);
    assert_int_equal(st.queries, OS_DNSFWD_UDP); // all places are theirs, for some seconds
    struct bw_endpoint up = endpoint("127.0.0.2:5353");
    os_dnsfwd_upstreams(d, &up, 1);
    assert_int_equal(resolve(&loop, "a.example", false), 0);
    int greedy_tcp[OS_DNSFWD_TCP];
    up = endpoint("127.0.0.3:5353");
    os_dnsfwd_upstreams(d, &up, 1);
    for (int i = 0; i < OS_DNSFWD_TCP; i++) {
        char where[32];
        snprintf(where, sizeof where, "127.0.1.%d:%d", 1 + i / 8, 5000 + i);
        greedy_tcp[i] = asking_from(where, SOCK_STREAM);
        loop_until(&loop, &never, 2);
    }
    int held = 0, fewer = asking_from("127.0.1.9:5000", SOCK_STREAM);
    loop_until(&loop, &never, 50);
    assert_true(still_open(fewer));
    for (int i = 0; i < OS_DNSFWD_TCP; i++) held += still_open(greedy_tcp[i]);
    assert_int_equal(held, OS_DNSFWD_TCP - 1);
    for (int i = 0; i < OS_DNSFWD_TCP; i++) close(greedy_tcp[i]);
    for (int i = 0; i < 2; i++) close(greedy[i]);
    close(fewer);
    os_dnsfwd_close(d);
    assert_int_equal(loop_finish(&loop), 0);
    stop(silent);
    stop(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_go_through),
        cmocka_unit_test(the_next_upstream_is_asked),
        cmocka_unit_test(lies_are_not_passed_on),
        cmocka_unit_test(floods_and_rubbish_are_bounded),
        cmocka_unit_test(places_are_shared_between_clients),
    };
    return cmocka_run_group_tests(tests, enter, NULL);
}
