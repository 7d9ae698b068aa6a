// Small files, whole: read with a bound, written so that a power cut leaves the old or the new one and never half of
// it.
#ifndef OS_FILE_H
#define OS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

#define OS_PATH 512 // longest path that byway makes, with its NUL

// Reads a whole file of less than cap bytes and ends it with a NUL. Returns the length; BW_ERR_NOTFOUND; BW_ERR_RANGE
// if it is longer; BW_ERR_SYS (errno).
ssize_t os_file_read(const char *path, char *out, size_t cap) BW_NODISCARD;

// Temporary file in the same folder, fsync, rename, fsync of the folder. With replace = false an existing file stays
// and BW_ERR_EXISTS comes back. BW_ERR_SYS (errno, e.g. ENOSPC, EROFS): the old file is untouched, nothing is left
// behind.
int os_file_write(const char *path, const void *p, size_t n, mode_t mode, bool replace) BW_NODISCARD;

// DIR "/" NAME into out[OS_PATH]; BW_ERR_RANGE if too long.
int os_file_path(char out[OS_PATH], const char *dir, const char *name) BW_NODISCARD;

#endif
