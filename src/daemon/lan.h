// Router mode, [lan] interfaces: this node is a house's router. Each of the interfaces gets a private IPv4 network (a /24 that
// overlaps nothing this machine knows) and a /64 of fd00::/8, both derived from the node's address so that they are the same
// after a restart; dnsmasq, run as our child, hands out addresses and answers names there. What the house's machines send is
// forwarded and translated like this machine's own packets: share.h does that, guard.h keeps it in.
//
//   lan_clean   at start: addresses that a killed run left (noted in the store before they were set)
//   lan_apply   whenever something changed: interfaces come and go, name servers change
//   lan_close   dnsmasq ends, the addresses go
#ifndef DAEMON_LAN_H
#define DAEMON_LAN_H

#include <stdbool.h>
#include <uv.h>

#include "base/addr.h"
#include "base/log.h"
#include "daemon/config.h"
#include "os/netlink.h"
#include "os/store.h"

#define LAN_SERVERS 8

struct lan_net { // one interface that is served
    char name[CONFIG_IFNAME];
    uint32_t ifindex;
    struct bw_prefix v4, v6;
    struct bw_addr gateway4, gateway6; // ours
};

struct lan_want { // pointers must live during lan_apply only
    const struct config_lan *config;
    uint32_t tun;                       // its interface index
    const char *uplink4, *uplink6;      // interfaces that cannot be served: the Internet is behind them
    const struct bw_prefix *believed;   // prefixes in the mesh to keep clear of
    unsigned believed_count;
    const struct bw_endpoint *servers;  // whom dnsmasq asks: the exit's while one is in use, else the machine's own
    size_t server_count;
};

struct lan;
// Borrows all; me: the node's mesh address.
struct lan *lan_new(uv_loop_t *loop, struct os_nl *nl, struct os_store *store, struct bw_log *log, const char *state_dir,
                    const struct bw_addr *me); // NULL: no memory
int lan_clean(struct lan *l, char *why, size_t n) BW_NODISCARD;
int lan_apply(struct lan *l, const struct lan_want *w, char *why, size_t n) BW_NODISCARD; // why: also what to do
const struct lan_net *lan_nets(const struct lan *l, unsigned *count); // those that stand now
// What is wrong with dnsmasq, as a sentence with what to do; NULL: nothing.
const char *lan_trouble(const struct lan *l);
void lan_close(struct lan *l); // NULL is fine

// dnsmasq's configuration, for lan_apply and tests. Returns its length, or BW_ERR_SHORT.
int lan_dnsmasq(const struct lan_net *nets, unsigned count, const char *state_dir, char *out, size_t cap) BW_NODISCARD;
// The i-th network that this node would take; pure.
struct bw_prefix lan_candidate4(const struct bw_addr *me, unsigned i);
struct bw_prefix lan_candidate6(const struct bw_addr *me, unsigned i);

#endif
