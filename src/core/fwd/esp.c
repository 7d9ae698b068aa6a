// The end-to-end layer in the packet path (docs/spec/session.md, section 6): ESP around what leaves for another mesh address,
// and off what comes for ours. Keys come from the snapshot's table; whatever needs thought goes to control.
#include "core/fwd/path.h"

#include "core/fwd/csum.h"
#include "wire/session.h"

#define WANTED_PER_S 1000   // packets for peers without keys
#define WANTED_BURST 64
// Session messages and errors, and packets under keys that we don't have: for all, and by one link.
#define MESSAGES_PER_S 8000
#define MESSAGES_BURST 1024
#define LINK_MESSAGES_PER_S 1000
#define LINK_MESSAGES_BURST 256
#define UNKNOWN_PER_S 2000
#define UNKNOWN_BURST 256
#define LINK_UNKNOWN_PER_S 500
#define LINK_UNKNOWN_BURST 64

const struct session_entry *end_session(struct fwd *f, const struct fwd_snapshot *s, const struct bw_addr *peer)
{
    if (f->session.valid && bw_addr_eq(&f->session.peer, peer)) return f->session.entry;
    f->session.entry = session_table_peer(s->sessions, peer);
    f->session.peer = *peer;
    f->session.valid = true;
    return f->session.entry;
}

// ---- out ----

// The other end takes nothing from us but what is from ourselves or from a network that we export.
static bool may_send(const struct fwd_snapshot *s, const struct ip_view *v, enum fwd_drop *why)
{
    *why = FWD_DROP_NOT_EXPORTED;
    return bw_addr_eq(&v->src, &s->self) || snapshot_exported(s, &v->src);
}

static bool path_to_peer(struct fwd *f, const struct fwd_snapshot *s, uint16_t link, const struct ip_view *v,
                         struct path *p, enum fwd_drop *why)
{
    if (!may_send(s, v, why) || !path_to_link(s, link, p, why)) return false;
    p->seal = session_fits_transport(v->p, v->len, &s->self, &v->dst) ? PATH_TRANSPORT : PATH_TUNNEL;
    p->peer = v->dst;
    p->session = end_session(f, s, &v->dst);
    return true;
}

bool end_out(struct fwd *f, const struct fwd_snapshot *s, const struct fwd_route *r, const struct ip_view *v,
             struct path *p, enum fwd_drop *why)
{
    *why = FWD_DROP_NO_ROUTE;
    if (!r || r->target == FWD_UNREACHABLE) return false;
    // To a mesh address there is the way by its own session or none: whoever exports a default route is not to read it.
    if (v->version == 6 && bw_addr_is_mesh(&v->dst) && r->target != FWD_TO_LINK && r->target != FWD_TO_TUN) return false;
    if (r->target == FWD_TO_TUNNEL) return path_to_tunnel(f, s, tunnel_peer(s, &r->via, v), p, why);
    if (r->target == FWD_TO_EXPORT) {
        if (!may_send(s, v, why)) return false;
        *why = FWD_DROP_UNCONFIRMED;
        return !bw_addr_is_zero(&r->via) && path_to_export(f, s, &r->via, p, why);
    }
    if (r->target != FWD_TO_LINK) {
        *why = FWD_DROP_LOOP; // the kernel gave us what we would give to the kernel
        return false;
    }
    // What answers for fc00::e goes out under that address, in plain.
    if (v->version == 6 && bw_addr_is_mesh(&v->dst) && !bw_addr_eq(&v->src, &bw_addr_any_exit)) return path_to_peer(f, s, r->link, v, p, why);
    return path_to_link(s, r->link, p, why);
}

size_t end_room(const struct path *p)
{
    return p->seal == PATH_PLAIN ? 0 : p->seal == PATH_TRANSPORT ? ESP_HEADER : IP6_HEADER + ESP_HEADER;
}

size_t end_len(const struct path *p, size_t n)
{
    if (p->seal == PATH_PLAIN) return n;
    return IP6_HEADER + esp_len(p->seal == PATH_TRANSPORT ? n - IP6_HEADER : n);
}

static int want_session(struct fwd *f, const struct path *p, const uint8_t *inner, size_t n, bw_time now)
{
    struct fwd_punt u = {.kind = FWD_PUNT_SESSION_WANTED, .link = FWD_NO_LINK, .inner_dst = p->peer, .data = inner, .len = (uint32_t)n};
    if (bucket_take(&f->wanted, WANTED_PER_S, WANTED_BURST, now)) f->sink.punt(f->sink.ctx, &u);
    else fwd_drop(f, FWD_DROP_NO_SESSION);
    return BW_ERR_AGAIN;
}

int end_seal(struct fwd *f, const struct fwd_snapshot *s, const struct path *p, uint8_t *outer, size_t n, bw_time now)
{
    uint8_t *inner = outer + end_room(p), *esp = outer + IP6_HEADER;
    bool transport = p->seal == PATH_TRANSPORT;
    uint8_t head[IP6_HEADER], begin[SESSION_TRACE_BYTES], next = transport ? inner[6] : inner[0] >> 4 == 4 ? IP_IPIP : IP_IPV6;
    bool trace = session_trace_wanted(inner);
    size_t payload = transport ? n - IP6_HEADER : n;
    uint32_t seq;
    if (!p->session) return want_session(f, p, inner, n, now);
    if (transport) memcpy(head, inner, sizeof head); // it moves to where ESP's header is not
    else tunnel_out(s, p, head, inner);
    if (trace) memcpy(begin, inner + (n - payload), payload < sizeof begin ? payload : sizeof begin);
    // On an error nothing has been written yet: the inner packet is whole.
    int len = sa_seal(p->session->tx, f->thread, esp, payload, next, &seq, now);
    if (len < 0) return want_session(f, p, inner, n, now);
    memcpy(outer, head, sizeof head);
    ip_put16(outer + 4, (uint16_t)len);
    outer[6] = ESP_PROTOCOL;
    if (trace) session_trace_put(s->sessions->traces, p->session->tx->remote_spi, seq, next, begin, payload);
    if (p->tunnel && p->tunnel->shared) {
        atomic_fetch_add_explicit(&p->tunnel->shared->tx_bytes, n, memory_order_relaxed);
        atomic_fetch_add_explicit(&p->tunnel->shared->tx_packets, 1, memory_order_relaxed);
    }
    return IP6_HEADER + len;
}

// ---- in ----

static void to_control(struct fwd *f, enum fwd_punt_kind kind, const struct ip_view *v, uint32_t index, uint16_t from,
                       const uint8_t *data, size_t n)
{
    struct fwd_punt p = {.kind = kind, .link = from, .local_index = index, .inner_src = v->src, .inner_dst = v->dst,
                         .data = data, .len = (uint32_t)n};
    f->sink.punt(f->sink.ctx, &p);
}

static bool may_message(struct fwd *f, uint16_t from, bw_time now)
{
    return bucket_take(&f->link_messages[from % LINK_BUCKETS], LINK_MESSAGES_PER_S, LINK_MESSAGES_BURST, now) &&
           bucket_take(&f->messages, MESSAGES_PER_S, MESSAGES_BURST, now);
}

static bool may_be_unknown(struct fwd *f, uint16_t from, bw_time now)
{
    return bucket_take(&f->link_unknown[from % LINK_BUCKETS], LINK_UNKNOWN_PER_S, LINK_UNKNOWN_BURST, now) &&
           bucket_take(&f->unknown, UNKNOWN_PER_S, UNKNOWN_BURST, now);
}

static enum fwd_drop esp_error(int err)
{
    switch (err) {
    case BW_ERR_AUTH:
        return FWD_DROP_ESP_AUTH;
    case BW_ERR_REPLAY:
        return FWD_DROP_ESP_REPLAY;
    case BW_ERR_AGAIN:
        return FWD_DROP_ESP_OLD_KEYS;
    default:
        return FWD_DROP_MALFORMED;
    }
}

static void transport_in(struct fwd *f, const struct ip_view *outer, uint8_t next, size_t n)
{
    uint8_t *p = outer->p + ESP_HEADER; // the IPv6 header moves up to its payload
    struct ip_view v;
    memmove(p, outer->p, IP6_HEADER);
    ip_put16(p + 4, (uint16_t)n);
    p[6] = next;
    if (ip_parse(p, IP6_HEADER + n, &v)) fwd_drop(f, FWD_DROP_MALFORMED);
    else gro_add(&f->gro, &f->sink, f->uso, &v);
}

static void esp_in(struct fwd *f, const struct fwd_snapshot *s, const struct ip_view *v, uint16_t from, bw_time now)
{
    uint8_t *esp = v->p + IP6_HEADER, next;
    uint32_t n = v->len - IP6_HEADER;
    struct sa *a = n < ESP_HEADER ? NULL : session_table_spi(s->sessions, ip_get32(esp));
    if (!a || !bw_addr_eq(&a->peer, &v->src) || !bw_addr_eq(&v->dst, &s->self)) {
        fwd_drop(f, FWD_DROP_ESP_SPI);
        if (!a && n >= ESP_HEADER && may_be_unknown(f, from, now))
            to_control(f, FWD_PUNT_SESSION_SPI, v, 0, from, v->p, v->len);
        return;
    }
    int len = sa_open(a, f->thread, esp, n, &next, now);
    if (len < 0) {
        fwd_drop(f, esp_error(len));
        return;
    }
    if (!atomic_load_explicit(&a->confirmed, memory_order_relaxed))
        to_control(f, FWD_PUNT_SESSION_CONFIRM, v, a->local_spi, from, NULL, 0);
    if (next == IP_IPIP || next == IP_IPV6)
        tunnel_in(f, s, v, esp + ESP_HEADER, (size_t)len, next == IP_IPIP, from, now);
    else if (next != ESP_NO_NEXT)
        transport_in(f, v, next, (size_t)len);
}

// An error about something that only sessions know: ESP of ours to another mesh address.
static bool about_session(const struct fwd_snapshot *s, const struct ip_view *v)
{
    if (v->len < IP6_HEADER + 8 + IP6_HEADER) return false;
    const uint8_t *quoted = v->p + IP6_HEADER + 8;
    struct bw_addr to;
    memcpy(to.b, quoted + 24, sizeof to.b);
    return quoted[0] >> 4 == 6 && bw_addr_is_mesh(&to) && !memcmp(quoted + 8, s->self.b, sizeof s->self.b);
}

static bool for_sessions(const struct ip_view *v)
{
    const uint8_t *u = v->p + IP6_HEADER;
    uint32_t n = v->len - IP6_HEADER;
    if (v->proto != IP_UDP || n < 8 || ip_get16(u) != SESSION_PORT || ip_get16(u + 2) != SESSION_PORT || ip_get16(u + 4) != n)
        return false;
    return csum_fold(csum_add(csum_pseudo(v->p + 8, v->p + 24, 16, IP_UDP, n), u, n)) == 0xffff;
}

bool end_must_be_sealed(const struct fwd_snapshot *s, const struct ip_view *v)
{
    if (v->version == 6 && v->src.b[0] == 0xfc) return bw_addr_is_mesh(&v->src);
    const struct fwd_route *r = fwd_lookup(s, &v->src, true);
    return r && (r->target == FWD_TO_EXPORT || r->target == FWD_TO_TUN);
}

// Not sealed: the closed list of DESIGN 2.
static void plain_in(struct fwd *f, const struct fwd_snapshot *s, const struct ip_view *v, uint16_t from, bw_time now)
{
    bool error = v->proto == IP_ICMPV6 && v->len > IP6_HEADER && v->p[IP6_HEADER] < 128;
    bool ours = error && about_session(s, v);
    bool any = !bw_addr_eq(&v->dst, &s->self) || bw_addr_eq(&v->src, &bw_addr_any_exit); // to or from fc00::e
    if (!ours && (error || any || !end_must_be_sealed(s, v)))
        gro_add(&f->gro, &f->sink, f->uso, v);
    else if (!ours && !for_sessions(v))
        fwd_drop(f, FWD_DROP_PLAIN);
    else if (!may_message(f, from, now))
        fwd_drop(f, FWD_DROP_NO_SESSION);
    else if (ours)
        to_control(f, FWD_PUNT_SESSION_ERROR, v, 0, from, v->p, v->len);
    else
        to_control(f, FWD_PUNT_SESSION, v, 0, from, v->p + IP6_HEADER + 8, v->len - IP6_HEADER - 8);
}

void end_in(struct fwd *f, const struct fwd_snapshot *s, const struct ip_view *v, uint16_t from, bw_time now)
{
    if (v->version == 4) gro_add(&f->gro, &f->sink, f->uso, v);
    else if (v->proto == ESP_PROTOCOL) esp_in(f, s, v, from, now);
    else plain_in(f, s, v, from, now);
}
