// Asking an exit for a lease and its answer (docs/spec/exit.md, section 4): POST /v1/lease. Both are signed records.
#ifndef WIRE_LEASE_H
#define WIRE_LEASE_H

#include "wire/offer.h"

#define LEASE_REQUEST_LABEL "byway lease request"
#define LEASE_LABEL "byway lease"
#define LEASE_NONCE 16
#define LEASE_KNOWN 8
#define LEASE_DNS 4
#define LEASE_NOTICE 160

struct lease_request {
    uint32_t version;
    uint8_t key[32];             // the client's Ed25519 key
    struct bw_addr address;      // the client's mesh address; must belong to the key and to the connection
    struct bw_addr exit;         // whom the request is for
    uint8_t nonce[LEASE_NONCE];  // fresh; the answer quotes it
    uint8_t stamp[OFFER_STAMP];  // from the exit's offer
    bool v4, v6;                 // wanted
    bool release;                // give the lease back
    struct bw_addr previous4, previous6;    // addresses that the client had; zero: none
    struct bw_addr known[LEASE_KNOWN];      // other exits that the client knows of
    unsigned known_count;
};

struct lease {
    uint32_t version;
    uint8_t key[32];             // the exit's Ed25519 key
    struct bw_addr address;      // the exit
    struct bw_addr client;       // whose lease it is
    uint8_t nonce[LEASE_NONCE];  // of the request
    struct bw_addr inner4, inner6, gateway4, gateway6; // zero where the family is absent
    struct bw_addr dns[LEASE_DNS];
    unsigned dns_count;
    uint16_t mtu;
    uint32_t lifetime_s;
    uint64_t serial;             // counts the leases that the exit granted
    uint16_t news;               // heartbeats carry another number once a renewal would bring something new
    char notice[LEASE_NOTICE];   // why the client gets less than others (its volume is used up), for people; "": it does not
};

int lease_request_cover(const struct lease_request *r, uint8_t *out, size_t cap) BW_NODISCARD;
int lease_request_encode(const struct lease_request *r, const uint8_t signature[64], char *out, size_t cap) BW_NODISCARD;
int lease_request_decode(const char *text, size_t n, struct lease_request *r, struct signed_part *s) BW_NODISCARD;
int lease_cover(const struct lease *l, uint8_t *out, size_t cap) BW_NODISCARD;
int lease_encode(const struct lease *l, const uint8_t signature[64], char *out, size_t cap) BW_NODISCARD;
int lease_decode(const char *text, size_t n, struct lease *l, struct signed_part *s) BW_NODISCARD;

// A refusal: {"error": CODE, "text": ..., "offer": {...}}; offer may be NULL. Returns the length.
int lease_refusal_encode(const char *code, const char *text, const struct offer_text *offer, char *out, size_t cap) BW_NODISCARD;

#endif
