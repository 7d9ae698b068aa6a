// Answers that go on: the event stream (text/event-stream, WHATWG HTML section 9.2), and the JSON lines of ping and
// trace. A bounded queue per reader: who does not keep up is cut off, so that memory stays flat and nobody waits for
// anybody.
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "api/api_private.h"

#define QUEUE_MAX (64u * 1024)
#define BEAT_MS 15000

static void hangup_closed(uv_handle_t *h)
{
    struct api *a = h->data;
    free(h);
    api_unref(a);
}

static void wake(struct api_reply *r)
{
    if (!r->suspended) return;
    r->suspended = false;
    MHD_resume_connection(r->conn);
    listener_kick(r->listener);
}

// Cuts the connection; MHD then ends the answer, which frees the reply.
static void kill_reply(struct api_reply *r)
{
    r->dead = true;
    if (r->tcp && r->tcp->fd >= 0) {
        shutdown(r->tcp->fd, SHUT_RDWR);
        r->tcp->fd = -1;
    }
    wake(r);
}

static void push(struct api_reply *r, const char *p, size_t n)
{
    if (r->ended || r->dead) return;
    if (r->len + n > QUEUE_MAX) {
        kill_reply(r);
        return;
    }
    if (r->len + n > r->cap) {
        size_t cap = r->len + n < 1024 ? 1024 : 2 * (r->len + n);
        char *queue = realloc(r->queue, cap);
        if (!queue) {
            kill_reply(r);
            return;
        }
        r->queue = queue;
        r->cap = cap;
    }
    memcpy(r->queue + r->len, p, n);
    r->len += n;
    wake(r);
}

static void on_beat(uv_timer_t *t)
{
    struct api *a = t->data;
    struct api_reply *r, *next;
    for (r = LIST_FIRST(&a->replies); r; r = next) {
        next = LIST_NEXT(r, entry);
        if (r->events) push(r, ": beat\n\n", 8);
    }
}

static void start_beat(struct api *a)
{
    if (!a->beat_open) {
        uv_timer_init(a->o.loop, &a->beat);
        a->beat.data = a;
        a->beat_open = true;
        a->open++;
    }
    if (!uv_is_active((uv_handle_t *)&a->beat)) uv_timer_start(&a->beat, on_beat, BEAT_MS, BEAT_MS);
}

struct api_reply *reply_new(struct request *q, bool events)
{
    struct api_reply *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->api = q->api;
    r->listener = q->listener;
    r->tcp = q->tcp;
    r->events = events;
    LIST_INSERT_HEAD(&q->api->replies, r, entry);
    if (events) {
        q->api->event_readers++;
        start_beat(q->api);
        push(r, ": byway\n\n", 9); // so that the reader sees at once that it is on
    }
    return r;
}

static void reply_free(struct api_reply *r)
{
    struct api *a = r->api;
    LIST_REMOVE(r, entry);
    if (r->hangup) {
        uv_poll_stop(r->hangup);
        uv_close((uv_handle_t *)r->hangup, hangup_closed);
    }
    if (r->events && !--a->event_readers) uv_timer_stop(&a->beat);
    free(r->queue);
    free(r);
}

void reply_drop(struct api_reply *r)
{
    reply_free(r);
}

// MHD is done with the answer, however it ended.
static void on_free(void *cls)
{
    struct api_reply *r = cls;
    if (r->tcp) r->tcp->streaming = false;
    if (!r->events && !r->ended && r->api->o.actions.gone) r->api->o.actions.gone(r->api->o.actions.ctx, r);
    reply_free(r);
}

static ssize_t on_read(void *cls, uint64_t pos, char *buf, size_t max)
{
    (void)pos;
    struct api_reply *r = cls;
    if (r->dead) return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = r->len < max ? r->len : max;
    if (n) {
        memcpy(buf, r->queue, n);
        memmove(r->queue, r->queue + n, r->len - n);
        r->len -= n;
        return (ssize_t)n;
    }
    if (r->ended) return MHD_CONTENT_READER_END_OF_STREAM;
    r->suspended = true;
    MHD_suspend_connection(r->conn);
    return 0;
}

static void on_hangup(uv_poll_t *h, int status, int events)
{
    struct api *a = h->data;
    struct api_reply *r;
    if (!status && !(events & UV_DISCONNECT)) return;
    uv_poll_stop(h);
    LIST_FOREACH(r, &a->replies, entry) {
        if (r->hangup != h) continue;
        kill_reply(r);
        return;
    }
}

// While MHD has an answer suspended it does not look at the socket: we do, to know at once when the asker has gone.
static void watch_hangup(struct api_reply *r)
{
    if (!r->tcp || r->tcp->fd < 0) return;
    uv_poll_t *h = calloc(1, sizeof *h);
    if (!h) return;
    if (uv_poll_init(r->api->o.loop, h, r->tcp->fd)) {
        free(h);
        return;
    }
    h->data = r->api;
    r->api->open++;
    r->hangup = h;
    uv_poll_start(h, UV_DISCONNECT, on_hangup);
}

enum MHD_Result reply_attach(struct request *q, struct api_reply *r, const char *type)
{
    struct MHD_Response *m = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, on_read, r, on_free);
    if (!m) {
        on_free(r);
        return MHD_NO;
    }
    r->conn = q->conn;
    if (r->tcp) r->tcp->streaming = true;
    watch_hangup(r);
    MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(m, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(m, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(m, MHD_HTTP_HEADER_CONNECTION, "close");
    enum MHD_Result done = MHD_queue_response(q->conn, MHD_HTTP_OK, m);
    MHD_destroy_response(m); // on failure this frees the reply
    return done;
}

void replies_resume(struct listener *l)
{
    struct api_reply *r;
    LIST_FOREACH(r, &l->api->replies, entry) {
        if (r->listener != l) continue;
        r->dead = true;
        if (r->suspended) MHD_resume_connection(r->conn);
        r->suspended = false;
    }
}

void api_reply_line(struct api_reply *r, json_t *line)
{
    char *text = json_print(line);
    json_decref(line);
    if (!text) return;
    size_t n = strlen(text);
    text[n] = '\n';
    push(r, text, n + 1);
    free(text);
}

void api_reply_end(struct api_reply *r)
{
    r->ended = true;
    wake(r);
}

// ---- events ----

bool api_event_wanted(const struct api *a)
{
    return a->event_readers > 0;
}

void api_event(struct api *a, const char *type, json_t *data)
{
    struct api_reply *r, *next;
    char *text = NULL, *whole = NULL;
    int n = -1;
    if (a->event_readers && json_is_object(data)) {
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        json_object_set_new(data, "type", json_string(type));
        json_object_set_new(data, "time_s", json_real((double)(ts.tv_sec * 1000 + ts.tv_nsec / 1000000) / 1000));
        text = json_dumps(data, JSON_COMPACT | JSON_REAL_PRECISION(13));
        if (text) n = asprintf(&whole, "event: %s\ndata: %s\n\n", type, text);
    }
    json_decref(data);
    for (r = LIST_FIRST(&a->replies); r && n > 0; r = next) {
        next = LIST_NEXT(r, entry);
        if (r->events) push(r, whole, (size_t)n);
    }
    if (n > 0) free(whole);
    free(text);
}

void api_event_text(struct api *a, const char *type, const char *json)
{
    if (!a->event_readers) return;
    json_t *data = json_loads(json, 0, NULL);
    if (!json_is_object(data)) {
        json_decref(data);
        data = json_object();
    }
    api_event(a, type, data);
}
