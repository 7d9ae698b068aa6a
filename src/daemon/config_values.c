// Texts to values. Each says in plain words what it wanted when it did not get it.
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "base/text.h"
#include "daemon/config_parse.h"

#define SAY(...) (snprintf(why, WHY, __VA_ARGS__), -1)

int value_bool(const char *s, bool *out, char *why)
{
    static const char *const yes[] = {"yes", "true", "on"}, *const no[] = {"no", "false", "off"};
    for (size_t i = 0; i < 3; i++) {
        if (!strcasecmp(s, yes[i]) || !strcasecmp(s, no[i])) {
            *out = !strcasecmp(s, yes[i]);
            return 0;
        }
    }
    return SAY("neither yes nor no");
}

// A decimal number without sign or blanks that ends at a NUL or at one of the characters in `stop`; NULL if it is none.
static const char *digits(const char *s, const char *stop, unsigned long max, unsigned long *out)
{
    uint64_t v = 0; // long may have 32 bits, all of which max may take
    const char *p = s;
    for (; isdigit((unsigned char)*p); p++) {
        v = v * 10 + (uint64_t)(*p - '0');
        if (v > max) return NULL;
    }
    *out = (unsigned long)v;
    return p != s && (!*p || strchr(stop, *p)) ? p : NULL;
}

int value_number(const char *s, unsigned long min, unsigned long max, unsigned long *out, char *why)
{
    unsigned long v;
    if (!digits(s, "", max, &v) || v < min) return SAY("not a number from %lu to %lu", min, max);
    *out = v;
    return 0;
}

int value_name(const char *s, char out[CONFIG_NAME], const char *extra, char *why)
{
    size_t n = strlen(s);
    if (n >= CONFIG_NAME) return SAY("longer than %d characters", CONFIG_NAME - 1);
    for (size_t i = 0; i < n; i++) {
        if (isalnum((unsigned char)s[i]) || strchr(extra, s[i])) continue;
        if (s[i] == '"' || s[i] == '\'') return SAY("write it without quotes");
        return SAY("a name has letters, digits and hyphens only");
    }
    if (!n || s[0] == '-' || s[n - 1] == '-') return SAY("a name begins and ends with a letter or digit");
    memcpy(out, s, n + 1);
    return 0;
}

int value_interface(const char *s, char out[CONFIG_IFNAME], char *why)
{
    size_t n = strlen(s);
    if (!n || n >= CONFIG_IFNAME) return SAY("an interface name has 1 to %d characters", CONFIG_IFNAME - 1);
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '/' || s[i] == ':' || !isgraph((unsigned char)s[i])) return SAY("not an interface name");
    }
    if (!strcmp(s, ".") || !strcmp(s, "..")) return SAY("not an interface name");
    memcpy(out, s, n + 1);
    return 0;
}

// Takes the next item off a list of items between commas or blanks. 1: an item, 0: the end, -1: a mistake.
static int next_item(const char **list, char *item, size_t size, char *why)
{
    const char *p = *list;
    while (isspace((unsigned char)*p)) p++;
    if (!*p) return 0;
    size_t n = strcspn(p, ", \t");
    if (!n) return SAY("a comma too many");
    if (n >= size) return SAY("an item is too long");
    memcpy(item, p, n);
    item[n] = 0;
    p += n;
    while (isspace((unsigned char)*p)) p++;
    if (*p == ',') {
        p++;
        while (isspace((unsigned char)*p)) p++;
        if (!*p) return SAY("a comma too many");
    }
    *list = p;
    return 1;
}

int value_interfaces(const char *s, struct config_discover *d, char *why)
{
    d->count = 0;
    if (!strcmp(s, "auto") || !strcmp(s, "none")) {
        d->mode = *s == 'a' ? CONFIG_DISCOVER_AUTO : CONFIG_DISCOVER_NONE;
        return 0;
    }
    d->mode = CONFIG_DISCOVER_LIST;
    char item[64], more[WHY];
    int got;
    while ((got = next_item(&s, item, sizeof item, why)) > 0) {
        if (d->count == CONFIG_INTERFACES) return SAY("more than %d interfaces", CONFIG_INTERFACES);
        if (!strcmp(item, "auto") || !strcmp(item, "none")) return SAY("`%.20s` stands alone, not in a list", item);
        if (value_interface(item, d->interfaces[d->count], more)) return SAY("`%s`: %.150s", item, more);
        for (uint32_t i = 0; i < d->count; i++) {
            if (!strcmp(d->interfaces[i], item)) return SAY("`%s` is listed twice", item);
        }
        d->count++;
    }
    return got;
}

int value_lan(const char *s, struct config_lan *l, char *why)
{
    struct config_discover list = {0};
    l->count = 0;
    if (!strcmp(s, "auto")) return SAY("neither none nor a list of interfaces");
    if (value_interfaces(s, &list, why)) return -1;
    memcpy(l->interfaces, list.interfaces, sizeof l->interfaces);
    l->count = list.count;
    return 0;
}

int value_rate(const char *s, uint64_t *bps, char *why)
{
    static const struct {
        const char *unit;
        double bits;
    } units[] = {{"", 1}, {"bit", 1}, {"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}};
    if (!strcmp(s, "none")) {
        *bps = 0;
        return 0;
    }
    if (!isdigit((unsigned char)*s)) return SAY("not a rate (write none, or e.g. 20mbit)");
    double v = 0, place = 1;
    const char *p = s;
    for (; isdigit((unsigned char)*p) && p - s < 15; p++) v = v * 10 + (*p - '0');
    if (*p == '.') { // by hand, since strtod would follow the locale
        for (p++; isdigit((unsigned char)*p) && p - s < 20; p++) v += (*p - '0') * (place /= 10);
    }
    while (*p == ' ') p++;
    size_t n = strlen(p);
    if (n > 2 && !strcasecmp(p + n - 2, "/s")) n -= 2;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strlen(units[i].unit) != n || strncasecmp(p, units[i].unit, n)) continue;
        v *= units[i].bits;
        if (v < 8000) return SAY("less than 8kbit carries nothing (a bare number is bit/s)");
        if (v > 1e13) return SAY("too large");
        *bps = (uint64_t)(v + 0.5);
        return 0;
    }
    return SAY("not a rate (units are bit, kbit, mbit, gbit per second, e.g. 20mbit)");
}

int value_volume(const char *s, uint64_t *bytes, char *why)
{
    static const struct {
        const char *unit;
        uint64_t bytes;
    } units[] = {{"kb", 1000}, {"mb", 1000000}, {"gb", 1000000000}, {"tb", 1000000000000}};
    unsigned long v = 0;
    if (!strcmp(s, "none")) {
        *bytes = 0;
        return 0;
    }
    const char *p = digits(s, " kKmMgGtT", 1000000, &v);
    while (p && *p == ' ') p++;
    size_t n = p ? strlen(p) : 0;
    if (n > 6 && !strcasecmp(p + n - 6, "/month")) n -= 6;
    for (size_t i = 0; p && v && i < sizeof units / sizeof *units; i++) {
        if (n != 2 || strncasecmp(p, units[i].unit, 2)) continue;
        *bytes = v * units[i].bytes;
        return 0;
    }
    return SAY("not a volume (write none, or e.g. 20GB/month; units are kB, MB, GB, TB)");
}

int value_exits(const char *s, struct bw_addr *out, uint32_t *count, char *why)
{
    char item[64];
    int got;
    *count = 0;
    while ((got = next_item(&s, item, sizeof item, why)) > 0) {
        if (*count == CONFIG_EXITS) return SAY("more than %d exits", CONFIG_EXITS);
        if (bw_addr_parse(item, &out[*count]) || !bw_addr_is_mesh(&out[*count]))
            return SAY("`%.40s` is not a mesh address (fc...; `byway exits` lists them)", item);
        ++*count;
    }
    return got;
}

int value_days(const char *s, uint32_t *days, char *why)
{
    unsigned long v;
    *days = 0;
    if (!strcmp(s, "none")) return 0;
    const char *p = digits(s, "d", 3650, &v);
    if (!p || !v || *p != 'd' || p[1]) return SAY("not a number of days (write none, or e.g. 30d)");
    *days = (uint32_t)v;
    return 0;
}

int value_count(const char *s, uint32_t *out, char *why)
{
    unsigned long v;
    *out = 0;
    if (!strcmp(s, "none")) return 0;
    if (value_number(s, 1, 1000000, &v, why)) return SAY("neither none nor a number from 1 to 1000000");
    *out = (uint32_t)v;
    return 0;
}

static bool is_host_name(const char *s)
{
    size_t n = strlen(s), label = 0;
    bool letter = false;
    if (!n || n > 253) return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '.') {
            if (!label) return false;
            label = 0;
            continue;
        }
        if (!isalnum(c) && c != '-' && c != '_') return false;
        if (c == '-' && !label) return false;
        letter |= isalpha(c) != 0;
        if (++label > 63) return false;
    }
    return letter; // digits and dots alone are a mistyped address
}

// An address without brackets, "fe80::1%eth0", or a name; len characters of s.
static int set_host(const char *s, size_t len, struct config_endpoint *e, char *why)
{
    if (!len || len >= sizeof e->host) return SAY("no host");
    memcpy(e->host, s, len);
    e->host[len] = 0;
    char bare[CONFIG_HOST];
    memcpy(bare, e->host, len + 1);
    char *scope = strchr(bare, '%');
    char ifname[CONFIG_IFNAME];
    if (scope) {
        *scope = 0;
        if (value_interface(scope + 1, ifname, why)) return -1;
    }
    e->literal = !bw_addr_parse(bare, &e->addr);
    if (e->literal) {
        bool v6 = strchr(bare, ':');
        struct bw_addr any4 = bw_addr_v4((const uint8_t[4]){0});
        if (scope && !bw_addr_is_linklocal(&e->addr)) return SAY("only a link-local address takes %%INTERFACE");
        if (v6 && !scope && bw_addr_is_linklocal(&e->addr))
            return SAY("a link-local address needs its interface: [%.60s%%eth0]", bare);
        if (bw_addr_is_zero(&e->addr) || bw_addr_eq(&e->addr, &any4) || bw_addr_is_multicast(&e->addr))
            return SAY("nobody can be reached at `%.60s`", bare);
        return 0;
    }
    e->addr = (struct bw_addr){{0}};
    if (scope || !is_host_name(bare)) return SAY("`%.80s` is neither an address nor a host name", e->host);
    return 0;
}

int value_endpoint(const char *s, bool port_needed, struct config_endpoint *out, char *why)
{
    struct config_endpoint e = {0};
    const char *port = NULL, *host = s;
    size_t len = strlen(s);
    if (*s == '[') {
        const char *close = strchr(s, ']');
        if (!close) return SAY("no ] behind the address");
        host = s + 1;
        len = (size_t)(close - host);
        if (close[1] == ':') port = close + 2;
        else if (close[1]) return SAY("after ] comes :PORT");
    } else {
        const char *colon = strchr(s, ':');
        if (colon && !strchr(colon + 1, ':')) {
            port = colon + 1;
            len = (size_t)(colon - s);
        } else if (colon && port_needed) {
            return SAY("write an IPv6 address in brackets: [%.60s]:4870", s);
        }
    }
    if (set_host(host, len, &e, why)) return -1;
    if (*s == '[' && !(e.literal && strchr(e.host, ':'))) return SAY("only an IPv6 address stands in brackets");
    if (!port && port_needed) return SAY("no port (write e.g. %.100s:4870)", s);
    unsigned long n = 0;
    if (port && (!digits(port, "", 65535, &n) || !n)) return SAY("`%.20s` is not a port (1 to 65535)", port);
    e.port = (uint16_t)n;
    *out = e;
    return 0;
}

int config_endpoint_parse(const char *s, struct config_endpoint *out)
{
    char why[WHY];
    return value_endpoint(s, true, out, why) ? BW_ERR_MALFORMED : 0;
}

int value_probes(const char *s, struct config_internet *c, char *why)
{
    c->probe_count = 0;
    if (!strcmp(s, "auto") || !strcmp(s, "none")) {
        c->probe = *s == 'a' ? CONFIG_PROBE_AUTO : CONFIG_PROBE_NONE;
        return 0;
    }
    c->probe = CONFIG_PROBE_LIST;
    char item[CONFIG_HOST + 16], more[WHY];
    int got;
    while ((got = next_item(&s, item, sizeof item, why)) > 0) {
        if (!strcmp(item, "auto") || !strcmp(item, "none")) return SAY("`%.20s` stands alone, not in a list", item);
        if (c->probe_count == CONFIG_PROBES) return SAY("more than %d probes", CONFIG_PROBES);
        if (value_endpoint(item, false, &c->probes[c->probe_count], more)) return SAY("`%.60s`: %.150s", item, more);
        if (!c->probes[c->probe_count].literal) return SAY("`%.60s`: an address is needed, since a name proves nothing when DNS fails", item);
        if (bw_addr_is_linklocal(&c->probes[c->probe_count].addr)) return SAY("`%.60s`: who answers on the wire proves no Internet", item);
        c->probe_count++;
    }
    return got;
}

static int ports(const char *s, struct config_rule *r, char *why)
{
    unsigned long from, to;
    const char *p = digits(s, "-", 65535, &from);
    if (!p) return SAY("`%.20s` is not a port (1 to 65535) or a range of ports", s);
    to = from;
    if (*p == '-' && !digits(p + 1, "", 65535, &to)) return SAY("`%.20s` is not a range of ports (e.g. 5000-5010)", s);
    if (!from || to < from) return SAY("`%.20s` is not a range of ports (low-high, from 1)", s);
    r->from = (uint16_t)from;
    r->to = (uint16_t)to;
    return 0;
}

static int rule(const char *s, struct config_rule *r, char *why)
{
    static const struct {
        const char *name;
        enum config_allow what;
    } kinds[] = {
        {"all", CONFIG_ALLOW_ALL}, {"icmp", CONFIG_ALLOW_ICMP}, {"tcp", CONFIG_ALLOW_TCP}, {"udp", CONFIG_ALLOW_UDP}};
    size_t n = strcspn(s, "/:");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strlen(kinds[i].name) != n || strncmp(s, kinds[i].name, n)) continue;
        bool with_ports = kinds[i].what == CONFIG_ALLOW_TCP || kinds[i].what == CONFIG_ALLOW_UDP;
        *r = (struct config_rule){.what = kinds[i].what, .from = with_ports, .to = with_ports ? 65535 : 0};
        if (!s[n]) return 0;
        if (!with_ports || s[n] != '/') break;
        return ports(s + n + 1, r, why);
    }
    return SAY("`%.40s` is not a rule (icmp, tcp/22, udp/5000-5010, all, none)", s);
}

int value_rules(const char *s, struct config_firewall *f, char *why)
{
    f->count = 0;
    if (!strcmp(s, "none")) return 0;
    char item[64];
    int got;
    while ((got = next_item(&s, item, sizeof item, why)) > 0) {
        if (f->count == CONFIG_RULES) return SAY("more than %d rules", CONFIG_RULES);
        if (rule(item, &f->rules[f->count], why)) return -1;
        f->count++;
    }
    return got;
}

int value_blocks(const char *s, struct config_internet *c, char *why)
{
    char item[64];
    int got;
    c->block_count = 0;
    if (!strcmp(s, "none")) return 0;
    while ((got = next_item(&s, item, sizeof item, why)) > 0) {
        if (c->block_count == CONFIG_RULES) return SAY("more than %d entries", CONFIG_RULES);
        struct config_rule *r = &c->block[c->block_count];
        bool tcp = !strncmp(item, "tcp/", 4), udp = !strncmp(item, "udp/", 4);
        r->what = tcp ? CONFIG_ALLOW_TCP : udp ? CONFIG_ALLOW_UDP : CONFIG_ALLOW_ALL;
        if (ports(item + (tcp || udp ? 4 : 0), r, why)) return -1;
        c->block_count++;
    }
    return got;
}

static int prefix(const char *s, struct bw_prefix *out, char *why)
{
    struct bw_addr a;
    if (!bw_prefix_parse(s, out)) return 0;
    if (!bw_addr_parse(s, &a))
        return SAY("`%.60s` has no length (write e.g. %.60s/%d)", s, s, strchr(s, ':') ? 128 : 32);
    char host[BW_ADDR_TEXT], text[BW_PREFIX_TEXT];
    const char *slash = strchr(s, '/');
    unsigned long len;
    if (slash && slash - s < BW_ADDR_TEXT && digits(slash + 1, "", strchr(s, ':') ? 128 : 32, &len)) {
        snprintf(host, sizeof host, "%.*s", (int)(slash - s), s);
        if (!bw_addr_parse(host, &a)) {
            struct bw_prefix p = bw_prefix_make(&a, (uint8_t)(len + (strchr(s, ':') ? 0 : 96)));
            return SAY("`%.60s` has bits set beyond its length (did you mean %s?)", s, bw_prefix_text(&p, text));
        }
    }
    return SAY("`%.60s` is not a prefix (e.g. 192.168.7.0/24)", s);
}

// What can be offered to others as a network behind this node.
static int exportable(const struct bw_prefix *p, const char *s, char *why)
{
    static const struct bw_prefix mesh = {{{0xfc}}, 8}, loop6 = {{{[15] = 1}}, 128};
    static const struct bw_prefix loop4 = {{{[10] = 0xff, [11] = 0xff, [12] = 127}}, 104};
    if (p->len == 0 || (bw_prefix_is_v4(p) && p->len == 96))
        return SAY("a default route is not exported (to share Internet: [internet] share = auto)");
    if (bw_prefix_overlaps(p, &mesh)) return SAY("`%.60s` overlaps the mesh's own addresses", s);
    if (bw_prefix_has(&loop4, &p->addr) || bw_prefix_has(&loop6, &p->addr) || bw_addr_is_linklocal(&p->addr) ||
        bw_addr_is_multicast(&p->addr))
        return SAY("`%.60s` means nothing beyond this machine", s);
    return 0;
}

int value_exports(const char *s, struct config_routing *r, char *why)
{
    r->export_count = 0;
    char item[64];
    int got;
    while ((got = next_item(&s, item, sizeof item, why)) > 0) {
        if (r->export_count == CONFIG_EXPORTS) return SAY("more than %d prefixes", CONFIG_EXPORTS);
        struct bw_prefix *p = &r->exports[r->export_count];
        if (prefix(item, p, why) || exportable(p, item, why)) return -1;
        r->export_count++;
    }
    return got;
}

int value_imports(const char *s, struct config_routing *r, char *why)
{
    r->import_count = 0;
    char item[64];
    int got;
    while ((got = next_item(&s, item, sizeof item, why)) > 0) {
        if (r->import_count == CONFIG_PREFIXES) return SAY("more than %d prefixes", CONFIG_PREFIXES);
        struct config_import *i = &r->imports[r->import_count];
        i->deny = item[0] == '!';
        if (prefix(item + i->deny, &i->prefix, why)) return -1;
        r->import_count++;
    }
    return got;
}

int value_path(const char *s, char out[CONFIG_PATH], char *why)
{
    if (strlen(s) >= CONFIG_PATH) return SAY("longer than %d characters", CONFIG_PATH - 1);
    if (s[0] == '"' || s[0] == '\'') return SAY("write it without quotes");
    snprintf(out, CONFIG_PATH, "%s", s);
    return 0;
}

int value_key(const char *s, uint8_t out[32], char *why)
{
    static const uint8_t zero[32];
    uint8_t key[32];
    if (bw_base64_decode(s, key, 32))
        return SAY("not a public key (44 characters of base64, as `byway key show` prints)");
    if (!memcmp(key, zero, 32)) return SAY("the key of all zeros is nobody's");
    memcpy(out, key, 32);
    return 0;
}
