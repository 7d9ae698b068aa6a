#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>

const char *bw_strerror(int err)
{
    switch (err) {
    case BW_OK: return "done";
    case BW_ERR_MALFORMED: return "malformed";
    case BW_ERR_SHORT: return "too short";
    case BW_ERR_RANGE: return "out of range";
    case BW_ERR_AUTH: return "not authentic";
    case BW_ERR_REPLAY: return "replayed";
    case BW_ERR_NOMEM: return "out of memory or at a cap";
    case BW_ERR_NOTFOUND: return "not found";
    case BW_ERR_EXISTS: return "exists already";
    case BW_ERR_DENIED: return "not allowed";
    case BW_ERR_SYS: return "system call failed";
    case BW_ERR_AGAIN: return "try again later";
    case BW_ERR_UNSUPPORTED: return "not supported";
    }
    return "unknown error";
}

void bw_panic(const char *file, int line, const char *what)
{
    fprintf(stderr, "byway: internal error at %s:%d: %s (please report this)\n", file, line, what);
    abort();
}
