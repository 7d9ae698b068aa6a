// byway lab show, byway lab list
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/client.h"
#include "lab/commands.h"
#include "lab/place.h"
#include "lab/say.h"

#define API_TIMEOUT_MS 1000

static const char *text(json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "-";
}

static json_int_t integer(json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

// Asks every running node for what it knows of itself: address, neighbours, exit.
static void ask_nodes(json_t *nodes)
{
    size_t i;
    json_t *n;
    json_array_foreach(nodes, i, n) {
        json_t *s = strcmp(text(n, "state"), "running") ? NULL : client_get(text(n, "socket"), "/v1/status", API_TIMEOUT_MS);
        json_t *exit = json_object_get(s, "exit"), *share = json_object_get(s, "share");
        json_object_set(n, "address", s ? json_object_get(s, "address") : json_null());
        json_object_set(n, "peers", s ? json_object_get(s, "peers") : json_null());
        json_object_set(n, "routes", s ? json_object_get(s, "routes") : json_null());
        json_object_set(n, "exit", exit ? exit : json_null());
        json_object_set(n, "sharing", share ? share : json_null());
        json_decref(s);
    }
}

// Which node has that address? "" if it is of this lab but has none, or of none.
static const char *name_of(json_t *nodes, const char *address)
{
    size_t i;
    json_t *n;
    json_array_foreach(nodes, i, n) {
        const char *a = json_string_value(json_object_get(n, "address"));
        if (a && !strcmp(a, address)) return text(n, "name");
    }
    return NULL;
}

static void print_node(json_t *nodes, json_t *n)
{
    char pid[24] = "-", peers[24] = "-", exit[80] = "-";
    if (json_is_integer(json_object_get(n, "pid"))) snprintf(pid, sizeof pid, "%lld", integer(n, "pid"));
    if (json_is_integer(json_object_get(n, "peers"))) snprintf(peers, sizeof peers, "%lld", integer(n, "peers"));
    json_t *e = json_object_get(n, "exit");
    const char *address = json_string_value(json_object_get(e, "address"));
    if (address) snprintf(exit, sizeof exit, "%s", name_of(nodes, address) ?: address);
    else if (json_is_object(e)) snprintf(exit, sizeof exit, "%s", text(e, "state"));
    printf("%-12s %-18s %8s  %-39s %10s  %-12s %s%s\n", text(n, "name"), text(n, "state"), pid, text(n, "address"), peers, exit,
           json_is_true(json_object_get(n, "internet")) ? "internet" : "", json_is_true(json_object_get(n, "share")) ? ", shares it" : "");
}

static void print_way(json_t *l, const char *from, const char *to, const char *way, const char *ifname)
{
    json_t *w = json_object_get(l, way);
    printf("%-12s %-12s %-15s %12lld %9lld %9lld  %s\n", from, to, ifname, integer(w, "frames"), integer(w, "bytes") / 1000,
           integer(w, "lost") + integer(w, "cut") + integer(w, "overflowed"), text(w, "impairment"));
}

int lab_cmd_show(struct lab_call *c)
{
    if (c->argc) return lab_usage("lab show takes no word '%s'", c->argv[0]);
    json_t *a = client_ask(c->name, json_pack("{s:s}", "cmd", "show"), NULL);
    if (!a) return 1;
    json_t *nodes = json_object_get(a, "nodes"), *links = json_object_get(a, "links"), *x;
    size_t i;
    ask_nodes(nodes);
    json_object_del(a, "ok");
    if (c->json) {
        json_dumpf(a, stdout, JSON_INDENT(1));
        printf("\n");
    } else {
        printf("lab %s, %s, keeper %lld\n\n%-12s %-18s %8s  %-39s %10s  %-12s\n", text(a, "name"), text(a, "state"),
               integer(a, "keeper_pid"), "NODE", "STATE", "PID", "ADDRESS", "NEIGHBOURS", "EXIT");
        json_array_foreach(nodes, i, x) print_node(nodes, x);
        printf("\n%-12s %-12s %-15s %12s %9s %9s  %s\n", "FROM", "TO", "BY", "FRAMES", "KB", "DROPPED", "LINK");
        json_array_foreach(links, i, x) {
            print_way(x, text(x, "a"), text(x, "b"), "a_to_b", text(x, "a_interface"));
            print_way(x, text(x, "b"), text(x, "a"), "b_to_a", text(x, "b_interface"));
        }
    }
    json_decref(a);
    return 0;
}

int lab_cmd_list(struct lab_call *c)
{
    if (c->argc) return lab_usage("lab list takes no word '%s'", c->argv[0]);
    char base[PLACE_PATH], dir[PLACE_PATH];
    json_t *labs = json_array();
    DIR *d = place_base(base) ? NULL : opendir(base);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!place_name_ok(e->d_name) || place_lab(e->d_name, dir)) continue;
        int lock = place_lock(dir, false);
        if (lock == BW_ERR_AGAIN) json_array_append_new(labs, json_string(e->d_name));
        if (lock < 0) continue;
        place_clear(dir, true); // what a keeper left behind that was killed
        close(lock);
    }
    if (d) closedir(d);
    size_t i;
    json_t *name;
    if (c->json) json_dumpf(labs, stdout, JSON_INDENT(1)), printf("\n");
    else json_array_foreach(labs, i, name) printf("%s\n", json_string_value(name));
    json_decref(labs);
    return 0;
}
