#include "daemon/keycmd.h"

#include <stdio.h>
#include <string.h>

#include "core/identity.h"
#include "os/entropy.h"
#include "os/identity.h"
#include "os/state.h"

static int tell(const struct identity *id, struct keycmd_identity *out)
{
    memcpy(out->key, id->link_pk, sizeof out->key);
    out->address = id->addr;
    return 0;
}

int keycmd_show(const char *state_dir, struct keycmd_identity *out, char *why, size_t why_size)
{
    struct identity id;
    uint8_t seed[32];
    if (bw_crypto_init()) {
        snprintf(why, why_size, "the cryptographic library does not work");
        return BW_ERR_SYS;
    }
    int err = os_identity_read(state_dir, seed, why, why_size);
    if (err == BW_ERR_NOTFOUND)
        snprintf(why, why_size, "there is no identity in %s yet (byway key new makes one, and so does byway run)",
                 state_dir);
    if (err) return err;
    err = identity_from_seed(&id, seed);
    bw_wipe(seed, sizeof seed);
    if (err) snprintf(why, why_size, "the identity in %s has no mesh address (is the file damaged?)", state_dir);
    else tell(&id, out);
    identity_wipe(&id);
    return err;
}

int keycmd_new(const char *state_dir, bool force, struct keycmd_identity *out, char *why, size_t why_size)
{
    struct os_state state;
    struct bw_rng rng;
    struct identity id;
    uint8_t seed[32];
    if (bw_crypto_init()) {
        snprintf(why, why_size, "the cryptographic library does not work");
        return BW_ERR_SYS;
    }
    os_entropy(seed, sizeof seed);
    bw_rng_seed(&rng, seed);
    bw_wipe(seed, sizeof seed);
    int err =
        os_state_open(state_dir, &state, why, why_size); // held: a running node's identity is not changed under it
    if (err) return err;
    identity_draw(&id, &rng);
    err = os_identity_write(state_dir, id.seed, force, why, why_size);
    if (err == BW_ERR_EXISTS)
        snprintf(why, why_size,
                 "there is an identity in %s already (--force replaces it: the old address is then gone for good)",
                 state_dir);
    if (!err) tell(&id, out);
    identity_wipe(&id);
    bw_wipe(&rng, sizeof rng);
    os_state_close(&state);
    return err;
}
