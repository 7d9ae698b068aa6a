#include "core/link/keypair.h"

#include <string.h>

#include "base/cursor.h"
#include "wire/wg.h"

#define RELAXED memory_order_relaxed
#define IPV6_HEADER 40 // RFC 8200 section 3: the payload's length is in bytes 4 and 5

struct link_shared *link_shared_new(struct bw_mem *mem)
{
    struct link_shared *s = bw_alloc(mem, sizeof *s);
    if (!s) return NULL;
    s->mem = mem;
    atomic_init(&s->refs, 1);
    return s;
}

void link_shared_ref(struct link_shared *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, RELAXED);
}

void link_shared_unref(struct link_shared *s)
{
    if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1) bw_free(s->mem, s, sizeof *s);
}

static void destroy(struct keypair *k)
{
    for (unsigned i = 0; i < k->threads; i++) {
        bw_aead_free(k->seal[i]);
        bw_aead_free(k->open[i]);
        bw_aead_free(k->aes_seal[i]);
        bw_aead_free(k->aes_open[i]);
    }
    link_shared_unref(k->shared);
    bw_free(k->mem, k, sizeof *k);
}

static bool make_contexts(struct bw_aead **v, enum bw_cipher cipher, const uint8_t key[32], bool seal, unsigned threads)
{
    for (unsigned i = 0; i < threads; i++)
        if (!(v[i] = bw_aead_new(cipher, key, seal))) return false;
    return true;
}

static bool make_aes_contexts(struct bw_aead **v, const uint8_t key[32], bool seal, unsigned threads)
{
    static const char label[] = "byway light v1 AES-256-GCM key";
    uint8_t aes[BW_KEY_LEN];
    bw_blake2s(aes, sizeof aes, key, BW_KEY_LEN, label, sizeof label - 1, NULL, 0);
    bool made = make_contexts(v, BW_AES_256_GCM, aes, seal, threads);
    bw_wipe(aes, sizeof aes);
    return made;
}

struct keypair *keypair_new(struct bw_mem *mem, unsigned threads, const uint8_t send_key[32],
                            const uint8_t recv_key[32], bool aes, bool initiator, uint32_t local_index,
                            uint32_t remote_index, struct link_shared *shared, bw_time now)
{
    BW_ASSERT(threads >= 1 && threads <= KEYPAIR_THREADS_MAX);
    struct keypair *k = bw_alloc(mem, sizeof *k);
    if (!k) return NULL;
    k->mem = mem;
    k->threads = threads;
    k->shared = shared;
    link_shared_ref(shared);
    k->local_index = local_index;
    k->remote_index = remote_index;
    k->initiator = initiator;
    k->born = now;
    atomic_init(&k->refs, 1);
    atomic_init(&k->confirmed, initiator);
    atomic_init(&k->tx_counter, 0);
    replay_init(&k->replay);
    if (make_contexts(k->seal, BW_CHACHA20_POLY1305, send_key, true, threads) &&
        make_contexts(k->open, BW_CHACHA20_POLY1305, recv_key, false, threads) &&
        (!aes || (make_aes_contexts(k->aes_seal, send_key, true, threads) && make_aes_contexts(k->aes_open, recv_key, false, threads))))
        return k;
    destroy(k);
    return NULL;
}

void keypair_ref(struct keypair *k)
{
    atomic_fetch_add_explicit(&k->refs, 1, RELAXED);
}

void keypair_unref(struct keypair *k)
{
    if (k && atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) == 1) destroy(k);
}

static void store_if_zero(atomic_uint_least64_t *to, bw_time now)
{
    uint64_t zero = 0;
    if (!atomic_load_explicit(to, RELAXED)) atomic_compare_exchange_strong_explicit(to, &zero, now, RELAXED, RELAXED);
}

// Writes only what differs: most packets find these words as they should be, and a clean cache line stays shared.
static void store_if_other(atomic_uint_least64_t *to, uint64_t v)
{
    if (atomic_load_explicit(to, RELAXED) != v) atomic_store_explicit(to, v, RELAXED);
}

static void want_handshake(struct link_shared *s)
{
    if (!atomic_load_explicit(&s->want_handshake, RELAXED)) atomic_store_explicit(&s->want_handshake, true, RELAXED);
}

static bw_time age(const struct keypair *k, bw_time now)
{
    return now > k->born ? now - k->born : 0; // a worker's clock reading may be older than the keys
}

static void note_sent(const struct keypair *k, size_t padded, uint64_t counter, bw_time now)
{
    struct link_shared *s = k->shared;
    if (!now) now = 1;
    store_if_other(&s->last_tx, now);
    store_if_other(&s->first_rx_unanswered, 0);
    if (padded) {
        atomic_fetch_add_explicit(&s->tx_bytes, padded, RELAXED);
        atomic_fetch_add_explicit(&s->tx_packets, 1, RELAXED);
        store_if_other(&s->last_tx_data, now);
        store_if_zero(&s->first_tx_unanswered, now);
    }
    // Paper, section 6.2: after REKEY_AFTER_MESSAGES either side, after REKEY_AFTER_TIME only the initiator.
    if (counter >= WG_REKEY_AFTER_MESSAGES || (k->initiator && age(k, now) >= WG_REKEY_AFTER_TIME)) want_handshake(s);
}

static void note_received(const struct keypair *k, size_t padded, bw_time now)
{
    struct link_shared *s = k->shared;
    if (!now) now = 1;
    store_if_other(&s->last_rx, now);
    store_if_other(&s->first_tx_unanswered, 0);
    if (padded) {
        atomic_fetch_add_explicit(&s->rx_bytes, padded, RELAXED);
        atomic_fetch_add_explicit(&s->rx_packets, 1, RELAXED);
        store_if_other(&s->last_rx_data, now);
        store_if_zero(&s->first_rx_unanswered, now);
    }
    // Paper, section 6.2: an initiator that only receives renews before the keys run out.
    if (k->initiator && age(k, now) >= WG_REJECT_AFTER_TIME - WG_KEEPALIVE_TIMEOUT - WG_REKEY_TIMEOUT)
        want_handshake(s);
}

// The paper's nonce (section 5.4.6) begins with four zero bytes. A light message has its type there: one counter serves both
// kinds of message, and no message of one kind opens as the other.
static void make_nonce(uint8_t nonce[12], uint32_t type, uint64_t counter)
{
    struct bw_wr w = bw_wr(nonce, 12);
    bw_wr_le32(&w, type == WG_DATA ? 0 : type);
    bw_wr_le64(&w, counter);
}

// The next message's header and nonce.
static int begin(struct keypair *k, uint8_t *buf, uint32_t type, uint8_t nonce[12], uint64_t *counter, bw_time now)
{
    if (!atomic_load_explicit(&k->confirmed, RELAXED)) return BW_ERR_AGAIN;
    if (age(k, now) >= WG_REJECT_AFTER_TIME) {
        want_handshake(k->shared);
        return BW_ERR_AGAIN;
    }
    *counter = atomic_fetch_add_explicit(&k->tx_counter, 1, RELAXED);
    if (*counter >= WG_REJECT_AFTER_MESSAGES) {
        atomic_store_explicit(&k->tx_counter, WG_REJECT_AFTER_MESSAGES, RELAXED); // it must not wrap
        want_handshake(k->shared);
        return BW_ERR_REPLAY;
    }
    struct bw_wr w = bw_wr(buf, WG_DATA_HEADER);
    bw_wr_le32(&w, type);
    bw_wr_le32(&w, k->remote_index);
    bw_wr_le64(&w, *counter);
    make_nonce(nonce, type, *counter);
    return 0;
}

int keypair_seal(struct keypair *k, unsigned thread, uint8_t *buf, size_t n, size_t pad_limit, bw_time now)
{
    BW_ASSERT(thread < k->threads);
    uint8_t nonce[12], *body = buf + WG_DATA_HEADER;
    uint64_t counter;
    int err = begin(k, buf, WG_DATA, nonce, &counter, now);
    if (err) return err;
    size_t padded = (n + 15) / 16 * 16;
    if (padded > pad_limit) padded = n > pad_limit ? n : pad_limit;
    memset(body + n, 0, padded - n);
    err = bw_aead_seal(k->seal[thread], body, body, padded, NULL, 0, nonce);
    if (err) return err;
    note_sent(k, padded, counter, now);
    return (int)(padded + WG_DATA_OVERHEAD);
}

int keypair_seal_light(struct keypair *k, unsigned thread, enum light how, uint8_t *buf, size_t n, bw_time now)
{
    BW_ASSERT(thread < k->threads && n >= LIGHT_SEALED);
    struct bw_aead *c = how == LIGHT_AES ? k->aes_seal[thread] : k->seal[thread];
    uint8_t nonce[12], *body = buf + WG_DATA_HEADER;
    uint64_t counter;
    int err = begin(k, buf, how == LIGHT_AES ? LIGHT_TYPE_AES : LIGHT_TYPE, nonce, &counter, now);
    if (!err) err = bw_aead_seal_apart(c, body, LIGHT_SEALED, body + n, nonce);
    if (err) return err;
    note_sent(k, n, counter, now);
    return (int)(n + WG_DATA_OVERHEAD);
}

static int open_begin(const struct keypair *k, const uint8_t *buf, uint32_t type, uint8_t nonce[12], uint64_t *counter,
                      bw_time now)
{
    if (age(k, now) >= WG_REJECT_AFTER_TIME) return BW_ERR_AGAIN;
    struct bw_rd r = bw_rd(buf + 8, 8);
    *counter = bw_rd_le64(&r);
    make_nonce(nonce, type, *counter);
    return *counter >= WG_REJECT_AFTER_MESSAGES ? BW_ERR_REPLAY : 0;
}

int keypair_open(struct keypair *k, unsigned thread, uint8_t *buf, size_t n, bw_time now)
{
    BW_ASSERT(thread < k->threads);
    if (n < WG_DATA_OVERHEAD) return BW_ERR_SHORT;
    uint8_t nonce[12], *body = buf + WG_DATA_HEADER;
    uint64_t counter;
    int err = open_begin(k, buf, WG_DATA, nonce, &counter, now);
    if (!err) err = bw_aead_open(k->open[thread], body, body, n - WG_DATA_HEADER, NULL, 0, nonce);
    if (err) return err;
    if (!replay_accept(&k->replay, counter)) return BW_ERR_REPLAY;
    note_received(k, n - WG_DATA_OVERHEAD, now);
    return (int)(n - WG_DATA_OVERHEAD);
}

int keypair_open_light(struct keypair *k, unsigned thread, uint8_t *buf, size_t n, bw_time now)
{
    BW_ASSERT(thread < k->threads);
    if (n < WG_DATA_OVERHEAD + LIGHT_SEALED) return BW_ERR_SHORT;
    bool aes = buf[1];
    struct bw_aead *c = aes ? k->aes_open[thread] : k->open[thread];
    if (!c) return BW_ERR_AUTH; // nobody was told that we could
    uint8_t nonce[12], *body = buf + WG_DATA_HEADER;
    uint64_t counter;
    int err = open_begin(k, buf, aes ? LIGHT_TYPE_AES : LIGHT_TYPE, nonce, &counter, now);
    if (!err) err = bw_aead_open_apart(c, body, LIGHT_SEALED, buf + n - BW_TAG_LEN, nonce);
    if (err) return err;
    if (IPV6_HEADER + (body[4] << 8 | body[5]) != (int)(n - WG_DATA_OVERHEAD)) return BW_ERR_MALFORMED; // cut or prolonged
    if (!replay_accept(&k->replay, counter)) return BW_ERR_REPLAY;
    note_received(k, n - WG_DATA_OVERHEAD, now);
    return (int)(n - WG_DATA_OVERHEAD);
}
