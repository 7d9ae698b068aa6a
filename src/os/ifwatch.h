// The discovery interfaces as they come and go: os/iface.h's rules applied to what os/nlwatch.h tells.
#ifndef OS_IFWATCH_H
#define OS_IFWATCH_H

#include <uv.h>

#include "os/iface.h"
#include "os/nlwatch.h"

struct os_iface {
    uint32_t index;
    uint32_t mtu;
    char name[OS_IFNAME];
    struct bw_addr linklocal; // a usable (not tentative) fe80:: address
};

enum os_ifwatch_mode { OS_IFWATCH_NONE, OS_IFWATCH_AUTO, OS_IFWATCH_LIST };

struct os_ifwatch_config {
    enum os_ifwatch_mode mode;
    const char *const *names; // OS_IFWATCH_LIST; copied
    size_t name_count;
    const char *skip; // our own TUN's name; copied
};

// present: is fit and has a usable link-local address (new, or something in i changed); else it is no longer.
typedef void os_ifwatch_fn(void *ctx, const struct os_iface *i, bool present);

struct os_ifwatch;
// Tells every fit interface from within open, then the changes. any may be NULL: it gets every event (for routes,
// rules, addresses) after the list has been brought up to date. nl is borrowed. Neither callback may close the watch.
int os_ifwatch_open(uv_loop_t *loop, struct os_nl *nl, const struct os_ifwatch_config *c, os_ifwatch_fn *fn,
                    os_nlwatch_fn *any, void *ctx, struct os_ifwatch **out, char *why, size_t n) BW_NODISCARD;
// A new configuration: tells the differences.
int os_ifwatch_reload(struct os_ifwatch *w, const struct os_ifwatch_config *c) BW_NODISCARD;
void os_ifwatch_close(struct os_ifwatch *w);

// Why an interface is not used, for `status` and logs: BW_ERR_NOTFOUND if there is no such interface, 1 if it is used,
// 0 with the reason in text.
int os_ifwatch_explain(const struct os_ifwatch *w, const char *name, char *text, size_t n) BW_NODISCARD;

#endif
