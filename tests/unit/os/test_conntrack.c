// os/conntrack with the kernel's own translation, in a network namespace of our own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "os/conntrack.h"
#include "os/why.h"
#include "unit/os/space.h"

static bool have_space;
static char why[OS_WHY];

static int enter(void **state)
{
    (void)state;
    have_space = space_network() && space_run("ip -6 address add fd01::2/128 dev lo nodad; ip -6 address add fd01::3/128 dev lo nodad;"
                                              "ip -6 address add fd01::9/128 dev lo nodad; ip address add 127.0.0.9/8 dev lo;"
                                              "nft 'table inet t { chain post { type nat hook postrouting priority srcnat;"
                                              " ip daddr 127.0.0.2 snat ip to 127.0.0.9; ip6 daddr fd01::2 snat ip6 to fd01::9; }; }'");
    return 0;
}

// To ports of their own, so that each is a connection of its own, whatever source port the kernel draws.
static void say(const char *to)
{
    static uint16_t port = 1000;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(++port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool is4 = inet_pton(AF_INET, to, &v4.sin_addr) == 1;
    if (!is4) assert_int_equal(inet_pton(AF_INET6, to, &v6.sin6_addr), 1);
    int fd = socket(is4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(sendto(fd, "x", 1, 0, is4 ? (void *)&v4 : (void *)&v6, is4 ? sizeof v4 : sizeof v6) == 1);
    close(fd);
}

static int forget(const char *text)
{
    struct bw_addr a;
    assert_int_equal(bw_addr_parse(text, &a), 0);
    int n = os_conntrack_forget(&a, why, sizeof why);
    if (n < 0) print_message("%s\n", why);
    return n;
}

static void the_translated_are_forgotten_and_no_others(void **state)
{
    (void)state;
    if (!have_space) skip();
    assert_int_equal(forget("127.0.0.9"), 0);
    for (int i = 0; i < 50; i++) say("127.0.0.2"), say("fd01::2");
    for (int i = 0; i < 3; i++) say("127.0.0.3"), say("fd01::3"), say("127.0.0.9");
    assert_int_equal(forget("127.0.0.8"), 0);
    assert_int_equal(forget("127.0.0.1"), 0); // a source as it is, not translated to
    assert_int_equal(forget("127.0.0.9"), 50);
    assert_int_equal(forget("127.0.0.9"), 0);
    assert_int_equal(forget("fd01::9"), 50);
    assert_int_equal(forget("fd01::9"), 0);
}

static void a_connection_that_never_pauses_is_translated_anew(void **state)
{
    (void)state;
    if (!have_space) skip();
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(77), .sin_addr.s_addr = htonl(0x7f000002)}, from;
    socklen_t len = sizeof from;
    char byte;
    int in = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), out = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(in, (struct sockaddr *)&to, sizeof to), 0);
    uint32_t expected[] = {0x7f000009, 0x7f000009, 0x7f00000a};
    for (unsigned i = 0; i < 3; i++) {
        if (i == 1) assert_true(space_run("nft 'flush chain inet t post; add rule inet t post ip daddr 127.0.0.2 snat ip to 127.0.0.10'"));
        if (i == 2) assert_int_equal(forget("127.0.0.9"), 1);
        assert_true(sendto(out, "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1);
        assert_true(recvfrom(in, &byte, 1, 0, (struct sockaddr *)&from, &len) == 1);
        assert_int_equal(ntohl(from.sin_addr.s_addr), expected[i]);
    }
    close(in);
    close(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_translated_are_forgotten_and_no_others),
        cmocka_unit_test(a_connection_that_never_pauses_is_translated_anew),
    };
    return cmocka_run_group_tests_name("os/conntrack", tests, enter, NULL);
}
