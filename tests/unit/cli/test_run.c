// `byway run` and `byway lab` hand on what was typed. The daemon and the lab are replaced at their seams by functions that
// write down what they are given.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

struct run_options { // as daemon/daemon.h has it, which this layer's tests do not see
    const char *config_path, *state_dir, *socket_path;
    char *const *sets;
    size_t set_count;
};
int daemon_run(const struct run_options *o);
int lab_main(int argc, char **argv);

static char seen[1024];

int daemon_run(const struct run_options *o)
{
    int n = snprintf(seen, sizeof seen, "config=%s state=%s socket=%s", o->config_path ? o->config_path : "-", o->state_dir, o->socket_path);
    for (size_t i = 0; i < o->set_count; i++) n += snprintf(seen + n, sizeof seen - (size_t)n, " [%s]", o->sets[i]);
    return 1;
}

int lab_main(int argc, char **argv)
{
    seen[0] = 0;
    for (int i = 0; i < argc; i++) strcat(strcat(seen, i ? " " : ""), argv[i]);
    return 7;
}

static int typed(const char *line)
{
    char text[256], *argv[32] = {"byway"};
    int argc = 1;
    snprintf(text, sizeof text, "%s", line);
    for (char *w = strtok(text, " "); w; w = strtok(NULL, " ")) argv[argc++] = w;
    seen[0] = 0;
    return cli_main(argc, argv);
}

static void test_run(void **state)
{
    (void)state;
    unsetenv("BYWAY_SOCKET");
    assert_int_equal(typed("run"), 1); // the daemon's exit status is ours
    assert_string_equal(seen, "config=- state=/var/lib/byway socket=/run/byway/api.sock");
    assert_int_equal(typed("--set a.b=c run --share --config x --state=y --socket z --set d.e=f=g"), 1);
    assert_string_equal(seen, "config=x state=y socket=z [a.b=c] [internet.share=auto] [d.e=f=g]");
    assert_int_equal(typed("run --share=eth0"), 1);
    assert_string_equal(seen, "config=- state=/var/lib/byway socket=/run/byway/api.sock [internet.share=eth0]");
    setenv("BYWAY_SOCKET", "/env", 1);
    assert_int_equal(typed("run"), 1);
    assert_string_equal(seen, "config=- state=/var/lib/byway socket=/env");
    assert_int_equal(typed("run --share eth0"), 2); // a value only behind "="
    assert_int_equal(typed("run --json"), 2);
    assert_int_equal(typed("run --set"), 2);
    assert_string_equal(seen, "");
}

static void test_lab(void **state)
{
    (void)state;
    assert_int_equal(typed("lab exec 3 ls -l --json -- x"), 7);
    assert_string_equal(seen, "lab exec 3 ls -l --json -- x");
    assert_int_equal(typed("--json lab show"), 7);
    assert_string_equal(seen, "lab --json show");
    assert_int_equal(typed("lab"), 7);
    assert_int_equal(typed("help lab"), 7);
    assert_string_equal(seen, "lab --help");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_run), cmocka_unit_test(test_lab)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
