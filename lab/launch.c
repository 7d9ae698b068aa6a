// Starting the keeper: namespaces around it, identity maps into it, and waiting until it is up.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/keeper.h"
#include "lab/say.h"

static int put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return BW_ERR_SYS;
    ssize_t n = write(fd, text, strlen(text));
    int why = errno;
    close(fd);
    errno = why;
    return n < 0 ? BW_ERR_SYS : 0;
}

// Root keeps every identity that it has itself, so that programs inside may drop their rights; anybody else becomes root
// inside and has nobody beside it.
static void identities(const char *mine, unsigned id, char *out, size_t size)
{
    snprintf(out, size, "0 %u 1", id);
    if (geteuid()) return;
    FILE *f = fopen(mine, "re");
    if (!f) return;
    unsigned inside, outside, count;
    size_t at = 0;
    while (at < size && fscanf(f, "%u %u %u", &inside, &outside, &count) == 3)
        at += (size_t)snprintf(out + at, size - at, "%u %u %u\n", inside, inside, count);
    fclose(f);
}

static int map_identities(pid_t pid)
{
    char path[64], map[1000];
    identities("/proc/self/uid_map", geteuid(), map, sizeof map);
    snprintf(path, sizeof path, "/proc/%d/uid_map", (int)pid);
    if (put(path, map)) return BW_ERR_SYS;
    if (geteuid()) {
        snprintf(path, sizeof path, "/proc/%d/setgroups", (int)pid);
        if (put(path, "deny")) return BW_ERR_SYS;
    }
    identities("/proc/self/gid_map", getegid(), map, sizeof map);
    snprintf(path, sizeof path, "/proc/%d/gid_map", (int)pid);
    return put(path, map);
}

static void redirect(const char *dir)
{
    char log[PLACE_PATH + 16];
    snprintf(log, sizeof log, "%s/keeper.log", dir);
    int null = open("/dev/null", O_RDONLY), out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (null >= 0) dup2(null, 0);
    if (out >= 0) dup2(out, 1);
    if (out >= 0) dup2(out, 2);
    if (null > 2) close(null);
    if (out > 2) close(out);
}

// Tells one byte: 'u' a user namespace that waits for its map, 'r' none needed, 'x' refused.
static bool isolate(int tell, int told, struct lab *lab)
{
    char c = 'u';
    if (unshare(CLONE_NEWUSER)) c = geteuid() ? 'x' : 'r';
    if (write(tell, &c, 1) != 1 || c == 'x') return false;
    if (c == 'u') {
        if (read(told, &c, 1) != 1) return false;
        // The child of unshare has all capabilities, but as nobody; it becomes root of its namespace by the map.
        if (setresgid(0, 0, 0) || setresuid(0, 0, 0)) return false;
        prctl(PR_SET_DUMPABLE, 1); // or /proc/self belongs to somebody else
        lab->user_ns = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
    }
    return !unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET);
}

_Noreturn static void launcher(struct keeper_options *o, int lock_fd, int progress, int tell, int told)
{
    static struct lab lab;
    setsid();
    redirect(o->dir);
    lab.o = o;
    lab.progress = progress;
    lab.lock_fd = lock_fd;
    lab.user_ns = -1;
    lab.internet = (struct space){-1, -1, -1};
    lab.outer_proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!isolate(tell, told, &lab)) {
        dprintf(progress, "!namespaces: %s\n", strerror(errno));
        _exit(1);
    }
    pid_t pid = fork();
    if (pid) _exit(pid < 0);
    if (chdir("/")) _exit(1);
    close(tell);
    close(told);
    _exit(keeper_main(&lab));
}

static const char refused[] =
    "this kernel lets no user make namespaces (run the lab with sudo, or allow it: "
    "sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces=10000, or on Ubuntu "
    "kernel.apparmor_restrict_unprivileged_userns=0)";

// The lines of the keeper: '#' news, '!' the end, '.' up.
static int follow(int fd, const char *dir, void (*say)(const char *))
{
    FILE *f = fdopen(fd, "r");
    char line[1300];
    bool failed = false;
    errno = 0;
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        if (*line == '.') {
            fclose(f);
            return 0;
        }
        if (*line == '#') say(line + 1);
        if (*line == '!' && !failed) failed = (lab_fail("%s", line + 1), true);
    }
    if (!failed && errno == EINTR) failed = (lab_fail("interrupted"), true);
    if (f) fclose(f);
    if (!failed) lab_fail("the lab's keeper ended by surprise (its log was %s/keeper.log)", dir);
    return 1;
}

int keeper_launch(struct keeper_options *o, int lock_fd, void (*say)(const char *line))
{
    int progress[2], tell[2], told[2];
    if (pipe2(progress, O_CLOEXEC) || pipe2(tell, O_CLOEXEC) || pipe2(told, O_CLOEXEC))
        return lab_fail("making a pipe: %s", strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) return lab_fail("starting the lab: %s", strerror(errno));
    if (!pid) {
        close(progress[0]);
        close(tell[0]);
        close(told[1]);
        launcher(o, lock_fd, progress[1], tell[1], told[0]);
    }
    close(progress[1]);
    close(tell[1]);
    close(told[0]);
    close(lock_fd); // the keeper's from here on
    char how = 0;
    int rc = 0;
    if (read(tell[0], &how, 1) != 1) rc = lab_fail("the lab's keeper did not start");
    else if (how == 'x') rc = lab_fail("%s", refused);
    else if (how == 'u' && (map_identities(pid) || write(told[1], "m", 1) != 1))
        rc = lab_fail("mapping identities into the lab: %s", strerror(errno));
    close(told[1]);
    close(tell[0]);
    if (rc) kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    if (!rc) rc = follow(progress[0], o->dir, say);
    else close(progress[0]);
    return rc;
}
