// Frames from the TUN: virtio_net_hdr and an IP packet. The kernel is not an enemy, but it is somebody else's code.
#include "fuzz/fwd_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_node *n = fuzz_node();
    if (size > VNET_LEN + 65535) return 0;
    uint8_t *exact = malloc(size ? size : 1);
    memcpy(exact, data, size);
    fwd_from_tun(n->fwd, n->s, exact, size, NOW);
    fwd_flush(n->fwd);
    free(exact);
    return 0;
}
