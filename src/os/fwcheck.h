// Firewalls of others that drop forwarded packets (Docker, ufw, firewalld, by nftables or iptables-nft): an exit behind
// one has rules in place and passes nothing, so it is found and named.
#ifndef OS_FWCHECK_H
#define OS_FWCHECK_H

#include <stdbool.h>

#include "os/nft.h"

// Looks at every chain of the forward hook outside own_table ("inet byway"): a drop policy, or a rule without condition
// that drops or rejects, counts, unless a rule of that table's accepts packets from iface (our TUN).
// Returns 1 with a name such as `table "ip filter" chain FORWARD (looks like Docker)` in which, 0 if there is none.
int os_nft_foreign_forward_drop(struct os_nft *f, const char *own_table, const char *iface, char *which,
                                size_t n) BW_NODISCARD;

// The same on the text of `nft -t list ruleset`; pure, for tests.
bool os_fwcheck_text(const char *ruleset, const char *own_table, const char *iface, char *which, size_t n);

#endif
