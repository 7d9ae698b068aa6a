#include "lab/client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "lab/place.h"
#include "lab/say.h"

static int dial(const char *path, int timeout_ms)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (snprintf(a.sun_path, sizeof a.sun_path, "%s", path) >= (int)sizeof a.sun_path) return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    struct timeval t = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    if (!connect(fd, (struct sockaddr *)&a, sizeof a)) return fd;
    close(fd);
    return -1;
}

// Reads to the end; *fds are taken from the first message. NUL-terminated, to be freed; NULL on error.
static char *read_all(int fd, int fds[5], size_t *len)
{
    size_t room = 65536, n = 0;
    char *text = malloc(room);
    for (int i = 0; fds && i < 5; i++) fds[i] = -1;
    while (text) {
        if (room - n < 4096) {
            char *more = realloc(text, room *= 2);
            if (!more) break;
            text = more;
        }
        char space[CMSG_SPACE(5 * sizeof(int))];
        struct iovec iov = {.iov_base = text + n, .iov_len = room - n - 1};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
        ssize_t got = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
        if (got < 0) break;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        if (fds && c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len <= CMSG_LEN(5 * sizeof(int)))
            memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
        if (!got) {
            text[n] = 0;
            if (len) *len = n;
            return text;
        }
        n += (size_t)got;
    }
    free(text);
    return NULL;
}

static int dial_lab(const char *lab, char dir[PLACE_PATH])
{
    char path[PLACE_PATH + 16];
    if (place_lab(lab, dir)) return -1;
    snprintf(path, sizeof path, "%s/control", dir);
    return dial(path, 10000);
}

static json_t *exchange(int fd, json_t *request, int fds[5])
{
    char *text = json_dumps(request, JSON_COMPACT), *back = NULL;
    json_decref(request);
    if (text && send(fd, text, strlen(text), MSG_NOSIGNAL) > 0) back = read_all(fd, fds, NULL);
    free(text);
    json_t *answer = back ? json_loads(back, 0, NULL) : NULL;
    free(back);
    return answer;
}

json_t *client_ask(const char *lab, json_t *request, int fds[5])
{
    char dir[PLACE_PATH];
    int fd = dial_lab(lab, dir);
    if (fd < 0) {
        json_decref(request);
        lab_fail("no lab named %s is up (byway lab list shows what is)", lab);
        return NULL;
    }
    json_t *answer = exchange(fd, request, fds);
    close(fd);
    if (!answer) {
        lab_fail("the keeper of lab %s does not answer (byway lab down --name %s ends it)", lab, lab);
        return NULL;
    }
    if (json_is_true(json_object_get(answer, "ok"))) return answer;
    const char *why = json_string_value(json_object_get(answer, "error"));
    lab_fail("%s", why ? why : "the keeper refused");
    json_decref(answer);
    return NULL;
}

// ---- down ----

static ino_t pid_ns_of(pid_t pid)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
    return stat(path, &st) ? 0 : st.st_ino;
}

static bool dead(pid_t pid, pid_t *parent)
{
    char path[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    *parent = 0;
    if (f && fscanf(f, "%*d (%*[^)]) %c %d", &state, parent) != 2) state = '?';
    if (f) fclose(f);
    return state == 'Z' || state == 'X';
}

// Counts the processes that still live in the PID namespace of the lab. The kernel leaves none (but the keeper's own
// remains, which process 1 of the machine may bury late); this is the proof. `free_dead`: a dead one whose parent is a
// `lab exec` that was stopped (Ctrl-Z) would keep the namespace from ending, so that parent is ended.
static int left_over(ino_t pid_ns, bool free_dead)
{
    DIR *d = opendir("/proc");
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        pid_t pid = atoi(e->d_name), parent;
        if (pid <= 0 || pid_ns_of(pid) != pid_ns) continue;
        if (!dead(pid, &parent)) n++;
        else if (free_dead && parent > 1 && parent != getpid() && pid_ns_of(parent) != pid_ns) kill(parent, SIGKILL);
    }
    if (d) closedir(d);
    return n;
}

static bool ends_within(int pidfd, int ms)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    return poll(&p, 1, ms) > 0;
}

static int end_keeper(int fd)
{
    struct ucred who = {0};
    socklen_t n = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) || who.pid <= 0) return lab_fail("which process keeps the lab?");
    int pidfd = (int)syscall(SYS_pidfd_open, who.pid, 0);
    if (pidfd < 0) return 0; // ended meanwhile
    ino_t pid_ns = pid_ns_of(who.pid);
    json_decref(exchange(fd, json_pack("{s:s}", "cmd", "down"), NULL));
    bool ended = ends_within(pidfd, 8000);
    if (!ended && pid_ns) left_over(pid_ns, true);
    if (!ended) ended = ends_within(pidfd, 7000);
    if (!ended) syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    if (!ended) ended = ends_within(pidfd, 60000); // device by device, if it had to be killed
    close(pidfd);
    if (!ended) return lab_fail("the lab's keeper (pid %d) does not end", (int)who.pid);
    int left = pid_ns ? left_over(pid_ns, false) : 0;
    return left ? lab_fail("%d processes of the lab are left", left) : 0;
}

int client_down(const char *lab, bool quiet)
{
    char dir[PLACE_PATH];
    int rc = 0, fd = dial_lab(lab, dir);
    if (fd >= 0) {
        rc = end_keeper(fd);
        close(fd);
    }
    if (rc) return rc;
    int lock = BW_ERR_AGAIN; // a keeper that just died lets go of it in a moment
    for (int tries = 0; tries < 500 && lock == BW_ERR_AGAIN; tries++) {
        lock = place_lock(dir, false);
        if (lock == BW_ERR_AGAIN) poll(NULL, 0, 10);
    }
    if (lock == BW_ERR_NOTFOUND) return fd >= 0 || quiet ? 0 : lab_fail("no lab named %s is up", lab);
    if (lock == BW_ERR_AGAIN) return lab_fail("lab %s is held by somebody who does not answer", lab);
    if (lock < 0) return lab_fail("%s: %s", dir, strerror(errno));
    if (place_clear(dir, true)) rc = lab_fail("clearing %s: %s", dir, strerror(errno));
    close(lock);
    return rc;
}

// ---- the nodes' API ----

json_t *client_get(const char *socket_path, const char *path, int timeout_ms)
{
    int fd = dial(socket_path, timeout_ms);
    if (fd < 0) return NULL;
    char request[300];
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
    size_t len = 0;
    char *text = send(fd, request, (size_t)n, MSG_NOSIGNAL) == n ? read_all(fd, NULL, &len) : NULL;
    close(fd);
    char *body = text ? strstr(text, "\r\n\r\n") : NULL;
    bool fine = body && !strncmp(text, "HTTP/1.", 7) && !strncmp(text + 8, " 200", 4);
    json_t *j = fine ? json_loadb(body + 4, len - (size_t)(body + 4 - text), 0, NULL) : NULL;
    free(text);
    return j;
}
