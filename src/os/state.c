#include "os/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/why.h"

static int make_folders(const char *dir)
{
    char p[OS_PATH];
    snprintf(p, sizeof p, "%s", dir);
    for (char *s = p + 1; (s = strchr(s, '/')); s++) {
        *s = 0;
        if (mkdir(p, 0755) && errno != EEXIST) return -1;
        *s = '/';
    }
    return mkdir(p, 0700) && errno != EEXIST ? -1 : 0;
}

static int explain(const char *dir, char *why, size_t n)
{
    switch (errno) {
    case EROFS:
        return os_why(BW_ERR_SYS, why, n,
                      "state folder %s is on a read-only file system (remount it, or give another "
                      "folder with --state)",
                      dir);
    case ENOSPC:
    case EDQUOT:
        return os_why(BW_ERR_SYS, why, n,
                      "the disk with state folder %s is full (make room, or give another folder with "
                      "--state)",
                      dir);
    case EACCES:
    case EPERM:
        return os_why(BW_ERR_DENIED, why, n,
                      "state folder %s cannot be written by this user (run as root, or give another "
                      "folder with --state)",
                      dir);
    case ENOTDIR:
        return os_why(BW_ERR_SYS, why, n, "state folder %s is not a folder (give another one with --state)", dir);
    default:
        return os_why(BW_ERR_SYS, why, n, "state folder %s cannot be used: %m (give another one with --state)", dir);
    }
}

static int check_folder(const char *dir, char *why, size_t n)
{
    struct stat st;
    if (stat(dir, &st)) return explain(dir, why, n);
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return explain(dir, why, n);
    }
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return os_why(BW_ERR_DENIED, why, n,
                      "state folder %s belongs to user %u, who could swap this node's key (chown it, "
                      "or give another folder with --state)",
                      dir, st.st_uid);
    if (st.st_mode & 022)
        return os_why(BW_ERR_DENIED, why, n,
                      "state folder %s can be written by other users, who could swap this node's key "
                      "(chmod 0700 %s)",
                      dir, dir);
    return 0;
}

static int held(int fd, const char *dir, char *why, size_t n)
{
    char text[32] = "";
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    long pid = got > 0 ? strtol(text, NULL, 10) : 0;
    if (pid > 0)
        return os_why(BW_ERR_EXISTS, why, n,
                      "state folder %s is in use by process %ld (stop it, or give this node a folder of "
                      "its own with --state)",
                      dir, pid);
    return os_why(BW_ERR_EXISTS, why, n,
                  "state folder %s is in use by another process (stop it, or give this node a folder "
                  "of its own with --state)",
                  dir);
}

static int take_lock(const char *dir, int *out, char *why, size_t n)
{
    char path[OS_PATH];
    if (os_file_path(path, dir, "lock")) return os_why(BW_ERR_RANGE, why, n, "the state folder's path is too long");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return explain(dir, why, n);
    int err = 0;
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        err = errno == EWOULDBLOCK ? held(fd, dir, why, n) : explain(dir, why, n);
    } else {
        char text[32];
        int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
        // Also the proof that the folder takes data: a full disk is told now and not in the middle of the night.
        if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)len, 0) != len || fsync(fd)) err = explain(dir, why, n);
    }
    if (err) close(fd);
    else *out = fd;
    return err;
}

int os_state_open(const char *dir, struct os_state *s, char *why, size_t n)
{
    s->lock_fd = -1;
    if (!dir[0] || strlen(dir) > OS_PATH - 64)
        return os_why(BW_ERR_RANGE, why, n, "the state folder's path is empty or too long");
    snprintf(s->dir, sizeof s->dir, "%s", dir);
    for (size_t i = strlen(s->dir); i > 1 && s->dir[i - 1] == '/'; i--) s->dir[i - 1] = 0;
    if (make_folders(s->dir)) return explain(s->dir, why, n);
    int err = check_folder(s->dir, why, n);
    return err ? err : take_lock(s->dir, &s->lock_fd, why, n);
}

void os_state_close(struct os_state *s)
{
    // The file stays: removing it would let a third process lock a new one while a second waits on the old.
    if (s->lock_fd >= 0) close(s->lock_fd);
    s->lock_fd = -1;
}
