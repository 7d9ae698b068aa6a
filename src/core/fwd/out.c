#include "base/hash.h"
#include "core/fwd/path.h"

bool train_takes(const struct train *t, const struct fwd_link *link, size_t n)
{
    if (!t->count) return true;
    return t->link == link && t->count < TRAIN_SEGMENTS && n <= t->seg && t->len + n <= TRAIN_BYTES &&
           t->len == (uint32_t)t->seg * t->count; // none was shorter yet
}

void train_add(struct train *t, const struct fwd_link *link, uint8_t *message, size_t n)
{
    if (!t->count) *t = (struct train){.link = link, .data = message, .seg = (uint16_t)n};
    t->len += (uint32_t)n;
    t->count++;
}

void train_send(struct fwd *f, struct train *t)
{
    if (!t->count) return;
    struct fwd_train out = {
        .data = t->data, .len = t->len, .seg = t->seg, .ifindex = t->link->ifindex, .remote = t->link->remote};
    t->count = 0;
    f->sink.wire(f->sink.ctx, &out);
}

bool path_to_link(const struct fwd_snapshot *s, uint16_t slot, struct path *p, enum fwd_drop *why)
{
    *p = (struct path){.link = snapshot_link(s, slot)};
    *why = FWD_DROP_NO_KEYS;
    if (!p->link) return false;
    if (p->link->tx && p->link->remote.port) return true;
    if (p->link->shared) atomic_store_explicit(&p->link->shared->want_handshake, true, memory_order_relaxed);
    return false;
}

bool path_to_tunnel(struct fwd *f, const struct fwd_snapshot *s, const struct bw_addr *peer, struct path *p,
                    enum fwd_drop *why)
{
    const struct fwd_tunnel *t = snapshot_tunnel(s, peer);
    *why = FWD_DROP_TUNNEL_PEER;
    if (!t || !path_to_export(f, s, peer, p, why)) return false;
    p->tunnel = t;
    return true;
}

bool path_to_export(struct fwd *f, const struct fwd_snapshot *s, const struct bw_addr *peer, struct path *p,
                    enum fwd_drop *why)
{
    const struct fwd_route *r = fib_lookup(&s->mesh, peer);
    *why = FWD_DROP_NO_ROUTE;
    if (!r || r->target != FWD_TO_LINK || !path_to_link(s, r->link, p, why)) return false;
    p->seal = PATH_TUNNEL;
    p->peer = *peer;
    p->session = end_session(f, s, peer);
    return true;
}

// What goes to another mesh address in ESP of our own making needs its header sealed only, where the neighbour can take that.
static bool is_light(const struct path *p)
{
    return p->link->light && p->seal != PATH_PLAIN;
}

// What sealing for the link will make of n bytes.
static size_t sealed(const struct path *p, size_t n)
{
    size_t padded = is_light(p) ? n : (n + 15) / 16 * 16;
    return WG_DATA_OVERHEAD + (padded < FWD_MTU ? padded : FWD_MTU);
}

uint8_t *out_room(struct fwd *f, const struct path *p, size_t n)
{
    struct train *t = &f->pending;
    size_t outer = end_len(p, n);
    BW_ASSERT(outer <= FWD_MTU);
    if (!train_takes(t, p->link, sealed(p, outer))) train_send(f, t);
    uint8_t *message = f->out + (t->count ? t->len : 0);
    return message + WG_DATA_HEADER + end_room(p);
}

int out_seal(struct fwd *f, const struct fwd_snapshot *s, const struct path *p, size_t n, bw_time now)
{
    struct train *t = &f->pending;
    uint8_t *message = f->out + (t->count ? t->len : 0);
    if (p->seal != PATH_PLAIN) {
        int outer = end_seal(f, s, p, message + WG_DATA_HEADER, n, now);
        if (outer < 0) return outer;
        n = (size_t)outer;
    }
    int len = is_light(p) ? keypair_seal_light(p->link->tx, f->thread, p->link->light, message, n, now)
                          : keypair_seal(p->link->tx, f->thread, message, n, FWD_MTU, now);
    if (len < 0) {
        fwd_drop(f, FWD_DROP_OLD_KEYS);
        return len;
    }
    BW_ASSERT((size_t)len == sealed(p, n));
    train_add(t, p->link, message, (size_t)len);
    return 0;
}

// RFC 791 section 3.2, for packets without options.
static void out_fragments(struct fwd *f, const struct fwd_snapshot *s, const struct path *p, const struct ip_view *v,
                          bw_time now)
{
    uint32_t most = (uint32_t)(path_mtu(p) - v->header) & ~7u, body = v->len - v->header;
    uint16_t where = ip_get16(v->p + 6);
    for (uint32_t at = 0; at < body; at += most) {
        uint32_t n = body - at < most ? body - at : most;
        bool more = at + n < body || (where & 0x2000);
        uint8_t *q = out_room(f, p, v->header + n);
        memcpy(q, v->p, v->header);
        memcpy(q + v->header, v->p + v->header + at, n);
        ip_put16(q + 2, (uint16_t)(v->header + n));
        ip_put16(q + 6, (uint16_t)((where & 0x1fff) + at / 8) | (more ? 0x2000 : 0));
        ip4_checksum(q, v->header);
        if (out_seal(f, s, p, v->header + n, now)) return;
    }
}

// How much of an IPv6 packet every fragment repeats (RFC 8200 section 4.5): headers for nodes on the way. *next: where the
// number of the header behind stands. 0: nonsense.
static uint32_t per_fragment(const struct ip_view *v, uint32_t *next)
{
    uint32_t at = IP6_HEADER, number = 6;
    for (;;) {
        uint8_t h = v->p[number];
        bool way = h == 0 || h == 43 || (h == 60 && at + 8 <= v->len && v->p[at] == 43);
        if (!way) break;
        if (at + 8 > v->len || at + (v->p[at + 1] + 1u) * 8 > v->len) return 0;
        number = at;
        at += (v->p[at + 1] + 1u) * 8;
    }
    *next = number;
    return at;
}

// Fragments of fragments keep their identification; the other end, or whoever it sends them to, puts all together.
static void out_fragments6(struct fwd *f, const struct fwd_snapshot *s, const struct path *of, const struct ip_view *v,
                           bw_time now)
{
    struct path p = *of;
    uint32_t number = 0, head = per_fragment(v, &number), body = head;
    p.seal = PATH_TUNNEL; // ESP holds whole datagrams in transport mode (RFC 4303 section 3.3.4)
    if (!head || head + 8 + 8 > path_mtu(&p)) {
        fwd_drop(f, FWD_DROP_MALFORMED);
        return;
    }
    uint8_t fragment[8] = {v->p[number]};
    if (v->p[number] == IP_FRAGMENT) {
        if (head + 8 > v->len) {
            fwd_drop(f, FWD_DROP_MALFORMED);
            return;
        }
        memcpy(fragment, v->p + head, sizeof fragment);
        body += 8;
    } else {
        // RFC 7739 section 5: not to be foreseen, and none twice in 2^26 packets of a thread, nor in two threads.
        ip_put32(fragment + 4, bw_permute32(s->hash_key, f->fragment_id++ * KEYPAIR_THREADS_MAX + f->thread));
    }
    uint32_t most = (uint32_t)(path_mtu(&p) - head - 8) & ~7u;
    uint16_t where = ip_get16(fragment + 2);
    for (uint32_t at = body; at < v->len; at += most) {
        uint32_t n = v->len - at < most ? v->len - at : most;
        bool more = at + n < v->len || (where & 1);
        uint8_t *q = out_room(f, &p, head + 8 + n);
        memcpy(q, v->p, head);
        memcpy(q + head, fragment, 8);
        memcpy(q + head + 8, v->p + at, n);
        ip_put16(q + 4, (uint16_t)(head + 8 + n - IP6_HEADER));
        q[number] = IP_FRAGMENT;
        ip_put16(q + head + 2, (uint16_t)(((where & 0xfff8) + (at - body)) | more));
        if (out_seal(f, s, &p, head + 8 + n, now)) return;
    }
}

bool path_fits(const struct path *p, const struct ip_view *v)
{
    if (v->len <= path_mtu(p)) return true;
    return v->version == 6 ? v->len <= IP6_MTU_MIN : !ip4_dont_fragment(v) && v->header == 20;
}

bool out_packet(struct fwd *f, const struct fwd_snapshot *s, const struct path *p, const struct ip_view *v, bw_time now)
{
    if (!path_fits(p, v)) return false;
    if (v->len > path_mtu(p)) {
        if (v->version == 4) out_fragments(f, s, p, v, now);
        else out_fragments6(f, s, p, v, now);
        return true;
    }
    memcpy(out_room(f, p, v->len), v->p, v->len);
    int ignored = out_seal(f, s, p, v->len, now); // counted there
    (void)ignored;
    return true;
}
