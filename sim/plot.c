#include "sim/plot.h"

#include <errno.h>
#include <string.h>

static void cell(FILE *to, int width, int decimals, double v) // negative: did not happen
{
    if (v < 0) fprintf(to, " %*s", width, "-");
    else fprintf(to, " %*.*f", width, decimals, v);
}

void scale_head(FILE *to)
{
    fprintf(to, "%-12s %6s %6s %8s %8s %9s %9s %9s %8s %8s %8s %7s %7s %7s %8s %7s\n", "graph", "nodes", "wires", "full s", "rest s", "start kB", "idle b/s",
            "per wire", "routes", "mem kB", "max kB", "wire s", "node s", "hub s", "full cpu", "cpu s");
}

void scale_line(FILE *to, const struct scale_row *r)
{
    const struct {
        int width, decimals;
        double v;
    } cells[] = {{8, 1, r->full_s}, {8, 1, r->rest_s}, {9, 0, r->start_bytes / 1e3}, {9, 0, r->idle_node_bps}, {9, 0, r->idle_link_bps},
                 {8, 0, r->routes}, {8, 0, r->memory / 1e3}, {8, 0, (double)r->most_memory / 1e3}, {7, 1, r->wire_s}, {7, 1, r->node_s},
                 {7, 1, r->hub_s}, {8, 1, r->full_cpu_s}, {7, 1, r->cpu_s}};
    fprintf(to, "%-12s %6u %6u", r->graph, r->nodes, r->links);
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) cell(to, cells[i].width, cells[i].decimals, cells[i].v);
    fprintf(to, "\n");
    if (r->nearest > 0) fprintf(to, "  at most %u routes and %u destinations in a table; of the nearest %.1f %% are in it\n", r->most_routes, r->most_dests, r->nearest * 100);
}

void scale_json(FILE *to, const struct scale_row *r)
{
    fprintf(to, "{\"graph\":\"%s\",\"nodes\":%u,\"links\":%u,\"full_s\":%.3f,\"rest_s\":%.3f,\"start_bytes\":%.0f,\"idle_node_bps\":%.1f,\"idle_link_bps\":%.1f,"
            "\"routes\":%.1f,\"most_routes\":%u,\"most_dests\":%u,\"memory\":%.0f,\"most_memory\":%llu,\"nearest\":%.4f,\"wire_s\":%.3f,\"node_s\":%.3f,"
            "\"hub_s\":%.3f,\"simulated_s\":%.3f,\"steps\":%llu,\"trace\":\"%016llx\",\"result\":\"%s\"}\n",
            r->graph, r->nodes, r->links, r->full_s, r->rest_s, r->start_bytes, r->idle_node_bps, r->idle_link_bps, r->routes, r->most_routes, r->most_dests,
            r->memory, (unsigned long long)r->most_memory, r->nearest, r->wire_s, r->node_s, r->hub_s, r->simulated_s, (unsigned long long)r->steps,
            (unsigned long long)r->hash, r->violation ? violation_name(r->violation) : "ok");
}

int scale_csv(const char *path, const struct scale_row *rows, uint32_t count)
{
    FILE *f = fopen(path, "w");
    if (!f) return sim_say(1, "%s: %s", path, strerror(errno));
    fprintf(f, "graph,nodes,links,full_s,rest_s,start_bytes_per_node,idle_bps_per_node,idle_bps_per_link,routes,most_routes,most_destinations,memory,most_memory,"
               "nearest_kept,wire_death_s,node_death_s,hub_death_s,simulated_s,cpu_s,full_cpu_s\n");
    for (uint32_t i = 0; i < count; i++) {
        const struct scale_row *r = &rows[i];
        fprintf(f, "%s,%u,%u,%.3f,%.3f,%.0f,%.1f,%.1f,%.1f,%u,%u,%.0f,%llu,%.4f,%.3f,%.3f,%.3f,%.1f,%.1f,%.1f\n", r->graph, r->nodes, r->links, r->full_s, r->rest_s,
                r->start_bytes, r->idle_node_bps, r->idle_link_bps, r->routes, r->most_routes, r->most_dests, r->memory, (unsigned long long)r->most_memory,
                r->nearest, r->wire_s, r->node_s, r->hub_s, r->simulated_s, r->cpu_s, r->full_cpu_s);
    }
    return fclose(f) ? sim_say(1, "%s: %s", path, strerror(errno)) : 0;
}

// ---- plots: one panel per figure, nodes across, a line per kind of graph ----

#define PANEL_W 380
#define PANEL_H 250
#define LEFT 62
#define TOP 36
#define PLOT_W 290
#define PLOT_H 165

struct panel {
    const char *title;
    double (*of)(const struct scale_row *r);
};

static double full(const struct scale_row *r) { return r->full_s; }
static double start(const struct scale_row *r) { return r->start_bytes / 1e3; }
static double idle_link(const struct scale_row *r) { return r->idle_link_bps / 1e3; }
static double memory(const struct scale_row *r) { return r->memory / 1e3; }
static double wire(const struct scale_row *r) { return r->wire_s; }
static double node(const struct scale_row *r) { return r->node_s; }
static double hub(const struct scale_row *r) { return r->hub_s; }
static double routes(const struct scale_row *r) { return r->routes; }

static const struct panel panels[] = {{"until everybody reaches everybody, s", full}, {"sent per node until all is at rest, kB", start}, {"idle, per wire, kbit/s", idle_link},
                                      {"memory per node, kB", memory}, {"routes per node", routes}, {"healed after a wire's death, s", wire},
                                      {"healed after a node's death, s", node}, {"healed after a hub's death, s", hub}};
#define PANELS (sizeof panels / sizeof *panels)
static const char *const colours[] = {"#1b6ca8", "#c0392b", "#27813f", "#8e5bb5", "#b8860b"};

// 1, 2 or 5 times a power of ten, at least v.
static double round_up(double v)
{
    double p = 1e-6;
    for (; p < 1e15; p *= 10) {
        if (p >= v) return p;
        if (2 * p >= v) return 2 * p;
        if (5 * p >= v) return 5 * p;
    }
    return v;
}

static unsigned colour_of(const struct scale_row *rows, uint32_t i)
{
    unsigned c = 0;
    for (uint32_t k = 1; k <= i; k++) c += strcmp(rows[k].graph, rows[k - 1].graph) != 0;
    return c % 5;
}

static void draw_axes(FILE *f, const struct panel *p, double most, uint32_t widest)
{
    fprintf(f, "<text x=\"%d\" y=\"22\" class=\"t\">%s</text>\n", LEFT, p->title);
    for (int i = 0; i <= 4; i++) {
        double y = TOP + PLOT_H - PLOT_H * i / 4.0;
        fprintf(f, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" class=\"g\"/><text x=\"%d\" y=\"%.1f\" class=\"y\">%.4g</text>\n", LEFT, y, LEFT + PLOT_W, y,
                LEFT - 6, y + 4, most * i / 4);
    }
    for (int i = 0; i <= 4; i++)
        fprintf(f, "<text x=\"%d\" y=\"%d\" class=\"x\">%.5g</text>\n", LEFT + PLOT_W * i / 4, TOP + PLOT_H + 18, widest * i / 4.0);
    fprintf(f, "<text x=\"%d\" y=\"%d\" class=\"x\">nodes</text>\n", LEFT + PLOT_W / 2, TOP + PLOT_H + 34);
}

static void draw_panel(FILE *f, const struct panel *p, const struct scale_row *rows, uint32_t count)
{
    double most = 1e-6;
    uint32_t widest = 1;
    for (uint32_t i = 0; i < count; i++) {
        if (p->of(&rows[i]) > most) most = p->of(&rows[i]);
        if (rows[i].nodes > widest) widest = rows[i].nodes;
    }
    most = round_up(most);
    draw_axes(f, p, most, widest);
    for (uint32_t i = 0; i < count; i++) {
        double v = p->of(&rows[i]), x = LEFT + (double)PLOT_W * rows[i].nodes / widest, y = TOP + PLOT_H - PLOT_H * v / most;
        const char *colour = colours[colour_of(rows, i)];
        if (v < 0) continue;
        fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"/>\n", x, y, colour);
        if (!i || strcmp(rows[i].graph, rows[i - 1].graph) || p->of(&rows[i - 1]) < 0) continue;
        fprintf(f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"2\"/>\n", LEFT + (double)PLOT_W * rows[i - 1].nodes / widest,
                TOP + PLOT_H - PLOT_H * p->of(&rows[i - 1]) / most, x, y, colour);
    }
}

int scale_svg(const char *path, const struct scale_row *rows, uint32_t count)
{
    FILE *f = fopen(path, "w");
    if (!f) return sim_say(1, "%s: %s", path, strerror(errno));
    int width = PANEL_W * 2, height = PANEL_H * (int)((PANELS + 1) / 2) + 40;
    fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\">\n", width, height, width, height);
    fprintf(f, "<style>.t{font-size:13px;font-weight:bold}.y{font-size:11px;text-anchor:end}.x{font-size:11px;text-anchor:middle}.g{stroke:#ddd}</style>\n");
    fprintf(f, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", width, height);
    int x = LEFT;
    for (uint32_t i = 0; i < count; i++) {
        if (i && !strcmp(rows[i].graph, rows[i - 1].graph)) continue;
        fprintf(f, "<rect x=\"%d\" y=\"12\" width=\"14\" height=\"14\" fill=\"%s\"/><text x=\"%d\" y=\"24\" font-size=\"13\">%s</text>\n", x, colours[colour_of(rows, i)],
                x + 20, rows[i].graph);
        x += 130;
    }
    for (size_t k = 0; k < PANELS; k++) {
        fprintf(f, "<g transform=\"translate(%d,%d)\">\n", PANEL_W * (int)(k % 2), 34 + PANEL_H * (int)(k / 2));
        draw_panel(f, &panels[k], rows, count);
        fprintf(f, "</g>\n");
    }
    fprintf(f, "</svg>\n");
    return fclose(f) ? sim_say(1, "%s: %s", path, strerror(errno)) : 0;
}
