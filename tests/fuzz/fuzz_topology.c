// The text of a topology, and the words of a link.
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "lab/topology.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct topology t;
    char err[TOPO_ERR], text[IMP_SPEC_TEXT];
    if (topo_parse("fuzz", (const char *)data, size, &t, err)) return 0;
    for (size_t i = 0; i < t.n_links; i++) {
        BW_ASSERT(t.links[i].a < t.n_nodes && t.links[i].b < t.n_nodes && t.links[i].a != t.links[i].b);
        imp_spec_text(&t.links[i].spec, text);
    }
    for (size_t i = 0; i < t.n_nodes; i++) BW_ASSERT(topo_find(&t, t.nodes[i].name) == (int)i);
    topo_free(&t);
    return 0;
}
