// Random bytes from the kernel, to seed struct bw_rng and to draw keys.
#ifndef OS_ENTROPY_H
#define OS_ENTROPY_H

#include <stddef.h>

// Fills out. Waits, early after boot, until the kernel's generator is seeded; never returns weak bytes.
void os_entropy(void *out, size_t n);

#endif
