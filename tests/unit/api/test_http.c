// The HTTP face over real sockets, asked by curl: INTERFACES' resources and changes, who may do what, streams, life and
// death.
#include "unit/api/fake.h"

static int setup(void **state)
{
    (void)state;
    fake_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_stop();
    return 0;
}

// GET through the unix socket as JSON; the caller decrefs.
static json_t *get(const char *path)
{
    char args[256];
    snprintf(args, sizeof args, "http://byway%s", path);
    char *out = ask(args);
    char *code = strrchr(out, ' ');
    assert_non_null(code);
    assert_string_equal(code, " 200");
    *code = 0;
    json_error_t e;
    json_t *j = json_loads(out, 0, &e);
    if (!j) fail_msg("%s: %s in %s", path, e.text, out);
    return j;
}

static void expect(const char *args, int status, const char *part)
{
    char *out = ask(args), want[8];
    snprintf(want, sizeof want, " %d", status);
    if (!strstr(out, want) || !strstr(out, part)) fail_msg("%s -> %s (wanted %d, %s)", args, out, status, part);
}

static void test_status(void **state)
{
    (void)state;
    json_t *j = get("/v1/status"), *exit, *share, *problems;
    const char *name, *address, *key, *version, *es, *ea, *via, *ss, *code, *text, *hint;
    json_int_t up, peers, routes, rx, tx, since, clients;
    json_error_t e;
    assert_int_equal(json_unpack_ex(j, &e, JSON_STRICT, "{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:o,s:o,s:I,s:I,s:o}", "name",
                                    &name, "address", &address, "key", &key, "version", &version, "uptime_s", &up,
                                    "peers", &peers, "routes", &routes, "exit", &exit, "share", &share, "rx_bytes", &rx,
                                    "tx_bytes", &tx, "problems", &problems),
                     0);
    assert_int_equal(json_unpack_ex(exit, &e, JSON_STRICT, "{s:s,s:s,s:s,s:I}", "state", &es, "address", &ea, "via",
                                    &via, "since_s", &since),
                     0);
    assert_int_equal(json_unpack_ex(share, &e, JSON_STRICT, "{s:s,s:I}", "state", &ss, "clients", &clients), 0);
    assert_int_equal(json_unpack_ex(json_array_get(problems, 0), &e, JSON_STRICT, "{s:s,s:s,s:s}", "code", &code,
                                    "text", &text, "hint", &hint),
                     0);
    assert_string_equal(name, "mill");
    assert_string_equal(address, OUR_MESH);
    assert_string_equal(key, "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=");
    assert_string_equal(es, "active");
    assert_string_equal(ea, "fcaa::1");
    assert_string_equal(via, "barn");
    assert_string_equal(ss, "off");
    assert_string_equal(code, "clock-unset");
    assert_int_equal(up, 3725);
    assert_int_equal(rx, 123456789);
    json_decref(j);
}

static void test_lists(void **state)
{
    (void)state;
    json_t *j = get("/v1/peers");
    char *text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(9));
    assert_string_equal(text, "[{\"name\":\"barn\",\"key\":\"QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=\","
                              "\"address\":\"fcbb::2\",\"link\":\"eth0\","
                              "\"endpoint\":\"[fe80::2%1]:4870\",\"state\":\"up\",\"rtt_ms\":3.25,\"cost\":96,\"rx_"
                              "bytes\":5000,\"tx_bytes\":7000,\"last_handshake_s\":12,"
                              "\"source\":\"discovered\"},"
                              "{\"name\":\"\",\"key\":\"8PHy8/T19vf4+fr7/P3+/"
                              "wABAgMEBQYHCAkKCwwNDg8=\",\"address\":null,\"link\":\"peer stock \\\"1\\\"\","
                              "\"endpoint\":null,\"state\":\"connecting\",\"rtt_ms\":null,\"cost\":65535,\"rx_bytes\":"
                              "0,\"tx_bytes\":0,\"last_handshake_s\":null,"
                              "\"source\":\"config\"}]");
    free(text);
    json_decref(j);
    expect("http://byway/v1/routes", 200,
           "[{\"prefix\":\"fcbb::2/"
           "128\",\"router_id\":\"00:01:02:03:04:05:06:ff\",\"metric\":96,\"next_hop\":\"fe80::2\",\"link\":\"eth0\","
           "\"selected\":true,\"seqno\":7},{\"prefix\":\"192.168.7.0/"
           "24\",\"router_id\":\"00:00:00:00:00:00:00:00\",\"metric\":65535,"
           "\"next_hop\":null,\"link\":null,\"selected\":false,\"seqno\":0}]");
    expect("http://byway/v1/sessions", 200,
           "[{\"address\":\"fcbb::2\",\"state\":\"up\",\"cipher\":\"AES-256-GCM\",\"age_s\":75,\"rtt_ms\":10.0,\"rx_bytes\":1,\"tx_"
           "bytes\":2}]");
    expect("http://byway/v1/exits", 200,
           "[{\"address\":\"fcaa::1\",\"name\":\"barn\",\"metric\":96,\"rtt_ms\":3.25,\"state\":\"active\","
           "\"families\":[\"ipv4\"],\"price\":0,\"via\":\"eth0\",\"loss_percent\":6}]");
    fake.route_count = 5000; // an answer of a megabyte
    j = get("/v1/routes");
    assert_int_equal(json_array_size(j), 5001);
    json_decref(j);
    expect("-I http://byway/v1/status", 200, "application/json");
    expect("http://byway/v1/nothing", 404, "\"hint\"");
    expect("http://byway/", 404, "error");
}

static void test_metrics(void **state)
{
    (void)state;
    char *m = ask("http://byway/metrics");
    assert_non_null(strstr(m, "# TYPE byway_rx_bytes_total counter\nbyway_rx_bytes_total 123456789\n"));
    assert_non_null(strstr(m, "byway_exit_state{state=\"active\"} 1\n"));
    assert_non_null(strstr(m, "# TYPE byway_drops_total counter\nbyway_drops_total{reason=\"no_route\"} "
                              "17\nbyway_drops_total{reason=\"a\\\"b\\\\c\"} 1\n"));
    assert_non_null(strstr(m, "# TYPE byway_leases gauge\nbyway_leases 3\n"));
    assert_non_null(strstr(m, "link=\"peer stock \\\"1\\\"\"} 65535\n"));
    assert_non_null(strstr(m, "byway_peer_rtt_seconds{key=\"QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=\",name="
                              "\"barn\",link=\"eth0\"} 0.003250\n"));
    // every line is a comment or "name[{labels}] number"
    for (char *line = strtok(m, "\n"); line && strncmp(line, " 200", 4); line = strtok(NULL, "\n")) {
        char *value = strrchr(line, ' ');
        assert_true(*line == '#' || (value && strspn(value + 1, "0123456789.") == strlen(value + 1)));
    }
}

static void test_changes(void **state)
{
    (void)state;
    expect("-d '{\"key\":\"8PHy8/T19vf4+fr7/P3+/wABAgMEBQYHCAkKCwwNDg8=\",\"endpoint\":\"mill.net:4870\",\"save\":true,"
           "\"psk\":\"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\"}' http://byway/v1/peers", 200, "{\"ok\":true}");
    assert_string_equal(fake.added.endpoint, "mill.net:4870");
    assert_int_equal(fake.added.key[0], 0xf0);
    assert_true(fake.added.save && fake.added.has_psk && fake.added.psk[0] == 1 && !fake.added.internet);
    expect("-d '{\"key\":\"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\",\"name\":\"taken\"}' http://byway/v1/peers",
           409, "{\"error\":\"another peer is called taken\",\"hint\":\"choose another name\"}");
    expect("-d '{\"endpoint\":\"a:1\"}' http://byway/v1/peers", 400, "\\\"key\\\" is not given");
    expect("-d '{\"key\":\"short\"}' http://byway/v1/peers", 400, "44 characters");
    expect("-d '{\"key\":\"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\",\"endpont\":\"a:1\"}' http://byway/v1/peers",
           400, "unknown field");
    expect("-d '{\"key\":\"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\",\"endpoint\":\"a:1\\n[api]\"}' "
           "http://byway/v1/peers",
           400, "endpoint");
    expect("-d '{\"key\":\"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\",\"name\":\"a]b\"}' http://byway/v1/peers",
           400, "name");
    expect("-d '[1]' http://byway/v1/peers", 400, "no JSON object");
    expect("-d 'x' http://byway/v1/peers", 400, "no JSON object");
    // the same key in each way that it may be written
    static const char *const forms[] = {
        "8PHy8/T19vf4+fr7/P3+/wABAgMEBQYHCAkKCwwNDg8=", "8PHy8_T19vf4-fr7_P3-_wABAgMEBQYHCAkKCwwNDg8",
        "8PHy8%2FT19vf4%2Bfr7%2FP3%2B%2FwABAgMEBQYHCAkKCwwNDg8%3D"};
    for (int i = 0; i < 3; i++) {
        char args[256];
        memset(fake.removed, 0, 32);
        snprintf(args, sizeof args, "-X DELETE 'http://byway/v1/peers/%s%s'", forms[i], i ? "?save=yes" : "");
        expect(args, 200, "ok");
        assert_int_equal(fake.removed[0], 0xf0);
        assert_int_equal(fake.removed[31], 0x0f);
        assert_int_equal(fake.removed_save, i > 0);
    }
    expect("-X DELETE http://byway/v1/peers/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 404, "no such peer");
    expect("-X DELETE http://byway/v1/peers/xx", 400, "no key");
    expect("-d '{\"use\":\"none\"}' http://byway/v1/exit", 200, "ok");
    assert_int_equal(fake.use, API_USE_NONE);
    expect("-d '{\"use\":\"fcaa::1\"}' http://byway/v1/exit", 200, "ok");
    assert_int_equal(fake.use, API_USE_ADDRESS);
    assert_int_equal(fake.use_address.b[1], 0xaa);
    expect("-d '{\"use\":\"1.2.3.4\"}' http://byway/v1/exit", 400, "use");
    expect("-X POST http://byway/v1/reload", 200, "ok");
    expect("-X POST http://byway/v1/reload", 422, "f:1: wrong\\nf:2: wrong too");
    expect("-d '{\"text\":\"byway:1:abc\"}' http://byway/v1/join", 200, "joined barn");
    assert_string_equal(fake.joined, "byway:1:abc");
    expect("'http://byway/v1/invite?secret=yes&endpoint=a.net:1'", 200, "{\"text\":\"byway:1:AAAA\"}");
    assert_true(fake.invited.secret);
    assert_string_equal(fake.invited.endpoint, "a.net:1");
    expect("-d x http://byway/v1/status", 405, "only be read");
    expect("-d x http://byway/v1/nothing", 404, "error");
    expect("-X DELETE http://byway/v1/status", 405, "error");
    expect("-X BREW http://byway/v1/status", 405, "error");
    expect("-i -d x http://byway/v1/status", 405, "Allow: GET, HEAD\r\n");
    expect("-i -X PUT -d x http://byway/v1/peers", 405, "Allow: GET, HEAD, POST\r\n");
    expect("-i http://byway/v1/exit", 405, "Allow: POST\r\n");
    expect("-i http://byway/v1/peers/x", 405, "Allow: DELETE\r\n");
}

static void test_ping_and_trace(void **state)
{
    (void)state;
    expect("-d '{\"address\":\"fcbb::2\",\"count\":3}' http://byway/v1/ping", 200,
           "{\"seq\":1,\"rtt_ms\":3.2}\n{\"seq\":2,\"rtt_ms\":-1.0}\n{\"seq\":3,\"rtt_ms\":3.2}\n{\"done\":true,"
           "\"sent\":3,");
    assert_int_equal(fake.probe.interval_ms, 1000);
    expect("-d '{\"address\":\"fcbb::2\"}' http://byway/v1/trace", 200, "\"hop\":2");
    expect("-d '{\"address\":\"1.2.3.4\"}' http://byway/v1/ping", 400, "no mesh address");
    expect("-d '{\"address\":\"fcbb::2\",\"count\":0}' http://byway/v1/ping", 400, "1 to 10000");
    assert_int_equal(fake.gone, 0);
    // one that is waited for in vain: its end is noticed at once
    fake.ping_hangs = true;
    uint64_t start = now_ms();
    sh(NULL, "curl -s -m 0.3 --unix-socket %s -d '{\"address\":\"fcbb::2\"}' http://byway/v1/ping", fake.sock);
    wait_for(5, __atomic_load_n(&fake.gone, __ATOMIC_SEQ_CST) == 1);
    assert_true(now_ms() - start < 3000);
}

static void send_event(void *arg)
{
    api_event(fake.api, "link-up", json_pack("{s:s, s:i}", "name", "barn", "n", *(int *)arg));
    api_event_text(fake.api, "exit", "{\"state\":\"active\"}");
}

static void is_wanted(void *arg)
{
    *(bool *)arg = api_event_wanted(fake.api);
}

static bool wanted(void)
{
    bool w;
    fake_call(is_wanted, &w);
    return w;
}

static FILE *start_curl(const char *url, pid_t *pid)
{
    int p[2];
    assert_int_equal(pipe(p), 0);
    *pid = fork();
    if (!*pid) {
        dup2(p[1], 1);
        close(p[0]);
        execlp("curl", "curl", "-sN", "-m", "20", "--unix-socket", fake.sock, url, (char *)NULL);
        _exit(127);
    }
    close(p[1]);
    return fdopen(p[0], "r");
}

static void test_events(void **state)
{
    (void)state;
    assert_false(wanted());
    int n = 7;
    fake_call(send_event, &n); // nobody listens: nothing happens
    char line[512];
    pid_t curl;
    FILE *f = start_curl("http://byway/v1/events", &curl);
    assert_non_null(fgets(line, sizeof line, f)); // the greeting: it is on
    assert_string_equal(line, ": byway\n");
    wait_for(5, wanted());
    fake_call(send_event, &n);
    static const char *const want[] = {
        "\n", "event: link-up\n", "data: {\"name\":\"barn\",\"n\":7,\"type\":\"link-up\",\"time_s\":",
        "\n", "event: exit\n",    "data: {\"state\":\"active\","};
    for (size_t i = 0; i < 6; i++) {
        assert_non_null(fgets(line, sizeof line, f));
        assert_memory_equal(line, want[i], strlen(want[i]));
    }
    kill(curl, SIGTERM);
    fclose(f);
    waitpid(curl, NULL, 0);
    wait_for(5, !wanted());
}

static int connect_unix(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    strcpy(sa.sun_path, fake.sock);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

// A reader that never reads is dropped, the others and the node do not notice.
static void test_slow_reader(void **state)
{
    (void)state;
    int fd = connect_unix();
    const char *req = "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_int_equal(write(fd, req, strlen(req)), (ssize_t)strlen(req));
    wait_for(5, wanted());
    for (int i = 0; i < 20000 && wanted(); i++) fake_call(send_event, &i);
    wait_for(5, !wanted());
    close(fd);
    expect("http://byway/v1/status", 200, "mill");
}

static struct bw_endpoint tcp_at;
static int tcp_err;
static void listen_at(void *arg)
{
    tcp_err = api_listen_tcp(fake.api, arg, fake.why, sizeof fake.why);
}

static void test_tcp(void **state)
{
    (void)state;
    tcp_at = (struct bw_endpoint){.addr = addr("127.0.0.1"), .port = 14871};
    fake_call(listen_at, &tcp_at);
    assert_int_equal(tcp_err, 0);
    fake_call(listen_at, &tcp_at); // again: nothing happens
    assert_int_equal(tcp_err, 0);
#define tcp(args) sh(NULL, "curl -s -m 20 -w ' %%{http_code}' " args)
    assert_non_null(strstr(tcp("http://127.0.0.1:14871/v1/status"), " 200"));
    assert_non_null(strstr(tcp("-H 'Host: localhost:14871' http://127.0.0.1:14871/v1/status"), " 200"));
    assert_non_null(strstr(tcp("-H 'Host: [::1]:14871' http://127.0.0.1:14871/v1/status"), " 200"));
    assert_non_null(strstr(tcp("-H 'Host: LOCALHOST' http://127.0.0.1:14871/metrics"), " 200"));
    static const char *const names[] = {"evil.example",
                                        "evil.example:14871",
                                        "127.0.0.1.evil.example",
                                        "localhost.evil.example:1",
                                        "",
                                        "[::1",
                                        "[::1]x",
                                        "127.0.0.1:x",
                                        "[localhost]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *out =
            sh(NULL, "curl -s -m 20 -w ' %%{http_code}' -H 'Host: %s' -H 'X: y' http://127.0.0.1:14871/v1/status",
               names[i]);
        if (!strstr(out, " 403") && !strstr(out, " 400")) fail_msg("Host %s -> %s", names[i], out);
        assert_null(strstr(out, "mill"));
    }
    // reading only
    assert_non_null(strstr(tcp("-d '{\"use\":\"none\"}' http://127.0.0.1:14871/v1/exit"), "unix socket only"));
    assert_non_null(strstr(tcp("-X DELETE http://127.0.0.1:14871/v1/peers/x"), " 403"));
    assert_non_null(strstr(tcp("-X POST http://127.0.0.1:14871/v1/reload"), " 403"));
    assert_non_null(strstr(tcp("http://127.0.0.1:14871/v1/invite?secret=yes"), " 403"));
    assert_int_equal(fake.reloads, 0);
    assert_null(strstr(tcp("-I http://127.0.0.1:14871/v1/status"), "Access-Control"));
    // a port that is taken keeps the old listener
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(14872), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(fd, 1), 0);
    struct bw_endpoint taken = tcp_at;
    taken.port = 14872;
    fake_call(listen_at, &taken);
    assert_int_equal(tcp_err, BW_ERR_EXISTS);
    assert_non_null(strstr(fake.why, "127.0.0.1:14872 is taken"));
    assert_non_null(strstr(tcp("http://127.0.0.1:14871/v1/status"), " 200"));
    close(fd);
    fake_call(listen_at, &taken); // moves
    assert_int_equal(tcp_err, 0);
    assert_non_null(strstr(tcp("http://127.0.0.1:14872/v1/status"), " 200"));
    assert_non_null(strstr(tcp("http://127.0.0.1:14871/v1/status"), " 000"));
    fake_call(listen_at, NULL);
    assert_non_null(strstr(tcp("http://127.0.0.1:14872/v1/status"), " 000"));
}

static struct {
    char path[128], why[512];
    int err;
} second;

static void listen_second(void *arg)
{
    (void)arg;
    second.err = api_listen_unix(fake.api, second.path, second.why, sizeof second.why);
}

static void test_socket(void **state)
{
    (void)state;
    struct stat st;
    assert_int_equal(stat(fake.sock, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    // a live one is refused
    strcpy(second.path, fake.sock);
    fake_call(listen_second, NULL);
    assert_int_equal(second.err, BW_ERR_EXISTS);
    assert_non_null(strstr(second.why, "another node answers"));
    expect("http://byway/v1/status", 200, "mill");
    // a stale one is replaced
    snprintf(second.path, sizeof second.path, "%s/stale.sock", fake.dir);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    strcpy(sa.sun_path, second.path);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    close(fd);
    fake_call(listen_second, NULL);
    assert_int_equal(second.err, 0);
    assert_non_null(strstr(sh(NULL, "curl -s -m 20 --unix-socket %s http://x/v1/status", second.path), "mill"));
    // what is no socket is left alone
    snprintf(second.path, sizeof second.path, "%s/file", fake.dir);
    fclose(fopen(second.path, "w"));
    fake_call(listen_second, NULL);
    assert_int_equal(second.err, BW_ERR_EXISTS);
    assert_int_equal(unlink(second.path), 0);
    snprintf(second.path, sizeof second.path, "%s/no/such/folder", fake.dir);
    fake_call(listen_second, NULL);
    assert_int_equal(second.err, BW_ERR_SYS);
    memset(second.path, 'a', 120);
    second.path[120] = 0;
    fake_call(listen_second, NULL);
    assert_int_equal(second.err, BW_ERR_RANGE);
}

static size_t heap_kb(void)
{
    char line[256];
    size_t kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, f)) {
        if (!strncmp(line, "VmRSS:", 6)) kb = strtoul(line + 6, NULL, 10);
    }
    fclose(f);
    return kb;
}

static uint32_t seed = 4711;
static uint32_t rnd(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

// Requests cut off, mangled, oversized, and left hanging: the node goes on and its memory stays where it is.
static void hostile_round(int n)
{
    static const char *const seeds[] = {
        "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /v1/peers HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{\"key\":\"AAAA\",\"x\":1}",
        "POST /v1/ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"add\r\n0\r\n\r\n",
        "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n",
        "DELETE /v1/peers/%41%00%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"};
    for (int i = 0; i < n; i++) {
        char req[4096];
        const char *s = seeds[rnd() % 6];
        size_t len = strlen(s);
        memcpy(req, s, len);
        for (uint32_t m = rnd() % 4; m; m--) req[rnd() % len] = (char)rnd();
        if (rnd() % 4 == 0) len = rnd() % len;
        if (rnd() % 8 == 0) {
            memset(req + len, 'A', sizeof req - len);
            len = sizeof req;
        }
        int fd = connect_unix();
        if (send(fd, req, len, MSG_NOSIGNAL) > 0 && rnd() % 2) {
            struct timeval tv = {0, 20000};
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
            char buf[512];
            if (recv(fd, buf, sizeof buf, 0) < 0) errno = 0;
        }
        close(fd);
    }
}

static void test_hostile(void **state)
{
    (void)state;
    fake.ping_hangs = true;
    hostile_round(400);
    expect("http://byway/v1/status", 200, "mill");
    size_t before = heap_kb();
    hostile_round(3000);
    expect("http://byway/v1/status", 200, "mill");
    wait_for(10, !wanted());
    size_t after = heap_kb();
    if (!SANITIZED && after > before + 1024) fail_msg("memory went from %zu to %zu KiB", before, after);
    expect("-H 'Transfer-Encoding: chunked' --data-binary @/proc/self/exe http://byway/v1/join", 0,
           ""); // megabytes without a length
    expect("--data-binary @/usr/bin/curl http://byway/v1/join", 413, "too large");
    expect("http://byway/v1/status", 200, "mill");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metrics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ping_and_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tcp, setup, teardown),
        cmocka_unit_test_setup_teardown(test_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
