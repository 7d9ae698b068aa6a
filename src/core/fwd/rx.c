// From the network: open -> look up -> seal again in place, or towards the TUN, or to control.
#include "core/fwd/path.h"

#include "core/fwd/csum.h"
#include "wire/wg.h"

#define BABEL_PORT 6696

struct rx {
    struct fwd *f;
    const struct fwd_snapshot *s;
    const struct fwd_train *t; // where the message came from
    bw_time now;
    const struct rx_key *key;
    const struct fwd_link *link; // NULL: its link is not in this snapshot
    const struct keypair *told;  // what control was told about in this train already
    bool light;                  // the message at hand: its sender says that the packet is ESP of a session's own
    struct train run;            // messages resealed in place, one behind the other
};

static void punt(struct rx *b, enum fwd_punt_kind kind, const uint8_t *data, size_t n)
{
    struct fwd_punt p = {.kind = kind,
                         .link = FWD_NO_LINK,
                         .remote = b->t->remote,
                         .ifindex = b->t->ifindex,
                         .data = data,
                         .len = (uint32_t)n};
    if (b->key) {
        p.link = b->key->link;
        p.local_index = b->key->key->local_index;
    }
    b->f->sink.punt(b->f->sink.ctx, &p);
}

// What control should know about a message that was authentic: once per train is enough.
static void tell_control(struct rx *b)
{
    if (b->told == b->key->key) return;
    b->told = b->key->key;
    if (!atomic_load_explicit(&b->key->key->confirmed, memory_order_relaxed)) punt(b, FWD_PUNT_CONFIRM, NULL, 0);
    if (b->link && !bw_endpoint_eq(&b->link->remote, &b->t->remote)) punt(b, FWD_PUNT_ROAM, NULL, 0);
}

// RFC 8966 section 4: UDP port 6696, from a link-local address to ff02::1:6 or ours.
static bool is_babel(const struct rx *b, const struct ip_view *v)
{
    static const struct bw_addr group = {{0xff, 0x02, [13] = 1, [15] = 6}};
    const uint8_t *udp = v->p + IP6_HEADER;
    uint32_t n = v->len - IP6_HEADER;
    if (v->proto != IP_UDP || n < 8 || ip_get16(udp + 2) != BABEL_PORT || ip_get16(udp + 4) != n) return false;
    if (!bw_addr_eq(&v->dst, &group) && !bw_addr_eq(&v->dst, &b->s->linklocal)) return false;
    if (!bw_addr_is_linklocal(&v->src)) return false;
    return csum_fold(csum_add(csum_pseudo(v->p + 8, v->p + 24, 16, IP_UDP, n), udp, n)) == 0xffff;
}

static void on_link(struct rx *b, const struct ip_view *v)
{
    if (v->version != 6 || !is_babel(b, v)) {
        fwd_drop(b->f, FWD_DROP_LINKLOCAL);
        return;
    }
    struct fwd_punt p = {.kind = FWD_PUNT_BABEL,
                         .link = b->key->link,
                         .local_index = b->key->key->local_index,
                         .inner_src = v->src,
                         .inner_dst = v->dst,
                         .remote = b->t->remote,
                         .ifindex = b->t->ifindex,
                         .data = v->p + IP6_HEADER + 8,
                         .len = v->len - IP6_HEADER - 8};
    b->f->sink.punt(b->f->sink.ctx, &p);
}

static void refuse(struct rx *b, const struct ip_view *v, enum fwd_drop why, enum icmp_kind kind)
{
    fwd_drop(b->f, why);
    icmp_error(b->f, b->s, v, kind, FWD_MTU, b->key->link, b->now);
}

// Seals the message again where it lies and adds it to the run of its neighbours.
static void reseal(struct rx *b, const struct path *p, const struct ip_view *v, size_t room)
{
    uint8_t *message = v->p - WG_DATA_HEADER;
    size_t limit = room - WG_DATA_OVERHEAD; // what came may have been padded less than we would
    int n;
    if (b->light && p->link->light) n = keypair_seal_light(p->link->tx, b->f->thread, p->link->light, message, v->len, b->now);
    else n = keypair_seal(p->link->tx, b->f->thread, message, v->len, limit < FWD_MTU ? limit : FWD_MTU, b->now);
    if (n < 0) {
        fwd_drop(b->f, FWD_DROP_OLD_KEYS);
        return;
    }
    bool behind = !b->run.count || b->run.data + b->run.len == message;
    if (!behind || !train_takes(&b->run, p->link, (size_t)n)) train_send(b->f, &b->run);
    train_add(&b->run, p->link, message, (size_t)n);
}

static void forward(struct rx *b, const struct ip_view *v, const struct fwd_route *r, size_t room)
{
    struct path p;
    enum fwd_drop why;
    if (!b->s->transit) {
        refuse(b, v, FWD_DROP_NO_TRANSIT, ICMP_PROHIBITED);
    } else if (*ip_ttl(v) <= 1) {
        refuse(b, v, FWD_DROP_HOP_LIMIT, ICMP_HOP_LIMIT);
    } else if (r->target == FWD_TO_LINK && r->link == b->key->link) {
        fwd_drop(b->f, FWD_DROP_LOOP); // where it came from: for a moment two nodes point at each other
    } else if (!(r->target == FWD_TO_LINK ? path_to_link(b->s, r->link, &p, &why)
                                          : path_to_tunnel(b->f, b->s, &r->via, &p, &why))) {
        fwd_drop(b->f, why);
    } else if (p.seal == PATH_PLAIN && v->len <= FWD_MTU) {
        ip_hop(v);
        reseal(b, &p, v, room);
    } else if (!path_fits(&p, v)) {
        fwd_drop(b->f, FWD_DROP_TOO_BIG);
        icmp_error(b->f, b->s, v, ICMP_TOO_BIG, path_told_mtu(&p, v->version), b->key->link, b->now);
    } else {
        ip_hop(v);
        out_packet(b->f, b->s, &p, v, b->now);
    }
}

// The firewall takes such a packet for a client's.
static bool is_leased(const struct fwd_snapshot *s, const struct bw_addr *a)
{
    return (s->pool4.len && bw_prefix_has(&s->pool4, a)) || (s->pool6.len && bw_prefix_has(&s->pool6, a));
}

static void to_tun(struct rx *b, const struct ip_view *v)
{
    if (is_leased(b->s, &v->src)) fwd_drop(b->f, FWD_DROP_TUNNEL_SOURCE);
    else gro_add(&b->f->gro, &b->f->sink, b->f->uso, v);
}

// To a network that we export, in plain: stock neighbours have no other way.
static void to_export(struct rx *b, const struct ip_view *v)
{
    bool error = v->proto == IP_ICMPV6 && v->version == 6 && v->len > IP6_HEADER && v->p[IP6_HEADER] < 128;
    if (!error && end_must_be_sealed(b->s, v)) fwd_drop(b->f, FWD_DROP_PLAIN);
    else to_tun(b, v);
}

// One authentic inner packet; `room` bytes of message lie from v->p - WG_DATA_HEADER.
static void inner(struct rx *b, const struct ip_view *v, size_t room)
{
    if (ip_bad_source(v) || bw_addr_eq(&v->src, &b->s->self)) {
        fwd_drop(b->f, FWD_DROP_MARTIAN);
        return;
    }
    if (bw_addr_is_multicast(&v->dst) || bw_addr_is_linklocal(&v->dst) || bw_addr_is_linklocal(&v->src)) {
        on_link(b, v);
        return;
    }
    if (snapshot_is_self(b->s, &v->dst)) {
        end_in(b->f, b->s, v, b->key->link, b->now);
        return;
    }
    const struct fwd_route *r = fwd_route_to(b->f, b->s, &v->dst, false);
    if (r && r->target == FWD_TO_TUN) to_export(b, v);
    else if (r && r->target != FWD_UNREACHABLE) forward(b, v, r, room);
    else if (!r && b->link && b->link->internet) to_tun(b, v);
    else refuse(b, v, FWD_DROP_NO_ROUTE, ICMP_NO_ROUTE);
}

static enum fwd_drop open_error(int err)
{
    switch (err) {
    case BW_ERR_SHORT:
        return FWD_DROP_SHORT;
    case BW_ERR_REPLAY:
        return FWD_DROP_REPLAY;
    case BW_ERR_AGAIN:
        return FWD_DROP_OLD_KEYS;
    default:
        return FWD_DROP_AUTH;
    }
}

// Nothing else may come in a light message: the end of such a packet is sealed, and nobody on the way needs it.
static bool is_session_esp(const struct ip_view *v)
{
    return v->version == 6 && v->proto == ESP_PROTOCOL && bw_addr_is_mesh(&v->src) && bw_addr_is_mesh(&v->dst) &&
           v->len >= IP6_HEADER + ESP_HEADER + ESP_ICV;
}

static void data_message(struct rx *b, uint8_t *m, size_t n)
{
    uint32_t index = m[4] | (uint32_t)m[5] << 8 | (uint32_t)m[6] << 16 | (uint32_t)m[7] << 24;
    if (!b->key || b->key->key->local_index != index) {
        b->key = snapshot_key(b->s, index);
        b->link = b->key ? snapshot_link(b->s, b->key->link) : NULL;
    }
    if (!b->key) {
        fwd_drop(b->f, FWD_DROP_INDEX);
        return;
    }
    b->light = m[0] == LIGHT_TYPE;
    int len = b->light ? keypair_open_light(b->key->key, b->f->thread, m, n, b->now)
                       : keypair_open(b->key->key, b->f->thread, m, n, b->now);
    if (len < 0) {
        fwd_drop(b->f, open_error(len));
        return;
    }
    tell_control(b);
    if (!len) return; // keepalive
    struct ip_view v;
    if (ip_parse(m + WG_DATA_HEADER, (size_t)len, &v) || (b->light && !is_session_esp(&v))) fwd_drop(b->f, FWD_DROP_MALFORMED);
    else inner(b, &v, n);
}

static void message(struct rx *b, uint8_t *m, size_t n)
{
    if (n < 4) {
        fwd_drop(b->f, FWD_DROP_SHORT);
    } else if ((m[0] == WG_DATA && !(m[1] | m[2] | m[3])) || (m[0] == LIGHT_TYPE && m[1] < 2 && !(m[2] | m[3]))) {
        if (n < WG_DATA_OVERHEAD) fwd_drop(b->f, FWD_DROP_SHORT);
        else data_message(b, m, n);
    } else {
        b->key = NULL;
        punt(b, FWD_PUNT_HANDSHAKE, m, n);
    }
}

void fwd_from_wire(struct fwd *f, const struct fwd_snapshot *s, struct fwd_train *in, unsigned n, bw_time now)
{
    struct rx b = {.f = f, .s = s, .now = now};
    for (unsigned i = 0; i < n; i++) {
        b.t = &in[i];
        b.told = NULL;
        uint32_t seg = in[i].seg ? in[i].seg : in[i].len;
        for (uint32_t at = 0; at < in[i].len; at += seg)
            message(&b, in[i].data + at, in[i].len - at < seg ? in[i].len - at : seg);
        train_send(f, &b.run);
    }
    fwd_flush(f);
}
