// byway peer add, byway peer remove.
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/command.h"
#include "daemon/config.h"

static const struct option add_options[] = {
    {"--endpoint", "HOST:PORT", false, "where it is; without, it is expected to come by itself"},
    {"--psk", "FILE", false, "file with a preshared key, as `wg genpsk` makes it"},
    {"--name", "NAME", false, "what to call it"},
    {"--internet", NULL, false, "a stock WireGuard peer: let it go out through this node's exit"},
    {"--save", NULL, false, "write it into the configuration as well"},
    {NULL, NULL, false, NULL},
};
static const struct option remove_options[] = {
    {"--save", NULL, false, "take it out of the configuration as well"},
    {NULL, NULL, false, NULL},
};

static int not_a_key(const struct command *c, const char *word)
{
    return usage(c, "`%.60s` is no key (44 characters of base64, as `byway key show` prints)", word);
}

static int put_psk(json_t *body, const char *file)
{
    uint8_t psk[32];
    char why[400], text[BW_KEY_TEXT], full[PATH_MAX];
    if (config_psk_read(file, psk, why, sizeof why)) return complain("%s", why);
    json_object_set_new(body, "psk", json_string(bw_base64_encode(psk, 32, text)));
    if (realpath(file, full)) json_object_set_new(body, "psk_file", json_string(full));
    explicit_bzero(psk, sizeof psk);
    explicit_bzero(text, sizeof text);
    return EXIT_DONE;
}

static int add(const struct typed *t)
{
    uint8_t key[32];
    struct config_endpoint e;
    const char *endpoint = given_value(t, "--endpoint"), *psk = given_value(t, "--psk"),
               *name = given_value(t, "--name");
    if (bw_base64_decode(t->words[0], key, 32)) return not_a_key(t->command, t->words[0]);
    if (endpoint && config_endpoint_parse(endpoint, &e))
        return usage(t->command, "`%.100s` is not HOST:PORT", endpoint);
    json_t *body = json_pack("{s:s}", "key", t->words[0]);
    if (endpoint) json_object_set_new(body, "endpoint", json_string(endpoint));
    if (name) json_object_set_new(body, "name", json_string(name));
    if (given(t, "--internet")) json_object_set_new(body, "internet", json_true());
    if (given(t, "--save")) json_object_set_new(body, "save", json_true());
    int rc = psk ? put_psk(body, psk) : EXIT_DONE;
    if (!rc) rc = http_change(t, "POST", "/v1/peers", body, "added");
    json_decref(body);
    return rc;
}

static int take_away(const struct typed *t)
{
    uint8_t key[32];
    char path[128];
    if (bw_base64_decode(t->words[0], key, 32)) return not_a_key(t->command, t->words[0]);
    snprintf(path, sizeof path, "/v1/peers/%.44s%s", t->words[0], given(t, "--save") ? "?save=yes" : "");
    for (char *p = path + strlen("/v1/peers/"); *p && *p != '?'; p++) *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    return http_change(t, "DELETE", path, NULL, "removed");
}

const struct command cmd_peer_add = {
    .name = "peer add",
    .words = "KEY",
    .min = 1,
    .max = 1,
    .summary = "add a neighbour to the running node",
    .text = "Adds a neighbour by its public key (`byway key show` prints it there), or changes one that is known: what is not given stays as it was. "
            "Neighbours on the same cable or "
            "radio are found without this; it is for those further away, and for stock WireGuard peers. Nothing stays "
            "after a restart unless --save is given.",
    .examples = "byway peer add KEY --endpoint mill.example.net:4870 --save",
    .options = add_options,
    .asks = true,
    .run = add,
};
const struct command cmd_peer_remove = {
    .name = "peer remove",
    .words = "KEY",
    .min = 1,
    .max = 1,
    .summary = "remove a neighbour from the running node",
    .text = "Ends the links with the neighbour that has this public key. One that is in the configuration comes back "
            "with a restart unless --save is given; "
            "one that is found on a cable or radio comes back by itself unless [discover] policy = closed.",
    .options = remove_options,
    .asks = true,
    .run = take_away,
};
