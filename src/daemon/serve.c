// The API's view of the daemon: what it reads, what it may change, what other nodes may ask, and `wg`'s socket.
#include "daemon/daemon_private.h"

#include <ifaddrs.h>
#include <net/if.h>

#include "wire/invite.h"

// ---- reading ----

// No interface is fit: why not.
static void explain_interfaces(struct daemon *d, struct view_status *v)
{
    struct view_problem *p = NULL;
    for (uint32_t i = 0; i < v->problem_count; i++)
        if (!strcmp(v->problems[i].code, "no-interfaces")) p = &v->problems[i];
    struct if_nameindex *all = p && d->ifwatch ? if_nameindex() : NULL;
    for (const struct if_nameindex *i = all; i && i->if_index; i++) {
        char why[OS_WHY];
        size_t n = strlen(p->text);
        if (!strcmp(i->if_name, "lo") || !strcmp(i->if_name, d->tun.name)) continue;
        if (os_ifwatch_explain(d->ifwatch, i->if_name, why, sizeof why)) continue;
        if (n + strlen(i->if_name) + strlen(why) + 4 < sizeof p->text)
            snprintf(p->text + n, sizeof p->text - n, "; %s %s", i->if_name, why);
    }
    if (all) if_freenameindex(all);
}

// What the owner named, and is not used.
static void explain_listed(struct daemon *d, struct view_status *v)
{
    const struct config_discover *c = &d->config.discover;
    char why[OS_WHY], one[OS_WHY + CONFIG_IFNAME + 4], text[sizeof v->problems[0].text] = "";
    for (uint32_t i = 0; c->mode == CONFIG_DISCOVER_LIST && d->ifwatch && i < c->count; i++) {
        size_t n = strlen(text);
        if (os_ifwatch_explain(d->ifwatch, c->interfaces[i], why, sizeof why) == 1) continue;
        snprintf(one, sizeof one, "%s%s %s", n ? "; " : "", c->interfaces[i], why);
        if (n + strlen(one) < sizeof text) memcpy(text + n, one, strlen(one) + 1);
    }
    if (*text)
        view_add_problem(v, "interface-not-used", text,
                         "no neighbours are looked for there; peers that are listed are reached all the same");
}

static void explain_share(struct daemon *d, struct view_status *v)
{
    const struct config_internet *c = &d->config.internet;
    char text[sizeof v->problems[0].text];
    if (c->share != CONFIG_SHARE_INTERFACE || d->problems[PROBLEM_SHARE].on || if_nametoindex(c->share_interface)) return;
    snprintf(text, sizeof text, "%s, whose connection is to be shared, is not there", c->share_interface);
    view_add_problem(v, "share-interface", text, "is the name right (`ip link` lists them)? share = auto finds the one that leads to the Internet");
}

static void on_status(void *ctx, struct view_status *v)
{
    struct daemon *d = ctx;
    node_view_status(d->node, v, os_clock_now());
    explain_interfaces(d, v);
    explain_listed(d, v);
    explain_share(d, v);
    for (int i = 0; i < PROBLEMS; i++)
        if (d->problems[i].on) view_add_problem(v, d->problems[i].view.code, d->problems[i].view.text, d->problems[i].view.hint);
}

static void on_peers(void *ctx, view_peer_fn *fn, void *arg)
{
    struct daemon *d = ctx;
    node_view_peers(d->node, fn, arg, os_clock_now());
}

static void on_routes(void *ctx, view_route_fn *fn, void *arg)
{
    struct daemon *d = ctx;
    node_view_routes(d->node, fn, arg);
}

static void on_sessions(void *ctx, view_session_fn *fn, void *arg)
{
    struct daemon *d = ctx;
    node_view_sessions(d->node, fn, arg, os_clock_now());
}

static void on_exits(void *ctx, view_exit_fn *fn, void *arg)
{
    struct daemon *d = ctx;
    node_view_exits(d->node, fn, arg, os_clock_now());
}

static void on_counters(void *ctx, view_counter_fn *fn, void *arg)
{
    struct daemon *d = ctx;
    node_view_counters(d->node, fn, arg);
    worker_pool_counters(d->pool, fn, arg);
}

// ---- changing ----

// p is what was asked for, c what came of it with what was known already.
static int save_peer(struct daemon *d, const struct config_peer *c, const struct api_peer_add *p)
{
    const struct config_peer *old = config_peer_find(&d->config, c->key);
    const char *psk_file = *p->psk_file ? p->psk_file : old && !p->has_psk ? old->psk_file : "";
    char at[CONFIG_HOST + 16];
    snprintf(at, sizeof at, strchr(c->endpoint.host, ':') ? "[%s]:%u" : "%s:%u", c->endpoint.host, c->endpoint.port);
    return config_save_peer(d->config.path, *c->name ? c->name : NULL, c->key, c->has_endpoint ? at : NULL,
                            *psk_file ? psk_file : NULL, c->internet);
}

static int on_peer_add(void *ctx, const struct api_peer_add *p, struct api_error *e)
{
    struct daemon *d = ctx;
    struct config_peer c = {.has_psk = p->has_psk, .internet = p->internet};
    memcpy(c.key, p->key, sizeof c.key);
    memcpy(c.psk, p->psk, sizeof c.psk);
    snprintf(c.name, sizeof c.name, "%s", p->name);
    if (*p->endpoint) {
        if (config_endpoint_parse(p->endpoint, &c.endpoint)) {
            snprintf(e->text, sizeof e->text, "`%s` is not HOST:PORT", p->endpoint);
            return 400;
        }
        c.has_endpoint = true;
    }
    peers_complete(d, &c);
    int status = peers_add(d, &c, LINK_COMMAND, e);
    if (status || !p->save) {
        explicit_bzero(&c, sizeof c);
        daemon_turn(d);
        return status;
    }
    int err = save_peer(d, &c, p);
    explicit_bzero(&c, sizeof c);
    if (!err) err = reload_file(d, e) ? BW_ERR_SYS : 0;
    daemon_turn(d);
    if (!err) return 0;
    if (!*e->text) snprintf(e->text, sizeof e->text, "the peer runs but %s was not written: %s", d->config.path,
                            err == BW_ERR_SYS ? strerror(errno) : bw_strerror(err));
    return 500;
}

static int on_peer_remove(void *ctx, const uint8_t key[32], bool save, struct api_error *e)
{
    struct daemon *d = ctx;
    int err = node_peer_remove(d->node, key, os_clock_now());
    peers_forget(d, key);
    if (save) {
        int saved = config_save_remove_peer(d->config.path, key);
        if (!saved) {
            struct api_error ignored = {0};
            (void)!reload_file(d, &ignored);
            err = 0;
        } else if (saved != BW_ERR_NOTFOUND) {
            snprintf(e->text, sizeof e->text, "%s was not written: %s", d->config.path, strerror(errno));
            return 500;
        }
    }
    daemon_turn(d);
    if (!err) return 0;
    snprintf(e->text, sizeof e->text, "no peer has that key");
    snprintf(e->hint, sizeof e->hint, "`byway peers` lists them");
    return 404;
}

static int on_exit_use(void *ctx, enum api_use use, const struct bw_addr *address, struct api_error *e)
{
    struct daemon *d = ctx;
    (void)e;
    static const enum config_use uses[] = {[API_USE_AUTO] = CONFIG_USE_AUTO, [API_USE_ALWAYS] = CONFIG_USE_ALWAYS,
                                           [API_USE_NONE] = CONFIG_USE_NONE, [API_USE_ADDRESS] = CONFIG_USE_ADDRESS};
    struct config_internet *c = &d->config.internet;
    if (!d->chosen.on) d->chosen = (struct chosen){true, c->use, c->use_address};
    c->use = uses[use];
    if (use == API_USE_ADDRESS) c->use_address = *address;
    reload_internet(d);
    daemon_turn(d);
    return 0;
}

static int on_reload(void *ctx, char *out, size_t size, struct api_error *e)
{
    struct daemon *d = ctx;
    const struct problem *p = &d->problems[PROBLEM_RESTART];
    int status = reload_file(d, e);
    if (!status && !p->on) p = &d->problems[PROBLEM_API];
    if (!status && p->on) snprintf(out, size, "the configuration is applied, but %s", p->view.text);
    daemon_turn(d);
    return status;
}

// ---- invitations ----

static bool worth_telling(const struct bw_addr *a)
{
    if (bw_addr_is_linklocal(a) || bw_addr_is_multicast(a) || bw_addr_is_zero(a)) return false;
    if (bw_addr_is_v4(a)) return a->b[12] != 127 && !(a->b[12] == 100 && (a->b[13] & 0xc0) == 64);
    return a->b[0] != 0xfc && a->b[0] != 0xfd && (a->b[15] != 1 || a->b[0]); // not the mesh's own, not ::1
}

struct judged {
    const char *name;
    bool guests;
};

static int judge_link(void *ctx, const struct os_link *l)
{
    struct judged *j = ctx;
    if (strcmp(l->name, j->name)) return 0;
    j->guests = os_iface_judge(l, false) == OS_IFACE_GUESTS;
    return 1;
}

// Containers' and virtual machines' networks: every machine has the same ones, and nobody else is there.
static bool holds_guests(struct daemon *d, const char *name)
{
    struct judged j = {.name = name};
    return os_nl_links(d->nl, judge_link, &j) == 1 && j.guests;
}

// The addresses of the interface towards the Internet (uplink), or those of all others.
static void own_endpoints(struct daemon *d, struct invite *i, bool uplink)
{
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list)) return;
    for (struct ifaddrs *a = list; a && i->endpoint_count < INVITE_ENDPOINTS; a = a->ifa_next) {
        struct bw_addr addr;
        bool up = !strcmp(a->ifa_name, d->uplink4) || !strcmp(a->ifa_name, d->uplink6);
        if (!a->ifa_addr || !strcmp(a->ifa_name, d->tun.name) || up != uplink || holds_guests(d, a->ifa_name)) continue;
        if (a->ifa_addr->sa_family == AF_INET) addr = bw_addr_v4((uint8_t *)&((struct sockaddr_in *)a->ifa_addr)->sin_addr);
        else if (a->ifa_addr->sa_family == AF_INET6) memcpy(addr.b, &((struct sockaddr_in6 *)a->ifa_addr)->sin6_addr, 16);
        else continue;
        if (!worth_telling(&addr)) continue;
        struct invite_endpoint *e = &i->endpoints[i->endpoint_count++];
        bw_addr_text(&addr, e->host);
        e->port = d->udp[0].port; // the file may say something else by now
    }
    freeifaddrs(list);
}

static int on_invite(void *ctx, const struct api_invite *q, char *out, size_t size, struct api_error *e)
{
    struct daemon *d = ctx;
    struct invite i = {0};
    char text[INVITE_TEXT];
    memcpy(i.key, d->id.link_pk, sizeof i.key);
    snprintf(i.name, sizeof i.name, "%s", d->config.node.name);
    struct config_endpoint at;
    if (*q->endpoint && config_endpoint_parse(q->endpoint, &at)) {
        snprintf(e->text, sizeof e->text, "`%s` is not HOST:PORT", q->endpoint);
        return 400;
    }
    if (*q->endpoint) {
        snprintf(i.endpoints[0].host, sizeof i.endpoints[0].host, "%.253s", at.host);
        i.endpoints[0].port = at.port;
        i.endpoint_count = 1;
    } else {
        own_endpoints(d, &i, true);
        own_endpoints(d, &i, false);
    }
    if (q->secret) {
        if (!d->config.discover.has_secret) {
            snprintf(e->text, sizeof e->text, "this node has no network secret");
            snprintf(e->hint, sizeof e->hint, "leave --secret out, or set discover.secret-file");
            return 400;
        }
        i.has_secret = true;
        memcpy(i.secret, d->config.discover.secret, sizeof i.secret);
    }
    int err = invite_encode(&i, text);
    explicit_bzero(&i, sizeof i);
    if (err || strlen(text) >= size) {
        snprintf(e->text, sizeof e->text, "the invitation cannot be made: %s", bw_strerror(err ? err : BW_ERR_RANGE));
        return 500;
    }
    memcpy(out, text, strlen(text) + 1);
    if (d->config.discover.policy == CONFIG_POLICY_CLOSED)
        snprintf(e->hint, sizeof e->hint, "this node takes listed keys only: `byway peer add` the key of whoever joins");
    else if (!d->config.listen.is_public)
        snprintf(e->hint, sizeof e->hint, "who is not on the same cable or Wi-Fi gets in only if you `byway peer add` their "
                                          "key here, or set listen.public = yes");
    return 0;
}

static bool is_private(const struct bw_addr *a)
{
    const uint8_t *v = a->b + 12;
    if (!bw_addr_is_v4(a)) return (a->b[0] & 0xfe) == 0xfc;
    return v[0] == 10 || (v[0] == 172 && (v[1] & 0xf0) == 16) || (v[0] == 192 && v[1] == 168);
}

// Which of the inviting node's addresses is worth trying: one on a network of our own, one of a family that our uplink
// has, any.
static int worth_of(struct daemon *d, const char *host)
{
    struct bw_addr a;
    if (bw_addr_parse(host, &a)) return 2; // a name was given on purpose
    for (unsigned i = 0; i < d->local_count; i++)
        if (bw_prefix_has(&d->local[i], &a)) return 3;
    return !is_private(&a) && *(bw_addr_is_v4(&a) ? d->uplink4 : d->uplink6) ? 1 : 0;
}

static const struct invite_endpoint *best_endpoint(struct daemon *d, const struct invite *i)
{
    const struct invite_endpoint *best = NULL;
    for (unsigned k = 0; k < i->endpoint_count; k++)
        if (!best || worth_of(d, i->endpoints[k].host) > worth_of(d, best->host)) best = &i->endpoints[k];
    return best;
}

static int join_for_now(struct daemon *d, const struct config_peer *c, const struct invite *i, struct api_error *e)
{
    if (i->has_secret) {
        d->config.discover.policy = CONFIG_POLICY_SECRET;
        d->config.discover.has_secret = true;
        memcpy(d->config.discover.secret, i->secret, sizeof d->config.discover.secret);
        node_set_policy(d->node, LINK_POLICY_SECRET, d->config.listen.is_public, i->secret, os_clock_now());
    }
    return peers_add(d, c, LINK_COMMAND, e);
}

static int on_join(void *ctx, const char *text, char *out, size_t size, struct api_error *e)
{
    struct daemon *d = ctx;
    struct invite i;
    int err = invite_decode(text, &i);
    if (err) {
        snprintf(e->text, sizeof e->text, "that is not a whole invitation: %s", bw_strerror(err));
        snprintf(e->hint, sizeof e->hint, "copy the whole line that `byway invite` printed, beginning with " INVITE_PREFIX);
        return 400;
    }
    if (!memcmp(i.key, d->id.link_pk, sizeof i.key)) {
        explicit_bzero(&i.secret, sizeof i.secret);
        snprintf(e->text, sizeof e->text, "that is this node's own invitation");
        snprintf(e->hint, sizeof e->hint, "paste it on the other machine");
        return 400;
    }
    struct config_peer c = {0};
    char at[INVITE_HOST + 16] = "", own[BW_KEY_TEXT];
    memcpy(c.key, i.key, sizeof c.key);
    snprintf(c.name, sizeof c.name, "%.63s", i.name);
    const struct invite_endpoint *best = best_endpoint(d, &i);
    if (best) {
        snprintf(at, sizeof at, strchr(best->host, ':') ? "[%s]:%u" : "%s:%u", best->host, best->port);
        c.has_endpoint = !config_endpoint_parse(at, &c.endpoint);
    }
    // Joining is meant to last: into the file first, if there may be one, and from there into the node.
    // What is known of this peer already stays: its name here, its key file.
    const struct config_peer *old = config_peer_find(&d->config, c.key);
    if (old) snprintf(c.name, sizeof c.name, "%s", old->name);
    peers_complete(d, &c);
    err = save_peer(d, &c, &(struct api_peer_add){0});
    if (err == BW_ERR_EXISTS) { // a namesake
        c.name[0] = 0;
        err = save_peer(d, &c, &(struct api_peer_add){0});
    }
    bool saved = !err;
    if (saved && i.has_secret) saved = !config_save_secret(d->config.path, i.secret);
    struct api_error ignored = {0};
    if (saved) saved = !reload_file(d, &ignored);
    int status = saved ? 0 : join_for_now(d, &c, &i, e);
    explicit_bzero(&c.psk, sizeof c.psk);
    explicit_bzero(&i.secret, sizeof i.secret);
    daemon_turn(d);
    if (status) return status;
    bw_base64_encode(d->id.link_pk, sizeof d->id.link_pk, own);
    const char *words = best ? "Connecting to %s. If it does not let strangers in from afar, add this node there: "
                               "byway peer add %s"
                             : "%s is known now; it has named no address, so it must find us. This node's key: %s";
    size_t n = (size_t)snprintf(out, size, words, *i.name ? i.name : "the inviting node", own);
    if (n < size && !saved) snprintf(out + n, size - n, " That does not last: %s cannot be written, so it holds until the node ends or its configuration is read again.", d->config.path);
    return 0;
}

// ---- the mesh asks ----

static void answer(struct daemon *d, const struct bw_addr *from, const char *method, const char *path, const void *body, size_t n,
                   struct api_mesh_answer *out)
{
    out->status = node_request(d->node, from, method, path, body, n, out->body, sizeof out->body, &out->body_len, os_clock_now());
    daemon_turn(d);
}

static void on_offer(void *ctx, const struct bw_addr *from, struct api_mesh_answer *out)
{
    answer(ctx, from, "GET", "/v1/exit", NULL, 0, out);
}

static void on_exported(void *ctx, const struct bw_addr *from, struct api_mesh_answer *out)
{
    answer(ctx, from, "GET", "/v1/export", NULL, 0, out);
}

static void on_lease(void *ctx, const struct bw_addr *from, const void *body, size_t n, struct api_mesh_answer *out)
{
    answer(ctx, from, "POST", "/v1/lease", body, n, out);
}

// ---- wg ----

static void on_wg_device(void *ctx, struct uapi_device *v)
{
    struct daemon *d = ctx;
    memcpy(v->private_key, d->id.link_sk, sizeof v->private_key);
    v->listen_port = d->udp[0].port;
    v->fwmark = NETCONF_MARK;
}

struct wg_list {
    struct linkset *ls;
    uapi_peer_fn *fn;
    void *arg;
};

static void wg_peer(void *ctx, const struct link_info *l)
{
    struct wg_list *w = ctx;
    struct link_peer listed;
    struct uapi_peer p = {.endpoint = l->endpoint, .keepalive_s = l->keepalive_s};
    memcpy(p.key, l->key, sizeof p.key);
    if (!linkset_get_peer(w->ls, l->key, &listed) && listed.has_psk) {
        p.has_psk = true;
        memcpy(p.psk, listed.psk, sizeof p.psk);
    }
    if (l->last_handshake) {
        uint64_t at = os_clock_unix_ns() - (os_clock_now() - l->last_handshake) * 1000;
        p.last_handshake_s = at / 1000000000u;
        p.last_handshake_ns = (uint32_t)(at % 1000000000u);
    }
    if (l->shared) {
        p.rx_bytes = atomic_load_explicit(&l->shared->rx_bytes, memory_order_relaxed);
        p.tx_bytes = atomic_load_explicit(&l->shared->tx_bytes, memory_order_relaxed);
    }
    w->fn(w->arg, &p);
    explicit_bzero(&listed, sizeof listed);
    explicit_bzero(&p, sizeof p);
}

static void on_wg_peers(void *ctx, uapi_peer_fn *fn, void *arg)
{
    struct daemon *d = ctx;
    struct wg_list w = {node_links(d->node), fn, arg};
    for (int slot = -1; (slot = linkset_next(w.ls, slot)) >= 0;) {
        struct link_info l;
        if (!linkset_info(w.ls, (uint16_t)slot, &l)) wg_peer(&w, &l);
    }
    linkset_each_waiting(w.ls, wg_peer, &w);
}

static int on_wg_set(void *ctx, const struct uapi_peer_set *s)
{
    struct daemon *d = ctx;
    struct link_peer p = {.source = LINK_COMMAND};
    int known = linkset_get_peer(node_links(d->node), s->key, &p); // 0: it is listed
    int err = 0;
    if (s->remove) {
        // Removing what is not there is fine, as in wg. Who was only found stays: `wg syncconf` removes all that its file
        // does not have.
        if (!known) (void)!node_peer_remove(d->node, s->key, os_clock_now());
    } else if (!known || !s->update_only) {
        static const uint8_t none[32];
        memcpy(p.key, s->key, sizeof p.key);
        if (s->has_psk) {
            p.has_psk = memcmp(s->psk, none, sizeof none);
            memcpy(p.psk, s->psk, sizeof p.psk);
        }
        if (s->has_endpoint) p.endpoint = s->endpoint;
        if (s->has_keepalive) p.keepalive_s = s->keepalive_s;
        err = node_peer_add(d->node, &p, os_clock_now());
    }
    explicit_bzero(&p, sizeof p);
    daemon_turn(d);
    return err == 0 ? 0 : err == BW_ERR_RANGE ? EINVAL : ENOMEM;
}

// ---- opening ----

int serve_open(struct daemon *d, char *why, size_t n)
{
    struct api_options o = {
        .loop = &d->loop,
        .log = &d->log,
        .source = {d, on_status, on_peers, on_routes, on_sessions, on_exits, on_counters},
        .actions = {.ctx = d, .peer_add = on_peer_add, .peer_remove = on_peer_remove, .exit_use = on_exit_use, .reload = on_reload,
                    .invite = on_invite, .join = on_join, .ping = pinger_ping, .trace = pinger_trace, .gone = pinger_gone},
        .mesh = {d, on_offer, on_lease, on_exported},
    };
    d->api = api_new(&o);
    if (!d->api) return os_why(BW_ERR_NOMEM, why, n, "no memory");
    int err = api_listen_unix(d->api, d->opt->socket_path, why, n);
    if (err) return err;
    if (!d->config.api.none && (err = api_listen_tcp(d->api, &d->config.api.listen, why, n))) return err;
    err = api_listen_mesh(d->api, &d->id.addr, SHARE_API_PORT, d->tun.name, why, n);
    if (err) return err;
    struct uapi_handler h = {d, on_wg_device, on_wg_peers, on_wg_set};
    char text[OS_WHY];
    if (uapi_open(&d->uapi, &d->loop, NULL, d->tun.name, &h, &d->log, text, sizeof text))
        bw_log(&d->log, BW_WARN, "`wg show %s` will not work: %s", d->tun.name, text);
    return 0;
}

void serve_close(struct daemon *d)
{
    uapi_close(d->uapi);
    if (d->api) api_close(d->api);
    d->uapi = NULL;
    d->api = NULL;
}
