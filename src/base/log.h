// The log sink: handed in, never global. A sink gets whole lines without a newline and must not call back.
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

enum bw_level { BW_ERROR, BW_WARN, BW_INFO, BW_DEBUG };

struct bw_log {
    void (*line)(void *ctx, enum bw_level level, const char *text);
    void *ctx;
    enum bw_level level; // what is above this is not even formatted
};

// log may be NULL (nothing is logged). Lines past 1,000 bytes are cut.
void bw_log(const struct bw_log *log, enum bw_level level, const char *fmt, ...) BW_PRINTF(3, 4);

#endif
