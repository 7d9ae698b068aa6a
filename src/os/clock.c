#include "os/clock.h"

#include <time.h>

#include "base/err.h"

bw_time os_clock_now(void)
{
    struct timespec t;
    BW_ASSERT(clock_gettime(CLOCK_BOOTTIME, &t) == 0);
    return (bw_time)t.tv_sec * BW_S + (bw_time)t.tv_nsec / 1000;
}

uint64_t os_clock_unix_ns(void)
{
    struct timespec t;
    BW_ASSERT(clock_gettime(CLOCK_REALTIME, &t) == 0);
    if (t.tv_sec < 0) return 0; // before 1970: a board without a battery and a wrong build
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}
