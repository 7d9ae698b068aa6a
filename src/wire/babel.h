// Babel packets (RFC 8966 section 4, RFC 9229, RFC 9616): bytes <-> checked TLVs. Pure functions on the caller's memory.
// Prefixes and addresses are in byway's one form (IPv4 as ::ffff:a.b.c.d, lengths 96..128). Our own sub-TLVs:
// docs/spec/babel.md.
#ifndef WIRE_BABEL_H
#define WIRE_BABEL_H

#include "base/addr.h"
#include "base/cursor.h"

#define BABEL_HEADER 4
#define BABEL_INF 0xffffu

enum babel_type {
    BABEL_PAD1, BABEL_PADN, BABEL_ACK_REQUEST, BABEL_ACK, BABEL_HELLO, BABEL_IHU, BABEL_ROUTER_ID, BABEL_NEXT_HOP,
    BABEL_UPDATE, BABEL_ROUTE_REQUEST, BABEL_SEQNO_REQUEST
};

enum babel_subtype {
    BABEL_SUB_PAD1 = 0, BABEL_SUB_PADN = 1, BABEL_SUB_TIMESTAMP = 3,
    BABEL_SUB_CAPABILITY = 112, // in Hello: struct babel_capability
    BABEL_SUB_SCOPE = 113, BABEL_SUB_WIDE_METRIC = 114, BABEL_SUB_SIGNATURE = 115, BABEL_SUB_PRICE = 116, // reserved
    BABEL_SUB_MANDATORY = 0x80
};

#define BABEL_CAPABILITY_LEN 12
#define BABEL_CAP_LIGHT 1 // the sender takes light messages (docs/spec/link.md, section 9)
#define BABEL_CAP_AES 2   // ... with AES-256-GCM
struct babel_capability {
    uint8_t version;      // 1
    uint8_t flags;        // BABEL_CAP_...; unknown ones are ignored
    uint16_t interval_cs; // unicast Hellos wanted from the receiver at this interval; 0: none
    uint64_t epoch;       // of the sender; another one than before: it has restarted
};

struct babel_tlv {
    uint8_t type; // enum babel_type; Pad1, PadN, Router-Id and Next Hop never come out of the reader
    union {
        struct {
            uint16_t opaque, interval_cs; // interval: not 0
        } ack_request;
        struct {
            uint16_t opaque;
        } ack;
        struct {
            bool unicast, has_timestamp, has_capability;
            uint16_t seqno, interval_cs; // interval 0: unscheduled
            uint32_t timestamp;
            struct babel_capability capability;
        } hello;
        struct {
            bool wildcard, has_timestamp; // wildcard: no address, for whoever gets it
            uint16_t rxcost, interval_cs; // interval: not 0
            struct bw_addr addr;
            uint32_t origin, receive;
        } ihu;
        struct {
            bool wildcard; // retracts everything that the sender announced; nothing below matters then
            struct bw_prefix prefix;
            uint16_t interval_cs, seqno, metric; // metric BABEL_INF: retraction; router_id, next_hop, seqno undefined
            uint8_t router_id[8];
            struct bw_addr next_hop; // IPv6, or IPv4 for plain IPv4 announcements (AE 1)
        } update;
        struct {
            bool wildcard; // the whole table
            struct bw_prefix prefix;
        } route_request;
        struct {
            struct bw_prefix prefix;
            uint16_t seqno;
            uint8_t hops; // not 0
            uint8_t router_id[8];
        } seqno_request;
    };
};

// ---- reading ----

struct babel_reader {
    struct bw_rd rd; // the packet body
    struct bw_addr next_hop4, next_hop6;
    bool have_next_hop4, have_next_hop6, have_router_id, have_default[3];
    uint8_t router_id[8];
    uint8_t default_prefix[3][16]; // by address encoding: IPv4, IPv6, v4-via-v6; as on the wire
};

// BW_ERR_MALFORMED: not a Babel packet, or its body is longer than it. source: where it came from (the implied next hop).
int babel_read_begin(struct babel_reader *r, const struct bw_addr *source, const void *p, size_t n) BW_NODISCARD;
// The next TLV that means something. 1: *t is filled; 0: the end; BW_ERR_MALFORMED, BW_ERR_UNSUPPORTED (unknown type or
// address encoding), BW_ERR_DENIED (unknown mandatory sub-TLV): one TLV was ignored, with its effect on the parser's state
// as RFC 8966 section 4.5 has it; go on.
int babel_read_next(struct babel_reader *r, struct babel_tlv *t) BW_NODISCARD;

// ---- writing ----

// One packet under construction. Every babel_write_* puts its TLV whole or not at all: false means the packet is full.
struct babel_writer {
    struct bw_wr wr;
    bool have_router_id, have_default[3];
    uint8_t router_id[8];
    uint8_t default_prefix[3][16];
};
void babel_write_begin(struct babel_writer *w, void *p, size_t n); // n: at most this long
size_t babel_write_end(struct babel_writer *w);                    // completes the header; the packet's length
static inline bool babel_write_empty(const struct babel_writer *w) { return bw_wr_len(&w->wr) <= BABEL_HEADER; }

bool babel_write_padn(struct babel_writer *w, uint8_t zeros) BW_NODISCARD; // 2 + zeros bytes
bool babel_write_ack_request(struct babel_writer *w, uint16_t opaque, uint16_t interval_cs) BW_NODISCARD;
bool babel_write_ack(struct babel_writer *w, uint16_t opaque) BW_NODISCARD;
// capability NULL: none
bool babel_write_hello(struct babel_writer *w, bool unicast, uint16_t seqno, uint16_t interval_cs, uint32_t timestamp,
                       const struct babel_capability *capability) BW_NODISCARD;
// addr NULL: no address. times NULL: no timestamps, else {origin, receive}
bool babel_write_ihu(struct babel_writer *w, const struct bw_addr *addr, uint16_t rxcost, uint16_t interval_cs,
                     const uint32_t times[2]) BW_NODISCARD;
// Writes a Router-Id TLV first where one is needed. IPv4 goes as v4-via-v6; retractions of IPv4 as plain IPv4, which
// everybody knows. The next hop is the packet's source.
bool babel_write_update(struct babel_writer *w, const struct bw_prefix *p, const uint8_t router_id[8], uint16_t interval_cs,
                        uint16_t seqno, uint16_t metric) BW_NODISCARD;
bool babel_write_wildcard_retraction(struct babel_writer *w, uint16_t interval_cs) BW_NODISCARD;
bool babel_write_route_request(struct babel_writer *w, const struct bw_prefix *p) BW_NODISCARD; // NULL: wildcard
bool babel_write_seqno_request(struct babel_writer *w, const struct bw_prefix *p, const uint8_t router_id[8], uint16_t seqno,
                               uint8_t hops) BW_NODISCARD;

static inline bool babel_router_id_valid(const uint8_t id[8])
{
    static const uint8_t zeros[8], ones[8] = {255, 255, 255, 255, 255, 255, 255, 255};
    return memcmp(id, zeros, 8) && memcmp(id, ones, 8);
}

// Sequence numbers modulo 2^16 (RFC 8966 section 3.2.1).
static inline bool babel_seqno_less(uint16_t a, uint16_t b)
{
    return a != b && !((uint16_t)(b - a) & 0x8000);
}

#endif
