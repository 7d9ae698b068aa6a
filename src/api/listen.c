// Sockets that listen, with sentences for the person when they cannot.
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/api_private.h"

#define BACKLOG 32
#define SAY(err, ...) (snprintf(why, n, __VA_ARGS__), (err))

static int unix_address(const char *path, struct sockaddr_un *sa)
{
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (!*path || strlen(path) >= sizeof sa->sun_path) return BW_ERR_RANGE;
    strcpy(sa->sun_path, path);
    return 0;
}

// 0: the path is free now. A socket that nobody answers is what a killed node leaves behind.
static int make_way(const char *path, const struct sockaddr_un *sa, char *why, size_t n)
{
    struct stat st;
    if (lstat(path, &st)) return errno == ENOENT ? 0 : SAY(BW_ERR_SYS, "%s: %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return SAY(BW_ERR_EXISTS, "%s is there and no socket (remove it, or name another with --socket)", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return SAY(BW_ERR_SYS, "no socket: %s", strerror(errno));
    int err = connect(fd, (const struct sockaddr *)sa, sizeof *sa) ? errno : 0;
    close(fd);
    if (err == EACCES || err == EPERM)
        return SAY(BW_ERR_DENIED, "%s belongs to somebody else (name another with --socket)", path);
    if (err != ECONNREFUSED && err != ENOENT)
        return SAY(BW_ERR_EXISTS, "another node answers on %s (stop it, or give this one its own --socket and --state)",
                   path);
    if (unlink(path) && errno != ENOENT)
        return SAY(BW_ERR_SYS, "%s is left over and cannot be removed: %s", path, strerror(errno));
    return 0;
}

static void make_parent(const char *path)
{
    char dir[sizeof((struct sockaddr_un *)0)->sun_path];
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return;
    snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    mkdir(dir, 0755); // if it cannot be made, bind says so
}

int listen_unix(const char *path, bool shared, uint64_t *dev, uint64_t *ino, char *why, size_t n)
{
    struct sockaddr_un sa;
    struct stat st;
    if (unix_address(path, &sa))
        return SAY(BW_ERR_RANGE, "the path of the socket is too long: %.60s... (at most %zu characters)", path,
                   sizeof sa.sun_path - 1);
    make_parent(path);
    int err = make_way(path, &sa, why, n);
    if (err) return err;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return SAY(BW_ERR_SYS, "no socket: %s", strerror(errno));
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa)) {
        int e = errno;
        close(fd);
        return SAY(BW_ERR_SYS, "%s cannot be made: %s (name another place with --socket)", path, strerror(e));
    }
    // Nobody can connect before listen: there is no moment at which the mode is too wide.
    struct group *g = shared ? getgrnam("byway") : NULL;
    bool bad = chmod(path, shared ? 0660 : 0600) || (g && chown(path, (uid_t)-1, g->gr_gid) && errno != EPERM);
    bad = bad || stat(path, &st) || listen(fd, BACKLOG);
    if (bad) {
        int e = errno;
        unlink(path);
        close(fd);
        return SAY(BW_ERR_SYS, "%s: %s", path, strerror(e));
    }
    *dev = st.st_dev;
    *ino = st.st_ino;
    return fd;
}

void unlisten_unix(const char *path, uint64_t dev, uint64_t ino)
{
    struct stat st;
    if (!lstat(path, &st) && st.st_dev == dev && st.st_ino == ino)
        unlink(path); // not if another node has put its own there
}

static socklen_t inet_address(const struct bw_endpoint *at, struct sockaddr_storage *ss)
{
    memset(ss, 0, sizeof *ss);
    if (bw_addr_is_v4(&at->addr)) {
        struct sockaddr_in *sin = (struct sockaddr_in *)ss;
        sin->sin_family = AF_INET;
        sin->sin_port = htons(at->port);
        memcpy(&sin->sin_addr, bw_addr_v4_bytes(&at->addr), 4);
        return sizeof *sin;
    }
    struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;
    sin6->sin6_family = AF_INET6;
    sin6->sin6_port = htons(at->port);
    sin6->sin6_scope_id = at->scope;
    memcpy(&sin6->sin6_addr, at->addr.b, 16);
    return sizeof *sin6;
}

int listen_tcp(const struct bw_endpoint *at, bool mesh, const char *ifname, char *why, size_t n)
{
    struct sockaddr_storage ss;
    char text[BW_ENDPOINT_TEXT];
    socklen_t len = inet_address(at, &ss);
    int on = 1, fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return SAY(BW_ERR_SYS, "no socket for %s: %s", bw_endpoint_text(at, text), strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ss.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (mesh) setsockopt(fd, SOL_IPV6, IPV6_FREEBIND, &on, sizeof on); // the address comes with the TUN
    bool bad = ifname && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ifname, (socklen_t)strlen(ifname));
    bad = bad || bind(fd, (struct sockaddr *)&ss, len) || listen(fd, BACKLOG);
    if (!bad) return fd;
    int e = errno;
    close(fd);
    bw_endpoint_text(at, text);
    if (e == EADDRINUSE)
        return SAY(BW_ERR_EXISTS, "TCP %s is taken by another program (set [api] listen to another port, or none)",
                   text);
    if (e == EADDRNOTAVAIL) return SAY(BW_ERR_SYS, "TCP %s is no address of this machine", text);
    return SAY(BW_ERR_SYS, "TCP %s cannot be listened on: %s", text, strerror(e));
}
