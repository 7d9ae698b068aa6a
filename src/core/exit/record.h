// Signed records checked: the signature of a decoded record against its key, and the key against the mesh address that the
// record claims (Ed25519 key -> X25519 key -> address, DESIGN 2). Nobody can speak for an address that is not theirs.
#ifndef CORE_EXIT_RECORD_H
#define CORE_EXIT_RECORD_H

#include "core/identity.h"
#include "wire/lease.h"

// BW_ERR_AUTH: the signature is wrong, or the key is not that of `claimed`.
int record_verify(const struct signed_part *s, const struct bw_addr *claimed) BW_NODISCARD;
int record_offer(const struct identity *id, const struct offer *o, char *out, size_t cap) BW_NODISCARD;
int record_request(const struct identity *id, const struct lease_request *r, char *out, size_t cap) BW_NODISCARD;
int record_lease(const struct identity *id, const struct lease *l, char *out, size_t cap) BW_NODISCARD;

#endif
