#include "core/fwd/path.h"

static const char *const drop_names[FWD_DROP_COUNT] = {
    [FWD_DROP_SHORT] = "short",
    [FWD_DROP_TYPE] = "type",
    [FWD_DROP_INDEX] = "index",
    [FWD_DROP_AUTH] = "auth",
    [FWD_DROP_REPLAY] = "replay",
    [FWD_DROP_OLD_KEYS] = "old_keys",
    [FWD_DROP_NO_KEYS] = "no_keys",
    [FWD_DROP_MALFORMED] = "malformed",
    [FWD_DROP_MARTIAN] = "martian",
    [FWD_DROP_NO_ROUTE] = "no_route",
    [FWD_DROP_HOP_LIMIT] = "hop_limit",
    [FWD_DROP_TOO_BIG] = "too_big",
    [FWD_DROP_NO_TRANSIT] = "no_transit",
    [FWD_DROP_TUNNEL_PEER] = "tunnel_peer",
    [FWD_DROP_TUNNEL_SOURCE] = "tunnel_source",
    [FWD_DROP_LINKLOCAL] = "linklocal",
    [FWD_DROP_LOOP] = "loop",
    [FWD_DROP_CONGESTED] = "congested",
    [FWD_DROP_RATE] = "rate",
    [FWD_DROP_PLAIN] = "plain",
    [FWD_DROP_ESP_SPI] = "esp_spi",
    [FWD_DROP_ESP_AUTH] = "esp_auth",
    [FWD_DROP_ESP_REPLAY] = "esp_replay",
    [FWD_DROP_ESP_OLD_KEYS] = "esp_old_keys",
    [FWD_DROP_NO_SESSION] = "no_session",
    [FWD_DROP_UNCONFIRMED] = "unconfirmed",
    [FWD_DROP_NOT_EXPORTED] = "not_exported",
};

const char *fwd_drop_name(enum fwd_drop d)
{
    return d < FWD_DROP_COUNT ? drop_names[d] : "unknown";
}

size_t fwd_size(void)
{
    _Static_assert(sizeof(struct fwd) < 128 << 10, "promised in fwd.h");
    return sizeof(struct fwd);
}

struct fwd *fwd_init(void *memory, unsigned thread, const struct fwd_sink *sink)
{
    struct fwd *f = memory;
    BW_ASSERT(thread < KEYPAIR_THREADS_MAX);
    memset(f, 0, offsetof(struct fwd, scratch)); // the buffers behind stay untouched: their pages cost nothing until used
    f->sink = *sink;
    f->thread = thread;
    return f;
}

void fwd_set_uso(struct fwd *f, bool on)
{
    f->uso = on;
}

uint64_t fwd_drops(const struct fwd *f, enum fwd_drop d)
{
    return atomic_load_explicit(&f->drops[d], memory_order_relaxed);
}

const struct fwd_route *fwd_route_to(struct fwd *f, const struct fwd_snapshot *s, const struct bw_addr *dst,
                                     bool from_tun)
{
    if (f->cache.valid && f->cache.from_tun == from_tun && bw_addr_eq(&f->cache.dst, dst)) return f->cache.route;
    f->cache.route = fwd_lookup(s, dst, from_tun);
    f->cache.dst = *dst;
    f->cache.from_tun = from_tun;
    f->cache.valid = true;
    return f->cache.route;
}

void fwd_flush(struct fwd *f)
{
    train_send(f, &f->pending);
    gro_flush(&f->gro, &f->sink);
    f->cache.valid = f->session.valid = false;
}

bool fwd_may_pass(struct fwd *f, const struct fwd_tunnel *t, bool to_peer, uint32_t n, bw_time now)
{
    struct fwd_tunnel_shared *own = t->shared, *all = t->group;
    if ((!own || shape_pass(to_peer ? &own->to_peer : &own->from_peer, n, now)) &&
        (!all || shape_pass(to_peer ? &all->to_peer : &all->from_peer, n, now)))
        return true;
    fwd_drop(f, FWD_DROP_RATE);
    return false;
}

int fwd_to_link(struct fwd *f, const struct fwd_snapshot *s, uint16_t slot, const uint8_t *packet, size_t n,
                bw_time now)
{
    struct path p;
    enum fwd_drop why;
    if (!path_to_link(s, slot, &p, &why)) return p.link && p.link->remote.port ? BW_ERR_AGAIN : BW_ERR_NOTFOUND;
    if (n > path_mtu(&p)) return BW_ERR_RANGE;
    uint8_t *q = out_room(f, &p, n);
    if (n) memcpy(q, packet, n);
    int err = out_seal(f, s, &p, n, now);
    fwd_flush(f);
    return err ? BW_ERR_AGAIN : 0;
}
