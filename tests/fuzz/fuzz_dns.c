// What the DNS forwarder reads of a message: the one question, which answers must repeat.
#include <stdlib.h>

#include "os/dnsfwd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = os_dnsfwd_question(data, size);
    if (!n) return 0;
    if (n < 5 || n > 259 || 12 + n > size) abort(); // a name of 255 bytes, type, class; answer_failure() counts on it
    if (os_dnsfwd_question(data, 12 + n) != n || os_dnsfwd_question(data, 12 + n - 1)) abort(); // no more, no less
    return 0;
}
