// Packets on their way out of the control path: session messages in UDP, inner packets in ESP, and those that wait for keys.
#include <string.h>

#include "core/fwd/csum.h"
#include "core/fwd/ip.h"
#include "core/session/set.h"

#define HOPS 64
#define UDP_HEADER 8

bool session_send_udp(struct sessions *ss, const struct bw_addr *to, const uint8_t *p, size_t n)
{
    uint8_t packet[IP6_HEADER + UDP_HEADER + SESSION_LEN_MAX], *u = packet + IP6_HEADER;
    const struct bw_addr *me = &ss->config.identity->addr;
    BW_ASSERT(n <= SESSION_LEN_MAX);
    uint16_t len = (uint16_t)(UDP_HEADER + n);
    ip6_header(packet, 0, len, IP_UDP, HOPS, me, to);
    ip_put16(u, SESSION_PORT);
    ip_put16(u + 2, SESSION_PORT);
    ip_put16(u + 4, len);
    ip_put16(u + 6, 0);
    memcpy(u + UDP_HEADER, p, n);
    csum_store(u + 6, csum_add(csum_pseudo(me->b, to->b, 16, IP_UDP, len), u, len));
    if (!u[6] && !u[7]) u[6] = u[7] = 0xff; // RFC 8200 section 8.1
    return ss->ops.send(ss->ops.ctx, to, packet, IP6_HEADER + (size_t)len);
}

// True: on its way (or lost on it). False: there are no keys that work.
static bool seal_and_send(struct sessions *ss, struct session *s, struct sa *a, const uint8_t *packet, size_t n, bw_time now)
{
    uint8_t out[SESSION_MTU], *esp = out + IP6_HEADER;
    const struct bw_addr *me = &ss->config.identity->addr;
    bool transport = session_fits_transport(packet, n, me, &s->addr);
    uint8_t next = transport ? packet[6] : packet[0] >> 4 == 4 ? IP_IPIP : IP_IPV6;
    size_t payload = transport ? n - IP6_HEADER : n;
    uint32_t seq;
    if (IP6_HEADER + esp_len(payload) > s->mtu) {
        session_drop(ss, SESSION_DROP_QUEUE);
        return true;
    }
    memcpy(esp + ESP_HEADER, packet + (n - payload), payload);
    int len = sa_seal(a, 0, esp, payload, next, &seq, now);
    sa_put_away(a, 0);
    if (len < 0) return false;
    if (transport) memcpy(out, packet, IP6_HEADER);
    else ip6_header(out, 0, 0, 0, HOPS, me, &s->addr);
    ip_put16(out + 4, (uint16_t)len);
    out[6] = ESP_PROTOCOL;
    if (session_trace_wanted(packet)) session_trace_put(ss->traces, a->remote_spi, seq, next, packet + (n - payload), payload);
    ss->ops.send(ss->ops.ctx, &s->addr, out, IP6_HEADER + (size_t)len);
    return true;
}

void session_send_dummy(struct sessions *ss, struct session *s, bw_time now)
{
    uint8_t out[IP6_HEADER + ESP_HEADER + 4 + ESP_ICV];
    struct sa *a = session_tx(s, now);
    if (!a) return;
    int len = sa_seal(a, 0, out + IP6_HEADER, 0, ESP_NO_NEXT, NULL, now);
    sa_put_away(a, 0);
    if (len < 0) return;
    ip6_header(out, 0, (uint16_t)len, ESP_PROTOCOL, HOPS, &ss->config.identity->addr, &s->addr);
    ss->ops.send(ss->ops.ctx, &s->addr, out, IP6_HEADER + (size_t)len);
}

// ---- the queue ----

static void free_first(struct sessions *ss, struct session *s)
{
    struct waiting *w = STAILQ_FIRST(&s->queue);
    STAILQ_REMOVE_HEAD(&s->queue, next);
    s->queued--;
    ss->queued--;
    bw_free(ss->mem, w, sizeof *w + w->n);
}

void session_queue_drop(struct sessions *ss, struct session *s, bw_time since_before)
{
    while (s->queued && STAILQ_FIRST(&s->queue)->since <= since_before) {
        session_drop(ss, SESSION_DROP_QUEUE);
        free_first(ss, s);
    }
}

void session_flush(struct sessions *ss, struct session *s, bw_time now)
{
    struct sa *a = session_tx(s, now);
    while (a && s->queued) {
        struct waiting *w = STAILQ_FIRST(&s->queue);
        if (!seal_and_send(ss, s, a, w->bytes, w->n, now)) return;
        free_first(ss, s);
    }
}

static void enqueue(struct sessions *ss, struct session *s, const uint8_t *packet, size_t n, bw_time now)
{
    if (s->queued >= SESSION_QUEUE_PACKETS) {
        session_drop(ss, SESSION_DROP_QUEUE);
        free_first(ss, s);
    }
    struct waiting *w = ss->queued < SESSION_QUEUE_TOTAL ? bw_alloc(ss->mem, sizeof *w + n) : NULL;
    if (!w) {
        session_drop(ss, SESSION_DROP_QUEUE);
        return;
    }
    w->since = now;
    w->n = n;
    memcpy(w->bytes, packet, n);
    STAILQ_INSERT_TAIL(&s->queue, w, next);
    s->queued++;
    ss->queued++;
    session_due(ss, s, now + SESSION_QUEUE_TIME);
}

static bool sendable(const struct sessions *ss, const struct bw_addr *peer, const uint8_t *packet, size_t n)
{
    if (!bw_addr_is_mesh(peer) || bw_addr_eq(peer, &ss->config.identity->addr)) return false;
    if (n > SESSION_MTU || n < 20) return false;
    return packet[0] >> 4 == 4 || (packet[0] >> 4 == 6 && n >= IP6_HEADER);
}

void sessions_send(struct sessions *ss, const struct bw_addr *peer, const uint8_t *packet, size_t n, bw_time now)
{
    ss->now = now;
    if (!sendable(ss, peer, packet, n)) {
        session_drop(ss, SESSION_DROP_MALFORMED);
        return;
    }
    struct session *s = session_get(ss, peer, now);
    if (!s) return; // counted
    struct sa *a = session_tx(s, now);
    if (a && seal_and_send(ss, s, a, packet, n, now)) return;
    enqueue(ss, s, packet, n, now);
    session_want(ss, s, now);
}

void sessions_want(struct sessions *ss, const struct bw_addr *peer, bw_time now)
{
    ss->now = now;
    if (!bw_addr_is_mesh(peer) || bw_addr_eq(peer, &ss->config.identity->addr)) return;
    struct session *s = session_get(ss, peer, now);
    if (s && !session_tx(s, now)) session_want(ss, s, now);
}
