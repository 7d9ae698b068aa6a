// Echo requests with a chosen hop limit, and what comes back for them: for `byway ping`, `byway trace` and uplink
// probes. Raw sockets (CAP_NET_RAW), one per family, in the libuv loop.
#ifndef OS_ICMP_H
#define OS_ICMP_H

#include <uv.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/time.h"

enum os_icmp_kind { OS_ICMP_ECHO, OS_ICMP_TIME_EXCEEDED, OS_ICMP_UNREACHABLE, OS_ICMP_TOO_BIG, OS_ICMP_OTHER };

struct os_icmp_reply {
    enum os_icmp_kind kind;
    struct bw_addr from;   // who answered
    struct bw_addr target; // whom we asked: from itself, or the quoted packet's destination
    uint16_t id, seq;      // ours, also when quoted
    uint8_t type, code;    // as on the wire
    int hop_limit;         // of the answer, -1 if unknown
    uint32_t mtu;          // OS_ICMP_TOO_BIG
    size_t size;           // bytes of ICMP message
    bw_time at;
};

// Pure decoders. v4: the packet with its IPv4 header (as raw sockets give it); v6: the ICMPv6 message alone.
// BW_ERR_UNSUPPORTED: not an answer to an echo request.
int os_icmp4_decode(const void *p, size_t n, struct os_icmp_reply *out) BW_NODISCARD;
int os_icmp6_decode(const void *p, size_t n, struct os_icmp_reply *out) BW_NODISCARD;

struct os_icmp_config {
    bool v4;            // else IPv6
    struct bw_addr src; // zero: the kernel's choice
    uint32_t mark;      // SO_MARK, 0: none
    const char *device; // SO_BINDTODEVICE, NULL: none
};

struct os_icmp;
typedef void os_icmp_fn(void *ctx, const struct os_icmp_reply *r); // only answers to our own id; may close

int os_icmp_open(uv_loop_t *loop, const struct os_icmp_config *c, os_icmp_fn *fn, void *ctx, struct os_icmp **out,
                 char *why, size_t n) BW_NODISCARD;
// hop_limit 0: the system's. size: payload bytes, 0..1452 (zeros). BW_ERR_SYS: errno (ENETUNREACH, ...).
int os_icmp_send(struct os_icmp *ic, const struct bw_addr *to, uint16_t seq, uint8_t hop_limit,
                 size_t size) BW_NODISCARD;
void os_icmp_close(struct os_icmp *ic); // NULL is fine

#endif
