// What is inside a tunnel: packets between an exit and its clients, and what can't go in transport mode.
#include "core/fwd/path.h"

#define OUTER_HOPS 64
#define EXPORTERS_PER_S 10

void tunnel_out(const struct fwd_snapshot *s, const struct path *p, uint8_t *outer, const uint8_t *inner)
{
    struct ip_view v = {.p = (uint8_t *)inner, .version = inner[0] >> 4};
    ip6_header(outer, ip_ecn(&v), 0, ESP_PROTOCOL, OUTER_HOPS, &s->self, &p->peer);
}

// RFC 6040 section 4.2. False: the packet met congestion and can't carry the mark, so it must be dropped.
static bool merge_ecn(const struct ip_view *outer, const struct ip_view *inner)
{
    enum { NOT_ECT, ECT_1, ECT_0, CE };
    uint8_t o = ip_ecn(outer), i = ip_ecn(inner);
    if (o == CE && i == NOT_ECT) return false;
    if ((o == CE && i != CE) || (o == ECT_1 && i == ECT_0)) ip_set_ecn(inner, o);
    return true;
}

static bool leased(const struct fwd_tunnel *t, const struct bw_addr *a, uint8_t version)
{
    const struct bw_addr *mine = version == 4 ? &t->inner4 : &t->inner6;
    return !bw_addr_is_zero(mine) && bw_addr_eq(mine, a);
}

const struct bw_addr *tunnel_peer(const struct fwd_snapshot *s, const struct bw_addr *peer, const struct ip_view *v)
{
    const struct fwd_tunnel *t = snapshot_tunnel(s, peer);
    if (!t || !t->is_exit || leased(t, &v->src, v->version)) return peer;
    for (unsigned i = 0; i < s->tunnel_count && s->tunnels[i].is_exit; i++)
        if (leased(&s->tunnels[i], &v->src, v->version)) return &s->tunnels[i].peer;
    return peer;
}

// An ICMP message's own echo identifier, or that of the echo request which an unreachable quotes.
static bool our_echo(const struct ip_view *v, bool quoted)
{
    struct ip_transport t;
    bool v4 = v->version == 4;
    if (!ip_transport(v, &t) || t.later_fragment || t.proto != (v4 ? IP_ICMP : IP_ICMPV6) || v->len - t.offset < 8)
        return false;
    const uint8_t *icmp = v->p + t.offset;
    uint8_t reply = v4 ? 0 : 129, request = v4 ? 8 : 128, unreachable = v4 ? 3 : 1;
    if (icmp[0] == (quoted ? request : reply)) return ip_get16(icmp + 4) == FWD_TUNNEL_ECHO_ID;
    if (quoted || icmp[0] != unreachable) return false;
    struct ip_view q = {.p = v->p + t.offset + 8, .len = v->len - t.offset - 8, .version = v->version};
    if (q.len < (v4 ? 20u : IP6_HEADER) || q.p[0] >> 4 != v->version) return false;
    q.header = v4 ? (uint16_t)((q.p[0] & 15) * 4) : IP6_HEADER; // quoted packets are cut, so ip_parse would refuse them
    q.proto = v4 ? q.p[9] : q.p[6];
    return q.len >= q.header && our_echo(&q, true);
}

static void punt_inner(struct fwd *f, enum fwd_punt_kind kind, const struct fwd_tunnel *t, const struct ip_view *v,
                       uint16_t from)
{
    struct fwd_punt p = {
        .kind = kind, .link = from, .inner_src = t->peer, .inner_dst = v->dst, .data = v->p, .len = v->len};
    f->sink.punt(f->sink.ctx, &p);
}

// Whether it was for control.
static bool for_control(struct fwd *f, const struct fwd_snapshot *s, const struct fwd_tunnel *t,
                        const struct ip_view *v, uint16_t from)
{
    const struct bw_addr *gateway = v->version == 4 ? &s->gateway4 : &s->gateway6;
    bool known = !bw_addr_is_zero(gateway);
    if (!t->is_exit) {
        // The rest of what is for the gateway is the kernel's: DNS, and other people's pings.
        if (!known || !bw_addr_eq(&v->dst, gateway) || !our_echo(v, true)) return false;
        punt_inner(f, FWD_PUNT_GATEWAY, t, v, from);
        return true;
    }
    if (!our_echo(v, false)) return false;
    punt_inner(f, FWD_PUNT_TUNNEL_ECHO, t, v, from);
    return true;
}

static bool inner_allowed(struct fwd *f, const struct fwd_snapshot *s, const struct fwd_tunnel *t,
                          const struct ip_view *v)
{
    // A mesh address is proof of who speaks; one that comes out of a tunnel would be somebody's word for it.
    if (ip_bad_source(v) || (v->version == 6 && (v->src.b[0] == 0xfc || bw_addr_eq(&v->src, &s->self)))) {
        fwd_drop(f, FWD_DROP_MARTIAN);
        return false;
    }
    if (!leased(t, t->is_exit ? &v->dst : &v->src, v->version)) {
        fwd_drop(f, FWD_DROP_TUNNEL_SOURCE);
        return false;
    }
    if (bw_addr_is_multicast(&v->dst) || bw_addr_is_linklocal(&v->dst) || bw_addr_is_linklocal(&v->src)) {
        fwd_drop(f, FWD_DROP_LINKLOCAL);
        return false;
    }
    return true;
}

static void from_tunnel(struct fwd *f, const struct fwd_snapshot *s, const struct fwd_tunnel *t,
                        const struct ip_view *outer, const struct ip_view *v, uint16_t from, bw_time now)
{
    if (!inner_allowed(f, s, t, v)) return;
    if (!merge_ecn(outer, v)) {
        fwd_drop(f, FWD_DROP_CONGESTED);
        return;
    }
    if (t->shared) {
        atomic_fetch_add_explicit(&t->shared->rx_bytes, v->len, memory_order_relaxed);
        atomic_fetch_add_explicit(&t->shared->rx_packets, 1, memory_order_relaxed);
        atomic_store_explicit(&t->shared->last_rx, now ? now : 1, memory_order_relaxed);
    }
    if (!for_control(f, s, t, v, from) && fwd_may_pass(f, t, false, v->len, now)) gro_add(&f->gro, &f->sink, f->uso, v);
}

// From the other end or a network behind it, to us or a network behind us; without a lease nothing else may come.
static bool between_ends(struct fwd *f, const struct fwd_snapshot *s, const struct ip_view *outer, const struct ip_view *v, bw_time now)
{
    if (!bw_addr_eq(&v->dst, &s->self) && !snapshot_exported(s, &v->dst)) return false;
    if (bw_addr_eq(&v->src, &outer->src) || snapshot_exported_by(s, &outer->src, &v->src)) return true;
    const struct fwd_tunnel *t = snapshot_tunnel(s, &outer->src);
    if (t && leased(t, &v->src, v->version)) return false;
    if (!ip_bad_source(v) && !bw_addr_is_mesh(&v->src) && bucket_take(&f->exporters, EXPORTERS_PER_S, EXPORTERS_PER_S, now)) {
        struct fwd_punt p = {.kind = FWD_PUNT_EXPORTER, .link = FWD_NO_LINK, .inner_src = outer->src};
        f->sink.punt(f->sink.ctx, &p);
    }
    return false;
}

void tunnel_in(struct fwd *f, const struct fwd_snapshot *s, const struct ip_view *outer, uint8_t *inner, size_t n,
               bool v4, uint16_t from, bw_time now)
{
    struct ip_view v;
    if (ip_parse(inner, n, &v) || (v.version == 4) != v4) {
        fwd_drop(f, FWD_DROP_MALFORMED);
    } else if (between_ends(f, s, outer, &v, now)) {
        if (merge_ecn(outer, &v)) gro_add(&f->gro, &f->sink, f->uso, &v);
        else fwd_drop(f, FWD_DROP_CONGESTED);
    } else {
        const struct fwd_tunnel *t = snapshot_tunnel(s, &outer->src);
        if (t) from_tunnel(f, s, t, outer, &v, from, now);
        else fwd_drop(f, FWD_DROP_TUNNEL_PEER);
    }
}
