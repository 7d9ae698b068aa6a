#include "os/entropy.h"

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

#include "base/err.h"

void os_entropy(void *out, size_t n)
{
    for (uint8_t *p = out; n;) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR) continue;
        BW_ASSERT(got > 0); // no kernel that we run on lacks it
        p += got;
        n -= (size_t)got;
    }
}
