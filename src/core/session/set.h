// Inside of core/session: what a set of sessions is made of, and what its files do for one another.
//   sessions.c   making, freeing, finding, the table, views
//   handshake.c  what comes in by the session protocol: the gate, initiations, responses, cookies, notices, keys
//   begin.c      what we send to get keys: questions and initiations
//   keys.c       ESP keys of a session and their rotation
//   send.c       packets out: the queue, ESP and UDP around them
//   errors.c     ICMPv6 errors that quote our ESP
//   timers.c     tick and deadline
#ifndef CORE_SESSION_SET_H
#define CORE_SESSION_SET_H

#include <sys/queue.h>

#include "core/link/table.h"
#include "core/noise/cookie.h"
#include "core/noise/limit.h"
#include "core/noise/noise.h"
#include "core/noise/stamp.h"
#include "core/session/session.h"

#define SESSION_IDENTIFIER "byway end-to-end session v1"
#define SESSION_LABEL_MAC1 "e2e mac1"
#define SESSION_LABEL_COOKIE "e2e cook"

#define SESSION_RETRY_FIRST (1 * BW_S)      // then 2, 4 and 5 s, each with up to a third of a second more
#define SESSION_RETRY_MOST (5 * BW_S)
#define SESSION_JITTER_US 333000u
#define SESSION_ATTEMPT_TIME (90 * BW_S)
#define SESSION_KEEPALIVE (10 * BW_S)       // a dummy in answer to data that nothing answered
#define SESSION_NO_ANSWER (15 * BW_S)       // our data unanswered: new keys
#define SESSION_LATE_REKEY (SA_REJECT_AFTER_TIME - 5 * BW_S) // a responder steps in
#define SESSION_HALF_OPEN_TIME (10 * BW_S)
#define SESSION_OLD_TIME (5 * BW_S)         // how long old keys receive once the other end has sent something under the new ones
#define SESSION_QUEUE_TIME (10 * BW_S)
#define SESSION_TIE (5 * BW_S)              // handshakes closer together than this were begun by both ends at once
#define SESSION_NOTICE_SPACING (1 * BW_S)   // from one peer: one begins a handshake
#define SESSION_NOTICE_RETRY (BW_S / 5)     // ... or, while one is unanswered, tries again so soon
#define SESSION_MTU_LIFE (600 * BW_S)       // RFC 8201 section 4: then the path may have grown
#define SESSION_POLL (1 * BW_S)             // the packet path's counters are looked at this often
#define SESSION_INITIATIONS_PER_S 10u       // one peer's
#define SESSION_PLAUSIBLE 65536u            // an error or notice must quote one of so many newest packets
#define SESSION_BUILD_US 4u                 // the table is rebuilt at most once in this time for each session in it
#define SESSION_KEEPS_PER_S 1u               // keys that the owner is asked to keep: each is a write to disk, and keys cost strangers nothing
#define SESSION_KEEPS_BURST 16u
#define DORMANT_MAX 2048                    // sessions without keys that are remembered for their key and stamp
#define SLOT_BUCKETS 256
#define SLOT_HANDSHAKES_PER_S 300u          // under load: initiations that one neighbour may bring
#define SLOT_ANSWERS_PER_S 500u             // notices, keys and cookies in answer to what one neighbour brings

enum { SA_CURRENT, SA_NEXT, SA_OLD, SA_OLDER, SA_SLOTS }; // sends and receives; unconfirmed; receive only

struct spi_entry { // a number of ours that the other end uses
    struct table_node node; // first
    uint32_t spi;
    struct session *session;
    struct sa *sa; // NULL: a handshake that we began
};

struct attempt { // to get keys, under way
    struct noise_handshake hs;
    struct mac_sender macs;
    struct spi_entry index;
    bool initiated; // index and hs are valid
    bool asked;     // a question is out, with nonce
    uint8_t nonce[8];
    bw_time first, sent, retry;
    unsigned tries;
};

struct waiting { // a packet that waits for keys
    STAILQ_ENTRY(waiting) next;
    bw_time since;
    size_t n;
    uint8_t bytes[];
};

struct session {
    struct table_node node; // first
    struct bw_addr addr;
    uint8_t key[BW_KEY_LEN];
    uint8_t ss[BW_KEY_LEN]; // DH with our static key
    bool has_key;
    bool kept;      // and the owner keeps it for good
    bool half_open; // a stranger's, unconfirmed
    bool up;        // told so
    bool dormant;   // counted as such: nothing but memory of key and stamp
    struct stamp latest;
    struct bucket initiations;
    TAILQ_ENTRY(session) order; // in one of the two lists, last used at the end
    struct session_shared *shared;
    struct spi_entry keys[SA_SLOTS];
    struct attempt *attempt;
    STAILQ_HEAD(, waiting) queue;
    unsigned queued;
    bw_time start_at, due, since, notice_at, mtu_until;
    bw_time up_since; // while up
    bw_time heard_at; // when it was seen that the other end sends under the current keys; 0: not since they changed
    int64_t rtt_us;
    uint16_t mtu;
    uint16_t slot;  // while theirs: the link that brought it, by its bucket
    bool theirs;    // the other end began it, and we keep it for as long as there is room
};

struct sessions {
    struct bw_mem *mem;
    struct bw_rng *rng;
    const struct bw_log *log;
    struct sessions_config config;
    struct sessions_ops ops;
    struct noise_protocol noise;
    struct cookie_jar jar;
    struct stamp_clock clock;
    struct table by_addr, by_spi;
    TAILQ_HEAD(session_list, session) list, sleeping; // awake, dormant
    unsigned count, dormant, half_open, queued;
    struct bucket load, keeps, slot_handshakes[SLOT_BUCKETS], slot_answers[SLOT_BUCKETS];
    unsigned held[SLOT_BUCKETS]; // sessions that are theirs, by the link
    bw_time load_until, now, next, built_at;
    bool dirty; // the table is not what it should be
    struct session_table *table;
    struct session_traces *traces;
    uint8_t hash_key[16];
    struct sessions_stats stats;
    uint64_t drops[SESSION_DROP_COUNT];
};

static inline void session_drop(struct sessions *ss, enum session_drop why)
{
    ss->drops[why]++;
}
static inline void session_due(struct sessions *ss, struct session *s, bw_time at)
{
    s->due = bw_time_min(s->due, at);
    ss->next = bw_time_min(ss->next, at);
}

// sessions.c
struct session *session_find(const struct sessions *ss, const struct bw_addr *addr);
struct session *session_get(struct sessions *ss, const struct bw_addr *addr, bw_time now); // made if need be; NULL: full
void session_free(struct sessions *ss, struct session *s);
void session_wake(struct sessions *ss, struct session *s);  // no longer dormant
void session_sleep(struct sessions *ss, struct session *s); // nothing left but memory; may free s or a dormant one
void session_claim(struct sessions *ss, struct session *s, uint16_t slot); // theirs, over that link
struct spi_entry *spi_find(const struct sessions *ss, uint32_t spi);
void spi_new(struct sessions *ss, struct spi_entry *e, struct session *s); // draws an unused number
int session_learn(struct sessions *ss, struct session *s, const uint8_t key[BW_KEY_LEN]) BW_NODISCARD; // BW_ERR_AUTH: not its key
void sessions_settle(struct sessions *ss, bw_time now); // at the end of every input: the table follows

// begin.c
void session_want(struct sessions *ss, struct session *s, bw_time now);
void attempt_turn(struct sessions *ss, struct session *s, bw_time now, uint64_t unix_ns); // due: asks, initiates, gives up
void attempt_end(struct sessions *ss, struct session *s);
bool attempt_start(struct sessions *ss, struct session *s, bw_time now);

// keys.c
struct sa *session_tx(const struct session *s, bw_time now); // NULL: nothing may be sent
void keys_initiated(struct sessions *ss, struct session *s, struct sa *sa, struct spi_entry *index, bw_time now);
void keys_answered(struct sessions *ss, struct session *s, struct sa *sa, struct spi_entry *index, bw_time now);
void keys_drop(struct sessions *ss, struct session *s, unsigned slot);
void keys_expire(struct sessions *ss, struct session *s, bw_time now);
struct sa *keys_make(struct sessions *ss, struct session *s, struct noise_handshake *hs, bool initiator, enum bw_cipher cipher,
                     uint32_t local, uint32_t remote, bw_time now); // wipes hs; NULL: no memory

// send.c
bool session_send_udp(struct sessions *ss, const struct bw_addr *to, const uint8_t *p, size_t n);
void session_send_dummy(struct sessions *ss, struct session *s, bw_time now);
void session_flush(struct sessions *ss, struct session *s, bw_time now); // what waited
void session_queue_drop(struct sessions *ss, struct session *s, bw_time since_before); // what waits since then or longer

// timers.c
bw_time session_turn(struct sessions *ss, struct session *s, bw_time now, uint64_t unix_ns); // when next; s may be gone then

#endif
