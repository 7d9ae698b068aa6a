// What a wire does to frames: one direction of one link. Pure: time in, deadline out; the caller reads the clock and
// moves the frames. A frame passes loss, then the rate with its bounded queue, then delay and jitter, in that order, as
// it would on a radio: what was lost took no place in the queue of the far end.
#ifndef LAB_IMPAIR_H
#define LAB_IMPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/time.h"

enum imp_state {
    IMP_UP,
    IMP_CUT,  // frames vanish, the carrier stays: a wall, a saboteur
    IMP_DOWN, // carrier off at both ends: an unplugged cable
};

// Settings; all zero is a perfect wire. They hold for each direction by itself.
struct imp_spec {
    enum imp_state state;
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm; // millionths of the frames
    uint64_t delay_us, jitter_us;                  // one way; jitter is uniform, +- jitter_us, and keeps the order
    uint64_t rate_bps;                             // bits of Ethernet frames per second; 0: unlimited
    uint64_t queue_bytes;                          // in front of the rate; 0: 100 ms worth, at least 10 full frames
};

#define IMP_SPEC_TEXT 200

// One word of a link line: loss=5% delay=20ms jitter=5ms rate=10mbit queue=64kb reorder=1% duplicate=1% cut up down clear.
// Changes *spec by it; on error leaves *spec alone and says what is wrong in err.
int imp_spec_word(struct imp_spec *spec, const char *word, char *err, size_t err_size) BW_NODISCARD;
// The words that make this spec from a perfect wire, "up" if there are none. Returns out (IMP_SPEC_TEXT bytes).
char *imp_spec_text(const struct imp_spec *spec, char *out);
// True if each frame must be seen by itself: super-frames (GSO) would then be lost or queued as one.
bool imp_spec_needs_frames(const struct imp_spec *spec);

struct imp_counters {
    uint64_t frames, bytes; // delivered
    uint64_t lost, cut, overflowed, duplicated, reordered;
};

struct imp_frame;
struct imp {
    struct imp_spec spec;
    struct imp_counters n;
    uint64_t random;          // splitmix64
    bw_time busy_until;       // the rate's transmitter
    bw_time last_due;         // in-order frames leave no sooner than this
    struct imp_frame **heap;  // by (due, order of arrival)
    size_t held, room;
    uint64_t held_bytes, arrivals;
};

#define IMP_HELD_BYTES_MAX (64u << 20) // a direction holds no more than this, whatever its delay

void imp_init(struct imp *q, uint64_t seed);
void imp_free(struct imp *q);
// Frames under way keep the time they were given, but a cut or unplugged wire loses them.
void imp_set(struct imp *q, const struct imp_spec *spec);

enum imp_fate {
    IMP_PASS, // deliver it now; the caller does, and imp has counted it
    IMP_HELD, // copied; it comes out of imp_due later
    IMP_GONE, // lost, cut or overflowed, and counted
};
// wire_bytes: what it would take on the wire, which for a super-frame is more than len (imp_wire_bytes).
enum imp_fate imp_offer(struct imp *q, bw_time now, const void *frame, size_t len, uint64_t wire_bytes);
bw_time imp_deadline(const struct imp *q);
// The next frame whose time has come, or NULL. Valid until imp_pop.
const void *imp_due(const struct imp *q, bw_time now, size_t *len);
void imp_pop(struct imp *q);

// Bytes on an Ethernet for a TAP frame of `len` bytes without its virtio header: each segment repeats the headers.
uint64_t imp_wire_bytes(size_t len, uint16_t hdr_len, uint16_t gso_size);

#endif
