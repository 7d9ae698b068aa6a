// A scenario: a mesh, what happens to it and when, and what is expected of it. Read from text (docs/spec/scenario.md), drawn
// by the random tester, written back as text.
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include <stdio.h>

#include "sim/world.h"

#define SCENARIO_ALL UINT32_MAX // where a node is meant: every one; where a wire's end is meant: every wire
#define SCENARIO_NODES_MAX 60000

enum verb { // what happens
    DO_CRASH, DO_START, DO_STOP, DO_FORGET,
    DO_CUT, DO_HEAL, DO_PARTITION, DO_UNITE, DO_WIRE,
    DO_RATE, DO_JUMP, DO_WALL, DO_MEMORY,
    DO_UPLINK, DO_TRAFFIC, DO_CALM, DO_REPORT, DO_EXPECT,
};

enum condition {
    IS_REACH,     // every running node reaches every other that the wires allow; or a reaches b
    IS_LOST,      // a has no route to b
    IS_VIA,       // a's next hop towards b is c
    IS_SHORTEST,  // every route is as short as Dijkstra's, within hysteresis
    IS_LINKS,     // every wire that is whole carries a link, its cost is what the wire is worth
    IS_EXIT,      // a uses the exit b; b SCENARIO_ALL: some exit. a SCENARIO_ALL: every node that shares nothing
    IS_OFFLINE,   // a uses none
    IS_TIDY,      // no table holds anything that is gone
    IS_SETTLED,   // links, reach, shortest and (if there are exits) exit, together
    IS_DELIVERED, // of the packets from a to b this share has arrived (number: permille)
    IS_ROUTES,    // a's table has between number and number2 destinations
};

enum wire_word { WIRE_DELAY = 1, WIRE_JITTER = 2, WIRE_LOSS = 4, WIRE_DUP = 8, WIRE_REORDER = 16, WIRE_RATE = 32, WIRE_QUEUE = 64, WIRE_MTU = 128 };

struct statement {
    unsigned line;     // of the text, 0: none
    bw_time at;        // since the start
    bw_time within;    // DO_EXPECT: it has this long to come true
    enum verb verb;
    enum condition is; // DO_EXPECT
    uint32_t a, b, c;
    bool one_way;      // DO_CUT, DO_HEAL: a to b only
    bool bad;          // DO_UPLINK: down
    struct wire wire;  // DO_WIRE: the words in `words` count
    unsigned words;
    int64_t number, number2; // of a clock, allocator, interval, condition
    uint32_t *set, set_count; // DO_PARTITION: who is on this side
};

enum graph { GRAPH_NONE, GRAPH_LINE, GRAPH_RING, GRAPH_STAR, GRAPH_GRID, GRAPH_GEOMETRIC, GRAPH_SCALE_FREE, GRAPH_COMMUNITIES };

struct scenario_link {
    uint32_t a, b;
    bool far;
    struct wire wire;
};

struct scenario {
    uint64_t seed;
    bool has_seed;
    uint32_t nodes, cap;
    struct scenario_link *links;
    uint32_t link_count, link_room;
    uint32_t *exits;
    uint32_t exit_count;
    struct statement *v;
    uint32_t count, room;
    bw_time end; // since the start
};

#define SCENARIO_ERROR 200
// Text of a scenario. seed counts where the text has none: generators draw from it. On BW_ERR_MALFORMED and BW_ERR_RANGE
// error holds "LINE:COLUMN: what"; nothing is held then.
int scenario_parse(struct scenario *s, const char *text, uint64_t seed, char error[SCENARIO_ERROR]) BW_NODISCARD;
void scenario_write(const struct scenario *s, FILE *to);
void scenario_write_statement(const struct statement *t, FILE *to); // one line, with its time
int scenario_copy(struct scenario *to, const struct scenario *from) BW_NODISCARD;
void scenario_free(struct scenario *s);
int scenario_add(struct scenario *s, const struct statement *t) BW_NODISCARD; // takes t->set over
int scenario_add_link(struct scenario *s, uint32_t a, uint32_t b, bool far, const struct wire *k) BW_NODISCARD;
int scenario_add_exit(struct scenario *s, uint32_t node) BW_NODISCARD;

// ---- topology.c ----
struct graph_spec {
    enum graph kind;
    uint32_t n, width;        // GRID: width of n nodes
    uint32_t degree;          // GEOMETRIC: mean
    uint32_t joins;           // SCALE_FREE: wires of each new node
    uint32_t groups, gateways; // COMMUNITIES
};
// Adds the nodes and wires of a graph; wires are far where a node has more of them than it can have interfaces, and between
// communities. Always connected.
int topology_add(struct scenario *s, const struct graph_spec *g, const struct wire *k, uint64_t seed) BW_NODISCARD;

#endif
