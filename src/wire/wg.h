// WireGuard's messages (paper, section 5.4): bytes <-> checked structs. Integers are little endian, lengths are fixed,
// the three reserved bytes behind the type are zero. What is inside the encrypted fields is core/noise's business.
//
//   1 initiation  type 4 | sender 4 | ephemeral 32 | static 32+16 | timestamp 12+16 | mac1 16 | mac2 16       = 148
//   2 response    type 4 | sender 4 | receiver 4 | ephemeral 32 | nothing 0+16 | mac1 16 | mac2 16            = 92
//   3 cookie      type 4 | receiver 4 | nonce 24 | cookie 16+16                                               = 64
//   4 data        type 4 | receiver 4 | counter 8 | packet n+16                                               = 32 + n
#ifndef WIRE_WG_H
#define WIRE_WG_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum wg_type { WG_INITIATION = 1, WG_RESPONSE = 2, WG_COOKIE = 3, WG_DATA = 4 };

#define WG_INITIATION_LEN 148
#define WG_RESPONSE_LEN 92
#define WG_COOKIE_LEN 64
#define WG_DATA_MIN_LEN 32

struct wg_initiation {
    uint32_t sender;
    uint8_t ephemeral[32], enc_static[48], enc_timestamp[28];
};
struct wg_response {
    uint32_t sender, receiver;
    uint8_t ephemeral[32], enc_nothing[16];
};
struct wg_cookie {
    uint32_t receiver;
    uint8_t nonce[24], enc_cookie[32];
};

// The type of a whole datagram, if its length fits that type; else BW_ERR_SHORT (or too long) or BW_ERR_MALFORMED.
int wg_type(const uint8_t *p, size_t n) BW_NODISCARD;

// n must be the type's length; the macs (last 32 bytes of types 1 and 2) are left to core/noise/cookie.h: decoders skip
// them, encoders write zeros. Decoders: BW_ERR_MALFORMED, BW_ERR_SHORT.
int wg_initiation_decode(const uint8_t *p, size_t n, struct wg_initiation *out) BW_NODISCARD;
int wg_response_decode(const uint8_t *p, size_t n, struct wg_response *out) BW_NODISCARD;
int wg_cookie_decode(const uint8_t *p, size_t n, struct wg_cookie *out) BW_NODISCARD;
void wg_initiation_encode(uint8_t out[WG_INITIATION_LEN], const struct wg_initiation *m);
void wg_response_encode(uint8_t out[WG_RESPONSE_LEN], const struct wg_response *m);
void wg_cookie_encode(uint8_t out[WG_COOKIE_LEN], const struct wg_cookie *m);

#endif
