#include "sim/events.h"

#include <stdlib.h>

static bool before(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

int events_push(struct events *q, const struct event *e)
{
    if (q->count == q->room) {
        size_t room = q->room ? q->room * 2 : 256;
        struct event *v = realloc(q->v, room * sizeof *v);
        if (!v) return BW_ERR_NOMEM;
        q->v = v;
        q->room = room;
    }
    struct event n = *e;
    n.order = q->order++;
    size_t i = q->count++;
    for (; i && before(&n, &q->v[(i - 1) / 2]); i = (i - 1) / 2) q->v[i] = q->v[(i - 1) / 2];
    q->v[i] = n;
    return 0;
}

bw_time events_next(const struct events *q)
{
    return q->count ? q->v[0].at : BW_NEVER;
}

bool events_pop(struct events *q, struct event *out)
{
    if (!q->count) return false;
    *out = q->v[0];
    struct event last = q->v[--q->count];
    size_t i = 0;
    for (size_t kid; (kid = 2 * i + 1) < q->count; i = kid) {
        if (kid + 1 < q->count && before(&q->v[kid + 1], &q->v[kid])) kid++;
        if (!before(&q->v[kid], &last)) break;
        q->v[i] = q->v[kid];
    }
    q->v[i] = last;
    return true;
}

void events_free(struct events *q)
{
    for (size_t i = 0; i < q->count; i++) free(q->v[i].data);
    free(q->v);
    *q = (struct events){0};
}
