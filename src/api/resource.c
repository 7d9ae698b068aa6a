// What can be read: one table of paths.
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"

static enum MHD_Result get_status(struct request *q)
{
    struct view_status *v = calloc(1, sizeof *v);
    if (!v) return MHD_NO;
    q->api->o.source.status(q->api->o.source.ctx, v);
    json_t *j = json_status(v);
    free(v);
    return answer_json(q, MHD_HTTP_OK, j);
}

static enum MHD_Result get_peers(struct request *q)
{
    return answer_json(q, MHD_HTTP_OK, json_peers(&q->api->o.source));
}

static enum MHD_Result get_routes(struct request *q)
{
    return answer_json(q, MHD_HTTP_OK, json_routes(&q->api->o.source));
}

static enum MHD_Result get_sessions(struct request *q)
{
    return answer_json(q, MHD_HTTP_OK, json_sessions(&q->api->o.source));
}

static enum MHD_Result get_exits(struct request *q)
{
    return answer_json(q, MHD_HTTP_OK, json_exits(&q->api->o.source));
}

static enum MHD_Result get_metrics(struct request *q)
{
    struct bw_mem mem;
    bw_mem_system(&mem);
    struct bw_text t = {.mem = &mem};
    metrics_text(&q->api->o.source, &t);
    enum MHD_Result r = t.full ? MHD_NO : answer_text(q, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", t.p, t.n);
    bw_text_free(&t);
    return r;
}

#define EVENT_READERS 32

static enum MHD_Result get_events(struct request *q)
{
    if (q->api->event_readers >= EVENT_READERS)
        return answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "too many are listening to events already", "");
    struct api_reply *r = reply_new(q, true);
    return r ? reply_attach(q, r, "text/event-stream") : MHD_NO;
}

static enum MHD_Result get_invite(struct request *q)
{
    if (q->listener->face != FACE_UNIX)
        return answer_error(q, MHD_HTTP_FORBIDDEN, "an invite may hold a secret",
                            "ask through the unix socket: byway invite");
    if (!q->api->o.actions.invite) return answer_error(q, MHD_HTTP_NOT_IMPLEMENTED, "this node makes no invites", "");
    const char *secret = MHD_lookup_connection_value(q->conn, MHD_GET_ARGUMENT_KIND, "secret");
    const char *endpoint = MHD_lookup_connection_value(q->conn, MHD_GET_ARGUMENT_KIND, "endpoint");
    struct api_invite i = {.secret = secret && !strcmp(secret, "yes")};
    if (endpoint) snprintf(i.endpoint, sizeof i.endpoint, "%s", endpoint);
    struct api_error *e = calloc(1, sizeof *e);
    char text[4096] = "";
    if (!e) return MHD_NO;
    int status = q->api->o.actions.invite(q->api->o.actions.ctx, &i, text, sizeof text, e);
    enum MHD_Result r = status ? answer_error(q, status, e->text, e->hint)
                               : answer_json(q, MHD_HTTP_OK, *e->hint ? json_pack("{s:s, s:s}", "text", text, "hint", e->hint)
                                                                      : json_pack("{s:s}", "text", text));
    free(e);
    return r;
}

static const struct {
    const char *path;
    enum MHD_Result (*get)(struct request *q);
} resources[] = {
    {"/v1/status", get_status}, {"/v1/peers", get_peers},   {"/v1/routes", get_routes}, {"/v1/sessions", get_sessions},
    {"/v1/exits", get_exits},   {"/v1/events", get_events}, {"/v1/invite", get_invite}, {"/metrics", get_metrics},
};
#define RESOURCES (sizeof resources / sizeof *resources)

bool resource_exists(const char *path)
{
    for (size_t i = 0; i < RESOURCES; i++) {
        if (!strcmp(resources[i].path, path)) return true;
    }
    return false;
}

enum MHD_Result resource_get(struct request *q)
{
    for (size_t i = 0; i < RESOURCES; i++) {
        if (!strcmp(resources[i].path, q->path)) return resources[i].get(q);
    }
    if ((q->allow = change_allowed(q->path)))
        return answer_error(q, MHD_HTTP_METHOD_NOT_ALLOWED, "that can only be asked to change something", q->allow);
    return answer_error(q, MHD_HTTP_NOT_FOUND, "there is nothing here",
                        "try /v1/status, peers, routes, sessions, exits, events or /metrics");
}
