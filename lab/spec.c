// The words of a link line, e.g. "loss=5%" (docs/spec/topology.md).
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/impair.h"

struct unit {
    const char *name;
    double factor;
};

static const struct unit percent[] = {{"%", 1e4}, {NULL, 0}};
static const struct unit times[] = {{"us", 1}, {"ms", 1e3}, {"s", 1e6}, {NULL, 0}};
static const struct unit rates[] = {{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}, {NULL, 0}};
static const struct unit sizes[] = {{"mb", 1e6}, {"kb", 1e3}, {"b", 1}, {NULL, 0}};

static const struct setting {
    const char *name;
    const struct unit *units;
    double max; // in the smallest unit
    const char *example;
} settings[] = {
    {"loss", percent, 1e6, "5%"},       {"duplicate", percent, 1e6, "1%"}, {"reorder", percent, 1e6, "1%"},
    {"delay", times, 60e6, "20ms"},     {"jitter", times, 60e6, "5ms"},    {"rate", rates, 100e9, "10mbit"},
    {"queue", sizes, 64e6, "64kb"},
};

// Digits with at most one point, then one of the units; or "none".
static int value(const struct setting *s, const char *text, double *out)
{
    if (!strcmp(text, "none")) {
        *out = 0;
        return 0;
    }
    size_t digits = strspn(text, "0123456789."), points = 0;
    for (size_t i = 0; i < digits; i++) points += text[i] == '.';
    if (!digits || digits > 20 || points > 1 || !isdigit((unsigned char)text[0])) return BW_ERR_MALFORMED;
    double v = strtod(text, NULL);
    for (const struct unit *u = s->units; u->name; u++) {
        if (strcmp(text + digits, u->name)) continue;
        *out = v * u->factor;
        return *out <= s->max ? 0 : BW_ERR_RANGE;
    }
    return BW_ERR_MALFORMED;
}

static void store(struct imp_spec *spec, const char *name, double v)
{
    if (!strcmp(name, "loss")) spec->loss_ppm = (uint32_t)(v + 0.5);
    else if (!strcmp(name, "duplicate")) spec->duplicate_ppm = (uint32_t)(v + 0.5);
    else if (!strcmp(name, "reorder")) spec->reorder_ppm = (uint32_t)(v + 0.5);
    else if (!strcmp(name, "delay")) spec->delay_us = (uint64_t)(v + 0.5);
    else if (!strcmp(name, "jitter")) spec->jitter_us = (uint64_t)(v + 0.5);
    else if (!strcmp(name, "rate")) spec->rate_bps = (uint64_t)(v + 0.5);
    else spec->queue_bytes = (uint64_t)(v + 0.5);
}

int imp_spec_word(struct imp_spec *spec, const char *word, char *err, size_t err_size)
{
    if (!strcmp(word, "cut")) return spec->state = IMP_CUT, 0;
    if (!strcmp(word, "down")) return spec->state = IMP_DOWN, 0;
    if (!strcmp(word, "up")) return spec->state = IMP_UP, 0;
    if (!strcmp(word, "clear")) return *spec = (struct imp_spec){0}, 0;
    size_t name = strcspn(word, "=");
    for (size_t i = 0; i < sizeof settings / sizeof *settings && word[name]; i++) {
        const struct setting *s = &settings[i];
        double v;
        if (strlen(s->name) != name || strncmp(word, s->name, name)) continue;
        int rc = value(s, word + name + 1, &v);
        if (!rc) store(spec, s->name, v);
        else if (rc == BW_ERR_RANGE) snprintf(err, err_size, "%.40s is too much", word);
        else snprintf(err, err_size, "%.40s is not understood (for example %s=%s)", word, s->name, s->example);
        return rc;
    }
    snprintf(err, err_size,
             "'%.40s' is not a property of a link (loss= delay= jitter= rate= queue= reorder= duplicate=, "
             "up, cut, down or clear)", word);
    return BW_ERR_MALFORMED;
}

static void scaled(char *out, size_t *at, const char *name, uint64_t v, const struct unit *units)
{
    if (!v) return;
    const struct unit *best = NULL;
    for (const struct unit *u = units; u->name; u++)
        if ((double)v >= u->factor && (!best || u->factor > best->factor)) best = u;
    if (!best) best = units;
    *at += (size_t)snprintf(out + *at, IMP_SPEC_TEXT - *at, "%s%s=%.10g%s", *at ? " " : "", name,
                            (double)v / best->factor, best->name);
}

char *imp_spec_text(const struct imp_spec *s, char *out)
{
    size_t at = 0;
    if (s->state != IMP_UP) at = (size_t)snprintf(out, IMP_SPEC_TEXT, "%s", s->state == IMP_CUT ? "cut" : "down");
    scaled(out, &at, "loss", s->loss_ppm, percent);
    scaled(out, &at, "delay", s->delay_us, times);
    scaled(out, &at, "jitter", s->jitter_us, times);
    scaled(out, &at, "rate", s->rate_bps, rates);
    scaled(out, &at, "queue", s->queue_bytes, sizes);
    scaled(out, &at, "reorder", s->reorder_ppm, percent);
    scaled(out, &at, "duplicate", s->duplicate_ppm, percent);
    if (!at) snprintf(out, IMP_SPEC_TEXT, "up");
    return out;
}

bool imp_spec_needs_frames(const struct imp_spec *s)
{
    return s->loss_ppm || s->duplicate_ppm || s->reorder_ppm || s->rate_bps;
}
