#include "lab/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
    struct nlmsghdr h;
    union {
        struct ifaddrmsg addr;
        struct rtmsg route;
    };
    char attrs[160];
};

static void attr(struct request *q, unsigned short type, const void *p, size_t n)
{
    struct rtattr *a = (struct rtattr *)((char *)q + NLMSG_ALIGN(q->h.nlmsg_len));
    a->rta_type = type;
    a->rta_len = (unsigned short)RTA_LENGTH(n);
    memcpy(RTA_DATA(a), p, n);
    q->h.nlmsg_len = NLMSG_ALIGN(q->h.nlmsg_len) + RTA_LENGTH(n);
}

static void attr_addr(struct request *q, unsigned short type, const struct bw_addr *a)
{
    bool v4 = bw_addr_is_v4(a);
    attr(q, type, v4 ? bw_addr_v4_bytes(a) : a->b, v4 ? 4 : 16);
}

static int transact(struct request *q)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) return BW_ERR_SYS;
    struct {
        struct nlmsghdr h;
        struct nlmsgerr e;
        char more[400];
    } answer;
    q->h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    ssize_t n = send(fd, q, q->h.nlmsg_len, 0);
    if (n >= 0) n = recv(fd, &answer, sizeof answer, 0);
    int why = n < 0 ? errno : (size_t)n < NLMSG_LENGTH(sizeof answer.e) ? EPROTO : -answer.e.error;
    close(fd);
    errno = why;
    return why ? BW_ERR_SYS : 0;
}

int net_up(const char *ifname)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return BW_ERR_SYS;
    struct ifreq r = {0};
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", ifname);
    int rc = ioctl(fd, SIOCGIFFLAGS, &r);
    r.ifr_flags |= IFF_UP;
    if (!rc) rc = ioctl(fd, SIOCSIFFLAGS, &r);
    close(fd);
    return rc ? BW_ERR_SYS : 0;
}

int net_address(const char *ifname, const char *address, unsigned len)
{
    struct bw_addr a;
    if (bw_addr_parse(address, &a)) return BW_ERR_MALFORMED;
    bool v4 = bw_addr_is_v4(&a);
    struct request q = {.h = {.nlmsg_type = RTM_NEWADDR, .nlmsg_len = NLMSG_LENGTH(sizeof q.addr)}};
    q.addr.ifa_family = v4 ? AF_INET : AF_INET6;
    q.addr.ifa_prefixlen = (uint8_t)len;
    q.addr.ifa_flags = v4 ? 0 : IFA_F_NODAD;
    q.addr.ifa_index = if_nametoindex(ifname);
    attr_addr(&q, IFA_LOCAL, &a);
    attr_addr(&q, IFA_ADDRESS, &a);
    return transact(&q);
}

int net_route(const char *address, unsigned len, const char *gateway, const char *ifname)
{
    struct bw_addr to, via;
    if (bw_addr_parse(address, &to) || (gateway && bw_addr_parse(gateway, &via))) return BW_ERR_MALFORMED;
    struct request q = {.h = {.nlmsg_type = RTM_NEWROUTE, .nlmsg_len = NLMSG_LENGTH(sizeof q.route)}};
    uint32_t index = if_nametoindex(ifname);
    q.route = (struct rtmsg){.rtm_family = bw_addr_is_v4(&to) ? AF_INET : AF_INET6,
                             .rtm_dst_len = (uint8_t)len,
                             .rtm_table = RT_TABLE_MAIN,
                             .rtm_protocol = RTPROT_STATIC,
                             .rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
                             .rtm_type = RTN_UNICAST};
    if (len) attr_addr(&q, RTA_DST, &to);
    if (gateway) attr_addr(&q, RTA_GATEWAY, &via);
    attr(&q, RTA_OIF, &index, sizeof index);
    return transact(&q);
}

int net_sysctl(const char *name, const char *value)
{
    char path[160];
    snprintf(path, sizeof path, "/proc/sys/%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return BW_ERR_SYS;
    ssize_t n = write(fd, value, strlen(value));
    close(fd);
    return n < 0 ? BW_ERR_SYS : 0;
}
