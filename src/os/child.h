// Programs of others that byway runs: a service that lives as long as we do, or a command that is over in a moment.
// A child gets nothing of ours but its standard streams, and dies with us (PR_SET_PDEATHSIG), also after a SIGKILL. Loop
// thread only: the kernel ends a child when the thread that made it ends.
#ifndef OS_CHILD_H
#define OS_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

#include "base/err.h"

#define OS_CHILD_PATH 128

// Where a program is, looked for in the usual folders whatever PATH says. BW_ERR_NOTFOUND.
int os_child_find(const char *name, char out[OS_CHILD_PATH]) BW_NODISCARD;

// Runs a command to its end: argv[0] is its path, `in` (may be NULL) its standard input, of at most a pipe's size. Waits
// at most limit_ms and ends it then. Its output goes to `out` (may be NULL), at most cap - 1 bytes. Returns its exit
// status, BW_ERR_AGAIN if it took too long, or BW_ERR_SYS. It blocks the loop: for what takes milliseconds.
int os_child_run(char *const argv[], const char *in, unsigned limit_ms, char *out, size_t cap) BW_NODISCARD;

struct os_child;
typedef void os_child_line_fn(void *ctx, const char *line); // of its standard error
typedef void os_child_end_fn(void *ctx, int status);        // of waitpid(); the child is closed before this is called
// A service: line is told each line that it says, end when it has ended by itself. *out is void from then on.
int os_child_start(uv_loop_t *loop, char *const argv[], os_child_line_fn *line, os_child_end_fn *end, void *ctx,
                   struct os_child **out) BW_NODISCARD;
pid_t os_child_pid(const struct os_child *c);
// SIGTERM, then after limit_ms SIGKILL, and waits. end is not called. NULL is fine.
void os_child_stop(struct os_child *c, unsigned limit_ms);

#endif
