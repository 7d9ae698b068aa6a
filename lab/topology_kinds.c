// Topologies by name.
#include <stdio.h>
#include <string.h>

#include "lab/topology.h"

static int join(struct topology *t, size_t a, size_t b) // numbered from 1, as people do
{
    return topo_add_link(t, (unsigned)a - 1, (unsigned)b - 1, "", &(struct imp_spec){0});
}

static int line(struct topology *t, size_t n, uint64_t seed)
{
    (void)seed;
    for (size_t i = 1; i < n; i++)
        if (join(t, i, i + 1)) return BW_ERR_NOMEM;
    return 0;
}

static int ring(struct topology *t, size_t n, uint64_t seed)
{
    int rc = line(t, n, seed);
    return rc || n < 3 ? rc : join(t, n, 1);
}

static int star(struct topology *t, size_t n, uint64_t seed)
{
    (void)seed;
    for (size_t i = 2; i <= n; i++)
        if (join(t, 1, i)) return BW_ERR_NOMEM;
    return 0;
}

// As square as n allows, row by row.
static int grid(struct topology *t, size_t n, uint64_t seed)
{
    (void)seed;
    size_t width = 1;
    while (width * width < n) width++;
    for (size_t i = 1; i <= n; i++) {
        if (i % width && i < n && join(t, i, i + 1)) return BW_ERR_NOMEM;
        if (i + width <= n && join(t, i, i + width)) return BW_ERR_NOMEM;
    }
    return 0;
}

// The first and the last, joined by all others side by side.
static int diamond(struct topology *t, size_t n, uint64_t seed)
{
    (void)seed;
    for (size_t i = 2; i < n; i++)
        if (join(t, 1, i) || join(t, i, n)) return BW_ERR_NOMEM;
    return n == 2 ? join(t, 1, 2) : 0;
}

static int tree(struct topology *t, size_t n, uint64_t seed)
{
    (void)seed;
    for (size_t i = 2; i <= n; i++)
        if (join(t, i / 2, i)) return BW_ERR_NOMEM;
    return 0;
}

static uint64_t draw(uint64_t *state) // splitmix64
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static bool joined(const struct topology *t, size_t a, size_t b)
{
    for (size_t i = 0; i < t->n_links; i++) {
        const struct topo_link *l = &t->links[i];
        if ((l->a == a && l->b == b) || (l->a == b && l->b == a)) return true;
    }
    return false;
}

// A random tree (so it is connected) and as many further links again: four per node on the average.
static int random_graph(struct topology *t, size_t n, uint64_t seed)
{
    for (size_t i = 2; i <= n; i++)
        if (join(t, 1 + draw(&seed) % (i - 1), i)) return BW_ERR_NOMEM;
    size_t want = 2 * n, most = n * (n - 1) / 2;
    if (want > most) want = most;
    while (t->n_links < want) {
        size_t a = draw(&seed) % n, b = draw(&seed) % n;
        if (a != b && !joined(t, a, b) && join(t, a + 1, b + 1)) return BW_ERR_NOMEM;
    }
    return 0;
}

// The mesh of the demonstration: seven nodes, exits at 4 and 5, every other node at least two ways from them but 7.
static int seven(struct topology *t, size_t n, uint64_t seed)
{
    (void)n;
    (void)seed;
    static const unsigned char pairs[][2] = {{1, 2}, {1, 3}, {2, 4}, {3, 5}, {3, 6}, {4, 6}, {4, 7}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (join(t, pairs[i][0], pairs[i][1])) return BW_ERR_NOMEM;
    t->nodes[3].internet = t->nodes[3].share = true;
    t->nodes[4].internet = t->nodes[4].share = true;
    return 0;
}

static const struct kind {
    const char *name;
    int (*make)(struct topology *t, size_t n, uint64_t seed);
    size_t n, min;
} kinds[] = {
    {"line", line, 4, 1},       {"ring", ring, 6, 1}, {"star", star, 6, 1},            {"grid", grid, 9, 1},
    {"diamond", diamond, 4, 2}, {"tree", tree, 7, 1}, {"random", random_graph, 12, 1}, {"seven", seven, 7, 7},
};

const char *topo_kinds(void)
{
    return "line, ring, star, grid, diamond, tree, random, seven";
}

int topo_generate(const char *kind, size_t n, uint64_t seed, struct topology *out, char err[TOPO_ERR])
{
    *out = (struct topology){0};
    const struct kind *k = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, kind)) k = &kinds[i];
    if (!k) {
        snprintf(err, TOPO_ERR, "no topology and no file is named '%.60s' (topologies: %s)", kind, topo_kinds());
        return BW_ERR_NOTFOUND;
    }
    if (!n) n = k->n;
    if (n < k->min || n > TOPO_NODES_MAX || (k->make == seven && n != 7)) {
        snprintf(err, TOPO_ERR, "%s can't have %zu nodes", kind, n);
        return BW_ERR_RANGE;
    }
    int rc = 0;
    for (size_t i = 1; i <= n && rc >= 0; i++) {
        char name[24];
        snprintf(name, sizeof name, "n%zu", i);
        rc = topo_add_node(out, name);
    }
    if (rc >= 0) rc = k->make(out, n, seed);
    if (rc >= 0) return 0;
    snprintf(err, TOPO_ERR, "%s with %zu nodes has more than %d links, or memory is short", kind, n, TOPO_LINKS_MAX);
    topo_free(out);
    return BW_ERR_NOMEM;
}
