#include "core/session/sa.h"

#include <string.h>

#include "base/cursor.h"

#define RELAXED memory_order_relaxed

struct session_shared *session_shared_new(struct bw_mem *mem)
{
    struct session_shared *s = bw_alloc(mem, sizeof *s);
    if (!s) return NULL;
    s->mem = mem;
    atomic_init(&s->refs, 1);
    return s;
}

void session_shared_unref(struct session_shared *s)
{
    if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1) bw_free(s->mem, s, sizeof *s);
}

static void derive(uint8_t out[BW_KEY_LEN], const char *label, const uint8_t transport[BW_KEY_LEN])
{
    bw_blake2s(out, BW_KEY_LEN, transport, BW_KEY_LEN, label, strlen(label), NULL, 0);
}

void sa_derive(struct sa_keys *out, enum bw_cipher cipher, const uint8_t transport[BW_KEY_LEN])
{
    bool aes = cipher == BW_AES_256_GCM;
    uint8_t salt[BW_KEY_LEN];
    derive(out->key, aes ? "byway session v1 AES-256-GCM key" : "byway session v1 ChaCha20-Poly1305 key", transport);
    derive(salt, aes ? "byway session v1 AES-256-GCM salt" : "byway session v1 ChaCha20-Poly1305 salt", transport);
    memcpy(out->salt, salt, SA_SALT_LEN);
    bw_wipe(salt, sizeof salt);
}

static size_t sa_size(unsigned threads)
{
    struct sa *a;
    return sizeof *a + threads * sizeof a->thread[0];
}

struct sa *sa_new(struct bw_mem *mem, unsigned threads, enum bw_cipher cipher, const struct sa_keys *send, const struct sa_keys *recv,
                  bool initiator, const struct bw_addr *peer, uint32_t local_spi, uint32_t remote_spi, struct session_shared *shared,
                  bw_time now)
{
    struct sa *a = bw_alloc(mem, sa_size(threads));
    if (!a) return NULL;
    atomic_init(&a->refs, 1);
    a->mem = mem;
    a->peer = *peer;
    a->local_spi = local_spi;
    a->remote_spi = remote_spi;
    a->cipher = cipher;
    a->initiator = initiator;
    atomic_init(&a->confirmed, initiator);
    a->born = now;
    a->rekey_after = SA_REKEY_AFTER_TIME - SA_REKEY_SPREAD * (local_spi % 1024) / 1024; // SPIs are random
    atomic_init(&a->tx_seq, 0);
    replay_init(&a->replay);
    a->shared = shared;
    atomic_fetch_add_explicit(&shared->refs, 1, RELAXED);
    a->send = *send;
    a->recv = *recv;
    a->threads = threads;
    return a;
}

void sa_ref(struct sa *a)
{
    atomic_fetch_add_explicit(&a->refs, 1, RELAXED);
}

void sa_put_away(struct sa *a, unsigned thread)
{
    bw_aead_free(a->thread[thread].seal); // wipes the key schedule
    bw_aead_free(a->thread[thread].open);
    a->thread[thread].seal = a->thread[thread].open = NULL;
}

void sa_unref(struct sa *a)
{
    if (!a || atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) != 1) return;
    for (unsigned i = 0; i < a->threads; i++) sa_put_away(a, i);
    session_shared_unref(a->shared);
    struct bw_mem *mem = a->mem;
    size_t size = sa_size(a->threads);
    bw_wipe(a, size);
    bw_free(mem, a, size);
}

static bw_time age(const struct sa *a, bw_time now)
{
    return now > a->born ? now - a->born : 0; // a worker's clock reading may be older than the keys
}

// Writes only what differs: most packets find these words as they should be, and a clean cache line stays shared.
static void store_if_other(atomic_uint_least64_t *to, uint64_t v)
{
    if (atomic_load_explicit(to, RELAXED) != v) atomic_store_explicit(to, v, RELAXED);
}

static void store_if_zero(atomic_uint_least64_t *to, uint64_t v)
{
    uint64_t zero = 0;
    if (!atomic_load_explicit(to, RELAXED)) atomic_compare_exchange_strong_explicit(to, &zero, v, RELAXED, RELAXED);
}

static void want_handshake(struct session_shared *s)
{
    if (!atomic_load_explicit(&s->want_handshake, RELAXED)) atomic_store_explicit(&s->want_handshake, true, RELAXED);
}

static void note_sent(const struct sa *a, size_t n, uint8_t next, uint64_t seq, bw_time now)
{
    struct session_shared *s = a->shared;
    if (!now) now = 1;
    store_if_other(&s->last_tx, now);
    store_if_other(&s->first_rx_unanswered, 0);
    if (next != ESP_NO_NEXT) {
        atomic_fetch_add_explicit(&s->tx_bytes, n, RELAXED);
        atomic_fetch_add_explicit(&s->tx_packets, 1, RELAXED);
        store_if_other(&s->last_tx_data, now);
        store_if_zero(&s->first_tx_unanswered, now);
    }
    // As WireGuard, section 6.2 of its paper: by volume either side, by time only the initiator.
    if (seq >= SA_REKEY_AFTER_PACKETS || (a->initiator && age(a, now) >= a->rekey_after)) want_handshake(s);
}

static void note_received(const struct sa *a, size_t n, uint8_t next, bw_time now)
{
    struct session_shared *s = a->shared;
    if (!now) now = 1;
    store_if_other(&s->last_rx, now);
    store_if_other(&s->first_tx_unanswered, 0);
    if (next != ESP_NO_NEXT) {
        atomic_fetch_add_explicit(&s->rx_bytes, n, RELAXED);
        atomic_fetch_add_explicit(&s->rx_packets, 1, RELAXED);
        store_if_other(&s->last_rx_data, now);
        store_if_zero(&s->first_rx_unanswered, now);
    }
    // An initiator that only receives renews before the keys run out.
    if (a->initiator && age(a, now) >= SA_REJECT_AFTER_TIME - 15 * BW_S) want_handshake(s);
}

// A context made on its thread's first packet. Only that thread looks at the slot until nobody holds the sa any more.
static struct bw_aead *context(struct bw_aead **slot, enum bw_cipher cipher, const struct sa_keys *k, bool seal)
{
    if (!*slot) *slot = bw_aead_new(cipher, k->key, seal);
    return *slot;
}

static void make_nonce(uint8_t nonce[12], const struct sa_keys *k, const uint8_t *esp)
{
    memcpy(nonce, k->salt, SA_SALT_LEN);      // RFC 4106 section 4, RFC 7634 section 2
    memcpy(nonce + SA_SALT_LEN, esp + ESP_AAD, 8);
}

int sa_seal(struct sa *a, unsigned thread, uint8_t *esp, size_t n, uint8_t next, uint32_t *seq_out, bw_time now)
{
    BW_ASSERT(thread < a->threads);
    if (!atomic_load_explicit(&a->confirmed, RELAXED)) return BW_ERR_AGAIN;
    if (age(a, now) >= SA_REJECT_AFTER_TIME) {
        want_handshake(a->shared);
        return BW_ERR_AGAIN;
    }
    struct bw_aead *c = context(&a->thread[thread].seal, a->cipher, &a->send, true);
    if (!c) return BW_ERR_NOMEM;
    uint64_t seq = atomic_fetch_add_explicit(&a->tx_seq, 1, RELAXED) + 1;
    if (seq >= SA_REJECT_AFTER_PACKETS) { // 64 bits count on: no number is ever used twice
        want_handshake(a->shared);
        return BW_ERR_REPLAY;
    }
    esp_header_encode(esp, &(struct esp_header){a->remote_spi, (uint32_t)seq, seq}); // the IV is a counter: RFC 4106 section 3.1
    uint8_t nonce[12], *body = esp + ESP_HEADER;
    make_nonce(nonce, &a->send, esp);
    size_t padded = esp_trailer_write(body, n, next);
    int err = bw_aead_seal(c, body, body, padded, esp, ESP_AAD, nonce);
    if (err) return err;
    if (seq_out) *seq_out = (uint32_t)seq;
    note_sent(a, n, next, seq, now);
    return (int)(ESP_HEADER + padded + ESP_ICV);
}

int sa_open(struct sa *a, unsigned thread, uint8_t *esp, size_t n, uint8_t *next, bw_time now)
{
    BW_ASSERT(thread < a->threads);
    struct esp_header h;
    int err = esp_header_decode(esp, n, &h);
    if (err) return err == BW_ERR_RANGE ? BW_ERR_MALFORMED : err;
    if (age(a, now) >= SA_REJECT_AFTER_TIME) return BW_ERR_AGAIN;
    struct bw_aead *c = context(&a->thread[thread].open, a->cipher, &a->recv, false);
    if (!c) return BW_ERR_NOMEM;
    uint8_t nonce[12], *body = esp + ESP_HEADER;
    make_nonce(nonce, &a->recv, esp);
    err = bw_aead_open(c, body, body, n - ESP_HEADER, esp, ESP_AAD, nonce);
    if (err) return err;
    int len = esp_trailer_read(body, n - ESP_HEADER - ESP_ICV, next);
    if (len < 0) return len;
    if (!replay_accept(&a->replay, h.seq)) return BW_ERR_REPLAY;
    if (!atomic_load_explicit(&a->heard, RELAXED)) atomic_store_explicit(&a->heard, true, RELAXED);
    note_received(a, (size_t)len, *next, now);
    return len;
}
