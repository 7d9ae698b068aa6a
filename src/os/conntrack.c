#include "os/conntrack.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "os/why.h"

struct work {
    struct mnl_socket *list, *delete; // a dump goes on while its entries are deleted
    const struct bw_addr *source;
    uint32_t seq;
    int count;
};

static struct mnl_socket *open_socket(void)
{
    struct mnl_socket *s = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    struct timeval limit = {.tv_sec = 2}; // the kernel answers at once; a lost answer must not hang the daemon
    if (!s) return NULL;
    if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) || setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit)) {
        mnl_socket_close(s);
        return NULL;
    }
    return s;
}

static struct nlmsghdr *request(uint8_t *buf, uint16_t type, uint16_t flags, uint32_t seq, bool v4)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
    h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    h->nlmsg_seq = seq;
    struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof *g);
    g->nfgen_family = v4 ? AF_INET : AF_INET6;
    g->version = NFNETLINK_V0;
    return h;
}

// An address of a tuple, or NULL.
static const uint8_t *tuple_addr(const struct nlattr *tuple, bool v4, uint16_t type4, uint16_t type6)
{
    const struct nlattr *ip, *a;
    mnl_attr_for_each_nested(ip, tuple) {
        if (mnl_attr_get_type(ip) != CTA_TUPLE_IP) continue;
        mnl_attr_for_each_nested(a, ip) {
            if (mnl_attr_get_type(a) == (v4 ? type4 : type6) && mnl_attr_get_payload_len(a) == (v4 ? 4 : 16)) return mnl_attr_get_payload(a);
        }
    }
    return NULL;
}

static int delete(struct work *w, const struct nlattr *tuple, const struct nlattr *zone, bool v4)
{
    uint8_t buf[1024] __attribute__((aligned(8)));
    struct nlmsghdr *h = request(buf, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, ++w->seq, v4);
    if (!mnl_attr_put_check(h, sizeof buf, CTA_TUPLE_ORIG | NLA_F_NESTED, mnl_attr_get_payload_len(tuple), mnl_attr_get_payload(tuple)))
        return MNL_CB_OK;
    if (zone) mnl_attr_put(h, CTA_ZONE, mnl_attr_get_payload_len(zone), mnl_attr_get_payload(zone));
    if (mnl_socket_sendto(w->delete, h, h->nlmsg_len) < 0) return MNL_CB_ERROR;
    ssize_t n = mnl_socket_recvfrom(w->delete, buf, sizeof buf);
    if (n < 0) return MNL_CB_ERROR;
    if (mnl_cb_run(buf, (size_t)n, w->seq, mnl_socket_get_portid(w->delete), NULL, NULL) >= 0) w->count++;
    else if (errno != ENOENT) return MNL_CB_ERROR; // it may have ended by itself meanwhile
    return MNL_CB_OK;
}

static int look(const struct nlmsghdr *h, void *ctx)
{
    struct work *w = ctx;
    bool v4 = bw_addr_is_v4(w->source);
    size_t len = v4 ? 4 : 16;
    const uint8_t *source = v4 ? bw_addr_v4_bytes(w->source) : w->source->b;
    const struct nlattr *orig = NULL, *reply = NULL, *zone = NULL, *a;
    mnl_attr_for_each(a, h, sizeof(struct nfgenmsg)) {
        if (mnl_attr_get_type(a) == CTA_TUPLE_ORIG) orig = a;
        if (mnl_attr_get_type(a) == CTA_TUPLE_REPLY) reply = a;
        if (mnl_attr_get_type(a) == CTA_ZONE) zone = a;
    }
    if (!orig || !reply) return MNL_CB_OK;
    const uint8_t *from = tuple_addr(orig, v4, CTA_IP_V4_SRC, CTA_IP_V6_SRC), *back = tuple_addr(reply, v4, CTA_IP_V4_DST, CTA_IP_V6_DST);
    if (!from || !back || memcmp(back, source, len) || !memcmp(from, source, len)) return MNL_CB_OK;
    return delete(w, orig, zone, v4);
}

static int forget(struct work *w)
{
    uint8_t buf[16384] __attribute__((aligned(8)));
    uint32_t seq = ++w->seq;
    struct nlmsghdr *h = request(buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP, seq, bw_addr_is_v4(w->source));
    if (mnl_socket_sendto(w->list, h, h->nlmsg_len) < 0) return MNL_CB_ERROR;
    int more = MNL_CB_OK;
    while (more > MNL_CB_STOP) {
        ssize_t n = mnl_socket_recvfrom(w->list, buf, sizeof buf);
        if (n < 0) return MNL_CB_ERROR;
        more = mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(w->list), look, w);
    }
    return more;
}

int os_conntrack_forget(const struct bw_addr *source, char *why, size_t n)
{
    struct work w = {.list = open_socket(), .delete = open_socket(), .source = source, .seq = (uint32_t)time(NULL)};
    int err = w.list && w.delete ? forget(&w) : MNL_CB_ERROR, e = errno;
    if (w.list) mnl_socket_close(w.list);
    if (w.delete) mnl_socket_close(w.delete);
    if (err != MNL_CB_ERROR) return w.count;
    errno = e;
    err = e == EPERM || e == EACCES ? BW_ERR_DENIED : e == EINVAL || e == EOPNOTSUPP || e == EPROTONOSUPPORT ? BW_ERR_UNSUPPORTED : BW_ERR_SYS;
    return os_why(err, why, n, "the kernel's memory of connections (ctnetlink) cannot be changed: %m");
}
