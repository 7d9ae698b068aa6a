#include "core/noise/cookie.h"

#include <string.h>

void mac_keys_init(struct mac_keys *k, const struct noise_protocol *p, const uint8_t pk[BW_KEY_LEN])
{
    bw_blake2s(k->mac1, BW_KEY_LEN, NULL, 0, p->label_mac1, sizeof p->label_mac1, pk, BW_KEY_LEN);
    bw_blake2s(k->cookie, BW_KEY_LEN, NULL, 0, p->label_cookie, sizeof p->label_cookie, pk, BW_KEY_LEN);
}

static void mac1_of(uint8_t out[MAC_LEN], const struct mac_keys *k, const uint8_t *msg, size_t n)
{
    bw_blake2s(out, MAC_LEN, k->mac1, BW_KEY_LEN, msg, n - MACS_LEN, NULL, 0);
}

static void mac2_of(uint8_t out[MAC_LEN], const uint8_t cookie[COOKIE_LEN], const uint8_t *msg, size_t n)
{
    bw_blake2s(out, MAC_LEN, cookie, COOKIE_LEN, msg, n - MAC_LEN, NULL, 0);
}

void mac_write(struct mac_sender *s, uint8_t *msg, size_t n, bw_time now)
{
    uint8_t *mac1 = msg + n - MACS_LEN, *mac2 = msg + n - MAC_LEN;
    mac1_of(mac1, &s->keys, msg, n);
    memcpy(s->last_mac1, mac1, MAC_LEN);
    s->sent = true;
    if (s->has_cookie && now >= s->cookie_at + COOKIE_LIFE - COOKIE_LATENCY) {
        bw_wipe(s->cookie, sizeof s->cookie);
        s->has_cookie = false;
    }
    if (s->has_cookie) mac2_of(mac2, s->cookie, msg, n);
    else memset(mac2, 0, MAC_LEN);
}

int mac_take_cookie(struct mac_sender *s, const uint8_t nonce[COOKIE_NONCE_LEN],
                    const uint8_t sealed[COOKIE_SEALED_LEN], bw_time now)
{
    uint8_t cookie[COOKIE_LEN];
    if (!s->sent) return BW_ERR_AUTH;
    if (bw_xchacha20poly1305_open(cookie, sealed, COOKIE_SEALED_LEN, s->last_mac1, MAC_LEN, nonce, s->keys.cookie))
        return BW_ERR_AUTH;
    memcpy(s->cookie, cookie, sizeof cookie);
    s->has_cookie = true;
    s->cookie_at = now;
    s->sent = false; // one cookie per message, as the kernel has it
    return 0;
}

void cookie_jar_init(struct cookie_jar *j, const struct noise_protocol *p, const uint8_t my_pk[BW_KEY_LEN])
{
    memset(j, 0, sizeof *j);
    mac_keys_init(&j->keys, p, my_pk);
}

bool cookie_mac1_fits(const struct cookie_jar *j, const uint8_t *msg, size_t n)
{
    uint8_t mac[MAC_LEN];
    if (n < MACS_LEN) return false;
    mac1_of(mac, &j->keys, msg, n);
    return bw_same(mac, msg + n - MACS_LEN, MAC_LEN);
}

static void cookie_of(struct cookie_jar *j, struct bw_rng *rng, const void *source, size_t n, uint8_t out[COOKIE_LEN],
                      bw_time now)
{
    if (!j->has_secret || now >= j->made + COOKIE_LIFE) {
        bw_rng_bytes(rng, j->secret, sizeof j->secret);
        j->has_secret = true;
        j->made = now;
    }
    bw_blake2s(out, COOKIE_LEN, j->secret, sizeof j->secret, source, n, NULL, 0);
}

bool cookie_mac2_fits(struct cookie_jar *j, struct bw_rng *rng, const void *source, size_t source_len,
                      const uint8_t *msg, size_t n, bw_time now)
{
    uint8_t cookie[COOKIE_LEN], mac[MAC_LEN];
    cookie_of(j, rng, source, source_len, cookie, now);
    mac2_of(mac, cookie, msg, n);
    return bw_same(mac, msg + n - MAC_LEN, MAC_LEN);
}

int cookie_make(struct cookie_jar *j, struct bw_rng *rng, const void *source, size_t source_len, const uint8_t *msg,
                size_t n, uint8_t nonce[COOKIE_NONCE_LEN], uint8_t sealed[COOKIE_SEALED_LEN], bw_time now)
{
    uint8_t cookie[COOKIE_LEN];
    cookie_of(j, rng, source, source_len, cookie, now);
    bw_rng_bytes(rng, nonce, COOKIE_NONCE_LEN);
    return bw_xchacha20poly1305_seal(sealed, cookie, COOKIE_LEN, msg + n - MACS_LEN, MAC_LEN, nonce, j->keys.cookie);
}
