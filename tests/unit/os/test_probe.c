// os/probe against a server behind a router: TCP, ICMP and the root servers' way, with what answers and what does not.
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/probe.h"
#include "os/sock.h"
#include "os/why.h"
#include "unit/os/scratch.h"
#include "unit/os/three.h"

static bool have_space;
static pid_t tcp_server;

static const char *const roots[] = {
    "198.41.0.4",     "199.7.91.13",  "192.203.230.10",     "192.5.5.241",         "192.36.148.17",   "192.58.128.30",
    "193.0.14.129",   "199.7.83.42",  "202.12.27.33",       "2001:503:ba3e::2:30", "2001:500:2d::d",  "2001:500:a8::e",
    "2001:500:2f::f", "2001:7fe::53", "2001:503:c27::2:30", "2001:7fd::1",         "2001:500:9f::42", "2001:dc3::35"};
#define ROOTS 18

static int listener(int type, const char *at, uint16_t port)
{
    struct bw_endpoint e = {.port = port};
    struct sockaddr_storage sa;
    int one = 1;
    if (bw_addr_parse(at, &e.addr)) return -1;
    socklen_t n = os_sock_from_endpoint(&e, &sa);
    int fd = os_sock_open(&e, type, 0, NULL);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (!bw_addr_is_v4(&e.addr)) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (void *)&sa, n)) return -1;
    return fd;
}

static void serve_tcp(int ready, void *arg)
{
    (void)arg;
    struct pollfd p[2] = {{.fd = listener(SOCK_STREAM, "0.0.0.0", 80), .events = POLLIN},
                          {.fd = listener(SOCK_STREAM, "::", 80), .events = POLLIN}};
    if (listen(p[0].fd, 16) || listen(p[1].fd, 16) || write(ready, "x", 1) != 1) return;
    while (poll(p, 2, -1) > 0)
        for (int i = 0; i < 2; i++)
            if (p[i].revents) close(accept(p[i].fd, NULL, NULL));
}

// A root server at every root address. flags: the third byte of the answer (0x84: authoritative; 0x80: a cache's).
static void serve_roots(int ready, void *arg)
{
    struct pollfd p[ROOTS];
    for (int i = 0; i < ROOTS; i++) {
        p[i] = (struct pollfd){.fd = listener(SOCK_DGRAM, roots[i], 53), .events = POLLIN};
        if (p[i].fd < 0) return;
    }
    if (write(ready, "x", 1) != 1) return;
    while (poll(p, ROOTS, -1) > 0) {
        for (int i = 0; i < ROOTS; i++) {
            uint8_t b[512];
            struct sockaddr_storage from;
            socklen_t fn = sizeof from;
            ssize_t n = p[i].revents ? recvfrom(p[i].fd, b, sizeof b, 0, (void *)&from, &fn) : 0;
            if (n != 17) continue;
            uint8_t spoof[17];
            memcpy(spoof, b, 17);
            spoof[0] ^= 1; // first a lie with another id
            spoof[2] = 0x84;
            spoof[7] = 1;
            sendto(p[i].fd, spoof, sizeof spoof, 0, (void *)&from, fn);
            b[2] = *(uint8_t *)arg;
            b[7] = 1;
            sendto(p[i].fd, b, 17, 0, (void *)&from, fn);
        }
    }
}

static int enter(void **state)
{
    (void)state;
    if (!three_make(&have_space)) return -1;
    if (!have_space) return 0;
    tcp_server = three_start("s", serve_tcp, NULL);
    return tcp_server > 0 ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    three_stop(tcp_server);
    return 0;
}

struct seen {
    struct os_probe_result r;
    volatile bool done;
    int calls;
};

static void on_result(void *ctx, const struct os_probe_result *r)
{
    struct seen *s = ctx;
    s->r = *r;
    s->calls++;
    s->done = true;
}

// Runs one round; returns how long it took, in ms.
static unsigned probe_with(const struct os_probe_config *c, struct seen *s)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    *s = (struct seen){0};
    bw_time t = os_clock_now();
    assert_int_equal(os_probe_start(&loop, c, on_result, s), 0);
    assert_false(s->done);
    assert_true(loop_until(&loop, &s->done, 5000));
    unsigned ms = (unsigned)((os_clock_now() - t) / BW_MS);
    assert_int_equal(loop_finish(&loop), 0);
    assert_int_equal(s->calls, 1);
    return ms;
}

// "auto", "none", or targets with commas between them; those without a port get a ping.
static void targets(const char *text, struct os_probe_config *c)
{
    char copy[200], *rest;
    snprintf(copy, sizeof copy, "%s", text);
    c->mode = !strcmp(text, "auto") ? OS_PROBE_AUTO : !strcmp(text, "none") ? OS_PROBE_NONE : OS_PROBE_LIST;
    for (char *one = strtok_r(copy, ",", &rest); one && c->mode == OS_PROBE_LIST; one = strtok_r(NULL, ",", &rest)) {
        struct bw_endpoint e = {0};
        if (bw_addr_parse(one, &e.addr) && bw_endpoint_parse(one, &e)) fail_msg("%s", one);
        c->targets[c->count++] = (struct os_probe_target){e.addr, e.port};
    }
}

static unsigned probe(const char *text, uint32_t timeout_ms, struct seen *s)
{
    struct os_probe_config c = {.timeout_ms = timeout_ms};
    targets(text, &c);
    return probe_with(&c, s);
}

static void targets_that_answer_and_that_do_not(void **state)
{
    (void)state;
    if (!have_space) skip();
    struct seen s = {0};
    for (int i = 0; i < 20 && !(s.r.v4 && s.r.v6); i++)
        probe("10.0.2.2,fd02::2", 500, &s); // the wires have just come up
    assert_true(probe("10.0.2.2:80,[fd02::2]:80", 3000, &s) < 1500);
    assert_true(s.r.v4 && s.r.v6 && s.r.asked_v4 && s.r.asked_v6);
    assert_true(s.r.rtt4_us > 0 && s.r.rtt4_us < 1000000);
    assert_true(probe("10.0.2.2,fd02::2", 3000, &s) < 1500);
    assert_true(s.r.v4 && s.r.v6);
    probe("10.0.2.2:80", 3000, &s);
    assert_true(s.r.v4 && s.r.asked_v4 && !s.r.v6 && !s.r.asked_v6);
    assert_true(probe("10.0.2.2:81,[fd02::2]:81", 3000, &s) < 1500); // refused: known at once
    assert_true(!s.r.v4 && !s.r.v6 && s.r.asked_v4);
    assert_true(probe("192.0.2.1,2001:db8::1", 3000, &s) < 1500); // the router says unreachable
    assert_true(!s.r.v4 && !s.r.v6);
    assert_true(probe("10.0.2.2:81,10.0.2.2:80", 3000, &s) < 1500); // the second one answers
    assert_true(s.r.v4);
    probe("none", 0, &s);
    assert_true(s.r.v4 && s.r.v6 && !s.r.asked_v4);
    // silence
    assert_true(three_run("s", "ip route add blackhole 10.0.1.0/24 && ip route add blackhole fd01::/64"));
    unsigned ms = probe("10.0.2.2:80,[fd02::2]:80,10.0.2.2,fd02::2", 700, &s);
    assert_true(!s.r.v4 && !s.r.v6 && ms >= 700 && ms < 2500);
    assert_true(three_run("s", "ip route del blackhole 10.0.1.0/24"));
    ms = probe("10.0.1.77,10.0.2.2:80", 3000, &s); // the first is silent for a step: then the second is asked
    assert_true(s.r.v4 && ms >= OS_PROBE_STEP_MS && ms < 2500);
    assert_true(three_run("s", "ip route del blackhole fd01::/64"));
}

static void the_mark_chooses_the_way(void **state)
{
    (void)state;
    if (!have_space) skip();
    struct seen s;
    struct os_probe_config c = {.timeout_ms = 400, .mark = 0x4870};
    targets("10.0.2.2:80,fd02::2", &c);
    assert_true(space_run("ip route add unreachable default table 77 && ip -6 route add unreachable default table 77"
                          " && ip rule add priority 10 not fwmark 0x4870 table 77 && ip -6 rule add priority 10 not "
                          "fwmark 0x4870 table 77"));
    probe_with(&c, &s);
    assert_true(s.r.v4 && s.r.v6);
    c.mark = 0;
    probe_with(&c, &s);
    assert_true(!s.r.v4 && !s.r.v6);
    assert_true(space_run("ip rule del priority 10 && ip -6 rule del priority 10"));
    snprintf(c.device, sizeof c.device, "lo");
    probe_with(&c, &s);
    assert_true(!s.r.v4 && !s.r.v6);
    snprintf(c.device, sizeof c.device, "c0");
    probe_with(&c, &s);
    assert_true(s.r.v4 && s.r.v6);
    c.skip_v4 = true;
    probe_with(&c, &s);
    assert_true(!s.r.v4 && !s.r.asked_v4 && s.r.v6);
}

static void auto_asks_the_roots(void **state)
{
    (void)state;
    if (!have_space) skip();
    struct seen s;
    uint8_t authoritative = 0x84, cached = 0x80;
    char command[256];
    assert_true(probe("auto", 700, &s) < 2500); // nobody is there: the router says so
    assert_true(!s.r.v4 && !s.r.v6 && s.r.asked_v4 && s.r.asked_v6);
    for (int i = 0; i < ROOTS; i++) {
        bool v6 = strchr(roots[i], ':');
        snprintf(command, sizeof command, "ip addr add %s/%d dev lo%s", roots[i], v6 ? 128 : 32, v6 ? " nodad" : "");
        assert_true(three_run("s", command));
        snprintf(command, sizeof command, "ip route add %s via %s", roots[i], v6 ? "fd02::2" : "10.0.2.2");
        assert_true(three_run("r", command));
    }
    assert_true(probe("auto", 3000, &s) < 1500); // echo alone: networks that intercept DNS
    assert_true(s.r.v4 && s.r.v6);
    assert_true(
        three_run("s", "nft 'table inet t { chain i { type filter hook input priority 0; icmp type echo-request drop; "
                       "icmpv6 type echo-request drop; }; }'"));
    pid_t pid = three_start("s", serve_roots, &authoritative);
    assert_true(pid > 0);
    assert_true(probe("auto", 3000, &s) < 1500);
    assert_true(s.r.v4 && s.r.v6);
    three_stop(pid);
    pid = three_start("s", serve_roots, &cached); // a captive portal's or a home router's word is no proof
    assert_true(pid > 0);
    probe("auto", 900, &s);
    assert_true(!s.r.v4 && !s.r.v6);
    three_stop(pid);
    assert_true(three_run("s", "nft flush ruleset"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_that_answer_and_that_do_not),
        cmocka_unit_test(the_mark_chooses_the_way),
        cmocka_unit_test(auto_asks_the_roots),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
