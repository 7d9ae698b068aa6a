// Our DNS server in the machine's resolver configuration, and the old one back when we go.
//
// Three set-ups are known (os/resolv_ways.h): a systemd-resolved is told over its own command, resolvconf gets a record,
// and a bare /etc/resolv.conf is replaced. While ours is set no other server is asked: where /etc/resolv.conf still names
// another one afterwards (Debian's resolvconf keeps them behind ours, systemd-resolved may list its own), it is replaced
// as well. What the programs do with names of their own (a search domain of the LAN) is the firewall's to stop.
//
// The old file is kept in STATE/resolv.conf.saved before ours is put. Ours says in its first line whose it is; only a
// file with that line is ever put back, so what somebody else wrote meanwhile stays. After a SIGKILL os_resolv_open
// puts it back.
#ifndef OS_RESOLV_H
#define OS_RESOLV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

struct os_resolv;

// May dns = auto touch path ("/etc/resolv.conf")? Yes in the machine's first network namespace, or if the file is a
// mount of its own (`ip netns exec` with /etc/netns/NAME/resolv.conf, containers) or stands in a folder that is not the
// one process 1 sees; and a systemd-resolved that serves this namespace. Else 0 with the reason in why.
bool os_resolv_may(const char *path, char *why, size_t n);

// path NULL: /etc/resolv.conf. Restores what a killed run of the same state folder left.
int os_resolv_open(const char *state_dir, const char *path, struct os_resolv **out, char *why, size_t n) BW_NODISCARD;
// The TUN's name: from now on systemd-resolved and resolvconf are told where the machine has them. Only with path NULL.
void os_resolv_interface(struct os_resolv *r, const char *name);
// Puts these servers there (search and options lines stay). Call again when they change, or when the file may have been
// rewritten by others (a DHCP client; a systemd-resolved that was restarted): then the new file becomes the one to put back. Unchanged: does nothing. Commands of
// others are run for up to some seconds if they hang, else for milliseconds.
int os_resolv_set(struct os_resolv *r, const struct bw_addr *servers, size_t count, char *why, size_t n) BW_NODISCARD;
int os_resolv_restore(struct os_resolv *r, char *why, size_t n) BW_NODISCARD; // fine if nothing was set
void os_resolv_close(struct os_resolv *r);                                    // restores; NULL is fine

// How the servers were set, for the log: "systemd-resolved", "resolvconf", "/etc/resolv.conf" or several of these; "" if not.
const char *os_resolv_how(const struct os_resolv *r, char out[64]);

// The machine's own resolvers: from the saved file while ours is in place. Port 53; returns how many (up to max).
size_t os_resolv_upstreams(struct os_resolv *r, struct bw_endpoint *out, size_t max);
// The same from text; pure, for tests. Scopes of link-local servers are looked up by name.
size_t os_resolv_parse(const char *text, struct bw_endpoint *out, size_t max);

#endif
