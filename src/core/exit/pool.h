// Which inner addresses an exit gives out: a part of 100.64.0.0/10 (RFC 6598) and a ULA /64 (RFC 4193), both chosen by the
// exit's own address so that they are the same after a restart, both away from the machine's own networks.
#ifndef CORE_EXIT_POOL_H
#define CORE_EXIT_POOL_H

#include "base/addr.h"

#define POOL_FIRST 2u // host numbers: 0 is the network, 1 the gateway

// len: 16..29 as IPv4 counts. BW_ERR_NOTFOUND: every part overlaps something local.
int pool_choose4(const struct bw_addr *self, uint8_t len, const struct bw_prefix *local, unsigned count, struct bw_prefix *out)
    BW_NODISCARD;
int pool_choose6(const struct bw_addr *self, const struct bw_prefix *local, unsigned count, struct bw_prefix *out) BW_NODISCARD;
bool pool_conflicts(const struct bw_prefix *pool, const struct bw_prefix *local, unsigned count);
bool pool_is_shared_space(const struct bw_addr *a); // in 100.64.0.0/10

struct bw_addr pool_at(const struct bw_prefix *pool, uint32_t host);
uint32_t pool_host(const struct bw_prefix *pool, const struct bw_addr *a); // 0: not in it
uint32_t pool_hosts(const struct bw_prefix *pool4); // numbers POOL_FIRST .. POOL_FIRST + this - 1

#endif
