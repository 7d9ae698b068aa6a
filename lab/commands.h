// The commands of `byway lab`, one function each: argv holds the words after the command's name, options included.
#ifndef LAB_COMMANDS_H
#define LAB_COMMANDS_H

#include <stdbool.h>

struct lab_call {
    const char *name; // --name
    bool json;        // --json
    int argc;         // what is left after those two
    char **argv;
};

int lab_cmd_up(struct lab_call *c);
int lab_cmd_show(struct lab_call *c);
int lab_cmd_list(struct lab_call *c);
int lab_cmd_demo(struct lab_call *c);

struct keeper_options;
// `up` without its command line, for the demonstration.
int lab_up(struct keeper_options *o, bool quiet);

// The next option of a command that has options of its own; see options.c.
struct lab_option {
    const char *name; // "--nodes"
    bool has_value;
};
// Takes the options out of argv (both "--nodes 3" and "--nodes=3") and calls `got` for each, leaving the other words.
// Stops at "--". Returns 0, or 2 after telling what is wrong.
int lab_options(int *argc, char **argv, const struct lab_option *known, int (*got)(void *ctx, const char *name, const char *value),
                void *ctx);
int lab_option_text(void *ctx, const char *name, const char *value); // for commands with one option: *(const char **)ctx = value

#endif
