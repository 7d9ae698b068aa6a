#include "lab/lab.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/client.h"
#include "lab/commands.h"
#include "lab/impair.h"
#include "lab/loop.h"
#include "lab/place.h"
#include "lab/say.h"

static const char help[] =
    "byway lab: meshes of network namespaces on this machine\n"
    "\n"
    "  byway lab up TOPOLOGY|FILE        line ring star grid diamond tree random seven, or a file\n"
    "      --nodes N                     how many (for a topology by name)\n"
    "      --seed N                      of `random` and of what the links do\n"
    "      --internet NODES              4,5: these have an uplink to the internet namespace\n"
    "      --share NODES                 4,5: these share it as well\n"
    "      --set SECTION.KEY=VALUE       for every node's daemon; may be repeated\n"
    "      --binary PATH                 of byway, if not this one\n"
    "      --no-daemons                  bare namespaces\n"
    "      --frames                      links carry frames as on a real wire, never the kernel's super-frames\n"
    "      --wait SECONDS                for the nodes to get ready (60)\n"
    "      --with PID                    the lab goes down when that process has ended\n"
    "      --quiet\n"
    "  byway lab show                    nodes and links [--json]\n"
    "  byway lab exec NODE COMMAND...    inside a node, or in `internet`\n"
    "  byway lab link A B WORDS...       loss=5% delay=20ms jitter=5ms rate=10mbit queue=64kb reorder=1% duplicate=1%,\n"
    "                                    cut | down | up | clear; B may be `internet`\n"
    "      --one-way                     only what A sends to B\n"
    "      --link NAME                   one of several links between the two\n"
    "  byway lab kill NODE [SIGNAL]      its daemon; KILL if no signal is named\n"
    "  byway lab stop NODE               SIGTERM, and waits for the end\n"
    "  byway lab start NODE              and waits until it is ready\n"
    "  byway lab down\n"
    "  byway lab list                    names of the labs that are up [--json]\n"
    "  byway lab demo                    the main things, before your eyes, in a minute\n"
    "\n"
    "  --name NAME                       which lab (\"lab\"); several can be up at once\n";

// ---- exec ----

static int cmd_exec(struct lab_call *c)
{
    if (c->argc && c->argv[0][0] == '-') return lab_usage("there is no option %s", c->argv[0]);
    if (c->argc < 2) return lab_usage("lab exec needs a node and a command");
    struct lab_spaces s;
    if (client_spaces(c->name, c->argv[0], &s)) return 1;
    char **command = c->argv + 1;
    if (!strcmp(*command, "--") && command[1]) command++;
    client_exec(&s, command);
}

// ---- link ----

struct link_call {
    bool one_way;
    const char *link;
};

static int link_option(void *ctx, const char *name, const char *value)
{
    struct link_call *l = ctx;
    if (!strcmp(name, "--one-way")) l->one_way = true;
    else l->link = value;
    return 0;
}

static int cmd_link(struct lab_call *c)
{
    static const struct lab_option options[] = {{"--one-way", false}, {"--link", true}, {NULL, false}};
    struct link_call l = {.link = ""};
    int rc = lab_options(&c->argc, c->argv, options, link_option, &l);
    if (rc) return rc;
    if (c->argc < 3) return lab_usage("lab link needs two ends and what to change");
    json_t *words = json_array();
    for (int i = 2; i < c->argc; i++) {
        char err[300];
        struct imp_spec any = {0};
        if (imp_spec_word(&any, c->argv[i], err, sizeof err)) {
            json_decref(words);
            return lab_usage("%s", err);
        }
        json_array_append_new(words, json_string(c->argv[i]));
    }
    json_t *a = client_ask(c->name, json_pack("{s:s, s:s, s:s, s:s, s:b, s:o}", "cmd", "link", "a", c->argv[0], "b", c->argv[1],
                                              "name", l.link, "one_way", l.one_way, "words", words), NULL);
    json_decref(a);
    return a ? 0 : 1;
}

// ---- kill, stop, start ----

static int signal_number(const char *name)
{
    char *end;
    long n = strtol(name, &end, 10);
    if (!*end && end != name) return n > 0 && n < 65 ? (int)n : -1;
    if (!strncasecmp(name, "SIG", 3)) name += 3;
    for (int i = 1; i < 32; i++)
        if (sigabbrev_np(i) && !strcasecmp(sigabbrev_np(i), name)) return i;
    return -1;
}

static int send_signal(struct lab_call *c, int sig)
{
    json_t *a = client_ask(c->name, json_pack("{s:s, s:s, s:i}", "cmd", "signal", "node", c->argv[0], "signal", sig), NULL);
    json_decref(a);
    return a ? 0 : 1;
}

// Until the node has ended (ready = false) or is ready; returns 1 if it does not within the time, or ends instead.
static int wait_node(struct lab_call *c, bool ready, unsigned seconds)
{
    bw_time deadline = loop_now() + seconds * BW_S;
    for (;;) {
        json_t *a = client_ask(c->name, json_pack("{s:s, s:s}", "cmd", "node", "node", c->argv[0]), NULL);
        if (!a) return 1;
        bool runs = json_is_true(json_object_get(a, "runs")), is_ready = json_is_true(json_object_get(a, "ready"));
        char state[60];
        snprintf(state, sizeof state, "%s", json_string_value(json_object_get(a, "state")));
        json_decref(a);
        if (ready ? is_ready : !runs) return 0;
        if (ready && !runs) return lab_fail("%s: %s (its log: byway lab show --json)", c->argv[0], state);
        if (loop_now() > deadline) return lab_fail("%s is still %s after %u s", c->argv[0], state, seconds);
        poll(NULL, 0, 10);
    }
}

static int cmd_kill(struct lab_call *c)
{
    if (c->argc < 1 || c->argc > 2) return lab_usage("lab kill needs a node, and may name a signal");
    int sig = c->argc == 2 ? signal_number(c->argv[1]) : SIGKILL;
    if (sig < 0) return lab_usage("no signal is named %s", c->argv[1]);
    int rc = send_signal(c, sig);
    return rc || sig != SIGKILL ? rc : wait_node(c, false, 10);
}

static int cmd_stop(struct lab_call *c)
{
    if (c->argc != 1) return lab_usage("lab stop needs one node");
    int rc = send_signal(c, SIGTERM);
    return rc ? rc : wait_node(c, false, 30);
}

static int cmd_start(struct lab_call *c)
{
    if (c->argc != 1) return lab_usage("lab start needs one node");
    json_t *a = client_ask(c->name, json_pack("{s:s, s:s}", "cmd", "start", "node", c->argv[0]), NULL);
    json_decref(a);
    return a ? wait_node(c, true, 60) : 1;
}

static int cmd_down(struct lab_call *c)
{
    if (c->argc) return lab_usage("lab down takes no word '%s'", c->argv[0]);
    return client_down(c->name, false);
}

// ---- the command line ----

static const struct {
    const char *name;
    int (*run)(struct lab_call *c);
    bool own_options; // else it has none but those that all have
} commands[] = {
    {"up", lab_cmd_up, true},   {"show", lab_cmd_show, false}, {"exec", cmd_exec, true},   {"link", cmd_link, true},
    {"kill", cmd_kill, false},  {"stop", cmd_stop, false},     {"start", cmd_start, false}, {"down", cmd_down, false},
    {"list", lab_cmd_list, false}, {"demo", lab_cmd_demo, true},
};

// Before the command is known: an option whose value is the next word, in any command.
static bool takes_next(const char *w)
{
    static const char *const names[] = {"--nodes", "--seed", "--internet", "--share", "--set", "--binary", "--wait", "--with", "--link"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], w)) return true;
    return false;
}

// Takes --name, --json and --help out, before or after the command's words; for `exec` only up to the node, the rest is
// the command's own.
static int common_options(struct lab_call *c, const char **command, bool *want_help)
{
    int kept = 0;
    bool literal = false;
    for (int i = 0; i < c->argc; i++) {
        char *w = c->argv[i];
        literal |= kept == 1 && *command && !strcmp(*command, "exec");
        if (literal || !strcmp(w, "--")) {
            literal = true;
            c->argv[kept++] = w;
        } else if (!strcmp(w, "--json")) {
            c->json = true;
        } else if (!strcmp(w, "--help") || !strcmp(w, "-h")) {
            *want_help = true;
        } else if (!strcmp(w, "--name") || !strncmp(w, "--name=", 7)) {
            c->name = w[6] ? w + 7 : ++i < c->argc ? c->argv[i] : "";
        } else if (!*command && w[0] != '-') {
            *command = w;
        } else {
            c->argv[kept++] = w;
            if (!*command && takes_next(w) && i + 1 < c->argc) c->argv[kept++] = c->argv[++i];
        }
    }
    c->argc = kept;
    c->argv[kept] = NULL; // argv had that place: the command's name is out
    return 0;
}

int lab_main(int argc, char **argv)
{
    struct lab_call c = {.name = "lab", .argc = argc - 1, .argv = argv + 1};
    const char *command = NULL;
    bool want_help = false;
    common_options(&c, &command, &want_help);
    if (want_help || (command && !strcmp(command, "help"))) {
        fputs(help, stdout);
        return 0;
    }
    if (!place_name_ok(c.name)) return lab_usage("--name %s: 1 to %d letters, digits, hyphens are wanted", c.name, PLACE_NAME_MAX);
    if (!command && c.argc) return lab_usage("there is no option %s", c.argv[0]);
    if (!command) return lab_usage("lab needs a command: up, show, exec, link, kill, stop, start, down, list, demo");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, command)) continue;
        int rc = commands[i].own_options ? 0 : lab_options(&c.argc, c.argv, &(struct lab_option){NULL, false}, NULL, NULL);
        return rc ? rc : commands[i].run(&c);
    }
    return lab_usage("lab has no command %s", command);
}
