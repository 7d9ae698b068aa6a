#include "lab/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

#define BATCH 64

bw_time loop_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (bw_time)t.tv_sec * BW_S + (bw_time)t.tv_nsec / 1000;
}

int loop_init(struct loop *l)
{
    *l = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC)};
    return l->epoll < 0 ? BW_ERR_SYS : 0;
}

int loop_watch(struct loop *l, int fd, struct loop_source *s)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) ? BW_ERR_SYS : 0;
}

void loop_forget(struct loop *l, int fd)
{
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
}

void loop_timer(struct loop *l, struct loop_timer *t)
{
    t->next = l->timers;
    l->timers = t;
}

// epoll_pwait2 (Linux 5.11) waits by the nanosecond; older kernels round up to the millisecond.
static int wait_until(struct loop *l, struct epoll_event *events, bw_time deadline)
{
    bw_time now = loop_now(), left = deadline == BW_NEVER ? BW_NEVER : deadline > now ? deadline - now : 0;
    if (!l->no_pwait2) {
        struct timespec t = {.tv_sec = (time_t)(left / BW_S), .tv_nsec = (long)(left % BW_S) * 1000};
        int n = epoll_pwait2(l->epoll, events, BATCH, left == BW_NEVER ? NULL : &t, NULL);
        if (n >= 0 || errno != ENOSYS) return n;
        l->no_pwait2 = true;
    }
    int ms = left == BW_NEVER ? -1 : left > 60 * BW_S ? 60000 : (int)((left + 999) / 1000);
    return epoll_wait(l->epoll, events, BATCH, ms);
}

void loop_run(struct loop *l)
{
    struct epoll_event events[BATCH];
    while (!l->stop) {
        bw_time deadline = BW_NEVER;
        for (struct loop_timer *t = l->timers; t; t = t->next) deadline = bw_time_min(deadline, t->at);
        int n = wait_until(l, events, deadline);
        bw_time now = loop_now();
        for (int i = 0; i < n; i++) {
            struct loop_source *s = events[i].data.ptr;
            s->ready(s, events[i].events, now);
        }
        for (struct loop_timer *t = l->timers; t; t = t->next)
            if (t->at <= now) t->fire(t, now);
    }
}
