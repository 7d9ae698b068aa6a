// What went through an interface of this network namespace since it exists.
#ifndef OS_IFBYTES_H
#define OS_IFBYTES_H

#include <stdint.h>

#include "base/err.h"

// BW_ERR_NOTFOUND: no such interface; BW_ERR_SYS.
int os_ifbytes(const char *name, uint64_t *rx, uint64_t *tx) BW_NODISCARD;

#endif
