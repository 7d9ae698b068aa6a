#include "core/exit/server.h"

#include "core/exit/pool.h"

#define LIFETIME_S 3600u
#define LEASES 1024u
#define POOL_LEN 16
#define KEEP_FACTOR 2          // kept addresses at most: as many again as leases
#define UNUSED_US (60 * BW_S)  // a client sends a heartbeat a second: a lease without a packet for so long is nobody's
#define VIA_SOME 8u            // leases that a neighbour's clients may have in any case
#define VIA_FACTOR 3u          // and at most so many times as many as are left
#define STAMP_EPOCH_US (300 * BW_S)
#define OFFER_FRESH_US (60 * BW_S)
#define OFFER_LIFETIME_S 600u

void exits_init(struct exits *s, struct bw_mem *mem, struct bw_rng *rng, const struct exits_config *c,
                const struct exits_ops *ops, bw_time now)
{
    *s = (struct exits){.mem = mem, .rng = rng, .id = c->id, .config = *c, .start = now};
    if (ops) s->ops = *ops;
    if (!s->config.lifetime_s) s->config.lifetime_s = LIFETIME_S;
    if (!s->config.max_leases) s->config.max_leases = LEASES;
    if (!s->config.pool_len) s->config.pool_len = POOL_LEN;
    if (c->name) exits_name(s, c->name);
    s->config.name = s->name;
    s->plan.mtu = EXITS_MTU;
    bw_rng_bytes(rng, s->stamp_key, sizeof s->stamp_key);
    s->meter_next = BW_NEVER;
    if (!limits_init(&s->limits, mem)) limits_config(&s->limits, &s->config.limits);
}

void exits_name(struct exits *s, const char *name)
{
    size_t n = strnlen(name, sizeof s->name - 1);
    memcpy(s->name, name, n);
    memset(s->name + n, 0, sizeof s->name - n);
    s->offer_until = 0;
}

static void deactivate(struct exits *s, struct exits_lease *l, bw_time now)
{
    exits_meter_end(s, l, now);
    exits_log(s, l, true, now);
    l->active = false;
    fwd_tunnel_shared_unref(l->shared);
    l->shared = NULL;
}

void exits_free(struct exits *s)
{
    for (unsigned i = 0; i < s->count; i++)
        fwd_tunnel_shared_unref(s->lease[i].shared);
    limits_free(&s->limits);
    bw_free(s->mem, s->meter, s->meter_room * sizeof *s->meter);
    bw_free(s->mem, s->lease, s->room * sizeof *s->lease);
    bw_free(s->mem, s->local, s->local_count * sizeof *s->local);
    bw_wipe(s->stamp_key, sizeof s->stamp_key);
    s->lease = NULL;
    s->local = NULL;
    s->count = s->room = s->local_count = 0;
}

const char *exits_count_name(enum exits_count c)
{
    static const char *const name[EXITS_COUNTS] = {
        [EXITS_GRANTED] = "granted",   [EXITS_RENEWED] = "renewed",   [EXITS_RELEASED] = "released", [EXITS_EXPIRED] = "expired",
        [EXITS_BAD] = "malformed",     [EXITS_FORGED] = "forged",     [EXITS_STALE] = "stale",       [EXITS_REPLAYED] = "replayed",
        [EXITS_FULL] = "full",         [EXITS_OFF] = "off",           [EXITS_BUSY] = "busy",
    };
    return c < EXITS_COUNTS ? name[c] : "unknown";
}

// ---- the set of leases ----

struct exits_lease *exits_lease_of(struct exits *s, const struct bw_addr *address)
{
    for (unsigned i = 0; i < s->count; i++)
        if (bw_addr_eq(&s->lease[i].address, address)) return &s->lease[i];
    return NULL;
}

const struct exits_lease *exits_find(const struct exits *s, const struct bw_addr *address)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->lease[i].active && bw_addr_eq(&s->lease[i].address, address)) return &s->lease[i];
    return NULL;
}

unsigned exits_active(const struct exits *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->count; i++) n += s->lease[i].active;
    return n;
}

static void forget(struct exits *s, struct exits_lease *l, bw_time now)
{
    if (l->active) deactivate(s, l, now);
    if (s->ops.drop) s->ops.drop(s->ops.ctx, l->key);
    *l = s->lease[--s->count];
}

// The address kept longest for a client that does not come back gives way.
static bool forget_oldest(struct exits *s, bw_time now)
{
    struct exits_lease *oldest = NULL;
    for (unsigned i = 0; i < s->count; i++) {
        struct exits_lease *l = &s->lease[i];
        if (!l->active && (!oldest || l->expires < oldest->expires)) oldest = l;
    }
    if (oldest) forget(s, oldest, now);
    return oldest != NULL;
}

static bool host_taken(const struct exits *s, uint32_t host)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->lease[i].host == host) return true;
    return false;
}

static bool host_fits(const struct exits *s, uint32_t host)
{
    return host >= POOL_FIRST && host - POOL_FIRST < pool_hosts(&s->plan.pool4) && !host_taken(s, host);
}

// A free host number: what the client had, else one that follows from its key, else the next free one. 0: none.
static uint32_t free_host(const struct exits *s, const struct lease_request *r)
{
    static const char label[] = "byway lease host";
    uint32_t had = pool_host(&s->plan.pool4, &r->previous4), hosts = pool_hosts(&s->plan.pool4);
    uint8_t h[4];
    if (had && host_fits(s, had)) return had;
    bw_blake2s(h, sizeof h, s->id->seed, sizeof s->id->seed, label, sizeof label, r->key, sizeof r->key);
    uint32_t start = ((uint32_t)h[0] << 24 | (uint32_t)h[1] << 16 | (uint32_t)h[2] << 8 | h[3]) % hosts;
    if (s->count >= hosts) return 0;
    for (uint32_t i = 0; i < hosts; i++)
        if (host_fits(s, POOL_FIRST + (start + i) % hosts)) return POOL_FIRST + (start + i) % hosts;
    return 0;
}

static struct exits_lease *new_lease(struct exits *s, bw_time now)
{
    if (s->count >= s->config.max_leases * KEEP_FACTOR && !forget_oldest(s, now)) return NULL;
    if (s->count == s->room) {
        unsigned room = s->room ? 2 * s->room : 16;
        struct exits_lease *more = bw_resize(s->mem, s->lease, s->room * sizeof *more, room * sizeof *more);
        if (!more) return NULL;
        s->lease = more;
        s->room = room;
    }
    s->lease[s->count] = (struct exits_lease){0};
    return &s->lease[s->count++];
}

static bool activate(struct exits *s, struct exits_lease *l, bw_time now)
{
    l->shared = fwd_tunnel_shared_new(s->mem);
    if (!l->shared) return false;
    l->active = true;
    l->since = now;
    exits_meter_begin(s, l);
    s->meter_next = bw_time_min(s->meter_next, now + LIMIT_TICK_US);
    return true;
}

static void save(struct exits *s, const struct exits_lease *l)
{
    struct exits_saved v = {.address = l->address, .inner4 = l->inner4, .inner6 = l->inner6};
    memcpy(v.key, l->key, sizeof v.key);
    if (s->ops.save) s->ops.save(s->ops.ctx, &v);
}

static struct exits_lease *first_lease(struct exits *s, const struct lease_request *r, bw_time now)
{
    uint32_t host = free_host(s, r);
    while (!host && forget_oldest(s, now)) host = free_host(s, r);
    struct exits_lease *l = host ? new_lease(s, now) : NULL;
    if (!l) return NULL;
    memcpy(l->key, r->key, sizeof l->key);
    l->address = r->address;
    l->host = host;
    l->inner4 = pool_at(&s->plan.pool4, host);
    l->inner6 = pool_at(&s->plan.pool6, host);
    save(s, l);
    return l;
}

// A neighbour, and all who ask through it, never gets the last lease: keys cost nothing, and whoever makes a thousand must
// leave some to those who come by other ways.
static bool has_room(const struct exits *s, const struct bw_addr *via)
{
    uint32_t max = s->config.max_leases, hosts = pool_hosts(&s->plan.pool4), active = exits_active(s), held = 0;
    if (max > hosts) max = hosts;
    if (active >= max) return false;
    for (unsigned i = 0; i < s->count; i++) held += s->lease[i].active && bw_addr_eq(&s->lease[i].via, via);
    return held < VIA_SOME || held < VIA_FACTOR * (max - active);
}

int exits_grant(struct exits *s, const struct lease_request *r, const struct bw_addr *via, struct exits_lease **out, bool *changed,
                bw_time now)
{
    struct exits_lease *l = exits_lease_of(s, &r->address);
    if (l && memcmp(l->key, r->key, sizeof l->key)) return BW_ERR_DENIED;
    if ((!l || !l->active) && !has_room(s, via)) return BW_ERR_NOMEM;
    if (!l) l = first_lease(s, r, now);
    if (!l) return BW_ERR_NOMEM;
    bool v4 = r->v4 && s->uplink4, v6 = r->v6 && s->uplink6, was = l->active;
    if (!was && !activate(s, l, now)) return BW_ERR_NOMEM;
    *changed |= !was || v4 != l->v4 || v6 != l->v6;
    l->v4 = v4;
    l->v6 = v6;
    l->via = *via;
    l->expires = now + s->config.lifetime_s * BW_S;
    l->serial = ++s->serial;
    memmove(l->nonces[1], l->nonces[0], sizeof l->nonces - sizeof l->nonces[0]);
    memcpy(l->nonces[0], r->nonce, sizeof l->nonces[0]);
    s->counts[was ? EXITS_RENEWED : EXITS_GRANTED]++;
    exits_log(s, l, false, now);
    *out = l;
    return 0;
}

bool exits_release(struct exits *s, struct exits_lease *l, bw_time now)
{
    if (!l->active) return false;
    l->expires = now;
    deactivate(s, l, now);
    s->counts[EXITS_RELEASED]++;
    return true;
}

bool exits_restore(struct exits *s, const struct exits_saved *v, bw_time now)
{
    if (!pool_is_shared_space(&v->inner4) || !bw_addr_is_mesh(&v->address) || exits_lease_of(s, &v->address)) return false;
    struct bw_prefix pool = bw_prefix_make(&v->inner4, (uint8_t)(96 + s->config.pool_len));
    uint32_t host = pool_host(&pool, &v->inner4);
    if (host < POOL_FIRST || host_taken(s, host) || s->count >= s->config.max_leases) return false;
    struct exits_lease *l = new_lease(s, now);
    if (!l) return false;
    memcpy(l->key, v->key, sizeof l->key);
    l->address = v->address;
    l->inner4 = v->inner4;
    l->inner6 = v->inner6;
    l->host = host;
    l->v4 = true;
    l->v6 = !bw_addr_is_zero(&v->inner6);
    l->expires = now + s->config.lifetime_s * BW_S;
    if (activate(s, l, now)) return true;
    s->count--;
    return false;
}

// ---- pools ----

// Leases outside the pools that hold now are of no use any more.
static bool drop_strangers(struct exits *s, bw_time now)
{
    bool any = false;
    for (unsigned i = 0; i < s->count;) {
        struct exits_lease *l = &s->lease[i];
        struct bw_addr six = pool_at(&s->plan.pool6, l->host);
        if (bw_prefix_has(&s->plan.pool4, &l->inner4)) {
            any |= !bw_addr_eq(&l->inner6, &six);
            l->inner6 = six;
            i++;
        } else {
            any = true;
            forget(s, l, now);
        }
    }
    return any;
}

static int choose_pool4(struct exits *s)
{
    if (s->count) { // leases of an earlier run keep their pool if it is still free
        struct bw_prefix old = bw_prefix_make(&s->lease[0].inner4, (uint8_t)(96 + s->config.pool_len));
        if (!pool_conflicts(&old, s->local, s->local_count)) {
            s->plan.pool4 = old;
            return 0;
        }
    }
    return pool_choose4(&s->id->addr, s->config.pool_len, s->local, s->local_count, &s->plan.pool4);
}

// Chooses pools where there are none or where they got in the way of a local network. true: something changed.
static bool settle_pools(struct exits *s, bw_time now)
{
    struct exits_plan *p = &s->plan;
    bool stands4 = p->pool4.len && !pool_conflicts(&p->pool4, s->local, s->local_count);
    bool stands6 = p->pool6.len && !pool_conflicts(&p->pool6, s->local, s->local_count);
    if (!p->wanted || (stands4 && stands6)) return false;
    if (!stands4 && choose_pool4(s)) p->pool4 = (struct bw_prefix){0};
    if (!stands6 && pool_choose6(&s->id->addr, s->local, s->local_count, &p->pool6)) p->pool6 = (struct bw_prefix){0};
    p->gateway4 = p->pool4.len ? pool_at(&p->pool4, 1) : (struct bw_addr){0};
    p->gateway6 = p->pool6.len ? pool_at(&p->pool6, 1) : (struct bw_addr){0};
    drop_strangers(s, now);
    s->offer_until = 0;
    return true;
}

// ---- inputs ----

static bool settle(struct exits *s, bw_time now)
{
    struct exits_plan *p = &s->plan;
    bool pools = settle_pools(s, now);
    bool on = p->wanted && p->pool4.len && (s->uplink4 || s->uplink6), v6 = on && s->uplink6 && p->pool6.len;
    bool changed = pools || on != p->on || v6 != p->v6;
    p->on = on;
    p->v6 = v6;
    if (changed) s->offer_until = 0;
    return changed;
}

bool exits_want(struct exits *s, bool wanted, bw_time now)
{
    if (s->plan.wanted == wanted) return false;
    s->plan.wanted = wanted;
    settle(s, now);
    return true;
}

bool exits_uplink(struct exits *s, bool v4, bool v6, bw_time now)
{
    bool other = s->uplink4 != v4 || s->uplink6 != v6;
    if (other) s->offer_until = 0;
    for (unsigned i = 0; other && (v4 || v6) && i < s->count; i++) s->lease[i].news++; // a family is carried no longer, or again
    s->uplink4 = v4;
    s->uplink6 = v6;
    return settle(s, now);
}

bool exits_local(struct exits *s, const struct bw_prefix *p, unsigned count, bw_time now)
{
    struct bw_prefix *copy = count ? bw_alloc(s->mem, count * sizeof *copy) : NULL;
    if (count && !copy) return false; // the old list stands
    if (count) memcpy(copy, p, count * sizeof *copy);
    bw_free(s->mem, s->local, s->local_count * sizeof *s->local);
    s->local = copy;
    s->local_count = count;
    return settle(s, now);
}

void exits_wall(struct exits *s, uint64_t unix_s, bw_time now)
{
    int64_t wall = (int64_t)unix_s - (int64_t)(now / BW_S), step = wall - s->wall_minus_now_s;
    if (step > 2 || step < -2) s->wall_minus_now_s = wall; // rounding is no news
}

static bw_time end_of(const struct exits_lease *l)
{
    bool used = atomic_load_explicit(&l->shared->last_rx, memory_order_relaxed);
    return used ? l->expires : bw_time_min(l->expires, l->since + UNUSED_US);
}

bool exits_tick(struct exits *s, bw_time now)
{
    bool changed = false;
    for (unsigned i = 0; i < s->count; i++) {
        struct exits_lease *l = &s->lease[i];
        if (!l->active || now < end_of(l)) continue;
        deactivate(s, l, now);
        s->counts[EXITS_EXPIRED]++;
        changed = true;
    }
    changed |= exits_meter(s, now);
    return changed;
}

bw_time exits_deadline(const struct exits *s)
{
    bw_time t = s->meter_next;
    for (unsigned i = 0; i < s->count; i++)
        if (s->lease[i].active) t = bw_time_min(t, end_of(&s->lease[i]));
    return t;
}

// ---- the offer ----

// A stamp is the number of the five minutes since start, and its hash under a key drawn at start: a request that quotes it
// was made for this exit, in this run, not long ago, whatever either clock says.
static void stamp_of(const struct exits *s, uint64_t epoch, uint8_t out[OFFER_STAMP])
{
    for (unsigned i = 0; i < 8; i++) out[i] = (uint8_t)(epoch >> (8 * (7 - i)));
    bw_blake2s(out + 8, OFFER_STAMP - 8, s->stamp_key, sizeof s->stamp_key, out, 8, s->id->addr.b, 16);
}

bool exits_stamp_good(const struct exits *s, const uint8_t stamp[OFFER_STAMP], bw_time now)
{
    uint64_t epoch = (now - s->start) / STAMP_EPOCH_US;
    uint8_t good[OFFER_STAMP];
    stamp_of(s, epoch, good);
    if (bw_same(good, stamp, sizeof good)) return true;
    if (!epoch) return false;
    stamp_of(s, epoch - 1, good);
    return bw_same(good, stamp, sizeof good);
}

int exits_own_offer(struct exits *s, struct offer_text *out, bw_time now)
{
    uint64_t epoch = (now - s->start) / STAMP_EPOCH_US;
    if (now >= s->offer_until || epoch != s->offer_stamp_epoch) {
        struct offer o = {.version = 1, .address = s->id->addr, .v4 = s->uplink4, .v6 = s->plan.v6, .price = s->config.price,
                          .down_bps = s->config.limits.client_bps[LIMIT_DOWN], .up_bps = s->config.limits.client_bps[LIMIT_UP],
                          .volume = s->config.limits.volume_client, .load = limits_load(&s->limits), .mtu = s->plan.mtu,
                          .lifetime_s = OFFER_LIFETIME_S};
        int64_t wall = s->wall_minus_now_s + (int64_t)(now / BW_S);
        o.issued = wall > 0 ? (uint64_t)wall : 0;
        memcpy(o.key, s->id->sign_pk, sizeof o.key);
        memcpy(o.name, s->name, sizeof o.name);
        if (o.v4) o.gateway4 = s->plan.gateway4;
        if (o.v6) o.gateway6 = s->plan.gateway6;
        stamp_of(s, epoch, o.stamp);
        int n = record_offer(s->id, &o, s->offer, sizeof s->offer);
        if (n < 0) return n;
        s->offer_len = (size_t)n;
        s->offer_until = now + OFFER_FRESH_US;
        s->offer_stamp_epoch = epoch;
    }
    *out = (struct offer_text){s->offer, s->offer_len};
    return 0;
}

// ---- packets ----

size_t exits_answer(const struct exits *s, const struct bw_addr *peer, const uint8_t *packet, size_t n, uint8_t *out, size_t cap)
{
    const struct exits_lease *l = exits_find(s, peer);
    struct echo e;
    if (!l || echo_parse(packet, n, &e) || e.kind != ECHO_REQUEST || e.id != ECHO_ID) return 0;
    bool v4 = bw_addr_is_v4(&e.dst);
    if (!bw_addr_eq(&e.src, v4 ? &l->inner4 : &l->inner6) ||
        !bw_addr_eq(&e.dst, v4 ? &s->plan.gateway4 : &s->plan.gateway6))
        return 0;
    if (s->plan.on && (v4 ? s->uplink4 : s->plan.v6)) return echo_reply(packet, n, l->news, out, cap);
    return echo_unreachable(packet, n, &e.dst, out, cap);
}
