// One speaker of ours on a real interface, for tests against other implementations: babel_driver IFACE ROUTER-ID(16 hex digits)
// PREFIX... Link-local address: the interface's own. Events go to standard output, one per line:
//   route PREFIX via ADDRESS metric M | route PREFIX lost | neighbour ADDRESS up|down cost C rtt R
// Commands come by standard input: originate PREFIX, withdraw PREFIX, neighbours, shutdown, quit.
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/babel/babel.h"
#include "crypto/crypto.h"

struct driver {
    int fd;
    unsigned ifindex;
    bool done;
};

static bw_time now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (bw_time)t.tv_sec * BW_S + (bw_time)t.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "babel_driver: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void send_packet(void *ctx, uint16_t slot, const struct bw_addr *dst, const uint8_t *p, size_t n)
{
    struct driver *d = ctx;
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(BABEL_PORT), .sin6_scope_id = d->ifindex};
    (void)slot;
    memcpy(&to.sin6_addr, dst->b, 16);
    if (sendto(d->fd, p, n, 0, (struct sockaddr *)&to, sizeof to) < 0) perror("sendto");
}

static bool import(void *ctx, uint16_t slot, const struct bw_prefix *p, const uint8_t router_id[8])
{
    (void)ctx, (void)slot, (void)router_id;
    return p->len > (bw_prefix_is_v4(p) ? 96 : 0);
}

static void route_changed(void *ctx, const struct bw_prefix *p, const struct babel_selected *r)
{
    char prefix[BW_PREFIX_TEXT], via[BW_ADDR_TEXT];
    (void)ctx;
    bw_prefix_text(p, prefix);
    if (!r || r->unreachable) printf("route %s lost\n", prefix);
    else if (!r->own) printf("route %s via %s metric %u\n", prefix, bw_addr_text(&r->next_hop, via), r->metric);
    fflush(stdout);
}

static void neighbour_changed(void *ctx, enum babel_neighbour_event e, const struct babel_neighbour *n)
{
    char a[BW_ADDR_TEXT];
    (void)ctx;
    printf("neighbour %s %s cost %u rtt %lld event %d\n", bw_addr_text(&n->address, a), n->up ? "up" : "down", n->cost, (long long)n->rtt_us, (int)e);
    fflush(stdout);
}

static void shutdown_done(void *ctx, bool clean)
{
    ((struct driver *)ctx)->done = true;
    printf("down %s\n", clean ? "clean" : "late");
    fflush(stdout);
}

static struct bw_addr linklocal_of(const char *ifname)
{
    struct ifaddrs *list;
    struct bw_addr out = {{0}};
    if (getifaddrs(&list)) die("getifaddrs");
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET6 || strcmp(i->ifa_name, ifname)) continue;
        memcpy(out.b, &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, 16);
        if (bw_addr_is_linklocal(&out)) break;
    }
    freeifaddrs(list);
    return out;
}

static int open_socket(unsigned ifindex)
{
    int fd = socket(AF_INET6, SOCK_DGRAM, 0), one = 1, zero = 0;
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(BABEL_PORT)};
    struct ipv6_mreq m = {.ipv6mr_interface = ifindex};
    memcpy(&m.ipv6mr_multiaddr, babel_group.b, 16);
    if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) || bind(fd, (struct sockaddr *)&at, sizeof at) ||
        setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m) || setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &one, sizeof one) ||
        setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &one, sizeof one) || setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &zero, sizeof zero) ||
        setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &ifindex, sizeof ifindex))
        die("socket");
    return fd;
}

static void show_neighbour(void *ctx, const struct babel_neighbour *n)
{
    char a[BW_ADDR_TEXT];
    (void)ctx;
    printf("shown %s cost %u hello %u ms rtt %lld us loss %u\n", bw_addr_text(&n->address, a), n->cost, n->hello_rx_ms, (long long)n->rtt_us, n->loss_permille);
    fflush(stdout);
}

static void command(struct babel *b, char *line)
{
    struct bw_prefix p;
    char word[16], arg[BW_PREFIX_TEXT] = "";
    if (sscanf(line, "%15s %49s", word, arg) < 1) return;
    bool prefix = !bw_prefix_parse(arg, &p);
    if (!strcmp(word, "originate") && prefix && babel_originate(b, &p, 0, BABEL_ANY_SLOT, now_us())) die("originate");
    if (!strcmp(word, "withdraw") && prefix) babel_withdraw(b, &p, BABEL_ANY_SLOT, now_us());
    if (!strcmp(word, "neighbours")) babel_each_neighbour(b, show_neighbour, NULL);
    if (!strcmp(word, "shutdown")) babel_shutdown(b, now_us() + 3 * BW_S, now_us());
    if (!strcmp(word, "quit")) exit(0);
}

static void turn(struct babel *b, struct driver *d)
{
    struct pollfd f[2] = {{.fd = d->fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    bw_time due = babel_deadline(b), now = now_us();
    int wait = due == BW_NEVER ? -1 : due <= now ? 0 : (int)((due - now) / 1000 + 1);
    if (poll(f, 2, wait) < 0) die("poll");
    if (f[0].revents) {
        uint8_t buf[2048];
        struct sockaddr_in6 from;
        socklen_t n = sizeof from;
        ssize_t k = recvfrom(d->fd, buf, sizeof buf, 0, (struct sockaddr *)&from, &n);
        struct bw_addr src;
        memcpy(src.b, &from.sin6_addr, 16);
        if (k >= 0 && from.sin6_port == htons(BABEL_PORT)) babel_rx(b, 0, &src, buf, (size_t)k, now_us());
    }
    if (f[1].revents) {
        char line[128];
        if (!fgets(line, sizeof line, stdin)) exit(0);
        command(b, line);
    }
    babel_tick(b, now_us());
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: babel_driver IFACE ROUTER-ID PREFIX...\n");
        return 2;
    }
    setvbuf(stdin, NULL, _IONBF, 0); // poll must see what stdio has not read
    struct driver d = {.ifindex = if_nametoindex(argv[1])};
    if (!d.ifindex) die(argv[1]);
    d.fd = open_socket(d.ifindex);
    struct bw_mem mem;
    struct bw_rng rng;
    uint8_t seed[32] = {0};
    bw_time start = now_us();
    memcpy(seed, &start, sizeof start);
    bw_mem_system(&mem);
    bw_rng_seed(&rng, seed);
    struct babel_config c = {.linklocal = linklocal_of(argv[1]), .epoch = start, .clean_start = true};
    for (int i = 0; i < 8; i++) sscanf(argv[2] + 2 * i, "%2hhx", &c.router_id[i]);
    struct babel_ops ops = {.send = send_packet, .import = import, .route_changed = route_changed, .neighbour_changed = neighbour_changed, .shutdown_done = shutdown_done};
    struct babel *b = babel_new(&c, &ops, &d, &mem, &rng, NULL, start);
    if (!b || babel_iface_add(b, 0, NULL, start)) die("babel_new");
    for (int i = 3; i < argc; i++) {
        struct bw_prefix p;
        if (bw_prefix_parse(argv[i], &p) || babel_originate(b, &p, 0, BABEL_ANY_SLOT, start)) die(argv[i]);
    }
    printf("ready\n");
    fflush(stdout);
    while (!d.done) turn(b, &d);
    babel_free(b);
    return mem.used != 0;
}
