#include "wire/esp.h"

#include "base/cursor.h"

int esp_header_decode(const uint8_t *p, size_t n, struct esp_header *out)
{
    if (n < ESP_HEADER + 4 + ESP_ICV) return BW_ERR_SHORT;
    if (n % 4) return BW_ERR_MALFORMED;
    struct bw_rd r = bw_rd(p, ESP_HEADER);
    out->spi = bw_rd_be32(&r);
    out->seq = bw_rd_be32(&r);
    out->iv = bw_rd_be64(&r);
    return out->spi < ESP_SPI_MIN || !out->seq ? BW_ERR_RANGE : 0;
}

void esp_header_encode(uint8_t p[ESP_HEADER], const struct esp_header *h)
{
    struct bw_wr w = bw_wr(p, ESP_HEADER);
    bw_wr_be32(&w, h->spi);
    bw_wr_be32(&w, h->seq);
    bw_wr_be64(&w, h->iv);
}

size_t esp_trailer_write(uint8_t *body, size_t n, uint8_t next)
{
    size_t padded = esp_padded(n), pad = padded - n - 2;
    for (size_t i = 0; i < pad; i++) body[n + i] = (uint8_t)(i + 1);
    body[padded - 2] = (uint8_t)pad;
    body[padded - 1] = next;
    return padded;
}

int esp_trailer_read(const uint8_t *body, size_t len, uint8_t *next)
{
    if (len < 2) return BW_ERR_MALFORMED;
    size_t pad = body[len - 2];
    if (pad > len - 2) return BW_ERR_MALFORMED;
    for (size_t i = 0; i < pad; i++)
        if (body[len - 2 - pad + i] != i + 1) return BW_ERR_MALFORMED;
    *next = body[len - 1];
    return (int)(len - 2 - pad);
}
