// The four resources for other nodes, on real mesh addresses in a network namespace: who may ask, what is answered, and
// what a hostile caller can hold.
#include "unit/api/fake.h"

static struct bw_addr at;
static int err;

static void listen_mesh(void *arg)
{
    (void)arg;
    err = api_listen_mesh(fake.api, &at, 4870, NULL, fake.why, sizeof fake.why);
}

static void unlisten_mesh(void *arg)
{
    (void)arg;
    api_unlisten_mesh(fake.api, &at);
}

static int setup(void **state)
{
    (void)state;
    fake_start();
    at = addr(OUR_MESH);
    fake_call(listen_mesh, NULL);
    assert_int_equal(err, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_stop();
    return 0;
}

#define mesh(args) sh(NULL, "curl -s -g -m 20 -w ' %%{http_code}' --interface fcbb::7 " args)
#define AT "'http://[" OUR_MESH "]:4870"

static void expect(char *out, int status, const char *part)
{
    char want[8];
    snprintf(want, sizeof want, " %d", status);
    if (!strstr(out, want) || !strstr(out, part)) fail_msg("%s (wanted %d, %s)", out, status, part);
}

static void test_resources(void **state)
{
    (void)state;
    expect(mesh(AT "/v1/key'"), 200,
           "{\"address\":\"" OUR_MESH "\",\"key\":\"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\"}");
    expect(mesh(AT "/v1/peer-info'"), 200, "\"name\":\"mill\",\"version\":\"" BYWAY_VERSION "\"");
    expect(mesh(AT "/v1/exit'"), 200, "{\"offer\":{}}");
    expect(mesh("-d '{\"nonce\":1}' " AT "/v1/lease'"), 403, "{\"error\":\"no\"}");
    assert_string_equal(fake.lease_body, "{\"nonce\":1}");
    struct bw_addr from = addr("fcbb::7");
    assert_memory_equal(&fake.lease_from, &from, 16);
    expect(mesh(AT "/v1/lease'"), 405, "POST");
    expect(mesh("-d x " AT "/v1/exit'"), 405, "GET");
    expect(mesh("-i " AT "/v1/lease'"), 405, "Allow: POST\r\n");
    // nothing else is there for strangers
    static const char *const others[] = {"/v1/status", "/v1/peers", "/v1/routes", "/v1/events",
                                         "/v1/invite", "/metrics",  "/",          "/v1/keys"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char *out = sh(NULL, "curl -s -g -m 20 -w ' %%{http_code}' --interface fcbb::7 " AT "%s'", others[i]);
        expect(out, 404, "nothing here");
    }
    expect(mesh("-X POST " AT "/v1/reload'"), 404, "nothing here");
    expect(mesh("-X DELETE " AT "/v1/peers/x'"), 404, "nothing here");
    assert_int_equal(fake.reloads, 0);
    // an address that is no node's
    expect(sh(NULL, "curl -s -g -m 20 -w ' %%{http_code}' --interface 2001:db8::7 " AT "/v1/key'"), 403,
           "only mesh addresses");
    assert_non_null(strstr(mesh("--data-binary @/usr/bin/curl " AT "/v1/lease'"), " 413"));
    assert_int_equal(fake.leases, 1);
}

static void test_anycast_comes_and_goes(void **state)
{
    (void)state;
    at = bw_addr_any_exit;
    fake_call(listen_mesh, NULL);
    fake_call(listen_mesh, NULL); // again: nothing happens
    assert_int_equal(err, 0);
    expect(mesh("'http://[fc00::e]:4870/v1/exit'"), 200, "offer");
    fake_call(unlisten_mesh, NULL);
    fake_call(unlisten_mesh, NULL);
    expect(mesh("'http://[fc00::e]:4870/v1/exit'"), 0, "");
    expect(mesh(AT "/v1/key'"), 200, "key");
    at = addr("fcde:ad::1"); // not there yet
    fake_call(listen_mesh, NULL);
    assert_int_equal(err, 0);
}

static int connect_mesh(const char *source)
{
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(4870)}, from = {.sin6_family = AF_INET6};
    struct bw_addr to = addr(OUR_MESH), s = addr(source);
    memcpy(&sa.sin6_addr, to.b, 16);
    memcpy(&from.sin6_addr, s.b, 16);
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    struct timeval tv = {20, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

// One caller cannot hold more than its share, and a slow one is cut after its time, however busy it looks.
static void test_slow_callers(void **state)
{
    (void)state;
    int fd[4], extra;
    uint64_t start = now_ms();
    for (int i = 0; i < 4; i++) {
        fd[i] = connect_mesh("fcbb::7");
        assert_int_equal(send(fd[i], "GET /v1/key HTTP/1.1\r\n", 22, MSG_NOSIGNAL), 22);
    }
    extra = connect_mesh("fcbb::7");
    char c;
    assert_true(recv(extra, &c, 1, 0) <= 0); // the fifth is shut at once
    assert_true(now_ms() - start < 3000);
    close(extra);
    expect(sh(NULL, "curl -s -g -m 20 -w ' %%{http_code}' --interface " OUR_MESH " " AT "/v1/key'"), 200,
           "key"); // others are served
    for (int alive = 4;
         alive && now_ms() - start < 20000;) { // one header a second would keep an idle timer quiet for ever
        alive = 0;
        for (int i = 0; i < 4; i++) {
            if (fd[i] >= 0 && (send(fd[i], "X: y\r\n", 6, MSG_NOSIGNAL) < 0 || recv(fd[i], &c, 1, MSG_DONTWAIT) == 0)) {
                close(fd[i]);
                fd[i] = -1;
            }
            alive += fd[i] >= 0;
        }
        usleep(200000);
    }
    for (int i = 0; i < 4; i++) assert_int_equal(fd[i], -1);
    uint64_t took = now_ms() - start;
    assert_true(took >= 9000 && took < 14000);
    expect(mesh(AT "/v1/key'"), 200, "key");
}

// Many callers that hold all connections open keep nobody else from being served at once.
static void test_many_callers(void **state)
{
    (void)state;
    int fd[48], ended = 0;
    assert_int_equal(system("for i in 1 2 3 4 5 6 7 8 9 a b c; do ip addr add fcbc::$i/128 dev lo nodad || exit 1; done"), 0);
    for (int i = 0; i < 48; i++) {
        char source[32];
        snprintf(source, sizeof source, "fcbc::%x", 1 + i / 4);
        fd[i] = connect_mesh(source);
        assert_int_equal(send(fd[i], "GET /v1/key HTTP/1.1\r\n", 22, MSG_NOSIGNAL), 22);
    }
    uint64_t start = now_ms();
    expect(mesh(AT "/v1/key'"), 200, "key");
    assert_true(now_ms() - start < 4000); // not when the time of one of the others is over
    for (int i = 0; i < 48; i++) {
        char c;
        ended += recv(fd[i], &c, 1, MSG_DONTWAIT) == 0;
        close(fd[i]);
    }
    assert_true(ended >= 48 - 32); // the oldest
}

int main(void)
{
    if (!own_world()) {
        printf("skipped: no network namespace can be made here\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_resources, setup, teardown),
        cmocka_unit_test_setup_teardown(test_anycast_comes_and_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_callers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_callers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
