// A bounded ring of punts from one packet worker to the control thread: single producer, single consumer, no lock. The
// bytes are copied in; a punt that does not fit is refused.
#ifndef DAEMON_RING_H
#define DAEMON_RING_H

#include "core/fwd/fwd.h"

#define PUNT_RING_BYTES (64u << 10) // power of two
#define PUNT_MAX 4096u              // longest data that is taken

struct punt_ring {
    _Alignas(64) atomic_uint head; // next byte to be written; free running
    _Alignas(64) atomic_uint tail; // next byte to be read
    _Alignas(64) uint8_t bytes[PUNT_RING_BYTES];
};

void punt_ring_init(struct punt_ring *r);
bool punt_ring_put(struct punt_ring *r, const struct fwd_punt *p); // producer; false: full, or too long
// Consumer: the oldest punt, or NULL. It and its data lie in `room` (struct fwd_punt plus PUNT_MAX bytes).
struct punt_room {
    struct fwd_punt punt;
    uint8_t data[PUNT_MAX];
};
const struct fwd_punt *punt_ring_get(struct punt_ring *r, struct punt_room *room);

#endif
