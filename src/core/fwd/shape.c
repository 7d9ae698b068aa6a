#include "core/fwd/shape.h"

#define SCALE 16 // bits behind the point of a microsecond
#define BPS_LEAST 1000u

void shape_set(struct shape *s, uint64_t bps, uint32_t burst_us, uint32_t burst_bytes)
{
    if (bps == SHAPE_FREE) {
        atomic_store_explicit(&s->per_byte, 0, memory_order_relaxed);
        return;
    }
    if (bps < BPS_LEAST) bps = BPS_LEAST;
    uint64_t per_byte = ((8 * BW_S) << SCALE) / bps, slack = (uint64_t)burst_us << SCALE;
    if (!per_byte) per_byte = 1;
    if (slack < per_byte * burst_bytes) slack = per_byte * burst_bytes;
    atomic_store_explicit(&s->slack, slack, memory_order_relaxed);
    atomic_store_explicit(&s->per_byte, per_byte, memory_order_relaxed);
}

bool shape_pass(struct shape *s, uint32_t n, bw_time now)
{
    uint64_t per_byte = atomic_load_explicit(&s->per_byte, memory_order_relaxed);
    if (!per_byte) return true;
    uint64_t t = now << SCALE, slack = atomic_load_explicit(&s->slack, memory_order_relaxed);
    uint64_t was = atomic_load_explicit(&s->empty_at, memory_order_relaxed), next;
    do {
        next = (was > t ? was : t) + per_byte * n;
        if (next - t > slack) {
            atomic_fetch_add_explicit(&s->dropped, n, memory_order_relaxed);
            return false;
        }
    } while (
        !atomic_compare_exchange_weak_explicit(&s->empty_at, &was, next, memory_order_relaxed, memory_order_relaxed));
    return true;
}
