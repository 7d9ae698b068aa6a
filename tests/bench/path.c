// The packet path without a daemon: packet workers with keys that are no secret, in a row of nodes, for profiling.
//   path NUMBER COUNT LEFT RIGHT THREADS    node NUMBER of COUNT; underlay addresses of its neighbours ("-": none)
// Node k has the mesh address fc0k::k; links 1-2, 2-3, ... Prints "ready" when the TUN byway0 is there, ends on
// SIGTERM, and then prints what was dropped. tests/bench/path.sh builds it and runs it.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/worker.h"
#include "os/clock.h"

static struct bw_mem mem;
static struct fwd_link links[2];
static struct keypair *keys[2];
static uint16_t slots[2] = {0, 1};

static void die(const char *what)
{
    fprintf(stderr, "path: %s\n", what);
    exit(1);
}

// One end of link number `id`; the lower node is its first end.
static void make_link(unsigned at, unsigned id, bool first, const char *remote, unsigned threads)
{
    uint8_t k1[32] = {(uint8_t)id, 1}, k2[32] = {(uint8_t)id, 2};
    struct link_shared *s = link_shared_new(&mem);
    struct fwd_link *l = &links[at];
    if (bw_addr_parse(remote, &l->remote.addr)) die("bad address of a neighbour");
    l->used = true;
    l->remote.port = 4870;
    l->shared = s;
    l->tx = keys[at] = keypair_new(&mem, threads + 1, first ? k1 : k2, first ? k2 : k1, true, true, id * 2 + first,
                                   id * 2 + !first, s, os_clock_now() + 3600 * BW_S);
}

static void show(void *ctx, const struct view_counter *c)
{
    (void)ctx;
    if (c->value) printf("%s{%s} %llu\n", c->name, c->label_value ? c->label_value : "", (unsigned long long)c->value);
}

int main(int argc, char **argv)
{
    if (argc != 6) die("NUMBER COUNT LEFT RIGHT THREADS");
    unsigned me = (unsigned)atoi(argv[1]), count = (unsigned)atoi(argv[2]), threads = (unsigned)atoi(argv[5]);
    char err[OS_ERROR_TEXT];
    sigset_t end;
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigprocmask(SIG_BLOCK, &end, NULL);
    struct os_tun tun;
    struct os_udp udp[WORKERS_MAX];
    bw_mem_system(&mem);
    if (bw_crypto_init()) die("no crypto");
    if (strcmp(argv[3], "-")) make_link(0, me - 1, false, argv[3], threads);
    if (strcmp(argv[4], "-")) make_link(1, me, true, argv[4], threads);
    if (os_tun_open(&tun, "byway0", threads, err)) die(err);
    struct os_udp_options o = {.port = 4870, .share = threads > 1};
    for (unsigned i = 0; i < threads; i++, o.join = true)
        if (os_udp_open(&udp[i], &o, err)) die(err);
    struct fwd_route routes[16] = {0};
    struct keypair *rx[2];
    uint16_t rx_links[2];
    struct fwd_config c = {
        .transit = true, .links = links, .link_count = 2, .rx_keys = rx, .rx_links = rx_links, .mesh = routes};
    for (unsigned i = 0; i < 2; i++)
        if (links[i].used) rx[c.rx_count] = keys[i], rx_links[c.rx_count++] = slots[i];
    for (unsigned k = 1; k <= count && k < 16; k++) {
        struct bw_addr a = {{0xfc, (uint8_t)k, [15] = (uint8_t)k}};
        if (k == me) c.self = a;
        else
            routes[c.mesh_count++] =
                (struct fwd_route){.prefix = bw_prefix_host(&a), .target = FWD_TO_LINK, .link = k > me};
    }
    struct worker_pool *pool =
        worker_pool_start(&(struct worker_config){.threads = threads, .udp = udp, .tun = &tun}, err);
    if (!pool) die(err);
    struct fwd_snapshot *s = fwd_snapshot_new(&mem, &c);
    if (!s) die("no memory");
    worker_pool_publish(pool, s);
    puts("ready");
    fflush(stdout);
    int which;
    sigwait(&end, &which);
    worker_pool_counters(pool, show, NULL);
    for (unsigned i = 0; i < 2; i++)
        if (links[i].used)
            printf("link %u rx %llu tx %llu packets\n", i,
                   (unsigned long long)atomic_load(&links[i].shared->rx_packets),
                   (unsigned long long)atomic_load(&links[i].shared->tx_packets));
    worker_pool_stop(pool);
    return 0;
}
