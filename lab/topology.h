// What a lab consists of: nodes, links between them, and which nodes have the Internet. Made from a name ("ring") or
// from a text file (docs/spec/topology.md).
#ifndef LAB_TOPOLOGY_H
#define LAB_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "lab/impair.h"

#define TOPO_NAME 13       // a node's or link's name with its NUL: 12 letters, so that "to-NAME" is an interface name
#define TOPO_IFNAME 16
#define TOPO_NODES_MAX 1000
#define TOPO_LINKS_MAX 10000
#define TOPO_UPLINKS_MAX 150
#define TOPO_ERR 200

struct topo_node {
    char name[TOPO_NAME];
    bool internet;          // has an uplink to the internet namespace
    bool share;             // its daemon shares it
    struct imp_spec uplink;
    char **sets;            // SECTION.KEY=VALUE, owned
    size_t n_sets;
};

struct topo_link {
    unsigned a, b;            // indexes of nodes, a != b
    char name[TOPO_NAME];     // "" if not given
    char a_if[TOPO_IFNAME];   // the interface in a's namespace, named after b: "to-n2", "to-n2-2" for a second link
    char b_if[TOPO_IFNAME];
    struct imp_spec spec;
};

struct topology {
    struct topo_node *nodes;
    size_t n_nodes;
    struct topo_link *links;
    size_t n_links;
};

// Text of len bytes; errors are written to err as "FILE:LINE:COLUMN: what".
int topo_parse(const char *file, const char *text, size_t len, struct topology *out, char err[TOPO_ERR]) BW_NODISCARD;
// line ring star grid diamond tree random seven; n = 0 takes the topology's own number of nodes.
int topo_generate(const char *kind, size_t n, uint64_t seed, struct topology *out, char err[TOPO_ERR]) BW_NODISCARD;
const char *topo_kinds(void); // for messages: "line, ring, ..."
void topo_free(struct topology *t);

// "n3" or "3": the same node. Returns its index or BW_ERR_NOTFOUND.
int topo_find(const struct topology *t, const char *name);
int topo_add_set(struct topo_node *n, const char *set) BW_NODISCARD; // replaces an earlier one of the same key

// For the makers of topologies.
int topo_add_node(struct topology *t, const char *name); // index, or the index of the one that has the name
int topo_add_link(struct topology *t, unsigned a, unsigned b, const char *name, const struct imp_spec *spec);

#endif
