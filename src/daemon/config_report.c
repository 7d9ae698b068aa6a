#include <stdarg.h>
#include <stdlib.h>

#include "daemon/config_parse.h"

#define MISTAKES_MAX 1000

void report_init(struct config_report *r, const char *path)
{
    *r = (struct config_report){0};
    snprintf(r->path, sizeof r->path, "%s", path);
}

void report_add(struct config_report *r, int line, const char *where, const char *fmt, ...)
{
    if (r->count >= MISTAKES_MAX) return;
    struct config_mistake *v = realloc(r->v, (r->count + 1) * sizeof *v);
    if (!v) return;
    r->v = v;
    struct config_mistake *m = &r->v[r->count++];
    *m = (struct config_mistake){.line = line};
    if (where) snprintf(m->where, sizeof m->where, "%s", where);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(m->text, sizeof m->text, fmt, ap);
    va_end(ap);
    for (char *p = m->text; *p; p++) { // what is quoted from a file must not drive the terminal
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
    }
}

// Insertion sort: stable, and the list is short and nearly sorted.
void report_sort(struct config_report *r)
{
    for (size_t i = 1; i < r->count; i++) {
        struct config_mistake m = r->v[i];
        size_t j = i;
        for (; j && !m.where[0] && (r->v[j - 1].where[0] || r->v[j - 1].line > m.line); j--) r->v[j] = r->v[j - 1];
        r->v[j] = m;
    }
}

void config_report_free(struct config_report *r)
{
    free(r->v);
    r->v = NULL;
    r->count = 0;
}

size_t config_mistake_text(const struct config_report *r, size_t i, char out[CONFIG_MISTAKE_TEXT])
{
    const struct config_mistake *m = &r->v[i];
    int n;
    if (m->where[0]) n = snprintf(out, CONFIG_MISTAKE_TEXT, "%s: %s", m->where, m->text);
    else if (m->line) n = snprintf(out, CONFIG_MISTAKE_TEXT, "%s:%d: %s", r->path, m->line, m->text);
    else n = snprintf(out, CONFIG_MISTAKE_TEXT, "%s: %s", r->path, m->text);
    return n < 0 ? 0 : (size_t)n;
}

void config_report_text(const struct config_report *r, char *out, size_t size)
{
    char line[CONFIG_MISTAKE_TEXT];
    size_t all = 0, n = 0;
    for (size_t i = 0; i < r->count; i++) all += config_mistake_text(r, i, line) + 1;
    size_t last = CONFIG_PATH + 64, room = all < size ? size : size > last ? size - last : 0;
    if (size) out[0] = 0;
    for (size_t i = 0; i < r->count && n < size; i++) {
        if (n + config_mistake_text(r, i, line) + 1 >= room) {
            snprintf(out + n, size - n, "... and %zu more: byway check %s\n", r->count - i, r->path);
            break;
        }
        n += (size_t)snprintf(out + n, size - n, "%s\n", line);
    }
}

void config_report_print(const struct config_report *r, FILE *to)
{
    char line[CONFIG_MISTAKE_TEXT];
    for (size_t i = 0; i < r->count; i++) {
        config_mistake_text(r, i, line);
        fprintf(to, "%s\n", line);
    }
}
