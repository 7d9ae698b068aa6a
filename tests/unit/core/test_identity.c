#include "unit/vectors.h"

#include "core/identity.h"

static void test_cjdns_address(void **state)
{
    (void)state;
    uint8_t sk[32], pk[32], want[16];
    vector("crypto.txt", "cjdns_private", sk, sizeof sk);
    vector("crypto.txt", "cjdns_address", want, sizeof want);
    bw_x25519_public(pk, sk);
    struct bw_addr a;
    assert_int_equal(identity_addr_of_key(pk, &a), 0);
    assert_memory_equal(a.b, want, 16);
    pk[0] ^= 1; // nearly every other key has no mesh address
    assert_int_equal(identity_addr_of_key(pk, &a), BW_ERR_RANGE);
}

static void test_draw(void **state)
{
    (void)state;
    struct bw_rng r;
    uint8_t seed[32] = {3};
    bw_rng_seed(&r, seed);
    struct identity a, b;
    identity_draw(&a, &r);
    assert_true(bw_addr_is_mesh(&a.addr));
    assert_int_equal(identity_from_seed(&b, a.seed), 0);
    assert_memory_equal(&a, &b, sizeof a);
    uint8_t x[32];
    assert_int_equal(bw_sign_pk_to_x25519(x, a.sign_pk), 0); // others get the link key from the signing key
    assert_memory_equal(x, a.link_pk, 32);
    assert_memory_equal(a.router_id, a.addr.b + 8, 8);
    struct bw_addr ll = identity_linklocal(a.router_id);
    assert_true(bw_addr_is_linklocal(&ll));
    assert_memory_equal(ll.b + 8, a.router_id, 8);
    identity_draw(&b, &r);
    assert_memory_not_equal(a.link_pk, b.link_pk, 32);
    identity_wipe(&b);
    uint8_t zero[sizeof b] = {0};
    assert_memory_equal(&b, zero, sizeof b);
}

int main(void)
{
    if (bw_crypto_init()) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cjdns_address), cmocka_unit_test(test_draw)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
