// Packet workers: threads that run core/fwd over an immutable snapshot, each with a TUN queue and UDP sockets of its
// own. Everything here is called on the control thread; nothing waits for a worker except worker_pool_stop.
//
//   open os_tun (queues = threads) and `threads` os_udp sets (first .share, the others .share and .join) ->
//   worker_pool_start whenever links, keys or routes changed: fwd_snapshot_new -> worker_pool_publish (takes it over)
//   -> worker_pool_reap soon uv_poll on worker_pool_punt_fd -> worker_pool_punts
//   end: worker_pool_stop, then close sockets and TUN
#ifndef DAEMON_WORKER_H
#define DAEMON_WORKER_H

#include "core/fwd/fwd.h"
#include "core/view.h"
#include "os/tun.h"
#include "os/udp.h"

#define WORKERS_MAX (KEYPAIR_THREADS_MAX - 1)

struct worker_pool;

struct worker_config {
    unsigned threads;         // 1..WORKERS_MAX; worker_default_threads()
    struct os_udp *udp;       // [threads], opened by the caller and alive until worker_pool_stop has returned
    const struct os_tun *tun; // opened with `threads` queues
};

unsigned worker_default_threads(void);

// NULL: no memory or threads; err says it. Workers drop everything until the first snapshot is published.
struct worker_pool *worker_pool_start(const struct worker_config *c, char err[OS_ERROR_TEXT]);
// Ends and joins the threads, frees every snapshot and the pool.
void worker_pool_stop(struct worker_pool *p);

// Takes over s, which becomes what workers and control use. The previous one is freed by a later call here or by
// worker_pool_reap, once no worker can still be reading it (all have moved on or sleep).
void worker_pool_publish(struct worker_pool *p, struct fwd_snapshot *s);
// Frees what can be freed. Returns how many old snapshots are still waiting; call again within a few milliseconds if
// any.
unsigned worker_pool_reap(struct worker_pool *p);

// Punts (struct fwd_punt; bytes are valid during the call). The descriptor is readable when there are some.
int worker_pool_punt_fd(const struct worker_pool *p);
typedef void worker_punt_fn(void *ctx, const struct fwd_punt *punt);
unsigned worker_pool_punts(struct worker_pool *p, worker_punt_fn *fn,
                           void *ctx); // up to 1,024 in one call; returns how many

// Control's own packets: thread 0 of every keypair, first worker's sockets, the current snapshot. As fwd_to_link;
// BW_ERR_AGAIN also when nothing is published yet.
int worker_pool_to_link(struct worker_pool *p, uint16_t slot, const uint8_t *packet, size_t n,
                        bw_time now) BW_NODISCARD;
// A whole IP packet for this machine.
void worker_pool_to_tun(struct worker_pool *p, const uint8_t *packet, size_t n);
// One datagram as it is: handshakes, cookies, beacons.
void worker_pool_send(struct worker_pool *p, const struct bw_endpoint *remote, uint32_t ifindex, const uint8_t *data,
                      size_t n);

// Totals for /metrics: byway_packets_dropped_total{reason=...}, byway_punts_lost_total, byway_udp_lost_total,
// byway_tun_lost_total.
void worker_pool_counters(const struct worker_pool *p, view_counter_fn *fn, void *ctx);
uint64_t worker_pool_drops(const struct worker_pool *p, enum fwd_drop d);

#endif
