// byway invite, byway join: one line of text, or the same as a QR code.
#include <qrencode.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

static const struct option invite_options[] = {
    {"--secret", NULL, false, "put the network's secret in: whoever has the line can join"},
    {"--endpoint", "HOST:PORT", false, "where this node is reached, instead of the addresses that it has"},
    {"--qr", NULL, false, "the QR code even if this is no terminal"},
    {"--no-qr", NULL, false, "only the text"},
    {NULL, NULL, false, NULL},
};

static bool dark(const QRcode *q, int x, int y)
{
    return x >= 0 && y >= 0 && x < q->width && y < q->width && q->data[y * q->width + x] & 1;
}

// Two rows per line, with a quiet zone of two modules; light on dark or dark on light, cameras read both.
static void print_qr(const char *text)
{
    QRcode *q = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
    if (!q) {
        complain("the text is too long for a QR code");
        return;
    }
    printf("\n");
    for (int y = -2; y < q->width + 2; y += 2) {
        for (int x = -2; x < q->width + 2; x++) {
            bool up = !dark(q, x, y), down = !dark(q, x, y + 1);
            fputs(up && down ? "\u2588" : up ? "\u2580" : down ? "\u2584" : " ", stdout);
        }
        printf("\n");
    }
    QRcode_free(q);
}

// ?secret=yes&endpoint=..., with what a URL cannot hold escaped.
static void query(const struct typed *t, char *out, size_t size)
{
    const char *endpoint = given_value(t, "--endpoint");
    size_t n = (size_t)snprintf(out, size, "/v1/invite?secret=%s", given(t, "--secret") ? "yes" : "no");
    if (!endpoint) return;
    n += (size_t)snprintf(out + n, size - n, "&endpoint=");
    for (; *endpoint && n + 4 < size; endpoint++)
        n += (size_t)snprintf(out + n, size - n, "%%%02X", (unsigned char)*endpoint);
}

static int invite(const struct typed *t)
{
    char path[1024];
    query(t, path, sizeof path);
    if (t->json) return http_print(t, path);
    json_t *j = http_get(t, path, NULL);
    if (!j) return EXIT_FAILED;
    const char *text = text_of(j, "text");
    puts(text);
    if (!given(t, "--no-qr") && (given(t, "--qr") || isatty(1))) print_qr(text);
    if (*text_of(j, "hint")) fprintf(stderr, "%s\n", text_of(j, "hint"));
    json_decref(j);
    return EXIT_DONE;
}

static int join(const struct typed *t)
{
    char line[4096] = "";
    const char *text = t->words[0];
    if (!strcmp(text, "-")) {
        size_t n = fread(line, 1, sizeof line - 1, stdin);
        for (size_t i = 0; i < n; i++) {
            if (line[i] == '\n' || line[i] == '\r' || line[i] == '\t') line[i] = ' ';
        }
        text = line;
    }
    json_t *body = json_pack("{s:s}", "text", text);
    if (!body) return usage(t->command, "that is no text");
    int rc = http_change(t, "POST", "/v1/join", body, "joined");
    json_decref(body);
    return rc;
}

const struct command cmd_invite = {
    .name = "invite",
    .words = "",
    .summary = "one line of text that lets somebody join",
    .text = "Prints a line of text that holds this node's key and where it is reached, on a terminal also as a QR "
            "code. The other side pastes it behind "
            "`byway join`. With --secret it also holds the network's secret: then keep it as one.",
    .examples = "byway invite --endpoint mill.example.net:4870",
    .options = invite_options,
    .asks = true,
    .reads = true,
    .run = invite,
};
const struct command cmd_join = {
    .name = "join",
    .words = "TEXT",
    .min = 1,
    .max = 1,
    .summary = "join by the text of an invite",
    .text = "Takes the line that `byway invite` printed on the other side, and makes that node a neighbour, in the "
            "configuration as well. Unless that node lets strangers in ([listen] public = yes) or is on the same cable or "
            "radio, it must be told this node's key: the command for it is printed. TEXT may be - to read it from standard input, "
            "which keeps a secret out of the list of processes.",
    .examples = "byway join byway:1:...",
    .asks = true,
    .run = join,
};
