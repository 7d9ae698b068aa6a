// An export record (docs/spec/session.md, section 13): what GET /v1/export answers. A signed record: which networks a node
// offers to the mesh, so that packets for them go to it sealed, and come from them only out of its tunnel.
#ifndef WIRE_EXPORT_H
#define WIRE_EXPORT_H

#include "wire/signed.h"

#define EXPORT_LABEL "byway export"
#define EXPORT_PREFIXES 32      // in one record; 2,048 bytes hold them at their longest
#define EXPORT_LIFETIME_MAX 86400u

struct export_record {
    uint32_t version;           // 1
    struct bw_addr address;     // the exporter's mesh address
    uint8_t key[32];            // its Ed25519 public key
    struct bw_prefix prefixes[EXPORT_PREFIXES]; // outside of fc00::/8
    unsigned count;
    uint64_t issued;            // the exporter's clock, Unix seconds; not to be trusted
    uint32_t lifetime_s;        // how long it may be believed, from when it was received
};

// The bytes that the record's signature covers; their length.
int export_cover(const struct export_record *e, uint8_t *out, size_t cap) BW_NODISCARD;
// The whole record as text; its length without the NUL.
int export_encode(const struct export_record *e, const uint8_t signature[64], char *out, size_t cap) BW_NODISCARD;
// BW_ERR_MALFORMED, BW_ERR_RANGE; the signature itself is not checked here. s may not be NULL.
int export_decode(const char *text, size_t n, struct export_record *e, struct signed_part *s) BW_NODISCARD;

#endif
