// ICMP and ICMPv6 echo between a client and its exit's gateway, as whole IP packets: heartbeats and their answers
// (RFC 792, RFC 4443). Heartbeats carry the identifier ECHO_ID; everything else to the gateway is the kernel's.
#ifndef CORE_EXIT_ECHO_H
#define CORE_EXIT_ECHO_H

#include "base/addr.h"

#define ECHO_ID 0x4870
#define ECHO_MAX 64 // bytes of a heartbeat

enum echo_kind { ECHO_OTHER, ECHO_REQUEST, ECHO_REPLY, ECHO_UNREACHABLE };

struct echo {
    enum echo_kind kind;
    struct bw_addr src, dst;
    uint16_t id, seq;       // request and reply; of an unreachable: those of the quoted request, 0 if it quotes something else
    bool has_news;
    uint16_t news;          // of a reply that carries data: see echo_reply
    struct bw_addr quoted;  // unreachable: destination of the packet that did not get through
};

// A packet read: ECHO_OTHER for whatever is none of the three. BW_ERR_MALFORMED: lengths or checksums are wrong.
int echo_parse(const uint8_t *packet, size_t n, struct echo *out) BW_NODISCARD;
// A heartbeat. Returns its length (at most ECHO_MAX). Both addresses of one family.
size_t echo_request(uint8_t out[ECHO_MAX], const struct bw_addr *src, const struct bw_addr *dst, uint16_t seq);
// The reply to a parsed request, with its data; to one without data (a heartbeat), with `news` as data. 0: does not fit.
size_t echo_reply(const uint8_t *packet, size_t n, uint16_t news, uint8_t *out, size_t cap);
// "Network unreachable" about `packet`, from `from`, quoting as much as the RFC wants. 0: does not fit.
size_t echo_unreachable(const uint8_t *packet, size_t n, const struct bw_addr *from, uint8_t *out, size_t cap);

#endif
