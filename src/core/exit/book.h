// The exits that this node knows: heard of (by the router-id of a route to fc00::e, from another exit's list, from a client),
// asked by themselves for their offer, aged, forgotten. One book per node: the client chooses from it, the exit passes it on.
#ifndef CORE_EXIT_BOOK_H
#define CORE_EXIT_BOOK_H

#include "base/mem.h"
#include "base/time.h"
#include "core/exit/record.h"

#define BOOK_MAX 32
#define BOOK_UNREACHABLE 65535u

struct book_entry {
    bool used;
    struct bw_addr address;
    bool has_offer, direct;  // direct: told by the exit itself, not passed on
    struct offer offer;
    char *text;              // its record, for passing on
    size_t text_len;
    bw_time offer_at;
    uint32_t metric;         // Babel's to the address; BOOK_UNREACHABLE: no route
    struct bw_addr next_hop; // of that route
    bw_time changed_at;      // when metric or next hop changed last
    bw_time lost_at;         // since when there is no route; BW_NEVER: there is one
    int64_t rtt_us;          // last heartbeat; -1: unknown
    bool asking;             // a request for the offer is under way
    unsigned failures;       // in a row: asks, leases, heartbeats
    bw_time next_ask, blocked_until;
    bw_time slowed_until;    // it has slowed us (our volume there is used up): others first
    struct bw_addr previous4, previous6; // what we had there last, to ask for it again
};

// What Babel says of a mesh address now: its metric (BOOK_UNREACHABLE: no route) and next hop. Only reads.
typedef uint32_t book_metric_fn(void *ctx, const struct bw_addr *address, struct bw_addr *next_hop);

struct book {
    struct bw_mem *mem;
    struct bw_addr self;
    book_metric_fn *metric;
    void *ctx;
    struct book_entry entry[BOOK_MAX];
    unsigned top; // none has been used from here on
};

void book_init(struct book *b, struct bw_mem *mem, const struct bw_addr *self, book_metric_fn *metric, void *ctx);
void book_free(struct book *b);
struct book_entry *book_find(struct book *b, const struct bw_addr *address);
// An address that may be an exit. NULL: not a mesh address, our own, or no room among better ones.
struct book_entry *book_hear(struct book *b, const struct bw_addr *address, bw_time now);
// A record as text: decoded, verified, taken in. BW_ERR_AUTH and others: refused. from: who said
// it, fc00::e included; NULL: somebody else passed it on.
int book_offer(struct book *b, const char *text, size_t n, const struct bw_addr *from, bw_time now,
               struct book_entry **out) BW_NODISCARD;
void book_routes_changed(struct book *b, bw_time now); // asks the metric of every entry again
// What did not work is left alone for a while: 2 s, doubling up to 12 s.
void book_failed(struct book_entry *e, bw_time now);
void book_worked(struct book_entry *e);
// Offers past their life time lose it; entries without offer that were asked in vain go.
void book_age(struct book *b, bw_time now);
bool book_usable(const struct book_entry *e, bw_time now); // has an offer, a route, and is not blocked
// Records to pass on, nearest first.
unsigned book_texts(const struct book *b, struct offer_text *out, unsigned max);

#endif
