#include <string.h>

#include "lab/commands.h"
#include "lab/say.h"

int lab_options(int *argc, char **argv, const struct lab_option *known, int (*got)(void *ctx, const char *name, const char *value),
                void *ctx)
{
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        if (argv[i][0] != '-' || !argv[i][1]) {
            argv[kept++] = argv[i];
            continue;
        }
        if (!strcmp(argv[i], "--")) {
            while (++i < *argc) argv[kept++] = argv[i];
            break;
        }
        size_t n = strcspn(argv[i], "=");
        const struct lab_option *o = known;
        while (o->name && (strlen(o->name) != n || strncmp(o->name, argv[i], n))) o++;
        if (!o->name) return lab_usage("there is no option %s", argv[i]);
        const char *value = argv[i][n] ? argv[i] + n + 1 : NULL;
        if (!o->has_value && value) return lab_usage("%s takes no value", o->name);
        if (o->has_value && !value && !(value = ++i < *argc ? argv[i] : NULL)) return lab_usage("%s needs a value", o->name);
        int rc = got(ctx, o->name, value);
        if (rc) return rc;
    }
    *argc = kept;
    return 0;
}

int lab_option_text(void *ctx, const char *name, const char *value)
{
    (void)name;
    *(const char **)ctx = value;
    return 0;
}
