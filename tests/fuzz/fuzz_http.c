// Whatever a client may send on the API's unix socket, against the real server: it runs in this process, driven until
// the connection is done with.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void status(void *ctx, struct view_status *s)
{
    (void)ctx;
    memset(s, 0, sizeof *s);
    strcpy(s->name, "fuzz");
}
static void peers(void *ctx, view_peer_fn *fn, void *arg)
{
    (void)ctx;
    struct view_peer p = {.name = "\xff\xfe", .link = "l", .state = "up", .rtt_us = -1, .last_handshake_s = -1};
    fn(arg, &p);
}
static void routes(void *ctx, view_route_fn *fn, void *arg)
{
    (void)ctx, (void)fn, (void)arg;
}
static void sessions(void *ctx, view_session_fn *fn, void *arg)
{
    (void)ctx, (void)fn, (void)arg;
}
static void exits(void *ctx, view_exit_fn *fn, void *arg)
{
    (void)ctx, (void)fn, (void)arg;
}
static void counters(void *ctx, view_counter_fn *fn, void *arg)
{
    (void)ctx, (void)fn, (void)arg;
}
static int peer_add(void *ctx, const struct api_peer_add *p, struct api_error *e)
{
    (void)ctx, (void)e;
    if (strlen(p->endpoint) >= sizeof p->endpoint || (p->psk_file[0] && p->psk_file[0] != '/')) abort();
    return 0;
}
static int peer_remove(void *ctx, const uint8_t key[32], bool save, struct api_error *e)
{
    (void)ctx, (void)key, (void)save, (void)e;
    return 0;
}
static int exit_use(void *ctx, enum api_use use, const struct bw_addr *a, struct api_error *e)
{
    (void)ctx, (void)e;
    if (use == API_USE_ADDRESS && !bw_addr_is_mesh(a)) abort();
    return 0;
}
static int probe(void *ctx, const struct api_probe *p, struct api_reply *r, struct api_error *e)
{
    (void)ctx, (void)e;
    if (!p->count || p->count > 10000) abort();
    api_reply_line(r, json_object());
    api_reply_end(r);
    return 0;
}
static int join(void *ctx, const char *text, char *out, size_t size, struct api_error *e)
{
    (void)ctx, (void)e, (void)text;
    snprintf(out, size, "x");
    return 0;
}

static uv_loop_t loop;
static struct api *api;
static char path[64];

static void start(void)
{
    char why[256];
    struct api_options o = {.loop = &loop, .source = {NULL, status, peers, routes, sessions, exits, counters}};
    o.actions = (struct api_actions){.peer_add = peer_add,
                                     .peer_remove = peer_remove,
                                     .exit_use = exit_use,
                                     .ping = probe,
                                     .trace = probe,
                                     .join = join};
    snprintf(path, sizeof path, "/tmp/byway-fuzz-%ld.sock", (long)getpid());
    uv_loop_init(&loop);
    api = api_new(&o);
    if (!api || api_listen_unix(api, path, why, sizeof why)) abort();
}

static void stop(void)
{
    api_close(api);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!api) {
        start();
        atexit(stop);
    }
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    strcpy(sa.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof sa)) abort();
    char buf[65536];
    size_t sent = 0;
    bool shut = false;
    for (int i = 0; i < 200; i++) {
        if (sent < size) {
            ssize_t n = send(fd, data + sent, size - sent, MSG_NOSIGNAL);
            if (n > 0) sent += (size_t)n;
            else if (n < 0 && errno != EAGAIN) break;
        } else if (!shut) {
            shut = !shutdown(fd, SHUT_WR);
        }
        uv_run(&loop, UV_RUN_NOWAIT);
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) break;
    }
    close(fd);
    for (int i = 0; i < 4; i++) uv_run(&loop, UV_RUN_NOWAIT);
    return 0;
}
