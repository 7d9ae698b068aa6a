// A node made of made-up data behind a real API: the data source is the seam, the sockets, libmicrohttpd, curl and wg
// are real. The server's loop runs in a thread; what its actions were asked is written down here.
#ifndef TESTS_UNIT_API_FAKE_H
#define TESTS_UNIT_API_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api/api.h"
#include "api/uapi.h"
#include "unit/parse.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0 // then what is freed is really given back, and resident memory can be judged
#endif

#define OUR_MESH "fc12:3456:789a:bcde:f012:3456:789a:bcde"

static struct fake {
    uv_loop_t loop;
    uv_async_t call; // runs `job` on the loop's thread
    void (*job)(void *arg);
    void *job_arg;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool job_done;
    pthread_t thread;
    struct api *api;
    struct uapi *uapi;
    char dir[64], sock[96], why[512];
    // what the actions were asked
    struct api_peer_add added;
    uint8_t removed[32];
    bool removed_save;
    enum api_use use;
    struct bw_addr use_address;
    char joined[256];
    struct api_invite invited;
    unsigned reloads, pings, gone, leases;
    struct api_probe probe;
    bool ping_hangs;  // ping answers one line and then nothing
    char lease_body[64];
    struct bw_addr lease_from;
    unsigned route_count;
} fake;

static void fake_key(uint8_t key[32], uint8_t first)
{
    for (int i = 0; i < 32; i++) key[i] = (uint8_t)(first + i);
}

static void fake_status(void *ctx, struct view_status *s)
{
    (void)ctx;
    *s = (struct view_status){.name = "mill",
                              .uptime_s = 3725,
                              .peers = 2,
                              .routes = 5,
                              .exit_state = VIEW_EXIT_ACTIVE,
                              .exit_via = "barn",
                              .exit_since_s = 61,
                              .share_state = VIEW_SHARE_OFF,
                              .rx_bytes = 123456789,
                              .tx_bytes = 2048,
                              .problem_count = 1};
    s->address = addr(OUR_MESH);
    s->exit_address = addr("fcaa::1");
    fake_key(s->key, 1);
    snprintf(s->problems[0].code, sizeof s->problems[0].code, "clock-unset");
    snprintf(s->problems[0].text, sizeof s->problems[0].text, "this machine's clock is not set");
    snprintf(s->problems[0].hint, sizeof s->problems[0].hint, "start an NTP client");
}

static void fake_peers(void *ctx, view_peer_fn *fn, void *arg)
{
    (void)ctx;
    struct view_peer p = {.name = "barn",
                          .link = "eth0",
                          .state = "up",
                          .rtt_us = 3250,
                          .cost = 96,
                          .rx_bytes = 5000,
                          .tx_bytes = 7000,
                          .last_handshake_s = 12,
                          .source = "discovered"};
    fake_key(p.key, 0x40);
    p.address = addr("fcbb::2");
    assert_int_equal(bw_endpoint_parse("[fe80::2%1]:4870", &p.endpoint), 0);
    fn(arg, &p);
    struct view_peer q = {.name = "",
                          .stock = true,
                          .link = "peer stock \"1\"",
                          .state = "connecting",
                          .rtt_us = -1,
                          .cost = 65535,
                          .last_handshake_s = -1,
                          .source = "config"};
    fake_key(q.key, 0xf0); // its base64 has + and /
    fn(arg, &q);
}

static void fake_routes(void *ctx, view_route_fn *fn, void *arg)
{
    (void)ctx;
    struct view_route r = {
        .router_id = {0, 1, 2, 3, 4, 5, 6, 0xff}, .metric = 96, .link = "eth0", .selected = true, .seqno = 7};
    r.next_hop = addr("fe80::2");
    for (unsigned i = 0; i < fake.route_count; i++) {
        r.prefix = bw_prefix_host(&(struct bw_addr){{0xfc, 0xbb, (uint8_t)(i >> 8), (uint8_t)i, [15] = 2}});
        fn(arg, &r);
    }
    struct view_route v4 = {.metric = 65535, .next_hop = {{0}}};
    assert_int_equal(bw_prefix_parse("192.168.7.0/24", &v4.prefix), 0);
    fn(arg, &v4);
}

static void fake_sessions(void *ctx, view_session_fn *fn, void *arg)
{
    (void)ctx;
    struct view_session s = {.state = "up", .cipher = "AES-256-GCM", .age_s = 75, .rtt_us = 10000, .rx_bytes = 1, .tx_bytes = 2};
    s.address = addr("fcbb::2");
    fn(arg, &s);
}

static void fake_exits(void *ctx, view_exit_fn *fn, void *arg)
{
    (void)ctx;
    struct view_exit e = {.name = "barn", .metric = 96, .rtt_us = 3250, .state = "active", .via = "eth0", .loss_percent = 6, .v4 = true, .v6 = false};
    e.address = addr("fcaa::1");
    fn(arg, &e);
}

static void fake_counters(void *ctx, view_counter_fn *fn, void *arg)
{
    (void)ctx;
    fn(arg, &(struct view_counter){"byway_drops_total", "reason", "no_route", 17});
    fn(arg, &(struct view_counter){"byway_drops_total", "reason", "a\"b\\c", 1});
    fn(arg, &(struct view_counter){"byway_leases", NULL, NULL, 3});
}

static int fake_peer_add(void *ctx, const struct api_peer_add *p, struct api_error *e)
{
    (void)ctx;
    fake.added = *p;
    if (strcmp(p->name, "taken")) return 0;
    snprintf(e->text, sizeof e->text, "another peer is called taken");
    snprintf(e->hint, sizeof e->hint, "choose another name");
    return 409;
}

static int fake_peer_remove(void *ctx, const uint8_t key[32], bool save, struct api_error *e)
{
    (void)ctx;
    memcpy(fake.removed, key, 32);
    fake.removed_save = save;
    if (key[0]) return 0;
    snprintf(e->text, sizeof e->text, "there is no such peer");
    return 404;
}

static int fake_exit_use(void *ctx, enum api_use use, const struct bw_addr *address, struct api_error *e)
{
    (void)ctx, (void)e;
    fake.use = use;
    fake.use_address = *address;
    return 0;
}

static int fake_reload(void *ctx, char *out, size_t size, struct api_error *e)
{
    (void)ctx, (void)out, (void)size;
    if (fake.reloads++) {
        snprintf(e->text, sizeof e->text, "f:1: wrong\nf:2: wrong too");
        snprintf(e->hint, sizeof e->hint, "nothing was changed");
        return 422;
    }
    return 0;
}

static int fake_invite(void *ctx, const struct api_invite *i, char *out, size_t size, struct api_error *e)
{
    (void)ctx, (void)e;
    fake.invited = *i;
    snprintf(out, size, "byway:1:AAAA");
    return 0;
}

static int fake_join(void *ctx, const char *text, char *out, size_t size, struct api_error *e)
{
    (void)ctx, (void)e;
    snprintf(fake.joined, sizeof fake.joined, "%s", text);
    snprintf(out, size, "joined barn");
    return 0;
}

static int fake_ping(void *ctx, const struct api_probe *p, struct api_reply *r, struct api_error *e)
{
    (void)ctx;
    fake.probe = *p;
    fake.pings++;
    if (!bw_addr_is_mesh(&p->address)) {
        snprintf(e->text, sizeof e->text, "that is no mesh address");
        return 400;
    }
    for (uint32_t i = 1; i <= p->count; i++) {
        api_reply_line(r, json_pack("{s:i, s:f}", "seq", (int)i, "rtt_ms", i == 2 ? -1.0 : 3.2));
        if (fake.ping_hangs) return 0;
    }
    api_reply_line(r, json_pack("{s:b, s:i, s:i, s:n, s:s}", "done", 1, "sent", (int)p->count, "received",
                                (int)p->count - (p->count > 1), "key", "session", "none"));
    api_reply_end(r);
    return 0;
}

static int fake_trace(void *ctx, const struct api_probe *p, struct api_reply *r, struct api_error *e)
{
    (void)ctx, (void)e, (void)p;
    api_reply_line(r, json_pack("{s:i, s:s, s:s, s:[f,f,f]}", "hop", 1, "address", "fcbb::2", "name", "barn", "rtt_ms",
                                1.5, 1.25, -1.0));
    api_reply_line(
        r, json_pack("{s:i, s:s, s:n, s:[f,f,f]}", "hop", 2, "address", "fcbb::3", "name", "rtt_ms", 2.5, 2.25, 2.0));
    api_reply_line(r, json_pack("{s:b, s:b, s:n, s:s, s:s, s:i}", "done", 1, "reached", 1, "key", "session", "up", "cipher", "AES-256-GCM", "age_s", 125));
    api_reply_end(r);
    return 0;
}

static void fake_gone(void *ctx, struct api_reply *r)
{
    (void)ctx, (void)r;
    __atomic_add_fetch(&fake.gone, 1, __ATOMIC_SEQ_CST);
}

static void fake_offer(void *ctx, const struct bw_addr *from, struct api_mesh_answer *out)
{
    (void)ctx, (void)from;
    out->body_len = (size_t)snprintf(out->body, sizeof out->body, "{\"offer\":{}}");
}

static void fake_lease(void *ctx, const struct bw_addr *from, const void *body, size_t n, struct api_mesh_answer *out)
{
    (void)ctx;
    fake.lease_from = *from;
    fake.leases++;
    snprintf(fake.lease_body, sizeof fake.lease_body, "%.*s", (int)n, (const char *)body);
    out->status = 403;
    out->body_len = (size_t)snprintf(out->body, sizeof out->body, "{\"error\":\"no\"}");
}

// ---- the loop in its thread ----

static void fake_on_call(uv_async_t *h)
{
    (void)h;
    pthread_mutex_lock(&fake.lock);
    if (!fake.job_done && fake.job) fake.job(fake.job_arg);
    fake.job_done = true;
    pthread_cond_signal(&fake.done);
    pthread_mutex_unlock(&fake.lock);
}

// Runs job(arg) on the loop's thread and waits for it.
static void fake_call(void (*job)(void *arg), void *arg)
{
    pthread_mutex_lock(&fake.lock);
    fake.job = job;
    fake.job_arg = arg;
    fake.job_done = false;
    uv_async_send(&fake.call);
    while (!fake.job_done) pthread_cond_wait(&fake.done, &fake.lock);
    pthread_mutex_unlock(&fake.lock);
}

static void *fake_main(void *arg)
{
    (void)arg;
    uv_run(&fake.loop, UV_RUN_DEFAULT);
    return NULL;
}

static void fake_start(void)
{
    memset(&fake, 0, sizeof fake);
    fake.route_count = 1;
    pthread_mutex_init(&fake.lock, NULL);
    pthread_cond_init(&fake.done, NULL);
    strcpy(fake.dir, "/tmp/byway-api-XXXXXX");
    assert_non_null(mkdtemp(fake.dir));
    snprintf(fake.sock, sizeof fake.sock, "%s/api.sock", fake.dir);
    uv_loop_init(&fake.loop);
    uv_async_init(&fake.loop, &fake.call, fake_on_call);
    struct api_options o = {
        .loop = &fake.loop,
        .source = {NULL, fake_status, fake_peers, fake_routes, fake_sessions, fake_exits, fake_counters},
        .actions = {NULL, fake_peer_add, fake_peer_remove, fake_exit_use, fake_reload, fake_invite, fake_join,
                    fake_ping, fake_trace, fake_gone},
        .mesh = {NULL, fake_offer, fake_lease, NULL},
    };
    fake.api = api_new(&o);
    assert_non_null(fake.api);
    assert_int_equal(api_listen_unix(fake.api, fake.sock, fake.why, sizeof fake.why), 0);
    assert_int_equal(pthread_create(&fake.thread, NULL, fake_main, NULL), 0);
}

static void fake_close_all(void *arg)
{
    (void)arg;
    api_close(fake.api);
    uapi_close(fake.uapi);
    uv_close((uv_handle_t *)&fake.call, NULL);
}

// Everything ends, and nothing is left: the loop has no handle any more, the socket is gone.
static void fake_stop(void)
{
    fake_call(fake_close_all, NULL);
    pthread_join(fake.thread, NULL);
    assert_int_equal(uv_loop_close(&fake.loop), 0);
    assert_int_not_equal(access(fake.sock, F_OK), 0);
    assert_int_equal(rmdir(fake.dir), 0);
}

// ---- asking ----

// Output of a shell command, its exit status in *status (may be NULL). Valid until the next call.
static __attribute__((format(printf, 2, 3), unused)) char *sh(int *status, const char *fmt, ...)
{
    static char out[1 << 20];
    char cmd[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(cmd, sizeof cmd, fmt, ap);
    va_end(ap);
    FILE *f = popen(cmd, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, sizeof out - 1, f);
    out[n] = 0;
    int s = pclose(f);
    if (status) *status = WIFEXITED(s) ? WEXITSTATUS(s) : -1;
    return out;
}

// "STATUS BODY" of a request through the unix socket.
#define ask(args) sh(NULL, "curl -s -m 20 -w ' %%{http_code}' --unix-socket %s %s", fake.sock, args)

static inline uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

// Until cond holds, at most s seconds.
#define wait_for(s, cond)                                                      \
    do {                                                                       \
        uint64_t until_ = now_ms() + 1000 * (s);                               \
        while (!(cond) && now_ms() < until_) usleep(2000);                     \
        assert_true(cond);                                                     \
    } while (0)

// A network and mount namespace of our own with mesh addresses on lo and an empty /run; false where the kernel forbids
// it.
static inline bool own_world(void)
{
    uid_t uid = getuid();
    if (unshare(uid ? CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS : CLONE_NEWNET | CLONE_NEWNS)) return false;
    if (uid) {
        char map[32];
        snprintf(map, sizeof map, "0 %u 1", uid);
        int fd = open("/proc/self/uid_map", O_WRONLY);
        if (fd < 0 || write(fd, map, strlen(map)) < 0) return false;
        close(fd);
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("run", "/run", "tmpfs", 0, NULL)) return false;
    return !system("ip link set lo up && ip addr add " OUR_MESH
                   "/128 dev lo nodad && ip addr add fcbb::7/128 dev lo nodad && "
                   "ip addr add fc00::e/128 dev lo nodad && ip addr add 2001:db8::7/128 dev lo nodad");
}

#endif
