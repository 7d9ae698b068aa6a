// WireGuard's answer to floods (paper, sections 5.3, 5.4.4 and 5.4.7): every handshake message ends in mac1, which
// proves that the sender knows our public key, and mac2, which under load must prove with a cookie that it receives
// what is sent to its address. Shared by links and sessions; the labels come from noise_protocol.
#ifndef CORE_NOISE_COOKIE_H
#define CORE_NOISE_COOKIE_H

#include "base/time.h"
#include "core/noise/noise.h"

#define MAC_LEN 16
#define MACS_LEN (2 * MAC_LEN) // mac1, mac2: the last bytes of a handshake message
#define COOKIE_LEN 16
#define COOKIE_NONCE_LEN 24
#define COOKIE_SEALED_LEN (COOKIE_LEN + BW_TAG_LEN)
#define COOKIE_LIFE (120 * BW_S)   // of the secret that makes cookies
#define COOKIE_LATENCY (5 * BW_S)  // a received cookie is used this much shorter

struct mac_keys { // of the receiver of a message: from its public key
    uint8_t mac1[BW_KEY_LEN], cookie[BW_KEY_LEN];
};
void mac_keys_init(struct mac_keys *k, const struct noise_protocol *p, const uint8_t pk[BW_KEY_LEN]);

// ---- the sender's side, one per peer and link ----
struct mac_sender {
    struct mac_keys keys;
    uint8_t cookie[COOKIE_LEN];
    bw_time cookie_at; // when it came
    bool has_cookie;
    uint8_t last_mac1[MAC_LEN];
    bool sent; // last_mac1 is that of a message which no cookie has answered yet
};
void mac_write(struct mac_sender *s, uint8_t *msg, size_t n, bw_time now); // fills the last MACS_LEN of n bytes
// A cookie reply to the last message. BW_ERR_AUTH: not ours or forged.
int mac_take_cookie(struct mac_sender *s, const uint8_t nonce[COOKIE_NONCE_LEN],
                    const uint8_t sealed[COOKIE_SEALED_LEN], bw_time now) BW_NODISCARD;

// ---- the receiver's side, one per node ----
struct cookie_jar {
    struct mac_keys keys; // our own
    uint8_t secret[BW_KEY_LEN];
    bw_time made;
    bool has_secret;
};
void cookie_jar_init(struct cookie_jar *j, const struct noise_protocol *p, const uint8_t my_pk[BW_KEY_LEN]);
bool cookie_mac1_fits(const struct cookie_jar *j, const uint8_t *msg, size_t n);
// source: the bytes that name where the message came from (address, port, interface).
bool cookie_mac2_fits(struct cookie_jar *j, struct bw_rng *rng, const void *source, size_t source_len,
                      const uint8_t *msg, size_t n, bw_time now);
// A sealed cookie in answer to msg.
int cookie_make(struct cookie_jar *j, struct bw_rng *rng, const void *source, size_t source_len, const uint8_t *msg,
                size_t n, uint8_t nonce[COOKIE_NONCE_LEN], uint8_t sealed[COOKIE_SEALED_LEN], bw_time now) BW_NODISCARD;

#endif
