// One HTTP request: collects its body within bounds, decides who may ask what, and makes plain answers.
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/api_private.h"

#define BODY_MAX 65536u
#define MESH_BODY_MAX 8192u

enum MHD_Result answer_text(struct request *q, int status, const char *type, const char *text, size_t n)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(n, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (!r) return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (q->listener->face == FACE_MESH) MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, q->allow ? q->allow : "GET, HEAD");
    enum MHD_Result done = MHD_queue_response(q->conn, (unsigned)status, r);
    MHD_destroy_response(r);
    return done;
}

enum MHD_Result answer_json(struct request *q, int status, json_t *body)
{
    char *text = body ? json_print(body) : NULL;
    json_decref(body);
    if (!text) return answer_error(q, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory", "");
    size_t n = strlen(text);
    text[n] = '\n'; // in place of the NUL, which is not sent
    enum MHD_Result done = answer_text(q, status, "application/json", text, n + 1);
    free(text);
    return done;
}

enum MHD_Result answer_error(struct request *q, int status, const char *text, const char *hint)
{
    json_t *body = json_object(), *t = json_string(text);
    json_object_set_new(body, "error", t ? t : json_string("the reason is no readable text"));
    if (hint && *hint) json_object_set_new(body, "hint", json_string(hint));
    char *out = body ? json_print(body) : NULL;
    json_decref(body);
    if (!out) return MHD_NO; // not even memory for the excuse: the connection ends
    enum MHD_Result done = answer_text(q, status, "application/json", out, strlen(out));
    free(out);
    return done;
}

// A page from elsewhere may point its own name at 127.0.0.1 and ask from the browser (DNS rebinding). It cannot make
// the browser say another Host than that name: an address or "localhost" in Host means that nobody's name was involved.
static bool host_is_plain(struct MHD_Connection *conn)
{
    const char *host = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    char name[BW_ADDR_TEXT + 2];
    struct bw_addr a;
    if (!host) return false;
    bool bracket = *host == '[';
    size_t n = bracket ? strcspn(host, "]") : strcspn(host, ":");
    if (n >= sizeof name || (bracket && host[n] != ']')) return false;
    const char *port = host + n + bracket;
    if (*port && (*port != ':' || strspn(port + 1, "0123456789") != strlen(port + 1))) return false;
    memcpy(name, host + bracket, n - bracket);
    name[n - bracket] = 0;
    return (!bracket && !strcasecmp(name, "localhost")) || !bw_addr_parse(name, &a);
}

static bool mesh_source(struct request *q)
{
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(q->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!i || !i->client_addr || i->client_addr->sa_family != AF_INET6) return false;
    memcpy(q->from.b, &((const struct sockaddr_in6 *)i->client_addr)->sin6_addr, 16);
    return bw_addr_is_mesh(&q->from);
}

// What can be refused before a body is read. MHD_YES with *refused false: go on.
static enum MHD_Result gate(struct request *q, const char *method, bool *refused)
{
    bool reads = !strcmp(method, "GET") || !strcmp(method, "HEAD");
    const char *length = MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    size_t max = q->listener->face == FACE_MESH ? MESH_BODY_MAX : BODY_MAX;
    *refused = true;
    if (q->listener->face == FACE_MESH && !mesh_source(q))
        return answer_error(q, MHD_HTTP_FORBIDDEN, "only mesh addresses may ask here", "");
    if (q->listener->face == FACE_TCP && !host_is_plain(q->conn))
        return answer_error(q, MHD_HTTP_FORBIDDEN, "this Host is not answered",
                            "ask for an address or localhost, e.g. http://127.0.0.1:4871/v1/status");
    if (q->listener->face == FACE_TCP && !reads)
        return answer_error(q, MHD_HTTP_FORBIDDEN, "changes are made through the unix socket only",
                            "use the byway command, or curl --unix-socket");
    if (length && strtoull(length, NULL, 10) > max)
        return answer_error(q, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large", "");
    *refused = false;
    return MHD_YES;
}

static void take(struct request *q, const char *p, size_t n)
{
    size_t max = q->listener->face == FACE_MESH ? MESH_BODY_MAX : BODY_MAX;
    if (q->too_large || q->len + n > max) {
        q->too_large = true;
        return;
    }
    if (q->len + n + 1 > q->cap) {
        size_t cap = 2 * q->cap + n + 512;
        char *body = realloc(q->body, cap);
        if (!body) {
            q->too_large = true;
            return;
        }
        q->body = body;
        q->cap = cap;
    }
    memcpy(q->body + q->len, p, n);
    q->len += n;
    q->body[q->len] = 0;
}

static enum MHD_Result dispatch(struct request *q, const char *method)
{
    if (q->too_large) return answer_error(q, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large", "");
    if (q->listener->face == FACE_MESH) return mesh_answer(q, method);
    if (!strcmp(method, "GET") || !strcmp(method, "HEAD")) return resource_get(q);
    return resource_change(q, method);
}

static struct request *begin(struct listener *l, struct MHD_Connection *conn)
{
    struct request *q = calloc(1, sizeof *q);
    if (!q) return NULL;
    q->api = l->api;
    q->listener = l;
    q->conn = conn;
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    q->tcp = i ? i->socket_context : NULL;
    if (q->tcp &&
        l->face != FACE_MESH) { // a kept connection starts anew with each request; the list stays oldest first
        TAILQ_REMOVE(&l->conns, q->tcp, entry);
        q->tcp->since_ms = uv_now(l->api->o.loop);
        TAILQ_INSERT_TAIL(&l->conns, q->tcp, entry);
    }
    return q;
}

enum MHD_Result request_begin_or_go_on(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
                                       const char *version, const char *upload, size_t *upload_size, void **state)
{
    (void)version;
    struct request *q = *state;
    if (!q) {
        q = begin(cls, conn);
        if (!q) return MHD_NO;
        *state = q;
        bool refused;
        enum MHD_Result r = gate(q, method, &refused);
        return refused ? r : MHD_YES;
    }
    q->path = url;
    if (*upload_size) {
        take(q, upload, *upload_size);
        *upload_size = 0;
        return q->too_large ? MHD_NO : MHD_YES; // too much without having said so: the connection ends here
    }
    return dispatch(q, method);
}

void request_done(void *cls, struct MHD_Connection *conn, void **state, enum MHD_RequestTerminationCode why)
{
    (void)cls, (void)conn, (void)why;
    struct request *q = *state;
    if (!q) return;
    free(q->body);
    free(q);
    *state = NULL;
}
