#include "wire/session.h"

#include <string.h>

#include "base/cursor.h"

#define MACS 32
#define INDEX_MIN 256 // an index is the SPI of keys to come (RFC 4303 section 2.1 reserves the rest)

static size_t type_len(uint8_t type)
{
    static const uint8_t len[] = {[SESSION_INITIATION] = SESSION_INITIATION_LEN, [SESSION_RESPONSE] = SESSION_RESPONSE_LEN,
                                  [SESSION_COOKIE] = SESSION_COOKIE_LEN,         [SESSION_NOTICE] = SESSION_NOTICE_LEN,
                                  [SESSION_QUESTION] = SESSION_QUESTION_LEN,     [SESSION_KEY] = SESSION_KEY_LEN};
    return type < sizeof len ? len[type] : 0;
}

int session_type(const uint8_t *p, size_t n)
{
    if (n < 4) return BW_ERR_SHORT;
    size_t want = type_len(p[0]);
    if (!want) return BW_ERR_MALFORMED;
    return n == want ? p[0] : BW_ERR_SHORT;
}

// Type and reserved bytes taken off, or an error.
static int begin(struct bw_rd *r, const uint8_t *p, size_t n, int type)
{
    int t = session_type(p, n);
    if (t < 0) return t;
    if (t != type) return BW_ERR_MALFORMED;
    *r = bw_rd(p, n);
    bw_rd_take(r, 4);
    return 0;
}

static struct bw_wr start(uint8_t *out, size_t n, enum session_type type)
{
    struct bw_wr w = bw_wr(out, n);
    bw_wr_u8(&w, (uint8_t)type);
    bw_wr_zero(&w, 3);
    return w;
}

int session_initiation_decode(const uint8_t *p, size_t n, struct session_initiation *out)
{
    struct bw_rd r;
    int err = begin(&r, p, n, SESSION_INITIATION);
    if (err) return err;
    out->sender = bw_rd_be32(&r);
    bw_rd_bytes(&r, out->ephemeral, sizeof out->ephemeral);
    bw_rd_bytes(&r, out->enc_static, sizeof out->enc_static);
    bw_rd_bytes(&r, out->enc_offer, sizeof out->enc_offer);
    return out->sender < INDEX_MIN ? BW_ERR_RANGE : 0;
}

int session_response_decode(const uint8_t *p, size_t n, struct session_response *out)
{
    struct bw_rd r;
    int err = begin(&r, p, n, SESSION_RESPONSE);
    if (err) return err;
    out->sender = bw_rd_be32(&r);
    out->receiver = bw_rd_be32(&r);
    bw_rd_bytes(&r, out->ephemeral, sizeof out->ephemeral);
    bw_rd_bytes(&r, out->enc_choice, sizeof out->enc_choice);
    return out->sender < INDEX_MIN ? BW_ERR_RANGE : 0;
}

int session_cookie_decode(const uint8_t *p, size_t n, struct session_cookie *out)
{
    struct bw_rd r;
    int err = begin(&r, p, n, SESSION_COOKIE);
    if (err) return err;
    out->receiver = bw_rd_be32(&r);
    bw_rd_bytes(&r, out->nonce, sizeof out->nonce);
    bw_rd_bytes(&r, out->enc_cookie, sizeof out->enc_cookie);
    return 0;
}

int session_notice_decode(const uint8_t *p, size_t n, struct session_notice *out)
{
    struct bw_rd r;
    int err = begin(&r, p, n, SESSION_NOTICE);
    if (err) return err;
    out->spi = bw_rd_be32(&r);
    out->seq = bw_rd_be32(&r);
    return 0;
}

int session_key_decode(const uint8_t *p, size_t n, struct session_key *out)
{
    int type = session_type(p, n);
    if (type < 0) return type;
    if (type != SESSION_QUESTION && type != SESSION_KEY) return BW_ERR_MALFORMED;
    memcpy(out->nonce, p + 4, sizeof out->nonce);
    memcpy(out->key, p + 12, sizeof out->key);
    return 0;
}

void session_initiation_encode(uint8_t out[SESSION_INITIATION_LEN], const struct session_initiation *m)
{
    struct bw_wr w = start(out, SESSION_INITIATION_LEN, SESSION_INITIATION);
    bw_wr_be32(&w, m->sender);
    bw_wr_bytes(&w, m->ephemeral, sizeof m->ephemeral);
    bw_wr_bytes(&w, m->enc_static, sizeof m->enc_static);
    bw_wr_bytes(&w, m->enc_offer, sizeof m->enc_offer);
    bw_wr_zero(&w, MACS);
}

void session_response_encode(uint8_t out[SESSION_RESPONSE_LEN], const struct session_response *m)
{
    struct bw_wr w = start(out, SESSION_RESPONSE_LEN, SESSION_RESPONSE);
    bw_wr_be32(&w, m->sender);
    bw_wr_be32(&w, m->receiver);
    bw_wr_bytes(&w, m->ephemeral, sizeof m->ephemeral);
    bw_wr_bytes(&w, m->enc_choice, sizeof m->enc_choice);
    bw_wr_zero(&w, MACS);
}

void session_cookie_encode(uint8_t out[SESSION_COOKIE_LEN], const struct session_cookie *m)
{
    struct bw_wr w = start(out, SESSION_COOKIE_LEN, SESSION_COOKIE);
    bw_wr_be32(&w, m->receiver);
    bw_wr_bytes(&w, m->nonce, sizeof m->nonce);
    bw_wr_bytes(&w, m->enc_cookie, sizeof m->enc_cookie);
}

void session_notice_encode(uint8_t out[SESSION_NOTICE_LEN], const struct session_notice *m)
{
    struct bw_wr w = start(out, SESSION_NOTICE_LEN, SESSION_NOTICE);
    bw_wr_be32(&w, m->spi);
    bw_wr_be32(&w, m->seq);
}

void session_key_encode(uint8_t out[SESSION_KEY_LEN], enum session_type type, const struct session_key *m)
{
    struct bw_wr w = start(out, SESSION_KEY_LEN, type);
    bw_wr_bytes(&w, m->nonce, sizeof m->nonce);
    if (type == SESSION_KEY) bw_wr_bytes(&w, m->key, sizeof m->key);
    else bw_wr_zero(&w, sizeof m->key);
}

void session_offer_encode(uint8_t out[SESSION_OFFER_LEN], const struct session_offer *o)
{
    struct bw_wr w = bw_wr(out, SESSION_OFFER_LEN);
    bw_wr_bytes(&w, o->stamp, sizeof o->stamp);
    bw_wr_u8(&w, o->ciphers);
    bw_wr_zero(&w, 3);
}

int session_offer_decode(const uint8_t p[SESSION_OFFER_LEN], struct session_offer *out)
{
    memcpy(out->stamp, p, sizeof out->stamp);
    out->ciphers = p[sizeof out->stamp];
    return out->ciphers & SESSION_CIPHER_CHACHA20_POLY1305 ? 0 : BW_ERR_MALFORMED;
}

void session_choice_encode(uint8_t out[SESSION_CHOICE_LEN], uint8_t cipher)
{
    memset(out, 0, SESSION_CHOICE_LEN);
    out[0] = cipher;
}

int session_choice_decode(const uint8_t p[SESSION_CHOICE_LEN], uint8_t offered, uint8_t *cipher)
{
    *cipher = p[0];
    bool one = *cipher == SESSION_CIPHER_CHACHA20_POLY1305 || *cipher == SESSION_CIPHER_AES_256_GCM;
    return one && (*cipher & offered) ? 0 : BW_ERR_MALFORMED;
}
