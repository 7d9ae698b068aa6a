// Inner packets of a neighbour who has keys and no manners: two bytes before each packet, its length and which link it
// comes over (highest bit), whether the message is padded (next bit), and whether it is sealed end to end as well (the
// third; then the first byte is ESP's next header), and whether it comes in a light message (the fourth; any message that is
// long enough). They are sealed as the neighbour would.
#include "fuzz/fwd_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned end_to_end(struct fuzz_node *n, uint8_t *packet, const uint8_t *p, unsigned len)
{
    struct bw_addr from = fuzz_addr("fc01::1"), to = fuzz_addr("fc09::9");
    uint8_t next = len ? p[0] : ESP_NO_NEXT;
    if (len) p++, len--;
    memcpy(packet + IP6_HEADER + ESP_HEADER, p, len);
    int esp = sa_seal(n->esp, 0, packet + IP6_HEADER, len, next, NULL, NOW);
    fuzz_must(esp > 0);
    ip6_header(packet, 0, (uint16_t)esp, ESP_PROTOCOL, 60, &from, &to);
    return IP6_HEADER + (unsigned)esp;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_node *n = fuzz_node();
    static bw_time now = NOW;
    now = now < NOW + 100 * BW_S ? now + 50 : NOW;
    struct fwd_train t[64];
    unsigned count = 0;
    while (size >= 2 && count < 64) {
        unsigned word = data[0] | data[1] << 8, link = word >> 15, len = word & 0xfff;
        data += 2, size -= 2;
        if (len > size) len = (unsigned)size;
        uint8_t *m = malloc(len + 100 + 16 + WG_DATA_OVERHEAD);
        const uint8_t *from = data;
        data += len, size -= len;
        if (word & 0x2000) len = end_to_end(n, m + WG_DATA_HEADER, from, len);
        else memcpy(m + WG_DATA_HEADER, from, len);
        bool light = word & 0x1000 && len >= LIGHT_SEALED;
        int sealed = light ? keypair_seal_light(n->there[link], 0, len & 1 ? LIGHT_CHACHA : LIGHT_AES, m, len, NOW)
                           : keypair_seal(n->there[link], 0, m, len, word & 0x4000 ? FWD_MTU : 0, NOW);
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
