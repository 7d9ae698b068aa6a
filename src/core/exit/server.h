// The exit's side: which client has which inner address. One client = one key = one lease. Pure: requests come in as decoded
// HTTP, answers go out in the caller's buffer; what must survive a restart goes out through an op.
//
// Inner IPv4 is a /16 of 100.64.0.0/10 that overlaps no local route (chosen by the node's address, so that it is the same
// after a restart; moved, and all leases with it, if a conflict appears). Inner IPv6 is a /64 of a ULA of the exit's own,
// translated at the uplink (docs/decisions/0020-ipv6-exit.md); absent while the uplink's IPv6 is not proven.
#ifndef CORE_EXIT_SERVER_H
#define CORE_EXIT_SERVER_H

#include "base/mem.h"
#include "base/time.h"
#include "core/exit/book.h"
#include "core/exit/echo.h"
#include "core/exit/limit.h"

#define EXITS_MTU (FWD_MTU - FWD_TUNNEL_OVERHEAD)
#define EXITS_NONCES 4

struct exits_config {
    const struct identity *id; // must outlive the server
    const char *name;          // copied
    uint64_t price;
    struct limit_config limits;
    uint32_t lifetime_s;       // of a lease; 0: 3,600
    uint32_t max_leases;       // 0: 1,024
    uint8_t pool_len;          // of the IPv4 pool; 0: 16; at most 29
};

struct exits_saved { // what a restart needs to give the same client the same address
    uint8_t key[32];         // the client's Ed25519 key
    struct bw_addr address;  // its mesh address
    struct bw_addr inner4, inner6;
};

struct exits_month { // what a key used in a month; a key of zeros: all keys together
    uint8_t key[32];
    uint32_t month;          // limits_month()
    uint64_t bytes;
};

struct exits_logged { // who had which address when
    uint8_t key[32];
    struct bw_addr address, inner4, inner6; // an inner address is zero where the family was not leased
    uint64_t since_s, until_s;              // Unix time; until: known so far, later if the lease is renewed
    bool ended;
};

struct exits_ops { // any may be NULL
    void *ctx;
    void (*save)(void *ctx, const struct exits_saved *l); // insert or replace, by key
    void (*drop)(void *ctx, const uint8_t key[32]);
    void (*note)(void *ctx, const struct exits_month *v, unsigned n); // insert or replace, by key; all at once
    bool (*recall)(void *ctx, struct exits_month *v);     // fills in month and bytes of v->key; only reads. False: nothing known
    void (*log)(void *ctx, const struct exits_logged *e); // insert or replace, by since_s and key
    bool (*uplink_bytes)(void *ctx, uint64_t *down, uint64_t *up); // limits_uplink(); only reads
};

struct exits_lease {
    uint8_t key[32];
    struct bw_addr address, inner4, inner6; // inner6 is always kept; handed out only while IPv6 is shared
    uint32_t host;                          // number inside the pools
    bool active;                            // no: the address is only kept in case the client comes back
    bool v4, v6;                            // what the client has
    struct bw_addr via;                     // the neighbour through which it asked; zero: unknown
    bw_time since, expires;
    uint64_t since_s; // in Unix time, for the log; 0: the clock was not known
    uint64_t serial;
    uint8_t nonces[EXITS_NONCES][LEASE_NONCE]; // seen lately, newest first
    struct fwd_tunnel_shared *shared;          // counters; NULL while not active
    struct limit_use use;
    bool told_over;                            // what the client knows, or is about to, of its volume
    uint16_t news;                             // grows when a renewal would bring news; heartbeats carry it
};

struct exits_plan { // what the machine must be set up for (daemon/share.h)
    bool wanted;    // sharing is configured and no other exit is in use: addresses, NAT and pool routes stand
    bool on;        // and the uplink is proven: fc00::e is originated
    bool v6;        // IPv6 is shared
    struct bw_prefix pool4, pool6;
    struct bw_addr gateway4, gateway6; // addresses of the exit's TUN
    uint16_t mtu;
};

enum exits_count { // refusals, for /metrics
    EXITS_GRANTED, EXITS_RENEWED, EXITS_RELEASED, EXITS_EXPIRED, EXITS_BAD, EXITS_FORGED, EXITS_STALE, EXITS_REPLAYED,
    EXITS_FULL, EXITS_OFF, EXITS_BUSY, EXITS_COUNTS
};
const char *exits_count_name(enum exits_count c);

#define EXITS_BUDGETS 32
struct exits_budget { // lease requests that may be checked now
    struct bw_addr via;
    uint32_t tokens;
    bw_time at; // counted up to then; 0: full
};

struct exits {
    struct bw_mem *mem;
    struct bw_rng *rng;
    const struct identity *id;
    struct exits_config config;
    char name[OFFER_NAME];
    struct exits_ops ops;
    struct exits_plan plan;
    bool uplink4, uplink6;
    struct bw_prefix *local;  // the machine's own prefixes
    unsigned local_count;
    struct exits_lease *lease;
    unsigned count, room;
    uint8_t stamp_key[32];
    bw_time start;
    uint64_t serial;
    int64_t wall_minus_now_s; // Unix time less bw_time, as told; 0: unknown
    char offer[SIGNED_MAX];   // the signed offer as text, made anew when it changes or ages
    size_t offer_len;
    bw_time offer_until;
    uint64_t offer_stamp_epoch;
    struct exits_budget budget[EXITS_BUDGETS], budget_all; // by neighbour; for all
    uint64_t counts[EXITS_COUNTS];
    struct limits limits;
    struct limit_client *meter; // active leases, for limits_tick
    unsigned meter_room;
    bw_time meter_next, note_next;
};

// The rng and mem must outlive it.
void exits_init(struct exits *s, struct bw_mem *mem, struct bw_rng *rng, const struct exits_config *c,
                const struct exits_ops *ops, bw_time now);
void exits_free(struct exits *s);

// ---- inputs. Each returns true if the plan or the set of leases changed (the snapshot must be rebuilt). ----
bool exits_want(struct exits *s, bool wanted, bw_time now);             // share is configured, and no other exit in use
bool exits_uplink(struct exits *s, bool v4, bool v6, bw_time now);      // families proven
bool exits_local(struct exits *s, const struct bw_prefix *p, unsigned count, bw_time now); // local routes; copied
void exits_wall(struct exits *s, uint64_t unix_s, bw_time now);
// At start, before exits_want: a lease of an earlier run, active again for one life time so that its holder's packets pass.
bool exits_restore(struct exits *s, const struct exits_saved *l, bw_time now);
bool exits_tick(struct exits *s, bw_time now);
void exits_limits(struct exits *s, const struct limit_config *c); // other limits from now on
void exits_name(struct exits *s, const char *name);               // what offers call it from now on; copied
void exits_note(struct exits *s, bw_time now);                    // stores what clients used: before the end
bw_time exits_deadline(const struct exits *s);

// ---- HTTP over the mesh ----
// GET /v1/exit. Returns the status; *n the length in out (cap >= OFFER_ANSWER_MAX).
int exits_get_offer(struct exits *s, const struct book *others, char *out, size_t cap, size_t *n, bw_time now);
// POST /v1/lease from `caller` (the connection's source address), `via` the next hop of the route to it (zero: unknown), against
// whose share it counts. *changed as above. `request` is filled when the answer is 200, so that request->known can be taken in.
int exits_post_lease(struct exits *s, const struct bw_addr *caller, const struct bw_addr *via, const char *body, size_t len,
                     char *out, size_t cap, size_t *n, bool *changed, struct lease_request *request, bw_time now);

// ---- packets ----
// The answer to an inner packet of client `peer` to the gateway (FWD_PUNT_GATEWAY): an echo reply while the client's family
// is proven, else net unreachable, so that the client moves on at once. 0: nothing to say. Sent in the tunnel.
size_t exits_answer(const struct exits *s, const struct bw_addr *peer, const uint8_t *packet, size_t n, uint8_t *out, size_t cap);

// ---- for serve.c: HTTP asks, leases answer ----
int exits_own_offer(struct exits *s, struct offer_text *out, bw_time now) BW_NODISCARD; // signed
bool exits_stamp_good(const struct exits *s, const uint8_t stamp[OFFER_STAMP], bw_time now);
// A lease for the request's client, new or renewed. BW_ERR_NOMEM: all that it may have are taken; BW_ERR_DENIED: the address
// leases under another key.
int exits_grant(struct exits *s, const struct lease_request *r, const struct bw_addr *via, struct exits_lease **out, bool *changed,
                bw_time now) BW_NODISCARD;
bool exits_release(struct exits *s, struct exits_lease *l, bw_time now); // true: it was active
struct exits_lease *exits_lease_of(struct exits *s, const struct bw_addr *address); // active or kept; NULL: none

// ---- server_meter.c: limits and volumes ----
bool exits_meter(struct exits *s, bw_time now);                        // counts and shares out when it is time
void exits_meter_begin(struct exits *s, struct exits_lease *l);        // a lease begins: what its key used before
void exits_meter_end(struct exits *s, struct exits_lease *l, bw_time now); // before its counters go
void exits_log(struct exits *s, struct exits_lease *l, bool ended, bw_time now);
// What to tell the client of its state, "" if nothing: text for people.
void exits_notice(const struct exits *s, const struct exits_lease *l, char *out, size_t cap);

// ---- views ----
const struct exits_lease *exits_find(const struct exits *s, const struct bw_addr *address);
unsigned exits_active(const struct exits *s);

#endif
