// byway key show, byway key new: with a node or without one.
#include <stdlib.h>

#include "base/text.h"
#include "cli/command.h"
#include "daemon/daemon.h"
#include "daemon/keycmd.h"

static const struct option show_options[] = {
    {"--state", "DIR", false,
     "read the identity there instead of asking the node; default if no node runs $BYWAY_STATE, else " DAEMON_DEFAULT_STATE},
    {NULL, NULL, false, NULL},
};
static const struct option new_options[] = {
    {"--state", "DIR", false, "where the identity goes; default $BYWAY_STATE, else " DAEMON_DEFAULT_STATE},
    {"--force", NULL, false, "replace the identity that is there: it is gone for good"},
    {NULL, NULL, false, NULL},
};

static int print_identity(const struct typed *t, const char *address, const char *key)
{
    json_t *j = json_pack("{s:s, s:s}", "address", address, "key", key);
    if (t->json) {
        json_dumpf(j, stdout, JSON_COMPACT);
        printf("\n");
    } else {
        printf("address  %s\nkey      %s\n", address, key);
    }
    json_decref(j);
    return EXIT_DONE;
}

static int print_file(const struct typed *t, const struct keycmd_identity *id)
{
    char address[BW_ADDR_TEXT], key[BW_KEY_TEXT];
    return print_identity(t, bw_addr_text(&id->address, address), bw_base64_encode(id->key, 32, key));
}

static int show(const struct typed *t)
{
    struct keycmd_identity id;
    char why[400];
    if (!given(t, "--state") && http_is_there(t->socket)) {
        json_t *s = http_get(t, "/v1/status", NULL);
        int rc = s ? print_identity(t, text_of(s, "address"), text_of(s, "key")) : EXIT_FAILED;
        json_decref(s);
        return rc;
    }
    if (keycmd_show(state_folder(t), &id, why, sizeof why)) return complain("%s", why);
    return print_file(t, &id);
}

static int make(const struct typed *t)
{
    struct keycmd_identity id;
    char why[400];
    if (keycmd_new(state_folder(t), given(t, "--force"), &id, why, sizeof why))
        return complain("%s", why);
    return print_file(t, &id);
}

const struct command cmd_key_show = {
    .name = "key show",
    .words = "",
    .summary = "address and public key of this node",
    .text = "Prints this node's mesh address and public key, as the other side of `byway peer add` needs it. If no "
            "node runs, the identity file is read.",
    .options = show_options,
    .asks = true,
    .reads = true,
    .run = show,
};
const struct command cmd_key_new = {
    .name = "key new",
    .words = "",
    .summary = "make a new identity",
    .text = "Draws a new key and with it a new mesh address. `byway run` does that by itself the first time; this is "
            "for preparing a machine, or for starting "
            "over. An identity that is there is kept unless --force is given: whoever knows the node by its old "
            "address does not find it any more.",
    .options = new_options,
    .reads = true,
    .run = make,
};
