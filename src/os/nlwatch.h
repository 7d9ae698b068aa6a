// Changes of links, addresses, routes and rules as they happen. Routes and rules of other programs count as well
// (systemd-networkd, for one, removes rules it does not know when it restarts: put ours back).
#ifndef OS_NLWATCH_H
#define OS_NLWATCH_H

#include <uv.h>

#include "os/nldecode.h"

struct os_nlwatch;
// what == OS_NL_RESYNC: the kernel dropped messages (ENOBUFS): dump anew whatever is kept. May not close the watch.
typedef void os_nlwatch_fn(void *ctx, const struct os_nl_event *e);

// Open it before the first dump, so that nothing falls between. Watches the network namespace of the calling thread.
int os_nlwatch_open(uv_loop_t *loop, os_nlwatch_fn *fn, void *ctx, struct os_nlwatch **out, char *why,
                    size_t n) BW_NODISCARD;
void os_nlwatch_close(struct os_nlwatch *w);

#endif
