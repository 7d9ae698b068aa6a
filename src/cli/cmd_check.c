// byway check: everything that is wrong in a configuration, at once.
#include "cli/command.h"
#include "daemon/config.h"

static int run(const struct typed *t)
{
    struct config c;
    struct config_report r;
    const char *file = t->words[0];
    int err = config_load(file, NULL, 0, &c, &r);
    if (err) {
        config_report_print(&r, stderr);
        complain("%s has %zu mistake%s", file, r.count, r.count == 1 ? "" : "s");
    } else {
        printf("%s is fine\n", file);
        config_free(&c);
    }
    config_report_free(&r);
    return err ? EXIT_FAILED : EXIT_DONE;
}

const struct command cmd_check = {
    .name = "check",
    .words = "FILE",
    .min = 1,
    .max = 1,
    .summary = "say everything that is wrong in a configuration, with line numbers",
    .text = "Reads a configuration as the node would, and says every mistake in it with its line. Files with secrets "
            "that it names are looked at as well. "
            "Nothing is changed, and no node need run.",
    .examples = "byway check /etc/byway/byway.conf",
    .run = run,
};
