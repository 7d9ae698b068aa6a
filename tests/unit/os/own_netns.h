// A network namespace for this test process alone, with its loopback up. Tests that find none possible are skipped.
#ifndef TESTS_OWN_NETNS_H
#define TESTS_OWN_NETNS_H

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static inline bool own_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) close(fd);
    return good;
}

static inline bool own_link_up(const char *name, int mtu)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq r = {0};
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    r.ifr_mtu = mtu;
    bool good = fd >= 0 && (!mtu || !ioctl(fd, SIOCSIFMTU, &r));
    r.ifr_flags = IFF_UP;
    good = good && !ioctl(fd, SIOCSIFFLAGS, &r);
    if (fd >= 0) close(fd);
    return good;
}

static inline bool own_netns(void)
{
    unsigned uid = getuid(), gid = getgid();
    if (unshare(CLONE_NEWNET)) { // not root: a user namespace gives the right
        char map[64];
        if (unshare(CLONE_NEWUSER | CLONE_NEWNET)) return false;
        own_write("/proc/self/setgroups", "deny");
        snprintf(map, sizeof map, "0 %u 1", uid);
        if (!own_write("/proc/self/uid_map", map)) return false;
        snprintf(map, sizeof map, "0 %u 1", gid);
        if (!own_write("/proc/self/gid_map", map)) return false;
    }
    own_write("/proc/sys/net/ipv6/conf/all/accept_dad", "0");
    own_write("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
    return own_link_up("lo", 0);
}

#endif
