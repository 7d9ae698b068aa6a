#include "sim/world.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/discover/discover.h"

#define RESTART_AFTER (BW_S) // a node that could not start for lack of memory is tried again

// ---- the trace ----

void world_hash(struct world *w, const void *p, size_t n)
{
    const uint8_t *b = p;
    uint64_t h = w->hash;
    for (size_t i = 0; i < n; i++) h = (h ^ b[i]) * 0x100000001b3u;
    w->hash = h;
}

void world_hash_number(struct world *w, uint64_t v)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++) b[i] = (uint8_t)(v >> (8 * i)); // the same on every machine
    world_hash(w, b, sizeof b);
}

void world_seed_of(uint64_t seed, const char *what, uint64_t index, uint8_t out[32])
{
    uint8_t n[16];
    for (int i = 0; i < 8; i++) {
        n[i] = (uint8_t)(seed >> (8 * i));
        n[8 + i] = (uint8_t)(index >> (8 * i));
    }
    bw_blake2s(out, 32, NULL, 0, what, strlen(what), n, sizeof n);
}

// ---- nodes by their next deadline: an indexed heap ----

static void place(struct world *w, uint32_t at, uint32_t node)
{
    w->wakes[at] = node;
    w->nodes[node].heap_at = at;
}

static bool sooner(const struct world *w, bw_time when, uint32_t node, uint32_t other)
{
    const struct world_node *o = &w->nodes[other];
    return when != o->wake ? when < o->wake : node < other; // ties by number: the order must not depend on history
}

static void wake_at(struct world *w, struct world_node *n, bw_time when)
{
    if (when < w->now) when = w->now;
    n->wake = when;
    uint32_t i = n->heap_at;
    while (i && sooner(w, when, n->index, w->wakes[(i - 1) / 2])) {
        place(w, i, w->wakes[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (uint32_t kid; (kid = 2 * i + 1) < w->node_count; i = kid) {
        uint32_t right = kid + 1;
        if (right < w->node_count && sooner(w, w->nodes[w->wakes[right]].wake, w->wakes[right], w->wakes[kid])) kid = right;
        if (sooner(w, when, n->index, w->wakes[kid])) break;
        place(w, i, w->wakes[kid]);
    }
    place(w, i, n->index);
}

void world_turn(struct world *w, struct world_node *n)
{
    if (!n->node) return;
    bw_time local = world_local(n);
    w->current = n->index;
    node_tick(n->node, local, clock_wall_ns(&n->clock, w->now));
    bw_time next = node_deadline(n->node);
    wake_at(w, n, next <= local ? w->now + 1 : clock_world(&n->clock, next));
    if (w->hooks.turn) w->hooks.turn(w->hooks.ctx, n->index);
    if (!node_stopped(n->node, local)) return;
    bool clean = node_stopped_clean(n->node);
    world_crash(w, n->index);
    n->clean = clean;
}

// ---- memory ----

#define HEAD 16 // in front of each block: its size, so that nobody gives back more or less than he got

static void *sim_resize(struct bw_mem *m, void *old, size_t old_size, size_t size)
{
    struct world_mem *wm = (struct world_mem *)m;
    char *block = old ? (char *)old - HEAD : NULL;
    size_t was = 0;
    if (block) memcpy(&was, block, sizeof was);
    BW_ASSERT(was == old_size);
    if (!size) {
        free(block);
        return NULL;
    }
    wm->calls++;
    bool told = wm->fail_at && (wm->fail_on ? wm->calls >= wm->fail_at : wm->calls == wm->fail_at);
    if (told || (wm->limit && size > old_size && m->used + (size - old_size) > wm->limit)) {
        wm->failures++;
        return NULL;
    }
    char *moved = realloc(block, size + HEAD);
    if (!moved) return NULL;
    memcpy(moved, &size, sizeof size);
    return moved + HEAD;
}

// ---- life and death ----

static void alive_since(struct world *w, uint32_t link)
{
    struct world_link *l = &w->links[link];
    bool alive = w->nodes[l->a].node && w->nodes[l->b].node && !l->cut[0] && !l->cut[1];
    if (!alive && l->alive_since != BW_NEVER) l->dead_since = w->now;
    if (!alive) l->alive_since = BW_NEVER;
    else if (l->alive_since == BW_NEVER) l->alive_since = w->now;
}

static void own_links_changed(struct world *w, struct world_node *n)
{
    for (uint32_t i = 0; i < n->link_count; i++) alive_since(w, n->links[i]);
    if (w->hooks.routes) w->hooks.routes(w->hooks.ctx, n->index, NULL);
}

static bool join_wire(struct world *w, struct world_node *n, uint32_t link)
{
    const struct world_link *l = &w->links[link];
    bw_time now = world_local(n);
    if (!l->far) {
        char name[16];
        snprintf(name, sizeof name, "w%u", link);
        node_iface_add(n->node, link + 1, name, now);
        return true;
    }
    uint32_t other = world_other(l, n->index);
    struct link_peer p = {.endpoint = {.addr = world_wire_addr(other, link, true), .port = DISCOVER_PORT}, .source = LINK_CONFIG};
    memcpy(p.key, w->nodes[other].id.link_pk, sizeof p.key);
    snprintf(p.name, sizeof p.name, "n%u", other + 1);
    return !node_peer_add(n->node, &p, now);
}

static void start_later(struct world *w, struct world_node *n)
{
    struct event e = {.at = w->now + RESTART_AFTER, .kind = EVENT_RESTART, .node = n->index, .life = n->life};
    (void)!events_push(&w->events, &e);
}

void world_start(struct world *w, uint32_t index)
{
    struct world_node *n = &w->nodes[index];
    n->wanted = true;
    if (n->node) return;
    n->life++;
    w->current = index;
    world_hash_number(w, (uint64_t)index << 8 | 0xf0);
    struct node_config c = {.id = &n->id, .port = DISCOVER_PORT, .threads = 1, .transit = true, .tai_high = n->numbers[NODE_TAI_HIGH],
                            .seqno = (uint16_t)n->numbers[NODE_SEQNO], .session_tai = n->numbers[NODE_SESSION_TAI], .epoch = n->epoch + 1, .table_cap = n->cap,
                            .clean_start = !n->started_before || n->clean, .probe4 = true};
    if (n->forgot) node_numbers_lost(&c, clock_wall_ns(&n->clock, w->now));
    n->forgot = false;
    n->numbers[NODE_TAI_HIGH] = c.tai_high;
    n->numbers[NODE_SESSION_TAI] = c.session_tai;
    n->epoch = c.epoch;
    snprintf(c.name, sizeof c.name, "n%u", index + 1);
    struct node_out out = machine_out(n);
    bw_time now = world_local(n);
    if (machine_path(n)) n->node = node_new(&n->memory.mem, &n->rng, &w->log, &c, &out, now, clock_wall_ns(&n->clock, w->now));
    if (!n->node) {
        start_later(w, n);
        return;
    }
    n->started_before = true;
    n->clean = false;
    n->since = w->now;
    for (uint32_t i = 0; i < n->link_count; i++) {
        if (join_wire(w, n, n->links[i])) continue;
        world_crash(w, index); // as the daemon does without memory for a configured neighbour
        n->wanted = true;
        start_later(w, n);
        return;
    }
    node_uplink(n->node, n->share, false, now);
    node_use(n->node, EXITC_AUTO, NULL, false, now);
    node_share(n->node, n->share, now);
    own_links_changed(w, n);
    world_turn(w, n);
}

static void free_retired(struct world *w)
{
    while (w->retired_count) fwd_snapshot_free(w->retired[--w->retired_count]);
}

void world_crash(struct world *w, uint32_t index)
{
    struct world_node *n = &w->nodes[index];
    n->wanted = false;
    if (!n->node) return;
    world_hash_number(w, (uint64_t)index << 8 | 0xf1);
    node_free(n->node);
    n->node = NULL;
    n->clean = false;
    n->since = w->now;
    machine_retire(w, n->snapshot);
    n->snapshot = NULL;
    wake_at(w, n, BW_NEVER);
    own_links_changed(w, n);
    free_retired(w);
    w->leaked += n->memory.mem.used;
}

void world_stop(struct world *w, uint32_t index)
{
    struct world_node *n = &w->nodes[index];
    n->wanted = false;
    if (!n->node) return;
    node_stop(n->node, world_local(n));
    world_turn(w, n);
}

void world_forget(struct world *w, uint32_t index)
{
    struct world_node *n = &w->nodes[index];
    if (n->node || !n->started_before) return; // a running one would store them again
    memset(n->numbers, 0, sizeof n->numbers);
    n->epoch = 0;
    n->clean = false;
    n->forgot = true;
}

void world_uplink(struct world *w, uint32_t index, bool works)
{
    w->nodes[index].uplink = works;
}

// ---- clocks ----

void world_clock_rate(struct world *w, uint32_t index, uint64_t rate)
{
    struct world_node *n = &w->nodes[index];
    clock_settle(&n->clock, w->now);
    n->clock.rate = rate;
    world_turn(w, n);
}

void world_clock_jump(struct world *w, uint32_t index, bw_time by)
{
    struct world_node *n = &w->nodes[index];
    clock_settle(&n->clock, w->now);
    n->clock.local0 += by; // the wall clock stays: local0 is its reference too
    world_turn(w, n);
}

void world_clock_wall(struct world *w, uint32_t index, int64_t by_s)
{
    struct world_node *n = &w->nodes[index];
    clock_settle(&n->clock, w->now);
    int64_t s = (int64_t)(n->clock.wall0_ns / 1000000000u) + by_s;
    n->clock.wall0_ns = s < 0 ? 0 : (uint64_t)s * 1000000000u;
    world_turn(w, n);
}

// ---- wires ----

void world_cut(struct world *w, uint32_t link, unsigned way, enum cut why, bool cut)
{
    struct world_link *l = &w->links[link];
    if (cut) l->cut[way] |= (uint8_t)why;
    else l->cut[way] &= (uint8_t)~why;
    alive_since(w, link);
}

void world_wire(struct world *w, uint32_t link, const struct wire *k)
{
    w->links[link].k = *k;
}

// ---- time ----

static void happen(struct world *w, struct event *e)
{
    struct world_node *n = &w->nodes[e->node];
    w->current = e->node;
    if (e->life && e->life != n->life) return;
    world_hash_number(w, (uint64_t)e->node << 8 | (uint64_t)e->kind);
    switch (e->kind) {
    case EVENT_DATAGRAM: machine_receive(w, n, e); break;
    case EVENT_HTTP_REQUEST: machine_http(w, n, e); break;
    case EVENT_HTTP_REPLY: machine_answered(w, n, e); break;
    case EVENT_PROBE:
        if (n->node) node_probe_done(n->node, e->link, (uint32_t)e->len, true, 20000, world_local(n));
        world_turn(w, n);
        break;
    case EVENT_RESTART:
        if (n->wanted) world_start(w, e->node);
        break;
    }
}

void world_run(struct world *w, bw_time until)
{
    for (;;) {
        free_retired(w);
        if (w->halt) return;
        bw_time event = events_next(&w->events), wake = w->node_count ? w->nodes[w->wakes[0]].wake : BW_NEVER;
        bw_time next = bw_time_min(event, wake);
        if (next > until || next == BW_NEVER) break;
        BW_ASSERT(next >= w->now);
        w->now = next;
        w->steps++;
        world_hash_number(w, next);
        if (event <= wake) {
            struct event e;
            events_pop(&w->events, &e);
            happen(w, &e);
            free(e.data);
        } else {
            world_turn(w, &w->nodes[w->wakes[0]]);
        }
    }
    if (until > w->now && until != BW_NEVER) w->now = until;
}

// ---- making one ----

static int add_to(struct world_node *n, uint32_t link)
{
    uint32_t *v = realloc(n->links, (n->link_count + 1) * sizeof *v);
    if (!v) return BW_ERR_NOMEM;
    n->links = v;
    v[n->link_count++] = link;
    return 0;
}

int world_link(struct world *w, uint32_t a, uint32_t b, const struct wire *k, bool far)
{
    if (w->link_count == w->link_room) {
        uint32_t room = w->link_room ? w->link_room * 2 : 64;
        struct world_link *v = realloc(w->links, room * sizeof *v);
        if (!v) return BW_ERR_NOMEM;
        w->links = v;
        w->link_room = room;
    }
    w->links[w->link_count] = (struct world_link){.a = a, .b = b, .far = far, .k = *k, .alive_since = BW_NEVER, .dead_since = w->now};
    if (add_to(&w->nodes[a], w->link_count) || add_to(&w->nodes[b], w->link_count)) return BW_ERR_NOMEM;
    return (int)w->link_count++;
}

static void log_line(void *ctx, enum bw_level level, const char *text)
{
    struct world *w = ctx;
    if (w->hooks.log) w->hooks.log(w->hooks.ctx, w->current, level, text);
}

static void make_node(struct world *w, uint32_t i, const struct identity *id)
{
    struct world_node *n = &w->nodes[i];
    uint8_t s[32];
    *n = (struct world_node){.world = w, .index = i, .wake = BW_NEVER, .heap_at = i, .uplink = true};
    w->wakes[i] = i;
    n->memory.mem.resize = sim_resize;
    world_seed_of(w->seed, "identity", i, s);
    bw_rng_seed(&n->rng, s);
    if (id) n->id = *id;
    else identity_draw(&n->id, &n->rng);
    world_seed_of(w->seed, "entropy", i, s);
    bw_rng_seed(&n->rng, s);
    // bw_time starts anywhere: here so that every fourth or so passes a multiple of 65,536 s, where 16-bit seconds wrap
    bw_time local = BW_S * (1 + bw_rng_below(&n->rng, 1000) + (bw_rng_below(&n->rng, 4) ? 0 : 64800));
    // ... and seqnos may be anything at the first start: every third is about to wrap
    if (bw_rng_below(&n->rng, 3) == 0) n->numbers[NODE_SEQNO] = 65536 - 300 + bw_rng_below(&n->rng, 299);
    n->clock = (struct clock){.world0 = w->now, .local0 = local, .rate = CLOCK_UNIT, .wall0_ns = w->unix_ns};
}

struct world *world_new(uint64_t seed, uint32_t node_count, const struct identity *ids)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->seed = seed;
    w->unix_ns = 1790000000ull * 1000000000ull;
    w->now = BW_S;
    w->hash = 0xcbf29ce484222325u;
    w->log = (struct bw_log){log_line, w, BW_INFO};
    w->nodes = calloc(node_count ? node_count : 1, sizeof *w->nodes);
    w->wakes = calloc(node_count ? node_count : 1, sizeof *w->wakes);
    if (!w->nodes || !w->wakes) {
        world_free(w);
        return NULL;
    }
    w->node_count = node_count;
    for (uint32_t i = 0; i < node_count; i++) make_node(w, i, ids ? &ids[i] : NULL);
    return w;
}

void world_free(struct world *w)
{
    if (!w) return;
    w->hooks = (struct world_hooks){0};
    for (uint32_t i = 0; w->nodes && i < w->node_count; i++) {
        world_crash(w, i);
        free(w->nodes[i].links);
        free(w->nodes[i].fwd);
    }
    for (uint32_t i = 0; i < w->link_count; i++) free(w->links[i].rng);
    events_free(&w->events);
    free(w->nodes);
    free(w->links);
    free(w->wakes);
    free(w);
}
