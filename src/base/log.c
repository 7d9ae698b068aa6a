#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void bw_log(const struct bw_log *log, enum bw_level level, const char *fmt, ...)
{
    if (!log || !log->line || level > log->level) return;
    char text[1000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log->line(log->ctx, level, text);
}
