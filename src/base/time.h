// Time inside byway is an argument: microseconds on a monotonic clock that starts anywhere. The next thing to do is a
// return value on the same scale. Nothing below src/os reads a clock.
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include <stdint.h>

typedef uint64_t bw_time; // microseconds

#define BW_NEVER UINT64_MAX
#define BW_MS 1000ull
#define BW_S 1000000ull

static inline bw_time bw_time_min(bw_time a, bw_time b) { return a < b ? a : b; }

#endif
