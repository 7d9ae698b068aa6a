#include "os/resolv.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "os/file.h"
#include "os/ns.h"
#include "os/resolv_ways.h"
#include "os/why.h"

#define TEXT_MAX 8192 // of a resolv.conf; more than any that means it
#define DEFAULT_PATH "/etc/resolv.conf"

// What stood there before: kept as "file MODE\n" and the bytes, "link TARGET\n", or "none\n".
struct os_resolv {
    char path[OS_PATH], saved[OS_PATH], state_dir[OS_PATH];
    char marker[OS_PATH + 128]; // first line of a file of ours
    struct resolv_ways ways;
};

static bool is_own_mount(const char *path, char real[PATH_MAX])
{
    // A bind mount on a symbolic link lands on what the link points to (`ip netns exec` does that with systemd's).
    if (!realpath(path, real)) snprintf(real, PATH_MAX, "%s", path);
    return os_ns_is_mount(real);
}

// Is the folder of path another one than what process 1 has in that place?
static bool own_folder(const char *path)
{
    char ours[OS_PATH], first[OS_PATH + 16];
    struct stat a, b;
    snprintf(ours, sizeof ours, "%s", path);
    char *slash = strrchr(ours, '/');
    if (!slash) return false;
    *slash = 0;
    snprintf(first, sizeof first, "/proc/1/root%s", ours);
    return !stat(ours, &a) && !stat(first, &b) && (a.st_ino != b.st_ino || a.st_dev != b.st_dev);
}

static bool may_file(const char *path)
{
    char real[PATH_MAX];
    return os_ns_first_net() || is_own_mount(path, real) || own_folder(path);
}

bool os_resolv_may(const char *path, char *why, size_t n)
{
    if (!path) path = DEFAULT_PATH;
    if (may_file(path) || (!strcmp(path, DEFAULT_PATH) && resolv_resolved_here())) return true;
    os_why(0, why, n,
           "%s is shared with the rest of the machine and stays as it is: this node runs in a network namespace of "
           "its own (mount a file of its own there, as `ip netns exec` does with /etc/netns/NAME/resolv.conf)",
           path);
    return false;
}

static bool is_ours(const struct os_resolv *r, const char *text)
{
    return !strncmp(text, r->marker, strlen(r->marker));
}

// Text of the file, "" if there is none or it cannot be read.
static void read_text(const char *path, char out[TEXT_MAX])
{
    ssize_t n = os_file_read(path, out, TEXT_MAX);
    if (n == BW_ERR_RANGE) out[TEXT_MAX - 1] = 0;
    else if (n < 0) out[0] = 0;
}

static int cannot(const char *path, char *why, size_t n)
{
    int err = errno == EACCES || errno == EPERM ? BW_ERR_DENIED : BW_ERR_SYS;
    return os_why(err, why, n,
                  "%s cannot be changed: %m (set [internet] dns = none to leave it alone)",
                  path);
}

static int write_in_place(const char *path, const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return BW_ERR_SYS;
    // One write and then the cut: a reader sees the old text, the new one, or for an instant the new one with an old
    // tail.
    bool ok = write(fd, text, len) == (ssize_t)len && ftruncate(fd, (off_t)len) == 0;
    int saved = errno;
    close(fd);
    errno = saved;
    return ok ? 0 : BW_ERR_SYS;
}

// A mounted file cannot be renamed over; anything else is replaced whole, a symbolic link itself and not what it points
// to.
static int put(const char *path, const char *text, size_t len, mode_t mode)
{
    char real[PATH_MAX];
    if (is_own_mount(path, real)) return write_in_place(real, text, len);
    int err = os_file_write(path, text, len, mode, true);
    struct stat st;
    if (err && lstat(path, &st) == 0 && S_ISREG(st.st_mode))
        err = write_in_place(path, text, len); // a folder we may not write
    return err;
}

static int save_current(const struct os_resolv *r, char *why, size_t n)
{
    char text[TEXT_MAX + 64], target[PATH_MAX], real[PATH_MAX];
    struct stat st;
    int len;
    if (lstat(r->path, &st)) {
        len = snprintf(text, sizeof text, "none\n");
    } else if (S_ISLNK(st.st_mode) && !is_own_mount(r->path, real)) {
        ssize_t k = readlink(r->path, target, sizeof target - 1);
        if (k < 0) return cannot(r->path, why, n);
        target[k] = 0;
        len = snprintf(text, sizeof text, "link %s\n", target);
    } else {
        len = snprintf(text, sizeof text, "file %o\n", st.st_mode & 0777);
        ssize_t k = os_file_read(r->path, text + len, TEXT_MAX);
        if (k == BW_ERR_RANGE)
            return os_why(BW_ERR_RANGE, why, n, "%s is longer than %d bytes and stays as it is", r->path, TEXT_MAX);
        if (k < 0) return cannot(r->path, why, n);
        len += (int)k;
    }
    int err = len < (int)sizeof text ? os_file_write(r->saved, text, (size_t)len, 0600, true) : BW_ERR_RANGE;
    return err ? os_why(err, why, n, "%s cannot be written: %m; %s stays as it is", r->saved, r->path) : 0;
}

static int relink(const char *path, const char *target)
{
    char tmp[OS_PATH + 16];
    snprintf(tmp, sizeof tmp, "%s.byway", path);
    unlink(tmp);
    if (symlink(target, tmp)) return BW_ERR_SYS;
    if (rename(tmp, path) == 0) return 0;
    int saved = errno;
    unlink(tmp);
    errno = saved;
    return BW_ERR_SYS;
}

static int restore_file(struct os_resolv *r, char *why, size_t n)
{
    char saved[TEXT_MAX + 64], now[TEXT_MAX];
    ssize_t len = os_file_read(r->saved, saved, sizeof saved);
    if (len == BW_ERR_NOTFOUND) return 0;
    if (len < 0) return os_why((int)len, why, n, "%s cannot be read: %m", r->saved);
    read_text(r->path, now);
    int err = 0;
    if (is_ours(r, now)) {
        char *rest = strchr(saved, '\n');
        if (!rest) return os_why(BW_ERR_MALFORMED, why, n, "%s is damaged: write %s anew by hand", r->saved, r->path);
        *rest++ = 0;
        if (!strncmp(saved, "link ", 5)) err = relink(r->path, saved + 5);
        else if (!strncmp(saved, "file ", 5))
            err = put(r->path, rest, (size_t)(saved + len - rest), (mode_t)strtoul(saved + 5, NULL, 8) & 0777);
        else err = unlink(r->path) && errno != ENOENT ? BW_ERR_SYS : 0;
    }
    if (err) return cannot(r->path, why, n);
    unlink(r->saved);
    return 0;
}

int os_resolv_restore(struct os_resolv *r, char *why, size_t n)
{
    int err = restore_file(r, why, n);
    int err2 = resolv_ways_restore(&r->ways, why, n); // its last word: what resolvconf writes comes after what we put back
    return err ? err : err2;
}

int os_resolv_open(const char *state_dir, const char *path, struct os_resolv **out, char *why, size_t n)
{
    struct os_resolv *r = calloc(1, sizeof *r);
    if (!r) return os_why(BW_ERR_NOMEM, why, n, "out of memory");
    int err = strlen(state_dir) < OS_PATH ? os_file_path(r->saved, state_dir, "resolv.conf.saved") : BW_ERR_RANGE;
    if (!err) err = os_file_path(r->ways.note, state_dir, "resolv.record");
    if (err || (path && strlen(path) >= OS_PATH - 16)) {
        free(r);
        return os_why(BW_ERR_RANGE, why, n, "the state folder's path is too long");
    }
    snprintf(r->path, sizeof r->path, "%s", path ? path : DEFAULT_PATH);
    snprintf(r->marker, sizeof r->marker,
             "# byway with state folder %s: the file before this one comes back when it ends\n", state_dir);
    err = os_resolv_restore(r, why, n);
    if (err) free(r);
    else *out = r;
    return err;
}

void os_resolv_close(struct os_resolv *r)
{
    if (!r) return;
    int err = os_resolv_restore(r, NULL, 0);
    (void)err; // the saved file stays, and the next start tries again
    free(r);
}

static bool begins(const char *line, const char *word)
{
    size_t n = strlen(word);
    return !strncmp(line, word, n) && (line[n] == ' ' || line[n] == '\t');
}

// The text of what was there before ours (or is there now).
static void original_text(const struct os_resolv *r, char out[TEXT_MAX])
{
    char saved[TEXT_MAX + 64], at[PATH_MAX];
    read_text(r->path, out);
    if (!is_ours(r, out)) return;
    ssize_t len = os_file_read(r->saved, saved, sizeof saved);
    char *rest = len < 0 ? NULL : strchr(saved, '\n');
    out[0] = 0;
    if (!rest) return;
    *rest++ = 0;
    if (!strncmp(saved, "file ", 5)) snprintf(out, TEXT_MAX, "%s", rest);
    if (strncmp(saved, "link ", 5)) return;
    const char *slash = strrchr(r->path, '/');
    bool relative = saved[5] != '/' && slash;
    int k = snprintf(at, sizeof at, "%.*s%s", relative ? (int)(slash + 1 - r->path) : 0, r->path, saved + 5);
    if (k > 0 && k < (int)sizeof at) read_text(at, out);
}

// Lines that say how to look up, not where, stay; but answers of the mesh's servers are not trusted with the AD bit.
static void keep_options(struct bw_text *t, char *original)
{
    char *rest;
    for (char *line = strtok_r(original, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (begins(line, "search") || begins(line, "domain")) bw_put(t, "%s\n", line);
        if (!begins(line, "options")) continue;
        char *word_rest, *word = strtok_r(line, " \t", &word_rest);
        for (; word; word = strtok_r(NULL, " \t", &word_rest))
            if (strcmp(word, "trust-ad")) bw_put(t, "%s ", word);
        bw_put(t, "\n");
    }
}

static int set_file(struct os_resolv *r, const struct bw_addr *servers, size_t count, char *why, size_t n)
{
    char text[TEXT_MAX], now[TEXT_MAX], addr[BW_ADDR_TEXT];
    struct bw_text t = {.p = text, .cap = sizeof text};
    original_text(r, now);
    bw_put(&t, "%s", r->marker);
    for (size_t i = 0; i < count; i++) bw_put(&t, "nameserver %s\n", bw_addr_text(&servers[i], addr));
    keep_options(&t, now);
    if (t.full) return os_why(BW_ERR_RANGE, why, n, "%s is too long for our name servers as well and stays as it is", r->path);
    read_text(r->path, now);
    if (!strcmp(now, text)) return 0;
    int err = is_ours(r, now) ? 0 : save_current(r, why, n);
    if (err) return err;
    return put(r->path, text, t.n, 0644) ? cannot(r->path, why, n) : 0;
}

void os_resolv_interface(struct os_resolv *r, const char *name)
{
    snprintf(r->ways.iface, sizeof r->ways.iface, "%s", name);
}

// With a mount of its own the file is all there is: whatever keeps the one below serves somebody else.
static bool ways_apply(const struct os_resolv *r)
{
    char real[PATH_MAX];
    return r->ways.iface[0] && !strcmp(r->path, DEFAULT_PATH) && !is_own_mount(r->path, real);
}

int os_resolv_set(struct os_resolv *r, const struct bw_addr *servers, size_t count, char *why, size_t n)
{
    char now[TEXT_MAX];
    int err = 0;
    if (!ways_apply(r)) return set_file(r, servers, count, why, n);
    bool resolved = r->ways.resolved || resolv_resolved_here();
    if (resolved) err = resolv_resolved_set(&r->ways, servers, count, why, n);
    read_text(r->path, now);
    if (!err && resolved && resolv_only_stub(now)) return 0;
    if (!may_file(r->path)) return err;
    if (r->ways.resolvconf || (!is_ours(r, now) && resolv_resolvconf_keeps(r->path, now))) {
        int err2 = resolv_resolvconf_set(&r->ways, servers, count, why, n);
        read_text(r->path, now);
        if (!err2 && !is_ours(r, now) && resolv_only(now, servers, count)) return err;
    }
    int err3 = set_file(r, servers, count, why, n); // the last resort is enough by itself
    return err3 || resolved ? (err3 ? err3 : err) : 0;
}

const char *os_resolv_how(const struct os_resolv *r, char out[64])
{
    char now[TEXT_MAX];
    read_text(r->path, now);
    snprintf(out, 64, "%s%s%.32s", r->ways.resolved ? "systemd-resolved " : "", r->ways.resolvconf ? "resolvconf " : "",
             is_ours(r, now) ? r->path : "");
    size_t n = strlen(out);
    if (n && out[n - 1] == ' ') out[n - 1] = 0;
    return out;
}

static bool parse_server(char *s, struct bw_endpoint *out)
{
    char *scope = strchr(s, '%');
    if (scope) *scope++ = 0;
    *out = (struct bw_endpoint){.port = 53};
    if (bw_addr_parse(s, &out->addr)) return false;
    if (!bw_addr_is_linklocal(&out->addr) || bw_addr_is_v4(&out->addr)) return true;
    if (!scope) return false;
    out->scope = if_nametoindex(scope);
    if (!out->scope) out->scope = (uint32_t)strtoul(scope, NULL, 10);
    return out->scope != 0;
}

size_t os_resolv_parse(const char *text, struct bw_endpoint *out, size_t max)
{
    size_t count = 0;
    for (const char *p = text; *p && count < max; p += strcspn(p, "\n"), p += *p == '\n') {
        char word[96];
        if (!begins(p, "nameserver")) continue;
        const char *s = p + strlen("nameserver");
        s += strspn(s, " \t");
        size_t len = strcspn(s, " \t\r\n#;");
        if (!len || len >= sizeof word) continue;
        memcpy(word, s, len);
        word[len] = 0;
        if (parse_server(word, &out[count])) count++;
    }
    return count;
}

size_t os_resolv_upstreams(struct os_resolv *r, struct bw_endpoint *out, size_t max)
{
    char text[TEXT_MAX];
    original_text(r, text);
    return os_resolv_parse(text, out, max);
}
