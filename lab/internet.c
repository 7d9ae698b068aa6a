// The "internet" namespace: a web server and a name server behind a provider that gives every attached node an uplink of
// its own. The servers stand outside the uplinks' networks, so that an exit which keeps its connected networks to itself
// still reaches them. Addresses are those reserved for documentation (RFC 5737, RFC 3849).
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/keeper.h"
#include "lab/net.h"
#include "lab/tap.h"

#define WEB4 "198.51.100.80"
#define WEB6 "2001:db8::80"
#define DNS4 "198.51.100.53"
#define DNS6 "2001:db8::53"
#define GATE4 "203.0.113.1" // the provider's end of every uplink

int internet_make(struct lab *lab, const char **step)
{
    int rc = space_make(&lab->internet, &lab->home, "internet", NULL, step);
    if (rc) return rc;
    *step = "giving the internet its addresses";
    if (space_enter_net(lab->internet.net)) return BW_ERR_SYS;
    rc = net_address("lo", WEB4, 32) || net_address("lo", WEB6, 128) || net_address("lo", DNS4, 32) ||
         net_address("lo", DNS6, 128);
    int why = errno;
    // A provider routes between its customers but lets nothing link-local across.
    net_sysctl("net/ipv4/ip_forward", "1");
    net_sysctl("net/ipv6/conf/all/forwarding", "1");
    net_sysctl("net/ipv4/tcp_congestion_control", "cubic"); // not what this machine may have chosen: BBR takes its hold-ups for a slow path
    if (space_enter_net(lab->home.net)) abort();
    errno = why;
    return rc ? BW_ERR_SYS : 0;
}

static int provider_end(const char *ifname, const char *v4, const char *gate6)
{
    char name[80];
    snprintf(name, sizeof name, "net/ipv4/conf/%s/proxy_arp", ifname);
    net_sysctl(name, "1");
    snprintf(name, sizeof name, "net/ipv4/neigh/%s/proxy_delay", ifname);
    net_sysctl(name, "0");
    if (net_up(ifname) || net_address(ifname, GATE4, 32) || net_route(v4, 32, NULL, ifname)) return BW_ERR_SYS;
    return net_address(ifname, gate6, 64);
}

static int customer_end(const char *v4, const char *v6, const char *gate6)
{
    if (net_up("internet") || net_address("internet", v4, 24) || net_address("internet", v6, 64)) return BW_ERR_SYS;
    if (net_route("0.0.0.0", 0, GATE4, "internet")) return BW_ERR_SYS;
    return net_route("::", 0, gate6, "internet");
}

int internet_attach(struct lab *lab, size_t i, const char **step)
{
    struct node *n = &lab->nodes[i];
    unsigned number = (unsigned)i + 1;
    char ifname[TOPO_IFNAME], v4[20], v6[40], gate6[40];
    snprintf(ifname, sizeof ifname, "to-%s", n->topo->name);
    snprintf(v4, sizeof v4, "203.0.113.%u", 100 + number);
    snprintf(v6, sizeof v6, "2001:db8:0:%u::2", number);
    snprintf(gate6, sizeof gate6, "2001:db8:0:%u::1", number);
    const uint8_t mac_a[6] = {2, 0xb3, 0, (uint8_t)(number >> 8), (uint8_t)number, 1};
    const uint8_t mac_b[6] = {2, 0xb3, 0, (uint8_t)(number >> 8), (uint8_t)number, 2};
    *step = "making an uplink";
    int a = -1, b = -1, rc = space_enter_net(n->space.net);
    if (!rc) rc = a = tap_open("internet", mac_a);
    if (a >= 0) rc = space_enter_net(lab->internet.net);
    if (a >= 0 && !rc) rc = b = tap_open(ifname, mac_b);
    if (b >= 0) rc = provider_end(ifname, v4, gate6);
    if (b >= 0 && !rc) rc = space_enter_net(n->space.net) || customer_end(v4, v6, gate6) ? BW_ERR_SYS : 0;
    int why = errno;
    if (space_enter_net(lab->home.net)) abort();
    if (rc < 0) {
        if (a >= 0) close(a);
        if (b >= 0) close(b);
        errno = why;
        return rc;
    }
    n->uplink = wires_add(lab->wires, a, b, &n->topo->uplink);
    return n->uplink < 0 ? n->uplink : 0;
}

int internet_resolv(struct lab *lab, size_t i, const char *path)
{
    FILE *f = fopen(path, "we");
    if (!f) return BW_ERR_SYS;
    if (lab->nodes[i].topo->internet) fprintf(f, "nameserver %s\nnameserver %s\n", DNS4, DNS6);
    else fprintf(f, "# no Internet of its own\n");
    return fclose(f) ? BW_ERR_SYS : 0;
}

// Files of known content, different at every place, so that a checksum finds a swap as well as a loss.
static int write_file(const char *dir, const char *name, size_t size)
{
    char path[PLACE_PATH + 32];
    snprintf(path, sizeof path, "%s/www/%s", dir, name);
    FILE *f = fopen(path, "we");
    if (!f) return BW_ERR_SYS;
    static uint64_t block[8192];
    uint64_t state = 1;
    for (size_t done = 0; done < size;) {
        for (size_t i = 0; i < sizeof block / sizeof *block; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block[i] = state;
        }
        size_t n = size - done < sizeof block ? size - done : sizeof block;
        if (fwrite(block, 1, n, f) != n) break;
        done += n;
    }
    return fclose(f) ? BW_ERR_SYS : 0;
}

static int write_site(const char *dir)
{
    char path[PLACE_PATH + 32];
    snprintf(path, sizeof path, "%s/www/x", dir);
    *strrchr(path, '/') = 0;
    if (place_mkdirs(path)) return BW_ERR_SYS;
    strcat(path, "/index.html");
    FILE *f = fopen(path, "we");
    if (!f) return BW_ERR_SYS;
    fprintf(f, "<!doctype html><title>The Internet</title><p>You have reached the Internet.</p>\n");
    if (fclose(f)) return BW_ERR_SYS;
    return write_file(dir, "1M", 1000000) || write_file(dir, "10M", 10000000) || write_file(dir, "100M", 100000000)
               ? BW_ERR_SYS
               : 0;
}

// Daemons live where an ordinary user's PATH may not look.
static bool find_program(const char *name, char *out, size_t size)
{
    static const char *const dirs[] = {"/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin", "/bin"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        snprintf(out, size, "%s/%s", dirs[i], name);
        if (!access(out, X_OK)) return true;
    }
    return false;
}

// Nobody may change groups in a plain user's namespace, where dnsmasq gives up unless it is told to debug; but debugging
// it does one TCP connection at a time, and a client that keeps one open makes it deaf.
static char *dnsmasq_mode(void)
{
    char text[8] = "";
    FILE *f = fopen("/proc/self/setgroups", "re");
    bool denied = f && fgets(text, sizeof text, f) && !strncmp(text, "deny", 4);
    if (f) fclose(f);
    return denied ? "--no-daemon" : "--keep-in-foreground";
}

int internet_serve(struct lab *lab)
{
    char dns[64], python[64], log[2][PLACE_PATH + 16], www[PLACE_PATH + 16];
    const char *dir = lab->o->dir;
    if (!find_program("dnsmasq", dns, sizeof dns)) {
        lab_abort(lab, "dnsmasq is missing (apt install dnsmasq-base)");
        return BW_ERR_NOTFOUND;
    }
    if (!find_program("python3", python, sizeof python)) {
        lab_abort(lab, "python3 is missing: its web server plays the Internet (apt install python3)");
        return BW_ERR_NOTFOUND;
    }
    if (write_site(dir)) {
        lab_abort(lab, "writing the files of the web server to %s: %s", dir, strerror(errno));
        return BW_ERR_SYS;
    }
    snprintf(log[0], sizeof log[0], "%s/dns.log", dir);
    snprintf(log[1], sizeof log[1], "%s/web.log", dir);
    snprintf(www, sizeof www, "%s/www", dir);
    char *const dns_argv[] = {dns, dnsmasq_mode(), "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                              "--pid-file=", "--user=root", "--group=root", "--log-facility=-", "--bind-interfaces",
                              "--listen-address=" DNS4 "," DNS6, "--local=/test/",
                              "--host-record=www.example.test,example.test," WEB4 "," WEB6, NULL};
    char *const web_argv[] = {python, "-B", "-m", "http.server", "--bind", "::", "--directory", www, "80", NULL};
    int rc = proc_start(lab, &lab->dns, &(struct command){dns_argv, NULL, &lab->internet, log[0], NULL});
    if (!rc) rc = proc_start(lab, &lab->web, &(struct command){web_argv, NULL, &lab->internet, log[1], NULL});
    if (rc) lab_abort(lab, "starting the Internet's servers: %s", strerror(errno));
    return rc;
}

// Is there a socket of that port in /proc/net/TABLE?
static bool port_open(const char *table, unsigned port, const char *state)
{
    char path[40], line[256];
    snprintf(path, sizeof path, "/proc/thread-self/net/%s", table);
    FILE *f = fopen(path, "re");
    if (!f) return false;
    bool found = false;
    while (!found && fgets(line, sizeof line, f)) {
        unsigned p;
        char st[3];
        found = sscanf(line, "%*s %*[0-9A-F]:%x %*s %2s", &p, st) == 2 && p == port && !strcmp(st, state);
    }
    fclose(f);
    return found;
}

bool internet_answers(struct lab *lab)
{
    if (space_enter_net(lab->internet.net)) return false;
    bool yes = port_open("tcp6", 80, "0A") && port_open("udp", 53, "07") && port_open("udp6", 53, "07");
    if (space_enter_net(lab->home.net)) abort();
    return yes;
}
