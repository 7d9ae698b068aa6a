// Inside of the Babel speaker: its tables and what its files offer each other. Nobody outside core/babel includes this.
//
// Shape. Destinations live in one growing array, found by a keyed open-addressing hash. Routes are a matrix stored by
// columns: each neighbour has an array of 12-byte routes, indexed like the destinations, so that a route costs no pointer,
// no allocation and no neighbour field, and whatever concerns a whole neighbour (death, cost) is one linear scan.
// What is to be announced is a list of destinations in the order of their last change; a link remembers how far it has got.
#ifndef CORE_BABEL_INTERNAL_H
#define CORE_BABEL_INTERNAL_H

#include "core/babel/babel.h"
#include "crypto/crypto.h"
#include "wire/babel.h"

#define INF 0xffffu
#define NIL UINT32_MAX          // no destination, request, ...
#define SEL_NONE UINT16_MAX     // dest.selected: nothing
#define SEL_OWN (UINT16_MAX - 1) // ... our own origination

enum {
    FLIGHT_MAX = 16,       // packets of updates waiting for their acknowledgment, per link
    IFACE_NEIGHBOURS = 3,  // addresses heard on one link: the peer, and those that it had a moment ago
    ITEMS_MAX = 1024,      // requests and answers waiting to be sent, per link
    SOURCES_MAX = 64,      // router-ids remembered for one prefix
    REQUESTERS_MAX = 4,
};

// ---- destinations and sources ----

struct source { // feasibility distance of (prefix of the dest, router_id), RFC 8966 section 3.2.5
    uint8_t router_id[8];
    uint16_t seqno, metric;
    uint16_t gc;   // second at which it may be forgotten
    uint8_t valid; // 0: nothing announced yet; here because a route names this router-id
    uint8_t used;  // the slot is taken
};

enum {
    DEST_USED = 1,
    DEST_OWN = 2,       // originated here
    DEST_HELD = 4,      // lost: told the owner "unreachable", not yet forgotten (section 3.5.4)
    DEST_ANNOUNCED = 8, // some neighbour may have a route to it from us
    DEST_LATER = 16,    // in the list of those to be looked at again
    DEST_LEARNT = 32,   // has routes
    DEST_LISTED = 64,   // in the list of changes
    DEST_MIXED = 256,   // neighbours may hold routes from us with another router-id than the present one
    DEST_WAITS = 512,   // has a route that may be chosen once neighbours have forgotten what we said
    DEST_FRESH = 1024,  // the last change supersedes all that was said before, at everybody who has it
    DEST_WANTS = 2048,  // a better route of another source would be chosen once a newer seqno has been announced
    DEST_PLACED = 4096, // has a place within the cap: may be selected
    DEST_MOVED = 128,   // another next hop, not announced yet: the old one may hear of it, the new one must not
};

struct dest {
    struct bw_addr addr;
    struct source src0;      // source 0; those of a prefix with several router-ids follow in `more`
    struct source *more;
    uint32_t prev, next;     // list of changes, oldest first
    uint32_t change;         // number of the last change
    uint32_t switched;       // number of the change that last altered who may hear of it (next hop, loss)
    uint32_t later;          // next in the list of those to be looked at again
    uint32_t requests;       // pending requests, linked by request.next
    uint16_t selected;       // neighbour index, SEL_OWN or SEL_NONE
    uint16_t metric;         // of the selected route; INF
    uint16_t told;           // metric at the last change: what neighbours (will) believe
    uint16_t own_metric;
    uint16_t held_until;     // second
    uint16_t sent_before, sent_now; // least metric announced up to the last change, and since (INF: none)
    uint16_t base_seqno;            // of the last change that superseded what was said before
    uint16_t flags;
    uint16_t holder; // slot of the link against whose share it counts; BABEL_ANY_SLOT: none
    uint8_t len, more_cap, told_src, base_src;
};
_Static_assert(sizeof(struct dest) <= 88, "25 million of these must fit");

#define TOLD_OWN 0xff     // dest.told_src, base_src
#define TOLD_NOTHING 0xfe // dest.base_src

enum { ROUTE_PRESENT = 1, ROUTE_ASKED = 2, ROUTE_FOREVER = 4 };
struct route {
    uint16_t seqno, refmetric;
    uint16_t smooth, smooth_at; // smoothed metric (RFC 8966 appendix A.3), when (eighths of a second)
    uint16_t expiry;            // second
    uint8_t src, flags;
};
_Static_assert(sizeof(struct route) == 12, "200 million of these must fit");

struct own { // an origination on one link only
    struct bw_prefix prefix;
    uint16_t metric, slot; // metric INF: withdrawn, kept until the retraction has been sent for a while
};

struct request { // a seqno request that waits for its answer (section 3.2.7)
    uint32_t dest, next;
    uint8_t router_id[8];
    uint16_t seqno;
    uint16_t asked;      // neighbour to ask in any case; SEL_NONE
    uint16_t below;      // and all whose routes are unfeasible and would have a smaller metric than this
    uint16_t requesters[REQUESTERS_MAX]; // neighbours on whose behalf; none: our own wish
    uint8_t requester_count, tries, hops;
    bool own, all, used; // all: more requesters than we remember
    bw_time at;
};

// ---- neighbours and links ----

struct hellos { // of one kind, from one neighbour (appendix A.1)
    bool active;     // scheduled ones have been heard
    uint8_t seen, missed; // entries of the history that mean something; consecutive misses
    uint16_t bits, expected;
    bw_time interval, deadline;
};

struct neighbour {
    struct iface *ifc;
    struct bw_addr addr;
    uint16_t index;
    bool up, was_up, was_down, byway;
    bool table_due;      // nothing has come since it came up: asks for its table, at table_at
    uint8_t table_tries;
    struct babel_capability cap;
    struct hellos m, u;
    uint32_t quality, quality_n; // share of Hellos received, smoothed, 65536 = all; how many it rests on
    uint16_t rxcost, txcost, cost;
    bool suspect, silent; // misses Hellos: half way to dead; dead
    bw_time ihu_deadline, since, cost_since, heard, table_at;
    bool have_times;
    uint32_t origin, receive; // RFC 9616 section 3.1
    int64_t rtt, rtt_dev;     // smoothed RTT and its deviation, us; rtt < 0: none
    int64_t rtt_last[2];      // the two newest samples
    uint8_t rtt_n;            // samples
    uint16_t uhello_seqno;
    uint32_t uhello_ms;       // at which we send; 0: not
    bw_time uhello_at;
    struct route *col;
    uint32_t col_cap, routes;
};

struct flight { // a packet of updates: the changes from..to (from excluded)
    uint16_t opaque;
    uint8_t tries;
    uint32_t from, to;
    bw_time at;
};

struct item { // something small to send soon: a TLV of this type
    uint8_t type, hops;
    bool wildcard;
    uint16_t value; // ACK: opaque; SEQNO_REQUEST: seqno
    uint8_t router_id[8];
    struct bw_prefix prefix;
};

struct iface {
    uint16_t slot;
    struct babel_iface_params p;
    uint32_t heap; // position in b->heap
    bw_time at;    // the earliest of its deadlines
    struct neighbour *neigh[IFACE_NEIGHBOURS];
    unsigned neigh_count;
    struct neighbour *peer; // heard last: unicast goes there
    uint16_t hello_seqno;
    bw_time hello_at;
    bool greeted;           // the peer has acknowledged our first packet, and with it the retraction of an earlier life's routes
    uint8_t greet_tries;
    uint16_t greet_opaque;
    bw_time flush_at, paced_until;
    uint32_t cur;          // next destination of the list of changes; NIL: all sent
    uint32_t sent;         // number of the last change sent
    uint32_t retract_from; // changes up to this one are known to the peer: no retraction needed for them
    struct flight flight[FLIGHT_MAX];
    unsigned flight_count, window;
    bw_time resend_at, update_at, dumped, interval; // interval: of full updates, as told to the peer
    bw_time redump_at;  // the peer has asked for the table again, too soon to be answered at once
    uint32_t dump_next; // next destination of a full update; NIL: none going on
    bool own_due;       // originations on this link only are to be sent
    bool urgent;        // what waits is urgent: acknowledge soon
    struct item *items;
    unsigned item_count, item_cap;
    bool bye_acked;
    uint16_t bye_opaque;
    uint32_t held, spare, kept; // destinations that it holds: with a place; with routes and none; all, even if only distances are left
    uint32_t claim;             // places that are due to it and reserved
    uint32_t below;             // by the last look, what it offers gets a place if its handicapped metric is less
    struct far_list {
        struct far {
            uint32_t dest;
            uint16_t metric;
        } at[16];
        unsigned count;
    } far[2]; // at the last look the farthest of those with a place, and of those without, the farthest last
};

enum stage { STAGE_RUN, STAGE_DRAIN, STAGE_BYE, STAGE_DOWN };

struct babel {
    struct babel_config cfg;
    struct babel_ops ops;
    void *ctx;
    struct bw_mem *mem;
    struct bw_rng *rng;
    const struct bw_log *log;
    bw_time now, start;
    uint8_t hash_key[16];
    uint16_t seqno, seqno_limit, wanted_seqno;
    uint16_t source_life_s; // how long a neighbour may go on using what we announced
    bw_time wanted_until;
    bool holding;
    bw_time hold_until;
    bw_time unsure_until; // the clock has leapt: who is silent by that may well live and know nothing
    enum stage stage;
    bw_time stage_at, shutdown_deadline;

    struct dest *dests;
    uint32_t dest_cap, dest_top, dest_free, dest_count; // top: slots ever used; free: list through dest.next
    struct hash_slot {
        uint32_t hash, dest; // dest NIL: empty
    } *hash;
    uint32_t hash_cap; // a power of two, or 0
    uint32_t head, tail, change;
    uint32_t waiting; // destinations that wait, see DEST_WAITS
    uint32_t later[2], later_tail[2]; // two generations of destinations to be looked at again
    bw_time later_at, scan_at;
    uint32_t scan_next;
    uint16_t hold_min_s; // shortest hold time of a route seen: how often to look
    uint32_t placed, spare; // destinations with routes: with a place, without
    uint32_t holders;       // links that hold some with a place
    bw_time place_at;       // when places are given to those without
    struct own *own;
    uint32_t own_count, own_cap;
    struct request *requests;
    uint32_t request_cap, request_top, request_free, request_count;
    bw_time request_at;

    struct neighbour **neigh; // by index; NULL: free
    uint32_t neigh_cap, neigh_top;
    struct iface **by_slot;
    uint32_t slot_cap;
    struct iface **heap;
    uint32_t heap_count, heap_cap;
    bw_time kick; // changes were made: links shall flush by then
    struct babel_counters count;
};

// ---- small things ----

static inline uint16_t now_s(const struct babel *b) { return (uint16_t)(b->now / BW_S); }
static inline uint16_t now_8(const struct babel *b) { return (uint16_t)(b->now / (BW_S / 8)); }
static inline bool passed_16(uint16_t t, uint16_t now) { return (int16_t)(uint16_t)(now - t) >= 0; }
bw_time babel_jitter(struct babel *b, bw_time lo, bw_time hi); // uniform in lo..hi
static inline void babel_drop(struct babel *b, enum babel_drop why) { b->count.drops[why]++; }

// ---- table.c: destinations, sources, routes ----

static inline struct bw_prefix dest_prefix(const struct dest *d) { return (struct bw_prefix){d->addr, d->len}; }
struct dest *dest_find(const struct babel *b, const struct bw_prefix *p);
struct dest *dest_new(struct babel *b, const struct bw_prefix *p); // NULL: no memory. Pointers to dests move.
void dest_release(struct babel *b, struct dest *d);                // frees it if nothing needs it any more
static inline uint32_t dest_index(const struct babel *b, const struct dest *d) { return (uint32_t)(d - b->dests); }
void table_free(struct babel *b);

static inline struct source *dest_source(const struct dest *d, unsigned i)
{
    return i ? d->more + i - 1 : (struct source *)&d->src0;
}
static inline unsigned dest_source_count(const struct dest *d) { return 1u + d->more_cap; }
int source_get(struct babel *b, struct dest *d, const uint8_t router_id[8]); // index, made if need be; negative: error
int source_find(const struct dest *d, const uint8_t router_id[8]);
void source_announce(struct babel *b, struct source *s, uint16_t seqno, uint16_t metric); // section 3.7.3
void sources_collect(struct babel *b, struct dest *d);                                     // garbage collection

static inline struct route *route_get(const struct neighbour *n, uint32_t dest)
{
    return dest < n->col_cap && n->col[dest].flags & ROUTE_PRESENT ? &n->col[dest] : NULL;
}
struct route *route_new(struct babel *b, struct neighbour *n, struct dest *d); // NULL: no memory
void route_drop(struct babel *b, struct neighbour *n, struct dest *d);         // no selection follows by itself
bool route_feasible(const struct dest *d, const struct route *r);
static inline uint16_t route_metric(const struct neighbour *n, const struct route *r)
{
    uint32_t m = (uint32_t)r->refmetric + n->cost;
    return n->cost == INF || r->refmetric == INF || m >= INF ? INF : (uint16_t)m;
}

// ---- select.c: route selection and what follows from it ----

void dest_select(struct babel *b, struct dest *d);   // section 3.6
void dest_look_later(struct babel *b, struct dest *d); // selects again in 2..4 s
// The route's metric was `before` until now and is `after` from now on: keeps the smoothed one.
void route_smooth(const struct babel *b, struct route *r, uint16_t before, uint16_t after);
void later_run(struct babel *b);
void dest_waits(struct babel *b, struct dest *d, bool waits);
void waiting_run(struct babel *b);
void scan_run(struct babel *b);
bw_time scan_period(const struct babel *b);
void selected_view(const struct babel *b, const struct dest *d, struct babel_selected *out);

// ---- cap.c: the cap on learnt destinations, shared out among the links ----

// Whether a route from n to p, announced with refmetric, may come in, whose destination (d; NULL: not even known) has none.
// Makes room if need be.
bool cap_admit(struct babel *b, const struct neighbour *n, const struct dest *d, const struct bw_prefix *p, uint16_t refmetric);
void cap_offer(struct babel *b, struct dest *d); // it has a route that is new or other, and may get a place by that
void cap_place_soon(struct babel *b);            // places or distances have changed
void cap_run(struct babel *b);                   // gives places at place_at
void cap_look_anew(struct babel *b);             // from time to time, should something have gone unnoticed
void cap_route_new(struct babel *b, const struct neighbour *n, struct dest *d); // n has a new route to it
void cap_route_gone(struct babel *b, struct dest *d);                           // routes to it have gone, perhaps all
void cap_dest_gone(struct babel *b, struct dest *d);
void cap_iface_gone(struct babel *b, struct iface *ifc);

// ---- update.c: updates received; costs that change ----

void update_received(struct babel *b, struct neighbour *n, const struct babel_tlv *t);
void routes_flush(struct babel *b, struct neighbour *n);
void routes_recost(struct babel *b, struct neighbour *n, uint16_t old_cost);

// ---- request.c ----

// Asks for a seqno on our own behalf: neighbour `ask`, and those whose unfeasible routes have a metric smaller than `below`.
void request_want(struct babel *b, struct dest *d, const struct source *s, uint16_t seqno, uint16_t ask, uint16_t below, bool urgent);
void request_satisfy(struct babel *b, struct dest *d);
void requests_forget(struct babel *b, struct dest *d);
void requests_run(struct babel *b);
void route_request_received(struct babel *b, struct neighbour *n, const struct babel_tlv *t);
void seqno_request_received(struct babel *b, struct neighbour *n, const struct babel_tlv *t);

// ---- neighbour.c: Hellos, IHUs, costs ----

struct neighbour *neighbour_find(const struct iface *ifc, const struct bw_addr *addr);
struct neighbour *neighbour_new(struct babel *b, struct iface *ifc, const struct bw_addr *addr);
void neighbour_free(struct babel *b, struct neighbour *n); // forgets its routes
void neighbour_hello(struct babel *b, struct neighbour *n, const struct babel_tlv *t);
void neighbour_ihu(struct babel *b, struct neighbour *n, const struct babel_tlv *t);
void neighbour_rtt(struct babel *b, struct neighbour *n, uint32_t sent, uint32_t origin, uint32_t receive);
void neighbour_refresh(struct babel *b, struct neighbour *n); // recomputes its cost and acts on it
bool neighbour_timers(struct babel *b, struct neighbour *n);  // false: it has been freed
bw_time neighbour_deadline(const struct neighbour *n);
void neighbour_view(const struct neighbour *n, struct babel_neighbour *out);
uint32_t neighbour_wanted_ms(const struct neighbour *n); // unicast Hello interval that we ask it for

// ---- output.c: what is sent ----

enum urgency { URGENT, PROMPT }; // within 10 ms; within 30..90 ms
void change(struct babel *b, struct dest *d, enum urgency u); // to be announced on all links
void change_unlink(struct babel *b, struct dest *d);
void item_add(struct babel *b, struct iface *ifc, const struct item *it, bw_time by);
void iface_flush_by(struct babel *b, struct iface *ifc, bw_time at);
void iface_restart(struct babel *b, struct iface *ifc); // announces everything again
void iface_flush(struct babel *b, struct iface *ifc);
void iface_resend(struct babel *b, struct iface *ifc);
void iface_acked(struct babel *b, struct iface *ifc, uint16_t opaque);
void send_hello(struct babel *b, struct iface *ifc);
void send_unicast_hello(struct babel *b, struct neighbour *n);
void send_bye(struct babel *b, struct iface *ifc);
void iface_set_interval(struct babel *b, struct iface *ifc);
bool all_know(const struct babel *b, uint32_t change); // every peer has acknowledged all changes up to this one
void restricted_changed(struct babel *b, uint16_t slot);
bool restricted_find(const struct babel *b, const struct bw_prefix *p, uint16_t slot, uint32_t *at);
bool iface_up(const struct iface *ifc);

// ---- babel.c ----

void iface_touch(struct babel *b, struct iface *ifc); // its deadlines have moved
void babel_advance(struct babel *b, bw_time now);      // at the beginning
void babel_finish(struct babel *b);                   // at the end of every public call
void hold_check(struct babel *b);

#endif
