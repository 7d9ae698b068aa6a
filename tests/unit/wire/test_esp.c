// ESP's frame and the session protocol's messages: lengths, padding, what is refused.
#include "unit/vectors.h"

#include "wire/esp.h"
#include "wire/session.h"

static void padding_is_the_least(void **state)
{
    (void)state;
    uint8_t body[64], next;
    for (size_t n = 0; n <= 40; n++) {
        memset(body, 0xee, sizeof body);
        size_t padded = esp_trailer_write(body, n, 6);
        assert_int_equal(padded % 4, 0);
        assert_in_range(padded - n, 2, 5);
        assert_int_equal(padded, esp_padded(n));
        assert_int_equal(body[padded], 0xee);
        assert_int_equal(esp_trailer_read(body, padded, &next), n);
        assert_int_equal(next, 6);
        assert_in_range(esp_payload_most(esp_len(n)), n, n + 3);
        assert_true(esp_len(esp_payload_most(esp_len(n) + 3)) <= esp_len(n) + 3);
    }
    assert_int_equal(esp_payload_most(35), 0);
    assert_int_equal(esp_payload_most(36), 2);
    assert_int_equal(esp_payload_most(1420 - 40), 1346);
}

static void bad_trailers_are_refused(void **state)
{
    (void)state;
    uint8_t next, body[8] = {1, 2, 3, 4, 1, 2, 2, 59};
    assert_int_equal(esp_trailer_read(body, 8, &next), 4);
    body[6] = 7; // more padding than there is
    assert_int_equal(esp_trailer_read(body, 8, &next), BW_ERR_MALFORMED);
    body[6] = 2;
    body[5] = 3; // RFC 4303 section 2.4: 1, 2, 3, ...
    assert_int_equal(esp_trailer_read(body, 8, &next), BW_ERR_MALFORMED);
    assert_int_equal(esp_trailer_read(body, 1, &next), BW_ERR_MALFORMED);
    uint8_t all[6] = {1, 2, 3, 4, 4, 17};
    assert_int_equal(esp_trailer_read(all, 6, &next), 0); // nothing but padding
}

static void headers(void **state)
{
    (void)state;
    uint8_t p[36] = {0};
    struct esp_header h = {0x12345678, 9, 0x0102030405060708}, g;
    esp_header_encode(p, &h);
    assert_memory_equal(p, "\x12\x34\x56\x78\0\0\0\x09\1\2\3\4\5\6\7\x08", 16);
    assert_int_equal(esp_header_decode(p, 36, &g), 0);
    assert_true(g.spi == h.spi && g.seq == h.seq && g.iv == h.iv);
    assert_int_equal(esp_header_decode(p, 35, &g), BW_ERR_SHORT);
    uint8_t q[38] = {0};
    memcpy(q, p, 36);
    assert_int_equal(esp_header_decode(q, 38, &g), BW_ERR_MALFORMED);
    p[7] = 0; // sequence number 0 is never sent
    assert_int_equal(esp_header_decode(p, 36, &g), BW_ERR_RANGE);
    p[7] = 1, p[0] = p[1] = p[2] = 0, p[3] = 255; // reserved
    assert_int_equal(esp_header_decode(p, 36, &g), BW_ERR_RANGE);
}

static void messages_come_back(void **state)
{
    (void)state;
    uint8_t out[SESSION_LEN_MAX];
    struct session_initiation i = {.sender = 0x10203040}, i2;
    memset(i.ephemeral, 1, 32), memset(i.enc_static, 2, 48), memset(i.enc_offer, 3, 32);
    session_initiation_encode(out, &i);
    assert_int_equal(session_type(out, SESSION_INITIATION_LEN), SESSION_INITIATION);
    assert_int_equal(session_initiation_decode(out, SESSION_INITIATION_LEN, &i2), 0);
    assert_memory_equal(&i, &i2, sizeof i);
    assert_int_equal(session_initiation_decode(out, SESSION_INITIATION_LEN - 1, &i2), BW_ERR_SHORT);
    i.sender = 255;
    session_initiation_encode(out, &i);
    assert_int_equal(session_initiation_decode(out, SESSION_INITIATION_LEN, &i2), BW_ERR_RANGE);

    struct session_response r = {.sender = 0x300, .receiver = 0x400}, r2;
    memset(r.ephemeral, 4, 32), memset(r.enc_choice, 5, 20);
    session_response_encode(out, &r);
    assert_int_equal(session_response_decode(out, SESSION_RESPONSE_LEN, &r2), 0);
    assert_memory_equal(&r, &r2, sizeof r);
    assert_int_equal(session_initiation_decode(out, SESSION_RESPONSE_LEN, &i2), BW_ERR_MALFORMED);

    struct session_cookie c = {.receiver = 7}, c2;
    memset(c.nonce, 6, 24), memset(c.enc_cookie, 7, 32);
    session_cookie_encode(out, &c);
    assert_int_equal(session_cookie_decode(out, SESSION_COOKIE_LEN, &c2), 0);
    assert_memory_equal(&c, &c2, sizeof c);

    struct session_notice n = {0xabcdef01, 17}, n2;
    session_notice_encode(out, &n);
    assert_int_equal(session_notice_decode(out, SESSION_NOTICE_LEN, &n2), 0);
    assert_memory_equal(&n, &n2, sizeof n);

    struct session_key k = {{1, 2, 3, 4, 5, 6, 7, 8}, {9}}, k2;
    session_key_encode(out, SESSION_KEY, &k);
    assert_int_equal(session_key_decode(out, SESSION_KEY_LEN, &k2), 0);
    assert_memory_equal(&k, &k2, sizeof k);
    session_key_encode(out, SESSION_QUESTION, &k); // a question holds no key
    assert_int_equal(session_key_decode(out, SESSION_KEY_LEN, &k2), 0);
    assert_int_equal(k2.key[0], 0);

    out[0] = 7;
    assert_int_equal(session_type(out, SESSION_KEY_LEN), BW_ERR_MALFORMED);
    assert_int_equal(session_type(out, 3), BW_ERR_SHORT);
}

static void reserved_bytes_are_for_later(void **state)
{
    (void)state;
    uint8_t out[SESSION_NOTICE_LEN];
    struct session_notice n = {300, 1};
    session_notice_encode(out, &n);
    out[1] = out[2] = out[3] = 0xff;
    assert_int_equal(session_notice_decode(out, sizeof out, &n), 0);
}

static void a_cipher_is_chosen_from_the_offer(void **state)
{
    (void)state;
    uint8_t p[SESSION_OFFER_LEN], c[SESSION_CHOICE_LEN], cipher;
    struct session_offer o = {.ciphers = 1 | 0x80}, o2;
    memset(o.stamp, 0x40, 12);
    session_offer_encode(p, &o);
    assert_int_equal(session_offer_decode(p, &o2), 0);
    assert_memory_equal(&o, &o2, sizeof o);
    p[12] = 2; // without the one that everybody must have
    assert_int_equal(session_offer_decode(p, &o2), BW_ERR_MALFORMED);
    session_choice_encode(c, 2);
    assert_int_equal(session_choice_decode(c, 3, &cipher), 0);
    assert_int_equal(session_choice_decode(c, 1, &cipher), BW_ERR_MALFORMED);
    for (unsigned v = 0; v < 256; v++) {
        c[0] = (uint8_t)v;
        assert_int_equal(session_choice_decode(c, 0xff, &cipher) == 0, v == 1 || v == 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(padding_is_the_least),     cmocka_unit_test(bad_trailers_are_refused),
        cmocka_unit_test(headers),                  cmocka_unit_test(messages_come_back),
        cmocka_unit_test(reserved_bytes_are_for_later), cmocka_unit_test(a_cipher_is_chosen_from_the_offer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
