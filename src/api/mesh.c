// What other nodes may ask, by TCP 4870 over the mesh. They are strangers: known by address, trusted with nothing.
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"

static enum MHD_Result pass_on(struct request *q, const struct api_mesh_answer *a)
{
    return answer_text(q, a->status ? a->status : MHD_HTTP_OK, a->type[0] ? a->type : "application/json", a->body,
                       a->body_len);
}

static enum MHD_Result get_from(struct request *q, void (*ask)(void *, const struct bw_addr *, struct api_mesh_answer *), const char *if_not)
{
    if (!ask) return answer_error(q, MHD_HTTP_NOT_FOUND, if_not, "");
    struct api_mesh_answer *a = calloc(1, sizeof *a);
    if (!a) return MHD_NO;
    ask(q->api->o.mesh.ctx, &q->from, a);
    enum MHD_Result r = pass_on(q, a);
    free(a);
    return r;
}

static enum MHD_Result get_exit(struct request *q)
{
    return get_from(q, q->api->o.mesh.exit_offer, "this node shares no Internet");
}

static enum MHD_Result get_export(struct request *q)
{
    return get_from(q, q->api->o.mesh.exported, "this node exports nothing");
}

static enum MHD_Result post_lease(struct request *q)
{
    const struct api_mesh *m = &q->api->o.mesh;
    if (!m->lease) return answer_error(q, MHD_HTTP_NOT_FOUND, "this node shares no Internet", "");
    struct api_mesh_answer *a = calloc(1, sizeof *a);
    if (!a) return MHD_NO;
    m->lease(m->ctx, &q->from, q->body ? q->body : "", q->len, a);
    enum MHD_Result r = pass_on(q, a);
    free(a);
    return r;
}

static json_t *who(struct request *q, bool all)
{
    struct view_status *v = calloc(1, sizeof *v);
    if (!v) return NULL;
    q->api->o.source.status(q->api->o.source.ctx, v);
    json_t *name = json_string(v->name);
    json_t *j = json_pack("{s:o, s:o}", "address", json_addr(&v->address), "key", json_key(v->key));
    if (all) {
        json_object_set(j, "name", name);
        json_object_set_new(j, "version", json_string(BYWAY_VERSION));
    }
    json_decref(name);
    free(v);
    return j;
}

static enum MHD_Result get_key(struct request *q)
{
    return answer_json(q, MHD_HTTP_OK, who(q, false));
}

static enum MHD_Result get_peer_info(struct request *q)
{
    return answer_json(q, MHD_HTTP_OK, who(q, true));
}

enum MHD_Result mesh_answer(struct request *q, const char *method)
{
    static const struct {
        const char *path;
        bool post;
        enum MHD_Result (*answer)(struct request *q);
    } table[] = {{"/v1/exit", false, get_exit},
                 {"/v1/lease", true, post_lease},
                 {"/v1/export", false, get_export},
                 {"/v1/key", false, get_key},
                 {"/v1/peer-info", false, get_peer_info}};
    bool reads = !strcmp(method, "GET") || !strcmp(method, "HEAD");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].path, q->path)) continue;
        if (table[i].post ? !strcmp(method, "POST") : reads) return table[i].answer(q);
        q->allow = table[i].post ? "POST" : "GET, HEAD";
        return answer_error(q, MHD_HTTP_METHOD_NOT_ALLOWED, "not in this way", table[i].post ? "POST it" : "GET it");
    }
    return answer_error(q, MHD_HTTP_NOT_FOUND, "there is nothing here for other nodes", "");
}
