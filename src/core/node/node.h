// A node: links, discovery, routing, exits and the control side of the packet path, composed. Pure: bytes and time come in
// by call, what should happen goes out through struct node_out, the next thing to do is node_deadline(). The daemon drives
// it with sockets and a clock, the simulator with a world of its own; both link this very object code.
//
// One thread calls everything here. The packet path proper (fwd_from_wire, fwd_from_tun) may run on other threads: the node
// hands it immutable snapshots through out.publish and takes what those threads punt by node_punt().
//
// Order: node_new, then node_local, node_uplink, node_iface_add, node_peer_add, node_share, node_use; then node_punt as
// datagrams come, node_tick whenever node_deadline() is reached and after every input. At the end node_stop, ticks until
// node_stopped(), node_free.
#ifndef CORE_NODE_NODE_H
#define CORE_NODE_NODE_H

#include "base/log.h"
#include "core/exit/internet.h"
#include "core/link/link.h"

struct node;

enum node_number { NODE_TAI_HIGH, NODE_SEQNO, NODE_SESSION_TAI }; // reservations that a restart must know

// What should happen. Callbacks are made while the node is at work and must not call back into it; bytes are valid during
// the call only. Any may be NULL but send, to_link and publish.
struct node_out {
    void *ctx;
    // One datagram on the underlay from our port; ifindex 0: as the routing table says.
    void (*send)(void *ctx, const struct bw_endpoint *to, uint32_t ifindex, const uint8_t *p, size_t n);
    // An inner IP packet over a link: fwd_to_link over the snapshot that was published last.
    void (*to_link)(void *ctx, uint16_t slot, const uint8_t *packet, size_t n);
    void (*publish)(void *ctx, struct fwd_snapshot *s);                 // the receiver's from now on
    int (*persist)(void *ctx, enum node_number what, uint64_t value);   // on disk when it returns 0
    // The machine's set-up follows internet_client_plan, internet_share_plan and node_believed: look at them again.
    void (*setup_changed)(void *ctx);
    void (*probe)(void *ctx, unsigned family, uint32_t serial, uint32_t timeout_ms); // answered by node_probe_done
    void (*http)(void *ctx, uint32_t serial, const struct exitc_http *r);            // answered by node_http_done
    void (*save_lease)(void *ctx, const struct exits_saved *l);
    void (*drop_lease)(void *ctx, const uint8_t key[32]);
    void (*note_month)(void *ctx, const struct exits_month *v, unsigned n); // struct exits_ops: note, recall, log, uplink_bytes
    bool (*recall_month)(void *ctx, struct exits_month *v);
    void (*log_lease)(void *ctx, const struct exits_logged *e);
    bool (*uplink_bytes)(void *ctx, uint64_t *down, uint64_t *up);
    void (*resolve)(void *ctx, const uint8_t key[32]); // a listed peer is silent: look its configured name up again
    void (*keylog)(void *ctx, const char *line);       // tests only; NULL: no key log
    void (*to_tun)(void *ctx, const uint8_t *packet, size_t n); // an IP packet for this machine
    // Public keys of mesh addresses, proven and kept for good. find: whether it is known.
    bool (*find_key)(void *ctx, const struct bw_addr *addr, uint8_t key[32]);
    void (*keep_key)(void *ctx, const struct bw_addr *addr, const uint8_t key[32]);
    void (*event)(void *ctx, const char *type, const char *json); // for `byway monitor`; json: an object
};

struct node_config {
    const struct identity *id; // outlives the node
    char name[VIEW_NAME];
    uint16_t port;
    unsigned threads;          // 1 + packet workers
    enum link_policy policy;
    bool public_;
    uint8_t secret[32];        // LINK_POLICY_SECRET: PSK of the network
    bool transit;
    const struct bw_prefix *exports, *imports, *denied; // copied
    unsigned export_count, import_count, denied_count;
    uint32_t table_cap;        // destinations kept at most; 0: the default
    uint64_t tai_high;         // stored NODE_TAI_HIGH, 0 if none
    uint16_t seqno;            // stored NODE_SEQNO
    uint64_t session_tai;      // stored NODE_SESSION_TAI, 0 if none
    bool aes;                  // this machine has AES instructions: bw_aes_fast()
    bool clean_start;          // the first start with this identity ever, or the last stop was node_stopped_clean()
    uint64_t epoch;            // one more at each start with this identity
    bool probe_none, probe4, probe6; // internet.probe: none; has targets in the family
    struct limit_config limits;
    struct bw_addr targets[EXITC_TARGETS]; // what answers pings from the Internet, asked through tunnels; zero: none
};

// The stored numbers are lost, the key is not (a damaged store, a key from a backup). Others remember stamps of up to an hour
// ahead for each start of the earlier life, and may hold routes through it: begins a day ahead, with another epoch, not clean.
void node_numbers_lost(struct node_config *c, uint64_t unix_ns);
// mem, rng, log outlive it; config and out are copied. NULL: no memory.
struct node *node_new(struct bw_mem *mem, struct bw_rng *rng, const struct bw_log *log, const struct node_config *c,
                      const struct node_out *out, bw_time now, uint64_t unix_ns);
void node_free(struct node *n); // after the packet path has stopped using the last snapshot

// ---- inputs ----
void node_iface_add(struct node *n, uint32_t ifindex, const char *name, bw_time now); // a discovery interface (again: cable in)
void node_iface_remove(struct node *n, uint32_t ifindex, bw_time now);
// The machine's own prefixes, outside the TUN (connected and static routes); whether it has default routes outside the TUN.
void node_local(struct node *n, const struct bw_prefix *p, unsigned count, bw_time now);
// The networks of the machine's own addresses: who sends from there, by that interface, is a neighbour on the wire.
struct node_onlink {
    struct bw_prefix prefix;
    uint32_t ifindex;
};
#define NODE_ONLINK_MAX 64
void node_onlink(struct node *n, const struct node_onlink *v, unsigned count); // what is more than NODE_ONLINK_MAX is left out
void node_uplink(struct node *n, bool default4, bool default6, bw_time now);
void node_punt(struct node *n, const struct fwd_punt *p, bw_time now, uint64_t unix_ns); // every kind
void node_probe_done(struct node *n, unsigned family, uint32_t serial, bool ok, uint32_t rtt_us, bw_time now);
void node_http_done(struct node *n, uint32_t serial, int status, const char *body, size_t len, bw_time now); // status 0: no answer
int node_peer_add(struct node *n, const struct link_peer *p, bw_time now) BW_NODISCARD;  // as linkset_add_peer
int node_peer_remove(struct node *n, const uint8_t key[32], bw_time now) BW_NODISCARD;
void node_share(struct node *n, bool wanted, bw_time now);
void node_use(struct node *n, enum exitc_use use, const struct bw_addr *pinned, bool killswitch, bw_time now);
bool node_restore_lease(struct node *n, const struct exits_saved *l, bw_time now); // before node_share
void node_set_policy(struct node *n, enum link_policy policy, bool public_, const uint8_t secret[32], bw_time now);
void node_set_routing(struct node *n, const struct node_config *c, bw_time now); // transit, exports, imports, denied
void node_set_name(struct node *n, const char *name);
void node_set_limits(struct node *n, const struct limit_config *c, bw_time now);
void node_set_exit_rules(struct node *n, const struct exitc_rules *r, bw_time now);
void node_tick(struct node *n, bw_time now, uint64_t unix_ns);
bw_time node_deadline(const struct node *n);
// Leaves in good order: routes are retracted, leases given back; goes on forwarding meanwhile.
void node_stop(struct node *n, bw_time now);
bool node_stopped(const struct node *n, bw_time now);
bool node_stopped_clean(const struct node *n); // every neighbour knows: remember it, see node_config.clean_start

// ---- what is so ----
struct linkset *node_links(struct node *n);
const struct internet *node_internet(const struct node *n);
// Believed prefixes outside fc00::/8: the kernel must send packets for them into the TUN. Valid until the next input.
const struct bw_prefix *node_believed(const struct node *n, unsigned *count);
bool node_has_stock_internet(const struct node *n); // some link's peer has `internet = yes`
// GET /v1/exit, POST /v1/lease (internet_request).
int node_request(struct node *n, const struct bw_addr *caller, const char *method, const char *path, const char *body, size_t len,
                 char *out, size_t cap, size_t *out_len, bw_time now);

// ---- views ----
void node_view_status(struct node *n, struct view_status *v, bw_time now); // problems that the node itself can see included
void node_view_peers(struct node *n, view_peer_fn *fn, void *ctx, bw_time now);
void node_view_routes(struct node *n, view_route_fn *fn, void *ctx);
void node_view_sessions(struct node *n, view_session_fn *fn, void *ctx, bw_time now);
void node_view_exits(struct node *n, view_exit_fn *fn, void *ctx, bw_time now);
void node_view_counters(struct node *n, view_counter_fn *fn, void *ctx);
// The end-to-end session with a mesh address; its state is "none" if there is none.
void node_view_session(struct node *n, const struct bw_addr *a, struct view_session *out, bw_time now);
// The name that a mesh address goes by: its configuration's, or what it told us of itself; "" if unknown.
const char *node_name_of(struct node *n, const struct bw_addr *a);

#endif
