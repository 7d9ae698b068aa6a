// Topologies by name and from text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lab/topology.h"

static char err[TOPO_ERR];

static struct topology parse(const char *text)
{
    struct topology t;
    int rc = topo_parse("f", text, strlen(text), &t, err);
    if (rc) print_error("%s\n", err);
    assert_int_equal(rc, 0);
    return t;
}

static void refuses(const char *text, const char *why)
{
    struct topology t;
    assert_true(topo_parse("f", text, strlen(text), &t, err) < 0);
    if (!strstr(err, why)) print_error("got: %s\n", err);
    assert_non_null(strstr(err, why));
    assert_null(t.nodes);
}

static void file(void **state)
{
    (void)state;
    struct topology t = parse("# a village\n"
                              "link 1 2 loss=5% delay=20ms\n"
                              "  link 1 2 name=radio   rate=10mbit ; the second way\n"
                              "link mill 1\r\n"
                              "\n"
                              "node 2 share set node.colour=red set a.b=1\n"
                              "link mill internet delay=10ms\n"
                              "link 1 2");
    assert_int_equal(t.n_nodes, 3);
    assert_int_equal(t.n_links, 4);
    assert_string_equal(t.nodes[0].name, "n1");
    assert_string_equal(t.nodes[2].name, "mill");
    assert_int_equal(topo_find(&t, "2"), 1);
    assert_int_equal(topo_find(&t, "n2"), 1);
    assert_int_equal(topo_find(&t, "mill"), 2);
    assert_true(topo_find(&t, "9") < 0 && topo_find(&t, "") < 0 && topo_find(&t, "internet") < 0);
    assert_string_equal(t.links[0].a_if, "to-n2");
    assert_string_equal(t.links[0].b_if, "to-n1");
    assert_string_equal(t.links[1].a_if, "to-radio");
    assert_string_equal(t.links[3].a_if, "to-n2-2");
    assert_int_equal(t.links[0].spec.loss_ppm, 50000);
    assert_int_equal(t.links[1].spec.rate_bps, 10000000);
    assert_true(t.nodes[1].share && t.nodes[1].internet && t.nodes[2].internet && !t.nodes[2].share && !t.nodes[0].internet);
    assert_int_equal(t.nodes[2].uplink.delay_us, 10000);
    assert_int_equal(t.nodes[1].n_sets, 2);
    assert_string_equal(t.nodes[1].sets[1], "a.b=1");
    topo_free(&t);
}

static void wrong_lines(void **state)
{
    (void)state;
    refuses("", "f:1:1: no node");
    refuses("# nothing\n", "no node");
    refuses("link 1 2\nlonk 2 3\n", "f:2:1: 'lonk'");
    refuses("link 1\n", "f:1:6: a link has two ends");
    refuses("link 1 1\n", "f:1:8: a node is not");
    refuses("link 1 2 loss=5\n", "f:1:10: loss=5 is not understood");
    refuses("link 1 2 loss=500%\n", "f:1:10: loss=500% is too much");
    refuses("link 1 2 delay=20ms colour=red\n", "f:1:21: 'colour=red'");
    refuses("node\n", "f:1:1: node needs");
    refuses("node a_b\n", "f:1:6: 'a_b' is no name");
    refuses("node internet\n", "f:1:6: 'internet' is no node");
    refuses("node abcdefghijklm\n", "longer than 12");
    refuses("node 1 set\n", "f:1:8: after set");
    refuses("node 1 set a=1\n", "f:1:12: after set");
    refuses("node 1 chair\n", "f:1:8: 'chair'");
    refuses("link 1 2 name=\n", "f:1:10: a link's name");
    refuses("link 1 2 name=a/b\n", "f:1:10: a link's name");
    refuses("link 0 2\n", "f:1:6");
    refuses("link 1 2\n\x01\n", "f:2:1: not text");
    struct topology t;
    assert_true(topo_parse("f", "node 1\0 2\n", 10, &t, err) < 0);
    assert_string_equal(err, "f:1:7: not text");
}

static void sets_replace(void **state)
{
    (void)state;
    struct topo_node n = {0};
    assert_int_equal(topo_add_set(&n, "a.b=1"), 0);
    assert_int_equal(topo_add_set(&n, "a.bc=2"), 0);
    assert_int_equal(topo_add_set(&n, "a.b=3"), 0);
    assert_int_equal(n.n_sets, 2);
    assert_string_equal(n.sets[0], "a.b=3");
    assert_true(topo_add_set(&n, "ab=3") < 0 && topo_add_set(&n, "a.b") < 0 && topo_add_set(&n, ".b=1") < 0);
    struct topology t = {.nodes = calloc(1, sizeof n), .n_nodes = 1};
    t.nodes[0] = n;
    topo_free(&t);
}

// Reaches every node from the first?
static bool connected(const struct topology *t)
{
    bool *seen = calloc(t->n_nodes, 1);
    seen[0] = true;
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < t->n_links; i++) {
            const struct topo_link *l = &t->links[i];
            if (seen[l->a] == seen[l->b]) continue;
            seen[l->a] = seen[l->b] = more = true;
        }
    }
    bool all = true;
    for (size_t i = 0; i < t->n_nodes; i++) all &= seen[i];
    free(seen);
    return all;
}

static void interfaces_differ(const struct topology *t)
{
    for (size_t i = 0; i < t->n_links; i++)
        for (size_t j = i + 1; j < t->n_links; j++) {
            const struct topo_link *x = &t->links[i], *y = &t->links[j];
            if (x->a == y->a) assert_string_not_equal(x->a_if, y->a_if);
            if (x->a == y->b) assert_string_not_equal(x->a_if, y->b_if);
            if (x->b == y->a) assert_string_not_equal(x->b_if, y->a_if);
            if (x->b == y->b) assert_string_not_equal(x->b_if, y->b_if);
        }
}

static void kinds(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        size_t n, links;
    } want[] = {{"line", 5, 4},  {"ring", 5, 5},     {"star", 5, 4},   {"grid", 9, 12},  {"grid", 7, 8},  {"diamond", 4, 4},
                {"tree", 7, 6},  {"random", 30, 60}, {"seven", 7, 7},  {"line", 1, 0},   {"ring", 2, 1},  {"random", 3, 3},
                {"random", 1, 0}, {"diamond", 2, 1}, {"diamond", 3, 2}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct topology t;
        assert_int_equal(topo_generate(want[i].kind, want[i].n, 1, &t, err), 0);
        assert_int_equal(t.n_nodes, want[i].n);
        if (t.n_links != want[i].links) print_error("%s %zu: %zu links\n", want[i].kind, want[i].n, t.n_links);
        assert_int_equal(t.n_links, want[i].links);
        assert_true(connected(&t));
        interfaces_differ(&t);
        topo_free(&t);
    }
    struct topology t;
    assert_true(topo_generate("cube", 8, 1, &t, err) < 0);
    assert_true(topo_generate("seven", 8, 1, &t, err) < 0);
    assert_true(topo_generate("line", 1001, 1, &t, err) < 0);
}

static void seeds(void **state)
{
    (void)state;
    struct topology a, b, c;
    assert_int_equal(topo_generate("random", 40, 3, &a, err) | topo_generate("random", 40, 3, &b, err) |
                         topo_generate("random", 40, 4, &c, err), 0);
    assert_memory_equal(a.links, b.links, a.n_links * sizeof *a.links);
    assert_true(memcmp(a.links, c.links, a.n_links * sizeof *a.links));
    topo_free(&a);
    topo_free(&b);
    topo_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file),  cmocka_unit_test(wrong_lines), cmocka_unit_test(sets_replace),
        cmocka_unit_test(kinds), cmocka_unit_test(seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
