#include "core/session/set.h"

#include <string.h>

const char *session_state_name(enum session_state s)
{
    static const char *const names[] = {"idle", "asking", "connecting", "up"};
    return (unsigned)s < sizeof names / sizeof *names ? names[s] : "idle";
}

const char *session_drop_name(enum session_drop d)
{
    static const char *const names[SESSION_DROP_COUNT] = {
        "malformed", "source", "mac1",    "cookie", "rate", "index", "auth", "replay",
        "choice",    "notice", "unasked", "error",  "full", "queue", "nomem"};
    return d < SESSION_DROP_COUNT ? names[d] : "unknown";
}

struct sessions *sessions_new(struct bw_mem *mem, struct bw_rng *rng, const struct bw_log *log, const struct sessions_config *config,
                              const struct sessions_ops *ops)
{
    struct sessions *ss = bw_alloc(mem, sizeof *ss);
    if (!ss) return NULL;
    ss->mem = mem;
    ss->rng = rng;
    ss->log = log;
    ss->config = *config;
    ss->ops = *ops;
    if (!ss->config.max_sessions) ss->config.max_sessions = SESSIONS_MAX_DEFAULT;
    if (!ss->config.load_per_s) ss->config.load_per_s = 100;
    BW_ASSERT(ss->config.threads >= 1);
    TAILQ_INIT(&ss->list);
    TAILQ_INIT(&ss->sleeping);
    ss->next = BW_NEVER;
    noise_protocol_init(&ss->noise, NOISE_CONSTRUCTION, SESSION_IDENTIFIER, SESSION_LABEL_MAC1, SESSION_LABEL_COOKIE);
    cookie_jar_init(&ss->jar, &ss->noise, config->identity->link_pk);
    stamp_clock_init(&ss->clock, config->tai_high);
    bw_rng_bytes(rng, ss->hash_key, sizeof ss->hash_key);
    ss->traces = session_traces_new(mem);
    int err = table_init(&ss->by_addr, mem, ss->hash_key);
    if (table_init(&ss->by_spi, mem, ss->hash_key) || err || !ss->traces) {
        sessions_free(ss);
        return NULL;
    }
    return ss;
}

void sessions_free(struct sessions *ss)
{
    if (!ss) return;
    struct session *s;
    ss->ops.told = NULL;
    while ((s = TAILQ_FIRST(&ss->list)) || (s = TAILQ_FIRST(&ss->sleeping))) session_free(ss, s);
    session_table_unref(ss->table);
    session_traces_unref(ss->traces);
    table_dispose(&ss->by_addr);
    table_dispose(&ss->by_spi);
    struct bw_mem *mem = ss->mem;
    bw_wipe(ss, sizeof *ss);
    bw_free(mem, ss, sizeof *ss);
}

// ---- finding and making ----

struct session *session_find(const struct sessions *ss, const struct bw_addr *addr)
{
    for (struct table_node *n = table_first(&ss->by_addr, addr, sizeof *addr); n; n = table_more(n))
        if (bw_addr_eq(&((struct session *)n)->addr, addr)) return (struct session *)n;
    return NULL;
}

struct session *session_get(struct sessions *ss, const struct bw_addr *addr, bw_time now)
{
    struct session *s = session_find(ss, addr);
    if (s && !s->dormant) return s;
    if (ss->count - ss->dormant >= ss->config.max_sessions) {
        session_drop(ss, SESSION_DROP_FULL);
        return NULL;
    }
    if (s) {
        session_wake(ss, s);
        return s;
    }
    s = bw_alloc(ss->mem, sizeof *s);
    struct session_shared *shared = session_shared_new(ss->mem);
    if (!s || !shared) {
        bw_free(ss->mem, s, sizeof *s);
        session_shared_unref(shared);
        session_drop(ss, SESSION_DROP_NOMEM);
        return NULL;
    }
    s->addr = *addr;
    s->shared = shared;
    s->start_at = s->due = BW_NEVER;
    s->since = now;
    s->rtt_us = -1;
    s->mtu = SESSION_MTU;
    STAILQ_INIT(&s->queue);
    table_insert(&ss->by_addr, &s->node, addr, sizeof *addr);
    TAILQ_INSERT_TAIL(&ss->list, s, order);
    ss->count++;
    return s;
}

static void unclaim(struct sessions *ss, struct session *s)
{
    if (s->theirs) ss->held[s->slot]--;
    s->theirs = false;
}

void session_claim(struct sessions *ss, struct session *s, uint16_t slot)
{
    unclaim(ss, s);
    s->theirs = true;
    s->slot = slot % SLOT_BUCKETS;
    ss->held[s->slot]++;
}

void session_free(struct sessions *ss, struct session *s)
{
    unclaim(ss, s);
    attempt_end(ss, s);
    for (unsigned i = 0; i < SA_SLOTS; i++) keys_drop(ss, s, i);
    session_queue_drop(ss, s, BW_NEVER);
    if (s->half_open) ss->half_open--;
    if (s->dormant) ss->dormant--;
    TAILQ_REMOVE(s->dormant ? &ss->sleeping : &ss->list, s, order);
    if (s->up && ss->ops.told) ss->ops.told(ss->ops.ctx, &s->addr, SESSION_IDLE);
    session_shared_unref(s->shared);
    table_remove(&ss->by_addr, &s->node);
    ss->count--;
    bw_wipe(s, sizeof *s);
    bw_free(ss->mem, s, sizeof *s);
}

void session_wake(struct sessions *ss, struct session *s)
{
    if (!s->dormant) return;
    s->dormant = false;
    ss->dormant--;
    TAILQ_REMOVE(&ss->sleeping, s, order);
    TAILQ_INSERT_TAIL(&ss->list, s, order);
}

void session_sleep(struct sessions *ss, struct session *s)
{
    if (s->dormant) return;
    if (!s->has_key || s->half_open) { // nothing worth remembering
        session_free(ss, s);
        return;
    }
    unclaim(ss, s);
    s->dormant = true;
    TAILQ_REMOVE(&ss->list, s, order);
    TAILQ_INSERT_TAIL(&ss->sleeping, s, order);
    if (++ss->dormant > DORMANT_MAX) session_free(ss, TAILQ_FIRST(&ss->sleeping));
}

struct spi_entry *spi_find(const struct sessions *ss, uint32_t spi)
{
    for (struct table_node *n = table_first(&ss->by_spi, &spi, sizeof spi); n; n = table_more(n))
        if (((struct spi_entry *)n)->spi == spi) return (struct spi_entry *)n;
    return NULL;
}

void spi_new(struct sessions *ss, struct spi_entry *e, struct session *s)
{
    uint32_t spi;
    do spi = bw_rng_u32(ss->rng);
    while (spi < ESP_SPI_MIN || spi_find(ss, spi));
    *e = (struct spi_entry){.spi = spi, .session = s};
    table_insert(&ss->by_spi, &e->node, &spi, sizeof spi);
}

int session_learn(struct sessions *ss, struct session *s, const uint8_t key[BW_KEY_LEN])
{
    struct bw_addr addr;
    if (s->has_key) return memcmp(s->key, key, BW_KEY_LEN) ? BW_ERR_AUTH : 0;
    if (identity_addr_of_key(key, &addr) || !bw_addr_eq(&addr, &s->addr)) return BW_ERR_AUTH;
    if (bw_x25519(s->ss, ss->config.identity->link_sk, key)) return BW_ERR_AUTH;
    memcpy(s->key, key, BW_KEY_LEN);
    s->has_key = true;
    return 0;
}

// ---- the table ----

static struct session_table *build(struct sessions *ss)
{
    unsigned most = ss->count - ss->dormant, n = 0, rx_count = 0;
    struct session_entry *e = bw_alloc(ss->mem, (most + 1) * sizeof *e);
    struct sa **rx = bw_alloc(ss->mem, (most * SA_SLOTS + 1) * sizeof(struct sa *));
    struct session_table *t = NULL;
    struct session *s;
    if (e && rx) {
        TAILQ_FOREACH(s, &ss->list, order) {
            for (unsigned i = 0; i < SA_SLOTS; i++)
                if (s->keys[i].sa) rx[rx_count++] = s->keys[i].sa;
            if (s->keys[SA_CURRENT].sa) e[n++] = (struct session_entry){s->addr, s->keys[SA_CURRENT].sa, s->mtu};
        }
        t = session_table_new(ss->mem, ss->hash_key, e, n, rx, rx_count, ss->traces);
    }
    bw_free(ss->mem, e, (most + 1) * sizeof *e);
    bw_free(ss->mem, rx, (most * SA_SLOTS + 1) * sizeof(struct sa *));
    return t;
}

// Building costs the more the more sessions there are, so it is done the less often. Nothing is lost meanwhile: what the
// table lacks comes here, sessions_send and sessions_rx_esp do it.
static bw_time build_at(const struct sessions *ss)
{
    return ss->built_at + (bw_time)SESSION_BUILD_US * (ss->count - ss->dormant);
}

void sessions_settle(struct sessions *ss, bw_time now)
{
    ss->now = now;
    if (!ss->dirty) return;
    if (ss->table && build_at(ss) > now) {
        ss->next = bw_time_min(ss->next, build_at(ss));
        return;
    }
    struct session_table *t = build(ss);
    if (!t) {
        session_drop(ss, SESSION_DROP_NOMEM);
        ss->built_at = now;
        ss->next = bw_time_min(ss->next, now + SESSION_POLL);
        return;
    }
    session_table_unref(ss->table);
    ss->table = t;
    ss->built_at = now;
    ss->dirty = false;
    ss->ops.changed(ss->ops.ctx);
}

struct session_table *sessions_table(const struct sessions *ss)
{
    return ss->table;
}

// ---- views ----

static uint64_t read_counter(const atomic_uint_least64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

static void fill(const struct sessions *ss, const struct session *s, struct session_info *i)
{
    const struct sa *tx = session_tx(s, ss->now);
    *i = (struct session_info){.addr = s->addr, .has_key = s->has_key, .mtu = s->mtu, .rtt_us = s->rtt_us,
                               .rx_bytes = read_counter(&s->shared->rx_bytes), .tx_bytes = read_counter(&s->shared->tx_bytes),
                               .rx_packets = read_counter(&s->shared->rx_packets), .tx_packets = read_counter(&s->shared->tx_packets)};
    memcpy(i->key, s->key, BW_KEY_LEN);
    if (tx) {
        i->state = SESSION_UP;
        i->cipher = tx->cipher;
        i->initiator = tx->initiator;
        i->born = tx->born;
        i->up_since = s->up_since;
    } else if (s->attempt || s->start_at != BW_NEVER || s->keys[SA_NEXT].sa) {
        i->state = s->has_key ? SESSION_CONNECTING : SESSION_ASKING;
    }
}

void sessions_each(const struct sessions *ss, void (*fn)(void *ctx, const struct session_info *i), void *ctx)
{
    struct session *s;
    struct session_info i;
    TAILQ_FOREACH(s, &ss->list, order) {
        fill(ss, s, &i);
        fn(ctx, &i);
    }
}

int sessions_info(const struct sessions *ss, const struct bw_addr *addr, struct session_info *out)
{
    const struct session *s = session_find(ss, addr);
    if (!s) return BW_ERR_NOTFOUND;
    fill(ss, s, out);
    return 0;
}

void sessions_stats(const struct sessions *ss, struct sessions_stats *out)
{
    *out = ss->stats;
    out->sessions = ss->count - ss->dormant;
    out->half_open = ss->half_open;
    out->queued = ss->queued;
    out->under_load = ss->now < ss->load_until;
}

uint64_t sessions_drops(const struct sessions *ss, enum session_drop d)
{
    return d < SESSION_DROP_COUNT ? ss->drops[d] : 0;
}
