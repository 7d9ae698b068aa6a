// The whole core in a small simulated world: nodes find each other, route, share Internet, and get over deaths.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/world.h"
#include "wire/babel.h"

static void start_all(struct world *w)
{
    for (uint32_t i = 0; i < w->node_count; i++) world_start(w, i);
}

static bool all_reach(const struct world *w)
{
    for (uint32_t a = 0; a < w->node_count; a++) {
        for (uint32_t b = 0; b < w->node_count; b++) {
            uint32_t last;
            if (!w->nodes[a].node || !w->nodes[b].node) continue;
            if (world_trace(w, a, &w->nodes[b].id.addr, &last) < 0 || last != b) return false;
        }
    }
    return true;
}

// Runs until the condition holds; returns the time that took, in ms of the world, or fails after limit_s.
static unsigned until(struct world *w, bool (*condition)(const struct world *w), unsigned limit_s)
{
    bw_time begin = w->now;
    while (!condition(w)) {
        if (w->now - begin > limit_s * BW_S) fail_msg("not within %u simulated seconds", limit_s);
        world_run(w, w->now + 10 * BW_MS);
    }
    return (unsigned)((w->now - begin) / BW_MS);
}

static void link_all(struct world *w, const uint8_t pairs[][2], unsigned n)
{
    for (unsigned i = 0; i < n; i++) assert_true(world_link(w, pairs[i][0], pairs[i][1], &(struct wire){.delay_us = 1000}, false) >= 0);
}

static void three_in_a_line_reach_each_other(void **state)
{
    (void)state;
    struct world *w = world_new(1, 3, NULL);
    link_all(w, (const uint8_t[][2]){{0, 1}, {1, 2}}, 2);
    start_all(w);
    unsigned ms = until(w, all_reach, 10);
    print_message("converged in %u ms\n", ms);
    assert_true(ms < 5000);
    world_free(w);
}

static void a_ring_heals_when_a_node_dies_and_when_it_comes_back(void **state)
{
    (void)state;
    struct world *w = world_new(2, 6, NULL);
    link_all(w, (const uint8_t[][2]){{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 0}}, 6);
    start_all(w);
    until(w, all_reach, 10);
    world_run(w, w->now + 20 * BW_S);
    assert_true(all_reach(w));
    world_crash(w, 1);
    print_message("healed after a crash in %u ms\n", until(w, all_reach, 10));
    world_start(w, 1);
    print_message("whole again in %u ms\n", until(w, all_reach, 60));
    world_stop(w, 4);
    world_run(w, w->now + 3 * BW_S);
    assert_null(w->nodes[4].node);
    print_message("whole without it after %u ms more\n", until(w, all_reach, 10));
    world_free(w);
}

static uint32_t client_of_test;
static bool client_is_active(const struct world *w)
{
    struct exitc_plan p;
    internet_client_plan(node_internet(w->nodes[client_of_test].node), &p);
    return p.active;
}

static bool at_exit(const struct world *w, uint32_t exit)
{
    struct exitc_plan p;
    internet_client_plan(node_internet(w->nodes[client_of_test].node), &p);
    return p.active && bw_addr_eq(&p.exit, &w->nodes[exit].id.addr);
}
static bool at_exit_2(const struct world *w) { return at_exit(w, 2); }
static bool at_exit_4(const struct world *w) { return at_exit(w, 4); }

static void a_client_finds_an_exit_and_leaves_a_dead_one(void **state)
{
    (void)state;
    struct world *w = world_new(3, 5, NULL);
    link_all(w, (const uint8_t[][2]){{0, 1}, {1, 2}, {1, 3}, {3, 4}}, 4);
    w->nodes[2].share = w->nodes[4].share = true;
    start_all(w);
    client_of_test = 0;
    print_message("an exit in use after %u ms\n", until(w, client_is_active, 30));
    until(w, at_exit_2, 30);
    world_run(w, w->now + 20 * BW_S);
    world_crash(w, 2);
    unsigned ms = until(w, at_exit_4, 10);
    print_message("another exit %u ms after the first one's death\n", ms);
    assert_true(ms <= 3000);
    world_free(w);
}

// What node 0 sends to its only neighbour in light messages.
static enum light light_of_0(const struct world *w)
{
    const struct fwd_snapshot *s = w->nodes[0].snapshot;
    return s && s->link_count ? s->links[0].light : LIGHT_NO;
}
static bool light_is_on(const struct world *w) { return light_of_0(w) != LIGHT_NO; }
static bool light_is_off(const struct world *w) { return light_of_0(w) == LIGHT_NO; }

// A Hello and an IHU to node 0 as of a stock program with its neighbour's keys and the address fe80::last.
static void stock_hello(struct world *w, uint8_t last, uint16_t seqno)
{
    static const struct bw_addr group = {{0xff, 0x02, [13] = 1, [15] = 6}};
    struct world_node *n = &w->nodes[0];
    struct bw_addr own = identity_linklocal(n->id.router_id), from = {{0xfe, 0x80, [15] = last}};
    uint8_t buf[100];
    struct babel_writer x;
    if (!last) from = identity_linklocal(w->nodes[1].id.router_id);
    babel_write_begin(&x, buf, sizeof buf);
    assert_true(babel_write_hello(&x, false, seqno, 400, 0, NULL));
    assert_true(babel_write_ihu(&x, &own, 96, 1200, NULL));
    struct fwd_punt p = {.kind = FWD_PUNT_BABEL, .inner_src = from, .inner_dst = group, .data = buf};
    p.len = (uint32_t)babel_write_end(&x);
    node_punt(n->node, &p, world_local(n), clock_wall_ns(&n->clock, w->now));
    world_turn(w, n);
}

static void stock_programs_get_no_light_messages(void **state)
{
    (void)state;
    struct world *w = world_new(5, 2, NULL);
    assert_true(world_link(w, 0, 1, &(struct wire){.delay_us = 1000}, true) >= 0);
    start_all(w);
    until(w, all_reach, 10);
    until(w, light_is_on, 1);
    stock_hello(w, 77, 1);
    until(w, light_is_off, 1);
    // byway is started again: what the stock program said before does not count, nor that it is missed.
    world_crash(w, 1);
    world_start(w, 1);
    until(w, light_is_on, 20);
    stock_hello(w, 77, 2);
    for (unsigned i = 0; i < 300; i++) {
        world_run(w, w->now + 100 * BW_MS);
        assert_true(light_is_on(w));
    }
    // A stock program with the address that byway had.
    world_crash(w, 1);
    stock_hello(w, 0, 9);
    until(w, light_is_off, 1);
    for (uint16_t i = 0; i < 10; i++) {
        stock_hello(w, 0, (uint16_t)(10 + i));
        world_run(w, w->now + 4 * BW_S);
        assert_true(light_is_off(w));
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_in_a_line_reach_each_other),
        cmocka_unit_test(a_ring_heals_when_a_node_dies_and_when_it_comes_back),
        cmocka_unit_test(a_client_finds_an_exit_and_leaves_a_dead_one),
        cmocka_unit_test(stock_programs_get_no_light_messages),
    };
    return bw_crypto_init() || cmocka_run_group_tests(tests, NULL, NULL);
}
