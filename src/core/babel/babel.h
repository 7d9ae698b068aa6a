// Babel (RFC 8966, with RFC 9229 v4-via-v6 and RFC 9616 RTT) as a pure state machine: one struct babel is one speaker over
// all links of a node. Packets and time come in by call, packets and changes go out through ops, the next deadline is a
// return value. No globals: a process may hold thousands. Our own sub-TLVs and choices: docs/spec/babel.md.
//
// Call order: babel_new, babel_originate..., babel_iface_add per link that carries packets; then for ever: babel_rx for each
// packet, babel_tick whenever babel_deadline() is reached (and once after any other call, to be prompt: calls may move the
// deadline nearer). To stop: babel_shutdown, go on with rx/tick until op shutdown_done, babel_free.
//
// Loop freedom rests on the feasibility distances. They are never dropped while a neighbour can still hold a route that was
// announced by us: not by the cap on destinations, not for lack of memory (then the change is refused instead), and a node
// that restarts without them chooses no learnt route before its neighbours have forgotten the old ones (`clean_start`).
//
// Threads: none; one caller at a time. Ops are called from inside babel_* calls and must not call back, except for the
// read-only views (babel_lookup, babel_each_*), which show a consistent state at that moment.
#ifndef CORE_BABEL_BABEL_H
#define CORE_BABEL_BABEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"

struct bw_rng;

#define BABEL_PORT 6696            // UDP, source and destination (RFC 8966 section 4)
#define BABEL_PAYLOAD_MAX 1232     // UDP payload that we send at most: IPv6's minimum MTU less headers
#define BABEL_INFINITY 0xffffu     // metric or cost: unreachable
#define BABEL_ANY_SLOT UINT16_MAX
#define BABEL_COST_DEFAULT 96      // nominal cost of one hop (RFC 8966 appendix A.2.1)
#define BABEL_MAX_DESTS_DEFAULT 8192

extern const struct bw_addr babel_group; // ff02::1:6

struct babel; // opaque

// ---- what the speaker tells its owner ----

struct babel_selected {
    bool unreachable;        // the prefix was lost a moment ago: no shorter prefix may be used for it (RFC 8966 section 2.8);
                             // the other fields are then zero. Followed by a route or by NULL (forget it).
    bool own;                // originated here: slot and next_hop mean nothing
    uint16_t slot;
    struct bw_addr next_hop; // the neighbour's link-local address
    uint8_t router_id[8];
    uint16_t metric, seqno;
};

struct babel_neighbour { // a view; valid during the call
    uint16_t slot;
    struct bw_addr address;
    bool up;                        // cost is finite: usable in both directions
    bool byway;                     // sent our capability sub-TLV
    uint8_t version, flags;         // ... which said so
    uint64_t epoch;
    int64_t rtt_us;                 // smoothed; -1: not measured
    uint16_t rxcost, txcost, cost;  // BABEL_INFINITY: unknown or unusable
    uint32_t loss_permille;         // of its Hellos
    uint32_t hello_rx_ms;           // interval of the fastest scheduled Hellos that it sends us; 0: none
    bw_time since;                  // of the present up or down
};

enum babel_neighbour_event { BABEL_UP, BABEL_DOWN, BABEL_COST, BABEL_RESTARTED, BABEL_GONE };

struct babel_ops {
    // A UDP payload of n <= BABEL_PAYLOAD_MAX bytes for the link: dst is ff02::1:6 or the neighbour's address. The caller
    // wraps it (UDP port 6696 both ways, IPv6 hop limit 1, source: own link-local address). Valid during the call.
    void (*send)(void *ctx, uint16_t slot, const struct bw_addr *dst, const uint8_t *payload, size_t n);
    // Whether a route may be learnt. NULL: babel_import_default. fe80::/10, multicast and loopback are refused before.
    bool (*import)(void *ctx, uint16_t slot, const struct bw_prefix *p, const uint8_t router_id[8]);
    // The selected route to p has another slot, next hop, router-id or state. r == NULL: forget the prefix. Changes of the
    // metric or seqno alone are not told; babel_lookup has them.
    void (*route_changed)(void *ctx, const struct bw_prefix *p, const struct babel_selected *r);
    void (*neighbour_changed)(void *ctx, enum babel_neighbour_event e, const struct babel_neighbour *n); // may be NULL
    // Store this number: after a restart it is config.seqno. Numbers are reserved ahead, so the write need not be awaited.
    void (*persist_seqno)(void *ctx, uint16_t seqno);
    // After babel_shutdown: all neighbours have acknowledged the retraction (clean = true) or the deadline has passed. May
    // be NULL (babel_is_down tells as well). A clean end makes clean_start = true correct for the next start.
    void (*shutdown_done)(void *ctx, bool clean);
};

// ---- creation ----

struct babel_config {
    uint8_t router_id[8];     // not all zeros, not all ones
    struct bw_addr linklocal; // own address on every link (fe80::/64 + router-id)
    uint64_t epoch;           // larger at every start of this node, persistent
    uint16_t seqno;           // the last number given to persist_seqno; anything at the very first start
    bool clean_start;         // nobody can hold routes through an earlier life: first start ever, or the last stop was clean
    bool no_transit;          // announce own originations only
    uint8_t flags;            // of our capability sub-TLV: BABEL_CAP_...
    uint32_t max_dests;       // learnt destinations that are used, nearest first; 0: BABEL_MAX_DESTS_DEFAULT
};

// ops is copied; mem, rng, log (may be NULL) and ctx stay the caller's and must outlive the speaker. NULL: no memory or
// a wrong router-id.
struct babel *babel_new(const struct babel_config *c, const struct babel_ops *ops, void *ctx, struct bw_mem *mem,
                        struct bw_rng *rng, const struct bw_log *log, bw_time now);
void babel_free(struct babel *b); // sends nothing, calls no op. NULL is fine.

// ---- links: one point-to-point interface each ----

struct babel_iface_params { // zero means the default
    bool stock;             // never send our own sub-TLVs (a peer that is not known to be stock is found out by itself)
    uint16_t cost;          // nominal cost, BABEL_COST_DEFAULT
    uint16_t max_payload;   // BABEL_PAYLOAD_MAX; at least 512
    uint32_t hello_ms;      // scheduled multicast Hellos: 4000
    uint32_t fast_hello_ms; // unicast Hellos that we ask byway neighbours for on a good link: 350
    uint32_t update_ms;     // full updates: 0 adapts to the table, 16 s up to 5 min
    uint32_t rtt_min_us, rtt_max_us; // RFC 9616: 10 ms, 120 ms
    uint16_t rtt_penalty;   // cost added at rtt_max and beyond: 150; UINT16_MAX: RTT does not count
};

// The slot must be free. BW_ERR_NOMEM, BW_ERR_EXISTS.
int babel_iface_add(struct babel *b, uint16_t slot, const struct babel_iface_params *p, bw_time now) BW_NODISCARD;
// Everything learnt there is forgotten at once (route_changed follows). Unknown slots are fine.
void babel_iface_remove(struct babel *b, uint16_t slot, bw_time now);

// ---- originations ----

// slot == BABEL_ANY_SLOT: announced on every link and preferred over whatever is learnt for p. Else announced on that link
// only, whether or not the link exists at present, and no route of this node's. Again with another metric: changed.
int babel_originate(struct babel *b, const struct bw_prefix *p, uint16_t metric, uint16_t slot, bw_time now) BW_NODISCARD;
void babel_withdraw(struct babel *b, const struct bw_prefix *p, uint16_t slot, bw_time now); // unknown is fine
void babel_set_transit(struct babel *b, bool transit, bw_time now);

// ---- running ----

// A UDP payload that came over the link from src_ll, port 6696. Whatever is wrong with it is counted, never fatal.
void babel_rx(struct babel *b, uint16_t slot, const struct bw_addr *src_ll, const uint8_t *payload, size_t n, bw_time now);
void babel_tick(struct babel *b, bw_time now);
bw_time babel_deadline(const struct babel *b); // O(1); BW_NEVER if there is nothing to do

// Import rules or the like have changed: asks all neighbours for their tables again and drops what is refused now.
void babel_reimport(struct babel *b, bw_time now);

// Stops properly: announces others' routes with a far larger metric (so that neighbours find other ways while this node
// still forwards), retracts everything and waits for acknowledgments, at most until `deadline`. Then shutdown_done.
void babel_shutdown(struct babel *b, bw_time deadline, bw_time now);
bool babel_is_down(const struct babel *b); // shutdown is over

// DESIGN 2's rule as far as it needs no local knowledge: /128s in fc00::/8 outside fc00::/32, fc00::e, fd00::/8, RFC 1918.
bool babel_import_default(const struct bw_prefix *p);

// ---- views ----

struct babel_route {
    struct bw_prefix prefix;
    uint8_t router_id[8];
    uint16_t metric;    // cost included; BABEL_INFINITY: unusable
    uint16_t refmetric; // as announced
    uint16_t seqno;
    uint16_t slot;      // BABEL_ANY_SLOT: own
    struct bw_addr next_hop;
    bool selected, own;
};
struct babel_source { // feasibility distance (RFC 8966 section 3.2.5)
    struct bw_prefix prefix;
    uint8_t router_id[8];
    uint16_t seqno, metric;
};
void babel_each_neighbour(const struct babel *b, void (*fn)(void *ctx, const struct babel_neighbour *n), void *ctx);
void babel_each_route(const struct babel *b, void (*fn)(void *ctx, const struct babel_route *r), void *ctx); // all, or ...
// Those lost a moment ago too, with the metric BABEL_INFINITY: no shorter prefix may be used for them.
void babel_each_selected(const struct babel *b, void (*fn)(void *ctx, const struct babel_route *r), void *ctx);
void babel_each_route_to(const struct babel *b, const struct bw_prefix *p, void (*fn)(void *ctx, const struct babel_route *r), void *ctx);
void babel_each_source(const struct babel *b, void (*fn)(void *ctx, const struct babel_source *s), void *ctx);
// The selected route to exactly p; false: none (out is untouched).
bool babel_lookup(const struct babel *b, const struct bw_prefix *p, struct babel_route *out);

enum babel_drop { // packets or TLVs that were ignored, by reason
    BABEL_DROP_HEADER,       // magic, version, length
    BABEL_DROP_SOURCE,       // unknown slot, source not link-local, or our own
    BABEL_DROP_MALFORMED,    // a TLV that breaks its format
    BABEL_DROP_UNKNOWN,      // TLV type or address encoding that we do not know
    BABEL_DROP_MANDATORY,    // unknown mandatory sub-TLV
    BABEL_DROP_NO_NEIGHBOUR, // anything but a Hello from somebody without one
    BABEL_DROP_MARTIAN,      // prefixes that are never routed
    BABEL_DROP_IMPORT,       // refused by the import rule
    BABEL_DROP_OWN,          // our own router-id
    BABEL_DROP_UNFEASIBLE,   // unfeasible and ignored
    BABEL_DROP_CAP,          // too many destinations, sources, neighbours or requests
    BABEL_DROP_NOMEM,
    BABEL_DROP_COUNT
};
const char *babel_drop_name(enum babel_drop d); // "header", "no_neighbour", ...

#define BABEL_TYPES 11 // TLV types 0..10 of RFC 8966
struct babel_counters {
    uint64_t drops[BABEL_DROP_COUNT];
    uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes; // UDP payloads
    uint64_t rx_tlvs[BABEL_TYPES], tx_tlvs[BABEL_TYPES];
    uint64_t evicted; // destinations that lost their place within the cap to others
};
const struct babel_counters *babel_counters(const struct babel *b);
const char *babel_tlv_name(unsigned type); // "hello", "ihu", ...

struct babel_totals {
    uint32_t neighbours, neighbours_up, dests, selected, routes, sources, requests;
    uint16_t seqno;
    bool holding; // a start that is not clean: learnt routes are not used yet
};
void babel_totals(const struct babel *b, struct babel_totals *out);

#endif
