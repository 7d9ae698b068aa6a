// The node's HTTP face (INTERFACES, "JSON"): a unix socket (everything), loopback TCP (reading), the mesh (four
// resources for other nodes). libmicrohttpd runs in the caller's libuv loop: every callback is on the control thread,
// none may block. What the node knows comes through struct api_source, what it is asked to do goes through struct
// api_actions.
#ifndef API_API_H
#define API_API_H

#include <jansson.h>
#include <uv.h>

#include "base/log.h"
#include "core/view.h"

struct api;
struct api_reply; // an answer that is still being given, line by line (ping, trace)

// ---- reading. Lists call fn once per entry, in a stable order, before they return. ----
struct api_source {
    void *ctx;
    void (*status)(void *ctx, struct view_status *out);
    void (*peers)(void *ctx, view_peer_fn *fn, void *arg);
    void (*routes)(void *ctx, view_route_fn *fn, void *arg);
    void (*sessions)(void *ctx, view_session_fn *fn, void *arg);
    void (*exits)(void *ctx, view_exit_fn *fn, void *arg);
    void (*counters)(void *ctx, view_counter_fn *fn, void *arg); // for /metrics, entries of one name together
};

// ---- changing. An action returns 0, or an HTTP status (4xx, 5xx) with text and hint filled in. ----
struct api_error {
    char text[16384]; // what is wrong; a reload puts one mistake per line
    char hint[256];  // what to do, may stay empty
};
struct api_peer_add {
    uint8_t key[32];
    char name[64];      // "" if none; letters, digits, hyphens, dots, underscores
    char endpoint[300]; // "" if none; HOST:PORT, not looked up yet
    bool has_psk;
    uint8_t psk[32];
    char psk_file[512]; // absolute path for the saved section, "" if none
    bool internet;
    bool save; // write the configuration as well
};
enum api_use { API_USE_AUTO, API_USE_ALWAYS, API_USE_NONE, API_USE_ADDRESS };
struct api_probe { // ping and trace
    struct bw_addr address;
    uint32_t count;       // ping: 1..10000; trace: probes per hop, 1..10
    uint32_t interval_ms; // ping: 10..60000
    uint32_t max_hops;    // trace: 1..255
};
struct api_invite {
    bool secret;        // put the network's secret in
    char endpoint[300]; // an endpoint to name instead of those that the node knows of itself; "" if none
};
struct api_actions { // a NULL callback answers 501
    void *ctx;
    int (*peer_add)(void *ctx, const struct api_peer_add *p, struct api_error *e);
    int (*peer_remove)(void *ctx, const uint8_t key[32], bool save, struct api_error *e); // 404 if there is none
    int (*exit_use)(void *ctx, enum api_use use, const struct bw_addr *address, struct api_error *e);
    int (*reload)(void *ctx, char *out, size_t size, struct api_error *e); // out: as for join; left alone if there is nothing to say
    // The invite's text, NUL-terminated (wire/invite.h).
    int (*invite)(void *ctx, const struct api_invite *i, char *out, size_t size, struct api_error *e);
    // out: what was done, one sentence for the person who typed it.
    int (*join)(void *ctx, const char *text, char *out, size_t size, struct api_error *e);
    // Answered through r, now or later: any number of api_reply_line(), then api_reply_end().
    int (*ping)(void *ctx, const struct api_probe *p, struct api_reply *r, struct api_error *e);
    int (*trace)(void *ctx, const struct api_probe *p, struct api_reply *r, struct api_error *e);
    // The asker went away (or the api is closing) before api_reply_end(): r is not valid any more.
    void (*gone)(void *ctx, struct api_reply *r);
};
// One JSON line of the answer; takes the reference. Lines beyond what a slow reader lets us keep are dropped.
void api_reply_line(struct api_reply *r, json_t *line);
void api_reply_end(struct api_reply *r); // r is not valid any more
// Lines, so that command line and daemon mean the same (daemon fills, cli prints). RTT in ms, -1 = no answer:
//   ping:  {"seq": 1, "rtt_ms": 3.2} ... then {"done": true, "sent": 4, "received": 4, LAST}
//   trace: {"hop": 1, "address": ADDR|null, "name": NAME|null, "rtt_ms": [1.0, ...]} ... then {"done": true, "reached": true, LAST}
//   LAST:  "name": NAME|null, "key": KEY|null, "session": "none"|STATE, "cipher": "none"|CIPHER, "age_s": S|null (of the session)

// ---- the mesh: other nodes, known by the address that they come from ----
struct api_mesh_answer {
    int status;       // HTTP status
    char body[20480]; // JSON
    size_t body_len;
    char type[48];    // "" = application/json
};
struct api_mesh {
    void *ctx;
    // GET /v1/exit at fc00::e or at our address: the signed offer. 404 if we do not share.
    void (*exit_offer)(void *ctx, const struct bw_addr *from, struct api_mesh_answer *out);
    // POST /v1/lease: body is what came in, not checked at all.
    void (*lease)(void *ctx, const struct bw_addr *from, const void *body, size_t n, struct api_mesh_answer *out);
    // GET /v1/export: the signed record of the networks behind this node.
    void (*exported)(void *ctx, const struct bw_addr *from, struct api_mesh_answer *out);
    // GET /v1/key and /v1/peer-info are answered from struct api_source.
};

struct api_options {
    uv_loop_t *loop;
    const struct bw_log *log;          // may be NULL; outlives the api
    struct api_source source;          // all callbacks present
    struct api_actions actions;
    struct api_mesh mesh;              // NULL callbacks answer 404
};

struct api *api_new(const struct api_options *o); // NULL: no memory. No listener yet.

// Listeners. Each returns 0 or an error with a sentence in why ("what is wrong (what to do)").
// Unix socket, mode 0660, group byway if there is one. A stale socket is replaced; one that answers is BW_ERR_EXISTS.
// Missing parent folders (the last one) are made 0755.
int api_listen_unix(struct api *a, const char *path, char *why, size_t why_size) BW_NODISCARD;
// Loopback or another own address, reading only. Again with another address: moves; with NULL: closes.
int api_listen_tcp(struct api *a, const struct bw_endpoint *at, char *why, size_t why_size) BW_NODISCARD;
// The mesh, at one of our mesh addresses (own address, or fc00::e while we share). The address need not be there yet.
// ifname: only what comes in by this interface, NULL: any.
int api_listen_mesh(struct api *a, const struct bw_addr *at, uint16_t port, const char *ifname, char *why,
                    size_t why_size) BW_NODISCARD;
void api_unlisten_mesh(struct api *a, const struct bw_addr *at); // no listener there: nothing happens

// Something happened: goes to every reader of /v1/events as `event: type`, data = json + {"type", "time_s"}. Takes the
// reference. A reader that does not keep up is dropped. Types in use are listed in docs/spec/events.md.
void api_event(struct api *a, const char *type, json_t *data);
void api_event_text(struct api *a, const char *type,
                    const char *json); // the same from JSON text (an object), as core gives it
bool api_event_wanted(const struct api *a);                             // someone listens: worth building the JSON

// Ends every connection, removes the unix socket, frees. The loop must run until its handles are closed (uv_run
// returns).
void api_close(struct api *a);

#endif
