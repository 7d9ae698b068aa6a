// Everything about the Internet in one object, for core/node: the uplink's proof, the book of exits, the exit's server and the
// client. The node feeds it events and asks it what the packet path and the machine should look like.
//
// Call order
//   internet_new, internet_restore_lease for each stored lease, internet_share, internet_use, internet_local,
//   internet_uplink; then internet_tick whenever internet_deadline() is reached and after any input.
//   When ops.changed is called (from inside a tick or an input, possibly more than once): rebuild the snapshot with
//   internet_tunnels/_routes/_gateways, originate or withdraw fc00::e by internet_shares(), and hand internet_share_plan to
//   daemon/share.h and internet_client_plan to daemon/netconf.h. Do this after the call that caused it has returned.
//   At the end: internet_leave, let the requests go out, internet_free.
#ifndef CORE_EXIT_INTERNET_H
#define CORE_EXIT_INTERNET_H

#include "core/exit/client.h"
#include "core/exit/server.h"
#include "core/exit/uplink.h"

struct internet_config {
    const struct identity *id; // must outlive it
    const char *name;
    bool probe_none;           // internet.probe = none
    bool probe4, probe6;       // the probe has targets in that family
    struct exits_config exits; // id and name are filled in from above
    struct bw_addr targets[EXITC_TARGETS]; // answer pings from the Internet: asked through tunnels now and then. Zero: none
};

struct internet_ops {
    void *ctx;
    void (*changed)(void *ctx);
    void (*probe)(void *ctx, unsigned family, uint32_t serial, uint32_t timeout_ms); // UPLINK_V4/V6; outside the tunnel (mark 0x4870)
    void (*http)(void *ctx, uint32_t serial, const struct exitc_http *r);
    void (*send)(void *ctx, const struct bw_addr *peer, const uint8_t *packet, size_t n); // in the tunnel to peer
    void (*tell)(void *ctx, enum view_exit_state state, const struct bw_addr *exit, const char *why);
    void (*save_lease)(void *ctx, const struct exits_saved *l);
    void (*drop_lease)(void *ctx, const uint8_t key[32]);
    // May be NULL: see struct exits_ops.
    void (*note)(void *ctx, const struct exits_month *v, unsigned n);
    bool (*recall)(void *ctx, struct exits_month *v);
    void (*log)(void *ctx, const struct exits_logged *e);
    bool (*uplink_bytes)(void *ctx, uint64_t *down, uint64_t *up);
    book_metric_fn *metric; // reads Babel's route to a mesh address; may be called at any time, so it must only read
};

struct internet; // allocated from mem
struct internet *internet_new(struct bw_mem *mem, struct bw_rng *rng, const struct internet_config *c,
                              const struct internet_ops *ops, bw_time now);
void internet_free(struct internet *i);
void internet_leave(struct internet *i, bw_time now); // gives leases back

// ---- inputs ----
void internet_share(struct internet *i, bool wanted, bw_time now);
void internet_use(struct internet *i, enum exitc_use use, const struct bw_addr *pinned, bw_time now);
void internet_killswitch(struct internet *i, bool on, bw_time now); // own connection is never used: auto means always
void internet_limits(struct internet *i, uint64_t price, const struct limit_config *c, bw_time now);
void internet_rules(struct internet *i, const struct exitc_rules *r, bw_time now); // which exits, in which order
void internet_uplink(struct internet *i, bool default4, bool default6, bw_time now); // default routes outside the TUN
void internet_local(struct internet *i, const struct bw_prefix *p, unsigned count, bw_time now); // local routes outside the TUN
void internet_wall(struct internet *i, uint64_t unix_s, bw_time now);
bool internet_restore_lease(struct internet *i, const struct exits_saved *l, bw_time now);
void internet_probe_done(struct internet *i, unsigned family, uint32_t serial, bool ok, uint32_t rtt_us, bw_time now);
void internet_http_done(struct internet *i, uint32_t serial, int status, const char *body, size_t n, bw_time now);
// The selected route to fc00::e (router_id NULL: none), and any route heard for fc00::e of another exit: its mesh address is
// the /128 in the route table whose last 8 bytes are that router-id. Call when Babel's routes changed.
void internet_any(struct internet *i, const uint8_t router_id[8], bw_time now);
void internet_heard(struct internet *i, const struct bw_addr *exit, bw_time now);
void internet_name(struct internet *i, const char *name); // of this node, in its offers; copied
void internet_routes_changed(struct internet *i, bw_time now); // some selected route changed: ops.metric is asked again
// FWD_PUNT_GATEWAY and FWD_PUNT_TUNNEL_ECHO. Answers go out through ops.send.
void internet_punt(struct internet *i, const struct fwd_punt *p, bw_time now);
// GET /v1/exit and POST /v1/lease over the mesh. Returns the HTTP status; the body is in out (cap >= OFFER_ANSWER_MAX).
int internet_request(struct internet *i, const struct bw_addr *caller, const char *method, const char *path, const char *body,
                     size_t len, char *out, size_t cap, size_t *n, bw_time now);
void internet_tick(struct internet *i, bw_time now);
bw_time internet_deadline(const struct internet *i);

// ---- outputs ----
bool internet_shares(const struct internet *i);  // originate fc00::e, fwd_config.sharing
// For fwd_config: where clients' heartbeats go. Not zero also while not sharing, so that clients are told at once. Zero: none.
void internet_gateways(const struct internet *i, struct bw_addr *v4, struct bw_addr *v6);
void internet_pools(const struct internet *i, struct bw_prefix *v4, struct bw_prefix *v6); // what is leased; length 0: nothing
// Clients and own exits, for fwd_config.tunnels. Returns how many there are; fills at most max. No references are taken.
unsigned internet_tunnels(const struct internet *i, struct fwd_tunnel *out, unsigned max);
// For fwd_config.tun: default routes to the active exit, inner addresses to clients.
unsigned internet_tun_routes(const struct internet *i, struct fwd_route *out, unsigned max);
const struct exits_plan *internet_share_plan(const struct internet *i);
void internet_client_plan(const struct internet *i, struct exitc_plan *out);

// ---- views ----
void internet_view_status(const struct internet *i, struct view_status *v, bw_time now); // the exit_* and share_* fields, and problems
void internet_view_exits(const struct internet *i, view_exit_fn *each, void *ctx, bw_time now);
void internet_view_counters(const struct internet *i, view_counter_fn *each, void *ctx);

#endif
