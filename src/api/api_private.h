// Inside of the API: listeners (listen.c, server.c), requests (request.c), resources (resource.c, change.c, mesh.c),
// JSON (json.c, metrics.c), and answers that go on (stream.c). Nobody else includes this.
#ifndef API_API_PRIVATE_H
#define API_API_PRIVATE_H

#include <microhttpd.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "api/api.h"

enum face { FACE_UNIX, FACE_TCP, FACE_MESH };

// One TCP or unix connection, for the deadline that slow ones meet.
struct conn {
    TAILQ_ENTRY(conn) entry; // oldest first
    int fd;
    uint64_t since_ms;       // start of the connection, or of its latest request
    bool streaming;          // answers as long as it likes
};
TAILQ_HEAD(conn_list, conn);

struct listener {
    LIST_ENTRY(listener) entry;
    struct api *api;
    enum face face;
    struct bw_endpoint at;  // FACE_TCP, FACE_MESH
    char path[108];         // FACE_UNIX
    uint64_t dev, ino;      // FACE_UNIX: ours to remove only while it is this one
    struct MHD_Daemon *mhd;
    uv_poll_t poll;         // MHD's epoll descriptor
    uv_timer_t timer;       // MHD's own time-outs, our deadlines, and "run again"
    struct conn_list conns;
    bool running;           // inside MHD_run: it must not be stopped now
    bool closing;
    int handles;            // libuv handles that are still open
};

// An answer that goes on: /v1/events, ping, trace. Bytes queue up here until MHD asks for them.
struct api_reply {
    LIST_ENTRY(api_reply) entry;
    struct api *api;
    struct listener *listener;
    struct MHD_Connection *conn; // NULL until the answer is queued
    struct conn *tcp;
    bool events;    // a reader of /v1/events
    bool suspended; // MHD waits for us
    bool ended;     // no more lines come; the connection ends when the queue is empty
    bool dead;      // the reader is gone or too slow
    char *queue;
    size_t len, cap;
    uv_poll_t *hangup; // tells at once when the asker goes away
};

struct api {
    struct api_options o;
    LIST_HEAD(, listener) listeners;
    LIST_HEAD(, api_reply) replies;
    unsigned event_readers;
    uv_timer_t beat; // keeps event streams alive and finds dead ones
    bool beat_open;
    bool closing;
    unsigned open; // listeners and handles that keep the struct alive
};

// One HTTP request, from its first header to its answer.
struct request {
    struct api *api;
    struct listener *listener;
    struct MHD_Connection *conn;
    struct conn *tcp;
    const char *path;
    struct bw_addr from; // FACE_MESH: who asks
    char *body;          // NUL-terminated, or NULL
    size_t len, cap;
    bool too_large;
    const char *allow; // with status 405: what would do, if not "GET, HEAD"
};

// ---- server.c ----
void listener_kick(struct listener *l); // MHD has something to do: run it from the loop
void api_unref(struct api *a);

// ---- listen.c: sockets that listen, or BW_ERR_... with why. shared: 0660 and group byway, else 0600 ----
int listen_unix(const char *path, bool shared, uint64_t *dev, uint64_t *ino, char *why, size_t n) BW_NODISCARD;
int listen_tcp(const struct bw_endpoint *at, bool mesh, const char *ifname, char *why, size_t n) BW_NODISCARD;
void unlisten_unix(const char *path, uint64_t dev, uint64_t ino);

// ---- request.c ----
enum MHD_Result request_begin_or_go_on(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
                                       const char *version, const char *upload, size_t *upload_size, void **state);
void request_done(void *cls, struct MHD_Connection *conn, void **state, enum MHD_RequestTerminationCode why);
enum MHD_Result answer_json(struct request *q, int status, json_t *body); // takes the reference
enum MHD_Result answer_text(struct request *q, int status, const char *type, const char *text, size_t n);
enum MHD_Result answer_error(struct request *q, int status, const char *text, const char *hint);

// ---- resource.c, change.c, mesh.c: each answers, whatever it is ----
enum MHD_Result resource_get(struct request *q);
enum MHD_Result resource_change(struct request *q, const char *method);
enum MHD_Result mesh_answer(struct request *q, const char *method);
bool resource_exists(const char *path); // as a GET
const char *change_allowed(const char *path); // methods that change something there, "POST"; NULL: none

// ---- json.c ----
json_t *json_status(const struct view_status *s);
json_t *json_peers(const struct api_source *s);
json_t *json_routes(const struct api_source *s);
json_t *json_sessions(const struct api_source *s);
json_t *json_exits(const struct api_source *s);
json_t *json_addr(const struct bw_addr *a);     // null if zero
json_t *json_key(const uint8_t key[32]);
char *json_print(const json_t *j);              // compact, to be freed; NULL: no memory

// ---- metrics.c: the text of /metrics, to be freed ----
void metrics_text(const struct api_source *s, struct bw_text *t);

// ---- stream.c ----
struct api_reply *reply_new(struct request *q, bool events); // NULL: no memory
enum MHD_Result reply_attach(struct request *q, struct api_reply *r, const char *type); // answers with it
void reply_drop(struct api_reply *r);                       // one that was never attached
void replies_resume(struct listener *l);                    // before MHD is stopped: nothing may be suspended

#endif
