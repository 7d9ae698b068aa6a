// Finding neighbours: signed beacons on IPv6 link-local multicast (docs/spec/beacon.md, wire/beacon.h), one state per
// interface. A pure state machine on one thread, as core/link/link.h says of time, memory and calls.
//
// The caller joins DISCOVER_GROUP on every interface that it adds, receives on UDP DISCOVER_PORT (whatever port its
// links use) and hands over every datagram that begins with the beacon's magic (beacon_is in wire/beacon.h).
#ifndef CORE_DISCOVER_DISCOVER_H
#define CORE_DISCOVER_DISCOVER_H

#include "base/addr.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "core/identity.h"

#define DISCOVER_PORT 4870
extern const struct bw_addr discover_group; // ff12::4870 (RFC 4291 section 2.7: transient, link-local scope)

#define DISCOVER_KNOWN_MAX 1024 // keys remembered; the one heard longest ago gives way

enum discover_drop {
    DISCOVER_DROP_MALFORMED,
    DISCOVER_DROP_VERSION,
    DISCOVER_DROP_SOURCE,    // not from a link-local address, or on an interface that was not added
    DISCOVER_DROP_RATE,      // more than may be verified
    DISCOVER_DROP_REPLAY,    // stamp seen before or older
    DISCOVER_DROP_SIGNATURE,
    DISCOVER_DROP_KEY,       // a key that has no mesh address
    DISCOVER_DROP_NETWORK,   // another network's secret
    DISCOVER_DROP_OWN,       // our own beacon came back
    DISCOVER_DROP_NOMEM,
    DISCOVER_DROP_COUNT
};
const char *discover_drop_name(enum discover_drop d); // "malformed", ...: the label in /metrics

struct discover_config {
    const struct identity *identity; // must outlive it
    uint16_t port;                   // UDP port of our links, told in the beacon
    bool has_secret;                 // policy secret: beacons carry a tag that only members can make or know again
    uint8_t secret[BW_KEY_LEN];      // the network's PSK
};

struct discover_ops {
    void *ctx;
    // to discover_group, DISCOVER_PORT, on that interface
    void (*send)(void *ctx, uint32_t ifindex, const uint8_t *p, size_t n);
    // A verified beacon, each time one is heard (about every 10 s): goes to linkset_discovered. key: X25519.
    void (*found)(void *ctx, const uint8_t key[BW_KEY_LEN], uint32_t ifindex, const struct bw_endpoint *at, bool fresh);
    // Another machine runs with our identity on this interface; told again at most every minute. May be NULL.
    void (*twin)(void *ctx, uint32_t ifindex, const struct bw_endpoint *at);
    uint64_t (*stamp)(void *ctx, uint64_t unix_ns); // strictly increasing over all runs: linkset_stamp
};

struct discover;

struct discover *discover_new(struct bw_mem *mem, struct bw_rng *rng, const struct bw_log *log,
                              const struct discover_config *config,
                              const struct discover_ops *ops); // NULL: no memory
void discover_free(struct discover *d);
// port or secret changed; the identity must not
void discover_set(struct discover *d, const struct discover_config *config);

// Begins to send on the interface: at once, then a short burst, then about every 10 s. Adding one twice starts the
// burst again (cable plugged in). BW_ERR_NOMEM.
int discover_iface_add(struct discover *d, uint32_t ifindex, bw_time now) BW_NODISCARD;
void discover_iface_remove(struct discover *d, uint32_t ifindex);
// is it a discovery interface? (`on_link` of linkset_rx)
bool discover_iface_has(const struct discover *d, uint32_t ifindex);

void discover_rx(struct discover *d, uint32_t ifindex, const struct bw_endpoint *from, const uint8_t *p, size_t n,
                 bw_time now);
void discover_tick(struct discover *d, bw_time now, uint64_t unix_ns);
bw_time discover_deadline(const struct discover *d);

uint64_t discover_drops(const struct discover *d, enum discover_drop r);
uint64_t discover_sent(const struct discover *d);
uint64_t discover_heard(const struct discover *d); // verified ones

#endif
