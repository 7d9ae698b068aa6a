#include "wire/beacon.h"

#include "base/cursor.h"

const uint8_t beacon_label[BEACON_LABEL_LEN] = "byway beacon v1";

bool beacon_is(const uint8_t *p, size_t n)
{
    return n >= 4 && p[0] == 'B' && p[1] == 'Y' && p[2] == 'W';
}

static bool tail_is_well_formed(const uint8_t *p, size_t n)
{
    struct bw_rd r = bw_rd(p, n);
    while (bw_rd_left(&r) && !r.bad) {
        bw_rd_u8(&r);
        bw_rd_take(&r, bw_rd_u8(&r));
    }
    return !r.bad;
}

int beacon_decode(const uint8_t *p, size_t n, struct beacon *out)
{
    if (!beacon_is(p, n)) return BW_ERR_MALFORMED;
    if (p[3] != BEACON_VERSION) return BW_ERR_UNSUPPORTED;
    if (n < BEACON_MIN_LEN) return BW_ERR_SHORT;
    if (n > BEACON_MAX_LEN) return BW_ERR_MALFORMED;
    struct bw_rd r = bw_rd(p + 4, n - 4);
    bw_rd_bytes(&r, out->sign_pk, sizeof out->sign_pk);
    bw_rd_bytes(&r, out->tag, sizeof out->tag);
    bw_rd_bytes(&r, out->instance, sizeof out->instance);
    bw_rd_bytes(&r, out->stamp, sizeof out->stamp);
    out->port = bw_rd_be16(&r);
    out->flags = bw_rd_be16(&r);
    out->tail_len = bw_rd_be16(&r);
    out->tail = bw_rd_take(&r, out->tail_len);
    out->sig = bw_rd_take(&r, BEACON_SIG_LEN);
    if (r.bad || bw_rd_left(&r)) return BW_ERR_MALFORMED;
    if (!out->port || !tail_is_well_formed(out->tail, out->tail_len)) return BW_ERR_MALFORMED;
    return 0;
}

int beacon_encode(uint8_t *out, size_t cap, const struct beacon *b)
{
    if (cap > BEACON_MAX_LEN - BEACON_SIG_LEN) cap = BEACON_MAX_LEN - BEACON_SIG_LEN;
    struct bw_wr w = bw_wr(out, cap);
    bw_wr_bytes(&w, "BYW", 3);
    bw_wr_u8(&w, BEACON_VERSION);
    bw_wr_bytes(&w, b->sign_pk, sizeof b->sign_pk);
    bw_wr_bytes(&w, b->tag, sizeof b->tag);
    bw_wr_bytes(&w, b->instance, sizeof b->instance);
    bw_wr_bytes(&w, b->stamp, sizeof b->stamp);
    bw_wr_be16(&w, b->port);
    bw_wr_be16(&w, b->flags);
    bw_wr_be16(&w, (uint16_t)b->tail_len);
    bw_wr_bytes(&w, b->tail, b->tail_len);
    return w.bad ? BW_ERR_RANGE : (int)bw_wr_len(&w);
}
