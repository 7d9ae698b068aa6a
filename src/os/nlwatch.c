#include "os/nlwatch.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "os/watch.h"
#include "os/why.h"

#define GROUP(g) (1u << ((g)-1))
#define GROUPS                                                                                                         \
    (GROUP(RTNLGRP_LINK) | GROUP(RTNLGRP_IPV4_IFADDR) | GROUP(RTNLGRP_IPV6_IFADDR) | GROUP(RTNLGRP_IPV4_ROUTE) |       \
     GROUP(RTNLGRP_IPV6_ROUTE) | GROUP(RTNLGRP_IPV4_RULE) | GROUP(RTNLGRP_IPV6_RULE))
#define READS_PER_TURN 64 // then the loop gets its turn

struct os_nlwatch {
    struct mnl_socket *sock;
    struct os_watch *watch;
    os_nlwatch_fn *fn;
    void *ctx;
    uint8_t buf[16384] __attribute__((aligned(8)));
};

// What stands in the queue is older than what was lost, and until the queue is empty the kernel neither takes new
// messages nor says so again: so everything is thrown away first and the tale begins anew.
static void start_anew(struct os_nlwatch *w)
{
    ssize_t got;
    do {
        got = recv(mnl_socket_get_fd(w->sock), w->buf, sizeof w->buf, 0);
    } while (got >= 0 || errno == EINTR || errno == ENOBUFS);
    w->fn(w->ctx, &(struct os_nl_event){.what = OS_NL_RESYNC});
}

static void on_readable(void *ctx, int events)
{
    (void)events;
    struct os_nlwatch *w = ctx;
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t got = mnl_socket_recvfrom(w->sock, w->buf, sizeof w->buf);
        if (got < 0 && errno == EINTR) continue;
        // ENOBUFS: our queue ran over. ENOSPC: libmnl's word for a message that was cut. Both: something was lost.
        if (got < 0 && (errno == ENOBUFS || errno == ENOSPC)) {
            start_anew(w);
            return;
        }
        if (got < 0) return;
        int left = (int)got;
        for (const struct nlmsghdr *m = (void *)w->buf; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
            struct os_nl_event e;
            if (!os_nl_decode(m, m->nlmsg_len, &e)) w->fn(w->ctx, &e);
        }
    }
}

int os_nlwatch_open(uv_loop_t *loop, os_nlwatch_fn *fn, void *ctx, struct os_nlwatch **out, char *why, size_t n)
{
    struct os_nlwatch *w = calloc(1, sizeof *w);
    if (!w) return os_why(BW_ERR_NOMEM, why, n, "out of memory");
    w->fn = fn;
    w->ctx = ctx;
    w->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (!w->sock || mnl_socket_bind(w->sock, GROUPS, MNL_SOCKET_AUTOPID) ||
        os_watch_open(loop, mnl_socket_get_fd(w->sock), UV_READABLE, on_readable, w, &w->watch)) {
        os_why(0, why, n, "changes of network interfaces (rtnetlink) cannot be watched: %m");
        os_nlwatch_close(w);
        return BW_ERR_SYS;
    }
    int size = 1 << 20; // bursts: a full routing table of another daemon
    if (setsockopt(mnl_socket_get_fd(w->sock), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(mnl_socket_get_fd(w->sock), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    *out = w;
    return 0;
}

void os_nlwatch_close(struct os_nlwatch *w)
{
    if (!w) return;
    os_watch_close(w->watch, false);
    if (w->sock) mnl_socket_close(w->sock);
    free(w);
}
