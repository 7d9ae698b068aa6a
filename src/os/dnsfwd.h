// A DNS forwarder, not a resolver: it passes queries on UDP and TCP to the machine's own resolvers and the answers
// back. An exit answers its clients with it at its inner address, a client's machine at a loopback address. Each UDP
// query gets a new random id and a socket, hence port, of its own; an answer counts only from the server that was
// asked, with that id and the same question. Everything is bounded: OS_DNSFWD_UDP queries, OS_DNSFWD_TCP connections,
// seconds; and of places that are all taken the client with most gives way to one with fewer.
#ifndef OS_DNSFWD_H
#define OS_DNSFWD_H

#include <stdint.h>
#include <uv.h>

#include "base/addr.h"
#include "base/err.h"

#define OS_DNSFWD_UDP 256
#define OS_DNSFWD_TCP 32
#define OS_DNSFWD_UPSTREAMS 4

struct os_dnsfwd_config {
    struct bw_endpoint listen;                         // port 53 as a rule; the address need not exist yet
    struct bw_endpoint upstreams[OS_DNSFWD_UPSTREAMS]; // asked in this order, the next after 1.5 s of silence
    size_t upstream_count;
    struct bw_prefix clients[4]; // only these are answered; others are dropped and counted
    size_t client_count;         // 0: everybody
    uint32_t mark;               // SO_MARK of what goes upstream
};

struct os_dnsfwd_stats {
    uint64_t queries, answers, timeouts, refused_source, refused_full, malformed, tcp_connections;
};

struct os_dnsfwd;
// BW_ERR_EXISTS: the address and port are taken.
int os_dnsfwd_open(uv_loop_t *loop, const struct os_dnsfwd_config *c, struct os_dnsfwd **out, char *why,
                   size_t n) BW_NODISCARD;
void os_dnsfwd_upstreams(struct os_dnsfwd *d, const struct bw_endpoint *up,
                         size_t count); // queries under way keep theirs
void os_dnsfwd_stats(const struct os_dnsfwd *d, struct os_dnsfwd_stats *out);
void os_dnsfwd_close(struct os_dnsfwd *d); // NULL is fine

// Length of the one question behind a message's header: name, type, class. 0: it is not one whole plain question. Pure.
size_t os_dnsfwd_question(const uint8_t *p, size_t n);

#endif
