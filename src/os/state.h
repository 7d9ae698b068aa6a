// The state folder of a node (INTERFACES, "Files"): made if it is missing (0700), checked, and locked, so that two
// daemons never write one identity's counters. Holds: identity, byway.db, lock, and what must be put back after a
// SIGKILL.
#ifndef OS_STATE_H
#define OS_STATE_H

#include "base/err.h"
#include "os/file.h"

struct os_state {
    char dir[OS_PATH];
    int lock_fd; // holds the flock; the kernel lets go of it however we end
};

// BW_ERR_EXISTS: another process uses it (why names its pid). BW_ERR_DENIED: owned by or open to somebody else.
// BW_ERR_SYS: cannot be made or written (read-only, full, no such place). On failure nothing is held.
int os_state_open(const char *dir, struct os_state *s, char *why, size_t n) BW_NODISCARD;
void os_state_close(struct os_state *s);

#endif
