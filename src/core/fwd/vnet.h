// struct virtio_net_hdr, the 10 bytes before every packet of a TUN that was opened with IFF_VNET_HDR and TUNSETVNETLE
// (virtio 1.2, section 5.1.6, without num_buffers): what the kernel left undone in a frame, or what we left undone for
// it.
#ifndef CORE_FWD_VNET_H
#define CORE_FWD_VNET_H

#include <stdint.h>

#define VNET_LEN 10
#define VNET_NEEDS_CSUM 1 // flags: the checksum field holds the pseudo-header's sum only
#define VNET_GSO_NONE 0
#define VNET_GSO_TCPV4 1
#define VNET_GSO_TCPV6 4
#define VNET_GSO_UDP_L4 5 // UDP datagrams of gso_size bytes each (USO)
#define VNET_GSO_ECN 0x80 // may be added to a TCP type: the first segment has CWR set

struct vnet {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset;
};

static inline uint16_t vnet_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline void vnet_put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline struct vnet vnet_read(const uint8_t p[VNET_LEN])
{
    return (struct vnet){p[0], p[1], vnet_get16(p + 2), vnet_get16(p + 4), vnet_get16(p + 6), vnet_get16(p + 8)};
}
static inline void vnet_write(uint8_t p[VNET_LEN], const struct vnet *v)
{
    p[0] = v->flags;
    p[1] = v->gso_type;
    vnet_put16(p + 2, v->hdr_len);
    vnet_put16(p + 4, v->gso_size);
    vnet_put16(p + 6, v->csum_start);
    vnet_put16(p + 8, v->csum_offset);
}

#endif
