// Answers to our echo requests, as raw sockets give them: an IPv4 packet, an ICMPv6 message.
#include <stdlib.h>

#include "os/icmp.h"

static void look(int err, const struct os_icmp_reply *r, size_t size)
{
    if (err) return;
    if (r->kind > OS_ICMP_OTHER || r->size > size || (r->mtu && r->kind != OS_ICMP_TOO_BIG)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct os_icmp_reply r = {0};
    int err = os_icmp4_decode(data, size, &r);
    look(err, &r, size);
    r = (struct os_icmp_reply){0};
    err = os_icmp6_decode(data, size, &r);
    look(err, &r, size);
    return 0;
}
