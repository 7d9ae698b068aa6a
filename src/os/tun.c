#include "os/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

// Linux 6.2; not in Debian 12's headers. Only together.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static int fail(char *err, int code, const char *what, const char *hint)
{
    snprintf(err, OS_ERROR_TEXT, "%s: %s (%s)", what, strerror(errno), hint);
    return code;
}

static int device_error(char *err)
{
    if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
        return fail(err, BW_ERR_NOTFOUND, "no TUN device",
                    "/dev/net/tun is missing: modprobe tun, or give it to the container");
    if (errno == EACCES) // its mode is no protection: making an interface takes CAP_NET_ADMIN in any case
        return fail(err, BW_ERR_DENIED, "/dev/net/tun can't be opened", "run as root, or let others open it: sudo chmod 666 /dev/net/tun");
    if (errno == EPERM) return fail(err, BW_ERR_DENIED, "/dev/net/tun can't be opened", "let this container or service use the device");
    return fail(err, BW_ERR_SYS, "/dev/net/tun can't be opened", "too many open files?");
}

static int create_error(char *err, const char *name)
{
    char what[64];
    snprintf(what, sizeof what, "the interface %s can't be made", name);
    if (errno == EBUSY || errno == EEXIST)
        return fail(err, BW_ERR_EXISTS, what, "the name is taken, by another node? set [tun] interface");
    if (errno == EPERM || errno == EACCES) return fail(err, BW_ERR_DENIED, what, "run as root or with CAP_NET_ADMIN");
    if (errno == EINVAL)
        return fail(err, BW_ERR_EXISTS, what,
                    "the name is taken by an interface of another kind, or can't be a name; set [tun] interface");
    return fail(err, BW_ERR_SYS, what, "set another [tun] interface");
}

static bool name_good(const char *name)
{
    size_t n = strlen(name);
    if (!n || n >= IFNAMSIZ || !strcmp(name, ".") || !strcmp(name, "..")) return false;
    return !strpbrk(name, "/: \t\n%");
}

// One more queue of the interface in *out.
static int open_queue(struct os_tun *t, short flags, int *out, char *err)
{
    *out = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (*out < 0) return device_error(err);
    struct ifreq r = {0};
    r.ifr_flags = flags;
    memcpy(r.ifr_name, t->name, sizeof t->name);
    if (ioctl(*out, TUNSETIFF, &r)) return create_error(err, t->name);
    int header = 10, little = 1;
    if (ioctl(*out, TUNSETVNETHDRSZ, &header) || ioctl(*out, TUNSETVNETLE, &little))
        return fail(err, BW_ERR_UNSUPPORTED, "the TUN device has no virtio header",
                    "the kernel is too old: Linux 4.8 or later is needed");
    return 0;
}

// Offloads belong to the interface; any queue sets them. The checksum bit comes first: without it there are no others.
static void offloads(struct os_tun *t)
{
    unsigned tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN, uso = tso | TUN_F_USO4 | TUN_F_USO6;
    t->uso = !ioctl(t->fd[0], TUNSETOFFLOAD, uso);
    t->tso = t->uso || !ioctl(t->fd[0], TUNSETOFFLOAD, tso);
}

int os_tun_open(struct os_tun *t, const char *name, unsigned queues, char err[OS_ERROR_TEXT])
{
    BW_ASSERT(queues >= 1 && queues <= OS_TUN_QUEUES_MAX);
    *t = (struct os_tun){0};
    if (!name_good(name)) {
        snprintf(err, OS_ERROR_TEXT, "\"%.40s\" can't be an interface's name (1 to 15 letters, digits, - or _)", name);
        return BW_ERR_RANGE;
    }
    memcpy(t->name, name, strlen(name) + 1);
    if (if_nametoindex(name)) { // a persistent TUN of that name would be opened silently
        errno = EEXIST;
        return create_error(err, name);
    }
    short flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    if (queues > 1) flags |= IFF_MULTI_QUEUE;
    for (unsigned i = 0; i < queues; i++) {
        int fd, code = open_queue(t, flags, &fd, err);
        if (fd >= 0) t->fd[t->queues++] = fd;
        if (code) {
            os_tun_close(t);
            return code;
        }
    }
    t->ifindex = if_nametoindex(name);
    offloads(t);
    return 0;
}

void os_tun_close(struct os_tun *t)
{
    for (unsigned i = 0; i < t->queues; i++) close(t->fd[i]);
    t->queues = 0;
}

size_t os_tun_read(int fd, uint8_t *frame, size_t room)
{
    ssize_t n;
    do n = read(fd, frame, room);
    while (n < 0 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}

bool os_tun_write(int fd, const struct iovec *v, unsigned n)
{
    ssize_t r;
    do r = writev(fd, v, (int)n);
    while (r < 0 && errno == EINTR);
    return r > 0;
}
