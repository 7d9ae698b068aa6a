// The allocator that is handed to every core module: the simulator counts and fails it, the daemon gives it malloc.
// Sizes are given back on free so that an allocator can account without headers. Failure is NULL, never an abort.
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#include "base/err.h"

struct bw_mem {
    // old == NULL allocates, new_size == 0 frees (returns NULL). New bytes are not cleared.
    void *(*resize)(struct bw_mem *m, void *old, size_t old_size, size_t new_size);
    size_t used; // bytes handed out, kept by the functions below
    size_t peak;
};

// malloc/free behind the interface; free-standing, one per caller.
void bw_mem_system(struct bw_mem *m);

void *bw_alloc(struct bw_mem *m, size_t size) BW_NODISCARD;                              // zeroed; NULL on failure
void *bw_resize(struct bw_mem *m, void *p, size_t old_size, size_t size) BW_NODISCARD;   // new tail zeroed; p stays valid on failure
void bw_free(struct bw_mem *m, void *p, size_t size);                                    // p may be NULL

#endif
