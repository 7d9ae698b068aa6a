// What the node wants done, done: struct node_out over sockets, store, HTTP client and API.
#include "daemon/daemon_private.h"

static void on_send(void *ctx, const struct bw_endpoint *to, uint32_t ifindex, const uint8_t *p, size_t n)
{
    struct daemon *d = ctx;
    worker_pool_send(d->pool, to, ifindex, p, n);
}

static void on_to_link(void *ctx, uint16_t slot, const uint8_t *packet, size_t n)
{
    struct daemon *d = ctx;
    int err = worker_pool_to_link(d->pool, slot, packet, n, os_clock_now());
    if (err) bw_log(&d->log, BW_DEBUG, "a control packet for link %u was not sent: %s", slot, bw_strerror(err));
}

static void on_publish(void *ctx, struct fwd_snapshot *s)
{
    struct daemon *d = ctx;
    worker_pool_publish(d->pool, s);
    if (worker_pool_reap(d->pool)) os_timer_at(d->reaper, os_clock_now() + 5 * BW_MS);
}

static int on_persist(void *ctx, enum node_number what, uint64_t value)
{
    struct daemon *d = ctx;
    const char *key = what == NODE_TAI_HIGH ? "tai-high" : what == NODE_SEQNO ? "seqno" : "session-tai-high";
    int err = os_store_put_u64(d->store, "counter", key, value);
    daemon_problem(d, PROBLEM_STORE, err, "state-not-written", err ? os_store_error(d->store) : "",
                   "make room or make it writable; until then a restart may take minutes to be let back in");
    return err;
}

static void on_setup_changed(void *ctx)
{
    struct daemon *d = ctx;
    d->setup_dirty = true;
}

// ---- probes ----

struct probe_run {
    struct daemon *d;
    unsigned family;
    uint32_t serial;
};

static void probe_done(void *ctx, const struct os_probe_result *r)
{
    struct probe_run *run = ctx;
    struct daemon *d = run->d;
    bool v4 = run->family == UPLINK_V4;
    if (!d->stopping) {
        setup_upstreams(d); // whoever changed them is not known to tell
        node_probe_done(d->node, run->family, run->serial, v4 ? r->v4 : r->v6, v4 ? r->rtt4_us : r->rtt6_us, os_clock_now());
        daemon_turn(d);
    }
    free(run);
}

static void probe_targets(const struct config_internet *c, struct os_probe_config *p)
{
    p->mode = c->probe == CONFIG_PROBE_AUTO ? OS_PROBE_AUTO : c->probe == CONFIG_PROBE_NONE ? OS_PROBE_NONE : OS_PROBE_LIST;
    for (uint32_t i = 0; i < c->probe_count && p->count < OS_PROBE_TARGETS; i++)
        if (c->probes[i].literal) p->targets[p->count++] = (struct os_probe_target){c->probes[i].addr, c->probes[i].port};
}

static void on_probe(void *ctx, unsigned family, uint32_t serial, uint32_t timeout_ms)
{
    struct daemon *d = ctx;
    struct probe_run *run = calloc(1, sizeof *run);
    if (!run) return; // no answer within timeout_ms counts as a miss
    *run = (struct probe_run){d, family, serial};
    struct os_probe_config c = {.mark = NETCONF_MARK, .timeout_ms = timeout_ms, .skip_v4 = family != UPLINK_V4,
                                .skip_v6 = family != UPLINK_V6};
    probe_targets(&d->config.internet, &c);
    if (os_probe_start(&d->loop, &c, probe_done, run)) free(run);
}

// ---- HTTP over the mesh ----

static void http_done(void *ctx, const struct http_answer *a)
{
    struct mesh_request *q = ctx;
    struct daemon *d = q->d;
    uint32_t serial = q->serial;
    q->serial = 0;
    node_http_done(d->node, serial, a->status, a->body, a->body_len, os_clock_now());
    daemon_turn(d);
}

static void on_http(void *ctx, uint32_t serial, const struct exitc_http *r)
{
    struct daemon *d = ctx;
    char url[128], addr[BW_ADDR_TEXT];
    snprintf(url, sizeof url, "http://[%s]:%d%s", bw_addr_text(&r->to, addr), SHARE_API_PORT, r->path);
    struct http_request q = {.url = url, .body = r->body, .body_len = r->len, .source = &d->id.addr, .ifname = d->tun.name,
                             .timeout_ms = r->timeout_ms};
    for (int i = 0; i < DAEMON_HTTP_MAX; i++) {
        if (d->requests[i].serial) continue;
        d->requests[i].serial = serial;
        d->requests[i].d = d;
        int err = http_client_start(d->http, &q, http_done, &d->requests[i]);
        if (err > 0) return;
        bw_log(&d->log, BW_WARN, "%s cannot be asked: %s", url, bw_strerror(err));
        d->requests[i].serial = 0;
        break;
    }
    // no answer: the node has its own deadline for every request
}

// ---- leases that must outlive us ----

struct lease_row {
    uint8_t address[16], inner4[16], inner6[16];
};

static void on_save_lease(void *ctx, const struct exits_saved *l)
{
    struct daemon *d = ctx;
    struct lease_row row;
    memcpy(row.address, l->address.b, 16);
    memcpy(row.inner4, l->inner4.b, 16);
    memcpy(row.inner6, l->inner6.b, 16);
    later_write(d, "lease", l->key, sizeof l->key, &row, sizeof row);
}

static void on_drop_lease(void *ctx, const uint8_t key[32])
{
    later_write(ctx, "lease", key, 32, NULL, 0);
}

// ---- public keys of mesh addresses ----

static bool on_find_key(void *ctx, const struct bw_addr *addr, uint8_t key[32])
{
    struct daemon *d = ctx;
    return os_store_get(d->store, "key", addr->b, sizeof addr->b, key, 32) == 32;
}

static int count_key(void *ctx, const uint8_t *key, size_t key_n, const uint8_t *p, size_t n)
{
    struct daemon *d = ctx;
    (void)key, (void)key_n, (void)p, (void)n;
    d->keys_stored++;
    return 0;
}

void glue_count_keys(struct daemon *d)
{
    d->keys_stored = 0;
    if (os_store_iter(d->store, "key", count_key, d)) bw_log(&d->log, BW_WARN, "the stored keys cannot be read: %s", os_store_error(d->store));
}

static void on_keep_key(void *ctx, const struct bw_addr *addr, const uint8_t key[32])
{
    struct daemon *d = ctx;
    uint8_t had[32];
    bool there = on_find_key(d, addr, had);
    if (there && !memcmp(had, key, 32)) return;
    if (!there && d->keys_stored >= KEYS_STORED_MAX) return; // what is there stays; this address is asked again another time
    if (os_store_put(d->store, "key", addr->b, sizeof addr->b, key, 32))
        bw_log(&d->log, BW_WARN, "a node's key could not be stored: %s", os_store_error(d->store));
    else if (!there) d->keys_stored++;
}

// ---- the rest ----

static void on_to_tun(void *ctx, const uint8_t *packet, size_t n)
{
    struct daemon *d = ctx;
    worker_pool_to_tun(d->pool, packet, n);
}

static void on_resolve(void *ctx, const uint8_t key[32])
{
    peers_resolve(ctx, key);
}

static void on_keylog(void *ctx, const char *line)
{
    struct daemon *d = ctx;
    fprintf(d->keylog, "%s\n", line);
    fflush(d->keylog);
}

static void on_event(void *ctx, const char *type, const char *json)
{
    struct daemon *d = ctx;
    if (d->api) api_event_text(d->api, type, json);
}

struct node_out glue_node_out(struct daemon *d)
{
    return (struct node_out){
        .ctx = d,
        .send = on_send,
        .to_link = on_to_link,
        .publish = on_publish,
        .persist = on_persist,
        .setup_changed = on_setup_changed,
        .probe = on_probe,
        .http = on_http,
        .save_lease = on_save_lease,
        .drop_lease = on_drop_lease,
        .note_month = ledger_note,
        .recall_month = ledger_recall,
        .log_lease = ledger_log,
        .uplink_bytes = ledger_uplink,
        .to_tun = on_to_tun,
        .find_key = on_find_key,
        .keep_key = on_keep_key,
        .resolve = on_resolve,
        .keylog = d->keylog ? on_keylog : NULL,
        .event = on_event,
    };
}

void glue_punt(void *ctx, const struct fwd_punt *p)
{
    struct daemon *d = ctx;
    node_punt(d->node, p, os_clock_now(), os_clock_unix_ns());
}
