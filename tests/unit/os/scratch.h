// A folder of a test's own under /tmp, removed with everything in it at the end; and a wait for a condition in a loop.
#ifndef TEST_OS_SCRATCH_H
#define TEST_OS_SCRATCH_H

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

static char scratch[64];

static inline int scratch_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static inline int scratch_make(void **state)
{
    (void)state;
    snprintf(scratch, sizeof scratch, "/tmp/byway-test-XXXXXX");
    return mkdtemp(scratch) ? 0 : -1;
}

static inline int scratch_remove(void **state)
{
    (void)state;
    return nftw(scratch, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void scratch_give_up(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

// Runs the loop until *done or for ms milliseconds; returns *done.
static inline bool loop_until(uv_loop_t *loop, const volatile bool *done, unsigned ms)
{
    bool late = false;
    uv_timer_t t;
    uv_timer_init(loop, &t);
    t.data = &late;
    uv_timer_start(&t, scratch_give_up, ms, 0);
    while (!*done && !late) uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&t, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
    return *done;
}

// Lets handles finish their close, and fails loudly if one was forgotten.
static inline int loop_finish(uv_loop_t *loop)
{
    for (int i = 0; i < 10 && uv_loop_alive(loop); i++) uv_run(loop, UV_RUN_NOWAIT);
    return uv_loop_close(loop);
}

#endif
