// os/sysctl on the real /proc/sys/net of a network namespace of our own, also across a SIGKILL; os/ns; os/notify.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "os/notify.h"
#include "os/ns.h"
#include "os/sysctl.h"
#include "os/why.h"
#include "unit/os/scratch.h"
#include "unit/os/space.h"

static bool have_space;
static char why[OS_WHY];
static uint64_t outside;

static int enter(void **state)
{
    outside = os_ns_net_id();
    if (scratch_make(state)) return -1;
    have_space =
        space_network() && space_run("ip link add n1 type veth peer name p1 && ip link set n1 up && ip link set p1 up");
    return 0;
}

static void expect(const char *name, const char *value)
{
    char now[OS_SYSCTL_VALUE];
    assert_int_equal(os_sysctl_read(name, now), 0);
    assert_string_equal(now, value);
}

static struct os_store *store(void)
{
    struct os_store *s;
    assert_int_equal(os_store_open(scratch, &s, why, sizeof why), 0);
    return s;
}

static void values_are_put_back(void **state)
{
    (void)state;
    if (!have_space) skip();
    struct os_sysctl *s;
    assert_int_equal(os_sysctl_open(NULL, &s), 0);
    expect("net/ipv4/ip_forward", "0");
    expect("net/ipv6/conf/n1/accept_ra", "1");
    assert_int_equal(os_sysctl_forwarding(s, "n1", why, sizeof why), 0);
    expect("net/ipv4/ip_forward", "1");
    expect("net/ipv6/conf/all/forwarding", "1");
    expect("net/ipv6/conf/n1/accept_ra", "2");
    assert_int_equal(os_sysctl_forwarding(s, "n1", why, sizeof why), 0); // again: nothing to do
    assert_int_equal(os_sysctl_set(s, "net/ipv4/ip_default_ttl", "70", why, sizeof why), 0);
    assert_int_equal(os_sysctl_set(s, "net/ipv4/ip_default_ttl", "71", why, sizeof why), 0);
    os_sysctl_restore(s, "net/ipv4/ip_default_ttl");
    expect("net/ipv4/ip_default_ttl", "64");
    assert_int_equal(os_sysctl_set(s, "net/ipv4/ip_default_ttl", "72", why, sizeof why), 0);
    assert_true(space_write("/proc/sys/net/ipv4/ip_default_ttl", "99")); // somebody else knows better
    os_sysctl_close(s);
    expect("net/ipv4/ip_forward", "0");
    expect("net/ipv6/conf/all/forwarding", "0");
    expect("net/ipv6/conf/n1/accept_ra", "1");
    expect("net/ipv4/ip_default_ttl", "99");
    os_sysctl_close(NULL);
}

static void interface_with_a_dot_and_one_that_goes(void **state)
{
    (void)state;
    if (!have_space) skip();
    struct os_sysctl *s;
    assert_true(space_run("ip link add n2.7 type veth peer name p2"));
    assert_int_equal(os_sysctl_open(NULL, &s), 0);
    assert_int_equal(os_sysctl_set(s, "net/ipv6/conf/n2.7/accept_ra", "2", why, sizeof why), 0);
    expect("net/ipv6/conf/n2.7/accept_ra", "2");
    assert_true(space_run("ip link del p2"));
    os_sysctl_close(s);
}

static void bad_names_and_no_permission(void **state)
{
    (void)state;
    if (!have_space) skip();
    struct os_sysctl *s;
    char v[OS_SYSCTL_VALUE];
    assert_int_equal(os_sysctl_read("../../etc/passwd", v), BW_ERR_RANGE);
    assert_int_equal(os_sysctl_read("/etc/passwd", v), BW_ERR_RANGE);
    assert_int_equal(os_sysctl_read("net/ipv4/nosuch", v), BW_ERR_NOTFOUND);
    assert_int_equal(os_sysctl_open(NULL, &s), 0);
    assert_int_equal(os_sysctl_set(s, "net/ipv4/nosuch", "1", why, sizeof why), BW_ERR_NOTFOUND);
    assert_int_not_equal(os_sysctl_set(s, "net/ipv4/ip_default_ttl", "1000", why, sizeof why), 0);
    assert_non_null(strstr(why, "ip_default_ttl"));
    if (mount("/proc/sys", "/proc/sys", NULL, MS_BIND, NULL) == 0 &&
        mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0) {
        assert_int_not_equal(os_sysctl_set(s, "net/ipv4/ip_forward", "1", why, sizeof why), 0);
        assert_non_null(strstr(why, "container"));
        assert_int_equal(umount2("/proc/sys", MNT_DETACH), 0);
    }
    os_sysctl_close(s);
    expect("net/ipv4/ip_forward", "0");
}

static void leftovers_of_a_killed_run(void **state)
{
    (void)state;
    if (!have_space) skip();
    int p[2];
    char c;
    assert_int_equal(pipe(p), 0);
    pid_t child = fork();
    if (child == 0) {
        struct os_store *db;
        struct os_sysctl *s;
        if (os_store_open(scratch, &db, NULL, 0) || os_sysctl_open(db, &s) || os_sysctl_forwarding(s, "n1", NULL, 0))
            _exit(1);
        if (os_sysctl_set(s, "net/ipv4/tcp_sack", "0", NULL, 0)) _exit(1);
        if (write(p[1], "x", 1) != 1) _exit(1);
        pause();
    }
    close(p[1]);
    assert_int_equal(read(p[0], &c, 1), 1);
    close(p[0]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    expect("net/ipv4/ip_forward", "1");
    expect("net/ipv6/conf/n1/accept_ra", "2");
    assert_true(space_write("/proc/sys/net/ipv4/ip_forward", "0"));
    assert_true(space_write("/proc/sys/net/ipv4/ip_forward", "1")); // the same value is indistinguishable, and put back
    struct os_store *db = store();
    struct os_sysctl *s;
    assert_int_equal(os_sysctl_open(db, &s), 0);
    expect("net/ipv4/ip_forward", "0");
    expect("net/ipv6/conf/all/forwarding", "0");
    expect("net/ipv6/conf/n1/accept_ra", "1");
    expect("net/ipv4/tcp_sack", "1");
    os_sysctl_close(s);
    // What was noted in another network namespace (or boot) is forgotten, not applied.
    const char *foreign = "another-boot:77\n0\n1";
    assert_int_equal(os_store_put(db, "sysctl", "net/ipv4/tcp_sack", 17, foreign, strlen(foreign)), 0);
    assert_int_equal(os_store_put(db, "sysctl", "junk", 4, "x", 1), 0);
    assert_int_equal(os_sysctl_open(db, &s), 0);
    expect("net/ipv4/tcp_sack", "1");
    assert_int_equal(os_store_get(db, "sysctl", "junk", 4, &c, 1), BW_ERR_NOTFOUND);
    os_sysctl_close(s);
    os_store_close(db);
}

static void namespaces_are_told_apart(void **state)
{
    (void)state;
    if (!have_space) skip();
    assert_false(os_ns_first_net());
    assert_int_not_equal(os_ns_net_id(), outside);
    assert_true(os_ns_is_mount("/proc"));
    assert_true(os_ns_is_mount("/"));
    assert_false(os_ns_is_mount("/etc/passwd"));
    assert_false(os_ns_is_mount("/pro"));
    char odd[OS_WHY];
    snprintf(odd, sizeof odd, "%s/a b\\c", scratch);
    FILE *f = fopen(odd, "w");
    fclose(f);
    assert_false(os_ns_is_mount(odd));
    assert_int_equal(mount("/etc/passwd", odd, NULL, MS_BIND, NULL), 0);
    assert_true(os_ns_is_mount(odd));
    umount2(odd, MNT_DETACH);
}

static void systemd_is_told(void **state)
{
    (void)state;
    char path[128], got[64] = "";
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(os_notify("READY=1"), 0);
    snprintf(path, sizeof path, "%s/notify", scratch);
    strcpy(sa.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (void *)&sa, sizeof sa), 0);
    setenv("NOTIFY_SOCKET", path, 1);
    assert_int_equal(os_notify("READY=1"), 0);
    assert_int_equal(recv(fd, got, sizeof got, 0), 7);
    assert_string_equal(got, "READY=1");
    close(fd);
    assert_int_equal(os_notify("STOPPING=1"), BW_ERR_SYS);
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_int_equal(os_notify("STOPPING=1"), BW_ERR_SYS);
    snprintf(path, sizeof path, "@byway-test-%d", getpid());
    memset(sa.sun_path, 0, sizeof sa.sun_path);
    memcpy(sa.sun_path + 1, path + 1, strlen(path) - 1);
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (void *)&sa, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))), 0);
    setenv("NOTIFY_SOCKET", path, 1);
    assert_int_equal(os_notify("STOPPING=1"), 0);
    assert_int_equal(recv(fd, got, sizeof got, 0), 10);
    close(fd);
    unsetenv("NOTIFY_SOCKET");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_put_back),         cmocka_unit_test(interface_with_a_dot_and_one_that_goes),
        cmocka_unit_test(bad_names_and_no_permission), cmocka_unit_test(leftovers_of_a_killed_run),
        cmocka_unit_test(namespaces_are_told_apart),   cmocka_unit_test(systemd_is_told),
    };
    return cmocka_run_group_tests(tests, enter, scratch_remove);
}
