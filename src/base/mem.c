#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static void *system_resize(struct bw_mem *m, void *old, size_t old_size, size_t new_size)
{
    (void)m, (void)old_size;
    if (!new_size) {
        free(old);
        return NULL;
    }
    return realloc(old, new_size);
}

void bw_mem_system(struct bw_mem *m)
{
    *m = (struct bw_mem){.resize = system_resize};
}

void *bw_resize(struct bw_mem *m, void *p, size_t old_size, size_t size)
{
    BW_ASSERT(size > 0);
    void *n = m->resize(m, p, p ? old_size : 0, size);
    if (!n) return NULL;
    if (!p) old_size = 0;
    if (size > old_size) memset((char *)n + old_size, 0, size - old_size);
    m->used += size - old_size;
    if (m->used > m->peak) m->peak = m->used;
    return n;
}

void *bw_alloc(struct bw_mem *m, size_t size)
{
    return bw_resize(m, NULL, 0, size);
}

void bw_free(struct bw_mem *m, void *p, size_t size)
{
    if (!p) return;
    BW_ASSERT(m->used >= size);
    m->used -= size;
    m->resize(m, p, size, 0);
}
