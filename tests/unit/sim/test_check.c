// The checkers have teeth: each is shown what it must not pass over, in a world that is well otherwise. And what fails is
// made small, and fails still.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/check.h"
#include "sim/expect.h"
#include "sim/random.h"

struct looked {
    struct world *w;
    struct check *c;
};

static void on_routes(void *ctx, uint32_t node, const struct fwd_snapshot *before)
{
    check_routes(((struct looked *)ctx)->c, node, before);
}

static void on_said(void *ctx, uint32_t node, const uint8_t *packet, size_t n)
{
    check_said(((struct looked *)ctx)->c, node, packet, n);
}

static void run(struct looked *l, bw_time by)
{
    for (bw_time end = l->w->now + by; l->w->now < end;) {
        world_run(l->w, l->w->now + BW_S);
        check_second(l->c);
    }
}

// n1 to n4 in a ring, at rest, nothing wrong.
static int ring(void **state)
{
    struct looked *l = calloc(1, sizeof *l);
    l->w = world_new(1, 4, NULL);
    for (uint32_t i = 0; i < 4; i++) assert_true(world_link(l->w, i, (i + 1) % 4, &(struct wire){.delay_us = 1000}, false) >= 0);
    l->c = check_new(l->w, true);
    l->w->hooks = (struct world_hooks){.ctx = l, .routes = on_routes, .said = on_said};
    for (uint32_t i = 0; i < 4; i++) world_start(l->w, i);
    run(l, 40 * BW_S);
    assert_int_equal(l->c->first, VIOLATION_NONE);
    *state = l;
    return 0;
}

static int unring(void **state)
{
    struct looked *l = *state;
    check_free(l->c);
    world_free(l->w);
    free(l);
    return 0;
}

static void caught(const struct looked *l, enum violation v)
{
    if (l->c->first != v) fail_msg("not caught as %s, but %s: %s", violation_name(v), violation_name(l->c->first), l->c->what);
}

// From now on the node's packets to that destination go to this neighbour.
static void mislead(struct looked *l, uint32_t node, uint32_t dest, uint32_t next)
{
    struct world_node *n = &l->w->nodes[node];
    struct fwd_route r = *fib_lookup(&n->snapshot->mesh, &l->w->nodes[dest].id.addr);
    for (unsigned i = 0; i < n->snapshot->link_count; i++) {
        int64_t wire = n->snapshot->links[i].used ? world_wire_of(l->w, node, &n->snapshot->links[i]) : -1;
        if (wire >= 0 && world_other(&l->w->links[wire], node) == next) r.link = (uint16_t)i;
    }
    assert_int_equal(fib_set(&n->snapshot->mesh, &n->memory.mem, &r), 0);
    check_routes(l->c, node, NULL);
}

static void packets_that_go_round(void **state)
{
    struct looked *l = *state;
    l->c->deep = false; // of what is amiss the loop alone
    mislead(l, 0, 2, 1);
    assert_int_equal(l->c->first, VIOLATION_NONE);
    mislead(l, 1, 2, 0);
    caught(l, VIOLATION_LOOP);
}

static void next_hops_that_never_announced_that(void **state)
{
    struct looked *l = *state;
    assert_int_equal(check_next(l->c, 0, 1), 1);
    mislead(l, 0, 1, 3); // whose own way is as long as two wires
    caught(l, VIOLATION_FEASIBILITY);
}

static void packets_that_take_another_way_than_babel(void **state)
{
    struct looked *l = *state;
    l->c->deep = false;
    mislead(l, 0, 1, 3);
    l->c->deep = true;
    check_second(l->c);
    caught(l, VIOLATION_TOLD);
}

static void a_loss_that_is_forgotten(void **state)
{
    struct looked *l = *state;
    struct world_node *n = &l->w->nodes[check_next(l->c, 0, 2)];
    struct bw_prefix p = bw_prefix_host(&l->w->nodes[2].id.addr);
    assert_int_equal(fib_remove(&n->snapshot->mesh, &n->memory.mem, &p), 0);
    check_routes(l->c, n->index, NULL);
    caught(l, VIOLATION_HELD);
}

static void routes_that_are_longer_than_needed(void **state)
{
    struct looked *l = *state;
    struct statement shortest = {.verb = DO_EXPECT, .is = IS_SHORTEST}, tidy = {.verb = DO_EXPECT, .is = IS_TIDY};
    struct paths *p = paths_new(l->c);
    char why[EXPECT_WHY] = "";
    if (!expect_holds(p, &shortest, why) || !expect_holds(p, &tidy, why)) fail_msg("%s", why);
    l->c->deep = false;
    mislead(l, 0, 1, 3);
    if (check_next(l->c, 3, 1) != 2) mislead(l, 3, 1, 2); // the long way round
    assert_int_equal(l->c->first, VIOLATION_NONE);
    assert_false(expect_holds(p, &shortest, why));
    assert_non_null(strstr(why, "n1's way to n2 costs"));
    world_crash(l->w, 2);
    assert_false(expect_holds(p, &tidy, why)); // nobody can know yet
    paths_free(p);
}

static void routes_over_a_dead_wire(void **state)
{
    struct looked *l = *state;
    l->w->links[0].alive_since = BW_NEVER;
    l->w->links[0].dead_since = l->w->now - 21 * BW_S;
    check_second(l->c);
    caught(l, VIOLATION_DEAD);
}

static void state_that_outlives_its_time(void **state)
{
    struct looked *l = *state;
    run(l, 280 * BW_S);
    assert_int_equal(l->c->first, VIOLATION_NONE);
    world_crash(l->w, 2);
    l->w->nodes[2].since = BW_S; // as if long ago
    check_second(l->c);
    caught(l, VIOLATION_LEFTOVER);
}

static void traffic_without_measure(void **state)
{
    struct looked *l = *state;
    l->w->links[1].bytes[0] += 70000; // 60,000 and 600 for each node
    run(l, 10 * BW_S);
    caught(l, VIOLATION_BUDGET);
}

static void memory_without_measure(void **state)
{
    struct looked *l = *state;
    l->w->nodes[1].memory.mem.used += 500000;
    check_second(l->c);
    l->w->nodes[1].memory.mem.used -= 500000;
    caught(l, VIOLATION_MEMORY);
}

static void memory_that_is_not_given_back(void **state)
{
    struct looked *l = *state;
    l->w->leaked = 1;
    check_second(l->c);
    l->w->leaked = 0;
    caught(l, VIOLATION_MEMORY);
}

// Twelve events and eight wires, of which one crash and one wire matter.
static void failures_are_made_small(void **state)
{
    (void)state;
    static const char text[] =
        "ring 8 delay=1ms\nat 1s cut n4 n5\nat 2s clock n6 rate=+100ppm\nat 3s heal n4 n5\nat 4s wire n5 n6 loss=1%\n"
        "at 5s traffic n3 n6 every=500ms for=3s\nat 6s memory n7 fail=3\nat 7s crash n8\nat 8s start n8\nat 9s uplink n3 down\n"
        "at 20s crash n2\nat 21s clock n4 jump=1s\nat 22s uplink n3 up\nat 40s expect route n1 n2 via n2\n";
    struct scenario s, again;
    struct play_options o = {0};
    struct play_result r;
    char error[SCENARIO_ERROR] = "", *small = NULL;
    size_t n;
    if (scenario_parse(&s, text, 1, error)) fail_msg("%s", error);
    assert_int_equal(play_guarded(&s, &o, &r), 0);
    assert_int_equal(r.violation, VIOLATION_EXPECTATION);
    shrink(&s, &r, 300);
    assert_int_equal(r.violation, VIOLATION_EXPECTATION);
    assert_in_range(s.count, 1, 2);
    assert_in_range(s.link_count, 0, 2);
    FILE *f = open_memstream(&small, &n); // what it leaves as text fails in the same way
    scenario_write(&s, f);
    fclose(f);
    if (scenario_parse(&again, small, 0, error)) fail_msg("%s\n%s", error, small);
    struct play_result as_text;
    assert_int_equal(play_guarded(&again, &o, &as_text), 0);
    assert_int_equal(as_text.violation, r.violation);
    assert_string_equal(as_text.what, r.what);
    assert_true(as_text.hash == r.hash);
    free(small);
    scenario_free(&s);
    scenario_free(&again);
}

#define LOOKED(f) cmocka_unit_test_setup_teardown(f, ring, unring)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOKED(packets_that_go_round),
        LOOKED(next_hops_that_never_announced_that),
        LOOKED(packets_that_take_another_way_than_babel),
        LOOKED(a_loss_that_is_forgotten),
        LOOKED(routes_that_are_longer_than_needed),
        LOOKED(routes_over_a_dead_wire),
        LOOKED(state_that_outlives_its_time),
        LOOKED(traffic_without_measure),
        LOOKED(memory_without_measure),
        LOOKED(memory_that_is_not_given_back),
        cmocka_unit_test(failures_are_made_small),
    };
    return bw_crypto_init() || cmocka_run_group_tests(tests, NULL, NULL);
}
