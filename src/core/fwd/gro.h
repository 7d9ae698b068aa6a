// Packets on their way to the TUN: consecutive TCP segments of one flow, and UDP datagrams of one flow and size, become
// one virtio_net_hdr super-frame of up to 64 KiB, which the kernel takes as one packet. Rules as in Linux's own GRO, on
// the strict side: what is joined can be cut into exactly the packets that came in. Payload is not copied: a frame is
// gathered from where its packets lie, so packets must stay where they are until gro_flush.
#ifndef CORE_FWD_GRO_H
#define CORE_FWD_GRO_H

#include "core/fwd/fwd.h"
#include "core/fwd/ip.h"
#include "core/fwd/vnet.h"

#define GRO_FLOWS 8

struct gro_flow {
    bool used, closed, psh; // closed: nothing may follow (PSH, or a short segment)
    bool verified;          // the first packet's checksum
    struct ip_view first;
    uint16_t l4;           // transport header's length
    uint16_t size;         // payload of every packet but the last
    uint16_t count, id;    // packets; IPv4 identification of the last
    uint32_t payload, seq; // bytes so far; TCP sequence number that must follow
    uint8_t head[VNET_LEN + IP6_HEADER + 60];
    struct fwd_piece pieces[FWD_PIECES_MAX];
};

struct gro {
    struct gro_flow flow[GRO_FLOWS];
    unsigned next; // the one to go when all are taken
};

// A packet for the TUN, with VNET_LEN bytes before v->p that may be overwritten.
void gro_add(struct gro *g, const struct fwd_sink *sink, bool uso, const struct ip_view *v);
void gro_flush(struct gro *g, const struct fwd_sink *sink);

#endif
