#include "os/timer.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/watch.h"

struct os_timer {
    struct os_watch *watch;
    int fd;
    bw_time at;
    os_timer_fn *fn;
    void *ctx;
};

static void on_expired(void *ctx, int events)
{
    (void)events;
    struct os_timer *t = ctx;
    uint64_t count;
    if (read(t->fd, &count, sizeof count) != sizeof count) return; // set anew since epoll saw it
    t->at = BW_NEVER;
    t->fn(t->ctx);
}

int os_timer_open(uv_loop_t *loop, os_timer_fn *fn, void *ctx, struct os_timer **out)
{
    struct os_timer *t = calloc(1, sizeof *t);
    if (!t) return BW_ERR_NOMEM;
    *t = (struct os_timer){.at = BW_NEVER, .fn = fn, .ctx = ctx};
    t->fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    int err = t->fd < 0 ? BW_ERR_SYS : os_watch_open(loop, t->fd, UV_READABLE, on_expired, t, &t->watch);
    if (err) {
        if (t->fd >= 0) close(t->fd);
        free(t);
        return err;
    }
    *out = t;
    return 0;
}

void os_timer_at(struct os_timer *t, bw_time when)
{
    if (when == t->at) return;
    t->at = when;
    struct itimerspec its = {0};
    if (when != BW_NEVER) {
        if (when == 0) when = 1; // all zero would disarm
        its.it_value.tv_sec = (time_t)(when / BW_S);
        its.it_value.tv_nsec = (long)(when % BW_S * 1000);
        if (when / BW_S > INT32_MAX) its.it_value.tv_sec = INT32_MAX; // 68 years
    }
    BW_ASSERT(timerfd_settime(t->fd, TFD_TIMER_ABSTIME, &its, NULL) == 0);
}

void os_timer_close(struct os_timer *t)
{
    if (!t) return;
    os_watch_close(t->watch, true);
    free(t);
}
