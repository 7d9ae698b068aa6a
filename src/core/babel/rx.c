// A packet received: from TLVs to what they mean.
#include "core/babel/internal.h"

struct rx { // what has to be put together from several TLVs of one packet
    struct iface *ifc;
    struct neighbour *n;
    const struct bw_addr *src;
    bool linked; // a Hello or IHU: the cost may have changed
    bool has_sent, has_times;
    uint32_t sent, origin, receive;
};

static void rx_hello(struct babel *b, struct rx *x, const struct babel_tlv *t)
{
    if (!x->n) {
        x->n = neighbour_new(b, x->ifc, x->src);
        if (!x->n) return;
        x->ifc->hello_at = bw_time_min(x->ifc->hello_at, b->now + babel_jitter(b, 0, 5 * BW_MS)); // so that it hears us soon
    }
    neighbour_hello(b, x->n, t);
    x->linked = true;
    x->has_sent = t->hello.has_timestamp;
    x->sent = t->hello.timestamp;
}

static void rx_ihu(struct babel *b, struct rx *x, const struct babel_tlv *t)
{
    if (!t->ihu.wildcard && !bw_addr_eq(&t->ihu.addr, &b->cfg.linklocal)) return;
    neighbour_ihu(b, x->n, t);
    x->linked = true;
    x->has_times = t->ihu.has_timestamp;
    x->origin = t->ihu.origin;
    x->receive = t->ihu.receive;
}

static void rx_ack_request(struct babel *b, struct rx *x, const struct babel_tlv *t)
{
    struct item it = {.type = BABEL_ACK, .value = t->ack_request.opaque};
    bw_time within = t->ack_request.interval_cs * 10 * BW_MS / 2;
    item_add(b, x->ifc, &it, b->now + (within > 400 * BW_MS ? 400 * BW_MS : within > 100 * BW_MS ? 100 * BW_MS : within));
}

static void rx_tlv(struct babel *b, struct rx *x, const struct babel_tlv *t)
{
    b->count.rx_tlvs[t->type]++;
    if (t->type == BABEL_HELLO) {
        rx_hello(b, x, t);
        return;
    }
    if (!x->n) {
        babel_drop(b, BABEL_DROP_NO_NEIGHBOUR);
        return;
    }
    switch (t->type) {
    case BABEL_ACK_REQUEST: rx_ack_request(b, x, t); break;
    case BABEL_ACK: iface_acked(b, x->ifc, t->ack.opaque); break;
    case BABEL_IHU: rx_ihu(b, x, t); break;
    case BABEL_UPDATE: update_received(b, x->n, t); break;
    case BABEL_ROUTE_REQUEST: route_request_received(b, x->n, t); break;
    case BABEL_SEQNO_REQUEST: seqno_request_received(b, x->n, t); break;
    default: break;
    }
}

static void rx_links(struct babel *b, struct rx *x)
{
    struct neighbour *n = x->n;
    if (x->has_sent) {
        if (x->has_times) neighbour_rtt(b, n, x->sent, x->origin, x->receive);
        n->origin = x->sent;
        n->receive = (uint32_t)b->now;
        n->have_times = true;
    }
    if (x->linked) neighbour_refresh(b, n);
}

void babel_rx(struct babel *b, uint16_t slot, const struct bw_addr *src, const uint8_t *payload, size_t n, bw_time now)
{
    babel_advance(b, now);
    if (b->stage == STAGE_DOWN) return;
    struct rx x = {.ifc = slot < b->slot_cap ? b->by_slot[slot] : NULL, .src = src};
    struct babel_reader r;
    struct babel_tlv t;
    if (!x.ifc || bw_addr_is_v4(src) || !bw_addr_is_linklocal(src) || bw_addr_eq(src, &b->cfg.linklocal)) {
        babel_drop(b, BABEL_DROP_SOURCE);
        return;
    }
    b->count.rx_packets++;
    b->count.rx_bytes += n;
    if (babel_read_begin(&r, src, payload, n)) {
        babel_drop(b, BABEL_DROP_HEADER);
        return;
    }
    x.n = neighbour_find(x.ifc, src);
    for (int more; (more = babel_read_next(&r, &t));) {
        if (more > 0) rx_tlv(b, &x, &t);
        else babel_drop(b, more == BW_ERR_UNSUPPORTED ? BABEL_DROP_UNKNOWN : more == BW_ERR_DENIED ? BABEL_DROP_MANDATORY : BABEL_DROP_MALFORMED);
    }
    if (x.n) rx_links(b, &x);
    iface_touch(b, x.ifc);
    babel_finish(b);
}
