#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "daemon/daemon.h"

static const struct option options[] = {
    {"--config", "FILE", false, "configuration; default /etc/byway/byway.conf, which may be missing"},
    {"--state", "DIR", false, "where the identity is kept; default $BYWAY_STATE, else " DAEMON_DEFAULT_STATE},
    {"--socket", "PATH", false, "the node's socket; default $BYWAY_SOCKET, else " DAEMON_DEFAULT_SOCKET},
    {"--share", "IFACE", true, "share this machine's Internet connection; with =IFACE the one at that interface"},
    {"--set", "SECTION.KEY=VALUE", false, "what the configuration would say; may be given several times"},
    {NULL, NULL, false, NULL},
};

// Every --set in its order, and --share as the setting that it is.
static char **all_sets(const struct typed *t, size_t *count)
{
    char **sets = calloc(GIVEN_MAX + 1, sizeof *sets);
    if (!sets) abort();
    for (int i = 0; i < t->given_count; i++) {
        const char *name = t->given[i].option->name, *value = t->given[i].value;
        int n = 0;
        if (!strcmp(name, "--set")) n = asprintf(&sets[(*count)++], "%s", value);
        else if (!strcmp(name, "--share")) n = asprintf(&sets[(*count)++], "internet.share=%s", value ? value : "auto");
        if (n < 0) abort();
    }
    return sets;
}

static int run(const struct typed *t)
{
    struct run_options o = {.config_path = given_value(t, "--config"),
                            .state_dir = state_folder(t),
                            .socket_path = t->socket};
    char **sets = all_sets(t, &o.set_count);
    o.sets = sets;
    int rc = daemon_run(&o);
    for (size_t i = 0; i < o.set_count; i++) free(sets[i]);
    free(sets);
    return rc;
}

const struct command cmd_run = {
    .name = "run",
    .words = "",
    .summary = "run the node, in the foreground",
    .text = "Runs the node until it is told to end (Ctrl-C, SIGTERM). It finds its neighbours by itself and needs no "
            "configuration. "
            "With --share it offers this machine's Internet connection to the mesh; without, it uses a neighbour's "
            "when this machine has none.\n\n"
            "Messages go to standard error. When everything is up, the line `ready` is printed on standard output. "
            "SIGHUP or `byway reload` "
            "applies a changed configuration.\n\n"
            "Several nodes on one machine need a network namespace, a --state and a --socket each.",
    .examples = "sudo byway run\nsudo byway run --share\nsudo byway run --config ./test.conf --set log.level=debug",
    .options = options,
    .run = run,
};
