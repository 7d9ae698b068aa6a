// The simulator's queue of events, a heap, against a stupid twin: a list that is searched for the first.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim/events.h"

static uint64_t state = 88172645463325252u;
static uint32_t below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % n;
}

static void in_order(void **unused)
{
    enum { ROOM = 3000 };
    static struct { bw_time at; uint32_t name; } list[ROOM]; // in the order in which they were pushed
    struct events q = {0};
    struct event e;
    unsigned count = 0, popped = 0, most = 0;
    (void)unused;
    for (uint32_t name = 0; name < 100000; name++) {
        bool fill = name / 5000 % 2 == 0;
        if (count < ROOM && below(fill ? 10 : 30) < 8) {
            e = (struct event){.at = popped + below(50), .node = name}; // many at one instant
            assert_int_equal(events_push(&q, &e), 0);
            list[count].at = e.at;
            list[count++].name = name;
        } else if (count) {
            unsigned first = 0;
            for (unsigned i = 1; i < count; i++)
                if (list[i].at < list[first].at) first = i;
            assert_true(events_next(&q) == list[first].at);
            assert_true(events_pop(&q, &e));
            assert_true(e.at == list[first].at);
            assert_int_equal(e.node, list[first].name); // first come, first served
            for (unsigned i = first; i + 1 < count; i++) list[i] = list[i + 1];
            count--;
            popped++;
        }
        if (count > most) most = count;
        assert_int_equal(q.count, count);
    }
    assert_true(most > 1000 && popped > 10000);
    events_free(&q);
    assert_false(events_pop(&q, &e));
    assert_true(events_next(&q) == BW_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
