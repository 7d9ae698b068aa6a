// Configured peers: from the file, from `byway peer add`, from `wg set`; endpoints by name are looked up without waiting.
#include "daemon/daemon_private.h"

#define AGAIN_FIRST (5 * BW_S) // a name that was not found is looked up again after this time, doubling
#define AGAIN_MOST (60 * BW_S)

struct named { // a listed peer whose endpoint is a name, or an address whose interface may come and go
    struct named *next;
    uint8_t key[32];
    char host[CONFIG_HOST];
    uint16_t port;
    struct lookup *lookup; // under way; NULL: none
    unsigned failures;     // in a row
    bw_time again;
};

struct lookup { // a name being looked up; ends in looked_up whatever happens to its peer
    uv_getaddrinfo_t req;
    struct daemon *d;
    struct named *named; // NULL: nobody waits any more
};

static struct named *find(struct daemon *d, const uint8_t key[32])
{
    struct named *n = d->named;
    while (n && memcmp(n->key, key, sizeof n->key)) n = n->next;
    return n;
}

static void forget(struct daemon *d, struct named *n)
{
    struct named **at = &d->named;
    while (*at != n) at = &(*at)->next;
    *at = n->next;
    if (n->lookup) {
        n->lookup->named = NULL;
        uv_cancel((uv_req_t *)&n->lookup->req);
    }
    free(n);
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

// The first address, or the one behind `tried`: a name with several is asked for again when the one in use is silent.
static bool choose(const struct addrinfo *list, uint16_t port, const struct bw_endpoint *tried, struct bw_endpoint *out)
{
    struct bw_endpoint e;
    bool any = false, was_tried = false;
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        if (!endpoint_of(a, port, &e)) continue;
        if (!any || was_tried) *out = e;
        if (was_tried) return true;
        any = true;
        was_tried = bw_endpoint_eq(&e, tried);
    }
    return any;
}

static void tell_problem(struct daemon *d)
{
    char text[CONFIG_HOST + 64] = "";
    const struct named *bad = d->named;
    while (bad && !bad->failures) bad = bad->next;
    if (bad) snprintf(text, sizeof text, "the address of the peer at %s is not to be found", bad->host);
    daemon_problem(d, PROBLEM_NAME, bad, "name-not-found", text,
                   "is the name right, and does this machine get answers to DNS? it is tried again every minute");
}

static void arm(struct daemon *d)
{
    bw_time at = BW_NEVER;
    for (const struct named *n = d->named; n; n = n->next) at = bw_time_min(at, n->again);
    if (d->named_timer) os_timer_at(d->named_timer, at);
    tell_problem(d);
}

static void not_found(struct daemon *d, struct named *n, const char *why)
{
    bw_time wait = AGAIN_FIRST << (n->failures < 4 ? n->failures : 4);
    bw_log(&d->log, n->failures ? BW_DEBUG : BW_WARN, "%s cannot be looked up: %s", n->host, why);
    n->failures++;
    n->again = os_clock_now() + bw_time_min(wait, AGAIN_MOST);
}

static void found(struct daemon *d, struct named *n, const struct addrinfo *list)
{
    struct link_peer p = {0}; // as it is listed by now
    bool listed = !linkset_get_peer(node_links(d->node), n->key, &p);
    struct bw_endpoint tried = p.endpoint;
    if (!listed || !choose(list, n->port, &tried, &p.endpoint)) {
        if (listed) not_found(d, n, "it has no address");
        else forget(d, n);
        return;
    }
    n->failures = 0;
    int err = node_peer_add(d->node, &p, os_clock_now());
    if (err) bw_log(&d->log, BW_ERROR, "peer %s cannot be added: %s", p.name, bw_strerror(err));
    explicit_bzero(&p, sizeof p);
}

static void looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct lookup *l = req->data;
    struct named *n = l->named;
    l->d->lookups--;
    if (n) {
        n->lookup = NULL;
        if (status) not_found(l->d, n, uv_strerror(status));
        else found(l->d, n, res);
        arm(l->d);
        daemon_turn(l->d);
    }
    uv_freeaddrinfo(res);
    free(l);
}

static void look_up(struct daemon *d, struct named *n)
{
    if (n->lookup) return;
    n->again = BW_NEVER;
    struct lookup *l = calloc(1, sizeof *l);
    if (!l) {
        not_found(d, n, "no memory");
        return;
    }
    *l = (struct lookup){.d = d, .named = n};
    l->req.data = l;
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
    int err = uv_getaddrinfo(&d->loop, &l->req, looked_up, n->host, NULL, &hints);
    if (!err) {
        n->lookup = l;
        d->lookups++;
        return;
    }
    free(l);
    not_found(d, n, uv_strerror(err));
}

static void on_again(void *ctx)
{
    struct daemon *d = ctx;
    bw_time now = os_clock_now();
    struct link_peer p;
    for (struct named *n = d->named, *next; n; n = next) {
        next = n->next;
        if (n->again > now) continue;
        if (linkset_get_peer(node_links(d->node), n->key, &p)) forget(d, n); // removed by wg
        else look_up(d, n);
    }
    explicit_bzero(&p, sizeof p);
    arm(d);
}

// An address of an interface's own takes a look-up as well: the interface's number is another when it comes back.
static bool needs_look_up(const struct config_peer *c)
{
    return c->has_endpoint && (!c->endpoint.literal || strchr(c->endpoint.host, '%'));
}

static int look_up_from_now_on(struct daemon *d, const struct config_peer *c)
{
    struct named *n = calloc(1, sizeof *n);
    if (!n || (!d->named_timer && os_timer_open(&d->loop, on_again, d, &d->named_timer))) {
        free(n);
        return BW_ERR_NOMEM;
    }
    *n = (struct named){.next = d->named, .port = c->endpoint.port, .again = BW_NEVER};
    memcpy(n->key, c->key, sizeof n->key);
    memcpy(n->host, c->endpoint.host, sizeof n->host);
    d->named = n;
    look_up(d, n);
    return 0;
}

static struct link_peer peer_of(const struct config_peer *c, enum link_source source)
{
    struct link_peer p = {.has_psk = c->has_psk, .internet = c->internet, .source = source};
    memcpy(p.key, c->key, sizeof p.key);
    memcpy(p.psk, c->psk, sizeof p.psk);
    snprintf(p.name, sizeof p.name, "%s", c->name);
    if (c->has_endpoint && !needs_look_up(c)) p.endpoint = (struct bw_endpoint){.addr = c->endpoint.addr, .port = c->endpoint.port};
    return p;
}

void peers_complete(struct daemon *d, struct config_peer *c)
{
    struct link_peer was;
    const struct named *n = find(d, c->key);
    if (linkset_get_peer(node_links(d->node), c->key, &was)) return;
    if (!*c->name) snprintf(c->name, sizeof c->name, "%s", was.name);
    if (!c->has_psk) memcpy(c->psk, was.psk, sizeof c->psk);
    c->has_psk |= was.has_psk;
    c->internet |= was.internet;
    if (!c->has_endpoint && n) {
        c->endpoint.port = n->port;
        snprintf(c->endpoint.host, sizeof c->endpoint.host, "%s", n->host);
    } else if (!c->has_endpoint && was.endpoint.port) {
        c->endpoint = (struct config_endpoint){.port = was.endpoint.port, .literal = true, .addr = was.endpoint.addr};
        bw_addr_text(&was.endpoint.addr, c->endpoint.host);
    }
    c->has_endpoint = c->endpoint.port;
    explicit_bzero(&was, sizeof was);
}

int peers_add(struct daemon *d, const struct config_peer *c, enum link_source source, struct api_error *e)
{
    struct link_peer p = peer_of(c, source), was;
    struct named *old = find(d, c->key);
    bool same = old && needs_look_up(c) && !strcmp(old->host, c->endpoint.host) && old->port == c->endpoint.port;
    if (same && !linkset_get_peer(node_links(d->node), c->key, &was)) p.endpoint = was.endpoint; // as it was found
    int err = node_peer_add(d->node, &p, os_clock_now());
    if (!err && old && !same) forget(d, old);
    if (!err && !same && needs_look_up(c)) err = look_up_from_now_on(d, c);
    arm(d);
    explicit_bzero(&p, sizeof p);
    explicit_bzero(&was, sizeof was);
    if (!err) return 0;
    if (e && err == BW_ERR_RANGE) snprintf(e->text, sizeof e->text, "that is this node's own key");
    else if (e) snprintf(e->text, sizeof e->text, "the peer cannot be added: %s", bw_strerror(err));
    return err == BW_ERR_RANGE ? 400 : 500;
}

int peers_apply(struct daemon *d, const struct config *old)
{
    int err = 0;
    for (size_t i = 0; old && i < old->peer_count; i++)
        if (!config_peer_find(&d->config, old->peers[i].key) && !node_peer_remove(d->node, old->peers[i].key, os_clock_now()))
            peers_forget(d, old->peers[i].key);
    for (size_t i = 0; i < d->config.peer_count; i++) {
        const struct config_peer *c = &d->config.peers[i], *was = old ? config_peer_find(old, c->key) : NULL;
        struct api_error e = {0};
        if (was && config_peer_equal(was, c)) continue;
        int status = peers_add(d, c, LINK_CONFIG, &e);
        if (status) bw_log(&d->log, BW_ERROR, "[peer %s]: %s", c->name, e.text);
        if (status == 500) err = BW_ERR_NOMEM;
    }
    return err;
}

void peers_resolve(struct daemon *d, const uint8_t key[32])
{
    struct named *n = find(d, key);
    if (n) look_up(d, n);
    arm(d);
}

void peers_forget(struct daemon *d, const uint8_t key[32])
{
    struct named *n = find(d, key);
    if (n) forget(d, n);
    arm(d);
}

void peers_close(struct daemon *d)
{
    while (d->named) forget(d, d->named);
    os_timer_close(d->named_timer);
    d->named_timer = NULL;
}
