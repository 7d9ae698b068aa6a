// Writes a [peer NAME] section into the file by hand's rules: what the owner wrote stays byte for byte, comments
// included.
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "daemon/config_parse.h"

#define FILE_MAX_BYTES (1u << 20)

struct text {
    char *p;
    size_t n;
    mode_t mode;
};

// The lines of a section [peer ...] that has the key: from its header to before the blank lines and comments that lead
// up to the next header.
struct span {
    size_t from, to;
    char name[CONFIG_NAME];
};

static int read_file(const char *path, struct text *t)
{
    *t = (struct text){.mode = 0600};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT) return BW_ERR_SYS;
    t->p = malloc(FILE_MAX_BYTES + 1);
    if (!t->p) errno = ENOMEM;
    ssize_t got = fd >= 0 && t->p ? 1 : 0;
    while (got > 0 && t->n <= FILE_MAX_BYTES) {
        got = read(fd, t->p + t->n, FILE_MAX_BYTES + 1 - t->n);
        if (got > 0) t->n += (size_t)got;
    }
    struct stat st;
    if (fd >= 0 && !fstat(fd, &st)) t->mode = st.st_mode & 0777;
    if (fd >= 0) close(fd);
    if (t->p && got >= 0 && t->n <= FILE_MAX_BYTES) return 0;
    if (t->n > FILE_MAX_BYTES) errno = EFBIG;
    free(t->p);
    t->p = NULL;
    return BW_ERR_SYS;
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return -1;
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

// A new file beside the old one, then swapped in: a full disk or a crash leaves the old one whole.
static int swap_in(const char *path, const char *const part[3], const size_t len[3], mode_t mode)
{
    char real[4096], temp[4200];
    if (!realpath(path, real)) snprintf(real, sizeof real, "%s", path); // a symlink stays one
    snprintf(temp, sizeof temp, "%s.new-%ld", real, (long)getpid());
    struct stat st;
    bool old = !stat(real, &st);
    const int how = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    int fd = open(temp, how, 0600);
    if (fd < 0 && errno == ENOENT && !mkdir(dirname(real), 0755)) { // /etc/byway, on a machine that needed no file so far
        snprintf(real, sizeof real, "%s", path);
        fd = open(temp, how, 0600);
    }
    if (fd < 0) return BW_ERR_SYS;
    int bad = 0;
    for (int i = 0; i < 3 && !bad; i++) bad = write_all(fd, part[i], len[i]);
    if (!bad && old && fchown(fd, st.st_uid, st.st_gid)) mode &= 0700; // not ours to give: then nobody else reads it
    bad = bad || fchmod(fd, mode) || fsync(fd);
    bad = close(fd) || bad;
    bad = bad || rename(temp, real);
    if (!bad) return 0;
    int keep = errno;
    unlink(temp);
    errno = keep;
    return BW_ERR_SYS;
}

static size_t line_end(const struct text *t, size_t at)
{
    const char *nl = memchr(t->p + at, '\n', t->n - at);
    return nl ? (size_t)(nl - t->p) + 1 : t->n;
}

static size_t skip_blank(const struct text *t, size_t at, size_t end)
{
    while (at < end && isspace((unsigned char)t->p[at])) at++;
    return at;
}

// The name in a header "[peer NAME]" at `at`; false if the line is another header or none.
static bool peer_header(const struct text *t, size_t at, size_t end, char name[CONFIG_NAME])
{
    char line[160];
    snprintf(line, sizeof line, "%.*s", (int)(end - at), t->p + at);
    name[0] = 0;
    char *close = strchr(line, ']');
    if (strncmp(line, "[", 1) || !close) return false;
    *close = 0;
    char *p = line + 1;
    while (isspace((unsigned char)*p)) p++;
    if (strncmp(p, "peer", 4) || !isspace((unsigned char)p[4])) return false;
    for (p += 4; isspace((unsigned char)*p);) p++;
    size_t n = strlen(p);
    while (n && isspace((unsigned char)p[n - 1])) p[--n] = 0;
    snprintf(name, CONFIG_NAME, "%s", p);
    return true;
}

// Is the line "key = BASE64" with this key?
static bool key_line(const struct text *t, size_t at, size_t end, const uint8_t key[32])
{
    char line[160], want[BW_KEY_TEXT];
    snprintf(line, sizeof line, "%.*s", (int)(end - at), t->p + at);
    size_t n = strcspn(line, "=:");
    size_t name = n;
    while (name && isspace((unsigned char)line[name - 1])) name--;
    if (name != 3 || strncmp(line, "key", 3) || !line[n]) return false;
    const char *value = line + n + 1;
    while (isspace((unsigned char)*value)) value++;
    return !strncmp(value, bw_base64_encode(key, 32, want), BW_KEY_TEXT - 1);
}

// Walks the sections; true if one has the key. *name_taken: another peer section is called `name`.
static bool find_peer(const struct text *t, const uint8_t key[32], const char *name, struct span *out, bool *name_taken)
{
    struct span here = {0};
    bool in_peer = false, has_key = false, found = false;
    size_t last = 0; // end of the last line with something to say
    *name_taken = false;
    for (size_t at = 0; at <= t->n; at = line_end(t, at)) {
        size_t end = at < t->n ? line_end(t, at) : t->n, p = skip_blank(t, at, end);
        bool header = p < end && t->p[p] == '[';
        if (header || at == t->n) {
            here.to = last;
            if (in_peer && has_key && !found) {
                *out = here;
                found = true;
            } else if (in_peer && !has_key && name && !strcmp(here.name, name)) {
                *name_taken = true;
            }
            if (at == t->n) break;
            here = (struct span){.from = at};
            has_key = false;
            in_peer = peer_header(t, p, end, here.name);
        } else if (in_peer && p < end) {
            has_key = has_key || key_line(t, p, end, key);
        }
        if (p < end && t->p[p] != ';' && t->p[p] != '#') last = end;
    }
    return found;
}

static bool fits_a_line(const char *s, size_t max)
{
    for (const char *p = s; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == ';') return false;
    }
    return strlen(s) < max;
}

static int section_text(char *out, size_t size, const char *name, const uint8_t key[32], const char *endpoint,
                        const char *psk_file, bool internet)
{
    char k[BW_KEY_TEXT];
    struct config_endpoint e;
    char checked[CONFIG_NAME], why[WHY];
    if (value_name(name, checked, "-._", why)) return BW_ERR_RANGE;
    if (endpoint && (!fits_a_line(endpoint, 300) || config_endpoint_parse(endpoint, &e))) return BW_ERR_RANGE;
    if (psk_file && !fits_a_line(psk_file, CONFIG_PATH)) return BW_ERR_RANGE;
    int n = snprintf(out, size, "[peer %s]\nkey = %s\n", name, bw_base64_encode(key, 32, k));
    if (endpoint) n += snprintf(out + n, size - (size_t)n, "endpoint = %s\n", endpoint);
    if (psk_file) n += snprintf(out + n, size - (size_t)n, "psk-file = %s\n", psk_file);
    if (internet) n += snprintf(out + n, size - (size_t)n, "internet = yes\n");
    return n;
}

int config_save_peer(const char *path, const char *name, const uint8_t key[32], const char *endpoint,
                     const char *psk_file, bool internet)
{
    struct text t;
    if (read_file(path, &t)) return BW_ERR_SYS;
    char made[CONFIG_NAME], section[2048];
    struct span s = {.from = t.n, .to = t.n};
    bool taken;
    bool old = find_peer(&t, key, name, &s, &taken);
    bw_hex_encode(key, 4, made);
    memmove(made + 5, made, 9);
    memcpy(made, "peer-", 5);
    const char *use = name && *name ? name : old ? s.name : made;
    int n =
        taken ? BW_ERR_EXISTS : section_text(section + 2, sizeof section - 2, use, key, endpoint, psk_file, internet);
    char *from = section + 2;
    if (n > 0 && !old && t.n) { // a blank line between what was there and the new section
        *--from = '\n';
        n++;
        if (t.p[t.n - 1] != '\n') {
            *--from = '\n';
            n++;
        }
    }
    if (n > 0) {
        const char *part[3] = {t.p, from, t.p + s.to};
        size_t len[3] = {s.from, (size_t)n, t.n - s.to};
        n = swap_in(path, part, len, t.mode);
    }
    free(t.p);
    return n;
}

int config_save_remove_peer(const char *path, const uint8_t key[32])
{
    struct text t;
    if (read_file(path, &t)) return BW_ERR_SYS;
    struct span s;
    bool taken;
    int err = BW_ERR_NOTFOUND;
    if (find_peer(&t, key, NULL, &s, &taken)) {
        size_t from = s.from, to = s.to;
        if (to < t.n && from && t.p[to] == '\n') to++; // the blank line behind it goes too, or at the end the one before it
        else if (to == t.n && from > 1 && t.p[from - 1] == '\n' && t.p[from - 2] == '\n') from--;
        const char *part[3] = {t.p, "", t.p + to};
        size_t len[3] = {from, 0, t.n - to};
        err = swap_in(path, part, len, t.mode);
    }
    free(t.p);
    return err;
}

// Is the line "NAME = ..."?
static bool names_key(const char *line, size_t n, const char *name)
{
    size_t k = strlen(name);
    while (n && isspace((unsigned char)*line)) line++, n--;
    if (n <= k || memcmp(line, name, k)) return false;
    for (line += k, n -= k; n && (*line == ' ' || *line == '\t'); n--) line++;
    return n && (*line == '=' || *line == ':');
}

static bool is_header(const char *line, size_t n, const char *name)
{
    while (n && isspace((unsigned char)*line)) line++, n--;
    size_t k = strlen(name);
    return n > k + 1 && line[0] == '[' && !memcmp(line + 1, name, k) && line[k + 1] == ']';
}

// The text with [discover] naming the secret: its old policy and secret-file lines go, ours follow the header.
static char *with_secret(const struct text *t, const char *secret_file)
{
    size_t room = t->n + strlen(secret_file) + 64, n = 0;
    char *out = malloc(room);
    bool inside = false, done = false;
    for (size_t at = 0; out && at < t->n; at = line_end(t, at)) {
        const char *line = t->p + at;
        size_t len = line_end(t, at) - at, blank = skip_blank(t, at, at + len) - at;
        if (blank < len && line[blank] == '[') inside = is_header(line, len, "discover");
        else if (inside && (names_key(line, len, "policy") || names_key(line, len, "secret-file"))) continue;
        memcpy(out + n, line, len);
        n += len;
        if (!inside || done || blank == len || line[blank] != '[') continue;
        if (out[n - 1] != '\n') out[n++] = '\n';
        n += (size_t)snprintf(out + n, room - n, "policy = secret\nsecret-file = %s\n", secret_file);
        done = true;
    }
    if (out && !done)
        snprintf(out + n, room - n, "%s[discover]\npolicy = secret\nsecret-file = %s\n", n && out[n - 1] != '\n' ? "\n" : "", secret_file);
    else if (out) out[n] = 0;
    return out;
}

int config_save_secret(const char *path, const uint8_t secret[32])
{
    struct text t;
    char folder[CONFIG_PATH], file[CONFIG_PATH], line[BW_KEY_TEXT + 1];
    snprintf(folder, sizeof folder, "%s", path);
    int n = snprintf(file, sizeof file, "%s/network.secret", dirname(folder));
    if (n >= (int)sizeof file) return BW_ERR_RANGE;
    bw_base64_encode(secret, 32, line);
    line[BW_KEY_TEXT - 1] = '\n';
    const char *secret_part[3] = {line, "", ""};
    const size_t secret_len[3] = {BW_KEY_TEXT, 0, 0};
    int err = swap_in(file, secret_part, secret_len, 0600);
    explicit_bzero(line, sizeof line);
    if (err || read_file(path, &t)) return BW_ERR_SYS;
    char *text = with_secret(&t, file);
    if (text) {
        const char *part[3] = {text, "", ""};
        const size_t len[3] = {strlen(text), 0, 0};
        err = swap_in(path, part, len, t.mode);
    } else {
        errno = ENOMEM;
        err = BW_ERR_SYS;
    }
    free(text);
    free(t.p);
    return err;
}
