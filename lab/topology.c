#include "lab/topology.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void topo_free(struct topology *t)
{
    for (size_t i = 0; i < t->n_nodes; i++) {
        for (size_t j = 0; j < t->nodes[i].n_sets; j++) free(t->nodes[i].sets[j]);
        free(t->nodes[i].sets);
    }
    free(t->nodes);
    free(t->links);
    *t = (struct topology){0};
}

// Letters, digits and hyphens, not a hyphen first. A bare number N is the node nN.
static int canonical(const char *name, char out[TOPO_NAME])
{
    size_t n = strlen(name), digits = strspn(name, "0123456789");
    if (!n || name[0] == '-') return BW_ERR_MALFORMED;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '-') return BW_ERR_MALFORMED;
    if (digits == n) {
        while (*name == '0' && name[1]) name++; // "07" is node 7
        if (*name == '0') return BW_ERR_MALFORMED;
        n = strlen(name) + 1;
        if (n >= TOPO_NAME) return BW_ERR_RANGE;
        out[0] = 'n';
        memcpy(out + 1, name, n);
        return 0;
    }
    if (n >= TOPO_NAME) return BW_ERR_RANGE;
    memcpy(out, name, n + 1);
    return 0;
}

static int find_exact(const struct topology *t, const char *name)
{
    for (size_t i = 0; i < t->n_nodes; i++)
        if (!strcmp(t->nodes[i].name, name)) return (int)i;
    return BW_ERR_NOTFOUND;
}

int topo_find(const struct topology *t, const char *name)
{
    char real[TOPO_NAME];
    if (canonical(name, real)) return BW_ERR_NOTFOUND;
    return find_exact(t, real);
}

int topo_add_node(struct topology *t, const char *name)
{
    char real[TOPO_NAME];
    int rc = canonical(name, real);
    if (rc) return rc;
    if (!strcmp(real, "internet")) return BW_ERR_DENIED;
    int at = find_exact(t, real);
    if (at >= 0) return at;
    if (t->n_nodes == TOPO_NODES_MAX) return BW_ERR_NOMEM;
    struct topo_node *nodes = reallocarray(t->nodes, t->n_nodes + 1, sizeof *nodes);
    if (!nodes) return BW_ERR_NOMEM;
    t->nodes = nodes;
    nodes[t->n_nodes] = (struct topo_node){0};
    memcpy(nodes[t->n_nodes].name, real, sizeof real);
    return (int)t->n_nodes++;
}

static bool has_interface(const struct topology *t, unsigned node, const char *name)
{
    for (size_t i = 0; i < t->n_links; i++) {
        const struct topo_link *l = &t->links[i];
        if (l->a == node && !strcmp(l->a_if, name)) return true;
        if (l->b == node && !strcmp(l->b_if, name)) return true;
    }
    return !strcmp(name, "internet") || !strcmp(name, "lo");
}

// "to-" and the neighbour's name (or the link's), then "-2", "-3" for further links between the same two.
static void interface_name(const struct topology *t, unsigned node, const char *stem, char out[TOPO_IFNAME])
{
    snprintf(out, TOPO_IFNAME, "to-%s", stem);
    for (int k = 2; has_interface(t, node, out) && k < 1000; k++) {
        char tail[8];
        snprintf(tail, sizeof tail, "-%d", k);
        snprintf(out, TOPO_IFNAME, "to-%.*s%s", (int)(TOPO_IFNAME - 4 - strlen(tail)), stem, tail);
    }
}

int topo_add_link(struct topology *t, unsigned a, unsigned b, const char *name, const struct imp_spec *spec)
{
    if (a == b) return BW_ERR_RANGE;
    if (t->n_links == TOPO_LINKS_MAX || strlen(name) >= TOPO_NAME) return BW_ERR_NOMEM;
    struct topo_link *links = reallocarray(t->links, t->n_links + 1, sizeof *links);
    if (!links) return BW_ERR_NOMEM;
    t->links = links;
    struct topo_link l = {.a = a, .b = b, .spec = *spec};
    strcpy(l.name, name);
    interface_name(t, a, *name ? name : t->nodes[b].name, l.a_if);
    interface_name(t, b, *name ? name : t->nodes[a].name, l.b_if);
    links[t->n_links++] = l;
    return 0;
}

int topo_add_set(struct topo_node *n, const char *set)
{
    size_t key = strcspn(set, "=");
    const char *dot = memchr(set, '.', key);
    if (!set[key] || !dot || dot == set || dot + 1 == set + key) return BW_ERR_MALFORMED;
    char *copy = strdup(set);
    if (!copy) return BW_ERR_NOMEM;
    for (size_t i = 0; i < n->n_sets; i++) {
        if (strncmp(n->sets[i], set, key + 1)) continue;
        free(n->sets[i]);
        n->sets[i] = copy;
        return 0;
    }
    char **sets = reallocarray(n->sets, n->n_sets + 1, sizeof *sets);
    if (!sets) {
        free(copy);
        return BW_ERR_NOMEM;
    }
    n->sets = sets;
    sets[n->n_sets++] = copy;
    return 0;
}
