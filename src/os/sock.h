// Socket addresses and options that several files of this folder need. IPv4 endpoints (::ffff:a.b.c.d) use AF_INET
// sockets.
#ifndef OS_SOCK_H
#define OS_SOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/addr.h"

socklen_t os_sock_from_endpoint(const struct bw_endpoint *e, struct sockaddr_storage *out);
// false: a family that is neither IPv4 nor IPv6.
bool os_sock_to_endpoint(const struct sockaddr_storage *sa, struct bw_endpoint *out);

// A non-blocking, close-on-exec socket of e's family with these options. -1 with errno. mark 0, device NULL or "":
// none.
int os_sock_open(const struct bw_endpoint *e, int type, uint32_t mark, const char *device);

#endif
