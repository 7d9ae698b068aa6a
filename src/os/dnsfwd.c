#include "os/dnsfwd.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/dnsfwd_tcp.h"
#include "os/entropy.h"
#include "os/sock.h"
#include "os/timer.h"
#include "os/watch.h"
#include "os/why.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

#define HEADER 12
#define QUERY_MAX 4096
#define TRY_US (1500 * BW_MS) // then the next upstream
#define GIVE_UP_US (5 * BW_S) // then the client is told
#define READS_PER_TURN 64

struct query {
    struct os_dnsfwd *d;
    struct os_watch *watch; // NULL: this place is free
    struct sockaddr_storage client;
    socklen_t client_len;
    struct bw_addr from;
    unsigned rank; // among those of the same client, oldest first: from 1, without gaps
    uint8_t client_id[2], id[2];
    size_t upstream; // the one that is being asked
    bw_time next_try, give_up;
    uint8_t *text; // the query with our id
    size_t n, question_n;
};

struct os_dnsfwd {
    uv_loop_t *loop;
    struct os_dnsfwd_config c;
    struct os_dnsfwd_stats stats;
    struct os_watch *watch;
    struct os_timer *timer;
    struct dnsfwd_tcp *tcp;
    struct query queries[OS_DNSFWD_UDP];
    uint8_t buf[65536];
};

bool dnsfwd_allows(const struct os_dnsfwd_config *c, const struct bw_addr *a)
{
    for (size_t i = 0; i < c->client_count; i++)
        if (bw_prefix_has(&c->clients[i], a)) return true;
    return c->client_count == 0;
}

size_t os_dnsfwd_question(const uint8_t *p, size_t n)
{
    size_t at = HEADER;
    if (n < HEADER || p[4] != 0 || p[5] != 1) return 0;
    while (at < n && p[at] != 0) {
        if (p[at] > 63) return 0; // a compressed name has nothing to point to here
        at += 1u + p[at];
    }
    return at + 5 <= n && at - HEADER < 255 ? at + 5 - HEADER : 0;
}

static void end(struct query *q)
{
    for (size_t i = 0; i < OS_DNSFWD_UDP; i++) {
        struct query *other = &q->d->queries[i];
        if (other->rank > q->rank && bw_addr_eq(&other->from, &q->from)) other->rank--;
    }
    os_watch_close(q->watch, true);
    free(q->text);
    *q = (struct query){.d = q->d};
}

static void answer(struct query *q, uint8_t *p, size_t n)
{
    memcpy(p, q->client_id, 2);
    ssize_t sent = sendto(os_watch_fd(q->d->watch), p, n, MSG_DONTWAIT, (void *)&q->client, q->client_len);
    (void)sent; // a full socket buffer loses it as the network might: the client asks again
}

// SERVFAIL: the client need not wait for its own timeout.
static void answer_failure(struct query *q)
{
    uint8_t out[HEADER + 260] = {0};
    memcpy(out, q->text, HEADER + q->question_n);
    out[2] = (uint8_t)(0x80 | (q->text[2] & 0x79)); // QR, opcode and RD as asked
    out[3] = 0x82;                                  // RA, SERVFAIL
    memset(out + 6, 0, 6);
    answer(q, out, HEADER + q->question_n);
    q->d->stats.timeouts++;
    end(q);
}

static void on_answer(void *ctx, int events);

static bool ask(struct query *q)
{
    struct os_dnsfwd *d = q->d;
    struct sockaddr_storage sa;
    if (q->upstream >= d->c.upstream_count) return false;
    const struct bw_endpoint *up = &d->c.upstreams[q->upstream];
    socklen_t n = os_sock_from_endpoint(up, &sa);
    int fd = os_sock_open(up, SOCK_DGRAM, d->c.mark, NULL);
    if (fd < 0) return false;
    // Connected: the kernel lets only this server's packets through, to a port that it chose at random.
    if (connect(fd, (void *)&sa, n) || send(fd, q->text, q->n, 0) < 0 ||
        os_watch_open(d->loop, fd, UV_READABLE, on_answer, q, &q->watch)) {
        close(fd);
        return false;
    }
    return true;
}

static void wake_for(struct os_dnsfwd *d)
{
    bw_time at = BW_NEVER;
    for (size_t i = 0; i < OS_DNSFWD_UDP; i++)
        if (d->queries[i].text) at = bw_time_min(at, bw_time_min(d->queries[i].next_try, d->queries[i].give_up));
    os_timer_at(d->timer, at);
}

// The next upstream that can be asked at all, round and round until the query's time is over.
static void ask_next(struct query *q, bw_time now)
{
    size_t count = q->d->c.upstream_count;
    os_watch_close(q->watch, true);
    q->watch = NULL;
    for (size_t i = 0; i < count; i++) {
        q->upstream = (q->upstream + 1) % count;
        if (!ask(q)) continue;
        q->next_try = now + TRY_US;
        return;
    }
    answer_failure(q);
}

static void on_answer(void *ctx, int events)
{
    (void)events;
    struct query *q = ctx;
    struct os_dnsfwd *d = q->d;
    ssize_t n = recv(os_watch_fd(q->watch), d->buf, sizeof d->buf, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) { // refused: nobody is there
        if (d->c.upstream_count > 1) ask_next(q, os_clock_now());
        else answer_failure(q);
        wake_for(d);
        return;
    }
    if (n < HEADER || memcmp(d->buf, q->id, 2) || !(d->buf[2] & 0x80)) return;
    size_t question = os_dnsfwd_question(d->buf, (size_t)n);
    bool same = question == q->question_n && !memcmp(d->buf + HEADER, q->text + HEADER, question);
    bool none = !(d->buf[4] | d->buf[5]) && d->buf[3] & 15; // some servers refuse without repeating the question
    if (!same && !none) return;
    answer(q, d->buf, (size_t)n);
    d->stats.answers++;
    end(q);
    wake_for(d);
}

static void on_timer(void *ctx)
{
    struct os_dnsfwd *d = ctx;
    bw_time now = os_clock_now();
    for (size_t i = 0; i < OS_DNSFWD_UDP; i++) {
        struct query *q = &d->queries[i];
        if (!q->text) continue;
        if (now >= q->give_up) answer_failure(q);
        else if (now >= q->next_try) ask_next(q, now);
    }
    wake_for(d);
}

// With all places taken, the client that has most gives one up to a client that has fewer: nobody can keep the others from
// asking.
static struct query *free_place(struct os_dnsfwd *d, const struct bw_addr *from, unsigned *rank)
{
    struct query *most = &d->queries[0];
    *rank = 1;
    for (size_t i = 0; i < OS_DNSFWD_UDP; i++)
        if (d->queries[i].text && bw_addr_eq(&d->queries[i].from, from)) ++*rank;
    for (size_t i = 0; i < OS_DNSFWD_UDP; i++) {
        if (!d->queries[i].text) return &d->queries[i];
        if (d->queries[i].rank > most->rank) most = &d->queries[i];
    }
    if (most->rank <= *rank) return NULL;
    d->stats.refused_full++;
    end(most);
    return most;
}

// A client that asks again with the same id and port gets the answer that is on its way.
static bool is_under_way(const struct os_dnsfwd *d, const struct sockaddr_storage *from, socklen_t from_len, size_t n)
{
    for (size_t i = 0; i < OS_DNSFWD_UDP; i++) {
        const struct query *q = &d->queries[i];
        if (q->text && q->n == n && q->client_len == from_len && !memcmp(&q->client, from, from_len) &&
            !memcmp(q->client_id, d->buf, 2) && !memcmp(q->text + 2, d->buf + 2, n - 2))
            return true;
    }
    return false;
}

static void take_query(struct os_dnsfwd *d, size_t n, const struct sockaddr_storage *from, socklen_t from_len)
{
    struct bw_endpoint e;
    if (!os_sock_to_endpoint(from, &e) || !dnsfwd_allows(&d->c, &e.addr)) {
        d->stats.refused_source++;
        return;
    }
    size_t question = n <= QUERY_MAX ? os_dnsfwd_question(d->buf, n) : 0;
    if (!question || d->buf[2] & 0x80) {
        d->stats.malformed++;
        return;
    }
    if (is_under_way(d, from, from_len, n)) return;
    unsigned rank;
    struct query *q = free_place(d, &e.addr, &rank);
    uint8_t *text = q ? malloc(n) : NULL;
    if (!text) {
        d->stats.refused_full++;
        return;
    }
    bw_time now = os_clock_now();
    *q = (struct query){.d = d,
                        .client = *from,
                        .client_len = from_len,
                        .from = e.addr,
                        .rank = rank,
                        .text = text,
                        .n = n,
                        .question_n = question,
                        .next_try = now + TRY_US,
                        .give_up = now + GIVE_UP_US};
    memcpy(text, d->buf, n);
    memcpy(q->client_id, text, 2);
    os_entropy(q->id, 2);
    memcpy(text, q->id, 2);
    d->stats.queries++;
    if (!ask(q)) ask_next(q, now);
    wake_for(d);
}

static void on_query(void *ctx, int events)
{
    (void)events;
    struct os_dnsfwd *d = ctx;
    for (int i = 0; i < READS_PER_TURN; i++) {
        struct sockaddr_storage from = {0};
        socklen_t from_len = sizeof from;
        ssize_t n = recvfrom(os_watch_fd(d->watch), d->buf, sizeof d->buf, 0, (void *)&from, &from_len);
        if (n < 0) return;
        take_query(d, (size_t)n, &from, from_len);
    }
}

static int listening_socket(const struct bw_endpoint *at, int type)
{
    struct sockaddr_storage sa;
    socklen_t n = os_sock_from_endpoint(at, &sa);
    int one = 1, fd = os_sock_open(at, type, 0, NULL);
    if (fd < 0) return -1;
    bool v4 = bw_addr_is_v4(&at->addr);
    // The address may come later than we do (the TUN's).
    bool ok = setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_FREEBIND : IPV6_FREEBIND, &one, sizeof one) == 0;
    if (ok && !v4) ok = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0;
    if (ok && type == SOCK_STREAM) ok = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0;
    ok = ok && bind(fd, (void *)&sa, n) == 0 && (type != SOCK_STREAM || listen(fd, 16) == 0);
    if (ok) return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int open_sockets(struct os_dnsfwd *d)
{
    int udp = listening_socket(&d->c.listen, SOCK_DGRAM);
    if (udp < 0) return BW_ERR_SYS;
    int err = os_watch_open(d->loop, udp, UV_READABLE, on_query, d, &d->watch);
    if (err) {
        close(udp);
        return err;
    }
    int tcp = listening_socket(&d->c.listen, SOCK_STREAM);
    if (tcp < 0) return BW_ERR_SYS;
    err = dnsfwd_tcp_open(d->loop, tcp, &d->c, &d->stats, &d->tcp);
    return err ? err : os_timer_open(d->loop, on_timer, d, &d->timer);
}

int os_dnsfwd_open(uv_loop_t *loop, const struct os_dnsfwd_config *c, struct os_dnsfwd **out, char *why, size_t n)
{
    struct os_dnsfwd *d = calloc(1, sizeof *d);
    if (!d) return os_why(BW_ERR_NOMEM, why, n, "out of memory");
    d->loop = loop;
    d->c = *c;
    for (size_t i = 0; i < OS_DNSFWD_UDP; i++) d->queries[i].d = d;
    os_dnsfwd_upstreams(d, c->upstreams, c->upstream_count);
    int err = open_sockets(d);
    if (err) {
        char at[BW_ENDPOINT_TEXT];
        if (err == BW_ERR_SYS && errno == EADDRINUSE) err = BW_ERR_EXISTS;
        os_why(err, why, n, "DNS cannot be answered at %s: %m%s", bw_endpoint_text(&c->listen, at),
               err == BW_ERR_EXISTS ? " (another DNS server listens on every address: bind it to its own)" : "");
        os_dnsfwd_close(d);
        return err;
    }
    *out = d;
    return 0;
}

void os_dnsfwd_upstreams(struct os_dnsfwd *d, const struct bw_endpoint *up, size_t count)
{
    struct bw_endpoint keep[OS_DNSFWD_UPSTREAMS];
    size_t kept = 0;
    for (size_t i = 0; i < count && kept < OS_DNSFWD_UPSTREAMS; i++)
        if (!bw_endpoint_eq(&up[i], &d->c.listen)) keep[kept++] = up[i]; // to ask ourselves would go round and round
    if (kept) memcpy(d->c.upstreams, keep, kept * sizeof keep[0]);
    d->c.upstream_count = kept;
}

void os_dnsfwd_stats(const struct os_dnsfwd *d, struct os_dnsfwd_stats *out)
{
    *out = d->stats;
}

void os_dnsfwd_close(struct os_dnsfwd *d)
{
    if (!d) return;
    for (size_t i = 0; i < OS_DNSFWD_UDP; i++)
        if (d->queries[i].text) end(&d->queries[i]);
    os_watch_close(d->watch, true);
    dnsfwd_tcp_close(d->tcp);
    os_timer_close(d->timer);
    free(d);
}
