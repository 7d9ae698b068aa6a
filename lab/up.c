// byway lab up
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lab/client.h"
#include "lab/commands.h"
#include "lab/keeper.h"
#include "lab/say.h"

#define SETS_MAX 64

struct up {
    struct keeper_options o;
    size_t nodes;
    const char *share, *internet, *binary;
    const char *sets[SETS_MAX];
    size_t n_sets;
    bool no_daemons, quiet;
};

static const struct lab_option options[] = {
    {"--nodes", true},   {"--seed", true},        {"--share", true},     {"--internet", true}, {"--set", true},
    {"--binary", true},  {"--no-daemons", false}, {"--frames", false},   {"--wait", true},     {"--quiet", false},
    {"--with", true},    {NULL, false},
};

static int number(const char *name, const char *text, unsigned long min, unsigned long max, unsigned long *out)
{
    char *end;
    errno = 0;
    *out = strtoul(text, &end, 10);
    if (errno || *end || end == text || *text == '-' || *out < min || *out > max)
        return lab_usage("%s %s: a number from %lu to %lu is wanted", name, text, min, max);
    return 0;
}

static int option(void *ctx, const char *name, const char *value)
{
    struct up *u = ctx;
    unsigned long n = 0;
    if (!strcmp(name, "--nodes")) {
        if (number(name, value, 1, TOPO_NODES_MAX, &n)) return 2;
        u->nodes = n;
    } else if (!strcmp(name, "--seed")) {
        if (number(name, value, 0, ULONG_MAX, &n)) return 2;
        u->o.seed = n;
    } else if (!strcmp(name, "--wait")) {
        if (number(name, value, 1, 3600, &n)) return 2;
        u->o.ready_s = (unsigned)n;
    } else if (!strcmp(name, "--with")) {
        if (number(name, value, 1, INT_MAX, &n)) return 2;
        u->o.with = (int)syscall(SYS_pidfd_open, (pid_t)n, 0);
        if (u->o.with < 0) return lab_fail("--with %s: %s", value, strerror(errno));
    } else if (!strcmp(name, "--set")) {
        if (u->n_sets == SETS_MAX) return lab_usage("more than %d times --set", SETS_MAX);
        u->sets[u->n_sets++] = value;
    } else if (!strcmp(name, "--share")) u->share = value;
    else if (!strcmp(name, "--internet")) u->internet = value;
    else if (!strcmp(name, "--binary")) u->binary = value;
    else if (!strcmp(name, "--no-daemons")) u->no_daemons = true;
    else if (!strcmp(name, "--quiet")) u->quiet = true;
    else u->o.offload = false;
    return 0;
}

static char *slurp(FILE *f, size_t *len)
{
    size_t room = 65536, n = 0, got;
    char *text = malloc(room);
    while (text && (got = fread(text + n, 1, room - n, f))) {
        n += got;
        if (n < room) continue;
        char *more = room < 64u << 20 ? realloc(text, room *= 2) : NULL;
        if (!more) free(text);
        text = more;
    }
    *len = n;
    return text;
}

// A name is a topology unless there is a file of that name; anything with a dot or slash must be a file.
static int read_topology(const char *what, size_t nodes, uint64_t seed, struct topology *out)
{
    char err[TOPO_ERR] = "";
    struct stat st;
    if (!strpbrk(what, "./") && (stat(what, &st) || !S_ISREG(st.st_mode))) {
        if (topo_generate(what, nodes, seed, out, err)) return lab_usage("%s", err);
        return 0;
    }
    FILE *f = fopen(what, "re");
    if (!f) return lab_fail("%s: %s", what, strerror(errno));
    size_t len;
    char *text = slurp(f, &len);
    fclose(f);
    int rc = text ? topo_parse(what, text, len, out, err) : BW_ERR_NOMEM;
    free(text);
    if (rc) return lab_fail("%s", *err ? err : "no memory for the topology");
    return 0;
}

// "4,5": marks those nodes.
static int mark(struct topology *t, const char *list, bool share)
{
    char copy[4096];
    if (snprintf(copy, sizeof copy, "%s", list) >= (int)sizeof copy) return lab_usage("the list of nodes is too long");
    char *save;
    for (char *w = strtok_r(copy, ", ", &save); w; w = strtok_r(NULL, ", ", &save)) {
        int i = topo_find(t, w);
        if (i < 0) return lab_usage("no node %s in this topology", w);
        t->nodes[i].internet = true;
        t->nodes[i].share |= share;
    }
    return 0;
}

static int apply_sets(struct topology *t, const char *const *sets, size_t n)
{
    for (size_t i = 0; i < t->n_nodes; i++) {
        struct topo_node all = {0}, *node = &t->nodes[i];
        int rc = topo_add_set(&all, INTERNET_PROBE);
        for (size_t k = 0; k < n && !rc; k++)
            if ((rc = topo_add_set(&all, sets[k]))) lab_usage("--set %s: SECTION.KEY=VALUE is wanted", sets[k]);
        for (size_t k = 0; k < node->n_sets && !rc; k++) rc = topo_add_set(&all, node->sets[k]); // the node's own count most
        for (size_t k = 0; k < node->n_sets; k++) free(node->sets[k]);
        free(node->sets);
        node->sets = all.sets;
        node->n_sets = all.n_sets;
        if (rc) return 2;
    }
    return 0;
}

static int check(const struct topology *t)
{
    for (size_t i = TOPO_UPLINKS_MAX; i < t->n_nodes; i++)
        if (t->nodes[i].internet) return lab_fail("only the first %d nodes can have the Internet", TOPO_UPLINKS_MAX);
    return 0;
}

static void print_line(const char *line)
{
    printf("%s\n", line);
    fflush(stdout);
}

static void print_nothing(const char *line)
{
    (void)line;
}

int lab_up(struct keeper_options *o, bool quiet)
{
    int rc = place_lab(o->name, o->dir);
    if (rc == BW_ERR_DENIED) return lab_fail("/tmp/byway-lab-%u belongs to somebody else (remove it)", (unsigned)geteuid());
    if (rc) return lab_fail("making a folder below /tmp: %s", strerror(errno));
    int lock = place_lock(o->dir, true);
    if (lock == BW_ERR_AGAIN)
        return lab_fail("lab %s is up already (byway lab down --name %s, or choose another --name)", o->name, o->name);
    if (lock < 0) return lab_fail("%s: %s", o->dir, strerror(errno));
    if (place_clear(o->dir, false)) return lab_fail("clearing %s: %s", o->dir, strerror(errno));
    rc = keeper_launch(o, lock, quiet ? print_nothing : print_line);
    if (o->with >= 0) close(o->with);
    if (rc) client_down(o->name, true);
    return rc;
}

static int run(struct up *u, const char *what, const char *self)
{
    int rc = read_topology(what, u->nodes, u->o.seed, &u->o.topology);
    if (!rc && u->share) rc = mark(&u->o.topology, u->share, true);
    if (!rc && u->internet) rc = mark(&u->o.topology, u->internet, false);
    if (!rc) rc = check(&u->o.topology);
    if (!rc) rc = apply_sets(&u->o.topology, u->sets, u->n_sets);
    if (!rc) {
        u->o.binary = u->no_daemons ? NULL : self;
        rc = lab_up(&u->o, u->quiet);
    }
    if (!rc && !u->quiet)
        printf("lab %s is up: byway lab show%s%s\n", u->o.name, strcmp(u->o.name, "lab") ? " --name " : "",
               strcmp(u->o.name, "lab") ? u->o.name : "");
    topo_free(&u->o.topology);
    return rc;
}

int lab_cmd_up(struct lab_call *c)
{
    struct up u = {.o = {.name = c->name, .offload = true, .ready_s = 60, .seed = 1, .with = -1}};
    int rc = lab_options(&c->argc, c->argv, options, option, &u);
    if (rc) return rc;
    if (c->argc != 1) return lab_usage("lab up needs one topology (%s) or file", topo_kinds());
    char self[PATH_MAX];
    if (!realpath(u.binary ? u.binary : "/proc/self/exe", self)) return lab_fail("%s: %s", u.binary, strerror(errno));
    if (access(self, X_OK)) return lab_fail("%s can't be run", self);
    return run(&u, c->argv[0], self);
}
