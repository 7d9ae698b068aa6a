// The processes of a lab: children of the keeper, in the foreground, each in the namespaces of its node.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/keeper.h"

static void write_outer_pid(struct lab *lab, const char *path)
{
    char pid[24];
    ssize_t n = readlinkat(lab->outer_proc, "self", pid, sizeof pid);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (n > 0 && fd >= 0 && write(fd, pid, (size_t)n) < 0) perror(path);
    if (fd >= 0) close(fd);
}

_Noreturn static void become(struct lab *lab, const struct command *c, int out, int log)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    struct rlimit limit;
    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = lab->fd_soft_limit;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(log, 2) < 0) _exit(127);
    if (c->pid_file) write_outer_pid(lab, c->pid_file);
    if (space_enter(c->space)) {
        perror("entering the node's namespaces");
        _exit(127);
    }
    for (char *const *e = c->extra_env; e && *e; e++) putenv(*e);
    execv(c->argv[0], c->argv);
    perror(c->argv[0]);
    _exit(127);
}

static void whole_line(struct proc *p)
{
    p->line[p->line_len] = 0;
    if (p->state == PROC_STARTING && !strcmp(p->line, "ready")) p->state = PROC_READY;
    p->line_len = 0;
}

static void output(struct loop_source *s, uint32_t events, bw_time now)
{
    (void)events;
    struct proc *p = (struct proc *)s;
    if (p->out_fd <= 0) return; // closed earlier in this round
    char text[512];
    ssize_t n = read(p->out_fd, text, sizeof text);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        loop_forget(&p->lab->loop, p->out_fd);
        close(p->out_fd);
        p->out_fd = -1;
        return;
    }
    enum proc_state before = p->state;
    for (ssize_t i = 0; i < n; i++) {
        if (text[i] == '\n') whole_line(p);
        else if (p->line_len < sizeof p->line - 1) p->line[p->line_len++] = text[i];
    }
    if (p->state != before) p->lab->timer.at = now; // somebody may be waiting for this
}

int proc_start(struct lab *lab, struct proc *p, const struct command *c)
{
    int pipes[2];
    int log = open(c->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0) return BW_ERR_SYS;
    if (pipe2(pipes, O_CLOEXEC)) {
        close(log);
        return BW_ERR_SYS;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (!pid) become(lab, c, pipes[1], log);
    close(log);
    close(pipes[1]);
    if (pid < 0) {
        close(pipes[0]);
        return BW_ERR_SYS;
    }
    if (p->out_fd > 0) { // of an earlier life, not read to its end
        loop_forget(&lab->loop, p->out_fd);
        close(p->out_fd);
    }
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    p->lab = lab;
    p->pid = pid;
    p->state = PROC_STARTING;
    p->out_fd = pipes[0];
    p->out.ready = output;
    p->line_len = 0;
    p->starts++;
    return loop_watch(&lab->loop, p->out_fd, &p->out);
}

bool proc_runs(const struct proc *p)
{
    return p->state == PROC_STARTING || p->state == PROC_READY;
}

static struct proc *by_pid(struct lab *lab, pid_t pid)
{
    if (lab->dns.pid == pid) return &lab->dns;
    if (lab->web.pid == pid) return &lab->web;
    for (size_t i = 0; i < lab->o->topology.n_nodes; i++)
        if (lab->nodes[i].proc.pid == pid) return &lab->nodes[i].proc;
    return NULL;
}

// As process 1 the keeper inherits orphans too; those are only buried.
void proc_reap(struct lab *lab)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        struct proc *p = by_pid(lab, pid);
        if (!p) continue;
        if (p->out_fd > 0) output(&p->out, 0, 0); // its last words
        p->state = PROC_ENDED;
        p->status = status;
        p->pid = 0;
    }
}

const char *proc_state_text(const struct proc *p, char out[40])
{
    static const char *const names[] = {"bare", "starting", "running", "ended"};
    if (p->state != PROC_ENDED) return names[p->state];
    if (WIFSIGNALED(p->status)) snprintf(out, 40, "killed by SIG%s", sigabbrev_np(WTERMSIG(p->status)) ?: "?");
    else if (WEXITSTATUS(p->status)) snprintf(out, 40, "failed (status %d)", WEXITSTATUS(p->status));
    else snprintf(out, 40, "stopped");
    return out;
}

int node_start(struct lab *lab, size_t i)
{
    struct node *n = &lab->nodes[i];
    const struct topo_node *t = n->topo;
    char path[5][sizeof n->dir + 20], environment[2][sizeof n->dir + 40];
    static const char *const files[] = {"byway.conf", "state", "api.sock", "log", "pid"};
    for (int k = 0; k < 5; k++) snprintf(path[k], sizeof path[k], "%s/%s", n->dir, files[k]);
    snprintf(environment[0], sizeof environment[0], "BYWAY_SOCKET=%s", path[2]);
    snprintf(environment[1], sizeof environment[1], "BYWAY_LAB=%s", lab->o->name);
    const char **argv = calloc(12 + 2 * t->n_sets, sizeof *argv);
    if (!argv) return BW_ERR_NOMEM;
    size_t k = 0;
    argv[k++] = lab->o->binary;
    argv[k++] = "run";
    argv[k++] = "--config";
    argv[k++] = path[0];
    argv[k++] = "--state";
    argv[k++] = path[1];
    argv[k++] = "--socket";
    argv[k++] = path[2];
    if (t->share) argv[k++] = "--share";
    for (size_t j = 0; j < t->n_sets; j++) {
        argv[k++] = "--set";
        argv[k++] = t->sets[j];
    }
    int rc = proc_start(lab, &n->proc,
                        &(struct command){.argv = (char *const *)argv,
                                          .extra_env = (char *const[]){environment[0], environment[1], NULL},
                                          .space = &n->space,
                                          .log = path[3],
                                          .pid_file = path[4]});
    free(argv);
    return rc;
}
