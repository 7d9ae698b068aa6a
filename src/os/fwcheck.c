#include "os/fwcheck.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/why.h"

#define STATEMENT 512 // of a longer one the beginning is enough, but for its end

struct ruleset {
    const char *own_table;
    char iface[32]; // in quotes, as nft prints it
    char *which;
    size_t n;
    bool found;

    char table[96], chain[96];
    bool forward; // the chain is in the forward hook
    bool accepts; // the table has a rule that accepts what comes from iface
    bool docker, ufw, firewalld, libvirt;
    char verdict[192]; // what we would say about this table, "" if nothing
};

static void finish_table(struct ruleset *r)
{
    if (r->verdict[0] && !r->accepts && !r->found && strcmp(r->table, r->own_table)) {
        r->found = true;
        os_why(0, r->which, r->n, "table \"%s\" %s%s", r->table, r->verdict,
               r->docker      ? " (looks like Docker)"
               : r->ufw       ? " (looks like ufw)"
               : r->firewalld ? " (looks like firewalld)"
               : r->libvirt   ? " (looks like libvirt)"
                              : "");
    }
    r->table[0] = r->chain[0] = r->verdict[0] = 0;
    r->forward = r->accepts = r->docker = r->ufw = r->firewalld = r->libvirt = false;
}

static bool starts(const char *s, const char *with)
{
    return !strncmp(s, with, strlen(with));
}

// "table inet NAME" and "chain NAME", without the brace.
static void open_block(struct ruleset *r, char *s, int depth)
{
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1])) s[--n] = 0;
    if (depth == 0 && starts(s, "table ")) snprintf(r->table, sizeof r->table, "%.90s", s + 6);
    if (depth != 1) return;
    r->forward = false;
    snprintf(r->chain, sizeof r->chain, "%.90s", starts(s, "chain ") ? s + 6 : "");
    r->docker |= starts(r->chain, "DOCKER");
    r->ufw |= starts(r->chain, "ufw");
    r->firewalld |= strstr(r->table, "firewalld") != NULL;
    r->libvirt |= starts(r->chain, "LIBVIRT") || strstr(r->table, "libvirt");
}

static const char *next_word(const char *s)
{
    if (*s == '"') {
        s = strchr(s + 1, '"');
        if (!s) return "";
        s++;
    }
    s += strcspn(s, " ");
    return s + strspn(s, " ");
}

// Only counting and logging before drop or reject: it is met by everything that comes as far.
static bool drops_all(const char *s)
{
    static const char *const with_argument[] = {"packets", "bytes", "prefix",  "level",
                                                "flags",   "group", "snaplen", NULL};
    while (*s) {
        if (starts(s, "drop") || starts(s, "reject")) return true;
        bool argument = false;
        for (const char *const *w = with_argument; *w; w++) argument |= starts(s, *w) && s[strlen(*w)] == ' ';
        if (!argument && !starts(s, "counter ") && !starts(s, "log ")) return false;
        s = next_word(s);
        if (argument) s = next_word(s);
    }
    return false;
}

static bool ends_in_accept(const char *s)
{
    const char *a = strstr(s, " accept");
    return a && (!a[7] || a[7] == ' ');
}

static void statement(struct ruleset *r, const char *s)
{
    if (!r->chain[0]) return;
    if (starts(s, "type ")) {
        r->forward = strstr(s, " hook forward ") != NULL;
        if (r->forward && strstr(s, "policy drop"))
            snprintf(r->verdict, sizeof r->verdict, "chain %s drops by policy what no rule accepts", r->chain);
        return;
    }
    if (strstr(s, r->iface) && ends_in_accept(s)) r->accepts = true;
    if (r->forward && !r->verdict[0] && drops_all(s))
        snprintf(r->verdict, sizeof r->verdict, "chain %s drops what no rule before accepts", r->chain);
}

bool os_fwcheck_text(const char *ruleset, const char *own_table, const char *iface, char *which, size_t n)
{
    struct ruleset r = {.own_table = own_table, .which = which, .n = n};
    char s[STATEMENT];
    size_t len = 0;
    int depth = 0;
    bool quoted = false;
    snprintf(r.iface, sizeof r.iface, "\"%s\"", iface);
    for (const char *p = ruleset; *p; p++) {
        if (*p == '"') quoted = !quoted;
        bool block = depth < 2 && *p == '{' && !quoted;
        if (block || (*p == '\n' && depth <= 2) || (*p == '}' && depth <= 2 && !quoted)) {
            s[len] = 0;
            if (block) open_block(&r, s, depth);
            else if (len && depth == 2) statement(&r, s);
            len = 0;
            quoted = false;
        } else if (*p != '\t' && *p != '\n' && !(len == 0 && *p == ' ') && len < sizeof s - 1) {
            s[len++] = *p;
        }
        if (quoted) continue;
        if (*p == '{') depth++;
        if (*p == '}' && depth > 0 && --depth == 0) finish_table(&r);
    }
    return r.found;
}

int os_nft_foreign_forward_drop(struct os_nft *f, const char *own_table, const char *iface, char *which, size_t n)
{
    char *text;
    int err = os_nft_query(f, "list ruleset", OS_NFT_TERSE, &text, which, n);
    if (err) return err;
    bool found = os_fwcheck_text(text, own_table, iface, which, n);
    free(text);
    return found;
}
