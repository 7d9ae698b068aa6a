// The program itself, as a person types it, against the API with made-up data behind it: every command that asks the
// node.
#include <libgen.h>
#include <limits.h>

#include "unit/api/fake.h"

static char program[PATH_MAX];

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

// Runs "byway ARGS" on the fake node's socket; standard error is part of the output. Checks the exit status.
static char *byway(int want, const char *args)
{
    int status;
    char *out = sh(&status, "BYWAY_SOCKET=%s TZ=UTC0 %s %s 2>&1", fake.sock, program, args);
    if (status != want) fail_msg("byway %s: exit status %d, not %d: %s", args, status, want, out);
    return out;
}

static void says(const char *out, const char *part)
{
    if (!strstr(out, part)) fail_msg("no `%s` in:\n%s", part, out);
}

static void test_status(void **state)
{
    (void)state;
    char *out = byway(0, "status");
    says(out, OUR_MESH);
    says(out, "up 1 h 2 min");
    says(out, "Internet    through barn (fcaa::1), for 1 min\n");
    says(out, "Sharing     no\n");
    says(out, "Neighbours  1, 1 not connected\n");
    says(out, "barn             eth0  3.2 ms\n");
    says(out, "stock WireGuard");
    says(out, "5 routes, 123 MB received, 2.0 kB sent\n");
    says(out, "One thing is wrong\n  ! this machine's clock is not set\n    what to do: start an NTP client\n");
    assert_null(strchr(out, '\033')); // no terminal, no colours
}

// --json prints the very bytes that the API gives.
static void test_json(void **state)
{
    (void)state;
    static const char *const reads[] = {"status", "peers", "routes", "sessions", "exits"};
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        char args[64];
        snprintf(args, sizeof args, "%s --json", reads[i]);
        char *mine = strdup(byway(0, args));
        char *theirs = sh(NULL, "curl -s -m 20 --unix-socket %s http://x/v1/%s", fake.sock, reads[i]);
        assert_string_equal(mine, theirs);
        free(mine);
        snprintf(args, sizeof args, "--json %s", reads[i]); // before the word as well
        byway(0, args);
    }
    assert_string_equal(byway(0, "invite --json"), "{\"text\":\"byway:1:AAAA\"}\n");
    says(byway(0, "ping --json --count 1 fcbb::2"), "{\"seq\":1,\"rtt_ms\":3.2}\n{\"done\":true");
    says(byway(0, "trace fcbb::2 --json"), "\"hop\":2");
}

static void test_tables(void **state)
{
    (void)state;
    char *out = byway(0, "peers");
    says(out, "NAME  ADDRESS");
    says(out, "barn  fcbb::2  ");
    says(out, "3.2 ms    96    5.0 kB  7.0 kB  12 s ago   discovered\n");
    says(out, "8PHy8/T19vf4+fr7/P3+/wABAgMEBQYHCAkKCwwNDg8="); // the stock peer's key, for `peer remove`
    says(byway(0, "peers --wide"), "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=");
    out = byway(0, "routes");
    says(out, "USED  PREFIX          METRIC  NEXT HOP  LINK  ROUTER                   SEQNO\n");
    says(out, "yes   fcbb::2/128         96  fe80::2   eth0  00:01:02:03:04:05:06:ff      7\n");
    says(out, "no    192.168.7.0/24       -  -         -     00:00:00:00:00:00:00:00      0\n");
    says(byway(0, "sessions"), "fcbb::2  up     AES-256-GCM  1 min  10 ms       1 B   2 B\n");
    says(byway(0, "exits"), "barn  fcaa::1  active  eth0      96  3.2 ms   6 %  ipv4      free\n");
}

static void test_changes(void **state)
{
    (void)state;
    says(byway(0, "peer add 8PHy8/T19vf4+fr7/P3+/wABAgMEBQYHCAkKCwwNDg8= --endpoint mill.net:4870 --save --name x"),
         "added\n");
    assert_true(fake.added.save && fake.added.key[0] == 0xf0 && !fake.added.has_psk);
    assert_string_equal(fake.added.endpoint, "mill.net:4870");
    sh(NULL, "umask 077; wg genpsk > %s/psk", fake.dir);
    char args[256];
    snprintf(args, sizeof args, "--psk %s/psk peer add 8PHy8/T19vf4+fr7/P3+/wABAgMEBQYHCAkKCwwNDg8=", fake.dir);
    byway(0, args);
    assert_true(fake.added.has_psk && fake.added.psk_file[0] == '/');
    snprintf(args, sizeof args, "%s/psk", fake.dir);
    chmod(args, 0644);
    snprintf(args, sizeof args, "peer add --psk %s/psk 8PHy8/T19vf4+fr7/P3+/wABAgMEBQYHCAkKCwwNDg8=", fake.dir);
    says(byway(1, args), "open to everybody");
    snprintf(args, sizeof args, "%s/psk", fake.dir);
    unlink(args);
    says(byway(1, "peer add AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA= --name taken"),
         "byway: another peer is called taken (choose another name)\n");
    says(byway(0, "peer remove 8PHy8/T19vf4+fr7/P3+/wABAgMEBQYHCAkKCwwNDg8= --save"), "removed\n");
    assert_true(fake.removed[0] == 0xf0 && fake.removed[31] == 0x0f && fake.removed_save);
    says(byway(1, "peer remove AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), "byway: there is no such peer\n");
    byway(0, "exit use always");
    assert_int_equal(fake.use, API_USE_ALWAYS);
    byway(0, "exit use fcaa::1");
    assert_int_equal(fake.use, API_USE_ADDRESS);
    says(byway(2, "exit use mars"), "byway: `mars` is neither auto, always, none nor an exit's mesh address (see: byway exit use --help)\n");
    says(byway(1, "exit use 2001:db8::1"), "byway: \"use\" is not auto");
    says(byway(0, "reload"), "applied");
    assert_string_equal(byway(1, "reload"), "f:1: wrong\nf:2: wrong too\nbyway: nothing was changed\n");
    says(byway(0, "join byway:1:abc"), "joined barn\n");
    assert_string_equal(fake.joined, "byway:1:abc");
    int status;
    sh(&status, "printf 'byway:1:d\\nef\\n' | %s join - --socket %s", program, fake.sock);
    assert_int_equal(status, 0);
    assert_string_equal(fake.joined, "byway:1:d ef ");
    assert_string_equal(byway(0, "invite --secret --endpoint '[2001:db8::1]:5'"), "byway:1:AAAA\n");
    assert_true(fake.invited.secret);
    assert_string_equal(fake.invited.endpoint, "[2001:db8::1]:5");
    says(byway(0, "invite --qr"), "\u2588\u2580");
    assert_false(fake.invited.secret);
    assert_string_equal(byway(0, "key show"),
                        "address  " OUR_MESH "\nkey      AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n");
}

static void test_ping_trace(void **state)
{
    (void)state;
    assert_string_equal(byway(0, "ping fcbb::2 --count=3"),
                        "1: fcbb::2 answers in 3.2 ms\n2: no answer\n3: fcbb::2 answers in 3.2 ms\n"
                        "3 sent, 2 answered, 33 % lost\nsession  none\n");
    char *out = byway(0, "trace fcbb::3");
    says(out, "  1  fcbb::2                                  barn              1.5 ms    1.2 ms         *  33 % lost\n");
    says(out, "session  up for 2 min, AES-256-GCM\n");
    says(byway(1, "ping 10.0.0.1"), "byway: that is no mesh address\n");
    says(byway(2, "ping here"), "`here` is no address");
    says(byway(2, "ping fcbb::2 --count x"), "--count needs a number");
    says(byway(2, "ping fcbb::2 --count 10001"), "--count needs a number from 1 to 10000, not `10001` (see: byway ping --help)");
    says(byway(2, "ping fcbb::2 --interval 9"), "--interval needs a number from 10 to 60000");
    says(byway(2, "trace fcbb::2 --count 11"), "--count needs a number from 1 to 10,");
    says(byway(2, "trace fcbb::2 --max-hops 256"), "--max-hops needs a number from 1 to 255");
}

static int n_events;
static bool listening;
static void look(void *arg)
{
    (void)arg;
    listening = api_event_wanted(fake.api);
}

static void send_event(void *arg)
{
    (void)arg;
    if (!api_event_wanted(fake.api)) return;
    api_event(fake.api, "link-up", json_pack("{s:s, s:i}", "name", "ba\x1brn", "n", 7));
    n_events++;
}

static void test_monitor(void **state)
{
    (void)state;
    for (int json = 0; json < 2; json++) {
        int p[2];
        assert_int_equal(pipe(p), 0);
        pid_t pid = fork();
        if (!pid) {
            dup2(p[1], 1);
            close(p[0]);
            execl(program, "byway", "monitor", "--socket", fake.sock, json ? "--json" : NULL, (char *)NULL);
            _exit(127);
        }
        close(p[1]);
        FILE *f = fdopen(p[0], "r");
        n_events = 0;
        wait_for(10, (fake_call(send_event, NULL), n_events > 0));
        char line[256];
        assert_non_null(fgets(line, sizeof line, f));
        if (json) says(line, "{\"name\":\"ba\\u001Brn\",\"n\":7,\"type\":\"link-up\",\"time_s\":");
        else says(line, " link-up        name=ba?rn n=7\n");
        kill(pid, SIGTERM);
        fclose(f);
        waitpid(pid, NULL, 0);
        wait_for(10, (fake_call(look, NULL), !listening)); // or the next event would go to this one
    }
}

static void test_no_node(void **state)
{
    (void)state;
    static const char *const asking[] = {
        "status",        "peers",        "peer add AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
        "exit use auto", "ping fcbb::2", "monitor",
        "invite",        "join x",       "reload"};
    for (size_t i = 0; i < sizeof asking / sizeof *asking; i++) {
        int status;
        char *out = sh(&status, "%s %s --socket %s/nobody 2>&1", program, asking[i], fake.dir);
        assert_int_equal(status, 1);
        assert_string_equal(out, "byway: no node is running here (start one with: sudo byway run)\n");
    }
    if (getuid()) return;
    // somebody without the right: told what to join
    chmod(fake.dir, 0755);
    int status;
    char *out = sh(&status, "setpriv --reuid 65534 --regid 65534 --clear-groups %s status --socket %s 2>&1", program,
                   fake.sock);
    assert_int_equal(status, 1);
    says(out, "byway: you may not speak to the node here (use sudo");
}

static void test_wrong_usage(void **state)
{
    (void)state;
    says(byway(2, "statsu"), "did you mean `status`?");
    says(byway(2, "frobnicate"), "there is no command");
    says(byway(2, "status --wide"), "`byway status` has no option --wide (see: byway status --help)");
    says(byway(2, "status --frob"), "there is no option --frob (see: byway status --help)");
    says(byway(2, "peer add --frob"), "there is no option --frob (see: byway peer add --help)");
    says(byway(2, "--frob"), "there is no option --frob (see: byway help)");
    says(byway(2, "status extra"), "does not know what to do with `extra`");
    says(byway(2, "run --share eth0"), "does not know what to do with `eth0`: a value of --share is written --share=IFACE");
    says(byway(2, "peer add"), "needs: KEY");
    says(byway(2, "peer add xyz"), "is no key");
    says(byway(2, "peer"), "byway peer remove KEY");
    says(byway(2, "peer frob"), "there is no command `peer frob`");
    says(byway(2, "status --socket"), "--socket needs its PATH");
    says(byway(2, "status --json=1"), "takes no value");
    says(byway(2, ""), "Usage: byway COMMAND");
    says(byway(2, "check"), "needs: FILE");
    says(byway(1, "check /nonexistent/byway.conf"), "no such file");
    says(byway(0, "version"), "byway " BYWAY_VERSION "\n");
    says(byway(0, "--version"), "byway " BYWAY_VERSION "\n");
    says(byway(0, "--help"), "Commands:");
    says(byway(0, "peer add --help"), "--endpoint HOST:PORT");
    says(byway(0, "help peer add"), "--endpoint HOST:PORT");
    // lab and sim know their options before their words as well
    says(byway(1, "--nodes 2 --share 1 lab up /nonexistent.topology"), "byway: /nonexistent.topology: No such file");
    says(byway(2, "--nodes 0 lab up line"), "--nodes 0: a number from 1 to 1000 is wanted");
    says(byway(2, "lab --nodes x up line"), "--nodes x: a number from 1");
    says(byway(0, "--seed 3 --nodes 2 sim random --print"), "node");
    says(byway(2, "--nodes 2 status"), "there is no option --nodes");
    says(byway(0, "help key"), "Usage:\n  byway key show\n");
    says(byway(2, "help keys"), "there is no command `keys`");
    says(byway(0, "lab --help"), "byway lab up");
    int status;
    sh(&status, "%s help > /dev/full 2>&1", program);
    assert_int_equal(status, 1);
}

static void test_check_and_key(void **state)
{
    (void)state;
    char args[256], path[128];
    snprintf(path, sizeof path, "%s/a.conf", fake.dir);
    FILE *f = fopen(path, "w");
    fputs("[listen]\nprot = 1\n[nod]\n", f);
    fclose(f);
    snprintf(args, sizeof args, "check %s", path);
    char *out = byway(1, args);
    says(out, "/a.conf:2: unknown key `prot` in [listen] (did you mean `port`?)\n");
    says(out, "/a.conf:3: unknown section [nod] (did you mean [node]?)\nbyway: ");
    says(out, "has 2 mistakes\n");
    f = fopen(path, "w");
    fputs("[listen]\nport = 1\n", f);
    fclose(f);
    says(byway(0, args), "is fine\n");
    unlink(path);
    // an identity without a node
    snprintf(args, sizeof args, "key show --state %s/state", fake.dir);
    says(byway(1, args), "byway: ");
    snprintf(args, sizeof args, "key new --state %s/state", fake.dir);
    char *made = strdup(byway(0, args));
    says(made, "address  fc");
    says(byway(1, args), "--force");
    snprintf(args, sizeof args, "--state %s/state key show", fake.dir);
    assert_string_equal(byway(0, args), made);
    snprintf(args, sizeof args, "key new --force --state %s/state --json", fake.dir);
    out = byway(0, args);
    says(out, "{\"address\":\"fc");
    free(made);
    made = strdup(out);
    snprintf(args, sizeof args, "%s/state", fake.dir);
    setenv("BYWAY_STATE", args, 1);
    assert_string_equal(byway(0, "key show --json --socket /none"), made);
    says(byway(1, "key new"), args);
    says(byway(1, "key show --state /none"), "/none");
    unsetenv("BYWAY_STATE");
    free(made);
    sh(NULL, "rm -r %s/state", fake.dir);
}

int main(int argc, char **argv)
{
    char self[PATH_MAX];
    const char *given = getenv("BYWAY_BINARY");
    (void)argc;
    if (!realpath(argv[0], self)) return 1;
    snprintf(program, sizeof program, "%s", given ? given : "");
    if (!given) snprintf(program, sizeof program, "%.4000s/../byway", dirname(self));
    if (access(program, X_OK)) {
        fprintf(stderr, "%s is not built\n", program);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ping_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_monitor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_node, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_usage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_check_and_key, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
