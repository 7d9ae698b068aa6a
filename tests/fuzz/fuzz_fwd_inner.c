// Inner packets of a neighbour who has keys and no manners: two bytes before each packet, its length and which link it
// comes over (highest bit) and whether the message is padded (next bit). They are sealed as the neighbour would, in one
// train per run of one link.
#include "fuzz/fwd_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_node *n = fuzz_node();
    static bw_time now = NOW;
    now = now < NOW + 100 * BW_S ? now + 50 : NOW;
    struct fwd_train t[64];
    unsigned count = 0;
    while (size >= 2 && count < 64) {
        unsigned word = data[0] | data[1] << 8, link = word >> 15, len = word & 0x3fff;
        data += 2, size -= 2;
        if (len > size) len = (unsigned)size;
        uint8_t *m = malloc(len + 16 + WG_DATA_OVERHEAD);
        memcpy(m + WG_DATA_HEADER, data, len);
        data += len, size -= len;
        int sealed = keypair_seal(n->there[link], 0, m, len, word & 0x4000 ? FWD_MTU : 0, NOW);
        fuzz_must(sealed >= WG_DATA_OVERHEAD);
        uint8_t *exact = malloc((size_t)sealed);
        memcpy(exact, m, (size_t)sealed);
        free(m);
        t[count++] = (struct fwd_train){.data = exact,
                                        .len = (uint32_t)sealed,
                                        .seg = (uint16_t)(sealed < 65535 ? sealed : 65535),
                                        .remote = n->remote[link]};
    }
    fwd_from_wire(n->fwd, n->s, t, count, now);
    for (unsigned i = 0; i < count; i++) free(t[i].data);
    return 0;
}
