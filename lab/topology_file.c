// The text form of a topology (docs/spec/topology.md).
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/topology.h"

#define WORDS_MAX 64

struct reader {
    const char *file;
    struct topology *t;
    char *err;
    unsigned line;
    char *words[WORDS_MAX];
    unsigned columns[WORDS_MAX];
    size_t n;
};

BW_PRINTF(3, 4)
static int wrong(struct reader *r, size_t word, const char *fmt, ...)
{
    int at = snprintf(r->err, TOPO_ERR, "%.80s:%u:%u: ", r->file, r->line, word < r->n ? r->columns[word] : 1);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->err + at, (size_t)(TOPO_ERR - at), fmt, ap);
    va_end(ap);
    return BW_ERR_MALFORMED;
}

static int node(struct reader *r, size_t word)
{
    int at = topo_add_node(r->t, r->words[word]);
    if (at == BW_ERR_NOMEM) return wrong(r, word, "more than %d nodes", TOPO_NODES_MAX);
    if (at == BW_ERR_RANGE) return wrong(r, word, "'%.40s' is longer than %d letters", r->words[word], TOPO_NAME - 1);
    if (at == BW_ERR_DENIED) return wrong(r, word, "'internet' is no node: write 'link NODE internet'");
    if (at < 0) return wrong(r, word, "'%.40s' is no name for a node (letters, digits, hyphen)", r->words[word]);
    return at;
}

// What follows the two ends: properties of the link, and its name.
static int link_words(struct reader *r, size_t from, struct imp_spec *spec, const char **name)
{
    char why[TOPO_ERR];
    for (size_t i = from; i < r->n; i++) {
        const char *w = r->words[i];
        if (name && !strncmp(w, "name=", 5)) {
            size_t n = strlen(w + 5);
            if (!n || n >= TOPO_NAME || strspn(w + 5, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != n)
                return wrong(r, i, "a link's name has 1 to %d letters, digits and hyphens", TOPO_NAME - 1);
            *name = w + 5;
        } else if (imp_spec_word(spec, w, why, sizeof why)) {
            return wrong(r, i, "%s", why);
        }
    }
    return 0;
}

static int link_line(struct reader *r)
{
    if (r->n < 3) return wrong(r, r->n - 1, "a link has two ends: link A B");
    bool up = !strcmp(r->words[2], "internet");
    int a = node(r, 1);
    if (a < 0) return a;
    struct imp_spec spec = {0};
    if (up) {
        if (r->t->nodes[a].internet) spec = r->t->nodes[a].uplink;
        int rc = link_words(r, 3, &spec, NULL);
        r->t->nodes[a].internet = true;
        r->t->nodes[a].uplink = spec;
        return rc;
    }
    int b = node(r, 2);
    if (b < 0) return b;
    if (a == b) return wrong(r, 2, "a node is not its own neighbour");
    const char *name = "";
    int rc = link_words(r, 3, &spec, &name);
    if (rc) return rc;
    if (topo_add_link(r->t, (unsigned)a, (unsigned)b, name, &spec)) return wrong(r, 0, "more than %d links", TOPO_LINKS_MAX);
    return 0;
}

static int node_line(struct reader *r)
{
    if (r->n < 2) return wrong(r, 0, "node needs a name");
    int at = node(r, 1);
    if (at < 0) return at;
    struct topo_node *n = &r->t->nodes[at];
    for (size_t i = 2; i < r->n; i++) {
        const char *w = r->words[i];
        if (!strcmp(w, "share")) {
            n->share = n->internet = true;
        } else if (!strcmp(w, "internet")) {
            n->internet = true;
        } else if (!strcmp(w, "set")) {
            if (++i == r->n || topo_add_set(n, r->words[i]))
                return wrong(r, i < r->n ? i : i - 1, "after set comes SECTION.KEY=VALUE");
        } else {
            return wrong(r, i, "'%.40s' is not share, internet or set", w);
        }
    }
    return 0;
}

// Splits a line in place; '#' and ';' begin a comment at the start of a word.
static int split(struct reader *r, char *line)
{
    r->n = 0;
    for (char *p = line; *p;) {
        p += strspn(p, " \t\r");
        if (!*p || *p == '#' || *p == ';') break;
        if (r->n == WORDS_MAX) return wrong(r, 0, "more than %d words", WORDS_MAX);
        r->words[r->n] = p;
        r->columns[r->n++] = (unsigned)(p - line) + 1;
        p += strcspn(p, " \t\r");
        if (*p) *p++ = 0;
    }
    return 0;
}

static int read_line(struct reader *r, char *line)
{
    for (char *p = line; *p; p++) {
        if ((unsigned char)*p >= 32 && *p != 127) continue;
        if (*p == '\t' || *p == '\r') continue;
        snprintf(r->err, TOPO_ERR, "%.80s:%u:%u: not text", r->file, r->line, (unsigned)(p - line) + 1);
        return BW_ERR_MALFORMED;
    }
    int rc = split(r, line);
    if (rc || !r->n) return rc;
    if (!strcmp(r->words[0], "link")) return link_line(r);
    if (!strcmp(r->words[0], "node")) return node_line(r);
    return wrong(r, 0, "'%.40s' is not link or node", r->words[0]);
}

static int read_lines(struct reader *r, char *text, size_t len)
{
    for (char *p = text, *end = text + len; p < end;) {
        char *newline = memchr(p, '\n', (size_t)(end - p));
        char *next = newline ? newline + 1 : end;
        if (newline) *newline = 0;
        r->line++;
        if (strlen(p) < (size_t)((newline ? newline : end) - p)) {
            snprintf(r->err, TOPO_ERR, "%.80s:%u:%zu: not text", r->file, r->line, strlen(p) + 1);
            return BW_ERR_MALFORMED;
        }
        int rc = read_line(r, p);
        if (rc) return rc;
        p = next;
    }
    if (r->t->n_nodes) return 0;
    snprintf(r->err, TOPO_ERR, "%.80s:1:1: no node and no link in it", r->file);
    return BW_ERR_MALFORMED;
}

int topo_parse(const char *file, const char *text, size_t len, struct topology *out, char err[TOPO_ERR])
{
    *out = (struct topology){0};
    struct reader r = {.file = file, .t = out, .err = err};
    char *copy = malloc(len + 1);
    if (!copy) return BW_ERR_NOMEM;
    memcpy(copy, text, len);
    copy[len] = 0;
    int rc = read_lines(&r, copy, len);
    free(copy);
    if (rc) topo_free(out);
    return rc;
}
