#include "os/iface.h"

#include <ctype.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>

// Rule 3.
static const char *const virtual_kinds[] = {"dummy",     "ifb",         "vxlan",      "geneve", "gretap",
                                            "ip6gretap", "erspan",      "ip6erspan",  "macsec", "vcan",
                                            "nlmon",     "openvswitch", "team_slave", NULL};
// Rule 4: prefixes; what follows is the engine's own numbering.
static const char *const guest_names[] = {"docker",  "virbr",  "lxcbr",     "lxdbr", "incusbr", "cni",
                                          "cbr",     "podman", "flannel",   "cali",  "cilium",  "lxc_",
                                          "kube-",   "ve-",    "vnet",      "tap",   "macvtap", "vmnet",
                                          "vboxnet", "zt",     "tailscale", "byway", NULL};

static bool is_one_of(const char *s, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(s, *list)) return true;
    return false;
}

// Docker's user-made networks: "br-" and 12 hex digits. "br-lan" is OpenWrt's and a home.
static bool is_docker_bridge(const char *s)
{
    if (strncmp(s, "br-", 3) || strlen(s) != 15) return false;
    for (s += 3; *s; s++)
        if (!isxdigit((unsigned char)*s)) return false;
    return true;
}

static bool holds_guests(const char *name)
{
    for (const char *const *p = guest_names; *p; p++)
        if (!strncmp(name, *p, strlen(*p))) return true;
    return is_docker_bridge(name);
}

enum os_iface_fit os_iface_judge(const struct os_link *l, bool named_by_user)
{
    if (l->flags & IFF_LOOPBACK || l->type == ARPHRD_LOOPBACK) return OS_IFACE_LOOPBACK;
    if (!named_by_user) {
        if (l->type != ARPHRD_ETHER) return OS_IFACE_NOT_ETHERNET;
        if (l->master || l->slave_kind[0]) return OS_IFACE_PORT;
        if (is_one_of(l->kind, virtual_kinds)) return OS_IFACE_VIRTUAL;
        if (holds_guests(l->name)) return OS_IFACE_GUESTS;
    }
    if (!(l->flags & IFF_MULTICAST)) return OS_IFACE_NOT_MULTICAST;
    // Last, so that the reason that is told is the one that lasts.
    if (!(l->flags & IFF_UP) || !(l->flags & IFF_RUNNING) || !l->carrier) return OS_IFACE_DOWN;
    return OS_IFACE_FIT;
}

const char *os_iface_fit_text(enum os_iface_fit f)
{
    switch (f) {
    case OS_IFACE_FIT:
        return "is used";
    case OS_IFACE_DOWN:
        return "is down or has no carrier";
    case OS_IFACE_NOT_MULTICAST:
        return "does not take multicast";
    case OS_IFACE_LOOPBACK:
        return "is loopback";
    case OS_IFACE_NOT_ETHERNET:
        return "is not Ethernet-like (name it in [discover] interfaces to use it)";
    case OS_IFACE_PORT:
        return "is a port of a bridge or bond, which is used instead";
    case OS_IFACE_VIRTUAL:
        return "is virtual (name it in [discover] interfaces to use it)";
    case OS_IFACE_GUESTS:
        return "belongs to containers, virtual machines or another overlay (name it in [discover] interfaces to use "
               "it)";
    }
    return "is unknown";
}
