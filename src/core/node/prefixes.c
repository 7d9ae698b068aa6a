#include "core/node/node_private.h"

static bool room_for(struct node *n, struct prefix_list *l, unsigned count)
{
    if (count <= l->room) return true;
    unsigned room = count < 8 ? 8 : count * 2;
    void *v = bw_resize(n->mem, l->v, l->room * sizeof *l->v, room * sizeof *l->v);
    if (!v) return false;
    l->v = v;
    l->room = room;
    return true;
}

bool prefix_list_set(struct node *n, struct prefix_list *l, const struct bw_prefix *p, unsigned count)
{
    if (!room_for(n, l, count)) return false;
    if (count) memcpy(l->v, p, count * sizeof *p);
    l->count = count;
    return true;
}

bool prefix_list_has(const struct prefix_list *l, const struct bw_prefix *p)
{
    for (unsigned i = 0; i < l->count; i++)
        if (bw_prefix_eq(&l->v[i], p)) return true;
    return false;
}

bool prefix_list_add(struct node *n, struct prefix_list *l, const struct bw_prefix *p)
{
    if (prefix_list_has(l, p) || !room_for(n, l, l->count + 1)) return false;
    l->v[l->count++] = *p;
    return true;
}

bool prefix_list_remove(struct prefix_list *l, const struct bw_prefix *p)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (!bw_prefix_eq(&l->v[i], p)) continue;
        l->v[i] = l->v[--l->count];
        return true;
    }
    return false;
}

void prefix_list_free(struct node *n, struct prefix_list *l)
{
    bw_free(n->mem, l->v, l->room * sizeof *l->v);
    *l = (struct prefix_list){0};
}
