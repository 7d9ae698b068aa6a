#include "lab/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/net.h"
#include "lab/tap.h"

#define SERVICES_DEADLINE (20 * BW_S)
#define DOWN_GRACE (5 * BW_S)
#define POLL (20 * BW_MS) // how often the servers' ports are looked at while they start

static void progress(struct lab *lab, char kind, const char *text)
{
    if (lab->progress < 0) return;
    char line[1200];
    int n = snprintf(line, sizeof line, "%c%.1100s\n", kind, text);
    if (write(lab->progress, line, (size_t)n) < 0) fprintf(stderr, "%s", line);
}

void lab_say(struct lab *lab, const char *fmt, ...)
{
    char text[1100];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s\n", text);
    progress(lab, '#', text);
}

void lab_abort(struct lab *lab, const char *fmt, ...)
{
    char text[1100];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s\n", text);
    progress(lab, '!', text);
    lab_begin_down(lab);
}

// ---- building ----

static int write_config(const struct node *n)
{
    char path[sizeof n->dir + 16];
    snprintf(path, sizeof path, "%s/byway.conf", n->dir);
    FILE *f = fopen(path, "we");
    if (!f) return BW_ERR_SYS;
    fprintf(f, "# made by byway lab; what differs is given with --set\n[node]\nname = %s\n", n->topo->name);
    return fclose(f) ? BW_ERR_SYS : 0;
}

static int build_node(struct lab *lab, size_t i, const char **step)
{
    struct node *n = &lab->nodes[i];
    n->topo = &lab->o->topology.nodes[i];
    n->uplink = -1;
    n->proc = (struct proc){.lab = lab, .name = n->topo->name};
    snprintf(n->dir, sizeof n->dir, "%s/nodes/%s", lab->o->dir, n->topo->name);
    char path[sizeof n->dir + 16];
    snprintf(path, sizeof path, "%s/state", n->dir);
    *step = "making its folder";
    if (place_mkdirs(path)) return BW_ERR_SYS;
    snprintf(path, sizeof path, "%s/resolv.conf", n->dir);
    *step = "writing its files";
    if (internet_resolv(lab, i, path) || write_config(n)) return BW_ERR_SYS;
    return space_make(&n->space, &lab->home, n->topo->name, path, step);
}

static int end_of_link(struct lab *lab, unsigned node, const char *ifname, const uint8_t mac[6])
{
    if (space_enter_net(lab->nodes[node].space.net)) return BW_ERR_SYS;
    int fd = tap_open(ifname, mac);
    if (fd >= 0 && net_up(ifname)) {
        int why = errno;
        close(fd);
        errno = why;
        return BW_ERR_SYS;
    }
    return fd;
}

static int build_link(struct lab *lab, size_t i)
{
    const struct topo_link *l = &lab->o->topology.links[i];
    // 02:b2:LINK:LINK:00:END, and so link-local addresses that stay the same from lab to lab.
    uint8_t mac[6] = {2, 0xb2, (uint8_t)((i + 1) >> 8), (uint8_t)(i + 1), 0, 1};
    int a = end_of_link(lab, l->a, l->a_if, mac);
    mac[5] = 2;
    int b = a < 0 ? a : end_of_link(lab, l->b, l->b_if, mac);
    int why = errno;
    if (space_enter_net(lab->home.net)) abort();
    errno = why;
    if (b < 0) {
        if (a >= 0) close(a);
        return BW_ERR_SYS;
    }
    lab->link_wire[i] = wires_add(lab->wires, a, b, &l->spec);
    return lab->link_wire[i] < 0 ? BW_ERR_SYS : 0;
}

static const char *hint(int why, const char *step)
{
    if (!strncmp(step, "making a", 8) && (why == EACCES || why == ENOENT))
        return " (/dev/net/tun: run `sudo modprobe tun`, `sudo chmod 666 /dev/net/tun`, or the lab with sudo)";
    if (why == EMFILE || why == ENFILE) return " (more open files are needed: raise the hard limit of `ulimit -n`)";
    if (why == ENOSPC) return " (a limit on namespaces, see /proc/sys/user, or the disk is full)";
    return "";
}

static int build(struct lab *lab)
{
    const struct topology *t = &lab->o->topology;
    const char *step = "";
    lab->nodes = calloc(t->n_nodes, sizeof *lab->nodes);
    lab->link_wire = calloc(t->n_links + 1, sizeof *lab->link_wire);
    lab->wires = wires_new(&lab->loop, lab->o->offload, lab->o->seed);
    if (!lab->nodes || !lab->link_wire || !lab->wires) return BW_ERR_NOMEM;
    for (size_t i = 0; i < t->n_nodes; i++) lab->has_internet |= t->nodes[i].internet;
    for (size_t i = 0; i < t->n_nodes; i++) {
        if (!build_node(lab, i, &step)) continue;
        lab_abort(lab, "node %s: %s: %s%s", t->nodes[i].name, step, strerror(errno), hint(errno, step));
        return BW_ERR_SYS;
    }
    if (lab->has_internet && internet_make(lab, &step)) {
        lab_abort(lab, "the internet: %s: %s", step, strerror(errno));
        return BW_ERR_SYS;
    }
    for (size_t i = 0; i < t->n_links; i++) {
        if (!build_link(lab, i)) continue;
        lab_abort(lab, "making a link: %s%s", strerror(errno), hint(errno, "making a link"));
        return BW_ERR_SYS;
    }
    for (size_t i = 0; i < t->n_nodes; i++) {
        if (!t->nodes[i].internet || !internet_attach(lab, i, &step)) continue;
        lab_abort(lab, "node %s: %s: %s%s", t->nodes[i].name, step, strerror(errno), hint(errno, step));
        return BW_ERR_SYS;
    }
    return 0;
}

// ---- stages: servers, nodes, up; and down from anywhere ----

static void quote_log(struct lab *lab, const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f) return;
    char line[5][300] = {{0}};
    size_t n = 0;
    while (fgets(line[n % 5], sizeof line[0], f)) n++;
    fclose(f);
    for (size_t i = n > 5 ? n - 5 : 0; i < n; i++) {
        line[i % 5][strcspn(line[i % 5], "\n")] = 0;
        lab_say(lab, "    %s", line[i % 5]);
    }
}

static void nodes_failed(struct lab *lab)
{
    size_t told = 0, bad = 0;
    for (size_t i = 0; i < lab->o->topology.n_nodes; i++) {
        struct node *n = &lab->nodes[i];
        char text[40], log[sizeof n->dir + 8];
        if (n->proc.state == PROC_READY) continue;
        bad++;
        if (told++ >= 3) continue;
        snprintf(log, sizeof log, "%s/log", n->dir);
        lab_say(lab, "node %s: %s; its log ends:", n->topo->name, proc_state_text(&n->proc, text));
        quote_log(lab, log);
    }
    lab_abort(lab, "%zu of %zu nodes did not get ready", bad, lab->o->topology.n_nodes);
}

static void become_up(struct lab *lab)
{
    lab->stage = LAB_UP;
    lab->timer.at = BW_NEVER;
    progress(lab, '.', "");
    if (lab->progress >= 0) {
        loop_forget(&lab->loop, lab->progress);
        close(lab->progress);
    }
    lab->progress = -1;
}

static void start_nodes(struct lab *lab, bw_time now)
{
    if (!lab->o->binary) {
        become_up(lab);
        return;
    }
    lab->stage = LAB_NODES;
    lab->stage_deadline = now + lab->o->ready_s * BW_S;
    lab->timer.at = lab->stage_deadline;
    for (size_t i = 0; i < lab->o->topology.n_nodes; i++) {
        if (!node_start(lab, i)) continue;
        lab_abort(lab, "starting node %s: %s", lab->nodes[i].topo->name, strerror(errno));
        return;
    }
}

static void services_stage(struct lab *lab, bw_time now)
{
    if (!lab->has_internet || internet_answers(lab)) {
        lab->dns.state = lab->web.state = lab->has_internet ? PROC_READY : PROC_NONE;
        start_nodes(lab, now);
        return;
    }
    if (proc_runs(&lab->dns) && proc_runs(&lab->web) && now < lab->stage_deadline) {
        lab->timer.at = now + POLL;
        return;
    }
    char path[PLACE_PATH + 16];
    snprintf(path, sizeof path, "%s/%s.log", lab->o->dir, proc_runs(&lab->dns) ? "web" : "dns");
    lab_say(lab, "the Internet's servers; a log ends:");
    quote_log(lab, path);
    lab_abort(lab, "the Internet's servers did not start");
}

static void nodes_stage(struct lab *lab, bw_time now)
{
    size_t ready = 0, running = 0;
    for (size_t i = 0; i < lab->o->topology.n_nodes; i++) {
        ready += lab->nodes[i].proc.state == PROC_READY;
        running += proc_runs(&lab->nodes[i].proc);
    }
    lab->timer.at = lab->stage_deadline;
    if (ready == lab->o->topology.n_nodes) become_up(lab);
    else if (running < lab->o->topology.n_nodes || now >= lab->stage_deadline) nodes_failed(lab);
}

static void signal_all(struct lab *lab, int sig)
{
    for (size_t i = 0; lab->nodes && i < lab->o->topology.n_nodes; i++)
        if (proc_runs(&lab->nodes[i].proc)) kill(lab->nodes[i].proc.pid, sig);
    if (proc_runs(&lab->dns)) kill(lab->dns.pid, sig);
    if (proc_runs(&lab->web)) kill(lab->web.pid, sig);
}

static bool all_ended(struct lab *lab)
{
    for (size_t i = 0; lab->nodes && i < lab->o->topology.n_nodes; i++)
        if (proc_runs(&lab->nodes[i].proc)) return false;
    return !proc_runs(&lab->dns) && !proc_runs(&lab->web);
}

void lab_begin_down(struct lab *lab)
{
    if (lab->stage == LAB_DOWN) return;
    lab->stage = LAB_DOWN;
    lab->stage_deadline = loop_now() + DOWN_GRACE;
    lab->timer.at = 0;
    signal_all(lab, SIGTERM);
}

static void tick(struct loop_timer *t, bw_time now)
{
    struct lab *lab = (struct lab *)((char *)t - offsetof(struct lab, timer));
    t->at = BW_NEVER;
    if (lab->stage == LAB_SERVICES) services_stage(lab, now);
    else if (lab->stage == LAB_NODES) nodes_stage(lab, now);
    if (lab->stage != LAB_DOWN) return;
    t->at = lab->stage_deadline;
    if (all_ended(lab) || now >= lab->stage_deadline) lab->loop.stop = true; // the kernel ends the rest with us
}

// ---- the process ----

static void on_signal(struct loop_source *s, uint32_t events, bw_time now)
{
    (void)events;
    struct lab *lab = (struct lab *)((char *)s - offsetof(struct lab, signals));
    struct signalfd_siginfo info;
    while (read(lab->signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD) proc_reap(lab);
        else lab_begin_down(lab);
    }
    if (lab->stage != LAB_UP) lab->timer.at = now; // an end may be what is waited for
}

// The one who started us is gone before the lab was up: nobody wants it.
static void on_progress(struct loop_source *s, uint32_t events, bw_time now)
{
    (void)events, (void)now;
    struct lab *lab = (struct lab *)((char *)s - offsetof(struct lab, watcher));
    loop_forget(&lab->loop, lab->progress);
    close(lab->progress);
    lab->progress = -1;
    lab_begin_down(lab);
}

// The process that the lab was made for has ended.
static void on_with(struct loop_source *s, uint32_t events, bw_time now)
{
    (void)events, (void)now;
    struct lab *lab = (struct lab *)((char *)s - offsetof(struct lab, with));
    loop_forget(&lab->loop, lab->o->with);
    lab_begin_down(lab);
}

static int watch_signals(struct lab *lab)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    lab->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    lab->signals.ready = on_signal;
    return lab->signal_fd < 0 ? BW_ERR_SYS : loop_watch(&lab->loop, lab->signal_fd, &lab->signals);
}

static void raise_limits(struct lab *lab)
{
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit)) return;
    lab->fd_soft_limit = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int keeper_main(struct lab *lab)
{
    prctl(PR_SET_NAME, "byway-lab");
    raise_limits(lab);
    if (loop_init(&lab->loop) || space_home(&lab->home)) {
        lab_abort(lab, "setting up: %s", strerror(errno));
        return 1;
    }
    char self[24];
    ssize_t n = readlinkat(lab->outer_proc, "self", self, sizeof self - 1);
    if (n > 0) lab->outer_pid = (self[n] = 0, atoi(self));
    lab->pid_ns = open("/proc/thread-self/ns/pid", O_RDONLY | O_CLOEXEC);
    lab->timer = (struct loop_timer){.fire = tick, .at = 0};
    loop_timer(&lab->loop, &lab->timer);
    lab->watcher.ready = on_progress;
    lab->with.ready = on_with;
    if (watch_signals(lab) || loop_watch(&lab->loop, lab->progress, &lab->watcher) ||
        (lab->o->with >= 0 && loop_watch(&lab->loop, lab->o->with, &lab->with))) {
        lab_abort(lab, "setting up: %s", strerror(errno));
        return 1;
    }
    bw_time began = loop_now();
    int rc = build(lab);
    if (!rc && control_listen(lab)) {
        lab_abort(lab, "the control socket in %s: %s", lab->o->dir, strerror(errno));
        rc = BW_ERR_SYS;
    }
    if (rc && lab->stage != LAB_DOWN) lab_abort(lab, "out of memory");
    if (!rc) {
        lab_say(lab, "%zu nodes, %zu links: namespaces and wires in %.1f s", lab->o->topology.n_nodes,
                lab->o->topology.n_links, (double)(loop_now() - began) / 1e6);
        lab->stage_deadline = loop_now() + SERVICES_DEADLINE;
        if (lab->has_internet) (void)!internet_serve(lab); // it has told if it could not
    }
    loop_run(&lab->loop);
    wires_free(lab->wires);
    return 0;
}
