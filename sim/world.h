// A simulated world: nodes made of the shipped core, wires between them, one clock. Virtual time, entropy from the seed, one
// thread: a run is a pure function of what was asked for. Nodes run the real packet path too.
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "core/node/node.h"
#include "sim/events.h"

struct world_link {
    uint32_t a, b;        // nodes
    uint32_t delay_us, jitter_us;
    uint32_t loss_ppm;    // each way
    uint32_t dup_ppm;     // delivered twice
    bool cut[2];          // a->b, b->a: silently lost
    uint64_t packets, bytes; // offered, both ways
};

// A node's machine: what survives its crashes, and what the world knows of it.
struct world_node {
    struct world *world;
    uint32_t index, life;     // life: counted up at each start; 0 = never started
    struct identity id;
    struct bw_mem mem;
    struct bw_rng rng;
    struct node *node;        // NULL: not running
    struct fwd_snapshot *snapshot;
    uint64_t numbers[2];      // NODE_TAI_HIGH, NODE_SEQNO as persisted
    uint64_t epoch;
    bool started_before, clean;
    bool share, uplink;       // shares Internet; its uplink works
    bw_time wake;             // its next deadline
    uint32_t heap_at;         // place in world.wakes
    uint64_t delivered, forwarded_errors;
};

struct world {
    struct bw_rng rng;
    bw_time now;
    uint64_t unix_ns; // at now == 0
    struct world_node *nodes;
    uint32_t node_count;
    struct world_link *links;
    uint32_t link_count;
    struct events events;
    uint32_t *wakes; // heap of node indexes by wake
    struct fwd *fwd; // one packet path serves all: it keeps nothing between calls that matters
    void *fwd_memory;
    struct fwd_snapshot *retired[64];
    unsigned retired_count;
    uint32_t current;         // node whose packet path runs
    void *ctx;                // of the hooks below; each may be NULL
    void (*on_tun)(void *ctx, uint32_t node, const uint8_t *packet, size_t n); // an IP packet for that node's machine
    void (*on_routes)(void *ctx, uint32_t node);                               // it published a snapshot
    void (*on_log)(void *ctx, uint32_t node, enum bw_level level, const char *text);
    struct bw_log log;
};

// node_count machines, no wires, nothing running. NULL: no memory.
struct world *world_new(uint64_t seed, uint32_t node_count);
void world_free(struct world *w);
int world_link(struct world *w, uint32_t a, uint32_t b, uint32_t delay_us) BW_NODISCARD; // the link's number
void world_start(struct world *w, uint32_t node);
void world_crash(struct world *w, uint32_t node);                  // without a word
void world_stop(struct world *w, uint32_t node);                   // in good order; ends by itself within 2 s
void world_forget(struct world *w, uint32_t node);                 // its stored state is lost (identity stays)
void world_run(struct world *w, bw_time until);
void world_uplink(struct world *w, uint32_t node, bool works);
// An IP packet from that node's machine into its TUN.
void world_inject(struct world *w, uint32_t node, const uint8_t *packet, size_t n);
// Follows the snapshots from node to dst: the number of hops, or BW_ERR_NOTFOUND (no route), BW_ERR_REPLAY (a loop).
int world_trace(const struct world *w, uint32_t from, const struct bw_addr *dst, uint32_t *last);

#endif
