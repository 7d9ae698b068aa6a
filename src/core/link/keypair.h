// One set of transport keys of a link (WireGuard paper, section 5.4.5 and 5.4.6): made by a handshake on the control
// thread, used by every thread of the packet path. Keys and indices never change after birth; the counter and the
// replay window do, atomically. Reference counted, since a published snapshot may
// outlive the link.
#ifndef CORE_LINK_KEYPAIR_H
#define CORE_LINK_KEYPAIR_H

#include <stdatomic.h>

#include "base/mem.h"
#include "base/time.h"
#include "core/link/replay.h"
#include "crypto/crypto.h"

#define KEYPAIR_THREADS_MAX 17 // the control thread is 0, packet workers are 1..16

// WireGuard's limits (paper, section 6.1)
#define WG_REKEY_AFTER_MESSAGES (1ull << 60)
#define WG_REJECT_AFTER_MESSAGES (UINT64_MAX - (1ull << 13))
#define WG_REKEY_AFTER_TIME (120 * BW_S)
#define WG_REJECT_AFTER_TIME (180 * BW_S)
#define WG_REKEY_TIMEOUT (5 * BW_S)
#define WG_KEEPALIVE_TIMEOUT (10 * BW_S)

struct link_shared;

struct keypair {
    atomic_uint refs;
    uint32_t local_index;  // what the peer writes into its data messages
    uint32_t remote_index; // what we write into ours
    bool initiator;        // we made the handshake's first message
    // a responder may send only once the initiator has (paper, section 5.4.3); set by linkset_confirm
    atomic_bool confirmed;
    bw_time born;          // when the handshake was done; control's clock, older than any packet's
    atomic_uint_least64_t tx_counter; // next nonce
    struct replay replay;
    unsigned threads;
    struct bw_mem *mem;
    struct link_shared *shared; // counters of the link it belongs to; holds a reference
    struct bw_aead *seal[KEYPAIR_THREADS_MAX], *open[KEYPAIR_THREADS_MAX]; // one context per thread
    struct bw_aead *aes_seal[KEYPAIR_THREADS_MAX], *aes_open[KEYPAIR_THREADS_MAX]; // for light messages; NULL: without AES
};

// What packet path and control path tell each other about a link without waiting: all atomic, relaxed. keypair_seal and
// keypair_open keep every field below; nobody else has to (only want_handshake is also set by whoever finds no keys at
// all). Bytes are padded inner bytes, so that both ends of a link count the same. Times are never 0 once set.
struct link_shared {
    atomic_uint refs;
    struct bw_mem *mem;
    atomic_uint_least64_t rx_bytes, tx_bytes;     // inner bytes, data messages that were authentic or sent
    atomic_uint_least64_t rx_packets, tx_packets; // likewise
    atomic_uint_least64_t last_rx;      // bw_time of the last authentic data message, keepalives included; 0: none
    atomic_uint_least64_t last_rx_data; // ... with a payload
    atomic_uint_least64_t last_tx;      // bw_time of the last data message sent, keepalives included
    atomic_uint_least64_t last_tx_data; // ... with a payload
    // bw_time of the first payload sent since the last authentic message came in; 0: none
    atomic_uint_least64_t first_tx_unanswered;
    // bw_time of the first payload received since the last message went out; 0: none
    atomic_uint_least64_t first_rx_unanswered;
    atomic_bool want_handshake;                // the packet path met missing or worn-out keys
};

struct link_shared *link_shared_new(struct bw_mem *mem); // one reference; NULL: no memory
void link_shared_ref(struct link_shared *s);
void link_shared_unref(struct link_shared *s);

// Takes a reference on shared. NULL: no memory. Keys are copied into the contexts and nowhere else. aes: this machine has AES
// instructions, so light messages may use them.
struct keypair *keypair_new(struct bw_mem *mem, unsigned threads, const uint8_t send_key[32],
                            const uint8_t recv_key[32], bool aes, bool initiator, uint32_t local_index,
                            uint32_t remote_index, struct link_shared *shared, bw_time now);
void keypair_ref(struct keypair *k);
void keypair_unref(struct keypair *k); // the last one wipes and frees; control thread only (mem is not locked)

// Type-4 data message: header (16 bytes: type, reserved, receiver index, counter; little endian), ciphertext, tag.
#define WG_DATA_HEADER 16
#define WG_DATA_OVERHEAD 32
// A light message (docs/spec/link.md, section 9) has the same header but for its type, and the same tag at its end; of the
// packet between them only the beginning is sealed: IPv6 header, ESP header and IV. The rest is ESP's ciphertext, with a tag of
// its own for the packet's destination.
#define LIGHT_TYPE 0x4c       // ... with ChaCha20-Poly1305
#define LIGHT_TYPE_AES 0x14c  // ... with AES-256-GCM: its second byte is 1
#define LIGHT_SEALED 56
enum light { LIGHT_NO, LIGHT_CHACHA, LIGHT_AES }; // what a neighbour takes

// Seals the inner packet at buf + 16 (n bytes; 0 makes a keepalive) in place, padding it with zeros to a multiple of 16
// but never past pad_limit (n itself if that is larger), and writes header and tag around it: buf must have room for 16
// + padded + 16. Returns the message's length, BW_ERR_REPLAY when the keys are used up (counter) and BW_ERR_AGAIN when
// too old or not yet confirmed.
int keypair_seal(struct keypair *k, unsigned thread, uint8_t *buf, size_t n, size_t pad_limit,
                 bw_time now) BW_NODISCARD;
// Opens a whole type-4 message of n bytes in place. Returns the padded inner length (0: keepalive) at buf + 16, or
// BW_ERR_SHORT, BW_ERR_AUTH, BW_ERR_REPLAY, BW_ERR_AGAIN (keys too old). The replay window is consulted after the tag.
int keypair_open(struct keypair *k, unsigned thread, uint8_t *buf, size_t n, bw_time now) BW_NODISCARD;
// Likewise light messages; the packet has at least LIGHT_SEALED bytes and is not padded. LIGHT_AES only if the keypair was made
// with aes. What keypair_open_light returns is authentic in its first LIGHT_SEALED bytes and its length, which must be the one
// in them; else BW_ERR_MALFORMED. The rest is whatever arrived: anybody on the wire may have changed it.
int keypair_seal_light(struct keypair *k, unsigned thread, enum light how, uint8_t *buf, size_t n, bw_time now) BW_NODISCARD;
int keypair_open_light(struct keypair *k, unsigned thread, uint8_t *buf, size_t n, bw_time now) BW_NODISCARD;

#endif
