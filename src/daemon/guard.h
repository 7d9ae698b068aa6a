// The guard: an nftables table of its own, `inet byway-guard`, that keeps packets off the uplink which belong into the tunnel.
// Policy routing already sends them there; the guard holds where routing is wrong, late or changed by others.
//
//   kill switch   [internet] killswitch = yes. What this machine sends, and what it forwards, leaves by lo, by the TUN, marked
//                 as the underlay's own, to private addresses (the LAN), or is DHCP, neighbour discovery or link-local
//                 multicast. Everything else is refused, whatever route it found.
//   DNS           while an exit is in use, and always with the kill switch, unless internet.dns = none: nothing to port 53 or 853
//                 leaves but by lo, by the TUN or marked, also not to a resolver in the LAN.
//
// It stands before the first packet and is replaced in one transaction. It is a table of its own because it may outlive the
// node: after a crash, a SIGKILL or a failed start the kill switch stays until the next start decides, or until
// GUARD_LIFT is typed. An orderly end takes it away.
#ifndef DAEMON_GUARD_H
#define DAEMON_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "os/nft.h"

#define GUARD_TABLE "byway-guard"
#define GUARD_LIFT "nft delete table inet " GUARD_TABLE

struct guard_rules {
    const char *tun;
    bool killswitch;
    bool dns;
};

// The rule set as nft text, table definition included. Returns its length, or BW_ERR_SHORT: cap too small.
int guard_ruleset(const struct guard_rules *r, char *out, size_t cap) BW_NODISCARD;

struct guard {
    struct os_nft *nft; // borrowed
    struct {
        char tun[16];
        bool known, killswitch, dns;
    } now; // what stands in the kernel; known: as far as we know
};

void guard_init(struct guard *g, struct os_nft *nft);
void guard_again(struct guard *g); // somebody took it away: the next guard_apply puts it back
// Nothing wanted: the table goes, also one that an earlier run left. Unchanged: does nothing.
int guard_apply(struct guard *g, const struct guard_rules *r, char *why, size_t n) BW_NODISCARD;

#endif
