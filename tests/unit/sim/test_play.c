// Every shipped scenario, twice where it matters: it passes, and a run is a pure function of scenario and seed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/play.h"
#include "sim/random.h"

#define SCENARIOS VECTORS_DIR "/../../sim/scenarios"

static char *text_of(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, 65536);
    assert_non_null(f);
    assert_non_null(text);
    assert_true(fread(text, 1, 65535, f) > 0);
    fclose(f);
    return text;
}

static void play_file(const char *path, struct play_result *r)
{
    struct scenario s;
    struct play_options o = {0};
    char error[SCENARIO_ERROR] = "";
    char *text = text_of(path);
    if (scenario_parse(&s, text, 1, error)) fail_msg("%s:%s", path, error);
    free(text);
    assert_int_equal(play(&s, &o, r), 0);
    if (r->violation) fail_msg("%s: %s at %.3f s: %s", path, violation_name(r->violation), (double)r->when / 1e6, r->what);
    play_result_free(r);
    scenario_free(&s);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void every_scenario_passes(void **state)
{
    (void)state;
    if (getenv("BYWAY_EMULATED")) skip(); // tests/cross plays each by itself, and holds its trace against this machine's
    char *names[256];
    int count = 0;
    DIR *d = opendir(SCENARIOS);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) && count < 256;) {
        size_t n = strlen(e->d_name);
        if (n > 4 && !strcmp(e->d_name + n - 4, ".sim")) names[count++] = strdup(e->d_name);
    }
    closedir(d);
    assert_true(count > 0);
    qsort(names, (size_t)count, sizeof *names, by_name);
    for (int i = 0; i < count; i++) {
        char path[1024];
        struct play_result r;
        snprintf(path, sizeof path, "%s/%s", SCENARIOS, names[i]);
        play_file(path, &r);
        print_message("%s: %.0f s, %llu events, trace %016llx\n", names[i], (double)r.ran / 1e6, (unsigned long long)r.steps, (unsigned long long)r.hash);
        free(names[i]);
    }
}

static void random_run(uint64_t seed, struct play_result *r)
{
    struct scenario s;
    struct play_options o = {0};
    assert_int_equal(random_scenario(&s, seed, 8, 120 * BW_S), 0);
    assert_int_equal(play(&s, &o, r), 0);
    if (r->violation) fail_msg("seed %llu: %s: %s", (unsigned long long)seed, violation_name(r->violation), r->what);
    play_result_free(r);
    scenario_free(&s);
}

static void equal_runs_leave_equal_traces(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct play_result a, b;
        random_run(seed, &a);
        random_run(seed, &b);
        assert_true(a.hash == b.hash);
        assert_int_equal(a.steps, b.steps);
        random_run(seed + 100, &b);
        assert_true(a.hash != b.hash);
    }
}

// Text written from a drawn scenario is the same scenario.
static void a_scenario_survives_being_written(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct scenario s, again;
        char *text = NULL, *text2 = NULL, error[SCENARIO_ERROR] = "";
        size_t n;
        assert_int_equal(random_scenario(&s, seed, 0, 200 * BW_S), 0);
        FILE *f = open_memstream(&text, &n);
        scenario_write(&s, f);
        fclose(f);
        if (scenario_parse(&again, text, 0, error)) fail_msg("seed %llu:%s", (unsigned long long)seed, error);
        f = open_memstream(&text2, &n);
        scenario_write(&again, f);
        fclose(f);
        assert_string_equal(text, text2);
        free(text);
        free(text2);
        scenario_free(&s);
        scenario_free(&again);
    }
}

// Whichever compiler built it. Whoever changes what is drawn changes this number: seeds that were noted before are void then.
static void a_seed_draws_the_same_everywhere(void **state)
{
    (void)state;
    uint64_t hash = 14695981039346656037u;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct scenario s;
        char *text = NULL;
        size_t n;
        assert_int_equal(random_scenario(&s, seed, 0, 600 * BW_S), 0);
        FILE *f = open_memstream(&text, &n);
        scenario_write(&s, f);
        fclose(f);
        for (size_t i = 0; i < n; i++) hash = (hash ^ (uint8_t)text[i]) * 1099511628211u;
        free(text);
        scenario_free(&s);
    }
    if (hash != 0x000d1606f9628bc3u) fail_msg("drawn is %016llx", (unsigned long long)hash);
}

static void mistakes_are_told_with_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } bad[] = {
        {"", "0:1: there are no nodes"},
        {"rong 3", "1:1: "},
        {"ring", "1:5: the number of nodes is expected is missing"},
        {"ring 3\nlink n1 n4", "2:9: there is no node n4: the nodes are n1 to n3"},
        {"ring 3\nat 5s crash", "2:12: "},
        {"ring 3\nat 5 crash n1", "2:4: a time like 1.5s is expected, not `5`"},
        {"ring 3\nat 5s crash n1\nat 4s start n1", "3:4: this is before what stands above (5000 ms)"},
        {"ring 3\nat 5s crash n1\nwithin 3s expect reach\nat 7s start n1", "4:4: this is before"},
        {"ring 3\nwithin 3s crash n1", "2:8: only expectations may take their time"},
        {"line 3\nat 1s cut n1 n3", "2:14: no wire joins n1 and n3"},
        {"ring 3 loss=101%", "1:8: that is no value for a wire, not `loss=101%`"},
        {"ring 3\nat 1s expect routes all 7", "2:25: a range like 10..20 is expected, not `7`"},
        {"ring 3\nat 1s expect exit all n2", "2:23: any is expected, not `n2`"},
        {"ring 3\nat 1s calm now", "2:12: nothing more is expected here, not `now`"},
        {"ring 3 ring", "1:8: "},
        {"ring 3\nend 1s\nat 2s crash n1", "3:1: nothing follows `end`"},
        {"ring 3\nseed 4", "2:1: seed stands before the first graph"},
        {"ring 3.5", "1:6: the number of nodes is expected, not `3.5`"},
        {"ring 3\nat 1s crash n1.5", "2:13: a node (n1, n2, ...) is expected, not `n1.5`"},
        {"grid 4x", "1:6: a size like 4x3 is expected, not `4x`"},
        {"ring 3\nat 1s expect routes all 7..", "2:25: a range like 10..20 is expected, not `7..`"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct scenario s;
        char error[SCENARIO_ERROR] = "";
        assert_int_not_equal(scenario_parse(&s, bad[i].text, 1, error), 0);
        if (strncmp(error, bad[i].error, strlen(bad[i].error))) fail_msg("%s\n  is told as: %s\n  expected:   %s", bad[i].text, error, bad[i].error);
    }
}

static void graphs_are_whole_and_of_the_right_size(void **state)
{
    (void)state;
    static const struct {
        enum graph kind;
        uint32_t n, least, most;
    } cases[] = {{GRAPH_LINE, 10, 9, 9}, {GRAPH_RING, 10, 10, 10}, {GRAPH_STAR, 10, 9, 9}, {GRAPH_GRID, 12, 17, 17}, {GRAPH_GEOMETRIC, 300, 900, 1500},
                 {GRAPH_SCALE_FREE, 300, 500, 600}, {GRAPH_COMMUNITIES, 300, 600, 1500}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scenario s = {0};
        struct graph_spec g = {.kind = cases[i].kind, .n = cases[i].n, .width = 4, .degree = 8, .joins = 2, .groups = 5, .gateways = 2};
        uint32_t seen[300] = {1}, count = 1;
        assert_int_equal(topology_add(&s, &g, &(struct wire){0}, 7), 0);
        assert_in_range(s.link_count, cases[i].least, cases[i].most);
        for (bool more = true; more;) {
            more = false;
            for (uint32_t k = 0; k < s.link_count; k++) {
                uint32_t *a = &seen[s.links[k].a], *b = &seen[s.links[k].b];
                if (*a == *b) continue;
                *a = *b = 1;
                count++;
                more = true;
            }
        }
        assert_int_equal(count, cases[i].n);
        scenario_free(&s);
    }
}

// One allocation after the other fails in the middle node of a line while it starts, links up, shares and carries traffic:
// nothing may go wrong, and with memory again all is well.
static void any_allocation_may_fail(void **state)
{
    (void)state;
    unsigned runs = 0, fine = getenv("BYWAY_EMULATED") ? 71 : 7;
    for (unsigned k = 1; k < 1500; k += k < 300 ? fine : 9 * fine) {
        struct scenario s;
        struct play_result r;
        struct play_options o = {0};
        char text[400], error[SCENARIO_ERROR] = "";
        snprintf(text, sizeof text, "line 3 delay=1ms\nexit n2\nat 1ms crash n2\nat 2ms memory n2 fail=%u\nat 3ms start n2\n"
                                    "at 4s traffic n1 n3 every=100ms for=3s\nat 8s crash n2\nat 8100ms start n2\nat 9s calm\n"
                                    "within 30s expect reach\nat 40s crash n2\nend 41s\n", k);
        if (scenario_parse(&s, text, 1, error)) fail_msg("%s", error);
        assert_int_equal(play(&s, &o, &r), 0);
        if (r.violation) fail_msg("allocation %u: %s at %.3f s: %s", k, violation_name(r.violation), (double)r.when / 1e6, r.what);
        play_result_free(&r);
        scenario_free(&s);
        runs++;
    }
    print_message("%u allocations failed in turn\n", runs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_told_with_line_and_column),
        cmocka_unit_test(graphs_are_whole_and_of_the_right_size),
        cmocka_unit_test(a_scenario_survives_being_written),
        cmocka_unit_test(a_seed_draws_the_same_everywhere),
        cmocka_unit_test(equal_runs_leave_equal_traces),
        cmocka_unit_test(every_scenario_passes),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return bw_crypto_init() || cmocka_run_group_tests(tests, NULL, NULL);
}
