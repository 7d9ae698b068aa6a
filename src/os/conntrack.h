// The kernel's memory of connections (conntrack, by ctnetlink). Loop thread only.
#ifndef OS_CONNTRACK_H
#define OS_CONNTRACK_H

#include <stddef.h>

#include "base/addr.h"
#include "base/err.h"

// Forgets every connection whose packets are given this source address by translation (SNAT). Rules are asked for a
// connection's first packet only, so without this one that never pauses would keep an address that is ours no more; now its next
// packet is a first one. Returns how many there were; BW_ERR_UNSUPPORTED (a kernel without ctnetlink), BW_ERR_DENIED, BW_ERR_SYS.
int os_conntrack_forget(const struct bw_addr *source, char *why, size_t n) BW_NODISCARD;

#endif
