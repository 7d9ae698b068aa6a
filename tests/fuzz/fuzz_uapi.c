// WireGuard's userspace protocol as any program with access may send it.
#include <stdlib.h>

#include "api/uapi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct uapi_request r;
    int err = uapi_parse((const char *)data, size, &r);
    if (err < 0 || (err && r.peers) || (!err && r.peer_count && !r.set)) abort();
    uapi_request_free(&r);
    return 0;
}
