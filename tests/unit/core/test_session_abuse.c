// Sessions against an evil relay, floods, strangers and failing memory: nothing but loss comes of it.
#include "session_world.h"

#include "core/session/set.h" // what a stranger needs to make a handshake by hand

// ---- a relay that flips, drops, repeats, reorders and injects ----

static int tamper(struct s_world *w, struct s_packet *p)
{
    uint32_t what = bw_rng_below(&w->rng, 100);
    if (what < 10) return -1;
    if (what < 25) { // flip
        size_t at = 40 + bw_rng_below(&w->rng, (uint32_t)p->n - 40);
        p->data[at] ^= (uint8_t)(1u << bw_rng_below(&w->rng, 8));
    } else if (what < 45) { // the same again, now and later
        for (int i = 0; i < S_PACKETS; i++) {
            if (w->packet[i].to >= 0) continue;
            w->packet[i] = *p;
            w->packet[i].at = w->now + bw_rng_below(&w->rng, 200 * BW_MS);
            w->packet[i].order = ++w->order;
            break;
        }
    } else if (what < 50) { // cut
        p->n = 40 + bw_rng_below(&w->rng, (uint32_t)p->n - 40);
        ip_put16(p->data + 4, (uint16_t)(p->n - 40));
    } else if (what < 55) { // to somebody else, with the header made to fit
        int other = (p->to + 1) % S_NODES;
        if (other == p->from) other = (other + 1) % S_NODES;
        memcpy(p->data + 24, w->node[other].me.addr.b, 16);
        p->to = other;
    } else if (what < 60) { // in somebody else's name
        memcpy(p->data + 8, w->node[(p->from + 1) % S_NODES].me.addr.b, 16);
    } else if (what < 65) { // another type
        p->data[48] = (uint8_t)bw_rng_below(&w->rng, 8);
    }
    return 0;
}

static void an_evil_relay_achieves_loss_only(void **state)
{
    (void)state;
    for (uint8_t seed = 0; seed < 3; seed++) {
        struct s_world *w = s_new((uint8_t)(20 + seed));
        w->evil = tamper;
        w->jitter_us = 60000;
        uint32_t k = 0;
        for (bw_time end = w->now + 200 * BW_S; w->now < end; k++) { // s_number refuses what is twice or not as it was sent
            for (int a = 0; a < 3; a++) s_data(w, a, (a + 1) % 3, k);
            s_for(w, 500 * BW_MS);
        }
        w->evil = NULL;
        s_for(w, 20 * BW_S); // an honest relay again: everything works at once
        for (int a = 0; a < 3; a++) {
            assert_in_range(w->node[a].got, k / 3, k);
            s_data(w, a, (a + 1) % 3, 60000);
        }
        s_for(w, 5 * BW_S);
        for (int a = 0; a < 3; a++) assert_int_equal(w->node[a].seen[60000], 1);
        s_end(w);
    }
}

static int lower(struct s_world *w, struct s_packet *p) // makes every initiation offer less, every response choose less
{
    (void)w;
    if (p->data[6] == 17 && p->data[48] == SESSION_INITIATION) p->data[48 + 8 + 32 + 48 + 12] ^= 2;
    if (p->data[6] == 17 && p->data[48] == SESSION_RESPONSE) p->data[48 + 12 + 32] ^= 3;
    return 0;
}

static void nobody_lowers_the_cipher(void **state)
{
    (void)state;
    struct s_world *w = s_new(30);
    w->evil = lower;
    s_data(w, 0, 1, 1);
    s_for(w, 9 * BW_S);
    assert_int_equal(s_state(w, 0, 1), SESSION_CONNECTING);
    assert_int_equal(w->esp, 0); // nothing rather than less
    w->evil = NULL;
    s_for(w, 8 * BW_S);
    assert_int_equal(s_info(w, 0, 1).cipher, BW_AES_256_GCM);
    s_end(w);
}

static int liar(struct s_world *w, struct s_packet *p) // answers the key question with its own key
{
    if (p->data[6] == 17 && p->data[48] == SESSION_KEY) memcpy(p->data + 48 + 12, w->node[3].me.link_pk, 32);
    return 0;
}

static void a_key_must_be_the_addresss(void **state)
{
    (void)state;
    struct s_world *w = s_new(31);
    w->evil = liar;
    s_data(w, 0, 1, 1);
    s_for(w, 5 * BW_S);
    assert_int_equal(s_state(w, 0, 1), SESSION_ASKING);
    assert_true(sessions_drops(w->node[0].ss, SESSION_DROP_SOURCE) > 0);
    assert_int_equal(w->node[0].key_count, 0);
    // A key that nobody asked for, or for another question, is not even looked at.
    struct session_key m = {.nonce = {1}};
    uint8_t out[SESSION_KEY_LEN];
    memcpy(m.key, w->node[1].me.link_pk, 32);
    session_key_encode(out, SESSION_KEY, &m);
    sessions_rx(w->node[0].ss, 1, &w->node[1].me.addr, out, sizeof out, w->now);
    sessions_rx(w->node[0].ss, 1, &w->node[2].me.addr, out, sizeof out, w->now);
    assert_int_equal(sessions_drops(w->node[0].ss, SESSION_DROP_UNASKED), 2);
    s_end(w);
}

static void a_forged_notice_stops_nothing(void **state)
{
    (void)state;
    struct s_world *w = s_new(32);
    uint32_t k = 0;
    s_data(w, 0, 1, k++);
    s_for(w, BW_S);
    unsigned before = w->initiations;
    for (unsigned i = 0; i < 100; i++) { // by somebody who sees SPI and numbers: one new handshake a second at most
        const struct session_entry *e = session_table_peer(w->node[0].table, &w->node[1].me.addr);
        struct session_notice n = {e->tx->remote_spi, (uint32_t)atomic_load(&e->tx->tx_seq)};
        uint8_t out[SESSION_NOTICE_LEN];
        session_notice_encode(out, &n);
        sessions_rx(w->node[0].ss, 9, &w->node[1].me.addr, out, sizeof out, w->now);
        s_data(w, 0, 1, k++);
        s_for(w, 100 * BW_MS);
        n.seq += 1000; // a number that was never used
        session_notice_encode(out, &n);
        sessions_rx(w->node[0].ss, 9, &w->node[1].me.addr, out, sizeof out, w->now);
    }
    s_for(w, BW_S);
    assert_in_range(w->initiations - before, 1, 11);
    assert_int_equal(w->node[1].got, k); // no packet was lost
    s_end(w);
}

static uint8_t recorded[SESSION_INITIATION_LEN];
static int record(struct s_world *w, struct s_packet *p)
{
    (void)w;
    if (p->data[6] == 17 && p->data[48] == SESSION_INITIATION) memcpy(recorded, p->data + 48, sizeof recorded);
    return 0;
}

static void recorded_handshakes_are_worth_nothing(void **state)
{
    (void)state;
    struct s_world *w = s_new(33);
    struct sessions *ss = w->node[1].ss;
    w->evil = record;
    s_data(w, 0, 1, 1);
    s_for(w, BW_S);
    for (int i = 0; i < 5; i++) sessions_rx(ss, 9, &w->node[0].me.addr, recorded, sizeof recorded, w->now);
    assert_int_equal(sessions_drops(ss, SESSION_DROP_REPLAY), 5);
    sessions_rx(ss, 9, &w->node[2].me.addr, recorded, sizeof recorded, w->now);
    assert_int_equal(sessions_drops(ss, SESSION_DROP_SOURCE), 1); // in another's name
    s_for(w, 200 * BW_S); // after the session has gone, too
    sessions_rx(ss, 9, &w->node[0].me.addr, recorded, sizeof recorded, w->now);
    assert_int_equal(sessions_drops(ss, SESSION_DROP_REPLAY), 6);
    s_end(w);
}

// ---- floods ----

static size_t forge(struct s_world *w, const struct identity *from, int to, uint32_t index, const struct mac_sender *had, uint8_t *out)
{
    struct noise_protocol p;
    struct noise_handshake hs;
    struct session_initiation m = {.sender = index};
    struct mac_sender macs = {0};
    uint8_t e[32], ss[32], plain[SESSION_OFFER_LEN];
    struct session_offer o = {.ciphers = 3};
    struct stamp t = stamp_of_ns(w->now * 1000);
    memcpy(o.stamp, t.b, 12);
    session_offer_encode(plain, &o);
    noise_protocol_init(&p, NOISE_CONSTRUCTION, SESSION_IDENTIFIER, SESSION_LABEL_MAC1, SESSION_LABEL_COOKIE);
    bw_rng_bytes(&w->rng, e, 32);
    assert_int_equal(bw_x25519(ss, from->link_sk, w->node[to].me.link_pk), 0);
    assert_int_equal(noise_initiate(&hs, &p, from->link_pk, w->node[to].me.link_pk, ss, e, plain, sizeof plain, m.ephemeral, m.enc_static, m.enc_offer), 0);
    session_initiation_encode(out, &m);
    if (had) macs = *had;
    mac_keys_init(&macs.keys, &p, w->node[to].me.link_pk);
    mac_write(&macs, out, SESSION_INITIATION_LEN, w->now);
    return SESSION_INITIATION_LEN;
}

static void a_flood_is_asked_for_cookies(void **state)
{
    (void)state;
    struct s_world *w = s_new(34);
    struct sessions *ss = w->node[1].ss;
    uint8_t m[SESSION_INITIATION_LEN];
    static struct identity strangers[8];
    for (int i = 0; i < 8; i++) identity_draw(&strangers[i], &w->rng);
    for (unsigned i = 0; i < 1000; i++) { // a thousand within a second, through one neighbour, from few keys
        const struct identity *s = &strangers[i % 8];
        forge(w, s, 1, 1000 + i, NULL, m);
        sessions_rx(ss, 5, &s->addr, m, sizeof m, w->now);
        w->now += BW_MS;
        s_tick(w, 1);
    }
    struct sessions_stats st;
    sessions_stats(ss, &st);
    assert_true(st.under_load);
    assert_in_range(st.initiations_received, 50, 250);
    assert_true(st.cookies_sent > 400);
    assert_int_equal(st.initiations_received + sessions_drops(ss, SESSION_DROP_COOKIE) + sessions_drops(ss, SESSION_DROP_RATE) +
                         sessions_drops(ss, SESSION_DROP_REPLAY), 1000);
    // An honest node gets in meanwhile: its second initiation carries the cookie.
    s_data(w, 0, 1, 1);
    for (unsigned i = 0; i < 2000 && !w->node[1].got; i++) {
        forge(w, &strangers[i % 8], 1, 5000 + i, NULL, m);
        sessions_rx(ss, 5, &strangers[i % 8].addr, m, sizeof m, w->now);
        s_for(w, BW_MS);
    }
    assert_int_equal(w->node[1].got, 1);
    sessions_stats(w->node[0].ss, &st);
    assert_int_equal(st.cookies_received, 1);
    for (int i = 0; i < S_PACKETS; i++)
        if (w->packet[i].to > 1) w->packet[i].to = -1;
    s_for(w, 20 * BW_S);
    sessions_stats(ss, &st);
    assert_int_equal(st.half_open, 0); // strangers that never confirmed are forgotten
    assert_int_equal(st.sessions, 1);
    assert_int_equal(w->node[1].key_count, 1); // and cost no disk
    s_end(w);
}

static void half_open_sessions_are_bounded(void **state)
{
    (void)state;
    struct s_world *w = s_new(35);
    struct sessions *ss = w->node[1].ss;
    uint8_t m[SESSION_INITIATION_LEN];
    struct sessions_stats st;
    s_data(w, 0, 1, 1);
    s_for(w, BW_S);
    for (unsigned i = 0; i < 700; i++) {
        struct identity s;
        identity_draw(&s, &w->rng);
        forge(w, &s, 1, 1000 + i, NULL, m);
        sessions_rx(ss, 5, &s.addr, m, sizeof m, w->now);
        w->now += 11 * BW_MS; // below the load limit
    }
    sessions_stats(ss, &st);
    assert_int_equal(st.half_open, SESSION_HALF_OPEN_MAX);
    s_data(w, 0, 1, 2);
    s_for(w, BW_S);
    assert_int_equal(w->node[1].got, 2);
    s_end(w);
}

// Whoever makes keys by the dozen can prove them all, but not fill our disk with them.
static void strangers_keys_are_kept_slowly(void **state)
{
    (void)state;
    struct s_world *w = s_new(45);
    for (unsigned i = 0; i < 50; i++) {
        s_stop(&w->node[1]);
        identity_draw(&w->node[1].me, &w->node[1].rng);
        s_start(&w->node[1]);
        s_data(w, 1, 0, i);
        s_for(w, 200 * BW_MS);
    }
    assert_int_equal(w->node[0].ups, 50);
    assert_in_range(w->node[0].key_count, 16, 30);
    s_end(w);
}

static void there_is_a_limit_to_sessions(void **state)
{
    (void)state;
    struct s_world *w = s_new(36);
    s_stop(&w->node[0]);
    w->node[0].config.max_sessions = 50;
    s_start(&w->node[0]);
    uint8_t p[64];
    for (unsigned i = 0; i < 200; i++) {
        struct bw_addr to = {{0xfc, 9, 9, (uint8_t)i, [15] = 1}};
        ip6_header(p, 0, 24, 253, 64, &w->node[0].me.addr, &to);
        sessions_send(w->node[0].ss, &to, p, 64, w->now);
    }
    assert_int_equal(sessions_drops(w->node[0].ss, SESSION_DROP_FULL), 150);
    s_for(w, 100 * BW_S);
    s_data(w, 0, 1, 1);
    s_for(w, BW_S);
    assert_int_equal(w->node[1].got, 1);
    s_end(w);
}

// However many identities knock: what this node itself begins finds room.
static void strangers_leave_room_for_ours(void **state)
{
    (void)state;
    struct s_world *w = s_new(46);
    s_stop(&w->node[1]);
    w->node[1].config.max_sessions = 40;
    s_start(&w->node[1]);
    uint8_t m[SESSION_INITIATION_LEN];
    for (unsigned i = 0; i < 100; i++) {
        struct identity s;
        identity_draw(&s, &w->rng);
        forge(w, &s, 1, 1000 + i, NULL, m);
        sessions_rx(w->node[1].ss, 5, &s.addr, m, sizeof m, w->now);
        w->now += 11 * BW_MS; // below the load limit
    }
    assert_int_equal(sessions_drops(w->node[1].ss, SESSION_DROP_FULL), 70);
    s_data(w, 1, 0, 1);
    s_for(w, BW_S);
    assert_int_equal(w->node[0].got, 1);
    s_end(w);
}

// Nor do those that come over one link keep out those that come over another: each link has its share, and no more.
static void strangers_leave_room_for_other_links(void **state)
{
    (void)state;
    struct s_world *w = s_new(47);
    s_stop(&w->node[1]);
    w->node[1].config.max_sessions = 40; // 30 for others
    s_start(&w->node[1]);
    struct sessions *ss = w->node[1].ss;
    uint8_t m[SESSION_INITIATION_LEN];
    unsigned there[2] = {0};
    struct identity s[2][50];
    struct session_info info;
    for (unsigned link = 0; link < 2; link++) {
        for (unsigned i = 0; i < 50; i++) {
            identity_draw(&s[link][i], &w->rng);
            forge(w, &s[link][i], 1, 1000 + i, NULL, m);
            sessions_rx(ss, (uint16_t)(5 + link), &s[link][i].addr, m, sizeof m, w->now);
            w->now += 11 * BW_MS; // below the load limit
        }
        assert_int_equal(sessions_drops(ss, SESSION_DROP_FULL), link ? 20 + 35 : 20);
    }
    for (unsigned i = 0; i < 100; i++) there[i / 50] += !sessions_info(ss, &s[i / 50][i % 50].addr, &info);
    assert_int_equal(there[0], 15);
    assert_int_equal(there[1], 15);
    s_data(w, 0, 1, 1); // over a third one
    s_for(w, BW_S);
    assert_int_equal(w->node[1].got, 1);
    s_for(w, 11 * BW_S); // unconfirmed ones go, and their places with them
    forge(w, &s[0][49], 1, 2000, NULL, m);
    sessions_rx(ss, 5, &s[0][49].addr, m, sizeof m, w->now);
    assert_int_equal(sessions_info(ss, &s[0][49].addr, &info), 0);
    assert_int_equal(sessions_drops(ss, SESSION_DROP_FULL), 55);
    s_end(w);
}

static void notices_and_keys_are_limited(void **state)
{
    (void)state;
    struct s_world *w = s_new(37);
    struct sessions *ss = w->node[1].ss;
    uint8_t esp[76], q[SESSION_QUESTION_LEN];
    struct session_key question = {.nonce = {1}};
    session_key_encode(q, SESSION_QUESTION, &question);
    for (unsigned i = 0; i < 5000; i++) {
        ip6_header(esp, 0, 36, 50, 64, &w->node[0].me.addr, &w->node[1].me.addr);
        esp_header_encode(esp + 40, &(struct esp_header){0x1000 + i, 1, 1});
        sessions_rx_esp(ss, 5, esp, sizeof esp, w->now);
        sessions_rx(ss, 5, &w->node[0].me.addr, q, sizeof q, w->now);
        for (int k = 0; k < S_PACKETS; k++) w->packet[k].to = -1;
    }
    struct sessions_stats st;
    sessions_stats(ss, &st);
    assert_in_range(st.notices_sent + st.questions_received, 1, SLOT_ANSWERS_PER_S);
    assert_int_equal(sessions_drops(ss, SESSION_DROP_RATE), 10000 - st.notices_sent - st.questions_received);
    s_end(w);
}

static void strangers_addresses_are_refused(void **state)
{
    (void)state;
    struct s_world *w = s_new(38);
    struct sessions *ss = w->node[1].ss;
    uint8_t q[SESSION_QUESTION_LEN] = {SESSION_QUESTION};
    const char *const bad[] = {"fd00::1", "fe80::1", "2001:db8::1", "fc00::e", "::"};
    for (unsigned i = 0; i < 5; i++) {
        struct bw_addr a;
        assert_int_equal(bw_addr_parse(bad[i], &a), 0);
        sessions_rx(ss, 1, &a, q, sizeof q, w->now);
    }
    sessions_rx(ss, 1, &w->node[1].me.addr, q, sizeof q, w->now); // from ourselves
    assert_int_equal(sessions_drops(ss, SESSION_DROP_SOURCE), 6);
    uint8_t junk[200];
    for (unsigned n = 0; n < sizeof junk; n++) {
        for (unsigned t = 0; t < 9; t++) {
            bw_rng_bytes(&w->rng, junk, sizeof junk);
            junk[0] = (uint8_t)t;
            sessions_rx(ss, 1, &w->node[0].me.addr, junk, n, w->now);
            w->now += BW_MS;
        }
    }
    s_end(w);
}

// ---- memory ----

static void failing_memory_only_costs(void **state)
{
    (void)state;
    for (int fail = 1; fail < 80; fail++) {
        struct s_world *w = s_new(39);
        w->fail_after = fail;
        s_data(w, 0, 1, 1);
        s_for(w, 3 * BW_S);
        w->fail_after = 0;
        s_data(w, 0, 1, 2);
        s_for(w, 15 * BW_S);
        s_data(w, 0, 1, 3);
        s_for(w, 15 * BW_S);
        assert_int_equal(w->node[1].seen[3], 1);
        s_end(w); // and nothing leaks
    }
}

static void five_thousand_sessions_fit(void **state)
{
    (void)state;
    struct s_world *w = s_new(40);
    struct s_node *n = &w->node[1];
    struct sessions_ops ops = {.ctx = n, .send = s_send, .changed = s_changed};
    struct bw_mem m;
    bw_mem_system(&m);
    n->config.load_per_s = 1000000;
    struct sessions *ss = sessions_new(&m, &n->rng, NULL, &n->config, &ops);
    struct sessions *was = n->ss;
    n->ss = ss;
    uint8_t k[32] = {7};
    for (unsigned i = 0; i < 5000; i++) { // keys made by hand, as a handshake would: the work of 5,000 handshakes is another test
        struct bw_addr a = {{0xfc, 7, (uint8_t)(i >> 8), (uint8_t)i, [15] = 1}};
        struct session *s = session_get(ss, &a, w->now);
        struct noise_handshake hs = {0};
        struct spi_entry e;
        assert_non_null(s);
        memcpy(hs.ck, k, 32), k[0]++, k[1] += !k[0];
        s->has_key = true;
        spi_new(ss, &e, s);
        struct sa *sa = keys_make(ss, s, &hs, true, BW_AES_256_GCM, e.spi, 0x1000 + i, w->now);
        keys_initiated(ss, s, sa, &e, w->now);
    }
    w->now += BW_S;
    sessions_tick(ss, w->now, 0);
    struct sessions_stats st;
    sessions_stats(ss, &st);
    assert_int_equal(st.sessions, 5000);
    assert_int_equal(sessions_table(ss)->count, 5000);
    print_message("5,000 sessions: %zu bytes, %zu at most\n", m.used, m.peak);
    assert_true(m.peak < 24u << 20); // 40 MB with two contexts of the cipher for each
    n->ss = was;
    session_table_unref(n->table);
    n->table = NULL;
    sessions_free(ss);
    assert_int_equal(m.used, 0);
    s_end(w);
}

int main(void)
{
    assert_int_equal(bw_crypto_init(), 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_evil_relay_achieves_loss_only),
        cmocka_unit_test(nobody_lowers_the_cipher),
        cmocka_unit_test(a_key_must_be_the_addresss),
        cmocka_unit_test(a_forged_notice_stops_nothing),
        cmocka_unit_test(recorded_handshakes_are_worth_nothing),
        cmocka_unit_test(a_flood_is_asked_for_cookies),
        cmocka_unit_test(half_open_sessions_are_bounded),
        cmocka_unit_test(strangers_keys_are_kept_slowly),
        cmocka_unit_test(there_is_a_limit_to_sessions),
        cmocka_unit_test(strangers_leave_room_for_ours),
        cmocka_unit_test(strangers_leave_room_for_other_links),
        cmocka_unit_test(notices_and_keys_are_limited),
        cmocka_unit_test(strangers_addresses_are_refused),
        cmocka_unit_test(failing_memory_only_costs),
        cmocka_unit_test(five_thousand_sessions_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
