#include "lab/space.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/net.h"
#include "lab/place.h"

static int open_ns(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/thread-self/ns/%s", name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static int open_all(struct space *s)
{
    *s = (struct space){open_ns("net"), open_ns("mnt"), open_ns("uts")};
    if (s->net >= 0 && s->mnt >= 0 && s->uts >= 0) return 0;
    int why = errno;
    space_close(s);
    errno = why;
    return BW_ERR_SYS;
}

void space_close(struct space *s)
{
    int *fds[] = {&s->net, &s->mnt, &s->uts};
    for (int i = 0; i < 3; i++) {
        if (*fds[i] >= 0) close(*fds[i]);
        *fds[i] = -1;
    }
}

int space_enter_net(int net)
{
    return setns(net, CLONE_NEWNET) ? BW_ERR_SYS : 0;
}

int space_enter(const struct space *s)
{
    if (setns(s->net, CLONE_NEWNET) || setns(s->uts, CLONE_NEWUTS) || setns(s->mnt, CLONE_NEWNS)) return BW_ERR_SYS;
    return 0;
}

int space_home(struct space *home)
{
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) return BW_ERR_SYS;
    // Where a container hides parts of /proc the kernel refuses a new one; the old one then shows the outer processes,
    // which is all that is lost.
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    return open_all(home);
}

// /etc/resolv.conf may be a link to somewhere below /run, which has just become empty.
static int bind_resolv(const char *target, const char *resolv)
{
    if (!strncmp(target, "/run/", 5) && access(target, F_OK)) {
        char dir[PATH_MAX];
        snprintf(dir, sizeof dir, "%s", target);
        *strrchr(dir, '/') = 0;
        if (place_mkdirs(dir)) return BW_ERR_SYS;
        int fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0) return BW_ERR_SYS;
        close(fd);
    }
    return mount(resolv, target, NULL, MS_BIND, NULL) ? BW_ERR_SYS : 0;
}

static int furnish(const char *name, const char *resolv, const char **step)
{
    char target[PATH_MAX];
    bool has_resolv = resolv && realpath("/etc/resolv.conf", target);
    *step = "setting the host name";
    if (sethostname(name, strlen(name))) return BW_ERR_SYS;
    *step = "mounting a private /run";
    if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=16m")) return BW_ERR_SYS;
    *step = "putting a private file over /etc/resolv.conf";
    if (has_resolv && bind_resolv(target, resolv)) return BW_ERR_SYS;
    mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL); // without: /sys/class/net shows the host's
    *step = "bringing lo up";
    // Link-local addresses usable at once, before any interface is made.
    net_sysctl("net/ipv6/conf/default/accept_dad", "0");
    net_sysctl("net/ipv6/conf/all/accept_dad", "0");
    net_sysctl("net/ipv6/conf/default/disable_ipv6", "0");
    net_sysctl("net/ipv6/conf/all/disable_ipv6", "0");
    return net_up("lo");
}

int space_make(struct space *out, const struct space *home, const char *name, const char *resolv, const char **step)
{
    *out = (struct space){-1, -1, -1};
    *step = "making namespaces";
    if (unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS)) return BW_ERR_SYS;
    int rc = furnish(name, resolv, step);
    if (!rc) rc = open_all(out);
    int why = errno;
    if (space_enter(home)) abort(); // nowhere to go
    if (rc) space_close(out);
    errno = why;
    return rc;
}
