// Reads "name = hex" files from tests/vectors. Test programs only: everything that goes wrong fails the test.
#ifndef UNIT_VECTORS_H
#define UNIT_VECTORS_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

// The bytes of `name` in VECTORS_DIR/file; returns how many. Fails if there are more than cap or none.
static inline size_t vector(const char *file, const char *name, uint8_t *out, size_t cap)
{
    char path[512], line[4096];
    snprintf(path, sizeof path, "%s/%s", VECTORS_DIR, file);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = 0, name_len = strlen(name);
    while (!n && fgets(line, sizeof line, f)) {
        if (strncmp(line, name, name_len) || strncmp(line + name_len, " = ", 3)) continue;
        line[strcspn(line, "\n")] = 0;
        const char *hex = line + name_len + 3;
        n = strlen(hex) / 2;
        assert_true(n && n <= cap);
        assert_int_equal(bw_hex_decode(hex, out, n), 0);
    }
    fclose(f);
    if (!n) fail_msg("%s has no %s", file, name);
    return n;
}

#endif
