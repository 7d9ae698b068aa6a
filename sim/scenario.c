#include "sim/scenario.h"

#include <stdlib.h>

static void *grown(void *v, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room) return v;
    uint32_t more = *room ? *room * 2 : 16;
    void *n = realloc(v, more * size);
    if (n) *room = more;
    return n;
}

int scenario_add(struct scenario *s, const struct statement *t)
{
    void *v = grown(s->v, s->count, &s->room, sizeof *s->v);
    if (!v) return BW_ERR_NOMEM;
    s->v = v;
    s->v[s->count++] = *t;
    return 0;
}

int scenario_add_link(struct scenario *s, uint32_t a, uint32_t b, bool far, const struct wire *k)
{
    void *v = grown(s->links, s->link_count, &s->link_room, sizeof *s->links);
    if (!v) return BW_ERR_NOMEM;
    s->links = v;
    s->links[s->link_count++] = (struct scenario_link){.a = a, .b = b, .far = far, .wire = *k};
    return 0;
}

int scenario_add_exit(struct scenario *s, uint32_t node)
{
    for (uint32_t i = 0; i < s->exit_count; i++)
        if (s->exits[i] == node) return 0;
    uint32_t *v = realloc(s->exits, (s->exit_count + 1) * sizeof *v);
    if (!v) return BW_ERR_NOMEM;
    s->exits = v;
    v[s->exit_count++] = node;
    return 0;
}

void scenario_free(struct scenario *s)
{
    for (uint32_t i = 0; i < s->count; i++) free(s->v[i].set);
    free(s->v);
    free(s->links);
    free(s->exits);
    *s = (struct scenario){0};
}

int scenario_copy(struct scenario *to, const struct scenario *from)
{
    *to = (struct scenario){.seed = from->seed, .has_seed = from->has_seed, .nodes = from->nodes, .cap = from->cap, .end = from->end};
    for (uint32_t i = 0; i < from->link_count; i++) {
        const struct scenario_link *l = &from->links[i];
        if (scenario_add_link(to, l->a, l->b, l->far, &l->wire)) return BW_ERR_NOMEM;
    }
    for (uint32_t i = 0; i < from->exit_count; i++)
        if (scenario_add_exit(to, from->exits[i])) return BW_ERR_NOMEM;
    for (uint32_t i = 0; i < from->count; i++) {
        struct statement t = from->v[i];
        if (t.set) {
            t.set = malloc(t.set_count * sizeof *t.set);
            if (!t.set) return BW_ERR_NOMEM;
            memcpy(t.set, from->v[i].set, t.set_count * sizeof *t.set);
        }
        if (scenario_add(to, &t)) {
            free(t.set);
            return BW_ERR_NOMEM;
        }
    }
    return 0;
}

// ---- writing ----

static void put_time(FILE *to, uint64_t us)
{
    if (us % BW_S == 0) fprintf(to, "%llus", (unsigned long long)(us / BW_S));
    else if (us % BW_MS == 0) fprintf(to, "%llums", (unsigned long long)(us / BW_MS));
    else fprintf(to, "%lluus", (unsigned long long)us);
}

static void put_share(FILE *to, uint32_t ppm)
{
    fprintf(to, "%u", ppm / 10000);
    if (ppm % 10000) fprintf(to, ".%04u", ppm % 10000);
    fprintf(to, "%%");
}

static void put_wire(FILE *to, const struct wire *k, unsigned words)
{
    if (words & WIRE_DELAY) fprintf(to, " delay="), put_time(to, k->delay_us);
    if (words & WIRE_JITTER) fprintf(to, " jitter="), put_time(to, k->jitter_us);
    if (words & WIRE_LOSS) fprintf(to, " loss="), put_share(to, k->loss_ppm);
    if (words & WIRE_DUP) fprintf(to, " duplicate="), put_share(to, k->dup_ppm);
    if (words & WIRE_REORDER) fprintf(to, " reorder="), put_share(to, k->reorder_ppm);
    if (words & WIRE_RATE) fprintf(to, " rate=%llubit", (unsigned long long)k->rate_bps);
    if (words & WIRE_QUEUE) fprintf(to, " queue=%ub", k->queue);
    if (words & WIRE_MTU) fprintf(to, " mtu=%u", k->mtu);
}

static unsigned words_of(const struct wire *k) // the delay always: without the word it is not 0
{
    return WIRE_DELAY | (k->jitter_us ? WIRE_JITTER : 0) | (k->loss_ppm ? WIRE_LOSS : 0) | (k->dup_ppm ? WIRE_DUP : 0) |
           (k->reorder_ppm ? WIRE_REORDER : 0) | (k->rate_bps ? WIRE_RATE : 0) | (k->queue ? WIRE_QUEUE : 0) | (k->mtu ? WIRE_MTU : 0);
}

static void put_node(FILE *to, uint32_t n)
{
    if (n == SCENARIO_ALL) fprintf(to, " all");
    else fprintf(to, " n%u", n + 1);
}

static void put_condition(const struct statement *t, FILE *to)
{
    static const char *const names[] = {"reach", "lost", "route", "shortest", "links", "exit", "offline", "tidy", "settled", "delivered", "routes"};
    fprintf(to, " expect %s", names[t->is]);
    switch (t->is) {
    case IS_REACH:
        if (t->a == SCENARIO_ALL) break;
        // fall through
    case IS_LOST:
        put_node(to, t->a), put_node(to, t->b);
        break;
    case IS_VIA:
        put_node(to, t->a), put_node(to, t->b);
        fprintf(to, " via"), put_node(to, t->c);
        break;
    case IS_EXIT:
        put_node(to, t->a);
        if (t->b == SCENARIO_ALL) fprintf(to, " any");
        else put_node(to, t->b);
        break;
    case IS_OFFLINE: put_node(to, t->a); break;
    case IS_DELIVERED:
        put_node(to, t->a), put_node(to, t->b);
        fprintf(to, " "), put_share(to, (uint32_t)t->number * 1000);
        break;
    case IS_ROUTES:
        put_node(to, t->a);
        fprintf(to, " %lld..%lld", (long long)t->number, (long long)t->number2);
        break;
    default: break;
    }
}

void scenario_write_statement(const struct statement *t, FILE *to)
{
    static const char *const names[] = {"crash", "start", "stop", "forget", "cut", "heal", "partition", "unite", "wire",
                                        "clock", "clock", "clock", "memory", "uplink", "traffic", "calm", "report"};
    if (t->verb == DO_EXPECT && t->within) fprintf(to, "within "), put_time(to, t->within);
    else fprintf(to, "at "), put_time(to, t->at);
    if (t->verb == DO_EXPECT) put_condition(t, to);
    else fprintf(to, " %s", names[t->verb]);
    switch (t->verb) {
    case DO_CRASH: case DO_START: case DO_STOP: case DO_FORGET: put_node(to, t->a); break;
    case DO_CUT: case DO_HEAL: case DO_WIRE:
        put_node(to, t->a);
        if (t->a != SCENARIO_ALL) {
            if (t->one_way) fprintf(to, " >");
            put_node(to, t->b);
        }
        if (t->verb == DO_WIRE) put_wire(to, &t->wire, t->words);
        break;
    case DO_PARTITION:
        for (uint32_t i = 0; i < t->set_count; i++) put_node(to, t->set[i]);
        break;
    case DO_RATE: put_node(to, t->a), fprintf(to, " rate=%+lldppm", (long long)t->number); break;
    case DO_JUMP: put_node(to, t->a), fprintf(to, " jump="), put_time(to, (uint64_t)t->number); break;
    case DO_WALL: put_node(to, t->a), fprintf(to, " wall=%+llds", (long long)t->number); break;
    case DO_MEMORY:
        put_node(to, t->a);
        if (t->number2) fprintf(to, " limit=%lldb", (long long)t->number2);
        else if (t->number) fprintf(to, " fail=%lld%s", (long long)t->number, t->bad ? "+" : "");
        else fprintf(to, " ok");
        break;
    case DO_UPLINK: put_node(to, t->a), fprintf(to, t->bad ? " down" : " up"); break;
    case DO_TRAFFIC:
        put_node(to, t->a), put_node(to, t->b);
        fprintf(to, " every="), put_time(to, (uint64_t)t->number), fprintf(to, " for="), put_time(to, (uint64_t)t->number2);
        break;
    default: break;
    }
    fprintf(to, "\n");
}

void scenario_write(const struct scenario *s, FILE *to)
{
    fprintf(to, "seed %llu\nnodes %u\n", (unsigned long long)s->seed, s->nodes);
    if (s->cap) fprintf(to, "cap %u\n", s->cap);
    for (uint32_t i = 0; i < s->link_count; i++) {
        const struct scenario_link *l = &s->links[i];
        fprintf(to, "link n%u n%u%s", l->a + 1, l->b + 1, l->far ? " far" : "");
        put_wire(to, &l->wire, words_of(&l->wire));
        fprintf(to, "\n");
    }
    for (uint32_t i = 0; i < s->exit_count; i++) fprintf(to, "exit n%u\n", s->exits[i] + 1);
    for (uint32_t i = 0; i < s->count; i++) scenario_write_statement(&s->v[i], to);
    fprintf(to, "end ");
    put_time(to, s->end);
    fprintf(to, "\n");
}
