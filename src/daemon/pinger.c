// `byway ping` and `byway trace`: echo requests from our mesh address with a chosen hop limit, one line of JSON per answer.
#include "daemon/daemon_private.h"

#include "core/identity.h"
#include "os/icmp.h"
#include "wire/peerinfo.h"

#define ANSWER_WAIT (2 * BW_S) // for the last answers, and for each hop of a trace
#define SILENT_HOPS 8          // a trace ends after so many hops in a row without an answer
#define ASK_WAIT_MS 700        // for a node's own word on its name and key

struct pinger {
    struct pinger *next;
    struct daemon *d;
    struct api_reply *reply; // NULL: the asker went away
    struct os_icmp *icmp;
    struct os_timer *timer;
    struct api_probe ask;
    bool trace;
    uint16_t seq;            // of the last request sent, from 1
    uint32_t sent, received;
    bw_time at[64];          // when seq % 64 was sent; 0: answered
    bw_time end;             // ping: BW_NEVER until all are sent
    // trace: the hop being asked
    uint32_t hop, hop_answers, silent;
    struct bw_addr hop_from;
    double hop_rtt[10];
    bool reached, refused; // refused: a node on the way knows no way
    // who the hop, or at the end the target, says it is: asked over the mesh, believed as far as its key fits its address
    int asking;              // number of the HTTP request; 0: none
    void (*asked)(struct pinger *p);
    struct bw_addr who;
    char name[PEERINFO_NAME], key[BW_KEY_TEXT];
};

// ---- who answers ----

static void take_info(struct pinger *p, const struct http_answer *a)
{
    uint8_t key[32];
    struct bw_addr addr;
    if (a->status != 200) return;
    (void)!peerinfo_decode(a->body, a->body_len, p->name);
    json_t *o = json_loadb(a->body, a->body_len, 0, NULL);
    const char *text = json_string_value(json_object_get(o, "key"));
    if (text && !bw_base64_decode(text, key, sizeof key) && !identity_addr_of_key(key, &addr) && bw_addr_eq(&addr, &p->who))
        bw_base64_encode(key, sizeof key, p->key);
    json_decref(o);
}

static void info_done(void *ctx, const struct http_answer *a)
{
    struct pinger *p = ctx;
    p->asking = 0;
    take_info(p, a);
    p->asked(p);
}

// Calls then(p), at once or later, with p->name and p->key filled in as far as they are known.
static void ask_who(struct pinger *p, const struct bw_addr *who, void (*then)(struct pinger *p))
{
    char url[128], addr[BW_ADDR_TEXT];
    p->who = *who;
    p->key[0] = 0;
    snprintf(p->name, sizeof p->name, "%.63s", node_name_of(p->d->node, who));
    p->asked = then;
    snprintf(url, sizeof url, "http://[%s]:%d/v1/peer-info", bw_addr_text(who, addr), SHARE_API_PORT);
    struct http_request q = {.url = url, .source = &p->d->id.addr, .ifname = p->d->tun.name, .timeout_ms = ASK_WAIT_MS};
    if (bw_addr_is_mesh(who)) p->asking = http_client_start(p->d->http, &q, info_done, p);
    if (p->asking > 0) return;
    p->asking = 0;
    then(p);
}

static void drop(struct pinger *p)
{
    struct pinger **at = &p->d->pingers;
    while (*at && *at != p) at = &(*at)->next;
    if (*at) *at = p->next;
    if (p->asking) http_client_cancel(p->d->http, p->asking);
    os_icmp_close(p->icmp);
    os_timer_close(p->timer);
    free(p);
}

static void last_line(struct pinger *p)
{
    if (p->reply) {
        json_t *done = p->trace ? json_pack("{s:b, s:b}", "done", 1, "reached", p->reached)
                                : json_pack("{s:b, s:i, s:i}", "done", 1, "sent", (int)p->sent, "received", (int)p->received);
        json_object_set_new(done, "name", *p->name ? json_string(p->name) : json_null());
        json_object_set_new(done, "key", *p->key ? json_string(p->key) : json_null());
        struct view_session s;
        node_view_session(p->d->node, &p->ask.address, &s, os_clock_now());
        json_object_set_new(done, "session", json_string(s.state));
        json_object_set_new(done, "cipher", json_string(s.cipher));
        json_object_set_new(done, "age_s", s.age_s < 0 ? json_null() : json_integer(s.age_s));
        api_reply_line(p->reply, done);
        api_reply_end(p->reply);
    }
    drop(p);
}

static void finish(struct pinger *p)
{
    os_timer_at(p->timer, BW_NEVER);
    bool answered = p->trace ? p->reached : p->received > 0;
    p->name[0] = p->key[0] = 0;
    if (p->reply && answered) ask_who(p, &p->ask.address, last_line);
    else last_line(p);
}

static void send_one(struct pinger *p, uint8_t hop_limit)
{
    p->seq++;
    p->sent++;
    p->at[p->seq % 64] = os_clock_now();
    if (os_icmp_send(p->icmp, &p->ask.address, p->seq, hop_limit, 56))
        bw_log(&p->d->log, BW_DEBUG, "an echo request could not be sent: %s", strerror(errno));
}

// ---- ping ----

static void ping_reply(struct pinger *p, const struct os_icmp_reply *r, double rtt)
{
    json_t *line;
    char addr[BW_ADDR_TEXT];
    bw_addr_text(&r->from, addr);
    if (r->kind == OS_ICMP_ECHO) {
        p->received++;
        line = json_pack("{s:i, s:f, s:i, s:s}", "seq", r->seq, "rtt_ms", rtt, "hop_limit", r->hop_limit, "address", addr);
    } else {
        const char *what = r->kind == OS_ICMP_TIME_EXCEEDED ? "hop limit exceeded" : "unreachable";
        line = json_pack("{s:i, s:i, s:s, s:s}", "seq", r->seq, "rtt_ms", -1, "error", what, "address", addr);
    }
    api_reply_line(p->reply, line);
    if (p->received >= p->ask.count) finish(p);
}

static void ping_timer(struct pinger *p)
{
    bw_time now = os_clock_now();
    if (p->sent < p->ask.count) {
        send_one(p, 0);
        os_timer_at(p->timer, now + (p->sent < p->ask.count ? p->ask.interval_ms * BW_MS : ANSWER_WAIT));
        return;
    }
    finish(p);
}

// ---- trace ----

static void hop_begin(struct pinger *p)
{
    p->hop++;
    p->hop_answers = 0;
    p->hop_from = (struct bw_addr){{0}};
    for (uint32_t i = 0; i < p->ask.count; i++) send_one(p, (uint8_t)p->hop);
    os_timer_at(p->timer, os_clock_now() + ANSWER_WAIT);
}

static void hop_line(struct pinger *p)
{
    char addr[BW_ADDR_TEXT];
    if (!p->reply) {
        drop(p);
        return;
    }
    json_t *rtts = json_array();
    for (uint32_t i = 0; i < p->hop_answers; i++) json_array_append_new(rtts, json_real(p->hop_rtt[i]));
    for (uint32_t i = p->hop_answers; i < p->ask.count; i++) json_array_append_new(rtts, json_integer(-1));
    json_t *line = json_pack("{s:i, s:o}", "hop", (int)p->hop, "rtt_ms", rtts);
    json_object_set_new(line, "address", p->hop_answers ? json_string(bw_addr_text(&p->hop_from, addr)) : json_null());
    json_object_set_new(line, "name", *p->name ? json_string(p->name) : json_null());
    api_reply_line(p->reply, line);
    p->silent = p->hop_answers ? 0 : p->silent + 1;
    if (p->reached) last_line(p); // the last hop has told its key
    else if (p->refused || p->hop >= p->ask.max_hops || p->silent >= SILENT_HOPS) finish(p);
    else hop_begin(p);
}

static void hop_end(struct pinger *p)
{
    os_timer_at(p->timer, BW_NEVER);
    p->name[0] = p->key[0] = 0;
    if (p->hop_answers) ask_who(p, &p->hop_from, hop_line);
    else hop_line(p);
}

static void trace_reply(struct pinger *p, const struct os_icmp_reply *r, double rtt)
{
    uint32_t first = (p->hop - 1) * p->ask.count + 1; // sequence numbers of the present hop
    if (r->seq < first || r->seq >= first + p->ask.count || p->hop_answers == p->ask.count) return;
    p->hop_from = r->from;
    p->hop_rtt[p->hop_answers++] = rtt;
    if (r->kind == OS_ICMP_ECHO) p->reached = true;
    else if (r->kind == OS_ICMP_UNREACHABLE) p->refused = true;
    if (p->hop_answers == p->ask.count) hop_end(p);
}

// ---- both ----

static void on_reply(void *ctx, const struct os_icmp_reply *r)
{
    struct pinger *p = ctx;
    if (!p->reply || p->asking || !bw_addr_eq(&r->target, &p->ask.address) || (uint16_t)(p->seq - r->seq) >= 64) return;
    bw_time *sent = &p->at[r->seq % 64];
    if (!*sent) return; // the answer was doubled on its way
    double rtt = (double)(r->at - *sent) / 1000.0;
    if (p->trace || r->kind == OS_ICMP_ECHO) *sent = 0; // a ping may be answered although a node on the way said that it could not be
    if (p->trace) trace_reply(p, r, rtt);
    else ping_reply(p, r, rtt);
}

static void on_timer(void *ctx)
{
    struct pinger *p = ctx;
    if (!p->reply) drop(p);
    else if (p->trace) hop_end(p);
    else ping_timer(p);
}

static int start(struct daemon *d, const struct api_probe *ask, struct api_reply *r, bool trace, struct api_error *e)
{
    struct pinger *p = calloc(1, sizeof *p);
    struct os_icmp_config c = {.v4 = bw_addr_is_v4(&ask->address), .src = d->id.addr};
    if (c.v4) c.src = (struct bw_addr){{0}};
    if (!p) return 500;
    *p = (struct pinger){.d = d, .reply = r, .ask = *ask, .trace = trace};
    if (trace && p->ask.count > 10) p->ask.count = 10;
    if (os_timer_open(&d->loop, on_timer, p, &p->timer) || os_icmp_open(&d->loop, &c, on_reply, p, &p->icmp, e->text, sizeof e->text)) {
        os_timer_close(p->timer);
        free(p);
        return 500;
    }
    p->next = d->pingers;
    d->pingers = p;
    if (trace) hop_begin(p);
    else ping_timer(p);
    return 0;
}

int pinger_ping(void *ctx, const struct api_probe *p, struct api_reply *r, struct api_error *e)
{
    return start(ctx, p, r, false, e);
}

int pinger_trace(void *ctx, const struct api_probe *p, struct api_reply *r, struct api_error *e)
{
    return start(ctx, p, r, true, e);
}

void pinger_gone(void *ctx, struct api_reply *r)
{
    struct daemon *d = ctx;
    for (struct pinger *p = d->pingers; p; p = p->next) {
        if (p->reply != r) continue;
        p->reply = NULL;
        if (!p->asking) os_timer_at(p->timer, 0); // ends there, not under the API's feet
        return;
    }
}

void pinger_close(struct daemon *d)
{
    while (d->pingers) drop(d->pingers);
}
