#include "core/exit/book.h"

#define BLOCK_FIRST_US (2 * BW_S)
#define BLOCK_MOST_US (12 * BW_S) // one small request now and then; an exit that is back must not be waited for
#define OFFER_KEEP_US (3600 * BW_S) // an offer is used for an hour at most, whatever it says of itself
#define HOPELESS 6                  // failures in a row after which an entry without a route goes

void book_init(struct book *b, struct bw_mem *mem, const struct bw_addr *self, book_metric_fn *metric, void *ctx)
{
    *b = (struct book){.mem = mem, .self = *self, .metric = metric, .ctx = ctx};
}

static void clear(struct book *b, struct book_entry *e)
{
    bw_free(b->mem, e->text, e->text_len);
    *e = (struct book_entry){0};
}

void book_free(struct book *b)
{
    for (unsigned i = 0; i < BOOK_MAX; i++) clear(b, &b->entry[i]);
}

struct book_entry *book_find(struct book *b, const struct bw_addr *address)
{
    for (unsigned i = 0; i < b->top; i++)
        if (b->entry[i].used && bw_addr_eq(&b->entry[i].address, address)) return &b->entry[i];
    return NULL;
}

// How much an entry is worth keeping: what was told by the exit itself and can be reached, before hearsay.
static unsigned worth(const struct book_entry *e)
{
    return (e->has_offer ? 4u : 0) + (e->direct ? 2u : 0) + (e->metric < BOOK_UNREACHABLE ? 1u : 0) + (e->failures ? 0 : 1u);
}

static struct book_entry *room(struct book *b)
{
    struct book_entry *least = NULL;
    for (unsigned i = 0; i < BOOK_MAX; i++) {
        struct book_entry *e = &b->entry[i];
        if (!e->used) {
            if (i >= b->top) b->top = i + 1;
            return e;
        }
        if (!least || worth(e) < worth(least)) least = e;
    }
    if (worth(least) >= 4 || least->asking) return NULL; // a flood of names drives out no exit with an offer
    clear(b, least);
    return least;
}

static void route(struct book *b, struct book_entry *e, bw_time now)
{
    struct bw_addr next_hop = {0};
    uint32_t metric = b->metric(b->ctx, &e->address, &next_hop);
    bool lost = metric >= BOOK_UNREACHABLE, was_lost = e->metric >= BOOK_UNREACHABLE;
    if (lost != was_lost || !bw_addr_eq(&e->next_hop, &next_hop)) e->changed_at = now;
    if (lost && !was_lost) e->lost_at = now;
    if (!lost) e->lost_at = BW_NEVER;
    e->metric = lost ? BOOK_UNREACHABLE : metric;
    e->next_hop = next_hop;
}

struct book_entry *book_hear(struct book *b, const struct bw_addr *address, bw_time now)
{
    if (!bw_addr_is_mesh(address) || bw_addr_eq(address, &b->self)) return NULL;
    struct book_entry *e = book_find(b, address);
    if (e) return e;
    e = room(b);
    if (!e) return NULL;
    *e = (struct book_entry){.used = true, .address = *address, .metric = BOOK_UNREACHABLE, .rtt_us = -1, .next_ask = now,
                             .changed_at = now, .lost_at = now};
    route(b, e, now);
    return e;
}

int book_offer(struct book *b, const char *text, size_t n, const struct bw_addr *from, bw_time now, struct book_entry **out)
{
    struct offer o;
    struct signed_part part;
    int err = offer_decode(text, n, &o, &part);
    if (err) return err;
    err = record_verify(&part, &o.address);
    if (err) return err;
    struct book_entry *e = book_hear(b, &o.address, now);
    if (!e) return bw_addr_eq(&o.address, &b->self) ? BW_ERR_EXISTS : BW_ERR_NOMEM;
    bool direct = from && (bw_addr_eq(from, &o.address) || bw_addr_eq(from, &bw_addr_any_exit));
    if (out) *out = e;
    if (!direct && e->has_offer && e->direct) return 0; // what the exit itself said stands
    char *copy = bw_resize(b->mem, e->text, e->text_len, n);
    if (!copy) return BW_ERR_NOMEM;
    memcpy(copy, text, n);
    e->text = copy;
    e->text_len = n;
    e->offer = o;
    e->has_offer = true;
    e->direct = direct;
    e->offer_at = now;
    return 0;
}

void book_routes_changed(struct book *b, bw_time now)
{
    for (unsigned i = 0; i < b->top; i++)
        if (b->entry[i].used) route(b, &b->entry[i], now);
}

void book_failed(struct book_entry *e, bw_time now)
{
    bw_time wait = BLOCK_FIRST_US;
    for (unsigned i = 0; i < e->failures && wait < BLOCK_MOST_US; i++) wait *= 2;
    if (wait > BLOCK_MOST_US) wait = BLOCK_MOST_US;
    e->failures++;
    e->blocked_until = now + wait;
    if (e->next_ask < e->blocked_until) e->next_ask = e->blocked_until;
}

void book_worked(struct book_entry *e)
{
    e->failures = 0;
    e->blocked_until = 0;
}

void book_age(struct book *b, bw_time now)
{
    for (unsigned i = 0; i < b->top; i++) {
        struct book_entry *e = &b->entry[i];
        if (!e->used) continue;
        bw_time keep = bw_time_min(e->offer.lifetime_s * BW_S, OFFER_KEEP_US);
        if (e->has_offer && now >= e->offer_at + keep) {
            e->has_offer = e->direct = false;
            e->next_ask = bw_time_min(e->next_ask, now);
        }
        bool unreachable = e->metric >= BOOK_UNREACHABLE;
        if (!e->has_offer && !e->asking && unreachable && e->failures >= HOPELESS) clear(b, e);
    }
}

bool book_usable(const struct book_entry *e, bw_time now)
{
    return e->used && e->has_offer && e->metric < BOOK_UNREACHABLE && now >= e->blocked_until;
}

unsigned book_texts(const struct book *b, struct offer_text *out, unsigned max)
{
    const struct book_entry *taken[BOOK_MAX];
    unsigned n = 0;
    while (n < max) {
        const struct book_entry *best = NULL;
        for (unsigned i = 0; i < b->top; i++) {
            const struct book_entry *e = &b->entry[i];
            bool fit = e->used && e->has_offer && e->direct && !e->failures && (!best || e->metric < best->metric);
            for (unsigned k = 0; fit && k < n; k++) fit = taken[k] != e;
            if (fit) best = e;
        }
        if (!best) break;
        taken[n] = best;
        out[n++] = (struct offer_text){best->text, best->text_len};
    }
    return n;
}
