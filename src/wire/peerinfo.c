#include "wire/peerinfo.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

static bool plain(const char *s)
{
    size_t n = strlen(s);
    if (!n || n >= PEERINFO_NAME) return false;
    return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == n;
}

int peerinfo_decode(const char *body, size_t n, char name[PEERINFO_NAME])
{
    if (n > PEERINFO_MAX) return BW_ERR_MALFORMED;
    json_t *o = json_loadb(body, n, JSON_REJECT_DUPLICATES, NULL);
    const char *s = json_string_value(json_object_get(o, "name")); // both take NULL and other types
    int err = s && plain(s) ? 0 : BW_ERR_MALFORMED;
    if (!err) memcpy(name, s, strlen(s) + 1);
    json_decref(o);
    return err;
}
