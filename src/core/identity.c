#include "core/identity.h"

#include <string.h>

int identity_addr_of_key(const uint8_t link_pk[BW_KEY_LEN], struct bw_addr *out)
{
    uint8_t once[64], twice[64];
    bw_sha512(once, link_pk, BW_KEY_LEN);
    bw_sha512(twice, once, sizeof once);
    memcpy(out->b, twice, sizeof out->b);
    return bw_addr_is_mesh(out) ? 0 : BW_ERR_RANGE;
}

int identity_from_seed(struct identity *id, const uint8_t seed[32])
{
    memcpy(id->seed, seed, sizeof id->seed);
    bw_sign_keypair(seed, id->sign_pk, id->sign_sk);
    bw_sign_sk_to_x25519(id->link_sk, id->sign_sk);
    bw_x25519_public(id->link_pk, id->link_sk);
    int err = identity_addr_of_key(id->link_pk, &id->addr);
    memcpy(id->router_id, id->addr.b + 8, sizeof id->router_id);
    return err;
}

void identity_draw(struct identity *id, struct bw_rng *rng)
{
    uint8_t seed[32];
    do bw_rng_bytes(rng, seed, sizeof seed);
    while (identity_from_seed(id, seed));
    bw_wipe(seed, sizeof seed);
}

void identity_wipe(struct identity *id)
{
    bw_wipe(id, sizeof *id);
}

struct bw_addr identity_linklocal(const uint8_t router_id[8])
{
    struct bw_addr a = {{0xfe, 0x80}};
    memcpy(a.b + 8, router_id, 8);
    return a;
}
