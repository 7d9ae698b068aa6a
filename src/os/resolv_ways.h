// Inside of os/resolv: the programs that keep a machine's resolver configuration, where it has one.
//
// systemd-resolved: our servers are the TUN's, with the routing domain "~.", so that every name is asked there. It forgets
// them with the interface. resolvconf (Debian's or openresolv): a record "tun.IFACE"; it is noted in
// STATE/resolv.record before it is made, because it outlives us.
#ifndef OS_RESOLV_WAYS_H
#define OS_RESOLV_WAYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "os/child.h"
#include "os/file.h"

#define RESOLV_SERVERS 8

struct resolv_ways {
    char iface[16];            // "": none of this is used
    char note[OS_PATH];        // STATE/resolv.record
    bool resolved, resolvconf; // ours are set there now
    unsigned long stub;        // which run of systemd-resolved was told
    struct bw_addr servers[RESOLV_SERVERS]; // which
    size_t count;
};

// A systemd-resolved serves this network namespace (its stub listens here) and can be told what to do.
bool resolv_resolved_here(void);
// resolvconf keeps the file at path (which leads to its own, or says that it made it).
bool resolv_resolvconf_keeps(const char *path, const char *text);
// Does this resolv.conf ask nobody but systemd-resolved's stub?
bool resolv_only_stub(const char *text);
// Does it ask these servers and nobody else?
bool resolv_only(const char *text, const struct bw_addr *servers, size_t count);

int resolv_resolved_set(struct resolv_ways *w, const struct bw_addr *servers, size_t count, char *why, size_t n) BW_NODISCARD;
int resolv_resolvconf_set(struct resolv_ways *w, const struct bw_addr *servers, size_t count, char *why, size_t n) BW_NODISCARD;
// Takes all of it back, what the note of a killed run says included.
int resolv_ways_restore(struct resolv_ways *w, char *why, size_t n) BW_NODISCARD;

#endif
