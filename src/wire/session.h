// Messages of the session protocol (docs/spec/session.md, section 3): UDP payloads between two mesh addresses, port
// SESSION_PORT on both sides. Bytes <-> checked structs; integers are big endian, lengths fixed, reserved bytes zero when
// sent and ignored when received, so that they can mean something one day. What is inside the encrypted fields is decoded
// by the second half of this file once core/noise has opened them.
//
//   1 initiation  type 1 | 0 3 | sender 4 | ephemeral 32 | static 32+16 | payload 16+16 | mac1 16 | mac2 16   = 152
//   2 response    type 1 | 0 3 | sender 4 | receiver 4 | ephemeral 32 | payload 4+16 | mac1 16 | mac2 16      = 96
//   3 cookie      type 1 | 0 3 | receiver 4 | nonce 24 | cookie 16+16                                         = 64
//   4 notice      type 1 | 0 3 | SPI 4 | sequence number 4                                                    = 12
//   5 question    type 1 | 0 3 | nonce 8 | 0 32                                                               = 44
//   6 key         type 1 | 0 3 | nonce 8 | X25519 public key 32                                               = 44
//
//   initiation's payload:  TAI64N 12 | ciphers offered 1 | 0 3
//   response's payload:    cipher chosen 1 | 0 3
#ifndef WIRE_SESSION_H
#define WIRE_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SESSION_PORT 4871

enum session_type {
    SESSION_INITIATION = 1, SESSION_RESPONSE, SESSION_COOKIE, SESSION_NOTICE, SESSION_QUESTION, SESSION_KEY
};
#define SESSION_INITIATION_LEN 152
#define SESSION_RESPONSE_LEN 96
#define SESSION_COOKIE_LEN 64
#define SESSION_NOTICE_LEN 12
#define SESSION_QUESTION_LEN 44 // as long as its answer: nobody is flooded through us
#define SESSION_KEY_LEN 44
#define SESSION_LEN_MAX SESSION_INITIATION_LEN

#define SESSION_OFFER_LEN 16
#define SESSION_CHOICE_LEN 4

// Bits of the offer, and (one of them) the choice. ChaCha20-Poly1305 is always offered.
#define SESSION_CIPHER_CHACHA20_POLY1305 1
#define SESSION_CIPHER_AES_256_GCM 2

struct session_initiation {
    uint32_t sender;
    uint8_t ephemeral[32], enc_static[48], enc_offer[SESSION_OFFER_LEN + 16];
};
struct session_response {
    uint32_t sender, receiver;
    uint8_t ephemeral[32], enc_choice[SESSION_CHOICE_LEN + 16];
};
struct session_cookie {
    uint32_t receiver;
    uint8_t nonce[24], enc_cookie[32];
};
struct session_notice { // "I have no keys under this SPI": quotes what came
    uint32_t spi, seq;
};
struct session_key { // question (key is all zero) and answer
    uint8_t nonce[8], key[32];
};

// The type of a whole message, if its length fits that type; else BW_ERR_SHORT or BW_ERR_MALFORMED.
int session_type(const uint8_t *p, size_t n) BW_NODISCARD;

// n must be the type's length. The macs (last 32 bytes of types 1 and 2) are left to core/noise/cookie.h: decoders skip them,
// encoders write zeros. Decoders: BW_ERR_MALFORMED, BW_ERR_SHORT, BW_ERR_RANGE (an index below 256 can't be an SPI).
int session_initiation_decode(const uint8_t *p, size_t n, struct session_initiation *out) BW_NODISCARD;
int session_response_decode(const uint8_t *p, size_t n, struct session_response *out) BW_NODISCARD;
int session_cookie_decode(const uint8_t *p, size_t n, struct session_cookie *out) BW_NODISCARD;
int session_notice_decode(const uint8_t *p, size_t n, struct session_notice *out) BW_NODISCARD;
int session_key_decode(const uint8_t *p, size_t n, struct session_key *out) BW_NODISCARD; // types 5 and 6
void session_initiation_encode(uint8_t out[SESSION_INITIATION_LEN], const struct session_initiation *m);
void session_response_encode(uint8_t out[SESSION_RESPONSE_LEN], const struct session_response *m);
void session_cookie_encode(uint8_t out[SESSION_COOKIE_LEN], const struct session_cookie *m);
void session_notice_encode(uint8_t out[SESSION_NOTICE_LEN], const struct session_notice *m);
void session_key_encode(uint8_t out[SESSION_KEY_LEN], enum session_type type, const struct session_key *m);

// ---- inside the encrypted fields ----
struct session_offer {
    uint8_t stamp[12];
    uint8_t ciphers; // SESSION_CIPHER_ bits
};
void session_offer_encode(uint8_t out[SESSION_OFFER_LEN], const struct session_offer *o);
// BW_ERR_MALFORMED: ChaCha20-Poly1305 is not among them. Unknown bits are kept.
int session_offer_decode(const uint8_t p[SESSION_OFFER_LEN], struct session_offer *out) BW_NODISCARD;
void session_choice_encode(uint8_t out[SESSION_CHOICE_LEN], uint8_t cipher);
// BW_ERR_MALFORMED: not exactly one cipher out of `offered`.
int session_choice_decode(const uint8_t p[SESSION_CHOICE_LEN], uint8_t offered, uint8_t *cipher) BW_NODISCARD;

#endif
