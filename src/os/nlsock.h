// One question to rtnetlink and its answers. For the files of os/netlink.h only.
#ifndef OS_NLSOCK_H
#define OS_NLSOCK_H

#include <libmnl/libmnl.h>

#include "os/nldecode.h"

struct os_nl {
    struct mnl_socket *sock;
    uint32_t seq;
    char error[256];
    uint8_t request[1024] __attribute__((aligned(8)));
    uint8_t answer[32768] __attribute__((aligned(8))); // the kernel fills up to this much per read of a dump
};

// A request in nl->request: put headers and attributes with mnl_*, then ask.
struct nlmsghdr *nlsock_start(struct os_nl *nl, uint16_t type, uint16_t flags);

// Sends it and reads until the kernel says that it is done. Every well-formed message of ours goes to fn (may be NULL)
// until fn returns something other than 0, which is then the result. BW_ERR_AGAIN: the configuration changed during a
// dump (everything was told, perhaps not consistently).
typedef int nlsock_fn(void *ctx, const struct os_nl_event *e);
int nlsock_ask(struct os_nl *nl, struct nlmsghdr *h, nlsock_fn *fn, void *ctx) BW_NODISCARD;

// An address attribute in its family's size.
void nlsock_put_addr(struct nlmsghdr *h, uint16_t type, const struct bw_addr *a);

#endif
