// byway monitor: the event stream, one line per event.
#include <string.h>
#include <time.h>

#include "cli/command.h"

static void value(const json_t *v)
{
    if (json_is_string(v)) print_plain(json_string_length(v) ? json_string_value(v) : "-", stdout);
    else if (json_is_integer(v)) printf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_real(v)) printf("%g", json_real_value(v));
    else if (json_is_true(v)) printf("yes");
    else if (json_is_false(v)) printf("no");
    else if (json_is_null(v)) printf("-");
    else json_dumpf(v, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
}

// "12:34:56 link-up     name=barn link=eth0"
static void event(const json_t *j)
{
    time_t when = (time_t)number_of(j, "time_s");
    struct tm tm;
    char clock[16];
    const char *key, *type = text_of(j, "type");
    json_t *v;
    localtime_r(&when, &tm);
    strftime(clock, sizeof clock, "%H:%M:%S", &tm);
    printf("%s%s%s %s", colour(DIM), clock, colour(PLAIN), colour(BOLD));
    print_plain(type, stdout);
    printf("%s%*s", colour(PLAIN), strlen(type) < 14 ? 14 - (int)strlen(type) : 0, "");
    json_object_foreach((json_t *)j, key, v)
    {
        if (!strcmp(key, "type") || !strcmp(key, "time_s")) continue;
        printf(" ");
        print_plain(key, stdout);
        printf("=");
        value(v);
    }
    printf("\n");
}

static int run(const struct typed *t)
{
    char line[16384];
    struct http *h = http_ask(t, "GET", "/v1/events", NULL);
    if (!h) return EXIT_FAILED;
    int rc = http_check(h);
    while (!rc && http_line(h, line, sizeof line)) {
        if (strncmp(line, "data: ", 6)) continue;
        json_t *j = json_loads(line + 6, 0, NULL);
        if (j && t->json) puts(line + 6);
        else if (j) event(j);
        json_decref(j);
        if (fflush(stdout)) break; // nobody reads any more
    }
    http_close(h);
    return rc ? rc : complain("the node has ended");
}

const struct command cmd_monitor = {
    .name = "monitor",
    .words = "",
    .summary = "one line per event as it happens",
    .text = "Prints a line for whatever happens at the node, until it is stopped with Ctrl-C: links that come and go, "
            "sessions, the exit in use, sharing. "
            "With --json each line is a JSON object with the event's type and time_s.",
    .examples = "byway monitor\nbyway monitor --json | jq 'select(.type == \"exit\")'",
    .asks = true,
    .reads = true,
    .run = run,
};
