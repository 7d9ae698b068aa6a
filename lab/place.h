// Where labs live: /tmp/byway-lab-UID/NAME/, mode 0700. Not below XDG_RUNTIME_DIR: that is not set everywhere, hidden by
// the nodes' own /run, and often too small for the files that the internet namespace serves.
#ifndef LAB_PLACE_H
#define LAB_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define PLACE_PATH 96       // a lab's folder; "/control" and "/nodes/NAME/api.sock" behind it still fit a unix socket's address
#define PLACE_NAME_MAX 24

bool place_name_ok(const char *name);                 // letters, digits, hyphen, underscore
int place_base(char out[PLACE_PATH]) BW_NODISCARD;    // makes it; BW_ERR_DENIED if somebody else owns it
int place_lab(const char *name, char out[PLACE_PATH]) BW_NODISCARD; // only the path
// Makes the folder and takes its lock, which the keeper holds as long as it lives: a folder whose lock is free is a dead
// lab's. Returns the descriptor (close-on-exec), BW_ERR_AGAIN if a keeper lives, BW_ERR_NOTFOUND (make = false).
int place_lock(const char *dir, bool make) BW_NODISCARD;
// Everything below dir but its lock file, or with_lock: dir itself too. Does not follow symbolic links.
int place_clear(const char *dir, bool with_lock);
int place_mkdirs(const char *path) BW_NODISCARD; // like mkdir -p, mode 0700

#endif
