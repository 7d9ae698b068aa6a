// What a node believes of the routes that its neighbours announce (DESIGN 2, "Routing"): /128s of mesh addresses, fc00::e,
// fd00::/8, and RFC 1918 prefixes that overlap nothing local; [routing] import widens that. Never default routes, global
// prefixes, 100.64.0.0/10 or prefixes of our own, unless import names them.
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
