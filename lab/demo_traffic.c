#include "lab/demo_traffic.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/loop.h"

static pid_t spawn(const struct lab_spaces *in, char *const argv[], int *out)
{
    int pipes[2] = {-1, -1}, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (out && pipe2(pipes, O_CLOEXEC)) {
        close(null);
        return -1;
    }
    pid_t pid = client_spawn(in, argv, null, out ? pipes[1] : null, null);
    close(null);
    if (out) {
        close(pipes[1]);
        fcntl(pipes[0], F_SETFL, O_NONBLOCK);
        *out = pipes[0];
    }
    return pid;
}

static void end(pid_t *pid, int *fd)
{
    if (*pid > 0) {
        kill(*pid, SIGTERM);
        waitpid(*pid, NULL, 0);
    }
    if (*fd >= 0) close(*fd);
    *pid = 0;
    *fd = -1;
}

int download_start(struct download *d, const struct lab_spaces *in, const char *url, const char *original_path)
{
    *d = (struct download){.fd = -1, .began = loop_now(), .came = loop_now(), .original = fopen(original_path, "re")};
    if (!d->original || fseek(d->original, 0, SEEK_END)) return BW_ERR_SYS;
    d->size = (uint64_t)ftell(d->original);
    rewind(d->original);
    d->pid = spawn(in, (char *const[]){"curl", "-sf", "-m", "300", (char *)url, NULL}, &d->fd);
    return d->pid < 0 ? BW_ERR_SYS : 0;
}

static void compare(struct download *d, const char *got, size_t n)
{
    static char want[65536];
    if (fread(want, 1, n, d->original) != n || memcmp(want, got, n)) d->differs = true;
    d->got += n;
    d->came = loop_now();
}

static void read_download(struct download *d)
{
    static char bytes[65536];
    for (ssize_t n; d->fd >= 0;) {
        n = read(d->fd, bytes, sizeof bytes);
        if (n > 0) {
            compare(d, bytes, (size_t)n);
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        int status = 0;
        waitpid(d->pid, &status, 0);
        d->pid = 0;
        close(d->fd);
        d->fd = -1;
        d->ended = loop_now();
        d->failed = !WIFEXITED(status) || WEXITSTATUS(status) || d->differs || d->got != d->size;
    }
}

void download_stop(struct download *d)
{
    end(&d->pid, &d->fd);
    if (d->original) fclose(d->original);
    d->original = NULL;
}

int pinger_start(struct pinger *p, const struct lab_spaces *in, const char *address)
{
    *p = (struct pinger){.fd = -1, .last = loop_now()};
    char every[16];
    snprintf(every, sizeof every, "%.3f", PING_EVERY_MS / 1000.0);
    p->pid = spawn(in, (char *const[]){"ping", "-n", "-i", every, "-W", "1", (char *)address, NULL}, &p->fd);
    pinger_mark(p, loop_now());
    return p->pid < 0 ? BW_ERR_SYS : 0;
}

void pinger_mark(struct pinger *p, bw_time now)
{
    p->mark = now;
    p->gap_from = p->gap_to = 0;
}

static void ping_line(struct pinger *p)
{
    const char *t = strstr(p->line, "time=");
    bw_time now = loop_now();
    if (!t) return;
    p->answers++;
    p->rtt_ms = strtod(t + 5, NULL);
    if (!p->gap_to && now > p->mark && now - p->last > PING_SILENCE) {
        p->gap_from = p->last;
        p->gap_to = now;
    }
    p->last = now;
}

static void read_pinger(struct pinger *p)
{
    char bytes[2048];
    ssize_t n;
    while ((n = read(p->fd, bytes, sizeof bytes)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (bytes[i] != '\n') {
                if (p->line_len < sizeof p->line - 1) p->line[p->line_len++] = bytes[i];
                continue;
            }
            p->line[p->line_len] = 0;
            p->line_len = 0;
            ping_line(p);
        }
    }
}

void pinger_stop(struct pinger *p)
{
    end(&p->pid, &p->fd);
}

void traffic_wait(struct download *d, struct pinger *p, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = d ? d->fd : -1, .events = POLLIN}, {.fd = p ? p->fd : -1, .events = POLLIN}};
    if (poll(fds, 2, timeout_ms) <= 0) return;
    if (fds[0].revents) read_download(d);
    if (fds[1].revents) read_pinger(p);
}

bool page_loads(const struct lab_spaces *in, const char *url, unsigned seconds)
{
    char limit[16];
    snprintf(limit, sizeof limit, "%u", seconds);
    int status = 0;
    pid_t pid = spawn(in, (char *const[]){"curl", "-sf", "-m", limit, (char *)url, NULL}, NULL);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}
