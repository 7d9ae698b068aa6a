// Inside the daemon: shared by the glue files of src/daemon only. Everything is on the control thread.
//
//   daemon.c  start, stop, the order of both      glue.c    struct node_out: what the node wants done
//   net.c     interfaces, local prefixes, uplink  setup.c   addresses, routes, firewall, NAT, DNS follow the plans
//   serve.c   the API's sources and actions       pinger.c  ping and trace
//   peers.c   configured peers, name look-ups     reload.c  a changed configuration
//   ledger.c  clients' volumes, the log of leases, the uplink's counters
//   later.c   writes to the store that may wait
#ifndef DAEMON_PRIVATE_H
#define DAEMON_PRIVATE_H

#include <sys/queue.h>
#include <uv.h>

#include "api/api.h"
#include "api/client.h"
#include "api/uapi.h"
#include "core/node/node.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/guard.h"
#include "daemon/lan.h"
#include "daemon/netconf.h"
#include "daemon/share.h"
#include "daemon/worker.h"
#include "os/clock.h"
#include "os/dnsfwd.h"
#include "os/ifwatch.h"
#include "os/netlink.h"
#include "os/nft.h"
#include "os/nftwatch.h"
#include "os/probe.h"
#include "os/resolv.h"
#include "os/state.h"
#include "os/store.h"
#include "os/sysctl.h"
#include "os/timer.h"
#include "os/watch.h"
#include "os/why.h"

#define DAEMON_HTTP_MAX 24 // requests over the mesh at a time
#define DAEMON_PREFIXES 4096u // the machine's own networks: more are not looked at

struct mesh_request { // HTTP over the mesh, under way
    uint32_t serial;  // 0: free
    struct daemon *d;
};

struct problem { // something wrong that the daemon itself knows, for status
    bool on;
    struct view_problem view;
};
enum { PROBLEM_SETUP, PROBLEM_FIREWALL, PROBLEM_FOREIGN, PROBLEM_DNS, PROBLEM_STORE, PROBLEM_GUARD, PROBLEM_NAME, PROBLEM_LAN,
       PROBLEM_SHARE, PROBLEM_KEYLOG, PROBLEM_PREFIXES, PROBLEM_RESTART, PROBLEM_API, PROBLEMS };

struct chosen { // `byway exit use` holds until the file says something else than it did then
    bool on;
    enum config_use file_use;
    struct bw_addr file_address;
};

#define KEYS_STORED_MAX 16384 // some two megabytes

struct daemon {
    const struct run_options *opt;
    struct config config;
    struct { // what holds until the node ends, as it was at the start
        uint16_t port;
        struct config_tun tun;
        struct config_lan lan;
        struct config_internet internet;
    } fixed;
    struct chosen chosen;
    uv_loop_t loop;
    uv_signal_t signals[3];
    struct bw_log log;
    struct bw_mem mem;
    struct bw_rng rng;
    struct identity id;
    bool new_identity; // drawn at this start
    FILE *keylog;
    struct os_state state;
    int place; // this network namespace is ours (os_ns_claim), -1: not
    struct os_store *store;
    STAILQ_HEAD(, later_row) later; // what is to be written there
    unsigned later_count;
    struct os_timer *later_timer; // NULL: nothing waits
    unsigned keys_stored; // of mesh addresses, in the store
    struct os_nl *nl;
    struct os_nft *nft;
    struct os_nftwatch *nftwatch;
    struct os_resolv *resolv;
    struct os_ifwatch *ifwatch;
    struct os_udp udp[WORKERS_MAX];
    struct os_udp beacons; // on the discovery port, when links use another one
    bool beacons_open;
    struct os_watch *beacon_watch[2];
    unsigned udp_count, threads;
    struct os_tun tun;
    struct worker_pool *pool;
    struct os_watch *punts;
    struct os_timer *timer;   // node_deadline()
    struct os_timer *reaper;  // old snapshots
    struct os_timer *renet;   // interfaces or routes changed a moment ago
    struct os_timer *sweeper; // of the log of leases
    struct node *node;
    struct http_client *http;
    struct mesh_request requests[DAEMON_HTTP_MAX];
    struct api *api;
    struct uapi *uapi;
    struct share share;
    bool share_ready;
    struct guard guard;
    bool guard_ready;
    struct lan *lan;
    struct exitc_plan exit; // as the machine is set up for
    bool dns_in_use; // names are asked of the exit
    struct os_timer *names; // whether they still are
    struct os_sysctl *sysctl;
    struct netconf *netconf;
    struct os_dnsfwd *dns[2]; // for clients, at both gateways; NULL: none
    struct bw_addr dns_at[2];
    bool any_listening; // the mesh API answers at fc00::e
    bw_time setup_after; // the machine's set-up is not touched before
    bool setup_dirty, routes_lost, firewall_lost, stopping, ready_told, failed;
    struct bw_prefix *local; // the machine's own networks, sorted
    unsigned local_count;
    char uplink4[16], uplink6[16]; // interfaces of the default routes outside the TUN, "" if none
    struct problem problems[PROBLEMS];
    struct pinger *pingers;
    struct named *named; // peers by name
    struct os_timer *named_timer;
    unsigned lookups; // of names, under way
};

// daemon.c
void daemon_fail(struct daemon *d, const char *fmt, ...) BW_PRINTF(2, 3); // "byway: ..." on standard error
void daemon_end(struct daemon *d);  // in good order; the loop ends a moment later
void daemon_turn(struct daemon *d); // after every input: tick, set-up, next deadline
void daemon_problem(struct daemon *d, int which, bool on, const char *code, const char *text, const char *hint);

// glue.c
struct node_out glue_node_out(struct daemon *d);
void glue_count_keys(struct daemon *d); // once the store is open
void glue_punt(void *ctx, const struct fwd_punt *p);

// net.c
int net_open(struct daemon *d, char *why, size_t n) BW_NODISCARD;
void net_refresh(struct daemon *d); // local prefixes and default routes
int net_discovery(struct daemon *d) BW_NODISCARD; // [discover] interfaces changed
void net_close(struct daemon *d);

// setup.c
int setup_guard(struct daemon *d, char *why, size_t n) BW_NODISCARD; // may come first
int setup_open(struct daemon *d, char *why, size_t n) BW_NODISCARD; // leftovers of a killed run go, the firewall stands
void setup_apply(struct daemon *d);
void setup_upstreams(struct daemon *d); // the machine's resolvers may be others by now
void setup_close(struct daemon *d);

// peers.c
int peers_apply(struct daemon *d, const struct config *old); // old NULL: at start. Negative: no memory for one of them
void peers_resolve(struct daemon *d, const uint8_t key[32]);
void peers_complete(struct daemon *d, struct config_peer *p); // what it does not say stays as it is listed
int peers_add(struct daemon *d, const struct config_peer *p, enum link_source source, struct api_error *e);
void peers_forget(struct daemon *d, const uint8_t key[32]); // it was removed: its name is looked up no more
void peers_close(struct daemon *d);

// serve.c
int serve_open(struct daemon *d, char *why, size_t n) BW_NODISCARD;
void serve_close(struct daemon *d);

// pinger.c
int pinger_ping(void *ctx, const struct api_probe *p, struct api_reply *r, struct api_error *e);
int pinger_trace(void *ctx, const struct api_probe *p, struct api_reply *r, struct api_error *e);
void pinger_gone(void *ctx, struct api_reply *r);
void pinger_close(struct daemon *d);

// ledger.c: what clients used and who had which address, in the store; [internet]'s limits and rules as the node wants them
struct limit_config ledger_limits(const struct config_internet *c);
struct exitc_rules ledger_rules(const struct config_internet *c);
void ledger_targets(const struct config_internet *c, struct bw_addr out[EXITC_TARGETS]);
int ledger_open(struct daemon *d) BW_NODISCARD; // from now on what is too old is forgotten
void ledger_close(struct daemon *d);
void ledger_sweep(struct daemon *d); // the settings are others
void ledger_note(void *ctx, const struct exits_month *v, unsigned n);
bool ledger_recall(void *ctx, struct exits_month *v);
void ledger_log(void *ctx, const struct exits_logged *e);
bool ledger_uplink(void *ctx, uint64_t *down, uint64_t *up);

// later.c: writes to the store that may wait for half a second, and so are lost with a SIGKILL in it
int later_open(struct daemon *d) BW_NODISCARD;
void later_write(struct daemon *d, const char *table, const void *key, size_t key_n, const void *p, size_t n); // p NULL: deletes it
ssize_t later_read(struct daemon *d, const char *table, const void *key, size_t key_n, void *out, size_t cap) BW_NODISCARD; // as os_store_get
void later_flush(struct daemon *d); // now
void later_close(struct daemon *d); // from now on each is written at once

// reload.c
int reload_file(struct daemon *d, struct api_error *e);
void reload_remember(struct daemon *d); // at the start: what a reload cannot change
void reload_share(struct daemon *d);    // whether to share, as far as the default routes allow it
void reload_internet(struct daemon *d); // hands [internet] to the node

#endif
