// What is going to happen in a simulated world, in order: a binary heap of events by time, first come first served within
// one instant, so that a run is a pure function of its seed.
#ifndef SIM_EVENTS_H
#define SIM_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/time.h"

enum event_kind { EVENT_DATAGRAM, EVENT_HTTP_REQUEST, EVENT_HTTP_REPLY, EVENT_PROBE, EVENT_RESTART };

struct event {
    bw_time at;
    uint64_t order; // given by events_push
    enum event_kind kind;
    uint32_t node;  // to whom
    uint32_t life;  // the node's life that it is meant for; 0: any
    uint32_t link;  // EVENT_DATAGRAM: the wire that it comes by; EVENT_PROBE: the family
    void *data;     // owned by the event; freed by whoever pops it
    size_t len;     // of data; EVENT_PROBE: the serial
};

struct events {
    struct event *v;
    size_t count, room;
    uint64_t order;
};

int events_push(struct events *q, const struct event *e) BW_NODISCARD; // BW_ERR_NOMEM: e->data is still the caller's
bw_time events_next(const struct events *q);                           // BW_NEVER: none
bool events_pop(struct events *q, struct event *out);
void events_free(struct events *q); // with their data

#endif
