// What the exit's clients use, how fast they may go, and who had which address: server.h's side of limit.h.
#include <stdio.h>

#include "core/exit/server.h"

#define NOTE_EVERY_US (60 * BW_S) // a crash forgets this much of what was used
#define NOTE_AT_ONCE 64u
#define TICK_IDLE_US (1 * BW_S)
#define BUSY_BPS 16000u

// 0: unknown.
static int64_t exits_unix(const struct exits *s, bw_time now)
{
    return s->wall_minus_now_s ? s->wall_minus_now_s + (int64_t)(now / BW_S) : 0;
}

static void tell_when_over(struct exits_lease *l)
{
    if (l->told_over == l->use.over) return;
    l->told_over = l->use.over;
    l->news++;
}

void exits_meter_begin(struct exits *s, struct exits_lease *l)
{
    struct exits_month v = {0};
    memcpy(v.key, l->key, sizeof v.key);
    bool known = l->use.month_bytes || l->use.month; // it was here before
    if (!known && s->ops.recall && s->ops.recall(s->ops.ctx, &v)) {
        l->use.month = v.month;
        l->use.month_bytes = v.bytes;
    }
    l->since_s = 0;
    if (s->limits.all) limits_start(&s->limits, &l->use, l->shared);
    l->told_over = l->use.over;
}

static void note(struct exits_lease *l, struct exits_month *out)
{
    *out = (struct exits_month){.month = l->use.month, .bytes = l->use.month_bytes};
    memcpy(out->key, l->key, sizeof out->key);
    l->use.dirty = false;
}

void exits_meter_end(struct exits *s, struct exits_lease *l, bw_time now)
{
    struct exits_month v;
    limits_settle(&s->limits, &l->use, l->shared, exits_unix(s, now));
    if (!l->use.dirty || !s->ops.note) return;
    note(l, &v);
    s->ops.note(s->ops.ctx, &v, 1);
}

void exits_note(struct exits *s, bw_time now)
{
    struct exits_month v[NOTE_AT_ONCE];
    unsigned n = 0;
    s->note_next = now + NOTE_EVERY_US;
    if (!s->ops.note) return;
    for (unsigned i = 0; i < s->count; i++) {
        if (!s->lease[i].use.dirty) continue;
        note(&s->lease[i], &v[n]);
        if (++n < NOTE_AT_ONCE - 1) continue;
        s->ops.note(s->ops.ctx, v, n);
        n = 0;
    }
    if (s->limits.volume_used) v[n++] = (struct exits_month){.month = s->limits.month, .bytes = s->limits.volume_used};
    if (n) s->ops.note(s->ops.ctx, v, n);
}

void exits_limits(struct exits *s, const struct limit_config *c)
{
    s->config.limits = *c;
    limits_config(&s->limits, c);
    s->offer_until = 0;
    s->meter_next = exits_active(s) ? 0 : BW_NEVER;
}

// The clock that says how much all used this month, known from before.
static void recall_all(struct exits *s)
{
    struct exits_month v = {0};
    if (s->limits.month || s->limits.volume_used || !s->ops.recall || !s->ops.recall(s->ops.ctx, &v)) return;
    s->limits.month = v.month;
    s->limits.volume_used = v.bytes;
}

static unsigned gather(struct exits *s)
{
    unsigned n = 0, active = exits_active(s);
    if (active > s->meter_room) {
        struct limit_client *more = bw_resize(s->mem, s->meter, s->meter_room * sizeof *more, s->room * sizeof *more);
        if (!more) return 0;
        s->meter = more;
        s->meter_room = s->room;
    }
    for (unsigned i = 0; i < s->count; i++)
        if (s->lease[i].active) s->meter[n++] = (struct limit_client){&s->lease[i].use, s->lease[i].shared};
    return n;
}

static bool is_busy(const struct exits *s)
{
    for (unsigned w = 0; w < LIMIT_WAYS; w++)
        if (s->limits.way[w].rate > BUSY_BPS) return true;
    return false;
}

bool exits_meter(struct exits *s, bw_time now)
{
    uint64_t down, up;
    if (now < s->meter_next || !s->limits.all) return false;
    if (!s->limits.last) recall_all(s);
    unsigned n = gather(s), load = limits_load(&s->limits);
    const struct limit_config *c = &s->config.limits;
    bool floors = c->floor_bps[LIMIT_DOWN] || c->floor_bps[LIMIT_UP];
    if (n && floors && s->ops.uplink_bytes && s->ops.uplink_bytes(s->ops.ctx, &down, &up))
        limits_uplink(&s->limits, down, up, s->meter, n, now);
    limits_tick(&s->limits, s->meter, n, exits_unix(s, now), now);
    for (unsigned i = 0; i < s->count; i++)
        if (s->lease[i].active) tell_when_over(&s->lease[i]);
    if ((load >= 50) != (limits_load(&s->limits) >= 50)) s->offer_until = bw_time_min(s->offer_until, now + 5 * BW_S);
    if (now >= s->note_next) exits_note(s, now);
    s->meter_next = !n ? BW_NEVER : now + (is_busy(s) || floors ? LIMIT_TICK_US : TICK_IDLE_US);
    return false; // rates are told to the packet path directly, not by a new snapshot
}

void exits_log(struct exits *s, struct exits_lease *l, bool ended, bw_time now)
{
    static const struct bw_addr none;
    int64_t unix_s = exits_unix(s, now), since = unix_s - (int64_t)((now - l->since) / BW_S);
    if (!s->ops.log || unix_s <= 0 || since <= 0) return; // without a clock there is no "when"
    if (!l->since_s) l->since_s = (uint64_t)since;
    struct exits_logged e = {.address = l->address,
                             .inner4 = l->v4 ? l->inner4 : none,
                             .inner6 = l->v6 ? l->inner6 : none,
                             .since_s = l->since_s,
                             .ended = ended};
    memcpy(e.key, l->key, sizeof e.key);
    e.until_s = (uint64_t)unix_s + (ended || l->expires < now ? 0 : (l->expires - now) / BW_S);
    s->ops.log(s->ops.ctx, &e);
}

void exits_notice(const struct exits *s, const struct exits_lease *l, char *out, size_t cap)
{
    const struct limit_config *c = &s->config.limits;
    bool own = c->volume_client && l->use.month_bytes >= c->volume_client;
    uint64_t mb = (own ? c->volume_client : c->volume) / 1000000;
    *out = 0;
    if (!l->use.over) return;
    snprintf(out, cap, "%s %llu.%llu GB of this month are used up; until the next it is slowed to %u kbit/s",
             own ? "this node's" : "all clients'", (unsigned long long)(mb / 1000),
             (unsigned long long)(mb % 1000 / 100), LIMIT_SLOW_BPS / 1000);
}
