// Addresses, prefixes and UDP endpoints. IPv4 is held as ::ffff:a.b.c.d everywhere (prefix lengths 96..128), so that one
// type, one table and one comparison serve both families. Text is RFC 5952, IPv4 as dotted quad.
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

struct bw_addr {
    uint8_t b[16];
};

struct bw_prefix {
    struct bw_addr addr; // bits past len are zero
    uint8_t len;         // 0..128; IPv4: 96..128. ::/0 is IPv6's default, ::ffff:0:0/96 IPv4's
};

struct bw_endpoint {
    struct bw_addr addr;
    uint16_t port;  // host byte order
    uint32_t scope; // interface index of a link-local address, else 0
};

#define BW_ADDR_TEXT 46     // an address as text with its NUL
#define BW_PREFIX_TEXT 50
#define BW_ENDPOINT_TEXT 72 // "[fe80::1%4294967295]:65535"

static inline bool bw_addr_eq(const struct bw_addr *a, const struct bw_addr *b) { return !memcmp(a, b, 16); }
static inline bool bw_prefix_eq(const struct bw_prefix *a, const struct bw_prefix *b)
{
    return a->len == b->len && bw_addr_eq(&a->addr, &b->addr);
}
static inline bool bw_endpoint_eq(const struct bw_endpoint *a, const struct bw_endpoint *b)
{
    return bw_addr_eq(&a->addr, &b->addr) && a->port == b->port && a->scope == b->scope;
}
bool bw_addr_is_v4(const struct bw_addr *a);
bool bw_addr_is_zero(const struct bw_addr *a);
bool bw_addr_is_linklocal(const struct bw_addr *a); // fe80::/10 or 169.254/16
bool bw_addr_is_multicast(const struct bw_addr *a);
struct bw_addr bw_addr_v4(const uint8_t b[4]);
static inline const uint8_t *bw_addr_v4_bytes(const struct bw_addr *a) { return a->b + 12; }
static inline bool bw_prefix_is_v4(const struct bw_prefix *p) { return p->len >= 96 && bw_addr_is_v4(&p->addr); }

struct bw_prefix bw_prefix_make(const struct bw_addr *a, uint8_t len); // clears the bits past len
static inline struct bw_prefix bw_prefix_host(const struct bw_addr *a) { return (struct bw_prefix){*a, 128}; }
bool bw_prefix_has(const struct bw_prefix *p, const struct bw_addr *a);
bool bw_prefix_overlaps(const struct bw_prefix *p, const struct bw_prefix *q);

// Mesh addresses (DESIGN 2): fc00::/8 outside fc00::/32.
bool bw_addr_is_mesh(const struct bw_addr *a);
extern const struct bw_addr bw_addr_any_exit; // fc00::e

// Text. The parsers take the whole string or refuse it. A prefix needs its /LEN; host bits that are set are refused.
int bw_addr_parse(const char *s, struct bw_addr *out) BW_NODISCARD;
int bw_prefix_parse(const char *s, struct bw_prefix *out) BW_NODISCARD;
// "1.2.3.4:5", "[2001:db8::1]:5", "[fe80::1%3]:5" (numeric scope). Names are not looked up.
int bw_endpoint_parse(const char *s, struct bw_endpoint *out) BW_NODISCARD;
// out must have BW_ADDR_TEXT (BW_PREFIX_TEXT, BW_ENDPOINT_TEXT) bytes; returns out.
char *bw_addr_text(const struct bw_addr *a, char *out);
char *bw_prefix_text(const struct bw_prefix *p, char *out);
char *bw_endpoint_text(const struct bw_endpoint *e, char *out);

#endif
