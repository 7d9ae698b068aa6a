// What was typed, to a command: options may stand anywhere, so what takes a value is looked up over all commands, and
// only then checked against the one that was named.
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "daemon/daemon.h"

extern const struct command cmd_run, cmd_status, cmd_peers, cmd_routes, cmd_sessions, cmd_exits, cmd_peer_add,
    cmd_peer_remove, cmd_exit_use, cmd_ping, cmd_trace, cmd_monitor, cmd_key_show, cmd_key_new, cmd_invite, cmd_join,
    cmd_check, cmd_reload, cmd_lab, cmd_sim, cmd_version, cmd_help;

const struct command *const commands[] = {
    &cmd_run,     &cmd_status, &cmd_peers,    &cmd_routes,   &cmd_sessions, &cmd_exits, &cmd_peer_add, &cmd_peer_remove,
    &cmd_exit_use, &cmd_ping,  &cmd_trace,    &cmd_monitor,  &cmd_key_show, &cmd_key_new, &cmd_invite, &cmd_join,
    &cmd_check,   &cmd_reload, &cmd_lab,
#if __has_include("sim/sim.h")
    &cmd_sim,
#endif
    &cmd_version, &cmd_help,   NULL,
};

static const struct option common_help[] = {{"--help", NULL, false, "say how the command is used"},
                                            {NULL, NULL, false, NULL}};
static const struct option common_socket[] = {
    {"--socket", "PATH", false, "the node's socket; default $BYWAY_SOCKET, else " DAEMON_DEFAULT_SOCKET},
    {NULL, NULL, false, NULL}};
static const struct option common_json[] = {{"--json", NULL, false, "print the answer as JSON, for programs"},
                                            {NULL, NULL, false, NULL}};

// ---- saying ----

int complain(const char *fmt, ...)
{
    va_list ap;
    fflush(stdout);
    fprintf(stderr, "byway: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    return EXIT_FAILED;
}

int usage(const struct command *c, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "byway: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    if (c) fprintf(stderr, " (see: byway %s --help)\n", c->name);
    else fprintf(stderr, " (see: byway help)\n");
    return EXIT_USAGE;
}

// ---- the table ----

const struct command *command_find(const char *name)
{
    for (const struct command *const *c = commands; *c; c++) {
        if (!strcmp((*c)->name, name)) return *c;
    }
    return NULL;
}

const struct option *command_option(const struct command *c, size_t i)
{
    const struct option *lists[] = {c->options, c->reads ? common_json : NULL, c->asks ? common_socket : NULL,
                                    common_help};
    for (size_t l = 0; l < 4; l++) {
        for (const struct option *o = lists[l]; o && o->name; o++) {
            if (!i--) return o;
        }
    }
    return NULL;
}

static const struct option *option_of(const struct command *c, const char *name, size_t len)
{
    const struct option *o;
    for (size_t i = 0; (o = command_option(c, i)); i++) {
        if (strlen(o->name) == len && !strncmp(o->name, name, len)) return o;
    }
    return NULL;
}

// The option in any command: whether it takes a value is the same everywhere.
static const struct option *option_anywhere(const char *name, size_t len)
{
    for (const struct command *const *c = commands; *c; c++) {
        const struct option *o = option_of(*c, name, len);
        if (o) return o;
    }
    return NULL;
}

const char *given_value(const struct typed *t, const char *option)
{
    const char *value = NULL;
    for (int i = 0; i < t->given_count; i++) {
        if (!strcmp(t->given[i].option->name, option)) value = t->given[i].value;
    }
    return value;
}

bool given(const struct typed *t, const char *option)
{
    for (int i = 0; i < t->given_count; i++) {
        if (!strcmp(t->given[i].option->name, option)) return true;
    }
    return false;
}

// Of an option that an environment variable stands in for.
static const char *given_or(const struct typed *t, const char *option, const char *variable, const char *fallback)
{
    const char *value = given_value(t, option), *env = getenv(variable);
    return value ? value : env && *env ? env : fallback;
}

const char *state_folder(const struct typed *t)
{
    return given_or(t, "--state", "BYWAY_STATE", DAEMON_DEFAULT_STATE);
}

// ---- what was typed ----

static bool is_option(const char *s)
{
    return s[0] == '-' && s[1];
}

// Index of the first word that is neither option nor option's value; argc if there is none.
static int first_word(int argc, char **argv)
{
    int i = 1;
    for (; i < argc && is_option(argv[i]) && strcmp(argv[i], "--"); i++) {
        size_t n = strcspn(argv[i], "=");
        const struct option *o = option_anywhere(argv[i], n);
        if (o && o->value && !o->optional && !argv[i][n]) i++;
    }
    return i < argc ? i : argc;
}

// lab or sim behind options that only they know, each with at most one value; argc if there is none.
static int raw_word(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (is_option(argv[i])) continue;
        const struct command *c = command_find(argv[i]);
        if (c && c->raw) return i;
        if (!is_option(argv[i - 1])) break;
    }
    return argc;
}

// lab and sim read their own options: they get everything, with what stood before the word behind it.
static int run_raw(const struct command *c, int argc, char **argv, int word)
{
    char **args = calloc((size_t)argc + 1, sizeof *args);
    if (!args) abort();
    int n = 0;
    args[n++] = argv[word];
    for (int i = 1; i < word; i++) args[n++] = argv[i];
    for (int i = word + 1; i < argc; i++) args[n++] = argv[i];
    int rc = c->raw(n, args);
    free(args);
    return rc;
}

// The command whose name stands first among the words, for the hint of a complaint about what stands behind it; or NULL.
static const struct command *command_meant(int argc, char **argv, int word)
{
    if (word >= argc) return NULL;
    const struct command *c = command_find(argv[word]);
    if (c || word + 1 >= argc) return c;
    char two[64];
    snprintf(two, sizeof two, "%s %s", argv[word], argv[word + 1]);
    return command_find(two);
}

static int take_option(struct typed *t, const char *arg, const char *next, int *used)
{
    size_t n = strcspn(arg, "=");
    if (!strcmp(arg, "-h")) {
        arg = "--help";
        n = 6;
    }
    const struct option *o = option_anywhere(arg, n);
    if (!o) return usage(t->command, "there is no option %s", arg);
    if (t->given_count == GIVEN_MAX) return usage(NULL, "too many options");
    const char *value = arg[n] ? arg + n + 1 : NULL;
    if (value && !o->value) return usage(t->command, "%s takes no value", o->name);
    if (!value && o->value && !o->optional) {
        if (!next) return usage(t->command, "%s needs its %s", o->name, o->value);
        value = next;
        *used = 1;
    }
    t->given[t->given_count].option = o;
    t->given[t->given_count++].value = value;
    return 0;
}

static int take_all(struct typed *t, int argc, char **argv)
{
    bool only_words = false;
    for (int i = 1; i < argc; i++) {
        int used = 0;
        if (!only_words && !strcmp(argv[i], "--")) {
            only_words = true;
        } else if (!only_words && is_option(argv[i])) {
            int rc = take_option(t, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used);
            if (rc) return rc;
            i += used;
        } else {
            if (t->word_count == WORDS_MAX) return usage(NULL, "too many words");
            t->words[t->word_count++] = argv[i];
        }
    }
    return 0;
}

bool help_is_group(const char *word)
{
    size_t n = strlen(word);
    for (const struct command *const *c = commands; *c; c++) {
        if (!strncmp((*c)->name, word, n) && (*c)->name[n] == ' ') return true;
    }
    return false;
}

void help_group(const char *word, FILE *to)
{
    size_t n = strlen(word);
    fprintf(to, "Usage:\n");
    for (const struct command *const *c = commands; *c; c++) {
        if (strncmp((*c)->name, word, n) || (*c)->name[n] != ' ') continue;
        fprintf(to, "  byway %s%s%s\n      %s\n", (*c)->name, *(*c)->words ? " " : "", (*c)->words, (*c)->summary);
    }
}

// A command that a mistyped word may mean: the same letters but one, or the beginning of it.
static const char *near(const char *word)
{
    for (const struct command *const *c = commands; *c; c++) {
        const char *a = (*c)->name, *b = word;
        size_t n = strlen(a), m = strlen(b), same = 0;
        while (a[same] && a[same] == b[same]) same++;
        size_t tail = 0;
        while (tail < n - same && tail < m - same && a[n - 1 - tail] == b[m - 1 - tail]) tail++;
        size_t left = n > m ? n : m;
        if (m >= 2 && (same == m || left - same - tail <= 1 || (n == m && left - same - tail == 2))) return a;
    }
    return NULL;
}

// Finds the command that the words begin with ("peer add", else "status") and takes its name off them.
static int take_command(struct typed *t)
{
    char two[64];
    if (!t->word_count) {
        if (given(t, "--help")) {
            help_all(stdout);
            return -1;
        }
        help_all(stderr);
        return EXIT_USAGE;
    }
    const char *word = t->words[0];
    int used = 1;
    t->command = command_find(word);
    if (!t->command && t->word_count > 1) {
        snprintf(two, sizeof two, "%s %s", word, t->words[1]);
        t->command = command_find(two);
        used = 2;
    }
    if (!t->command && help_is_group(word)) {
        bool asked = given(t, "--help");
        if (!asked && t->word_count > 1) fprintf(stderr, "byway: there is no command `%s %s`\n", word, t->words[1]);
        help_group(word, asked ? stdout : stderr);
        return asked ? -1 : EXIT_USAGE;
    }
    if (!t->command) {
        const char *other = near(word);
        if (other) return usage(NULL, "there is no command `%s`, did you mean `%s`?", word, other);
        return usage(NULL, "there is no command `%s`", word);
    }
    t->word_count -= used;
    memmove(t->words, t->words + used, (size_t)t->word_count * sizeof *t->words);
    return 0;
}

// An option that was given without its value, which it takes only behind "=": a word too many may be meant as that.
static const struct option *value_behind_equals(const struct typed *t)
{
    for (int i = 0; i < t->given_count; i++) {
        if (t->given[i].option->optional && !t->given[i].value) return t->given[i].option;
    }
    return NULL;
}

static int check_fit(struct typed *t)
{
    const struct command *c = t->command;
    for (int i = 0; i < t->given_count; i++) {
        const char *name = t->given[i].option->name;
        const struct option *own = option_of(c, name, strlen(name));
        if (!own) return usage(c, "`byway %s` has no option %s", c->name, name);
        t->given[i].option = own;
    }
    if (t->word_count < c->min) return usage(c, "`byway %s` needs: %s", c->name, c->words);
    if (t->word_count > c->max) {
        const struct option *with = value_behind_equals(t);
        if (with)
            return usage(c, "`byway %s` does not know what to do with `%s`: a value of %s is written %s=%s", c->name,
                         t->words[c->max], with->name, with->name, with->value);
        return usage(c, "`byway %s` does not know what to do with `%s`", c->name, t->words[c->max]);
    }
    t->socket = given_or(t, "--socket", "BYWAY_SOCKET", DAEMON_DEFAULT_SOCKET);
    t->json = given(t, "--json");
    return 0;
}

int cli_main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))) argv[1] = (char *)"version";
    int word = first_word(argc, argv);
    const struct command *c = word < argc ? command_find(argv[word]) : NULL;
    int raw = c ? (c->raw ? word : argc) : raw_word(argc, argv);
    if (raw < argc) return run_raw(command_find(argv[raw]), argc, argv, raw);
    struct typed *t = calloc(1, sizeof *t);
    if (!t) abort();
    t->command = command_meant(argc, argv, word);
    int rc = take_all(t, argc, argv);
    if (!rc) rc = take_command(t);
    if (!rc && given(t, "--help")) {
        help_command(t->command, stdout);
        rc = -1;
    }
    if (!rc) rc = check_fit(t);
    if (!rc) rc = t->command->run(t);
    free(t);
    if ((fflush(stdout) || ferror(stdout)) && !rc) rc = complain("the output cannot be written");
    return rc < 0 ? EXIT_DONE : rc;
}
