#include "os/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "os/file.h"
#include "os/why.h"

static int check_file(int fd, const char *path, char *why, size_t n)
{
    struct stat st;
    if (fstat(fd, &st)) return os_why(BW_ERR_SYS, why, n, "identity %s cannot be read: %m", path);
    if (!S_ISREG(st.st_mode))
        return os_why(BW_ERR_DENIED, why, n, "identity %s is not a regular file (put the key file itself there)", path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return os_why(BW_ERR_DENIED, why, n, "identity %s belongs to user %u (chown it to the user that runs byway)",
                      path, st.st_uid);
    if (st.st_mode & 077)
        return os_why(BW_ERR_DENIED, why, n,
                      "identity %s can be read by other users (chmod 0600 %s; if others may have read "
                      "it, make a new one with `byway key new --force`)",
                      path, path);
    return 0;
}

static int read_seed(int fd, const char *path, uint8_t seed[32], char *why, size_t n)
{
    char text[64];
    ssize_t got = read(fd, text, sizeof text);
    int err = 0;
    if (got < 0) {
        err = os_why(BW_ERR_SYS, why, n, "identity %s cannot be read: %m", path);
    } else {
        size_t len = (size_t)got;
        while (len && (text[len - 1] == '\n' || text[len - 1] == '\r')) len--;
        char line[sizeof text + 1];
        memcpy(line, text, len);
        line[len] = 0;
        if (strlen(line) != len || bw_base64_decode(line, seed, 32))
            err = os_why(BW_ERR_MALFORMED, why, n,
                         "identity %s does not hold a seed, which is one line of 44 characters of "
                         "base64 (restore it from a backup, or move it away and a new node is born)",
                         path);
        explicit_bzero(line, sizeof line);
    }
    explicit_bzero(text, sizeof text);
    return err;
}

int os_identity_read(const char *state_dir, uint8_t seed[32], char *why, size_t n)
{
    char path[OS_PATH];
    if (os_file_path(path, state_dir, "identity"))
        return os_why(BW_ERR_RANGE, why, n, "the state folder's path is too long");
    // O_NONBLOCK: a FIFO put there must not hang the start.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        if (errno == ENOENT) return os_why(BW_ERR_NOTFOUND, why, n, "there is no identity in %s yet", state_dir);
        if (errno == ELOOP)
            return os_why(BW_ERR_DENIED, why, n, "identity %s is a symbolic link (put the key file itself there)",
                          path);
        if (errno == EACCES || errno == EPERM)
            return os_why(BW_ERR_DENIED, why, n,
                          "identity %s cannot be read by this user (run as its owner or as root)", path);
        return os_why(BW_ERR_SYS, why, n, "identity %s cannot be read: %m", path);
    }
    int err = check_file(fd, path, why, n);
    if (!err) err = read_seed(fd, path, seed, why, n);
    if (err) explicit_bzero(seed, 32);
    close(fd);
    return err;
}

int os_identity_write(const char *state_dir, const uint8_t seed[32], bool replace, char *why, size_t n)
{
    char path[OS_PATH], line[BW_KEY_TEXT + 1];
    if (os_file_path(path, state_dir, "identity"))
        return os_why(BW_ERR_RANGE, why, n, "the state folder's path is too long");
    bw_base64_encode(seed, 32, line);
    line[BW_KEY_TEXT - 1] = '\n';
    int err = os_file_write(path, line, BW_KEY_TEXT, 0600, replace);
    explicit_bzero(line, sizeof line);
    if (err == BW_ERR_EXISTS) return os_why(err, why, n, "there is an identity in %s already", state_dir);
    if (err == BW_ERR_SYS && errno == EROFS)
        return os_why(err, why, n, "identity %s cannot be written: the file system is read-only", path);
    if (err == BW_ERR_SYS && (errno == ENOSPC || errno == EDQUOT))
        return os_why(err, why, n, "identity %s cannot be written: the disk is full (make room and start again)", path);
    if (err) return os_why(err, why, n, "identity %s cannot be written: %m", path);
    return 0;
}
