// What sessions cost on one core, without any system call: handshakes answered and begun, floods turned away, and the memory
// of many. One line per figure; memory is counted where it is taken, the ciphers' contexts (OpenSSL) included.
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/session/set.h" // keys made by hand, for more sessions than one has patience for

#define PEERS 32
#define ROUNDS 100
#define FLOOD 100000
#define SESSIONS 5000

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void must(bool good, const char *what)
{
    if (good) return;
    fprintf(stderr, "bench_session: %s\n", what);
    exit(1);
}

struct packet {
    size_t n;
    uint8_t data[SESSION_MTU];
};

struct node {
    struct identity id;
    struct bw_mem mem;
    struct bw_rng rng;
    struct sessions *ss;
    struct sessions_config config;
    struct packet out[4];
    unsigned count;
};

static struct node server, peer[PEERS];
static bw_time now = 1000 * BW_S;
static uint64_t unix_ns = 1800000000ull * 1000000000;

static bool on_send(void *ctx, const struct bw_addr *to, const uint8_t *p, size_t n)
{
    struct node *me = ctx;
    (void)to;
    if (me->count == sizeof me->out / sizeof *me->out) return false;
    memcpy(me->out[me->count].data, p, n);
    me->out[me->count++].n = n;
    return true;
}

static void on_changed(void *ctx)
{
    (void)ctx;
}

static bool on_find_key(void *ctx, const struct bw_addr *a, uint8_t key[32])
{
    (void)ctx;
    if (!bw_addr_eq(a, &server.id.addr)) return false;
    memcpy(key, server.id.link_pk, 32);
    return true;
}

static void start(struct node *n)
{
    struct sessions_ops ops = {.ctx = n, .send = on_send, .changed = on_changed, .find_key = on_find_key};
    n->config.identity = &n->id;
    n->config.threads = 2;
    n->config.aes = bw_aes_fast();
    n->ss = sessions_new(&n->mem, &n->rng, NULL, &n->config, &ops);
    must(n->ss, "no memory");
}

static void draw(struct node *n, uint8_t seed)
{
    uint8_t s[32] = {seed, 5};
    bw_mem_system(&n->mem);
    bw_rng_seed(&n->rng, s);
    identity_draw(&n->id, &n->rng);
}

// A packet of `from` as the packet path gives it to `to`.
static void deliver(struct node *to, const struct node *from, const struct packet *p)
{
    uint8_t copy[SESSION_MTU], next;
    if (p->data[6] == 17) {
        sessions_rx(to->ss, 1, &from->id.addr, p->data + 48, p->n - 48, now);
        return;
    }
    memcpy(copy, p->data, p->n);
    uint32_t spi = (uint32_t)copy[40] << 24 | (uint32_t)copy[41] << 16 | (uint32_t)copy[42] << 8 | copy[43];
    struct sa *a = session_table_spi(sessions_table(to->ss), spi);
    if (!a) sessions_rx_esp(to->ss, 1, copy, p->n, now);
    else if (sa_open(a, 1, copy + 40, p->n - 40, &next, now) >= 0) sessions_confirm(to->ss, spi, now);
}

// From nothing to confirmed keys, ROUNDS times with each peer: what it costs each end.
static void handshakes(void)
{
    double begun = 0, answered = 0;
    unsigned done = 0;
    server.config.load_per_s = 1000000; // this is about the cost of answering
    start(&server);
    for (unsigned r = 0; r < ROUNDS; r++) {
        for (unsigned i = 0; i < PEERS; i++) {
            struct node *p = &peer[i];
            start(p);
            now += 5 * BW_MS;
            unix_ns += 5000000;
            p->count = server.count = 0;
            double t = cpu();
            sessions_want(p->ss, &server.id.addr, now);
            sessions_tick(p->ss, now, unix_ns);
            begun += cpu() - t;
            must(p->count == 1, "no initiation");
            t = cpu();
            deliver(&server, p, &p->out[0]);
            answered += cpu() - t;
            must(server.count == 1, "no response");
            t = cpu();
            deliver(p, &server, &server.out[0]);
            begun += cpu() - t;
            must(p->count == 2, "no first packet");
            t = cpu();
            deliver(&server, p, &p->out[1]);
            sessions_tick(server.ss, now, unix_ns);
            answered += cpu() - t;
            sessions_free(p->ss);
            done++;
        }
    }
    struct sessions_stats st;
    sessions_stats(server.ss, &st);
    must(st.handshakes == done, "handshakes are missing");
    printf("bench session handshakes answered %.0f 1/s per core, begun %.0f 1/s per core (%u each)\n", done / answered, done / begun, done);
    sessions_free(server.ss);
}

// 10,000 a second by the clock of the argument, so that nearly all are turned away. mac1 right, from a relay that saw a node's key.
static void flood(bool mac1)
{
    struct node *p = &peer[0];
    server.config.load_per_s = 0;
    start(&server);
    start(p);
    p->count = 0;
    sessions_want(p->ss, &server.id.addr, now);
    sessions_tick(p->ss, now, unix_ns += 1000000000);
    must(p->count == 1, "no initiation");
    struct packet m = p->out[0];
    if (!mac1) m.data[48 + SESSION_INITIATION_LEN - 32] ^= 1;
    double t = cpu();
    for (unsigned i = 0; i < FLOOD; i++) {
        server.count = 0;
        sessions_rx(server.ss, 1, &p->id.addr, m.data + 48, m.n - 48, now += 100);
    }
    t = cpu() - t;
    struct sessions_stats st;
    sessions_stats(server.ss, &st);
    must(st.initiations_received <= 1, "a repeated initiation was taken");
    printf("bench session flood %s %.0f 1/s turned away per core (%u)\n", mac1 ? "without cookie" : "with a wrong mac1", FLOOD / t, FLOOD);
    sessions_free(p->ss);
    sessions_free(server.ss);
}

// ---- memory ----

static size_t openssl_used, openssl_peak;

static void *count_malloc(size_t n, const char *file, int line)
{
    size_t *p = malloc(n + 16);
    (void)file, (void)line;
    if (!p) return NULL;
    *p = n;
    openssl_used += n;
    if (openssl_used > openssl_peak) openssl_peak = openssl_used;
    return (char *)p + 16;
}
static void count_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    if (!p) return;
    size_t *q = (size_t *)((char *)p - 16);
    openssl_used -= *q;
    free(q);
}
static void *count_realloc(void *p, size_t n, const char *file, int line)
{
    if (!p) return count_malloc(n, file, line);
    size_t had = *(size_t *)((char *)p - 16);
    void *q = count_malloc(n, file, line);
    if (q) memcpy(q, p, had < n ? had : n);
    if (q) count_free(p, file, line);
    return q;
}

// Everybody has sent something and got something, on one thread, as with a daemon of one worker.
static void use(struct sa *a, struct sa *other)
{
    uint8_t p[200] = {0}, next;
    int n = sa_seal(a, 1, p, 100, 17, NULL, now);
    must(n > 0, "not sealed");
    n = sa_seal(other, 0, p, 100, 17, NULL, now);
    must(n > 0 && sa_open(a, 1, p, (size_t)n, &next, now) == 100, "not opened");
}

static void new_keys(struct sessions *ss, struct bw_mem *others, unsigned i, uint8_t generation)
{
    struct bw_addr a = {{0xfc, 7, (uint8_t)(i >> 8), (uint8_t)i, [15] = 1}};
    struct session *s = session_get(ss, &a, now);
    struct noise_handshake hs = {.ck = {generation, (uint8_t)(i >> 8), (uint8_t)i}};
    struct noise_handshake same = hs;
    struct spi_entry e;
    uint8_t send[32], recv[32];
    struct sa_keys tx, rx;
    must(s != NULL, "no room for a session");
    s->has_key = true;
    spi_new(ss, &e, s);
    uint32_t spi = e.spi; // e moves into the session
    struct sa *sa = keys_make(ss, s, &hs, true, BW_AES_256_GCM, spi, 0x1000 + i, now);
    keys_initiated(ss, s, sa, &e, now);
    session_due(ss, s, now + BW_S); // as after an attempt
    noise_split(&same, true, send, recv);
    sa_derive(&tx, BW_AES_256_GCM, recv);
    sa_derive(&rx, BW_AES_256_GCM, send);
    struct session_shared *shared = session_shared_new(others);
    struct sa *other = sa_new(others, 1, BW_AES_256_GCM, &tx, &rx, true, &a, 0x1000 + i, spi, shared, now);
    session_shared_unref(shared);
    use(sa, other);
    sa_unref(other);
}

static void keys_for_all(struct sessions *ss, struct bw_mem *others, uint8_t generation)
{
    for (unsigned i = 0; i < SESSIONS; i++) new_keys(ss, others, i, generation);
    now += BW_S;
    sessions_tick(ss, now, unix_ns);
    must(sessions_table(ss)->count == SESSIONS, "a session is missing");
}

static size_t used(void)
{
    return server.mem.used + openssl_used;
}

// Half an hour in which each session changes its keys when they are worn: the most memory that was in use.
static size_t half_an_hour(struct sessions *ss, struct bw_mem *others)
{
    size_t most = 0;
    uint8_t generation = 9;
    for (unsigned second = 0; second < 1800; second++) {
        struct session *s;
        generation++;
        TAILQ_FOREACH(s, &ss->list, order) {
            const struct sa *a = s->keys[SA_CURRENT].sa;
            if (now >= a->born + a->rekey_after - BW_S) new_keys(ss, others, (unsigned)s->addr.b[2] << 8 | s->addr.b[3], generation);
        }
        sessions_tick(ss, now += BW_S, unix_ns);
        if (used() > most) most = used();
    }
    must(sessions_table(ss)->count == SESSIONS, "a session is missing");
    return most;
}

static double megabytes(size_t n)
{
    return (double)n / 1e6;
}

static bool memory(void)
{
    struct bw_mem others;
    bw_mem_system(&others);
    server.config.load_per_s = 0;
    start(&server);
    size_t before = openssl_used, had = used();
    keys_for_all(server.ss, &others, 1);
    size_t steady = used() - had, ssl = openssl_used - before;
    size_t most = half_an_hour(server.ss, &others) - had;
    keys_for_all(server.ss, &others, 2); // old keys receive until the other end has changed as well
    size_t forced = used() - had;
    bool good = most < 40000000;
    printf("bench session memory %u sessions of one age %.1f MB (%.1f MB of it the ciphers'), %.1f MB at most in half an hour, %.1f MB if all are made "
           "to change keys at once; under 40 MB is wanted: %s\n", SESSIONS, megabytes(steady), megabytes(ssl), megabytes(most), megabytes(forced),
           good ? "ok" : "MISSED");
    sessions_free(server.ss);
    return good;
}

int main(void)
{
    must(CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free), "OpenSSL's memory cannot be counted");
    must(!bw_crypto_init(), "no crypto");
    draw(&server, 0);
    for (unsigned i = 0; i < PEERS; i++) draw(&peer[i], (uint8_t)(i + 1));
    handshakes();
    flood(true);
    flood(false);
    return memory() ? 0 : 1;
}
