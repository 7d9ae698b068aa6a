// os/resolv on files of the test's own, and on the real /etc/resolv.conf inside mount and network namespaces.
#include <net/if.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "os/file.h"
#include "os/ns.h"
#include "os/resolv.h"
#include "os/why.h"
#include "unit/os/scratch.h"
#include "unit/os/space.h"

static bool have_space;
static char why[OS_WHY], conf[OS_PATH], saved[OS_PATH], text[8192];
static struct bw_addr servers[2];

static int enter(void **state)
{
    if (scratch_make(state)) return -1;
    have_space = space_network();
    snprintf(conf, sizeof conf, "%s/resolv.conf", scratch);
    snprintf(saved, sizeof saved, "%s/resolv.conf.saved", scratch);
    return bw_addr_parse("100.64.0.1", &servers[0]) || bw_addr_parse("fd00::53", &servers[1]);
}

static void put(const char *path, const char *s)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(s, f);
    fclose(f);
}

static const char *get(const char *path)
{
    ssize_t n = os_file_read(path, text, sizeof text);
    return n < 0 ? "(none)" : text;
}

static struct os_resolv *opened(const char *path)
{
    struct os_resolv *r;
    if (os_resolv_open(scratch, path, &r, why, sizeof why)) fail_msg("%s", why);
    return r;
}

static const char before[] = "# by hand\nnameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch example.org "
                             "example.net\noptions edns0 trust-ad ndots:2\n";

static void put_and_put_back(void **state)
{
    (void)state;
    struct bw_endpoint up[4];
    struct stat st;
    put(conf, before);
    assert_int_equal(chmod(conf, 0640), 0);
    struct os_resolv *r = opened(conf);
    assert_int_equal(os_resolv_upstreams(r, up, 4), 2);
    assert_int_equal(os_resolv_set(r, servers, 2, why, sizeof why), 0);
    assert_non_null(strstr(get(conf), "nameserver 100.64.0.1\nnameserver fd00::53\n"));
    assert_non_null(strstr(text, "search example.org example.net\n"));
    assert_non_null(strstr(text, "edns0"));
    assert_null(strstr(text, "trust-ad"));
    assert_null(strstr(text, "192.0.2.53"));
    assert_int_equal(stat(conf, &st), 0);
    ino_t first = st.st_ino;
    assert_int_equal(os_resolv_set(r, servers, 2, why, sizeof why), 0); // nothing to do
    assert_int_equal(stat(conf, &st), 0);
    assert_int_equal(st.st_ino, first);
    assert_int_equal(os_resolv_set(r, servers, 1, why, sizeof why), 0);
    assert_null(strstr(get(conf), "fd00::53"));
    assert_non_null(strstr(text, "search example.org"));
    assert_int_equal(os_resolv_upstreams(r, up, 4), 2); // still the machine's own
    assert_int_equal(up[0].port, 53);
    os_resolv_close(r);
    assert_string_equal(get(conf), before);
    assert_int_equal(stat(conf, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(access(saved, F_OK), -1);
    os_resolv_close(NULL);
}

static void what_others_write_stays(void **state)
{
    (void)state;
    struct bw_endpoint up[4];
    put(conf, before);
    struct os_resolv *r = opened(conf);
    assert_int_equal(os_resolv_set(r, servers, 1, why, sizeof why), 0);
    put(conf, "nameserver 198.51.100.1\n"); // a DHCP client
    assert_int_equal(os_resolv_upstreams(r, up, 4), 1);
    assert_int_equal(os_resolv_set(r, servers, 1, why, sizeof why), 0); // ours again, and that is what comes back
    assert_non_null(strstr(get(conf), "100.64.0.1"));
    assert_int_equal(os_resolv_restore(r, why, sizeof why), 0);
    assert_string_equal(get(conf), "nameserver 198.51.100.1\n");
    assert_int_equal(os_resolv_set(r, servers, 1, why, sizeof why), 0);
    put(conf, "nameserver 198.51.100.2\n");
    os_resolv_close(r);
    assert_string_equal(get(conf), "nameserver 198.51.100.2\n");
    assert_int_equal(access(saved, F_OK), -1);
}

static void one_that_is_too_long_stays(void **state)
{
    (void)state;
    static char lines[8192];
    static const char line[] = "search a-rather-long-name.example.org\n";
    const char *fewer = lines + 10 * strlen(line);
    for (size_t n = 0; n + sizeof line <= sizeof lines; n += sizeof line - 1) memcpy(lines + n, line, sizeof line);
    put(conf, lines);
    struct os_resolv *r = opened(conf);
    assert_int_equal(os_resolv_set(r, servers, 2, why, sizeof why), BW_ERR_RANGE); // whole or not at all
    assert_non_null(strstr(why, "too long"));
    assert_non_null(strstr(get(conf), lines));
    put(conf, fewer);
    assert_int_equal(os_resolv_set(r, servers, 2, why, sizeof why), 0);
    assert_non_null(strstr(get(conf), "nameserver fd00::53\n"));
    assert_non_null(strstr(get(conf), fewer));
    os_resolv_close(r);
    assert_string_equal(get(conf), fewer);
}

static void links_and_nothing_at_all(void **state)
{
    (void)state;
    char target[64] = "", stub[OS_PATH];
    struct bw_endpoint up[4];
    snprintf(stub, sizeof stub, "%s/stub.conf", scratch);
    put(stub, "nameserver 127.0.0.53\nsearch lan\n");
    unlink(conf);
    assert_int_equal(symlink("stub.conf", conf), 0);
    struct os_resolv *r = opened(conf);
    assert_int_equal(os_resolv_set(r, servers, 1, why, sizeof why), 0);
    assert_string_equal(get(stub), "nameserver 127.0.0.53\nsearch lan\n"); // what the link points to is not ours
    assert_non_null(strstr(get(conf), "100.64.0.1"));
    assert_non_null(strstr(text, "search lan"));
    assert_int_equal(os_resolv_upstreams(r, up, 4), 1);
    os_resolv_close(r);
    assert_int_equal(readlink(conf, target, sizeof target), 9);
    assert_string_equal(target, "stub.conf");
    unlink(conf);
    r = opened(conf);
    assert_int_equal(os_resolv_upstreams(r, up, 4), 0);
    assert_int_equal(os_resolv_set(r, servers, 1, why, sizeof why), 0);
    assert_non_null(strstr(get(conf), "100.64.0.1"));
    os_resolv_close(r);
    assert_int_equal(access(conf, F_OK), -1);
}

static void after_a_kill(void **state)
{
    (void)state;
    int p[2];
    char c;
    put(conf, before);
    assert_int_equal(pipe(p), 0);
    pid_t child = fork();
    if (child == 0) {
        struct os_resolv *r;
        if (os_resolv_open(scratch, conf, &r, NULL, 0) || os_resolv_set(r, servers, 2, NULL, 0) ||
            write(p[1], "x", 1) != 1)
            _exit(1);
        pause();
    }
    close(p[1]);
    assert_int_equal(read(p[0], &c, 1), 1);
    close(p[0]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_non_null(strstr(get(conf), "100.64.0.1"));
    // A node with another state folder must not take that for its own.
    char other[OS_PATH];
    struct os_resolv *r;
    snprintf(other, sizeof other, "%s/other", scratch);
    assert_int_equal(mkdir(other, 0700), 0);
    assert_int_equal(os_resolv_open(other, conf, &r, why, sizeof why), 0);
    assert_non_null(strstr(get(conf), "100.64.0.1"));
    os_resolv_close(r);
    r = opened(conf);
    assert_string_equal(get(conf), before);
    os_resolv_close(r);
}

static void a_mount_of_its_own(void **state)
{
    (void)state;
    if (!have_space) skip();
    char own[OS_PATH];
    assert_false(os_resolv_may("/etc/resolv.conf", why, sizeof why)); // we are in a namespace of our own
    assert_non_null(strstr(why, "/etc/netns"));
    snprintf(own, sizeof own, "%s/own.conf", scratch);
    put(own, before);
    put(conf, "shared\n");
    assert_int_equal(mount(own, conf, NULL, MS_BIND, NULL), 0);
    assert_true(os_resolv_may(conf, why, sizeof why));
    struct os_resolv *r = opened(conf);
    assert_int_equal(os_resolv_set(r, servers, 2, why, sizeof why), 0);
    assert_non_null(strstr(get(conf), "100.64.0.1"));
    assert_non_null(strstr(get(own), "100.64.0.1")); // written in place: a mounted file cannot be replaced
    assert_int_equal(os_resolv_set(r, servers, 1, why, sizeof why), 0); // and shorter
    assert_null(strstr(get(conf), "fd00::53"));
    os_resolv_close(r);
    assert_string_equal(get(conf), before);
    assert_int_equal(umount2(conf, MNT_DETACH), 0);
    assert_string_equal(get(conf), "shared\n");
}

static void a_read_only_place_is_told(void **state)
{
    (void)state;
    char dir[OS_PATH], path[OS_PATH + 16];
    snprintf(dir, sizeof dir, "%s/ro", scratch);
    assert_int_equal(mkdir(dir, 0700), 0);
    if (!have_space || mount("tmpfs", dir, "tmpfs", 0, NULL)) skip();
    snprintf(path, sizeof path, "%s/resolv.conf", dir);
    put(path, before);
    assert_int_equal(mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    struct os_resolv *r = opened(path);
    assert_int_not_equal(os_resolv_set(r, servers, 1, why, sizeof why), 0);
    assert_non_null(strstr(why, "dns = none"));
    os_resolv_close(r);
    assert_string_equal(get(path), before);
    umount2(dir, MNT_DETACH);
}

static void parsing(void **state)
{
    (void)state;
    struct bw_endpoint up[8];
    char lo[OS_PATH];
    snprintf(lo, sizeof lo, "nameserver fe80::1%%%s\nnameserver fe80::2\nnameserver fe80::3%%7\n",
             have_space ? "lo" : "1");
    assert_int_equal(os_resolv_parse(lo, up, 8), 2);
    assert_int_equal(up[0].scope, 1);
    assert_int_equal(up[1].scope, 7);
    assert_int_equal(
        os_resolv_parse("nameserver\t192.0.2.1 # home\nNameserver 1.1.1.1\n#nameserver 1.1.1.1\nnameserverx 1.1.1.1\n"
                        "nameserver\nnameserver nonsense\nnameserver 1.2.3.4.5\nnameserver ::1",
                        up, 8),
        2);
    assert_int_equal(os_resolv_parse("nameserver ::1\nnameserver ::2\nnameserver ::3\n", up, 2), 2);
    assert_int_equal(os_resolv_parse("", up, 2), 0);
    char longline[400];
    memset(longline, 'x', sizeof longline - 1);
    longline[sizeof longline - 1] = 0;
    memcpy(longline, "nameserver ", 11);
    assert_int_equal(os_resolv_parse(longline, up, 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_and_put_back),
        cmocka_unit_test(what_others_write_stays),
        cmocka_unit_test(one_that_is_too_long_stays),
        cmocka_unit_test(links_and_nothing_at_all),
        cmocka_unit_test(after_a_kill),
        cmocka_unit_test(a_mount_of_its_own),
        cmocka_unit_test(a_read_only_place_is_told),
        cmocka_unit_test(parsing),
    };
    return cmocka_run_group_tests(tests, enter, scratch_remove);
}
