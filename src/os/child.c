#include "os/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/watch.h"

#define LINE_MAX_LEN 512

int os_child_find(const char *name, char out[OS_CHILD_PATH])
{
    static const char *const folders[] = {"/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        int n = snprintf(out, OS_CHILD_PATH, "%s/%s", folders[i], name);
        if (n < OS_CHILD_PATH && !access(out, X_OK)) return 0;
    }
    return BW_ERR_NOTFOUND;
}

// ---- the child's first moments: nothing but system calls, since other threads may hold any lock ----

_Noreturn static void become(char *const argv[], int in, int out, int err, pid_t parent)
{
    static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(126);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(126);
#ifdef SYS_close_range
    syscall(SYS_close_range, 3, ~0U, 0); // all of ours are close-on-exec anyway
#endif
    execve(argv[0], argv, environment);
    _exit(127);
}

static pid_t make(char *const argv[], int in, int out, int err)
{
    pid_t parent = getpid(), pid = fork();
    if (!pid) become(argv, in, out, err, parent);
    return pid;
}

static int pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void shut(int fd)
{
    if (fd >= 0) close(fd);
}

// Ends it and takes its status.
static int reap(pid_t pid, int sig)
{
    int status = 0;
    if (sig) kill(pid, sig);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return status;
}

// ---- a command ----

static int left_ms(bw_time end)
{
    bw_time now = os_clock_now();
    return now >= end ? 0 : (int)((end - now) / BW_MS) + 1;
}

// Reads what it says until it has ended (and nobody holds the pipe's other end any longer, or the time is over).
static bool attend(int fd, int output, bw_time end, char *out, size_t cap)
{
    char scrap[512];
    size_t n = 0;
    bool ended = false, open = true;
    while (!ended) {
        struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = open ? output : -1, .events = POLLIN}};
        int ms = left_ms(end);
        if (poll(p, 2, ms) < 0 && errno != EINTR) return false;
        ended = p[0].revents;
        bool room = out && n + 1 < cap;
        ssize_t got = p[1].revents ? read(output, room ? out + n : scrap, room ? cap - 1 - n : sizeof scrap) : 0;
        if (p[1].revents && got <= 0) open = false;
        if (got > 0 && room) n += (size_t)got;
        if (got > 0) ended = false; // there may be more
        if (!ms && !ended) break;
    }
    if (out && cap) out[n] = 0;
    return ended;
}

int os_child_run(char *const argv[], const char *in, unsigned limit_ms, char *out, size_t cap)
{
    int to[2] = {-1, -1}, from[2] = {-1, -1}, null = open("/dev/null", O_RDWR | O_CLOEXEC), fd = -1, result = BW_ERR_SYS;
    size_t len = in ? strlen(in) : 0;
    if (out && cap) out[0] = 0;
    if (null < 0 || pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC) || (len && write(to[1], in, len) != (ssize_t)len)) goto done;
    pid_t pid = make(argv, to[0], from[1], null);
    if (pid < 0) goto done;
    shut(to[1]);
    shut(from[1]);
    to[1] = from[1] = -1;
    fd = pidfd(pid);
    bool ended = fd >= 0 && attend(fd, from[0], os_clock_now() + (bw_time)limit_ms * BW_MS, out, cap);
    int status = reap(pid, ended ? 0 : SIGKILL);
    result = !ended ? BW_ERR_AGAIN : WIFEXITED(status) ? WEXITSTATUS(status) : BW_ERR_SYS;
done:
    for (int i = 0; i < 2; i++) shut(to[i]), shut(from[i]);
    shut(null);
    shut(fd);
    return result;
}

// ---- a service ----

struct os_child {
    pid_t pid;
    struct os_watch *ended, *said;
    os_child_line_fn *line;
    os_child_end_fn *end;
    void *ctx;
    char text[LINE_MAX_LEN];
    size_t n;
};

static void tell_lines(struct os_child *c)
{
    char *newline;
    if (c->n == sizeof c->text - 1) c->text[c->n - 1] = '\n'; // a line longer than that comes in pieces
    while ((newline = memchr(c->text, '\n', c->n))) {
        size_t k = (size_t)(newline - c->text) + 1;
        *newline = 0;
        if (c->line && *c->text) c->line(c->ctx, c->text);
        memmove(c->text, c->text + k, c->n -= k);
    }
}

static bool read_some(struct os_child *c)
{
    ssize_t got = read(os_watch_fd(c->said), c->text + c->n, sizeof c->text - 1 - c->n);
    if (got <= 0) return false;
    c->n += (size_t)got;
    tell_lines(c);
    return true;
}

static void on_said(void *ctx, int events)
{
    struct os_child *c = ctx;
    (void)events;
    if (!read_some(c) && errno != EAGAIN && errno != EINTR) os_watch_events(c->said, 0);
}

static void release(struct os_child *c)
{
    os_watch_close(c->ended, true);
    os_watch_close(c->said, true);
    free(c);
}

static void on_ended(void *ctx, int events)
{
    struct os_child *c = ctx;
    (void)events;
    while (read_some(c)) {} // its last words
    int status = reap(c->pid, 0);
    os_child_end_fn *end = c->end;
    void *who = c->ctx;
    release(c);
    if (end) end(who, status);
}

int os_child_start(uv_loop_t *loop, char *const argv[], os_child_line_fn *line, os_child_end_fn *end, void *ctx,
                   struct os_child **out)
{
    struct os_child *c = calloc(1, sizeof *c);
    int err[2] = {-1, -1}, null = open("/dev/null", O_RDWR | O_CLOEXEC), fd = -1;
    if (!c || null < 0 || pipe2(err, O_CLOEXEC | O_NONBLOCK)) goto failed;
    fcntl(err[1], F_SETFL, 0); // the child's end is an ordinary one
    *c = (struct os_child){.pid = make(argv, null, null, err[1]), .line = line, .end = end, .ctx = ctx};
    if (c->pid < 0) goto failed;
    fd = pidfd(c->pid);
    if (fd < 0 || os_watch_open(loop, err[0], UV_READABLE, on_said, c, &c->said)) goto started;
    if (os_watch_open(loop, fd, UV_READABLE, on_ended, c, &c->ended)) {
        os_watch_close(c->said, false);
        goto started;
    }
    shut(err[1]);
    shut(null);
    *out = c;
    return 0;
started:
    reap(c->pid, SIGKILL);
failed:
    shut(fd);
    shut(err[0]);
    shut(err[1]);
    shut(null);
    free(c);
    return BW_ERR_SYS;
}

pid_t os_child_pid(const struct os_child *c)
{
    return c->pid;
}

void os_child_stop(struct os_child *c, unsigned limit_ms)
{
    if (!c) return;
    struct pollfd p = {.fd = os_watch_fd(c->ended), .events = POLLIN};
    kill(c->pid, SIGTERM);
    int ready = poll(&p, 1, (int)limit_ms);
    reap(c->pid, ready == 1 ? 0 : SIGKILL);
    release(c);
}
