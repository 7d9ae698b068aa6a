#include "os/probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/entropy.h"
#include "os/icmp.h"
#include "os/sock.h"
#include "os/timer.h"
#include "os/watch.h"
#include "os/why.h"

#define AUTO_TARGETS 3 // of each family
#define ATTEMPTS (2 * OS_PROBE_TARGETS)
#define DEFAULT_TIMEOUT_MS 1500

// The root servers that have not moved for many years (root-servers.org; letters a, d-f and i-m).
static const char *const roots4[] = {"198.41.0.4",    "199.7.91.13",  "192.203.230.10", "192.5.5.241", "192.36.148.17",
                                     "192.58.128.30", "193.0.14.129", "199.7.83.42",    "202.12.27.33"};
static const char *const roots6[] = {"2001:503:ba3e::2:30", "2001:500:2d::d",  "2001:500:a8::e",
                                     "2001:500:2f::f",      "2001:7fe::53",    "2001:503:c27::2:30",
                                     "2001:7fd::1",         "2001:500:9f::42", "2001:dc3::35"};
#define ROOTS (sizeof roots4 / sizeof roots4[0])

enum way { BY_TCP, BY_DNS };

struct attempt {
    struct os_probe *p;
    struct family *f;
    struct os_watch *watch; // NULL: over
    enum way way;
    uint16_t id; // of the DNS query
    bw_time since;
};

struct family {
    bool v4, wanted, answered;
    struct bw_addr addr[OS_PROBE_TARGETS];
    uint16_t port[OS_PROBE_TARGETS];
    size_t count, next;
    bw_time next_at; // when the next target may be asked
    unsigned open;   // attempts that may still be answered
    struct os_icmp *icmp;
    bw_time echo_since[OS_PROBE_TARGETS];
    bool echo_sent[OS_PROBE_TARGETS];
    uint32_t rtt_us;
};

struct os_probe {
    uv_loop_t *loop;
    struct os_probe_config c;
    os_probe_fn *fn;
    void *ctx;
    struct os_timer *timer;
    bw_time deadline;
    struct family fam[2]; // IPv6, IPv4
    struct attempt attempts[ATTEMPTS];
    size_t attempt_count;
};

static void drop(struct os_probe *p)
{
    os_timer_close(p->timer);
    for (size_t i = 0; i < p->attempt_count; i++) os_watch_close(p->attempts[i].watch, true);
    os_icmp_close(p->fam[0].icmp);
    os_icmp_close(p->fam[1].icmp);
    free(p);
}

// Nothing more can come: every target has been asked and has failed for good, or the family has its answer.
static bool family_over(const struct family *f)
{
    return f->answered || !f->wanted || (f->next == f->count && f->open == 0);
}

static void finish(struct os_probe *p)
{
    struct os_probe_result r = {.v4 = p->fam[1].answered,
                                .v6 = p->fam[0].answered,
                                .asked_v4 = p->fam[1].wanted,
                                .asked_v6 = p->fam[0].wanted,
                                .rtt4_us = p->fam[1].rtt_us,
                                .rtt6_us = p->fam[0].rtt_us};
    if (p->c.mode == OS_PROBE_NONE) r.v4 = r.v6 = true;
    os_probe_fn *fn = p->fn;
    void *ctx = p->ctx;
    drop(p);
    fn(ctx, &r); // last: it may start the next one
}

// Both let the timer finish: from within the callback of a handle that finishing would free, that is no place to do it.
static void answered(struct os_probe *p, struct family *f, bw_time since)
{
    if (!f->answered) f->rtt_us = (uint32_t)(os_clock_now() - since);
    f->answered = true;
    os_timer_at(p->timer, 0);
}

static void failed(struct os_probe *p, struct family *f)
{
    if (--f->open == 0) f->next_at = 0; // on to the next target without waiting
    os_timer_at(p->timer, 0);
}

static bool is_good_answer(const uint8_t *p, size_t n, uint16_t id)
{
    // QR and AA set, no error, and something in the answer section.
    return n >= 12 && (p[0] << 8 | p[1]) == id && (p[2] & 0x84) == 0x84 && (p[3] & 15) == 0 && (p[6] | p[7]);
}

static void on_event(void *ctx, int events)
{
    (void)events;
    struct attempt *a = ctx;
    struct os_probe *p = a->p;
    uint8_t buf[1232];
    int fd = os_watch_fd(a->watch), err = 0;
    bool good;
    socklen_t size = sizeof err;
    if (a->way == BY_TCP) {
        good = getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) == 0 && err == 0;
    } else {
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n < 0 && errno == EAGAIN) return;
        good = n > 0 && is_good_answer(buf, (size_t)n, a->id);
        if (n >= 0 && !good) return; // somebody else's word: the true answer may still come
    }
    os_watch_close(a->watch, true);
    a->watch = NULL;
    if (good) answered(p, a->f, a->since);
    else failed(p, a->f);
}

static bool try_socket(struct os_probe *p, struct family *f, size_t target, enum way way)
{
    struct bw_endpoint to = {.addr = f->addr[target], .port = way == BY_DNS ? 53 : f->port[target]};
    struct sockaddr_storage sa;
    socklen_t n = os_sock_from_endpoint(&to, &sa);
    if (p->attempt_count == ATTEMPTS) return false;
    int fd = os_sock_open(&to, way == BY_TCP ? SOCK_STREAM : SOCK_DGRAM, p->c.mark, p->c.device);
    if (fd < 0) return false;
    struct attempt *a = &p->attempts[p->attempt_count];
    *a = (struct attempt){.p = p, .f = f, .way = way, .since = os_clock_now()};
    bool ok = connect(fd, (void *)&sa, n) == 0 || (way == BY_TCP && errno == EINPROGRESS);
    if (ok && way == BY_DNS) {
        // id, no recursion wanted, one question: ". SOA IN"
        uint8_t q[17] = {[5] = 1, [12] = 0, [14] = 6, [16] = 1};
        os_entropy(&a->id, sizeof a->id);
        q[0] = (uint8_t)(a->id >> 8);
        q[1] = (uint8_t)a->id;
        ok = send(fd, q, sizeof q, 0) == sizeof q;
    }
    if (ok) ok = os_watch_open(p->loop, fd, way == BY_TCP ? UV_WRITABLE : UV_READABLE, on_event, a, &a->watch) == 0;
    if (!ok) {
        close(fd);
        return false;
    }
    p->attempt_count++;
    f->open++;
    return true;
}

static void on_echo(void *ctx, const struct os_icmp_reply *r)
{
    struct os_probe *p = ctx;
    struct family *f = &p->fam[bw_addr_is_v4(&r->from)];
    if (r->seq >= f->count || !f->echo_sent[r->seq] || !bw_addr_eq(&r->target, &f->addr[r->seq])) return;
    if (r->kind == OS_ICMP_TOO_BIG || r->kind == OS_ICMP_OTHER) return;
    f->echo_sent[r->seq] = false;
    if (r->kind == OS_ICMP_ECHO) answered(p, f, f->echo_since[r->seq]);
    else failed(p, f); // a router on the way says no
}

static bool try_echo(struct os_probe *p, struct family *f, size_t target)
{
    struct os_icmp_config c = {.v4 = f->v4, .mark = p->c.mark, .device = p->c.device};
    if (!f->icmp && os_icmp_open(p->loop, &c, on_echo, p, &f->icmp, NULL, 0)) return false;
    f->echo_since[target] = os_clock_now();
    if (os_icmp_send(f->icmp, &f->addr[target], (uint16_t)target, 0, 8)) return false;
    f->echo_sent[target] = true;
    f->open++;
    return true;
}

// Asks the next target that can be asked at all (no route: on to the one after).
static void ask_next(struct os_probe *p, struct family *f, bw_time now)
{
    if (now < f->next_at) return;
    f->next_at = now + OS_PROBE_STEP_MS * BW_MS;
    while (f->wanted && !f->answered && f->next < f->count) {
        size_t t = f->next++;
        bool started;
        if (p->c.mode == OS_PROBE_AUTO) {
            started = try_socket(p, f, t, BY_DNS);
            started |= try_echo(p, f, t);
        } else {
            started = f->port[t] ? try_socket(p, f, t, BY_TCP) : try_echo(p, f, t);
        }
        if (started) return;
    }
}

static void on_timer(void *ctx)
{
    struct os_probe *p = ctx;
    bw_time now = os_clock_now();
    bw_time wake = p->deadline;
    bool over = true;
    for (int i = 0; i < 2; i++) {
        struct family *f = &p->fam[i];
        ask_next(p, f, now);
        over &= family_over(f);
        if (!family_over(f) && f->next < f->count) wake = bw_time_min(wake, f->next_at);
    }
    if (over || now >= p->deadline) finish(p);
    else os_timer_at(p->timer, wake);
}

static void choose_roots(struct family *f)
{
    uint8_t order[ROOTS], random[ROOTS];
    os_entropy(random, sizeof random);
    for (size_t i = 0; i < ROOTS; i++) order[i] = (uint8_t)i;
    for (size_t i = 0; i < AUTO_TARGETS; i++) { // the first few places of a shuffle
        size_t j = i + random[i] % (ROOTS - i);
        uint8_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
        int err = bw_addr_parse(f->v4 ? roots4[order[i]] : roots6[order[i]], &f->addr[f->count++]);
        BW_ASSERT(!err);
    }
}

static void choose_targets(struct os_probe *p)
{
    p->fam[1].v4 = true;
    if (p->c.mode == OS_PROBE_AUTO)
        for (int i = 0; i < 2; i++) choose_roots(&p->fam[i]);
    for (size_t i = 0; p->c.mode == OS_PROBE_LIST && i < p->c.count; i++) {
        struct family *f = &p->fam[bw_addr_is_v4(&p->c.targets[i].addr)];
        f->addr[f->count] = p->c.targets[i].addr;
        f->port[f->count++] = p->c.targets[i].port;
    }
    p->fam[0].wanted = p->fam[0].count && !p->c.skip_v6;
    p->fam[1].wanted = p->fam[1].count && !p->c.skip_v4;
}

int os_probe_start(uv_loop_t *loop, const struct os_probe_config *c, os_probe_fn *fn, void *ctx)
{
    struct os_probe *p = calloc(1, sizeof *p);
    if (!p) return BW_ERR_NOMEM;
    *p = (struct os_probe){.loop = loop, .c = *c, .fn = fn, .ctx = ctx};
    p->deadline = os_clock_now() + (c->timeout_ms ? c->timeout_ms : DEFAULT_TIMEOUT_MS) * BW_MS;
    choose_targets(p);
    int err = os_timer_open(loop, on_timer, p, &p->timer);
    if (err) {
        free(p);
        return err;
    }
    os_timer_at(p->timer, 0);
    return 0;
}
