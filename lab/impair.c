#include "lab/impair.h"

#include <stdlib.h>
#include <string.h>

struct imp_frame {
    bw_time due;
    uint64_t arrival; // breaks ties: equal times leave in the order they came
    size_t len;
    uint8_t bytes[];
};

#define FULL_FRAME 1514u
#define LATE_EXTRA_US 1000u // a reordered frame comes this much and half the delay late

void imp_init(struct imp *q, uint64_t seed)
{
    memset(q, 0, sizeof *q);
    q->random = seed;
}

static void drop_held(struct imp *q)
{
    for (size_t i = 0; i < q->held; i++) free(q->heap[i]);
    q->held = 0;
    q->held_bytes = 0;
    q->last_due = 0;
}

void imp_free(struct imp *q)
{
    drop_held(q);
    free(q->heap);
    q->heap = NULL;
    q->room = 0;
}

void imp_set(struct imp *q, const struct imp_spec *spec)
{
    if (spec->state != IMP_UP) {
        q->n.cut += q->held;
        drop_held(q);
    }
    if (spec->rate_bps != q->spec.rate_bps) q->busy_until = 0;
    q->spec = *spec;
}

// Splitmix64 (Steele, Lea, Flood 2014).
static uint64_t draw(struct imp *q)
{
    uint64_t z = q->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static bool happens(struct imp *q, uint32_t ppm)
{
    return ppm && draw(q) % 1000000 < ppm;
}

static bool sooner(const struct imp_frame *a, const struct imp_frame *b)
{
    return a->due != b->due ? a->due < b->due : a->arrival < b->arrival;
}

static bool hold(struct imp *q, bw_time due, const void *bytes, size_t len)
{
    if (q->held_bytes + len > IMP_HELD_BYTES_MAX) return false;
    if (q->held == q->room) {
        size_t room = q->room ? 2 * q->room : 64;
        struct imp_frame **heap = realloc(q->heap, room * sizeof *heap);
        if (!heap) return false;
        q->heap = heap;
        q->room = room;
    }
    struct imp_frame *f = malloc(sizeof *f + len);
    if (!f) return false;
    f->due = due;
    f->arrival = q->arrivals++;
    f->len = len;
    memcpy(f->bytes, bytes, len);
    size_t i = q->held++;
    for (; i && sooner(f, q->heap[(i - 1) / 2]); i = (i - 1) / 2) q->heap[i] = q->heap[(i - 1) / 2];
    q->heap[i] = f;
    q->held_bytes += len;
    return true;
}

static uint64_t queue_limit(const struct imp_spec *s)
{
    if (s->queue_bytes) return s->queue_bytes;
    uint64_t limit = s->rate_bps / 80; // 100 ms
    return limit > 10 * FULL_FRAME ? limit : 10 * FULL_FRAME;
}

// When the transmitter of the rate has sent the frame; BW_NEVER if its queue is full.
static bw_time transmit(struct imp *q, bw_time now, uint64_t wire_bytes)
{
    if (!q->spec.rate_bps) return now;
    if (q->busy_until < now) q->busy_until = now;
    uint64_t queued = (uint64_t)((double)(q->busy_until - now) * (double)q->spec.rate_bps / 8e6);
    if (queued && queued + wire_bytes > queue_limit(&q->spec)) return BW_NEVER;
    q->busy_until += (uint64_t)((double)wire_bytes * 8e6 / (double)q->spec.rate_bps);
    return q->busy_until;
}

static bw_time travel(struct imp *q, bw_time sent)
{
    const struct imp_spec *s = &q->spec;
    bw_time due = sent + s->delay_us;
    if (s->jitter_us) {
        uint64_t swing = draw(q) % (2 * s->jitter_us + 1); // 0 .. 2 * jitter
        due = due + swing > s->jitter_us ? due + swing - s->jitter_us : 0;
        if (due < sent) due = sent;
    }
    if (happens(q, s->reorder_ppm)) {
        q->n.reordered++;
        return due + s->delay_us / 2 + s->jitter_us + LATE_EXTRA_US; // those behind it may overtake it
    }
    if (due < q->last_due) due = q->last_due;
    q->last_due = due;
    return due;
}

enum imp_fate imp_offer(struct imp *q, bw_time now, const void *frame, size_t len, uint64_t wire_bytes)
{
    if (q->spec.state != IMP_UP) {
        q->n.cut++;
        return IMP_GONE;
    }
    if (happens(q, q->spec.loss_ppm)) {
        q->n.lost++;
        return IMP_GONE;
    }
    bw_time sent = transmit(q, now, wire_bytes);
    if (sent == BW_NEVER) {
        q->n.overflowed++;
        return IMP_GONE;
    }
    bw_time due = travel(q, sent);
    bool twice = happens(q, q->spec.duplicate_ppm);
    if (due > now || q->held) {
        if (!hold(q, due, frame, len)) {
            q->n.overflowed++;
            return IMP_GONE;
        }
    }
    q->n.frames++;
    q->n.bytes += wire_bytes;
    bool pass = due <= now && !q->held;
    if (twice && hold(q, due > now ? due : now, frame, len)) q->n.duplicated++;
    return pass ? IMP_PASS : IMP_HELD;
}

bw_time imp_deadline(const struct imp *q)
{
    return q->held ? q->heap[0]->due : BW_NEVER;
}

const void *imp_due(const struct imp *q, bw_time now, size_t *len)
{
    if (!q->held || q->heap[0]->due > now) return NULL;
    *len = q->heap[0]->len;
    return q->heap[0]->bytes;
}

void imp_pop(struct imp *q)
{
    struct imp_frame *gone = q->heap[0], *last = q->heap[--q->held];
    size_t i = 0, n = q->held;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && sooner(q->heap[child + 1], q->heap[child])) child++;
        if (!sooner(q->heap[child], last)) break;
        q->heap[i] = q->heap[child];
    }
    if (n) q->heap[i] = last;
    q->held_bytes -= gone->len;
    free(gone);
}

uint64_t imp_wire_bytes(size_t len, uint16_t hdr_len, uint16_t gso_size)
{
    if (!gso_size || !hdr_len || hdr_len >= len || len - hdr_len <= gso_size) return len;
    size_t segments = (len - hdr_len + gso_size - 1) / gso_size;
    return len + (segments - 1) * hdr_len;
}
