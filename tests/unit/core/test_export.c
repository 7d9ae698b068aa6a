// Exporters: who confirms which networks, who is believed to be a stock neighbour, and what a liar on the way gets from it.
#include "unit/parse.h"
#include "unit/vectors.h"

#include <stdlib.h>

#include "core/export/exporters.h"

#define NODES 3

static struct bw_rng rng;
static struct bw_mem mem;
static struct identity id[NODES + 1]; // the last is the one that asks
static struct exporters *x;
static bw_time now;
static uint32_t serial[NODES];  // asked last; 0: not asked
static unsigned asks, changes, rescans;

static void on_ask(void *ctx, uint32_t s, const struct bw_addr *to)
{
    (void)ctx;
    asks++;
    for (int i = 0; i < NODES; i++)
        if (bw_addr_eq(to, &id[i].addr)) serial[i] = s;
}

static void on_again(void *ctx)
{
    (void)ctx;
    rescans++;
}

static void on_changed(void *ctx)
{
    (void)ctx;
    changes++;
}

static int begin(void **state)
{
    (void)state;
    uint8_t seed[32] = {9}, hash[16] = {3};
    bw_rng_seed(&rng, seed);
    bw_mem_system(&mem);
    for (int i = 0; i <= NODES; i++) identity_draw(&id[i], &rng);
    now = 1000 * BW_S;
    memset(serial, 0, sizeof serial);
    asks = changes = rescans = 0;
    x = exporters_new(&mem, &id[NODES], hash, &(struct exporters_ops){.ask = on_ask, .changed = on_changed, .again = on_again});
    assert_non_null(x);
    return 0;
}

static int end(void **state)
{
    (void)state;
    exporters_free(x);
    assert_int_equal(mem.used, 0);
    return 0;
}

struct route {
    const char *prefix;
    int by; // -1: a router-id that is nobody's
};

// Babel's routes: the networks, and every node's own address but those in `gone`.
static void routes(const struct route *r, unsigned n, unsigned gone)
{
    static const uint8_t nobody[8] = {1, 2, 3};
    exporters_begin(x);
    for (unsigned i = 0; i < n; i++) {
        struct bw_prefix p = prefix(r[i].prefix);
        exporters_route(x, &p, r[i].by < 0 ? nobody : id[r[i].by].router_id, 9, now);
    }
    for (int i = 0; i < NODES; i++)
        if (!(gone >> i & 1)) exporters_node(x, &id[i].addr);
    exporters_end(x, now);
    exporters_tick(x, now);
}

static int record(int by, const char *const *nets, unsigned n, char *out)
{
    struct bw_prefix p[EXPORT_PREFIXES + 8];
    for (unsigned i = 0; i < n; i++) p[i] = prefix(nets[i]);
    int len = exporters_own(&id[by], p, n, 1700000000, out, SIGNED_MAX);
    assert_true(len > 0);
    return len;
}

// Node `asked` answers with what `by` says.
static void answer(int asked, int by, const char *const *nets, unsigned n)
{
    char text[SIGNED_MAX];
    assert_int_not_equal(serial[asked], 0);
    exporters_answered(x, serial[asked], 200, text, (size_t)record(by, nets, n, text), now);
    serial[asked] = 0;
}

static enum exporter_says says(const char *net, int by, struct bw_addr *via)
{
    static const uint8_t nobody[8] = {1, 2, 3};
    struct bw_prefix p = prefix(net);
    struct bw_addr to = {{0}};
    enum exporter_says says = exporters_lookup(x, &p, by < 0 ? nobody : id[by].router_id, &to, now);
    assert_true(bw_addr_is_zero(&to) == (says != EXPORT_CONFIRMED)); // the packet path goes by it
    if (via) *via = to;
    return says;
}

static void confirmed_by_the_record_only(void **state)
{
    (void)state;
    struct route r[] = {{"192.168.7.0/24", 0}, {"fd00:7::/64", 0}};
    struct bw_addr via;
    assert_int_equal(says(r[0].prefix, 0, NULL), EXPORT_UNCONFIRMED);
    routes(r, 2, 0);
    assert_int_equal(asks, 1); // once for both
    assert_int_equal(says(r[0].prefix, 0, NULL), EXPORT_UNCONFIRMED);
    answer(0, 0, (const char *[]){"192.168.7.0/24"}, 1);
    assert_int_equal(rescans, 1);
    routes(r, 2, 0);
    assert_int_equal(says(r[0].prefix, 0, &via), EXPORT_CONFIRMED);
    assert_memory_equal(&via, &id[0].addr, 16);
    assert_int_equal(says(r[1].prefix, 0, NULL), EXPORT_UNCONFIRMED);
    // It announces a network that it has not confirmed: asked again, with growing pauses.
    unsigned before = asks;
    for (bw_time until = now + 60 * BW_S; now < until; now += BW_S / 4) {
        exporters_tick(x, now);
        if (serial[0]) answer(0, 0, (const char *[]){"192.168.7.0/24"}, 1);
        routes(r, 2, 0);
    }
    assert_in_range(asks - before, 4, 8);
    now += 60 * BW_S;
    exporters_tick(x, now);
    answer(0, 0, (const char *[]){"192.168.7.0/24", "fd00:7::/64"}, 2);
    routes(r, 2, 0);
    assert_int_equal(says(r[1].prefix, 0, &via), EXPORT_CONFIRMED);
}

static void lies_confirm_nothing(void **state)
{
    (void)state;
    struct route r[] = {{"192.168.7.0/24", 0}};
    const char *net[] = {"192.168.7.0/24"};
    char text[SIGNED_MAX];
    routes(r, 1, 0);
    answer(0, 1, net, 1); // somebody else's record in the asked one's place
    routes(r, 1, 0);
    assert_int_equal(says(net[0], 0, NULL), EXPORT_UNCONFIRMED);
    for (int i = 0; i < 3; i++) {
        now += 10 * BW_S;
        exporters_tick(x, now);
        int n = record(0, net, 1, text);
        if (i == 0) memcpy(strstr(text, "192.168"), "192.169", 7); // its signature is another's
        if (i == 1) n--;
        exporters_answered(x, serial[0], i == 2 ? 404 : 200, text, (size_t)n, now);
        assert_int_equal(says(net[0], 0, NULL), EXPORT_UNCONFIRMED);
    }
    int n = record(0, net, 1, text);
    exporters_answered(x, 12345, 200, text, (size_t)n, now); // a serial that nobody asked with
    exporters_answered(x, 0, 200, text, (size_t)n, now);
    assert_int_equal(says(net[0], 0, NULL), EXPORT_UNCONFIRMED);
}

static void stock_after_a_while_only(void **state)
{
    (void)state;
    struct route r[] = {{"10.77.1.0/24", -1}};
    routes(r, 1, 0);
    assert_int_equal(says(r[0].prefix, -1, NULL), EXPORT_UNCONFIRMED); // its address may follow
    bw_time due = exporters_tick(x, now);
    assert_int_equal(due, now + EXPORT_GRACE);
    unsigned before = changes;
    now = due;
    exporters_tick(x, now);
    assert_int_equal(changes, before + 1);
    assert_int_equal(says(r[0].prefix, -1, NULL), EXPORT_STOCK);
    assert_int_equal(asks, 0);
    // A byway node's network before its address, then the address.
    struct route two[] = {{"10.77.1.0/24", -1}, {"fd00:7::/64", 1}};
    routes(two, 2, 1u << 1);
    assert_int_equal(says("fd00:7::/64", 1, NULL), EXPORT_UNCONFIRMED);
    routes(two, 2, 0);
    assert_int_equal(asks, 1);
    now += 10 * BW_S;
    assert_int_equal(says("fd00:7::/64", 1, NULL), EXPORT_UNCONFIRMED);
}

static void a_false_router_id_gets_no_packets(void **state)
{
    (void)state;
    struct route honest[] = {{"192.168.7.0/24", 0}}, liar[] = {{"192.168.7.0/24", -1}};
    const char *net[] = {"192.168.7.0/24"};
    struct bw_addr via;
    routes(honest, 1, 0);
    answer(0, 0, net, 1);
    routes(honest, 1, 0);
    routes(liar, 1, 0); // a relay has rewritten the router-id, so that packets would come to it in plain
    now += 100 * BW_S;
    routes(liar, 1, 0);
    assert_int_equal(says(net[0], -1, &via), EXPORT_CONFIRMED);
    assert_memory_equal(&via, &id[0].addr, 16);
    assert_true(serial[0]); // but has it perhaps given the network up?
    answer(0, 0, NULL, 0);
    routes(liar, 1, 0);
    assert_int_equal(says(net[0], -1, NULL), EXPORT_STOCK);
    // Another byway node announces what only this one confirms: nothing goes there.
    struct route other[] = {{"192.168.7.0/24", 1}};
    routes(honest, 1, 0);
    now += 100 * BW_S;
    exporters_tick(x, now);
    answer(0, 0, net, 1);
    routes(other, 1, 0);
    assert_int_equal(says(net[0], 1, NULL), EXPORT_UNCONFIRMED);
}

// Halves of a confirmed network, and the network itself while its node's address is kept back: nothing goes there in plain.
static void no_part_of_a_confirmed_network_is_stock(void **state)
{
    (void)state;
    struct route honest[] = {{"192.168.0.0/16", 0}, {"fd00:7::/48", 0}, {"0.0.0.0/0", 0}};
    struct route liar[] = {{"192.168.0.0/17", -1}, {"192.168.128.0/17", -1}, {"fd00:7:0:8000::/49", -1}, {"10.77.1.0/24", -1}, {"0.0.0.0/0", -1}};
    struct bw_addr via;
    routes(honest, 3, 0);
    answer(0, 0, (const char *[]){"192.168.0.0/16", "fd00:7::/48", "0.0.0.0/0"}, 3);
    routes(honest, 3, 0);
    routes(liar, 5, 0);
    now += 10 * BW_S;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(says(liar[i].prefix, -1, &via), EXPORT_CONFIRMED);
        assert_memory_equal(&via, &id[0].addr, 16);
    }
    assert_int_equal(says("10.77.1.0/24", -1, NULL), EXPORT_STOCK); // who exports a default route has not all networks
    assert_int_equal(says("0.0.0.0/0", -1, &via), EXPORT_CONFIRMED);
    routes(liar, 5, 1);
    for (unsigned i = 0; i < 3; i++) assert_int_equal(says(liar[i].prefix, -1, NULL), EXPORT_UNCONFIRMED);
    assert_int_equal(says("192.168.0.0/16", -1, NULL), EXPORT_UNCONFIRMED);
    now += EXPORT_LIFETIME_S * BW_S; // until the record ends
    routes(liar, 5, 1);
    assert_int_equal(says(liar[0].prefix, -1, NULL), EXPORT_STOCK);
}

static void a_record_alone_takes_no_stock_network(void **state)
{
    (void)state;
    struct route stock[] = {{"10.77.1.0/24", -1}}, both[] = {{"10.77.1.0/24", -1}, {"192.168.7.0/24", 2}};
    const char *nets[] = {"10.77.1.0/24", "192.168.7.0/24"};
    routes(stock, 1, 0);
    now += 10 * BW_S;
    exporters_want(x, &id[2].addr, now); // a stranger sends something, so that he is asked
    exporters_tick(x, now);
    answer(2, 2, nets, 2);
    routes(stock, 1, 0);
    assert_int_equal(says(nets[0], -1, NULL), EXPORT_STOCK);
    routes(both, 2, 0);
    assert_int_equal(says(nets[0], -1, NULL), EXPORT_STOCK);
    assert_int_equal(says(nets[1], 2, NULL), EXPORT_CONFIRMED);
    // What it has announced is its also under another record.
    now += 100 * BW_S;
    exporters_tick(x, now);
    answer(2, 2, nets + 1, 1);
    struct route taken[] = {{"192.168.7.0/24", -1}};
    routes(taken, 1, 0);
    assert_int_equal(says(nets[1], -1, NULL), EXPORT_CONFIRMED);
}

// An address that ends like a node's own, announced first by somebody who has no key for it.
static void a_made_up_address_gives_way(void **state)
{
    (void)state;
    struct route r[] = {{"192.168.7.0/24", 0}};
    const char *net[] = {"192.168.7.0/24"};
    struct bw_prefix p = prefix(net[0]);
    struct bw_addr fake = id[0].addr;
    fake.b[3] ^= 1;
    exporters_begin(x);
    exporters_route(x, &p, id[0].router_id, 0, now);
    exporters_node(x, &fake);
    exporters_end(x, now);
    exporters_tick(x, now);
    assert_true(asks == 1 && !serial[0]);
    now += 10 * BW_S;
    for (int i = 0; i < 2; i++) routes(r, 1, 0); // it is gone
    now += 10 * BW_S;
    exporters_tick(x, now);
    answer(0, 0, net, 1);
    routes(r, 1, 0);
    assert_int_equal(says(net[0], 0, NULL), EXPORT_CONFIRMED);
}

static void who_is_silent_keeps_nobody_out(void **state)
{
    (void)state;
    const char *net[] = {"192.168.7.0/24"};
    struct bw_prefix p = prefix(net[0]);
    exporters_begin(x);
    exporters_route(x, &p, id[0].router_id, 0, now);
    exporters_node(x, &id[0].addr);
    for (unsigned i = 0; i < 200; i++) { // strangers, newer than it
        struct bw_addr a = {{0xfc, 1, [14] = 1, (uint8_t)i}};
        struct bw_prefix q = prefix("10.9.0.0/24");
        q.addr.b[14] = (uint8_t)i;
        exporters_route(x, &q, a.b + 8, 0, now);
        exporters_node(x, &a);
    }
    exporters_end(x, now);
    for (bw_time until = now + 300 * BW_S; now < until && !serial[0];) now = exporters_tick(x, now);
    answer(0, 0, net, 1);
}

struct seen {
    unsigned peers, prefixes;
    struct bw_addr peer;
};
static void see(void *ctx, const struct bw_addr *peer, const struct bw_prefix *p, unsigned n)
{
    struct seen *s = ctx;
    (void)p;
    s->peers++;
    s->prefixes += n;
    s->peer = *peer;
}

static void what_may_come_from_whom(void **state)
{
    (void)state;
    struct route r[] = {{"192.168.7.0/24", 0}};
    routes(r, 1, 0);
    answer(0, 0, (const char *[]){"192.168.7.0/24", "0.0.0.0/0", "10.0.0.0/8"}, 3); // it claims more than is routed
    routes(r, 1, 0);
    struct seen s = {0};
    exporters_each(x, see, &s);
    assert_true(s.peers == 1 && s.prefixes == 1);
    // A second gateway of the same network, known only by what came out of its tunnel.
    exporters_want(x, &id[2].addr, now);
    exporters_tick(x, now);
    answer(2, 2, (const char *[]){"192.168.7.0/24"}, 1);
    routes(r, 1, 0);
    s = (struct seen){0};
    exporters_each(x, see, &s);
    assert_true(s.peers == 2 && s.prefixes == 2);
    routes(NULL, 0, 0);
    s = (struct seen){0};
    exporters_each(x, see, &s);
    assert_int_equal(s.peers, 0);
    // Records end; so does what is wanted.
    now += 2 * 3600 * BW_S;
    exporters_tick(x, now);
    routes(NULL, 0, 0);
    assert_int_equal(exporters_tick(x, now), BW_NEVER);
}

static void asked_again_in_time(void **state)
{
    (void)state;
    struct route r[] = {{"192.168.7.0/24", 0}};
    const char *net[] = {"192.168.7.0/24"};
    routes(r, 1, 0);
    answer(0, 0, net, 1);
    routes(r, 1, 0);
    bw_time got = now, due = exporters_tick(x, now += EXPORT_GRACE);
    assert_int_equal(due, got + EXPORT_LIFETIME_S / 2 * BW_S);
    now = due;
    exporters_tick(x, now);
    assert_int_equal(asks, 2);
    // No answer: the same again, while the record still holds; then nothing goes there.
    for (bw_time until = now + EXPORT_LIFETIME_S / 2 * BW_S - BW_S; now < until;) now = bw_time_min(exporters_tick(x, now), until);
    assert_int_equal(says(net[0], 0, NULL), EXPORT_CONFIRMED);
    assert_in_range(asks, 10, 60);
    now += 2 * BW_S;
    exporters_tick(x, now);
    assert_int_equal(says(net[0], 0, NULL), EXPORT_UNCONFIRMED);
}

static void an_absent_exporter_is_not_asked(void **state)
{
    (void)state;
    struct route r[] = {{"192.168.7.0/24", 0}};
    const char *net[] = {"192.168.7.0/24"};
    routes(r, 1, 0);
    answer(0, 0, net, 1);
    routes(r, 1, 1);
    assert_int_equal(says(net[0], 0, NULL), EXPORT_UNCONFIRMED);
    unsigned before = asks;
    for (int i = 0; i < 100; i++) exporters_tick(x, now += 30 * BW_S);
    assert_int_equal(asks, before);
}

static void many_are_bounded(void **state)
{
    (void)state;
    exporters_begin(x);
    for (unsigned i = 0; i < 3 * EXPORTERS_MAX; i++) {
        uint8_t router[8] = {7, [4] = (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        struct bw_prefix p = prefix("10.0.0.0/24");
        p.addr.b[13] = (uint8_t)(i >> 8), p.addr.b[14] = (uint8_t)i;
        exporters_route(x, &p, router, 0, now);
    }
    exporters_end(x, now);
    assert_true(mem.used < 1u << 20);
    now += 10 * BW_S;
    uint8_t last[8] = {7, [4] = 0, (uint8_t)((3 * EXPORTERS_MAX - 1) >> 8), (uint8_t)(3 * EXPORTERS_MAX - 1)};
    struct bw_prefix p = prefix("10.0.0.0/24");
    struct bw_addr via;
    assert_int_equal(exporters_lookup(x, &p, last, &via, now), EXPORT_UNCONFIRMED); // no room: closed, not open
}

// Router-ids that a link makes up; each has an address if `nodes`.
static void flood(uint16_t slot, unsigned count, bool nodes)
{
    for (int k = 0; k < 1 + nodes; k++) // addresses come after all routes
        for (unsigned i = 0; i < count; i++) {
            struct bw_addr a = {{0xfc, 1, [8] = 7, (uint8_t)slot, [13] = (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
            struct bw_prefix p = prefix("10.0.0.0/24");
            p.addr.b[13] = (uint8_t)(i >> 8), p.addr.b[14] = (uint8_t)i;
            if (k) exporters_node(x, &a);
            else exporters_route(x, &p, a.b + 8, slot, now);
        }
}

static void no_link_keeps_the_others_out(void **state)
{
    (void)state;
    const struct route first = {"192.168.6.0/24", 1}, later[] = {{"192.168.7.0/24", 0}, {"10.77.1.0/24", -1}};
    struct bw_addr via;
    for (int i = 0; i < 2; i++) { // 1's network is confirmed and comes over the link that then floods
        routes(&first, 1, 0);
        if (!i) answer(1, 1, &first.prefix, 1);
    }
    for (unsigned turn = 0; turn < 4; turn++) {
        for (int round = 0; round < 2; round++) {
            exporters_begin(x);
            struct bw_prefix p = prefix(first.prefix);
            if (turn % 2 == 0) flood(9, 2 * EXPORTERS_MAX, turn > 1); // the flood before the others, or after them
            exporters_route(x, &p, id[1].router_id, 9, now);
            for (int i = 0; i < 2; i++) {
                p = prefix(later[i].prefix);
                exporters_route(x, &p, later[i].by < 0 ? (const uint8_t[8]){1, 2, 3} : id[0].router_id, 4, now);
            }
            if (turn % 2) flood(9, 2 * EXPORTERS_MAX, turn > 1);
            for (int i = 0; i < NODES; i++) exporters_node(x, &id[i].addr);
            exporters_end(x, now);
            exporters_tick(x, now);
            for (int i = 0; i < 2000 && !turn && !round && !serial[0]; i++) now = exporters_tick(x, now);
            if (!turn && !round) answer(0, 0, &later[0].prefix, 1);
            now += 10 * BW_S;
        }
        assert_int_equal(says(later[0].prefix, 0, &via), EXPORT_CONFIRMED);
        assert_int_equal(says(later[1].prefix, -1, NULL), EXPORT_STOCK);
        assert_int_equal(says(first.prefix, 1, &via), EXPORT_CONFIRMED); // what is confirmed stays
    }
    // Two floods share the room; a third link's few come in still.
    for (int round = 0; round < 2; round++) {
        exporters_begin(x);
        flood(11, 2 * EXPORTERS_MAX, false);
        flood(12, 2 * EXPORTERS_MAX, false);
        flood(13, 20, false);
        exporters_end(x, now);
        exporters_tick(x, now += 10 * BW_S);
    }
    unsigned known[3] = {0};
    for (unsigned k = 0; k < 3; k++)
        for (unsigned i = 0; i < 2 * EXPORTERS_MAX; i++) {
            const uint8_t router[8] = {7, (uint8_t)(11 + k), [5] = (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
            struct bw_prefix p = prefix("10.200.0.0/24");
            known[k] += exporters_lookup(x, &p, router, &via, now) == EXPORT_STOCK;
        }
    assert_int_equal(known[2], 20);
    assert_in_range(known[0], (EXPORTERS_MAX - 30) / 2, EXPORTERS_MAX / 2);
    assert_in_range(known[1], (EXPORTERS_MAX - 30) / 2, EXPORTERS_MAX / 2);
}

static void thirty_two_fit_into_a_record(void **state)
{
    (void)state;
    char text[SIGNED_MAX];
    struct bw_prefix p[40];
    struct export_record e;
    struct signed_part s;
    for (unsigned i = 0; i < 40; i++) {
        p[i] = prefix("fdfd:1111:2222:3333:4444:5555:6666:0/112");
        p[i].addr.b[13] = (uint8_t)i;
    }
    int n = exporters_own(&id[0], p, 40, 1700000000, text, sizeof text);
    assert_true(n > 0);
    assert_int_equal(export_decode(text, (size_t)n, &e, &s), 0);
    assert_int_equal(e.count, EXPORT_PREFIXES);
    assert_int_equal(record_verify(&s, &id[0].addr), 0);
    assert_int_equal(record_verify(&s, &id[1].addr), BW_ERR_AUTH);
}

static void records_that_are_none(void **state)
{
    (void)state;
    const char *const bad[][2] = {{"\"192.168.7.0/24\"", "\"192.168.7.1/24\""}, {"\"192.168.7.0/24\"", "\"fc01::/16\""},
                                  {"\"192.168.7.0/24\"", "7"}, {"\"prefixes\":[", "\"prefixed\":["}, {"\"lifetime\":3600", "\"lifetime\":0"},
                                  {"\"lifetime\":3600", "\"lifetime\":86401"}, {"\"version\":1", "\"version\":0"}};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[SIGNED_MAX], changed[SIGNED_MAX + 64];
        struct export_record e;
        struct signed_part s;
        int n = record(0, (const char *[]){"192.168.7.0/24"}, 1, text);
        assert_int_equal(export_decode(text, (size_t)n, &e, &s), 0);
        const char *at = strstr(text, bad[i][0]);
        assert_non_null(at);
        int m = snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, bad[i][1], at + strlen(bad[i][0]));
        assert_true(export_decode(changed, (size_t)m, &e, &s) < 0);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    assert_int_equal(bw_crypto_init(), 0);
    const struct CMUnitTest tests[] = {
        T(confirmed_by_the_record_only), T(lies_confirm_nothing), T(stock_after_a_while_only), T(a_false_router_id_gets_no_packets),
        T(what_may_come_from_whom), T(asked_again_in_time), T(an_absent_exporter_is_not_asked), T(many_are_bounded), T(no_link_keeps_the_others_out),
        T(thirty_two_fit_into_a_record), T(records_that_are_none), T(no_part_of_a_confirmed_network_is_stock),
        T(a_record_alone_takes_no_stock_network), T(a_made_up_address_gives_way), T(who_is_silent_keeps_nobody_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
