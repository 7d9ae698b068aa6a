// An exit's offer (docs/spec/exit.md, section 3): what GET /v1/exit answers. A signed record: who the exit is, which
// families it carries, at what price and within which limits, and the stamp that a lease request must quote.
#ifndef WIRE_OFFER_H
#define WIRE_OFFER_H

#include "wire/signed.h"

#define OFFER_LABEL "byway exit offer"
#define OFFER_NAME 64
#define OFFER_OTHERS 8                              // offers of other exits passed on in one answer
#define OFFER_ANSWER_MAX ((OFFER_OTHERS + 1) * SIGNED_MAX + 256)
#define OFFER_STAMP 24

struct offer {
    uint32_t version;            // 1
    struct bw_addr address;      // the exit's mesh address
    uint8_t key[32];             // its Ed25519 public key
    char name[OFFER_NAME];       // letters, digits, hyphen, dot, underscore; may be empty
    bool v4, v6;                 // families that it carries
    uint64_t price;              // per 10^9 bytes, in the market's smallest unit; 0: free
    uint64_t down_bps, up_bps;   // limits for one client, bit/s; 0: none
    uint64_t volume;             // bytes that one client may move in a month; 0: no limit
    uint32_t load;               // how busy it is, 0 to 100
    struct bw_addr gateway4, gateway6; // inner addresses that answer heartbeats; zero where the family is absent
    uint16_t mtu;                // of inner packets
    uint64_t issued;             // the exit's clock, Unix seconds; not to be trusted
    uint32_t lifetime_s;         // how long the offer may be used and passed on
    uint8_t stamp[OFFER_STAMP];  // to be quoted by a lease request
};

// The bytes that the offer's signature covers; their length.
int offer_cover(const struct offer *o, uint8_t *out, size_t cap) BW_NODISCARD;
// The whole record as text; its length without the NUL.
int offer_encode(const struct offer *o, const uint8_t signature[64], char *out, size_t cap) BW_NODISCARD;
// BW_ERR_MALFORMED, BW_ERR_RANGE; the signature itself is not checked here. s may not be NULL.
int offer_decode(const char *text, size_t n, struct offer *o, struct signed_part *s) BW_NODISCARD;

// The answer to GET /v1/exit: {"offer": {...}, "others": [{...}, ...]}, from records that are text already.
struct offer_text {
    const char *text;
    size_t len;
};
int offer_answer_encode(const struct offer_text *own, const struct offer_text *others, unsigned count, char *out,
                        size_t cap) BW_NODISCARD;
// Calls `each` for every record in it, own first (`first`), with its canonical text; what is no object is passed over.
int offer_answer_decode(const char *text, size_t n, void (*each)(void *ctx, bool first, const char *text, size_t n),
                        void *ctx) BW_NODISCARD;

#endif
