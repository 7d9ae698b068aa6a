// What this exit's clients used and who had which address, in the store; and [internet]'s limits and rules as the node
// wants them.
//   "month"      client's Ed25519 key (zeros: all together) -> month (4 bytes), bytes (8), big endian
//   "lease-log"  since (Unix time, 8 bytes, big endian), client's key -> JSON, for people: since, until, client, key,
//   inner4, ...
#include <jansson.h>
#include <net/if.h>

#include "base/text.h"
#include "daemon/daemon_private.h"
#include "os/ifbytes.h"

#define DAY_S 86400u
#define SWEEP_EVERY (3600 * BW_S)
#define MESH_OVERHEAD_PART 16 // UDP, IP and Ethernet around the mesh's own packets, roughly

static void put_be(uint8_t *p, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

static uint64_t get_be(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}

// ---- configuration ----

struct limit_config ledger_limits(const struct config_internet *c)
{
    return (struct limit_config){.all_bps = {c->limit_down_bps, c->limit_up_bps},
                                 .client_bps = {c->limit_client_down_bps, c->limit_client_up_bps},
                                 .floor_bps = {c->floor_down_bps, c->floor_up_bps},
                                 .volume = c->volume,
                                 .volume_client = c->volume_client};
}

struct exitc_rules ledger_rules(const struct config_internet *c)
{
    _Static_assert(CONFIG_EXITS <= EXITC_LISTED, "every exit that can be written must fit");
    struct exitc_rules r = {.prefer_count = c->prefer_count, .never_count = c->never_count};
    memcpy(r.prefer, c->prefer, c->prefer_count * sizeof *r.prefer);
    memcpy(r.never, c->never, c->never_count * sizeof *r.never);
    return r;
}

// Who answers pings out there: the probe's own targets, else root name servers that are everywhere (F, K, L; F by
// IPv6).
void ledger_targets(const struct config_internet *c, struct bw_addr out[EXITC_TARGETS])
{
    static const char *const known[EXITC_TARGETS] = {"192.5.5.241", "193.0.14.129", "199.7.83.42", "2001:500:2f::f"};
    unsigned n = 0;
    for (uint32_t i = 0; c->probe == CONFIG_PROBE_LIST && i < c->probe_count && n < EXITC_TARGETS; i++)
        if (c->probes[i].literal) out[n++] = c->probes[i].addr;
    for (unsigned i = 0; c->probe == CONFIG_PROBE_AUTO && i < EXITC_TARGETS; i++)
        if (bw_addr_parse(known[i], &out[i])) BW_ASSERT(false);
}

// ---- volumes ----

void ledger_note(void *ctx, const struct exits_month *v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t row[12];
        put_be(row, v[i].month, 4);
        put_be(row + 4, v[i].bytes, 8);
        later_write(ctx, "month", v[i].key, sizeof v[i].key, row, sizeof row);
    }
}

bool ledger_recall(void *ctx, struct exits_month *v)
{
    uint8_t row[12];
    if (later_read(ctx, "month", v->key, sizeof v->key, row, sizeof row) != sizeof row) return false;
    v->month = (uint32_t)get_be(row, 4);
    v->bytes = get_be(row + 4, 8);
    return true;
}

// ---- the log of leases ----

static json_t *addr_json(const struct bw_addr *a)
{
    char text[BW_ADDR_TEXT];
    return bw_addr_is_zero(a) ? json_null() : json_string(bw_addr_text(a, text));
}

void ledger_log(void *ctx, const struct exits_logged *e)
{
    struct daemon *d = ctx;
    uint8_t id[8 + 32];
    char key[BW_KEY_TEXT];
    if (!d->config.internet.log_leases_days) return;
    put_be(id, e->since_s, 8);
    memcpy(id + 8, e->key, 32);
    bw_base64_encode(e->key, 32, key);
    json_t *o = json_pack("{s:I, s:I, s:b, s:o, s:s, s:o, s:o}", "since", (json_int_t)e->since_s, "until",
                          (json_int_t)e->until_s, "ended", (int)e->ended, "client", addr_json(&e->address), "key", key,
                          "inner4", addr_json(&e->inner4), "inner6", addr_json(&e->inner6));
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (text) later_write(d, "lease-log", id, sizeof id, text, strlen(text));
    else bw_log(&d->log, BW_WARN, "a lease could not be logged: no memory");
    free(text);
}

struct sweep {
    struct daemon *d;
    uint64_t before_s; // what ended before this goes
    uint32_t month;
};

static int sweep_log(void *ctx, const uint8_t *key, size_t key_n, const uint8_t *p, size_t n)
{
    struct sweep *w = ctx;
    json_t *o = json_loadb((const char *)p, n, 0, NULL);
    uint64_t until = (uint64_t)json_integer_value(json_object_get(o, "until"));
    json_decref(o);
    return until < w->before_s ? os_store_del(w->d->store, "lease-log", key, key_n) : 0;
}

static int sweep_month(void *ctx, const uint8_t *key, size_t key_n, const uint8_t *p, size_t n)
{
    struct sweep *w = ctx;
    bool old = n != 12 || (w->month && get_be(p, 4) && get_be(p, 4) < w->month);
    return old ? os_store_del(w->d->store, "month", key, key_n) : 0;
}

static void on_sweep(void *ctx)
{
    struct daemon *d = ctx;
    ledger_sweep(d);
    os_timer_at(d->sweeper, os_clock_now() + SWEEP_EVERY);
}

int ledger_open(struct daemon *d)
{
    if (os_timer_open(&d->loop, on_sweep, d, &d->sweeper)) return BW_ERR_NOMEM;
    on_sweep(d);
    return 0;
}

void ledger_close(struct daemon *d)
{
    os_timer_close(d->sweeper);
    d->sweeper = NULL;
}

void ledger_sweep(struct daemon *d)
{
    later_flush(d);
    uint64_t unix_s = os_clock_unix_ns() / 1000000000u, keep = (uint64_t)d->config.internet.log_leases_days * DAY_S;
    struct sweep w = {.d = d, .month = limits_month((int64_t)unix_s)};
    w.before_s = !keep ? UINT64_MAX : unix_s > keep ? unix_s - keep : 0;
    if (os_store_iter(d->store, "lease-log", sweep_log, &w) || os_store_iter(d->store, "month", sweep_month, &w))
        bw_log(&d->log, BW_WARN, "old entries stay in the store: %s", os_store_error(d->store));
}

// ---- the uplink's counters ----

// What the mesh's own packets took of an interface.
static void mesh_bytes(struct daemon *d, const char *name, uint64_t *rx, uint64_t *tx)
{
    struct linkset *ls = node_links(d->node);
    unsigned index = if_nametoindex(name);
    for (int slot = -1; (slot = linkset_next(ls, slot)) >= 0;) {
        struct link_info l;
        if (linkset_info(ls, (uint16_t)slot, &l) || l.ifindex != index || !l.shared) continue;
        *rx += atomic_load_explicit(&l.shared->rx_bytes, memory_order_relaxed);
        *tx += atomic_load_explicit(&l.shared->tx_bytes, memory_order_relaxed);
    }
}

static uint64_t less(uint64_t all, uint64_t mesh)
{
    mesh += mesh / MESH_OVERHEAD_PART;
    return all > mesh ? all - mesh : 0;
}

bool ledger_uplink(void *ctx, uint64_t *down, uint64_t *up)
{
    struct daemon *d = ctx;
    const char *forced = d->config.internet.share == CONFIG_SHARE_INTERFACE ? d->config.internet.share_interface : NULL;
    const char *names[2] = {forced ? forced : d->uplink4, forced ? "" : d->uplink6};
    bool any = false;
    *down = *up = 0;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t rx, tx, mesh_rx = 0, mesh_tx = 0;
        if (!*names[i] || (i && !strcmp(names[0], names[1])) || os_ifbytes(names[i], &rx, &tx)) continue;
        mesh_bytes(d, names[i], &mesh_rx, &mesh_tx);
        *down += less(rx, mesh_rx);
        *up += less(tx, mesh_tx);
        any = true;
    }
    return any;
}
