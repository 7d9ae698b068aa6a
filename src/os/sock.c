#include "os/sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

socklen_t os_sock_from_endpoint(const struct bw_endpoint *e, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (bw_addr_is_v4(&e->addr)) {
        struct sockaddr_in s = {.sin_family = AF_INET, .sin_port = htons(e->port)};
        memcpy(&s.sin_addr, bw_addr_v4_bytes(&e->addr), 4);
        memcpy(out, &s, sizeof s);
        return sizeof s;
    }
    struct sockaddr_in6 s = {.sin6_family = AF_INET6, .sin6_port = htons(e->port), .sin6_scope_id = e->scope};
    memcpy(&s.sin6_addr, e->addr.b, 16);
    memcpy(out, &s, sizeof s);
    return sizeof s;
}

bool os_sock_to_endpoint(const struct sockaddr_storage *sa, struct bw_endpoint *out)
{
    *out = (struct bw_endpoint){.port = 0};
    if (sa->ss_family == AF_INET) {
        struct sockaddr_in s;
        memcpy(&s, sa, sizeof s);
        out->addr = bw_addr_v4((const uint8_t *)&s.sin_addr);
        out->port = ntohs(s.sin_port);
        return true;
    }
    if (sa->ss_family != AF_INET6) return false;
    struct sockaddr_in6 s;
    memcpy(&s, sa, sizeof s);
    memcpy(out->addr.b, &s.sin6_addr, 16);
    out->port = ntohs(s.sin6_port);
    out->scope = s.sin6_scope_id;
    return true;
}

int os_sock_open(const struct bw_endpoint *e, int type, uint32_t mark, const char *device)
{
    int fd = socket(bw_addr_is_v4(&e->addr) ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    bool ok = !mark || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0;
    if (ok && device && device[0])
        ok = setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) == 0;
    if (ok) return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}
