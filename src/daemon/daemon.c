#include "daemon/daemon_private.h"

#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "os/entropy.h"
#include "os/identity.h"
#include "os/notify.h"
#include "os/ns.h"

#define SETUP_PAUSE (50 * BW_MS) // between two changes of the machine's set-up: a neighbour may change its mind all the time
#define KEYLOG_ENV "BYWAY_KEYLOG" // tests only

void daemon_fail(struct daemon *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "byway: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    d->failed = true;
}

static void log_line(void *ctx, enum bw_level level, const char *text)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    (void)ctx;
    fprintf(stderr, "%s: %s\n", names[level], text);
}

void daemon_problem(struct daemon *d, int which, bool on, const char *code, const char *text, const char *hint)
{
    struct problem *p = &d->problems[which];
    p->on = on;
    snprintf(p->view.code, sizeof p->view.code, "%s", code);
    snprintf(p->view.text, sizeof p->view.text, "%s", text);
    snprintf(p->view.hint, sizeof p->view.hint, "%s", hint);
}

// ---- the loop ----

static void finish(struct daemon *d)
{
    uv_stop(&d->loop);
}

// Who is told that an exit is in use must be able to use it.
static bool exit_changed(const struct daemon *d)
{
    struct exitc_plan p;
    internet_client_plan(node_internet(d->node), &p);
    return p.active != d->exit.active || !bw_addr_eq(&p.exit, &d->exit.exit) || !bw_addr_eq(&p.inner4, &d->exit.inner4) ||
           !bw_addr_eq(&p.inner6, &d->exit.inner6);
}

void daemon_turn(struct daemon *d)
{
    if (!d->node || !d->timer) return;
    bw_time now = os_clock_now();
    node_tick(d->node, now, os_clock_unix_ns());
    if (d->setup_dirty && d->ready_told && (now >= d->setup_after || exit_changed(d))) {
        setup_apply(d);
        d->setup_after = os_clock_now() + SETUP_PAUSE;
        node_tick(d->node, os_clock_now(), os_clock_unix_ns());
    }
    os_timer_at(d->timer, bw_time_min(node_deadline(d->node), d->setup_dirty ? d->setup_after : BW_NEVER));
    if (d->stopping && node_stopped(d->node, os_clock_now())) finish(d);
}

static void on_timer(void *ctx)
{
    daemon_turn(ctx);
}

static void on_reap(void *ctx)
{
    struct daemon *d = ctx;
    if (worker_pool_reap(d->pool)) os_timer_at(d->reaper, os_clock_now() + 5 * BW_MS);
}

static void on_punts(void *ctx, int events)
{
    struct daemon *d = ctx;
    (void)events;
    worker_pool_punts(d->pool, glue_punt, d);
    daemon_turn(d);
}

void daemon_end(struct daemon *d)
{
    if (d->stopping) return;
    bw_log(&d->log, BW_INFO, "stopping: telling the neighbours");
    d->stopping = true;
    (void)!os_notify("STOPPING=1");
    node_stop(d->node, os_clock_now());
    daemon_turn(d);
}

static void on_signal(uv_signal_t *s, int number)
{
    struct daemon *d = s->data;
    if (number == SIGHUP) {
        struct api_error e = {0};
        (void)!reload_file(d, &e); // says in the log what is wrong
        daemon_turn(d);
        return;
    }
    if (d->stopping) finish(d); // asked twice: at once
    else daemon_end(d);
}

// ---- starting, in this order; whatever fails says why, and stop() takes back what was made ----

static int open_identity(struct daemon *d)
{
    char why[OS_WHY];
    uint8_t seed[32];
    int err = os_identity_read(d->state.dir, seed, why, sizeof why);
    if (err == BW_ERR_NOTFOUND) {
        identity_draw(&d->id, &d->rng);
        d->new_identity = true;
        err = os_identity_write(d->state.dir, d->id.seed, false, why, sizeof why);
    } else if (!err && identity_from_seed(&d->id, seed)) {
        err = os_why(BW_ERR_RANGE, why, sizeof why, "%s/identity holds a seed that gives no mesh address (make another with `byway key new --force`)", d->state.dir);
    }
    explicit_bzero(seed, sizeof seed);
    if (err) daemon_fail(d, "%s", why);
    return err;
}

static int open_state(struct daemon *d)
{
    char why[OS_WHY];
    int err = os_state_open(d->opt->state_dir, &d->state, why, sizeof why);
    if (err) {
        daemon_fail(d, "%s", why);
        return err;
    }
    if ((err = open_identity(d))) return err;
    err = os_store_open(d->state.dir, &d->store, why, sizeof why);
    if (err < 0) daemon_fail(d, "%s", why);
    else if (err) bw_log(&d->log, BW_WARN, "%s", why);
    if (err >= 0) glue_count_keys(d);
    return err < 0 ? err : 0;
}

static int claim(struct daemon *d)
{
    char why[OS_WHY];
    if (d->place >= 0 || !os_ns_claim(&d->place, why, sizeof why)) return 0;
    daemon_fail(d, "%s", why);
    return BW_ERR_EXISTS;
}

// A kill switch stands before anything else that can fail: whatever keeps the node from running, nothing leaves.
static int open_guard(struct daemon *d)
{
    char why[OS_WHY];
    if (!d->config.internet.killswitch) return 0;
    int err = claim(d); // the guard may be another node's
    if (err || !(err = setup_guard(d, why, sizeof why))) return err;
    daemon_fail(d, "%s", why);
    return err;
}

static int open_device(struct daemon *d)
{
    char err[OS_ERROR_TEXT];
    if (claim(d)) return BW_ERR_EXISTS;
    d->threads = worker_default_threads();
    struct os_udp_options o = {.port = d->config.listen.port, .mark = NETCONF_MARK, .share = true};
    for (; d->udp_count < d->threads; d->udp_count++) {
        o.join = d->udp_count > 0;
        if (os_udp_open(&d->udp[d->udp_count], &o, err)) {
            daemon_fail(d, "%s", err);
            return BW_ERR_SYS;
        }
        o.port = d->udp[0].port;
    }
    if (os_tun_open(&d->tun, d->config.tun.interface, d->threads, err)) {
        d->tun.name[0] = 0;
        daemon_fail(d, "%s", err);
        return BW_ERR_SYS;
    }
    return 0;
}

static int open_network(struct daemon *d)
{
    char why[OS_WHY];
    int err = os_nl_open(&d->nl, why, sizeof why);
    if (!err) err = setup_open(d, why, sizeof why);
    if (err) daemon_fail(d, "%s", why);
    return err;
}

static void probe_families(const struct config_internet *c, struct node_config *n)
{
    n->probe_none = c->probe == CONFIG_PROBE_NONE;
    n->probe4 = n->probe6 = c->probe == CONFIG_PROBE_AUTO;
    for (uint32_t i = 0; c->probe == CONFIG_PROBE_LIST && i < c->probe_count; i++) {
        if (!c->probes[i].literal) continue;
        if (bw_addr_is_v4(&c->probes[i].addr)) n->probe4 = true;
        else n->probe6 = true;
    }
}

static int restore_lease(void *ctx, const uint8_t *key, size_t key_n, const uint8_t *p, size_t n)
{
    struct daemon *d = ctx;
    struct exits_saved l;
    if (key_n != sizeof l.key || n != 48) return 0;
    memcpy(l.key, key, sizeof l.key);
    memcpy(l.address.b, p, 16);
    memcpy(l.inner4.b, p + 16, 16);
    memcpy(l.inner6.b, p + 32, 16);
    node_restore_lease(d->node, &l, os_clock_now());
    return 0;
}

static int read_numbers(struct daemon *d, struct node_config *c)
{
    uint64_t seqno = 0, clean = 1;
    int err = os_store_get_u64(d->store, "counter", "tai-high", 0, &c->tai_high);
    if (!err) err = os_store_get_u64(d->store, "counter", "session-tai-high", 0, &c->session_tai);
    if (!err) err = os_store_get_u64(d->store, "counter", "seqno", 0, &seqno);
    if (!err) err = os_store_get_u64(d->store, "counter", "epoch", 0, &c->epoch);
    if (!err) err = os_store_get_u64(d->store, "counter", "clean", 1, &clean);
    c->seqno = (uint16_t)seqno;
    c->clean_start = clean;
    if (!err && !c->epoch && !d->new_identity) {
        node_numbers_lost(c, os_clock_unix_ns());
        err = os_store_put_u64(d->store, "counter", "tai-high", c->tai_high);
        if (!err) err = os_store_put_u64(d->store, "counter", "session-tai-high", c->session_tai);
    }
    c->epoch++;
    if (!err) err = os_store_put_u64(d->store, "counter", "epoch", c->epoch);
    if (!err) err = os_store_put_u64(d->store, "counter", "clean", 0);
    if (err) daemon_fail(d, "%s", os_store_error(d->store));
    return err;
}

static int open_node(struct daemon *d)
{
    static const enum link_policy policies[] = {[CONFIG_POLICY_OPEN] = LINK_POLICY_OPEN, [CONFIG_POLICY_SECRET] = LINK_POLICY_SECRET,
                                                [CONFIG_POLICY_CLOSED] = LINK_POLICY_CLOSED};
    const struct config *c = &d->config;
    struct bw_prefix imports[CONFIG_PREFIXES], denied[CONFIG_PREFIXES];
    struct node_config n = {.id = &d->id, .port = d->udp[0].port, .threads = 1 + d->threads, .policy = policies[c->discover.policy],
                            .public_ = c->listen.is_public, .transit = c->routing.transit, .exports = c->routing.exports,
                            .export_count = c->routing.export_count, .imports = imports, .denied = denied,
                            .limits = ledger_limits(&c->internet)};
    for (uint32_t i = 0; i < c->routing.import_count; i++) {
        if (c->routing.imports[i].deny) denied[n.denied_count++] = c->routing.imports[i].prefix;
        else imports[n.import_count++] = c->routing.imports[i].prefix;
    }
    n.aes = bw_aes_fast();
    snprintf(n.name, sizeof n.name, "%s", c->node.name);
    memcpy(n.secret, c->discover.secret, sizeof n.secret);
    probe_families(&c->internet, &n);
    ledger_targets(&c->internet, n.targets);
    int err = read_numbers(d, &n);
    if (err) return err;
    struct worker_config w = {.threads = d->threads, .udp = d->udp, .tun = &d->tun};
    char text[OS_ERROR_TEXT];
    d->pool = worker_pool_start(&w, text);
    if (!d->pool) {
        daemon_fail(d, "%s", text);
        return BW_ERR_NOMEM;
    }
    struct node_out out = glue_node_out(d);
    d->node = node_new(&d->mem, &d->rng, &d->log, &n, &out, os_clock_now(), os_clock_unix_ns());
    explicit_bzero(&n, sizeof n);
    if (!d->node) {
        daemon_fail(d, "no memory for the node");
        return BW_ERR_NOMEM;
    }
    return 0;
}

static int open_loop(struct daemon *d)
{
    d->http = http_client_new(&d->loop);
    if (!d->http || os_timer_open(&d->loop, on_timer, d, &d->timer) || os_timer_open(&d->loop, on_reap, d, &d->reaper) ||
        os_watch_open(&d->loop, worker_pool_punt_fd(d->pool), UV_READABLE, on_punts, d, &d->punts)) {
        daemon_fail(d, "no memory for the control loop");
        return BW_ERR_NOMEM;
    }
    static const int numbers[3] = {SIGINT, SIGTERM, SIGHUP};
    for (int i = 0; i < 3; i++) {
        uv_signal_init(&d->loop, &d->signals[i]);
        d->signals[i].data = d;
        uv_signal_start(&d->signals[i], on_signal, numbers[i]);
    }
    return 0;
}

static int open_services(struct daemon *d)
{
    char why[OS_WHY];
    setup_apply(d); // the firewall stands before the first neighbour is met
    if (d->problems[PROBLEM_SETUP].on || d->problems[PROBLEM_FIREWALL].on) {
        daemon_fail(d, "%s", d->problems[d->problems[PROBLEM_SETUP].on ? PROBLEM_SETUP : PROBLEM_FIREWALL].view.text);
        return BW_ERR_SYS;
    }
    int err = serve_open(d, why, sizeof why);
    if (!err) err = net_open(d, why, sizeof why);
    if (err) {
        daemon_fail(d, "%s", why);
        return err;
    }
    if (later_open(d) || ledger_open(d)) {
        daemon_fail(d, "no memory");
        return BW_ERR_NOMEM;
    }
    if (os_store_iter(d->store, "lease", restore_lease, d) < 0)
        bw_log(&d->log, BW_WARN, "stored leases could not be read: %s", os_store_error(d->store));
    if ((err = peers_apply(d, NULL))) {
        daemon_fail(d, "no memory for the neighbours that the configuration lists");
        return err;
    }
    reload_internet(d);
    return 0;
}

static void open_keylog(struct daemon *d)
{
    const char *path = getenv(KEYLOG_ENV);
    if (!path || !*path) return;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0) d->keylog = fdopen(fd, "a");
    if (!d->keylog) return;
    daemon_problem(d, PROBLEM_KEYLOG, true, "key-log", "the secret keys of every link are being written to a file (" KEYLOG_ENV ")",
                   "this is for tests only: unset " KEYLOG_ENV " and start the node again");
    fprintf(stderr, "byway: WARNING: " KEYLOG_ENV " is set: SECRET KEYS of every link are written to %s. Whoever reads that file reads "
                    "all traffic. For tests only.\n", path);
}

static int start(struct daemon *d)
{
    uint8_t seed[32];
    os_entropy(seed, sizeof seed);
    bw_rng_seed(&d->rng, seed);
    explicit_bzero(seed, sizeof seed);
    if (bw_crypto_init()) {
        daemon_fail(d, "the cryptographic libraries lack something that byway needs (are libsodium and OpenSSL 3 whole?)");
        return BW_ERR_SYS;
    }
    open_keylog(d);
    int err = open_guard(d);
    if (!err) err = open_state(d);
    if (!err) err = open_device(d);
    if (!err) err = open_network(d);
    if (!err) err = open_node(d);
    if (!err) err = open_loop(d);
    if (!err) err = open_services(d);
    return err;
}

static void count_handle(uv_handle_t *h, void *arg)
{
    (void)h;
    ++*(unsigned *)arg;
}

// Until every handle has closed. A name that is being looked up is not waited for: that can take half a minute.
static void close_handles(struct daemon *d)
{
    for (unsigned left = 1; left;) {
        uv_run(&d->loop, UV_RUN_ONCE);
        left = 0;
        uv_walk(&d->loop, count_handle, &left);
    }
    if (!d->lookups) uv_run(&d->loop, UV_RUN_DEFAULT);
}

static void stop(struct daemon *d)
{
    if (d->node && d->store)
        (void)!os_store_put_u64(d->store, "counter", "clean", d->stopping && node_stopped_clean(d->node));
    pinger_close(d);
    serve_close(d);
    peers_close(d);
    net_close(d);
    if (d->http) http_client_close(d->http);
    setup_close(d);
    os_watch_close(d->punts, false);
    os_timer_close(d->timer);
    os_timer_close(d->reaper);
    ledger_close(d);
    later_close(d);
    d->timer = d->reaper = NULL;
    for (int i = 0; i < 3; i++)
        if (d->signals[i].data) uv_close((uv_handle_t *)&d->signals[i], NULL);
    close_handles(d);
    if (d->pool) worker_pool_stop(d->pool);
    node_free(d->node);
    d->node = NULL;
    if (d->tun.name[0]) os_tun_close(&d->tun);
    while (d->udp_count) os_udp_close(&d->udp[--d->udp_count]);
    os_nl_close(d->nl);
    if (d->place >= 0) close(d->place);
    os_store_close(d->store);
    os_state_close(&d->state);
    identity_wipe(&d->id);
    if (d->keylog) fclose(d->keylog);
    explicit_bzero(&d->rng, sizeof d->rng);
}

int daemon_run(const struct run_options *o)
{
    struct daemon *d = calloc(1, sizeof *d);
    struct config_report report;
    if (!d) return 1;
    d->opt = o;
    d->log = (struct bw_log){.line = log_line};
    d->state.lock_fd = d->place = -1;
    bw_mem_system(&d->mem);
    if (config_load(o->config_path, o->sets, o->set_count, &d->config, &report)) {
        config_report_print(&report, stderr);
        daemon_fail(d, "the configuration has %zu mistake%s, listed above: nothing was started (byway check tells when a file is right)",
                    report.count, report.count == 1 ? "" : "s");
        config_report_free(&report);
        free(d);
        return 1;
    }
    config_report_free(&report);
    d->log.level = d->config.log.level;
    reload_remember(d);
    uv_loop_init(&d->loop);
    signal(SIGPIPE, SIG_IGN);
    if (!start(d)) {
        d->ready_told = d->setup_dirty = true;
        daemon_turn(d);
        char addr[BW_ADDR_TEXT];
        bw_log(&d->log, BW_INFO, "%s is %s", d->config.node.name, bw_addr_text(&d->id.addr, addr));
        printf("ready\n");
        fflush(stdout);
        (void)!os_notify("READY=1");
        uv_run(&d->loop, UV_RUN_DEFAULT);
    }
    stop(d);
    int status = d->failed ? 1 : 0;
    if (d->lookups) { // their threads would be waited for; nothing else is left to do
        fflush(NULL);
        _exit(status);
    }
    uv_loop_close(&d->loop);
    config_free(&d->config);
    free(d);
    return status;
}
