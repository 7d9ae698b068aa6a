// Packet workers and control on the same keys at the same time (run it under TSan): every message is opened exactly once,
// counters add up, and the control thread may tick, look and let go of the link meanwhile.
#include "unit/core/link_world.h"

#include <pthread.h>

#define WORKERS 2
#define MESSAGES 4000

struct work {
    unsigned thread;
    struct keypair *tx, *rx;
    bw_time now;
    unsigned opened, twice, bad;
};

static void *worker(void *arg)
{
    struct work *k = arg;
    uint8_t buf[1500], copy[1500];
    for (unsigned i = 0; i < MESSAGES; i++) {
        size_t inner = i % 1300;
        memset(buf + 16, (int)i, inner);
        int n = keypair_seal(k->tx, k->thread, buf, inner, 1420, k->now + i);
        if (n < 0) {
            k->bad++;
            continue;
        }
        memcpy(copy, buf, (size_t)n);
        int got = keypair_open(k->rx, k->thread, buf, (size_t)n, k->now + i);
        if (got >= 0) k->opened++;
        if (got < (int)inner) k->bad++;
        if (keypair_open(k->rx, k->thread, copy, (size_t)n, k->now + i) >= 0) k->twice++;
    }
    return NULL;
}

static void test_workers(void **state)
{
    (void)state;
    struct world *w = w_new(1, 2);
    for (int i = 0; i < 2; i++) {
        w_stop(w, i);
        w->node[i].config.threads = 1 + WORKERS;
        w_start(w, i);
    }
    assert_int_equal(w_discovered(w, 0, 1, 1), 0);
    assert_int_equal(w_discovered(w, 1, 0, 1), 0);
    w_run(w, 100 * BW_MS);
    struct keypair *tx, *other, *rx[LINK_RX_KEYS];
    unsigned n;
    linkset_keys(w->node[0].ls, 0, &tx, rx, &n);
    linkset_keys(w->node[1].ls, 0, &other, rx, &n);
    assert_true(tx && other && tx->remote_index == other->local_index);
    keypair_ref(tx);
    keypair_ref(other);
    struct link_shared *shared = tx->shared;
    link_shared_ref(shared);
    pthread_t t[WORKERS];
    struct work work[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        work[i] = (struct work){.thread = i + 1, .tx = tx, .rx = other, .now = w->now};
        assert_int_equal(pthread_create(&t[i], NULL, worker, &work[i]), 0);
    }
    w_run(w, 5 * BW_S); // keepalives go out from thread 0 meanwhile
    for (int i = 0; i < 50; i++) (void)w_info(w, 0, 0);
    linkset_iface_gone(w->node[0].ls, 1, w->now); // the workers still hold what they use
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(work[i].opened, MESSAGES);
        assert_int_equal(work[i].twice, 0);
        assert_int_equal(work[i].bad, 0);
    }
    uint64_t bytes = 0;
    for (unsigned i = 0; i < MESSAGES; i++) bytes += (i % 1300 + 15) / 16 * 16;
    assert_int_equal(shared->tx_bytes, WORKERS * bytes);
    keypair_unref(tx);
    keypair_unref(other);
    link_shared_unref(shared);
    w_free(w);
}

// The limits of a keypair: age, number of messages, padding.
static void test_limits(void **state)
{
    (void)state;
    struct bw_mem mem;
    bw_mem_system(&mem);
    struct link_shared *s = link_shared_new(&mem);
    uint8_t a[32] = {1}, b[32] = {2}, buf[2000];
    bw_time t = 500 * BW_S;
    struct keypair *x = keypair_new(&mem, 1, a, b, false, true, 1, 2, s, t), *y = keypair_new(&mem, 1, b, a, false, false, 2, 1, s, t);
    assert_int_equal(keypair_seal(y, 0, buf, 10, 1420, t), BW_ERR_AGAIN); // not confirmed
    const size_t sizes[][3] = {{0, 1420, 0}, {1, 1420, 16}, {16, 1420, 16}, {1409, 1420, 1420}, {1420, 1420, 1420}, {1500, 1420, 1500}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memset(buf, 0xee, sizeof buf);
        int n = keypair_seal(x, 0, buf, sizes[i][0], sizes[i][1], t);
        assert_int_equal(n, sizes[i][2] + WG_DATA_OVERHEAD);
        assert_int_equal(keypair_open(y, 0, buf, (size_t)n, t), sizes[i][2]);
        for (size_t k = sizes[i][0]; k < sizes[i][2]; k++) assert_int_equal(buf[16 + k], 0);
    }
    assert_int_equal(keypair_open(y, 0, buf, 31, t), BW_ERR_SHORT);
    int n = keypair_seal(x, 0, buf, 5, 1420, t - BW_S); // a worker whose clock reading is a little older than the keys
    assert_true(n > 0);
    assert_false(s->want_handshake);
    n = keypair_seal(x, 0, buf, 5, 1420, t + WG_REKEY_AFTER_TIME);
    assert_true(n > 0 && s->want_handshake);
    s->want_handshake = false;
    assert_int_equal(keypair_open(y, 0, buf, (size_t)n, t + WG_REJECT_AFTER_TIME), BW_ERR_AGAIN);
    assert_int_equal(keypair_seal(x, 0, buf, 5, 1420, t + WG_REJECT_AFTER_TIME), BW_ERR_AGAIN);
    assert_true(s->want_handshake);
    s->want_handshake = false;
    n = keypair_seal(x, 0, buf, 5, 1420, t); // what the initiator receives late makes it renew; the responder it does not
    assert_true(keypair_open(y, 0, buf, (size_t)n, t + 164 * BW_S) >= 0 && !s->want_handshake);
    y->confirmed = true;
    for (bw_time late = 164; late <= 165; late++) {
        n = keypair_seal(y, 0, buf, 5, 1420, t + late * BW_S);
        assert_false(s->want_handshake);
        assert_true(keypair_open(x, 0, buf, (size_t)n, t + late * BW_S) >= 0);
        assert_int_equal(s->want_handshake, late == 165);
    }
    s->want_handshake = false;
    x->tx_counter = WG_REKEY_AFTER_MESSAGES;
    assert_true(keypair_seal(x, 0, buf, 5, 1420, t) > 0 && s->want_handshake);
    x->tx_counter = WG_REJECT_AFTER_MESSAGES - 1;
    assert_true(keypair_seal(x, 0, buf, 5, 1420, t) > 0);
    for (int i = 0; i < 3; i++) assert_int_equal(keypair_seal(x, 0, buf, 5, 1420, t), BW_ERR_REPLAY);
    keypair_unref(x);
    keypair_unref(y);
    keypair_unref(NULL);
    link_shared_unref(s);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    if (bw_crypto_init()) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_workers), cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
