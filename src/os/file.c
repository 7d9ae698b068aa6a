#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/entropy.h"

int os_file_path(char out[OS_PATH], const char *dir, const char *name)
{
    int n = snprintf(out, OS_PATH, "%s/%s", dir, name);
    return n < 0 || n >= OS_PATH ? BW_ERR_RANGE : 0;
}

ssize_t os_file_read(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT || errno == ENOTDIR ? BW_ERR_NOTFOUND : BW_ERR_SYS;
    size_t n = 0;
    ssize_t err = 0;
    while (n < cap) { // cap, not cap - 1: a full buffer means that the file is too long
        ssize_t got = read(fd, out + n, cap - n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            err = got;
            break;
        }
        n += (size_t)got;
    }
    int saved = errno;
    close(fd);
    errno = saved;
    if (err < 0) return BW_ERR_SYS;
    if (n == cap) return BW_ERR_RANGE;
    out[n] = 0;
    return (ssize_t)n;
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return -1;
        p += put;
        n -= (size_t)put;
    }
    return 0;
}

// The directory entry must be on disk too, or a power cut brings the old one back. Some file systems cannot; they say
// EINVAL.
static int sync_folder_of(const char *path)
{
    char dir[OS_PATH];
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    int fd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -1;
    int r = fsync(fd);
    if (r && errno == EINVAL) r = 0;
    int saved = errno;
    close(fd);
    errno = saved;
    return r;
}

static int write_temporary(const char *tmp, const void *p, size_t n, mode_t mode)
{
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) return -1;
    int r = fchmod(fd, mode) || write_all(fd, p, n) || fsync(fd) ? -1 : 0; // fchmod: the umask took bits away
    int saved = errno;
    if (close(fd) && !r) return -1; // NFS tells of a full disk only here
    errno = saved;
    return r;
}

int os_file_write(const char *path, const void *p, size_t n, mode_t mode, bool replace)
{
    uint32_t nonce;
    os_entropy(&nonce, sizeof nonce);
    char tmp[OS_PATH + 16];
    if (snprintf(tmp, sizeof tmp, "%s.%08x", path, nonce) >= OS_PATH) return BW_ERR_RANGE;
    int r = write_temporary(tmp, p, n, mode);
    if (!r) {
        // link() refuses to replace on every file system; renameat2(RENAME_NOREPLACE) only on some.
        r = replace ? rename(tmp, path) : link(tmp, path);
        if (!r && !replace) unlink(tmp);
    }
    int saved = errno;
    if (r) {
        unlink(tmp);
        errno = saved;
        return saved == EEXIST ? BW_ERR_EXISTS : BW_ERR_SYS;
    }
    return sync_folder_of(path) ? BW_ERR_SYS : 0;
}
