// The node as a process: configuration, control loop, workers, everything that `byway run` starts and ends.
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <stddef.h>

#define DAEMON_DEFAULT_STATE "/var/lib/byway"
#define DAEMON_DEFAULT_SOCKET "/run/byway/api.sock"

struct run_options {
    const char *config_path; // NULL: CONFIG_DEFAULT_PATH, which may be missing
    const char *state_dir;   // never NULL
    const char *socket_path; // never NULL
    char *const *sets;       // "SECTION.KEY=VALUE" each, as config_load() takes them; --share[=IFACE] is in here already,
    size_t set_count;        // as internet.share=auto or internet.share=IFACE
};

// Runs the node until it is told to end (SIGINT, SIGTERM). Prints `ready` on standard output once everything is up.
// Returns the exit status: 0 ended as told, 1 failed (why stands on standard error).
int daemon_run(const struct run_options *o);

#endif
