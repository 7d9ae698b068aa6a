// Failures that a person must act on: a code for the program and a sentence for the person. The sentence says what is
// wrong and what to do, has no "byway:" in front and no full stop behind. Callers give a buffer of OS_WHY bytes, or
// NULL, 0.
#ifndef OS_WHY_H
#define OS_WHY_H

#include <stddef.h>

#include "base/err.h"

#define OS_WHY 320

// Writes the sentence (cut if too long) and returns err: `return os_why(BW_ERR_SYS, why, n, "%s: %m", path);`. errno
// stays.
int os_why(int err, char *why, size_t n, const char *fmt, ...) BW_PRINTF(4, 5);

#endif
