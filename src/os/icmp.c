#include "os/icmp.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cursor.h"
#include "os/clock.h"
#include "os/entropy.h"
#include "os/watch.h"
#include "os/why.h"

#ifndef ICMP_FILTER
#define ICMP_FILTER 1 // linux/icmp.h: one bit per type that is not wanted
#endif

#define PAYLOAD_MAX 1452
#define READS_PER_TURN 32

struct os_icmp {
    struct os_watch *watch;
    int fd;
    bool v4;
    uint16_t id;
    os_icmp_fn *fn;
    void *ctx;
    bool *closed; // set while fn runs, so that it may close us
};

static void quoted4(struct bw_rd *r, struct os_icmp_reply *out)
{
    uint8_t vhl = bw_rd_u8(r);
    bw_rd_take(r, 8);
    uint8_t proto = bw_rd_u8(r);
    bw_rd_take(r, 6);
    const uint8_t *dst = bw_rd_take(r, 4);
    size_t header = (vhl & 15u) * 4;
    if (vhl >> 4 != 4 || header < 20 || proto != IPPROTO_ICMP) r->bad = true;
    else bw_rd_take(r, header - 20);
    uint8_t type = bw_rd_u8(r);
    bw_rd_take(r, 3);
    out->id = bw_rd_be16(r);
    out->seq = bw_rd_be16(r);
    if (r->bad || type != ICMP_ECHO) r->bad = true;
    else out->target = bw_addr_v4(dst);
}

int os_icmp4_decode(const void *p, size_t n, struct os_icmp_reply *out)
{
    struct bw_rd r = bw_rd(p, n);
    *out = (struct os_icmp_reply){.at = 0};
    uint8_t vhl = bw_rd_u8(&r);
    bw_rd_take(&r, 7);
    out->hop_limit = bw_rd_u8(&r);
    uint8_t proto = bw_rd_u8(&r);
    bw_rd_take(&r, 2);
    const uint8_t *src = bw_rd_take(&r, 4);
    bw_rd_take(&r, 4);
    size_t header = (vhl & 15u) * 4;
    if (r.bad) return BW_ERR_SHORT;
    if (vhl >> 4 != 4 || header < 20 || proto != IPPROTO_ICMP) return BW_ERR_UNSUPPORTED;
    out->from = bw_addr_v4(src);
    bw_rd_take(&r, header - 20);
    out->size = bw_rd_left(&r);
    out->type = bw_rd_u8(&r);
    out->code = bw_rd_u8(&r);
    bw_rd_take(&r, 2);
    uint16_t a = bw_rd_be16(&r), b = bw_rd_be16(&r);
    if (r.bad) return BW_ERR_SHORT;
    switch (out->type) {
    case ICMP_ECHOREPLY:
        out->kind = OS_ICMP_ECHO;
        out->id = a;
        out->seq = b;
        out->target = out->from;
        return 0;
    case ICMP_DEST_UNREACH:
        out->kind = out->code == ICMP_FRAG_NEEDED ? OS_ICMP_TOO_BIG : OS_ICMP_UNREACHABLE;
        out->mtu = out->code == ICMP_FRAG_NEEDED ? b : 0;
        break;
    case ICMP_TIME_EXCEEDED:
        out->kind = OS_ICMP_TIME_EXCEEDED;
        break;
    case ICMP_PARAMETERPROB:
        out->kind = OS_ICMP_OTHER;
        break;
    default:
        return BW_ERR_UNSUPPORTED;
    }
    quoted4(&r, out);
    return r.bad ? BW_ERR_UNSUPPORTED : 0;
}

static void quoted6(struct bw_rd *r, struct os_icmp_reply *out)
{
    uint8_t version = bw_rd_u8(r);
    bw_rd_take(r, 5);
    uint8_t next = bw_rd_u8(r);
    bw_rd_take(r, 17);
    const uint8_t *dst = bw_rd_take(r, 16);
    if (next == IPPROTO_FRAGMENT) {
        next = bw_rd_u8(r);
        bw_rd_take(r, 7);
    }
    uint8_t type = bw_rd_u8(r);
    bw_rd_take(r, 3);
    out->id = bw_rd_be16(r);
    out->seq = bw_rd_be16(r);
    if (r->bad || version >> 4 != 6 || next != IPPROTO_ICMPV6 || type != ICMP6_ECHO_REQUEST) r->bad = true;
    else memcpy(out->target.b, dst, 16);
}

int os_icmp6_decode(const void *p, size_t n, struct os_icmp_reply *out)
{
    struct bw_rd r = bw_rd(p, n);
    *out = (struct os_icmp_reply){.hop_limit = -1, .size = n};
    out->type = bw_rd_u8(&r);
    out->code = bw_rd_u8(&r);
    bw_rd_take(&r, 2);
    uint32_t a = bw_rd_be32(&r);
    if (r.bad) return BW_ERR_SHORT;
    switch (out->type) {
    case ICMP6_ECHO_REPLY:
        out->kind = OS_ICMP_ECHO;
        out->id = (uint16_t)(a >> 16);
        out->seq = (uint16_t)a;
        return 0; // from and target: who sent it, which only the socket knows
    case ICMP6_DST_UNREACH:
        out->kind = OS_ICMP_UNREACHABLE;
        break;
    case ICMP6_PACKET_TOO_BIG:
        out->kind = OS_ICMP_TOO_BIG;
        out->mtu = a;
        break;
    case ICMP6_TIME_EXCEEDED:
        out->kind = OS_ICMP_TIME_EXCEEDED;
        break;
    case ICMP6_PARAM_PROB:
        out->kind = OS_ICMP_OTHER;
        break;
    default:
        return BW_ERR_UNSUPPORTED;
    }
    quoted6(&r, out);
    return r.bad ? BW_ERR_UNSUPPORTED : 0;
}

static int hop_limit_of(struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        int v;
        if (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_HOPLIMIT) continue;
        memcpy(&v, CMSG_DATA(c), sizeof v);
        return v;
    }
    return -1;
}

static int receive(struct os_icmp *ic, struct os_icmp_reply *out)
{
    uint8_t buf[2048], control[64];
    struct sockaddr_in6 from;
    struct iovec io = {buf, sizeof buf};
    struct msghdr m = {.msg_name = &from,
                       .msg_namelen = sizeof from,
                       .msg_iov = &io,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    ssize_t n = recvmsg(ic->fd, &m, 0);
    if (n < 0) return errno == EAGAIN ? BW_ERR_AGAIN : BW_ERR_SYS;
    int err = ic->v4 ? os_icmp4_decode(buf, (size_t)n, out) : os_icmp6_decode(buf, (size_t)n, out);
    if (err) return err;
    if (!ic->v4) {
        memcpy(out->from.b, &from.sin6_addr, 16);
        if (out->kind == OS_ICMP_ECHO) out->target = out->from;
        out->hop_limit = hop_limit_of(&m);
    }
    out->at = os_clock_now();
    return out->id == ic->id ? 0 : BW_ERR_UNSUPPORTED; // the kernel gives every raw socket every answer
}

static void on_readable(void *ctx, int events)
{
    (void)events;
    struct os_icmp *ic = ctx;
    bool closed = false;
    ic->closed = &closed;
    for (int i = 0; i < READS_PER_TURN; i++) {
        struct os_icmp_reply reply;
        int err = receive(ic, &reply);
        if (err == BW_ERR_AGAIN) break;
        if (!err) ic->fn(ic->ctx, &reply);
        if (closed) return;
    }
    ic->closed = NULL;
}

static int set_up(struct os_icmp *ic, const struct os_icmp_config *c)
{
    int on = 1;
    if (ic->v4) {
        uint32_t unwanted =
            ~(1u << ICMP_ECHOREPLY | 1u << ICMP_DEST_UNREACH | 1u << ICMP_TIME_EXCEEDED | 1u << ICMP_PARAMETERPROB);
        if (setsockopt(ic->fd, IPPROTO_RAW, ICMP_FILTER, &unwanted, sizeof unwanted)) return -1;
    } else {
        struct icmp6_filter f;
        ICMP6_FILTER_SETBLOCKALL(&f);
        for (int t = ICMP6_DST_UNREACH; t <= ICMP6_PARAM_PROB; t++) ICMP6_FILTER_SETPASS(t, &f);
        ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &f);
        if (setsockopt(ic->fd, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof f)) return -1;
        if (setsockopt(ic->fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on)) return -1;
    }
    if (c->mark && setsockopt(ic->fd, SOL_SOCKET, SO_MARK, &c->mark, sizeof c->mark)) return -1;
    if (c->device && c->device[0] &&
        setsockopt(ic->fd, SOL_SOCKET, SO_BINDTODEVICE, c->device, (socklen_t)strlen(c->device)))
        return -1;
    if (bw_addr_is_zero(&c->src)) return 0;
    struct sockaddr_in s4 = {.sin_family = AF_INET};
    struct sockaddr_in6 s6 = {.sin6_family = AF_INET6};
    memcpy(&s4.sin_addr, bw_addr_v4_bytes(&c->src), 4);
    memcpy(&s6.sin6_addr, c->src.b, 16);
    return ic->v4 ? bind(ic->fd, (void *)&s4, sizeof s4) : bind(ic->fd, (void *)&s6, sizeof s6);
}

int os_icmp_open(uv_loop_t *loop, const struct os_icmp_config *c, os_icmp_fn *fn, void *ctx, struct os_icmp **out,
                 char *why, size_t n)
{
    struct os_icmp *ic = calloc(1, sizeof *ic);
    if (!ic) return os_why(BW_ERR_NOMEM, why, n, "out of memory");
    *ic = (struct os_icmp){.v4 = c->v4, .fn = fn, .ctx = ctx};
    os_entropy(&ic->id, sizeof ic->id);
    ic->fd = socket(c->v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    c->v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    int err = ic->fd < 0 || set_up(ic, c) ? BW_ERR_SYS
                                          : os_watch_open(loop, ic->fd, UV_READABLE, on_readable, ic, &ic->watch);
    if (!err) {
        *out = ic;
        return 0;
    }
    if (errno == EPERM || errno == EACCES) err = BW_ERR_DENIED;
    os_why(err, why, n, "echo requests cannot be sent: %m%s",
           err == BW_ERR_DENIED ? " (run as root or with CAP_NET_RAW)" : "");
    int saved = errno;
    if (ic->fd >= 0) close(ic->fd);
    free(ic);
    errno = saved;
    return err;
}

void os_icmp_close(struct os_icmp *ic)
{
    if (!ic) return;
    if (ic->closed) *ic->closed = true;
    os_watch_close(ic->watch, true);
    free(ic);
}

static uint16_t checksum(const uint8_t *p, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < n; i += 2) sum += (uint32_t)p[i] << 8 | p[i + 1];
    if (n & 1) sum += (uint32_t)p[n - 1] << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

int os_icmp_send(struct os_icmp *ic, const struct bw_addr *to, uint16_t seq, uint8_t hop_limit, size_t size)
{
    uint8_t buf[8 + PAYLOAD_MAX];
    if (size > PAYLOAD_MAX || ic->v4 != bw_addr_is_v4(to)) return BW_ERR_RANGE;
    struct bw_wr w = bw_wr(buf, sizeof buf);
    bw_wr_u8(&w, ic->v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST);
    bw_wr_zero(&w, 3);
    bw_wr_be16(&w, ic->id);
    bw_wr_be16(&w, seq);
    bw_wr_zero(&w, size);
    size_t n = bw_wr_len(&w);
    if (ic->v4) { // ICMPv6's covers a pseudo header, which the kernel knows
        uint16_t sum = checksum(buf, n);
        buf[2] = (uint8_t)(sum >> 8);
        buf[3] = (uint8_t)sum;
    }
    struct sockaddr_in s4 = {.sin_family = AF_INET};
    struct sockaddr_in6 s6 = {.sin6_family = AF_INET6};
    memcpy(&s4.sin_addr, bw_addr_v4_bytes(to), 4);
    memcpy(&s6.sin6_addr, to->b, 16);
    uint8_t control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec io = {buf, n};
    struct msghdr m = {.msg_name = ic->v4 ? (void *)&s4 : (void *)&s6,
                       .msg_namelen = ic->v4 ? sizeof s4 : sizeof s6,
                       .msg_iov = &io,
                       .msg_iovlen = 1};
    if (hop_limit) {
        int v = hop_limit;
        m.msg_control = control;
        m.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = ic->v4 ? IPPROTO_IP : IPPROTO_IPV6;
        c->cmsg_type = ic->v4 ? IP_TTL : IPV6_HOPLIMIT;
        c->cmsg_len = CMSG_LEN(sizeof v);
        memcpy(CMSG_DATA(c), &v, sizeof v);
    }
    return sendmsg(ic->fd, &m, 0) < 0 ? BW_ERR_SYS : 0;
}
