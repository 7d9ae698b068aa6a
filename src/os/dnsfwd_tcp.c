#include "os/dnsfwd_tcp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/sock.h"
#include "os/timer.h"
#include "os/watch.h"

#define IDLE_US (10 * BW_S)
#define LIFE_US (60 * BW_S)
#define PER_CLIENT 8
#define MOVES_PER_TURN 16

// One way of a connection: what was read from one side and not yet written to the other.
struct pipe {
    uint8_t buf[4096];
    size_t at, n; // buf[at..n) is to be written
    bool ended;   // the source has said all
    bool shut;    // and the other side knows
};

struct conn {
    struct dnsfwd_tcp *t;
    struct os_watch *side[2]; // client, upstream; [0] == NULL: this place is free
    struct pipe *way[2];      // from the client, from the upstream
    struct bw_addr client;
    size_t upstream;
    bool connecting;
    bw_time idle_end, life_end;
};

struct dnsfwd_tcp {
    uv_loop_t *loop;
    const struct os_dnsfwd_config *c;
    struct os_dnsfwd_stats *stats;
    struct os_watch *watch;
    struct os_timer *timer;
    struct conn conns[OS_DNSFWD_TCP];
};

static void end(struct conn *k)
{
    for (int i = 0; i < 2; i++) {
        os_watch_close(k->side[i], true);
        free(k->way[i]);
    }
    *k = (struct conn){.t = k->t};
}

static void wake_for(struct dnsfwd_tcp *t)
{
    bw_time at = BW_NEVER;
    for (size_t i = 0; i < OS_DNSFWD_TCP; i++)
        if (t->conns[i].side[0]) at = bw_time_min(at, bw_time_min(t->conns[i].idle_end, t->conns[i].life_end));
    os_timer_at(t->timer, at);
}

enum moved { NOTHING, SOMETHING, BROKEN };

static enum moved move(struct pipe *w, int from, int to)
{
    enum moved r = NOTHING;
    if (w->at == w->n && !w->ended) {
        ssize_t got = recv(from, w->buf, sizeof w->buf, 0);
        if (got < 0 && errno != EAGAIN && errno != EINTR) return BROKEN;
        if (got == 0) w->ended = true;
        w->at = 0;
        w->n = got > 0 ? (size_t)got : 0;
        if (got >= 0) r = SOMETHING;
    }
    if (w->at < w->n) {
        ssize_t put = send(to, w->buf + w->at, w->n - w->at, MSG_NOSIGNAL);
        if (put < 0 && errno != EAGAIN && errno != EINTR) return BROKEN;
        if (put > 0) {
            w->at += (size_t)put;
            r = SOMETHING;
        }
    }
    if (w->at == w->n && w->ended && !w->shut) {
        w->shut = true;
        if (shutdown(to, SHUT_WR)) return BROKEN;
        r = SOMETHING;
    }
    return r;
}

static int events_for(const struct pipe *in, const struct pipe *out)
{
    int e = 0;
    if (in->at == in->n && !in->ended) e |= UV_READABLE;
    if (out->at < out->n) e |= UV_WRITABLE;
    return e;
}

static void pump(struct conn *k)
{
    int fd[2] = {os_watch_fd(k->side[0]), os_watch_fd(k->side[1])};
    for (int i = 0; i < MOVES_PER_TURN; i++) {
        enum moved a = move(k->way[0], fd[0], fd[1]), b = a == BROKEN ? BROKEN : move(k->way[1], fd[1], fd[0]);
        if (a == BROKEN || b == BROKEN || (k->way[0]->shut && k->way[1]->shut)) {
            end(k);
            return;
        }
        if (a == NOTHING && b == NOTHING) break;
        k->idle_end = os_clock_now() + IDLE_US;
    }
    os_watch_events(k->side[0], events_for(k->way[0], k->way[1]));
    os_watch_events(k->side[1], events_for(k->way[1], k->way[0]));
}

static void on_upstream(void *ctx, int events);

// Tries upstreams from k->upstream on; false if none is left.
static bool connect_next(struct conn *k)
{
    const struct os_dnsfwd_config *c = k->t->c;
    for (; k->upstream < c->upstream_count; k->upstream++) {
        struct sockaddr_storage sa;
        socklen_t n = os_sock_from_endpoint(&c->upstreams[k->upstream], &sa);
        int fd = os_sock_open(&c->upstreams[k->upstream], SOCK_STREAM, c->mark, NULL);
        if (fd < 0) continue;
        if ((connect(fd, (void *)&sa, n) == 0 || errno == EINPROGRESS) &&
            os_watch_open(k->t->loop, fd, UV_WRITABLE, on_upstream, k, &k->side[1]) == 0) {
            k->connecting = true;
            return true;
        }
        close(fd);
    }
    return false;
}

static void on_upstream(void *ctx, int events)
{
    (void)events;
    struct conn *k = ctx;
    if (k->connecting) {
        int err = 0;
        socklen_t size = sizeof err;
        if (getsockopt(os_watch_fd(k->side[1]), SOL_SOCKET, SO_ERROR, &err, &size) || err) {
            os_watch_close(k->side[1], true);
            k->side[1] = NULL;
            k->upstream++;
            if (!connect_next(k)) end(k);
            return;
        }
        k->connecting = false;
    }
    pump(k);
}

static void on_client(void *ctx, int events)
{
    (void)events;
    struct conn *k = ctx;
    if (!k->connecting) pump(k);
}

static unsigned held(const struct dnsfwd_tcp *t, const struct bw_addr *client)
{
    unsigned n = 0;
    for (size_t i = 0; i < OS_DNSFWD_TCP; i++) n += t->conns[i].side[0] && bw_addr_eq(&t->conns[i].client, client);
    return n;
}

// Nobody may take all places; and where a few have done so together, whoever has most gives one up to whoever has fewer.
static struct conn *place_for(struct dnsfwd_tcp *t, const struct bw_addr *client)
{
    struct conn *heaviest = NULL;
    unsigned own = held(t, client), most = 0;
    if (own >= PER_CLIENT) return NULL;
    for (size_t i = 0; i < OS_DNSFWD_TCP; i++) {
        if (!t->conns[i].side[0]) return &t->conns[i];
        unsigned n = held(t, &t->conns[i].client);
        if (n <= most) continue;
        most = n;
        heaviest = &t->conns[i];
    }
    if (!heaviest || most <= own + 1) return NULL;
    t->stats->refused_full++;
    end(heaviest);
    return heaviest;
}

static void take(struct dnsfwd_tcp *t, int fd, const struct bw_addr *client)
{
    struct conn *k = place_for(t, client);
    bw_time now = os_clock_now();
    if (!k) {
        t->stats->refused_full++;
        close(fd);
        return;
    }
    *k = (struct conn){.t = t, .client = *client, .idle_end = now + IDLE_US, .life_end = now + LIFE_US};
    k->way[0] = calloc(1, sizeof *k->way[0]);
    k->way[1] = calloc(1, sizeof *k->way[1]);
    if (!k->way[0] || !k->way[1] || os_watch_open(t->loop, fd, 0, on_client, k, &k->side[0])) {
        close(fd);
        end(k);
        return;
    }
    t->stats->tcp_connections++;
    if (!connect_next(k)) end(k);
    wake_for(t);
}

static void on_connection(void *ctx, int events)
{
    (void)events;
    struct dnsfwd_tcp *t = ctx;
    for (int i = 0; i < MOVES_PER_TURN; i++) {
        struct sockaddr_storage from = {0};
        socklen_t n = sizeof from;
        struct bw_endpoint e;
        int fd = accept4(os_watch_fd(t->watch), (void *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        if (os_sock_to_endpoint(&from, &e) && dnsfwd_allows(t->c, &e.addr)) {
            take(t, fd, &e.addr);
        } else {
            t->stats->refused_source++;
            close(fd);
        }
    }
}

static void on_timer(void *ctx)
{
    struct dnsfwd_tcp *t = ctx;
    bw_time now = os_clock_now();
    for (size_t i = 0; i < OS_DNSFWD_TCP; i++) {
        struct conn *k = &t->conns[i];
        if (k->side[0] && (now >= k->idle_end || now >= k->life_end)) end(k);
    }
    wake_for(t);
}

int dnsfwd_tcp_open(uv_loop_t *loop, int fd, const struct os_dnsfwd_config *c, struct os_dnsfwd_stats *stats,
                    struct dnsfwd_tcp **out)
{
    struct dnsfwd_tcp *t = calloc(1, sizeof *t);
    int err = t ? 0 : BW_ERR_NOMEM;
    if (!err) {
        *t = (struct dnsfwd_tcp){.loop = loop, .c = c, .stats = stats};
        for (size_t i = 0; i < OS_DNSFWD_TCP; i++) t->conns[i].t = t;
        err = os_timer_open(loop, on_timer, t, &t->timer);
    }
    if (!err) err = os_watch_open(loop, fd, UV_READABLE, on_connection, t, &t->watch);
    if (!err) {
        *out = t;
        return 0;
    }
    close(fd);
    dnsfwd_tcp_close(t);
    return err;
}

void dnsfwd_tcp_close(struct dnsfwd_tcp *t)
{
    if (!t) return;
    for (size_t i = 0; i < OS_DNSFWD_TCP; i++)
        if (t->conns[i].side[0]) end(&t->conns[i]);
    os_watch_close(t->watch, true);
    os_timer_close(t->timer);
    free(t);
}
