// Our links against wireguard-go, both ways round, in network and mount namespaces of our own; tshark decrypts the whole
// conversation from the key log as a second judge. Skipped where wireguard-go, wg or the permission for namespaces lack.
#include "unit/vectors.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/link/link.h"
#include "core/noise/cookie.h"
#include "wire/wg.h"

#define OUR_PORT 4870
#define THEIR_PORT 51820
#define DEADLINE_MS 20000

static struct {
    pid_t wireguard_go;
    char dir[64], keylog[96], pcap[96];
    uint8_t their_sk[32], their_pk[32];
    struct identity me;
    struct bw_mem mem;
    struct bw_rng rng;
    struct linkset *ls;
    int sock;
    bw_time skip; // added to the clock: time that we only pretend has passed
    FILE *pcap_file, *keylog_file;
    uint64_t tai;
    uint8_t got[2048]; // last inner packet
    int got_len;
    unsigned cookies;
} t;

static bw_time now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (bw_time)ts.tv_sec * BW_S + (bw_time)ts.tv_nsec / 1000 + t.skip;
}

static uint64_t unix_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec + t.skip * 1000;
}

static int run(const char *fmt, ...)
{
    char cmd[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(cmd, sizeof cmd, fmt, ap);
    va_end(ap);
    return system(cmd);
}

// A raw-IP capture of what goes over the wire, written by us: nothing else is on this loopback.
static void record(bool out, const uint8_t *p, size_t n)
{
    struct {
        uint32_t s, us, caplen, len;
        uint8_t ip[20], udp[8];
    } h = {.s = (uint32_t)(unix_ns() / 1000000000), .us = (uint32_t)(unix_ns() / 1000 % 1000000)};
    h.caplen = h.len = (uint32_t)(28 + n);
    const uint8_t ip[20] = {0x45, 0, (uint8_t)((28 + n) >> 8), (uint8_t)(28 + n), 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1};
    memcpy(h.ip, ip, 20);
    uint16_t from = out ? OUR_PORT : THEIR_PORT, to = out ? THEIR_PORT : OUR_PORT;
    const uint8_t udp[8] = {(uint8_t)(from >> 8), (uint8_t)from, (uint8_t)(to >> 8), (uint8_t)to, (uint8_t)((8 + n) >> 8), (uint8_t)(8 + n)};
    memcpy(h.udp, udp, 8);
    fwrite(&h, sizeof h, 1, t.pcap_file);
    fwrite(p, n, 1, t.pcap_file);
    fflush(t.pcap_file);
}

static void do_send(void *ctx, const struct bw_endpoint *to, uint32_t ifindex, const uint8_t *p, size_t n)
{
    (void)ctx, (void)ifindex;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(to->port)};
    memcpy(&a.sin_addr, bw_addr_v4_bytes(&to->addr), 4);
    if (p[0] == WG_COOKIE) t.cookies++;
    record(true, p, n);
    sendto(t.sock, p, n, 0, (struct sockaddr *)&a, sizeof a);
}

static void changed(void *ctx, uint16_t slot, unsigned what)
{
    (void)ctx, (void)slot, (void)what;
}

static int persist(void *ctx, uint64_t high)
{
    (void)ctx;
    t.tai = high;
    return 0;
}

static void keylog(void *ctx, const char *line)
{
    (void)ctx;
    fprintf(t.keylog_file, "%s\n", line);
    fflush(t.keylog_file);
}

static void start_us(unsigned load_per_s)
{
    struct linkset_config c = {.identity = &t.me, .threads = 2, .tai_high = t.tai, .load_per_s = load_per_s, .public_ = true};
    struct linkset_ops ops = {.send = do_send, .changed = changed, .persist_tai = persist, .keylog = keylog};
    t.ls = linkset_new(&t.mem, &t.rng, NULL, &c, &ops);
    assert_non_null(t.ls);
}

static void restart_us(unsigned load_per_s)
{
    linkset_free(t.ls);
    start_us(load_per_s);
}

static void receive(void)
{
    uint8_t buf[2048];
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    ssize_t n = recvfrom(t.sock, buf, sizeof buf, MSG_DONTWAIT, (struct sockaddr *)&a, &len);
    if (n < 4) return;
    record(false, buf, (size_t)n);
    struct bw_endpoint from = {.addr = bw_addr_v4((const uint8_t *)&a.sin_addr), .port = ntohs(a.sin_port)};
    if (buf[0] != WG_DATA) {
        linkset_rx(t.ls, 1, &from, true, buf, (size_t)n, now(), unix_ns());
        return;
    }
    uint32_t index = (uint32_t)buf[4] | (uint32_t)buf[5] << 8 | (uint32_t)buf[6] << 16 | (uint32_t)buf[7] << 24;
    struct keypair *k = linkset_find_keys(t.ls, index, NULL);
    int inner = k ? keypair_open(k, 1, buf, (size_t)n, now()) : -1;
    if (inner < 0) return;
    if (!k->confirmed) linkset_confirm(t.ls, index, now());
    if (!inner) return;
    memcpy(t.got, buf + 16, (size_t)inner);
    t.got_len = inner;
}

static bool is_up(void)
{
    struct link_info info;
    return !linkset_info(t.ls, 0, &info) && info.state == LINK_UP;
}

static bool got_something(void) { return t.got_len; }

// Runs until the condition holds; false: not within the deadline.
static bool wait_for(bool (*condition)(void))
{
    bw_time end = now() + DEADLINE_MS * BW_MS;
    while (!condition()) {
        if (now() > end) return false;
        struct pollfd p = {.fd = t.sock, .events = POLLIN};
        bw_time due = linkset_deadline(t.ls), at = now();
        poll(&p, 1, due <= at ? 0 : due - at > 20 * BW_MS ? 20 : (int)((due - at) / 1000) + 1);
        if (p.revents) receive();
        if (linkset_deadline(t.ls) <= now()) linkset_tick(t.ls, now(), unix_ns());
    }
    return true;
}

static uint16_t sum16(const uint8_t *p, size_t n)
{
    uint32_t s = 0;
    for (size_t i = 0; i + 1 < n; i += 2) s += (uint32_t)p[i] << 8 | p[i + 1];
    while (s >> 16) s = (s & 0xffff) + (s >> 16);
    return (uint16_t)~s;
}

// An echo request through the tunnel to their kernel, and its answer back.
static void ping_them(void)
{
    uint8_t buf[16 + 96 + 16] = {0}, *p = buf + 16;
    const uint8_t ip[20] = {0x45, 0, 0, 90, 0, 1, 0, 0, 64, 1, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1};
    memcpy(p, ip, 20);
    p[10] = (uint8_t)(sum16(p, 20) >> 8), p[11] = (uint8_t)sum16(p, 20);
    p[20] = 8, p[27] = 1;
    memcpy(p + 28, "through a stock peer", 20);
    uint16_t sum = sum16(p + 20, 70);
    p[22] = (uint8_t)(sum >> 8), p[23] = (uint8_t)sum;
    struct keypair *tx, *rx[LINK_RX_KEYS];
    unsigned n;
    struct link_info info;
    linkset_keys(t.ls, 0, &tx, rx, &n);
    assert_non_null(tx);
    assert_int_equal(linkset_info(t.ls, 0, &info), 0);
    int len = keypair_seal(tx, 1, buf, 90, 1420, now());
    assert_int_equal(len, 96 + 32);
    t.got_len = 0;
    do_send(NULL, &info.endpoint, 0, buf, (size_t)len);
    assert_true(wait_for(got_something));
    assert_int_equal(t.got[20], 0); // echo reply
    assert_memory_equal(t.got + 28, "through a stock peer", 20);
}

// A packet of their kernel's to us: makes them begin a handshake if they have none.
static void they_send(void)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7)};
    inet_pton(AF_INET, "10.77.0.2", &a.sin_addr);
    assert_int_equal(sendto(s, "hello from stock", 16, 0, (struct sockaddr *)&a, sizeof a), 16);
    close(s);
}

static struct link_peer them(bool endpoint)
{
    struct link_peer p = {.source = LINK_CONFIG};
    memcpy(p.key, t.their_pk, 32);
    if (endpoint) p.endpoint = (struct bw_endpoint){.addr = bw_addr_v4((uint8_t[]){127, 0, 0, 1}), .port = THEIR_PORT};
    return p;
}

static void configure_them(const uint8_t *psk, bool endpoint)
{
    char us[BW_KEY_TEXT], key[BW_KEY_TEXT];
    bw_base64_encode(t.me.link_pk, 32, us);
    run("cd %s && wg set wgbw0 peer %s remove", t.dir, us); // forgets sessions
    run("cd %s && echo '%s' > psk", t.dir, psk ? bw_base64_encode(psk, 32, key) : "");
    assert_int_equal(run("cd %s && wg set wgbw0 peer %s allowed-ips 10.77.0.2/32 preshared-key %s %s", t.dir, us,
                         psk ? "psk" : "/dev/null", endpoint ? "endpoint 127.0.0.1:4870" : ""), 0);
}

static void test_we_initiate(void **state)
{
    if (!*state) skip();
    configure_them(NULL, false);
    start_us(0);
    struct link_peer p = them(true);
    assert_int_equal(linkset_add_peer(t.ls, &p, now()), 0);
    assert_true(wait_for(is_up));
    for (int i = 0; i < 20; i++) ping_them();
}

static unsigned handshakes(void)
{
    struct linkset_stats s;
    linkset_stats(t.ls, &s);
    return (unsigned)s.handshakes;
}

static bool second_handshake(void) { return handshakes() >= 2; }

static void test_we_renew(void **state)
{
    if (!*state) skip();
    t.skip += 121 * BW_S;
    ping_them(); // under the old keys; asks for new ones
    assert_true(wait_for(second_handshake));
    ping_them();
}

static void test_they_initiate(void **state)
{
    if (!*state) skip();
    restart_us(0);
    struct link_peer p = them(false);
    assert_int_equal(linkset_add_peer(t.ls, &p, now()), 0);
    configure_them(NULL, true);
    t.got_len = 0;
    they_send();
    assert_true(wait_for(got_something));
    assert_int_equal(t.got_len, 48);
    assert_memory_equal(t.got + 28, "hello from stock", 16);
    assert_true(is_up());
    ping_them();
}

static void test_psk(void **state)
{
    if (!*state) skip();
    uint8_t psk[32];
    bw_rng_bytes(&t.rng, psk, 32);
    restart_us(0);
    struct link_peer p = them(true);
    p.has_psk = true;
    memcpy(p.psk, psk, 32);
    configure_them(psk, false);
    assert_int_equal(linkset_add_peer(t.ls, &p, now()), 0);
    assert_true(wait_for(is_up));
    ping_them();
    restart_us(0);
    p.endpoint = (struct bw_endpoint){0};
    assert_int_equal(linkset_add_peer(t.ls, &p, now()), 0);
    configure_them(psk, true);
    t.got_len = 0;
    they_send();
    assert_true(wait_for(got_something));
    ping_them();
}

// Initiations with a good mac1 and nothing behind it.
static void flood_us(void)
{
    uint8_t junk[WG_INITIATION_LEN] = {WG_INITIATION};
    struct noise_protocol noise;
    struct mac_sender s = {0};
    noise_protocol_wireguard(&noise);
    mac_keys_init(&s.keys, &noise, t.me.link_pk);
    struct bw_endpoint from = {.addr = bw_addr_v4((uint8_t[]){127, 0, 0, 1}), .port = 9};
    for (int i = 0; i < 5; i++) {
        mac_write(&s, junk, sizeof junk, now());
        linkset_rx(t.ls, 1, &from, true, junk, sizeof junk, now(), unix_ns());
    }
}

static bool got_under_flood(void)
{
    flood_us();
    return t.got_len;
}

// We are under load: they get a cookie, come back with mac2 after their 5 s, and are let in.
static void test_cookie(void **state)
{
    if (!*state) skip();
    restart_us(2);
    struct link_peer p = them(false);
    assert_int_equal(linkset_add_peer(t.ls, &p, now()), 0);
    flood_us();
    configure_them(NULL, true);
    t.got_len = 0;
    they_send();
    assert_true(wait_for(got_under_flood));
    struct linkset_stats s;
    linkset_stats(t.ls, &s);
    assert_true(s.cookies_sent > 0 && s.under_load);
    assert_true(linkset_drops(t.ls, LINK_DROP_COOKIE) > 0);
    ping_them();
}

// The other judge: every handshake and every packet, decrypted from the key log.
static void test_tshark(void **state)
{
    if (!*state || run("command -v tshark >/dev/null")) skip();
    fflush(t.pcap_file);
    assert_int_equal(run("cd %s && HOME=%s tshark -r wire.pcap -d udp.port==4870,wg -o wg.keylog_file:keys.log -Y icmp -T fields -e icmp.type "
                         "> icmp.txt 2> tshark.err", t.dir, t.dir), 0);
    assert_int_equal(run("cd %s && [ $(grep -c '^8' icmp.txt) -ge 25 ] && [ $(grep -c '^0' icmp.txt) -ge 25 ]", t.dir), 0);
    assert_int_equal(run("cd %s && HOME=%s tshark -r wire.pcap -d udp.port==4870,wg -o wg.keylog_file:keys.log -V > all.txt 2>> tshark.err", t.dir,
                         t.dir), 0);
    assert_int_equal(run("cd %s && grep -q 'Timestamp: ' all.txt && ! grep -qi malformed all.txt && "
                         "grep -q 'Handshake decryption successful: True' all.txt", t.dir), 0);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) return;
    if (write(fd, text, strlen(text)) < 0) perror(path);
    close(fd);
}

static bool enter_namespaces(void)
{
    uid_t uid = getuid();
    gid_t gid = getgid();
    char map[64];
    if (unshare((uid ? CLONE_NEWUSER : 0) | CLONE_NEWNET | CLONE_NEWNS)) return false;
    if (uid) {
        write_file("/proc/self/setgroups", "deny");
        snprintf(map, sizeof map, "0 %u 1", uid);
        write_file("/proc/self/uid_map", map);
        snprintf(map, sizeof map, "0 %u 1", gid);
        write_file("/proc/self/gid_map", map);
    }
    return !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) && !mount("tmpfs", "/run", "tmpfs", 0, NULL) && !run("ip link set lo up");
}

static bool start_wireguard_go(void)
{
    t.wireguard_go = fork();
    if (!t.wireguard_go) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1), dup2(null, 2);
        execlp("wireguard-go", "wireguard-go", "-f", "wgbw0", (char *)NULL);
        _exit(127);
    }
    struct stat st;
    for (int i = 0; i < 500 && stat("/run/wireguard/wgbw0.sock", &st); i++) {
        if (waitpid(t.wireguard_go, NULL, WNOHANG) > 0) {
            t.wireguard_go = 0;
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    char text[BW_KEY_TEXT], path[128];
    snprintf(path, sizeof path, "%s/private", t.dir);
    write_file(path, bw_base64_encode(t.their_sk, 32, text));
    return !run("cd %s && wg set wgbw0 private-key private listen-port %d && ip addr add 10.77.0.1/24 dev wgbw0 && ip link set wgbw0 up",
                t.dir, THEIR_PORT);
}

static bool set_up(void)
{
    if (run("command -v wireguard-go wg ip >/dev/null") || !enter_namespaces()) return false;
    strcpy(t.dir, "/run/bwXXXXXX");
    if (!mkdtemp(t.dir)) return false;
    uint8_t seed[32] = {0};
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    memcpy(seed, &ts, sizeof ts); // fresh keys each time; nothing here is secret
    bw_mem_system(&t.mem);
    bw_rng_seed(&t.rng, seed);
    identity_draw(&t.me, &t.rng);
    bw_rng_bytes(&t.rng, t.their_sk, 32);
    t.their_sk[0] &= 248, t.their_sk[31] = (t.their_sk[31] & 127) | 64;
    bw_x25519_public(t.their_pk, t.their_sk);
    snprintf(t.pcap, sizeof t.pcap, "%s/wire.pcap", t.dir);
    snprintf(t.keylog, sizeof t.keylog, "%s/keys.log", t.dir);
    t.pcap_file = fopen(t.pcap, "w");
    t.keylog_file = fopen(t.keylog, "w");
    if (!t.pcap_file || !t.keylog_file) return false;
    const uint32_t head[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 101};
    fwrite(head, sizeof head, 1, t.pcap_file);
    t.sock = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(OUR_PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return !bind(t.sock, (struct sockaddr *)&a, sizeof a) && start_wireguard_go();
}

int main(void)
{
    if (bw_crypto_init()) return 1;
    void *ready = set_up() ? &t : NULL;
    if (!ready) printf("no wireguard-go, no wg, or no namespaces: skipped\n");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_we_initiate, ready), cmocka_unit_test_prestate(test_we_renew, ready),
        cmocka_unit_test_prestate(test_they_initiate, ready), cmocka_unit_test_prestate(test_psk, ready),
        cmocka_unit_test_prestate(test_cookie, ready), cmocka_unit_test_prestate(test_tshark, ready),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    linkset_free(t.ls);
    if (t.wireguard_go > 0) {
        kill(t.wireguard_go, SIGTERM);
        waitpid(t.wireguard_go, NULL, 0);
    }
    if (t.dir[0]) run("rm -rf %s", t.dir);
    return failed;
}
