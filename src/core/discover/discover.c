#include "core/discover/discover.h"

#include <string.h>
#include <sys/queue.h>

#include "core/link/table.h"
#include "core/noise/limit.h"
#include "core/noise/stamp.h"
#include "wire/beacon.h"

#define INTERVAL_MS 10000u
#define INTERVAL_JITTER_MS 2000u // the interval is 9..11 s
#define START_JITTER_MS 20u
#define ANSWER_JITTER_MS 100u // an answer to a newcomer comes within this time
#define ANSWERS_PER_S 2u
#define ANSWERS_BURST 5u
#define VERIFY_PER_S 50u // signatures checked per interface, for known and for unknown keys apart
#define VERIFY_BURST 100u
#define TWIN_PAUSE (60 * BW_S)
#define KNOWN_IFACES 8

// A burst when an interface appears: neighbours are found at once, and still when its link-local address takes 2 s to
// settle.
static const uint16_t burst_ms[] = {250, 500, 1000, 2000};
#define BURST_STEPS (sizeof burst_ms / sizeof *burst_ms)

const struct bw_addr discover_group = {{0xff, 0x12, [14] = 0x48, [15] = 0x70}};

struct iface {
    LIST_ENTRY(iface) entry;
    uint32_t ifindex;
    bw_time next_send;
    unsigned burst; // steps of burst_ms done
    struct bucket known, unknown, answers;
    bw_time twin_told; // 0: never
};

struct known {              // a key whose beacon was verified
    struct table_node node; // first
    TAILQ_ENTRY(known) order;
    uint8_t sign_pk[BW_SIGN_PK_LEN];
    uint8_t key[BW_KEY_LEN];
    struct stamp_seen seen;
    struct {
        uint32_t ifindex; // 0: free
        uint8_t instance[8];
    } on[KNOWN_IFACES];
    unsigned next_on;
};

struct discover {
    struct bw_mem *mem;
    struct bw_rng *rng;
    const struct bw_log *log;
    struct discover_config config;
    struct discover_ops ops;
    uint8_t instance[8];
    LIST_HEAD(, iface) ifaces;
    bw_time next_send; // the earliest of theirs
    struct table known;
    TAILQ_HEAD(known_list, known) heard_order; // heard longest ago first
    uint64_t drops[DISCOVER_DROP_COUNT], sent, heard;
};

const char *discover_drop_name(enum discover_drop d)
{
    static const char *const names[DISCOVER_DROP_COUNT] = {"malformed", "version", "source",  "rate", "replay",
                                                           "signature", "key",     "network", "own",  "nomem"};
    return d < DISCOVER_DROP_COUNT ? names[d] : "unknown";
}

struct discover *discover_new(struct bw_mem *mem, struct bw_rng *rng, const struct bw_log *log,
                              const struct discover_config *config, const struct discover_ops *ops)
{
    struct discover *d = bw_alloc(mem, sizeof *d);
    if (!d) return NULL;
    d->mem = mem;
    d->rng = rng;
    d->log = log;
    d->config = *config;
    d->ops = *ops;
    d->next_send = BW_NEVER;
    LIST_INIT(&d->ifaces);
    TAILQ_INIT(&d->heard_order);
    uint8_t hash_key[16];
    bw_rng_bytes(rng, hash_key, sizeof hash_key);
    bw_rng_bytes(rng, d->instance, sizeof d->instance);
    if (table_init(&d->known, mem, hash_key)) {
        discover_free(d);
        return NULL;
    }
    return d;
}

void discover_set(struct discover *d, const struct discover_config *config)
{
    d->config = *config;
}

static void forget(struct discover *d, struct known *k)
{
    table_remove(&d->known, &k->node);
    TAILQ_REMOVE(&d->heard_order, k, order);
    bw_free(d->mem, k, sizeof *k);
}

void discover_free(struct discover *d)
{
    if (!d) return;
    while (!LIST_EMPTY(&d->ifaces)) discover_iface_remove(d, LIST_FIRST(&d->ifaces)->ifindex);
    while (!TAILQ_EMPTY(&d->heard_order)) forget(d, TAILQ_FIRST(&d->heard_order));
    table_dispose(&d->known);
    bw_wipe(&d->config, sizeof d->config);
    bw_free(d->mem, d, sizeof *d);
}

// ---- interfaces and sending ----

static struct iface *find_iface(const struct discover *d, uint32_t ifindex)
{
    struct iface *i;
    LIST_FOREACH(i, &d->ifaces, entry)
    if (i->ifindex == ifindex) return i;
    return NULL;
}

static void find_next(struct discover *d)
{
    struct iface *i;
    d->next_send = BW_NEVER;
    LIST_FOREACH(i, &d->ifaces, entry) d->next_send = bw_time_min(d->next_send, i->next_send);
}

bool discover_iface_has(const struct discover *d, uint32_t ifindex)
{
    return find_iface(d, ifindex);
}

int discover_iface_add(struct discover *d, uint32_t ifindex, bw_time now)
{
    struct iface *i = find_iface(d, ifindex);
    if (!i) {
        i = bw_alloc(d->mem, sizeof *i);
        if (!i) return BW_ERR_NOMEM;
        i->ifindex = ifindex;
        LIST_INSERT_HEAD(&d->ifaces, i, entry);
    }
    i->burst = 0;
    i->next_send = now + bw_rng_below(d->rng, START_JITTER_MS) * BW_MS;
    find_next(d);
    return 0;
}

void discover_iface_remove(struct discover *d, uint32_t ifindex)
{
    struct iface *i = find_iface(d, ifindex);
    if (!i) return;
    LIST_REMOVE(i, entry);
    find_next(d);
    bw_free(d->mem, i, sizeof *i);
    struct known *k; // whoever is heard there again is new there
    TAILQ_FOREACH(k, &d->heard_order, order)
    for (unsigned j = 0; j < KNOWN_IFACES; j++)
        if (k->on[j].ifindex == ifindex) k->on[j].ifindex = 0;
}

// The tag says "the same secret" to those who know it and nothing to others: it changes with every beacon.
static void network_tag(const struct discover *d, const uint8_t sign_pk[BW_SIGN_PK_LEN], const uint8_t stamp[STAMP_LEN],
                        uint8_t tag[8])
{
    memset(tag, 0, 8);
    if (d->config.has_secret)
        bw_blake2s(tag, 8, d->config.secret, BW_KEY_LEN, sign_pk, BW_SIGN_PK_LEN, stamp, STAMP_LEN);
}

static void send_beacon(struct discover *d, struct iface *i, uint64_t unix_ns)
{
    const struct identity *me = d->config.identity;
    struct stamp stamp = stamp_of_ns(d->ops.stamp(d->ops.ctx, unix_ns));
    struct beacon b = {.port = d->config.port};
    memcpy(b.sign_pk, me->sign_pk, sizeof b.sign_pk);
    memcpy(b.instance, d->instance, sizeof b.instance);
    memcpy(b.stamp, stamp.b, sizeof b.stamp);
    network_tag(d, b.sign_pk, b.stamp, b.tag);
    uint8_t buf[BEACON_LABEL_LEN + BEACON_MAX_LEN], *out = buf + BEACON_LABEL_LEN;
    memcpy(buf, beacon_label, BEACON_LABEL_LEN);
    int n = beacon_encode(out, BEACON_MAX_LEN, &b);
    if (n < 0) return;
    bw_sign(out + n, buf, BEACON_LABEL_LEN + (size_t)n, me->sign_sk);
    d->sent++;
    d->ops.send(d->ops.ctx, i->ifindex, out, (size_t)n + BEACON_SIG_LEN);
}

void discover_tick(struct discover *d, bw_time now, uint64_t unix_ns)
{
    struct iface *i;
    if (d->next_send > now) return;
    LIST_FOREACH(i, &d->ifaces, entry) {
        if (i->next_send > now) continue;
        uint32_t wait_ms = i->burst < BURST_STEPS
                               ? burst_ms[i->burst++]
                               : INTERVAL_MS - INTERVAL_JITTER_MS / 2 + bw_rng_below(d->rng, INTERVAL_JITTER_MS);
        i->next_send = now + wait_ms * BW_MS;
        send_beacon(d, i, unix_ns);
    }
    find_next(d);
}

bw_time discover_deadline(const struct discover *d)
{
    return d->next_send;
}

// ---- receiving ----

static struct known *find_known(const struct discover *d, const uint8_t sign_pk[BW_SIGN_PK_LEN])
{
    for (struct table_node *n = table_first(&d->known, sign_pk, BW_SIGN_PK_LEN); n; n = table_more(n)) {
        struct known *k = (struct known *)n;
        if (!memcmp(k->sign_pk, sign_pk, BW_SIGN_PK_LEN)) return k;
    }
    return NULL;
}

static bool signature_fits(const struct beacon *b, const uint8_t *p)
{
    uint8_t buf[BEACON_LABEL_LEN + BEACON_MAX_LEN];
    size_t n = (size_t)(b->sig - p);
    memcpy(buf, beacon_label, BEACON_LABEL_LEN);
    memcpy(buf + BEACON_LABEL_LEN, p, n);
    return !bw_verify(b->sig, buf, BEACON_LABEL_LEN + n, b->sign_pk);
}

static enum discover_drop rx_own(struct discover *d, struct iface *i, const struct bw_endpoint *at,
                                 const struct beacon *b, const uint8_t *p, bw_time now)
{
    if (!memcmp(b->instance, d->instance, sizeof b->instance)) return DISCOVER_DROP_OWN;
    if (i->twin_told && now < i->twin_told + TWIN_PAUSE) return DISCOVER_DROP_OWN;
    if (!bucket_take(&i->unknown, VERIFY_PER_S, VERIFY_BURST, now)) return DISCOVER_DROP_RATE;
    if (!signature_fits(b, p)) return DISCOVER_DROP_SIGNATURE;
    // One of our own beacons from before a restart, played back, looks the same: it is a warning, no more.
    i->twin_told = now ? now : 1;
    if (d->ops.twin) d->ops.twin(d->ops.ctx, i->ifindex, at);
    return DISCOVER_DROP_OWN;
}

static struct known *remember(struct discover *d, const struct beacon *b, const uint8_t key[BW_KEY_LEN])
{
    if (d->known.count >= DISCOVER_KNOWN_MAX) forget(d, TAILQ_FIRST(&d->heard_order));
    struct known *k = bw_alloc(d->mem, sizeof *k);
    if (!k) return NULL;
    memcpy(k->sign_pk, b->sign_pk, sizeof k->sign_pk);
    memcpy(k->key, key, sizeof k->key);
    table_insert(&d->known, &k->node, k->sign_pk, sizeof k->sign_pk);
    TAILQ_INSERT_TAIL(&d->heard_order, k, order);
    return k;
}

// Is this start of the node heard for the first time on this interface?
static bool is_fresh(struct known *k, uint32_t ifindex, const uint8_t instance[8])
{
    unsigned at = KNOWN_IFACES;
    for (unsigned j = 0; j < KNOWN_IFACES; j++) {
        if (k->on[j].ifindex == ifindex) {
            if (!memcmp(k->on[j].instance, instance, 8)) return false;
            at = j;
        }
    }
    if (at == KNOWN_IFACES) at = k->next_on++ % KNOWN_IFACES;
    k->on[at].ifindex = ifindex;
    memcpy(k->on[at].instance, instance, 8);
    return true;
}

static enum discover_drop verify(struct discover *d, struct iface *i, const struct beacon *b, const uint8_t *p,
                                 bw_time now, struct known **out)
{
    struct known *k = find_known(d, b->sign_pk);
    struct stamp stamp;
    memcpy(stamp.b, b->stamp, sizeof stamp.b);
    if (k && !stamp_is_new(&k->seen, &stamp)) return DISCOVER_DROP_REPLAY;
    if (!bucket_take(k ? &i->known : &i->unknown, VERIFY_PER_S, VERIFY_BURST, now)) return DISCOVER_DROP_RATE;
    if (!signature_fits(b, p)) return DISCOVER_DROP_SIGNATURE;
    if (!k) {
        uint8_t key[BW_KEY_LEN];
        struct bw_addr addr;
        if (bw_sign_pk_to_x25519(key, b->sign_pk) || identity_addr_of_key(key, &addr)) return DISCOVER_DROP_KEY;
        k = remember(d, b, key);
        if (!k) return DISCOVER_DROP_NOMEM;
    }
    stamp_remember(&k->seen, &stamp);
    TAILQ_REMOVE(&d->heard_order, k, order);
    TAILQ_INSERT_TAIL(&d->heard_order, k, order);
    *out = k;
    return DISCOVER_DROP_COUNT;
}

static void answer(struct discover *d, struct iface *i, bw_time now)
{
    bw_time at = now + bw_rng_below(d->rng, ANSWER_JITTER_MS) * BW_MS;
    if (at < i->next_send && bucket_take(&i->answers, ANSWERS_PER_S, ANSWERS_BURST, now)) i->next_send = at;
    find_next(d);
}

static enum discover_drop rx(struct discover *d, uint32_t ifindex, const struct bw_endpoint *from, const uint8_t *p,
                             size_t n, bw_time now)
{
    struct beacon b;
    struct iface *i = find_iface(d, ifindex);
    if (!i || !bw_addr_is_linklocal(&from->addr) || bw_addr_is_v4(&from->addr)) return DISCOVER_DROP_SOURCE;
    int err = beacon_decode(p, n, &b);
    if (err) return err == BW_ERR_UNSUPPORTED ? DISCOVER_DROP_VERSION : DISCOVER_DROP_MALFORMED;
    struct bw_endpoint at = {.addr = from->addr, .port = b.port, .scope = ifindex};
    if (!memcmp(b.sign_pk, d->config.identity->sign_pk, sizeof b.sign_pk)) return rx_own(d, i, &at, &b, p, now);
    uint8_t tag[8];
    network_tag(d, b.sign_pk, b.stamp, tag);
    if (!bw_same(tag, b.tag, sizeof tag)) return DISCOVER_DROP_NETWORK;
    struct known *k = NULL;
    enum discover_drop why = verify(d, i, &b, p, now, &k);
    if (why != DISCOVER_DROP_COUNT) return why;
    d->heard++;
    bool fresh = is_fresh(k, ifindex, b.instance);
    if (fresh) answer(d, i, now);
    d->ops.found(d->ops.ctx, k->key, ifindex, &at, fresh);
    return DISCOVER_DROP_COUNT;
}

void discover_rx(struct discover *d, uint32_t ifindex, const struct bw_endpoint *from, const uint8_t *p, size_t n,
                 bw_time now)
{
    enum discover_drop why = rx(d, ifindex, from, p, n, now);
    if (why != DISCOVER_DROP_COUNT) d->drops[why]++;
}

uint64_t discover_drops(const struct discover *d, enum discover_drop r)
{
    return r < DISCOVER_DROP_COUNT ? d->drops[r] : 0;
}

uint64_t discover_sent(const struct discover *d)
{
    return d->sent;
}

uint64_t discover_heard(const struct discover *d)
{
    return d->heard;
}
