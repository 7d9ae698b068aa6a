// The machine's clocks: the only place where byway reads them.
//
// Control time is CLOCK_BOOTTIME. It never runs back, no administrator or NTP can step it, and unlike CLOCK_MONOTONIC
// it goes on while the machine sleeps: a laptop that wakes after an hour must find its session keys too old and its
// neighbours silent, not three seconds old. To be woken on that scale use os/timer.h (a libuv timer counts without
// sleep).
#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include "base/time.h"

// Microseconds since boot, sleep included. Cheap (vDSO); never fails.
bw_time os_clock_now(void);

// Nanoseconds since 1970 by the wall clock, which may be wrong and may jump: for TAI64N stamps and for people only.
uint64_t os_clock_unix_ns(void);

#endif
