// The TCP half of os/dnsfwd: connections piped to an upstream, byte for byte. For os/dnsfwd.c only.
#ifndef OS_DNSFWD_TCP_H
#define OS_DNSFWD_TCP_H

#include "os/dnsfwd.h"

struct dnsfwd_tcp;

// fd is a listening socket, which becomes ours. d's configuration and statistics are read and written through the
// pointers, which must live as long.
int dnsfwd_tcp_open(uv_loop_t *loop, int fd, const struct os_dnsfwd_config *c, struct os_dnsfwd_stats *stats,
                    struct dnsfwd_tcp **out) BW_NODISCARD;
void dnsfwd_tcp_close(struct dnsfwd_tcp *t);

// Is this a source that is answered?
bool dnsfwd_allows(const struct os_dnsfwd_config *c, const struct bw_addr *a);

#endif
