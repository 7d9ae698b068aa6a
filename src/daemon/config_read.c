// Reads configuration text: lines, sections and duplicates here, `key = value` and comments by inih, values by the
// table in config_keys.c. Works on a copy that is handed out only if there was no mistake at all.
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "daemon/config_parse.h"

#define FILE_MAX_BYTES (1u << 20)
#define LINE_MAX_BYTES 4096
#define KEYS_MAX 128 // >= config_key_count

// Where each key of a section was set, to name the first place when it comes again. 0: not yet.
struct seen {
    int section_line;
    int line[KEYS_MAX];
};

struct reader {
    struct config c;
    struct config_report *rep;
    const char *at, *end;
    int line;
    char section[96];              // known section that lines belong to, "peer" for [peer NAME]; "" before the first
    bool skip;                     // the section is unknown: its keys would only be noise
    struct config_peer *peer;      // while in [peer NAME]
    struct seen seen;              // all sections but peers
    struct seen *peer_seen;        // by index of the peer; the peers of the file first, those made by --set after them
};

// Debian's inih has run-time settings, others have not: there a line of the file ends at 199 characters, and we say so.
extern int ini_initial_alloc __attribute__((weak));
extern bool ini_use_stack __attribute__((weak));

static struct config_peer *peer_named(struct reader *r, const char *name)
{
    for (size_t i = 0; i < r->c.peer_count; i++) {
        if (!strcmp(r->c.peers[i].name, name)) return &r->c.peers[i];
    }
    return NULL;
}

static struct config_peer *peer_make(struct reader *r, const char *name)
{
    size_t n = r->c.peer_count;
    if (n == CONFIG_PEERS) return NULL;
    struct config_peer *peers = realloc(r->c.peers, (n + 1) * sizeof *peers);
    if (peers) r->c.peers = peers;
    struct seen *seen = realloc(r->peer_seen, (n + 1) * sizeof *seen);
    if (seen) r->peer_seen = seen;
    if (!peers || !seen) return NULL;
    struct config_peer *p = &peers[n];
    *p = (struct config_peer){0};
    seen[n] = (struct seen){0};
    snprintf(p->name, sizeof p->name, "%s", name);
    r->c.peer_count++;
    return p;
}

static void begin_peer(struct reader *r, const char *name, const char *where)
{
    char checked[CONFIG_NAME], why[WHY];
    struct config_peer *old = peer_named(r, name);
    r->skip = true;
    r->peer = NULL;
    if (!*name) {
        report_add(r->rep, r->line, where, "a peer needs a name: [peer NAME]");
    } else if (value_name(name, checked, "-._", why)) {
        report_add(r->rep, r->line, where, "[peer %.70s]: %s", name, why);
    } else if (old && where) {
        r->peer = old;
    } else if (old) {
        report_add(r->rep, r->line, where, "[peer %s] again (first in line %d)", name, old->line);
    } else if (!(r->peer = peer_make(r, name))) {
        report_add(r->rep, r->line, where, "more than %d peers", CONFIG_PEERS);
    } else {
        r->peer->line = r->line;
    }
    r->skip = !r->peer;
}

// Makes `name` the section that keys belong to. where: set for an override, else NULL.
static void begin_section(struct reader *r, const char *name, const char *where)
{
    char hint[96];
    r->peer = NULL;
    r->skip = false;
    if (!strncmp(name, "peer", 4) && (!name[4] || isspace((unsigned char)name[4]))) {
        const char *p = name + 4;
        while (isspace((unsigned char)*p)) p++;
        snprintf(r->section, sizeof r->section, "peer");
        begin_peer(r, p, where);
        return;
    }
    snprintf(r->section, sizeof r->section, "%s", name);
    if (!config_section_known(name)) {
        config_hint_section(name, hint, sizeof hint);
        report_add(r->rep, r->line, where, "unknown section [%.80s]%s", name, hint);
        r->skip = true;
        return;
    }
    if (where) return;
    for (size_t i = 0; i < config_key_count; i++) { // the section's first key stands for the section
        if (strcmp(config_keys[i].section, name)) continue;
        int *first = &r->seen.line[KEYS_MAX - 1 - i];
        if (*first) report_add(r->rep, r->line, NULL, "[%s] again (first in line %d)", name, *first);
        else *first = r->line;
        break;
    }
}

static void set_key(struct reader *r, const char *name, const char *value, const char *where)
{
    char hint[96], why[WHY] = "";
    if (r->skip) return;
    if (!r->section[0]) {
        config_hint_key("", name, hint, sizeof hint);
        report_add(r->rep, r->line, where, "`%.60s` stands before the first [section]%s", name, hint);
        return;
    }
    const struct config_key *k = config_key_find(r->section, name);
    if (!k) {
        config_hint_key(r->section, name, hint, sizeof hint);
        report_add(r->rep, r->line, where, "unknown key `%.60s` in [%s]%s", name, r->section, hint);
        return;
    }
    struct seen *seen = r->peer ? &r->peer_seen[r->peer - r->c.peers] : &r->seen;
    int *first = &seen->line[k - config_keys];
    if (*first && !where) {
        report_add(r->rep, r->line, NULL, "`%s` again in [%s] (first in line %d)", name, r->section, *first);
        return;
    }
    if (!where) *first = r->line;
    if (!*value && !k->may_be_empty) {
        report_add(r->rep, r->line, where, "%s: no value", name);
    } else if (k->set(&r->c, r->peer, value, why)) {
        report_add(r->rep, r->line, where, "%s = %.80s: %s", name, value, why);
    }
}

static int on_pair(void *user, const char *section, const char *name, const char *value)
{
    (void)section;
    set_key(user, name, value ? value : "", NULL);
    return 1;
}

// `[name]`, in line + 0..len. A comment may follow.
static void section_line(struct reader *r, const char *line, size_t len)
{
    char name[96];
    const char *close = memchr(line, ']', len);
    if (!close) {
        report_add(r->rep, r->line, NULL, "a section without its closing ]");
        r->skip = true;
        return;
    }
    const char *p = line + 1, *e = close;
    while (p < e && isspace((unsigned char)*p)) p++;
    while (e > p && isspace((unsigned char)e[-1])) e--;
    snprintf(name, sizeof name, "%.*s", (int)(e - p), p);
    for (const char *q = close + 1; q < line + len; q++) {
        if (isspace((unsigned char)*q)) continue;
        if (*q != ';' && *q != '#') report_add(r->rep, r->line, NULL, "text behind [%.80s]", name);
        break;
    }
    begin_section(r, name, NULL);
}

static bool has_separator(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (line[i] == '=' || line[i] == ':') return i > 0;
        if (line[i] == ';' && i && isspace((unsigned char)line[i - 1])) return false;
    }
    return false;
}

// inih asks for the next line. What is not `key = value` is dealt with here and looks empty to it.
static char *next_line(char *buf, int size, void *stream)
{
    struct reader *r = stream;
    if (r->at >= r->end) return NULL;
    const char *line = r->at, *nl = memchr(line, '\n', (size_t)(r->end - line));
    const char *end = nl ? nl : r->end;
    r->at = nl ? nl + 1 : r->end;
    if (!r->line++ && end - line >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) line += 3;
    while (line < end && isspace((unsigned char)*line)) line++; // indented lines are no continuation
    while (end > line && isspace((unsigned char)end[-1])) end--;
    size_t len = (size_t)(end - line), room = size > 3 ? (size_t)size - 3 : 0;
    snprintf(buf, (size_t)size, "\n");
    if (!len || *line == ';' || *line == '#') return buf;
    if (memchr(line, 0, len)) report_add(r->rep, r->line, NULL, "a NUL byte (is this a text file?)");
    else if (*line == '[') section_line(r, line, len);
    else if (len > room) report_add(r->rep, r->line, NULL, "a line longer than %zu characters", room);
    else if (!has_separator(line, len)) report_add(r->rep, r->line, NULL, "neither [section] nor key = value");
    else snprintf(buf, (size_t)size, "%.*s\n", (int)len, line);
    return buf;
}

static void read_text(struct reader *r, const char *text, size_t n)
{
    if (&ini_use_stack && &ini_initial_alloc) {
        ini_use_stack = false;
        ini_initial_alloc = LINE_MAX_BYTES;
    }
    r->at = text;
    r->end = text + n;
    size_t before = r->rep->count;
    int err = ini_parse_stream(next_line, r, on_pair, r);
    if (err && before == r->rep->count) report_add(r->rep, err > 0 ? err : 0, NULL, "cannot be understood");
}

// "SECTION.KEY=VALUE"; a peer is "peer NAME.KEY=VALUE".
static void override(struct reader *r, const char *set)
{
    char where[96], section[96], key[64];
    const char *eq = strchr(set, '=');
    const char *dot = eq ? memrchr(set, '.', (size_t)(eq - set)) : NULL;
    snprintf(where, sizeof where, "--set %.*s", (int)(eq ? eq - set : (long)strlen(set)), set);
    if (!dot || dot == set || dot + 1 == eq || (size_t)(dot - set) >= sizeof section ||
        (size_t)(eq - dot) > sizeof key) {
        report_add(r->rep, 0, where, "write --set SECTION.KEY=VALUE");
        return;
    }
    snprintf(section, sizeof section, "%.*s", (int)(dot - set), set);
    snprintf(key, sizeof key, "%.*s", (int)(eq - dot - 1), dot + 1);
    r->line = 0;
    begin_section(r, section, where);
    set_key(r, key, eq + 1, where);
}

// ---- what only shows once everything is read ----

static int line_of(const struct reader *r, const char *section, const char *key)
{
    return r->seen.line[config_key_find(section, key) - config_keys];
}

static int peer_line(const struct reader *r, size_t i, const char *key)
{
    int line = r->peer_seen[i].line[config_key_find("peer", key) - config_keys];
    return line ? line : r->c.peers[i].line;
}

static void check_peers(struct reader *r)
{
    static const uint8_t zero[32];
    for (size_t i = 0; i < r->c.peer_count; i++) {
        struct config_peer *p = &r->c.peers[i];
        if (!memcmp(p->key, zero, 32)) {
            bool tried = r->peer_seen[i].line[config_key_find("peer", "key") - config_keys];
            if (!tried)
                report_add(r->rep, p->line, p->line ? NULL : "--set",
                           "[peer %s] has no key (key = ..., as `byway key show` prints there)", p->name);
            continue;
        }
        for (size_t j = 0; j < i; j++) {
            if (memcmp(p->key, r->c.peers[j].key, 32)) continue;
            report_add(r->rep, peer_line(r, i, "key"), p->line ? NULL : "--set",
                       "[peer %s] has the same key as [peer %s]", p->name, r->c.peers[j].name);
            break;
        }
    }
}

// What is kept for the owner is taken off the limit: without one there is nothing to take it off.
static void check_floor(struct reader *r, const char *key, uint64_t floor, const char *limit_key, uint64_t limit)
{
    char where[64];
    int line = line_of(r, "internet", key);
    snprintf(where, sizeof where, "--set internet.%s", key);
    if (floor && !limit)
        report_add(r->rep, line, line ? NULL : where, "%s needs %s (set it to what the connection can do)", key, limit_key);
    else if (floor && floor >= limit)
        report_add(r->rep, line, line ? NULL : where, "%s is not less than %s: nothing would be left for clients", key, limit_key);
}

static void check_whole(struct reader *r)
{
    if (r->c.discover.policy == CONFIG_POLICY_SECRET && !r->c.discover.secret_file[0]) {
        int line = line_of(r, "discover", "policy");
        report_add(r->rep, line, line ? NULL : "--set discover.policy", "policy = secret needs a secret-file");
    }
    check_floor(r, "floor-down", r->c.internet.floor_down_bps, "limit-down", r->c.internet.limit_down_bps);
    check_floor(r, "floor-up", r->c.internet.floor_up_bps, "limit-up", r->c.internet.limit_up_bps);
    check_peers(r);
}

static void read_secrets(struct reader *r)
{
    char why[WHY];
    struct config_discover *d = &r->c.discover;
    if (d->secret_file[0]) {
        int line = line_of(r, "discover", "secret-file");
        d->has_secret = !secret_read_network(r->c.path, d->secret_file, d->secret, why);
        if (!d->has_secret)
            report_add(r->rep, line, line ? NULL : "--set discover.secret-file", "secret-file: %s", why);
    }
    for (size_t i = 0; i < r->c.peer_count; i++) {
        struct config_peer *p = &r->c.peers[i];
        if (!p->psk_file[0]) continue;
        p->has_psk = !secret_read_psk(r->c.path, p->psk_file, p->psk, why);
        if (!p->has_psk) report_add(r->rep, peer_line(r, i, "psk-file"), p->line ? NULL : "--set", "psk-file: %s", why);
    }
}

// text NULL: there is no file.
static int parse(const char *text, size_t n, const char *path, bool secrets, char *const *sets, size_t set_count,
                 struct config *out, struct config_report *rep)
{
    BW_ASSERT(2 * config_key_count <= KEYS_MAX); // keys from the front, first lines of sections from the back
    struct reader *r = calloc(1, sizeof *r);
    if (!r) {
        report_add(rep, 0, NULL, "%s", bw_strerror(BW_ERR_NOMEM));
        return BW_ERR_MALFORMED;
    }
    r->rep = rep;
    config_defaults(&r->c);
    snprintf(r->c.path, sizeof r->c.path, "%s", path);
    r->c.from_file = text;
    if (text) read_text(r, text, n);
    for (size_t i = 0; i < set_count; i++) override(r, sets[i]);
    check_whole(r);
    if (secrets) read_secrets(r);
    report_sort(rep);
    bool good = !rep->count;
    if (good) *out = r->c;
    else config_free(&r->c);
    free(r->peer_seen);
    bw_wipe(r, sizeof *r);
    free(r);
    return good ? 0 : BW_ERR_MALFORMED;
}

int config_parse(const char *text, size_t n, const char *path, char *const *sets, size_t set_count, struct config *out,
                 struct config_report *rep)
{
    report_init(rep, path);
    return parse(text, n, path, false, sets, set_count, out, rep);
}

// The whole file, or NULL with errno.
static char *slurp(const char *path, size_t *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return NULL;
    struct stat st;
    char *text = NULL;
    if (!fstat(fd, &st) && S_ISDIR(st.st_mode)) errno = EISDIR;
    else text = malloc(FILE_MAX_BYTES + 1);
    size_t len = 0;
    ssize_t got = 1;
    while (text && len <= FILE_MAX_BYTES && got > 0) {
        got = read(fd, text + len, FILE_MAX_BYTES + 1 - len);
        if (got > 0) len += (size_t)got;
    }
    if (text && (got < 0 || len > FILE_MAX_BYTES)) {
        if (got >= 0) errno = EFBIG;
        free(text);
        text = NULL;
    }
    int keep = errno;
    close(fd);
    errno = keep;
    *n = len;
    return text;
}

int config_load(const char *path, char *const *sets, size_t set_count, struct config *out, struct config_report *rep)
{
    const char *name = path ? path : CONFIG_DEFAULT_PATH;
    report_init(rep, name);
    size_t n = 0;
    char *text = slurp(name, &n);
    if (!text && (path || (errno != ENOENT && errno != ENOTDIR))) {
        if (errno == ENOENT)
            report_add(rep, 0, NULL, "there is no such file (a node without --config runs with the defaults)");
        else report_add(rep, 0, NULL, "cannot be read: %s", strerror(errno));
        return BW_ERR_MALFORMED;
    }
    int err = parse(text, n, name, true, sets, set_count, out, rep);
    free(text);
    return err;
}
