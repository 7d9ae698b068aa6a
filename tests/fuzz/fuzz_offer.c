// Whatever a stranger calls an offer, or an answer full of them: no crash, and what is taken comes back the same when it is
// written and read again.
#include <string.h>

#include "wire/offer.h"
#include "wire/signed.h"

static void one(void *ctx, bool first, const char *text, size_t n)
{
    struct offer o, back;
    struct signed_part part, again;
    static char out[SIGNED_MAX];
    (void)ctx;
    (void)first;
    if (offer_decode(text, n, &o, &part)) return;
    int len = offer_encode(&o, part.signature, out, sizeof out);
    if (len < 0) return; // what is unknown to us was left out, but escapes may have grown
    if (offer_decode(out, (size_t)len, &back, &again)) __builtin_trap();
    if (memcmp(&o, &back, sizeof o)) __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    one(NULL, true, (const char *)data, size);
    if (offer_answer_decode((const char *)data, size, one, NULL)) return 0;
    return 0;
}
