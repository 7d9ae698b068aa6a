// byway exit use, byway reload: changes without much to say.
#include <arpa/inet.h>
#include <string.h>

#include "cli/command.h"

// A slip of the pen is wrong usage; whether an address can be an exit's is for the node to say.
static bool is_use(const char *word)
{
    unsigned char raw[16];
    return !strcmp(word, "auto") || !strcmp(word, "always") || !strcmp(word, "none") || inet_pton(AF_INET6, word, raw) == 1;
}

static int use(const struct typed *t)
{
    if (!is_use(t->words[0]))
        return usage(t->command, "`%.60s` is neither auto, always, none nor an exit's mesh address", t->words[0]);
    json_t *body = json_pack("{s:s}", "use", t->words[0]);
    if (!body) return usage(t->command, "that is no text");
    int rc = http_change(t, "POST", "/v1/exit", body, "done (byway status shows what comes of it)");
    json_decref(body);
    return rc;
}

static int reload(const struct typed *t)
{
    return http_change(t, "POST", "/v1/reload", NULL, "the configuration is applied");
}

const struct command cmd_exit_use = {
    .name = "exit use",
    .words = "auto|always|none|ADDRESS",
    .min = 1,
    .max = 1,
    .summary = "choose the way to the Internet",
    .text = "auto: an exit of the mesh whenever this machine has no working connection of its own. always: an exit "
            "even so. none: never. "
            "An exit's mesh address: that one. Until the node is restarted; [internet] use in the configuration is for "
            "good.",
    .examples = "byway exits\nbyway exit use fc12:3456:789a:bcde:f012:3456:789a:bcde",
    .asks = true,
    .run = use,
};
const struct command cmd_reload = {
    .name = "reload",
    .words = "",
    .summary = "apply a changed configuration",
    .text = "Reads the configuration again and applies what has changed, without dropping links that have not. If "
            "there is any mistake in it, nothing "
            "changes, and every mistake is told with its line.",
    .asks = true,
    .run = reload,
};
