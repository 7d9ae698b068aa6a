#include "os/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/file.h"
#include "os/why.h"

#define SCHEMA_VERSION 1
#define APPLICATION_ID 0x62797779 // "bywy": `file` and a curious sqlite3 user see whose it is

enum { GET, PUT, DEL, ITER, BEGIN, COMMIT, ROLLBACK, STATEMENTS };
static const char *const sql[STATEMENTS] = {
    [GET] = "SELECT value FROM kv WHERE tab = ?1 AND key = ?2",
    [PUT] = "INSERT INTO kv(tab, key, value) VALUES(?1, ?2, ?3) ON CONFLICT(tab, key) DO UPDATE SET value = ?3",
    [DEL] = "DELETE FROM kv WHERE tab = ?1 AND key = ?2",
    [ITER] = "SELECT key, value FROM kv WHERE tab = ?1 ORDER BY key",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

struct os_store {
    sqlite3 *db;
    sqlite3_stmt *st[STATEMENTS];
    char path[OS_PATH];
    char error[OS_PATH + OS_WHY];
};

// TRUNCATE with FULL: the journal's end is synced, so a commit that returned is there after a power cut (with DELETE it
// would need EXTRA). EXCLUSIVE: one process, no lock traffic, no shared memory. The cache is small: the data is.
static const char settings[] =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = FULL;"
    "PRAGMA cache_size = -128; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;"
    "PRAGMA cell_size_check = ON; PRAGMA secure_delete = ON;"; // what is deleted is not in the file any more

static int fail(struct os_store *s, int rc, const char *what)
{
    const char *hint = "";
    int err = BW_ERR_SYS;
    switch (rc & 0xff) {
    case SQLITE_FULL:
        hint = " (the disk is full: make room)";
        break;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        hint = " (the folder must be writable: remount it, or give another one with --state)";
        break;
    case SQLITE_BUSY:
        hint = " (another program has it open: close it)";
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        err = BW_ERR_MALFORMED;
        hint = " (the file is damaged; at the next start it is set aside)";
        break;
    case SQLITE_NOMEM:
        err = BW_ERR_NOMEM;
        break;
    }
    snprintf(s->error, sizeof s->error, "%s cannot be %s: %s%s", s->path, what,
             s->db && sqlite3_errcode(s->db) ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc), hint);
    return err;
}

static int pragma_int(sqlite3 *db, const char *pragma, int *out)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(db, pragma, -1, &st, NULL);
    if (rc) return rc;
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) *out = sqlite3_column_int(st, 0);
    int done = sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : done ? done : rc;
}

static int quick_check(sqlite3 *db)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL);
    if (rc) return rc;
    rc = sqlite3_step(st);
    bool ok = rc == SQLITE_ROW && !strcmp((const char *)sqlite3_column_text(st, 0), "ok");
    sqlite3_finalize(st);
    if (rc != SQLITE_ROW) return rc;
    return ok ? 0 : SQLITE_CORRUPT;
}

// 0, an SQLite code, or -1: from a newer byway.
static int prepare_schema(struct os_store *s)
{
    int version = 0;
    int rc = pragma_int(s->db, "PRAGMA user_version", &version);
    if (rc) return rc;
    if (version > SCHEMA_VERSION) return -1;
    if (version == 0) {
        char text[512];
        snprintf(
            text, sizeof text,
            "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS kv(tab TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, "
            "PRIMARY KEY(tab, key)) WITHOUT ROWID; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
            APPLICATION_ID, SCHEMA_VERSION);
        rc = sqlite3_exec(s->db, text, NULL, NULL, NULL);
        if (rc) return rc;
    }
    for (int i = 0; !rc && i < STATEMENTS; i++)
        rc = sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->st[i], NULL);
    // A table of the right name and the wrong shape is damage too.
    return (rc & 0xff) == SQLITE_ERROR ? SQLITE_CORRUPT : rc;
}

static void close_db(struct os_store *s)
{
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(s->st[i]);
        s->st[i] = NULL;
    }
    sqlite3_close(s->db);
    s->db = NULL;
}

static int open_db(struct os_store *s)
{
    int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600); // SQLite would make it 0644
    if (fd >= 0) close(fd);
    int rc = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (!rc) rc = sqlite3_extended_result_codes(s->db, 1);
    if (!rc && sqlite3_db_readonly(s->db, "main")) rc = SQLITE_READONLY; // it would open and refuse the first write
    if (!rc) rc = sqlite3_exec(s->db, settings, NULL, NULL, NULL);
    if (!rc) rc = quick_check(s->db);
    if (!rc) rc = prepare_schema(s);
    return rc;
}

static int set_aside(struct os_store *s, char *why, size_t n)
{
    char aside[OS_PATH + 32], journal[OS_PATH + 16];
    snprintf(aside, sizeof aside, "%s.damaged-%llu", s->path, (unsigned long long)(os_clock_unix_ns() / 1000000000u));
    if (rename(s->path, aside))
        return os_why(BW_ERR_SYS, why, n, "%s is damaged and cannot be moved away: %m (move it away by hand)", s->path);
    snprintf(journal, sizeof journal, "%s-journal", s->path); // must not be played back into the new file
    unlink(journal);
    int err = open_db(s);
    if (err) return os_why(fail(s, err, "opened"), why, n, "%s", s->error);
    return os_why(1, why, n, "%s was damaged and now lies at %s; counters and leases start anew", s->path, aside);
}

static int open_or_renew(struct os_store *s, char *why, size_t n)
{
    int rc = open_db(s);
    if (!rc) return 0;
    if (rc == -1)
        return os_why(BW_ERR_UNSUPPORTED, why, n,
                      "%s was written by a newer byway (install that version again, or move the "
                      "file away)",
                      s->path);
    int err = fail(s, rc, "opened");
    if (err != BW_ERR_MALFORMED) return os_why(err, why, n, "%s", s->error);
    close_db(s);
    return set_aside(s, why, n);
}

int os_store_open(const char *state_dir, struct os_store **out, char *why, size_t n)
{
    struct os_store *s = calloc(1, sizeof *s);
    if (!s) return os_why(BW_ERR_NOMEM, why, n, "out of memory");
    int err = os_file_path(s->path, state_dir, "byway.db");
    if (err) os_why(err, why, n, "the state folder's path is too long");
    else err = open_or_renew(s, why, n);
    if (err < 0) os_store_close(s);
    else *out = s;
    return err;
}

void os_store_close(struct os_store *s)
{
    if (!s) return;
    close_db(s);
    free(s);
}

static sqlite3_stmt *bound(struct os_store *s, int which, const char *table, const void *key, size_t key_n)
{
    sqlite3_stmt *st = s->st[which];
    BW_ASSERT(key_n <= OS_STORE_KEY_MAX);
    sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC);
    if (which != ITER) sqlite3_bind_blob(st, 2, key_n ? key : "", (int)key_n, SQLITE_STATIC);
    return st;
}

static int run(struct os_store *s, int which, const char *what)
{
    int rc = sqlite3_step(s->st[which]);
    int err = rc == SQLITE_DONE ? 0 : fail(s, rc, what);
    sqlite3_reset(s->st[which]);
    sqlite3_clear_bindings(s->st[which]);
    return err;
}

ssize_t os_store_get(struct os_store *s, const char *table, const void *key, size_t key_n, void *out, size_t cap)
{
    sqlite3_stmt *st = bound(s, GET, table, key, key_n);
    int rc = sqlite3_step(st);
    ssize_t r;
    if (rc == SQLITE_ROW) {
        int len = sqlite3_column_bytes(st, 0);
        const void *p = sqlite3_column_blob(st, 0);
        r = (size_t)len > cap ? BW_ERR_RANGE : len;
        if (r > 0) memcpy(out, p, (size_t)len);
    } else {
        r = rc == SQLITE_DONE ? BW_ERR_NOTFOUND : fail(s, rc, "read");
    }
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return r;
}

int os_store_put(struct os_store *s, const char *table, const void *key, size_t key_n, const void *p, size_t n)
{
    BW_ASSERT(n <= OS_STORE_VALUE_MAX);
    sqlite3_stmt *st = bound(s, PUT, table, key, key_n);
    sqlite3_bind_blob(st, 3, n ? p : "", (int)n, SQLITE_STATIC);
    return run(s, PUT, "written");
}

int os_store_del(struct os_store *s, const char *table, const void *key, size_t key_n)
{
    bound(s, DEL, table, key, key_n);
    return run(s, DEL, "written");
}

int os_store_iter(struct os_store *s, const char *table, os_store_fn *fn, void *ctx)
{
    sqlite3_stmt *st = bound(s, ITER, table, NULL, 0);
    int r = 0, rc = SQLITE_DONE;
    while (!r && (rc = sqlite3_step(st)) == SQLITE_ROW)
        r = fn(ctx, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0), sqlite3_column_blob(st, 1),
               (size_t)sqlite3_column_bytes(st, 1));
    if (!r && rc != SQLITE_DONE) r = fail(s, rc, "read");
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return r;
}

int os_store_get_u64(struct os_store *s, const char *table, const char *key, uint64_t otherwise, uint64_t *out)
{
    uint8_t b[8];
    ssize_t n = os_store_get(s, table, key, strlen(key), b, sizeof b);
    *out = otherwise;
    if (n == BW_ERR_NOTFOUND) return 0;
    if (n != sizeof b) return n < 0 ? (int)n : BW_ERR_MALFORMED;
    *out = 0;
    for (int i = 0; i < 8; i++) *out = *out << 8 | b[i];
    return 0;
}

int os_store_put_u64(struct os_store *s, const char *table, const char *key, uint64_t v)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++) b[i] = (uint8_t)(v >> (56 - 8 * i));
    return os_store_put(s, table, key, strlen(key), b, sizeof b);
}

int os_store_begin(struct os_store *s)
{
    return run(s, BEGIN, "written");
}

int os_store_commit(struct os_store *s)
{
    int err = run(s, COMMIT, "written");
    if (err && !sqlite3_get_autocommit(s->db)) {
        sqlite3_step(s->st[ROLLBACK]); // s->error keeps the reason
        sqlite3_reset(s->st[ROLLBACK]);
    }
    return err;
}

const char *os_store_error(const struct os_store *s)
{
    return s->error;
}
