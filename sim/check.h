// What must hold at every instant of every run, whatever happens to the mesh:
//   told         what a node says to a neighbour of its ways, its own packets already follow; at rest its packets follow all
//                that its Babel has selected, and nothing else (small worlds)
//   held         what is lost is unreachable, and not just unknown, as long as a neighbour may send to it (RFC 8966 section 3.5.4)
//   loop         no forwarding loop: the FIBs of all nodes are walked per destination whenever one changes. Towards fc00::e, which
//                many nodes originate, RFC 8966 section 2.8 allows a loop to exist for a moment: it must be gone in time.
//   feasibility  a selected route is feasible, and the next hop's feasibility distance is no worse than what it announced
//                (RFC 8966 section 3.5.1); computed here, not asked of the node
//   dead         no route leads over a wire or to a node that has been dead for longer than the hold time
//   leftover     no state about a node that has been dead for longer than state lives
//   budget       control traffic of a wire in a window of 10 s
//   memory       bytes that a node holds; nothing is kept when it is freed
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include "sim/world.h"

enum violation { VIOLATION_NONE, VIOLATION_LOOP, VIOLATION_FEASIBILITY, VIOLATION_DEAD, VIOLATION_LEFTOVER, VIOLATION_BUDGET,
                 VIOLATION_MEMORY, VIOLATION_EXPECTATION, VIOLATION_PACKET,
                 VIOLATION_TOLD, VIOLATION_HELD };
const char *violation_name(enum violation v); // "loop", ...

#define NO_HOP UINT16_MAX
#define HELD_HOP (UINT16_MAX - 1) // unreachable, and said so

struct check {
    struct world *w;
    uint32_t n;          // nodes; destination n is fc00::e
    bool deep;           // feasibility too, and all ways of all nodes (small worlds)
    uint16_t *next;      // [node * (n + 1) + destination]: the next hop's number
    uint16_t *row;       // one row, being built
    struct slot {
        struct bw_addr addr;
        uint32_t dest; // plus one; 0: empty
    } *index;
    uint32_t mask;
    uint64_t *window;    // per wire: bytes at the begin of the window
    bw_time window_at;
    bw_time *poor;       // per wire: when it last was a poor one; 0: never
    uint64_t spare;      // bytes that traffic may have put on any wire in this window
    bool cut_off;        // a walk has ended at a cut wire that its node could not be told of: it may lead into a loop when that heals
    bw_time any_loop_since; // fc00::e; 0: none
    enum violation first;   // the first thing that was wrong ...
    char what[240];
    bw_time when;
    uint64_t changes;        // work done
    uint64_t have;           // pairs of running nodes that have a next hop for each other, fc00::e not counted
    uint64_t most_bytes;     // in a window on one wire
    size_t most_memory;      // of one node
};

struct check *check_new(struct world *w, bool deep); // after the wires are there. NULL: no memory
void check_free(struct check *c);
// Its table has changed: from the world's hook. Of a large world's node only what differs from the snapshot before is looked at.
void check_routes(struct check *c, uint32_t node, const struct fwd_snapshot *before);
// Its Babel says this to a neighbour, an IPv6 packet: from the world's hook.
void check_said(struct check *c, uint32_t node, const uint8_t *packet, size_t n);
void check_wires(struct check *c);  // wires have healed
void check_second(struct check *c); // what is looked at from time to time: call about once a simulated second
void check_fail(struct check *c, enum violation v, const char *fmt, ...) BW_PRINTF(3, 4);
uint32_t check_dest(const struct check *c, const struct bw_addr *a); // its number, UINT32_MAX: none of the world's
static inline uint16_t check_next(const struct check *c, uint32_t node, uint32_t dest) { return c->next[(size_t)node * (c->n + 1) + dest]; }

#endif
