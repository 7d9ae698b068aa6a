// Invites against vectors that another program made (tests/vectors/invite.py), and there and back again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "wire/invite.h"

static int error_of(const char *name)
{
    if (!strcmp(name, "malformed")) return BW_ERR_MALFORMED;
    if (!strcmp(name, "unsupported")) return BW_ERR_UNSUPPORTED;
    if (!strcmp(name, "short")) return BW_ERR_SHORT;
    return BW_ERR_AUTH;
}

static void check_says(const struct invite *i, const json_t *says)
{
    char key[BW_KEY_TEXT], secret[65], endpoint[300];
    assert_string_equal(bw_base64_encode(i->key, 32, key), json_string_value(json_object_get(says, "key")));
    const char *name = json_string_value(json_object_get(says, "name"));
    assert_string_equal(i->name, name ? name : "");
    const json_t *list = json_object_get(says, "endpoints");
    assert_int_equal(i->endpoint_count, json_array_size(list));
    for (size_t k = 0; k < i->endpoint_count; k++) {
        snprintf(endpoint, sizeof endpoint, "%s:%u", i->endpoints[k].host, i->endpoints[k].port);
        assert_string_equal(endpoint, json_string_value(json_array_get(list, k)));
    }
    const char *hex = json_string_value(json_object_get(says, "secret"));
    assert_int_equal(i->has_secret, hex != NULL);
    if (hex) assert_string_equal(bw_hex_encode(i->secret, 32, secret), hex);
}

static void test_vectors(void **state)
{
    (void)state;
    static char line[8192];
    FILE *f = fopen(VECTORS_DIR "/invite.txt", "r");
    assert_non_null(f);
    int count = 0;
    while (fgets(line, sizeof line, f)) {
        char *tab = strchr(line, '\t');
        assert_non_null(tab);
        *tab = 0;
        for (char *p; (p = strstr(line, "\\n"));) { // written so in the file
            *p = '\n';
            p[1] = ' ';
        }
        json_t *says = json_loads(tab + 1, 0, NULL);
        assert_non_null(says);
        const char *error = json_string_value(json_object_get(says, "error"));
        struct invite i = {.endpoint_count = 77}, again;
        int err = invite_decode(line, &i);
        if (err != (error ? error_of(error) : 0))
            fail_msg("%s -> %s (wanted %s)", line, bw_strerror(err), error ? error : "none");
        if (error) {
            assert_int_equal(i.endpoint_count, 77); // untouched
        } else {
            char text[INVITE_TEXT];
            check_says(&i, says);
            assert_int_equal(invite_encode(&i, text), 0);
            assert_int_equal(invite_decode(text, &again), 0);
            check_says(&again, says);
        }
        json_decref(says);
        count++;
    }
    fclose(f);
    assert_true(count > 30);
}

static void test_encode_refuses(void **state)
{
    (void)state;
    char text[INVITE_TEXT];
    struct invite i = {.endpoint_count = 1, .endpoints = {{"mill.net", 4870}}};
    assert_int_equal(invite_encode(&i, text), 0);
    static const char *const hosts[] = {"", "a b", "fe80::1%eth0", "-x", "a\n"};
    for (size_t k = 0; k < sizeof hosts / sizeof *hosts; k++) {
        snprintf(i.endpoints[0].host, INVITE_HOST, "%s", hosts[k]);
        assert_int_equal(invite_encode(&i, text), BW_ERR_RANGE);
    }
    i.endpoints[0] = (struct invite_endpoint){"mill.net", 0};
    assert_int_equal(invite_encode(&i, text), BW_ERR_RANGE);
    i.endpoints[0].port = 1;
    strcpy(i.name, "a b");
    assert_int_equal(invite_encode(&i, text), BW_ERR_RANGE);
    i = (struct invite){.endpoint_count = INVITE_ENDPOINTS + 1};
    assert_int_equal(invite_encode(&i, text), BW_ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors), cmocka_unit_test(test_encode_refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
