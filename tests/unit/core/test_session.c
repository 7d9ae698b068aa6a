// Sessions in virtual time: from the key question to the rekey, with loss, restarts, clocks set back and both ends at once.
#include "session_world.h"

static void a_first_packet_gets_through(void **state)
{
    (void)state;
    struct s_world *w = s_new(1);
    s_data(w, 0, 1, 1);
    assert_int_equal(s_state(w, 0, 1), SESSION_ASKING);
    s_for(w, 39 * BW_MS);
    assert_int_equal(w->node[1].got, 0);
    s_for(w, 62 * BW_MS); // question and key, initiation and response, the packet: five ways of 20 ms
    assert_int_equal(w->node[1].got, 1);
    assert_int_equal(s_state(w, 0, 1), SESSION_UP);
    assert_int_equal(s_state(w, 1, 0), SESSION_UP);
    assert_int_equal(w->questions, 1);
    s_data(w, 1, 0, 2);
    s_for(w, 20 * BW_MS);
    assert_int_equal(w->node[0].got, 1);
    assert_int_equal(w->initiations, 1);
    struct session_info i = s_info(w, 0, 1);
    assert_int_equal(i.cipher, BW_AES_256_GCM);
    assert_int_equal(i.rtt_us, 40000);
    assert_int_equal(s_info(w, 1, 0).rtt_us, 40000);
    assert_memory_equal(i.key, w->node[1].me.link_pk, 32);
    assert_true(w->node[0].key_count == 1 && w->node[1].key_count == 1); // both know each other for good
    assert_int_equal(w->node[0].ups, 1);
    s_end(w);
}

static void ciphers(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct s_world *w = s_new(2);
        for (int k = 0; k < 2; k++) {
            s_stop(&w->node[k]);
            w->node[k].config.aes = i >> k & 1;
            s_start(&w->node[k]);
        }
        s_data(w, 0, 1, 1);
        s_for(w, BW_S);
        assert_int_equal(w->node[1].got, 1);
        assert_int_equal(s_info(w, 0, 1).cipher, i == 3 ? BW_AES_256_GCM : BW_CHACHA20_POLY1305);
        assert_int_equal(s_info(w, 1, 0).cipher, s_info(w, 0, 1).cipher);
        assert_non_null(strstr(w->keylog, i == 3 ? "AES-GCM" : "ChaCha20"));
        s_end(w);
    }
}

static void a_known_key_is_not_asked_for(void **state)
{
    (void)state;
    struct s_world *w = s_new(3);
    s_keep_key(&w->node[0], &w->node[1].me.addr, w->node[1].me.link_pk);
    s_keep_key(&w->node[0], &w->node[2].me.addr, w->node[1].me.link_pk); // a wrong one: not believed
    s_data(w, 0, 1, 1);
    s_for(w, 61 * BW_MS);
    assert_int_equal(w->node[1].got, 1);
    assert_int_equal(w->questions, 0);
    w->node[0].key_count = 1;
    w->node[0].keys[1].addr = w->node[2].me.addr;
    s_data(w, 0, 2, 1);
    s_for(w, BW_S);
    assert_int_equal(w->node[2].got, 1);
    assert_int_equal(w->questions, 1);
    s_end(w);
}

static void a_suppressed_question_means_silence(void **state)
{
    (void)state;
    struct s_world *w = s_new(4);
    w->no_questions = true;
    for (uint32_t i = 0; i < 40; i++) {
        s_data(w, 0, 1, i);
        s_for(w, BW_S);
    }
    assert_int_equal(w->node[1].got, 0);
    assert_int_equal(w->esp, 0);
    assert_in_range(w->questions, 5, 15); // patient, not a flood
    w->no_questions = false;
    s_for(w, 7 * BW_S);
    assert_in_range(w->node[1].got, 5, 16); // what had not waited too long
    struct sessions_stats st;
    sessions_stats(w->node[0].ss, &st);
    assert_int_equal(st.queued, 0);
    s_end(w);
}

static void rekeys_lose_nothing(void **state)
{
    (void)state;
    struct s_world *w = s_new(5);
    w->jitter_us = 15000;
    uint32_t k = 0;
    bw_time first = w->now;
    for (bw_time end = w->now + 1000 * BW_S; w->now < end;) {
        s_data(w, 0, 1, k);
        s_data(w, 1, 0, k++);
        s_for(w, 50 * BW_MS);
    }
    s_for(w, BW_S);
    assert_int_equal(w->node[0].got, k);
    assert_int_equal(w->node[1].got, k);
    assert_in_range(w->initiations, 8, 11); // every 90 to 120 s
    for (int i = 0; i < 2; i++) {
        struct session_info s = s_info(w, i, 1 - i);
        assert_int_equal(w->node[i].downs, 0);
        assert_true(s.up_since <= first + BW_S && s.born > first + 800 * BW_S); // new keys do not make a session young
    }
    s_for(w, 300 * BW_S); // nothing to say: the keys end, and what comes then is a new session
    assert_int_equal(s_info(w, 0, 1).up_since, 0);
    s_data(w, 0, 1, k);
    s_for(w, BW_S);
    assert_in_range(s_info(w, 0, 1).up_since, w->now - BW_S, w->now);
    s_end(w);
}

static void traffic_in_one_direction_is_enough(void **state)
{
    (void)state;
    struct s_world *w = s_new(6);
    uint32_t k = 0;
    s_data(w, 0, 1, k++); // 0 begins, then only 1 speaks
    s_for(w, BW_S);
    for (bw_time end = w->now + 600 * BW_S; w->now < end;) {
        s_data(w, 1, 0, k++);
        s_for(w, 200 * BW_MS);
    }
    assert_int_equal(w->node[0].got, k - 1);
    assert_true(w->dummies >= 40); // an answer every ten seconds
    s_end(w);
}

static void both_at_once_agree(void **state)
{
    (void)state;
    for (uint8_t seed = 0; seed < 40; seed++) {
        struct s_world *w = s_new((uint8_t)(60 + seed));
        w->jitter_us = 1 + seed * 1500u;
        w->loss_permille = seed % 4 == 3 ? 200 : 0;
        s_data(w, 0, 1, 1);
        s_data(w, 1, 0, 1);
        for (uint32_t k = 2; k < 200; k++) {
            s_for(w, 100 * BW_MS);
            s_data(w, 0, 1, k);
            s_data(w, 1, 0, k);
        }
        s_for(w, 2 * BW_S);
        if (!w->loss_permille) assert_true(w->node[0].got == 199 && w->node[1].got == 199);
        else assert_true(w->node[0].got > 100 && w->node[1].got > 100);
        assert_true(s_info(w, 0, 1).initiator != s_info(w, 1, 0).initiator); // one pair of keys
        s_end(w);
    }
}

static void loss_only_delays(void **state)
{
    (void)state;
    unsigned worst = 0;
    for (uint8_t seed = 0; seed < 30; seed++) {
        struct s_world *w = s_new((uint8_t)(100 + seed));
        w->loss_permille = 300;
        bw_time begin = w->now;
        s_data(w, 0, 1, 1);
        uint32_t k = 2;
        while (!w->node[1].got && w->now < begin + 60 * BW_S) {
            s_for(w, 50 * BW_MS);
            if (k < 1000) s_data(w, 0, 1, k++);
        }
        unsigned took = (unsigned)((w->now - begin) / BW_MS);
        if (took > worst) worst = took;
        assert_true(w->node[1].got > 0);
        s_end(w);
    }
    assert_in_range(worst, 100, 60000);
}

static void a_restarted_peer_is_back_in_a_round_trip(void **state)
{
    (void)state;
    for (int clock_back = 0; clock_back < 2; clock_back++) {
        struct s_world *w = s_new(8);
        s_data(w, 0, 1, 1);
        s_for(w, 5 * BW_S);
        assert_int_equal(w->node[1].got, 1);
        s_stop(&w->node[1]);
        if (clock_back) w->node[1].unix_ns = 0; // a Pi without a battery
        s_start(&w->node[1]);
        s_data(w, 0, 1, 2); // lost: nobody has the keys
        s_for(w, 81 * BW_MS); // the packet, the notice, initiation, response
        assert_int_equal(w->notices, 1);
        s_data(w, 0, 1, 3);
        s_for(w, 21 * BW_MS);
        assert_int_equal(w->node[1].seen[3], 1);
        assert_int_equal(w->questions, 1); // the key was known
        // And the other way round: the restarted one speaks first.
        s_stop(&w->node[1]);
        if (clock_back) w->node[1].unix_ns = 0;
        s_start(&w->node[1]);
        s_data(w, 1, 0, 4);
        s_for(w, 61 * BW_MS);
        assert_int_equal(w->node[0].seen[4], 1); // its stamps are above those of its earlier lives
        assert_int_equal(w->questions, 1);
        s_end(w);
    }
}

static void without_the_notice_it_takes_longer(void **state)
{
    (void)state;
    struct s_world *w = s_new(9);
    s_data(w, 0, 1, 1);
    s_for(w, 5 * BW_S);
    s_stop(&w->node[1]);
    s_for(w, BW_S);
    uint32_t k = 2;
    for (int i = 0; i < 25; i++) { // silence is noticed
        s_data(w, 0, 1, k++);
        s_for(w, BW_S);
    }
    assert_true(w->initiations >= 2);
    s_start(&w->node[1]);
    s_for(w, 6 * BW_S);
    s_data(w, 0, 1, k);
    s_for(w, BW_S);
    assert_int_equal(w->node[1].seen[k], 1);
    s_end(w);
}

static void idle_sessions_go_and_keys_with_them(void **state)
{
    (void)state;
    struct s_world *w = s_new(10);
    s_data(w, 0, 1, 1);
    s_for(w, 170 * BW_S);
    assert_int_equal(s_state(w, 0, 1), SESSION_UP);
    s_for(w, 12 * BW_S);
    for (int i = 0; i < 2; i++) {
        struct sessions_stats st;
        sessions_stats(w->node[i].ss, &st);
        assert_int_equal(st.sessions, 0);
        assert_int_equal(w->node[i].table->count, 0); // the packet path has none either
        assert_int_equal(w->node[i].downs, 1);
        assert_int_equal(sessions_deadline(w->node[i].ss), BW_NEVER); // and nothing to wait for
    }
    s_data(w, 1, 0, 2);
    s_for(w, 61 * BW_MS);
    assert_int_equal(w->node[0].got, 1);
    assert_int_equal(w->questions, 1);
    s_end(w);
}

static void a_packet_path_without_a_table_loses_nothing(void **state)
{
    (void)state;
    struct s_world *w = s_new(11);
    w->no_table = true;
    for (uint32_t k = 0; k < 30; k++) {
        s_data(w, 0, 1, k);
        s_data(w, 1, 0, k);
        s_for(w, 20 * BW_MS);
    }
    s_for(w, BW_S);
    assert_int_equal(w->node[0].got, 30);
    assert_int_equal(w->node[1].got, 30);
    s_end(w);
}

static void waiting_packets_are_bounded(void **state)
{
    (void)state;
    struct s_world *w = s_new(12);
    struct sessions *ss = w->node[0].ss;
    w->no_questions = true;
    for (uint32_t k = 0; k < 100; k++) s_data(w, 0, 1, k);
    struct sessions_stats st;
    sessions_stats(ss, &st);
    assert_int_equal(st.queued, SESSION_QUEUE_PACKETS);
    assert_int_equal(sessions_drops(ss, SESSION_DROP_QUEUE), 100 - SESSION_QUEUE_PACKETS);
    uint8_t p[200];
    for (unsigned i = 0; i < 200; i++) { // many addresses
        struct bw_addr to = {{0xfc, 9, 9, (uint8_t)i, [15] = 1}};
        for (unsigned k = 0; k < 10; k++) {
            ip6_header(p, 0, 100, 253, 64, &w->node[0].me.addr, &to);
            sessions_send(ss, &to, p, 140, w->now);
        }
    }
    sessions_stats(ss, &st);
    assert_int_equal(st.queued, SESSION_QUEUE_TOTAL);
    s_for(w, 11 * BW_S);
    sessions_stats(ss, &st);
    assert_int_equal(st.queued, 0);
    s_for(w, 100 * BW_S);
    sessions_stats(ss, &st);
    assert_int_equal(st.sessions, 0); // attempts end
    s_end(w);
}

// ---- errors from the way ----

static size_t error_about(uint8_t *out, const struct s_world *w, const struct bw_addr *relay, uint8_t type, uint32_t param,
                          const uint8_t *packet, size_t n)
{
    if (n > 1232) n = 1232;
    ip6_header(out, 0, (uint16_t)(8 + n), IP_ICMPV6, 60, relay, &w->node[0].me.addr);
    uint8_t *icmp = out + 40;
    memset(icmp, 0, 8);
    icmp[0] = type;
    ip_put32(icmp + 4, param);
    memcpy(icmp + 8, packet, n);
    csum_store(icmp + 2, csum_add(csum_pseudo(out + 8, out + 24, 16, IP_ICMPV6, (uint32_t)(8 + n)), icmp, 8 + n));
    return 48 + n;
}

static uint8_t last_esp[1500];
static size_t last_esp_n;
static int keep_esp(struct s_world *w, struct s_packet *p)
{
    (void)w;
    if (p->from == 0 && p->data[6] == 50) memcpy(last_esp, p->data, last_esp_n = p->n);
    return 0;
}

static void errors_are_turned_back(void **state)
{
    (void)state;
    struct s_world *w = s_new(13);
    struct s_node *me = &w->node[0];
    const struct bw_addr relay = w->node[2].me.addr;
    uint8_t p[1420], e[1500];
    w->evil = keep_esp;
    s_data(w, 0, 1, 1);
    s_for(w, BW_S);
    size_t n = s_make(w, 0, 1, 2, 1300, p);
    p[6] = 17;
    p[7] = 3; // traceroute
    sessions_send(me->ss, &w->node[1].me.addr, p, n, w->now);
    assert_true(last_esp_n > 1300 && last_esp[7] == 3 && last_esp[6] == 50);
    last_esp[7] = 0;
    size_t len = error_about(e, w, &relay, 3, 0, last_esp, last_esp_n);
    sessions_icmp_error(me->ss, e, len, w->now);
    assert_int_equal(me->deliveries, 1);
    const uint8_t *d = me->delivered;
    assert_memory_equal(d + 8, relay.b, 16);
    assert_true(d[40] == 3 && d[48 + 6] == 17 && ip_get16(d + 48 + 4) == 1300);
    assert_memory_equal(d + 48 + 40, p + 40, 48);
    assert_memory_equal(d + 48 + 8, p + 8, 32);
    assert_int_equal(csum_fold(csum_add(csum_pseudo(d + 8, d + 24, 16, IP_ICMPV6, (uint32_t)me->delivered_n - 40), d + 40, me->delivered_n - 40)), 0xffff);
    // What was not sent: another SPI, a number yet to come, another cipher text's address, a broken checksum.
    const struct { unsigned at; uint8_t x; } wrong[] = {{48 + 40, 1}, {48 + 40 + 5, 1}, {48 + 24 + 9, 1}, {48 + 8 + 9, 1}, {48 + 6, 1}, {42, 1}};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t f[1500];
        memcpy(f, e, len);
        f[wrong[i].at] ^= wrong[i].x;
        if (wrong[i].at != 42) {
            f[42] = f[43] = 0;
            csum_store(f + 42, csum_add(csum_pseudo(f + 8, f + 24, 16, IP_ICMPV6, (uint32_t)(len - 40)), f + 40, len - 40));
        }
        sessions_icmp_error(me->ss, f, len, w->now);
    }
    assert_int_equal(me->deliveries, 1);
    for (size_t cut = 0; cut < 96; cut++) sessions_icmp_error(me->ss, e, cut, w->now);
    assert_int_equal(me->deliveries, 1);
    s_end(w);
}

static size_t inner4(uint8_t *p, uint8_t proto, uint8_t ttl, uint16_t where, uint8_t type)
{
    static const uint8_t head[20] = {0x45, 0, 0, 120, 0x12, 0x34, 0, 0, 0, 0, 0, 0, 10, 1, 1, 9, 192, 168, 7, 9};
    memset(p, 0x77, 120);
    memcpy(p, head, 20);
    ip_put16(p + 6, where);
    p[8] = ttl;
    p[9] = proto;
    ip4_checksum(p, 20);
    p[20] = type;
    return 120;
}

static size_t inner6(uint8_t *p, uint8_t proto, uint8_t hops, uint8_t type)
{
    const struct bw_addr src = {{0xfd, 1, [15] = 9}}, dst = {{0xfd, 7, [15] = 9}};
    memset(p, 0x66, 200);
    ip6_header(p, 0, 160, proto, hops, &src, &dst);
    p[40] = type;
    return 200;
}

static void errors_about_tunnels_are_turned_back(void **state)
{
    (void)state;
    struct s_world *w = s_new(15);
    struct s_node *me = &w->node[0];
    const struct bw_addr *to = &w->node[1].me.addr, relay = w->node[2].me.addr;
    uint8_t p[1420], e[1500];
    w->evil = keep_esp;
    s_data(w, 0, 1, 1);
    s_for(w, BW_S);
    const struct {
        bool v4;
        uint8_t proto, hops, type; // type: the first byte behind the IP header
        uint16_t where;            // IPv4's flags and offset
        uint8_t error;
        bool told;
    } row[] = {
        {true, 1, 64, 8, 0, 1, true},    {true, 1, 64, 8, 0x4000, 3, true}, {true, 1, 64, 8, 0x2000, 4, true},
        {true, 1, 64, 0, 0, 1, false},   {true, 1, 64, 3, 0, 1, false},     {true, 1, 64, 8, 100, 1, false}, // an answer, an error, a later fragment
        {true, 17, 3, 1, 0, 1, true},    {true, 6, 64, 1, 0, 1, false},     {true, 47, 3, 1, 0, 1, false},
        {true, 1, 64, 8, 0, 2, false},   {true, 1, 64, 8, 0, 100, false},
        {false, 58, 64, 128, 0, 1, true}, {false, 58, 64, 129, 0, 1, false}, {false, 58, 64, 1, 0, 3, false},
        {false, 17, 3, 1, 0, 3, true},   {false, 6, 64, 1, 0, 1, false},    {false, 44, 3, 1, 0, 1, false},
        {false, 58, 64, 128, 0, 2, false},
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        size_t n = row[i].v4 ? inner4(p, row[i].proto, row[i].hops, row[i].where, row[i].type) : inner6(p, row[i].proto, row[i].hops, row[i].type);
        unsigned before = me->deliveries;
        sessions_send(me->ss, to, p, n, w->now);
        assert_true(last_esp[6] == 50 && last_esp[7] == 64);
        size_t len = error_about(e, w, &relay, row[i].error, row[i].error == 2 ? 1300 : 0, last_esp, last_esp_n);
        for (int twice = 0; twice < 2; twice++) sessions_icmp_error(me->ss, e, len, w->now); // the second brings nothing
        if (me->deliveries != before + row[i].told) fail_msg("row %u", i);
        if (!row[i].told) continue;
        const uint8_t *d = me->delivered;
        size_t dn = me->delivered_n;
        if (row[i].v4) {
            assert_true(dn == 56 && ip_get16(d + 2) == 56 && d[20] == 3 && d[21] == 1 && d[9] == 1);
            assert_memory_equal(d + 12, "\300\000\000\010\012\001\001\011", 8); // 192.0.0.8 to 10.1.1.9
            assert_memory_equal(d + 28, p, 28);
            assert_int_equal(csum_fold(csum_add(0, d, 20)), 0xffff);
            assert_int_equal(csum_fold(csum_add(0, d + 20, dn - 20)), 0xffff);
        } else {
            assert_true(dn == 96 && ip_get16(d + 4) == 56 && d[40] == 1 && d[41] == 3 && d[6] == IP_ICMPV6);
            assert_memory_equal(d + 8, relay.b, 16);
            assert_memory_equal(d + 24, p + 8, 16);
            assert_memory_equal(d + 48, p, 48);
            assert_int_equal(csum_fold(csum_add(csum_pseudo(d + 8, d + 24, 16, IP_ICMPV6, 56), d + 40, 56)), 0xffff);
        }
    }
    s_end(w);
}

static void the_path_mtu_is_learned(void **state)
{
    (void)state;
    struct s_world *w = s_new(14);
    struct s_node *me = &w->node[0];
    const struct bw_addr *to = &w->node[1].me.addr;
    const struct bw_addr relay = w->node[2].me.addr;
    uint8_t p[1420], e[1500];
    w->evil = keep_esp;
    s_data(w, 0, 1, 1);
    s_for(w, BW_S);
    s_data(w, 0, 1, 2); // a short one: nobody can say that it was too big for 1,400
    size_t len = error_about(e, w, &relay, 2, 1400, last_esp, last_esp_n);
    sessions_icmp_error(me->ss, e, len, w->now);
    assert_int_equal(s_info(w, 0, 1).mtu, SESSION_MTU);
    size_t n = s_make(w, 0, 1, 3, session_transport_mtu(SESSION_MTU) - 40, p);
    sessions_send(me->ss, to, p, n, w->now);
    assert_in_range(last_esp_n, 1417, 1420);
    len = error_about(e, w, &relay, 2, 1400, last_esp, last_esp_n);
    sessions_icmp_error(me->ss, e, len, w->now);
    assert_int_equal(s_info(w, 0, 1).mtu, 1400);
    assert_int_equal(session_table_peer(sessions_table(me->ss), to)->mtu, 1400);
    len = error_about(e, w, &relay, 2, 600, last_esp, last_esp_n);
    sessions_icmp_error(me->ss, e, len, w->now);
    assert_int_equal(s_info(w, 0, 1).mtu, SESSION_MTU_MIN); // nobody is squeezed below what IPv6 needs
    assert_true(sessions_drops(me->ss, SESSION_DROP_ERROR) >= 1);
    uint64_t drops = sessions_drops(me->ss, SESSION_DROP_QUEUE);
    sessions_send(me->ss, to, p, n, w->now);
    assert_int_equal(sessions_drops(me->ss, SESSION_DROP_QUEUE), drops + 1);
    for (uint32_t k = 10; k < 10 + 62; k++) {
        s_data(w, 0, 1, k);
        s_for(w, 10 * BW_S);
    }
    assert_int_equal(s_info(w, 0, 1).mtu, SESSION_MTU); // the path may have grown
    s_end(w);
}

static void what_may_go_in_transport_mode(void **state)
{
    (void)state;
    struct bw_addr a = {{0xfc, 1}}, b = {{0xfc, 2}}, c = {{0xfd, 2}};
    uint8_t p[60];
    ip6_header(p, 0, 20, 6, 64, &a, &b);
    assert_true(session_fits_transport(p, 60, &a, &b));
    assert_false(session_fits_transport(p, 60, &a, &c));
    assert_false(session_fits_transport(p, 60, &c, &b));
    assert_false(session_fits_transport(p, 39, &a, &b));
    const uint8_t not[] = {0, 43, 44, 60, 4, 41, 50, 51, 59};
    for (unsigned i = 0; i < sizeof not; i++) {
        p[6] = not[i];
        assert_false(session_fits_transport(p, 60, &a, &b));
    }
    p[0] = 0x45;
    assert_false(session_fits_transport(p, 60, &a, &b));
}

static void the_same_seed_gives_the_same_run(void **state)
{
    (void)state;
    static char log[2][1 << 16];
    for (int i = 0; i < 2; i++) {
        struct s_world *w = s_new(15);
        w->loss_permille = 100;
        w->jitter_us = 30000;
        for (uint32_t k = 0; k < 300; k++) {
            s_data(w, 0, 1, k);
            if (k % 3) s_data(w, 2, 1, k + 1000);
            s_for(w, BW_S);
        }
        memcpy(log[i], w->keylog, sizeof log[i]);
        s_end(w);
    }
    assert_string_equal(log[0], log[1]);
    assert_true(strlen(log[0]) > 1000);
}

int main(void)
{
    assert_int_equal(bw_crypto_init(), 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_packet_gets_through),
        cmocka_unit_test(ciphers),
        cmocka_unit_test(a_known_key_is_not_asked_for),
        cmocka_unit_test(a_suppressed_question_means_silence),
        cmocka_unit_test(rekeys_lose_nothing),
        cmocka_unit_test(traffic_in_one_direction_is_enough),
        cmocka_unit_test(both_at_once_agree),
        cmocka_unit_test(loss_only_delays),
        cmocka_unit_test(a_restarted_peer_is_back_in_a_round_trip),
        cmocka_unit_test(without_the_notice_it_takes_longer),
        cmocka_unit_test(idle_sessions_go_and_keys_with_them),
        cmocka_unit_test(a_packet_path_without_a_table_loses_nothing),
        cmocka_unit_test(waiting_packets_are_bounded),
        cmocka_unit_test(errors_are_turned_back),
        cmocka_unit_test(errors_about_tunnels_are_turned_back),
        cmocka_unit_test(the_path_mtu_is_learned),
        cmocka_unit_test(what_may_go_in_transport_mode),
        cmocka_unit_test(the_same_seed_gives_the_same_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
