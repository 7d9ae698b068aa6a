// The keeper: process 1 of a lab's PID namespace. It holds the namespaces, carries the wires' frames, runs the nodes and
// answers the control socket DIR/control. When it ends the kernel ends everything it holds.
#ifndef LAB_KEEPER_H
#define LAB_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lab/topology.h"
#include "lab/wire.h"
#include "lab/place.h"
#include "lab/space.h"

struct keeper_options {
    const char *name;
    char dir[PLACE_PATH];
    struct topology topology;
    const char *binary;    // of byway; NULL: bare namespaces, no daemons
    bool offload;
    unsigned ready_s;      // how long the nodes may take to say `ready`
    uint64_t seed;
    int with;              // a pidfd: the lab goes down when that process has ended; -1: none. The keeper's once launched
};

// Starts the keeper, which takes the lock over, and waits until the lab is up. `say` gets a line at each step. Returns 0,
// or 1 after telling what went wrong; then nothing is left running.
int keeper_launch(struct keeper_options *o, int lock_fd, void (*say)(const char *line));

// ---- inside the keeper: shared by keeper.c, process.c, internet.c, control.c ----

enum proc_state { PROC_NONE, PROC_STARTING, PROC_READY, PROC_ENDED };

struct lab;
struct proc {
    struct loop_source out; // its standard output
    struct lab *lab;
    const char *name;
    enum proc_state state;
    pid_t pid;              // in the lab's PID namespace
    int status;             // of waitpid, when PROC_ENDED
    int out_fd;
    char line[128];         // the part of a line read so far
    size_t line_len;
    unsigned starts;
};

struct node {
    const struct topo_node *topo;
    struct space space;
    struct proc proc;
    char dir[PLACE_PATH + 24]; // DIR/nodes/NAME
    int uplink;                // its wire, -1 if none
};

enum lab_stage { LAB_SERVICES, LAB_NODES, LAB_UP, LAB_DOWN };

struct lab {
    struct keeper_options *o;
    struct loop loop;
    struct loop_timer timer;
    struct wires *wires;
    struct space home, internet;
    struct proc dns, web;
    struct node *nodes;      // as in the topology
    int *link_wire;          // likewise
    size_t n_links;
    bool has_internet;
    enum lab_stage stage;
    bw_time stage_deadline;
    int user_ns, pid_ns;     // user_ns: -1 if there was no need of one
    int outer_proc;          // /proc of the world outside
    int progress;            // to the one who waits in keeper_launch, -1 later
    int lock_fd;
    struct loop_source signals, control, watcher, with;
    int signal_fd, control_fd;
    pid_t outer_pid;
    uint64_t fd_soft_limit;
};

int keeper_main(struct lab *lab);               // never returns while the lab lives
void lab_say(struct lab *lab, const char *fmt, ...) BW_PRINTF(2, 3);
void lab_abort(struct lab *lab, const char *fmt, ...) BW_PRINTF(2, 3); // tells, then takes the lab down
void lab_begin_down(struct lab *lab);

// process.c
struct command {
    char *const *argv;
    char *const *extra_env;      // NAME=VALUE, NULL at the end
    const struct space *space;
    const char *log, *pid_file;  // files made in the keeper's view; pid_file may be NULL
};
int proc_start(struct lab *lab, struct proc *p, const struct command *c) BW_NODISCARD;
void proc_reap(struct lab *lab);
int node_start(struct lab *lab, size_t i) BW_NODISCARD;
const char *proc_state_text(const struct proc *p, char out[40]);
bool proc_runs(const struct proc *p);

// internet.c
int internet_make(struct lab *lab, const char **step) BW_NODISCARD;
int internet_attach(struct lab *lab, size_t node, const char **step) BW_NODISCARD;
int internet_serve(struct lab *lab) BW_NODISCARD;
bool internet_answers(struct lab *lab);
int internet_resolv(struct lab *lab, size_t node, const char *path) BW_NODISCARD; // writes a node's resolv.conf
#define INTERNET_PROBE "internet.probe=198.51.100.80:80,[2001:db8::80]:80"

// control.c
int control_listen(struct lab *lab) BW_NODISCARD;

#endif
