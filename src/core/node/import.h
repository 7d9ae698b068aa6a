// What a node believes of the routes that its neighbours announce (DESIGN 2, "Routing"): /128s of mesh addresses, fc00::e,
// fd00::/8, and RFC 1918 prefixes that overlap nothing local; never default routes, global prefixes or 100.64.0.0/10 unless
// [routing] import says so. What import says may be wider than a local network, but never lies inside one.
#ifndef CORE_NODE_IMPORT_H
#define CORE_NODE_IMPORT_H

#include "base/addr.h"

struct import_rule {
    struct bw_addr self;            // our own mesh address is never believed of others
    const struct bw_prefix *local;  // connected and exported prefixes
    unsigned local_count;
    const struct bw_prefix *extra;  // [routing] import: these and what lies inside them, too
    unsigned extra_count;
};

bool import_allows(const struct import_rule *r, const struct bw_prefix *p);

#endif
