// The client's side: when to use an exit, which one, and when to leave it. A state machine: time and events in, effects and a
// deadline out (docs/spec/exit.md, section 6).
//
// Up to two leases are held: the active one and a standby at another exit, both proven by heartbeats (ICMP echo to the
// exit's gateway through the tunnel), so that failover is a change of routes and not a round trip.
#ifndef CORE_EXIT_CLIENT_H
#define CORE_EXIT_CLIENT_H

#include "core/exit/book.h"
#include "core/fwd/fwd.h"
#include "core/view.h"

#define EXITC_TUNNELS 2
#define EXITC_BEATS 16
#define EXITC_ASKS 4
#define EXITC_TARGETS 4
#define EXITC_LISTED 16 // addresses in a rule

enum exitc_use { EXITC_AUTO, EXITC_ALWAYS, EXITC_NONE, EXITC_PINNED };

struct exitc_rules { // [internet] prefer, never
    struct bw_addr prefer[EXITC_LISTED], never[EXITC_LISTED]; // prefer: the first is the best
    unsigned prefer_count, never_count;
};

struct exitc_http { // a request to make over the mesh; strings are valid during the call only
    struct bw_addr to;      // fc00::e or an exit's address; port 4870
    const char *method, *path, *body; // body: NULL for GET
    size_t len;
    uint32_t timeout_ms;    // the whole of it, connecting included
};

struct exitc_ops {
    void *ctx;
    void (*http)(void *ctx, uint32_t serial, const struct exitc_http *r); // the answer: exitc_http_done(), never at once
    void (*send)(void *ctx, const struct bw_addr *peer, const uint8_t *packet, size_t n); // in the tunnel to peer
    void (*tell)(void *ctx, enum view_exit_state state, const struct bw_addr *exit, const char *why); // for log and events
};

enum exitc_tunnel_state { EXITC_FREE, EXITC_ASKING, EXITC_PROVING, EXITC_READY };

struct exitc_tunnel {
    enum exitc_tunnel_state state;
    struct bw_addr exit;
    uint32_t http;               // serial of the request under way; 0: none
    bw_time http_until;
    uint8_t nonce[LEASE_NONCE];
    bool fresh_stamp_tried;
    struct lease lease;
    bw_time renew, expires;
    struct fwd_tunnel_shared *shared; // counters; last_rx proves life
    uint32_t beat_seq;           // of the newest heartbeat; the echo request has the lower half
    bw_time beat_next, heard, since; // heard: last sign of life; since: in this state
    bw_time answered;            // while it is being proven: when its gateway answered first; 0: not yet
    bool served;                 // it was the active one: connections that began then go on through it
    bw_time missing_since;       // it served, fell silent, and there is no other: it may come back; 0: no
    struct exitc_proof {         // that the Internet answers through it: see client_proof.c
        uint16_t seq;
        bw_time next, asked;     // asked: an answer is awaited since then; 0: none is
        bw_time good;            // the last answer; 0: none yet
        bw_time missed_at;       // when what was missed first had been asked
        unsigned misses;         // in a row
        uint64_t own_tx, own_rx; // packets of our own through the tunnel, to tell others' apart
        uint64_t rx_seen, tx_seen;
        bw_time others;          // when others' packets came last
        bw_time lively;          // when others' packets had last been answered, or there were none to answer
    } proof;
    bw_time news_asked;          // a renewal was asked for because of news then
    bw_time beats[EXITC_BEATS];  // when the heartbeat with seq % EXITC_BEATS was sent; 0: answered
};

struct exitc_plan { // what the machine must be set up for (daemon/netconf.h)
    bool active;
    struct bw_addr exit, inner4, inner6, gateway4, gateway6; // zero where absent
    struct bw_addr kept4, kept6; // of the exit that was in use before a better one: what has begun there goes on; zero: none
    struct bw_addr dns[LEASE_DNS];
    unsigned dns_count;
    uint16_t mtu;
};

struct exitc_ask { // an offer asked of an exit itself
    uint32_t serial;  // 0: free
    struct bw_addr to;
    bw_time until;
};

struct exitc {
    struct bw_mem *mem;
    struct bw_rng *rng;
    const struct identity *id;
    struct book *book; // shared with the server
    struct exitc_ops ops;
    enum exitc_use use;
    struct bw_addr pinned;
    const struct bw_prefix *local; // the machine's own networks; borrowed from the server's side
    unsigned local_count;
    bool sharing;                // this node answers for fc00::e itself: do not ask there
    bool own, own_settled;       // own connection works; its state is known
    bw_time own_since;
    enum view_exit_state state;
    bw_time state_since, last_tick;
    struct exitc_tunnel tunnel[EXITC_TUNNELS];
    int active;                  // index of the tunnel in use; -1: none
    struct exitc_rules rules;
    struct bw_addr target[EXITC_TARGETS];
    unsigned target_count;
    bool targets_answer;         // one has answered through some exit: so silence says something about the exit
    bw_time targets_doubt_until; // nobody's Internet answers: it is the targets that are down
    bw_time weighed;             // when the routes' metrics were looked at last
    struct bw_addr better;       // another exit that has been better ...
    bw_time better_since;        // ... since then; BW_NEVER: none is
    struct exitc_ask any;        // the request to fc00::e under way
    bw_time any_next;
    unsigned any_failures;
    bool any_route;              // there is a route to fc00::e
    uint8_t any_router[8];       // its router-id
    struct exitc_ask ask[EXITC_ASKS];
    uint32_t last_serial;
    bool changed;
    // Exits left because they failed; not taken, or left, because the Internet did not answer through them; answers that
    // failed verification.
    uint64_t failovers, unproven, forged;
};

void exitc_init(struct exitc *c, struct bw_mem *mem, struct bw_rng *rng, const struct identity *id, struct book *book,
                const struct exitc_ops *ops, bw_time now);
void exitc_free(struct exitc *c);

// ---- inputs ----
void exitc_use(struct exitc *c, enum exitc_use use, const struct bw_addr *pinned, bw_time now);
void exitc_rules(struct exitc *c, const struct exitc_rules *r);
void exitc_target(struct exitc *c, const struct bw_addr *target); // at start, up to EXITC_TARGETS
void exitc_own(struct exitc *c, bool works, bool settled, bw_time now); // from uplink.h
void exitc_sharing(struct exitc *c, bool sharing, bw_time now);
// The selected route to fc00::e; NULL: none.
void exitc_any_route(struct exitc *c, const uint8_t router_id[8], bw_time now);
// Babel's routes to exits changed: asks the book to look again.
void exitc_routes_changed(struct exitc *c, bw_time now);
// status 0: no answer. Serials that are not ours are ignored; BW_ERR_NOTFOUND says so.
int exitc_http_done(struct exitc *c, uint32_t serial, int status, const char *body, size_t n, bw_time now);
// FWD_PUNT_TUNNEL_ECHO: an inner packet from tunnel peer `peer`.
void exitc_packet(struct exitc *c, const struct bw_addr *peer, const uint8_t *packet, size_t n, bw_time now);
bw_time exitc_tick(struct exitc *c, bw_time now); // returns the deadline; call after every input too
void exitc_leave(struct exitc *c, bw_time now);   // gives leases back: before the node ends

// ---- outputs ----
bool exitc_take_changed(struct exitc *c); // plan, tunnels or state changed since the last call
void exitc_plan(const struct exitc *c, struct exitc_plan *out);

#endif
