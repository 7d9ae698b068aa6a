// byway ping, byway trace: the node asks, and answers line by line.
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/command.h"

static const struct option ping_options[] = {
    {"--count", "N", false, "how many (4)"},
    {"--interval", "MS", false, "milliseconds between two (1000)"},
    {NULL, NULL, false, NULL},
};
static const struct option trace_options[] = {
    {"--count", "N", false, "how many per hop (3)"},
    {"--max-hops", "N", false, "how far (64)"},
    {NULL, NULL, false, NULL},
};

static void rtt_line(const json_t *ms, char out[32])
{
    if (json_number_value(ms) < 0 || !json_is_number(ms)) snprintf(out, 32, "*");
    else text_rtt(ms, out);
}

// What is no mesh address has no session of its own: it is the exit's, or that of the node in front of it.
static void session_line(const json_t *j, const char *address)
{
    char span[32];
    if (strncasecmp(address, "fc", 2)) return;
    if (*text_of(j, "key")) printf("key      %s\n", text_of(j, "key"));
    if (!*text_of(j, "session")) return;
    printf("session  %s", text_of(j, "session"));
    if (json_is_number(json_object_get(j, "age_s")))
        printf(" for %s, %s", text_span(number_of(j, "age_s"), span), text_of(j, "cipher"));
    printf("\n");
}

static int ping_line(const json_t *j, const char *address)
{
    char rtt[32];
    if (!json_is_true(json_object_get(j, "done"))) {
        const json_t *ms = json_object_get(j, "rtt_ms");
        rtt_line(ms, rtt);
        const char *error = text_of(j, "error"), *from = text_of(j, "address");
        if (*error) printf("%.0f: %s (%s says so)\n", number_of(j, "seq"), error, *from ? from : "the node");
        else if (*rtt == '*') printf("%.0f: no answer\n", number_of(j, "seq"));
        else printf("%.0f: %s answers in %s\n", number_of(j, "seq"), address, rtt);
        return -1;
    }
    double sent = number_of(j, "sent"), received = number_of(j, "received");
    printf("%.0f sent, %.0f answered, %.0f %% lost\n", sent, received, sent > 0 ? 100 * (sent - received) / sent : 0);
    session_line(j, address);
    return received > 0 ? EXIT_DONE : EXIT_FAILED;
}

static int trace_line(const json_t *j, const char *to)
{
    if (!json_is_true(json_object_get(j, "done"))) {
        const char *address = text_of(j, "address"), *name = text_of(j, "name");
        size_t i, asked = 0, lost = 0;
        json_t *ms;
        printf("%3.0f  %-39s", number_of(j, "hop"), *address ? address : "no answer");
        printf("  ");
        print_plain(name, stdout);
        printf("%*s", strlen(name) < 14 ? 14 - (int)strlen(name) : 0, "");
        json_array_foreach(json_object_get(j, "rtt_ms"), i, ms)
        {
            char rtt[32];
            rtt_line(ms, rtt);
            printf("  %8s", rtt);
            asked++;
            if (*rtt == '*') lost++;
        }
        if (lost) printf("  %zu %% lost", 100 * lost / asked);
        printf("\n");
        return -1;
    }
    bool reached = json_is_true(json_object_get(j, "reached"));
    if (!reached) printf("it was not reached\n");
    session_line(j, to);
    return reached ? EXIT_DONE : EXIT_FAILED;
}

// The bounds are those of the API.
static int put_number(const struct typed *t, json_t *body, const char *option, const char *field, long min, long max)
{
    const char *s = given_value(t, option);
    if (!s) return 0;
    char *end;
    long v = strtol(s, &end, 10);
    if (*end || end == s || v < min || v > max)
        return usage(t->command, "%s needs a number from %ld to %ld, not `%.40s`", option, min, max, s);
    json_object_set_new(body, field, json_integer(v));
    return 0;
}

static int follow(const struct typed *t, struct http *h, bool trace)
{
    char line[4096];
    int rc = -1;
    while (http_line(h, line, sizeof line)) {
        json_t *j = json_loads(line, 0, NULL);
        if (!j) continue;
        if (t->json) puts(line);
        if (t->json && json_is_true(json_object_get(j, "done")))
            rc = trace ? !json_is_true(json_object_get(j, "reached")) : !(number_of(j, "received") > 0);
        else if (!t->json) rc = trace ? trace_line(j, t->words[0]) : ping_line(j, t->words[0]);
        json_decref(j);
    }
    return rc >= 0 ? rc : complain("the node broke off (is it being stopped?)");
}

static int probe(const struct typed *t, bool trace)
{
    unsigned char raw[16];
    if (inet_pton(AF_INET6, t->words[0], raw) != 1 && inet_pton(AF_INET, t->words[0], raw) != 1)
        return usage(t->command, "`%.60s` is no address", t->words[0]);
    json_t *body = json_pack("{s:s}", "address", t->words[0]);
    int rc = put_number(t, body, "--count", "count", 1, trace ? 10 : 10000);
    if (!rc) rc = put_number(t, body, "--interval", "interval_ms", 10, 60000);
    if (!rc) rc = put_number(t, body, "--max-hops", "max_hops", 1, 255);
    struct http *h = rc ? NULL : http_ask(t, "POST", trace ? "/v1/trace" : "/v1/ping", body);
    json_decref(body);
    if (!h) return rc ? rc : EXIT_FAILED;
    rc = http_check(h);
    if (!rc) rc = follow(t, h, trace);
    http_close(h);
    return rc;
}

static int ping(const struct typed *t)
{
    return probe(t, false);
}

static int trace(const struct typed *t)
{
    return probe(t, true);
}

const struct command cmd_ping = {
    .name = "ping",
    .words = "ADDRESS",
    .min = 1,
    .max = 1,
    .summary = "ask another node for a sign of life, over the mesh",
    .text = "Asks the node with this address for an answer, several times, and tells how long each took, how many "
            "were lost, the node's key, and the session with it: since when it has had keys, and its cipher. "
            "Fails if there is no answer at all. With --json each line is a JSON object.",
    .options = ping_options,
    .asks = true,
    .reads = true,
    .run = ping,
};
const struct command cmd_trace = {
    .name = "trace",
    .words = "ADDRESS",
    .min = 1,
    .max = 1,
    .summary = "the way to another node, hop by hop",
    .text = "Tells every node on the way to this address, with the time that each takes to answer (* where it did "
            "not, and then what part was lost), then the other end's key and "
            "the session with it: since when it has had keys, and its cipher. Fails if the other end is not reached. With --json each line is a JSON object.",
    .options = trace_options,
    .asks = true,
    .reads = true,
    .run = trace,
};
