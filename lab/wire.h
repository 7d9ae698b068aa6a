// The wires of a lab: pairs of TAP descriptors with an impairment in each direction, served by the keeper's loop.
#ifndef LAB_WIRE_H
#define LAB_WIRE_H

#include "lab/impair.h"
#include "lab/loop.h"

struct wires;

// offload: unimpaired wires carry the kernel's super-frames whole (fast); false: every frame as on a real wire.
struct wires *wires_new(struct loop *loop, bool offload, uint64_t seed);
void wires_free(struct wires *ws);
// Takes both descriptors over. Returns the wire's number, or a negative error (then they are closed).
int wires_add(struct wires *ws, int a, int b, const struct imp_spec *spec);
enum wire_way { WIRE_A_TO_B = 1, WIRE_B_TO_A = 2, WIRE_BOTH = 3 };
void wires_set(struct wires *ws, int wire, enum wire_way way, const struct imp_spec *spec);
// The direction from a (way 0) or from b (way 1).
const struct imp *wires_way(const struct wires *ws, int wire, int from);

#endif
