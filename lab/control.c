// The keeper's control socket: one JSON request, one JSON answer, the connection is closed. Only the lab's owner can reach
// it (the folder is 0700). `enter` also hands out the namespaces themselves.
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/keeper.h"

static struct node *lab_find(struct lab *lab, const char *name)
{
    int i = topo_find(&lab->o->topology, name);
    return i < 0 ? NULL : &lab->nodes[i];
}

static json_t *refuse(const char *fmt, ...) BW_PRINTF(1, 2);
static json_t *refuse(const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return json_pack("{s:b, s:s}", "ok", 0, "error", text);
}

static json_t *agree(void)
{
    return json_pack("{s:b}", "ok", 1);
}

static const char *word(json_t *request, const char *key)
{
    const char *s = json_string_value(json_object_get(request, key));
    return s ? s : "";
}

// ---- show ----

static json_int_t read_pid(const struct node *n)
{
    char path[sizeof n->dir + 8];
    snprintf(path, sizeof path, "%s/pid", n->dir);
    FILE *f = fopen(path, "re");
    long pid = 0;
    if (f && fscanf(f, "%ld", &pid) != 1) pid = 0;
    if (f) fclose(f);
    return pid;
}

static json_t *show_node(const struct node *n)
{
    char state[40], path[2][sizeof n->dir + 12];
    snprintf(path[0], sizeof path[0], "%s/api.sock", n->dir);
    snprintf(path[1], sizeof path[1], "%s/log", n->dir);
    return json_pack("{s:s, s:s, s:o, s:i, s:b, s:b, s:s, s:s}", "name", n->topo->name, "state",
                     proc_state_text(&n->proc, state), "pid", proc_runs(&n->proc) ? json_integer(read_pid(n)) : json_null(),
                     "starts", (int)n->proc.starts, "internet", n->topo->internet, "share", n->topo->share, "socket",
                     path[0], "log", path[1]);
}

static json_t *show_way(const struct imp *q)
{
    char text[IMP_SPEC_TEXT];
    const struct imp_counters *c = &q->n;
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "impairment", imp_spec_text(&q->spec, text), "frames",
                     (json_int_t)c->frames, "bytes", (json_int_t)c->bytes, "lost", (json_int_t)c->lost, "cut",
                     (json_int_t)c->cut, "overflowed", (json_int_t)c->overflowed, "duplicated",
                     (json_int_t)c->duplicated, "reordered", (json_int_t)c->reordered, "held", (json_int_t)q->held);
}

static json_t *show_wire(struct lab *lab, int wire, const char *a, const char *b, const char *a_if, const char *b_if,
                         const char *name)
{
    static const char *const states[] = {"up", "cut", "down"};
    const struct imp *q = wires_way(lab->wires, wire, 0);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "a", a, "b", b, "name", name, "a_interface", a_if,
                     "b_interface", b_if, "state", states[q->spec.state], "a_to_b", show_way(q), "b_to_a",
                     show_way(wires_way(lab->wires, wire, 1)));
}

static json_t *cmd_show(struct lab *lab)
{
    const struct topology *t = &lab->o->topology;
    static const char *const stages[] = {"starting", "starting", "up", "going down"};
    json_t *nodes = json_array(), *links = json_array();
    for (size_t i = 0; i < t->n_nodes; i++) json_array_append_new(nodes, show_node(&lab->nodes[i]));
    for (size_t i = 0; i < t->n_links; i++) {
        const struct topo_link *l = &t->links[i];
        json_array_append_new(links, show_wire(lab, lab->link_wire[i], t->nodes[l->a].name, t->nodes[l->b].name, l->a_if,
                                               l->b_if, l->name));
    }
    for (size_t i = 0; i < t->n_nodes; i++) {
        if (lab->nodes[i].uplink < 0) continue;
        char far[TOPO_IFNAME];
        snprintf(far, sizeof far, "to-%s", t->nodes[i].name);
        json_array_append_new(links,
                              show_wire(lab, lab->nodes[i].uplink, t->nodes[i].name, "internet", "internet", far, ""));
    }
    return json_pack("{s:b, s:s, s:s, s:i, s:o, s:o}", "ok", 1, "name", lab->o->name, "state", stages[lab->stage],
                     "keeper_pid", (int)lab->outer_pid, "nodes", nodes, "links", links);
}

// ---- link ----

// The wires between two ends; name picks one of several. Returns how many, at most 16.
static int find_wires(struct lab *lab, const char *a, const char *b, const char *name, int wires[16], bool swapped[16])
{
    const struct topology *t = &lab->o->topology;
    int n = 0, ia = topo_find(t, a), ib = topo_find(t, b);
    if (!strcmp(b, "internet") && ia >= 0 && lab->nodes[ia].uplink >= 0)
        return wires[0] = lab->nodes[ia].uplink, swapped[0] = false, 1;
    if (!strcmp(a, "internet") && ib >= 0 && lab->nodes[ib].uplink >= 0)
        return wires[0] = lab->nodes[ib].uplink, swapped[0] = true, 1;
    for (size_t i = 0; i < t->n_links && n < 16; i++) {
        const struct topo_link *l = &t->links[i];
        bool forth = (int)l->a == ia && (int)l->b == ib, back = (int)l->a == ib && (int)l->b == ia;
        if ((!forth && !back) || (*name && strcmp(name, l->name) && strcmp(name, back ? l->b_if : l->a_if))) continue;
        swapped[n] = back;
        wires[n++] = lab->link_wire[i];
    }
    return n;
}

static int change_wire(struct lab *lab, int wire, bool swapped, bool one_way, json_t *words, char *err, size_t size)
{
    for (int from = 0; from < 2; from++) {
        if (one_way && from != swapped) continue;
        struct imp_spec spec = wires_way(lab->wires, wire, from)->spec;
        size_t i;
        json_t *w;
        json_array_foreach(words, i, w) {
            if (imp_spec_word(&spec, json_string_value(w) ? json_string_value(w) : "", err, size)) return BW_ERR_MALFORMED;
        }
        wires_set(lab->wires, wire, from ? WIRE_B_TO_A : WIRE_A_TO_B, &spec);
    }
    return 0;
}

static json_t *cmd_link(struct lab *lab, json_t *request)
{
    const char *a = word(request, "a"), *b = word(request, "b"), *name = word(request, "name");
    int wires[16];
    bool swapped[16];
    char err[300];
    int n = find_wires(lab, a, b, name, wires, swapped);
    if (!n) return refuse("no link between %.20s and %.20s%s%.20s (byway lab show lists them)", a, b, *name ? " named " : "", name);
    json_t *changed = json_array();
    for (int i = 0; i < n; i++) {
        if (change_wire(lab, wires[i], swapped[i], json_is_true(json_object_get(request, "one_way")),
                        json_object_get(request, "words"), err, sizeof err)) {
            json_decref(changed);
            return refuse("%s", err);
        }
        char text[IMP_SPEC_TEXT];
        json_array_append_new(changed, json_string(imp_spec_text(&wires_way(lab->wires, wires[i], swapped[i])->spec, text)));
    }
    return json_pack("{s:b, s:o}", "ok", 1, "impairment", changed);
}

// ---- kill, stop, start ----

static json_t *cmd_signal(struct lab *lab, json_t *request)
{
    struct node *n = lab_find(lab, word(request, "node"));
    int sig = (int)json_integer_value(json_object_get(request, "signal"));
    if (!n) return refuse("no node %.20s in this lab", word(request, "node"));
    if (!proc_runs(&n->proc)) return refuse("%s does not run", n->topo->name);
    if (kill(n->proc.pid, sig)) return refuse("signal %d: %s", sig, strerror(errno));
    return agree();
}

static json_t *cmd_start(struct lab *lab, json_t *request)
{
    struct node *n = lab_find(lab, word(request, "node"));
    if (!n) return refuse("no node %.20s in this lab", word(request, "node"));
    if (proc_runs(&n->proc)) return refuse("%s runs already", n->topo->name);
    if (!lab->o->binary) return refuse("this lab has no daemons (it was made with --no-daemons)");
    if (lab->stage != LAB_UP) return refuse("the lab is not up");
    if (node_start(lab, (size_t)(n - lab->nodes))) return refuse("starting %s: %s", n->topo->name, strerror(errno));
    return agree();
}

// The state of one node alone: cheap to ask again and again.
static json_t *cmd_node(struct lab *lab, json_t *request)
{
    struct node *n = lab_find(lab, word(request, "node"));
    if (!n) return refuse("no node %.20s in this lab", word(request, "node"));
    char state[40];
    return json_pack("{s:b, s:s, s:b, s:b}", "ok", 1, "state", proc_state_text(&n->proc, state), "runs",
                     proc_runs(&n->proc), "ready", n->proc.state == PROC_READY);
}

// ---- enter ----

static json_t *cmd_enter(struct lab *lab, json_t *request, int fds[5], int *n_fds)
{
    const char *name = word(request, "node");
    bool internet = !strcmp(name, "internet") && lab->has_internet;
    struct node *n = lab_find(lab, name);
    if (!n && !internet) return refuse("no node %.20s in this lab (byway lab show lists them)", name);
    const struct space *s = internet ? &lab->internet : &n->space;
    int all[5] = {lab->pid_ns, s->net, s->uts, s->mnt, lab->user_ns};
    *n_fds = lab->user_ns < 0 ? 4 : 5;
    memcpy(fds, all, sizeof all);
    return json_pack("{s:b, s:s, s:s}", "ok", 1, "dir", n ? n->dir : "", "binary", lab->o->binary ? lab->o->binary : "");
}

// ---- the socket ----

static json_t *answer(struct lab *lab, json_t *request, int fds[5], int *n_fds)
{
    const char *cmd = word(request, "cmd");
    if (lab->stage == LAB_DOWN && strcmp(cmd, "show")) return refuse("the lab is going down");
    if (!strcmp(cmd, "show")) return cmd_show(lab);
    if (!strcmp(cmd, "node")) return cmd_node(lab, request);
    if (!strcmp(cmd, "link")) return cmd_link(lab, request);
    if (!strcmp(cmd, "signal")) return cmd_signal(lab, request);
    if (!strcmp(cmd, "start")) return cmd_start(lab, request);
    if (!strcmp(cmd, "enter")) return cmd_enter(lab, request, fds, n_fds);
    if (strcmp(cmd, "down")) return refuse("unknown request");
    lab_begin_down(lab);
    return agree();
}

static void reply(int fd, const char *text, const int *fds, int n_fds)
{
    size_t left = strlen(text);
    char space[CMSG_SPACE(5 * sizeof(int))] = {0};
    struct iovec iov = {.iov_base = (char *)text, .iov_len = left};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds) {
        m.msg_control = space;
        m.msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, (size_t)n_fds * sizeof(int));
    }
    ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
    while (n > 0 && (left -= (size_t)n)) {
        text += n;
        n = send(fd, text, left, MSG_NOSIGNAL);
    }
}

// Requests are small and arrive whole; who dawdles is cut off, since the wires stand still meanwhile.
static void accepted(struct lab *lab, int fd)
{
    struct timeval patience = {.tv_usec = 300000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    static char text[65536];
    ssize_t n = recv(fd, text, sizeof text, 0);
    json_t *request = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
    int fds[5], n_fds = 0;
    json_t *r = request ? answer(lab, request, fds, &n_fds) : refuse("not a request");
    char *out = json_dumps(r, JSON_COMPACT);
    if (out) reply(fd, out, fds, n_fds);
    free(out);
    json_decref(r);
    json_decref(request);
}

static void incoming(struct loop_source *s, uint32_t events, bw_time now)
{
    (void)events, (void)now;
    struct lab *lab = (struct lab *)((char *)s - offsetof(struct lab, control));
    int fd = accept4(lab->control_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return;
    accepted(lab, fd);
    close(fd);
}

int control_listen(struct lab *lab)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s/control", lab->o->dir);
    lab->control_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (lab->control_fd < 0 || bind(lab->control_fd, (struct sockaddr *)&a, sizeof a)) return BW_ERR_SYS;
    if (listen(lab->control_fd, 128)) return BW_ERR_SYS;
    lab->control.ready = incoming;
    return loop_watch(&lab->loop, lab->control_fd, &lab->control);
}
