// What the daemon keeps for the node: the stored keys of mesh addresses and their bound, with a real store.
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(keys_are_bounded)};
    return cmocka_run_group_tests(tests, enter, leave);
}
