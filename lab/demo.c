// byway lab demo: a village of seven nodes, two of them with an Internet connection that they share. A relay dies under a
// download, then the exit dies; the reader watches and is told how long it took. Everything said here is measured.
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lab/commands.h"
#include "lab/demo_mesh.h"
#include "lab/demo_traffic.h"
#include "lab/keeper.h"
#include "lab/say.h"

static const char village[] = "node 1\nnode 2\nnode 3\nnode 4 share\nnode 5 share\nnode 6\nnode 7\n"
                              "link 1 2 delay=2ms\nlink 1 3 delay=2ms\nlink 2 4 delay=2ms\nlink 3 6 delay=2ms\n"
                              "link 6 4 delay=2ms\nlink 6 5 delay=2ms\nlink 4 7 delay=2ms\nlink 5 7 delay=2ms\n"
                              "link 4 internet rate=80mbit delay=5ms\nlink 5 internet rate=80mbit delay=5ms\n";

static const char picture[] = "        n1 ----- n2\n"
                              "        |        |\n"
                              "        n3       n4 === Internet\n"
                              "        |      / |\n"
                              "        |     /  n7\n"
                              "        |    /   |\n"
                              "        n6 ----- n5 === Internet\n";

#define PAGE "http://www.example.test/"
#define FILE_NAME "100M"
#define WEB "198.51.100.80"
#define LOG_SHOWN 1500L // bytes of it

struct demo {
    char name[32], dir[PLACE_PATH];
    bool tty;
    int drawn;               // lines of the table on the screen
    struct mesh mesh;
    struct lab_spaces reader; // n1's
    struct download download;
    struct pinger pinger;
    bw_time began, looked;
    double relay_s, exit_s;  // recovery times
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

// ---- the screen: lines that stay, and below them a table that is drawn over itself ----

static void undraw(struct demo *d)
{
    if (d->drawn) printf("\033[%dA\033[J", d->drawn);
    d->drawn = 0;
}

static void tell(struct demo *d, const char *fmt, ...) BW_PRINTF(2, 3);
static void tell(struct demo *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    undraw(d);
    printf("%4.1f s  ", (double)(loop_now() - d->began) / 1e6);
    vprintf(fmt, ap);
    printf("\n");
    fflush(stdout);
    va_end(ap);
}

static void draw_download(struct demo *d)
{
    const struct download *x = &d->download;
    char bar[31];
    int full = x->size ? (int)(x->got * 30 / x->size) : 0;
    for (int i = 0; i < 30; i++) bar[i] = i < full ? '#' : '.';
    bar[30] = 0;
    printf("\n  n1 downloads %s %3.0f of %.0f MB    n1 pings the Internet: ", bar, (double)x->got / 1e6, (double)x->size / 1e6);
    bw_time silent = loop_now() - d->pinger.last;
    if (silent > PING_SILENCE) printf("no answer for %.1f s\n", (double)silent / 1e6);
    else printf("%.1f ms\n", d->pinger.rtt_ms);
    d->drawn += 2;
}

static void draw(struct demo *d)
{
    if (!d->tty) return;
    undraw(d);
    printf("\n  %-5s %-10s %-11s %-10s %s\n", "NODE", "DAEMON", "NEIGHBOURS", "INTERNET", "WAY");
    d->drawn = 2;
    for (int i = 0; i < d->mesh.n; i++) {
        const struct mesh_node *x = &d->mesh.node[i];
        char way[120] = "", peers[12] = "-";
        mesh_way_text(&d->mesh, i, way, sizeof way);
        if (x->answers) snprintf(peers, sizeof peers, "%d", x->peers);
        const char *state = !x->answers ? "-" : !strcmp(x->exit_state, "active") ? "yes" : x->exit_state;
        printf("  %-5s %-10s %-11s %-10s %s\n", x->name, x->answers ? "runs" : "DEAD", peers, state, x->answers ? way : "");
        d->drawn++;
    }
    if (d->download.original) draw_download(d);
    fflush(stdout);
}

// One breath: read the traffic, look at the nodes now and then, draw. False if the reader has had enough.
static bool breathe(struct demo *d)
{
    traffic_wait(d->download.original ? &d->download : NULL, d->pinger.pid ? &d->pinger : NULL, 50);
    bw_time now = loop_now();
    if (now - d->looked > 300 * BW_MS) {
        mesh_look(&d->mesh);
        draw(d);
        d->looked = loop_now();
    }
    return !interrupted;
}

// ---- the story ----

static int find(const struct demo *d, const char *name)
{
    for (int i = 0; i < d->mesh.n; i++)
        if (!strcmp(d->mesh.node[i].name, name)) return i;
    return -1;
}

// Its logs go with the village, so what n1 said last is shown before.
static void show_log(const struct demo *d)
{
    char path[PLACE_PATH + 32], line[400];
    snprintf(path, sizeof path, "%s/nodes/n1/log", d->dir);
    FILE *f = fopen(path, "re");
    if (!f) return;
    if (!fseek(f, -LOG_SHOWN, SEEK_END) && !fgets(line, sizeof line, f)) line[0] = 0; // the rest of a line
    while (fgets(line, sizeof line, f)) fprintf(stderr, "n1: %s", line);
    fclose(f);
}

static int failed(struct demo *d, const char *what)
{
    undraw(d);
    if (interrupted) return lab_fail("interrupted");
    show_log(d);
    return lab_fail("demonstration failed: %s", what);
}

static int act_meet(struct demo *d)
{
    bw_time start = loop_now();
    while (loop_now() - start < 20 * BW_S) {
        if (!breathe(d)) return failed(d, "");
        bool online = true;
        for (int i = 0; i < d->mesh.n; i++) online &= d->mesh.node[i].answers && d->mesh.node[i].online;
        if (!online || !mesh_whole(&d->mesh)) continue;
        tell(d, "all seven have found their neighbours, ways to each other, and the Internet (%.1f s after they were ready)",
             (double)(loop_now() - start) / 1e6);
        return 0;
    }
    return failed(d, "not every node came online within 20 s");
}

static int not_loaded(struct demo *d, const char *node)
{
    char what[100];
    snprintf(what, sizeof what, "%s does not get %s within 5 s", node, PAGE);
    return failed(d, what);
}

static int act_browse(struct demo *d)
{
    for (int i = 0; i < d->mesh.n; i++) {
        const struct mesh_node *x = &d->mesh.node[i];
        if (!strcmp(x->exit_state, "own")) continue;
        struct lab_spaces in;
        if (client_spaces(d->name, x->name, &in)) return 1;
        bool loads = page_loads(&in, PAGE, 5);
        client_spaces_close(&in);
        if (!loads) return not_loaded(d, x->name);
        char way[120];
        mesh_look(&d->mesh);
        mesh_way_text(&d->mesh, i, way, sizeof way);
        tell(d, "node %s has no Internet of its own; it reads %s through %s (%d hop%s: %s)", x->name, PAGE,
             x->exit >= 0 ? d->mesh.node[x->exit].name : "?", x->hops, x->hops == 1 ? "" : "s", way);
        if (interrupted) return failed(d, "");
    }
    return 0;
}

static int kill_node(struct demo *d, int node)
{
    json_t *a = client_ask(d->name, json_pack("{s:s, s:s, s:i}", "cmd", "signal", "node", d->mesh.node[node].name, "signal", SIGKILL), NULL);
    json_decref(a);
    return a ? 0 : 1;
}

// However slow this machine is: as long as something comes, it goes on.
static const char *download_trouble(const struct demo *d)
{
    const struct download *l = &d->download;
    if (l->fd < 0 && l->failed) return l->differs ? "the file that arrived is not the one that was sent" : "the download broke off";
    return l->fd >= 0 && loop_now() - l->came > 15 * BW_S ? "nothing has come of the download for 15 s" : NULL;
}

static int act_download(struct demo *d)
{
    char original[PLACE_PATH + 32];
    snprintf(original, sizeof original, "%s/www/%s", d->dir, FILE_NAME);
    if (pinger_start(&d->pinger, &d->reader, WEB) || download_start(&d->download, &d->reader, PAGE FILE_NAME, original))
        return failed(d, "ping and curl could not be started");
    tell(d, "node n1 downloads 100 MB, and pings the Internet every %d ms beside it", PING_EVERY_MS);
    while (d->download.got < d->download.size / 4) {
        if (!breathe(d)) return failed(d, "");
        if (download_trouble(d)) return failed(d, download_trouble(d));
    }
    return 0;
}

// Kills the first relay of n1's way and waits until the Internet answers again.
static int act_relay(struct demo *d)
{
    int me = find(d, "n1");
    mesh_look(&d->mesh);
    const struct mesh_node *x = &d->mesh.node[me];
    if (x->hops < 2) return failed(d, "n1's way has no relay");
    int relay = x->way[1];
    pinger_mark(&d->pinger, loop_now());
    if (kill_node(d, relay)) return 1;
    tell(d, "killed %s (SIGKILL), the relay that carries it", d->mesh.node[relay].name);
    bw_time start = loop_now();
    char way[120];
    while (!d->pinger.gap_to || d->mesh.node[me].hops == 0 || d->mesh.node[me].way[1] == relay) {
        if (!breathe(d)) return failed(d, "");
        if (download_trouble(d)) return failed(d, download_trouble(d));
        if (loop_now() - start > 15 * BW_S) return failed(d, "no way around the dead relay within 15 s");
    }
    d->relay_s = (double)(d->pinger.gap_to - d->pinger.gap_from) / 1e6;
    mesh_way_text(&d->mesh, me, way, sizeof way);
    tell(d, "the Internet answers n1 again after %.1f s, now by %s", d->relay_s, way);
    return 0;
}

static int act_finish(struct demo *d)
{
    while (d->download.fd >= 0 && !download_trouble(d))
        if (!breathe(d)) return failed(d, "");
    if (download_trouble(d)) return failed(d, download_trouble(d));
    double s = (double)(d->download.ended - d->download.began) / 1e6;
    tell(d, "the same download went on and is complete: 100 MB, every byte right, in %.1f s (%.0f Mbit/s)", s,
         (double)d->download.size * 8 / s / 1e6);
    return 0;
}

static int act_exit(struct demo *d)
{
    int me = find(d, "n1");
    mesh_look(&d->mesh);
    int exit = d->mesh.node[me].exit;
    if (exit < 0) return failed(d, "n1 has lost its exit by itself");
    bw_time start = loop_now();
    if (kill_node(d, exit)) return 1;
    tell(d, "killed %s (SIGKILL), the exit that n1 uses", d->mesh.node[exit].name);
    while (!page_loads(&d->reader, PAGE, 1)) {
        if (!breathe(d)) return failed(d, "");
        if (loop_now() - start > 15 * BW_S) return failed(d, "no other exit within 15 s");
    }
    d->exit_s = (double)(loop_now() - start) / 1e6;
    while (d->mesh.node[me].exit == exit || !d->mesh.node[me].hops) {
        if (!breathe(d)) return failed(d, "");
        if (loop_now() - start > 20 * BW_S) return failed(d, "the page loads, but by which exit?");
    }
    char way[120];
    mesh_way_text(&d->mesh, me, way, sizeof way);
    tell(d, "node n1 reads pages again after %.1f s, now through %s (%s)", d->exit_s, d->mesh.node[d->mesh.node[me].exit].name, way);
    return 0;
}

static int play(struct demo *d)
{
    if (mesh_init(&d->mesh, d->name) || client_spaces(d->name, "n1", &d->reader)) return 1;
    int rc = act_meet(d);
    if (!rc) rc = act_browse(d);
    if (!rc) rc = act_download(d);
    if (!rc) rc = act_relay(d);
    if (!rc) rc = act_finish(d);
    if (!rc) rc = act_exit(d);
    undraw(d);
    pinger_stop(&d->pinger);
    download_stop(&d->download);
    client_spaces_close(&d->reader);
    return rc;
}

// ---- before and after ----

static int raise_village(struct demo *d, const char *binary)
{
    struct keeper_options o = {.name = d->name, .offload = true, .ready_s = 30, .seed = 1, .binary = binary};
    char err[TOPO_ERR];
    if (topo_parse("the demonstration", village, sizeof village - 1, &o.topology, err)) return lab_fail("%s", err);
    for (size_t i = 0; i < o.topology.n_nodes; i++)
        if (topo_add_set(&o.topology.nodes[i], INTERNET_PROBE)) return lab_fail("no memory");
    o.with = (int)syscall(SYS_pidfd_open, getpid(), 0); // if this program is killed, the village goes too
    int rc = lab_up(&o, false);
    memcpy(d->dir, o.dir, sizeof d->dir);
    topo_free(&o.topology);
    return rc;
}

static void catch_signals(void)
{
    struct sigaction a = {.sa_handler = on_interrupt}; // no SA_RESTART: what waits shall wake
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGHUP, &a, NULL);
}

int lab_cmd_demo(struct lab_call *c)
{
    static const struct lab_option options[] = {{"--binary", true}, {NULL, false}};
    const char *binary = NULL;
    int rc = lab_options(&c->argc, c->argv, options, lab_option_text, &binary);
    if (rc) return rc;
    if (c->argc) return lab_usage("lab demo takes no word '%s'", c->argv[0]);
    char self[PATH_MAX];
    if (!realpath(binary ? binary : "/proc/self/exe", self)) return lab_fail("%s: %s", binary, strerror(errno));
    struct demo d = {.tty = isatty(1), .began = loop_now(), .download = {.fd = -1}, .pinger = {.fd = -1}};
    snprintf(d.name, sizeof d.name, "demo-%d", (int)getpid());
    catch_signals();
    printf("A village of seven nodes on this machine, each with network namespaces of its own:\n\n%s\n"
           "n4 and n5 have an Internet connection and share it. The others have nothing but their neighbours.\n\n", picture);
    rc = raise_village(&d, self);
    if (rc) return rc;
    tell(&d, "seven daemons are ready; they know nothing of each other yet");
    rc = play(&d);
    int down = client_down(d.name, true);
    if (!down) tell(&d, "everything is taken down, nothing is left behind");
    if (!rc && !down)
        printf("\nA dead relay was noticed and replaced in %.1f s without breaking the download, a dead exit in %.1f s.\n"
               "Try it yourself: byway lab up seven, byway lab show, byway lab --help.\n", d.relay_s, d.exit_s);
    return rc ? rc : down;
}
