// Babel packets: whatever is read can be written again, and reads back as the same.
#include <stdlib.h>

#include "wire/babel.h"

static const struct bw_addr source = {{0xfe, 0x80, [15] = 9}};

static bool write_again(struct babel_writer *w, const struct babel_tlv *t)
{
    uint32_t times[2] = {t->ihu.origin, t->ihu.receive};
    switch (t->type) {
    case BABEL_ACK_REQUEST: return babel_write_ack_request(w, t->ack_request.opaque, t->ack_request.interval_cs);
    case BABEL_ACK: return babel_write_ack(w, t->ack.opaque);
    case BABEL_HELLO:
        return babel_write_hello(w, t->hello.unicast, t->hello.seqno, t->hello.interval_cs, t->hello.timestamp,
                                 t->hello.has_capability ? &t->hello.capability : NULL);
    case BABEL_IHU:
        if (!t->ihu.wildcard && bw_addr_is_v4(&t->ihu.addr)) return false;
        return babel_write_ihu(w, t->ihu.wildcard ? NULL : &t->ihu.addr, t->ihu.rxcost, t->ihu.interval_cs,
                               t->ihu.has_timestamp ? times : NULL);
    case BABEL_UPDATE:
        if (t->update.wildcard) return babel_write_wildcard_retraction(w, t->update.interval_cs);
        return babel_write_update(w, &t->update.prefix, t->update.router_id, t->update.interval_cs, t->update.seqno, t->update.metric);
    case BABEL_ROUTE_REQUEST: return babel_write_route_request(w, t->route_request.wildcard ? NULL : &t->route_request.prefix);
    default:
        return babel_write_seqno_request(w, &t->seqno_request.prefix, t->seqno_request.router_id, t->seqno_request.seqno,
                                         t->seqno_request.hops);
    }
}

static void same(const struct babel_tlv *a, const struct babel_tlv *b)
{
    if (a->type != b->type) abort();
    if (a->type == BABEL_UPDATE) {
        if (a->update.wildcard != b->update.wildcard || a->update.metric != b->update.metric) abort();
        if (a->update.wildcard) return;
        if (!bw_prefix_eq(&a->update.prefix, &b->update.prefix) || a->update.seqno != b->update.seqno) abort();
        if (a->update.metric != BABEL_INF && memcmp(a->update.router_id, b->update.router_id, 8)) abort();
    } else if (a->type == BABEL_SEQNO_REQUEST) {
        if (!bw_prefix_eq(&a->seqno_request.prefix, &b->seqno_request.prefix) || a->seqno_request.hops != b->seqno_request.hops) abort();
    } else if (a->type == BABEL_HELLO) {
        if (a->hello.seqno != b->hello.seqno || a->hello.unicast != b->hello.unicast || a->hello.interval_cs != b->hello.interval_cs) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct babel_tlv seen[4096];
    static uint8_t out[65535];
    struct babel_reader r;
    struct babel_writer w;
    size_t n = 0;
    if (babel_read_begin(&r, &source, data, size)) return 0;
    babel_write_begin(&w, out, sizeof out);
    struct babel_tlv t;
    for (int more; (more = babel_read_next(&r, &t));)
        if (more > 0 && n < 4096 && write_again(&w, &t)) seen[n++] = t;
    size_t len = babel_write_end(&w);
    if (babel_read_begin(&r, &source, out, len)) abort();
    for (size_t k = 0; k < n; k++) {
        if (babel_read_next(&r, &t) != 1) abort();
        same(&seen[k], &t);
    }
    if (babel_read_next(&r, &t)) abort();
    return 0;
}
