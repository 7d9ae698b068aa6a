// Which announced prefixes are believed (DESIGN 2, "Routing").
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/node/import.h"
#include "unit/parse.h"

static bool allows(const char *text, const struct bw_prefix *extra, unsigned extra_count)
{
    struct bw_prefix local[] = {prefix("192.168.1.0/24"), prefix("fd00:1::/64"), prefix("2001:db8:1::/64"), prefix("100.70.0.0/16")};
    struct import_rule r = {.local = local, .local_count = 4, .extra = extra, .extra_count = extra_count};
    assert_int_equal(bw_addr_parse("fc12::1", &r.self), 0);
    struct bw_prefix p = prefix(text);
    return import_allows(&r, &p);
}

static void by_default(void **state)
{
    (void)state;
    static const char *const yes[] = {"fc34::1/128", "fc00::e/128", "fd00:2::/64", "fd34::/16", "10.0.0.0/8", "172.16.5.0/24",
                                      "192.168.2.0/24", "192.168.7.9/32"};
    static const char *const no[] = {
        "fc12::1/128",      // our own address
        "fc34::/64",        // no node has a network of mesh addresses
        "fc00::1/128",      // a well-known address that is not known
        "fc00::/8",         "::/0",           "0.0.0.0/0",      "0.0.0.0/1",   "2001:db8::1/128", "2000::/3",
        "fe80::/10",        "ff00::/8",       "fc00::/7",       "8.8.8.0/24",  "100.64.0.0/10",   "100.80.1.0/24",
        "169.254.0.0/16",   "127.0.0.0/8",    "192.168.0.0/15", "11.0.0.0/8",  "172.32.0.0/16",   "8.0.0.0/5",
        "192.168.1.0/24",   "192.168.1.9/32", "192.168.0.0/16", "fd00:1::/64", "fd00:1::9/128",   "fd00::/8",
    };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) assert_true(allows(yes[i], NULL, 0));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) assert_false(allows(no[i], NULL, 0));
}

static void widened(void **state)
{
    (void)state;
    struct bw_prefix v4 = prefix("0.0.0.0/0"), v6 = prefix("::/0"), some = prefix("203.0.113.0/24");
    assert_true(allows("203.0.113.0/24", &some, 1) && allows("203.0.113.128/25", &some, 1));
    assert_false(allows("203.0.112.0/23", &some, 1) || allows("8.8.8.0/24", &some, 1));
    // A default route is wider than every local network, and may be had; a part of a local network may not.
    assert_true(allows("0.0.0.0/0", &v4, 1) && allows("8.8.8.0/24", &v4, 1) && allows("192.168.0.0/16", &v4, 1));
    assert_false(allows("192.168.1.0/24", &v4, 1) || allows("192.168.1.7/32", &v4, 1) || allows("100.70.1.0/24", &v4, 1));
    assert_true(allows("::/0", &v6, 1) && allows("2001:db8:2::/64", &v6, 1));
    assert_false(allows("2001:db8:1::/64", &v6, 1) || allows("2001:db8:1::5/128", &v6, 1));
    // One family says nothing of the other.
    assert_false(allows("0.0.0.0/0", &v6, 1) || allows("8.8.8.0/24", &v6, 1) || allows("::/0", &v4, 1));
    static const char *const never[] = {"fe80::/10", "ff02::/16", "::1/128", "::/96", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) assert_false(allows(never[i], &v6, 1) || allows(never[i], &v4, 1));
    // And mesh addresses are not for import to give away.
    assert_false(allows("fc12::1/128", &v6, 1) || allows("fc34::/64", &v6, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_default), cmocka_unit_test(widened)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
