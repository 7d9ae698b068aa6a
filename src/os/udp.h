// The underlay: one UDP port over IPv4 and IPv6, as two sockets (each may be missing on a machine without that family).
// Trains go out by UDP_SEGMENT and come in by UDP_GRO where the kernel can; everything falls back to single datagrams.
// Outer packets are sent without DF: where the underlay is smaller than a datagram the kernel fragments it (DESIGN 2).
// A struct os_udp is used by one thread, except that sending is safe from several.
#ifndef OS_UDP_H
#define OS_UDP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define OS_ERROR_TEXT 200 // room for an error text that a person can act on

struct os_udp_options {
    uint16_t port; // 0: any free one; os_udp.port tells which
    uint32_t mark; // fwmark of every packet sent (SO_MARK); 0: none
    bool share;    // several sockets on this port (SO_REUSEPORT), one set per worker
    bool join;     // not the first of a shared set: `port` is already ours
    bool loopback; // bind to 127.0.0.1 and ::1 only (tests)
};

#define OS_UDP_GSO_OFF 16
struct os_udp {
    int fd4, fd6; // nonblocking; -1: family absent. For epoll; closed by os_udp_close
    uint16_t port;
    bool gro;
    // Destinations that refused UDP_SEGMENT (no checksum offload, route smaller than a segment): trains that may still
    // be sent singly before it is tried again, by hash of the destination.
    atomic_uint gso_off[OS_UDP_GSO_OFF];
};

// Opens and binds. On failure nothing stays open and `err` says what is wrong and what to do. BW_ERR_EXISTS: port
// taken; BW_ERR_DENIED: not permitted; BW_ERR_SYS otherwise.
int os_udp_open(struct os_udp *u, const struct os_udp_options *o, char err[OS_ERROR_TEXT]) BW_NODISCARD;
void os_udp_close(struct os_udp *u);

// Received: one train (datagrams of `seg` bytes back to back, the last may be shorter) from one sender.
struct os_udp_train {
    uint8_t *data; // caller's buffer of `room` bytes
    uint32_t room, len;
    uint16_t seg;
    uint32_t ifindex; // where it arrived
    struct bw_endpoint remote;
    bool multicast; // it was sent to a group, not to us
};
// Up to n trains (at most OS_UDP_BATCH) from fd (one of u's) into t[].data. Returns how many, 0 when there is nothing.
// Errors that the network reports (ICMP) are not errors here. Truncated trains come without their last, partial
// datagram.
#define OS_UDP_BATCH 8
#define OS_UDP_ROOM 65536
int os_udp_receive(int fd, struct os_udp_train *t, unsigned n);

// Sends len bytes to remote as datagrams of seg bytes (the last may be shorter; at most 64 and 65,507 bytes in all),
// from interface ifindex (0: as the routing table says). Returns the number of datagrams that the kernel took: fewer
// than there are means that the socket's buffer is full or the destination unreachable, and they are lost. Never
// blocks.
unsigned os_udp_send(struct os_udp *u, const struct bw_endpoint *remote, uint32_t ifindex, const uint8_t *data,
                     uint32_t len, uint16_t seg);

// IPv6 multicast, for beacons. Sends go through os_udp_send with the group as remote (hop limit 255, not looped back).
int os_udp_join(struct os_udp *u, const struct bw_addr *group,
                uint32_t ifindex) BW_NODISCARD; // 0 also if already joined
void os_udp_leave(struct os_udp *u, const struct bw_addr *group, uint32_t ifindex);

#endif
