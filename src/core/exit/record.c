#include "core/exit/record.h"

int record_verify(const struct signed_part *s, const struct bw_addr *claimed)
{
    uint8_t link_pk[BW_KEY_LEN];
    struct bw_addr addr;
    if (bw_sign_pk_to_x25519(link_pk, s->key) || identity_addr_of_key(link_pk, &addr)) return BW_ERR_AUTH;
    if (!bw_addr_eq(&addr, claimed)) return BW_ERR_AUTH;
    return bw_verify(s->signature, s->covered, s->covered_len, s->key) ? BW_ERR_AUTH : 0;
}

int record_offer(const struct identity *id, const struct offer *o, char *out, size_t cap)
{
    uint8_t covered[SIGNED_LABEL + SIGNED_MAX], sig[BW_SIG_LEN];
    int n = offer_cover(o, covered, sizeof covered);
    if (n < 0) return n;
    bw_sign(sig, covered, (size_t)n, id->sign_sk);
    return offer_encode(o, sig, out, cap);
}

int record_request(const struct identity *id, const struct lease_request *r, char *out, size_t cap)
{
    uint8_t covered[SIGNED_LABEL + SIGNED_MAX], sig[BW_SIG_LEN];
    int n = lease_request_cover(r, covered, sizeof covered);
    if (n < 0) return n;
    bw_sign(sig, covered, (size_t)n, id->sign_sk);
    return lease_request_encode(r, sig, out, cap);
}

int record_lease(const struct identity *id, const struct lease *l, char *out, size_t cap)
{
    uint8_t covered[SIGNED_LABEL + SIGNED_MAX], sig[BW_SIG_LEN];
    int n = lease_cover(l, covered, sizeof covered);
    if (n < 0) return n;
    bw_sign(sig, covered, (size_t)n, id->sign_sk);
    return lease_encode(l, sig, out, cap);
}
