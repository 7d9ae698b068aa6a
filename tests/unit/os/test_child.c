// os/child with real programs: a command's status, output, input and deadline; a service's lines, end and stop.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/child.h"

static char sh[OS_CHILD_PATH];

#define SH(script) ((char *[]){sh, "-c", script, NULL})

static int find_shell(void **state)
{
    (void)state;
    return os_child_find("sh", sh);
}

static void a_command(void **state)
{
    char out[64], nowhere[OS_CHILD_PATH];
    (void)state;
    assert_int_equal(os_child_run(SH("echo said; echo unheard >&2; exit 3"), NULL, 5000, out, sizeof out), 3);
    assert_string_equal(out, "said\n");
    assert_int_equal(os_child_run(SH("tr a-z A-Z"), "told\n", 5000, out, sizeof out), 0);
    assert_string_equal(out, "TOLD\n");
    assert_int_equal(os_child_run(SH("cat >/dev/null"), NULL, 5000, NULL, 0), 0); // an empty input ends
    assert_int_equal(os_child_run(SH("yes | head -c 300000"), NULL, 5000, out, sizeof out), 0);
    assert_int_equal(strlen(out), sizeof out - 1); // cut, and the rest is read away
    assert_int_equal(os_child_run((char *[]){"/nowhere/to/be/found", NULL}, NULL, 5000, out, sizeof out), 127);
    assert_int_equal(os_child_run(SH("kill -9 $$"), NULL, 5000, NULL, 0), BW_ERR_SYS);
    assert_int_equal(os_child_run(SH("sleep 30"), NULL, 50, NULL, 0), BW_ERR_AGAIN);
    assert_int_equal(os_child_find("no-such-program-anywhere", nowhere), BW_ERR_NOTFOUND);
}

// What a command leaves behind may hold its output open; that is not waited for.
static void a_command_that_leaves_something(void **state)
{
    char out[64];
    (void)state;
    assert_int_equal(os_child_run(SH("sleep 0.5 & echo done"), NULL, 5000, out, sizeof out), 0);
    assert_string_equal(out, "done\n");
}

struct seen {
    char lines[256];
    int ends, status;
};

static void on_line(void *ctx, const char *line)
{
    struct seen *s = ctx;
    strcat(s->lines, line);
    strcat(s->lines, "|");
}

static void on_end(void *ctx, int status)
{
    struct seen *s = ctx;
    s->ends++;
    s->status = status;
}

static void a_service_that_ends(void **state)
{
    uv_loop_t loop;
    struct os_child *c;
    struct seen s = {0};
    (void)state;
    uv_loop_init(&loop);
    assert_int_equal(
        os_child_start(&loop, SH("echo one >&2; echo; printf 'two\\nthree\\n' >&2; exit 5"), on_line, on_end, &s, &c),
        0);
    uv_run(&loop, UV_RUN_DEFAULT); // until nothing is left to wait for
    assert_string_equal(s.lines, "one|two|three|");
    assert_int_equal(s.ends, 1);
    assert_int_equal(WEXITSTATUS(s.status), 5);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void a_service_that_is_stopped(void **state)
{
    static char *const scripts[] = {"while :; do sleep 1; done", "trap '' TERM; while :; do sleep 1; done"};
    uv_loop_t loop;
    struct seen s = {0};
    (void)state;
    uv_loop_init(&loop);
    for (int i = 0; i < 2; i++) {
        struct os_child *c;
        assert_int_equal(os_child_start(&loop, SH(scripts[i]), on_line, on_end, &s, &c), 0);
        pid_t pid = os_child_pid(c);
        os_child_stop(c, 200);
        assert_int_equal(kill(pid, 0), -1); // gone and waited for
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(s.ends, 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    os_child_stop(NULL, 0);
}

// The child of a process that is killed is killed as well.
static void it_dies_with_us(void **state)
{
    int tell[2];
    char pid[16] = "";
    (void)state;
    assert_int_equal(pipe(tell), 0);
    pid_t parent = fork();
    if (!parent) {
        uv_loop_t loop;
        struct os_child *c;
        uv_loop_init(&loop);
        if (os_child_start(&loop, SH("sleep 100"), NULL, NULL, NULL, &c)) _exit(1);
        dprintf(tell[1], "%d\n", (int)os_child_pid(c));
        for (;;) pause();
    }
    assert_true(read(tell[0], pid, sizeof pid - 1) > 0);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); // so that we, and not some process 1, see its end
    kill(parent, SIGKILL);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    int status = 0;
    assert_int_equal(waitpid(atoi(pid), &status, 0), atoi(pid));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(tell[0]);
    close(tell[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command),           cmocka_unit_test(a_command_that_leaves_something),
        cmocka_unit_test(a_service_that_ends), cmocka_unit_test(a_service_that_is_stopped),
        cmocka_unit_test(it_dies_with_us),
    };
    return cmocka_run_group_tests(tests, find_shell, NULL);
}
