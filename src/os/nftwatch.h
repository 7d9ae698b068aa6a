// Watches over nftables tables of ours: tells when somebody else takes one, or chains or rules out of one, away. `nft
// flush ruleset` does that, and with it every restart of the nftables service on many systems. Loop thread only.
#ifndef OS_NFTWATCH_H
#define OS_NFTWATCH_H

#include <uv.h>

#include "base/err.h"

#define OS_NFTWATCH_TABLES 4

struct os_nftwatch;
typedef void os_nftwatch_fn(void *ctx); // something is gone, or news were lost; called once for many

// tables: names of family inet, at most OS_NFTWATCH_TABLES; the strings must live as long as the watch. BW_ERR_SYS: why
// says it.
int os_nftwatch_open(uv_loop_t *loop, const char *const *tables, unsigned count, os_nftwatch_fn *fn, void *ctx,
                     struct os_nftwatch **out, char *why, size_t n) BW_NODISCARD;
// Tells now what there is to tell, for who is about to change something himself ...
void os_nftwatch_look(struct os_nftwatch *w); // w may be NULL
// ... and after that change: what the kernel has told of changes by this thread is forgotten. w may be NULL.
void os_nftwatch_mine(struct os_nftwatch *w);
void os_nftwatch_close(struct os_nftwatch *w); // w may be NULL

#endif
