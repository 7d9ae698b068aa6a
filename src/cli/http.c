// HTTP/1.1 over the daemon's unix socket, as much of it as one request and its answer need.
#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/command.h"

#define BODY_MAX (256u << 20)

struct http {
    FILE *f;
    int status;
    bool chunked, first_chunk, ended;
    long long left; // of the chunk, or of the body; -1: until the end of the connection
};

static int reach(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sa.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(sa.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || !connect(fd, (struct sockaddr *)&sa, sizeof sa)) return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

bool http_is_there(const char *socket)
{
    int fd = reach(socket);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static void say_unreachable(const char *path)
{
    struct stat st;
    if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR) {
        complain("no node is running here (start one with: sudo byway run)");
    } else if (errno != EACCES && errno != EPERM) {
        complain("the node cannot be reached at %s: %s", path, strerror(errno));
    } else if (!stat(path, &st) && st.st_gid) {
        struct group *g = getgrgid(st.st_gid);
        complain("you may not speak to the node here (use sudo, or join the group %s: sudo usermod -aG %s $USER, then "
                 "log in again)",
                 g ? g->gr_name : "of its socket", g ? g->gr_name : "GROUP");
    } else {
        complain("you may not speak to the node here (use sudo; to do without: sudo groupadd byway, join it, restart "
                 "the node)");
    }
}

static bool send_request(int fd, const char *method, const char *path, const json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL, *head = NULL;
    bool sent = false;
    int n;
    if (text)
        n = asprintf(&head,
                     "%s %s HTTP/1.1\r\nHost: byway\r\nConnection: close\r\nContent-Type: "
                     "application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     method, path, strlen(text), text);
    else
        n = asprintf(&head, "%s %s HTTP/1.1\r\nHost: byway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", method,
                     path);
    const char *p = head;
    while (n > 0) {
        ssize_t done = send(fd, p, (size_t)n, MSG_NOSIGNAL);
        if (done <= 0) break;
        p += done;
        n -= (int)done;
        sent = !n;
    }
    if (head) explicit_bzero(head, strlen(head)); // may hold a secret
    if (text) explicit_bzero(text, strlen(text));
    free(head);
    free(text);
    return sent;
}

// Status line and headers; false if that is no HTTP.
static bool read_head(struct http *h)
{
    char line[4096];
    if (!fgets(line, sizeof line, h->f) || sscanf(line, "HTTP/1.%*d %d", &h->status) != 1) return false;
    h->left = -1;
    while (fgets(line, sizeof line, h->f)) {
        if (line[0] == '\r' || line[0] == '\n') return true;
        if (!strncasecmp(line, "Content-Length:", 15)) h->left = strtoll(line + 15, NULL, 10);
        if (!strncasecmp(line, "Transfer-Encoding:", 18) && strcasestr(line + 18, "chunked")) h->chunked = true;
    }
    return false;
}

struct http *http_ask(const struct typed *t, const char *method, const char *path, const json_t *body)
{
    int fd = reach(t->socket);
    if (fd < 0) {
        say_unreachable(t->socket);
        return NULL;
    }
    struct http *h = calloc(1, sizeof *h);
    if (!h || !(h->f = fdopen(fd, "r"))) abort();
    bool sent = send_request(fd, method, path, body);
    if (read_head(h)) { // an answer may come before all was sent: it is too large, say
        if (h->chunked) h->left = 0;
        h->first_chunk = h->chunked;
        return h;
    }
    complain(sent ? "the node hung up without an answer (is it being stopped?)" : "the node does not take requests");
    http_close(h);
    return NULL;
}

void http_close(struct http *h)
{
    if (!h) return;
    fclose(h->f);
    free(h);
}

static bool next_chunk(struct http *h)
{
    char line[64];
    if (!h->first_chunk && !fgets(line, sizeof line, h->f)) return false; // the line end behind the last one
    h->first_chunk = false;
    if (!fgets(line, sizeof line, h->f)) return false;
    h->left = strtoll(line, NULL, 16);
    return h->left > 0;
}

static int next_byte(struct http *h)
{
    if (h->ended) return EOF;
    int c = EOF;
    if (h->left || (h->chunked && next_chunk(h))) c = getc(h->f);
    if (c == EOF) h->ended = true;
    else if (h->left > 0) h->left--;
    return c;
}

bool http_line(struct http *h, char *line, size_t size)
{
    size_t n = 0;
    int c;
    while ((c = next_byte(h)) != EOF && c != '\n') {
        if (n + 1 < size) line[n++] = (char)c;
    }
    line[n] = 0;
    return c != EOF || n;
}

char *http_body(struct http *h, size_t *n)
{
    char *p = NULL;
    size_t len = 0, cap = 0;
    int c;
    do {
        if (len + 1 >= cap) {
            cap = cap ? 2 * cap : 4096;
            char *more = realloc(p, cap);
            if (!more) abort();
            p = more;
        }
        c = next_byte(h);
        if (c != EOF) p[len++] = (char)c;
    } while (c != EOF && len < BODY_MAX);
    p[len] = 0;
    if (n) *n = len;
    return p;
}

// {"error": ..., "hint": ...} for people. Several lines (mistakes in a configuration) come first, as they are.
static void say_error(const char *text, const char *hint)
{
    if (!strchr(text, '\n')) {
        complain(*hint ? "%s (%s)" : "%s", text, hint);
        return;
    }
    fprintf(stderr, "%s%s", text, text[strlen(text) - 1] == '\n' ? "" : "\n");
    complain("%s", *hint ? hint : "nothing was changed");
}

int http_check(struct http *h)
{
    if (h->status >= 200 && h->status < 300) return EXIT_DONE;
    char *body = http_body(h, NULL);
    json_t *j = json_loads(body, 0, NULL);
    const char *error = text_of(j, "error");
    if (*error) say_error(error, text_of(j, "hint"));
    else complain("the node answers %d", h->status);
    json_decref(j);
    free(body);
    return EXIT_FAILED;
}

json_t *http_get(const struct typed *t, const char *path, char **raw)
{
    struct http *h = http_ask(t, "GET", path, NULL);
    if (!h) return NULL;
    json_t *j = NULL;
    if (!http_check(h)) {
        size_t n;
        char *body = http_body(h, &n);
        j = json_loadb(body, n, 0, NULL);
        if (!j) complain("the node's answer cannot be understood (is it another version?)");
        if (j && raw) *raw = body;
        else free(body);
    }
    http_close(h);
    return j;
}

int http_print(const struct typed *t, const char *path)
{
    struct http *h = http_ask(t, "GET", path, NULL);
    if (!h) return EXIT_FAILED;
    int rc = http_check(h);
    if (!rc) {
        size_t n;
        char *body = http_body(h, &n);
        fwrite(body, 1, n, stdout);
        free(body);
    }
    http_close(h);
    return rc;
}

int http_change(const struct typed *t, const char *method, const char *path, const json_t *body, const char *done)
{
    struct http *h = http_ask(t, method, path, body);
    if (!h) return EXIT_FAILED;
    int rc = http_check(h);
    if (!rc) {
        char *answer = http_body(h, NULL);
        json_t *j = json_loads(answer, 0, NULL);
        const char *text = text_of(j, "text");
        print_plain(*text ? text : done, stdout);
        putchar('\n');
        json_decref(j);
        free(answer);
    }
    http_close(h);
    return rc;
}
