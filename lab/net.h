// The little of rtnetlink that a lab needs. All work in the calling thread's network namespace; 0 or BW_ERR_SYS.
#ifndef LAB_NET_H
#define LAB_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

int net_up(const char *ifname) BW_NODISCARD;
int net_address(const char *ifname, const char *address, unsigned len) BW_NODISCARD; // no duplicate detection
// To ADDRESS/len by gateway (or NULL: on the link itself) out of ifname.
int net_route(const char *address, unsigned len, const char *gateway, const char *ifname) BW_NODISCARD;
// Writes /proc/sys/NAME, whose parts are joined by '/'.
int net_sysctl(const char *name, const char *value);

#endif
