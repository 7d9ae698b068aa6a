// Invites come from chats and cameras: what decodes must encode to something that says the same.
#include <stdlib.h>
#include <string.h>

#include "wire/invite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), again[INVITE_TEXT];
    struct invite a, b;
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (!invite_decode(text, &a)) {
        if (invite_encode(&a, again) || invite_decode(again, &b) || memcmp(a.key, b.key, 32) || strcmp(a.name, b.name))
            abort();
        if (a.endpoint_count != b.endpoint_count || a.has_secret != b.has_secret) abort();
    }
    free(text);
    return 0;
}
