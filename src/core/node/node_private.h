// Inside a node: shared by the files of core/node only.
#ifndef CORE_NODE_PRIVATE_H
#define CORE_NODE_PRIVATE_H

#include "core/babel/babel.h"
#include "core/discover/discover.h"
#include "core/export/exporters.h"
#include "core/fwd/fib.h"
#include "core/node/import.h"
#include "core/node/node.h"
#include "core/session/session.h"

// HTTP serials: below these they are core/exit's.
#define NODE_INFO_SERIAL 0x80000000u
#define NODE_EXPORT_SERIAL 0xc0000000u
#define NODE_PUBLISH_DELAY (2 * BW_MS) // changed routes are gathered this long before the packet path hears of them
#define NODE_AGAIN BW_S // what could not be set up for lack of memory is tried again after so long

struct neighbour {        // one per link slot
    bool up;              // it has keys, and Babel an interface for it
    bool default4, default6; // a stock peer with `internet = yes` that is offered our way to the Internet
    char name[VIEW_NAME]; // what it told us of itself, "" if nothing yet
    uint32_t info_serial; // request under way, 0: none
    unsigned info_tries;
    bw_time info_next;
};

struct prefix_list {
    struct bw_prefix *v;
    unsigned count, room;
};

struct node {
    struct bw_mem *mem;
    struct bw_rng *rng;
    const struct bw_log *log;
    struct node_out out;
    struct node_config config; // its pointers are not used; see the lists below
    struct linkset *links;
    struct discover *discover;
    struct babel *babel;
    struct internet *internet;
    struct sessions *sessions;
    struct exporters *exporters;
    struct neighbour *neighbours; // by slot
    unsigned slots;
    struct {
        uint32_t ifindex;
        char name[16];
    } ifaces[64]; // discovery interfaces
    unsigned iface_count;
    bw_time again_at;               // an interface or a link could not be set up for lack of memory: tried again then; BW_NEVER: none
    struct node_onlink onlink[NODE_ONLINK_MAX];
    unsigned onlink_count;
    struct prefix_list exports, imports, denied, local, blocked /* local and exports */, believed;
    bool announced_exit;            // Babel originates fc00::e
    bool uplink4, uplink6;          // default routes outside the TUN
    bool keys_changed, routes_changed, announce, setup_changed;
    bool believed_short; // some prefix is missing there for lack of memory
    bool exits_stale; // Babel's routes changed since core/exit and core/export were told
    bw_time export_due; // of core/export
    bw_time publish_at; // BW_NEVER: nothing to publish
    bw_time stale_since; // the packet path works with an old table for lack of memory; 0: no
    struct fib mesh; // what Babel has chosen and what is exported: snapshots share it
    bool mesh_stale; // ... and something is missing there: it is made anew before the next snapshot
    struct fwd_snapshot *spare; // that forwards nothing, for when it has been stale for too long
    bw_time started, now;
    uint64_t unix_ns;
    uint8_t hash_key[16];
    uint32_t info_serial;
    bool stopping;
    bw_time stop_at;
    bw_time twin_at; // when another machine with our key was last heard; 0: never
};

// base/list work on prefixes
bool prefix_list_set(struct node *n, struct prefix_list *l, const struct bw_prefix *p, unsigned count); // false: no memory
bool prefix_list_has(const struct prefix_list *l, const struct bw_prefix *p);
bool prefix_list_add(struct node *n, struct prefix_list *l, const struct bw_prefix *p);
bool prefix_list_remove(struct prefix_list *l, const struct bw_prefix *p);
void prefix_list_free(struct node *n, struct prefix_list *l);

// links.c: what the set of links and discovery tell
struct linkset_ops node_link_ops(struct node *n);
struct discover_ops node_discover_ops(struct node *n);
struct neighbour *node_neighbour(struct node *n, uint16_t slot); // NULL: no memory
const char *node_iface_name(const struct node *n, uint32_t ifindex);
void node_links_again(struct node *n);
void node_ask_names(struct node *n);
void node_info_done(struct node *n, uint32_t serial, int status, const char *body, size_t len);
bw_time node_ask_deadline(const struct node *n);

// routes.c: what Babel tells, and what we tell Babel
struct babel_ops node_babel_ops(struct node *n);
void node_announce(struct node *n); // originates and withdraws by what is shared and exported
void node_announce_defaults(struct node *n, struct neighbour *b, uint16_t slot, bool v4, bool v6);
void node_babel_rx(struct node *n, const struct fwd_punt *p);
uint32_t node_metric(void *ctx, const struct bw_addr *address, struct bw_addr *next_hop); // a book_metric_fn
bool node_believe_again(struct node *n); // the list of them fell short for lack of memory; false: it still does
void node_tell_routes(struct node *n); // hands core/exit and core/export what Babel says

// exports.c: networks behind nodes
bool node_make_exporters(struct node *n);
void node_tell_exports(struct node *n);
void node_export_tick(struct node *n);
void node_export_answered(struct node *n, uint32_t serial, int status, const char *body, size_t len);
int node_export_request(struct node *n, const char *method, char *out, size_t cap, size_t *out_len);

// sessions.c: end-to-end sessions
bool node_make_sessions(struct node *n, const struct node_config *c);
void node_session_punt(struct node *n, const struct fwd_punt *p);
void node_session_counters(struct node *n, view_counter_fn *fn, void *ctx);

// publish.c
void node_publish(struct node *n);
void node_mesh_route(struct node *n, const struct bw_prefix *p, const struct babel_selected *r); // Babel has chosen r for p

// node.c
void node_event(struct node *n, const char *type, const char *fmt, ...) BW_PRINTF(3, 4);

#endif
