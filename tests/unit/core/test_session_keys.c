// Keys over a session's life: changed by volume and time without loss, old ones gone soon, no number used twice under one key whatever
// happens; and floods, charged to the neighbour that they come through.
#include "session_world.h"

#include "core/session/set.h"

// ---- every ESP packet that was ever sent, by SPI and number ----

#define SENT_SLOTS (1u << 16)
static uint64_t sent[SENT_SLOTS];
static unsigned sent_count;

static int no_number_twice(struct s_world *w, struct s_packet *p)
{
    (void)w;
    if (p->data[6] != 50) return 0;
    uint64_t k = (uint64_t)ip_get32(p->data + 40) << 32 | ip_get32(p->data + 44);
    uint32_t at = (uint32_t)((k * 0x9e3779b97f4a7c15u) >> 48);
    for (; sent[at]; at = (at + 1) % SENT_SLOTS) assert_true(sent[at] != k);
    sent[at] = k;
    assert_true(++sent_count < SENT_SLOTS / 2);
    // The IV is the number: the nonce never repeats either (RFC 4106 section 3.1).
    assert_int_equal(ip_get32(p->data + 48), 0);
    assert_int_equal(ip_get32(p->data + 52), ip_get32(p->data + 44));
    return 0;
}

// All keys in the log of both ends: each key stands for one direction of one handshake, and no handshake gives an old one.
static void no_key_twice(const struct s_world *w)
{
    static char key[4096][80];
    unsigned n = 0;
    for (const char *line = w->keylog; *line; line = strchr(line, '\n') + 1) {
        char src[64], dst[64], spi[16], k[80];
        assert_int_equal(sscanf(line, "ESP_SA \"IPv6\",\"%63[^\"]\",\"%63[^\"]\",\"%15[^\"]\",\"%*[^\"]\",\"0x%79[^\"]\"", src, dst, spi, k), 4);
        unsigned times = 0;
        for (unsigned i = 0; i < n; i++) times += !strcmp(key[i], k);
        assert_true(times <= 1); // both ends write it down
        assert_in_range(n, 0, 4095);
        strcpy(key[n++], k);
    }
    assert_true(n > 20);
}

static void no_number_twice_under_a_key(void **state)
{
    (void)state;
    struct s_world *w = s_new(1);
    memset(sent, 0, sizeof sent);
    sent_count = 0;
    w->evil = no_number_twice;
    w->jitter_us = 30000;
    uint32_t k = 0;
    for (unsigned life = 0; life < 12; life++) {
        for (unsigned i = 0; i < 150; i++) {
            s_data(w, 0, 1, k);
            s_data(w, 1, 0, k++);
            s_for(w, (life % 3 == 1 ? 2000 : 100) * BW_MS);
        }
        struct s_node *n = &w->node[life & 1];
        s_stop(n);                        // without a word, as after a power cut
        if (life % 4 == 2) n->unix_ns = 0; // and with a clock that starts from zero
        s_for(w, (life % 5) * BW_S);
        s_start(n);
    }
    assert_true(sent_count > 3000);
    no_key_twice(w);
    s_end(w);
}

static void changed_by_volume_without_loss(void **state)
{
    (void)state;
    for (int from = 0; from < 2; from++) { // the end that began, and the other
        struct s_world *w = s_new((uint8_t)(10 + from));
        w->jitter_us = 15000;
        uint32_t k = 0;
        s_data(w, 0, 1, k), s_data(w, 1, 0, k++);
        s_for(w, BW_S);
        struct sa *a = session_table_peer(w->node[from].table, &w->node[!from].me.addr)->tx;
        uint32_t spi = a->remote_spi;
        atomic_store(&a->tx_seq, SA_REKEY_AFTER_PACKETS - 20); // as if so many had been sent
        unsigned before = w->initiations;
        for (unsigned i = 0; i < 400; i++) {
            s_data(w, 0, 1, k), s_data(w, 1, 0, k++);
            s_for(w, 10 * BW_MS);
        }
        s_for(w, BW_S);
        assert_int_equal(w->initiations, before + 1);
        assert_true(session_table_peer(w->node[from].table, &w->node[!from].me.addr)->tx->remote_spi != spi);
        assert_int_equal(w->node[0].got, k);
        assert_int_equal(w->node[1].got, k);
        s_end(w);
    }
}

static unsigned keys_held(struct s_node *n, const struct s_node *peer)
{
    const struct session *s = session_find(n->ss, &peer->me.addr);
    unsigned count = 0;
    for (unsigned i = 0; s && i < SA_SLOTS; i++) count += s->keys[i].sa != NULL;
    return count;
}

static int deaf(struct s_world *w, struct s_packet *p) // node 0 hears handshakes only
{
    (void)w;
    return p->to == 0 && p->data[6] == 50 ? -1 : 0;
}

static void old_keys_are_gone_soon(void **state)
{
    (void)state;
    struct s_world *w = s_new(20);
    unsigned most = 0, seconds = 0;
    uint32_t k = 0;
    for (unsigned i = 0; i < 600; i++) {
        s_data(w, 0, 1, k), s_data(w, 1, 0, k++);
        s_for(w, BW_S);
        unsigned held = keys_held(&w->node[0], &w->node[1]);
        if (held > most) most = held;
        seconds += held > 1;
    }
    assert_int_equal(most, 2);
    assert_in_range(seconds, 4, 6 * 8); // of 600, at five or six changes
    assert_int_equal(w->node[0].got, k);
    // While the other end has not been heard under the new keys, the old ones stay.
    w->evil = deaf;
    atomic_store(&session_table_peer(w->node[0].table, &w->node[1].me.addr)->tx->tx_seq, SA_REKEY_AFTER_PACKETS);
    s_data(w, 0, 1, k++);
    s_for(w, 12 * BW_S);
    assert_int_equal(keys_held(&w->node[0], &w->node[1]), 2);
    w->evil = NULL;
    s_data(w, 1, 0, k);
    s_for(w, 8 * BW_S);
    assert_int_equal(keys_held(&w->node[0], &w->node[1]), 1);
    s_end(w);
}

// ---- floods ----

static unsigned rejected_with_cookie(struct sessions *ss)
{
    return (unsigned)sessions_drops(ss, SESSION_DROP_COOKIE);
}

static uint8_t cookie_for_flood[SESSION_COOKIE_LEN];
static int catch_cookie(struct s_world *w, struct s_packet *p)
{
    (void)w;
    if (p->data[6] == 17 && p->data[48] == SESSION_COOKIE && p->n == 48 + SESSION_COOKIE_LEN) memcpy(cookie_for_flood, p->data + 48, SESSION_COOKIE_LEN);
    if (p->to > 1) return -1; // strangers are not there
    return 0;
}

// An initiation that is right but for its encrypted parts: it costs the responder what a right one costs.
static void junk_initiation(struct s_world *w, struct mac_sender *macs, uint8_t *out)
{
    struct session_initiation m = {.sender = 256 + bw_rng_below(&w->rng, 1u << 30)};
    bw_rng_bytes(&w->rng, m.ephemeral, 32);
    bw_rng_bytes(&w->rng, m.enc_static, sizeof m.enc_static);
    session_initiation_encode(out, &m);
    mac_write(macs, out, SESSION_INITIATION_LEN, w->now);
}

static void a_flood_with_cookies_is_charged_to_its_neighbour(void **state)
{
    (void)state;
    struct s_world *w = s_new(30);
    struct sessions *ss = w->node[1].ss;
    struct noise_protocol np;
    struct mac_sender macs = {0};
    struct session_cookie c;
    uint8_t m[SESSION_INITIATION_LEN];
    const struct bw_addr from = {{0xfc, 0x77, [15] = 1}};
    noise_protocol_init(&np, NOISE_CONSTRUCTION, SESSION_IDENTIFIER, SESSION_LABEL_MAC1, SESSION_LABEL_COOKIE);
    mac_keys_init(&macs.keys, &np, w->node[1].me.link_pk);
    // Raw sending: catch what node 1 answers to the made-up address.
    w->node[3].me.addr = from; // so that it has somewhere to go
    w->evil = catch_cookie;
    for (unsigned i = 0; i < 200; i++) { // until it is under load
        junk_initiation(w, &macs, m);
        sessions_rx(ss, 5, &from, m, sizeof m, w->now);
    }
    assert_true(rejected_with_cookie(ss) > 50);
    assert_int_equal(session_cookie_decode(cookie_for_flood, sizeof cookie_for_flood, &c), 0);
    assert_int_equal(mac_take_cookie(&macs, c.nonce, c.enc_cookie, w->now), 0);
    // Whoever answers under his address passes the cookie, but not more than his neighbour's share.
    uint64_t looked_at = sessions_drops(ss, SESSION_DROP_AUTH), rate = sessions_drops(ss, SESSION_DROP_RATE);
    for (unsigned i = 0; i < 5000; i++) {
        junk_initiation(w, &macs, m);
        sessions_rx(ss, 5, &from, m, sizeof m, w->now += 200); // 5,000 in a second
        s_tick(w, 1);
    }
    looked_at = sessions_drops(ss, SESSION_DROP_AUTH) + sessions_drops(ss, SESSION_DROP_SOURCE) - looked_at;
    assert_in_range(looked_at, 100, SLOT_HANDSHAKES_PER_S + SLOT_HANDSHAKES_PER_S / 3 + 1);
    assert_true(sessions_drops(ss, SESSION_DROP_RATE) - rate > 4000);
    // Another neighbour's share is untouched: node 0 comes by link 0, and gets in after one cookie while the flood goes on.
    s_data(w, 0, 1, 1);
    for (unsigned i = 0; i < 5000 && !w->node[1].got; i++) {
        junk_initiation(w, &macs, m);
        sessions_rx(ss, 5, &from, m, sizeof m, w->now);
        s_for(w, 200);
    }
    assert_int_equal(w->node[1].got, 1);
    struct sessions_stats st;
    sessions_stats(ss, &st);
    assert_true(st.under_load);
    assert_in_range(st.sessions, 1, 2);
    // A cookie is worth nothing under another address, or by another link.
    struct bw_addr other = from;
    other.b[15] = 2;
    uint64_t refused = sessions_drops(ss, SESSION_DROP_COOKIE);
    for (unsigned i = 0; i < 2; i++) {
        junk_initiation(w, &macs, m);
        sessions_rx(ss, i ? 6 : 5, i ? &from : &other, m, sizeof m, w->now);
    }
    assert_int_equal(sessions_drops(ss, SESSION_DROP_COOKIE), refused + 2);
    s_end(w);
}

int main(void)
{
    assert_int_equal(bw_crypto_init(), 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_number_twice_under_a_key),
        cmocka_unit_test(changed_by_volume_without_loss),
        cmocka_unit_test(old_keys_are_gone_soon),
        cmocka_unit_test(a_flood_with_cookies_is_charged_to_its_neighbour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
