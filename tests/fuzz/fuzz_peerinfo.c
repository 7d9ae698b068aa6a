#include "wire/peerinfo.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[PEERINFO_NAME] = "";
    if (!peerinfo_decode((const char *)data, size, name)) BW_ASSERT(strlen(name) > 0 && !strpbrk(name, "\"\\ \n"));
    return 0;
}
