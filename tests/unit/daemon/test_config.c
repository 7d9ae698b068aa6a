// The configuration reader against INTERFACES: defaults, every key, every mistake at once with its line, overrides,
// saving.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "daemon/config.h"

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

static char dir[] = "/tmp/byway-config-XXXXXX";

static char *in_dir(const char *name)
{
    static char path[4][128];
    static unsigned next;
    char *p = path[next++ % 4];
    snprintf(p, 128, "%s/%s", dir, name);
    return p;
}

static void put(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(in_dir(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(in_dir(name), mode), 0);
}

static char *get(const char *name)
{
    static char text[8192];
    FILE *f = fopen(in_dir(name), "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char cmd[64];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

static struct config good(const char *text)
{
    struct config c;
    struct config_report r;
    if (config_parse(text, strlen(text), "byway.conf", NULL, 0, &c, &r)) {
        config_report_print(&r, stderr);
        fail_msg("refused: %s", text);
    }
    assert_int_equal(r.count, 0);
    config_report_free(&r);
    return c;
}

// Every mistake in text, as one string.
static const char *mistakes(const char *text, char *const *sets, size_t n)
{
    static char out[16384];
    struct config c = {.listen = {.port = 7}};
    struct config_report r;
    assert_int_equal(config_parse(text, strlen(text), "f", sets, n, &c, &r), BW_ERR_MALFORMED);
    assert_int_equal(c.listen.port, 7); // nothing half applied
    config_report_text(&r, out, sizeof out);
    config_report_free(&r);
    return out;
}

static void bad_value(const char *section, const char *line, const char *part)
{
    char text[4096];
    snprintf(text, sizeof text, "[%s]\n%s\n", section, line);
    const char *m = mistakes(text, NULL, 0);
    if (strncmp(m, "f:2: ", 5) || !strstr(m, part) || strchr(m, '\n') != m + strlen(m) - 1)
        fail_msg("%s -> %s (wanted %s)", line, m, part);
}

static void test_defaults(void **state)
{
    (void)state;
    struct config c = good("");
    char t[BW_ENDPOINT_TEXT];
    assert_true(strlen(c.node.name) > 0);
    assert_int_equal(c.listen.port, 4870);
    assert_false(c.listen.is_public);
    assert_int_equal(c.discover.mode, CONFIG_DISCOVER_AUTO);
    assert_int_equal(c.discover.policy, CONFIG_POLICY_OPEN);
    assert_string_equal(c.tun.interface, "byway0");
    assert_int_equal(c.tun.mtu, 0);
    assert_int_equal(c.internet.share, CONFIG_SHARE_NO);
    assert_int_equal(c.internet.use, CONFIG_USE_AUTO);
    assert_false(c.internet.killswitch);
    assert_int_equal(c.internet.probe, CONFIG_PROBE_AUTO);
    assert_true(c.internet.dns);
    assert_int_equal(c.internet.limit_down_bps, 0);
    assert_int_equal(c.firewall.count, 1);
    assert_int_equal(c.firewall.rules[0].what, CONFIG_ALLOW_ICMP);
    assert_int_equal(c.routing.export_count + c.routing.import_count, 0);
    assert_true(c.routing.transit);
    assert_string_equal(bw_endpoint_text(&c.api.listen, t), "127.0.0.1:4871");
    assert_int_equal(c.log.level, BW_INFO);
    assert_int_equal(c.peer_count, 0);
    config_free(&c);
}

static void test_every_key(void **state)
{
    (void)state;
    struct config c =
        good("\xef\xbb\xbf# a comment\r\n"
             "[node]\n  name = mill-2 ; indented, with a comment\n"
             "[listen]\nport=5000\npublic = yes\n"
             "[discover] ; here too\ninterfaces = eth0, wlan0 br-lan\npolicy = secret\nsecret-file = net.secret\n"
             "[tun]\ninterface = mesh0\nmtu = 1380\n"
             "[internet]\nshare = eth1\nuse = fc12:3456::1\nkillswitch = yes\n"
             "probe = 198.51.100.80:80,2001:db8::1, [2001:db8::2]:443 192.0.2.9:8080 203.0.113.7\ndns = none\n"
             "limit-down = 20mbit\nlimit-up = 1.5 Mbit/s\nlimit-client-down = 5mbit\nlimit-client-up = none\nfloor-down = 4mbit\n"
             "volume = 2TB\nvolume-client = 20GB/month\nconnections = 5000\nconnections-client = 200\n"
             "block-ports = 25, udp/123-125\nprefer = fc12:3456::1\nnever = fc12::2 fc12::3\nlog-leases = 30d\n"
             "[firewall]\nallow = icmp, tcp/22, udp/5000-5010, tcp\n"
             "[routing]\nexport = 192.168.7.0/24, fd12::/48\nimport = 203.0.113.0/24, !10.0.0.0/8\ntransit = no\n"
             "[api]\nlisten = none\n[log]\nlevel = debug\n"
             "[peer mill]\nkey = " KEY_A "\nendpoint = mill.example.net:4870\ninternet = yes\n"
             "[peer b.c_d]\nendpoint = [fe80::1%eth0]:4870\nkey = " KEY_B);
    assert_string_equal(c.node.name, "mill-2");
    assert_int_equal(c.listen.port, 5000);
    assert_true(c.listen.is_public);
    assert_int_equal(c.discover.mode, CONFIG_DISCOVER_LIST);
    assert_int_equal(c.discover.count, 3);
    assert_string_equal(c.discover.interfaces[2], "br-lan");
    assert_int_equal(c.discover.policy, CONFIG_POLICY_SECRET);
    assert_string_equal(c.discover.secret_file, "net.secret");
    assert_int_equal(c.tun.mtu, 1380);
    assert_string_equal(c.internet.share_interface, "eth1");
    assert_int_equal(c.internet.use, CONFIG_USE_ADDRESS);
    assert_int_equal(c.internet.use_address.b[1], 0x12);
    assert_int_equal(c.internet.probe_count, 5);
    assert_int_equal(c.internet.probes[0].port, 80);
    assert_true(c.internet.probes[1].literal);
    assert_int_equal(c.internet.probes[1].port, 0);
    assert_string_equal(c.internet.probes[1].host, "2001:db8::1");
    assert_int_equal(c.internet.probes[2].port, 443);
    assert_int_equal(c.internet.probes[3].port, 8080);
    assert_int_equal(c.internet.probes[4].port, 0);
    assert_false(c.internet.dns);
    assert_int_equal(c.internet.limit_down_bps, 20000000);
    assert_int_equal(c.internet.limit_up_bps, 1500000);
    assert_int_equal(c.internet.limit_client_down_bps, 5000000);
    assert_int_equal(c.internet.floor_down_bps, 4000000);
    assert_true(c.internet.volume == 2000000000000ull && c.internet.volume_client == 20000000000ull);
    assert_true(c.internet.connections == 5000 && c.internet.connections_client == 200);
    assert_int_equal(c.internet.block_count, 2);
    assert_true(c.internet.block[0].what == CONFIG_ALLOW_ALL && c.internet.block[0].from == 25 && c.internet.block[0].to == 25);
    assert_true(c.internet.block[1].what == CONFIG_ALLOW_UDP && c.internet.block[1].to == 125);
    assert_true(c.internet.prefer_count == 1 && c.internet.never_count == 2 && c.internet.never[1].b[15] == 3);
    assert_int_equal(c.internet.log_leases_days, 30);
    assert_int_equal(c.firewall.count, 4);
    assert_int_equal(c.firewall.rules[2].from, 5000);
    assert_int_equal(c.firewall.rules[2].to, 5010);
    assert_int_equal(c.firewall.rules[3].to, 65535);
    assert_int_equal(c.routing.export_count, 2);
    assert_true(c.routing.imports[1].deny);
    assert_false(c.routing.transit);
    assert_true(c.api.none);
    assert_int_equal(c.log.level, BW_DEBUG);
    assert_int_equal(c.peer_count, 2);
    assert_string_equal(c.peers[0].name, "mill");
    assert_false(c.peers[0].endpoint.literal);
    assert_true(c.peers[0].internet);
    assert_string_equal(c.peers[1].endpoint.host, "fe80::1%eth0");
    assert_int_equal(c.peers[1].key[0], 0x20);
    config_free(&c);
}

static void test_all_mistakes_at_once(void **state)
{
    (void)state;
    const char *m = mistakes("port = 1\n"                // 1
                             "[listen]\n"                // 2
                             "prot = 4870\n"             // 3
                             "port = 99999\n"            // 4
                             "\n; nothing wrong here\n"  // 5, 6
                             "name = a\n"                // 7
                             "[nodes]\n"                 // 8
                             "name = ignored\n"          // 9
                             "[listen]\n"                // 10
                             "public = yes\npublic = no\n" // 11, 12
                             "what is this\n"            // 13
                             "[peer mill]\n"             // 14
                             "endpoint = 1.2.3.4\n"      // 15
                             "[peer mill]\n"             // 16
                             "[peer]\n"                  // 17
                             "[peer x]\nkey = short\n"   // 18, 19
                             "[peer y]\nkey = " KEY_A "\n[peer z]\nkey = " KEY_A "\n" // 20 .. 23
                             "[peer empty]\n"            // 24
                             "[open\n"                   // 25
                             "[api] listen = none\n"     // 26
                             "[log]\nlevel =\n",         // 27, 28
                             NULL, 0);
    assert_string_equal(m,
        "f:1: `port` stands before the first [section] (it belongs to [listen])\n"
        "f:3: unknown key `prot` in [listen] (did you mean `port`?)\n"
        "f:4: port = 99999: not a port (1 to 65535)\n"
        "f:7: unknown key `name` in [listen] (it belongs to [node])\n"
        "f:8: unknown section [nodes] (did you mean [node]?)\n"
        "f:10: [listen] again (first in line 2)\n"
        "f:12: `public` again in [listen] (first in line 11)\n"
        "f:13: neither [section] nor key = value\n"
        "f:14: [peer mill] has no key (key = ..., as `byway key show` prints there)\n"
        "f:15: endpoint = 1.2.3.4: no port (write e.g. 1.2.3.4:4870)\n"
        "f:16: [peer mill] again (first in line 14)\n"
        "f:17: a peer needs a name: [peer NAME]\n"
        "f:19: key = short: not a public key (44 characters of base64, as `byway key show` prints)\n"
        "f:23: [peer z] has the same key as [peer y]\n"
        "f:24: [peer empty] has no key (key = ..., as `byway key show` prints there)\n"
        "f:25: a section without its closing ]\n"
        "f:26: text behind [api]\n"
        "f:28: level: no value\n");
}

static void test_values(void **state)
{
    (void)state;
    bad_value("node", "name = a b", "letters, digits and hyphens");
    bad_value("node", "name = \"mill\"", "without quotes");
    bad_value("node", "name = -a", "begins and ends");
    bad_value("listen", "port = 0", "1 to 65535");
    bad_value("listen", "port = 4870 # udp", "not a port");
    bad_value("listen", "public = maybe", "neither yes nor no");
    bad_value("discover", "interfaces = eth0, auto", "stands alone");
    bad_value("discover", "interfaces = eth0,,eth1", "comma too many");
    bad_value("discover", "interfaces = eth0,", "comma too many");
    bad_value("discover", "interfaces = eth0 eth0", "listed twice");
    bad_value("discover", "interfaces = a-name-that-is-too-long", "1 to 15");
    bad_value("discover", "policy = Open", "neither open");
    bad_value("discover", "policy = secret", "needs a secret-file");
    bad_value("tun", "mtu = 1500", "1280 to 1420");
    bad_value("tun", "interface = a/b", "not an interface name");
    bad_value("internet", "use = 2001:db8::1", "mesh address");
    bad_value("internet", "use = fc00::e", "mesh address");
    bad_value("internet", "limit-down = 20mbps", "units are");
    bad_value("internet", "limit-down = fast", "not a rate");
    bad_value("internet", "limit-down = -1", "not a rate");
    bad_value("internet", "limit-up = 20", "8kbit");
    bad_value("internet", "floor-down = 4mbit", "needs limit-down");
    bad_value("internet", "floor-up = 4mbit", "needs limit-up");
    bad_value("internet", "volume = 20", "not a volume");
    bad_value("internet", "volume-client = 20GB/week", "not a volume");
    bad_value("internet", "volume-client = 0GB", "not a volume");
    bad_value("internet", "connections = 0", "neither none");
    bad_value("internet", "block-ports = smtp", "not a port");
    bad_value("internet", "block-ports = icmp/8", "not a port");
    bad_value("internet", "prefer = 2001:db8::1", "not a mesh address");
    bad_value("internet", "log-leases = 30", "number of days");
    bad_value("internet", "log-leases = forever", "number of days");
    bad_value("internet", "probe = none, 1.2.3.4", "stands alone");
    bad_value("internet", "probe = 1.2.3.4:0", "not a port");
    bad_value("internet", "probe = 1.2.3.4, www.example.net:80", "an address is needed");
    bad_value("internet", "probe = 1.2.3.400", "neither an address nor");
    bad_value("internet", "probe = 0.0.0.0:80", "nobody can be reached"); // it would reach this machine
    bad_value("internet", "probe = ::", "nobody can be reached");
    bad_value("internet", "probe = ff02::1", "nobody can be reached");
    bad_value("internet", "probe = [fe80::1%eth0]:80", "on the wire");
    bad_value("internet", "probe = 1.2.3.4,169.254.1.1", "on the wire");
    bad_value("firewall", "allow = ssh", "not a rule");
    bad_value("firewall", "allow = tcp/", "not a port");
    bad_value("firewall", "allow = tcp/70000", "not a port");
    bad_value("firewall", "allow = udp/5010-5000", "range of ports");
    bad_value("firewall", "allow = icmp/8", "not a rule");
    bad_value("routing", "export = 192.168.7.1/24", "did you mean 192.168.7.0/24?");
    bad_value("routing", "export = 192.168.7.0", "192.168.7.0/32");
    bad_value("routing", "export = 0.0.0.0/0", "default route");
    bad_value("routing", "export = fc12::/16", "mesh's own");
    bad_value("routing", "export = fe80::/64", "beyond this machine");
    bad_value("routing", "import = x", "not a prefix");
    bad_value("api", "listen = 4871", "ADDRESS:PORT");
    bad_value("log", "level = loud", "neither error");
    bad_value("peer x", "endpoint = 2001:db8::1:4870\nkey = " KEY_A, "brackets");
    bad_value("peer x", "endpoint = [fe80::1]:4870\nkey = " KEY_A, "needs its interface");
    bad_value("peer x", "endpoint = -x.net:4870\nkey = " KEY_A, "neither an address nor");
    bad_value("peer x", "key = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "nobody's");
    struct config c =
        good("[firewall]\nallow =\n[routing]\nexport =\n[peer a]\nkey=" KEY_A "\nendpoint=\npsk-file =\n");
    assert_int_equal(c.firewall.count, 0);
    assert_false(c.peers[0].has_endpoint);
    config_free(&c);
    c = good("[firewall]\nallow = none\n[internet]\nprobe=none\nshare=yes\nuse=none\n");
    assert_int_equal(c.internet.share, CONFIG_SHARE_AUTO);
    config_free(&c);
}

static void test_long_line(void **state)
{
    (void)state;
    char text[6000] = "[firewall]\nallow = icmp";
    for (int i = 0; i < 60; i++) strcat(text, ", tcp/1000-2000");
    struct config c = good(text); // 900 characters: Debian's inih takes them
    assert_int_equal(c.firewall.count, 61);
    config_free(&c);
    for (int i = 0; i < 300; i++) strcat(text, ", icmp, icmp");
    strcat(text, "\nx = y\n");
    const char *m = mistakes(text, NULL, 0);
    assert_non_null(strstr(m, "f:2: a line longer than"));
    assert_non_null(strstr(m, "f:3: unknown key"));
}

static void test_overrides(void **state)
{
    (void)state;
    char *sets[] = {"listen.port=9", "listen.port=10", "peer b.endpoint=1.2.3.4:5", ("peer b.key=" KEY_B),
                    "internet.share=auto"};
    struct config c;
    struct config_report r;
    const char *text = "[listen]\nport = 8\n";
    assert_int_equal(config_parse(text, strlen(text), "f", sets, 5, &c, &r), 0);
    assert_int_equal(c.listen.port, 10);
    assert_int_equal(c.peer_count, 1);
    assert_int_equal(c.peers[0].endpoint.port, 5);
    config_free(&c);
    char *wrong[] = {"listen.port=x", "prot=1", "lsten.port=1", "listen.prot=1", "log.level=", "peer q.internet=yes"};
    assert_string_equal(mistakes("[log]\nlevel=x\n", wrong, 6),
        "f:2: level = x: neither error, warn, info nor debug\n"
        "--set listen.port: port = x: not a port (1 to 65535)\n"
        "--set prot: write --set SECTION.KEY=VALUE\n"
        "--set lsten.port: unknown section [lsten] (did you mean [listen]?)\n"
        "--set listen.prot: unknown key `prot` in [listen] (did you mean `port`?)\n"
        "--set log.level: level: no value\n"
        "--set: [peer q] has no key (key = ..., as `byway key show` prints there)\n");
}

// Where not all mistakes fit, whole lines are told, and how many more there are.
static void test_many_mistakes(void **state)
{
    (void)state;
    static char text[40000], out[40000];
    struct config c;
    struct config_report r;
    char *p = text + sprintf(text, "[node]\n");
    for (int i = 0; i < 300; i++) p += sprintf(p, "key%d = 1\n", i);
    assert_int_equal(config_parse(text, strlen(text), "f", NULL, 0, &c, &r), BW_ERR_MALFORMED);
    config_report_text(&r, out, sizeof out);
    assert_non_null(strstr(out, "f:301: unknown key `key299`"));
    assert_null(strstr(out, "more"));
    config_report_text(&r, out, 4000);
    assert_true(strlen(out) < 4000);
    int lines = 0, more = 0;
    for (p = out; *p == 'f'; p = strchr(p, '\n') + 1) { // each is whole
        char whole[80];
        snprintf(whole, sizeof whole, "f:%d: unknown key `key%d` in [node]\n", lines + 2, lines);
        assert_memory_equal(p, whole, strlen(whole));
        lines++;
    }
    assert_true(lines > 50);
    assert_int_equal(sscanf(p, "... and %d more: byway check f\n", &more), 1);
    assert_string_equal(strchr(p, '\n'), "\n");
    assert_int_equal(lines + more, 300);
    config_report_text(&r, out, 10);
    assert_int_equal(strlen(out), 9);
    config_report_free(&r);
}

static void test_files_and_secrets(void **state)
{
    (void)state;
    struct config c;
    struct config_report r;
    char out[4096];
    assert_int_equal(config_load(in_dir("missing.conf"), NULL, 0, &c, &r), BW_ERR_MALFORMED);
    config_report_text(&r, out, sizeof out);
    assert_non_null(strstr(out, "no such file"));
    config_report_free(&r);

    put("psk", KEY_A "\n", 0600);
    put("open.psk", KEY_A "\n", 0644);
    put("phrase", "correct horse battery staple\n", 0600);
    put("weak", "hunter2\n", 0600);
    put("bad.conf",
        "[discover]\nsecret-file = weak\n[peer a]\nkey=" KEY_A "\npsk-file = open.psk\n[peer b]\nkey=" KEY_B
        "\npsk-file=none\n",
        0644);
    assert_int_equal(config_load(in_dir("bad.conf"), NULL, 0, &c, &r), BW_ERR_MALFORMED);
    config_report_text(&r, out, sizeof out);
    assert_int_equal(r.count, 3);
    assert_int_equal(r.v[0].line, 2);
    assert_non_null(strstr(r.v[0].text, "too easy to guess"));
    assert_int_equal(r.v[1].line, 5);
    assert_non_null(strstr(r.v[1].text, "open to everybody"));
    assert_int_equal(r.v[2].line, 8);
    assert_non_null(strstr(r.v[2].text, "does not exist"));
    config_report_free(&r);

    put("good.conf", "[discover]\npolicy=secret\nsecret-file = phrase\n[peer a]\nkey=" KEY_A "\npsk-file = psk\n",
        0644);
    assert_int_equal(config_load(in_dir("good.conf"), NULL, 0, &c, &r), 0);
    assert_string_equal(c.path, in_dir("good.conf"));
    assert_true(c.from_file);
    assert_true(c.discover.has_secret);
    assert_true(c.peers[0].has_psk);
    assert_int_equal(c.peers[0].psk[31], 31);
    config_free(&c);
    put("psk", KEY_A "\n" KEY_A "\n", 0600);
    uint8_t key[32];
    assert_int_not_equal(config_psk_read(in_dir("psk"), key, out, sizeof out), 0);
}

static void test_diff(void **state)
{
    (void)state;
    const char *base = "[listen]\nport=1\n[peer a]\nkey=" KEY_A "\nendpoint=a.net:1\n[peer b]\nkey=" KEY_B "\n";
    struct config a = good(base);
    static const struct {
        const char *more;
        unsigned bits;
    } cases[] = {
        {"", 0},
        {"[node]\nname=other-name\n", CONFIG_NODE},
        {"[discover]\ninterfaces=eth0\n", CONFIG_DISCOVER},
        {"[tun]\nmtu=1300\n", CONFIG_TUN},
        {"[internet]\nuse=none\n[log]\nlevel=warn\n", CONFIG_INTERNET | CONFIG_LOG},
        {"[firewall]\nallow=all\n", CONFIG_FIREWALL},
        {"[routing]\ntransit=no\n", CONFIG_ROUTING},
        {"[api]\nlisten=none\n", CONFIG_API},
        {"[peer c]\nkey=BwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", CONFIG_PEER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s%s", base, cases[i].more);
        struct config b = good(text);
        assert_int_equal(config_diff(&a, &b), cases[i].bits);
        config_free(&b);
    }
    struct config b = good("[listen]\nport=1\n[peer b]\nkey=" KEY_B "\n[peer a]\nkey=" KEY_A "\nendpoint=a.net:1\n");
    assert_int_equal(config_diff(&a, &b), 0); // the order of peers means nothing
    config_free(&b);
    b = good("[listen]\nport=1\n[peer b]\nkey=" KEY_B "\n[peer a]\nkey=" KEY_A "\nendpoint=a.net:2\n");
    assert_int_equal(config_diff(&a, &b), CONFIG_PEER);
    config_free(&b);
    config_free(&a);
}

static void test_save(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    assert_int_equal(bw_base64_decode(KEY_A, a, 32), 0);
    assert_int_equal(bw_base64_decode(KEY_B, b, 32), 0);
    put("s.conf",
        "# mine\n[node]\nname = n ; yes\n\n# the mill\n[peer mill]\n; old\nkey = " KEY_A
        "\nendpoint = x.net:1\n\n# last words\n[log]\nlevel = info",
        0640);
    // a new one goes to the end, whatever stands there stays
    assert_int_equal(config_save_peer(in_dir("s.conf"), "barn", b, "[2001:db8::1]:4870", NULL, false), 0);
    assert_string_equal(get("s.conf"),
                        "# mine\n[node]\nname = n ; yes\n\n# the mill\n[peer mill]\n; old\nkey = " KEY_A
                        "\nendpoint = x.net:1\n\n# last words\n[log]\nlevel = info\n\n[peer barn]\nkey = " KEY_B
                        "\nendpoint = [2001:db8::1]:4870\n");
    struct stat st;
    assert_int_equal(stat(in_dir("s.conf"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    // one that is there is replaced where it stands
    assert_int_equal(config_save_peer(in_dir("s.conf"), NULL, a, "y.net:2", "/etc/byway/mill.psk", true), 0);
    assert_string_equal(get("s.conf"),
                        "# mine\n[node]\nname = n ; yes\n\n# the mill\n[peer mill]\nkey = " KEY_A
                        "\nendpoint = y.net:2\npsk-file = /etc/byway/mill.psk\ninternet = yes\n\n# last "
                        "words\n[log]\nlevel = info\n\n[peer barn]\nkey = " KEY_B "\nendpoint = [2001:db8::1]:4870\n");
    assert_int_equal(config_save_peer(in_dir("s.conf"), "barn", a, NULL, NULL, false), BW_ERR_EXISTS);
    assert_int_equal(config_save_peer(in_dir("s.conf"), "a\nb", a, NULL, NULL, false), BW_ERR_RANGE);
    assert_int_equal(config_save_peer(in_dir("s.conf"), "ab", a, "x.net:1\n[api]", NULL, false), BW_ERR_RANGE);
    assert_int_equal(config_save_remove_peer(in_dir("s.conf"), a), 0);
    assert_string_equal(
        get("s.conf"),
        "# mine\n[node]\nname = n ; yes\n\n# the mill\n# last words\n[log]\nlevel = info\n\n[peer barn]\nkey = " KEY_B
        "\nendpoint = [2001:db8::1]:4870\n");
    assert_int_equal(config_save_remove_peer(in_dir("s.conf"), a), BW_ERR_NOTFOUND);
    // the last one goes with the blank line that came with it: coming and going does not make the file grow
    char *before = strdup(get("s.conf"));
    assert_int_equal(config_save_peer(in_dir("s.conf"), "mill", a, NULL, NULL, false), 0);
    assert_int_equal(config_save_remove_peer(in_dir("s.conf"), a), 0);
    assert_string_equal(get("s.conf"), before);
    free(before);
    // from nothing
    assert_int_equal(config_save_peer(in_dir("new.conf"), NULL, a, NULL, NULL, false), 0);
    assert_string_equal(get("new.conf"), "[peer peer-00010203]\nkey = " KEY_A "\n");
    assert_int_equal(config_save_peer(in_dir("no/such/dir.conf"), NULL, a, NULL, NULL, false), BW_ERR_SYS);
    // its folder is made as well: a machine without a configuration has no /etc/byway
    assert_int_equal(config_save_peer(in_dir("etc/new.conf"), NULL, a, NULL, NULL, false), 0);
    assert_string_equal(get("etc/new.conf"), "[peer peer-00010203]\nkey = " KEY_A "\n");
    assert_int_equal(config_save_secret(in_dir("etc2/new.conf"), a), 0);
    assert_non_null(strstr(get("etc2/new.conf"), "policy = secret"));
}

// INTERFACES' own example, word for word where it is meant literally.
static void test_documented_example(void **state)
{
    (void)state;
    struct config c = good(
        "[listen]\nport = 4870                  ; UDP, v4 and v6\npublic = no                  ; yes: unknown keys\n"
        "[discover]\ninterfaces = auto            ; auto = every\npolicy = open                ; open | secret | "
        "closed\n"
        "secret-file =                ; e.g. /etc/byway/network.secret\n[tun]\ninterface = byway0\nmtu = auto\n"
        "[internet]\nshare = no                   ; no | auto\nuse = auto                   ; auto: an "
        "exit\nkillswitch = no\n"
        "probe = auto                 ; what proves\ndns = auto                   ; auto | none; outside\n"
        "limit-down = none            ; e.g. 20mbit\n[firewall]\nallow = icmp                 ; what\n"
        "[routing]\nexport =                     ; e.g. 192.168.7.0/24\nimport =                     ; "
        "prefixes\ntransit = yes ; no\n"
        "[api]\nlisten = 127.0.0.1:4871      ; the page\n[log]\nlevel = info\n");
    struct config d = good("");
    assert_int_equal(config_diff(&c, &d), 0);
    config_free(&c);
    config_free(&d);
}

static int config_keys_told(void)
{
    const char *section, *key;
    int n = 0;
    while (config_key_at((size_t)n, &section, &key)) n++;
    return n;
}

// What can be configured is what the manual page and the guide tell, both ways.
static void test_documents(void **state)
{
    (void)state;
    static char page[65536], guide[65536];
    const struct {
        const char *path;
        char *text;
    } files[] = {{VECTORS_DIR "/../../docs/man/byway.conf.5", page},
                 {VECTORS_DIR "/../../docs/guide/configuration.md", guide}};
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(files[i].path, "r");
        assert_non_null(f);
        files[i].text[fread(files[i].text, 1, 65535, f)] = 0;
        fclose(f);
    }
    const char *section, *key, *before = "";
    char *at = page, *in_guide = guide;
    size_t told = 0;
    for (size_t i = 0; config_key_at(i, &section, &key); i++) {
        char text[96], *t = text;
        if (strcmp(section, before)) { // in the same order as the table
            snprintf(text, sizeof text, strcmp(section, "peer") ? ".SH [%s]\n" : ".SH [%s NAME]\n", section);
            if (!(at = strstr(at, text))) fail_msg("byway.conf.5 has no %s", text);
        }
        before = section;
        t += sprintf(t, "\n\\fB");
        for (const char *k = key; *k; k++) t += sprintf(t, *k == '-' ? "\\-" : "%c", *k);
        strcpy(t, "\\fR");
        if (!(at = strstr(at, text))) fail_msg("byway.conf.5 has no %s.%s", section, key);
        snprintf(text, sizeof text, "`%s`", key);
        if (!(in_guide = strstr(in_guide, text))) fail_msg("configuration.md has no %s.%s", section, key);
    }
    for (at = page; (at = strstr(at, "\n.TP\n")); at++) told++;
    assert_int_equal(told, config_keys_told()); // one more would be a key that does not exist
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_every_key), cmocka_unit_test(test_all_mistakes_at_once),
        cmocka_unit_test(test_values), cmocka_unit_test(test_long_line), cmocka_unit_test(test_overrides), cmocka_unit_test(test_many_mistakes),
        cmocka_unit_test(test_files_and_secrets), cmocka_unit_test(test_diff), cmocka_unit_test(test_save),
        cmocka_unit_test(test_documented_example), cmocka_unit_test(test_documents),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
