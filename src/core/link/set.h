// Inside of core/link: what a linkset, a peer and a link are made of, and what its files do for one another.
//   set.c        making, freeing, configuration, views
//   peers.c      keys that we know: listing, policy, PSK
//   links.c      a link's life, its keypairs and their rotation
//   initiate.c   the initiator's half of the handshake
//   respond.c    datagrams: the gate (macs, cookies, rates), initiations, cookies
//   timers.c     tick and deadline
#ifndef CORE_LINK_SET_H
#define CORE_LINK_SET_H

#include <sys/queue.h>

#include "core/link/link.h"
#include "core/link/table.h"
#include "core/noise/cookie.h"
#include "core/noise/limit.h"
#include "core/noise/noise.h"
#include "core/noise/stamp.h"
#include "wire/wg.h"

// Paper, section 6.1, and what it leaves open
#define LINK_REKEY_ATTEMPT_TIME (90 * BW_S)
#define LINK_JITTER_MS 334u                            // REKEY_TIMEOUT plus 0..333 ms
// after REKEY_ATTEMPT_TIME, for links that we want whatever happens
#define LINK_SLOW_RETRY (15 * BW_S)
#define LINK_NO_ANSWER (WG_KEEPALIVE_TIMEOUT + WG_REKEY_TIMEOUT)
#define LINK_LATE_REKEY (WG_REJECT_AFTER_TIME - WG_REKEY_TIMEOUT) // a responder steps in: the initiator has not renewed
#define LINK_INITIATIONS_PER_S 50u                     // one link's, beyond that it is a flood
#define LINK_HALF_OPEN_TIME (10 * BW_S)                // an unlisted key has this long to confirm
#define LINK_BEACON_LIFE (60 * BW_S)                   // a discovered link without keys is kept while beacons come
// an incoming link without keys is kept this long for its peer to return
#define LINK_LINGER (30 * BW_S)
#define LINK_YIELD_TIME (1 * BW_S)                     // the larger key waits this long for the smaller one's handshake
#define LINK_POLL (1 * BW_S)                           // the packet path's counters are looked at this often
#define PEERS_UNUSED_MAX 1024                          // unlisted keys without links remembered for their stamps

enum { KEYS_CURRENT, KEYS_NEXT, KEYS_PREVIOUS };

struct index_entry { // a local index of ours on the wire
    struct table_node node; // first
    uint32_t index;
    struct link *link;
    struct keypair *keys; // NULL: a handshake that we initiated
};

struct peer { // a static key
    struct table_node node; // first
    uint8_t key[BW_KEY_LEN];
    uint8_t ss[BW_KEY_LEN]; // DH with our static key
    struct bw_addr addr;    // zero: none
    enum link_kind kind;
    bool listed;
    struct link_peer listing;
    struct stamp_seen seen;
    TAILQ_ENTRY(peer) order; // in the listed or the unlisted list
    LIST_HEAD(, link) links;
};

struct attempt { // the initiator's side of a handshake under way
    bool active;
    struct noise_handshake hs;
    struct index_entry index;
    bw_time first, retry; // when this attempt began, when it is tried again
    unsigned tries;
};

struct link {
    struct peer *peer;
    LIST_ENTRY(link) of_peer;
    uint16_t slot;
    bool on_link;
    uint32_t ifindex, rx_ifindex;
    struct bw_endpoint endpoint;
    enum link_source source;
    struct link_shared *shared;
    struct index_entry rx[LINK_RX_KEYS]; // keys == NULL: none there
    struct attempt attempt;
    struct mac_sender macs;
    struct stamp latest;      // newest initiation accepted on this link
    struct bucket initiations;
    bw_time since, last_handshake;
    bw_time last_sent;        // our last initiation
    bool ever_sent;
    bw_time start_at;         // handshake wanted from then on; BW_NEVER: not wanted
    bw_time beacon_at;        // last beacon, 0: none
    bw_time quiet_since;      // without keys since
    bool half_open;           // incoming, of an unlisted key, not yet confirmed
    enum light light;         // what the neighbour takes
    bool near;                // an unlisted key's, let in since it came from a network of our own
    bool up;                  // as last told by changed()
};

struct linkset {
    struct bw_mem *mem;
    struct bw_rng *rng;
    const struct bw_log *log;
    struct linkset_config config;
    struct linkset_ops ops;
    struct noise_protocol noise;
    struct stamp_clock clock;
    struct cookie_jar jar;
    struct bucket load, strangers, found;
    bw_time load_until;
    struct source_limit sources;
    struct table peers, indices;
    TAILQ_HEAD(peer_list, peer) listed, unlisted; // unlisted: longest untouched first
    unsigned unlisted_count;
    struct link **slots; // [max_links]
    uint16_t slots_used; // one above the highest slot in use
    bw_time last_tick;
    bool far_missing; // a listed peer with an endpoint has no far link yet, for lack of memory: tried again ...
    bw_time far_at;   // ... then
    uint64_t drops[LINK_DROP_COUNT];
    struct linkset_stats stats;
};

// ---- peers.c ----
struct peer *peer_find(const struct linkset *ls, const uint8_t key[BW_KEY_LEN]);
// ss NULL: computed; NULL: no memory or a key of low order
struct peer *peer_get(struct linkset *ls, const uint8_t key[BW_KEY_LEN], const uint8_t ss[BW_KEY_LEN]);
void peer_touch(struct linkset *ls, struct peer *p);  // it is the last to be forgotten now
void peer_unused(struct linkset *ls, struct peer *p); // its last link has gone
void peers_free(struct linkset *ls);
const uint8_t *peer_psk(const struct linkset *ls, const struct peer *p);
bool peer_allowed(const struct linkset *ls, const struct peer *p, bool on_link); // p NULL: an unknown key

// ---- links.c ----
void linkset_connect_missing(struct linkset *ls, bw_time now); // far links that there was no memory for
struct link *link_new(struct linkset *ls, struct peer *p, bool on_link, uint32_t ifindex, enum link_source source,
                      bw_time now);
void link_free(struct linkset *ls, struct link *l); // tells changed(GONE)
struct link *link_for_arrival(const struct peer *p, uint32_t ifindex, const struct bw_endpoint *from);
bool arrival_is_on_link(const struct peer *p, const struct bw_endpoint *from); // p may be NULL
void link_tell(struct linkset *ls, struct link *l, unsigned what); // adds UP or DOWN where that changed
// follows a sender; true if anything changed
bool link_moved(struct link *l, const struct bw_endpoint *from, uint32_t ifindex);
struct keypair *link_tx_keys(const struct link *l); // NULL: none
void link_began(struct linkset *ls, struct link *l, struct keypair *k, bw_time now); // new keys, we initiated
void link_answered(struct linkset *ls, struct link *l, struct keypair *k);            // new keys, we responded
bool link_drop_keys(struct linkset *ls, struct link *l, unsigned which);              // false: there were none
void link_drop_all_keys(struct linkset *ls, struct link *l);                          // tells
void link_seal_keepalive(struct linkset *ls, struct link *l, struct keypair *k, bw_time now);
uint32_t index_new(struct linkset *ls);
struct index_entry *index_find(const struct linkset *ls, uint32_t index);
void index_put(struct linkset *ls, struct index_entry *e, uint32_t index, struct link *l, struct keypair *k);
void index_drop(struct linkset *ls, struct index_entry *e);

// ---- initiate.c ----
void link_want(struct link *l, bw_time at); // a handshake, not before `at`
void link_initiate(struct linkset *ls, struct link *l, bw_time now, uint64_t unix_ns);
void link_end_attempt(struct linkset *ls, struct link *l);
void link_keylog(struct linkset *ls, const struct link *l, const uint8_t e_sk[BW_KEY_LEN]);
void rx_response(struct linkset *ls, uint32_t ifindex, const struct bw_endpoint *from, const struct wg_response *m,
                 bw_time now);

#endif
