// Values under /proc/sys, put back when we go. What was changed is noted in the store before it is changed, so that the
// next start puts it back after a SIGKILL (only within the same boot and network namespace, and only where the value is
// still the one that we wrote: whoever changed it since then knows better).
#ifndef OS_SYSCTL_H
#define OS_SYSCTL_H

#include <stddef.h>

#include "base/err.h"
#include "os/store.h"

#define OS_SYSCTL_VALUE 64

// name with slashes: "net/ipv6/conf/eth0.5/accept_ra". BW_ERR_NOTFOUND; BW_ERR_SYS.
int os_sysctl_read(const char *name, char out[OS_SYSCTL_VALUE]) BW_NODISCARD;

struct os_sysctl;
// store is borrowed and may be NULL (nothing is remembered over a SIGKILL). Puts back what a killed run has left.
int os_sysctl_open(struct os_store *store, struct os_sysctl **out) BW_NODISCARD;
// Does nothing if the value is so already. BW_ERR_DENIED, BW_ERR_SYS: /proc/sys is read-only or not ours (container).
int os_sysctl_set(struct os_sysctl *s, const char *name, const char *value, char *why, size_t n) BW_NODISCARD;
// What it was before we changed it; what it is, if we did not.
int os_sysctl_before(struct os_sysctl *s, const char *name, char out[OS_SYSCTL_VALUE]) BW_NODISCARD;
// Puts one value back, or all of them. An interface that has gone meanwhile is no error.
void os_sysctl_restore(struct os_sysctl *s, const char *name);
void os_sysctl_restore_all(struct os_sysctl *s);
void os_sysctl_close(struct os_sysctl *s); // restores all; NULL is fine

// What an exit needs: IPv4 and IPv6 forwarding on, and accept_ra = 2 on the uplink (if it is 1) so that forwarding does
// not cut the uplink's own router advertisements. uplink6 may be NULL. accept_ra goes first, so no advertisement is
// missed.
int os_sysctl_forwarding(struct os_sysctl *s, const char *uplink6, char *why, size_t n) BW_NODISCARD;

#endif
