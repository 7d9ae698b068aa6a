// WireGuard's cross-platform userspace socket (/var/run/wireguard/NAME.sock), so that stock `wg` shows and changes our
// links: https://www.wireguard.com/xplatform/. The parser is pure; the server puts it on a libuv pipe. Differences that
// we keep: private_key is refused unless it is ours or all zero ("clear", as `wg syncconf` sends it); allowed_ip is
// shown as 0.0.0.0/0 and ::/0 and accepted without effect, since Babel decides.
#ifndef API_UAPI_H
#define API_UAPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/addr.h"
#include "base/log.h"

#define UAPI_MAX_REQUEST (256 * 1024)
#define UAPI_MAX_PEERS 1024 // in one request

// ---- what a request says ----
struct uapi_peer_set {
    uint8_t key[32];
    bool remove, update_only, replace_allowed_ips;
    bool has_psk;
    uint8_t psk[32]; // all zero: none any more
    bool has_endpoint;
    struct bw_endpoint endpoint;
    bool has_keepalive;
    uint16_t keepalive_s; // 0: off
};
struct uapi_request {
    bool set; // else get
    bool has_private_key, has_listen_port, has_fwmark, replace_peers;
    uint8_t private_key[32];
    uint16_t listen_port;
    uint32_t fwmark;
    struct uapi_peer_set *peers;
    size_t peer_count;
};
// text: the whole request without the blank line that ends it; need not be NUL-terminated. 0, or a positive errno value
// as the protocol answers it (EINVAL, EPROTO, ENOMEM); then *out is empty. Release with uapi_request_free.
int uapi_parse(const char *text, size_t n, struct uapi_request *out) BW_NODISCARD;
void uapi_request_free(struct uapi_request *r); // wipes keys

// ---- what the daemon offers ----
struct uapi_device {
    uint8_t private_key[32]; // `wg` makes the public key that it shows from this; the socket is root's alone
    uint16_t listen_port;
    uint32_t fwmark;
};
struct uapi_peer {
    uint8_t key[32];
    bool has_psk;
    uint8_t psk[32];
    struct bw_endpoint endpoint;   // port 0: unknown
    uint64_t last_handshake_s;     // seconds since 1970, 0: never
    uint32_t last_handshake_ns;
    uint64_t rx_bytes, tx_bytes;
    uint16_t keepalive_s;
};
typedef void uapi_peer_fn(void *arg, const struct uapi_peer *p);
struct uapi_handler {
    void *ctx;
    void (*device)(void *ctx, struct uapi_device *out);
    // Two links with the same key: call fn for each, one entry is shown (latest handshake; bytes of both).
    void (*peers)(void *ctx, uapi_peer_fn *fn, void *arg);
    // 0 or a positive errno value. A peer that is unknown is added unless update_only or remove.
    int (*set_peer)(void *ctx, const struct uapi_peer_set *p);
};

// ---- the socket ----
struct uapi;
// dir NULL: /var/run/wireguard. BW_ERR_EXISTS: a live daemon has the name (do without); others: why tells.
int uapi_open(struct uapi **out, uv_loop_t *loop, const char *dir, const char *ifname, const struct uapi_handler *h,
              const struct bw_log *log, char *why, size_t why_size) BW_NODISCARD;
void uapi_close(struct uapi *u); // removes the socket; NULL is fine; the loop must run until its handles are closed

#endif
