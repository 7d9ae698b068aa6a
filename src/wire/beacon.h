// The beacon by which neighbours find each other (docs/spec/beacon.md): bytes <-> checked struct. Big endian.
//
//    0  'B' 'Y' 'W'  version (1)
//    4  Ed25519 public key                    32
//   36  network tag, zero: no secret           8
//   44  instance: drawn at each start          8
//   52  TAI64N stamp                          12
//   64  UDP port of the sender's links         2
//   66  flags, zero; ignored by receivers      2
//   68  length of the tail                     2
//   70  tail: (type 1, length 1, value)*       whatever comes later; unknown types are skipped
//   ..  Ed25519 signature                     64  over beacon_label and all bytes before
//
// The first byte is none of WireGuard's types, so that both share a port.
#ifndef WIRE_BEACON_H
#define WIRE_BEACON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define BEACON_VERSION 1
#define BEACON_HEAD_LEN 70
#define BEACON_SIG_LEN 64
#define BEACON_MIN_LEN (BEACON_HEAD_LEN + BEACON_SIG_LEN)
#define BEACON_MAX_LEN 512
#define BEACON_LABEL_LEN 16
extern const uint8_t beacon_label[BEACON_LABEL_LEN]; // "byway beacon v1" and a zero byte

struct beacon {
    uint8_t sign_pk[32], tag[8], instance[8], stamp[12];
    uint16_t port, flags;
    const uint8_t *tail; // in the datagram; well-formed
    size_t tail_len;
    const uint8_t *sig; // decoding only: the last 64 bytes
};

// Does a datagram begin like a beacon of any version?
bool beacon_is(const uint8_t *p, size_t n);
// BW_ERR_SHORT, BW_ERR_MALFORMED (lengths that don't fit, port 0), BW_ERR_UNSUPPORTED (another version). Nothing is
// verified.
int beacon_decode(const uint8_t *p, size_t n, struct beacon *out) BW_NODISCARD;
// Writes all but the signature; returns its length, BW_ERR_RANGE if it would not fit (tail too long for
// BEACON_MAX_LEN).
int beacon_encode(uint8_t *out, size_t cap, const struct beacon *b) BW_NODISCARD;

#endif
