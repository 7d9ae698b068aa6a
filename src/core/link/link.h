// All links of one node: the WireGuard protocol (paper "WireGuard: Next Generation Kernel Network Tunnel", revision
// 2020-06) as a pure state machine. docs/spec/link.md says what goes over the wire and why.
//
// A link is one WireGuard session, of one of two kinds:
//   on-link  (neighbour's key, local interface): the neighbour is reached by its IPv6 link-local address on that
//            interface. Bound to it: never roams to another one and vanishes with it. One per key and interface.
//   far      (neighbour's key): reached by any other address, configured or learned from what came in. It roams as
//            WireGuard does. At most one per key. A stock peer (a key that has no mesh address, or that
//            linkset_set_stock told) has this one link and no other, whatever address it comes from.
// A datagram from a link-local IPv6 address belongs to an on-link link, any other to a far one; both ends see it alike.
//
// Links are named by their slot: a small number, the lowest free one when the link is made, fixed while it lives (the
// neighbour's port number). A slot is used again after LINK_GONE.
//
// Everything here runs on one thread. Only struct keypair and struct link_shared (keypair.h) are touched by other
// threads; they are reference counted: whoever keeps one beyond a call takes a reference and drops it on this same
// thread. Times are bw_time and never run backwards; unix_ns is the wall clock in nanoseconds since 1970, which may do
// as it likes.
#ifndef CORE_LINK_LINK_H
#define CORE_LINK_LINK_H

#include "base/addr.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "core/identity.h"
#include "core/link/keypair.h"

#define LINK_NAME 64
#define LINK_SLOTS_MAX 4096 // hard limit of linkset_config.max_links
#define LINK_SLOT_NONE UINT16_MAX
#define LINK_LINKS_DEFAULT 1024
#define LINK_HALF_OPEN_MAX 64   // links of unlisted keys whose handshake nobody has confirmed yet; the oldest gives way
#define LINK_UNPROVEN_MAX 128   // links to unlisted keys of beacons that have not shaken hands yet; the oldest gives way
#define LINK_FOUND_PER_S 20     // such links made a second ...
#define LINK_FOUND_BURST 64     // ... after as many at once
#define LINK_STRANGERS_PER_S 20 // under load: cookies a second for unknown senders on the own wires, all together
#define LINK_RX_KEYS 3          // keypairs per link that may receive: current, next, previous

enum link_policy {
    LINK_POLICY_OPEN,   // any key on a discovery interface; from elsewhere with `public_` only
    // the same, but all unlisted keys (and listed ones without a PSK of their own) use the network's PSK
    LINK_POLICY_SECRET,
    LINK_POLICY_CLOSED, // listed keys only
};

enum link_source { LINK_DISCOVERED, LINK_CONFIG, LINK_COMMAND, LINK_INCOMING };
const char *link_source_name(enum link_source s); // "discovered", "config", "command", "incoming"

enum link_state {
    LINK_IDLE,       // no keys, and nothing is done about it
    LINK_CONNECTING, // no keys, handshake under way
    LINK_UP,         // keys that may send
};
const char *link_state_name(enum link_state s); // "idle", "connecting", "up"

// What changed() tells; several bits may come together.
enum link_change {
    // linkset_keys gives other keypairs: publish a new snapshot, at the latest when the current call into the linkset
    // returns (it is told before the handshake message is sent).
    LINK_CHANGED_KEYS = 1,
    LINK_CHANGED_ENDPOINT = 2, // likewise for the endpoint or the interface
    LINK_CHANGED_UP = 4,       // keys that may send are there; there were none before
    LINK_CHANGED_DOWN = 8,     // they ran out, were refused for REKEY_ATTEMPT_TIME, or are gone
    // no answer for 15 s: a good moment to look the configured name up again (linkset_add_peer)
    LINK_CHANGED_SILENT = 16,
    LINK_CHANGED_GONE = 32,    // about to be freed: linkset_info still works during this call, linkset_keys gives none
    LINK_CHANGED_INFO = 64,    // name, source, flags or kind
};

enum link_drop { // why a datagram or a request was dropped: one counter each
    LINK_DROP_MALFORMED, // not a message of type 1-3, or of a wrong length
    LINK_DROP_MAC1,
    LINK_DROP_COOKIE,    // under load, no valid mac2: a cookie was sent instead of an answer
    LINK_DROP_RATE,      // under load, valid mac2, but too many from that source
    LINK_DROP_INDEX,     // no handshake of ours under that index
    LINK_DROP_AUTH,      // a tag did not fit
    LINK_DROP_REPLAY,    // timestamp seen before or older
    LINK_DROP_FLOOD,     // one link's initiations too close together
    LINK_DROP_OWN_KEY,   // from our own key: a copy of this identity runs elsewhere, or an echo
    LINK_DROP_POLICY,    // unknown key and policy says no
    LINK_DROP_FULL,      // no slot left
    LINK_DROP_NOMEM,
    LINK_DROP_ROAM,      // an on-link link's traffic from elsewhere: taken, but not followed
    LINK_DROP_COUNT
};
const char *link_drop_name(enum link_drop d); // "malformed", "mac1", ...: the label in /metrics

struct link_peer { // one listed key: [peer NAME], `byway peer add`, `wg set peer`
    uint8_t key[BW_KEY_LEN];
    char name[LINK_NAME];        // "" if none
    bool has_psk;
    uint8_t psk[BW_KEY_LEN];
    struct bw_endpoint endpoint; // configured endpoint, port 0: none (the far link waits for the peer)
    uint16_t keepalive_s;        // persistent keepalive, 0: off
    bool internet;
    enum link_source source;     // LINK_CONFIG or LINK_COMMAND
};

struct linkset_config {
    const struct identity *identity; // must outlive the linkset
    enum link_policy policy;
    bool public_;               // unknown keys may come from anywhere
    uint8_t secret[BW_KEY_LEN]; // LINK_POLICY_SECRET: the PSK
    bool aes;                   // this machine has AES instructions
    unsigned threads;           // AEAD contexts per keypair: 1 + packet workers; thread 0 is the linkset's own
    unsigned max_links;         // 0: LINK_LINKS_DEFAULT
    uint64_t tai_high;          // the highest value ever given to persist_tai, 0 if none
    unsigned load_per_s;        // handshake messages a second from which on cookies are asked for; 0: 100
};

// called during calls into the linkset; none may call back into it, but for linkset_info/_keys/_next
struct linkset_ops {
    void *ctx;
    // One datagram. ifindex 0: as the routing table says (a link-local address carries its interface in endpoint->scope
    // too).
    void (*send)(void *ctx, const struct bw_endpoint *to, uint32_t ifindex, const uint8_t *p, size_t n);
    void (*changed)(void *ctx, uint16_t slot, unsigned what); // enum link_change bits
    // Must be on disk when it returns: after a restart this value is tai_high, and every stamp is above it. Called
    // about once an hour of use. A failure (negative) is logged and counted on: then only a right clock helps after a
    // restart.
    int (*persist_tai)(void *ctx, uint64_t high);
    // may be NULL. For tests only: SECRET keys, tshark's wg.keylog_file format
    void (*keylog)(void *ctx, const char *line);
};

struct linkset;

// mem, rng and log (may be NULL) must outlive it; config and ops are copied. NULL: no memory.
struct linkset *linkset_new(struct bw_mem *mem, struct bw_rng *rng, const struct bw_log *log,
                            const struct linkset_config *config, const struct linkset_ops *ops);
void linkset_free(struct linkset *ls); // NULL is fine; ops are not called any more

// Policy may change while running; links that it no longer allows are dropped. threads, identity and max_links may not.
void linkset_set_policy(struct linkset *ls, enum link_policy policy, bool public_, const uint8_t secret[BW_KEY_LEN],
                        bw_time now);

// ---- datagrams and time ----

// A datagram of type 1, 2 or 3 that came in on ifindex from `from` (scope set if link-local). on_link: it arrived on a
// discovery interface and its source is a neighbour there (link-local, or in a prefix connected to it). Data messages
// (type 4) are the packet path's: keypair_open.
void linkset_rx(struct linkset *ls, uint32_t ifindex, const struct bw_endpoint *from, bool on_link, const uint8_t *p,
                size_t n, bw_time now, uint64_t unix_ns);
void linkset_tick(struct linkset *ls, bw_time now, uint64_t unix_ns); // due or not: harmless
// when tick is due next; at most 1 s away while links are up
bw_time linkset_deadline(const struct linkset *ls);

// The packet path opened the first message under keypair `local_index` (it was not `confirmed`). Repeats are harmless.
void linkset_confirm(struct linkset *ls, uint32_t local_index, bw_time now);
// The packet path opened an authentic message of keypair `local_index` that came from another endpoint than the link's.
void linkset_roam(struct linkset *ls, uint32_t local_index, const struct bw_endpoint *from, uint32_t ifindex,
                  bw_time now);

// ---- who we talk to ----

// Lists a key or changes its listing (same key). With an endpoint the far link is made and connected at once; a changed
// PSK drops the keys of its links. Unchanged listings disturb nothing. BW_ERR_NOMEM (not listed), BW_ERR_RANGE (our own key);
// listed without memory for its link, it is connected a second later.
int linkset_add_peer(struct linkset *ls, const struct link_peer *peer, bw_time now) BW_NODISCARD;
// Forgets the listing, if there is one, and drops all links of the key; discovery may bring an on-link one back if policy
// allows.
int linkset_remove_peer(struct linkset *ls, const uint8_t key[BW_KEY_LEN], bw_time now) BW_NODISCARD; // BW_ERR_NOTFOUND
// BW_ERR_NOTFOUND
int linkset_get_peer(const struct linkset *ls, const uint8_t key[BW_KEY_LEN], struct link_peer *out) BW_NODISCARD;

// A verified beacon: `key` is at endpoint (link-local, scope = ifindex) on ifindex. fresh: a start of that node that we
// had not heard before. The node with the smaller key makes the handshake at once, the other one after a second without
// it. BW_ERR_DENIED (policy), BW_ERR_NOMEM, BW_ERR_RANGE (own key), BW_ERR_AGAIN (too many new keys at once: the next beacon
// will do).
int linkset_discovered(struct linkset *ls, const uint8_t key[BW_KEY_LEN], uint32_t ifindex,
                       const struct bw_endpoint *at, bool fresh, bw_time now) BW_NODISCARD;
void linkset_iface_gone(struct linkset *ls, uint32_t ifindex, bw_time now); // drops its on-link links
// The neighbour speaks byway (its Babel Hello says so) or not. A stock peer's further links are left to run out.
void linkset_set_stock(struct linkset *ls, const uint8_t key[BW_KEY_LEN], bool stock);
// Which light messages the neighbour at the other end of a link takes (its Babel Hello says so); none, until told.
void linkset_set_light(struct linkset *ls, uint16_t slot, enum light light);

// ---- what is there ----

enum link_kind { LINK_KIND_UNKNOWN, LINK_KIND_BYWAY, LINK_KIND_STOCK };

struct link_info {
    uint16_t slot;
    uint8_t key[BW_KEY_LEN];
    struct bw_addr addr;         // mesh address of the key; zero if it has none (then it is a stock peer)
    enum link_kind kind;         // BYWAY once a beacon or linkset_set_stock(false) said so
    enum link_source source;     // CONFIG/COMMAND: far link of a listed key with endpoint
    enum link_state state;
    bool listed, internet, has_psk;
    enum light light;            // linkset_set_light; never with a PSK, which is there to hide more than ESP does
    uint16_t keepalive_s;
    char name[LINK_NAME];        // of the listing, "" if none
    bool on_link;                // the on-link kind
    bool asking;                 // a handshake has been asked for more than once, without an answer
    uint32_t ifindex;            // on-link: its interface, to send from. Far: 0
    uint32_t rx_ifindex;         // interface of the last handshake or roaming, 0: none yet
    struct bw_endpoint endpoint; // port 0: unknown yet
    bw_time last_handshake;      // 0: never
    bw_time since;               // when the link was made
    struct link_shared *shared;  // counters; a reference is the caller's to take
};
int linkset_info(const struct linkset *ls, uint16_t slot, struct link_info *out) BW_NODISCARD; // BW_ERR_NOTFOUND
int linkset_next(const struct linkset *ls, int after); // next slot in use after `after` (-1: the first); -1: no more
// Listed keys that have no link: they named no endpoint, and their owner has not come. As a link_info without a slot
// (LINK_SLOT_NONE), endpoint and counters.
typedef void link_waiting_fn(void *ctx, const struct link_info *info);
void linkset_each_waiting(const struct linkset *ls, link_waiting_fn *fn, void *ctx);
// Borrowed pointers. *tx NULL: nothing may be sent. rx: those that may receive, *rx_count of them.
void linkset_keys(const struct linkset *ls, uint16_t slot, struct keypair **tx, struct keypair *rx[LINK_RX_KEYS],
                  unsigned *rx_count);
// The keypair that receives under a local index, NULL: none. For programs without the packet path (tests, fuzz
// targets).
struct keypair *linkset_find_keys(const struct linkset *ls, uint32_t local_index, uint16_t *slot);

uint64_t linkset_drops(const struct linkset *ls, enum link_drop d);
struct linkset_stats {
    uint64_t initiations_sent, initiations_received, responses_sent, responses_received, cookies_sent, cookies_received;
    uint64_t handshakes; // completed, either role
    unsigned links, half_open;
    bool under_load;
};
void linkset_stats(const struct linkset *ls, struct linkset_stats *out);

// The node's next TAI64N stamp as nanoseconds (noise/stamp.h): above every one given before, in this run or an earlier
// one. Beacons use the same series.
uint64_t linkset_stamp(struct linkset *ls, uint64_t unix_ns);

#endif
