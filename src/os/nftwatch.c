#include "os/nftwatch.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "os/watch.h"
#include "os/why.h"

#define READS_PER_TURN 64
#define TABLE_NAME 1 // NFTA_TABLE_NAME, NFTA_CHAIN_TABLE and NFTA_RULE_TABLE: the same place in all three

struct os_nftwatch {
    struct mnl_socket *sock;
    struct os_watch *watch;
    const char *tables[OS_NFTWATCH_TABLES];
    unsigned count;
    os_nftwatch_fn *fn;
    void *ctx;
    uint8_t buf[16384] __attribute__((aligned(8)));
};

static bool takes_away(const struct nlmsghdr *m)
{
    if (NFNL_SUBSYS_ID(m->nlmsg_type) != NFNL_SUBSYS_NFTABLES) return false;
    if (m->nlmsg_len < NLMSG_HDRLEN + sizeof(struct nfgenmsg)) return false;
    switch (NFNL_MSG_TYPE(m->nlmsg_type)) {
    case NFT_MSG_DELTABLE:
    case NFT_MSG_DELCHAIN:
    case NFT_MSG_DELRULE: return ((const struct nfgenmsg *)mnl_nlmsg_get_payload(m))->nfgen_family == NFPROTO_INET;
    default: return false;
    }
}

static bool is_ours(const struct os_nftwatch *w, const struct nlmsghdr *m)
{
    const struct nlattr *a;
    mnl_attr_for_each(a, m, sizeof(struct nfgenmsg))
    {
        if (mnl_attr_get_type(a) != TABLE_NAME || mnl_attr_validate(a, MNL_TYPE_NUL_STRING) < 0) continue;
        for (unsigned i = 0; i < w->count; i++)
            if (!strcmp(mnl_attr_get_str(a), w->tables[i])) return true;
    }
    return false;
}

void os_nftwatch_look(struct os_nftwatch *w)
{
    if (!w) return;
    bool gone = false;
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t got = mnl_socket_recvfrom(w->sock, w->buf, sizeof w->buf);
        if (got < 0 && (errno == EINTR || errno == ENOBUFS || errno == ENOSPC)) {
            gone |= errno != EINTR; // something was lost
            continue;
        }
        if (got < 0) break;
        int left = (int)got;
        for (const struct nlmsghdr *m = (void *)w->buf; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left))
            gone |= takes_away(m) && is_ours(w, m);
    }
    if (gone) w->fn(w->ctx);
}

static void on_readable(void *ctx, int events)
{
    (void)events;
    os_nftwatch_look(ctx);
}

// The last message of each change says what program made it.
static bool ends_change(const struct nlmsghdr *m)
{
    return NFNL_SUBSYS_ID(m->nlmsg_type) == NFNL_SUBSYS_NFTABLES && NFNL_MSG_TYPE(m->nlmsg_type) == NFT_MSG_NEWGEN &&
           m->nlmsg_len >= NLMSG_HDRLEN + sizeof(struct nfgenmsg);
}

static bool by_us(const struct nlmsghdr *m)
{
    char name[16] = "";
    const struct nlattr *a;
    prctl(PR_GET_NAME, name);
    mnl_attr_for_each(a, m, sizeof(struct nfgenmsg))
    {
        if (mnl_attr_get_type(a) == NFTA_GEN_PROC_NAME && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
            return !strcmp(mnl_attr_get_str(a), name);
    }
    return true; // an old kernel does not say
}

void os_nftwatch_mine(struct os_nftwatch *w)
{
    if (!w) return;
    bool gone = false, others = false;
    for (;;) {
        ssize_t got = mnl_socket_recvfrom(w->sock, w->buf, sizeof w->buf);
        if (got < 0 && (errno == EINTR || errno == ENOBUFS || errno == ENOSPC)) continue; // our own may have been too many
        if (got < 0) break;
        int left = (int)got;
        for (const struct nlmsghdr *m = (void *)w->buf; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
            gone |= takes_away(m) && is_ours(w, m);
            if (!ends_change(m)) continue;
            others |= gone && !by_us(m);
            gone = false;
        }
    }
    if (others) w->fn(w->ctx);
}

int os_nftwatch_open(uv_loop_t *loop, const char *const *tables, unsigned count, os_nftwatch_fn *fn, void *ctx,
                     struct os_nftwatch **out, char *why, size_t n)
{
    BW_ASSERT(count <= OS_NFTWATCH_TABLES);
    struct os_nftwatch *w = calloc(1, sizeof *w);
    if (!w) return os_why(BW_ERR_NOMEM, why, n, "out of memory");
    for (unsigned i = 0; i < count; i++) w->tables[i] = tables[i];
    w->count = count;
    w->fn = fn;
    w->ctx = ctx;
    int group = NFNLGRP_NFTABLES;
    w->sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (!w->sock || mnl_socket_bind(w->sock, 0, MNL_SOCKET_AUTOPID) ||
        mnl_socket_setsockopt(w->sock, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0 ||
        os_watch_open(loop, mnl_socket_get_fd(w->sock), UV_READABLE, on_readable, w, &w->watch)) {
        os_why(0, why, n, "changes of the firewall cannot be watched: %m");
        os_nftwatch_close(w);
        return BW_ERR_SYS;
    }
    *out = w;
    return 0;
}

void os_nftwatch_close(struct os_nftwatch *w)
{
    if (!w) return;
    os_watch_close(w->watch, false);
    if (w->sock) mnl_socket_close(w->sock);
    free(w);
}
