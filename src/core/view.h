// Read-only views of a node, as plain structs: what the API turns into JSON (INTERFACES, "JSON"). Filled by core/node on the
// control thread; strings are NUL-terminated and owned by the struct. Times in microseconds unless the name says otherwise.
#ifndef CORE_VIEW_H
#define CORE_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/text.h"

#define VIEW_NAME 64
#define VIEW_LINK 80

enum view_exit_state { VIEW_EXIT_NONE, VIEW_EXIT_OWN, VIEW_EXIT_SEARCHING, VIEW_EXIT_JOINING, VIEW_EXIT_ACTIVE, VIEW_EXIT_LOST };
enum view_share_state { VIEW_SHARE_OFF, VIEW_SHARE_PROBING, VIEW_SHARE_ON, VIEW_SHARE_DOWN };
// "none" (use = none), "own" (own connection works), "searching", "joining", "active", "lost"
const char *view_exit_state_name(enum view_exit_state s);
// "off", "probing", "on", "down" (wanted, but the uplink does not answer)
const char *view_share_state_name(enum view_share_state s);

struct view_problem {
    char code[32];  // stable, e.g. "no-neighbours"
    char text[160]; // what is wrong
    char hint[200]; // what to do
};

struct view_status {
    char name[VIEW_NAME];
    struct bw_addr address;
    uint8_t key[32];
    uint64_t uptime_s;
    uint32_t peers, routes; // links that are up and not silent; selected routes
    enum view_exit_state exit_state;
    struct bw_addr exit_address; // zero if none
    char exit_via[VIEW_LINK];    // name of the neighbour or link that it goes through, "" if none
    uint64_t exit_since_s;       // seconds in this state
    enum view_share_state share_state;
    uint32_t share_clients;
    uint64_t rx_bytes, tx_bytes;
    struct view_problem problems[16];
    uint32_t problem_count;
};

// Nothing happens if there are too many already.
void view_add_problem(struct view_status *v, const char *code, const char *text, const char *hint);

struct view_peer {
    char name[VIEW_NAME]; // from its configuration section or its peer-info, "" if unknown
    uint8_t key[32];
    bool stock; // not a byway node: has no mesh address
    struct bw_addr address;
    char link[VIEW_LINK]; // interface name, or "peer NAME" for a configured endpoint; "" while there is none
    struct bw_endpoint endpoint;
    // "up", "silent" (has keys, but nothing comes back), "connecting", "idle", "waiting" (listed without an endpoint: it must come)
    char state[16];
    int64_t rtt_us;      // -1: not measured
    uint32_t cost;       // Babel cost; 65535: unusable
    uint64_t rx_bytes, tx_bytes;
    int64_t last_handshake_s; // seconds ago; -1: never
    char source[16];          // "discovered", "config", "command", "incoming"
};

struct view_route {
    struct bw_prefix prefix;
    uint8_t router_id[8];
    uint32_t metric; // 65535: retracted
    struct bw_addr next_hop;
    char link[VIEW_LINK];
    bool selected;
    uint16_t seqno;
};

struct view_session {
    struct bw_addr address;
    char state[16];
    char cipher[24];
    int64_t age_s; // seconds that it has had keys without a break; -1: it has none
    int64_t rtt_us;
    uint64_t rx_bytes, tx_bytes;
};

struct view_exit {
    struct bw_addr address;
    char name[VIEW_NAME];
    uint32_t metric;
    int64_t rtt_us;
    char state[16]; // "active", "available", "standby", "failed"
    char via[VIEW_LINK];  // name of the neighbour or link that it is reached by, "" if none
    int loss_percent;     // of the latest heartbeats; -1: no tunnel to it
    bool v4, v6;
    uint64_t price; // 0 until the market exists
};

// Receivers of lists: called once per entry, in a stable order.
typedef void view_peer_fn(void *ctx, const struct view_peer *p);
typedef void view_route_fn(void *ctx, const struct view_route *r);
typedef void view_session_fn(void *ctx, const struct view_session *s);
typedef void view_exit_fn(void *ctx, const struct view_exit *e);

// One counter for /metrics and `wg`-like totals, e.g. {"byway_drops_total", "reason", "no_route", 17}.
struct view_counter {
    const char *name, *label, *label_value;
    uint64_t value;
};
typedef void view_counter_fn(void *ctx, const struct view_counter *c);

#endif
