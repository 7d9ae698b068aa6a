// Which namespaces are we in?
#ifndef OS_NS_H
#define OS_NS_H

#include <stdbool.h>
#include <stdint.h>

// Are we in the machine's first network namespace, as far as can be known? The first user namespace's and network
// namespace's inode numbers are fixed in the kernel (proc_ns.h) where nsfs numbers them so; else the namespace of process 1 decides.
// If neither can be read: false, the careful answer.
bool os_ns_first_net(void);

// A number for this network namespace (inode of /proc/self/ns/net; 0 if unknown), unique among those alive.
uint64_t os_ns_net_id(void);

// Does something stand mounted at exactly this path (in our mount namespace)?
bool os_ns_is_mount(const char *path);

#endif
