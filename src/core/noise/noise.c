#include "core/noise/noise.h"

#include <string.h>

static const uint8_t zero_nonce[12]; // every key of a handshake encrypts one thing only

void noise_protocol_init(struct noise_protocol *p, const char *construction, const char *identifier,
                         const char *label_mac1, const char *label_cookie)
{
    bw_blake2s(p->ck, BW_HASH_LEN, NULL, 0, construction, strlen(construction), NULL, 0);
    bw_blake2s(p->h, BW_HASH_LEN, NULL, 0, p->ck, BW_HASH_LEN, identifier, strlen(identifier));
    memcpy(p->label_mac1, label_mac1, sizeof p->label_mac1);
    memcpy(p->label_cookie, label_cookie, sizeof p->label_cookie);
}

void noise_protocol_wireguard(struct noise_protocol *p)
{
    noise_protocol_init(p, NOISE_CONSTRUCTION, NOISE_IDENTIFIER_WG, "mac1----", "cookie--");
}

void noise_kdf(uint8_t *out1, uint8_t *out2, uint8_t *out3, const uint8_t ck[BW_HASH_LEN], const void *input, size_t n)
{
    uint8_t secret[BW_HASH_LEN], block[BW_HASH_LEN + 1];
    uint8_t *outs[3] = {out1, out2, out3};
    bw_hmac_blake2s(secret, ck, BW_HASH_LEN, input, n);
    for (unsigned i = 0; i < 3; i++) {
        if (!out3 && i == 2) break;
        block[i ? BW_HASH_LEN : 0] = (uint8_t)(i + 1);
        bw_hmac_blake2s(block, secret, sizeof secret, block, i ? BW_HASH_LEN + 1 : 1);
        if (outs[i]) memcpy(outs[i], block, BW_HASH_LEN);
    }
    bw_wipe(secret, sizeof secret);
    bw_wipe(block, sizeof block);
}

static void mix_hash(struct noise_handshake *hs, const void *p, size_t n)
{
    bw_blake2s(hs->h, BW_HASH_LEN, NULL, 0, hs->h, BW_HASH_LEN, p, n);
}

// key may be NULL: only the chaining key moves on.
static void mix_key(struct noise_handshake *hs, uint8_t *key, const void *p, size_t n)
{
    noise_kdf(hs->ck, key, NULL, hs->ck, p, n);
}

static int mix_dh(struct noise_handshake *hs, uint8_t *key, const uint8_t sk[BW_KEY_LEN], const uint8_t pk[BW_KEY_LEN])
{
    uint8_t dh[BW_KEY_LEN];
    if (bw_x25519(dh, sk, pk)) return BW_ERR_AUTH;
    mix_key(hs, key, dh, sizeof dh);
    bw_wipe(dh, sizeof dh);
    return 0;
}

// An empty key is all-zero here: WireGuard takes no part of its security from a static-static DH of low order either
// way.
static int mix_static_static(struct noise_handshake *hs, uint8_t key[BW_KEY_LEN], const uint8_t ss[BW_KEY_LEN])
{
    static const uint8_t zero[BW_KEY_LEN];
    if (bw_same(ss, zero, sizeof zero)) return BW_ERR_AUTH;
    mix_key(hs, key, ss, BW_KEY_LEN);
    return 0;
}

static int encrypt_and_hash(struct noise_handshake *hs, const uint8_t key[BW_KEY_LEN], const void *p, size_t n,
                            uint8_t *out)
{
    int err = bw_chacha20poly1305_seal(out, p, n, hs->h, BW_HASH_LEN, zero_nonce, key);
    if (!err) mix_hash(hs, out, n + BW_TAG_LEN);
    return err;
}

static int decrypt_and_hash(struct noise_handshake *hs, const uint8_t key[BW_KEY_LEN], const uint8_t *in, size_t n,
                            uint8_t *out)
{
    int err = bw_chacha20poly1305_open(out, in, n, hs->h, BW_HASH_LEN, zero_nonce, key);
    if (!err) mix_hash(hs, in, n);
    return err ? BW_ERR_AUTH : 0;
}

static void start(struct noise_handshake *hs, const struct noise_protocol *p, const uint8_t responder_pk[BW_KEY_LEN])
{
    memset(hs, 0, sizeof *hs);
    memcpy(hs->ck, p->ck, BW_HASH_LEN);
    memcpy(hs->h, p->h, BW_HASH_LEN);
    mix_hash(hs, responder_pk, BW_KEY_LEN);
}

// Token "e" of a pattern with PSK: the ephemeral goes into both hash and chaining key.
static void mix_e(struct noise_handshake *hs, const uint8_t e[BW_KEY_LEN])
{
    mix_key(hs, NULL, e, BW_KEY_LEN);
    mix_hash(hs, e, BW_KEY_LEN);
}

static void mix_psk(struct noise_handshake *hs, const uint8_t psk[BW_KEY_LEN], uint8_t key[BW_KEY_LEN])
{
    uint8_t t[BW_HASH_LEN];
    noise_kdf(hs->ck, t, key, hs->ck, psk, BW_KEY_LEN);
    mix_hash(hs, t, sizeof t);
    bw_wipe(t, sizeof t);
}

// A step works on a copy, so that a forged message leaves the state as it was.
static int finish(struct noise_handshake *hs, struct noise_handshake *next, uint8_t key[BW_KEY_LEN], int err)
{
    if (!err) *hs = *next;
    noise_wipe(next);
    bw_wipe(key, BW_KEY_LEN);
    return err;
}

int noise_initiate(struct noise_handshake *hs, const struct noise_protocol *p, const uint8_t my_pk[BW_KEY_LEN],
                   const uint8_t rs[BW_KEY_LEN], const uint8_t ss[BW_KEY_LEN], const uint8_t e_sk[BW_KEY_LEN],
                   const void *payload, size_t n, uint8_t e[BW_KEY_LEN], uint8_t enc_static[NOISE_STATIC_LEN],
                   uint8_t *enc_payload)
{
    struct noise_handshake next;
    uint8_t key[BW_KEY_LEN];
    start(&next, p, rs);
    memcpy(next.rs, rs, BW_KEY_LEN);
    memcpy(next.e_sk, e_sk, BW_KEY_LEN);
    bw_x25519_public(e, e_sk);
    mix_e(&next, e);
    int err = mix_dh(&next, key, e_sk, rs);
    if (!err) err = encrypt_and_hash(&next, key, my_pk, BW_KEY_LEN, enc_static);
    if (!err) err = mix_static_static(&next, key, ss);
    if (!err) err = encrypt_and_hash(&next, key, payload, n, enc_payload);
    return finish(hs, &next, key, err);
}

int noise_read_static(struct noise_handshake *hs, const struct noise_protocol *p, const uint8_t my_sk[BW_KEY_LEN],
                      const uint8_t my_pk[BW_KEY_LEN], const uint8_t e[BW_KEY_LEN],
                      const uint8_t enc_static[NOISE_STATIC_LEN])
{
    struct noise_handshake next;
    uint8_t key[BW_KEY_LEN];
    start(&next, p, my_pk);
    memcpy(next.re, e, BW_KEY_LEN);
    mix_e(&next, e);
    int err = mix_dh(&next, key, my_sk, e);
    if (!err) err = decrypt_and_hash(&next, key, enc_static, NOISE_STATIC_LEN, next.rs);
    return finish(hs, &next, key, err);
}

int noise_read_payload(struct noise_handshake *hs, const uint8_t ss[BW_KEY_LEN], const uint8_t *enc_payload,
                       size_t enc_len, uint8_t *payload)
{
    struct noise_handshake next = *hs;
    uint8_t key[BW_KEY_LEN];
    int err = mix_static_static(&next, key, ss);
    if (!err) err = decrypt_and_hash(&next, key, enc_payload, enc_len, payload);
    return finish(hs, &next, key, err);
}

int noise_respond(struct noise_handshake *hs, const uint8_t psk[BW_KEY_LEN], const uint8_t e_sk[BW_KEY_LEN],
                  const void *payload, size_t n, uint8_t e[BW_KEY_LEN], uint8_t *enc_payload)
{
    struct noise_handshake next = *hs;
    uint8_t key[BW_KEY_LEN];
    bw_x25519_public(e, e_sk);
    mix_e(&next, e);
    int err = mix_dh(&next, NULL, e_sk, next.re);
    if (!err) err = mix_dh(&next, NULL, e_sk, next.rs);
    if (!err) mix_psk(&next, psk, key);
    if (!err) err = encrypt_and_hash(&next, key, payload, n, enc_payload);
    return finish(hs, &next, key, err);
}

int noise_read_response(struct noise_handshake *hs, const uint8_t my_sk[BW_KEY_LEN], const uint8_t psk[BW_KEY_LEN],
                        const uint8_t e[BW_KEY_LEN], const uint8_t *enc_payload, size_t enc_len, uint8_t *payload)
{
    struct noise_handshake next = *hs;
    uint8_t key[BW_KEY_LEN];
    mix_e(&next, e);
    int err = mix_dh(&next, NULL, next.e_sk, e);
    if (!err) err = mix_dh(&next, NULL, my_sk, e);
    if (!err) mix_psk(&next, psk, key);
    if (!err) err = decrypt_and_hash(&next, key, enc_payload, enc_len, payload);
    return finish(hs, &next, key, err);
}

void noise_split(struct noise_handshake *hs, bool initiator, uint8_t send[BW_KEY_LEN], uint8_t recv[BW_KEY_LEN])
{
    noise_kdf(initiator ? send : recv, initiator ? recv : send, NULL, hs->ck, NULL, 0);
    noise_wipe(hs);
}

void noise_wipe(struct noise_handshake *hs)
{
    bw_wipe(hs, sizeof *hs);
}
