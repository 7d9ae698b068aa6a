#include "os/watch.h"

#include <stdlib.h>
#include <unistd.h>

struct os_watch {
    uv_poll_t poll;
    int fd, events;
    os_watch_fn *fn;
    void *ctx;
};

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct os_watch *w = h->data;
    if (status < 0) {
        // EPOLLERR: an overrun netlink socket, an ICMP error on a UDP socket. libuv takes that for the end and stops
        // the handle; for us it is passing: the reader meets the error, clears it by that, and goes on.
        os_watch_events(w, w->events);
        events = w->events;
    }
    if (w->fn) w->fn(w->ctx, events);
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

int os_watch_open(uv_loop_t *loop, int fd, int events, os_watch_fn *fn, void *ctx, struct os_watch **out)
{
    struct os_watch *w = calloc(1, sizeof *w);
    if (!w) return BW_ERR_NOMEM;
    w->fd = fd;
    w->fn = fn;
    w->ctx = ctx;
    if (uv_poll_init(loop, &w->poll, fd)) {
        free(w); // libuv keeps no hold of a handle that it refused
        return BW_ERR_SYS;
    }
    w->poll.data = w;
    os_watch_events(w, events);
    *out = w;
    return 0;
}

void os_watch_events(struct os_watch *w, int events)
{
    w->events = events;
    if (events) BW_ASSERT(uv_poll_start(&w->poll, events, on_poll) == 0);
    else uv_poll_stop(&w->poll);
}

int os_watch_fd(const struct os_watch *w)
{
    return w->fd;
}

void os_watch_close(struct os_watch *w, bool close_fd)
{
    if (!w) return;
    w->fn = NULL;
    uv_close((uv_handle_t *)&w->poll, on_closed); // takes the descriptor out of epoll at once
    if (close_fd) close(w->fd);
}
