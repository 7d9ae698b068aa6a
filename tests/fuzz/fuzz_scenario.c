// The text of a scenario. What is accepted can be written, and is the same when it is read again.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "sim/scenario.h"

static char *written(const struct scenario *s)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f) abort();
    scenario_write(s, f);
    fclose(f);
    return text;
}

// A few bytes may ask for millions of nodes; they are believed, which is no use here.
static bool modest(const char *text)
{
    unsigned digits = 0, statements = 0;
    for (; *text; text++) {
        digits = *text >= '0' && *text <= '9' ? digits + 1 : 0;
        statements += *text == '\n';
        if (digits > 2) return false;
    }
    return statements < 100;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[SCENARIO_ERROR] = "", *text = strndup((const char *)data, size), *first, *second;
    struct scenario s;
    if (!text || bw_crypto_init()) abort(); // generators draw
    int err = scenario_parse(&s, text, 1, error);
    if (err) {
        if (err != BW_ERR_NOMEM && !strchr(error, ':')) abort(); // told where
    } else if (modest(text)) {
        struct scenario again;
        first = written(&s);
        if (scenario_parse(&again, first, 1, error)) {
            fprintf(stderr, "%s\n%s", error, first);
            abort();
        }
        second = written(&again);
        if (strcmp(first, second)) {
            fprintf(stderr, "%s----\n%s", first, second);
            abort();
        }
        free(first);
        free(second);
        scenario_free(&again);
    }
    if (!err) scenario_free(&s);
    free(text);
    return 0;
}
