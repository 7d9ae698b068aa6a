#include "os/ifwatch.h"

#include <linux/if_addr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/why.h"

struct entry {
    struct os_link link;
    struct bw_addr linklocal; // zero: none that can be used
    bool present;             // as last told
    struct os_iface told;
    bool seen; // during a resync
};

struct os_ifwatch {
    struct os_nl *nl;
    struct os_nlwatch *watch;
    os_ifwatch_fn *fn;
    os_nlwatch_fn *any;
    void *ctx;
    enum os_ifwatch_mode mode;
    char (*names)[OS_IFNAME];
    size_t name_count;
    char skip[OS_IFNAME];
    struct entry *entries; // a machine has a few dozen at most: a list is quick enough
    size_t count, cap;
};

static struct entry *find(const struct os_ifwatch *w, uint32_t index)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->entries[i].link.index == index) return &w->entries[i];
    return NULL;
}

static struct entry *find_or_add(struct os_ifwatch *w, uint32_t index)
{
    struct entry *e = find(w, index);
    if (e) return e;
    if (w->count == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 8;
        struct entry *more = realloc(w->entries, cap * sizeof *more);
        if (!more) return NULL;
        w->entries = more;
        w->cap = cap;
    }
    e = &w->entries[w->count++];
    *e = (struct entry){.link.index = index};
    return e;
}

static bool listed(const struct os_ifwatch *w, const char *name)
{
    for (size_t i = 0; i < w->name_count; i++)
        if (!strcmp(w->names[i], name)) return true;
    return false;
}

static bool wanted(const struct os_ifwatch *w, const struct os_link *l)
{
    if (!strcmp(l->name, w->skip)) return false;
    switch (w->mode) {
    case OS_IFWATCH_AUTO:
        return os_iface_judge(l, false) == OS_IFACE_FIT;
    case OS_IFWATCH_LIST:
        return listed(w, l->name) && os_iface_judge(l, true) == OS_IFACE_FIT;
    default:
        return false;
    }
}

static void tell_gone(struct os_ifwatch *w, struct entry *e)
{
    if (!e->present) return;
    e->present = false;
    w->fn(w->ctx, &e->told, false);
}

static void judge_anew(struct os_ifwatch *w, struct entry *e)
{
    if (!wanted(w, &e->link) || bw_addr_is_zero(&e->linklocal)) {
        tell_gone(w, e);
        return;
    }
    struct os_iface now = {.index = e->link.index, .mtu = e->link.mtu, .linklocal = e->linklocal};
    memcpy(now.name, e->link.name, sizeof now.name);
    bool same = e->present && now.mtu == e->told.mtu && bw_addr_eq(&now.linklocal, &e->told.linklocal) &&
                !strcmp(now.name, e->told.name);
    if (same) return;
    e->present = true;
    e->told = now;
    w->fn(w->ctx, &now, true);
}

static bool usable(const struct os_ifaddr *a)
{
    if (!bw_addr_is_linklocal(&a->addr) || bw_addr_is_v4(&a->addr) || a->flags & IFA_F_DADFAILED) return false;
    return !(a->flags & IFA_F_TENTATIVE) || a->flags & IFA_F_OPTIMISTIC;
}

static int first_linklocal(void *ctx, const struct os_ifaddr *a)
{
    struct os_ifwatch *w = ctx;
    struct entry *e = find(w, a->index);
    if (e && usable(a) && bw_addr_is_zero(&e->linklocal)) e->linklocal = a->addr;
    return 0;
}

static void addr_event(struct os_ifwatch *w, const struct os_ifaddr *a, bool gone)
{
    struct entry *e = find(w, a->index);
    if (!e || !bw_addr_is_linklocal(&a->addr)) return;
    if (!gone && usable(a)) {
        if (bw_addr_is_zero(&e->linklocal)) e->linklocal = a->addr; // else the one we have is as good
    } else if (bw_addr_eq(&a->addr, &e->linklocal)) {
        e->linklocal = (struct bw_addr){{0}}; // perhaps there is another one
        if (os_nl_addrs(w->nl, first_linklocal, w) < 0) return;
    }
    judge_anew(w, e);
}

static void link_event(struct os_ifwatch *w, const struct os_link *l, bool gone)
{
    struct entry *e = gone ? find(w, l->index) : find_or_add(w, l->index);
    if (!e) return;
    if (!gone) {
        e->link = *l;
        judge_anew(w, e);
        return;
    }
    tell_gone(w, e);
    *e = w->entries[--w->count];
}

static int note_link(void *ctx, const struct os_link *l)
{
    struct entry *e = find_or_add(ctx, l->index);
    if (!e) return BW_ERR_NOMEM;
    e->link = *l;
    e->seen = true;
    return 0;
}

// Everything anew from dumps. A dump that changes came between is asked again, but what it told is not wrong for long:
// those changes wait in the watch's queue.
static int resync(struct os_ifwatch *w)
{
    int err = BW_ERR_AGAIN;
    for (size_t i = 0; i < w->count; i++) w->entries[i].seen = false;
    for (int i = 0; i < 5 && err == BW_ERR_AGAIN; i++) err = os_nl_links(w->nl, note_link, w);
    if (err && err != BW_ERR_AGAIN) return err;
    for (size_t i = 0; i < w->count; i++) w->entries[i].linklocal = (struct bw_addr){{0}};
    err = BW_ERR_AGAIN;
    for (int i = 0; i < 5 && err == BW_ERR_AGAIN; i++) err = os_nl_addrs(w->nl, first_linklocal, w);
    if (err && err != BW_ERR_AGAIN) return err;
    for (size_t i = 0; i < w->count;) {
        if (w->entries[i].seen) {
            judge_anew(w, &w->entries[i++]);
        } else {
            tell_gone(w, &w->entries[i]);
            w->entries[i] = w->entries[--w->count];
        }
    }
    return 0;
}

static void on_event(void *ctx, const struct os_nl_event *e)
{
    struct os_ifwatch *w = ctx;
    switch (e->what) {
    case OS_NL_LINK:
        link_event(w, &e->link, e->gone);
        break;
    case OS_NL_ADDR:
        addr_event(w, &e->addr, e->gone);
        break;
    case OS_NL_RESYNC:
        if (resync(w)) return; // the next overrun or change tries again; nothing better can be done here
        break;
    default:
        break;
    }
    if (w->any) w->any(w->ctx, e);
}

static int take_config(struct os_ifwatch *w, const struct os_ifwatch_config *c)
{
    char(*names)[OS_IFNAME] = calloc(c->name_count ? c->name_count : 1, sizeof *names);
    if (!names) return BW_ERR_NOMEM;
    for (size_t i = 0; i < c->name_count; i++) snprintf(names[i], sizeof names[i], "%s", c->names[i]);
    free(w->names);
    w->names = names;
    w->name_count = c->name_count;
    w->mode = c->mode;
    snprintf(w->skip, sizeof w->skip, "%s", c->skip ? c->skip : "");
    return 0;
}

int os_ifwatch_open(uv_loop_t *loop, struct os_nl *nl, const struct os_ifwatch_config *c, os_ifwatch_fn *fn,
                    os_nlwatch_fn *any, void *ctx, struct os_ifwatch **out, char *why, size_t n)
{
    struct os_ifwatch *w = calloc(1, sizeof *w);
    if (!w) return os_why(BW_ERR_NOMEM, why, n, "out of memory");
    *w = (struct os_ifwatch){.nl = nl, .fn = fn, .any = any, .ctx = ctx};
    int err = take_config(w, c);
    if (err) os_why(err, why, n, "out of memory");
    if (!err) err = os_nlwatch_open(loop, on_event, w, &w->watch, why, n);
    if (!err) {
        err = resync(w);
        if (err) os_why(err, why, n, "the network interfaces cannot be listed: %s", os_nl_error(nl));
    }
    if (err) os_ifwatch_close(w);
    else *out = w;
    return err;
}

int os_ifwatch_reload(struct os_ifwatch *w, const struct os_ifwatch_config *c)
{
    int err = take_config(w, c);
    for (size_t i = 0; !err && i < w->count; i++) judge_anew(w, &w->entries[i]);
    return err;
}

void os_ifwatch_close(struct os_ifwatch *w)
{
    if (!w) return;
    os_nlwatch_close(w->watch);
    free(w->entries);
    free(w->names);
    free(w);
}

static const char *reason(const struct os_ifwatch *w, const struct entry *e)
{
    if (!strcmp(e->link.name, w->skip)) return "is byway's own";
    if (w->mode == OS_IFWATCH_NONE) return "is not used: discovery is off";
    if (w->mode == OS_IFWATCH_LIST && !listed(w, e->link.name)) return "is not in [discover] interfaces";
    enum os_iface_fit f = os_iface_judge(&e->link, w->mode == OS_IFWATCH_LIST);
    return f == OS_IFACE_FIT ? "has no IPv6 link-local address (yet), and neighbours are looked for by IPv6" : os_iface_fit_text(f);
}

int os_ifwatch_explain(const struct os_ifwatch *w, const char *name, char *text, size_t n)
{
    for (size_t i = 0; i < w->count; i++) {
        const struct entry *e = &w->entries[i];
        if (strcmp(e->link.name, name)) continue;
        if (e->present) return os_why(1, text, n, "is used");
        return os_why(0, text, n, "%s", reason(w, e));
    }
    return os_why(BW_ERR_NOTFOUND, text, n, "is not there");
}
