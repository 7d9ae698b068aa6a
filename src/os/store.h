// STATE/byway.db: what must survive a restart, as (table, key) -> bytes in SQLite. Every write is on disk when the call
// returns (rollback journal, synchronous = FULL): TAI64N and seqno reservations rely on it, so a put costs an fsync;
// group several with begin/commit. One thread, one process (os/state.h holds the lock).
#ifndef OS_STORE_H
#define OS_STORE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define OS_STORE_KEY_MAX 256
#define OS_STORE_VALUE_MAX 65536

struct os_store;

// Returns 0, or 1 if the file was damaged: then it stands aside as byway.db.damaged-UNIXTIME, a new one is open and why
// tells so. BW_ERR_UNSUPPORTED: written by a newer byway. BW_ERR_SYS: cannot be opened or written (why: full,
// read-only).
int os_store_open(const char *state_dir, struct os_store **out, char *why, size_t n) BW_NODISCARD;
void os_store_close(struct os_store *s); // s may be NULL; an open transaction is rolled back

// Table names are C strings of ours ("counter", "lease"). get returns the length, BW_ERR_NOTFOUND, or BW_ERR_RANGE if
// the value is longer than cap. put replaces. del of what is not there is fine. BW_ERR_SYS: see os_store_error.
ssize_t os_store_get(struct os_store *s, const char *table, const void *key, size_t key_n, void *out,
                     size_t cap) BW_NODISCARD;
int os_store_put(struct os_store *s, const char *table, const void *key, size_t key_n, const void *p,
                 size_t n) BW_NODISCARD;
int os_store_del(struct os_store *s, const char *table, const void *key, size_t key_n) BW_NODISCARD;
// In key order (memcmp). fn returns 0 to go on; it may put or del only what it was given. Returns fn's last value.
typedef int os_store_fn(void *ctx, const uint8_t *key, size_t key_n, const uint8_t *p, size_t n);
int os_store_iter(struct os_store *s, const char *table, os_store_fn *fn, void *ctx) BW_NODISCARD;

// Counters under text keys: get gives `otherwise` when there is none.
int os_store_get_u64(struct os_store *s, const char *table, const char *key, uint64_t otherwise,
                     uint64_t *out) BW_NODISCARD;
int os_store_put_u64(struct os_store *s, const char *table, const char *key, uint64_t v) BW_NODISCARD;

int os_store_begin(struct os_store *s) BW_NODISCARD;  // not nested
int os_store_commit(struct os_store *s) BW_NODISCARD; // on failure everything since begin is undone

// A sentence about the last failure ("the disk with /var/lib/byway is full ..."), valid until the next call.
const char *os_store_error(const struct os_store *s);

#endif
