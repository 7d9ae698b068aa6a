#include "lab/place.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

bool place_name_ok(const char *name)
{
    size_t n = strlen(name);
    if (!n || n > PLACE_NAME_MAX || !isalnum((unsigned char)name[0])) return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '-' && name[i] != '_') return false;
    return true;
}

int place_base(char out[PLACE_PATH])
{
    snprintf(out, PLACE_PATH, "/tmp/byway-lab-%u", (unsigned)geteuid());
    if (mkdir(out, 0700) && errno != EEXIST) return BW_ERR_SYS;
    struct stat st;
    if (lstat(out, &st)) return BW_ERR_SYS;
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid()) return BW_ERR_DENIED;
    if (st.st_mode & 077 && chmod(out, 0700)) return BW_ERR_SYS;
    return 0;
}

int place_lab(const char *name, char out[PLACE_PATH])
{
    char base[PLACE_PATH];
    int rc = place_base(base);
    if (rc) return rc;
    if (snprintf(out, PLACE_PATH, "%s/%s", base, name) >= PLACE_PATH) return BW_ERR_RANGE;
    return 0;
}

int place_lock(const char *dir, bool make)
{
    char path[PLACE_PATH + 8];
    snprintf(path, sizeof path, "%s/lock", dir);
    for (int tries = 0; tries < 100; tries++) {
        if (make && mkdir(dir, 0700) && errno != EEXIST) return BW_ERR_SYS;
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0), 0600);
        if (fd < 0) {
            if (errno != ENOENT) return BW_ERR_SYS;
            if (!make) return BW_ERR_NOTFOUND;
            continue; // removed in between
        }
        if (flock(fd, LOCK_EX | LOCK_NB)) {
            close(fd);
            return errno == EWOULDBLOCK ? BW_ERR_AGAIN : BW_ERR_SYS;
        }
        struct stat mine, there;
        if (!fstat(fd, &mine) && !stat(path, &there) && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev) return fd;
        close(fd); // we locked a file that its last owner was just removing
    }
    return BW_ERR_AGAIN;
}

static int clear_at(int parent, const char *name, const char *spare)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return errno == ENOENT ? 0 : BW_ERR_SYS;
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return BW_ERR_SYS;
    }
    int rc = 0;
    for (struct dirent *e; (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || (spare && !strcmp(e->d_name, spare))) continue;
        if (!unlinkat(fd, e->d_name, 0)) continue;
        if (errno != EISDIR && errno != EPERM) rc = BW_ERR_SYS;
        else if (clear_at(fd, e->d_name, NULL) || unlinkat(fd, e->d_name, AT_REMOVEDIR)) rc = BW_ERR_SYS;
    }
    closedir(d);
    return rc;
}

int place_clear(const char *dir, bool with_lock)
{
    int rc = clear_at(AT_FDCWD, dir, "lock");
    if (rc || !with_lock) return rc;
    char path[PLACE_PATH + 8];
    snprintf(path, sizeof path, "%s/lock", dir);
    unlink(path);
    return rmdir(dir) && errno != ENOENT ? BW_ERR_SYS : 0;
}

int place_mkdirs(const char *path)
{
    char part[256];
    if (strlen(path) >= sizeof part) return BW_ERR_RANGE;
    for (const char *p = path; p;) {
        p = strchr(p + 1, '/');
        snprintf(part, sizeof part, "%.*s", p ? (int)(p - path) : (int)strlen(path), path);
        if (mkdir(part, 0700) && errno != EEXIST) return BW_ERR_SYS;
    }
    return 0;
}
