// One pair of ESP security associations (RFC 4301 section 4.1) of a session: made by a handshake on the control thread, used
// by every thread of the packet path. Like core/link's keypair, but small: thousands of sessions may exist, most of them
// idle, so the cipher's contexts are made on a thread's first packet and the replay window is all that weighs.
//
// Keys, SPIs and cipher never change after birth; sequence number and replay window do, atomically. Reference counted, since
// a published snapshot may outlive the session. Traffic keys are wiped with the last reference and are never stored.
#ifndef CORE_SESSION_SA_H
#define CORE_SESSION_SA_H

#include <stdatomic.h>

#include "base/addr.h"
#include "base/mem.h"
#include "base/time.h"
#include "core/link/replay.h"
#include "crypto/crypto.h"
#include "wire/esp.h"

#define SA_SALT_LEN 4
#define SA_REKEY_AFTER_PACKETS (1u << 28)          // some 350 GB; sequence numbers have 32 bits: 15/16 remain for the change
#define SA_REJECT_AFTER_PACKETS (UINT32_MAX - 8192) // never repeats, never wraps
#define SA_REKEY_AFTER_TIME (120 * BW_S)           // as WireGuard: forward secrecy is two minutes fine
#define SA_REKEY_SPREAD (30 * BW_S)                // ... or up to this much earlier, by lot: many sessions of one age do not change at once
#define SA_REJECT_AFTER_TIME (180 * BW_S)

// What packet path and control path tell each other about a session without waiting: all atomic, relaxed. Times are never 0
// once set. Bytes are payload: what lies behind the outer IPv6 header before it is sealed.
struct session_shared {
    atomic_uint refs;
    struct bw_mem *mem;
    atomic_uint_least64_t rx_bytes, tx_bytes, rx_packets, tx_packets; // without dummies
    atomic_uint_least64_t last_rx, last_tx;             // bw_time of the last authentic packet in, packet out; 0: none
    atomic_uint_least64_t last_rx_data, last_tx_data;   // ... that was no dummy
    atomic_uint_least64_t first_tx_unanswered;          // first data sent since something authentic came in; 0: none
    atomic_uint_least64_t first_rx_unanswered;          // first data received since something went out; 0: none
    atomic_bool want_handshake;                         // the packet path met worn-out keys
};
struct session_shared *session_shared_new(struct bw_mem *mem); // one reference; NULL: no memory
void session_shared_unref(struct session_shared *s);           // NULL is fine

struct sa_keys { // one direction; secret
    uint8_t key[BW_KEY_LEN], salt[SA_SALT_LEN];
};
// From a transport key of the handshake (spec section 5): other labels for each cipher, so that no key serves two.
void sa_derive(struct sa_keys *out, enum bw_cipher cipher, const uint8_t transport[BW_KEY_LEN]);

struct sa {
    atomic_uint refs;
    struct bw_mem *mem;
    struct bw_addr peer;
    uint32_t local_spi;  // what the peer writes into its packets
    uint32_t remote_spi; // what we write into ours
    enum bw_cipher cipher;
    bool initiator;
    atomic_bool confirmed; // a responder may send only once the initiator has; set by sessions_confirm
    atomic_bool heard;     // something authentic has come under it: the other end sends with these keys
    bw_time born, rekey_after; // rekey_after: of age
    atomic_uint_least64_t tx_seq; // of the last packet sent; starts at 0
    struct replay replay;
    struct session_shared *shared; // holds a reference
    struct sa_keys send, recv;
    unsigned threads;
    struct {
        struct bw_aead *seal, *open; // NULL until that thread has used them
    } thread[];
};

// Takes a reference on shared, copies the keys. NULL: no memory.
struct sa *sa_new(struct bw_mem *mem, unsigned threads, enum bw_cipher cipher, const struct sa_keys *send, const struct sa_keys *recv,
                  bool initiator, const struct bw_addr *peer, uint32_t local_spi, uint32_t remote_spi, struct session_shared *shared,
                  bw_time now);
void sa_ref(struct sa *a);
void sa_unref(struct sa *a); // NULL is fine; the last one wipes and frees; control thread only

// Seals the payload of n bytes at esp + ESP_HEADER in place and writes header, trailer and ICV around it: esp must have room
// for esp_len(n). n == 0 with next == ESP_NO_NEXT is a dummy. Returns esp_len(n), BW_ERR_REPLAY (sequence numbers used up),
// BW_ERR_AGAIN (too old, or not confirmed) or BW_ERR_NOMEM. *seq, if not NULL: the sequence number used.
int sa_seal(struct sa *a, unsigned thread, uint8_t *esp, size_t n, uint8_t next, uint32_t *seq, bw_time now) BW_NODISCARD;
// Opens a whole ESP packet of n bytes in place. Returns the payload's length, at esp + ESP_HEADER, and its next header; or
// BW_ERR_SHORT, BW_ERR_MALFORMED, BW_ERR_AUTH, BW_ERR_REPLAY, BW_ERR_AGAIN (keys too old), BW_ERR_NOMEM. The replay window is
// consulted after the ICV.
int sa_open(struct sa *a, unsigned thread, uint8_t *esp, size_t n, uint8_t *next, bw_time now) BW_NODISCARD;

// Frees that thread's contexts, which are two kilobytes each; its next packet makes them again. For threads with few packets.
void sa_put_away(struct sa *a, unsigned thread);

static inline const char *sa_cipher_name(enum bw_cipher c)
{
    return c == BW_AES_256_GCM ? "AES-256-GCM" : "ChaCha20-Poly1305";
}

#endif
