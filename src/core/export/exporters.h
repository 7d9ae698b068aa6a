// Who exports which networks (DESIGN 2; docs/spec/session.md, section 13): routes to networks that are no mesh addresses are
// matched by their router-id with mesh addresses, those are asked for their signed record, and what a record confirms is
// reached in ESP tunnel mode only. Also this node's own record.
//
// A pure state machine: the owner hands in Babel's selected routes after each change (begin, routes, nodes, end) and answers
// to its requests, and looks up what to do with a route when it builds the packet path's tables.
#ifndef CORE_EXPORT_EXPORTERS_H
#define CORE_EXPORT_EXPORTERS_H

#include "base/mem.h"
#include "base/time.h"
#include "core/exit/record.h"
#include "wire/export.h"

#define EXPORTERS_MAX 2048              // known at a time, shared out among the links; routes of further ones are not used
#define EXPORT_NO_SLOT UINT16_MAX
#define EXPORT_ASKS 8                   // requests under way
#define EXPORT_ASK_TIME (6 * BW_S)
#define EXPORT_GRACE (1 * BW_S)         // a router-id whose mesh address is not known may be a stock neighbour's after this
#define EXPORT_LIFETIME_S 3600u         // of our own record; others ask again at half of it
#define EXPORT_WANTED_TIME (600 * BW_S) // who sent us something from a network of its own is asked for so long
#define EXPORT_RETRY_MOST (60 * BW_S)

enum exporter_says {
    EXPORT_STOCK,       // not a byway node's: it has no mesh address
    EXPORT_UNCONFIRMED, // a byway node's that has not confirmed it (yet): nothing may go there
    EXPORT_CONFIRMED,   // in tunnel mode to *via
};

struct exporters_ops {
    void *ctx;
    // GET /v1/export from `to`, answered by exporters_answered with this serial (below 2^30); given up after EXPORT_ASK_TIME.
    void (*ask)(void *ctx, uint32_t serial, const struct bw_addr *to);
    void (*changed)(void *ctx); // exporters_lookup and exporters_each may say something else
    void (*again)(void *ctx);   // hand in the routes again, not during the call
};

struct exporters;

// mem and id must outlive it; hash_key and ops are copied. NULL: no memory.
struct exporters *exporters_new(struct bw_mem *mem, const struct identity *id, const uint8_t hash_key[16],
                                const struct exporters_ops *ops);
void exporters_free(struct exporters *x); // NULL is fine

// ---- Babel's selected routes, all of them after each change ----
void exporters_begin(struct exporters *x);
// A route that is reachable, not our own, and outside of fc00::/8, over the link `slot`. A link that brings fewer router-ids than
// others takes room from them; of theirs, those go first that were asked in vain, then others without a record.
void exporters_route(struct exporters *x, const struct bw_prefix *p, const uint8_t router_id[8], uint16_t slot, bw_time now);
void exporters_node(struct exporters *x, const struct bw_addr *a); // a reachable mesh address; after the routes
void exporters_end(struct exporters *x, bw_time now);

// ---- other inputs ----
// Something came out of this node's tunnel from a network that we don't know to be its.
void exporters_want(struct exporters *x, const struct bw_addr *a, bw_time now);
void exporters_answered(struct exporters *x, uint32_t serial, int status, const char *body, size_t n, bw_time now); // status 0: no answer
bw_time exporters_tick(struct exporters *x, bw_time now); // asks what is to be asked; returns the deadline

// ---- what is so ----
bool exporters_none(const struct exporters *x); // without routes to networks there is nothing to hand in either
// The way of a selected route to p with this router-id. Whoever announces a confirmed exporter's network, or a part of it, under
// a router-id that is nobody's does not get its packets: they go to the exporter, or nowhere while it is out of reach. That
// holds for networks that the exporter itself has announced: a record alone takes nothing over.
enum exporter_says exporters_lookup(const struct exporters *x, const struct bw_prefix *p, const uint8_t router_id[8],
                                    struct bw_addr *via, bw_time now);
// Every exporter with the confirmed networks that are routed at present: from its tunnel they may come.
void exporters_each(const struct exporters *x, void (*fn)(void *ctx, const struct bw_addr *peer, const struct bw_prefix *p, unsigned n),
                    void *ctx);
// What to answer to GET /v1/export: the signed record of our own networks (the first EXPORT_PREFIXES). Its length, or an error.
int exporters_own(const struct identity *id, const struct bw_prefix *p, unsigned count, uint64_t unix_s, char *out, size_t cap) BW_NODISCARD;

#endif
