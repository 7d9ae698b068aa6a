// Three network namespaces in a row: the test program (c0) - router "r" (r0, r1) - server "s" (s0).
//   10.0.1.2, fd01::2     10.0.1.1, fd01::1 | 10.0.2.1, fd02::1     10.0.2.2, fd02::2
#ifndef TEST_OS_THREE_H
#define TEST_OS_THREE_H

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "unit/os/space.h"

static inline bool three_enter(const char *netns)
{
    char path[64];
    snprintf(path, sizeof path, "/run/netns/%s", netns);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && setns(fd, CLONE_NEWNET) == 0;
    if (fd >= 0) close(fd);
    return ok;
}

// A child in that namespace that runs fn until it is killed by three_stop, or dies with us. It says when it is ready.
static inline pid_t three_start(const char *netns, void (*fn)(int ready, void *arg), void *arg)
{
    int p[2];
    char c;
    if (pipe(p)) return -1;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(p[0]);
        if (!three_enter(netns)) _exit(1);
        fn(p[1], arg);
        _exit(0);
    }
    close(p[1]);
    bool ok = read(p[0], &c, 1) == 1;
    close(p[0]);
    return ok ? pid : -1;
}

static inline void three_stop(pid_t pid)
{
    if (pid <= 0) return;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static inline bool three_run(const char *netns, const char *command)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) _exit(three_enter(netns) && system(command) == 0 ? 0 : 1);
    int status = 1;
    waitpid(pid, &status, 0);
    return status == 0;
}

// *made: namespaces were to be had. Returns false if they were and something in them failed.
static inline bool three_make(bool *made)
{
    *made = space_network() && mount("tmpfs", "/run", "tmpfs", 0, NULL) == 0;
    if (!*made) return true;
    return space_write("/proc/sys/net/ipv6/conf/default/accept_dad", "0") &&
           space_run("ip netns add r && ip netns add s && ip link add c0 type veth peer name r0 netns r"
                     " && ip -n r link add r1 type veth peer name s0 netns s") &&
           three_run("r",
                     "echo 1 > /proc/sys/net/ipv4/ip_forward && echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"
                     " && ip link set lo up && ip addr add 10.0.1.1/24 dev r0 && ip addr add fd01::1/64 dev r0 nodad"
                     " && ip addr add 10.0.2.1/24 dev r1 && ip addr add fd02::1/64 dev r1 nodad"
                     " && ip link set r0 up && ip link set r1 up") &&
           three_run(
               "s", "ip link set lo up && ip addr add 10.0.2.2/24 dev s0 && ip addr add fd02::2/64 dev s0 nodad"
                    " && ip link set s0 up && ip route add default via 10.0.2.1 && ip route add default via fd02::1") &&
           space_run("ip addr add 10.0.1.2/24 dev c0 && ip addr add fd01::2/64 dev c0 nodad && ip link set c0 up"
                     " && ip route add default via 10.0.1.1 && ip route add default via fd01::1");
}

#endif
