// What this machine is connected to: its default routes, and the prefixes that it can reach without the mesh.
#ifndef OS_LOCAL_H
#define OS_LOCAL_H

#include "os/netlink.h"

// The best default route of the family in the main table that does not leave through skip_if (our TUN) and is not of
// our own making: lowest metric, link usable. BW_ERR_NOTFOUND if there is none.
int os_local_uplink(struct os_nl *nl, bool v4, uint32_t skip_if, struct os_route *out) BW_NODISCARD;

// Every prefix that is local: networks of our addresses, and unicast routes other than defaults in the main table;
// nothing of byway's own (protocol OS_NL_PROTO, interface skip_if), no link-local, multicast or loopback. Each may come
// more than once.
typedef int os_local_fn(void *ctx, const struct bw_prefix *p, uint32_t index);
int os_local_prefixes(struct os_nl *nl, uint32_t skip_if, os_local_fn *fn, void *ctx) BW_NODISCARD;

// The networks of our own addresses alone, in the same way: what is on the wires that we are on.
int os_local_onlink(struct os_nl *nl, uint32_t skip_if, os_local_fn *fn, void *ctx) BW_NODISCARD;

// The first of the machine's own addresses that lies in one of these prefixes. BW_ERR_NOTFOUND: none.
int os_local_addr_in(struct os_nl *nl, const struct bw_prefix *p, unsigned count, struct bw_addr *out) BW_NODISCARD;

#endif
