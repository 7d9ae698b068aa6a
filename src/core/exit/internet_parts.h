// The inside of struct internet, for its own files only.
#ifndef CORE_EXIT_INTERNET_PARTS_H
#define CORE_EXIT_INTERNET_PARTS_H

#include "core/exit/internet.h"

struct internet {
    struct bw_mem *mem;
    const struct identity *id;
    struct internet_ops ops;
    struct uplink uplink;
    struct book book;
    struct exits exits;
    struct exitc client;
    bool share, killswitch;
    enum exitc_use use;
    struct bw_addr pinned;
    bw_time deadline, uplink_since;
};

#endif
