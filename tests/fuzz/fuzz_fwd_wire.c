// Trains off the wire: two bytes of segment size, then the bytes. Whoever knows no key can say anything here.
#include "fuzz/fwd_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_node *n = fuzz_node();
    if (size < 2 || size > 65537) return 0;
    uint8_t *exact = malloc(size - 2 ? size - 2 : 1);
    memcpy(exact, data + 2, size - 2);
    struct fwd_train t = {
        .data = exact, .len = (uint32_t)size - 2, .seg = (uint16_t)(data[0] | data[1] << 8), .remote = n->remote[0]};
    fwd_from_wire(n->fwd, n->s, &t, 1, NOW);
    free(exact);
    return 0;
}
