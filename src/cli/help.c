// Help on the terminal and manual pages, both from the commands' own descriptions.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

#define WIDTH 78

// Words of s, wrapped, each line behind `indent` blanks. The cursor stands at column `at` already.
static void wrap(const char *s, int indent, int at, FILE *to)
{
    while (*s) {
        while (*s == ' ') s++;
        if (*s == '\n') { // a line of its own, or a blank one between paragraphs
            fprintf(to, "\n");
            at = 0;
            s++;
            continue;
        }
        int n = (int)strcspn(s, " \n");
        if (!n) break;
        if (at > indent && at + 1 + n > WIDTH) {
            fprintf(to, "\n");
            at = 0;
        }
        if (at < indent) at += fprintf(to, "%*s", indent - at, "");
        else if (at > indent) at += fprintf(to, " ");
        at += fprintf(to, "%.*s", n, s);
        s += n;
    }
    fprintf(to, "\n");
}

static void option_form(const struct option *o, char *out, size_t size)
{
    if (!o->value) snprintf(out, size, "%s", o->name);
    else snprintf(out, size, o->optional ? "%s[=%s]" : "%s %s", o->name, o->value);
}

void help_command(const struct command *c, FILE *to)
{
    char form[80];
    const struct option *o;
    fprintf(to, "Usage: byway %s%s%s [options]\n\n", c->name, *c->words ? " " : "", c->words);
    wrap(c->text, 0, 0, to);
    fprintf(to, "\nOptions:\n");
    for (size_t i = 0; (o = command_option(c, i)); i++) {
        option_form(o, form, sizeof form);
        int at = fprintf(to, "  %-22s", form);
        if (at > 24) at += fprintf(to, " ");
        wrap(o->help, 25, at, to);
    }
    if (!c->examples) return;
    fprintf(to, "\nExamples:\n");
    for (const char *p = c->examples; *p;) {
        int n = (int)strcspn(p, "\n");
        fprintf(to, "  %.*s\n", n, p);
        p += n + (p[n] == '\n');
    }
}

void help_all(FILE *to)
{
    fprintf(to, "Usage: byway COMMAND [words] [options]\n\n"
                "Internet by way of your neighbours: an encrypted mesh that shares connections.\n\n"
                "To begin: `sudo byway run` here and on a neighbour's machine, with --share on one that\n"
                "has Internet; then `byway status`.\n\nCommands:\n");
    for (const struct command *const *c = commands; *c; c++) {
        char form[80];
        snprintf(form, sizeof form, "%s %s", (*c)->name, (*c)->words);
        int at = fprintf(to, "  %-26s", form);
        if (at > 28) {
            fprintf(to, "\n");
            at = 0;
        }
        wrap((*c)->summary, 29, at, to);
    }
    fprintf(to, "\n`byway COMMAND --help` tells more about one. Manual pages: byway(1), byway.conf(5).\n");
}

// ---- roff ----

// Text with what roff would take for its own escaped; `code` in bold.
static void roff_text(const char *s, size_t n, FILE *to)
{
    bool bold = false;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\\') fputs("\\e", to);
        else if (s[i] == '-') fputs("\\-", to);
        else if (s[i] == '\'' && (!i || s[i - 1] == '\n')) fputs("\\(aq", to);
        else if (s[i] == '.' && (!i || s[i - 1] == '\n')) fputs("\\&.", to);
        else if (s[i] == '`') fputs((bold = !bold) ? "\\fB" : "\\fR", to);
        else putc(s[i], to);
    }
}

static void roff(const char *s, FILE *to)
{
    roff_text(s, strlen(s), to);
}

static void roff_paragraphs(const char *s, FILE *to)
{
    while (*s) {
        const char *end = strstr(s, "\n\n");
        size_t n = end ? (size_t)(end - s) : strlen(s);
        roff_text(s, n, to);
        fputs("\n", to);
        s += n + (end ? 2 : 0);
        if (*s) fputs(".PP\n", to);
    }
}

static void roff_options(const struct command *c, FILE *to)
{
    const struct option *o;
    fputs(".SH OPTIONS\n", to);
    for (size_t i = 0; (o = command_option(c, i)); i++) {
        fputs(".TP\n\\fB", to);
        roff(o->name, to);
        fputs("\\fR", to);
        if (o->value) {
            fputs(o->optional ? "[=\\fI" : " \\fI", to);
            roff(o->value, to);
            fputs(o->optional ? "\\fR]" : "\\fR", to);
        }
        fputs("\n", to);
        roff(o->help, to);
        fputs("\n", to);
    }
}

// What lab and sim say of themselves, as it stands there.
static void roff_raw(const struct command *c, FILE *to)
{
    char line[512];
    FILE *f = tmpfile();
    fflush(stdout);
    int out = dup(STDOUT_FILENO);
    if (!f || out < 0 || dup2(fileno(f), STDOUT_FILENO) < 0) abort();
    c->raw(2, (char *[]){(char *)c->name, (char *)"--help", NULL});
    fflush(stdout);
    if (dup2(out, STDOUT_FILENO) < 0) abort();
    close(out);
    rewind(f);
    fputs(".SH USAGE\n.nf\n", to);
    while (fgets(line, sizeof line, f)) roff(line, to);
    fputs(".fi\n", to);
    fclose(f);
}

static void roff_name(const struct command *c, char sep, FILE *to)
{
    for (const char *p = c->name; *p; p++) putc(*p == ' ' ? sep : *p, to);
}

static void man_command(const struct command *c, FILE *to)
{
    fputs(".TH BYWAY-", to);
    for (const char *p = c->name; *p; p++) putc(*p == ' ' ? '-' : toupper((unsigned char)*p), to);
    fprintf(to, " 1 \"\" \"byway\" \"byway manual\"\n.SH NAME\nbyway\\-");
    for (const char *p = c->name; *p; p++) fputs(*p == ' ' ? "\\-" : (char[]){*p, 0}, to);
    fputs(" \\- ", to);
    roff(c->summary, to);
    fputs("\n.SH SYNOPSIS\n\\fBbyway ", to);
    roff(c->name, to);
    fputs("\\fR", to);
    if (*c->words) {
        fputs(" \\fI", to);
        roff(c->words, to);
        fputs("\\fR", to);
    }
    fputs(" [options]\n.SH DESCRIPTION\n", to);
    roff_paragraphs(c->text, to);
    if (c->raw) roff_raw(c, to);
    else roff_options(c, to);
    if (c->examples) {
        fputs(".SH EXAMPLES\n.nf\n", to);
        roff(c->examples, to);
        fputs("\n.fi\n", to);
    }
    fputs(".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage.\n.SH SEE ALSO\n\\fBbyway\\fR(1), \\fBbyway.conf\\fR(5)\n",
          to);
}

static void man_all(FILE *to)
{
    fputs(".TH BYWAY 1 \"\" \"byway\" \"byway manual\"\n.SH NAME\nbyway \\- Internet by way of your neighbours\n.SH "
          "SYNOPSIS\n"
          "\\fBbyway\\fR \\fICOMMAND\\fR [words] [options]\n.SH DESCRIPTION\n",
          to);
    roff_paragraphs("byway turns a Linux machine into a node of a mesh: nodes find each other, encrypt every link, "
                    "route around what breaks, and "
                    "share the Internet connections that some of them have.\n\n"
                    "To begin, run `sudo byway run` here and on a neighbour's machine, with --share on one that has "
                    "Internet; `byway status` then "
                    "tells how things stand and what to do about what does not work.\n\n"
                    "Options may stand before or after a command's words. Errors go to standard error as \"byway: what "
                    "is wrong (what to do)\".",
                    to);
    fputs(".SH COMMANDS\n", to);
    for (const struct command *const *c = commands; *c; c++) {
        fputs(".TP\n\\fBbyway ", to);
        roff((*c)->name, to);
        fputs("\\fR \\fI", to);
        roff((*c)->words, to);
        fputs("\\fR\n", to);
        roff((*c)->summary, to);
        fputs(": \\fBbyway\\-", to);
        roff_name(*c, '-', to);
        fputs("\\fR(1)\n", to);
    }
    fputs(".SH ENVIRONMENT\n.TP\n\\fBBYWAY_SOCKET\\fR\nthe node's socket, where \\-\\-socket is not "
          "given\n.TP\n\\fBBYWAY_STATE\\fR\nthe folder of the node's identity, where \\-\\-state is not given\n.TP\n"
          "\\fBNO_COLOR\\fR\nset to anything: no colours\n",
          to);
    fputs(".SH FILES\n.TP\n\\fI/etc/byway/byway.conf\\fR\nconfiguration, see \\fBbyway.conf\\fR(5); none is "
          "needed\n.TP\n\\fI/var/lib/byway\\fR\n"
          "the node's identity and what it must remember\n.TP\n\\fI/run/byway/api.sock\\fR\nthe node's socket, for "
          "root and the group byway\n",
          to);
    fputs(".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage.\n.SH SEE ALSO\n\\fBbyway.conf\\fR(5)\n", to);
}

void man_page(const struct command *c, FILE *to)
{
    if (c) man_command(c, to);
    else man_all(to);
}
