// os/watch and os/timer in a real loop; os/clock.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/entropy.h"
#include "os/timer.h"
#include "os/watch.h"
#include "unit/os/scratch.h"

struct seen {
    struct os_timer *t;
    struct os_watch *w;
    bw_time at;
    volatile bool done;
    int count, fd;
};

static void fired(void *ctx)
{
    struct seen *s = ctx;
    s->at = os_clock_now();
    s->count++;
    s->done = true;
}

static void timer_fires_once_and_not_early(void **state)
{
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct seen s = {0};
    assert_int_equal(os_timer_open(&loop, fired, &s, &s.t), 0);
    bw_time want = os_clock_now() + 3300;
    os_timer_at(s.t, want);
    assert_true(loop_until(&loop, &s.done, 2000));
    assert_true(s.at >= want);
    assert_int_equal(s.count, 1);

    s.done = false;
    os_timer_at(s.t, 0); // the past: at once
    assert_true(loop_until(&loop, &s.done, 2000));
    os_timer_at(s.t, os_clock_now() + 1000);
    os_timer_at(s.t, BW_NEVER);
    s.done = false;
    assert_false(loop_until(&loop, &s.done, 20));
    os_timer_at(s.t, UINT64_MAX - 1); // far away is not soon
    assert_false(loop_until(&loop, &s.done, 5));
    assert_int_equal(s.count, 2);
    os_timer_close(s.t);
    os_timer_close(NULL);
    assert_int_equal(loop_finish(&loop), 0);
}

static void read_and_close(void *ctx, int events)
{
    struct seen *s = ctx;
    char c;
    assert_true(events & UV_READABLE);
    assert_int_equal(read(s->fd, &c, 1), 1);
    s->count++;
    s->done = true;
    os_watch_close(s->w, true); // from within its own callback
}

static void watch_reads_pauses_and_closes_from_within(void **state)
{
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    int p[2];
    assert_int_equal(pipe(p), 0);
    struct seen s = {.fd = p[0]};
    assert_int_equal(os_watch_open(&loop, p[0], 0, read_and_close, &s, &s.w), 0);
    assert_int_equal(write(p[1], "ab", 2), 2);
    assert_false(loop_until(&loop, &s.done, 5)); // paused
    os_watch_events(s.w, UV_READABLE);
    assert_true(loop_until(&loop, &s.done, 2000));
    s.done = false;
    assert_false(loop_until(&loop, &s.done, 5));
    assert_int_equal(s.count, 1);
    close(p[1]);
    assert_int_equal(loop_finish(&loop), 0);
}

static void a_regular_file_is_refused(void **state)
{
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    FILE *f = tmpfile();
    struct os_watch *w;
    assert_int_equal(os_watch_open(&loop, fileno(f), UV_READABLE, read_and_close, NULL, &w), BW_ERR_SYS);
    fclose(f);
    assert_int_equal(loop_finish(&loop), 0);
}

static void clocks_and_entropy(void **state)
{
    (void)state;
    struct timespec b;
    clock_gettime(CLOCK_BOOTTIME, &b);
    bw_time t = os_clock_now();
    assert_true(t >= (bw_time)b.tv_sec * BW_S && t < ((bw_time)b.tv_sec + 60) * BW_S);
    assert_true(os_clock_now() >= t);
    assert_true(os_clock_unix_ns() / 1000000000u - (uint64_t)time(NULL) + 2 < 4);
    uint8_t a[64] = {0}, c[64] = {0};
    os_entropy(a, sizeof a);
    os_entropy(c, sizeof c);
    assert_memory_not_equal(a, c, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timer_fires_once_and_not_early),
        cmocka_unit_test(watch_reads_pauses_and_closes_from_within),
        cmocka_unit_test(a_regular_file_is_refused),
        cmocka_unit_test(clocks_and_entropy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
