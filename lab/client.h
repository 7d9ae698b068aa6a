// Talking to a lab's keeper, and to the nodes' own sockets.
#ifndef LAB_CLIENT_H
#define LAB_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct lab_spaces {
    int fd[5]; // pid, net, uts, mnt, user; the last is -1 where there is none
    char dir[128], binary[256]; // the node's files, "" for the Internet; the lab's program, "" if it has none
};

// Sends the request (stolen) and returns the answer, or NULL after telling why on standard error (`"ok": false` counts).
// fds: takes up to five descriptors, or NULL; they are set to -1 where none came.
json_t *client_ask(const char *lab, json_t *request, int fds[5]);
// Takes the lab down: asks, waits, kills if that does not help, clears the folder. Returns the exit status. Quiet: says
// nothing if there is no such lab.
int client_down(const char *lab, bool quiet);

// The namespaces of a node, or of "internet". 0, or -1 after telling why.
int client_spaces(const char *lab, const char *node, struct lab_spaces *out) BW_NODISCARD;
void client_spaces_close(struct lab_spaces *s);
// Runs a command in there with the caller's terminal and ends the caller with its exit status, as a shell tells it. The
// caller itself moves into the namespaces and passes signals on.
_Noreturn void client_exec(const struct lab_spaces *s, char *const argv[]);
// Starts a command in there: returns the pid of the caller's child, or -1 with errno. in, out, err: descriptors to use, or
// -1 to keep the caller's. The command dies with the caller.
pid_t client_spawn(const struct lab_spaces *s, char *const argv[], int in, int out, int err);

// GET path from a node's API socket: the body as JSON, or NULL (no node there, no answer within timeout_ms).
json_t *client_get(const char *socket_path, const char *path, int timeout_ms);

#endif
