#include "wire/wg.h"

#include "base/cursor.h"

#define MACS 32

int wg_type(const uint8_t *p, size_t n)
{
    struct bw_rd r = bw_rd(p, n);
    uint32_t type = bw_rd_le32(&r);
    if (r.bad) return BW_ERR_SHORT;
    switch (type) {
    case WG_INITIATION: return n == WG_INITIATION_LEN ? WG_INITIATION : BW_ERR_SHORT;
    case WG_RESPONSE: return n == WG_RESPONSE_LEN ? WG_RESPONSE : BW_ERR_SHORT;
    case WG_COOKIE: return n == WG_COOKIE_LEN ? WG_COOKIE : BW_ERR_SHORT;
    case WG_DATA: return n >= WG_DATA_MIN_LEN ? WG_DATA : BW_ERR_SHORT;
    default: return BW_ERR_MALFORMED;
    }
}

static int begin(struct bw_rd *r, const uint8_t *p, size_t n, enum wg_type type)
{
    int t = wg_type(p, n);
    if (t < 0) return t;
    *r = bw_rd(p + 4, n - 4);
    return t == (int)type ? 0 : BW_ERR_MALFORMED;
}

int wg_initiation_decode(const uint8_t *p, size_t n, struct wg_initiation *out)
{
    struct bw_rd r;
    int err = begin(&r, p, n, WG_INITIATION);
    if (err) return err;
    out->sender = bw_rd_le32(&r);
    bw_rd_bytes(&r, out->ephemeral, sizeof out->ephemeral);
    bw_rd_bytes(&r, out->enc_static, sizeof out->enc_static);
    bw_rd_bytes(&r, out->enc_timestamp, sizeof out->enc_timestamp);
    return 0;
}

int wg_response_decode(const uint8_t *p, size_t n, struct wg_response *out)
{
    struct bw_rd r;
    int err = begin(&r, p, n, WG_RESPONSE);
    if (err) return err;
    out->sender = bw_rd_le32(&r);
    out->receiver = bw_rd_le32(&r);
    bw_rd_bytes(&r, out->ephemeral, sizeof out->ephemeral);
    bw_rd_bytes(&r, out->enc_nothing, sizeof out->enc_nothing);
    return 0;
}

int wg_cookie_decode(const uint8_t *p, size_t n, struct wg_cookie *out)
{
    struct bw_rd r;
    int err = begin(&r, p, n, WG_COOKIE);
    if (err) return err;
    out->receiver = bw_rd_le32(&r);
    bw_rd_bytes(&r, out->nonce, sizeof out->nonce);
    bw_rd_bytes(&r, out->enc_cookie, sizeof out->enc_cookie);
    return 0;
}

void wg_initiation_encode(uint8_t out[WG_INITIATION_LEN], const struct wg_initiation *m)
{
    struct bw_wr w = bw_wr(out, WG_INITIATION_LEN);
    bw_wr_le32(&w, WG_INITIATION);
    bw_wr_le32(&w, m->sender);
    bw_wr_bytes(&w, m->ephemeral, sizeof m->ephemeral);
    bw_wr_bytes(&w, m->enc_static, sizeof m->enc_static);
    bw_wr_bytes(&w, m->enc_timestamp, sizeof m->enc_timestamp);
    bw_wr_zero(&w, MACS);
}

void wg_response_encode(uint8_t out[WG_RESPONSE_LEN], const struct wg_response *m)
{
    struct bw_wr w = bw_wr(out, WG_RESPONSE_LEN);
    bw_wr_le32(&w, WG_RESPONSE);
    bw_wr_le32(&w, m->sender);
    bw_wr_le32(&w, m->receiver);
    bw_wr_bytes(&w, m->ephemeral, sizeof m->ephemeral);
    bw_wr_bytes(&w, m->enc_nothing, sizeof m->enc_nothing);
    bw_wr_zero(&w, MACS);
}

void wg_cookie_encode(uint8_t out[WG_COOKIE_LEN], const struct wg_cookie *m)
{
    struct bw_wr w = bw_wr(out, WG_COOKIE_LEN);
    bw_wr_le32(&w, WG_COOKIE);
    bw_wr_le32(&w, m->receiver);
    bw_wr_bytes(&w, m->nonce, sizeof m->nonce);
    bw_wr_bytes(&w, m->enc_cookie, sizeof m->enc_cookie);
}
