// Inside of the command line: the table of commands, what was typed, asking the daemon, printing. Each command is a
// file cmd_NAME.c that defines its struct command; help, manual pages and the parser all work from that one
// description.
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define EXIT_DONE 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2

#define WORDS_MAX 16
#define GIVEN_MAX 64

struct option {
    const char *name;  // "--endpoint"; a table of options ends with NULL
    const char *value; // what it takes, "HOST:PORT"; NULL: nothing
    bool optional;     // --share[=IFACE]: a value only behind "="
    const char *help;
};

struct typed { // what stands on the command line
    const struct command *command;
    const char *words[WORDS_MAX]; // without those that name the command
    int word_count;
    struct {
        const struct option *option;
        const char *value; // NULL: none
    } given[GIVEN_MAX];
    int given_count;
    const char *socket;
    bool json;
};

struct command {
    const char *name;    // "status", "peer add"
    const char *words;   // what follows, as help shows it: "KEY", "auto|always|none|ADDRESS", ""
    int min, max;        // how many
    const char *summary; // one line, no full stop
    const char *text;    // what to know: paragraphs, blank lines between
    const char *examples; // one per line, "command   # what for"; NULL: none
    const struct option *options; // NULL: only the common ones
    bool asks;           // speaks to the daemon: has --socket
    bool reads;          // has --json: prints exactly the body of the matching GET
    int (*run)(const struct typed *t);
    int (*raw)(int argc, char **argv); // takes its arguments as they are (lab, sim)
};

extern const struct command *const commands[]; // NULL at the end, in the order of help
const struct command *command_find(const char *name);

// ---- options ----
const char *given_value(const struct typed *t, const char *option); // the last one; NULL if not given
bool given(const struct typed *t, const char *option);
const char *state_folder(const struct typed *t); // --state, else $BYWAY_STATE, else the machine's
// The i-th option that c has, common ones included; NULL past the last.
const struct option *command_option(const struct command *c, size_t i);

// ---- saying ----
int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2))); // "byway: ..." on stderr; EXIT_FAILED
int usage(const struct command *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))); // likewise, with a pointer to help; EXIT_USAGE
void help_all(FILE *to);
bool help_is_group(const char *word); // "peer", of `peer add`
void help_group(const char *word, FILE *to);
void help_command(const struct command *c, FILE *to);
void man_page(const struct command *c, FILE *to); // NULL: byway(1)

// ---- http.c: the daemon's socket ----
struct http;
// NULL: it was said why on stderr. body NULL: none.
struct http *http_ask(const struct typed *t, const char *method, const char *path, const json_t *body);
bool http_is_there(const char *socket); // does a node answer?
bool http_line(struct http *h, char *line, size_t size); // the next line of the body without its end; false at the end
char *http_body(struct http *h, size_t *n);              // all of it, NUL-terminated, to be freed
void http_close(struct http *h);
// If the answer is an error, says it and returns EXIT_FAILED; else EXIT_DONE.
int http_check(struct http *h);
// GET as JSON, NULL after an error was said; the raw body in *raw if wanted.
json_t *http_get(const struct typed *t, const char *path, char **raw);
int http_print(const struct typed *t, const char *path); // GET and print the body as it is
// A change: sends, says an error or (unless quiet) what the daemon answered, returns the exit status.
int http_change(const struct typed *t, const char *method, const char *path, const json_t *body, const char *done);

// ---- print.c: text for people ----
enum colour { PLAIN, BOLD, RED, GREEN, YELLOW, DIM };
const char *colour(enum colour c); // "" where no terminal is, or NO_COLOR is set
char *text_bytes(double n, char out[32]);  // "1.2 MB"
char *text_span(double s, char out[32]);   // "3 min", "2 d 4 h"
char *text_rtt(const json_t *ms, char out[32]); // "3.3 ms", "-" for null
const char *text_of(const json_t *o, const char *key); // "" for null
double number_of(const json_t *o, const char *key);
void print_plain(const char *s, FILE *to); // without what could drive a terminal

#define CELL 160
struct table {
    int columns;
    bool right[16]; // which columns are aligned right
    char (*cells)[CELL]; // row after row, the heading first
    int rows, cap;
};
void table_row(struct table *t, ...); // t->columns strings
void table_print(struct table *t, const char *if_empty); // and frees

#endif
