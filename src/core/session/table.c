#include "core/session/table.h"

#include <string.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "core/fwd/ip.h"

#define RELAXED memory_order_relaxed

// ---- traces ----

struct session_traces *session_traces_new(struct bw_mem *mem)
{
    struct session_traces *t = bw_alloc(mem, sizeof *t);
    if (!t) return NULL;
    atomic_init(&t->refs, 1);
    t->mem = mem;
    return t;
}

void session_traces_unref(struct session_traces *t)
{
    if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) bw_free(t->mem, t, sizeof *t);
}

static bool is_tunnel(uint8_t next)
{
    return next == IP_IPIP || next == IP_IPV6;
}

static unsigned trace_slot(uint32_t spi, uint32_t seq, bool tunnel)
{
    return (tunnel ? SESSION_TRACES : 0) + (spi + seq) % SESSION_TRACES; // consecutive packets of a session lie side by side
}

bool session_trace_wanted(const uint8_t *packet)
{
    bool v4 = packet[0] >> 4 == 4;
    return packet[v4 ? 8 : 7] <= SESSION_TRACE_HOPS || packet[v4 ? 9 : 6] == (v4 ? IP_ICMP : IP_ICMPV6);
}

// Threads may write one slot at a time: whoever reads a mixture sees it by the first word, or gets a garbled quotation of
// packets of our own, which harms nobody.
void session_trace_put(struct session_traces *t, uint32_t spi, uint32_t seq, uint8_t next, const uint8_t *payload, size_t n)
{
    uint64_t w[1 + SESSION_TRACE_BYTES / 8] = {(uint64_t)next << 16 | (n & 0xffff)};
    memcpy(w + 1, payload, n < SESSION_TRACE_BYTES ? n : SESSION_TRACE_BYTES);
    atomic_uint_least64_t *to = t->entry[trace_slot(spi, seq, is_tunnel(next))].word;
    atomic_store_explicit(&to[0], 0, RELAXED);
    for (unsigned i = 0; i < sizeof w / sizeof *w; i++) atomic_store_explicit(&to[i + 1], w[i], RELAXED);
    atomic_store_explicit(&to[0], (uint64_t)spi << 32 | seq, memory_order_release);
}

static bool take(atomic_uint_least64_t *from, uint64_t id, struct session_trace *out)
{
    if (atomic_load_explicit(&from[0], memory_order_acquire) != id) return false;
    uint64_t head = atomic_load_explicit(&from[1], RELAXED), w[SESSION_TRACE_BYTES / 8];
    for (unsigned i = 0; i < sizeof w / sizeof *w; i++) w[i] = atomic_load_explicit(&from[i + 2], RELAXED);
    out->next = (uint8_t)(head >> 16);
    out->payload = (uint16_t)head;
    out->count = out->payload < SESSION_TRACE_BYTES ? (uint8_t)out->payload : SESSION_TRACE_BYTES;
    memcpy(out->bytes, w, SESSION_TRACE_BYTES);
    return atomic_compare_exchange_strong_explicit(&from[0], &id, 0, RELAXED, RELAXED);
}

bool session_trace_take(struct session_traces *t, uint32_t spi, uint32_t seq, struct session_trace *out)
{
    uint64_t id = (uint64_t)spi << 32 | seq;
    return take(t->entry[trace_slot(spi, seq, false)].word, id, out) || take(t->entry[trace_slot(spi, seq, true)].word, id, out);
}

// ---- the table ----

static uint32_t mask_for(unsigned n)
{
    uint32_t mask = 1;
    while (mask < 2ull * n) mask = mask << 1 | 1;
    return mask;
}

static uint32_t peer_slot(const struct session_table *t, const struct bw_addr *peer)
{
    return (uint32_t)bw_siphash(t->hash_key, peer, sizeof *peer) & t->peer_mask;
}

static bool fill_peers(struct session_table *t, const struct session_entry *entries, unsigned count)
{
    t->peer_mask = mask_for(count);
    t->by_peer = bw_alloc(t->mem, (t->peer_mask + 1ull) * sizeof *t->by_peer);
    if (!t->by_peer) return false; // before there are entries: they are given back by their count
    t->entries = count ? bw_alloc(t->mem, count * sizeof *t->entries) : NULL;
    if (count && !t->entries) return false;
    t->count = count;
    for (unsigned i = 0; i < count; i++) {
        t->entries[i] = entries[i];
        sa_ref(entries[i].tx);
        uint32_t at = peer_slot(t, &entries[i].peer);
        while (t->by_peer[at]) at = (at + 1) & t->peer_mask;
        t->by_peer[at] = i + 1;
    }
    return true;
}

static bool fill_spis(struct session_table *t, struct sa *const *rx, unsigned count)
{
    t->spi_mask = mask_for(count);
    t->by_spi = bw_alloc(t->mem, (t->spi_mask + 1ull) * sizeof(struct sa *));
    if (!t->by_spi) return false;
    for (unsigned i = 0; i < count; i++) {
        uint32_t at = rx[i]->local_spi & t->spi_mask;
        while (t->by_spi[at]) at = (at + 1) & t->spi_mask;
        t->by_spi[at] = rx[i];
        sa_ref(rx[i]);
    }
    return true;
}

struct session_table *session_table_new(struct bw_mem *mem, const uint8_t hash_key[16], const struct session_entry *entries, unsigned count,
                                        struct sa *const *rx, unsigned rx_count, struct session_traces *traces)
{
    struct session_table *t = bw_alloc(mem, sizeof *t);
    if (!t) return NULL;
    atomic_init(&t->refs, 1);
    t->mem = mem;
    memcpy(t->hash_key, hash_key, sizeof t->hash_key);
    t->traces = traces;
    atomic_fetch_add_explicit(&traces->refs, 1, RELAXED);
    if (!fill_peers(t, entries, count) || !fill_spis(t, rx, rx_count)) {
        session_table_unref(t);
        return NULL;
    }
    return t;
}

void session_table_ref(struct session_table *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, RELAXED);
}

void session_table_unref(struct session_table *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1) return;
    for (unsigned i = 0; i < t->count; i++) sa_unref(t->entries[i].tx);
    for (uint32_t i = 0; t->by_spi && i <= t->spi_mask; i++) sa_unref(t->by_spi[i]);
    bw_free(t->mem, t->entries, t->count * sizeof *t->entries);
    bw_free(t->mem, t->by_peer, (t->peer_mask + 1ull) * sizeof *t->by_peer);
    bw_free(t->mem, t->by_spi, (t->spi_mask + 1ull) * sizeof(struct sa *));
    session_traces_unref(t->traces);
    bw_free(t->mem, t, sizeof *t);
}

const struct session_entry *session_table_peer(const struct session_table *t, const struct bw_addr *peer)
{
    if (!t || !t->count) return NULL;
    for (uint32_t at = peer_slot(t, peer); t->by_peer[at]; at = (at + 1) & t->peer_mask) {
        const struct session_entry *e = &t->entries[t->by_peer[at] - 1];
        if (bw_addr_eq(&e->peer, peer)) return e;
    }
    return NULL;
}

struct sa *session_table_spi(const struct session_table *t, uint32_t spi)
{
    if (!t) return NULL;
    for (uint32_t at = spi & t->spi_mask; t->by_spi[at]; at = (at + 1) & t->spi_mask)
        if (t->by_spi[at]->local_spi == spi) return t->by_spi[at];
    return NULL;
}

bool session_fits_transport(const uint8_t *packet, size_t n, const struct bw_addr *self, const struct bw_addr *peer)
{
    if (n < IP6_HEADER || packet[0] >> 4 != 6 || memcmp(packet + 8, self, 16) || memcmp(packet + 24, peer, 16)) return false;
    switch (packet[6]) {
    case 0: case 43: case 60: // hop-by-hop, routing, destination options
    case IP_FRAGMENT:         // RFC 4303 section 3.3.4: ESP holds whole datagrams in transport mode
    case ESP_PROTOCOL: case 51: case ESP_NO_NEXT:
    case IP_IPIP: case IP_IPV6: // would be taken for tunnel mode at the other end
        return false;
    default: return true;
    }
}
