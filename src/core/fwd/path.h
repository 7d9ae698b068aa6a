// The inside of struct fwd, shared by the files of the packet path and by nobody else.
//   rx.c  from links   tx.c  from the TUN   gro.c  to the TUN   out.c  to links   icmp.c  errors
//   esp.c  end to end   tunnel.c  what is inside a tunnel
#ifndef CORE_FWD_PATH_H
#define CORE_FWD_PATH_H

#include "core/fwd/gro.h"
#include "core/fwd/ip.h"
#include "core/fwd/snapshot.h"
#include "core/noise/limit.h"

#define TRAIN_SEGMENTS 64    // what the kernel takes in one UDP_SEGMENT call
// ... and bytes: with all headers (IPv6, UDP, Ethernet, tags) less than 65,536, a device's gso_max_size. Of a longer one the
// kernel makes single packets before it reaches the device, and everything behind works on these.
#define TRAIN_BYTES 65280u
#define LINK_BUCKETS 64      // by slot
#define ICMP_QUOTE_MAX 1280u // the longest error that we write

// A train that is being put together: sealed messages back to back.
struct train {
    const struct fwd_link *link;
    uint8_t *data;
    uint32_t len;
    uint16_t seg, count; // count 0: empty
};

struct fwd {
    struct fwd_sink sink;
    unsigned thread;
    bool uso;
    atomic_uint_least64_t drops[FWD_DROP_COUNT]; // written by one thread, read by any
    struct bucket icmp_wire, icmp_tun;
    // What control hears of packets without a session, out and in, of messages, and of networks that it does not know. What comes
    // from links is counted for all and for each, so that no neighbour uses up the others' share.
    struct bucket wanted, exporters, unknown, messages, link_unknown[LINK_BUCKETS], link_messages[LINK_BUCKETS];
    struct { // the last route that was looked up; forgotten by fwd_flush
        bool valid, from_tun;
        struct bw_addr dst;
        const struct fwd_route *route;
    } cache;
    struct { // likewise the last session
        bool valid;
        struct bw_addr peer;
        const struct session_entry *entry;
    } session;
    struct gro gro;
    struct train pending; // lies in `out`
    uint32_t fragment_id; // of the next IPv6 packet that is cut
    uint8_t scratch[VNET_LEN + ICMP_QUOTE_MAX]; // an error, or a segment that is to be cut
    uint8_t out[65536];
};

static inline void fwd_drop(struct fwd *f, enum fwd_drop why)
{
    uint64_t n = atomic_load_explicit(&f->drops[why], memory_order_relaxed);
    atomic_store_explicit(&f->drops[why], n + 1, memory_order_relaxed);
}
// Whether the peer's rate lets a packet of n bytes pass; counts its drop if not. Not asked for what control sends.
bool fwd_may_pass(struct fwd *f, const struct fwd_tunnel *t, bool to_peer, uint32_t n, bw_time now);
const struct fwd_route *fwd_route_to(struct fwd *f, const struct fwd_snapshot *s, const struct bw_addr *dst,
                                     bool from_tun);

// ---- out.c: packets that leave over a link ----

enum path_seal { PATH_PLAIN, PATH_TRANSPORT, PATH_TUNNEL }; // end to end (RFC 4301 section 4.1)
struct path {
    const struct fwd_link *link;     // has keys and an endpoint
    const struct fwd_tunnel *tunnel; // to whose peer; NULL: to none
    enum path_seal seal;
    struct bw_addr peer;                 // the other end, if sealed
    const struct session_entry *session; // NULL: no keys for it yet
};
// Resolve where a route or slot leads. False: the packet can't go there, for the reason in *why (not counted yet).
bool path_to_link(const struct fwd_snapshot *s, uint16_t slot, struct path *p, enum fwd_drop *why);
bool path_to_tunnel(struct fwd *f, const struct fwd_snapshot *s, const struct bw_addr *peer, struct path *p,
                    enum fwd_drop *why);
// Like path_to_tunnel, in tunnel mode to a peer that needs no lease.
bool path_to_export(struct fwd *f, const struct fwd_snapshot *s, const struct bw_addr *peer, struct path *p,
                    enum fwd_drop *why);
static inline size_t path_mtu(const struct path *p)
{
    size_t outer = p->session && p->session->mtu < FWD_MTU ? p->session->mtu : FWD_MTU;
    if (p->seal == PATH_PLAIN) return FWD_MTU;
    return p->seal == PATH_TUNNEL ? session_tunnel_mtu(outer) : session_transport_mtu(outer);
}
// What a sender can be told: nobody makes IPv6 packets smaller than 1,280 bytes (RFC 8200 section 5).
static inline size_t path_told_mtu(const struct path *p, uint8_t version)
{
    size_t mtu = path_mtu(p);
    return version == 6 && mtu < IP6_MTU_MIN ? IP6_MTU_MIN : mtu;
}
// Whether out_packet can send v as it is, or in fragments: IPv4's as RFC 791 has them; IPv6 packets of up to 1,280 bytes where
// the way to the other end is too small for them in ESP (RFC 2473 section 7.1 has the tunnel's entry cut them).
bool path_fits(const struct path *p, const struct ip_view *v);
// Room for one packet of n bytes (at most path_mtu) in the pending train, which is sent first if it can't take it;
// then, after the caller has written the packet there, out_seal. n == 0: keepalive.
uint8_t *out_room(struct fwd *f, const struct path *p, size_t n);
int out_seal(struct fwd *f, const struct fwd_snapshot *s, const struct path *p, size_t n,
             bw_time now) BW_NODISCARD; // counts its drop
// A whole packet that path_fits; else false (nothing counted).
bool out_packet(struct fwd *f, const struct fwd_snapshot *s, const struct path *p, const struct ip_view *v,
                bw_time now);

bool train_takes(const struct train *t, const struct fwd_link *link, size_t n);
void train_add(struct train *t, const struct fwd_link *link, uint8_t *message, size_t n);
void train_send(struct fwd *f, struct train *t); // and empty it

// ---- icmp.c ----

enum icmp_kind { ICMP_HOP_LIMIT, ICMP_NO_ROUTE, ICMP_TOO_BIG, ICMP_PROHIBITED };
// An error about packet v, rate limited, to its source: through the mesh if it came from link `from`, else
// (FWD_NO_LINK) into the TUN. Nothing is sent about errors, multicast, later fragments and impossible sources.
void icmp_error(struct fwd *f, const struct fwd_snapshot *s, const struct ip_view *v, enum icmp_kind kind, size_t mtu,
                uint16_t from, bw_time now);

// ---- esp.c: the end-to-end layer. Everything for our own address comes by end_in; everything that leaves this machine
//      for the mesh comes by end_out. ----

// Where packet v from the TUN goes by route r. False: nowhere, *why.
bool end_out(struct fwd *f, const struct fwd_snapshot *s, const struct fwd_route *r, const struct ip_view *v,
             struct path *p, enum fwd_drop *why);
// A packet for our own address (hop by hop authentic): opened, then to the TUN, out of the tunnel or to control.
void end_in(struct fwd *f, const struct fwd_snapshot *s, const struct ip_view *v, uint16_t from, bw_time now);
const struct session_entry *end_session(struct fwd *f, const struct fwd_snapshot *s, const struct bw_addr *peer);
// Whether a packet that came in plain claims to be from where packets come sealed, or from ourselves.
bool end_must_be_sealed(const struct fwd_snapshot *s, const struct ip_view *v);
// Bytes before the inner packet while it is written, and the length of the outer one that it becomes.
size_t end_room(const struct path *p);
size_t end_len(const struct path *p, size_t n);
// Makes the outer packet at `outer` of the inner one of n bytes at outer + end_room. Returns its length, or a negative
// error: it was punted or dropped, and counted.
int end_seal(struct fwd *f, const struct fwd_snapshot *s, const struct path *p, uint8_t *outer, size_t n, bw_time now);

// ---- tunnel.c ----

// Whom what is for the tunnel to `peer` goes to: what has the address that another exit leased to us is that one's, since
// connections that began there have no future anywhere else.
const struct bw_addr *tunnel_peer(const struct fwd_snapshot *s, const struct bw_addr *peer, const struct ip_view *v);
// The outer header (RFC 2473, RFC 6040) of what goes in tunnel mode.
void tunnel_out(const struct fwd_snapshot *s, const struct path *p, uint8_t *outer, const uint8_t *inner);
// Checks an inner packet that `peer` sent end to end against its tunnel, punts it or gives it to the TUN. outer: its header.
void tunnel_in(struct fwd *f, const struct fwd_snapshot *s, const struct ip_view *outer, uint8_t *inner, size_t n,
               bool v4, uint16_t from, bw_time now);

#endif
