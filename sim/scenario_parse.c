// Reads scenarios (docs/spec/scenario.md): one statement per line, the first mistake told with line and column.
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>

#include "sim/scenario.h"

#define WORDS_MAX 70
#define WORD_LEN 40

struct word {
    char text[WORD_LEN];
    unsigned column;
};

struct reader {
    struct scenario *s;
    uint64_t seed;
    char *error;
    unsigned line;
    struct word words[WORDS_MAX];
    unsigned count, next;
    bw_time at;    // of the last `at`
    bw_time after; // no statement may be earlier: when the last expectation may still be waited for
    bool ended;    // `end` was read
    bool failed;
};

__attribute__((format(printf, 3, 4)))
static bool wrong(struct reader *r, unsigned column, const char *fmt, ...)
{
    if (r->failed) return false;
    r->failed = true;
    int n = snprintf(r->error, SCENARIO_ERROR, "%u:%u: ", r->line, column);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->error + n, SCENARIO_ERROR - (size_t)n, fmt, ap);
    va_end(ap);
    return false;
}

static unsigned column_of(const struct reader *r, unsigned i)
{
    if (i < r->count) return r->words[i].column;
    return r->count ? r->words[r->count - 1].column + (unsigned)strlen(r->words[r->count - 1].text) : 1;
}

static bool wrong_word(struct reader *r, const char *what) // the next one
{
    if (r->next < r->count) return wrong(r, column_of(r, r->next), "%s, not `%s`", what, r->words[r->next].text);
    return wrong(r, column_of(r, r->next), "%s is missing", what);
}

static bool split(struct reader *r, const char *line, size_t n)
{
    r->count = r->next = 0;
    for (size_t i = 0; i < n;) {
        if (line[i] == ' ' || line[i] == '\t' || line[i] == '\r') {
            i++;
            continue;
        }
        if (line[i] == '#') return true;
        size_t begin = i;
        while (i < n && line[i] != ' ' && line[i] != '\t' && line[i] != '\r') {
            if ((unsigned char)line[i] < 0x20 || (unsigned char)line[i] > 0x7e) return wrong(r, (unsigned)i + 1, "only ASCII text is allowed");
            i++;
        }
        if (r->count == WORDS_MAX) return wrong(r, (unsigned)begin + 1, "more than %d words in a line", WORDS_MAX);
        if (i - begin >= WORD_LEN) return wrong(r, (unsigned)begin + 1, "a word of more than %d letters", WORD_LEN - 1);
        struct word *w = &r->words[r->count++];
        memcpy(w->text, line + begin, i - begin);
        w->text[i - begin] = 0;
        w->column = (unsigned)begin + 1;
    }
    return true;
}

static bool word_is(const struct reader *r, const char *what)
{
    return r->next < r->count && !strcmp(r->words[r->next].text, what);
}

static bool take(struct reader *r, const char *what)
{
    if (!word_is(r, what)) return false;
    r->next++;
    return true;
}

// The value behind NAME=; NULL: the next word is another one.
static const char *take_value(struct reader *r, const char *name)
{
    size_t n = strlen(name);
    if (r->next >= r->count || strncmp(r->words[r->next].text, name, n) || r->words[r->next].text[n] != '=') return NULL;
    return r->words[r->next++].text + n + 1;
}

// ---- numbers with units: decimal fractions are exact to the unit's smallest part ----

struct unit {
    const char *name;
    uint64_t parts;
};

static bool decimal(const char *s, const struct unit *units, uint64_t max, uint64_t *out)
{
    uint64_t whole = 0, tenth = 1, fraction = 0;
    const char *p = s;
    for (; isdigit((unsigned char)*p); p++) {
        whole = whole * 10 + (uint64_t)(*p - '0');
        if (whole > 1000000000000000u) return false;
    }
    if (p == s) return false;
    if (*p == '.') {
        const char *dot = p++;
        for (; isdigit((unsigned char)*p) && tenth < 100000000; p++) fraction = fraction * 10 + (uint64_t)(*p - '0'), tenth *= 10;
        if (p == dot + 1) return false;
    }
    for (; units->name; units++) {
        if (strcmp(p, units->name)) continue;
        if (whole > max / units->parts || (units->parts == 1 && tenth > 1)) return false; // nothing is smaller than a part
        *out = whole * units->parts + fraction * units->parts / tenth;
        return *out <= max;
    }
    return false;
}

static const struct unit times[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}, {"m", 60000000}, {"h", 3600000000u}, {"d", 86400000000u}, {NULL, 0}};
static const struct unit shares[] = {{"%", 10000}, {"ppm", 1}, {NULL, 0}};
static const struct unit rates[] = {{"bit", 1}, {"kbit", 1000}, {"mbit", 1000000}, {"gbit", 1000000000}, {NULL, 0}};
static const struct unit sizes[] = {{"b", 1}, {"kb", 1000}, {"mb", 1000000}, {NULL, 0}};
static const struct unit plain[] = {{"", 1}, {NULL, 0}};

static bool value_of(struct reader *r, const char *text, const struct unit *units, uint64_t max, const char *what, uint64_t *out)
{
    if (text && decimal(text, units, max, out)) return true;
    if (text) r->next--; // the word that held it
    return wrong_word(r, what);
}

static bool take_number(struct reader *r, const struct unit *units, uint64_t max, const char *what, uint64_t *out)
{
    if (r->next < r->count && decimal(r->words[r->next].text, units, max, out)) {
        r->next++;
        return true;
    }
    return wrong_word(r, what);
}

static bool take_node(struct reader *r, uint32_t *out)
{
    uint64_t n;
    const char *t = r->next < r->count ? r->words[r->next].text : "";
    if (*t == 'n' && decimal(t + 1, plain, SCENARIO_NODES_MAX, &n) && n) {
        if (n > r->s->nodes) return wrong(r, column_of(r, r->next), "there is no node %s: the nodes are n1 to n%u", t, r->s->nodes);
        r->next++;
        *out = (uint32_t)n - 1;
        return true;
    }
    return wrong_word(r, "a node (n1, n2, ...) is expected");
}

static bool take_node_or_all(struct reader *r, uint32_t *out)
{
    if (!take(r, "all")) return take_node(r, out);
    *out = SCENARIO_ALL;
    return true;
}

// ---- wires ----

#define TIME_MAX (30 * 86400 * BW_S)

static bool take_wire(struct reader *r, struct wire *k, unsigned *words)
{
    static const struct {
        const char *name;
        enum wire_word word;
        const struct unit *units;
        uint64_t max;
    } known[] = {
        {"delay", WIRE_DELAY, times, 60 * BW_S}, {"jitter", WIRE_JITTER, times, 60 * BW_S}, {"loss", WIRE_LOSS, shares, 1000000},
        {"duplicate", WIRE_DUP, shares, 1000000}, {"reorder", WIRE_REORDER, shares, 1000000}, {"rate", WIRE_RATE, rates, 100000000000u},
        {"queue", WIRE_QUEUE, sizes, 64000000}, {"mtu", WIRE_MTU, plain, 65535},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint64_t v = 0;
        const char *text = take_value(r, known[i].name);
        if (!text) continue;
        if (strcmp(text, "none") && !value_of(r, text, known[i].units, known[i].max, "that is no value for a wire", &v)) return false;
        *words |= known[i].word;
        switch (known[i].word) {
        case WIRE_DELAY: k->delay_us = (uint32_t)v; break;
        case WIRE_JITTER: k->jitter_us = (uint32_t)v; break;
        case WIRE_LOSS: k->loss_ppm = (uint32_t)v; break;
        case WIRE_DUP: k->dup_ppm = (uint32_t)v; break;
        case WIRE_REORDER: k->reorder_ppm = (uint32_t)v; break;
        case WIRE_RATE: k->rate_bps = v; break;
        case WIRE_QUEUE: k->queue = (uint32_t)v; break;
        case WIRE_MTU: k->mtu = (uint32_t)v; break;
        }
        return true;
    }
    return wrong_word(r, "a word of wires (delay= jitter= loss= duplicate= reorder= rate= queue= mtu=) is expected");
}

static bool take_wires(struct reader *r, struct wire *k, unsigned *words)
{
    while (r->next < r->count)
        if (!take_wire(r, k, words)) return false;
    return true;
}

// ---- the mesh ----

static bool take_part(struct reader *r, const char *name, uint64_t max, uint32_t *out)
{
    uint64_t v;
    const char *text = take_value(r, name);
    if (!text) return false;
    if (value_of(r, text, plain, max, "a number is expected", &v)) *out = (uint32_t)v;
    return true;
}

static bool read_graph(struct reader *r, enum graph kind)
{
    struct graph_spec g = {.kind = kind, .degree = 8, .joins = 2, .groups = 5, .gateways = 2};
    struct wire k = {.delay_us = 2000};
    unsigned words = 0, column = column_of(r, 0);
    uint64_t n, height;
    if (kind == GRAPH_GRID) {
        char width[WORD_LEN] = "";
        if (r->next < r->count) memcpy(width, r->words[r->next].text, sizeof width);
        char *x = strchr(width, 'x');
        if (x) *x = 0;
        if (!x || !decimal(width, plain, 10000, &n) || !decimal(x + 1, plain, 10000, &height) || !n || !height)
            return wrong_word(r, "a size like 4x3 is expected");
        r->next++;
        g.width = (uint32_t)n;
        n *= height;
    } else if (!take_number(r, plain, SCENARIO_NODES_MAX, "the number of nodes is expected", &n)) {
        return false;
    }
    g.n = (uint32_t)n;
    while (!r->failed && r->next < r->count) {
        if (kind == GRAPH_GEOMETRIC && take_part(r, "degree", 1000, &g.degree)) continue;
        if (kind == GRAPH_COMMUNITIES && (take_part(r, "groups", 10000, &g.groups) || take_part(r, "gateways", 100, &g.gateways) ||
                                          take_part(r, "degree", 1000, &g.degree))) continue;
        if (kind == GRAPH_SCALE_FREE && take_part(r, "joins", 100, &g.joins)) continue;
        take_wire(r, &k, &words);
    }
    if (r->failed) return false;
    if (!g.n || !g.groups || !g.gateways || !g.degree || !g.joins) return wrong(r, column, "zero makes no mesh");
    if (r->s->nodes + (uint64_t)g.n > SCENARIO_NODES_MAX) return wrong(r, column, "more than %d nodes", SCENARIO_NODES_MAX);
    if (topology_add(r->s, &g, &k, r->s->has_seed ? r->s->seed : r->seed)) return wrong(r, column, "no memory");
    return true;
}

static bool read_link(struct reader *r)
{
    uint32_t a, b;
    struct wire k = {0};
    unsigned words = 0, column = column_of(r, r->next);
    if (!take_node(r, &a) || !take_node(r, &b)) return false;
    if (a == b) return wrong(r, column, "a wire joins two nodes");
    bool far = take(r, "far");
    if (!take_wires(r, &k, &words)) return false;
    if (!(words & WIRE_DELAY)) k.delay_us = 2000;
    return !scenario_add_link(r->s, a, b, far, &k) || wrong(r, column, "no memory");
}

// ---- events ----

static bool read_clock(struct reader *r, struct statement *t)
{
    const char *text;
    uint64_t v = 0;
    bool minus;
    if (!take_node(r, &t->a)) return false;
    if ((text = take_value(r, "rate"))) {
        t->verb = DO_RATE;
        minus = *text == '-';
        if (!value_of(r, text + (*text == '-' || *text == '+'), shares, 500000, "a rate like +200ppm or -1% is expected", &v)) return false;
    } else if ((text = take_value(r, "jump"))) {
        t->verb = DO_JUMP;
        minus = false;
        if (!value_of(r, text + (*text == '+'), times, TIME_MAX, "a time is expected", &v)) return false;
    } else if ((text = take_value(r, "wall"))) {
        t->verb = DO_WALL;
        minus = *text == '-';
        if (!value_of(r, text + (*text == '-' || *text == '+'), times, 10000ull * TIME_MAX, "a time is expected", &v)) return false;
        v /= BW_S;
    } else {
        return wrong_word(r, "rate=, jump= or wall= is expected");
    }
    t->number = minus ? -(int64_t)v : (int64_t)v;
    return true;
}

static bool read_memory(struct reader *r, struct statement *t)
{
    uint64_t v;
    const char *text;
    t->verb = DO_MEMORY;
    if (!take_node(r, &t->a)) return false;
    if (take(r, "ok")) return true;
    if ((text = take_value(r, "limit"))) {
        if (!value_of(r, text, sizes, 1ull << 40, "a size is expected", &v)) return false;
        t->number2 = (int64_t)v;
        return true;
    }
    if ((text = take_value(r, "fail"))) {
        char digits[WORD_LEN];
        snprintf(digits, sizeof digits, "%s", text);
        size_t n = strlen(digits);
        t->bad = n && digits[n - 1] == '+';
        if (t->bad) digits[n - 1] = 0;
        if (!value_of(r, digits, plain, 1000000000, "a number of calls is expected", &v)) return false;
        if (!v) return wrong(r, column_of(r, r->next - 1), "calls are counted from 1");
        t->number = (int64_t)v;
        return true;
    }
    return wrong_word(r, "fail=N, fail=N+, limit= or ok is expected");
}

static bool read_traffic(struct reader *r, struct statement *t)
{
    uint64_t every, span;
    t->verb = DO_TRAFFIC;
    if (!take_node(r, &t->a) || !take_node(r, &t->b)) return false;
    const char *text = take_value(r, "every");
    if (!text) return wrong_word(r, "every=TIME is expected");
    if (!value_of(r, text, times, TIME_MAX, "a time is expected", &every)) return false;
    text = take_value(r, "for");
    if (!text) return wrong_word(r, "for=TIME is expected");
    if (!value_of(r, text, times, TIME_MAX, "a time is expected", &span)) return false;
    if (every < BW_MS) return wrong(r, column_of(r, r->next - 2), "at most one packet per millisecond");
    t->number = (int64_t)every;
    t->number2 = (int64_t)span;
    return true;
}

static bool read_ends(struct reader *r, struct statement *t, enum verb verb)
{
    t->verb = verb;
    if (take(r, "all")) {
        t->a = t->b = SCENARIO_ALL;
        return true;
    }
    if (!take_node(r, &t->a)) return false;
    t->one_way = verb != DO_WIRE && take(r, ">");
    unsigned column = column_of(r, r->next);
    if (!take_node(r, &t->b)) return false;
    for (uint32_t i = 0; i < r->s->link_count; i++) {
        const struct scenario_link *l = &r->s->links[i];
        if ((l->a == t->a && l->b == t->b) || (l->a == t->b && l->b == t->a)) return true;
    }
    return wrong(r, column, "no wire joins n%u and n%u", t->a + 1, t->b + 1);
}

static bool read_partition(struct reader *r, struct statement *t)
{
    t->verb = DO_PARTITION;
    t->set = malloc(WORDS_MAX * sizeof *t->set);
    if (!t->set) return wrong(r, 1, "no memory");
    do {
        if (!take_node(r, &t->set[t->set_count++])) return false;
    } while (r->next < r->count);
    return true;
}

static bool read_condition(struct reader *r, struct statement *t)
{
    uint64_t v, w;
    static const struct {
        const char *name;
        enum condition is;
    } names[] = {{"reach", IS_REACH}, {"lost", IS_LOST}, {"route", IS_VIA}, {"shortest", IS_SHORTEST}, {"links", IS_LINKS}, {"exit", IS_EXIT},
                 {"offline", IS_OFFLINE}, {"tidy", IS_TIDY}, {"settled", IS_SETTLED}, {"delivered", IS_DELIVERED}, {"routes", IS_ROUTES}};
    size_t i = 0;
    while (i < sizeof names / sizeof *names && !word_is(r, names[i].name)) i++;
    if (i == sizeof names / sizeof *names)
        return wrong_word(r, "reach, lost, route, shortest, links, exit, offline, tidy, settled, delivered or routes is expected");
    r->next++;
    t->is = names[i].is;
    t->a = t->b = t->c = SCENARIO_ALL;
    switch (t->is) {
    case IS_REACH: return r->next == r->count || (take_node(r, &t->a) && take_node(r, &t->b));
    case IS_LOST: return take_node(r, &t->a) && take_node(r, &t->b);
    case IS_VIA:
        if (!take_node(r, &t->a) || !take_node(r, &t->b)) return false;
        if (!take(r, "via")) return wrong_word(r, "via is expected");
        return take_node(r, &t->c);
    case IS_EXIT:
        if (!take_node_or_all(r, &t->a) || take(r, "any")) return !r->failed;
        return t->a != SCENARIO_ALL ? take_node(r, &t->b) : wrong_word(r, "any is expected");
    case IS_OFFLINE: return take_node(r, &t->a);
    case IS_DELIVERED:
        if (!take_node(r, &t->a) || !take_node(r, &t->b) || !take_number(r, shares, 1000000, "a share like 95% is expected", &v)) return false;
        t->number = (int64_t)v / 1000;
        return true;
    case IS_ROUTES: {
        if (!take_node_or_all(r, &t->a)) return false;
        char least[WORD_LEN] = "";
        if (r->next < r->count) memcpy(least, r->words[r->next].text, sizeof least);
        char *dots = strstr(least, "..");
        if (dots) *dots = 0;
        if (!dots || !decimal(least, plain, 1000000, &v) || !decimal(dots + 2, plain, 1000000, &w))
            return wrong_word(r, "a range like 10..20 is expected");
        r->next++;
        t->number = (int64_t)v;
        t->number2 = (int64_t)w;
        return true;
    }
    default: return true;
    }
}

static bool read_verb(struct reader *r, struct statement *t)
{
    static const struct {
        const char *name;
        enum verb verb;
    } of_node[] = {{"crash", DO_CRASH}, {"start", DO_START}, {"stop", DO_STOP}, {"forget", DO_FORGET}};
    for (size_t i = 0; i < sizeof of_node / sizeof *of_node; i++) {
        if (!take(r, of_node[i].name)) continue;
        t->verb = of_node[i].verb;
        return t->verb == DO_START ? take_node_or_all(r, &t->a) : take_node(r, &t->a);
    }
    if (take(r, "cut")) return read_ends(r, t, DO_CUT);
    if (take(r, "heal")) return read_ends(r, t, DO_HEAL);
    if (take(r, "wire")) return read_ends(r, t, DO_WIRE) && take_wires(r, &t->wire, &t->words);
    if (take(r, "partition")) return read_partition(r, t);
    if (take(r, "clock")) return read_clock(r, t);
    if (take(r, "memory")) return read_memory(r, t);
    if (take(r, "traffic")) return read_traffic(r, t);
    if (take(r, "uplink")) {
        t->verb = DO_UPLINK;
        if (!take_node(r, &t->a)) return false;
        t->bad = take(r, "down");
        return t->bad || take(r, "up") || wrong_word(r, "up or down is expected");
    }
    t->verb = word_is(r, "calm") ? DO_CALM : word_is(r, "report") ? DO_REPORT : DO_UNITE;
    if (take(r, "calm") || take(r, "report") || take(r, "unite")) return true;
    if (!take(r, "expect"))
        return wrong_word(r, "crash, start, stop, forget, cut, heal, partition, unite, wire, clock, memory, uplink, traffic, calm, report or expect is expected");
    t->verb = DO_EXPECT;
    return read_condition(r, t);
}

static bool read_event(struct reader *r, bool within)
{
    struct statement t = {.line = r->line};
    unsigned column = column_of(r, r->next);
    uint64_t when;
    if (!take_number(r, times, TIME_MAX, "a time like 1.5s is expected", &when)) return false;
    t.at = within ? r->at : when;
    t.within = within ? when : 0;
    if (t.at < r->at || (!within && t.at < r->after))
        return wrong(r, column, "this is before what stands above (%llu ms)", (unsigned long long)((r->after > r->at ? r->after : r->at) / BW_MS));
    if (!read_verb(r, &t)) {
        free(t.set);
        return false;
    }
    if (within && t.verb != DO_EXPECT) {
        free(t.set);
        return wrong(r, column, "only expectations may take their time");
    }
    r->at = t.at;
    if (within && r->at + when > r->after) r->after = r->at + when;
    if (!within) r->after = r->at;
    return !scenario_add(r->s, &t) || wrong(r, column, "no memory");
}

static bool read_setting(struct reader *r)
{
    static const struct {
        const char *name;
        enum graph kind;
    } graphs[] = {{"nodes", GRAPH_NONE}, {"line", GRAPH_LINE}, {"ring", GRAPH_RING}, {"star", GRAPH_STAR}, {"grid", GRAPH_GRID},
                  {"geometric", GRAPH_GEOMETRIC}, {"scale-free", GRAPH_SCALE_FREE}, {"communities", GRAPH_COMMUNITIES}};
    uint64_t v;
    uint32_t node;
    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++)
        if (take(r, graphs[i].name)) return read_graph(r, graphs[i].kind);
    if (take(r, "link")) return read_link(r);
    if (take(r, "exit")) {
        do {
            if (!take_node(r, &node)) return false;
            if (scenario_add_exit(r->s, node)) return wrong(r, 1, "no memory");
        } while (r->next < r->count);
        return true;
    }
    if (take(r, "seed")) {
        if (r->s->nodes) return wrong(r, column_of(r, 0), "seed stands before the first graph");
        if (!take_number(r, plain, 1000000000000000u, "a number is expected", &v)) return false;
        r->s->seed = v;
        return r->s->has_seed = true;
    }
    if (take(r, "cap")) {
        if (!take_number(r, plain, 1000000, "a number of destinations is expected", &v)) return false;
        r->s->cap = (uint32_t)v;
        return true;
    }
    return wrong_word(r, "nodes, a kind of graph, link, exit, cap, seed, at, within or end is expected");
}

static bool read_line(struct reader *r)
{
    if (!r->count) return true;
    if (r->ended) return wrong(r, column_of(r, 0), "nothing follows `end`");
    if (take(r, "at")) {
        if (!read_event(r, false)) return false;
    } else if (take(r, "within")) {
        if (!read_event(r, true)) return false;
    } else if (take(r, "end")) {
        uint64_t v;
        unsigned column = column_of(r, r->next);
        if (!take_number(r, times, TIME_MAX, "a time is expected", &v)) return false;
        if (v < r->after) return wrong(r, column, "this is before what stands above");
        r->s->end = v;
        r->ended = true;
    } else {
        if (r->s->count && r->count) return wrong(r, column_of(r, 0), "the mesh is described before the first `at`");
        if (!read_setting(r)) return false;
    }
    return r->next == r->count || wrong_word(r, "nothing more is expected here");
}

int scenario_parse(struct scenario *s, const char *text, uint64_t seed, char error[SCENARIO_ERROR])
{
    struct reader *r = calloc(1, sizeof *r);
    *s = (struct scenario){0};
    if (!r) return BW_ERR_NOMEM;
    *r = (struct reader){.s = s, .seed = seed, .error = error};
    bool ok = true;
    for (const char *p = text; ok && *p;) {
        size_t n = strcspn(p, "\n");
        r->line++;
        ok = split(r, p, n) && read_line(r);
        p += n + (p[n] == '\n');
    }
    if (ok && !s->nodes) ok = wrong(r, 1, "there are no nodes");
    if (!s->has_seed) s->seed = seed;
    if (s->end < r->after) s->end = r->after;
    free(r);
    if (ok) return 0;
    scenario_free(s);
    return BW_ERR_MALFORMED;
}
