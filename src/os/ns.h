// Which namespaces are we in?
#ifndef OS_NS_H
#define OS_NS_H

#include <stdbool.h>
#include <stdint.h>

// Are we in the machine's first network namespace, as far as can be known? Newer kernels give it a fixed inode number
// (NET_NS_INIT_INO); on older ones the namespace of process 1 decides. If that cannot be read: false, the careful
// answer.
bool os_ns_first_net(void);

// A number for this network namespace (inode of /proc/self/ns/net; 0 if unknown), unique among those alive.
uint64_t os_ns_net_id(void);

// Does something stand mounted at exactly this path (in our mount namespace)?
bool os_ns_is_mount(const char *path);

#endif
