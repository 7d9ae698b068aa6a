#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

const char *colour(enum colour c)
{
    static const char *const codes[] = {"\033[0m", "\033[1m", "\033[31m", "\033[32m", "\033[33m", "\033[2m"};
    static int on = -1;
    if (on < 0) {
        const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
        on = isatty(1) && !(no && *no) && !(term && !strcmp(term, "dumb"));
    }
    return on ? codes[c] : "";
}

char *text_bytes(double n, char out[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    int u = 0;
    while (n >= 999.5 && u < 5) {
        n /= 1000;
        u++;
    }
    snprintf(out, 32, u && n < 99.95 ? "%.1f %s" : "%.0f %s", n, units[u]);
    return out;
}

char *text_span(double s, char out[32])
{
    unsigned long v = s < 0 ? 0 : s > 1e12 ? 1000000000000ul : (unsigned long)s;
    if (v < 60) snprintf(out, 32, "%lu s", v);
    else if (v < 3600) snprintf(out, 32, "%lu min", v / 60);
    else if (v < 86400) snprintf(out, 32, "%lu h %lu min", v / 3600, v / 60 % 60);
    else snprintf(out, 32, "%lu d %lu h", v / 86400, v / 3600 % 24);
    return out;
}

char *text_rtt(const json_t *ms, char out[32])
{
    double v = json_number_value(ms);
    if (!json_is_number(ms) || v < 0) snprintf(out, 32, "-");
    else snprintf(out, 32, v < 10 ? "%.1f ms" : "%.0f ms", v);
    return out;
}

const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

double number_of(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

void print_plain(const char *s, FILE *to)
{
    for (; *s; s++) putc((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s, to);
}

// ---- tables ----

static char (*add_row(struct table *t))[CELL]
{
    if (t->rows == t->cap) {
        int cap = t->cap ? 2 * t->cap : 16;
        char(*cells)[CELL] = realloc(t->cells, (size_t)cap * (size_t)t->columns * CELL);
        if (!cells) abort();
        t->cells = cells;
        t->cap = cap;
    }
    return t->cells + t->rows++ * t->columns;
}

void table_row(struct table *t, ...)
{
    char(*row)[CELL] = add_row(t);
    va_list ap;
    va_start(ap, t);
    for (int i = 0; i < t->columns; i++) {
        const char *s = va_arg(ap, const char *);
        snprintf(row[i], CELL, "%s", s && *s ? s : "-");
        for (char *p = row[i]; *p; p++) { // names come from other nodes
            if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
        }
    }
    va_end(ap);
}

// Characters, not bytes: every byte that does not continue a UTF-8 character counts.
static int width(const char *s)
{
    int n = 0;
    for (; *s; s++) n += (*s & 0xc0) != 0x80;
    return n;
}

void table_print(struct table *t, const char *if_empty)
{
    int wide[16] = {0};
    if (t->rows < 2) printf("%s\n", if_empty);
    for (int r = 0; r < t->rows; r++) {
        for (int c = 0; c < t->columns; c++) {
            int w = width(t->cells[r * t->columns + c]);
            if (w > wide[c]) wide[c] = w;
        }
    }
    for (int r = 0; r < t->rows && t->rows > 1; r++) {
        if (!r) printf("%s", colour(BOLD));
        for (int c = 0; c < t->columns; c++) {
            const char *s = t->cells[r * t->columns + c];
            int pad = wide[c] - width(s);
            bool last = c == t->columns - 1;
            printf("%*s%s%*s", t->right[c] ? pad : 0, "", s, t->right[c] || last ? 0 : pad, "");
            if (!last) printf("  ");
        }
        printf("%s\n", r ? "" : colour(PLAIN));
    }
    free(t->cells);
    t->cells = NULL;
}
