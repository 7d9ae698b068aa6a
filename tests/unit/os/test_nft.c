// os/nft with the kernel's nftables in a network namespace of our own; os/fwcheck on rulesets as Docker, ufw, firewalld
// make.
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "os/fwcheck.h"
#include "os/nftwatch.h"
#include "os/why.h"
#include "unit/os/scratch.h"
#include "unit/os/space.h"

static bool have_space;
static struct os_nft *nft;
static char why[OS_WHY], which[OS_WHY];

static int enter(void **state)
{
    (void)state;
    have_space = space_network();
    if (!have_space) return 0;
    int err = os_nft_open(&nft, why, sizeof why);
    if (err) fprintf(stderr, "%s\n", why);
    return err;
}

static int leave(void **state)
{
    (void)state;
    os_nft_close(nft);
    os_nft_close(NULL);
    return 0;
}

static void rules_counters_and_all_or_nothing(void **state)
{
    (void)state;
    if (!have_space) skip();
    char *out;
    assert_int_equal(
        os_nft_run(nft,
                   "table inet byway { counter c1 { }\n"
                   "  chain post { type nat hook postrouting priority srcnat; ip saddr 100.64.0.0/16 masquerade; }\n"
                   "  chain count { type filter hook output priority 0; ip daddr 127.0.0.1 counter name c1; }\n}",
                   why, sizeof why),
        0);
    assert_true(space_run("ping -q -c 2 -i 0.01 127.0.0.1 >/dev/null 2>&1 || true"));
    assert_int_equal(os_nft_query(nft, "list counters table inet byway", OS_NFT_JSON, &out, why, sizeof why), 0);
    assert_non_null(strstr(out, "\"name\": \"c1\""));
    assert_non_null(strstr(out, "\"packets\":"));
    free(out);
    assert_int_equal(os_nft_query(nft, "list ruleset", OS_NFT_TEXT, &out, why, sizeof why), 0);
    assert_non_null(strstr(out, "masquerade"));
    free(out);
    // One bad command in the middle: nothing of it happens.
    assert_int_not_equal(os_nft_run(nft, "add counter inet byway c2\nadd rule inet byway nosuch drop", why, sizeof why),
                         0);
    assert_non_null(strstr(why, "nftables: "));
    assert_null(strchr(why, '\n'));
    assert_int_equal(os_nft_query(nft, "list counters table inet byway", OS_NFT_JSON, &out, why, sizeof why), 0);
    assert_null(strstr(out, "c2"));
    free(out);
    int err = os_nft_run(nft, "add tabel inet x", why, sizeof why);
    if (err != BW_ERR_MALFORMED) fail_msg("%d: %s", err, why);
    assert_int_equal(os_nft_delete_table(nft, "inet byway", why, sizeof why), 0);
    assert_int_equal(os_nft_delete_table(nft, "inet byway", why, sizeof why), 0);
    assert_int_equal(os_nft_query(nft, "list ruleset", OS_NFT_TEXT, &out, why, sizeof why), 0);
    assert_string_equal(out, "");
    free(out);
}

static void foreign_drops_in_the_kernel(void **state)
{
    (void)state;
    if (!have_space) skip();
    assert_int_equal(os_nft_foreign_forward_drop(nft, "inet byway", "byway0", which, sizeof which), 0);
    assert_int_equal(os_nft_run(nft,
                                "table inet byway { chain f { type filter hook forward priority 0; policy drop; }\n}",
                                why, sizeof why),
                     0);
    assert_int_equal(os_nft_foreign_forward_drop(nft, "inet byway", "byway0", which, sizeof which), 0); // our own
    assert_int_equal(
        os_nft_run(nft,
                   "table ip filter { set s { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 } }\n"
                   "chain DOCKER-USER { }\n chain INPUT { type filter hook input priority 0; policy drop; }\n"
                   "chain FORWARD { type filter hook forward priority 0; policy drop; jump DOCKER-USER; }\n}",
                   why, sizeof why),
        0);
    assert_int_equal(os_nft_foreign_forward_drop(nft, "inet byway", "byway0", which, sizeof which), 1);
    assert_string_equal(which,
                        "table \"ip filter\" chain FORWARD drops by policy what no rule accepts (looks like Docker)");
    assert_int_equal(
        os_nft_run(nft, "add rule ip filter DOCKER-USER iifname \"byway0\" counter accept", why, sizeof why), 0);
    assert_int_equal(os_nft_foreign_forward_drop(nft, "inet byway", "byway0", which, sizeof which), 0);
    assert_int_equal(os_nft_foreign_forward_drop(nft, "inet byway", "byway1", which, sizeof which), 1);
    assert_int_equal(os_nft_run(nft, "flush ruleset", why, sizeof why), 0);
    assert_int_equal(os_nft_run(nft,
                                "table inet fw { chain f { type filter hook forward priority 0; policy accept;\n"
                                "ip saddr { 10.0.0.1, 10.0.0.2, 10.0.0.3 } drop\n iifname \"eth0\" drop\n"
                                "counter log prefix \"no: }\" drop; }\n}",
                                why, sizeof why),
                     0);
    assert_int_equal(os_nft_foreign_forward_drop(nft, "inet byway", "byway0", which, sizeof which), 1);
    assert_non_null(strstr(which, "no rule before"));
    assert_int_equal(os_nft_run(nft, "flush ruleset", why, sizeof why), 0);
}

static const char ufw[] = "table ip filter {\n\tchain ufw-before-forward {\n\t\tct state established,related counter "
                          "packets 0 bytes 0 accept\n"
                          "\t}\n\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n"
                          "\t\tcounter packets 0 bytes 0 jump ufw-before-forward\n\t}\n}\n";
static const char firewalld[] =
    "table inet firewalld {\n\tchain filter_FORWARD {\n\t\ttype filter hook forward priority filter + 10; policy "
    "accept;\n"
    "\t\tct state { established, related } accept\n\t\tct status dnat accept\n\t\tiifname \"lo\" accept\n"
    "\t\tip6 daddr { ::/96, ::ffff:0.0.0.0/96,\n\t\t\t     2002::/24 } reject with icmpv6 addr-unreachable\n"
    "\t\tjump filter_FORWARD_ZONES\n\t\tct state invalid drop\n\t\treject with icmpx admin-prohibited\n\t}\n}\n";
static const char harmless[] =
    "table inet filter {\n\tmap m {\n\t\ttype ifname : verdict\n\t\telements = { \"eth0\" : drop,\n\t\t\t     \"a}b\" "
    ": accept }\n\t}\n"
    "\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t\tdrop\n\t}\n"
    "\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n"
    "\t\tiifname vmap @m\n\t\tiifname vmap { \"x\" : drop,\n\t\t\t\"y\" : drop }\n\t\tct state invalid drop\n"
    "\t\tip saddr 10.0.0.0/8 counter packets 1 bytes 2 drop\n\t}\n}\n";

static void rulesets_as_text(void **state)
{
    (void)state;
    assert_true(os_fwcheck_text(ufw, "inet byway", "byway0", which, sizeof which));
    assert_non_null(strstr(which, "ufw"));
    assert_true(os_fwcheck_text(firewalld, "inet byway", "byway0", which, sizeof which));
    assert_non_null(strstr(which, "firewalld"));
    assert_false(os_fwcheck_text(harmless, "inet byway", "byway0", which, sizeof which));
    assert_false(os_fwcheck_text("", "inet byway", "byway0", which, sizeof which));
    assert_false(os_fwcheck_text("}}}}{{{{\"\"\"", "inet byway", "byway0", which, sizeof which));
    char both[sizeof harmless + sizeof ufw];
    strcpy(both, harmless);
    strcat(both, ufw);
    assert_true(os_fwcheck_text(both, "inet byway", "byway0", which, sizeof which));
    // No prefix of them does any harm either.
    for (size_t n = 0; n < strlen(both); n++) {
        char *part = strndup(both, n);
        os_fwcheck_text(part, "inet byway", "byway0", which, sizeof which);
        free(part);
    }
}

// In a child: a kernel that knows no netfilter socket (seccomp says EPROTONOSUPPORT), a broken library, no permission.
static int in_child(int (*what)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) _exit(what());
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int without_netfilter(void)
{
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NETLINK_NETFILTER, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 93 /* EPROTONOSUPPORT */),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog p = {sizeof f / sizeof f[0], f};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p)) return 77;
    struct os_nft *x;
    if (os_nft_open(&x, why, sizeof why) != BW_ERR_UNSUPPORTED) return 1;
    return strstr(why, "CONFIG_NF_TABLES") ? 0 : 2;
}

static int without_library(void)
{
    static const char *const places[] = {"/usr/lib/x86_64-linux-gnu/libnftables.so.1",
                                         "/usr/lib/aarch64-linux-gnu/libnftables.so.1", "/usr/lib/libnftables.so.1",
                                         "/usr/lib64/libnftables.so.1"};
    bool covered = false;
    if (!space_private_mounts()) return 77;
    for (size_t i = 0; i < 4; i++) covered |= mount("/dev/null", places[i], NULL, MS_BIND, NULL) == 0;
    if (!covered) return 77;
    struct os_nft *x;
    if (os_nft_open(&x, why, sizeof why) != BW_ERR_UNSUPPORTED) return 1;
    return strstr(why, "libnftables1") ? 0 : 2;
}

static int without_permission(void)
{
    if (setresuid(65534, 65534, 65534)) return 77;
    struct os_nft *x;
    if (os_nft_open(&x, why, sizeof why) != BW_ERR_DENIED) return 1;
    return strstr(why, "CAP_NET_ADMIN") ? 0 : 2;
}

static void no_nftables_is_told(void **state)
{
    (void)state;
    if (!have_space) skip();
    static int (*const cases[])(void) = {without_netfilter, without_permission};
    for (size_t i = 0; i < 2; i++) {
        int r = in_child(cases[i]);
        if (r != 77) assert_int_equal(r, 0);
    }
}

// Before anything has loaded the library, as it is never unloaded.
static void no_library_is_told(void **state)
{
    (void)state;
    if (dlopen("libnftables.so.1", RTLD_NOW | RTLD_NOLOAD))
        skip(); // this program is linked with it: there is nothing to see
    int r = in_child(without_library);
    if (r == 77) skip();
    assert_int_equal(r, 0);
}

static void count(void *ctx)
{
    ++*(unsigned *)ctx;
}

// Somebody else's change is told also if it came among our own.
static void others_changes_are_told_from_ours(void **state)
{
    (void)state;
    if (!have_space) skip();
    static const char *const tables[] = {"watched"};
    static const char ours[] = "add table inet watched; delete table inet watched; add table inet watched; add chain inet watched c";
    uv_loop_t loop;
    struct os_nftwatch *w;
    unsigned told = 0;
    uv_loop_init(&loop);
    assert_int_equal(os_nft_run(nft, ours, why, sizeof why), 0);
    assert_int_equal(os_nftwatch_open(&loop, tables, 1, count, &told, &w, why, sizeof why), 0);
    for (int i = 0; i < 3; i++) assert_int_equal(os_nft_run(nft, ours, why, sizeof why), 0);
    os_nftwatch_mine(w);
    assert_int_equal(told, 0);
    assert_int_equal(os_nft_run(nft, ours, why, sizeof why), 0);
    assert_int_equal(system("nft flush ruleset"), 0);
    assert_int_equal(os_nft_run(nft, "add table inet other; add chain inet other c", why, sizeof why), 0);
    os_nftwatch_mine(w);
    assert_int_equal(told, 1);
    assert_int_equal(os_nft_run(nft, ours, why, sizeof why), 0);
    assert_int_equal(system("nft delete table inet other"), 0); // not ours
    os_nftwatch_mine(w);
    assert_int_equal(told, 1);
    os_nftwatch_close(w);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest early[] = {cmocka_unit_test(no_library_is_told)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_counters_and_all_or_nothing),
        cmocka_unit_test(foreign_drops_in_the_kernel),
        cmocka_unit_test(rulesets_as_text),
        cmocka_unit_test(others_changes_are_told_from_ours),
        cmocka_unit_test(no_nftables_is_told),
    };
    int failed = cmocka_run_group_tests(early, NULL, NULL);
    return failed + cmocka_run_group_tests(tests, enter, leave);
}
