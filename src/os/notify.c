#include "os/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int os_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || !path[0]) return 0;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof sa.sun_path || (path[0] != '/' && path[0] != '@')) {
        errno = EINVAL;
        return BW_ERR_SYS;
    }
    memcpy(sa.sun_path, path, len);
    if (path[0] == '@') sa.sun_path[0] = 0; // an abstract name
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return BW_ERR_SYS;
    ssize_t put;
    do {
        put = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (void *)&sa,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    } while (put < 0 && errno == EINTR);
    int saved = errno;
    close(fd);
    errno = saved;
    return put < 0 ? BW_ERR_SYS : 0;
}
