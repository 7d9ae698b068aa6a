// Which namespaces are we in?
#ifndef OS_NS_H
#define OS_NS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

// Are we in the machine's first network namespace, as far as can be known? Newer kernels give it a fixed inode number
// (NET_NS_INIT_INO); on older ones the namespace of process 1 decides. If that cannot be read: false, the careful
// answer.
bool os_ns_first_net(void);

// A number for this network namespace (inode of /proc/self/ns/net; 0 if unknown), unique among those alive.
uint64_t os_ns_net_id(void);

// Does something stand mounted at exactly this path (in our mount namespace)?
bool os_ns_is_mount(const char *path);

// Only one node can own the routes, rules and tables of a network namespace: holds that place until fd is closed.
// BW_ERR_EXISTS: another node has it.
int os_ns_claim(int *fd, char *why, size_t n) BW_NODISCARD;

#endif
