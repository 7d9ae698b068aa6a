// End-to-end sessions (DESIGN 2; docs/spec/session.md) as a pure state machine: one session per mesh address that we talk to.
// It learns the other end's key, makes the handshake (core/noise, an identifier of its own), keeps the ESP keys (sa.h) and
// changes them in time, and hands the packet path a table to look them up in (table.h).
//
// Everything here runs on one thread; only struct sa, session_shared and session_traces are touched by others. Times are
// bw_time and never run backwards; unix_ns is the wall clock, which may do as it likes.
//
// Order: sessions_new, then inputs as they come; sessions_tick after every input and when sessions_deadline() is reached (all
// handshakes begin there). ops.changed asks the owner to publish a snapshot with sessions_table().
#ifndef CORE_SESSION_SESSION_H
#define CORE_SESSION_SESSION_H

#include "base/log.h"
#include "core/identity.h"
#include "core/session/table.h"
#include "wire/session.h"

#define SESSIONS_MAX_DEFAULT 8192
#define SESSION_HALF_OPEN_MAX 512 // sessions that a stranger's handshake made and that nobody has confirmed; the oldest gives way
#define SESSION_QUEUE_PACKETS 16  // waiting for one session's keys; the oldest gives way
#define SESSION_QUEUE_TOTAL 1024  // and for all together: then new ones are refused
#define SESSION_MTU 1420          // what every link carries
#define SESSION_MTU_MIN 1280      // RFC 8200 section 5: no path is smaller

enum session_state {
    SESSION_IDLE,       // no keys, and nothing is done about it
    SESSION_ASKING,     // waiting for the other end's public key
    SESSION_CONNECTING, // handshake under way
    SESSION_UP,         // keys that may send
};
const char *session_state_name(enum session_state s); // "idle", "asking", "connecting", "up"

enum session_drop { // why something was dropped: one counter each
    SESSION_DROP_MALFORMED,
    SESSION_DROP_SOURCE,   // not from a mesh address, from ourselves, or a key that is not the address's
    SESSION_DROP_MAC1,
    SESSION_DROP_COOKIE,   // under load, no valid mac2: a cookie was sent instead of an answer
    SESSION_DROP_RATE,     // under load: that neighbour has brought too many
    SESSION_DROP_INDEX,    // no handshake of ours under that index
    SESSION_DROP_AUTH,
    SESSION_DROP_REPLAY,   // timestamp seen before or older
    SESSION_DROP_CHOICE,   // a cipher that was not offered
    SESSION_DROP_NOTICE,   // a notice that does not fit what was sent, or too soon after another
    SESSION_DROP_UNASKED,  // a key that nobody asked for
    SESSION_DROP_ERROR,    // an ICMPv6 error that does not fit what was sent
    SESSION_DROP_FULL,     // no room for another session
    SESSION_DROP_QUEUE,    // a packet that waited too long, or for which there was no room, or that is too long
    SESSION_DROP_NOMEM,
    SESSION_DROP_COUNT
};
const char *session_drop_name(enum session_drop d); // "malformed", "mac1", ...: the label in /metrics

struct sessions_config {
    const struct identity *identity; // must outlive the sessions
    unsigned threads;      // as linkset_config.threads; thread 0 is used here
    unsigned max_sessions; // 0: SESSIONS_MAX_DEFAULT
    unsigned load_per_s;   // initiations a second from which on cookies are asked for; 0: 100
    bool aes;              // this machine has AES instructions
    uint64_t tai_high;     // the highest value ever given to persist_tai, 0 if none
};

struct sessions_ops { // called during calls into the module; none may call back into it
    void *ctx;
    // A whole IPv6 packet from us to mesh address `to`, to be routed and sent as it is. False: there is no way at the moment.
    bool (*send)(void *ctx, const struct bw_addr *to, const uint8_t *packet, size_t n);
    void (*deliver)(void *ctx, const uint8_t *packet, size_t n); // an IP packet for this machine, or that it forwards; may be NULL
    void (*changed)(void *ctx); // sessions_table() gives another table: publish it before the present input is over
    int (*persist_tai)(void *ctx, uint64_t high); // must be on disk when it returns; see linkset_ops
    bool (*find_key)(void *ctx, const struct bw_addr *addr, uint8_t key[BW_KEY_LEN]);        // may be NULL; checked by the caller
    void (*keep_key)(void *ctx, const struct bw_addr *addr, const uint8_t key[BW_KEY_LEN]);  // may be NULL; proven: keep for good; the same may come again; one a second after the first 16
    void (*keylog)(void *ctx, const char *line); // may be NULL. For tests only: SECRET keys
    void (*told)(void *ctx, const struct bw_addr *addr, enum session_state s); // may be NULL; SESSION_UP and SESSION_IDLE
};

struct sessions;

// mem, rng and log (may be NULL) must outlive it; config and ops are copied. NULL: no memory.
struct sessions *sessions_new(struct bw_mem *mem, struct bw_rng *rng, const struct bw_log *log, const struct sessions_config *config,
                              const struct sessions_ops *ops);
void sessions_free(struct sessions *ss); // NULL is fine

// ---- what came in; slot: the link that it came over ----

// UDP payload of the session protocol from mesh address `from`.
void sessions_rx(struct sessions *ss, uint16_t slot, const struct bw_addr *from, const uint8_t *p, size_t n, bw_time now);
// A whole IPv6 packet to us with ESP whose SPI the packet path's table does not hold: answered with a notice, or opened here
// if the keys are younger than that table (then transport mode goes to ops.deliver).
void sessions_rx_esp(struct sessions *ss, uint16_t slot, const uint8_t *packet, size_t n, bw_time now);
// The packet path opened the first packet under the sa `local_spi` (it was not `confirmed`). Repeats are harmless.
void sessions_confirm(struct sessions *ss, uint32_t local_spi, bw_time now);
// A whole IPv6 packet to us that holds an ICMPv6 error (type below 128) about a packet that we sent to a mesh address.
void sessions_icmp_error(struct sessions *ss, const uint8_t *packet, size_t n, bw_time now);

// ---- what shall go out ----

// An IP packet for `peer`: sealed and sent now, or kept until there are keys, which are asked for. Transport mode if it is an
// IPv6 packet from us to peer that may go so, else tunnel mode. What is too long for the path is dropped and counted: the
// packet path has told the sender before it comes here.
void sessions_send(struct sessions *ss, const struct bw_addr *peer, const uint8_t *packet, size_t n, bw_time now);
void sessions_want(struct sessions *ss, const struct bw_addr *peer, bw_time now); // keys will be needed: begin
void sessions_tick(struct sessions *ss, bw_time now, uint64_t unix_ns);
bw_time sessions_deadline(const struct sessions *ss);

// ---- what is there ----

// Borrowed: take a reference to keep it. NULL until there are keys.
struct session_table *sessions_table(const struct sessions *ss);

struct session_info {
    struct bw_addr addr;
    enum session_state state;
    bool has_key;
    uint8_t key[BW_KEY_LEN];
    enum bw_cipher cipher; // SESSION_UP
    bool initiator;
    uint16_t mtu;          // outer
    int64_t rtt_us;        // of the last handshake; of one that the other end began: from our response to its first packet; -1: none
    bw_time born;          // of the present keys; 0: none
    bw_time up_since;      // SESSION_UP: it has had keys without a break since then
    uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets;
};
void sessions_each(const struct sessions *ss, void (*fn)(void *ctx, const struct session_info *i), void *ctx); // oldest first
int sessions_info(const struct sessions *ss, const struct bw_addr *addr, struct session_info *out) BW_NODISCARD; // BW_ERR_NOTFOUND

struct sessions_stats {
    uint64_t initiations_sent, initiations_received, responses_sent, responses_received, cookies_sent, cookies_received;
    uint64_t notices_sent, notices_received, questions_sent, questions_received, errors_translated, mtu_lowered;
    uint64_t handshakes; // completed, either role
    unsigned sessions, half_open, queued; // with keys or at work; of strangers; packets that wait
    bool under_load;
};
void sessions_stats(const struct sessions *ss, struct sessions_stats *out);
uint64_t sessions_drops(const struct sessions *ss, enum session_drop d);

#endif
