#include "core/export/exporters.h"

#include "core/link/table.h"

#define SHARES 64 // links, by slot; what came out of tunnels has the one behind them

struct claim { // a network that an exporter's record names
    struct table_node node; // first; by prefix
    struct bw_prefix prefix;
    struct exporter *by;
    bool live, was_live; // somebody announces it
    bool announced;      // its exporter has, under its own router-id: nobody takes a network over by a record alone
};

struct exporter {
    struct table_node node; // first; by router-id
    struct exporter *next;
    uint8_t id[8];
    struct bw_addr addr;    // zero: not known, perhaps a stock neighbour
    bool seen, reachable, was_reachable; // in Babel's present routes: its networks, its address
    bool lacks;             // it announces a network that its record does not name, or somebody else announces one of its
    bool settled;           // the time of grace is over
    bool confirmed;         // there is a record, though perhaps an empty one
    uint8_t share;          // whose room it takes
    struct claim *claims;
    unsigned claim_count, tries;
    uint32_t serial;        // of the request under way; 0: none
    bw_time first_at, asked_at, record_at, expires_at, wanted_until;
};

struct exporters {
    struct bw_mem *mem;
    const struct identity *id;
    struct exporters_ops ops;
    struct table by_id, by_prefix;
    struct exporter *list;
    unsigned count, asking, held[SHARES + 1];
    uint32_t last_serial;
    bool changed;
    bw_time missed_at; // there was no memory for one; 0: for all
};

struct exporters *exporters_new(struct bw_mem *mem, const struct identity *id, const uint8_t hash_key[16],
                                const struct exporters_ops *ops)
{
    struct exporters *x = bw_alloc(mem, sizeof *x);
    if (!x) return NULL;
    x->mem = mem;
    x->id = id;
    x->ops = *ops;
    int err = table_init(&x->by_id, mem, hash_key);
    if (table_init(&x->by_prefix, mem, hash_key) || err) {
        exporters_free(x);
        return NULL;
    }
    return x;
}

static void drop_claims(struct exporters *x, struct exporter *e)
{
    for (unsigned i = 0; i < e->claim_count; i++) table_remove(&x->by_prefix, &e->claims[i].node);
    bw_free(x->mem, e->claims, e->claim_count * sizeof *e->claims);
    e->claims = NULL;
    e->claim_count = 0;
    e->confirmed = false;
}

static void forget(struct exporters *x, struct exporter **at)
{
    struct exporter *e = *at;
    *at = e->next;
    if (e->serial) x->asking--;
    drop_claims(x, e);
    table_remove(&x->by_id, &e->node);
    x->count--;
    x->held[e->share]--;
    bw_free(x->mem, e, sizeof *e);
}

void exporters_free(struct exporters *x)
{
    if (!x) return;
    while (x->list) forget(x, &x->list);
    table_dispose(&x->by_id);
    table_dispose(&x->by_prefix);
    bw_free(x->mem, x, sizeof *x);
}

static struct exporter *find(const struct exporters *x, const uint8_t id[8])
{
    for (struct table_node *n = table_first(&x->by_id, id, 8); n; n = table_more(n))
        if (!memcmp(((struct exporter *)n)->id, id, 8)) return (struct exporter *)n;
    return NULL;
}

static struct claim *next_claim(struct table_node *n, const struct bw_prefix *p)
{
    for (; n; n = table_more(n))
        if (bw_prefix_eq(&((struct claim *)n)->prefix, p)) return (struct claim *)n;
    return NULL;
}

static struct claim *first_claim(const struct exporters *x, const struct bw_prefix *p)
{
    return next_claim(table_first(&x->by_prefix, p, sizeof *p), p);
}

static uint8_t share_of(uint16_t slot)
{
    return slot == EXPORT_NO_SLOT ? SHARES : slot % SHARES;
}

// How little is lost with one: it does not answer, it has not answered yet or is a stock neighbour, it has a record.
static unsigned worth(const struct exporter *e)
{
    return e->confirmed ? 2 : !(e->tries > 1 || (e->tries && !e->serial));
}

// Makes room for `share` at the cost of the one that holds most; of its own it has to hold two less. The newest of equals goes:
// whoever floods comes after those who are there.
static bool make_room(struct exporters *x, uint8_t share)
{
    unsigned most = 0;
    struct exporter **victim = NULL;
    for (unsigned k = 1; k <= SHARES; k++)
        if (x->held[k] > x->held[most]) most = k;
    if (x->held[most] < x->held[share] + 2) return false;
    for (struct exporter **at = &x->list; *at; at = &(*at)->next) // newest first
        if ((*at)->share == most && (!victim || worth(*at) < worth(*victim))) victim = at;
    forget(x, victim);
    x->changed = true;
    return true;
}

static struct exporter *make(struct exporters *x, const uint8_t id[8], uint16_t slot, bw_time now)
{
    if (x->count >= EXPORTERS_MAX && !make_room(x, share_of(slot))) return NULL;
    struct exporter *e = bw_alloc(x->mem, sizeof *e);
    if (!e) {
        x->missed_at = now;
        return NULL;
    }
    memcpy(e->id, id, 8);
    e->first_at = now;
    e->next = x->list;
    x->list = e;
    x->count++;
    e->share = share_of(slot);
    x->held[e->share]++;
    table_insert(&x->by_id, &e->node, id, 8);
    return e;
}

// ---- routes ----

void exporters_begin(struct exporters *x)
{
    for (struct exporter *e = x->list; e; e = e->next) {
        e->was_reachable = e->reachable;
        e->seen = e->reachable = e->lacks = false;
        for (unsigned i = 0; i < e->claim_count; i++) {
            e->claims[i].was_live = e->claims[i].live;
            e->claims[i].live = false;
        }
    }
}

static void charge(struct exporters *x, struct exporter *e, uint16_t slot)
{
    x->held[e->share]--;
    e->share = share_of(slot);
    x->held[e->share]++;
}

void exporters_route(struct exporters *x, const struct bw_prefix *p, const uint8_t router_id[8], uint16_t slot, bw_time now)
{
    struct exporter *e = find(x, router_id);
    bool named = false;
    if (!e) e = make(x, router_id, slot, now);
    else if (!e->seen) charge(x, e, slot);
    if (e) e->seen = true;
    for (struct claim *c = first_claim(x, p); c; c = next_claim(table_more(&c->node), p)) {
        c->live = true;
        if (c->by == e) named = c->announced = true;
        else if (!e || bw_addr_is_zero(&e->addr)) c->by->lacks = true; // has it given the network up?
    }
    if (e && !named) e->lacks = true;
}

static void set_address(struct exporter *e, const struct bw_addr *a)
{
    if (bw_addr_eq(&e->addr, a)) return;
    e->addr = *a;
    e->tries = 0;
}

void exporters_node(struct exporters *x, const struct bw_addr *a)
{
    struct exporter *e = find(x, a->b + 8);
    if (!e) return;
    // Whoever announces an address need not hold its key: one that has confirmed nothing and is gone gives way.
    if (bw_addr_is_zero(&e->addr) || (!e->confirmed && !e->reachable && !e->was_reachable)) set_address(e, a);
    if (bw_addr_eq(&e->addr, a)) e->reachable = true;
}

void exporters_end(struct exporters *x, bw_time now)
{
    for (struct exporter **at = &x->list; *at;) {
        struct exporter *e = *at;
        for (unsigned i = 0; i < e->claim_count; i++) x->changed |= e->claims[i].live != e->claims[i].was_live;
        x->changed |= e->reachable != e->was_reachable;
        if (e->reachable && !e->was_reachable) e->tries = 0;
        if (!e->seen && !e->confirmed && now >= e->wanted_until) forget(x, at);
        else at = &e->next;
    }
}

void exporters_want(struct exporters *x, const struct bw_addr *a, bw_time now)
{
    struct exporter *e = find(x, a->b + 8);
    if (!bw_addr_is_mesh(a) || bw_addr_eq(a, &x->id->addr)) return;
    if (!e) e = make(x, a->b + 8, EXPORT_NO_SLOT, now);
    if (!e) return;
    if (bw_addr_is_zero(&e->addr) || (!e->confirmed && !bw_addr_eq(&e->addr, a))) {
        set_address(e, a);
        e->reachable = true; // it has just sent something, with its key
    }
    if (now >= e->wanted_until && e->confirmed) e->lacks = true;
    e->wanted_until = now + EXPORT_WANTED_TIME;
}

// ---- asking ----

static bw_time pause_after(unsigned tries)
{
    return bw_time_min(BW_S << (tries < 6 ? tries : 6), EXPORT_RETRY_MOST);
}

// When to ask next; BW_NEVER: not at all.
static bw_time ask_at(const struct exporter *e, bw_time now)
{
    if (e->serial || !e->reachable || (!e->seen && !e->confirmed && now >= e->wanted_until)) return BW_NEVER;
    bw_time after = e->tries ? e->asked_at + pause_after(e->tries - 1) : 0;
    bw_time refresh = e->record_at + (e->expires_at - e->record_at) / 2;
    return e->confirmed && !e->lacks && refresh > after ? refresh : after;
}

static void ask(struct exporters *x, struct exporter *e, bw_time now)
{
    x->last_serial = (x->last_serial + 1) & 0x3fffffff;
    if (!x->last_serial) x->last_serial = 1;
    e->serial = x->last_serial;
    e->asked_at = now;
    e->tries++;
    x->asking++;
    x->ops.ask(x->ops.ctx, e->serial, &e->addr);
}

static bool same(const struct exporter *e, const struct export_record *r)
{
    if (!e->confirmed || e->claim_count != r->count) return false;
    for (unsigned i = 0; i < r->count; i++)
        if (!bw_prefix_eq(&e->claims[i].prefix, &r->prefixes[i])) return false;
    return true;
}

static bool announced(const struct exporters *x, const struct exporter *e, const struct bw_prefix *p)
{
    for (struct claim *c = first_claim(x, p); c; c = next_claim(table_more(&c->node), p))
        if (c->by == e && c->announced) return true;
    return false;
}

static void take(struct exporters *x, struct exporter *e, const struct export_record *r, bw_time now)
{
    bool news = !same(e, r);
    struct claim *c = r->count && news ? bw_alloc(x->mem, r->count * sizeof *c) : NULL;
    if (r->count && news && !c) return; // asked again
    e->record_at = now;
    e->expires_at = now + r->lifetime_s * BW_S;
    if (!news) {
        if (!e->lacks) e->tries = 0;
        return;
    }
    for (unsigned i = 0; i < r->count; i++)
        c[i] = (struct claim){.prefix = r->prefixes[i], .by = e, .announced = announced(x, e, &r->prefixes[i])};
    drop_claims(x, e);
    e->claims = c;
    e->claim_count = r->count;
    e->confirmed = true;
    for (unsigned i = 0; i < r->count; i++) table_insert(&x->by_prefix, &c[i].node, &c[i].prefix, sizeof c[i].prefix);
    e->lacks = false; // the next look at the routes will say
    e->tries = 0;
    x->changed = true;
}

void exporters_answered(struct exporters *x, uint32_t serial, int status, const char *body, size_t n, bw_time now)
{
    struct export_record r;
    struct signed_part s;
    struct exporter *e = x->list;
    while (e && (e->serial != serial || !serial)) e = e->next;
    if (!e) return;
    e->serial = 0;
    x->asking--;
    if (status != 200 || export_decode(body, n, &r, &s)) return;
    if (!bw_addr_eq(&r.address, &e->addr) || record_verify(&s, &e->addr)) return;
    if (r.lifetime_s > 2 * EXPORT_LIFETIME_S) r.lifetime_s = 2 * EXPORT_LIFETIME_S;
    take(x, e, &r, now);
    x->ops.again(x->ops.ctx);
}

// Whoever has waited longest comes first, so that many who never answer delay the others but keep nobody out.
static void ask_due(struct exporters *x, bw_time now)
{
    while (x->asking < EXPORT_ASKS) {
        struct exporter *first = NULL;
        bw_time least = BW_NEVER;
        for (struct exporter *e = x->list; e; e = e->next) {
            bw_time at = ask_at(e, now);
            if (at == BW_NEVER || at > now) continue;
            bw_time since = e->asked_at > e->first_at ? e->asked_at : e->first_at;
            if (at < since) at = since;
            if (at >= least) continue;
            least = at;
            first = e;
        }
        if (!first) return;
        ask(x, first, now);
    }
}

bw_time exporters_tick(struct exporters *x, bw_time now)
{
    bw_time next = BW_NEVER;
    for (struct exporter *e = x->list; e; e = e->next) {
        if (e->confirmed && now >= e->expires_at) {
            drop_claims(x, e);
            x->changed = true;
        }
        if (e->serial && now >= e->asked_at + EXPORT_ASK_TIME) e->serial = 0, x->asking--;
        if (!e->settled && now >= e->first_at + EXPORT_GRACE) e->settled = x->changed = true;
    }
    ask_due(x, now);
    for (struct exporter *e = x->list; e; e = e->next) {
        bw_time at = ask_at(e, now);
        if (at > now) next = bw_time_min(next, at); // else an answer or its absence comes first
        if (e->serial) next = bw_time_min(next, e->asked_at + EXPORT_ASK_TIME);
        if (e->confirmed) next = bw_time_min(next, e->expires_at);
        if (!e->settled) next = bw_time_min(next, e->first_at + EXPORT_GRACE);
    }
    if (x->missed_at && now >= x->missed_at + BW_S) {
        x->missed_at = 0;
        x->ops.again(x->ops.ctx);
    }
    if (x->missed_at) next = bw_time_min(next, x->missed_at + BW_S);
    if (x->changed) {
        x->changed = false;
        x->ops.changed(x->ops.ctx);
    }
    return next;
}

// ---- what is so ----

bool exporters_none(const struct exporters *x)
{
    return !x->list;
}

// The node whose confirmed network p is; if it is nobody's, that of the smallest one around p but for a default route, or a
// relay that announces both halves of a network would get its packets. *claimed: there is one, be it out of reach.
static const struct exporter *owner(const struct exporters *x, const struct bw_prefix *p, bool *claimed)
{
    int least = bw_addr_is_v4(&p->addr) ? 97 : 1;
    const struct exporter *found = NULL;
    *claimed = false;
    for (int len = p->len; (len >= least || len == p->len) && !*claimed; len--) {
        struct bw_prefix around = bw_prefix_make(&p->addr, (uint8_t)len);
        for (struct claim *c = first_claim(x, &around); c; c = next_claim(table_more(&c->node), &around)) {
            if (!c->announced) continue;
            *claimed = true;
            if (c->by->reachable && !found) found = c->by;
        }
    }
    return found;
}

static bool confirms(const struct exporters *x, const struct exporter *e, const struct bw_prefix *p)
{
    for (struct claim *c = first_claim(x, p); c; c = next_claim(table_more(&c->node), p))
        if (c->by == e && e->reachable) return true;
    return false;
}

enum exporter_says exporters_lookup(const struct exporters *x, const struct bw_prefix *p, const uint8_t router_id[8],
                                    struct bw_addr *via, bw_time now)
{
    const struct exporter *e = find(x, router_id);
    bool known = e && !bw_addr_is_zero(&e->addr), claimed = false;
    const struct exporter *by = known ? (confirms(x, e, p) ? e : NULL) : owner(x, p, &claimed);
    if (by) {
        *via = by->addr;
        return EXPORT_CONFIRMED;
    }
    return e && !known && !claimed && now >= e->first_at + EXPORT_GRACE ? EXPORT_STOCK : EXPORT_UNCONFIRMED;
}

void exporters_each(const struct exporters *x, void (*fn)(void *ctx, const struct bw_addr *peer, const struct bw_prefix *p, unsigned n),
                    void *ctx)
{
    for (const struct exporter *e = x->list; e; e = e->next) {
        struct bw_prefix p[EXPORT_PREFIXES];
        unsigned n = 0;
        for (unsigned i = 0; i < e->claim_count; i++)
            if (e->claims[i].live) p[n++] = e->claims[i].prefix;
        if (n) fn(ctx, &e->addr, p, n);
    }
}

int exporters_own(const struct identity *id, const struct bw_prefix *p, unsigned count, uint64_t unix_s, char *out, size_t cap)
{
    struct export_record r = {.version = 1, .address = id->addr, .issued = unix_s, .lifetime_s = EXPORT_LIFETIME_S};
    uint8_t covered[SIGNED_LABEL + SIGNED_MAX], sig[BW_SIG_LEN];
    memcpy(r.key, id->sign_pk, sizeof r.key);
    for (unsigned i = 0; i < count && r.count < EXPORT_PREFIXES; i++) r.prefixes[r.count++] = p[i];
    int n = export_cover(&r, covered, sizeof covered);
    if (n < 0) return n;
    bw_sign(sig, covered, (size_t)n, id->sign_sk);
    return export_encode(&r, sig, out, cap);
}
