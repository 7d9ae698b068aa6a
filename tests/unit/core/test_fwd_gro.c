// Coalescing against its stupid twin: whatever is joined, cut again by the plainest segmentation there is, gives
// exactly the packets that came in, flow by flow and in order.
#include "fwd_kit.h"

#include "core/fwd/gro.h"

// ---- the stupid twin: one super-frame -> packets ----

struct list {
    struct kit_bytes p[KIT_MAX];
    unsigned n;
};

static void push(struct list *l, const void *p, size_t n)
{
    assert_in_range(l->n, 0, KIT_MAX - 1);
    l->p[l->n++] = kit_copy(p, n);
}
static void list_free(struct list *l)
{
    for (unsigned i = 0; i < l->n; i++) free(l->p[i].p);
    l->n = 0;
}

static void cut(struct list *out, const struct kit_bytes *frame)
{
    struct vnet h = vnet_read(frame->p);
    const uint8_t *ip = frame->p + VNET_LEN;
    size_t len = frame->n - VNET_LEN;
    if (h.gso_type == VNET_GSO_NONE) {
        assert_int_equal(h.flags, 0);
        push(out, ip, len);
        return;
    }
    assert_int_equal(h.flags, VNET_NEEDS_CSUM);
    bool v4 = ip[0] >> 4 == 4, tcp = h.gso_type != VNET_GSO_UDP_L4;
    size_t iph = v4 ? 20 : 40, l4 = tcp ? (ip[iph + 12] >> 4) * 4u : 8, head = iph + l4, payload = len - head;
    assert_int_equal(h.csum_start, iph);
    assert_int_equal(h.csum_offset, tcp ? 16 : 6);
    assert_int_equal(h.hdr_len, head);
    assert_true(payload > h.gso_size && len <= 65575);
    uint8_t partial[2]; // the field claims the pseudo-header's sum
    csum_store_partial(partial, kit_pseudo(ip, tcp ? IP_TCP : IP_UDP, (uint32_t)(l4 + payload)));
    assert_memory_equal(partial, ip + iph + h.csum_offset, 2);
    if (v4) assert_int_equal(ip_get16(ip + 2), len);
    else assert_int_equal(ip_get16(ip + 4), len - 40);
    if (v4) assert_int_equal(csum_fold(csum_add(0, ip, 20)), 0xffff);
    unsigned k = 0;
    for (size_t at = 0; at < payload; at += h.gso_size, k++) {
        size_t n = payload - at < h.gso_size ? payload - at : h.gso_size;
        uint8_t *q = malloc(head + n);
        memcpy(q, ip, head);
        memcpy(q + head, ip + head + at, n);
        if (v4) {
            ip_put16(q + 2, (uint16_t)(head + n));
            ip_put16(q + 4, (uint16_t)(ip_get16(ip + 4) + k));
            ip4_checksum(q, 20);
        } else {
            ip_put16(q + 4, (uint16_t)(l4 + n));
        }
        if (tcp) {
            ip_put32(q + iph + 4, ip_get32(ip + iph + 4) + (uint32_t)at);
            if (at + n < payload) q[iph + 13] &= (uint8_t)~9;
        } else {
            ip_put16(q + iph + 4, (uint16_t)(8 + n));
        }
        uint8_t *sum = q + iph + h.csum_offset;
        sum[0] = sum[1] = 0;
        csum_store(sum, csum_add(kit_pseudo(q, tcp ? IP_TCP : IP_UDP, (uint32_t)(l4 + n)), q + iph, l4 + n));
        if (!tcp && !(sum[0] | sum[1])) sum[0] = sum[1] = 0xff;
        push(out, q, head + n);
        free(q);
    }
}

// ---- packets at random ----

struct source {
    bool v6, tcp;
    uint16_t sport, id;
    uint32_t seq, ack;
    uint16_t size;
};

static size_t make(struct source *s, uint8_t *p)
{
    const char *src = s->v6 ? "fc02::2" : "10.1.1.1", *dst = s->v6 ? "fc01::1" : "10.1.1.2";
    size_t n = rnd() % 10 ? s->size : rnd() % (s->size + 1u);
    if (!s->tcp) {
        size_t len = kit_udp(p, src, dst, s->sport, 53, n, (uint8_t)rnd());
        if (!s->v6) {
            ip_put16(p + 4, ++s->id);
            if (rnd() % 2) p[6] = 0;
            ip4_checksum(p, 20);
        }
        return len;
    }
    size_t options = rnd() % 12 ? 12 : 0, l4 = 20 + options;
    size_t h = kit_ip(p, src, dst, IP_TCP, l4 + n);
    uint8_t *t = p + h;
    memset(t, 0, l4);
    ip_put16(t, s->sport);
    ip_put16(t + 2, 80);
    ip_put32(t + 4, s->seq);
    ip_put32(t + 8, s->ack);
    t[12] = (uint8_t)(l4 / 4 << 4);
    t[13] = 0x10;
    ip_put16(t + 14, 500);
    for (size_t i = 0; i < options; i++) t[20 + i] = (uint8_t)i;
    for (size_t i = 0; i < n; i++) t[l4 + i] = (uint8_t)(s->seq + i);
    switch (rnd() % 40) { // what real traffic and bad luck bring
    case 0:
        t[13] |= 8;
        break;
    case 1:
        t[13] |= 9;
        break;
    case 2:
        t[13] = (uint8_t)rnd();
        break;
    case 3:
        s->ack++;
        break;
    case 4:
        ip_put16(t + 14, 501);
        break;
    case 5:
        p[h == 20 ? 8 : 7]--;
        break;
    case 6:
        if (options) t[25]++;
        break;
    case 7:
        s->seq += 100;
        break;
    case 8:
        t[12] |= 1;
        break;
    case 9:
        p[1] ^= 0x10;
        break;
    default:
        break;
    }
    s->seq += (uint32_t)n;
    if (!s->v6) {
        ip_put16(p + 4, rnd() % 15 ? ++s->id : (s->id = (uint16_t)rnd()));
        if (rnd() % 8 == 0) p[6] = 0;
        ip4_checksum(p, 20);
    }
    csum_store(t + 16, csum_add(kit_pseudo(p, IP_TCP, (uint32_t)(l4 + n)), t, l4 + n));
    if (rnd() % 50 == 0) t[16] ^= 0x55; // a checksum that is wrong must stay wrong
    return h + l4 + n;
}

static bool same_flow(const struct kit_bytes *a, const struct kit_bytes *b)
{
    size_t h = a->p[0] >> 4 == 4 ? 20 : 40;
    if (a->p[0] >> 4 != b->p[0] >> 4) return false;
    return a->p[h == 20 ? 9 : 6] == b->p[h == 20 ? 9 : 6] && !memcmp(a->p + h, b->p + h, 4);
}

// With DF the identification means nothing (RFC 6864 section 4.1) and the kernel counts it anew.
static void normal(struct kit_bytes *b)
{
    if (b->p[0] >> 4 != 4 || !(b->p[6] & 0x40)) return;
    b->p[4] = b->p[5] = 0;
    ip4_checksum(b->p, 20);
}

static void compare(struct list *in, struct list *out)
{
    assert_int_equal(in->n, out->n);
    bool *taken = calloc(out->n + 1, 1);
    for (unsigned i = 0; i < in->n; i++) {
        unsigned k = 0;
        while (k < out->n && (taken[k] || !same_flow(&in->p[i], &out->p[k]))) k++; // the first of the flow that is left
        assert_true(k < out->n);
        taken[k] = true;
        normal(&in->p[i]);
        normal(&out->p[k]);
        assert_int_equal(in->p[i].n, out->p[k].n);
        assert_memory_equal(in->p[i].p, out->p[k].p, in->p[i].n);
    }
    free(taken);
}

static struct kit_out out;
static struct list in, cut_out;

static void run(unsigned flows, unsigned packets, bool uso, bool big)
{
    static const struct fwd_sink sink = {&out, kit_wire, kit_tun, kit_punt};
    struct gro *g = calloc(1, sizeof *g);
    struct source s[12];
    uint8_t *buffers[KIT_MAX];
    for (unsigned i = 0; i < flows; i++)
        s[i] = (struct source){.v6 = rnd() % 2,
                               .tcp = rnd() % 3,
                               .sport = (uint16_t)(1000 + i),
                               .seq = rnd(),
                               .size = (uint16_t)(big ? 1300 : rnd() % 60)};
    for (unsigned i = 0; i < packets; i++) {
        uint8_t p[2048];
        struct source *from = &s[rnd() % flows];
        for (unsigned burst = 1 + rnd() % 30; burst && i < packets; burst--, i++) {
            size_t n = make(from, p);
            push(&in, p, n);
            buffers[i] = malloc(VNET_LEN + n);
            memcpy(buffers[i] + VNET_LEN, p, n);
            struct ip_view v;
            assert_int_equal(ip_parse(buffers[i] + VNET_LEN, n, &v), 0);
            gro_add(g, &sink, uso, &v);
        }
        i--;
    }
    gro_flush(g, &sink);
    for (unsigned i = 0; i < out.tuns; i++) cut(&cut_out, &out.tun[i]);
    compare(&in, &cut_out);
    for (unsigned i = 0; i < packets; i++) free(buffers[i]);
    kit_clear(&out);
    list_free(&in);
    list_free(&cut_out);
    free(g);
}

static void the_twin_agrees(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 300; k++) run(1 + rnd() % 12, 100 + rnd() % 200, rnd() % 2, k % 4 == 0);
}

static unsigned frames_of(bool tcp, bool v6, unsigned packets, uint16_t size, bool uso)
{
    static const struct fwd_sink sink = {&out, kit_wire, kit_tun, kit_punt};
    struct gro *g = calloc(1, sizeof *g);
    uint8_t *buffers[200];
    for (unsigned i = 0; i < packets; i++) {
        buffers[i] = malloc(VNET_LEN + 2048);
        uint8_t *p = buffers[i] + VNET_LEN;
        const char *src = v6 ? "fc02::2" : "10.1.1.1", *dst = v6 ? "fc01::1" : "10.1.1.2";
        size_t n;
        if (tcp) {
            n = kit_ip(p, src, dst, IP_TCP, 20u + size);
            memset(p + n, 7, 20u + size);
            ip_put32(p + n + 4, i * size);
            p[n + 12] = 0x50, p[n + 13] = 0x10, p[n + 16] = p[n + 17] = 0;
            csum_store(p + n + 16, csum_add(kit_pseudo(p, IP_TCP, 20u + size), p + n, 20u + size));
            n += 20u + size;
        } else {
            n = kit_udp(p, src, dst, 1, 2, size, 0);
        }
        struct ip_view v;
        assert_int_equal(ip_parse(p, n, &v), 0);
        gro_add(g, &sink, uso, &v);
    }
    gro_flush(g, &sink);
    unsigned frames = out.tuns;
    for (unsigned i = 0; i < packets; i++) free(buffers[i]);
    kit_clear(&out);
    free(g);
    return frames;
}

static void bulk_is_joined(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        assert_int_equal(frames_of(true, v6, 45, 1360, false), 1);
        assert_int_equal(frames_of(true, v6, 96, 1360, false), 2 + (96 * 1360 > 2 * 65535 - 120)); // 64 KiB each
        assert_int_equal(frames_of(true, v6, 130, 100, false), 3);                                 // 64 pieces each
        assert_int_equal(frames_of(false, v6, 40, 1000, true), 1);
        assert_int_equal(frames_of(false, v6, 40, 1000, false), 40); // the kernel can't take them
        assert_int_equal(frames_of(true, v6, 10, 0, false), 10);     // pure acknowledgments
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_twin_agrees), cmocka_unit_test(bulk_is_joined)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
