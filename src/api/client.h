// An HTTP client for the daemon to ask other nodes (exits: offers and leases; keys). Asynchronous, driven by the libuv
// loop; libcurl is loaded when the first request is made, not before. Answers are hostile: bounded in time and size.
#ifndef API_CLIENT_H
#define API_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/addr.h"

struct http_client;

struct http_request { // everything is copied
    const char *url;          // "http://[fc00::e]:4870/v1/exit"; only http, no redirects are followed
    const void *body;         // NULL: GET, else POST of application/json
    size_t body_len;
    const struct bw_addr *source; // NULL: any
    const char *ifname;           // send by this interface only; NULL: any
    uint32_t mark;                // SO_MARK, 0: none
    uint32_t timeout_ms;          // whole exchange; 0: 5,000
    size_t max_body;              // 0: 32 KiB
};
struct http_answer { // valid during the call
    int status;      // HTTP status, or 0 if there was no answer
    const char *error; // "" or why there was none
    const void *body;
    size_t body_len;
};
typedef void http_done_fn(void *ctx, const struct http_answer *a);

struct http_client *http_client_new(uv_loop_t *loop);  // NULL: no memory
// > 0: the request's number, done will be called once, later, from the loop. BW_ERR_UNSUPPORTED: no libcurl;
// BW_ERR_NOMEM: too many at a time (32).
int http_client_start(struct http_client *c, const struct http_request *r, http_done_fn *done, void *ctx) BW_NODISCARD;
void http_client_cancel(struct http_client *c, int number); // done is not called any more; unknown numbers are fine
void http_client_close(struct http_client *c);              // cancels all, frees once the loop has run its handles down

#endif
