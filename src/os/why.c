#include "os/why.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int os_why(int err, char *why, size_t n, const char *fmt, ...)
{
    int saved = errno;
    if (why && n) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(why, n, fmt, ap);
        va_end(ap);
    }
    errno = saved;
    return err;
}
