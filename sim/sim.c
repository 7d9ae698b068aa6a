#include "sim/sim.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "sim/random.h"
#include "sim/sim_private.h"

static const char help[] =
    "Usage: byway sim FILE...                              play scenarios\n"
    "       byway sim random [--seed N] [--nodes N] [--for T]   a mesh, faults and traffic drawn from the seed\n"
    "       byway sim scale [--nodes N] [--graph KIND]      how plain Babel grows\n"
    "\n"
    "The node's own code, many times in one process, in virtual time. A run is a pure function of program, scenario and seed;\n"
    "the trace hash that is printed at the end is the same for equal runs. What must never happen is looked at after every\n"
    "event: forwarding loops, unfeasible routes, routes through the dead, state that outlives its time, too much traffic or memory.\n"
    "\n"
    "  --seed N       random, scale: what to draw from (default: fresh, printed); files: for scenarios that name none\n"
    "  --nodes N      random: how many (default: drawn, 2 to 23); scale: default 200, or several: 200,1000\n"
    "  --for T        random: simulated time, e.g. 90s, 10m (default 5m, at least 1m); no faults in its second half or last 5m\n"
    "  --runs N       random: N seeds one after the other, from --seed on\n"
    "  --jobs N       random: so many of them at a time (default 1)\n"
    "  --out FILE     random: where the shrunk scenario of a failure goes (default byway-sim-SEED.sim)\n"
    "  --no-shrink    random: leave a failing scenario as it is\n"
    "  --print        random: print the scenario and don't run it\n"
    "  --report FILE  files: what `report` events tell, counters and routes of every node, as JSON lines\n"
    "  --graph KIND   scale: geometric, scale-free, communities, grid, ring or all (default geometric)\n"
    "  --cap N        scale: destinations kept by each node\n"
    "  --idle T       scale: measure the idle mesh for so long (default 60s)\n"
    "  --only-full    scale: end as soon as everybody has a route to everybody\n"
    "  --csv FILE --svg FILE   scale: figures and plots\n"
    "  --crypto real|standin   default: stand-in from 1,000 nodes up\n"
    "  --json         print the result as JSON, without anything that depends on the clock on the wall\n"
    "  --verbose      what happens, as it happens, on standard error\n"
    "\n"
    "Exit status: 0 all went well, 1 something did not, 2 wrong usage. Grammar of scenarios: docs/spec/scenario.md.\n";

int sim_say(int status, const char *fmt, ...)
{
    va_list ap;
    fflush(stdout);
    fprintf(stderr, "byway: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    return status;
}

// ---- results ----

static const char *sim_violation_name(enum violation v)
{
    return v == VIOLATION_CRASH ? "crash" : violation_name(v);
}

static json_t *result_json(const char *name, const struct scenario *s, const struct play_result *r)
{
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)r->hash);
    json_t *o = json_pack("{s:s, s:I, s:s, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "scenario", name, "seed", (json_int_t)s->seed,
                          "result", r->violation ? "failed" : "ok", "nodes", (json_int_t)r->nodes, "links", (json_int_t)r->links, "simulated_s",
                          (double)(r->ran / BW_MS) / 1e3, "steps", (json_int_t)r->steps, "packets", (json_int_t)r->packets, "bytes", (json_int_t)r->bytes,
                          "route_changes", (json_int_t)r->changes, "traffic_sent", (json_int_t)r->sent, "traffic_delivered", (json_int_t)r->delivered,
                          "most_bytes_in_10_s", (json_int_t)r->most_bytes, "most_memory", (json_int_t)r->most_memory, "trace", hash);
    if (o && r->violation)
        json_object_set_new(o, "violation", json_pack("{s:s, s:f, s:s}", "kind", sim_violation_name(r->violation), "at_s", (double)r->when / 1e6, "what", r->what));
    json_t *waits = json_array();
    for (uint32_t i = 0; r->waits && i < r->wait_count; i++)
        json_array_append_new(waits, json_pack("{s:I, s:f}", "line", (json_int_t)s->v[r->waits[i].statement].line, "took_s", (double)r->waits[i].took / 1e6));
    if (o && r->waits) json_object_set_new(o, "waits", waits);
    else json_decref(waits);
    return o;
}

static void print_result(const char *name, const struct scenario *s, const struct play_result *r, bool json)
{
    if (json) {
        json_t *o = result_json(name, s, r);
        char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
        printf("%s\n", text ? text : "{}");
        free(text);
        json_decref(o);
        return;
    }
    if (!r->violation)
        printf("ok     %s: %u nodes, %u wires, %.0f s, %llu events, %llu route changes, trace %016llx\n", name, r->nodes, r->links, (double)r->ran / 1e6,
               (unsigned long long)r->steps, (unsigned long long)r->changes, (unsigned long long)r->hash);
    else
        printf("FAILED %s: %s at %.3f s: %s\n", name, sim_violation_name(r->violation), (double)r->when / 1e6, r->what);
    for (uint32_t i = 0; r->waits && i < r->wait_count; i++) {
        printf("  %8.2f s  ", (double)r->waits[i].took / 1e6);
        scenario_write_statement(&s->v[r->waits[i].statement], stdout);
    }
}

// ---- files ----

static char *whole_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    size_t n = 0, room = 4096;
    char *text = malloc(room);
    for (size_t k; text && (k = fread(text + n, 1, room - n - 1, f)) > 0;) {
        n += k;
        if (n + 1 < room) continue;
        char *more = realloc(text, room *= 2);
        if (!more) break;
        text = more;
    }
    int err = ferror(f) ? errno : 0;
    fclose(f);
    if (text) text[n] = 0;
    if (text && !err && strlen(text) == n) return text;
    free(text);
    errno = err ? err : text ? EILSEQ : ENOMEM;
    return NULL;
}

static int run_file(const struct sim_options *o, const char *path, FILE *report)
{
    struct scenario s;
    struct play_result r;
    struct play_options po = {.verbose = o->verbose, .report = report};
    char error[SCENARIO_ERROR] = "";
    char *text = whole_file(path);
    if (!text) return sim_say(errno == EILSEQ ? 2 : EXIT_FAILURE, "%s: %s", path, errno == EILSEQ ? "this is no text: it has a zero byte" : strerror(errno));
    int err = scenario_parse(&s, text, o->has_seed ? o->seed : 1, error);
    free(text);
    if (err) return sim_say(2, "%s:%s", path, *error ? error : bw_strerror(err));
    err = play(&s, &po, &r);
    int status = err || r.violation ? EXIT_FAILURE : 0;
    if (err) sim_say(0, "%s: %s", path, bw_strerror(err));
    else print_result(path, &s, &r, o->json);
    if (!err && r.statement != UINT32_MAX && !o->json) printf("  line %u: ", s.v[r.statement].line), scenario_write_statement(&s.v[r.statement], stdout);
    play_result_free(&r);
    scenario_free(&s);
    return status;
}

static int run_files(const struct sim_options *o, int count, const char **paths)
{
    int status = 0;
    FILE *report = o->report ? fopen(o->report, "w") : NULL;
    if (o->report && !report) return sim_say(EXIT_FAILURE, "%s: %s", o->report, strerror(errno));
    for (int i = 0; !status && i < count; i++) status = run_file(o, paths[i], report);
    if (report && fclose(report)) status = sim_say(EXIT_FAILURE, "%s: %s", o->report, strerror(errno));
    return status;
}

// ---- random ----

// For the command line, as exact as it is read.
static const char *span_text(const struct sim_options *o)
{
    static char text[32];
    if (o->span % BW_S) snprintf(text, sizeof text, "%.3fms", (double)o->span / 1e3);
    else snprintf(text, sizeof text, "%llus", (unsigned long long)(o->span / BW_S));
    return text;
}

static void say_how(const struct sim_options *o, const struct scenario *s)
{
    fprintf(stderr, "reproduce: byway sim random --seed %llu", (unsigned long long)s->seed);
    if (o->nodes) fprintf(stderr, " --nodes %u", o->nodes);
    fprintf(stderr, " --for %s\n", span_text(o));
}

static void shrink_to_file(const struct sim_options *o, struct scenario *s, struct play_result *r)
{
    char path[256];
    if (o->out) snprintf(path, sizeof path, "%s", o->out);
    else snprintf(path, sizeof path, "byway-sim-%llu.sim", (unsigned long long)s->seed);
    uint32_t events = s->count, wires = s->link_count;
    unsigned runs = shrink(s, r, 300);
    FILE *f = fopen(path, "w");
    if (!f) {
        sim_say(0, "%s: %s", path, strerror(errno));
        return;
    }
    fprintf(f, "# %s at %.3f s: %s\n", sim_violation_name(r->violation), (double)r->when / 1e6, r->what);
    fprintf(f, "# found by byway sim random --seed %llu", (unsigned long long)s->seed);
    if (o->nodes) fprintf(f, " --nodes %u", o->nodes);
    fprintf(f, " --for %s, made small in %u runs\n", span_text(o), runs);
    scenario_write(s, f);
    fclose(f);
    fprintf(stderr, "shrunk from %u events and %u wires to %u and %u in %u runs: byway sim %s\n", events, wires, s->count, s->link_count, runs, path);
}

static int run_seed(const struct sim_options *o, uint64_t seed)
{
    struct scenario s;
    struct play_result r;
    struct play_options po = {.verbose = o->verbose};
    char name[40];
    snprintf(name, sizeof name, "random seed %llu", (unsigned long long)seed);
    if (random_scenario(&s, seed, o->nodes, o->span)) {
        scenario_free(&s);
        return sim_say(EXIT_FAILURE, "no memory for the scenario");
    }
    if (o->print) {
        scenario_write(&s, stdout);
        scenario_free(&s);
        return 0;
    }
    int err = play_guarded(&s, &po, &r);
    if (err) sim_say(0, "%s: %s", name, bw_strerror(err));
    else print_result(name, &s, &r, o->json);
    if (!err && r.violation) {
        say_how(o, &s);
        if (!o->no_shrink) shrink_to_file(o, &s, &r);
    }
    scenario_free(&s);
    return err || r.violation ? EXIT_FAILURE : 0;
}

static int run_random(const struct sim_options *o)
{
    unsigned failed = 0, running = 0;
    if (o->jobs <= 1) {
        for (uint64_t i = 0; i < o->runs; i++) failed += run_seed(o, o->seed + i) != 0;
    } else {
        for (uint64_t i = 0; i < o->runs || running;) {
            if (i < o->runs && running < o->jobs) {
                int pid = sim_fork();
                if (!pid) {
                    int status = run_seed(o, o->seed + i);
                    fflush(stdout);
                    _exit(status);
                }
                running += pid > 0;
                i++;
                continue;
            }
            failed += sim_wait() != 0;
            running--;
        }
    }
    if (o->runs > 1 && !o->json) printf("%llu runs, %u failed\n", (unsigned long long)o->runs, failed);
    return failed ? EXIT_FAILURE : 0;
}

// ---- options ----

static bool number(const char *s, uint64_t max, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long v = *s >= '0' && *s <= '9' ? strtoull(s, &end, 10) : (end = (char *)s, 0);
    *out = v;
    return end != s && !*end && !errno && v <= max;
}

#define SPAN_LEAST (60 * BW_S) // the half without faults must be long enough for a mesh to heal

static bool sim_span(const char *s, bw_time *out)
{
    char *end;
    double v = strtod(s, &end);
    double unit = !strcmp(end, "ms") ? 1e3 : !strcmp(end, "s") || !*end ? 1e6 : !strcmp(end, "m") ? 60e6 : !strcmp(end, "h") ? 3600e6 : 0;
    if (end == s || !(v > 0) || !unit || v * unit > 30 * 86400e6) return false;
    *out = (bw_time)(v * unit);
    return true;
}

static bool sizes(struct sim_options *o, const char *v)
{
    o->size_count = 0;
    for (o->nodes = 0; o->size_count < sizeof o->sizes / sizeof *o->sizes; v++) {
        char digits[12];
        uint64_t n;
        size_t len = strcspn(v, ",");
        snprintf(digits, sizeof digits, "%.*s", (int)(len < 11 ? len : 11), v);
        if (!number(digits, SCENARIO_NODES_MAX, &n) || !n) return false;
        o->sizes[o->size_count++] = (uint32_t)n;
        if (n > o->nodes) o->nodes = (uint32_t)n;
        v += len;
        if (!*v) return true;
    }
    return false;
}

// value: NULL if nothing stood behind the option.
static int set_option(struct sim_options *o, const char *name, const char *value)
{
    const char *v = value ? value : "";
    uint64_t n = 0;
    bool ok = true;
    if (!strcmp(name, "--seed")) ok = o->has_seed = number(v, 1000000000000000u, &o->seed);
    else if (!strcmp(name, "--nodes")) ok = sizes(o, v);
    else if (!strcmp(name, "--for")) ok = sim_span(v, &o->span) && o->span >= SPAN_LEAST;
    else if (!strcmp(name, "--idle")) ok = sim_span(v, &o->idle);
    else if (!strcmp(name, "--runs")) ok = number(v, 1000000000, &o->runs) && o->runs;
    else if (!strcmp(name, "--jobs")) ok = number(v, 1000, &n) && n, o->jobs = (unsigned)n;
    else if (!strcmp(name, "--cap")) ok = number(v, 1000000, &n), o->cap = (uint32_t)n;
    else if (!strcmp(name, "--out")) o->out = v;
    else if (!strcmp(name, "--report")) o->report = v;
    else if (!strcmp(name, "--csv")) o->csv = v;
    else if (!strcmp(name, "--svg")) o->svg = v;
    else if (!strcmp(name, "--graph")) o->graph = v;
    else if (!strcmp(name, "--crypto")) o->crypto = v, ok = !strcmp(v, "real") || !strcmp(v, "standin");
    else return sim_say(2, "there is no option %s (see: byway sim --help)", name);
    if (!value) return sim_say(2, "%s needs a value (see: byway sim --help)", name);
    return ok ? 0 : sim_say(2, "%s cannot be `%s` (see: byway sim --help)", name, v);
}

static bool set_flag(struct sim_options *o, const char *name)
{
    if (!strcmp(name, "--json")) o->json = true;
    else if (!strcmp(name, "--verbose")) o->verbose = true;
    else if (!strcmp(name, "--no-shrink")) o->no_shrink = true;
    else if (!strcmp(name, "--print")) o->print = true;
    else if (!strcmp(name, "--only-full")) o->only_full = true;
    else return false;
    return true;
}

static int take_options(struct sim_options *o, int argc, char **argv, const char **words, int *count)
{
    for (int i = 1; i < argc; i++) {
        char name[32];
        const char *eq = strchr(argv[i], '=');
        if (argv[i][0] != '-' || !argv[i][1]) {
            words[(*count)++] = argv[i];
            continue;
        }
        if (set_flag(o, argv[i])) continue;
        size_t n = eq ? (size_t)(eq - argv[i]) : strlen(argv[i]);
        if (n >= sizeof name) return sim_say(2, "there is no option %s (see: byway sim --help)", argv[i]);
        memcpy(name, argv[i], n);
        name[n] = 0;
        int rc = set_option(o, name, eq ? eq + 1 : argv[++i]); // argv ends with NULL
        if (rc) return rc;
    }
    return 0;
}

static uint64_t fresh_seed(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return ((uint64_t)t.tv_sec * 1000003u + (uint64_t)t.tv_nsec / 1000 + (uint64_t)getpid() * 7919u) % 1000000000u;
}

int sim_main(int argc, char **argv)
{
    struct sim_options o = {.span = 300 * BW_S, .idle = 60 * BW_S, .runs = 1, .jobs = 1, .graph = "geometric"};
    const char **words = calloc((size_t)argc + 1, sizeof *words);
    int count = 0, status = 0;
    if (!words) return EXIT_FAILURE;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") && strcmp(argv[i], "-h")) continue;
        free(words);
        printf("%s", help);
        return 0;
    }
    status = take_options(&o, argc, argv, words, &count);
    if (!status && !count) status = sim_say(2, "`byway sim` needs: SCENARIO|random|scale (see: byway sim --help)");
    if (!status) status = sim_use_crypto(&o, argc, argv, count ? words[0] : "");
    if (!status && bw_crypto_init()) status = sim_say(EXIT_FAILURE, "the cryptographic libraries cannot be used");
    bool drawn = count && (!strcmp(words[0], "random") || !strcmp(words[0], "scale"));
    if (!status && drawn && count > 1)
        status = sim_say(2, "`byway sim %s` does not know what to do with `%s` (see: byway sim --help)", words[0], words[1]);
    if (!status && drawn && !o.has_seed) {
        o.seed = fresh_seed();
        fprintf(stderr, "seed %llu\n", (unsigned long long)o.seed);
    }
    if (!status && count && *words[0] == 'r' && drawn && o.size_count > 1) status = sim_say(2, "random takes one --nodes (see: byway sim --help)");
    if (!status && drawn) status = *words[0] == 'r' ? run_random(&o) : sim_scale(&o);
    else if (!status) status = run_files(&o, count, words);
    free(words);
    return status;
}
