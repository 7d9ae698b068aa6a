// The packet path (DESIGN 5): open -> look up -> seal, as pure functions on batches that the caller owns. One struct
// fwd per thread; they share only what a snapshot points to. Nothing here reads a clock, allocates, or does I/O:
// packets come in by call and go out through a sink, in the buffers that they came in wherever that is possible.
//
// Who may go where:
//   from a link:  own address (or fc00::e while sharing)  -> the end-to-end layer, then a tunnel or the TUN
//                 the mesh FIB says a link                 -> that link, hop limit less one
//                 a link with `internet`, any other target -> the TUN: the kernel sends it on
//                 Babel (UDP 6696 to ff02::1:6 or our link-local address) -> punted to control, decrypted
//                 anything else                            -> ICMP/ICMPv6 unreachable, rate limited, counted
//   from the TUN: longest match over mesh FIB and tunnel FIB -> a link, sealed in ESP if the target is a mesh address, a
//                 tunnel peer or another node's export; with a source that is neither ours nor exported by us -> dropped
//
// ESP or nothing between two mesh addresses (docs/spec/session.md, section 6): what lacks a session goes to control,
// which makes one. In plain come only ICMPv6 errors and the session protocol, both punted, and what is for fc00::e.
#ifndef CORE_FWD_FWD_H
#define CORE_FWD_FWD_H

#include "base/addr.h"
#include "core/fwd/shape.h"
#include "core/link/keypair.h"
#include "core/session/table.h"

#define FWD_MTU 1420                                // inner packet on every link (DESIGN 2)
#define FWD_TUNNEL_OVERHEAD SESSION_TUNNEL_OVERHEAD // IPv6 header and ESP
#define FWD_TUN_MTU (FWD_MTU - FWD_TUNNEL_OVERHEAD) // of the TUN: whatever the way is, it fits
#define FWD_NO_LINK UINT16_MAX

// ---- the snapshot: what the packet path knows. Built by control, then immutable; one atomic pointer publishes it.
// ----

struct fwd_link { // one per link, at its slot (= the neighbour's small stable port number)
    bool used;
    bool internet;             // a stock peer with `internet = yes`
    enum light light;          // what it takes of these (docs/spec/link.md, section 9)
    uint32_t ifindex;          // send from here; 0: as the routing table says
    struct bw_endpoint remote; // port 0: unknown yet
    struct keypair *tx;        // NULL: no keys (packets are dropped, want_handshake is set)
    struct link_shared *shared;
};

enum fwd_target { FWD_TO_LINK, FWD_TO_TUN, FWD_TO_TUNNEL, FWD_TO_EXPORT, FWD_UNREACHABLE };

struct fwd_route {
    struct bw_prefix prefix;
    enum fwd_target target;
    uint16_t link;      // FWD_TO_LINK: slot
    // FWD_TO_TUNNEL: the mesh address of the tunnel's other end. FWD_TO_EXPORT: of the node that exports the prefix; zero:
    // of one that has not confirmed it, so nothing goes there.
    struct bw_addr via;
};

struct fwd_tunnel_shared { // counters of one tunnel peer, shared like link_shared
    atomic_uint refs;
    struct bw_mem *mem;
    atomic_uint_least64_t rx_bytes, tx_bytes, rx_packets, tx_packets; // inner
    atomic_uint_least64_t last_rx;                                    // bw_time
    struct shape to_peer, from_peer; // how fast packets may pass, those of control excepted; set by core/exit/limit
};
struct fwd_tunnel_shared *fwd_tunnel_shared_new(struct bw_mem *mem);
void fwd_tunnel_shared_unref(struct fwd_tunnel_shared *s);

struct fwd_tunnel { // a mesh address with which we exchange tunnelled packets
    struct bw_addr peer;
    bool is_exit; // true: our exit (inner destination must be inner4/inner6); false: our client (inner source must be)
    struct bw_addr inner4, inner6; // leased inner addresses; zero where there is none
    struct fwd_tunnel_shared *shared;
    struct fwd_tunnel_shared *group; // whose buckets must let a packet pass as well (all clients together); may be NULL
};

struct fwd_exporter { // a node that has confirmed which networks are behind it: from there its tunnel may bring packets
    struct bw_addr peer;
    const struct bw_prefix *prefixes;
    unsigned count;
};

struct fib;
struct fwd_snapshot;

// What control hands over to build one. Arrays are copied; keypairs and shared counters get a reference each.
struct fwd_config {
    struct bw_addr self;         // own mesh address
    struct bw_addr linklocal;    // own fe80:: address
    struct bw_addr icmp4_source; // source of ICMP errors; zero: 192.0.0.8 (RFC 7600 section 4, RFC 9229 section 3)
    // Our own inner addresses as an exit, zero if we are none: clients' heartbeats to them are punted
    // (FWD_PUNT_GATEWAY).
    struct bw_addr gateway4, gateway6;
    // What we lease to clients (length 0: nothing): only what comes out of a tunnel may have such a source.
    struct bw_prefix pool4, pool6;
    bool sharing;                 // we answer for fc00::e
    bool transit;                 // no: packets from a link leave only to the TUN
    const struct fwd_link *links; // by slot
    unsigned link_count;
    struct keypair *const *rx_keys; // every keypair that may receive ...
    const uint16_t *rx_links;       // ... and the slot of its link
    unsigned rx_count;
    const struct fib *fib; // what Babel chose, own exported prefixes (FWD_TO_TUN) included: shared with the snapshot (fib.h), or ...
    const struct fwd_route *mesh; // ... if NULL, the list of it
    unsigned mesh_count;
    const struct fwd_route *tun; // additional routes for packets from the TUN only: leases, default routes, others' exports
    unsigned tun_count;
    const struct fwd_tunnel *tunnels; // our exits first
    unsigned tunnel_count;
    const struct fwd_exporter *exporters;
    unsigned exporter_count;
    struct session_table *sessions; // end-to-end keys; a reference is taken; NULL: none yet
    uint8_t hash_key[16];
};
// NULL: no memory. Freed with fwd_snapshot_free once no thread uses it; both on the control thread.
struct fwd_snapshot *fwd_snapshot_new(struct bw_mem *mem, const struct fwd_config *c);
void fwd_snapshot_free(struct fwd_snapshot *s);
// Longest match, as the packet path does it; NULL: no route. From the TUN: over both tables, `tun` wins if both are as
// long. Of two routes with one prefix in one table the later counts. For tests, views and the simulator.
const struct fwd_route *fwd_lookup(const struct fwd_snapshot *s, const struct bw_addr *dst, bool from_tun);

// ---- packets in and out ----

// A part of something that is gathered on its way out; laid out like struct iovec.
struct fwd_piece {
    const void *base;
    size_t len;
};

// A train: datagrams of `seg` bytes each (the last may be shorter) back to back, all from or to one endpoint: what
// UDP_GRO delivers and UDP_SEGMENT takes. seg == len: a single datagram.
struct fwd_train {
    uint8_t *data;
    uint32_t len;
    uint16_t seg;
    uint32_t ifindex; // where it came in, or shall go out (0: any)
    struct bw_endpoint remote;
};

enum fwd_punt_kind {
    // A datagram that is not type 4: handshake, cookie or beacon; link = FWD_NO_LINK.
    FWD_PUNT_HANDSHAKE,
    // Decrypted: UDP payload of a Babel packet; source address in inner_src.
    FWD_PUNT_BABEL,
    // An authentic message came from another endpoint than the link's: remote, ifindex and local_index tell; repeated
    // (once a train) until a snapshot agrees.
    FWD_PUNT_ROAM,
    // First message under a keypair that was not confirmed yet: local_index tells which; repeated (once a train) until
    // control sets keypair.confirmed.
    FWD_PUNT_CONFIRM,
    // A client's echo request to gateway4/6 with identifier FWD_TUNNEL_ECHO_ID; tunnel peer in inner_src.
    FWD_PUNT_GATEWAY,
    // Using an exit: an inner ICMP echo reply or unreachable to our inner address whose echo's identifier is
    // FWD_TUNNEL_ECHO_ID; tunnel peer in inner_src. Not written to the TUN.
    FWD_PUNT_TUNNEL_ECHO,
    // For core/session, which has a function for each: the protocol's UDP payload from inner_src; a whole IPv6 packet
    // with ESP under an SPI that the snapshot does not hold; the first packet under local_index (an SPI), repeated until
    // sa.confirmed; a whole IPv6 packet with an ICMPv6 error about our ESP; an IP packet of ours (data) for inner_dst,
    // to which there are no keys.
    FWD_PUNT_SESSION,
    FWD_PUNT_SESSION_SPI,
    FWD_PUNT_SESSION_CONFIRM,
    FWD_PUNT_SESSION_ERROR,
    FWD_PUNT_SESSION_WANTED,
    // Out of the tunnel from inner_src came a packet from a network that is not known to be its.
    FWD_PUNT_EXPORTER,
};
#define FWD_TUNNEL_ECHO_ID 0x4870
struct fwd_punt {
    enum fwd_punt_kind kind;
    uint16_t link;
    uint32_t local_index;
    struct bw_addr inner_src, inner_dst;
    struct bw_endpoint remote;
    uint32_t ifindex;
    const uint8_t *data; // valid during the call only
    uint32_t len;
};

// Where packets go. Called while a batch is processed, at the latest from fwd_flush; buffers are valid only during the
// call. A `tun` frame is the concatenation of its pieces (at most FWD_PIECES_MAX): struct virtio_net_hdr (10 bytes,
// little endian, see fwd/vnet.h) and one IP packet, which may be a super-frame of up to 64 KiB.
#define FWD_PIECES_MAX 65
struct fwd_sink {
    void *ctx;
    void (*wire)(void *ctx, const struct fwd_train *t);
    void (*tun)(void *ctx, const struct fwd_piece *pieces, unsigned count);
    void (*punt)(void *ctx, const struct fwd_punt *p);
};

enum fwd_drop { // why a packet went nowhere: one counter each
    FWD_DROP_SHORT,
    FWD_DROP_TYPE,
    FWD_DROP_INDEX,
    FWD_DROP_AUTH,
    FWD_DROP_REPLAY,
    FWD_DROP_OLD_KEYS,
    FWD_DROP_NO_KEYS,
    FWD_DROP_MALFORMED,
    FWD_DROP_MARTIAN,
    FWD_DROP_NO_ROUTE,
    FWD_DROP_HOP_LIMIT,
    FWD_DROP_TOO_BIG,
    FWD_DROP_NO_TRANSIT,
    FWD_DROP_TUNNEL_PEER,
    FWD_DROP_TUNNEL_SOURCE,
    FWD_DROP_LINKLOCAL,
    FWD_DROP_LOOP,
    FWD_DROP_CONGESTED,
    FWD_DROP_RATE,
    FWD_DROP_PLAIN,   // between two mesh addresses, and not sealed
    FWD_DROP_ESP_SPI, // end to end: unknown SPI, or not its peer's
    FWD_DROP_ESP_AUTH,
    FWD_DROP_ESP_REPLAY,
    FWD_DROP_ESP_OLD_KEYS,
    FWD_DROP_NO_SESSION, // more packets without keys than control cares to hear of
    FWD_DROP_UNCONFIRMED, // to a network whose exporter has not confirmed it
    FWD_DROP_NOT_EXPORTED, // ours, from a network that we do not export: nobody could answer
    FWD_DROP_COUNT
};
const char *fwd_drop_name(enum fwd_drop d); // "short", "no_route", ... : the label in /metrics

struct fwd; // one thread's packet path: scratch buffers, drop counters, ICMP rate limits

size_t fwd_size(void); // bytes for fwd_init; under 128 KiB, touched only as far as it is used
struct fwd *fwd_init(void *memory, unsigned thread,
                     const struct fwd_sink *sink); // memory: fwd_size() bytes, 64-byte aligned
// The kernel behind `tun` takes UDP super-frames (USO, Linux 6.2 and later); off until said.
void fwd_set_uso(struct fwd *f, bool on);

// A batch of trains from the network; everything that comes of it has left through the sink when this returns. Data is
// modified; nothing is read or written outside of data[0..len).
void fwd_from_wire(struct fwd *f, const struct fwd_snapshot *s, struct fwd_train *in, unsigned n, bw_time now);
// One frame from the TUN: virtio_net_hdr and an IP packet, possibly a TSO/USO super-frame or with a checksum to
// complete (in place, therefore not const).
// Packets may wait in an unfinished train: after the last frame of a batch, and before the snapshot is given up, comes
// fwd_flush. (Frames of the same link and size join into one train that way.)
void fwd_from_tun(struct fwd *f, const struct fwd_snapshot *s, uint8_t *frame, size_t n, bw_time now);
void fwd_flush(struct fwd *f);
// One whole IP packet made by control (Babel, ICMP): sent over the link `slot` at once, no lookup; n == 0 makes a
// keepalive. BW_ERR_NOTFOUND: no such link, or its endpoint is unknown; BW_ERR_AGAIN: no usable keys; BW_ERR_RANGE:
// longer than FWD_MTU.
int fwd_to_link(struct fwd *f, const struct fwd_snapshot *s, uint16_t slot, const uint8_t *packet, size_t n,
                bw_time now) BW_NODISCARD;
uint64_t fwd_drops(const struct fwd *f, enum fwd_drop d); // may be read from another thread

#endif
