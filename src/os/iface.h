// Which interfaces discovery may use (INTERFACES, [discover] interfaces). One pure function, so that a table tests it.
//
// Named by the user: fit as soon as it is up, has carrier, takes multicast and is not loopback. With "auto" also:
//   1. the link type is Ethernet (ARPHRD_ETHER): no TUN, WireGuard, PPP, loopback, IP tunnel;
//   2. it has no master: bridge and bond members are reached through the bridge or bond, which is itself fit;
//   3. its kind is none of those that only wrap another interface or reach nowhere physical: dummy, ifb, vxlan, geneve,
//      gretap, ip6gretap, erspan, macsec, vcan, nlmon, openvswitch, team_slave. Hardware ("") and VLANs, bridges,
//      bonds, teams, batadv, macvlan, ipvlan, veth and TAP ("tun") are fit: in namespaces these are a node's Ethernet;
//   4. its name is none that container engines and virtual machine managers give to the bridges and taps that hold only
//      their own guests: docker*, br-<12 hex>, virbr*, lxcbr*, lxdbr*, incusbr*, cni*, cbr*, podman*, flannel*, cali*,
//      cilium*, lxc_*, kube-*, ve-*, vnet*, tap*, macvtap*, vmnet*, vboxnet*, zt*, tailscale*, byway*.
#ifndef OS_IFACE_H
#define OS_IFACE_H

#include <stdbool.h>

#include "os/netlink.h"

enum os_iface_fit {
    OS_IFACE_FIT,
    OS_IFACE_DOWN, // not up or no carrier
    OS_IFACE_NOT_MULTICAST,
    OS_IFACE_LOOPBACK,
    OS_IFACE_NOT_ETHERNET,
    OS_IFACE_PORT,    // a member of a bridge or bond
    OS_IFACE_VIRTUAL, // rule 3
    OS_IFACE_GUESTS,  // rule 4
};

enum os_iface_fit os_iface_judge(const struct os_link *l, bool named_by_user);
const char *os_iface_fit_text(enum os_iface_fit f); // "is a port of a bridge or bond", ...

#endif
