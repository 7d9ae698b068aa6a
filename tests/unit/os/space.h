// Namespaces of a test's own, entered by the test program itself: as root directly, else through a user namespace,
// where the test is root. Where the kernel refuses both, the test skips.
#ifndef TEST_OS_SPACE_H
#define TEST_OS_SPACE_H

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static inline bool space_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return ok;
}

// unshare(flags), with a user namespace around it if we are not root.
static inline bool space_unshare(int flags)
{
    if (unshare(flags) == 0) return true;
    char map[64];
    unsigned uid = geteuid(), gid = getegid();
    if (unshare(CLONE_NEWUSER | flags)) return false;
    snprintf(map, sizeof map, "0 %u 1", uid);
    if (!space_write("/proc/self/uid_map", map)) return false;
    space_write("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", gid);
    return space_write("/proc/self/gid_map", map);
}

static inline bool space_private_mounts(void)
{
    return space_unshare(CLONE_NEWNS) && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

// A network namespace with lo up (and mounts of its own, so that /proc/sys and /etc/resolv.conf can be played with).
static inline bool space_network(void)
{
    if (!space_unshare(CLONE_NEWNET | CLONE_NEWNS)) return false;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) return false;
    struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &r) == 0;
    if (fd >= 0) close(fd);
    return ok;
}

// Runs a program in our namespaces (ip, nft, from the path) and tells whether it went well.
static inline bool space_run(const char *command)
{
    return system(command) == 0;
}

#endif
