#include "os/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/file.h"
#include "os/ns.h"
#include "os/why.h"

#define NAME 128
#define CHANGES 32 // a handful is what anybody needs
#define TABLE "sysctl"

struct change {
    char name[NAME], old[OS_SYSCTL_VALUE], ours[OS_SYSCTL_VALUE];
};

struct os_sysctl {
    struct os_store *store;
    char place[80]; // this boot and network namespace: elsewhere a remembered value means nothing
    struct change changes[CHANGES];
    size_t count;
};

static int path_of(const char *name, char out[OS_PATH])
{
    if (name[0] == '/' || strstr(name, "..") || strlen(name) >= NAME) return BW_ERR_RANGE;
    return os_file_path(out, "/proc/sys", name);
}

int os_sysctl_read(const char *name, char out[OS_SYSCTL_VALUE])
{
    char path[OS_PATH];
    int err = path_of(name, path);
    if (err) return err;
    ssize_t n = os_file_read(path, out, OS_SYSCTL_VALUE);
    if (n < 0) return (int)n;
    while (n && (out[n - 1] == '\n' || out[n - 1] == ' ')) out[--n] = 0;
    return 0;
}

static int write_value(const char *name, const char *value)
{
    char path[OS_PATH];
    int err = path_of(name, path);
    if (err) return err;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? BW_ERR_NOTFOUND : BW_ERR_SYS;
    ssize_t n = write(fd, value, strlen(value));
    int saved = errno;
    close(fd);
    errno = saved;
    return n < 0 ? BW_ERR_SYS : 0;
}

static void put_back(const struct change *c)
{
    char now[OS_SYSCTL_VALUE];
    if (os_sysctl_read(c->name, now) || strcmp(now, c->ours)) return; // gone with its interface, or changed by others
    if (write_value(c->name, c->old)) return;                         // nobody left to tell
}

static void note_place(struct os_sysctl *s)
{
    char boot[48] = "";
    if (os_file_read("/proc/sys/kernel/random/boot_id", boot, sizeof boot) < 0) boot[0] = 0;
    boot[strcspn(boot, "\n")] = 0;
    snprintf(s->place, sizeof s->place, "%s:%llu", boot, (unsigned long long)os_ns_net_id());
}

// Stored as "PLACE\nOLD\nOURS" under the name.
static int leftover(void *ctx, const uint8_t *key, size_t key_n, const uint8_t *p, size_t n)
{
    struct os_sysctl *s = ctx;
    char text[256], *old, *ours;
    if (key_n >= NAME || n >= sizeof text || s->count == CHANGES) return 0;
    memcpy(text, p, n);
    text[n] = 0;
    if (!(old = strchr(text, '\n')) || !(ours = strchr(old + 1, '\n'))) return 0;
    *old++ = *ours++ = 0;
    if (strcmp(text, s->place) || strlen(old) >= OS_SYSCTL_VALUE || strlen(ours) >= OS_SYSCTL_VALUE) return 0;
    struct change *c = &s->changes[s->count++];
    memcpy(c->name, key, key_n);
    c->name[key_n] = 0;
    strcpy(c->old, old);
    strcpy(c->ours, ours);
    return 0;
}

static int forget_stored(void *ctx, const uint8_t *key, size_t key_n, const uint8_t *p, size_t n)
{
    (void)p, (void)n;
    return os_store_del(ctx, TABLE, key, key_n);
}

int os_sysctl_open(struct os_store *store, struct os_sysctl **out)
{
    struct os_sysctl *s = calloc(1, sizeof *s);
    if (!s) return BW_ERR_NOMEM;
    s->store = store;
    note_place(s);
    int err = store ? os_store_iter(store, TABLE, leftover, s) : 0;
    for (size_t i = s->count; i-- > 0;) put_back(&s->changes[i]);
    s->count = 0;
    if (!err && store) err = os_store_iter(store, TABLE, forget_stored, store);
    if (err) free(s);
    else *out = s;
    return err;
}

static struct change *find(struct os_sysctl *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (!strcmp(s->changes[i].name, name)) return &s->changes[i];
    return NULL;
}

int os_sysctl_before(struct os_sysctl *s, const char *name, char out[OS_SYSCTL_VALUE])
{
    const struct change *c = find(s, name);
    if (!c) return os_sysctl_read(name, out);
    memcpy(out, c->old, OS_SYSCTL_VALUE);
    return 0;
}

static int remember(struct os_sysctl *s, const struct change *c)
{
    char text[256];
    if (!s->store) return 0;
    int n = snprintf(text, sizeof text, "%s\n%s\n%s", s->place, c->old, c->ours);
    return os_store_put(s->store, TABLE, c->name, strlen(c->name), text, (size_t)n);
}

static void forget(struct os_sysctl *s, struct change *c)
{
    int err = s->store ? os_store_del(s->store, TABLE, c->name, strlen(c->name)) : 0;
    (void)err; // what stays noted, the next start checks against the value and drops
    memmove(c, c + 1, (size_t)(&s->changes[s->count] - (c + 1)) * sizeof *c);
    s->count--;
}

int os_sysctl_set(struct os_sysctl *s, const char *name, const char *value, char *why, size_t n)
{
    char now[OS_SYSCTL_VALUE];
    int err = os_sysctl_read(name, now);
    if (err == BW_ERR_NOTFOUND) return os_why(err, why, n, "this kernel has no /proc/sys/%s", name);
    if (err) return os_why(err, why, n, "/proc/sys/%s cannot be read: %m", name);
    if (!strcmp(now, value)) return 0;
    struct change *c = find(s, name);
    bool fresh = !c;
    if (fresh) {
        if (s->count == CHANGES || strlen(value) >= OS_SYSCTL_VALUE)
            return os_why(BW_ERR_NOMEM, why, n, "too many settings changed");
        c = &s->changes[s->count++];
        snprintf(c->name, sizeof c->name, "%s", name);
        memcpy(c->old, now, sizeof now);
    }
    snprintf(c->ours, sizeof c->ours, "%s", value);
    err = remember(s, c);
    if (err) os_why(err, why, n, "%s", os_store_error(s->store));
    if (!err) {
        err = write_value(name, value);
        if (err) err = errno == EACCES || errno == EPERM ? BW_ERR_DENIED : err;
        if (err)
            os_why(err, why, n, "/proc/sys/%s cannot be set to %s: %m (run as root; in a container, set it outside)",
                   name, value);
    }
    if (err && fresh) forget(s, c);
    return err;
}

void os_sysctl_restore(struct os_sysctl *s, const char *name)
{
    struct change *c = find(s, name);
    if (!c) return;
    put_back(c);
    forget(s, c);
}

void os_sysctl_restore_all(struct os_sysctl *s)
{
    while (s->count) { // last first: forwarding goes off before accept_ra gets its old value
        put_back(&s->changes[s->count - 1]);
        forget(s, &s->changes[s->count - 1]);
    }
}

void os_sysctl_close(struct os_sysctl *s)
{
    if (!s) return;
    os_sysctl_restore_all(s);
    free(s);
}

int os_sysctl_forwarding(struct os_sysctl *s, const char *uplink6, char *why, size_t n)
{
    char name[NAME], now[OS_SYSCTL_VALUE];
    if (uplink6) {
        snprintf(name, sizeof name, "net/ipv6/conf/%s/accept_ra", uplink6);
        if (!os_sysctl_read(name, now) && !strcmp(now, "1")) {
            int err = os_sysctl_set(s, name, "2", why, n);
            if (err) return err;
        }
    }
    int err = os_sysctl_set(s, "net/ipv4/ip_forward", "1", why, n);
    if (err) return err;
    err = os_sysctl_set(s, "net/ipv6/conf/all/forwarding", "1", why, n);
    return err == BW_ERR_NOTFOUND ? 0 : err; // a kernel without IPv6 has nothing to forward
}
