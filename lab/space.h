// Namespaces: the lab's own, and those of each node. Single-threaded: making one moves the thread there and back.
#ifndef LAB_SPACE_H
#define LAB_SPACE_H

#include <stdbool.h>

#include "base/err.h"

struct space {
    int net, mnt, uts; // open files of /proc/thread-self/ns, -1 if none
};

// Inside the keeper, once: makes the mount table private, mounts /proc for the new PID namespace, and remembers where
// home is. BW_ERR_SYS with errno.
int space_home(struct space *home) BW_NODISCARD;
// A new namespace of each sort with lo up, host name `name`, a private /run, /sys of its own and the file `resolv` over
// /etc/resolv.conf. The thread is back home afterwards. On failure *step says what failed, errno why.
int space_make(struct space *out, const struct space *home, const char *name, const char *resolv, const char **step)
    BW_NODISCARD;
int space_enter(const struct space *s) BW_NODISCARD; // all three
int space_enter_net(int net) BW_NODISCARD;           // the network alone
void space_close(struct space *s);

#endif
