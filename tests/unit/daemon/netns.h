// Network namespaces for tests, each held by a child of ours that ends with us. Commands run in them with `nsenter`.
#ifndef TESTS_NETNS_H
#define TESTS_NETNS_H

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void netns_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0) return;
    if (write(fd, text, strlen(text)) < 0) perror(path);
    close(fd);
}

// May we make namespaces? Becomes root of a user namespace where we are nobody special.
static inline bool netns_may(void)
{
    if (geteuid() == 0 && !unshare(CLONE_NEWNET)) return true;
    char map[64];
    unsigned uid = geteuid(), gid = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET)) return false;
    netns_write("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", uid);
    netns_write("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "0 %u 1", gid);
    netns_write("/proc/self/gid_map", map);
    return true;
}

// A child in a new network namespace; its pid names it.
static inline pid_t netns_new(void)
{
    int ready[2];
    char c;
    if (pipe(ready)) return -1;
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || unshare(CLONE_NEWNET)) _exit(1);
        if (write(ready[1], "1", 1) != 1) _exit(1);
        for (;;) pause();
    }
    close(ready[1]);
    bool ok = read(ready[0], &c, 1) == 1;
    close(ready[0]);
    return ok ? pid : -1;
}

static inline void netns_end(pid_t pid)
{
    if (pid <= 0) return;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

// This thread goes into the namespace that pid lives in.
static inline bool netns_enter(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && !setns(fd, CLONE_NEWNET);
    if (fd >= 0) close(fd);
    return ok;
}

// A shell command in a namespace (pid 0: in ours). Returns its exit status.
__attribute__((format(printf, 2, 3))) static inline int netns_run(pid_t pid, const char *fmt, ...)
{
    char command[2048], all[2304];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    if (pid) snprintf(all, sizeof all, "nsenter -t %d -n sh -ec '%s'", (int)pid, command);
    else snprintf(all, sizeof all, "sh -ec '%s'", command);
    int status = system(all);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// What a command in our namespace prints; in a buffer that the next call reuses.
static inline const char *netns_output(const char *command)
{
    static char out[16384];
    FILE *f = popen(command, "r");
    size_t n = f ? fread(out, 1, sizeof out - 1, f) : 0;
    out[n] = 0;
    if (f) pclose(f);
    return out;
}

#endif
