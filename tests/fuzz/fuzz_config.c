// Configuration text from anywhere (an editor's accident, a download): every mistake is a message, never a crash.
#include <stdlib.h>

#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config c;
    struct config_report r;
    if (!config_parse((const char *)data, size, "fuzz", NULL, 0, &c, &r)) {
        if (config_diff(&c, &c)) abort();
        config_free(&c);
    }
    char text[256];
    config_report_text(&r, text, sizeof text);
    config_report_free(&r);
    char *set = malloc(size + 1);
    if (!set) return 0;
    memcpy(set, data, size);
    set[size] = 0;
    char *sets[] = {set};
    if (!config_parse("", 0, "fuzz", sets, 1, &c, &r)) config_free(&c);
    config_report_free(&r);
    struct config_endpoint e;
    if (!config_endpoint_parse(set, &e) && !e.port) abort();
    free(set);
    return 0;
}
