// The machine as a gate between mesh, LAN and Internet: one nftables table, `inet byway`, and the kernel's forwarding switches.
// It is always there while the node runs (the mesh may open on this machine only what [firewall] allow says), and holds the
// NAT while the node shares its Internet connection or sends others' traffic through its own exit.
//
// The whole table is replaced in one transaction on every change: what stands in the kernel is always a complete rule set.
// Connections survive that, since their state is conntrack's; but those that were translated to the address of an exit that is
// no longer there for them are forgotten, so that their next packet gets the new one. Call order: share_clean at start (leftovers of a killed
// run), share_apply whenever struct share_rules changed, share_remove at the end.
#ifndef DAEMON_SHARE_H
#define DAEMON_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "core/exit/client.h"
#include "core/exit/server.h"
#include "daemon/config.h"
#include "daemon/lan.h"
#include "os/nft.h"
#include "os/sysctl.h"

#define SHARE_TABLE "byway" // inet byway
#define SHARE_API_PORT 4870
#define SHARE_SOURCES 4

struct share_rules { // what the table follows from; pointers must live during share_apply only
    const char *tun;
    struct bw_addr mesh;                 // own mesh address
    bool shares;                         // answers for fc00::e
    const struct config_firewall *allow; // what the mesh may open here
    const struct bw_prefix *exports;     // LAN prefixes offered to the mesh
    unsigned export_count;
    const struct bw_prefix *imports;     // [routing] import: reached over the mesh as they are, never translated
    unsigned import_count;
    const struct bw_prefix *connected;   // the machine's own networks: out of bounds for clients
    unsigned connected_count;
    struct exits_plan share;             // from internet_share_plan()
    struct exitc_plan exit;              // from internet_client_plan()
    const char *uplink4, *uplink6;       // interfaces towards the Internet; NULL: none
    const struct lan_net *lan;           // the house behind this node
    unsigned lan_count;
    bool stock;                          // some peer has `internet = yes`
    uint32_t connections, connections_client; // that clients may have at a time, all together and each; 0: any number
    const struct config_rule *block;     // ports that clients may not reach
    unsigned block_count;
    uint16_t mtu;                        // of the TUN
    bool closed4, closed6; // the machine forwarded nothing before us, and goes on forwarding nothing else. share_apply finds out
};

// The rule set as nft text, table definition included; one transaction. Returns its length, or BW_ERR_SHORT: cap too small.
int share_ruleset(const struct share_rules *r, char *out, size_t cap) BW_NODISCARD;

struct share {
    struct os_nft *nft;       // both borrowed; sysctl may be NULL (a test)
    struct os_sysctl *sysctl;
    char *last;               // what stands in the kernel, so that an unchanged rule set is not loaded again
    bool forwarding;          // we turned the kernel's forwarding on
    char uplink6[16];         // whose accept_ra we set with it
    struct bw_addr source[SHARE_SOURCES]; // what connections were translated to for our own exits; zero: nothing
};

// why: what failed, in words, for the log and for status.
void share_init(struct share *s, struct os_nft *nft, struct os_sysctl *sysctl);
int share_clean(struct share *s, char *why, size_t n) BW_NODISCARD;
int share_apply(struct share *s, const struct share_rules *r, char *why, size_t n) BW_NODISCARD;
void share_again(struct share *s);  // somebody took it away: the next share_apply puts it back
void share_remove(struct share *s); // table gone, switches as they were

#endif
