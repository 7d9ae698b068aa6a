#include "os/ifbytes.h"

#include <stdio.h>
#include <string.h>

// /proc/net/dev is that of the reader's namespace, wherever /sys was mounted. Two lines of headings, then
// "  NAME: rx-bytes packets errs drop fifo frame compressed multicast tx-bytes ...".
int os_ifbytes(const char *name, uint64_t *rx, uint64_t *tx)
{
    FILE *f = fopen("/proc/thread-self/net/dev", "re");
    char line[512];
    int err = BW_ERR_NOTFOUND;
    if (!f) return BW_ERR_SYS;
    while (err && fgets(line, sizeof line, f)) {
        char *p = line + strspn(line, " "), *colon = strchr(p, ':');
        unsigned long long in, out;
        if (!colon || (size_t)(colon - p) != strlen(name) || memcmp(p, name, strlen(name))) continue;
        if (sscanf(colon + 1, "%llu %*u %*u %*u %*u %*u %*u %*u %llu", &in, &out) != 2) continue;
        *rx = in;
        *tx = out;
        err = 0;
    }
    fclose(f);
    return err;
}
