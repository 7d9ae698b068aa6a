#include "daemon/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/fwd/vnet.h"
#include "daemon/ring.h"
#include "os/clock.h"

#define ASLEEP 0      // a worker's epoch while it waits and holds no snapshot
#define TUN_BUDGET 32 // frames read in one turn, so that the network gets its turn too
#define PUNTS_AT_ONCE 1024
#define WAITING_MAX 64 // old snapshots that may wait; more than control can make while a worker handles one batch

_Static_assert(sizeof(struct fwd_piece) == sizeof(struct iovec) &&
                   offsetof(struct fwd_piece, len) == offsetof(struct iovec, iov_len),
               "pieces are handed to writev as they are");

struct counters { // each written by one thread
    atomic_uint_least64_t punts_lost, udp_lost, tun_lost;
};

struct output { // where a struct fwd's packets go
    struct worker_pool *pool;
    struct os_udp *udp;
    int tun;
    struct punt_ring *ring; // NULL: control's own
    bool punted;            // something new is in the ring
    struct counters count;
};

struct worker {
    _Alignas(64) atomic_uint_least64_t epoch; // of the snapshot that it may be using, or ASLEEP
    struct output out;
    struct fwd *fwd;
    struct punt_ring ring;
    uint8_t *memory; // one mapping: receive buffers, TUN frame, struct fwd
    size_t memory_size;
    int epoll;
    pthread_t thread;
    bool started;
};

struct worker_pool {
    _Alignas(64) _Atomic(struct fwd_snapshot *) current;
    atomic_uint_least64_t epoch; // grows with every publication, starting at 1
    atomic_bool stop;
    int wake, punt_fd; // eventfds: end of work; something was punted
    unsigned threads;
    struct worker *worker;
    struct { // snapshots that were replaced, and the epoch from which nobody uses them
        struct fwd_snapshot *s;
        uint64_t epoch;
    } waiting[WAITING_MAX];
    unsigned waiting_count;
    struct output control_out;
    void *control_memory;
    struct fwd *control;
    struct punt_room room;
};

static void add(atomic_uint_least64_t *to, uint64_t n)
{
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n, memory_order_relaxed);
}

// ---- the sink ----

static void sink_wire(void *ctx, const struct fwd_train *t)
{
    struct output *o = ctx;
    unsigned want = t->seg ? (t->len + t->seg - 1) / t->seg : 1;
    unsigned sent = os_udp_send(o->udp, &t->remote, t->ifindex, t->data, t->len, t->seg);
    if (sent < want) add(&o->count.udp_lost, want - sent);
}

static void sink_tun(void *ctx, const struct fwd_piece *pieces, unsigned count)
{
    struct output *o = ctx;
    if (!os_tun_write(o->tun, (const struct iovec *)pieces, count)) add(&o->count.tun_lost, 1);
}

static void sink_punt(void *ctx, const struct fwd_punt *p)
{
    struct output *o = ctx;
    if (o->ring && punt_ring_put(o->ring, p)) o->punted = true;
    else add(&o->count.punts_lost, 1);
}

// ---- a worker's turn ----

// What the worker may read until it lets go; see worker_pool_reap for the other side. Sequentially consistent: the
// epoch is seen by control before the pointer is read here.
static const struct fwd_snapshot *hold(struct worker *w)
{
    atomic_store(&w->epoch, atomic_load(&w->out.pool->epoch));
    return atomic_load(&w->out.pool->current);
}

static void let_go(struct worker *w)
{
    atomic_store(&w->epoch, ASLEEP);
}

static void receive(struct worker *w, const struct fwd_snapshot *s, int fd)
{
    struct os_udp_train got[OS_UDP_BATCH];
    struct fwd_train in[OS_UDP_BATCH];
    for (unsigned i = 0; i < OS_UDP_BATCH; i++)
        got[i] = (struct os_udp_train){.data = w->memory + (size_t)i * OS_UDP_ROOM, .room = OS_UDP_ROOM};
    int n = os_udp_receive(fd, got, OS_UDP_BATCH);
    for (int i = 0; i < n; i++)
        in[i] = (struct fwd_train){got[i].data, got[i].len, got[i].seg, got[i].ifindex, got[i].remote};
    if (n && s) fwd_from_wire(w->fwd, s, in, (unsigned)n, os_clock_now());
}

// False: there was nothing.
static bool read_tun(struct worker *w, const struct fwd_snapshot *s)
{
    uint8_t *frame = w->memory + OS_UDP_BATCH * OS_UDP_ROOM;
    bw_time now = 0;
    unsigned i = 0;
    for (; i < TUN_BUDGET; i++) {
        size_t n = os_tun_read(w->out.tun, frame, OS_TUN_FRAME_MAX);
        if (!n) break;
        if (!now) now = os_clock_now();
        if (s) fwd_from_tun(w->fwd, s, frame, n, now);
    }
    if (i && s) fwd_flush(w->fwd);
    return i > 0;
}

static void tell_control(struct worker *w)
{
    if (!w->out.punted) return;
    w->out.punted = false;
    uint64_t one = 1;
    (void)!write(w->out.pool->punt_fd, &one, sizeof one);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct worker_pool *p = w->out.pool;
    while (!atomic_load_explicit(&p->stop, memory_order_relaxed)) {
        struct epoll_event e[4];
        int n = epoll_wait(w->epoll, e, 4, -1);
        const struct fwd_snapshot *s = hold(w);
        for (int i = 0; i < n; i++) {
            if (e[i].data.fd == w->out.tun) {
                // An interface that somebody deleted is "readable" for ever: let it rest, control will hear of it.
                if (!read_tun(w, s) && (e[i].events & (EPOLLERR | EPOLLHUP)))
                    epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->out.tun, NULL);
            } else if (e[i].data.fd != p->wake) {
                receive(w, s, e[i].data.fd);
            }
        }
        tell_control(w);
        let_go(w);
    }
    return NULL;
}

// ---- start and stop ----

unsigned worker_default_threads(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (cpus <= 2) return 1;
    return cpus / 2 < 4 ? (unsigned)(cpus / 2) : 4;
}

static bool watch(int epoll, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    return fd < 0 || !epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
}

static size_t page_round(size_t n)
{
    return (n + 4095) & ~(size_t)4095;
}

static bool worker_prepare(struct worker_pool *p, struct worker *w, const struct worker_config *c, unsigned i)
{
    w->out.pool = p;
    w->out.udp = &c->udp[i];
    w->out.tun = c->tun->fd[i];
    w->out.ring = &w->ring;
    punt_ring_init(&w->ring);
    size_t buffers = page_round(OS_UDP_BATCH * OS_UDP_ROOM + OS_TUN_FRAME_MAX);
    w->memory_size = buffers + page_round(fwd_size());
    w->memory = mmap(NULL, w->memory_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (w->memory == MAP_FAILED || w->epoll < 0) return false;
    struct fwd_sink sink = {&w->out, sink_wire, sink_tun, sink_punt};
    w->fwd = fwd_init(w->memory + buffers, i + 1, &sink);
    fwd_set_uso(w->fwd, c->tun->uso);
    return watch(w->epoll, w->out.tun) && watch(w->epoll, w->out.udp->fd4) && watch(w->epoll, w->out.udp->fd6) &&
           watch(w->epoll, p->wake);
}

static bool prepare(struct worker_pool *p, const struct worker_config *c)
{
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->punt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->control_memory = aligned_alloc(64, (fwd_size() + 63) & ~(size_t)63);
    p->worker = aligned_alloc(64, c->threads * sizeof *p->worker);
    if (p->wake < 0 || p->punt_fd < 0 || !p->control_memory || !p->worker) return false;
    for (unsigned i = 0; i < c->threads; i++) memset(&p->worker[i], 0, offsetof(struct worker, ring));
    for (unsigned i = 0; i < c->threads; i++)
        p->worker[i].epoll = -1, p->worker[i].memory = MAP_FAILED, p->worker[i].started = false;
    p->threads = c->threads;
    p->control_out = (struct output){.pool = p, .udp = &c->udp[0], .tun = c->tun->fd[0]};
    struct fwd_sink sink = {&p->control_out, sink_wire, sink_tun, sink_punt};
    p->control = fwd_init(p->control_memory, 0, &sink);
    for (unsigned i = 0; i < c->threads; i++)
        if (!worker_prepare(p, &p->worker[i], c, i)) return false;
    return true;
}

// Signals belong to the control thread, so workers are born with all of them blocked.
static bool start_threads(struct worker_pool *p)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    bool good = true;
    for (unsigned i = 0; i < p->threads && good; i++) {
        struct worker *w = &p->worker[i];
        errno = pthread_create(&w->thread, NULL, worker_main, w);
        good = w->started = !errno;
        char name[16];
        snprintf(name, sizeof name, "byway-packet%u", i % 100);
        if (good) pthread_setname_np(w->thread, name);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return good;
}

struct worker_pool *worker_pool_start(const struct worker_config *c, char err[OS_ERROR_TEXT])
{
    BW_ASSERT(c->threads >= 1 && c->threads <= WORKERS_MAX && c->tun->queues == c->threads);
    struct worker_pool *p = aligned_alloc(64, (sizeof *p + 63) & ~(size_t)63);
    if (p) {
        memset(p, 0, sizeof *p);
        atomic_init(&p->epoch, 1);
        p->wake = p->punt_fd = -1;
        if (prepare(p, c) && start_threads(p)) return p;
    }
    snprintf(err, OS_ERROR_TEXT, "packet workers can't be started: %s (memory, threads or open files are used up)",
             strerror(errno));
    worker_pool_stop(p);
    return NULL;
}

static void worker_end(struct worker *w)
{
    if (w->started) pthread_join(w->thread, NULL);
    if (w->epoll >= 0) close(w->epoll);
    if (w->memory != MAP_FAILED) munmap(w->memory, w->memory_size);
}

void worker_pool_stop(struct worker_pool *p)
{
    if (!p) return;
    atomic_store(&p->stop, true);
    uint64_t one = 1;
    if (p->wake >= 0) (void)!write(p->wake, &one, sizeof one);
    for (unsigned i = 0; i < p->threads; i++) worker_end(&p->worker[i]);
    for (unsigned i = 0; i < p->waiting_count; i++) fwd_snapshot_free(p->waiting[i].s);
    fwd_snapshot_free(atomic_load(&p->current));
    if (p->wake >= 0) close(p->wake);
    if (p->punt_fd >= 0) close(p->punt_fd);
    free(p->worker);
    free(p->control_memory);
    free(p);
}

// ---- snapshots ----

unsigned worker_pool_reap(struct worker_pool *p)
{
    uint64_t oldest = UINT64_MAX;
    for (unsigned i = 0; i < p->threads; i++) {
        uint64_t e = atomic_load(&p->worker[i].epoch);
        if (e != ASLEEP && e < oldest) oldest = e;
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < p->waiting_count; i++) {
        if (p->waiting[i].epoch <= oldest) fwd_snapshot_free(p->waiting[i].s);
        else p->waiting[kept++] = p->waiting[i];
    }
    return p->waiting_count = kept;
}

void worker_pool_publish(struct worker_pool *p, struct fwd_snapshot *s)
{
    // Batches last a millisecond or so; somebody who publishes 64 times within one has to wait for it.
    while (p->waiting_count == WAITING_MAX && worker_pool_reap(p) == WAITING_MAX) sched_yield();
    struct fwd_snapshot *old = atomic_exchange(&p->current, s);
    uint64_t epoch = atomic_fetch_add(&p->epoch, 1) + 1;
    if (old) p->waiting[p->waiting_count++] = (typeof(p->waiting[0])){old, epoch};
    worker_pool_reap(p);
}

// The current one, or NULL.
static const struct fwd_snapshot *worker_pool_snapshot(const struct worker_pool *p)
{
    return atomic_load(&p->current);
}

// ---- control's side ----

int worker_pool_punt_fd(const struct worker_pool *p)
{
    return p->punt_fd;
}

unsigned worker_pool_punts(struct worker_pool *p, worker_punt_fn *fn, void *ctx)
{
    uint64_t count;
    unsigned n = 0;
    (void)!read(p->punt_fd, &count, sizeof count);
    for (unsigned i = 0; i < p->threads; i++) {
        const struct fwd_punt *punt;
        while (n < PUNTS_AT_ONCE && (punt = punt_ring_get(&p->worker[i].ring, &p->room))) {
            fn(ctx, punt);
            n++;
        }
    }
    uint64_t one = 1;
    if (n == PUNTS_AT_ONCE) (void)!write(p->punt_fd, &one, sizeof one); // come again
    return n;
}

int worker_pool_to_link(struct worker_pool *p, uint16_t slot, const uint8_t *packet, size_t n, bw_time now)
{
    const struct fwd_snapshot *s = worker_pool_snapshot(p);
    return s ? fwd_to_link(p->control, s, slot, packet, n, now) : BW_ERR_AGAIN;
}

void worker_pool_to_tun(struct worker_pool *p, const uint8_t *packet, size_t n)
{
    static const uint8_t nothing[VNET_LEN]; // no offloads
    sink_tun(&p->control_out, (struct fwd_piece[]){{nothing, sizeof nothing}, {packet, n}}, 2);
}

void worker_pool_send(struct worker_pool *p, const struct bw_endpoint *remote, uint32_t ifindex, const uint8_t *data,
                      size_t n)
{
    if (n && n <= UINT16_MAX)
        sink_wire(&p->control_out, &(struct fwd_train){(uint8_t *)data, (uint32_t)n, (uint16_t)n, ifindex, *remote});
}

// ---- counters ----

uint64_t worker_pool_drops(const struct worker_pool *p, enum fwd_drop d)
{
    uint64_t n = fwd_drops(p->control, d);
    for (unsigned i = 0; i < p->threads; i++) n += fwd_drops(p->worker[i].fwd, d);
    return n;
}

void worker_pool_counters(const struct worker_pool *p, view_counter_fn *fn, void *ctx)
{
    for (unsigned d = 0; d < FWD_DROP_COUNT; d++)
        fn(ctx,
           &(struct view_counter){"byway_packets_dropped_total", "reason", fwd_drop_name(d), worker_pool_drops(p, d)});
    uint64_t punts = 0, udp = atomic_load(&p->control_out.count.udp_lost),
             tun = atomic_load(&p->control_out.count.tun_lost);
    for (unsigned i = 0; i < p->threads; i++) {
        const struct counters *c = &p->worker[i].out.count;
        punts += atomic_load_explicit(&c->punts_lost, memory_order_relaxed);
        udp += atomic_load_explicit(&c->udp_lost, memory_order_relaxed);
        tun += atomic_load_explicit(&c->tun_lost, memory_order_relaxed);
    }
    fn(ctx, &(struct view_counter){"byway_punts_lost_total", NULL, NULL, punts});
    fn(ctx, &(struct view_counter){"byway_udp_lost_total", NULL, NULL, udp});
    fn(ctx, &(struct view_counter){"byway_tun_lost_total", NULL, NULL, tun});
}
