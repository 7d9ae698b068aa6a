#include "lab/demo_mesh.h"

#include <stdio.h>
#include <string.h>

#define PATIENCE_MS 500

static const char *text(json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

int mesh_init(struct mesh *m, const char *lab)
{
    memset(m, 0, sizeof *m);
    json_t *a = client_ask(lab, json_pack("{s:s}", "cmd", "show"), NULL), *n;
    if (!a) return -1;
    size_t i;
    json_array_foreach(json_object_get(a, "nodes"), i, n) {
        if (m->n == MESH_MAX) break;
        struct mesh_node *x = &m->node[m->n++];
        snprintf(x->name, sizeof x->name, "%s", text(n, "name"));
        snprintf(x->socket, sizeof x->socket, "%s", text(n, "socket"));
    }
    json_decref(a);
    return 0;
}

static int by_address(const struct mesh *m, const char *address)
{
    struct bw_addr a;
    if (bw_addr_parse(address, &a)) return -1;
    for (int i = 0; i < m->n; i++)
        if (bw_addr_eq(&m->node[i].address, &a)) return i;
    return -1;
}

static void look_at(struct mesh *m, struct mesh_node *x)
{
    json_t *s = client_get(x->socket, "/v1/status", PATIENCE_MS), *exit = json_object_get(s, "exit");
    x->answers = s && !bw_addr_parse(text(s, "address"), &x->address);
    x->peers = (int)json_integer_value(json_object_get(s, "peers"));
    x->routes = (int)json_integer_value(json_object_get(s, "routes"));
    snprintf(x->exit_state, sizeof x->exit_state, "%s", text(exit, "state"));
    x->exit = by_address(m, text(exit, "address"));
    x->online = !strcmp(x->exit_state, "active") || !strcmp(x->exit_state, "own");
    json_decref(s);
}

// The neighbour by which node `at` sends to an address: next hops are link-local and end in the last 8 bytes of the
// neighbour's mesh address.
static int next_hop(const struct mesh *m, int at, const struct bw_addr *to)
{
    json_t *routes = client_get(m->node[at].socket, "/v1/routes", PATIENCE_MS), *r;
    struct bw_prefix p;
    struct bw_addr hop;
    int next = -1;
    size_t i;
    json_array_foreach(routes, i, r) {
        if (!json_is_true(json_object_get(r, "selected")) || bw_prefix_parse(text(r, "prefix"), &p) || p.len != 128) continue;
        if (!bw_addr_eq(&p.addr, to) || bw_addr_parse(text(r, "next_hop"), &hop)) continue;
        for (int k = 0; k < m->n; k++)
            if (!memcmp(m->node[k].address.b + 8, hop.b + 8, 8)) next = k;
    }
    json_decref(routes);
    return next;
}

static void find_way(struct mesh *m, int from)
{
    struct mesh_node *x = &m->node[from];
    int at = from, n = 0;
    x->hops = 0;
    if (x->exit < 0) return;
    while (at >= 0 && n < MESH_MAX) {
        x->way[n++] = at;
        if (at == x->exit) {
            x->hops = n - 1;
            return;
        }
        at = m->node[at].answers ? next_hop(m, at, &m->node[x->exit].address) : -1;
    }
}

void mesh_look(struct mesh *m)
{
    for (int i = 0; i < m->n; i++) look_at(m, &m->node[i]);
    for (int i = 0; i < m->n; i++) find_way(m, i);
}

bool mesh_whole(const struct mesh *m)
{
    for (int i = 0; i < m->n; i++) {
        if (!m->node[i].answers) return false;
        for (int k = 0; k < m->n; k++)
            if (k != i && next_hop(m, i, &m->node[k].address) < 0) return false;
    }
    return true;
}

void mesh_way_text(const struct mesh *m, int node, char *out, size_t size)
{
    const struct mesh_node *x = &m->node[node];
    size_t at = 0;
    *out = 0;
    for (int i = 0; x->hops && i <= x->hops && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s", i ? " > " : "", m->node[x->way[i]].name);
}
