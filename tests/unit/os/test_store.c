// os/store on real files: values, order, transactions, durability across SIGKILL, damage, versions.
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "os/file.h"
#include "os/store.h"
#include "os/why.h"
#include "unit/os/scratch.h"

static char why[OS_WHY];

static struct os_store *opened(int expect)
{
    struct os_store *s;
    why[0] = 0;
    assert_int_equal(os_store_open(scratch, &s, why, sizeof why), expect);
    return s;
}

static void db_path(char out[OS_PATH])
{
    assert_int_equal(os_file_path(out, scratch, "byway.db"), 0);
}

static void values_come_back(void **state)
{
    (void)state;
    struct os_store *s = opened(0);
    uint8_t out[300];
    char path[OS_PATH];
    struct stat st;
    db_path(path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(os_store_get(s, "a", "k", 1, out, sizeof out), BW_ERR_NOTFOUND);
    assert_int_equal(os_store_put(s, "a", "k", 1, "one", 3), 0);
    assert_int_equal(os_store_put(s, "b", "k", 1, "two!", 4), 0);
    assert_int_equal(os_store_put(s, "a", "", 0, "", 0), 0); // empty key, empty value
    assert_int_equal(os_store_get(s, "a", "k", 1, out, sizeof out), 3);
    assert_memory_equal(out, "one", 3);
    assert_int_equal(os_store_get(s, "b", "k", 1, out, sizeof out), 4);
    assert_int_equal(os_store_get(s, "b", "k", 1, out, 3), BW_ERR_RANGE);
    assert_int_equal(os_store_get(s, "a", "", 0, out, sizeof out), 0);
    assert_int_equal(os_store_put(s, "a", "k", 1, "uno", 3), 0);
    os_store_close(s);
    s = opened(0);
    assert_int_equal(os_store_get(s, "a", "k", 1, out, sizeof out), 3);
    assert_memory_equal(out, "uno", 3);
    assert_int_equal(os_store_del(s, "a", "k", 1), 0);
    assert_int_equal(os_store_del(s, "a", "k", 1), 0);
    assert_int_equal(os_store_get(s, "a", "k", 1, out, sizeof out), BW_ERR_NOTFOUND);
    os_store_close(s);
    os_store_close(NULL);
}

static int count_and_order(void *ctx, const uint8_t *key, size_t key_n, const uint8_t *p, size_t n)
{
    int *i = ctx;
    assert_int_equal(key_n, 1);
    assert_int_equal(n, 1);
    assert_int_equal(key[0], *i);
    assert_int_equal(p[0], 255 - *i);
    return ++*i == 200 ? 42 : 0;
}

static void iteration_and_transactions(void **state)
{
    (void)state;
    struct os_store *s = opened(0);
    uint64_t v;
    assert_int_equal(os_store_begin(s), 0);
    for (int i = 255; i >= 0; i--) {
        uint8_t k = (uint8_t)i, x = (uint8_t)(255 - i);
        assert_int_equal(os_store_put(s, "it", &k, 1, &x, 1), 0);
    }
    assert_int_equal(os_store_commit(s), 0);
    int i = 0;
    assert_int_equal(os_store_iter(s, "it", count_and_order, &i), 42);
    i = 0;
    assert_int_equal(os_store_iter(s, "none", count_and_order, &i), 0);
    assert_int_equal(os_store_get_u64(s, "c", "x", 9, &v), 0);
    assert_int_equal(v, 9);
    assert_int_equal(os_store_put_u64(s, "c", "x", UINT64_MAX - 1), 0);
    assert_int_equal(os_store_get_u64(s, "c", "x", 9, &v), 0);
    assert_true(v == UINT64_MAX - 1);
    assert_int_equal(os_store_begin(s), 0);
    assert_int_equal(os_store_put_u64(s, "c", "x", 1), 0);
    os_store_close(s); // not committed
    s = opened(0);
    assert_int_equal(os_store_get_u64(s, "c", "x", 9, &v), 0);
    assert_true(v == UINT64_MAX - 1);
    os_store_close(s);
}

// A child counts up and says each number once it is reserved; killed in the middle, the file must hold at least that
// number.
static void what_was_said_survives_sigkill(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        int p[2];
        assert_int_equal(pipe(p), 0);
        pid_t child = fork();
        if (child == 0) {
            struct os_store *s;
            if (os_store_open(scratch, &s, NULL, 0) < 0) _exit(1);
            for (uint64_t n = 1;; n++)
                if (os_store_put_u64(s, "kill", "n", n) || write(p[1], &n, sizeof n) != sizeof n) _exit(1);
        }
        close(p[1]);
        uint64_t said = 0, stored;
        while (said < 20u + (unsigned)round * 7) assert_int_equal(read(p[0], &said, sizeof said), sizeof said);
        kill(child, SIGKILL);
        uint64_t more;
        while (read(p[0], &more, sizeof more) == sizeof more) said = more;
        close(p[0]);
        waitpid(child, NULL, 0);
        struct os_store *s = opened(0);
        assert_int_equal(os_store_get_u64(s, "kill", "n", 0, &stored), 0);
        assert_true(stored >= said);
        os_store_close(s);
    }
}

static int aside_files(void)
{
    DIR *d = opendir(scratch);
    struct dirent *e;
    int n = 0;
    while ((e = readdir(d))) n += strstr(e->d_name, "byway.db.damaged-") != NULL;
    closedir(d);
    return n;
}

static void scribble(off_t at, const char *text, size_t n, bool cut)
{
    char path[OS_PATH];
    db_path(path);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, n, at), n);
    if (cut) assert_int_equal(ftruncate(fd, at + (off_t)n), 0);
    close(fd);
}

static void damage_is_set_aside(void **state)
{
    (void)state;
    char path[OS_PATH];
    uint64_t v;
    struct os_store *s = opened(0);
    assert_int_equal(os_store_put_u64(s, "c", "x", 5), 0);
    os_store_close(s);
    scribble(0, "this is no database at all, sorry", 33, true); // another header
    s = opened(1);
    assert_non_null(strstr(why, "damaged"));
    assert_int_equal(os_store_get_u64(s, "c", "x", 0, &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(os_store_put_u64(s, "c", "x", 6), 0);
    os_store_close(s);
    assert_int_equal(aside_files(), 1);
    char junk[2048];
    memset(junk, 0xa5, sizeof junk);
    scribble(4096, junk, sizeof junk, false); // inside the table's page
    s = opened(1);
    os_store_close(s);
    s = opened(0);
    assert_int_equal(os_store_put_u64(s, "c", "x", 7), 0);
    os_store_close(s);
    db_path(path);
    assert_int_equal(truncate(path, 0), 0); // an empty file is a new database and no damage
    s = opened(0);
    os_store_close(s);
    // a table of that name with another shape
    sqlite3 *db;
    unlink(path);
    assert_int_equal(sqlite3_open(path, &db), 0);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE kv(a); PRAGMA user_version = 1", NULL, NULL, NULL), 0);
    sqlite3_close(db);
    s = opened(1);
    os_store_close(s);
}

static void a_newer_version_is_refused_and_untouched(void **state)
{
    (void)state;
    char path[OS_PATH];
    struct os_store *s;
    db_path(path);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), 0);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 9", NULL, NULL, NULL), 0);
    sqlite3_close(db);
    assert_int_equal(os_store_open(scratch, &s, why, sizeof why), BW_ERR_UNSUPPORTED);
    assert_non_null(strstr(why, "newer"));
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(os_store_open(scratch, &s, why, sizeof why), BW_ERR_SYS);
    rmdir(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back),
        cmocka_unit_test(iteration_and_transactions),
        cmocka_unit_test(what_was_said_survives_sigkill),
        cmocka_unit_test(damage_is_set_aside),
        cmocka_unit_test(a_newer_version_is_refused_and_untouched),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
