// What the kernel knows of the mesh: addresses on the TUN, routes into it, and, while an exit is in use, the policy that
// sends everything but the underlay's own packets and the LAN's through the tunnel.
//
//   TUN           mesh address /128, fc00::e/128 while sharing, gateway addresses while sharing, leased addresses
//   table main    fc00::/8, lease pools, the exit's gateway -> TUN
//   table 4870    default routes -> TUN (a family that the lease lacks: unreachable)
//   table 4872    believed prefixes -> TUN
//   rules 4869    all: table main, but no default route of it        so that the LAN stays reachable; with killswitch = yes
//                                                                    no route to more than a /8 either (another VPN's 0.0.0.0/1)
//         4870    not mark 0x4870: table 4872, but no default either  the underlay's packets carry the mark: whatever neighbours
//                                                                    announce, it does not catch packets to neighbours
//         4871    not mark 0x4870: table 4870
//         4872    not mark 0x4870: table 4871 (unreachable)           killswitch = yes: always there, exit or none
//        32768    not mark 0x4870: table 4872                         after the machine's own default route, if it has one
//
// Everything carries byway's route protocol number, is diffed against what was set before, and is taken away by
// netconf_remove, or by netconf_clean at the next start if the node was killed.
#ifndef DAEMON_NETCONF_H
#define DAEMON_NETCONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "core/exit/client.h"
#include "core/exit/server.h"
#include "os/netlink.h"
#include "os/sysctl.h"

#define NETCONF_TABLE 4870
#define NETCONF_TABLE_KILL 4871
#define NETCONF_TABLE_MESH 4872
#define NETCONF_MARK 0x4870
#define NETCONF_RULE_LAN 4869
#define NETCONF_RULE_MESH 4870
#define NETCONF_RULE_EXIT 4871
#define NETCONF_RULE_KILL 4872
#define NETCONF_RULE_LAST 32768

struct netconf_want { // pointers must live during netconf_apply only
    const char *tun;
    uint32_t ifindex;                // of the TUN
    uint16_t mtu;
    struct bw_addr mesh;
    const struct bw_prefix *believed; // selected routes outside fc00::/8 (imported prefixes), not our own
    unsigned believed_count;
    struct bw_addr home4;            // own IPv4 address in a network that we export: what others answer to; zero: none
    bool shares;                     // fc00::e is us
    struct exits_plan share;
    struct exitc_plan exit;
    bool killswitch;
};

struct netconf;

struct netconf *netconf_new(struct os_nl *nl, struct os_sysctl *sysctl); // NULL: no memory. Both borrowed; sysctl may be NULL
void netconf_free(struct netconf *n);               // does not touch the kernel
int netconf_clean(struct netconf *n, char *why, size_t why_size) BW_NODISCARD; // leftovers of a run that was killed
int netconf_apply(struct netconf *n, const struct netconf_want *w, char *why, size_t why_size) BW_NODISCARD;
// Some other program may have taken our routes or rules away (it happens when a network manager restarts): the next apply sets
// all of them anew.
void netconf_again(struct netconf *n);
void netconf_remove(struct netconf *n);

#endif
