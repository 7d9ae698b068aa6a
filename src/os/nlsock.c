#include "os/nlsock.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "os/why.h"

int os_nl_open(struct os_nl **out, char *why, size_t n)
{
    struct os_nl *nl = calloc(1, sizeof *nl);
    if (!nl) return os_why(BW_ERR_NOMEM, why, n, "out of memory");
    nl->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (!nl->sock || mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID)) {
        os_why(0, why, n, "the kernel's network configuration (rtnetlink) cannot be reached: %m");
        os_nl_close(nl);
        return BW_ERR_SYS;
    }
    int on = 1;
    mnl_socket_setsockopt(nl->sock, NETLINK_EXT_ACK, &on, sizeof on); // older kernels only give errno
    mnl_socket_setsockopt(nl->sock, NETLINK_CAP_ACK, &on, sizeof on);
    struct timeval limit = {.tv_sec = 5}; // the kernel answers at once; a lost answer must not hang the daemon
    setsockopt(mnl_socket_get_fd(nl->sock), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    *out = nl;
    return 0;
}

void os_nl_close(struct os_nl *nl)
{
    if (!nl) return;
    if (nl->sock) mnl_socket_close(nl->sock);
    free(nl);
}

const char *os_nl_error(const struct os_nl *nl)
{
    return nl->error;
}

struct nlmsghdr *nlsock_start(struct os_nl *nl, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(nl->request);
    h->nlmsg_type = type;
    // A dump ends with DONE by itself. (NLM_F_DUMP shares its bits with REPLACE and EXCL: compare all of it.)
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags | (flags == NLM_F_DUMP ? 0 : NLM_F_ACK));
    h->nlmsg_seq = ++nl->seq;
    return h;
}

void nlsock_put_addr(struct nlmsghdr *h, uint16_t type, const struct bw_addr *a)
{
    if (bw_addr_is_v4(a)) mnl_attr_put(h, type, 4, bw_addr_v4_bytes(a));
    else mnl_attr_put(h, type, 16, a->b);
}

static int from_errno(int e)
{
    switch (e) {
    case 0:
        return 0;
    case EEXIST:
        return BW_ERR_EXISTS;
    case ESRCH:
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case EADDRNOTAVAIL:
        return BW_ERR_NOTFOUND;
    case EPERM:
    case EACCES:
        return BW_ERR_DENIED;
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
        return BW_ERR_UNSUPPORTED;
    default:
        return BW_ERR_SYS;
    }
}

// The kernel's words behind an error, if it sent any (NLMSGERR_ATTR_MSG).
static const char *kernel_words(const struct nlmsghdr *h)
{
    if (!(h->nlmsg_flags & NLM_F_ACK_TLVS)) return NULL;
    size_t skip = sizeof(struct nlmsgerr);
    const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);
    if (!(h->nlmsg_flags & NLM_F_CAPPED)) skip += e->msg.nlmsg_len - sizeof(struct nlmsghdr);
    if (mnl_nlmsg_get_payload_len(h) < skip) return NULL;
    const struct nlattr *a = mnl_nlmsg_get_payload_offset(h, skip);
    const char *end = mnl_nlmsg_get_payload_tail(h);
    for (; mnl_attr_ok(a, (int)(end - (const char *)a)); a = mnl_attr_next(a))
        if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG && !mnl_attr_validate(a, MNL_TYPE_NUL_STRING))
            return mnl_attr_get_str(a);
    return NULL;
}

static int on_error(struct os_nl *nl, const struct nlmsghdr *h)
{
    const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);
    if (mnl_nlmsg_get_payload_len(h) < sizeof *e) {
        errno = EPROTO;
        return BW_ERR_SYS;
    }
    const char *words = kernel_words(h);
    errno = -e->error;
    if (errno) snprintf(nl->error, sizeof nl->error, "%m%s%s", words ? ": " : "", words ? words : "");
    return from_errno(errno);
}

struct asking {
    nlsock_fn *fn;
    void *ctx;
    int result; // what fn said, or BW_ERR_AGAIN
    bool stopped, done;
};

static int on_message(struct os_nl *nl, const struct nlmsghdr *h, struct asking *q)
{
    if (h->nlmsg_flags & NLM_F_DUMP_INTR && !q->result) q->result = BW_ERR_AGAIN;
    if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
        q->done = true;
        // A dump's end carries an error as well when the dump failed in the middle.
        int32_t e = 0;
        if (h->nlmsg_type == NLMSG_ERROR) return on_error(nl, h);
        if (mnl_nlmsg_get_payload_len(h) >= sizeof e) memcpy(&e, mnl_nlmsg_get_payload(h), sizeof e);
        if (e >= 0) return 0;
        errno = -e;
        snprintf(nl->error, sizeof nl->error, "%m");
        return from_errno(errno);
    }
    struct os_nl_event event;
    if (!q->fn || q->stopped || os_nl_decode(h, h->nlmsg_len, &event)) return 0;
    int r = q->fn(q->ctx, &event);
    if (r) {
        q->result = r;
        q->stopped = true; // the rest of the dump must still be read away
    }
    return 0;
}

int nlsock_ask(struct os_nl *nl, struct nlmsghdr *h, nlsock_fn *fn, void *ctx)
{
    struct asking q = {.fn = fn, .ctx = ctx};
    uint32_t seq = h->nlmsg_seq;
    BW_ASSERT(h->nlmsg_len <= sizeof nl->request);
    nl->error[0] = 0;
    if (mnl_socket_sendto(nl->sock, h, h->nlmsg_len) < 0) {
        snprintf(nl->error, sizeof nl->error, "%m");
        return BW_ERR_SYS;
    }
    while (!q.done) {
        ssize_t got = mnl_socket_recvfrom(nl->sock, nl->answer, sizeof nl->answer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            snprintf(nl->error, sizeof nl->error, "%m");
            return BW_ERR_SYS;
        }
        int left = (int)got, err = 0;
        for (const struct nlmsghdr *m = (void *)nl->answer; !q.done && mnl_nlmsg_ok(m, left);
             m = mnl_nlmsg_next(m, &left))
            if (m->nlmsg_seq == seq) err = on_message(nl, m, &q);
        if (err) return err;
    }
    return q.result;
}
