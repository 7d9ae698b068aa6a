// TAI64N stamps (https://cr.yp.to/libtai/tai64.html; WireGuard paper, section 5.1): the clock that makes ours, strictly
// increasing even when the machine's clock does not, and the memory that refuses the same stamp twice.
#ifndef CORE_NOISE_STAMP_H
#define CORE_NOISE_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#define STAMP_LEN 12
#define STAMP_SEEN 8
#define STAMP_RESERVE (3600ull * 1000000000) // ns: how far ahead of use a high water is persisted

struct stamp { // big endian, so that memcmp orders stamps; the other side may have put anything there
    uint8_t b[STAMP_LEN];
};
struct stamp stamp_of_ns(uint64_t unix_ns);
bool stamp_after(const struct stamp *a, const struct stamp *b); // a is later than b

// Sending. `reserved` is what was persisted: nothing above it may go out before a higher value is.
struct stamp_clock {
    uint64_t high, reserved; // ns
};
void stamp_clock_init(struct stamp_clock *c, uint64_t persisted);
// The next stamp in ns: max(unix_ns, the last one + 1). If *persist is not 0 afterwards, that value must be stored
// first.
uint64_t stamp_next(struct stamp_clock *c, uint64_t unix_ns, uint64_t *persist);

// Receiving. Stamps of one sender may overtake one another (two links); each is accepted once, and none that is older
// than the STAMP_SEEN newest.
struct stamp_seen {
    struct stamp floor, newest[STAMP_SEEN];
};
bool stamp_is_new(const struct stamp_seen *s, const struct stamp *t);
void stamp_remember(struct stamp_seen *s, const struct stamp *t);

#endif
