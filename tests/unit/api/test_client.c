// The HTTP client against our own server and against hostile ones, all on loopback.
#include "api/client.h"
#include "unit/api/fake.h"

static struct {
    unsigned done;
    int status;
    char error[256], body[4096];
    size_t body_len;
} got;

static void on_done(void *ctx, const struct http_answer *a)
{
    (void)ctx;
    got.status = a->status;
    snprintf(got.error, sizeof got.error, "%s", a->error);
    got.body_len = a->body_len;
    snprintf(got.body, sizeof got.body, "%.*s", (int)a->body_len, (const char *)a->body);
    got.done++;
}

static struct http_client *client;
static int number;
static void start(void *arg)
{
    number = http_client_start(client, arg, on_done, NULL);
}
static void cancel(void *arg)
{
    (void)arg;
    http_client_cancel(client, number);
    http_client_cancel(client, 12345);
}
static void make(void *arg)
{
    (void)arg;
    client = http_client_new(&fake.loop);
}
static void end(void *arg)
{
    (void)arg;
    http_client_close(client);
}

static struct bw_addr at;
static int err;
static void listen_mesh(void *arg)
{
    (void)arg;
    err = api_listen_mesh(fake.api, &at, 4870, NULL, fake.why, sizeof fake.why);
}

static int setup(void **state)
{
    (void)state;
    fake_start();
    memset(&got, 0, sizeof got);
    at = addr(OUR_MESH);
    fake_call(listen_mesh, NULL);
    fake_call(make, NULL);
    return err;
}

static int teardown(void **state)
{
    (void)state;
    fake_call(end, NULL);
    fake_stop();
    return 0;
}

static void run(struct http_request r)
{
    unsigned before = __atomic_load_n(&got.done, __ATOMIC_SEQ_CST);
    fake_call(start, &r);
    assert_true(number > 0);
    wait_for(15, __atomic_load_n(&got.done, __ATOMIC_SEQ_CST) == before + 1);
}

static void test_get_and_post(void **state)
{
    (void)state;
    struct bw_addr source = addr("fcbb::7");
    run((struct http_request){.url = "http://[" OUR_MESH "]:4870/v1/key", .source = &source});
    assert_int_equal(got.status, 200);
    assert_string_equal(got.error, "");
    assert_non_null(strstr(got.body, OUR_MESH));
    run((struct http_request){
        .url = "http://[" OUR_MESH "]:4870/v1/lease", .source = &source, .body = "{\"n\":1}", .body_len = 7});
    assert_int_equal(got.status, 403);
    assert_string_equal(got.body, "{\"error\":\"no\"}");
    assert_string_equal(fake.lease_body, "{\"n\":1}");
    assert_memory_equal(&fake.lease_from, &source, 16);
    // a plain file, a proxy in the environment, and another scheme are not for us
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    run((struct http_request){.url = "http://[" OUR_MESH "]:4870/v1/key", .source = &source, .ifname = "lo"});
    assert_int_equal(got.status, 200);
    unsetenv("http_proxy");
    run((struct http_request){.url = "file:///etc/passwd"});
    assert_int_equal(got.status, 0);
    assert_true(*got.error && !got.body_len);
}

static void test_no_answer(void **state)
{
    (void)state;
    run((struct http_request){.url = "http://[" OUR_MESH "]:4999/"});
    assert_int_equal(got.status, 0);
    assert_true(*got.error);
    // a server that accepts and says nothing, then one that never stops
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof sa;
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(sa.sin_port));
    uint64_t begin = now_ms();
    run((struct http_request){.url = url, .timeout_ms = 300});
    assert_int_equal(got.status, 0);
    assert_true(now_ms() - begin >= 300 && now_ms() - begin < 3000);
    close(accept(fd, NULL, NULL)); // that one's connection
    static const char *const endless[] = {"HTTP/1.1 200 OK\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "HTTP/1.1 200 OK\r\n"};
    for (int i = 0; i < 3; i++) {
        struct http_request r = {.url = url, .timeout_ms = 10000, .max_body = 10000};
        unsigned before = got.done;
        fake_call(start, &r);
        int c = accept(fd, NULL, NULL);
        send(c, endless[i], strlen(endless[i]), MSG_NOSIGNAL);
        char junk[4096];
        memset(junk, 'x', sizeof junk);
        memcpy(junk, "X-A: b", 6);
        memcpy(junk + sizeof junk - 2, "\r\n", 2);
        while (send(c, junk, sizeof junk, MSG_NOSIGNAL) > 0) {}
        close(c);
        wait_for(12, __atomic_load_n(&got.done, __ATOMIC_SEQ_CST) == before + 1);
        assert_int_equal(got.status, 0);
        assert_true(*got.error);
        assert_true(now_ms() - begin < 8000); // ended by size, not by time
    }
    // cancelled: never heard of again
    unsigned before = got.done;
    struct http_request r = {.url = url, .timeout_ms = 10000};
    fake_call(start, &r);
    fake_call(cancel, NULL);
    // closing with one under way is teardown's business: leave one
    fake_call(start, &r);
    assert_int_equal(got.done, before);
    int many = 0;
    for (int i = 0; i < 40; i++) {
        fake_call(start, &r);
        many += number > 0;
    }
    assert_int_equal(many, 31);
    assert_int_equal(number, BW_ERR_NOMEM);
    close(fd);
}

int main(void)
{
    if (!own_world()) {
        printf("skipped: no network namespace can be made here\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_get_and_post, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_answer, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
