// The Noise pattern IKpsk2 over X25519, ChaCha20-Poly1305 and BLAKE2s (Noise revision 34; WireGuard paper, section 5.4)
// as pure functions on a handshake state. Who uses it says by a noise_protocol which protocol it is: links speak
// WireGuard's, end-to-end sessions one with another identifier, so that a handshake of one is nothing to the other.
// Payloads travel inside the encrypted parts: the initiation's is WireGuard's timestamp, the response's is empty there.
//
//   initiator                                    responder
//   noise_initiate      -- e, static, payload -->  noise_read_static, noise_read_payload
//   noise_read_response <-- e, payload ----------  noise_respond
//   noise_split                                    noise_split
//
// Ephemeral secrets come from the caller (32 random bytes, never used twice), so equal input gives equal output.
#ifndef CORE_NOISE_NOISE_H
#define CORE_NOISE_NOISE_H

#include "crypto/crypto.h"

#define NOISE_CONSTRUCTION "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
#define NOISE_IDENTIFIER_WG "WireGuard v1 zx2c4 Jason@zx2c4.com"
#define NOISE_STATIC_LEN (BW_KEY_LEN + BW_TAG_LEN) // an encrypted static key

struct noise_protocol { // constants of a protocol; never changes once made
    uint8_t ck[BW_HASH_LEN], h[BW_HASH_LEN];
    uint8_t label_mac1[8], label_cookie[8];
};

struct noise_handshake { // secret; wipe with noise_wipe
    uint8_t ck[BW_HASH_LEN], h[BW_HASH_LEN];
    uint8_t e_sk[BW_KEY_LEN]; // our ephemeral (initiator)
    uint8_t re[BW_KEY_LEN];   // the other side's ephemeral (responder)
    uint8_t rs[BW_KEY_LEN];   // the other side's static key
};

// Labels have exactly 8 bytes ("mac1----", "cookie--"); they make the keys of cookie.h.
void noise_protocol_init(struct noise_protocol *p, const char *construction, const char *identifier,
                         const char *label_mac1, const char *label_cookie);
void noise_protocol_wireguard(struct noise_protocol *p);

// All results below: 0, or BW_ERR_AUTH (a tag that does not fit, or a key of low order). The state is unchanged on
// error. ss is DH(our static secret, rs), which callers keep per peer; psk is 32 bytes, zero for none.

// Writes e, the encrypted static key, and n + BW_TAG_LEN bytes of encrypted payload.
int noise_initiate(struct noise_handshake *hs, const struct noise_protocol *p, const uint8_t my_pk[BW_KEY_LEN],
                   const uint8_t rs[BW_KEY_LEN], const uint8_t ss[BW_KEY_LEN], const uint8_t e_sk[BW_KEY_LEN],
                   const void *payload, size_t n, uint8_t e[BW_KEY_LEN], uint8_t enc_static[NOISE_STATIC_LEN],
                   uint8_t *enc_payload) BW_NODISCARD;
// Two steps, so that an unknown key costs one DH: the first gives hs->rs, the second (with ss of that key) proves it.
int noise_read_static(struct noise_handshake *hs, const struct noise_protocol *p, const uint8_t my_sk[BW_KEY_LEN],
                      const uint8_t my_pk[BW_KEY_LEN], const uint8_t e[BW_KEY_LEN],
                      const uint8_t enc_static[NOISE_STATIC_LEN]) BW_NODISCARD;
int noise_read_payload(struct noise_handshake *hs, const uint8_t ss[BW_KEY_LEN], const uint8_t *enc_payload,
                       size_t enc_len,
                       uint8_t *payload) BW_NODISCARD; // payload: enc_len - BW_TAG_LEN bytes
int noise_respond(struct noise_handshake *hs, const uint8_t psk[BW_KEY_LEN], const uint8_t e_sk[BW_KEY_LEN],
                  const void *payload, size_t n, uint8_t e[BW_KEY_LEN], uint8_t *enc_payload) BW_NODISCARD;
int noise_read_response(struct noise_handshake *hs, const uint8_t my_sk[BW_KEY_LEN], const uint8_t psk[BW_KEY_LEN],
                        const uint8_t e[BW_KEY_LEN], const uint8_t *enc_payload, size_t enc_len,
                        uint8_t *payload) BW_NODISCARD;
// The transport keys. Wipes the state: there is nothing left to do with it.
void noise_split(struct noise_handshake *hs, bool initiator, uint8_t send[BW_KEY_LEN], uint8_t recv[BW_KEY_LEN]);
void noise_wipe(struct noise_handshake *hs);

// HKDF with HMAC-BLAKE2s (paper, KDF_n): up to three outputs, NULL for those not wanted. out1 may be ck.
void noise_kdf(uint8_t *out1, uint8_t *out2, uint8_t *out3, const uint8_t ck[BW_HASH_LEN], const void *input, size_t n);

#endif
