// Help and manual pages say the same: docs/man/byway*.1 are what `byway help --roff` prints, byte for byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/command.h"

#define MAN VECTORS_DIR "/../../docs/man/"

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) fail_msg("%s is missing (byway help --roff COMMAND writes it)", path);
    char *text = calloc(1, 65536);
    assert_true(fread(text, 1, 65535, f) > 0);
    fclose(f);
    return text;
}

static char *page_of(const struct command *c)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    man_page(c, f);
    fclose(f);
    return text;
}

static void compare(const struct command *c, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, MAN "%s.1", name);
    char *want = page_of(c), *is = slurp(path);
    if (strcmp(want, is))
        fail_msg("%s does not say what --help says: byway help --roff %s > %s", path, c ? c->name : "", path);
    free(want);
    free(is);
}

static void test_pages(void **state)
{
    (void)state;
    size_t count = 1;
    compare(NULL, "byway");
    for (const struct command *const *c = commands; *c; c++, count++) {
        char name[64];
        snprintf(name, sizeof name, "byway-%s", (*c)->name);
        for (char *p = name; *p; p++) *p = *p == ' ' ? '-' : *p;
        compare(*c, name);
    }
    // and no page is left of a command that is gone
    DIR *d = opendir(MAN);
    size_t pages = 0;
    for (struct dirent *e; (e = readdir(d));) pages += strstr(e->d_name, ".1") != NULL;
    closedir(d);
    assert_int_equal(pages, count);
}

// Every option stands in the help with what it takes, and in the page.
static void test_options(void **state)
{
    (void)state;
    for (const struct command *const *c = commands; *c; c++) {
        char *text = NULL, *page = page_of(*c);
        size_t n;
        if ((*c)->raw) {
            free(page);
            continue;
        }
        FILE *f = open_memstream(&text, &n);
        help_command(*c, f);
        fclose(f);
        const struct option *o;
        for (size_t i = 0; (o = command_option(*c, i)); i++) {
            char form[80], roff[96], *r = roff;
            snprintf(form, sizeof form, o->value ? (o->optional ? "%s[=%s]" : "%s %s") : "%s", o->name, o->value);
            for (const char *p = o->name; *p; p++) r += sprintf(r, *p == '-' ? "\\-" : "%c", *p);
            if (!strstr(text, form) || !strstr(page, roff)) fail_msg("%s: %s", (*c)->name, form);
        }
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) assert_true(strlen(line) <= 100);
        free(text);
        free(page);
    }
}

// The table itself: names that the parser can find, a summary for the list, sensible counts; an option takes a value
// everywhere or nowhere, since the parser must know before it knows the command.
static void test_table(void **state)
{
    (void)state;
    for (const struct command *const *c = commands; *c; c++) {
        assert_ptr_equal(command_find((*c)->name), *c);
        assert_true(strlen((*c)->summary) > 8 && strlen((*c)->text) > 20);
        assert_true((*c)->min <= (*c)->max && (*c)->max <= WORDS_MAX);
        assert_true(((*c)->run == NULL) != ((*c)->raw == NULL));
        const struct option *o, *p;
        for (size_t i = 0; (o = command_option(*c, i)); i++) {
            for (const struct command *const *d = commands; *d; d++) {
                for (size_t k = 0; (p = command_option(*d, k)); k++) {
                    if (!strcmp(o->name, p->name)) assert_true(!o->value == !p->value && o->optional == p->optional);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pages), cmocka_unit_test(test_options),
                                       cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
