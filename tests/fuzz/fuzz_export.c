// Whatever a stranger calls an export record: no crash, and what is taken comes back the same when it is written and read again.
#include <string.h>

#include "wire/export.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct export_record e, back;
    struct signed_part part, again;
    static char out[SIGNED_MAX];
    if (export_decode((const char *)data, size, &e, &part)) return 0;
    int len = export_encode(&e, part.signature, out, sizeof out);
    if (len < 0) return 0; // what was shorter in another spelling
    if (export_decode(out, (size_t)len, &back, &again)) __builtin_trap();
    if (memcmp(&e, &back, sizeof e)) __builtin_trap();
    return 0;
}
