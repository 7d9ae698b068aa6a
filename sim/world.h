// A simulated world: machines that run the shipped core, wires between them, one clock. Virtual time, entropy from the seed,
// one thread: a run is a pure function of what was asked for. Nodes run the real packet path too; what is not simulated
// packet by packet is HTTP between nodes (it takes its time per hop and needs the way to exist) and the Internet's probe.
//
//   world.c     making, life and death, time            wires.c   what wires do to datagrams
//   machine.c   what a node wants done, and its packets
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "core/fwd/snapshot.h"
#include "core/node/node.h"
#include "sim/clock.h"
#include "sim/events.h"

// ---- wires ----

struct wire { // how a wire treats datagrams, each way by itself; zero is perfect but for the delay of 0
    uint32_t delay_us, jitter_us; // delay +- jitter, order kept
    uint32_t loss_ppm, dup_ppm, reorder_ppm;
    uint64_t rate_bps; // 0: unlimited
    uint32_t queue;    // bytes waiting in front of rate; 0: 100 ms worth, at least 15,000
    uint32_t mtu;      // larger datagrams go in fragments, each of which may be lost; 0: any
};

struct world_link {
    uint32_t a, b; // nodes; way 0 is a -> b
    bool far;      // reached by a configured endpoint; else found by beacons on an interface of its own
    struct wire k;
    uint8_t cut[2];       // per way, bits of enum cut: silently lost
    bw_time busy[2];      // rate: the wire is taken until then
    bw_time last[2];      // arrival of the datagram sent last: order is kept
    struct bw_rng *rng;   // NULL until chance is needed
    uint64_t packets[2], bytes[2], lost[2]; // offered; of those lost, whatever the reason
    bw_time alive_since;  // both ends run and nothing is cut: since then; BW_NEVER: not so ...
    bw_time dead_since;   // ... since then
};

enum cut { CUT_LINK = 1, CUT_PARTITION = 2 };

// ---- machines ----

struct world_mem { // a node's allocator: counts, and fails when told
    struct bw_mem mem; // first member
    uint64_t calls, failures;
    uint64_t fail_at;  // the call number that fails; 0: none
    bool fail_on;      // ... and all that follow
    size_t limit;      // bytes; 0: none
};

// A node's machine: what survives its crashes, and what the world knows of it.
struct world_node {
    struct world *world;
    uint32_t index, life; // life: counted up at each start; 0 = never started
    struct identity id;
    struct world_mem memory;
    struct bw_rng rng;
    struct clock clock;
    struct node *node;    // NULL: not running
    bool wanted;          // should run: a start that fails for lack of memory is tried again, as a supervisor does
    struct fwd_snapshot *snapshot;
    struct fwd *fwd;      // its packet path; made at the first start
    uint32_t *links;      // its wires
    uint32_t link_count;
    uint64_t numbers[3];  // NODE_TAI_HIGH, NODE_SEQNO, NODE_SESSION_TAI as persisted
    uint64_t epoch;
    bool started_before, clean, forgot; // forgot: lost what was stored since its last life
    bool share, uplink;   // shares Internet; its uplink works
    uint32_t cap;         // destinations; 0: the default
    bw_time wake;         // its next deadline, in the world's time
    uint32_t heap_at;     // place in world.wakes
    bw_time since;        // of this life, or of its death; the world's time
    uint64_t delivered;   // IP packets for this machine
};

// Any may be NULL. Called while the world runs; they must not change it.
struct world_hooks {
    void *ctx;
    void (*tun)(void *ctx, uint32_t node, const uint8_t *packet, size_t n); // an IP packet for that node's machine
    // It published a snapshot in place of that one (NULL: it had none), started or died (NULL).
    void (*routes)(void *ctx, uint32_t node, const struct fwd_snapshot *before);
    void (*said)(void *ctx, uint32_t node, const uint8_t *packet, size_t n); // an IPv6 packet of its Babel was sealed and sent
    void (*turn)(void *ctx, uint32_t node);                                 // it was at work
    void (*log)(void *ctx, uint32_t node, enum bw_level level, const char *text);
};

struct world {
    uint64_t seed;
    bw_time now;
    uint64_t unix_ns; // at now == 0
    struct world_node *nodes;
    uint32_t node_count;
    struct world_link *links;
    uint32_t link_count, link_room;
    struct events events;
    uint32_t *wakes; // heap of node indexes by wake
    struct fwd_snapshot *retired[64];
    unsigned retired_count;
    uint32_t current;         // node that is at work
    uint64_t hash, steps;     // of everything that happened, in order; FNV-1a
    bool coarse;              // hash lengths and heads of datagrams only (large worlds)
    bool halt;                // a hook sets it: world_run returns after this step
    uint64_t leaked;          // bytes that a node had not given back when it was freed
    struct world_hooks hooks;
    struct bw_log log;
};

// node_count machines, no wires, nothing running. ids: of so many, or NULL: they are drawn from the seed, which takes 256
// tries for each. NULL: no memory.
struct world *world_new(uint64_t seed, uint32_t node_count, const struct identity *ids);
void world_free(struct world *w);
// The link's number. far: both ends list each other's endpoint. May be called while nodes run only before either starts.
int world_link(struct world *w, uint32_t a, uint32_t b, const struct wire *k, bool far) BW_NODISCARD;
void world_start(struct world *w, uint32_t node);
void world_crash(struct world *w, uint32_t node);  // without a word
void world_stop(struct world *w, uint32_t node);   // in good order; ends by itself within 2 s
void world_forget(struct world *w, uint32_t node); // its stored state is lost (identity stays); nothing happens to one that runs
void world_run(struct world *w, bw_time until);
void world_uplink(struct world *w, uint32_t node, bool works);
void world_clock_rate(struct world *w, uint32_t node, uint64_t rate);    // CLOCK_UNIT: right
void world_clock_jump(struct world *w, uint32_t node, bw_time by);       // the monotonic clock, ahead
void world_clock_wall(struct world *w, uint32_t node, int64_t by_s);     // the wall clock, either way; not before 1970
void world_cut(struct world *w, uint32_t link, unsigned way, enum cut why, bool cut);
void world_wire(struct world *w, uint32_t link, const struct wire *k);
// An IP packet from that node's machine into its TUN.
void world_inject(struct world *w, uint32_t node, const uint8_t *packet, size_t n);
// Follows the snapshots from node to dst: the number of hops, or BW_ERR_NOTFOUND (no route), BW_ERR_REPLAY (a loop).
int world_trace(const struct world *w, uint32_t from, const struct bw_addr *dst, uint32_t *last);
// The wire that a snapshot's link goes over, -1: none of the world's.
int64_t world_wire_of(const struct world *w, uint32_t node, const struct fwd_link *l);
static inline uint32_t world_other(const struct world_link *l, uint32_t node) { return l->a == node ? l->b : l->a; }
static inline bw_time world_local(const struct world_node *n) { return clock_local(&n->clock, n->world->now); }
static inline bool world_shares(const struct world_node *n) { return n->node && internet_shares(node_internet(n->node)); }

// ---- inside ----
void world_hash(struct world *w, const void *p, size_t n);
void world_hash_number(struct world *w, uint64_t v);
void world_turn(struct world *w, struct world_node *n); // lets it work: after every input
void world_carry(struct world *w, uint32_t from, uint32_t link, const uint8_t *p, size_t n);
struct bw_addr world_wire_addr(uint32_t node, uint32_t link, bool far);
struct node_out machine_out(struct world_node *n);
void machine_receive(struct world *w, struct world_node *n, const struct event *e);
void machine_http(struct world *w, struct world_node *n, const struct event *e); // EVENT_HTTP_REQUEST
void machine_answered(struct world *w, struct world_node *n, const struct event *e); // EVENT_HTTP_REPLY
void machine_retire(struct world *w, struct fwd_snapshot *s);
struct fwd *machine_path(struct world_node *n); // NULL: no memory
void world_seed_of(uint64_t seed, const char *what, uint64_t index, uint8_t out[32]);

#endif
