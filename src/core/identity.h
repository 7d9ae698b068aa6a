// Who a node is (DESIGN 2, "Identity and address"): one seed gives an Ed25519 key pair that signs records and, by the
// birational map, the X25519 pair of links and sessions; the address is a hash of the X25519 public key (cjdns' rule).
#ifndef CORE_IDENTITY_H
#define CORE_IDENTITY_H

#include "base/addr.h"
#include "crypto/crypto.h"

struct identity {
    uint8_t seed[32];
    uint8_t sign_pk[BW_SIGN_PK_LEN], sign_sk[BW_SIGN_SK_LEN];
    uint8_t link_pk[BW_KEY_LEN], link_sk[BW_KEY_LEN];
    struct bw_addr addr;
    uint8_t router_id[8]; // Babel router-id: the last 8 bytes of addr
};

// First 16 bytes of SHA-512(SHA-512(pk)). BW_ERR_RANGE if it is not a mesh address (the key cannot be a node's).
int identity_addr_of_key(const uint8_t link_pk[BW_KEY_LEN], struct bw_addr *out) BW_NODISCARD;
// BW_ERR_RANGE: the seed's address does not fit
int identity_from_seed(struct identity *id, const uint8_t seed[32]) BW_NODISCARD;
// draws seeds until one fits (256 tries on average)
void identity_draw(struct identity *id, struct bw_rng *rng);
void identity_wipe(struct identity *id);
// fe80::/64 + router-id: the address of every link's end.
struct bw_addr identity_linklocal(const uint8_t router_id[8]);

#endif
