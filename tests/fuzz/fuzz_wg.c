// Decoders of WireGuard's messages: what decodes must encode to the same bytes, the macs aside.
#include <stdlib.h>
#include <string.h>

#include "wire/wg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wg_initiation i;
    struct wg_response r;
    struct wg_cookie c;
    uint8_t out[WG_INITIATION_LEN];
    int type = wg_type(data, size);
    check(type < 0 || (type >= WG_INITIATION && type <= WG_DATA));
    check((wg_initiation_decode(data, size, &i) == 0) == (type == WG_INITIATION));
    check((wg_response_decode(data, size, &r) == 0) == (type == WG_RESPONSE));
    check((wg_cookie_decode(data, size, &c) == 0) == (type == WG_COOKIE));
    if (type == WG_INITIATION) {
        wg_initiation_encode(out, &i);
        check(!memcmp(out, data, WG_INITIATION_LEN - 32));
    } else if (type == WG_RESPONSE) {
        wg_response_encode(out, &r);
        check(!memcmp(out, data, WG_RESPONSE_LEN - 32));
    } else if (type == WG_COOKIE) {
        wg_cookie_encode(out, &c);
        check(!memcmp(out, data, WG_COOKIE_LEN));
    }
    return 0;
}
