// The UAPI socket: requests in, answers out, over libuv pipes. Root's alone (0600), so few clients and short visits.
#include "api/uapi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api_private.h"
#include "base/text.h"

#define CLIENTS_MAX 16

struct uapi {
    struct uapi_handler h;
    const struct bw_log *log;
    struct bw_mem mem; // of answers
    char path[108];
    uint64_t dev, ino;
    uv_pipe_t listen;
    LIST_HEAD(, client) clients;
    unsigned count; // clients
    unsigned open;  // handles; the last one frees
    bool closing;
};

struct client {
    LIST_ENTRY(client) entry;
    struct uapi *u;
    uv_pipe_t pipe;
    char *buf;
    size_t len, cap;
    unsigned writing; // answers on their way
    bool ended;       // it will ask no more
};

// ---- get ----

struct gather {
    struct uapi_peer *v;
    size_t n, cap;
    bool bad;
};

static void forget(struct gather *g)
{
    if (g->v) explicit_bzero(g->v, g->n * sizeof *g->v);
    free(g->v);
    g->v = NULL;
}

static void gather_peer(void *arg, const struct uapi_peer *p)
{
    struct gather *g = arg;
    for (size_t i = 0; i < g->n; i++) {
        if (memcmp(g->v[i].key, p->key, 32)) continue;
        struct uapi_peer *o = &g->v[i];
        uint64_t rx = o->rx_bytes + p->rx_bytes, tx = o->tx_bytes + p->tx_bytes;
        bool later = p->last_handshake_s > o->last_handshake_s ||
                     (p->last_handshake_s == o->last_handshake_s && p->last_handshake_ns > o->last_handshake_ns);
        if (later) *o = *p;
        o->rx_bytes = rx;
        o->tx_bytes = tx;
        return;
    }
    if (g->n == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 16;
        struct uapi_peer *v = calloc(cap, sizeof *v); // realloc would leave preshared keys behind
        if (!v) {
            g->bad = true;
            return;
        }
        if (g->n) memcpy(v, g->v, g->n * sizeof *v);
        forget(g);
        g->v = v;
        g->cap = cap;
    }
    g->v[g->n++] = *p;
}

static void peer_text(struct bw_text *t, const struct uapi_peer *p)
{
    char hex[65], endpoint[BW_ENDPOINT_TEXT];
    bw_put(t, "public_key=%s\n", bw_hex_encode(p->key, 32, hex));
    if (p->has_psk) bw_put(t, "preshared_key=%s\n", bw_hex_encode(p->psk, 32, hex));
    if (p->endpoint.port) bw_put(t, "endpoint=%s\n", bw_endpoint_text(&p->endpoint, endpoint));
    bw_put(t, "last_handshake_time_sec=%llu\nlast_handshake_time_nsec=%u\n", (unsigned long long)p->last_handshake_s,
           p->last_handshake_ns);
    bw_put(t, "tx_bytes=%llu\nrx_bytes=%llu\n", (unsigned long long)p->tx_bytes, (unsigned long long)p->rx_bytes);
    bw_put(t, "persistent_keepalive_interval=%u\n", p->keepalive_s);
    bw_put(t, "allowed_ip=0.0.0.0/0\nallowed_ip=::/0\nprotocol_version=1\n");
    explicit_bzero(hex, sizeof hex);
}

static void get(struct uapi *u, struct bw_text *t)
{
    struct uapi_device d = {0};
    struct gather g = {0};
    char hex[65];
    u->h.device(u->h.ctx, &d);
    u->h.peers(u->h.ctx, gather_peer, &g);
    bw_put(t, "private_key=%s\nlisten_port=%u\n", bw_hex_encode(d.private_key, 32, hex), d.listen_port);
    if (d.fwmark) bw_put(t, "fwmark=%u\n", d.fwmark);
    for (size_t i = 0; i < g.n; i++) peer_text(t, &g.v[i]);
    bw_put(t, "errno=%d\n\n", g.bad ? -ENOMEM : 0);
    explicit_bzero(hex, sizeof hex);
    explicit_bzero(&d, sizeof d);
    forget(&g);
}

// ---- set ----

static bool same_secret(const uint8_t a[32], const uint8_t b[32])
{
    uint8_t d = 0;
    for (int i = 0; i < 32; i++) d |= a[i] ^ b[i];
    return !d;
}

// What of the interface itself may be "changed": only to what it is, or to "clear", which wg syncconf sends for what
// its file leaves out.
static int check_device(struct uapi *u, const struct uapi_request *r)
{
    static const uint8_t zero[32];
    struct uapi_device d = {0};
    int err = 0;
    u->h.device(u->h.ctx, &d);
    if (r->has_private_key && !same_secret(r->private_key, zero) && !same_secret(r->private_key, d.private_key))
        err = EPERM;
    if (r->has_listen_port && r->listen_port && r->listen_port != d.listen_port) err = EOPNOTSUPP;
    if (r->has_fwmark && r->fwmark && r->fwmark != d.fwmark) err = EOPNOTSUPP;
    explicit_bzero(&d, sizeof d);
    return err;
}

// replace_peers: those that the request does not name go.
static int remove_others(struct uapi *u, const struct uapi_request *r)
{
    struct gather g = {0};
    int err = 0;
    u->h.peers(u->h.ctx, gather_peer, &g);
    for (size_t i = 0; i < g.n && !err; i++) {
        bool named = false;
        for (size_t j = 0; j < r->peer_count && !named; j++) named = !memcmp(r->peers[j].key, g.v[i].key, 32);
        struct uapi_peer_set gone = {.remove = true};
        memcpy(gone.key, g.v[i].key, 32);
        if (!named) err = u->h.set_peer(u->h.ctx, &gone);
    }
    if (g.v) explicit_bzero(g.v, g.n * sizeof *g.v);
    free(g.v);
    return err;
}

static int set(struct uapi *u, const struct uapi_request *r)
{
    int err = check_device(u, r);
    if (!err && r->replace_peers) err = remove_others(u, r);
    for (size_t i = 0; i < r->peer_count && !err; i++) err = u->h.set_peer(u->h.ctx, &r->peers[i]);
    return err;
}

static void answer(struct uapi *u, const char *request, size_t n, struct bw_text *t)
{
    struct uapi_request r;
    int err = uapi_parse(request, n, &r);
    if (err) {
        bw_put(t, "errno=%d\n\n", -err);
        return;
    }
    if (r.set) bw_put(t, "errno=%d\n\n", -set(u, &r));
    else get(u, t);
    uapi_request_free(&r);
}

// ---- connections ----

static void uapi_unref(struct uapi *u)
{
    if (!--u->open) free(u);
}

static void client_closed(uv_handle_t *h)
{
    struct client *c = h->data;
    struct uapi *u = c->u;
    if (c->buf) explicit_bzero(c->buf, c->len);
    free(c->buf);
    free(c);
    uapi_unref(u);
}

static void client_close(struct client *c)
{
    if (uv_is_closing((uv_handle_t *)&c->pipe)) return;
    LIST_REMOVE(c, entry);
    c->u->count--;
    uv_close((uv_handle_t *)&c->pipe, client_closed);
}

struct writing {
    uv_write_t req;
    struct bw_text t;
    struct client *c;
};

static void on_written(uv_write_t *req, int status)
{
    struct writing *w = (struct writing *)req;
    struct client *c = w->c;
    bw_text_free(&w->t);
    free(w);
    c->writing--;
    if (status || (c->ended && !c->writing)) client_close(c);
}

static void reply(struct client *c, struct bw_text t)
{
    struct writing *w = calloc(1, sizeof *w);
    if (!w || t.full) {
        free(w);
        bw_text_free(&t);
        client_close(c);
        return;
    }
    w->t = t;
    w->c = c;
    uv_buf_t buf = uv_buf_init(t.p, (unsigned)t.n);
    c->writing++;
    if (!uv_write(&w->req, (uv_stream_t *)&c->pipe, &buf, 1, on_written)) return;
    c->writing--;
    bw_text_free(&t);
    free(w);
    client_close(c);
}

// Answers every whole request in the buffer: each ends with a blank line.
static void take_requests(struct client *c)
{
    char *end;
    while (c->len && (end = memmem(c->buf, c->len, "\n\n", 2)) && !uv_is_closing((uv_handle_t *)&c->pipe)) {
        struct bw_text t = {.mem = &c->u->mem};
        size_t n = (size_t)(end - c->buf);
        answer(c->u, c->buf, n, &t);
        memmove(c->buf, end + 2, c->len - n - 2);
        explicit_bzero(c->buf + c->len - n - 2, n + 2);
        c->len -= n + 2;
        reply(c, t);
    }
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct client *c = h->data;
    *buf = uv_buf_init(NULL, 0);
    if (c->cap - c->len < 1024) {
        if (c->len >= UAPI_MAX_REQUEST) return;
        size_t cap = 2 * c->cap + 2048;
        char *p = realloc(c->buf, cap);
        if (!p) return;
        c->buf = p;
        c->cap = cap;
    }
    *buf = uv_buf_init(c->buf + c->len, (unsigned)(c->cap - c->len));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    (void)buf;
    struct client *c = s->data;
    if (n > 0) {
        c->len += (size_t)n;
        take_requests(c);
    } else if (n == UV_EOF) {
        c->ended = true;
        if (!c->writing) client_close(c);
    } else if (n < 0) {
        client_close(c); // UV_ENOBUFS: a request beyond all bounds
    }
}

static void on_connect(uv_stream_t *s, int status)
{
    struct uapi *u = s->data;
    struct client *c = status ? NULL : calloc(1, sizeof *c);
    if (!c) return;
    uv_pipe_init(s->loop, &c->pipe, 0);
    c->pipe.data = c;
    c->u = u;
    u->open++;
    u->count++;
    LIST_INSERT_HEAD(&u->clients, c, entry);
    bool bad = uv_accept(s, (uv_stream_t *)&c->pipe) || u->count > CLIENTS_MAX;
    if (bad || uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read)) client_close(c);
}

// ---- life ----

static void listen_closed(uv_handle_t *h)
{
    uapi_unref(h->data);
}

int uapi_open(struct uapi **out, uv_loop_t *loop, const char *dir, const char *ifname, const struct uapi_handler *h,
              const struct bw_log *log, char *why, size_t why_size)
{
    struct uapi *u = calloc(1, sizeof *u);
    if (!u) {
        snprintf(why, why_size, "out of memory");
        return BW_ERR_NOMEM;
    }
    u->h = *h;
    u->log = log;
    bw_mem_system(&u->mem);
    LIST_INIT(&u->clients);
    int len = snprintf(u->path, sizeof u->path, "%s/%s.sock", dir ? dir : "/var/run/wireguard", ifname);
    int fd = BW_ERR_RANGE;
    snprintf(why, why_size, "the name of wg's socket is too long");
    if (len > 0 && (size_t)len < sizeof u->path) fd = listen_unix(u->path, false, &u->dev, &u->ino, why, why_size);
    if (fd == BW_ERR_EXISTS)
        snprintf(why, why_size,
                 "`wg show %s` is another daemon's: %s is taken (this node does without; another [tun] interface name "
                 "would have its own)",
                 ifname, u->path);
    if (fd < 0) {
        free(u);
        return fd;
    }
    uv_pipe_init(loop, &u->listen, 0);
    u->listen.data = u;
    u->open = 1;
    *out = u;
    if (!uv_pipe_open(&u->listen, fd)) fd = -1;
    if (fd < 0 && !uv_listen((uv_stream_t *)&u->listen, 8, on_connect)) return 0;
    snprintf(why, why_size, "wg's socket %s does not work", u->path);
    if (fd >= 0) close(fd);
    uapi_close(u);
    *out = NULL;
    return BW_ERR_SYS;
}

void uapi_close(struct uapi *u)
{
    if (!u || u->closing) return;
    u->closing = true;
    unlisten_unix(u->path, u->dev, u->ino);
    while (!LIST_EMPTY(&u->clients)) client_close(LIST_FIRST(&u->clients));
    uv_close((uv_handle_t *)&u->listen, listen_closed);
}
