// The dumps of os/netlink.h.
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "os/nlsock.h"

struct dump {
    enum os_nl_what what;
    uint32_t table;
    union {
        os_nl_link_fn *link;
        os_nl_addr_fn *addr;
        os_nl_route_fn *route;
        os_nl_rule_fn *rule;
    };
    void *ctx;
};

static int pass_on(void *ctx, const struct os_nl_event *e)
{
    struct dump *d = ctx;
    if (e->what != d->what || e->gone) return 0;
    switch (e->what) {
    case OS_NL_LINK:
        return d->link(d->ctx, &e->link);
    case OS_NL_ADDR:
        return d->addr(d->ctx, &e->addr);
    case OS_NL_ROUTE:
        if (e->route.flags & RTM_F_CLONED || (d->table && e->route.table != d->table)) return 0;
        return d->route(d->ctx, &e->route);
    case OS_NL_RULE:
        return d->rule(d->ctx, &e->rule);
    default:
        return 0;
    }
}

static int ask(struct os_nl *nl, uint16_t type, size_t header, int family, struct dump *d)
{
    struct nlmsghdr *h = nlsock_start(nl, type, NLM_F_DUMP);
    uint8_t *p = mnl_nlmsg_put_extra_header(h, header);
    p[0] = (uint8_t)family; // the first byte of all these headers
    return nlsock_ask(nl, h, pass_on, d);
}

int os_nl_links(struct os_nl *nl, os_nl_link_fn *fn, void *ctx)
{
    struct dump d = {.what = OS_NL_LINK, .link = fn, .ctx = ctx};
    return ask(nl, RTM_GETLINK, sizeof(struct ifinfomsg), AF_UNSPEC, &d);
}

int os_nl_addrs(struct os_nl *nl, os_nl_addr_fn *fn, void *ctx)
{
    struct dump d = {.what = OS_NL_ADDR, .addr = fn, .ctx = ctx};
    return ask(nl, RTM_GETADDR, sizeof(struct ifaddrmsg), AF_UNSPEC, &d);
}

// A kernel without one of the families answers that it does not know it; then it has none of its routes.
static int both(int err4, int err6)
{
    if (err4 == BW_ERR_UNSUPPORTED || err4 == 0) return err6 == BW_ERR_UNSUPPORTED ? 0 : err6;
    return err4;
}

int os_nl_routes(struct os_nl *nl, uint32_t table, os_nl_route_fn *fn, void *ctx)
{
    struct dump d = {.what = OS_NL_ROUTE, .table = table, .route = fn, .ctx = ctx};
    int err = ask(nl, RTM_GETROUTE, sizeof(struct rtmsg), AF_INET, &d);
    if (err && err != BW_ERR_UNSUPPORTED && err != BW_ERR_AGAIN) return err;
    return both(err, ask(nl, RTM_GETROUTE, sizeof(struct rtmsg), AF_INET6, &d));
}

int os_nl_rules(struct os_nl *nl, os_nl_rule_fn *fn, void *ctx)
{
    struct dump d = {.what = OS_NL_RULE, .rule = fn, .ctx = ctx};
    int err = ask(nl, RTM_GETRULE, sizeof(struct fib_rule_hdr), AF_INET, &d);
    if (err && err != BW_ERR_UNSUPPORTED && err != BW_ERR_AGAIN) return err;
    return both(err, ask(nl, RTM_GETRULE, sizeof(struct fib_rule_hdr), AF_INET6, &d));
}

static int take_link(void *ctx, const struct os_nl_event *e)
{
    if (e->what != OS_NL_LINK) return 0;
    *(struct os_link *)ctx = e->link;
    return 0;
}

int os_nl_link_named(struct os_nl *nl, const char *name, struct os_link *out)
{
    if (!name[0] || strlen(name) >= OS_IFNAME) return BW_ERR_NOTFOUND;
    *out = (struct os_link){0};
    struct nlmsghdr *h = nlsock_start(nl, RTM_GETLINK, 0);
    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    int err = nlsock_ask(nl, h, take_link, out);
    return !err && !out->index ? BW_ERR_NOTFOUND : err;
}
