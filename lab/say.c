#include "lab/say.h"

#include <stdarg.h>
#include <stdio.h>

int lab_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fflush(stdout);
    fputs("byway: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return 1;
}

int lab_usage(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fflush(stdout);
    fputs("byway: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputs(" (see: byway lab --help)\n", stderr);
    va_end(ap);
    return 2;
}
