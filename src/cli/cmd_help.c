// byway help, byway version; and the two commands that are programs of their own: lab, sim.
#include <string.h>

#include "cli/command.h"
#include "lab/lab.h"
#if __has_include("sim/sim.h")
#include "sim/sim.h"
#endif

static const struct option help_options[] = {
    {"--roff", NULL, false, "the manual page's source instead"},
    {NULL, NULL, false, NULL},
};

static int help(const struct typed *t)
{
    char name[64];
    const struct command *c = NULL;
    if (t->word_count) {
        snprintf(name, sizeof name, "%s%s%s", t->words[0], t->word_count > 1 ? " " : "",
                 t->word_count > 1 ? t->words[1] : "");
        c = command_find(name);
        if (!c && help_is_group(name) && !given(t, "--roff")) {
            help_group(name, stdout);
            return EXIT_DONE;
        }
        if (!c) return usage(NULL, "there is no command `%s`", name);
    }
    if (given(t, "--roff")) man_page(c, stdout);
    else if (!c) help_all(stdout);
    else if (c->raw) return c->raw(2, (char *[]){(char *)c->name, (char *)"--help", NULL});
    else help_command(c, stdout);
    return EXIT_DONE;
}

static int version(const struct typed *t)
{
    (void)t;
    puts("byway " BYWAY_VERSION);
    return EXIT_DONE;
}

const struct command cmd_help = {
    .name = "help",
    .words = "[COMMAND]",
    .max = 2,
    .summary = "say what there is, or how a command is used",
    .text = "Without a command: all commands. With one: the same as `byway COMMAND --help`.",
    .options = help_options,
    .run = help,
};
const struct command cmd_version = {
    .name = "version",
    .words = "",
    .summary = "say which version this is",
    .text = "Prints the program's name and version.",
    .run = version,
};

extern const struct command cmd_lab;
const struct command cmd_lab = {
    .name = "lab",
    .words = "up|show|exec|link|kill|stop|start|down|list|demo ...",
    .max = WORDS_MAX,
    .summary = "meshes of network namespaces on this machine",
    .text = "Brings up a mesh of network namespaces, with real nodes in them, links that can be made slow, lossy or "
            "cut while everything runs, and a "
            "namespace that plays the Internet. Works without root where the kernel has user namespaces. `byway lab "
            "--help` lists the words and options; "
            "the guide (docs/guide/lab.md) explains them.\n\n"
            "up TOPOLOGY|FILE: line, ring, star, grid, diamond, tree, random, seven, or a file that describes one.\n\n"
            "show: nodes and links. exec NODE COMMAND...: run something inside. link A B WORDS...: change a link, e.g. "
            "loss=5% delay=20ms rate=10mbit, cut, up.\n\n"
            "kill, stop, start NODE: its daemon. down: take everything away. list: the labs that are up. demo: the "
            "main things, in a minute.",
    .examples = "byway lab up seven --share 4,5\nbyway lab exec 7 byway status\nbyway lab link 1 2 loss=5% "
                "delay=20ms\nbyway lab down",
    .raw = lab_main,
};

#if __has_include("sim/sim.h")
extern const struct command cmd_sim;
const struct command cmd_sim = {
    .name = "sim",
    .words = "SCENARIO...|random|scale",
    .max = WORDS_MAX,
    .summary = "the simulator: many nodes in one process, the same for the same seed",
    .text = "Runs the node's own code, many times in one process, in virtual time. A run is a pure function of program, scenario "
            "and seed; equal runs print equal traces. After every event it is checked that no packet can go round, that no "
            "route is unfeasible, that nothing leads through the dead, and that state, traffic and memory stay within bounds. "
            "`byway sim --help` lists the options; the guide (docs/guide/simulator.md) explains them.\n\n"
            "SCENARIO: a file that describes a mesh, what happens to it and what is expected (docs/spec/scenario.md).\n\n"
            "random [--seed N] [--nodes N] [--for T]: a mesh, faults and traffic drawn from the seed; a failure is made small "
            "and written to a file.\n\n"
            "scale [--nodes N,N...] [--graph KIND|all] [--csv FILE] [--svg FILE]: how plain Babel grows.\n\n"
            "With --json nothing is printed that depends on the clock on the wall.",
    .examples = "byway sim sim/scenarios/ring-heals.sim\nbyway sim random --seed 7 --nodes 100 --for 5m\n"
                "byway sim scale --nodes 200,1000 --graph all --svg growth.svg",
    .raw = sim_main,
};
#endif
