// Addresses, prefixes and endpoints as tests write them down. What cannot be read fails the test.
#ifndef UNIT_PARSE_H
#define UNIT_PARSE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/addr.h"

static inline struct bw_addr addr(const char *text)
{
    struct bw_addr a;
    assert_int_equal(bw_addr_parse(text, &a), 0);
    return a;
}
static inline struct bw_prefix prefix(const char *text)
{
    struct bw_prefix p;
    assert_int_equal(bw_prefix_parse(text, &p), 0);
    return p;
}
static inline struct bw_endpoint endpoint(const char *text)
{
    struct bw_endpoint e;
    assert_int_equal(bw_endpoint_parse(text, &e), 0);
    return e;
}

#endif
