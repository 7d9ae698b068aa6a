// What the packet path knows of the sessions: an immutable table that snapshots share, by peer address and by SPI. Built by
// core/session whenever keys changed; a changed route only takes another reference.
//
// And the traces: a ring in which the packet path remembers the beginnings of packets whose ICMPv6 errors somebody may be
// waiting for (low hop limits, echo requests), so that an error that quotes ciphertext can be turned back (spec section 8).
#ifndef CORE_SESSION_TABLE_H
#define CORE_SESSION_TABLE_H

#include <stdbool.h>

#include "core/session/sa.h"

#define SESSION_OVERHEAD 34        // ESP around a payload, padding aside: header 16, trailer 2, ICV 16
#define SESSION_TUNNEL_OVERHEAD 74 // and the outer IPv6 header
#define SESSION_TRACES 256         // of each mode
#define SESSION_TRACE_BYTES 48     // of a packet's payload
#define SESSION_TRACE_HOPS 32      // packets with a hop limit up to this are remembered

struct session_traces {
    atomic_uint refs;
    struct bw_mem *mem;
    struct {
        atomic_uint_least64_t word[2 + SESSION_TRACE_BYTES / 8]; // SPI and sequence number; next header, length; payload
    } entry[2 * SESSION_TRACES]; // transport mode's, then tunnel mode's: what goes to exits does not push out the others
};
struct session_trace { // what the packet under (spi, seq) was
    uint8_t next;     // IP_IPIP or IP_IPV6: tunnel mode
    uint16_t payload; // length behind the outer IPv6 header
    uint8_t bytes[SESSION_TRACE_BYTES];
    uint8_t count; // of them
};
struct session_traces *session_traces_new(struct bw_mem *mem);
void session_traces_unref(struct session_traces *t);
void session_trace_put(struct session_traces *t, uint32_t spi, uint32_t seq, uint8_t next, const uint8_t *payload, size_t n);
// Forgets it: one packet brings one error, however often its ESP is quoted.
bool session_trace_take(struct session_traces *t, uint32_t spi, uint32_t seq, struct session_trace *out);
bool session_trace_wanted(const uint8_t *packet); // an IP packet: whether somebody may wait for errors about it

struct session_entry { // one per peer that has keys to send with
    struct bw_addr peer;
    struct sa *tx;
    uint16_t mtu; // longest outer packet on the way there
};

struct session_table {
    atomic_uint refs;
    struct bw_mem *mem;
    struct session_entry *entries;
    unsigned count;
    uint32_t *by_peer; // index plus one, keyed hash, at most half full
    uint32_t peer_mask;
    struct sa **by_spi; // random numbers of our own, at most half full
    uint32_t spi_mask;
    uint8_t hash_key[16];
    struct session_traces *traces;
};

// Copies; takes references on every sa and on traces. NULL: no memory. One reference is the caller's.
struct session_table *session_table_new(struct bw_mem *mem, const uint8_t hash_key[16], const struct session_entry *entries, unsigned count,
                                        struct sa *const *rx, unsigned rx_count, struct session_traces *traces);
void session_table_ref(struct session_table *t);
void session_table_unref(struct session_table *t); // NULL is fine; control thread only
const struct session_entry *session_table_peer(const struct session_table *t, const struct bw_addr *peer); // NULL: none; t may be NULL
struct sa *session_table_spi(const struct session_table *t, uint32_t spi);                                 // likewise

// Whether a packet may go in transport mode: IPv6 between the two addresses, and neither a fragment nor with extension headers
// that are for nodes on the way (docs/spec/session.md, section 6).
bool session_fits_transport(const uint8_t *packet, size_t n, const struct bw_addr *self, const struct bw_addr *peer);

// Longest packets that fit an outer path of `mtu` bytes: as it is (IPv6, transport mode) or whole inside (tunnel mode).
static inline size_t session_transport_mtu(size_t mtu)
{
    return 40 + esp_payload_most(mtu - 40);
}
static inline size_t session_tunnel_mtu(size_t mtu)
{
    return esp_payload_most(mtu - 40);
}

#endif
