#include "sim/play.h"

#include <stdlib.h>

#include "core/fwd/csum.h"
#include "core/fwd/ip.h"
#include "sim/expect.h"
#include "sim/report.h"

#define POLL (20 * BW_MS) // how often an expectation is looked at; more rarely in large worlds
#define PACKET_MAGIC 0x62797761u
#define PAYLOAD 64
#define ARRIVES_WITHIN (2 * BW_S) // what was sent later than this before the end of a count does not count

struct traffic {
    uint32_t from, to;
    bw_time next, until, every;
    uint32_t sent, room;
    bw_time *sent_at;
    uint8_t *seen; // per packet
};

struct player {
    struct world *w;
    struct check *check;
    struct paths *paths;
    const struct scenario *s;
    const struct play_options *o;
    struct play_result *r;
    bw_time start, second;
    struct traffic *traffic;
    uint32_t traffic_count;
};

static bw_time since(const struct player *p) { return p->w->now - p->start; }

// ---- hooks ----

static void on_routes(void *ctx, uint32_t node, const struct fwd_snapshot *before)
{
    check_routes(((struct player *)ctx)->check, node, before);
}

static void on_said(void *ctx, uint32_t node, const uint8_t *packet, size_t n)
{
    check_said(((struct player *)ctx)->check, node, packet, n);
}

static void on_log(void *ctx, uint32_t node, enum bw_level level, const char *text)
{
    struct player *p = ctx;
    if (p->o->verbose) fprintf(stderr, "%10.3f n%u %s%s\n", (double)since(p) / 1e6, node + 1, level <= BW_WARN ? "! " : "", text);
}

static void on_tun(void *ctx, uint32_t node, const uint8_t *q, size_t n)
{
    struct player *p = ctx;
    const uint8_t *b = q + IP6_HEADER + 8;
    if (n != IP6_HEADER + 8 + PAYLOAD || q[6] != IP_UDP || ip_get32(b) != PACKET_MAGIC) return; // an ICMP error, say
    uint32_t which = ip_get32(b + 4), seq = ip_get32(b + 8);
    struct traffic *t = which < p->traffic_count ? &p->traffic[which] : NULL;
    bool whole = t && seq < t->sent;
    for (size_t i = 12; i < PAYLOAD; i++) whole &= b[i] == (uint8_t)(seq + i);
    if (!whole || t->to != node || memcmp(q + 8, p->w->nodes[t->from].id.addr.b, 16)) {
        check_fail(p->check, VIOLATION_PACKET, "n%u got a packet that is not as it was sent, or not for it", node + 1);
        return;
    }
    if (t->seen[seq]) check_fail(p->check, VIOLATION_PACKET, "packet %u from n%u arrived twice at n%u", seq, t->from + 1, node + 1);
    t->seen[seq] = 1;
    p->r->delivered++;
}

// ---- traffic ----

static void send_packet(struct player *p, uint32_t which)
{
    struct traffic *t = &p->traffic[which];
    uint8_t q[IP6_HEADER + 8 + PAYLOAD];
    const struct bw_addr *src = &p->w->nodes[t->from].id.addr, *dst = &p->w->nodes[t->to].id.addr;
    if (t->sent == t->room) return;
    ip6_header(q, 0, 8 + PAYLOAD, IP_UDP, 64, src, dst);
    uint8_t *u = q + IP6_HEADER, *b = u + 8;
    ip_put16(u, 40000), ip_put16(u + 2, 40000), ip_put16(u + 4, 8 + PAYLOAD), ip_put16(u + 6, 0);
    ip_put32(b, PACKET_MAGIC), ip_put32(b + 4, which), ip_put32(b + 8, t->sent);
    for (size_t i = 12; i < PAYLOAD; i++) b[i] = (uint8_t)(t->sent + i);
    csum_store(u + 6, csum_add(csum_pseudo(src->b, dst->b, 16, IP_UDP, 8 + PAYLOAD), u, 8 + PAYLOAD));
    t->sent_at[t->sent++] = p->w->now;
    p->r->sent++;
    p->check->spare += 2 * (sizeof q + 80); // there and, as an error, back
    world_inject(p->w, t->from, q, sizeof q);
}

static void add_traffic(struct player *p, const struct statement *s)
{
    struct traffic *v = realloc(p->traffic, (p->traffic_count + 1) * sizeof *v);
    uint32_t room = (uint32_t)(s->number2 / s->number) + 1;
    if (!v) return;
    p->traffic = v;
    v[p->traffic_count] = (struct traffic){.from = s->a, .to = s->b, .next = p->w->now, .until = p->w->now + (bw_time)s->number2,
                                           .every = (bw_time)s->number, .room = room};
    v[p->traffic_count].sent_at = calloc(room, sizeof(bw_time));
    v[p->traffic_count].seen = calloc(room, 1);
    BW_ASSERT(v[p->traffic_count].sent_at && v[p->traffic_count].seen);
    p->traffic_count++;
}

static bool delivered(const struct player *p, const struct statement *s, char why[EXPECT_WHY])
{
    uint64_t count = 0, arrived = 0;
    for (uint32_t k = 0; k < p->traffic_count; k++) {
        const struct traffic *t = &p->traffic[k];
        for (uint32_t i = 0; t->from == s->a && t->to == s->b && i < t->sent; i++) {
            if (!t->seen[i] && t->sent_at[i] + ARRIVES_WITHIN > p->w->now) continue;
            count++;
            arrived += t->seen[i];
        }
    }
    snprintf(why, EXPECT_WHY, "%llu of %llu packets from n%u have arrived at n%u", (unsigned long long)arrived, (unsigned long long)count, s->a + 1, s->b + 1);
    return count && arrived * 1000 >= count * (uint64_t)s->number;
}

// ---- time ----

static void run_to(struct player *p, bw_time until)
{
    struct world *w = p->w;
    while (w->now < until && !w->halt) {
        bw_time next = bw_time_min(until, p->second);
        for (uint32_t i = 0; i < p->traffic_count; i++) next = bw_time_min(next, p->traffic[i].next);
        world_run(w, next);
        for (uint32_t i = 0; i < p->traffic_count && !w->halt; i++) {
            struct traffic *t = &p->traffic[i];
            if (t->next > w->now) continue;
            t->next = t->next + t->every < t->until ? t->next + t->every : BW_NEVER;
            send_packet(p, i);
        }
        if (w->now < p->second || w->halt) continue;
        p->second = w->now + BW_S;
        check_second(p->check);
    }
}

// ---- what happens ----

static void each_wire(struct player *p, const struct statement *t, void (*fn)(struct player *p, uint32_t link, unsigned way, const struct statement *t))
{
    for (uint32_t i = 0; i < p->w->link_count; i++) {
        const struct world_link *l = &p->w->links[i];
        bool there = t->a == SCENARIO_ALL || (l->a == t->a && l->b == t->b), back = t->a == SCENARIO_ALL || (l->b == t->a && l->a == t->b);
        if (there || (back && !t->one_way)) fn(p, i, 0, t);
        if (back || (there && !t->one_way)) fn(p, i, 1, t);
    }
}

static void cut(struct player *p, uint32_t link, unsigned way, const struct statement *t)
{
    world_cut(p->w, link, way, CUT_LINK, t->verb == DO_CUT);
}

static void partition(struct player *p, const struct statement *t, bool on)
{
    for (uint32_t i = 0; i < p->w->link_count; i++) {
        const struct world_link *l = &p->w->links[i];
        bool a = false, b = false;
        for (uint32_t k = 0; k < t->set_count; k++) a |= t->set[k] == l->a, b |= t->set[k] == l->b;
        for (unsigned way = 0; way < 2; way++) world_cut(p->w, i, way, CUT_PARTITION, on && a != b);
    }
}

static void rewire(struct player *p, uint32_t link, unsigned way, const struct statement *t)
{
    struct wire k = p->w->links[link].k;
    if (way) return;
    if (t->words & WIRE_DELAY) k.delay_us = t->wire.delay_us;
    if (t->words & WIRE_JITTER) k.jitter_us = t->wire.jitter_us;
    if (t->words & WIRE_LOSS) k.loss_ppm = t->wire.loss_ppm;
    if (t->words & WIRE_DUP) k.dup_ppm = t->wire.dup_ppm;
    if (t->words & WIRE_REORDER) k.reorder_ppm = t->wire.reorder_ppm;
    if (t->words & WIRE_RATE) k.rate_bps = t->wire.rate_bps;
    if (t->words & WIRE_QUEUE) k.queue = t->wire.queue;
    if (t->words & WIRE_MTU) k.mtu = t->wire.mtu;
    world_wire(p->w, link, &k);
}

static void set_memory(struct player *p, const struct statement *t)
{
    struct world_mem *m = &p->w->nodes[t->a].memory;
    m->fail_at = t->number ? m->calls + (uint64_t)t->number : 0;
    m->fail_on = t->bad;
    m->limit = (size_t)t->number2;
}

// Every fault ends: wires are as they were described, nobody lacks memory, clocks run right, whoever crashed starts again.
static void calm(struct player *p)
{
    struct world *w = p->w;
    for (uint32_t i = 0; i < w->link_count; i++) {
        for (unsigned way = 0; way < 2; way++) {
            world_cut(w, i, way, CUT_LINK, false);
            world_cut(w, i, way, CUT_PARTITION, false);
        }
        world_wire(w, i, &p->s->links[i].wire);
    }
    for (uint32_t i = 0; i < w->node_count; i++) {
        struct world_node *n = &w->nodes[i];
        n->memory.fail_at = n->memory.limit = 0;
        n->uplink = true;
        if (n->clock.rate != CLOCK_UNIT) world_clock_rate(w, i, CLOCK_UNIT);
        if (n->link_count && !n->wanted) world_start(w, i);
    }
}

static void expect(struct player *p, uint32_t index)
{
    const struct statement *t = &p->s->v[index];
    char why[EXPECT_WHY] = "";
    bw_time begin = p->start + t->at, deadline = t->within ? begin + t->within : 0;
    bw_time poll = p->w->node_count > 1000 ? BW_S : p->w->node_count > 100 ? 250 * BW_MS : t->is == IS_SETTLED || t->is == IS_SHORTEST ? 100 * BW_MS : POLL;
    for (;;) {
        bool ok = t->is == IS_DELIVERED ? delivered(p, t, why) : expect_holds(p->paths, t, why);
        if (ok || p->w->halt) break;
        if (p->w->now >= deadline) {
            p->r->statement = index;
            check_fail(p->check, VIOLATION_EXPECTATION, "%s%s", t->within ? "still " : "", why);
            return;
        }
        run_to(p, bw_time_min(deadline, p->w->now + poll));
    }
    if (!t->within) return;
    p->r->waits[p->r->wait_count++] = (struct play_wait){index, p->w->now - begin};
    if (p->o->verbose) fprintf(stderr, "%10.3f - so after %.2f s\n", (double)since(p) / 1e6, (double)(p->w->now - begin) / 1e6);
}

static void act(struct player *p, uint32_t index)
{
    const struct statement *t = &p->s->v[index];
    struct world *w = p->w;
    if (p->o->verbose) {
        fprintf(stderr, "%10.3f - ", (double)since(p) / 1e6);
        scenario_write_statement(t, stderr);
    }
    switch (t->verb) {
    case DO_CRASH: world_crash(w, t->a); break;
    case DO_START:
        for (uint32_t i = 0; i < w->node_count; i++)
            if (t->a == i || t->a == SCENARIO_ALL) world_start(w, i);
        break;
    case DO_STOP: world_stop(w, t->a); break;
    case DO_FORGET: world_forget(w, t->a); break;
    case DO_CUT: case DO_HEAL: each_wire(p, t, cut); break;
    case DO_PARTITION: partition(p, t, true); break;
    case DO_UNITE: partition(p, t, false); break;
    case DO_WIRE: each_wire(p, t, rewire); break;
    case DO_RATE: world_clock_rate(w, t->a, (uint64_t)(CLOCK_UNIT + t->number)); break;
    case DO_JUMP: world_clock_jump(w, t->a, (bw_time)t->number); break;
    case DO_WALL: world_clock_wall(w, t->a, t->number); break;
    case DO_MEMORY: set_memory(p, t); break;
    case DO_UPLINK: world_uplink(w, t->a, !t->bad); break;
    case DO_TRAFFIC: add_traffic(p, t); break;
    case DO_CALM: calm(p); break;
    case DO_REPORT:
        if (p->o->report) report_write(p->o->report, p->check, since(p));
        break;
    case DO_EXPECT: expect(p, index); break;
    }
    if (t->verb == DO_HEAL || t->verb == DO_UNITE || t->verb == DO_CALM) check_wires(p->check);
}

// ---- the whole of it ----

static bool make_world(struct player *p)
{
    const struct scenario *s = p->s;
    struct world *w = p->w = world_new(s->seed, s->nodes, NULL);
    if (!w) return false;
    w->coarse = s->nodes > 300;
    for (uint32_t i = 0; i < s->link_count; i++)
        if (world_link(w, s->links[i].a, s->links[i].b, &s->links[i].wire, s->links[i].far) < 0) return false;
    for (uint32_t i = 0; i < s->exit_count; i++) w->nodes[s->exits[i]].share = true;
    for (uint32_t i = 0; i < s->nodes; i++) w->nodes[i].cap = s->cap;
    p->check = check_new(w, !p->o->no_feasibility && s->nodes <= 200);
    p->paths = p->check ? paths_new(p->check) : NULL;
    p->r->waits = calloc(s->count + 1, sizeof *p->r->waits);
    w->hooks = (struct world_hooks){.ctx = p, .routes = on_routes, .said = on_said, .tun = on_tun, .log = on_log};
    return p->paths && p->r->waits;
}

static void sum_up(struct player *p)
{
    struct play_result *r = p->r;
    const struct world *w = p->w;
    r->violation = p->check->first;
    snprintf(r->what, sizeof r->what, "%s", p->check->what);
    r->when = p->check->first ? p->check->when - p->start : 0;
    r->hash = w->hash;
    r->steps = w->steps;
    r->nodes = w->node_count;
    r->links = w->link_count;
    for (uint32_t i = 0; i < w->link_count; i++) {
        r->packets += w->links[i].packets[0] + w->links[i].packets[1];
        r->bytes += w->links[i].bytes[0] + w->links[i].bytes[1];
    }
    r->changes = p->check->changes;
    r->most_bytes = p->check->most_bytes;
    r->most_memory = p->check->most_memory;
    r->ran = since(p);
}

int play(const struct scenario *s, const struct play_options *o, struct play_result *r)
{
    struct player p = {.s = s, .o = o, .r = r};
    *r = (struct play_result){.statement = UINT32_MAX};
    bool ok = make_world(&p);
    if (ok) {
        p.start = p.w->now;
        p.second = p.start + BW_S;
        for (uint32_t i = 0; i < s->nodes; i++)
            if (p.w->nodes[i].link_count || s->nodes == 1) world_start(p.w, i);
        for (uint32_t i = 0; i < s->count && !p.w->halt; i++) {
            run_to(&p, p.start + s->v[i].at);
            if (!p.w->halt) act(&p, i);
        }
        run_to(&p, p.start + s->end);
        sum_up(&p);
    }
    paths_free(p.paths);
    check_free(p.check);
    world_free(p.w);
    for (uint32_t i = 0; i < p.traffic_count; i++) {
        free(p.traffic[i].sent_at);
        free(p.traffic[i].seen);
    }
    free(p.traffic);
    return ok ? 0 : BW_ERR_NOMEM;
}

void play_result_free(struct play_result *r)
{
    free(r->waits);
    r->waits = NULL;
}
