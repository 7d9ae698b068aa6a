// What the demonstration knows of its nodes: asked from their own sockets.
#ifndef LAB_DEMO_MESH_H
#define LAB_DEMO_MESH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "lab/client.h"

#define MESH_MAX 16

struct mesh_node {
    char name[16], socket[128];
    bool answers;
    struct bw_addr address;
    int peers, routes;
    char exit_state[16];
    int exit;           // which node's Internet it uses, -1 if none
    bool online;        // by its own connection or through an exit
    int way[MESH_MAX];  // the nodes from here to that exit, both included
    int hops;           // 0: none known
};

struct mesh {
    struct mesh_node node[MESH_MAX];
    int n;
};

// The nodes of a lab that is up. 0, or -1 after telling why.
int mesh_init(struct mesh *m, const char *lab) BW_NODISCARD;
// Asks all of them; a node that does not answer has answers = false.
void mesh_look(struct mesh *m);
// Every answering node has a route to every other one.
bool mesh_whole(const struct mesh *m);
// "n1 > n2 > n4", or "" if there is no way.
void mesh_way_text(const struct mesh *m, int node, char *out, size_t size);

#endif
