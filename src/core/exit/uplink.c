#include "core/exit/uplink.h"

#include <limits.h>
#include <string.h>

#define PACE_IDLE_US (1500 * BW_MS)
#define PACE_BUSY_US (750 * BW_MS)
#define PACE_DOWN_US (2 * BW_S)
#define TIMEOUT_LEAST_MS 500u
#define TIMEOUT_MOST_MS 1000u
#define PACE_AGAIN_US (500 * BW_MS)
#define HELD_UP_US (250 * BW_MS) // noticed so late, a miss is ours: the answer may wait behind the timer
#define HELD_UP_MOST 3           // so many such misses in a row say nothing
#define MISSES 2
#define MISSES_FLOWING 6
#define ANSWERS_US (2 * BW_S) // so recent an answer says that a family works
#define FLOW_SPAN_US (250 * BW_MS)
#define GOOD 2

void uplink_init(struct uplink *u, const struct uplink_ops *ops, bool trust, bool targets4, bool targets6)
{
    *u = (struct uplink){.ops = *ops, .trust = trust};
    for (unsigned f = 0; f < UPLINK_FAMILIES; f++)
        u->family[f] = (struct uplink_family){.state = UPLINK_NONE, .next = BW_NEVER};
    u->family[UPLINK_V4].targets = targets4;
    u->family[UPLINK_V6].targets = targets6;
}

static void enter(struct uplink_family *f, enum uplink_state state)
{
    if (f->state == state) return;
    f->state = state;
    f->missed = f->good = f->held_up = 0;
}

static void present(struct uplink *u, struct uplink_family *f, bool is, bw_time now)
{
    if (f->present == is) return;
    f->present = is;
    f->pending = false;
    f->next = is ? now : BW_NEVER;
    enter(f, !is ? UPLINK_NONE : u->trust ? UPLINK_PROVEN : UPLINK_UNKNOWN);
}

void uplink_present(struct uplink *u, bool v4, bool v6, bw_time now)
{
    present(u, &u->family[UPLINK_V4], v4, now);
    present(u, &u->family[UPLINK_V6], v6, now);
}

// Three round trips and some, so that a slow uplink is not called dead, within bounds that keep our promise.
static uint32_t timeout_ms(const struct uplink_family *f)
{
    uint32_t ms = f->rtt_us ? 3 * (f->rtt_us / 1000) + 300 : TIMEOUT_MOST_MS;
    return ms < TIMEOUT_LEAST_MS ? TIMEOUT_LEAST_MS : ms > TIMEOUT_MOST_MS ? TIMEOUT_MOST_MS : ms;
}

// How many misses in a row are "down", this one included. What flows in is not told apart by family.
static unsigned enough(const struct uplink *u, const struct uplink_family *f, bw_time now)
{
    const struct uplink_family *other = &u->family[f == &u->family[0]];
    if (!f->flowing) return MISSES;
    return other->answered && now - other->answered < ANSWERS_US ? MISSES_FLOWING : UINT_MAX;
}

static void missed(struct uplink *u, struct uplink_family *f, bw_time now)
{
    bool flowing = f->state == UPLINK_PROVEN && u->flowed >= f->asked + FLOW_SPAN_US;
    f->pending = false;
    if (now - f->asked > timeout_ms(f) * BW_MS + HELD_UP_US && f->held_up < HELD_UP_MOST) {
        f->held_up++;
        f->next = now;
        return;
    }
    f->good = 0;
    if (flowing != f->flowing) f->missed = 0;
    f->flowing = flowing;
    if (f->state != UPLINK_DOWN && ++f->missed >= enough(u, f, now)) enter(f, UPLINK_DOWN);
    f->next = f->state == UPLINK_DOWN ? f->asked + PACE_DOWN_US : now;
    if (f->next < now) f->next = now;
}

void uplink_result(struct uplink *u, unsigned family, uint32_t serial, bool ok, uint32_t rtt_us, bw_time now)
{
    if (family >= UPLINK_FAMILIES) return;
    struct uplink_family *f = &u->family[family];
    if (!f->pending || f->serial != serial) return; // late, or not asked for
    if (!ok) {
        missed(u, f, now);
        return;
    }
    f->pending = false;
    f->missed = f->held_up = 0;
    f->rtt_us = rtt_us;
    f->answered = now;
    if (f->state == UPLINK_DOWN && ++f->good < GOOD) {
        f->next = now + PACE_AGAIN_US;
        return;
    }
    enter(f, UPLINK_PROVEN);
    f->next = f->asked + (u->busy ? PACE_BUSY_US : PACE_IDLE_US);
    if (f->next < now) f->next = now;
}

void uplink_pace(struct uplink *u, bool idle, bool busy, bw_time now)
{
    bool wake = u->idle && !idle, hurry = busy && !u->busy;
    u->idle = idle;
    u->busy = busy;
    for (unsigned i = 0; i < UPLINK_FAMILIES; i++) {
        struct uplink_family *f = &u->family[i];
        if (!f->present || f->pending) continue;
        if (wake) f->next = now; // what was known before is old
        else if (hurry && f->next > now + PACE_BUSY_US) f->next = now + PACE_BUSY_US;
    }
}

void uplink_flows(struct uplink *u, bw_time at)
{
    u->flowed = at;
}

static void tick(struct uplink *u, unsigned i, bw_time now)
{
    struct uplink_family *f = &u->family[i];
    if (f->pending && now >= f->asked + timeout_ms(f) * BW_MS) missed(u, f, now);
    if (!f->pending && f->next <= now) {
        f->pending = true;
        f->asked = now;
        f->serial++;
        u->ops.probe(u->ops.ctx, i, f->serial, timeout_ms(f));
    }
}

bw_time uplink_tick(struct uplink *u, bw_time now)
{
    bw_time deadline = BW_NEVER;
    for (unsigned i = 0; i < UPLINK_FAMILIES; i++) {
        struct uplink_family *f = &u->family[i];
        if (!f->present || u->trust || u->idle || !f->targets) continue;
        tick(u, i, now);
        deadline = bw_time_min(deadline, f->pending ? f->asked + timeout_ms(f) * BW_MS : f->next);
    }
    return deadline;
}

bool uplink_family_proven(const struct uplink *u, unsigned family)
{
    const struct uplink_family *f = &u->family[family];
    if (!f->present || u->idle) return false;
    if (u->trust || f->targets) return f->state == UPLINK_PROVEN;
    return u->family[!family].state == UPLINK_PROVEN;
}

bool uplink_proven(const struct uplink *u)
{
    return uplink_family_proven(u, UPLINK_V4) || uplink_family_proven(u, UPLINK_V6);
}

bool uplink_settled(const struct uplink *u)
{
    if (uplink_proven(u)) return true;
    for (unsigned i = 0; i < UPLINK_FAMILIES; i++) {
        const struct uplink_family *f = &u->family[i];
        if (f->present && f->targets && !u->trust && !u->idle && f->state == UPLINK_UNKNOWN) return false;
    }
    return true;
}
