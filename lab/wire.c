#include "lab/wire.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lab/tap.h"

#define FRAME_ROOM (TAP_HEADER + 18 + 65536 + 1000)
#define BURST 64 // frames from one end before the others get their turn

struct wire;
struct end {
    struct loop_source source;
    struct wire *wire;
    int fd;
    struct imp out;     // what this end sends
    struct end *busy;   // list of ends with frames under way
    bool listed, dead;
};

struct wire {
    struct wires *all;
    struct end end[2];
    bool offload, carrier;
};

struct wires {
    struct loop *loop;
    struct loop_timer timer;
    struct wire **wire; // pointers: the loop knows their addresses
    size_t n;
    struct end *busy;
    bool offload;
    uint64_t seed;
    uint8_t frame[FRAME_ROOM];
};

static struct end *other(struct end *e)
{
    return e == &e->wire->end[0] ? &e->wire->end[1] : &e->wire->end[0];
}

static void deliver(struct end *to, const void *frame, size_t len)
{
    // An end that is not up refuses it, as a real one would be deaf.
    ssize_t n = write(to->fd, frame, len);
    (void)n;
}

// Super-frames tell where their payload begins through the checksum's place, not through hdr_len, which is a hint.
static uint64_t on_the_wire(const uint8_t *frame, size_t len)
{
    struct virtio_net_hdr h;
    memcpy(&h, frame, sizeof h);
    size_t headers = h.csum_start;
    if (!h.gso_size || !(h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) return len - TAP_HEADER;
    if (h.csum_offset == 6) headers += 8; // UDP
    else if (TAP_HEADER + headers + 12 < len) headers += (size_t)(frame[TAP_HEADER + headers + 12] >> 4) * 4;
    return imp_wire_bytes(len - TAP_HEADER, (uint16_t)headers, h.gso_size);
}

static void mark_busy(struct end *e)
{
    struct wires *ws = e->wire->all;
    if (!e->listed && e->out.held) {
        e->listed = true;
        e->busy = ws->busy;
        ws->busy = e;
    }
    ws->timer.at = bw_time_min(ws->timer.at, imp_deadline(&e->out));
}

static void readable(struct loop_source *s, uint32_t events, bw_time now)
{
    struct end *e = (struct end *)s;
    struct wires *ws = e->wire->all;
    for (int i = 0; i < BURST; i++) {
        ssize_t n = read(e->fd, ws->frame, sizeof ws->frame);
        if (n < 0) {
            if (errno == EAGAIN || errno == EINTR) break;
            events |= EPOLLERR;
            break;
        }
        if (n <= TAP_HEADER) continue;
        size_t len = (size_t)n;
        if (imp_offer(&e->out, now, ws->frame, len, on_the_wire(ws->frame, len)) == IMP_PASS)
            deliver(other(e), ws->frame, len);
    }
    mark_busy(e);
    if (events & (EPOLLERR | EPOLLHUP)) { // somebody deleted the interface: it stays gone
        loop_forget(ws->loop, e->fd);
        e->dead = true;
    }
}

static void due(struct loop_timer *t, bw_time now)
{
    struct wires *ws = (struct wires *)((char *)t - offsetof(struct wires, timer));
    t->at = BW_NEVER;
    for (struct end **at = &ws->busy; *at;) {
        struct end *e = *at;
        const void *frame;
        size_t len;
        while ((frame = imp_due(&e->out, now, &len))) {
            deliver(other(e), frame, len);
            imp_pop(&e->out);
        }
        if (e->out.held) {
            t->at = bw_time_min(t->at, imp_deadline(&e->out));
            at = &e->busy;
        } else {
            e->listed = false;
            *at = e->busy;
        }
    }
}

struct wires *wires_new(struct loop *loop, bool offload, uint64_t seed)
{
    struct wires *ws = calloc(1, sizeof *ws);
    if (!ws) return NULL;
    ws->loop = loop;
    ws->offload = offload;
    ws->seed = seed;
    ws->timer = (struct loop_timer){.fire = due, .at = BW_NEVER};
    loop_timer(loop, &ws->timer);
    return ws;
}

static void free_wire(struct wire *w)
{
    for (int i = 0; i < 2; i++) {
        if (w->end[i].fd >= 0) close(w->end[i].fd);
        imp_free(&w->end[i].out);
    }
    free(w);
}

// The kernel takes some 25 ms to dispose of a device, nearly all of it waiting, which many can do at a time.
#define CLOSERS 128
struct closing {
    struct wires *ws;
    atomic_size_t next;
};

static void *close_some(void *arg)
{
    struct closing *c = arg;
    for (size_t i; (i = atomic_fetch_add(&c->next, 1)) < 2 * c->ws->n;) {
        struct end *e = &c->ws->wire[i / 2]->end[i % 2];
        close(e->fd);
        e->fd = -1;
    }
    return NULL;
}

static void close_all(struct wires *ws)
{
    struct closing c = {.ws = ws};
    pthread_t thread[CLOSERS];
    size_t n = 0;
    while (n < CLOSERS && n < 2 * ws->n && !pthread_create(&thread[n], NULL, close_some, &c)) n++;
    close_some(&c);
    while (n) pthread_join(thread[--n], NULL);
}

void wires_free(struct wires *ws)
{
    if (!ws) return;
    close_all(ws);
    for (size_t i = 0; i < ws->n; i++) free_wire(ws->wire[i]);
    free(ws->wire);
    free(ws);
}

// What the settings of both directions ask of the devices.
static void apply(struct wire *w)
{
    const struct imp_spec *a = &w->end[0].out.spec, *b = &w->end[1].out.spec;
    bool offload = w->all->offload && !imp_spec_needs_frames(a) && !imp_spec_needs_frames(b);
    bool carrier = a->state != IMP_DOWN && b->state != IMP_DOWN;
    for (int i = 0; i < 2; i++) {
        if (offload != w->offload) tap_offload(w->end[i].fd, offload);
        if (carrier != w->carrier) tap_carrier(w->end[i].fd, carrier);
    }
    w->offload = offload;
    w->carrier = carrier;
}

int wires_add(struct wires *ws, int a, int b, const struct imp_spec *spec)
{
    struct wire **wire = reallocarray(ws->wire, ws->n + 1, sizeof(struct wire *));
    if (wire) ws->wire = wire;
    struct wire *w = wire ? calloc(1, sizeof *w) : NULL;
    if (!w) {
        close(a);
        close(b);
        return BW_ERR_NOMEM;
    }
    w->all = ws;
    w->carrier = true;
    for (int i = 0; i < 2; i++) {
        struct end *e = &w->end[i];
        e->source.ready = readable;
        e->wire = w;
        e->fd = i ? b : a;
        imp_init(&e->out, ws->seed + 2 * ws->n + (unsigned)i);
        imp_set(&e->out, spec);
    }
    apply(w);
    if (loop_watch(ws->loop, a, &w->end[0].source) || loop_watch(ws->loop, b, &w->end[1].source)) {
        free_wire(w);
        return BW_ERR_SYS;
    }
    ws->wire[ws->n] = w;
    return (int)ws->n++;
}

void wires_set(struct wires *ws, int wire, enum wire_way way, const struct imp_spec *spec)
{
    struct wire *w = ws->wire[wire];
    for (int i = 0; i < 2; i++)
        if (way & (i ? WIRE_B_TO_A : WIRE_A_TO_B)) imp_set(&w->end[i].out, spec);
    apply(w);
}

const struct imp *wires_way(const struct wires *ws, int wire, int from)
{
    return &ws->wire[wire]->end[from].out;
}
