#include "os/ns.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/why.h"

// NET_NS_INIT_INO of linux/nsfs.h since 6.18; numbers that are given out begin at 0xf0000000, on older kernels too.
#define INIT_NET_INO 0xeffffff9u

uint64_t os_ns_net_id(void)
{
    struct stat st;
    return stat("/proc/self/ns/net", &st) ? 0 : st.st_ino;
}

bool os_ns_first_net(void)
{
    struct stat ours, first;
    if (stat("/proc/self/ns/net", &ours)) return false;
    if (ours.st_ino == INIT_NET_INO) return true;
    // Process 1 of our PID namespace may be a container's, in the container's network: then it is not the machine's,
    // but /etc/resolv.conf is the container's as well, as engines mount one. What must not be is a lab's namespace on a
    // machine.
    if (stat("/proc/1/ns/net", &first)) return false;
    return ours.st_ino == first.st_ino && ours.st_dev == first.st_dev;
}

// The fifth field of /proc/self/mountinfo is the mount point, with space, tab, newline and backslash as \ooo.
static bool same_place(const char *field, const char *path)
{
    while (*field && *field != ' ') {
        char c = *field;
        unsigned v;
        if (c == '\\' && sscanf(field + 1, "%3o", &v) == 1) {
            c = (char)v;
            field += 3;
        }
        if (*path++ != c) return false;
        field++;
    }
    return !*path;
}

bool os_ns_is_mount(const char *path)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    if (!f) return false;
    char line[4096];
    bool found = false, start = true;
    while (!found && fgets(line, sizeof line, f)) {
        bool whole = strchr(line, '\n') != NULL, head = start;
        start = whole; // a longer line goes on in the next piece, which is no beginning
        const char *p = line;
        for (int field = 0; p && field < 4; field++) {
            p = strchr(p, ' ');
            if (p) p++;
        }
        found = head && p && same_place(p, path);
    }
    fclose(f);
    return found;
}

int os_ns_claim(int *fd, char *why, size_t n)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    static const char name[] = "byway-node"; // abstract: such names belong to the network namespace and die with their holder
    memcpy(a.sun_path + 1, name, sizeof name - 1);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd >= 0 && !bind(*fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof name))) return 0;
    int err = errno == EADDRINUSE ? BW_ERR_EXISTS : BW_ERR_SYS;
    if (*fd >= 0) close(*fd);
    *fd = -1;
    if (err == BW_ERR_SYS) return os_why(err, why, n, "no socket can be made: %m");
    return os_why(err, why, n, "another byway node runs in this network namespace (stop it, or give this one a namespace of its own: "
                               "ip netns add NAME, ip netns exec NAME byway run ...)");
}
