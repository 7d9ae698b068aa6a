// rtnetlink messages -> checked structs. The kernel is trusted to mean well but not to send exactly what we know:
// unknown attributes are passed over, missing ones are zero, wrong lengths are an error, and no byte is read that is
// not there.
#ifndef OS_NLDECODE_H
#define OS_NLDECODE_H

#include "os/netlink.h"

enum os_nl_what { OS_NL_LINK, OS_NL_ADDR, OS_NL_ROUTE, OS_NL_RULE, OS_NL_RESYNC };

struct os_nl_event {
    enum os_nl_what what;
    bool gone; // deleted; else new or changed
    union {
        struct os_link link;
        struct os_ifaddr addr;
        struct os_route route;
        struct os_rule rule;
    };
};

// One message, its header (struct nlmsghdr) included; n is what is left of the buffer and may be more than the message.
// BW_ERR_UNSUPPORTED: well-formed but nothing of ours (another type or family). BW_ERR_SHORT, BW_ERR_MALFORMED.
// A multipath route is given with its first hop.
int os_nl_decode(const void *msg, size_t n, struct os_nl_event *out) BW_NODISCARD;

#endif
