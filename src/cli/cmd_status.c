// The one screen that most people need: who I am, who is near, how I reach the Internet, what is wrong and what to do.
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

#define LABEL "%s%-12s%s"

static void label(const char *s)
{
    printf(LABEL, colour(BOLD), s, colour(PLAIN));
}

static void say(const char *s)
{
    print_plain(s, stdout);
}

static void node(const json_t *s)
{
    char up[32];
    label(text_of(s, "name"));
    printf("%s\n", text_of(s, "address"));
    label("");
    printf("up %s, version %s\n\n", text_span(number_of(s, "uptime_s"), up), text_of(s, "version"));
}

// "mill", or the address of one whose name is not known.
static const char *name_of(const json_t *list, const char *address)
{
    size_t i;
    json_t *e;
    json_array_foreach(list, i, e)
    {
        if (!strcmp(text_of(e, "address"), address) && *text_of(e, "name")) return text_of(e, "name");
    }
    return "";
}

static void via(const json_t *exit, const json_t *exits)
{
    const char *address = text_of(exit, "address"), *name = name_of(exits, address), *link = text_of(exit, "via");
    if (*name) {
        say(name);
        printf(" (%s)", address);
    } else {
        say(*address ? address : "an exit");
    }
    if (*link && strcmp(link, name)) {
        printf(" by way of ");
        say(link);
    }
}

static bool has_problem(const json_t *s, const char *code)
{
    size_t i;
    json_t *p;
    json_array_foreach(json_object_get(s, "problems"), i, p)
    {
        if (!strcmp(text_of(p, "code"), code)) return true;
    }
    return false;
}

static void internet(const json_t *s, const json_t *exits)
{
    const json_t *exit = json_object_get(s, "exit"), *share = json_object_get(s, "share");
    const char *state = text_of(exit, "state"), *sharing = text_of(share, "state");
    char since[32];
    text_span(number_of(exit, "since_s"), since);
    label("Internet");
    if (!strcmp(state, "own")) {
        printf("%sthis machine's own connection%s", colour(GREEN), colour(PLAIN));
    } else if (!strcmp(state, "active")) {
        printf("%sthrough%s ", colour(GREEN), colour(PLAIN));
        via(exit, exits);
        printf(", for %s", since);
    } else if (!strcmp(state, "joining")) {
        printf("%sasking%s ", colour(YELLOW), colour(PLAIN));
        via(exit, exits);
        printf(" for a lease, for %s", since);
    } else if (!strcmp(state, "lost")) {
        printf("%slost%s: ", colour(RED), colour(PLAIN));
        via(exit, exits);
        printf(" stopped answering %s ago; looking for another", since);
    } else if (!strcmp(state, "searching")) {
        printf("%snone%s; looking for an exit for %s", colour(RED), colour(PLAIN), since);
    } else {
        printf("the mesh is not used for it");
    }
    printf("\n");
    label("Sharing");
    int clients = (int)number_of(share, "clients");
    if (!strcmp(sharing, "on"))
        printf("%syes%s, %d client%s\n", colour(GREEN), colour(PLAIN), clients, clients == 1 ? "" : "s");
    else if (!strcmp(sharing, "probing"))
        printf("%snot yet%s: waiting for proof that the Internet answers\n", colour(YELLOW), colour(PLAIN));
    else if (!strcmp(sharing, "down"))
        printf("%sno%s: it is wanted, but %s\n", colour(RED), colour(PLAIN),
               has_problem(s, "share-behind-exit") ? "this node goes out through another exit" : "the Internet does not answer");
    else printf("no\n");
}

static void neighbours(const json_t *peers)
{
    size_t i, up = 0, count = json_array_size(peers);
    json_t *p;
    json_array_foreach(peers, i, p) up += !strcmp(text_of(p, "state"), "up");
    label("Neighbours");
    if (!count) printf("none yet\n");
    else if (up == count) printf("%zu\n", up);
    else printf("%zu, %s%zu not connected%s\n", up, colour(YELLOW), count - up, colour(PLAIN));
    json_array_foreach(peers, i, p)
    {
        char rtt[32];
        const char *name = text_of(p, "name"), *state = text_of(p, "state");
        bool is_up = !strcmp(state, "up");
        if (i == 12) {
            printf("%-12s... and %zu more: byway peers\n", "", count - i);
            break;
        }
        if (!*name) name = *text_of(p, "address") ? text_of(p, "address") : text_of(p, "key");
        printf("%-12s%s", "", is_up ? "" : colour(YELLOW));
        say(name);
        printf("%*s ", strlen(name) < 16 ? 16 - (int)strlen(name) : 0, "");
        say(text_of(p, "link"));
        if (is_up) printf("  %s", text_rtt(json_object_get(p, "rtt_ms"), rtt));
        else printf("  %s", state);
        if (!json_is_string(json_object_get(p, "address"))) printf("  stock WireGuard");
        printf("%s\n", is_up ? "" : colour(PLAIN));
    }
}

static void traffic(const json_t *s)
{
    char rx[32], tx[32];
    label("Mesh");
    printf("%.0f route%s, %s received, %s sent\n", number_of(s, "routes"), number_of(s, "routes") == 1 ? "" : "s",
           text_bytes(number_of(s, "rx_bytes"), rx), text_bytes(number_of(s, "tx_bytes"), tx));
}

// Nothing that waits for something else: what a person would call working.
static bool settled(const json_t *s)
{
    const char *exit = text_of(json_object_get(s, "exit"), "state"),
               *share = text_of(json_object_get(s, "share"), "state");
    return (!strcmp(exit, "own") || !strcmp(exit, "active") || !strcmp(exit, "none")) &&
           (!strcmp(share, "on") || !strcmp(share, "off")) && number_of(s, "peers") > 0;
}

static void problems(const json_t *s)
{
    const json_t *list = json_object_get(s, "problems");
    size_t i;
    json_t *p;
    if (!json_array_size(list)) {
        if (settled(s)) printf("\n%sNothing is wrong.%s\n", colour(GREEN), colour(PLAIN));
        else printf("\nIt is still finding its way: ask again in a few seconds.\n");
        return;
    }
    printf("\n%s%s%s\n", colour(BOLD), json_array_size(list) == 1 ? "One thing is wrong" : "Some things are wrong",
           colour(PLAIN));
    json_array_foreach(list, i, p)
    {
        printf("  %s!%s ", colour(RED), colour(PLAIN));
        say(text_of(p, "text"));
        if (*text_of(p, "hint")) {
            printf("\n    what to do: ");
            say(text_of(p, "hint"));
        }
        printf("\n");
    }
}

static int run(const struct typed *t)
{
    if (t->json) return http_print(t, "/v1/status");
    json_t *s = http_get(t, "/v1/status", NULL);
    json_t *peers = s ? http_get(t, "/v1/peers", NULL) : NULL, *exits = peers ? http_get(t, "/v1/exits", NULL) : NULL;
    int rc = exits ? EXIT_DONE : EXIT_FAILED;
    if (exits) {
        node(s);
        internet(s, exits);
        neighbours(peers);
        traffic(s);
        problems(s);
    }
    json_decref(s);
    json_decref(peers);
    json_decref(exits);
    return rc;
}

const struct command cmd_status = {
    .name = "status",
    .words = "",
    .summary = "one screen: who I am, neighbours, exit in use, traffic, what is wrong and what to do about it",
    .text = "Shows how the node on this machine is doing: its name and address, how it reaches the Internet, whether "
            "it shares, its neighbours, "
            "its traffic, and every problem that it sees, with what to do about it.",
    .examples = "byway status\nbyway status --json | jq .problems",
    .asks = true,
    .reads = true,
    .run = run,
};
