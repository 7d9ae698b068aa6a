// ESP's frame (RFC 4303) as both of byway's ciphers fill it (RFC 4106, RFC 7634): bytes <-> checked structs. What is between
// header and ICV is core/session's to seal and open. No extended sequence numbers.
//
//   SPI 4 | sequence number 4 | IV 8 | payload n | padding 0..3 | pad length 1 | next header 1 | ICV 16
//   `------ authenticated ---'        `-------------- encrypted -----------------------------'
//
// Padding is the least that ends the encrypted part on a multiple of 4, its bytes are 1, 2, 3 (RFC 4303 section 2.4).
#ifndef WIRE_ESP_H
#define WIRE_ESP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define ESP_PROTOCOL 50   // IP protocol number
#define ESP_NO_NEXT 59    // next header of a dummy packet (RFC 4303 section 2.6): says "I have the keys", holds nothing
#define ESP_HEADER 16     // with the IV, which both ciphers make 8 bytes
#define ESP_AAD 8         // SPI and sequence number
#define ESP_ICV 16
#define ESP_SPI_MIN 256u  // 0..255 are reserved (section 2.1)

struct esp_header {
    uint32_t spi, seq;
    uint64_t iv;
};

// Encrypted bytes, and the whole ESP packet, for a payload of n bytes.
static inline size_t esp_padded(size_t n)
{
    return (n + 2 + 3) & ~(size_t)3;
}
static inline size_t esp_len(size_t n)
{
    return ESP_HEADER + esp_padded(n) + ESP_ICV;
}
// The most payload that an ESP packet of at most `room` bytes can hold; 0 if none.
static inline size_t esp_payload_most(size_t room)
{
    return room < ESP_HEADER + 4 + ESP_ICV ? 0 : ((room - ESP_HEADER - ESP_ICV) & ~(size_t)3) - 2;
}

// p: a whole ESP packet of n bytes. BW_ERR_SHORT, BW_ERR_MALFORMED (not a multiple of 4), BW_ERR_RANGE (reserved SPI or
// sequence number 0).
int esp_header_decode(const uint8_t *p, size_t n, struct esp_header *out) BW_NODISCARD;
void esp_header_encode(uint8_t p[ESP_HEADER], const struct esp_header *h);

// Writes padding, pad length and next header behind n bytes of payload; returns the encrypted part's length, esp_padded(n).
size_t esp_trailer_write(uint8_t *body, size_t n, uint8_t next);
// The decrypted part, `len` bytes. Returns the payload's length or BW_ERR_MALFORMED.
int esp_trailer_read(const uint8_t *body, size_t len, uint8_t *next) BW_NODISCARD;

#endif
