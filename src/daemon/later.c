// Writes to the store that may wait a moment: leases, the log of them, months. Each by itself would take a sync of the disk, which on
// a small card is tens of milliseconds without an answer to anybody's heartbeat, and strangers can ask for leases as fast as they are
// let. So all of half a second go together, in their order. What must be on disk when a call returns does not come here.
#include "daemon/daemon_private.h"

#include <stdlib.h>

#define TOGETHER (500 * BW_MS)
#define ROWS_MAX 256u
#define KEY_MAX 40 // the longest of ours

struct later_row {
    STAILQ_ENTRY(later_row) next;
    const char *table;
    uint8_t key[KEY_MAX];
    size_t key_n, n;
    bool gone; // to be deleted
    uint8_t value[];
};

static int write_row(struct daemon *d, const char *table, const void *key, size_t key_n, const void *p, size_t n)
{
    return p ? os_store_put(d->store, table, key, key_n, p, n) : os_store_del(d->store, table, key, key_n);
}

static void complain(struct daemon *d, const char *table)
{
    bw_log(&d->log, BW_WARN, "the table of \"%s\" could not be written: %s", table, os_store_error(d->store));
}

void later_flush(struct daemon *d)
{
    struct later_row *r;
    if (!d->later_count) return;
    const char *table = STAILQ_FIRST(&d->later)->table;
    int err = os_store_begin(d->store);
    while ((r = STAILQ_FIRST(&d->later))) {
        if (!err) {
            table = r->table;
            err = write_row(d, r->table, r->key, r->key_n, r->gone ? NULL : r->value, r->n);
        }
        STAILQ_REMOVE_HEAD(&d->later, next);
        free(r);
    }
    d->later_count = 0;
    if (err) complain(d, table);
    if (os_store_commit(d->store) && !err) complain(d, table);
}

static void on_later(void *ctx)
{
    later_flush(ctx);
}

int later_open(struct daemon *d)
{
    STAILQ_INIT(&d->later);
    return os_timer_open(&d->loop, on_later, d, &d->later_timer);
}

void later_close(struct daemon *d)
{
    later_flush(d);
    os_timer_close(d->later_timer);
    d->later_timer = NULL;
}

void later_write(struct daemon *d, const char *table, const void *key, size_t key_n, const void *p, size_t n)
{
    BW_ASSERT(key_n <= KEY_MAX);
    if (d->later_count >= ROWS_MAX) later_flush(d);
    struct later_row *r = d->later_timer ? malloc(sizeof *r + n) : NULL;
    if (!r) { // before the loop runs, after it, or no memory: at once, behind what waits
        later_flush(d);
        if (write_row(d, table, key, key_n, p, n)) complain(d, table);
        return;
    }
    *r = (struct later_row){.table = table, .key_n = key_n, .n = n, .gone = !p};
    memcpy(r->key, key, key_n);
    if (p) memcpy(r->value, p, n);
    if (!d->later_count++) os_timer_at(d->later_timer, os_clock_now() + TOGETHER);
    STAILQ_INSERT_TAIL(&d->later, r, next);
}

ssize_t later_read(struct daemon *d, const char *table, const void *key, size_t key_n, void *out, size_t cap)
{
    const struct later_row *r, *last = NULL;
    if (d->later_count)
        STAILQ_FOREACH(r, &d->later, next)
            if (!strcmp(r->table, table) && r->key_n == key_n && !memcmp(r->key, key, key_n)) last = r;
    if (!last) return os_store_get(d->store, table, key, key_n, out, cap);
    if (last->gone) return BW_ERR_NOTFOUND;
    if (last->n > cap) return BW_ERR_RANGE;
    memcpy(out, last->value, last->n);
    return (ssize_t)last->n;
}
