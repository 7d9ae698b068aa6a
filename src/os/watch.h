// A file descriptor in the libuv loop. libuv handles must outlive their close, so these live on the heap and free
// themselves at the loop's next turn after os_watch_close. Loop thread only. Unlike a bare uv_poll_t they go on after
// EPOLLERR (ENOBUFS on netlink, ICMP errors on UDP), where libuv stops: fn must read or write then, which clears the
// error.
#ifndef OS_WATCH_H
#define OS_WATCH_H

#include <stdbool.h>
#include <uv.h>

#include "base/err.h"

struct os_watch;
typedef void os_watch_fn(void *ctx, int events); // UV_READABLE, UV_WRITABLE; all that is waited for when in error

// fd must be one that epoll takes (no regular file) and non-blocking; each fd only once per loop. events may be 0
// (paused).
int os_watch_open(uv_loop_t *loop, int fd, int events, os_watch_fn *fn, void *ctx, struct os_watch **out) BW_NODISCARD;
void os_watch_events(struct os_watch *w, int events); // change what is waited for; 0 pauses
int os_watch_fd(const struct os_watch *w);
// fn is not called again, not even if fn itself closes. Closes the descriptor too if close_fd. w may be NULL.
void os_watch_close(struct os_watch *w, bool close_fd);

#endif
