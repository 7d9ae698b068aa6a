// rtnetlink messages as the kernel sends them, one after the other in a buffer: os_nl_decode must take anything.
// The corpus are answers of a real kernel (links, addresses, routes, rules of both families, an error).
#include <stdlib.h>
#include <string.h>

#include "os/nldecode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s, size_t cap)
{
    if (strnlen(s, cap) == cap) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    while (size >= 16) {
        struct os_nl_event e;
        uint32_t len;
        int err = os_nl_decode(data, size, &e);
        memcpy(&len, data, sizeof len);
        if (!err) {
            if (len > size || e.what > OS_NL_RULE) abort();
            if (e.what == OS_NL_LINK) {
                check_text(e.link.name, sizeof e.link.name);
                check_text(e.link.kind, sizeof e.link.kind);
                check_text(e.link.slave_kind, sizeof e.link.slave_kind);
                if (e.link.mac_len > sizeof e.link.mac || !e.link.index) abort();
            }
            if (e.what == OS_NL_ADDR && e.addr.len > 128) abort();
            if (e.what == OS_NL_ROUTE) {
                struct bw_prefix clean = bw_prefix_make(&e.route.dst.addr, e.route.dst.len);
                if (e.route.dst.len > 128 || !bw_prefix_eq(&clean, &e.route.dst)) abort();
            }
            if (e.what == OS_NL_RULE) check_text(e.rule.in_name, sizeof e.rule.in_name);
        }
        if (len < 16 || len > size) break;
        size_t step = (len + 3u) & ~(size_t)3;
        if (step > size) break;
        data += step;
        size -= step;
    }
    return 0;
}
