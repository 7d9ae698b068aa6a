// A deadline on os_clock_now()'s scale in the libuv loop: microseconds, and right after a suspend (a timerfd on
// CLOCK_BOOTTIME; libuv's own timers count whole milliseconds and stand still while the machine sleeps). Loop thread
// only.
#ifndef OS_TIMER_H
#define OS_TIMER_H

#include <uv.h>

#include "base/err.h"
#include "base/time.h"

struct os_timer;
typedef void os_timer_fn(void *ctx);

int os_timer_open(uv_loop_t *loop, os_timer_fn *fn, void *ctx, struct os_timer **out) BW_NODISCARD;
// Fires once at `when` (in the past: at the next turn of the loop); a new call replaces the old deadline; BW_NEVER
// disarms. Setting the deadline that is set already costs nothing.
void os_timer_at(struct os_timer *t, bw_time when);
void os_timer_close(struct os_timer *t); // t may be NULL; fn is not called again

#endif
