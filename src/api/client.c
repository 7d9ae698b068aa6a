// libcurl's multi interface on a libuv loop. The library is looked up by name on the first request: a node that never
// asks another one does not carry its megabytes.
#include "api/client.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/err.h"

#define EXCHANGES_MAX 32
#define HEADERS_MAX 16384u

// ---- the library ----

static struct {
    void *lib;
    CURLcode (*global_init)(long);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
    CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
    void (*easy_cleanup)(CURL *);
    const char *(*easy_strerror)(CURLcode);
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_setopt)(CURLM *, CURLMoption, ...);
    CURLMcode (*multi_add)(CURLM *, CURL *);
    CURLMcode (*multi_remove)(CURLM *, CURL *);
    CURLMcode (*multi_assign)(CURLM *, curl_socket_t, void *);
    CURLMcode (*multi_action)(CURLM *, curl_socket_t, int, int *);
    CURLMsg *(*multi_info)(CURLM *, int *);
    CURLMcode (*multi_cleanup)(CURLM *);
    struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
    void (*slist_free)(struct curl_slist *);
} curl;

static bool load_curl(void)
{
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
    static const struct {
        const char *name;
        void *to;
    } symbols[] = {
        {"curl_global_init", &curl.global_init},   {"curl_easy_init", &curl.easy_init},
        {"curl_easy_setopt", &curl.easy_setopt},   {"curl_easy_getinfo", &curl.easy_getinfo},
        {"curl_easy_cleanup", &curl.easy_cleanup}, {"curl_easy_strerror", &curl.easy_strerror},
        {"curl_multi_init", &curl.multi_init},     {"curl_multi_setopt", &curl.multi_setopt},
        {"curl_multi_add_handle", &curl.multi_add}, {"curl_multi_remove_handle", &curl.multi_remove},
        {"curl_multi_assign", &curl.multi_assign}, {"curl_multi_socket_action", &curl.multi_action},
        {"curl_multi_info_read", &curl.multi_info}, {"curl_multi_cleanup", &curl.multi_cleanup},
        {"curl_slist_append", &curl.slist_append}, {"curl_slist_free_all", &curl.slist_free},
    };
    if (curl.lib) return true;
    void *lib = NULL;
    for (size_t i = 0; i < 2 && !lib; i++) lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!lib) return false;
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *f = dlsym(lib, symbols[i].name);
        memcpy(symbols[i].to, &f, sizeof f); // ISO C has no cast from object to function pointer
        if (!f) break;
        if (i + 1 == sizeof symbols / sizeof *symbols && !curl.global_init(0)) curl.lib = lib;
    }
    if (!curl.lib) dlclose(lib);
    return curl.lib;
}

// ---- one exchange ----

struct exchange {
    LIST_ENTRY(exchange) entry;
    struct http_client *c;
    int number;
    CURL *easy;
    struct curl_slist *headers;
    http_done_fn *done;
    void *ctx;
    char ifname[16];
    uint32_t mark;
    char *body;
    size_t len, max, header_len;
    char error[CURL_ERROR_SIZE];
};

struct http_client {
    uv_loop_t *loop;
    CURLM *multi; // NULL until the first request
    uv_timer_t timer;
    LIST_HEAD(, exchange) list;
    unsigned count;
    int last_number;
    unsigned open; // handles; the last one frees
    bool closing;
};

struct sock {
    struct http_client *c;
    uv_poll_t poll;
    curl_socket_t fd;
};

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct exchange *x = ctx;
    n *= size;
    if (x->len + n > x->max) {
        snprintf(x->error, sizeof x->error, "the answer is too large");
        return 0;
    }
    char *body = realloc(x->body, x->len + n + 1);
    if (!body) return 0;
    memcpy(body + x->len, p, n);
    x->body = body;
    x->len += n;
    x->body[x->len] = 0;
    return n;
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    (void)p;
    struct exchange *x = ctx;
    x->header_len += n * size;
    return x->header_len > HEADERS_MAX ? 0 : n * size;
}

static int on_socket_made(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    (void)purpose;
    const struct exchange *x = ctx;
    if (x->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &x->mark, sizeof x->mark)) return CURL_SOCKOPT_ERROR;
    if (x->ifname[0] && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, x->ifname, (socklen_t)strlen(x->ifname)))
        return CURL_SOCKOPT_ERROR;
    return CURL_SOCKOPT_OK;
}

static void exchange_free(struct exchange *x)
{
    LIST_REMOVE(x, entry);
    x->c->count--;
    if (x->easy) {
        curl.multi_remove(x->c->multi, x->easy);
        curl.easy_cleanup(x->easy);
    }
    curl.slist_free(x->headers);
    free(x->body);
    free(x);
}

// Takes in what is finished, then tells: done may start and cancel others, so the list is walked anew each time.
static void collect(struct http_client *c)
{
    CURLMsg *m;
    int left;
    while (!c->closing && (m = curl.multi_info(c->multi, &left))) {
        if (m->msg != CURLMSG_DONE) continue;
        CURLcode result = m->data.result;
        CURL *easy = m->easy_handle; // m is void once the handle is removed
        struct exchange *x = NULL, *i;
        LIST_FOREACH(i, &c->list, entry) {
            if (i->easy == easy) x = i;
        }
        if (!x) continue;
        long status = 0;
        curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        struct http_answer a = {.error = "", .body = x->body ? x->body : "", .body_len = x->len};
        if (result) {
            a.error = x->error[0] ? x->error : curl.easy_strerror(result);
            a.body_len = 0;
        } else {
            a.status = (int)status;
        }
        http_done_fn *done = x->done;
        void *ctx = x->ctx;
        char *body = x->body, error[CURL_ERROR_SIZE];
        x->body = NULL;
        snprintf(error, sizeof error, "%s", a.error);
        a.error = error;
        exchange_free(x);
        done(ctx, &a);
        free(body);
    }
}

// ---- libcurl and libuv ----

static void on_timer(uv_timer_t *t)
{
    struct http_client *c = t->data;
    int running;
    curl.multi_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(c);
}

static int set_timer(CURLM *multi, long ms, void *ctx)
{
    (void)multi;
    struct http_client *c = ctx;
    if (c->closing || ms < 0) uv_timer_stop(&c->timer);
    else uv_timer_start(&c->timer, on_timer, (uint64_t)ms, 0);
    return 0;
}

static void unref(struct http_client *c)
{
    if (--c->open) return;
    free(c);
}

static void sock_closed(uv_handle_t *h)
{
    struct sock *s = h->data;
    struct http_client *c = s->c;
    free(s);
    unref(c);
}

static void on_ready(uv_poll_t *h, int status, int events)
{
    struct sock *s = h->data;
    struct http_client *c = s->c;
    int running, what = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE) what |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE) what |= CURL_CSELECT_OUT;
    curl.multi_action(c->multi, s->fd, what, &running); // may end s
    collect(c);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *sock)
{
    (void)easy;
    struct http_client *c = ctx;
    struct sock *s = sock;
    if (what == CURL_POLL_REMOVE) {
        if (!s) return 0;
        curl.multi_assign(c->multi, fd, NULL);
        uv_poll_stop(&s->poll);
        uv_close((uv_handle_t *)&s->poll, sock_closed);
        return 0;
    }
    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s || uv_poll_init(c->loop, &s->poll, fd)) {
            free(s);
            return -1;
        }
        s->c = c;
        s->fd = fd;
        s->poll.data = s;
        c->open++;
        curl.multi_assign(c->multi, fd, s);
    }
    uv_poll_start(&s->poll, (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0),
                  on_ready);
    return 0;
}

// ---- the face ----

struct http_client *http_client_new(uv_loop_t *loop)
{
    struct http_client *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->loop = loop;
    c->open = 1;
    LIST_INIT(&c->list);
    uv_timer_init(loop, &c->timer);
    c->timer.data = c;
    return c;
}

static bool ready(struct http_client *c)
{
    if (c->multi) return true;
    if (!load_curl() || !(c->multi = curl.multi_init())) return false;
    curl.multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl.multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl.multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl.multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    return true;
}

static void set_options(struct exchange *x, const struct http_request *r)
{
    CURL *e = x->easy;
    long timeout = r->timeout_ms ? (long)r->timeout_ms : 5000;
    char source[BW_ADDR_TEXT], host[BW_ADDR_TEXT + 8];
    curl.easy_setopt(e, CURLOPT_URL, r->url);
    curl.easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http");
    curl.easy_setopt(e, CURLOPT_PROXY, ""); // whatever the environment says
    curl.easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl.easy_setopt(e, CURLOPT_TIMEOUT_MS, timeout);
    curl.easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, timeout);
    curl.easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
    curl.easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
    curl.easy_setopt(e, CURLOPT_USERAGENT, "byway/" BYWAY_VERSION);
    curl.easy_setopt(e, CURLOPT_ERRORBUFFER, x->error);
    curl.easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl.easy_setopt(e, CURLOPT_WRITEDATA, x);
    curl.easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl.easy_setopt(e, CURLOPT_HEADERDATA, x);
    curl.easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, on_socket_made);
    curl.easy_setopt(e, CURLOPT_SOCKOPTDATA, x);
    if (r->source) {
        snprintf(host, sizeof host, "host!%s", bw_addr_text(r->source, source));
        curl.easy_setopt(e, CURLOPT_INTERFACE, host);
    }
    if (!r->body) return;
    x->headers = curl.slist_append(NULL, "Content-Type: application/json");
    x->headers = curl.slist_append(x->headers, "Expect:");
    curl.easy_setopt(e, CURLOPT_HTTPHEADER, x->headers);
    curl.easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)r->body_len);
    curl.easy_setopt(e, CURLOPT_COPYPOSTFIELDS, r->body);
}

int http_client_start(struct http_client *c, const struct http_request *r, http_done_fn *done, void *ctx)
{
    if (c->closing || c->count >= EXCHANGES_MAX) return BW_ERR_NOMEM;
    if (!ready(c)) return BW_ERR_UNSUPPORTED;
    struct exchange *x = calloc(1, sizeof *x);
    if (!x) return BW_ERR_NOMEM;
    LIST_INSERT_HEAD(&c->list, x, entry);
    c->count++;
    x->c = c;
    c->last_number = c->last_number == INT32_MAX ? 1 : c->last_number + 1;
    x->number = c->last_number;
    x->done = done;
    x->ctx = ctx;
    x->mark = r->mark;
    if (r->ifname) snprintf(x->ifname, sizeof x->ifname, "%s", r->ifname);
    x->max = r->max_body ? r->max_body : 32 * 1024;
    x->easy = curl.easy_init();
    if (x->easy) set_options(x, r);
    if (x->easy && !curl.multi_add(c->multi, x->easy)) return x->number;
    exchange_free(x);
    return BW_ERR_NOMEM;
}

void http_client_cancel(struct http_client *c, int number)
{
    struct exchange *x;
    LIST_FOREACH(x, &c->list, entry) {
        if (x->number != number) continue;
        exchange_free(x);
        return;
    }
}

static void timer_closed(uv_handle_t *h)
{
    unref(h->data);
}

void http_client_close(struct http_client *c)
{
    if (!c || c->closing) return;
    c->closing = true;
    while (!LIST_EMPTY(&c->list)) exchange_free(LIST_FIRST(&c->list));
    if (c->multi) curl.multi_cleanup(c->multi);
    uv_close((uv_handle_t *)&c->timer, timer_closed);
}
