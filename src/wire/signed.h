// Signed records (docs/spec/exit.md, section 2): a JSON object with "version", "key" (Ed25519, base64) and "signature". The
// signature covers a label that names the kind of record, a newline, and the canonical form of the object without its
// "signature": compact, keys sorted by bytes. Unknown members are covered too, so that an old node can pass on and check
// what a newer one has added. Numbers are integers; a record with anything else is refused, since reals have no one form.
//
// This file turns bytes into checked parts. Whether a signature is right, core decides (exit/record.h).
#ifndef WIRE_SIGNED_H
#define WIRE_SIGNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

#define SIGNED_MAX 2048  // bytes of one record as text
#define SIGNED_DEPTH 6   // nested brackets
#define SIGNED_LABEL 48  // longest label

struct json_t; // jansson's, seen only inside wire

struct signed_part {
    uint8_t key[32]; // Ed25519
    uint8_t signature[64];
    uint8_t covered[SIGNED_LABEL + SIGNED_MAX]; // what the signature covers
    size_t covered_len;
};

// Text to an object, within size, depth and number rules; no duplicate members, nothing behind it. The caller decrefs *out.
int signed_parse(const char *text, size_t n, size_t max, struct json_t **out) BW_NODISCARD;
// Key, signature and covered bytes of a parsed record; its "version" must be 1 or more.
int signed_take(struct json_t *record, const char *label, struct signed_part *out) BW_NODISCARD;
// The bytes to sign. Returns their length.
int signed_cover(struct json_t *record, const char *label, uint8_t *out, size_t cap) BW_NODISCARD;
// The record as text with `signature` put in. Returns the length without the NUL.
int signed_text(struct json_t *record, const uint8_t signature[64], char *out, size_t cap) BW_NODISCARD;

// Members of an object with their types checked. *_opt: an absent member leaves *out alone and is fine.
int signed_get_u64(struct json_t *o, const char *name, uint64_t max, uint64_t *out) BW_NODISCARD;
int signed_get_u64_opt(struct json_t *o, const char *name, uint64_t max, uint64_t *out) BW_NODISCARD;
int signed_get_bytes(struct json_t *o, const char *name, uint8_t *out, size_t n) BW_NODISCARD; // base64 of exactly n bytes
int signed_get_addr(struct json_t *o, const char *name, struct bw_addr *out) BW_NODISCARD;
int signed_get_addr_opt(struct json_t *o, const char *name, struct bw_addr *out) BW_NODISCARD;
int signed_get_flag_opt(struct json_t *o, const char *name, bool *out) BW_NODISCARD;
int signed_get_addrs_opt(struct json_t *o, const char *name, struct bw_addr *out, unsigned max, unsigned *count) BW_NODISCARD;
int signed_get_families(struct json_t *o, bool *v4, bool *v6) BW_NODISCARD; // ["ipv4","ipv6"]
int signed_set_bytes(struct json_t *o, const char *name, const uint8_t *p, size_t n) BW_NODISCARD;
int signed_set_addr(struct json_t *o, const char *name, const struct bw_addr *a) BW_NODISCARD; // a zero address is left out
int signed_set_addrs(struct json_t *o, const char *name, const struct bw_addr *a, unsigned count) BW_NODISCARD; // none: left out
int signed_set_families(struct json_t *o, bool v4, bool v6) BW_NODISCARD;

#endif
