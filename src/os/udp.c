#include "os/udp.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define RECEIVE_BUFFER (4 << 20)
#define SEND_BUFFER (1 << 20) // more would only be delay in front of a slow interface
#define SINGLY 1000           // trains to a destination that refused UDP_SEGMENT, before it is tried again

union sock_addr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static int fail(char *err, int code, const char *what, const char *hint)
{
    snprintf(err, OS_ERROR_TEXT, "%s: %s (%s)", what, strerror(errno), hint);
    return code;
}

// ---- opening ----

static void set(int fd, int level, int name, int value)
{
    (void)!setsockopt(fd, level, name, &value, sizeof value); // only for what is better to have than not
}

static int buffers(int fd, int force, int plain, int bytes)
{
    if (!setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof bytes)) return 0;
    return setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof bytes); // the kernel cuts it to net.core.*mem_max
}

static int bind_error(char *err, uint16_t port)
{
    char what[80];
    snprintf(what, sizeof what, "UDP port %u can't be had", port);
    if (errno == EADDRINUSE)
        return fail(err, BW_ERR_EXISTS, what, "another program uses it: stop that one, or set [listen] port");
    if (errno == EACCES || errno == EPERM)
        return fail(err, BW_ERR_DENIED, what, "ports below 1024 need root or CAP_NET_BIND_SERVICE");
    return fail(err, BW_ERR_SYS, what, "set another [listen] port");
}

static int bind_to(int fd, int family, const struct os_udp_options *o, uint16_t port)
{
    union sock_addr a = {0};
    socklen_t len = family == AF_INET ? sizeof a.v4 : sizeof a.v6;
    if (family == AF_INET) {
        a.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
        if (o->loopback) a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
        a.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
        if (o->loopback) a.v6.sin6_addr = in6addr_loopback;
    }
    return bind(fd, &a.any, len);
}

static void options_v4(int fd)
{
    set(fd, IPPROTO_IP, IP_PKTINFO, 1);
    set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT); // no DF: a smaller underlay fragments the outer packet
}

static void options_v6(int fd)
{
    set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
    set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255);
    set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
    set(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0); // a beacon comes to the one socket that joined, not to every worker
}

static int set_mark(int fd, uint32_t mark, char *err)
{
    if (!mark || !setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark)) return 0;
    return fail(err, errno == EPERM ? BW_ERR_DENIED : BW_ERR_SYS, "the UDP socket can't be marked",
                "CAP_NET_ADMIN is needed: run as root");
}

// One family's socket in *out; -1 (and no error) if the machine lacks the family. *port: 0 becomes what was found.
static int open_one(int family, const struct os_udp_options *o, uint16_t *port, bool *gro, int *out, char *err)
{
    *out = -1;
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 && (errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT)) return 0;
    if (fd < 0) return fail(err, BW_ERR_SYS, "no UDP socket", "too many open files, or no permission");
    buffers(fd, SO_RCVBUFFORCE, SO_RCVBUF, RECEIVE_BUFFER);
    buffers(fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER);
    if (family == AF_INET) options_v4(fd);
    else options_v6(fd);
    // The first of a shared set binds alone, so that somebody else's port is noticed; only then does it let others in.
    if (o->join) set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    int code = set_mark(fd, o->mark, err);
    if (!code && bind_to(fd, family, o, *port)) {
        if (errno == EADDRNOTAVAIL && family == AF_INET6) { // IPv6 is there but switched off (disable_ipv6)
            close(fd);
            return 0;
        }
        code = bind_error(err, *port);
    }
    if (code) {
        close(fd);
        return code;
    }
    if (o->share) set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    int one = 1;
    if (setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one)) *gro = false;
    union sock_addr a;
    socklen_t len = sizeof a;
    if (!*port && !getsockname(fd, &a.any, &len)) *port = ntohs(family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
    *out = fd;
    return 0;
}

int os_udp_open(struct os_udp *u, const struct os_udp_options *o, char err[OS_ERROR_TEXT])
{
    // With port 0, IPv4 may be given a port that IPv6 can't have: try a few.
    for (int tries = 0;; tries++) {
        memset(u, 0, sizeof *u);
        u->fd4 = u->fd6 = -1;
        u->port = o->port;
        u->gro = true;
        int code = open_one(AF_INET, o, &u->port, &u->gro, &u->fd4, err);
        if (!code) code = open_one(AF_INET6, o, &u->port, &u->gro, &u->fd6, err);
        if (!code && (u->fd4 >= 0 || u->fd6 >= 0)) return 0;
        os_udp_close(u);
        if (code == BW_ERR_EXISTS && !o->port && tries < 8) continue;
        if (code) return code;
        errno = EAFNOSUPPORT;
        return fail(err, BW_ERR_UNSUPPORTED, "no UDP socket", "this kernel has neither IPv4 nor IPv6");
    }
}

void os_udp_close(struct os_udp *u)
{
    if (u->fd4 >= 0) close(u->fd4);
    if (u->fd6 >= 0) close(u->fd6);
    u->fd4 = u->fd6 = -1;
}

// ---- receiving ----

static void from_sockaddr(const union sock_addr *a, struct bw_endpoint *e)
{
    *e = (struct bw_endpoint){0};
    if (a->any.sa_family == AF_INET) {
        e->addr = bw_addr_v4((const uint8_t *)&a->v4.sin_addr);
        e->port = ntohs(a->v4.sin_port);
    } else {
        memcpy(e->addr.b, &a->v6.sin6_addr, 16);
        e->port = ntohs(a->v6.sin6_port);
        if (bw_addr_is_linklocal(&e->addr)) e->scope = a->v6.sin6_scope_id;
    }
}

static void read_control(struct msghdr *h, struct os_udp_train *t)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            if (size > 0 && size <= UINT16_MAX) t->seg = (uint16_t)size;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo i;
            memcpy(&i, CMSG_DATA(c), sizeof i);
            t->ifindex = (uint32_t)i.ipi_ifindex;
            t->multicast = IN_MULTICAST(ntohl(i.ipi_addr.s_addr));
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo i;
            memcpy(&i, CMSG_DATA(c), sizeof i);
            t->ifindex = (uint32_t)i.ipi6_ifindex;
            t->multicast = IN6_IS_ADDR_MULTICAST(&i.ipi6_addr);
        }
    }
}

int os_udp_receive(int fd, struct os_udp_train *t, unsigned n)
{
    struct mmsghdr m[OS_UDP_BATCH];
    struct iovec v[OS_UDP_BATCH];
    union sock_addr from[OS_UDP_BATCH];
    union {
        char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control[OS_UDP_BATCH];
    if (n > OS_UDP_BATCH) n = OS_UDP_BATCH;
    for (unsigned i = 0; i < n; i++) {
        v[i] = (struct iovec){t[i].data, t[i].room};
        m[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                       .msg_namelen = sizeof from[i],
                                       .msg_iov = &v[i],
                                       .msg_iovlen = 1,
                                       .msg_control = &control[i],
                                       .msg_controllen = sizeof control[i]};
    }
    int got;
    do got = recvmmsg(fd, m, n, MSG_DONTWAIT, NULL);
    while (got < 0 && errno == EINTR);
    for (int i = 0; i < got; i++) {
        t[i].len = m[i].msg_len;
        t[i].seg = (uint16_t)(t[i].len < UINT16_MAX ? t[i].len : UINT16_MAX);
        t[i].ifindex = 0;
        t[i].multicast = false;
        from_sockaddr(&from[i], &t[i].remote);
        read_control(&m[i].msg_hdr, &t[i]);
        if ((m[i].msg_hdr.msg_flags & MSG_TRUNC) && t[i].seg) t[i].len -= t[i].len % t[i].seg;
    }
    return got > 0 ? got : 0;
}

// ---- sending ----

struct message { // a msghdr with what it points to
    struct msghdr h;
    union sock_addr to;
    union {
        char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr align;
    } control;
};

static void *add_control(struct message *m, int level, int type, size_t n)
{
    struct cmsghdr *c = (struct cmsghdr *)(m->control.bytes + m->h.msg_controllen);
    memset(c, 0, CMSG_SPACE(n));
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(n);
    m->h.msg_control = m->control.bytes;
    m->h.msg_controllen += CMSG_SPACE(n);
    return CMSG_DATA(c);
}

static void address(struct message *m, const struct bw_endpoint *remote, uint32_t ifindex)
{
    m->h = (struct msghdr){.msg_name = &m->to};
    if (bw_addr_is_v4(&remote->addr)) {
        m->to.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(remote->port)};
        memcpy(&m->to.v4.sin_addr, bw_addr_v4_bytes(&remote->addr), 4);
        m->h.msg_namelen = sizeof m->to.v4;
        if (!ifindex) return;
        struct in_pktinfo i = {.ipi_ifindex = (int)ifindex};
        memcpy(add_control(m, IPPROTO_IP, IP_PKTINFO, sizeof i), &i, sizeof i);
        return;
    }
    m->to.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(remote->port)};
    memcpy(&m->to.v6.sin6_addr, &remote->addr, 16);
    if (bw_addr_is_linklocal(&remote->addr) || remote->addr.b[0] == 0xff)
        m->to.v6.sin6_scope_id = remote->scope ? remote->scope : ifindex;
    m->h.msg_namelen = sizeof m->to.v6;
    if (!ifindex) return;
    struct in6_pktinfo i = {.ipi6_ifindex = ifindex};
    memcpy(add_control(m, IPPROTO_IPV6, IPV6_PKTINFO, sizeof i), &i, sizeof i);
}

static ssize_t send_one(int fd, const struct msghdr *h)
{
    ssize_t r;
    do r = sendmsg(fd, h, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r;
}

static unsigned send_singly(int fd, const struct message *m, const uint8_t *data, uint32_t len, uint16_t seg)
{
    struct mmsghdr mm[64];
    struct iovec v[64];
    unsigned n = 0, sent = 0;
    for (uint32_t at = 0; at < len && n < 64; at += seg, n++) {
        v[n] = (struct iovec){(void *)(data + at), len - at < seg ? len - at : seg};
        mm[n] = (struct mmsghdr){.msg_hdr = m->h};
        mm[n].msg_hdr.msg_iov = &v[n];
        mm[n].msg_hdr.msg_iovlen = 1;
    }
    while (sent < n) {
        int r = sendmmsg(fd, mm + sent, n - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (r < 0 && errno == EINTR) continue;
        if (r <= 0) break;
        sent += (unsigned)r;
    }
    return sent;
}

static atomic_uint *gso_state(struct os_udp *u, const struct bw_endpoint *e)
{
    uint32_t h = e->port;
    for (unsigned i = 0; i < 16; i++) h = h * 31 + e->addr.b[i];
    return &u->gso_off[(h ^ h >> 16) % OS_UDP_GSO_OFF];
}

// Without checksum offload the kernel says EIO, where a segment does not fit the route EINVAL or EMSGSIZE.
static bool refuses_gso(int e)
{
    return e == EIO || e == EINVAL || e == EMSGSIZE || e == ENOPROTOOPT || e == EOPNOTSUPP;
}

unsigned os_udp_send(struct os_udp *u, const struct bw_endpoint *remote, uint32_t ifindex, const uint8_t *data,
                     uint32_t len, uint16_t seg)
{
    int fd = bw_addr_is_v4(&remote->addr) ? u->fd4 : u->fd6;
    if (fd < 0 || !seg) return 0;
    struct message m;
    struct iovec v = {(void *)data, len};
    address(&m, remote, ifindex);
    if (len <= seg) {
        m.h.msg_iov = &v;
        m.h.msg_iovlen = 1;
        return send_one(fd, &m.h) >= 0;
    }
    atomic_uint *off = gso_state(u, remote);
    unsigned left = atomic_load_explicit(off, memory_order_relaxed);
    if (left) {
        atomic_store_explicit(off, left - 1, memory_order_relaxed);
        return send_singly(fd, &m, data, len, seg);
    }
    struct message train = m;
    train.h.msg_name = &train.to;
    train.h.msg_iov = &v;
    train.h.msg_iovlen = 1;
    memcpy(add_control(&train, IPPROTO_UDP, UDP_SEGMENT, sizeof seg), &seg, sizeof seg);
    if (send_one(fd, &train.h) >= 0) return (len + seg - 1) / seg;
    if (!refuses_gso(errno)) return 0;
    unsigned sent = send_singly(fd, &m, data, len, seg);
    if (sent) atomic_store_explicit(off, SINGLY, memory_order_relaxed); // it was the train, not the destination
    return sent;
}

// ---- multicast ----

int os_udp_join(struct os_udp *u, const struct bw_addr *group, uint32_t ifindex)
{
    struct ipv6_mreq r = {.ipv6mr_interface = ifindex};
    memcpy(&r.ipv6mr_multiaddr, group, 16);
    if (u->fd6 < 0) return BW_ERR_UNSUPPORTED;
    if (!setsockopt(u->fd6, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &r, sizeof r) || errno == EADDRINUSE) return 0;
    return BW_ERR_SYS;
}

void os_udp_leave(struct os_udp *u, const struct bw_addr *group, uint32_t ifindex)
{
    struct ipv6_mreq r = {.ipv6mr_interface = ifindex};
    memcpy(&r.ipv6mr_multiaddr, group, 16);
    if (u->fd6 >= 0) (void)!setsockopt(u->fd6, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &r, sizeof r);
}
