// The state folder, its lock, the identity file, whole-file writes: with real folders, modes, a full and a read-only
// disk.
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "os/identity.h"
#include "os/state.h"
#include "os/store.h"
#include "os/why.h"
#include "unit/os/scratch.h"
#include "unit/os/space.h"

static char why[OS_WHY], path[OS_PATH];

static const char *in_scratch(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return path;
}

static void put_file(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(in_scratch(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void folder_is_made_private_and_locked(void **state)
{
    (void)state;
    struct os_state s, t;
    char dir[128];
    snprintf(dir, sizeof dir, "%s/a/b/c//", scratch);
    assert_int_equal(os_state_open(dir, &s, why, sizeof why), 0);
    struct stat st;
    assert_int_equal(stat(s.dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_not_equal(s.dir[strlen(s.dir) - 1], '/');
    assert_int_equal(os_state_open(dir, &t, why, sizeof why), BW_ERR_EXISTS);
    char pid[32];
    snprintf(pid, sizeof pid, "process %d", getpid());
    assert_non_null(strstr(why, pid));
    os_state_close(&s);
    assert_int_equal(os_state_open(dir, &t, why, sizeof why), 0);
    os_state_close(&t);
}

static void lock_goes_with_a_killed_process(void **state)
{
    (void)state;
    struct os_state s;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        if (os_state_open(in_scratch("k"), &s, why, sizeof why)) _exit(1);
        if (write(ready[1], "x", 1) != 1) _exit(1);
        pause();
    }
    char c;
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(os_state_open(in_scratch("k"), &s, why, sizeof why), BW_ERR_EXISTS);
    snprintf(path, sizeof path, "process %d", child);
    assert_non_null(strstr(why, path));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(os_state_open(in_scratch("k"), &s, why, sizeof why), 0);
    os_state_close(&s);
    close(ready[0]);
}

static void folders_of_others_are_refused(void **state)
{
    (void)state;
    struct os_state s;
    assert_int_equal(mkdir(in_scratch("open"), 0700), 0);
    assert_int_equal(chmod(path, 0777), 0);
    assert_int_equal(os_state_open(path, &s, why, sizeof why), BW_ERR_DENIED);
    assert_non_null(strstr(why, "chmod 0700"));
    put_file("plain", "", 0600);
    assert_int_equal(os_state_open(in_scratch("plain"), &s, why, sizeof why), BW_ERR_SYS);
    assert_int_equal(os_state_open(in_scratch("plain/sub"), &s, why, sizeof why), BW_ERR_SYS);
    assert_int_equal(os_state_open("", &s, why, sizeof why), BW_ERR_RANGE);
    if (geteuid() == 0) {
        assert_int_equal(mkdir(in_scratch("theirs"), 0700), 0);
        if (chown(path, 12345, 12345) == 0) { // in a user namespace with one uid it cannot be tried
            assert_int_equal(os_state_open(path, &s, why, sizeof why), BW_ERR_DENIED);
            assert_non_null(strstr(why, "12345"));
        }
    }
}

static void identity_round_trip(void **state)
{
    (void)state;
    uint8_t seed[32], back[32];
    for (int i = 0; i < 32; i++) seed[i] = (uint8_t)(i * 7 + 1);
    assert_int_equal(os_identity_read(scratch, back, why, sizeof why), BW_ERR_NOTFOUND);
    assert_int_equal(os_identity_write(scratch, seed, false, why, sizeof why), 0);
    struct stat st;
    assert_int_equal(stat(in_scratch("identity"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 45);
    assert_int_equal(os_identity_read(scratch, back, why, sizeof why), 0);
    assert_memory_equal(seed, back, 32);
    seed[0] ^= 1;
    assert_int_equal(os_identity_write(scratch, seed, false, why, sizeof why), BW_ERR_EXISTS);
    assert_int_equal(os_identity_read(scratch, back, why, sizeof why), 0);
    assert_memory_not_equal(seed, back, 32);
    assert_int_equal(os_identity_write(scratch, seed, true, why, sizeof why), 0);
    assert_int_equal(os_identity_read(scratch, back, why, sizeof why), 0);
    assert_memory_equal(seed, back, 32);
    assert_int_equal(chmod(in_scratch("identity"), 0640), 0);
    assert_int_equal(os_identity_read(scratch, back, why, sizeof why), BW_ERR_DENIED);
    assert_non_null(strstr(why, "chmod 0600"));
    unlink(path);
}

static void identity_that_is_none(void **state)
{
    (void)state;
    uint8_t seed[32];
    static const char *const bad[] = {
        "",
        "\n",
        "hello\n",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nmore\n",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_file("identity", bad[i], 0600);
        assert_int_equal(os_identity_read(scratch, seed, why, sizeof why), BW_ERR_MALFORMED);
    }
    unlink(in_scratch("identity"));
    assert_int_equal(symlink("/dev/zero", in_scratch("identity")), 0);
    assert_int_equal(os_identity_read(scratch, seed, why, sizeof why), BW_ERR_DENIED);
    unlink(in_scratch("identity"));
    assert_int_equal(mkfifo(in_scratch("identity"), 0600), 0); // must not hang
    assert_int_equal(os_identity_read(scratch, seed, why, sizeof why), BW_ERR_DENIED);
    unlink(in_scratch("identity"));
    assert_int_equal(mkdir(in_scratch("identity"), 0700), 0);
    assert_int_equal(os_identity_read(scratch, seed, why, sizeof why), BW_ERR_DENIED);
    rmdir(in_scratch("identity"));
}

static int entries(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;
    while (d && readdir(d)) n++;
    closedir(d);
    return n - 2;
}

static void full_disk_is_told_and_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_scratch("full"), 0700), 0);
    char dir[OS_PATH], big[OS_PATH + 8];
    snprintf(dir, sizeof dir, "%s", path);
    if (!space_private_mounts() || mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700")) skip();
    uint8_t seed[32] = {1}, back[32];
    struct os_state s;
    struct os_store *st;
    assert_int_equal(os_state_open(dir, &s, why, sizeof why), 0);
    assert_int_equal(os_identity_write(dir, seed, false, why, sizeof why), 0);
    assert_int_equal(os_store_open(dir, &st, why, sizeof why), 0);
    assert_int_equal(os_store_put_u64(st, "counter", "tai", 7), 0);
    snprintf(big, sizeof big, "%s/big", dir);
    int fd = open(big, O_WRONLY | O_CREAT, 0600);
    static char block[4096];
    while (write(fd, block, sizeof block) > 0) {
    }
    close(fd);
    int before = entries(dir);
    seed[0] = 2;
    assert_int_equal(os_identity_write(dir, seed, true, why, sizeof why), BW_ERR_SYS);
    assert_non_null(strstr(why, "full"));
    assert_int_equal(entries(dir), before);
    assert_int_equal(os_identity_read(dir, back, why, sizeof why), 0); // the old one stands
    assert_int_equal(back[0], 1);
    static uint8_t blob[40000];
    assert_int_equal(os_store_put(st, "t", "k", 1, blob, sizeof blob), BW_ERR_SYS);
    assert_non_null(strstr(os_store_error(st), "full"));
    os_store_close(st);
    os_state_close(&s);
    unlink(big);
    uint64_t v;
    assert_int_equal(os_store_open(dir, &st, why, sizeof why), 0); // and nothing was lost
    assert_int_equal(os_store_get_u64(st, "counter", "tai", 0, &v), 0);
    assert_int_equal(v, 7);
    os_store_close(st);
    snprintf(big, sizeof big, "%s/lock", dir);
    unlink(big);
    snprintf(big, sizeof big, "%s/big", dir);
    fd = open(big, O_WRONLY | O_CREAT, 0600);
    while (write(fd, block, sizeof block) > 0) {
    }
    close(fd);
    assert_int_equal(os_state_open(dir, &s, why, sizeof why), BW_ERR_SYS);
    assert_non_null(strstr(why, "full"));
    assert_int_equal(mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    assert_int_equal(os_state_open(dir, &s, why, sizeof why), BW_ERR_SYS);
    assert_non_null(strstr(why, "read-only"));
    assert_int_equal(os_identity_write(dir, seed, true, why, sizeof why), BW_ERR_SYS);
    assert_non_null(strstr(why, "read-only"));
    assert_int_equal(os_store_open(dir, &st, why, sizeof why), BW_ERR_SYS);
    umount2(dir, MNT_DETACH);
}

static void long_paths_are_refused(void **state)
{
    (void)state;
    char dir[OS_PATH + 10];
    memset(dir, 'x', sizeof dir);
    dir[0] = '/';
    dir[sizeof dir - 1] = 0;
    struct os_state s;
    uint8_t seed[32];
    assert_int_equal(os_state_open(dir, &s, why, sizeof why), BW_ERR_RANGE);
    assert_int_equal(os_identity_read(dir, seed, why, sizeof why), BW_ERR_RANGE);
    char small[8];
    assert_int_equal(os_file_read("/etc/passwd", small, sizeof small), BW_ERR_RANGE);
    assert_int_equal(os_file_read("/nowhere/at/all", small, sizeof small), BW_ERR_NOTFOUND);
    assert_int_equal(os_why(-3, NULL, 0, "%s", "x"), -3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folder_is_made_private_and_locked),
        cmocka_unit_test(lock_goes_with_a_killed_process),
        cmocka_unit_test(folders_of_others_are_refused),
        cmocka_unit_test(identity_round_trip),
        cmocka_unit_test(identity_that_is_none),
        cmocka_unit_test(full_disk_is_told_and_leaves_nothing),
        cmocka_unit_test(long_paths_are_refused),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
