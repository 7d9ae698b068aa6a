// libmicrohttpd inside a libuv loop: MHD keeps its sockets in an epoll set of its own, we watch that set, call MHD_run
// when it stirs, and set a timer to what MHD_get_timeout and our own deadlines say.
#include "api/api.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/api_private.h"

// What a stranger on the mesh can hold of us: 32 connections, 4 from one address, 10 s each or until others need the room, 8 KiB of headers.
static const struct {
    unsigned connections, per_address, idle_s, deadline_ms;
    size_t memory;
    unsigned room; // for so many; beyond them the oldest gives way. 0: new ones wait
} limits[] = {
    [FACE_UNIX] = {128, 0, 60, 0, 32 * 1024, 0},
    [FACE_TCP] = {64, 0, 60, 120000, 16 * 1024, 0},
    [FACE_MESH] = {64, 4, 5, 10000, 8 * 1024, 32},
};

static void on_epoll(uv_poll_t *h, int status, int events);
static void on_timer(uv_timer_t *h);

// ---- life of a listener ----

static void log_mhd(void *cls, const char *fmt, va_list ap)
{
    const struct listener *l = cls;
    char line[300];
    vsnprintf(line, sizeof line, fmt, ap);
    line[strcspn(line, "\n")] = 0;
    bw_log(l->api->o.log, BW_DEBUG, "http: %s", line);
}

// Addresses cost nothing, so a stranger can hold any number of connections open: nobody who has a request must wait for their end.
static void make_room(struct listener *l)
{
    struct conn *c, *oldest = NULL;
    unsigned n = 0;
    TAILQ_FOREACH(c, &l->conns, entry) {
        if (c->streaming || c->fd < 0) continue;
        if (!oldest) oldest = c;
        n++;
    }
    if (!oldest || !limits[l->face].room || n <= limits[l->face].room) return;
    shutdown(oldest->fd, SHUT_RDWR); // MHD sees the end and cleans up
    oldest->fd = -1;
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **state,
                          enum MHD_ConnectionNotificationCode what)
{
    struct listener *l = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        struct conn *c = calloc(1, sizeof *c);
        const union MHD_ConnectionInfo *fd = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
        *state = c;
        if (!c) return;
        c->fd = fd ? fd->connect_fd : -1;
        c->since_ms = uv_now(l->api->o.loop);
        TAILQ_INSERT_TAIL(&l->conns, c, entry);
        make_room(l);
    } else if (*state) {
        struct conn *c = *state;
        TAILQ_REMOVE(&l->conns, c, entry);
        free(c);
        *state = NULL;
    }
}

static struct MHD_Daemon *start_mhd(struct listener *l, int fd)
{
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)log_mhd, l}, // first: it reports on the others
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)limits[l->face].connections, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, (intptr_t)limits[l->face].per_address, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)limits[l->face].idle_s, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)limits[l->face].memory, NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, l},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)request_done, l},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
                            request_begin_or_go_on, l, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

static void handle_closed(uv_handle_t *h)
{
    struct listener *l = h->data;
    struct api *a = l->api;
    if (--l->handles) return;
    free(l);
    api_unref(a);
}

static int listener_start(struct api *a, enum face face, int fd, const struct bw_endpoint *at, struct listener **out)
{
    struct listener *l = calloc(1, sizeof *l);
    if (!l) {
        close(fd);
        return BW_ERR_NOMEM;
    }
    l->api = a;
    l->face = face;
    if (at) l->at = *at;
    TAILQ_INIT(&l->conns);
    l->mhd = start_mhd(l, fd);
    const union MHD_DaemonInfo *info = l->mhd ? MHD_get_daemon_info(l->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info || uv_poll_init(a->o.loop, &l->poll, info->epoll_fd)) {
        if (l->mhd) MHD_stop_daemon(l->mhd); // it owns fd from the moment it was asked to start
        free(l);
        return BW_ERR_SYS;
    }
    uv_timer_init(a->o.loop, &l->timer);
    l->poll.data = l->timer.data = l;
    l->handles = 2;
    a->open++;
    LIST_INSERT_HEAD(&a->listeners, l, entry);
    uv_poll_start(&l->poll, UV_READABLE, on_epoll);
    *out = l;
    return 0;
}

static void stop_now(struct listener *l)
{
    replies_resume(l);
    uv_poll_stop(&l->poll);
    uv_close((uv_handle_t *)&l->poll, handle_closed);
    uv_close((uv_handle_t *)&l->timer, handle_closed);
    l->running = true; // what the end of connections calls must not kick us again
    MHD_stop_daemon(l->mhd);
    l->mhd = NULL;
}

static void listener_stop(struct listener *l)
{
    if (l->closing) return;
    l->closing = true;
    LIST_REMOVE(l, entry);
    if (l->face == FACE_UNIX) unlisten_unix(l->path, l->dev, l->ino);
    if (!l->running) stop_now(l);
}

// ---- running ----

// Connections that take too long are shut; MHD sees the end and cleans up. Returns ms until the next one is due, or -1.
static int64_t sweep(struct listener *l, uint64_t now)
{
    uint64_t limit = limits[l->face].deadline_ms;
    int64_t next = -1;
    struct conn *c;
    if (!limit) return -1;
    TAILQ_FOREACH(c, &l->conns, entry) {
        if (c->streaming || c->fd < 0) continue;
        if (now - c->since_ms >= limit) {
            shutdown(c->fd, SHUT_RDWR);
            c->fd = -1;
        } else {
            int64_t left = (int64_t)(limit - (now - c->since_ms));
            if (next < 0 || left < next) next = left;
        }
    }
    return next;
}

static void run(struct listener *l)
{
    if (l->running || l->closing) return;
    l->running = true;
    MHD_run(l->mhd);
    l->running = false;
    if (l->closing) {
        stop_now(l);
        return;
    }
    int64_t wait = sweep(l, uv_now(l->api->o.loop));
    MHD_UNSIGNED_LONG_LONG mhd;
    if (MHD_get_timeout(l->mhd, &mhd) == MHD_YES && (wait < 0 || mhd < (uint64_t)wait)) wait = (int64_t)mhd;
    if (wait < 0) uv_timer_stop(&l->timer);
    else uv_timer_start(&l->timer, on_timer, (uint64_t)wait, 0);
}

static void on_epoll(uv_poll_t *h, int status, int events)
{
    (void)status, (void)events;
    run(h->data);
}

static void on_timer(uv_timer_t *h)
{
    run(h->data);
}

void listener_kick(struct listener *l)
{
    if (!l->closing && !l->running) uv_timer_start(&l->timer, on_timer, 0, 0);
}

// ---- the api ----

struct api *api_new(const struct api_options *o)
{
    struct api *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    a->o = *o;
    a->open = 1;
    LIST_INIT(&a->listeners);
    LIST_INIT(&a->replies);
    return a;
}

void api_unref(struct api *a)
{
    if (!--a->open) free(a);
}

static void beat_closed(uv_handle_t *h)
{
    api_unref(h->data);
}

void api_close(struct api *a)
{
    if (!a || a->closing) return;
    a->closing = true;
    while (!LIST_EMPTY(&a->listeners)) listener_stop(LIST_FIRST(&a->listeners));
    if (a->beat_open) uv_close((uv_handle_t *)&a->beat, beat_closed);
    api_unref(a);
}

int api_listen_unix(struct api *a, const char *path, char *why, size_t n)
{
    uint64_t dev, ino;
    struct listener *l;
    int fd = listen_unix(path, true, &dev, &ino, why, n);
    if (fd < 0) return fd;
    int err = listener_start(a, FACE_UNIX, fd, NULL, &l);
    if (err) {
        unlisten_unix(path, dev, ino);
        snprintf(why, n, "the HTTP server does not start on %s: %s", path, bw_strerror(err));
        return err;
    }
    snprintf(l->path, sizeof l->path, "%s", path);
    l->dev = dev;
    l->ino = ino;
    return 0;
}

static int listen_inet(struct api *a, enum face face, const struct bw_endpoint *at, const char *ifname, char *why,
                       size_t n)
{
    struct listener *l;
    int fd = listen_tcp(at, face == FACE_MESH, ifname, why, n);
    if (fd < 0) return fd;
    int err = listener_start(a, face, fd, at, &l);
    char text[BW_ENDPOINT_TEXT];
    if (err) snprintf(why, n, "the HTTP server does not start on %s: %s", bw_endpoint_text(at, text), bw_strerror(err));
    return err;
}

static struct listener *find(struct api *a, enum face face, const struct bw_addr *at)
{
    struct listener *l;
    LIST_FOREACH(l, &a->listeners, entry) {
        if (l->face == face && (!at || bw_addr_eq(&l->at.addr, at))) return l;
    }
    return NULL;
}

int api_listen_tcp(struct api *a, const struct bw_endpoint *at, char *why, size_t n)
{
    struct listener *old = find(a, FACE_TCP, NULL);
    if (at && old && bw_endpoint_eq(at, &old->at)) return 0;
    int err = at ? listen_inet(a, FACE_TCP, at, NULL, why, n) : 0;
    if (!err && old) listener_stop(old); // only once the new one stands
    return err;
}

int api_listen_mesh(struct api *a, const struct bw_addr *at, uint16_t port, const char *ifname, char *why, size_t n)
{
    struct bw_endpoint e = {.addr = *at, .port = port};
    if (find(a, FACE_MESH, at)) return 0;
    return listen_inet(a, FACE_MESH, &e, ifname, why, n);
}

void api_unlisten_mesh(struct api *a, const struct bw_addr *at)
{
    struct listener *l = find(a, FACE_MESH, at);
    if (l) listener_stop(l);
}
