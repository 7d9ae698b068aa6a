// Words that people and other programs write: addresses, prefixes, endpoints, keys, resolv.conf, firewalls.
// What is accepted is the same when it is written and read again.
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/text.h"
#include "os/fwcheck.h"
#include "os/resolv.h"

static void addresses(const char *text)
{
    struct bw_addr a, a2;
    struct bw_prefix p, p2;
    struct bw_endpoint e, e2;
    char out[BW_ENDPOINT_TEXT];
    if (!bw_addr_parse(text, &a) && (bw_addr_parse(bw_addr_text(&a, out), &a2) || !bw_addr_eq(&a, &a2))) abort();
    if (!bw_prefix_parse(text, &p) && (bw_prefix_parse(bw_prefix_text(&p, out), &p2) || !bw_prefix_eq(&p, &p2))) abort();
    if (!bw_endpoint_parse(text, &e) && (bw_endpoint_parse(bw_endpoint_text(&e, out), &e2) || !bw_endpoint_eq(&e, &e2))) abort();
}

static void keys(const char *text)
{
    uint8_t key[32];
    char out[65];
    if (!bw_base64_decode(text, key, sizeof key) && strcmp(bw_base64_encode(key, sizeof key, out), text)) abort();
    if (!bw_hex_decode(text, key, sizeof key) && strcasecmp(bw_hex_encode(key, sizeof key, out), text)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size), why[200];
    struct bw_endpoint servers[3];
    if (!text) abort();
    addresses(text);
    keys(text);
    size_t count = os_resolv_parse(text, servers, 3);
    if (count > 3) abort();
    for (size_t i = 0; i < count; i++)
        if (servers[i].port != 53) abort();
    if (os_fwcheck_text(text, "inet byway", "byway0", why, sizeof why) && !memchr(why, 0, sizeof why)) abort();
    free(text);
    return 0;
}
