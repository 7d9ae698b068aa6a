// Configured peers: from the file, from `byway peer add`, from `wg set`; endpoints by name are looked up without waiting.
#include "daemon/daemon_private.h"

#include <net/if.h>

struct lookup { // a name being looked up
    struct lookup *next;
    uv_getaddrinfo_t req;
    struct daemon *d; // NULL: nobody waits any more
    struct link_peer peer;
    char host[CONFIG_HOST];
    uint16_t port;
};

static void forget(struct daemon *d, struct lookup *l)
{
    struct lookup **at = &d->lookups;
    while (*at && *at != l) at = &(*at)->next;
    if (*at) *at = l->next;
}

static bool endpoint_of(const struct addrinfo *a, uint16_t port, struct bw_endpoint *out)
{
    *out = (struct bw_endpoint){.port = port};
    if (a->ai_family == AF_INET6) {
        const struct sockaddr_in6 *s = (const struct sockaddr_in6 *)a->ai_addr;
        memcpy(out->addr.b, &s->sin6_addr, 16);
        out->scope = s->sin6_scope_id;
        return true;
    }
    if (a->ai_family != AF_INET) return false;
    out->addr = bw_addr_v4((const uint8_t *)&((const struct sockaddr_in *)a->ai_addr)->sin_addr);
    return true;
}

static void add_peer(struct daemon *d, const struct link_peer *p)
{
    int err = node_peer_add(d->node, p, os_clock_now());
    if (err) bw_log(&d->log, BW_ERROR, "peer %s cannot be added: %s", p->name, bw_strerror(err));
}

static void looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct lookup *l = req->data;
    struct daemon *d = l->d;
    if (d) {
        forget(d, l);
        for (const struct addrinfo *a = status ? NULL : res; a; a = a->ai_next) {
            if (!endpoint_of(a, l->port, &l->peer.endpoint)) continue;
            add_peer(d, &l->peer);
            break;
        }
        if (status) bw_log(&d->log, BW_WARN, "%s cannot be looked up: %s", l->host, uv_strerror(status));
        daemon_turn(d);
    }
    uv_freeaddrinfo(res);
    explicit_bzero(l, sizeof *l);
    free(l);
}

static void look_up(struct daemon *d, const struct link_peer *p, const struct config_endpoint *e)
{
    for (struct lookup *l = d->lookups; l; l = l->next)
        if (!memcmp(l->peer.key, p->key, sizeof p->key)) return; // under way
    struct lookup *l = calloc(1, sizeof *l);
    if (!l) return;
    *l = (struct lookup){.next = d->lookups, .d = d, .peer = *p, .port = e->port};
    l->req.data = l;
    memcpy(l->host, e->host, sizeof l->host);
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
    int err = uv_getaddrinfo(&d->loop, &l->req, looked_up, l->host, NULL, &hints);
    if (err) {
        bw_log(&d->log, BW_WARN, "%s cannot be looked up: %s", e->host, uv_strerror(err));
        free(l);
        return;
    }
    d->lookups = l;
}

static struct link_peer peer_of(const struct config_peer *c, enum link_source source)
{
    struct link_peer p = {.has_psk = c->has_psk, .internet = c->internet, .source = source};
    memcpy(p.key, c->key, sizeof p.key);
    memcpy(p.psk, c->psk, sizeof p.psk);
    snprintf(p.name, sizeof p.name, "%s", c->name);
    if (c->has_endpoint && c->endpoint.literal) p.endpoint = (struct bw_endpoint){.addr = c->endpoint.addr, .port = c->endpoint.port};
    const char *scope = strchr(c->endpoint.host, '%');
    if (p.endpoint.port && scope && bw_addr_is_linklocal(&p.endpoint.addr)) p.endpoint.scope = if_nametoindex(scope + 1);
    return p;
}

int peers_add(struct daemon *d, const struct config_peer *c, enum link_source source, struct api_error *e)
{
    struct link_peer p = peer_of(c, source);
    int err = node_peer_add(d->node, &p, os_clock_now());
    if (!err && c->has_endpoint && !c->endpoint.literal) look_up(d, &p, &c->endpoint);
    explicit_bzero(&p, sizeof p);
    if (!err) return 0;
    if (e && err == BW_ERR_RANGE) snprintf(e->text, sizeof e->text, "that is this node's own key");
    else if (e) snprintf(e->text, sizeof e->text, "the peer cannot be added: %s", bw_strerror(err));
    return err == BW_ERR_RANGE ? 400 : 500;
}

void peers_apply(struct daemon *d, const struct config *old)
{
    for (size_t i = 0; old && i < old->peer_count; i++)
        if (!config_peer_find(&d->config, old->peers[i].key)) (void)!node_peer_remove(d->node, old->peers[i].key, os_clock_now());
    for (size_t i = 0; i < d->config.peer_count; i++) {
        const struct config_peer *c = &d->config.peers[i], *was = old ? config_peer_find(old, c->key) : NULL;
        struct api_error e = {0};
        if (was && config_peer_equal(was, c)) continue;
        if (peers_add(d, c, LINK_CONFIG, &e)) bw_log(&d->log, BW_ERROR, "[peer %s]: %s", c->name, e.text);
    }
}

void peers_resolve(struct daemon *d, const uint8_t key[32])
{
    const struct config_peer *c = config_peer_find(&d->config, key);
    if (!c || !c->has_endpoint || c->endpoint.literal) return;
    struct link_peer p = peer_of(c, LINK_CONFIG);
    look_up(d, &p, &c->endpoint);
    explicit_bzero(&p, sizeof p);
}

void peers_close(struct daemon *d)
{
    while (d->lookups) {
        struct lookup *l = d->lookups;
        d->lookups = l->next;
        l->d = NULL; // the request ends in looked_up
        uv_cancel((uv_req_t *)&l->req);
    }
}
