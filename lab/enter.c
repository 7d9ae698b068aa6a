// Running a command inside a node: the keeper hands out the namespaces, the caller's child walks in.
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/client.h"

int client_spaces(const char *lab, const char *node, struct lab_spaces *out)
{
    *out = (struct lab_spaces){.fd = {-1, -1, -1, -1, -1}};
    json_t *a = client_ask(lab, json_pack("{s:s, s:s}", "cmd", "enter", "node", node), out->fd);
    if (!a) return -1;
    snprintf(out->dir, sizeof out->dir, "%s", json_string_value(json_object_get(a, "dir")));
    snprintf(out->binary, sizeof out->binary, "%s", json_string_value(json_object_get(a, "binary")));
    json_decref(a);
    return 0;
}

void client_spaces_close(struct lab_spaces *s)
{
    for (int i = 0; i < 5; i++)
        if (s->fd[i] >= 0) close(s->fd[i]);
}

static void point(const char *variable, const struct lab_spaces *s, const char *file)
{
    char path[sizeof s->dir + 16];
    snprintf(path, sizeof path, "%s/%s", s->dir, file);
    setenv(variable, path, 1);
}

// `byway` itself is found inside even if it was never installed, and means the node, not the machine.
static void prepare_environment(const struct lab_spaces *s)
{
    if (s->dir[0]) {
        point("BYWAY_SOCKET", s, "api.sock");
        point("BYWAY_STATE", s, "state");
    }
    const char *old = getenv("PATH"), *slash = strrchr(s->binary, '/');
    char path[4096];
    int n = slash ? snprintf(path, sizeof path, "%.*s:", (int)(slash - s->binary), s->binary) : 0;
    snprintf(path + n, sizeof path - (size_t)n, "%s:/usr/sbin:/sbin", old ? old : "/usr/local/bin:/usr/bin:/bin");
    setenv("PATH", path, 1);
}

static int walk_in(const struct lab_spaces *s)
{
    static const int kinds[] = {CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWUTS, CLONE_NEWNS};
    char cwd[4096];
    bool has_cwd = getcwd(cwd, sizeof cwd);
    if (s->fd[4] >= 0 && setns(s->fd[4], CLONE_NEWUSER)) return -1;
    for (int i = 0; i < 4; i++)
        if (setns(s->fd[i], kinds[i])) return -1;
    if (s->fd[4] >= 0 && geteuid()) { // a user's own identity is root's in there already; anybody else's is not
        if (setresgid(0, 0, 0) || setresuid(0, 0, 0)) return -1;
    }
    if (has_cwd && chdir(cwd)) return chdir("/");
    return 0;
}

// Between the caller and the command stands a process of its own, because only a child enters a PID namespace. It passes
// signals on, stops when the command stops, and returns its status.
static volatile pid_t inside;

static void pass_on(int sig)
{
    if (inside > 0) kill(inside, sig);
}

static int attend(pid_t pid)
{
    int status;
    for (;;) {
        if (waitpid(pid, &status, WUNTRACED) < 0) {
            if (errno == EINTR) continue;
            return 127;
        }
        if (WIFSTOPPED(status)) {
            raise(SIGSTOP);
            kill(pid, SIGCONT);
            continue;
        }
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
}

_Noreturn static void command(char *const argv[])
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    execvp(argv[0], argv);
    fprintf(stderr, "byway: %s: %s\n", argv[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

void client_exec(const struct lab_spaces *s, char *const argv[])
{
    prepare_environment(s);
    if (walk_in(s)) {
        fprintf(stderr, "byway: entering the node: %s\n", strerror(errno));
        _exit(126);
    }
    signal(SIGINT, SIG_IGN);          // the terminal sends those to the command itself
    signal(SIGQUIT, SIG_IGN);
    struct sigaction pass = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &pass, NULL);
    sigaction(SIGHUP, &pass, NULL);
    fflush(NULL);
    inside = fork();
    if (inside < 0) _exit(126);
    if (!inside) command(argv);
    _exit(attend(inside)); // not exit(): with one foot in another PID namespace a leak checker's helper would get lost
}

static void take(int from, int to)
{
    if (from < 0 || from == to) return;
    dup2(from, to);
}

pid_t client_spawn(const struct lab_spaces *s, char *const argv[], int in, int out, int err)
{
    fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    if (pid) return pid;
    take(in, 0);
    take(out, 1);
    take(err, 2);
    prctl(PR_SET_PDEATHSIG, SIGTERM); // which is passed on to the command
    if (getppid() != parent) _exit(1);
    client_exec(s, argv);
}
