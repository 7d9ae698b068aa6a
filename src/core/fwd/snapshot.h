// What a published snapshot holds, for the packet path's own files. Immutable but for what keypairs and counters do.
#ifndef CORE_FWD_SNAPSHOT_H
#define CORE_FWD_SNAPSHOT_H

#include "core/fwd/fib.h"

struct rx_key {
    struct keypair *key; // NULL: empty slot
    uint16_t link;
};

struct fwd_snapshot {
    struct bw_mem *mem;
    struct bw_addr self, linklocal, icmp4_source, gateway4, gateway6;
    struct bw_prefix pool4, pool6;
    bool sharing, transit;
    struct fwd_link *links;
    unsigned link_count;
    struct rx_key *keys; // by local index, linear probing, at most half full; indices are our own random numbers
    uint32_t key_mask;
    struct fib mesh, tun;
    struct fwd_tunnel *tunnels;
    unsigned tunnel_count;
    uint32_t *tunnel_slots; // index plus one, by keyed hash of the peer
    uint32_t tunnel_mask;
    struct fwd_exporter *exporters; // their prefixes lie in export_prefixes
    unsigned exporter_count;
    uint32_t *exporter_slots, exporter_mask; // as tunnel_slots
    struct bw_prefix *export_prefixes;
    unsigned export_prefix_count;
    struct session_table *sessions; // NULL: none
    uint8_t hash_key[16];
};

const struct rx_key *snapshot_key(const struct fwd_snapshot *s, uint32_t local_index); // NULL: unknown
const struct fwd_tunnel *snapshot_tunnel(const struct fwd_snapshot *s, const struct bw_addr *peer);
// Whether an address is in one of the networks that peer exports.
bool snapshot_exported_by(const struct fwd_snapshot *s, const struct bw_addr *peer, const struct bw_addr *a);
// Whether it is in one of ours.
bool snapshot_exported(const struct fwd_snapshot *s, const struct bw_addr *a);
static inline const struct fwd_link *snapshot_link(const struct fwd_snapshot *s, uint16_t slot)
{
    return slot < s->link_count && s->links[slot].used ? &s->links[slot] : NULL;
}
// Our own address, or the anycast one that we answer for.
static inline bool snapshot_is_self(const struct fwd_snapshot *s, const struct bw_addr *a)
{
    return bw_addr_eq(a, &s->self) || (s->sharing && bw_addr_eq(a, &bw_addr_any_exit));
}

#endif
