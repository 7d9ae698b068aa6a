// wg's socket: the parser on its own, then stock `wg` against a served one.
#include "unit/api/fake.h"

// ---- a small device behind the socket ----

static struct {
    struct uapi_peer peers[8];
    size_t count;
    unsigned sets;
} dev;

static void dev_device(void *ctx, struct uapi_device *out)
{
    (void)ctx;
    for (int i = 0; i < 32; i++) out->private_key[i] = (uint8_t)(0x40 + i);
    out->listen_port = 4870;
}

static void dev_peers(void *ctx, uapi_peer_fn *fn, void *arg)
{
    (void)ctx;
    for (size_t i = 0; i < dev.count; i++) fn(arg, &dev.peers[i]);
}

static int dev_set(void *ctx, const struct uapi_peer_set *p)
{
    (void)ctx;
    size_t i = 0;
    dev.sets++;
    while (i < dev.count && memcmp(dev.peers[i].key, p->key, 32)) i++;
    if (p->remove) {
        for (size_t j = 0; j < dev.count;) {
            if (memcmp(dev.peers[j].key, p->key, 32)) j++;
            else dev.peers[j] = dev.peers[--dev.count];
        }
        return 0;
    }
    if (i == dev.count) {
        if (p->update_only) return 0;
        if (dev.count == 8) return ENOSPC;
        dev.peers[dev.count++] = (struct uapi_peer){0};
        memcpy(dev.peers[i].key, p->key, 32);
    }
    if (p->has_endpoint) dev.peers[i].endpoint = p->endpoint;
    if (p->has_keepalive) dev.peers[i].keepalive_s = p->keepalive_s;
    if (p->has_psk) {
        static const uint8_t zero[32];
        memcpy(dev.peers[i].psk, p->psk, 32);
        dev.peers[i].has_psk = memcmp(p->psk, zero, 32);
    }
    return 0;
}

static int open_err;
static void open_uapi(void *arg)
{
    struct uapi_handler h = {NULL, dev_device, dev_peers, dev_set};
    open_err = uapi_open(arg, &fake.loop, NULL, "byway0", &h, NULL, fake.why, sizeof fake.why);
}

static int setup(void **state)
{
    (void)state;
    fake_start();
    memset(&dev, 0, sizeof dev);
    struct uapi_peer *p = &dev.peers[dev.count++];
    *p = (struct uapi_peer){
        .last_handshake_s = 1700000000, .rx_bytes = 1000, .tx_bytes = 2000, .keepalive_s = 25, .has_psk = true};
    for (int i = 0; i < 32; i++) p->key[i] = (uint8_t)(i + 1);
    p->psk[0] = 1;
    assert_int_equal(bw_endpoint_parse("192.0.2.7:4870", &p->endpoint), 0);
    dev.peers[dev.count] = *p; // a second link with the same key, whose handshake is older
    dev.peers[dev.count].last_handshake_s--;
    dev.peers[dev.count].endpoint.port = 1;
    dev.peers[dev.count++].rx_bytes = 1;
    fake_call(open_uapi, &fake.uapi);
    assert_int_equal(open_err, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_stop();
    assert_int_not_equal(access("/var/run/wireguard/byway0.sock", F_OK), 0);
    return 0;
}

#define KEY1 "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
#define KEY2 "ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0A="

static void test_show(void **state)
{
    (void)state;
    int status;
    struct stat st;
    assert_int_equal(stat("/var/run/wireguard/byway0.sock", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    char *out = sh(&status, "wg show byway0 2>&1");
    assert_int_equal(status, 0);
    // the public key of the private key 40 41 ... 5f (clamped) by `wg pubkey`, asked here so that nothing is assumed
    char want[64];
    static const char *const parts[] = {"interface: byway0",
                                        "private key: (hidden)",
                                        "listening port: 4870",
                                        ("peer: " KEY1),
                                        "preshared key: (hidden)",
                                        "endpoint: 192.0.2.7:4870",
                                        "allowed ips: 0.0.0.0/0, ::/0",
                                        "received",
                                        "persistent keepalive: every 25 seconds"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!strstr(out, parts[i])) fail_msg("no %s in %s", parts[i], out);
    }
    assert_null(strstr(strstr(out, "peer:") + 1, "peer:")); // one entry for two links
    snprintf(want, sizeof want, "%.44s", strstr(out, "public key: ") + 12);
    assert_non_null(strstr(sh(NULL, "echo QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8= | wg pubkey"), want));
    assert_string_equal(
        sh(NULL, "wg show byway0 dump | tail -1"), KEY1
        "\tAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\t192.0.2.7:4870\t0.0.0.0/0,::/0\t1700000000\t1001\t4000\t25\n");
    assert_string_equal(sh(NULL, "wg show interfaces"), "byway0\n");
    assert_string_equal(sh(NULL, "wg show byway0 transfer"), KEY1 "\t1001\t4000\n");
}

static void test_set(void **state)
{
    (void)state;
    int status;
    sh(&status, "wg set byway0 peer " KEY2
                " endpoint '[2001:db8::2]:5' persistent-keepalive 7 allowed-ips 10.1.2.3/8,fd00::/8 2>&1");
    assert_int_equal(status, 0);
    assert_int_equal(dev.count, 3);
    assert_int_equal(dev.peers[2].endpoint.port, 5);
    assert_int_equal(dev.peers[2].keepalive_s, 7);
    sh(&status, "umask 077; wg genpsk > %s/psk && wg set byway0 peer " KEY2 " preshared-key %s/psk 2>&1; rm %s/psk",
       fake.dir, fake.dir, fake.dir);
    assert_true(dev.peers[2].has_psk);
    sh(&status, "wg set byway0 peer " KEY2 " preshared-key /dev/null endpoint '[fe80::9%%lo]:7'");
    assert_int_equal(status, 0);
    assert_false(dev.peers[2].has_psk);
    assert_int_equal(dev.peers[2].endpoint.scope, 1);
    sh(&status, "wg set byway0 peer " KEY2 " remove");
    assert_int_equal(status, 0);
    assert_int_equal(dev.count, 2);
    // the identity is a seed: another key is refused, ours and "clear" are nothing new
    char *out =
        sh(&status, "umask 077; wg genkey > %s/k && wg set byway0 private-key %s/k 2>&1; s=$?; rm %s/k; exit $s",
           fake.dir, fake.dir, fake.dir);
    assert_int_equal(status, 1);
    assert_non_null(strstr(out, "Operation not permitted"));
    sh(&status, "wg set byway0 private-key /dev/null listen-port 4870 fwmark 0 2>&1");
    assert_int_equal(status, 0);
    out = sh(&status, "wg set byway0 listen-port 5000 2>&1");
    assert_int_equal(status, 1);
    assert_non_null(strstr(out, "not supported"));
    assert_int_equal(dev.count, 2);
}

static void test_syncconf(void **state)
{
    (void)state;
    int status;
    char *out = sh(&status, "wg showconf byway0 > %s/c && wg syncconf byway0 %s/c 2>&1; s=$?; rm %s/c; exit $s",
                   fake.dir, fake.dir, fake.dir);
    if (status) fail_msg("%s", out);
    assert_int_equal(dev.count, 2);
    out = sh(&status,
             "printf '[Interface]\\n[Peer]\\nPublicKey = " KEY2
             "\\nAllowedIPs = 0.0.0.0/0\\nEndpoint = 192.0.2.9:9\\n' > %s/c && "
             "wg syncconf byway0 %s/c 2>&1; s=$?; rm %s/c; exit $s",
             fake.dir, fake.dir, fake.dir);
    if (status) fail_msg("%s", out);
    assert_int_equal(dev.count, 1);
    assert_int_equal(dev.peers[0].endpoint.port, 9);
    out = sh(&status,
             "printf '[Interface]\\n[Peer]\\nPublicKey = " KEY1
             "\\n' > %s/c && wg setconf byway0 %s/c 2>&1; s=$?; rm %s/c; exit $s",
             fake.dir, fake.dir, fake.dir);
    if (status) fail_msg("%s", out);
    assert_int_equal(dev.count, 1);
    assert_int_equal(dev.peers[0].key[0], 1);
}

static void test_name_taken(void **state)
{
    (void)state;
    struct uapi *other = NULL;
    fake_call(open_uapi, &other);
    assert_int_equal(open_err, BW_ERR_EXISTS);
    assert_null(other);
    assert_non_null(strstr(fake.why, "does without"));
    int status;
    sh(&status, "wg show byway0 >/dev/null");
    assert_int_equal(status, 0);
}

static int connect_uapi(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX, .sun_path = "/var/run/wireguard/byway0.sock"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    struct timeval tv = {10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    return fd;
}

// Two requests at once, one in pieces, one without end: each gets what it deserves.
static void test_odd_clients(void **state)
{
    (void)state;
    char buf[65536];
    int fd = connect_uapi();
    const char *two = "get=1\n\nset=1\nfoo=bar\n\n";
    assert_int_equal(send(fd, two, strlen(two), 0), (ssize_t)strlen(two));
    size_t n = 0;
    ssize_t got;
    while (!memmem(buf, n, "errno=-22\n\n", 11) && (got = recv(fd, buf + n, sizeof buf - n, 0)) > 0) n += (size_t)got;
    assert_non_null(memmem(buf, n, "errno=0\n\nerrno=-22\n\n", 20));
    for (const char *p = "get=1\n\n"; *p; p++) assert_int_equal(send(fd, p, 1, 0), 1);
    assert_true(recv(fd, buf, sizeof buf, 0) > 0);
    close(fd);
    fd = connect_uapi();
    memset(buf, 'a', sizeof buf);
    size_t sent = 0;
    while ((got = send(fd, buf, sizeof buf, MSG_NOSIGNAL)) > 0 && sent < 64u << 20) sent += (size_t)got;
    assert_true(sent < 4u << 20); // cut, with nothing like that kept
    close(fd);
    int many[40];
    for (int i = 0; i < 40; i++) many[i] = connect_uapi();
    for (int i = 0; i < 40; i++) close(many[i]);
    int status;
    wait_for(5, (sh(&status, "wg show byway0 >/dev/null 2>&1"), status == 0));
}

// ---- the parser ----

static void test_parse(void **state)
{
    (void)state;
    struct uapi_request r;
#define KEYHEX "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
    const char *t =
        "set=1\nprivate_key=" KEYHEX "\nlisten_port=7\nfwmark=\nreplace_peers=true\npublic_key=" KEYHEX
        "\nupdate_only=true\nendpoint=[2001:db8::1]:9\nallowed_ip=10.0.0.1/8\npublic_key=" KEYHEX "\nremove=true\n";
    assert_int_equal(uapi_parse(t, strlen(t), &r), 0);
    assert_true(r.set && r.has_private_key && r.has_listen_port && r.has_fwmark && r.replace_peers);
    assert_int_equal(r.peer_count, 2);
    assert_true(r.peers[0].update_only && r.peers[0].has_endpoint && !r.peers[0].remove && r.peers[1].remove);
    uapi_request_free(&r);
    static const struct {
        const char *text;
        int err;
    } bad[] = {
        {"", EPROTO},
        {"get=2", EPROTO},
        {"get=1\nx=y", EPROTO},
        {"hello", EPROTO},
        {"set=1\nnonsense", EPROTO},
        {"set=1\nx=y", EINVAL},
        {"set=1\nlisten_port=65536", EINVAL},
        {"set=1\nlisten_port=-1", EINVAL},
        {"set=1\nprivate_key=00", EINVAL},
        {"set=1\nendpoint=1.2.3.4:5", EINVAL}, // before any public_key
        {"set=1\npublic_key=" KEYHEX "\nendpoint=1.2.3.4", EINVAL},
        {"set=1\npublic_key=" KEYHEX "\nendpoint=[fe80::1%nowhere]:5", ENODEV},
        {"set=1\npublic_key=" KEYHEX "\nallowed_ip=10.0.0.0/33", EINVAL},
        {"set=1\npublic_key=" KEYHEX "\nallowed_ip=10.0.0.0", EINVAL},
        {"set=1\npublic_key=" KEYHEX "\nprotocol_version=2", EPROTONOSUPPORT},
        {"set=1\npublic_key=" KEYHEX "\nremove=false", EINVAL},
        {"set=1\npublic_key=" KEYHEX "\npersistent_keepalive_interval=65536", EINVAL},
        {"set=1\nreplace_peers=1", EINVAL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int err = uapi_parse(bad[i].text, strlen(bad[i].text), &r);
        if (err != bad[i].err) fail_msg("%s -> %d, not %d", bad[i].text, err, bad[i].err);
        assert_null(r.peers);
    }
}

int main(void)
{
    const struct CMUnitTest pure[] = {cmocka_unit_test(test_parse)};
    int failed = cmocka_run_group_tests(pure, NULL, NULL);
    if (!own_world()) {
        printf("skipped: no mount namespace can be made here\n");
        return failed;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_show, setup, teardown),
        cmocka_unit_test_setup_teardown(test_set, setup, teardown),
        cmocka_unit_test_setup_teardown(test_syncconf, setup, teardown),
        cmocka_unit_test_setup_teardown(test_name_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_clients, setup, teardown),
    };
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
