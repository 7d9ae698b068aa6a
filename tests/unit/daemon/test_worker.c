// Packet workers for real: two nodes with kernel TUNs in two network namespaces (one process: sockets and TUNs stay
// where they were opened), TCP between the kernels while snapshots change all the time. Meant for ThreadSanitizer as
// well.
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/fwd/fib.h"
#include "daemon/ring.h"
#include "daemon/worker.h"
#include "os/clock.h"
#include "unit/os/own_netns.h"
#include "unit/parse.h"

static bool ready;

struct node {
    struct bw_mem mem;
    struct os_udp udp[WORKERS_MAX];
    struct os_tun tun;
    struct worker_pool *pool;
    struct fwd_link link;
    struct keypair *key;
    struct fwd_route mesh[2];
    struct fib fib; // these two, and some that come and go
    unsigned published;
    struct bw_addr self;
    unsigned threads;
};

// As a node does it: snapshots share one table, in which something has changed each time.
static void publish(struct node *n)
{
    uint16_t slot = 0;
    struct fwd_route flaps = {.prefix = prefix("fd0f::/128"), .target = FWD_TO_LINK};
    for (unsigned i = 0; i < 2; i++) assert_int_equal(fib_set(&n->fib, &n->mem, &n->mesh[i]), 0);
    for (unsigned i = 0; i < 40; i++) {
        flaps.prefix.addr.b[15] = (uint8_t)i;
        flaps.link = (uint16_t)n->published;
        if (i % 3 != n->published % 3) assert_int_equal(fib_set(&n->fib, &n->mem, &flaps), 0);
        else assert_int_equal(fib_remove(&n->fib, &n->mem, &flaps.prefix), 0);
    }
    n->published++;
    struct fwd_config c = {.self = n->self,
                           .linklocal = addr("fe80::1"),
                           .transit = true,
                           .links = &n->link,
                           .link_count = 1,
                           .rx_keys = &n->key,
                           .rx_links = &slot,
                           .rx_count = 1,
                           .fib = &n->fib};
    struct fwd_snapshot *s = fwd_snapshot_new(&n->mem, &c);
    assert_non_null(s);
    worker_pool_publish(n->pool, s);
}

static void start(struct node *n, unsigned threads, const char *self, const char *net)
{
    char err[OS_ERROR_TEXT] = "", cmd[256];
    n->threads = threads;
    n->self = addr(self);
    bw_mem_system(&n->mem);
    assert_int_equal(os_tun_open(&n->tun, "byway0", threads, err), 0);
    snprintf(cmd, sizeof cmd,
             "ip addr add %s dev byway0 && ip addr add %s/128 dev byway0 nodad && ip link set byway0 up mtu 1420 && "
             "ip route add 10.0.0.0/8 dev byway0 && ip route add fc00::/7 dev byway0",
             net, self);
    assert_int_equal(system(cmd), 0);
    struct worker_config c = {.threads = threads, .udp = n->udp, .tun = &n->tun};
    n->pool = worker_pool_start(&c, err);
    assert_non_null(n->pool);
}

static void sockets(struct node *n, unsigned threads)
{
    char err[OS_ERROR_TEXT];
    struct os_udp_options o = {.share = threads > 1, .loopback = true};
    for (unsigned i = 0; i < threads; i++) {
        assert_int_equal(os_udp_open(&n->udp[i], &o, err), 0);
        o.port = n->udp[0].port;
        o.join = true;
    }
}

static void join(struct node *a, struct node *b)
{
    uint8_t k1[32] = {1}, k2[32] = {2};
    struct node *n[] = {a, b};
    for (int i = 0; i < 2; i++) {
        struct link_shared *s = link_shared_new(&n[i]->mem);
        n[i]->key = keypair_new(&n[i]->mem, n[i]->threads + 1, i ? k2 : k1, i ? k1 : k2, true, true, 100u + (unsigned)i,
                                101u - (unsigned)i, s, os_clock_now());
        n[i]->link = (struct fwd_link){
            .used = true, .remote = {addr("127.0.0.1"), n[!i]->udp[0].port, 0}, .tx = n[i]->key, .shared = s};
    }
    a->mesh[0] = (struct fwd_route){.prefix = prefix("fd02::2/128"), .target = FWD_TO_LINK};
    a->mesh[1] = (struct fwd_route){.prefix = prefix("10.2.0.0/16"), .target = FWD_TO_LINK};
    b->mesh[0] = (struct fwd_route){.prefix = prefix("fd01::1/128"), .target = FWD_TO_LINK};
    b->mesh[1] = (struct fwd_route){.prefix = prefix("10.2.0.0/16"), .target = FWD_TO_TUN};
}

static void stop(struct node *n)
{
    worker_pool_stop(n->pool);
    fib_free(&n->fib, &n->mem);
    os_tun_close(&n->tun);
    for (unsigned i = 0; i < n->threads; i++) os_udp_close(&n->udp[i]);
    keypair_unref(n->key);
    link_shared_unref(n->link.shared);
    assert_int_equal(n->mem.used, 0);
}

static struct node a, b;

// Where the thread's new sockets go from now on.
static int listener(struct sockaddr_in6 *at)
{
    int s = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    *at = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(5001)};
    memcpy(&at->sin6_addr, addr("fd02::2").b, 16);
    assert_int_equal(bind(s, (void *)at, sizeof *at), 0);
    assert_int_equal(listen(s, 5), 0);
    return s;
}

#define BYTES (12u << 20)

static void tcp_while_snapshots_change(unsigned threads)
{
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    sockets(&a, threads);
    sockets(&b, threads);
    start(&a, threads, "fd01::1", "10.1.0.1/16");
    int client = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    start(&b, threads, "fd02::2", "10.2.0.1/16");
    struct sockaddr_in6 at;
    int server = listener(&at), peer = -1;
    join(&a, &b);
    publish(&a);
    publish(&b);
    assert_true(!connect(client, (void *)&at, sizeof at) || errno == EINPROGRESS);
    uint32_t sent = 0, got = 0, published = 2;
    uint8_t buf[65536];
    bw_time deadline = os_clock_now() + 60 * BW_S, next = 0;
    while (got < BYTES && os_clock_now() < deadline) {
        struct pollfd p[] = {{client, sent < BYTES ? POLLOUT : 0, 0}, {peer >= 0 ? peer : server, POLLIN, 0}};
        poll(p, 2, 1);
        if (os_clock_now() >= next) {
            publish(&a);
            publish(&b);
            published += 2;
            next = os_clock_now() + 500;
        }
        if ((p[0].revents & POLLOUT) && sent < BYTES) {
            for (uint32_t i = 0; i < sizeof buf; i++) buf[i] = (uint8_t)((sent + i) * 2654435761u >> 24);
            ssize_t n = send(client, buf, BYTES - sent < sizeof buf ? BYTES - sent : sizeof buf, MSG_NOSIGNAL);
            if (n > 0) sent += (uint32_t)n;
        }
        if (p[1].revents & POLLIN) {
            if (peer < 0) {
                peer = accept4(server, NULL, NULL, SOCK_NONBLOCK);
                continue;
            }
            ssize_t n = recv(peer, buf, sizeof buf, 0);
            for (ssize_t i = 0; i < n; i++)
                if (buf[i] != (uint8_t)((got + (uint32_t)i) * 2654435761u >> 24))
                    fail_msg("byte %u differs", got + (unsigned)i);
            if (n > 0) got += (uint32_t)n;
        }
    }
    assert_int_equal(got, BYTES);
    assert_true(published > 4);
    while ((worker_pool_reap(a.pool) || worker_pool_reap(b.pool)) && os_clock_now() < deadline) poll(NULL, 0, 1);
    assert_int_equal(worker_pool_reap(a.pool), 0); // asleep or not, everybody has moved on
    assert_int_equal(worker_pool_drops(a.pool, FWD_DROP_AUTH) + worker_pool_drops(b.pool, FWD_DROP_AUTH), 0);
    assert_true(atomic_load(&b.link.shared->rx_bytes) > BYTES);
    close(client);
    close(peer);
    close(server);
    stop(&a);
    stop(&b);
}

static void one_worker(void **state)
{
    (void)state;
    if (!ready) skip();
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    assert_true(own_link_up("lo", 0));
    tcp_while_snapshots_change(1);
}

static void three_workers(void **state)
{
    (void)state;
    if (!ready) skip();
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    assert_true(own_link_up("lo", 0));
    tcp_while_snapshots_change(3);
}

struct seen {
    unsigned count;
    struct fwd_punt last;
    uint8_t data[200];
};
static void see(void *ctx, const struct fwd_punt *p)
{
    struct seen *s = ctx;
    s->count++;
    s->last = *p;
    memcpy(s->data, p->data, p->len < sizeof s->data ? p->len : sizeof s->data);
}
struct lost {
    uint64_t punts;
};
static void count_lost(void *ctx, const struct view_counter *c)
{
    struct lost *l = ctx;
    if (!strcmp(c->name, "byway_punts_lost_total")) l->punts = c->value;
}

static void punts_reach_control(void **state)
{
    (void)state;
    if (!ready) skip();
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    assert_true(own_link_up("lo", 0));
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    sockets(&a, 1);
    sockets(&b, 1);
    start(&a, 1, "fd01::1", "10.1.0.1/16");
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    start(&b, 1, "fd02::2", "10.2.0.1/16");
    join(&a, &b);
    uint8_t packet[40] = {0x60, [6] = 59, [7] = 64}, hello[148] = {1, [20] = 9};
    assert_int_equal(worker_pool_to_link(a.pool, 0, packet, 40, os_clock_now()),
                     BW_ERR_AGAIN); // nothing is published yet
    publish(&a);
    publish(&b);
    // a datagram as it is: control of a -> workers of b -> control of b
    struct seen seen = {0};
    worker_pool_send(a.pool, &a.link.remote, 0, hello, sizeof hello);
    struct pollfd p = {.fd = worker_pool_punt_fd(b.pool), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(worker_pool_punts(b.pool, see, &seen), 1);
    assert_int_equal(seen.last.kind, FWD_PUNT_HANDSHAKE);
    assert_int_equal(seen.last.len, 148);
    assert_memory_equal(seen.data, hello, 148);
    assert_int_equal(seen.last.remote.port, a.udp[0].port);
    assert_int_equal(poll(&p, 1, 0), 0);
    // control's own packet: sealed with keys of thread 0, dropped over there as a martian
    assert_int_equal(worker_pool_to_link(a.pool, 0, packet, 40, os_clock_now()), 0);
    bw_time deadline = os_clock_now() + 5 * BW_S;
    while (!worker_pool_drops(b.pool, FWD_DROP_MARTIAN) && os_clock_now() < deadline) poll(NULL, 0, 1);
    assert_int_equal(worker_pool_drops(b.pool, FWD_DROP_MARTIAN), 1);
    // a flood: what control can't take is lost and counted, nothing else happens
    struct lost lost = {0};
    while (!lost.punts && os_clock_now() < deadline) {
        for (int i = 0; i < 200; i++) worker_pool_send(a.pool, &a.link.remote, 0, hello, sizeof hello);
        worker_pool_counters(b.pool, count_lost, &lost);
    }
    assert_true(lost.punts > 0);
    seen.count = 0;
    while (worker_pool_punts(b.pool, see, &seen)) continue;
    assert_in_range(seen.count, 200, 100000);
    stop(&a);
    stop(&b);
}

// The ring against a list: random puts and gets, sizes up to more than fits.
static void ring_is_a_queue(void **state)
{
    (void)state;
    struct punt_ring *r = aligned_alloc(64, sizeof *r);
    struct punt_room *room = malloc(sizeof *room);
    punt_ring_init(r);
    unsigned put = 0, got = 0;
    uint32_t lens[100000];
    srandom(1);
    for (unsigned k = 0; k < 60000; k++) {
        uint8_t data[PUNT_MAX + 1];
        uint32_t n = (uint32_t)random() % (random() % 8 ? 200 : PUNT_MAX + 2);
        memset(data, (int)put, n);
        struct fwd_punt p = {.kind = FWD_PUNT_BABEL, .link = (uint16_t)put, .data = data, .len = n};
        if (random() % 2) {
            bool in = punt_ring_put(r, &p);
            if (n > PUNT_MAX) assert_false(in);
            if (in) lens[put++] = n;
            else if (n <= PUNT_MAX) assert_true(put > got);
        } else {
            const struct fwd_punt *q = punt_ring_get(r, room);
            assert_int_equal(q != NULL, put > got);
            if (!q) continue;
            assert_int_equal(q->link, (uint16_t)got);
            assert_int_equal(q->len, lens[got]);
            for (uint32_t i = 0; i < q->len; i++) assert_int_equal(q->data[i], (uint8_t)got);
            got++;
        }
    }
    assert_true(got > 1000);
    free(room);
    free(r);
}

int main(void)
{
    if (bw_crypto_init()) return 1;
    ready = own_netns() && !access("/dev/net/tun", R_OK | W_OK);
    const struct CMUnitTest tests[] = {cmocka_unit_test(ring_is_a_queue), cmocka_unit_test(punts_reach_control),
                                       cmocka_unit_test(one_worker), cmocka_unit_test(three_workers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
