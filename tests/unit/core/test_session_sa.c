// ESP keys: packets of others open, ours open at the other end, nothing opens twice, nothing goes out twice.
#include "unit/vectors.h"

#include <stdlib.h>

#include "core/session/sa.h"
#include "core/session/table.h"

#define NOW (1000 * BW_S)

static const struct bw_addr peer = {{0xfc, 1, [15] = 9}};

static struct sa *make(struct bw_mem *m, enum bw_cipher c, const uint8_t tx[36], const uint8_t rx[36], bool initiator, uint32_t local,
                       uint32_t remote)
{
    struct sa_keys s, r;
    memcpy(s.key, tx, 32), memcpy(s.salt, tx + 32, 4);
    memcpy(r.key, rx, 32), memcpy(r.salt, rx + 32, 4);
    struct session_shared *shared = session_shared_new(m);
    struct sa *a = sa_new(m, 3, c, &s, &r, initiator, &peer, local, remote, shared, NOW);
    session_shared_unref(shared);
    assert_non_null(a);
    return a;
}

static void packets_of_others_open(void **state)
{
    (void)state;
    const struct {
        const char *key, *packet, *inner, *next;
        enum bw_cipher cipher;
    } v[] = {{"chacha.key", "chacha.packet", "chacha.inner", "chacha.next", BW_CHACHA20_POLY1305},
             {"aes.key", "aes.packet", "aes.inner", "aes.next", BW_AES_256_GCM}};
    struct bw_mem m;
    bw_mem_system(&m);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t key[36], packet[256], again[256], inner[256], want, next;
        assert_int_equal(vector("esp.txt", v[i].key, key, sizeof key), 36);
        size_t n = vector("esp.txt", v[i].packet, packet, sizeof packet), k = vector("esp.txt", v[i].inner, inner, sizeof inner);
        vector("esp.txt", v[i].next, &want, 1);
        memcpy(again, packet, n);
        struct sa *a = make(&m, v[i].cipher, key, key, true, 300, 400);
        for (size_t b = 0; b < n; b++) { // no bit may change: not of the header, not of the ICV
            uint8_t bad[256];
            memcpy(bad, packet, n);
            bad[b] ^= 0x10;
            assert_true(sa_open(a, 0, bad, n, &next, NOW) < 0);
        }
        assert_int_equal(sa_open(a, 1, packet, n, &next, NOW), k);
        assert_int_equal(next, want);
        assert_memory_equal(packet + ESP_HEADER, inner, k);
        assert_int_equal(sa_open(a, 2, again, n, &next, NOW), BW_ERR_REPLAY); // another thread, the same window
        sa_unref(a);
    }
    assert_int_equal(m.used, 0);
}

static void both_ends_understand_each_other(void **state)
{
    (void)state;
    struct bw_mem m;
    bw_mem_system(&m);
    uint8_t t1[32] = {1}, t2[32] = {2}, k1[36], k2[36];
    for (int c = 0; c < 2; c++) {
        struct sa_keys s1, s2;
        sa_derive(&s1, (enum bw_cipher)c, t1);
        sa_derive(&s2, (enum bw_cipher)c, t2);
        memcpy(k1, &s1, 36), memcpy(k2, &s2, 36);
        struct sa *a = make(&m, (enum bw_cipher)c, k1, k2, true, 0x1000, 0x2000);
        struct sa *b = make(&m, (enum bw_cipher)c, k2, k1, false, 0x2000, 0x1000);
        for (size_t n = 0; n < 1300; n += 1 + n / 20) {
            uint8_t *p = malloc(esp_len(n)), next;
            uint32_t seq;
            for (size_t i = 0; i < n; i++) p[ESP_HEADER + i] = (uint8_t)(i * 7);
            assert_int_equal(sa_seal(a, (unsigned)(n % 3), p, n, 17, &seq, NOW), esp_len(n));
            assert_int_equal(seq, atomic_load(&a->tx_seq));
            assert_int_equal(sa_open(b, (unsigned)((n + 1) % 3), p, esp_len(n), &next, NOW), n);
            assert_int_equal(next, 17);
            for (size_t i = 0; i < n; i++) assert_int_equal(p[ESP_HEADER + i], (uint8_t)(i * 7));
            free(p);
        }
        assert_true(atomic_load(&a->shared->tx_bytes) == atomic_load(&b->shared->rx_bytes));
        uint8_t d[64], next;
        assert_int_equal(sa_seal(b, 0, d, 0, ESP_NO_NEXT, NULL, NOW), BW_ERR_AGAIN); // a responder waits
        atomic_store(&b->confirmed, true);
        assert_int_equal(sa_seal(b, 0, d, 0, ESP_NO_NEXT, NULL, NOW), esp_len(0));
        assert_int_equal(sa_open(a, 0, d, esp_len(0), &next, NOW), 0);
        assert_int_equal(next, ESP_NO_NEXT);
        assert_int_equal(atomic_load(&a->shared->rx_packets), 0); // a dummy is no traffic
        sa_unref(a);
        sa_unref(b);
    }
    assert_int_equal(m.used, 0);
}

static void ciphers_share_no_key(void **state)
{
    (void)state;
    uint8_t t[32] = {7};
    struct sa_keys a, b;
    sa_derive(&a, BW_AES_256_GCM, t);
    sa_derive(&b, BW_CHACHA20_POLY1305, t);
    assert_memory_not_equal(a.key, b.key, 32);
    assert_memory_not_equal(a.salt, b.salt, 4);
    assert_memory_not_equal(a.key, t, 32);
}

static void keys_of_one_age_change_at_different_times(void **state)
{
    (void)state;
    struct bw_mem m;
    bw_mem_system(&m);
    uint8_t k[36] = {3}, p[64];
    unsigned due[30] = {0}; // in each of the 30 seconds
    for (uint32_t spi = 1000; spi < 4000; spi++) {
        struct sa *a = make(&m, BW_AES_256_GCM, k, k, true, spi * 2654435761u, 400);
        assert_true(a->rekey_after > SA_REKEY_AFTER_TIME - SA_REKEY_SPREAD && a->rekey_after <= SA_REKEY_AFTER_TIME);
        due[(SA_REKEY_AFTER_TIME - a->rekey_after) / BW_S]++;
        if (spi % 100 == 0) {
            assert_true(sa_seal(a, 0, p, 4, 6, NULL, NOW + a->rekey_after - 1) > 0);
            assert_false(atomic_load(&a->shared->want_handshake));
            assert_true(sa_seal(a, 0, p, 4, 6, NULL, NOW + a->rekey_after) > 0);
            assert_true(atomic_load(&a->shared->want_handshake));
        }
        sa_unref(a);
    }
    for (unsigned i = 0; i < 30; i++) assert_in_range(due[i], 50, 150);
}

static void contexts_are_made_again(void **state)
{
    (void)state;
    struct bw_mem m;
    bw_mem_system(&m);
    uint8_t k[36] = {3}, p[64], next;
    struct sa *a = make(&m, BW_AES_256_GCM, k, k, true, 300, 300);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sa_seal(a, 0, p, 4, 6, NULL, NOW), esp_len(4));
        assert_int_equal(sa_open(a, 0, p, esp_len(4), &next, NOW), 4);
        assert_true(a->thread[0].seal && a->thread[0].open);
        sa_put_away(a, 0);
        assert_true(!a->thread[0].seal && !a->thread[0].open);
    }
    assert_int_equal(atomic_load(&a->tx_seq), 3);
    sa_unref(a);
    assert_int_equal(m.used, 0);
}

static void keys_end_by_number_and_time(void **state)
{
    (void)state;
    struct bw_mem m;
    bw_mem_system(&m);
    uint8_t k[36] = {3}, p[64], next;
    struct sa *a = make(&m, BW_AES_256_GCM, k, k, true, 300, 400);
    atomic_bool *want = &a->shared->want_handshake;
    assert_true(sa_seal(a, 0, p, 4, 6, NULL, NOW) > 0);
    assert_false(atomic_load(want));
    atomic_store(&a->tx_seq, SA_REKEY_AFTER_PACKETS - 1);
    assert_true(sa_seal(a, 0, p, 4, 6, NULL, NOW) > 0);
    assert_true(atomic_exchange(want, false)); // by volume
    atomic_store(&a->tx_seq, SA_REJECT_AFTER_PACKETS - 2);
    assert_true(sa_seal(a, 0, p, 4, 6, NULL, NOW) > 0);
    for (int i = 0; i < 20000; i++) assert_int_equal(sa_seal(a, 0, p, 4, 6, NULL, NOW), BW_ERR_REPLAY); // past 2^32 as well
    assert_true(atomic_load(&a->tx_seq) > UINT32_MAX);
    sa_unref(a);
    a = make(&m, BW_AES_256_GCM, k, k, true, 300, 400);
    assert_true(sa_seal(a, 0, p, 4, 6, NULL, NOW + SA_REKEY_AFTER_TIME) > 0);
    assert_true(atomic_exchange(&a->shared->want_handshake, false));
    assert_int_equal(sa_seal(a, 0, p, 4, 6, NULL, NOW + SA_REJECT_AFTER_TIME), BW_ERR_AGAIN);
    assert_true(atomic_load(&a->shared->want_handshake));
    uint8_t q[64];
    assert_true(sa_seal(a, 0, q, 4, 6, NULL, NOW - 5) > 0); // a worker's clock reading may be older than the keys
    assert_int_equal(sa_open(a, 0, q, esp_len(4), &next, NOW + SA_REJECT_AFTER_TIME), BW_ERR_AGAIN);
    sa_unref(a);
    assert_int_equal(m.used, 0);
}

static void the_table_finds_everybody(void **state)
{
    (void)state;
    struct bw_mem m;
    bw_mem_system(&m);
    enum { N = 300 };
    uint8_t k[36] = {3}, hash[16] = {9};
    static struct session_entry e[N];
    static struct sa *rx[N];
    struct session_traces *traces = session_traces_new(&m);
    for (unsigned i = 0; i < N; i++) {
        rx[i] = make(&m, BW_AES_256_GCM, k, k, true, 256 + i * 256, 400);
        e[i] = (struct session_entry){.peer = {{0xfc, 2, (uint8_t)(i >> 8), (uint8_t)i}}, .tx = rx[i], .mtu = 1420};
    }
    struct session_table *t = session_table_new(&m, hash, e, N, rx, N, traces);
    assert_non_null(t);
    session_traces_unref(traces);
    for (unsigned i = 0; i < N; i++) sa_unref(rx[i]); // the table holds them
    for (unsigned i = 0; i < N; i++) {
        assert_ptr_equal(session_table_peer(t, &e[i].peer)->tx, rx[i]);
        assert_ptr_equal(session_table_spi(t, 256 + i * 256), rx[i]);
        assert_null(session_table_spi(t, 257 + i * 256));
    }
    assert_null(session_table_peer(t, &peer));
    assert_null(session_table_peer(NULL, &peer));
    assert_null(session_table_spi(NULL, 256));
    struct session_trace got;
    uint8_t payload[100];
    for (unsigned i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)i;
    session_trace_put(t->traces, 77777, 5, 17, payload, 100);
    assert_false(session_trace_take(t->traces, 77777, 6, &got));
    assert_true(session_trace_take(t->traces, 77777, 5, &got));
    assert_true(got.next == 17 && got.payload == 100 && got.count == SESSION_TRACE_BYTES && !memcmp(got.bytes, payload, got.count));
    assert_false(session_trace_take(t->traces, 77777, 5, &got)); // once
    session_trace_put(t->traces, 77777, 5, 17, payload, 100);
    session_trace_put(t->traces, 77777, 5 + SESSION_TRACES, 4, payload, 40); // a tunnel's: has places of its own
    session_trace_put(t->traces, 77777, 5 + 2 * SESSION_TRACES, 41, payload, 48);
    assert_false(session_trace_take(t->traces, 77777, 5 + SESSION_TRACES, &got));
    assert_true(session_trace_take(t->traces, 77777, 5 + 2 * SESSION_TRACES, &got));
    assert_true(got.next == 41 && got.payload == 48 && got.count == 48);
    assert_true(session_trace_take(t->traces, 77777, 5, &got));
    session_trace_put(t->traces, 77777, 5 + SESSION_TRACES, 58, payload, 9);
    assert_false(session_trace_take(t->traces, 77777, 5, &got));
    assert_true(session_trace_take(t->traces, 77777, 5 + SESSION_TRACES, &got));
    assert_true(got.count == 9 && got.payload == 9);
    session_table_unref(t);
    assert_int_equal(m.used, 0);
}

static void overheads_are_as_promised(void **state)
{
    (void)state;
    assert_int_equal(session_tunnel_mtu(1420), 1420 - SESSION_TUNNEL_OVERHEAD);
    assert_int_equal(session_transport_mtu(1420), 1420 - SESSION_OVERHEAD);
    assert_int_equal(session_tunnel_mtu(1356) >= 1280 && session_tunnel_mtu(1352) < 1280, 1);
}

int main(void)
{
    assert_int_equal(bw_crypto_init(), 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_of_others_open),      cmocka_unit_test(both_ends_understand_each_other),
        cmocka_unit_test(ciphers_share_no_key),        cmocka_unit_test(keys_of_one_age_change_at_different_times), cmocka_unit_test(contexts_are_made_again),
        cmocka_unit_test(keys_end_by_number_and_time),
        cmocka_unit_test(the_table_finds_everybody),   cmocka_unit_test(overheads_are_as_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
