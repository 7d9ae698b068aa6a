// The inside of struct fwd, shared by the files of the packet path and by nobody else.
//   rx.c  from links   tx.c  from the TUN   gro.c  to the TUN   out.c  to links   tunnel.c  end to end   icmp.c  errors
#ifndef CORE_FWD_PATH_H
#define CORE_FWD_PATH_H

#include "core/fwd/gro.h"
#include "core/fwd/ip.h"
#include "core/fwd/snapshot.h"

#define TRAIN_SEGMENTS 64    // what the kernel takes in one UDP_SEGMENT call
#define TRAIN_BYTES 65507u   // and the most that fits into one UDP datagram over IPv4
#define ICMP_QUOTE_MAX 1280u // the longest error that we write

// A train that is being put together: sealed messages back to back.
struct train {
    const struct fwd_link *link;
    uint8_t *data;
    uint32_t len;
    uint16_t seg, count; // count 0: empty
};

struct bucket { // of tokens, kept as the time that they take to grow
    bw_time credit, last;
};

struct fwd {
    struct fwd_sink sink;
    unsigned thread;
    bool uso;
    atomic_uint_least64_t drops[FWD_DROP_COUNT]; // written by one thread, read by any
    struct bucket icmp_wire, icmp_tun;
    struct { // the last route that was looked up; forgotten by fwd_flush
        bool valid, from_tun;
        struct bw_addr dst;
        const struct fwd_route *route;
    } cache;
    struct gro gro;
    struct train pending; // lies in `out`
    uint8_t icmp[VNET_LEN + ICMP_QUOTE_MAX];
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

struct path {
    const struct fwd_link *link;     // has keys and an endpoint
    const struct fwd_tunnel *tunnel; // NULL: plain
};
// Resolve where a route or slot leads. False: the packet can't go there, for the reason in *why (not counted yet).
bool path_to_link(const struct fwd_snapshot *s, uint16_t slot, struct path *p, enum fwd_drop *why);
bool path_to_tunnel(const struct fwd_snapshot *s, const struct bw_addr *peer, struct path *p, enum fwd_drop *why);
static inline size_t path_mtu(const struct path *p)
{
    return p->tunnel ? FWD_MTU - FWD_TUNNEL_OVERHEAD : FWD_MTU;
}
// Room for one packet of n bytes (at most path_mtu) in the pending train, which is sent first if it can't take it;
// then, after the caller has written the packet there, out_seal. n == 0: keepalive.
uint8_t *out_room(struct fwd *f, const struct path *p, size_t n);
int out_seal(struct fwd *f, const struct fwd_snapshot *s, const struct path *p, size_t n,
             bw_time now) BW_NODISCARD; // counts its drop
// A whole packet; IPv4 packets that are too long and may be fragmented are. False: too long (nothing counted).
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

// ---- tunnel.c: the end-to-end layer's place. Everything for our own address comes by end_in; everything that leaves
// this
//      machine for the mesh comes by end_out. ----

// Where a packet from the TUN goes. False: nowhere, *why.
bool end_out(const struct fwd_snapshot *s, const struct fwd_route *r, struct path *p, enum fwd_drop *why);
// A packet for our own address (hop by hop authentic): to the TUN, or out of the tunnel.
void end_in(struct fwd *f, const struct fwd_snapshot *s, const struct ip_view *v, uint16_t from, bw_time now);
// Writes what goes before an inner packet of n bytes at outer + FWD_TUNNEL_OVERHEAD (RFC 2473, RFC 6040).
void fwd_tunnel_out(const struct fwd_snapshot *s, const struct fwd_tunnel *t, uint8_t *outer, size_t n);
// Takes the outer header off, checks the inner packet against the tunnel, punts it or gives it to the TUN.
void fwd_tunnel_in(struct fwd *f, const struct fwd_snapshot *s, const struct ip_view *outer, uint16_t from,
                   bw_time now);

#endif
