// ESP frames and session messages: what decodes must encode to the same bytes; a trailer never claims more than there is.
#include <stdlib.h>
#include <string.h>

#include "wire/esp.h"
#include "wire/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok) abort();
}

static void frames(const uint8_t *data, size_t size)
{
    struct esp_header h;
    uint8_t out[ESP_HEADER], next;
    if (!esp_header_decode(data, size, &h)) {
        esp_header_encode(out, &h);
        check(!memcmp(out, data, sizeof out));
    }
    int n = esp_trailer_read(data, size, &next);
    check(n < 0 || (size_t)n + 2 <= size);
    if (size > 2000) return;
    uint8_t body[2048];
    memcpy(body, data, size);
    size_t padded = esp_trailer_write(body, size, 6);
    check(padded % 4 == 0 && esp_trailer_read(body, padded, &next) == (int)size && next == 6);
}

static void messages(const uint8_t *data, size_t size)
{
    union {
        struct session_initiation i;
        struct session_response r;
        struct session_cookie c;
        struct session_notice n;
        struct session_key k;
    } m;
    uint8_t out[SESSION_LEN_MAX];
    int type = session_type(data, size);
    size_t same = size;
    if (type < 0) return;
    if (type == SESSION_INITIATION && !session_initiation_decode(data, size, &m.i)) session_initiation_encode(out, &m.i), same -= 32;
    else if (type == SESSION_RESPONSE && !session_response_decode(data, size, &m.r)) session_response_encode(out, &m.r), same -= 32;
    else if (type == SESSION_COOKIE && !session_cookie_decode(data, size, &m.c)) session_cookie_encode(out, &m.c);
    else if (type == SESSION_NOTICE && !session_notice_decode(data, size, &m.n)) session_notice_encode(out, &m.n);
    else if (type == SESSION_KEY && !session_key_decode(data, size, &m.k)) session_key_encode(out, SESSION_KEY, &m.k);
    else return;
    check(out[0] == data[0] && !memcmp(out + 4, data + 4, same - 4)); // reserved bytes are not kept
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session_offer o;
    uint8_t cipher;
    frames(data, size);
    messages(data, size);
    if (size >= SESSION_OFFER_LEN) check(session_offer_decode(data, &o) || (o.ciphers & 1));
    if (size > SESSION_CHOICE_LEN) check(session_choice_decode(data, data[4], &cipher) || (cipher & data[4]));
    return 0;
}
