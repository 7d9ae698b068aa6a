// Our ESP for esp_scapy.py. Lines on standard input, one answer each:
//   seal CIPHER KEYHEX SALTHEX SPI SEQ NEXT PAYLOADHEX   -> the ESP packet as hex
//   open CIPHER KEYHEX SALTHEX SPI ESPHEX                -> NEXT PAYLOADHEX, or "refused"
// CIPHER: aes or chacha. KEYHEX has 32 bytes, SALTHEX 4.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "core/session/sa.h"

static struct sa *make(const char *cipher, const char *key, const char *salt, uint32_t spi, struct bw_mem *m)
{
    static const struct bw_addr peer = {{0xfc, 1}};
    struct sa_keys k;
    if (bw_hex_decode(key, k.key, sizeof k.key) || bw_hex_decode(salt, k.salt, sizeof k.salt)) exit(2);
    struct session_shared *s = session_shared_new(m);
    struct sa *a = sa_new(m, 1, strcmp(cipher, "aes") ? BW_CHACHA20_POLY1305 : BW_AES_256_GCM, &k, &k, true, &peer, spi, spi, s, 1);
    session_shared_unref(s);
    return a;
}

static void print_hex(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) printf("%02x", p[i]);
}

int main(void)
{
    static char line[8192], cipher[16], key[80], salt[16], hex[6000];
    static uint8_t buf[3000];
    unsigned spi, seq, next_in;
    struct bw_mem m;
    bw_mem_system(&m);
    if (bw_crypto_init()) return 2;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "seal %15s %79s %15s %u %u %u %5999s", cipher, key, salt, &spi, &seq, &next_in, hex) == 7) {
            size_t n = strlen(hex) / 2;
            struct sa *a = make(cipher, key, salt, spi, &m);
            atomic_store(&a->tx_seq, seq - 1);
            if (bw_hex_decode(hex, buf + ESP_HEADER, n)) return 2;
            int len = sa_seal(a, 0, buf, n, (uint8_t)next_in, NULL, 1);
            if (len < 0) return 3;
            print_hex(buf, (size_t)len);
            sa_unref(a);
        } else if (sscanf(line, "open %15s %79s %15s %u %5999s", cipher, key, salt, &spi, hex) == 5) {
            size_t n = strlen(hex) / 2;
            struct sa *a = make(cipher, key, salt, spi, &m);
            uint8_t next;
            if (bw_hex_decode(hex, buf, n)) return 2;
            int len = sa_open(a, 0, buf, n, &next, 1);
            if (len < 0) printf("refused");
            else printf("%u ", next), print_hex(buf + ESP_HEADER, (size_t)len);
            sa_unref(a);
        } else {
            return 2;
        }
        printf("\n");
        fflush(stdout);
    }
    return 0;
}
