// What the daemon keeps for the node: the stored keys of mesh addresses and their bound, leases and months, with a real store.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/daemon_private.h"

static char folder[] = "/tmp/byway-glue-XXXXXX";
static struct daemon d;
static struct node_out out;

static void start(void)
{
    char why[OS_WHY];
    d = (struct daemon){.log = {.level = BW_ERROR}};
    assert_int_equal(os_store_open(folder, &d.store, why, sizeof why), 0);
    glue_count_keys(&d);
    out = glue_node_out(&d);
}

static struct bw_addr address(unsigned i)
{
    return (struct bw_addr){{0xfc, 1, [12] = (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
}

static void keep(unsigned i, uint8_t version)
{
    struct bw_addr a = address(i);
    uint8_t key[32] = {version, [28] = (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
    out.keep_key(out.ctx, &a, key);
}

static bool kept(unsigned i, uint8_t version)
{
    struct bw_addr a = address(i);
    uint8_t key[32], want[32] = {version, [28] = (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
    return out.find_key(out.ctx, &a, key) && !memcmp(key, want, 32);
}

static int one_more(void *ctx, const uint8_t *key, size_t key_n, const uint8_t *p, size_t n)
{
    (void)key, (void)p;
    assert_true(key_n == 16 && n == 32);
    ++*(unsigned *)ctx;
    return 0;
}

static unsigned rows(void)
{
    unsigned n = 0;
    assert_int_equal(os_store_iter(d.store, "key", one_more, &n), 0);
    return n;
}

static void keys_are_bounded(void **state)
{
    (void)state;
    start();
    keep(0, 1);
    assert_true(kept(0, 1) && !kept(1, 1));
    assert_int_equal(d.keys_stored, 1);
    keep(0, 1); // the same again, and another one for the same address: no more of them
    keep(0, 2);
    assert_true(kept(0, 2) && d.keys_stored == 1);
    assert_int_equal(os_store_begin(d.store), 0); // one write to disk for all
    for (unsigned i = 1; i < KEYS_STORED_MAX; i++) keep(i, 1);
    assert_int_equal(os_store_commit(d.store), 0);
    assert_int_equal(rows(), KEYS_STORED_MAX);
    // Full: nobody pushes out what was there first, and what is there may still change.
    for (unsigned i = 0; i < 100; i++) keep(KEYS_STORED_MAX + i, 1);
    assert_int_equal(rows(), KEYS_STORED_MAX);
    assert_true(kept(0, 2) && kept(1, 1) && kept(KEYS_STORED_MAX - 1, 1) && !kept(KEYS_STORED_MAX, 1));
    keep(5, 3);
    assert_true(kept(5, 3));
    // So it is after a restart, and room that is made is used.
    os_store_close(d.store);
    start();
    assert_int_equal(d.keys_stored, KEYS_STORED_MAX);
    keep(KEYS_STORED_MAX, 1);
    assert_false(kept(KEYS_STORED_MAX, 1));
    struct bw_addr gone = address(7);
    assert_int_equal(os_store_del(d.store, "key", gone.b, sizeof gone.b), 0);
    os_store_close(d.store);
    start();
    keep(KEYS_STORED_MAX, 1);
    keep(KEYS_STORED_MAX + 1, 1);
    assert_true(kept(KEYS_STORED_MAX, 1) && !kept(KEYS_STORED_MAX + 1, 1));
    assert_int_equal(rows(), KEYS_STORED_MAX);
    os_store_close(d.store);
}

static struct exits_saved lease(uint8_t i)
{
    return (struct exits_saved){.key = {i}, .address = address(i), .inner4 = {{[10] = 0xff, 0xff, 100, 64, 0, i}}};
}

static bool leased(uint8_t i)
{
    uint8_t key[32] = {i}, row[48];
    return os_store_get(d.store, "lease", key, sizeof key, row, sizeof row) == sizeof row;
}

static bool used(uint8_t i, uint64_t bytes)
{
    struct exits_month v = {.key = {i}};
    return out.recall_month(out.ctx, &v) && v.month == 2026 * 12 && v.bytes == bytes;
}

// Leases that come and go at once take one write to disk together, and are seen as they are meanwhile.
static void leases_are_written_together(void **state)
{
    (void)state;
    start();
    assert_int_equal(uv_loop_init(&d.loop), 0);
    assert_int_equal(later_open(&d), 0);
    for (uint8_t i = 1; i <= 100; i++) {
        struct exits_saved l = lease(i);
        struct exits_month m = {.key = {i}, .month = 2026 * 12, .bytes = i};
        out.save_lease(out.ctx, &l);
        if (i % 2) out.drop_lease(out.ctx, l.key);
        out.note_month(out.ctx, &m, 1);
        m.bytes++;
        out.note_month(out.ctx, &m, 1);
        assert_true(used(i, i + 1u) && !used(i + 1, i + 2u));
    }
    assert_true(d.later_count > 0 && !leased(100)); // the last ones wait still; 256 at most do
    while (d.later_count) uv_run(&d.loop, UV_RUN_ONCE);
    for (uint8_t i = 1; i <= 100; i++) assert_true(leased(i) == !(i % 2) && used(i, i + 1u));
    struct exits_saved l = lease(101);
    out.save_lease(out.ctx, &l);
    later_close(&d);
    assert_true(leased(101)); // nothing is lost at an end,
    l = lease(102);
    out.save_lease(out.ctx, &l);
    assert_true(leased(102)); // nor after it
    uv_run(&d.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&d.loop), 0);
    os_store_close(d.store);
}

static int enter(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    char cmd[64];
    snprintf(cmd, sizeof cmd, "rm -r %s", folder);
    return system(cmd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keys_are_bounded), cmocka_unit_test(leases_are_written_together)};
    return cmocka_run_group_tests(tests, enter, leave);
}
