#include "os/nft.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/why.h"

#define NEED "sharing Internet needs it: install libnftables1, or set [internet] share = no"

struct os_nft {
    struct nft_ctx *ctx;
    struct nft_ctx *(*ctx_new)(uint32_t);
    void (*ctx_free)(struct nft_ctx *);
    void (*set_flags)(struct nft_ctx *, unsigned);
    int (*buffer_output)(struct nft_ctx *);
    int (*buffer_error)(struct nft_ctx *);
    const char *(*output)(struct nft_ctx *);
    const char *(*error)(struct nft_ctx *);
    int (*run)(struct nft_ctx *, const char *);
};

// The names stay next to their places, so that the compiler still checks nothing but we read all.
static int load(struct os_nft *f, char *why, size_t n)
{
    void *lib = dlopen("libnftables.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!lib) return os_why(BW_ERR_UNSUPPORTED, why, n, "libnftables cannot be loaded: %s (" NEED ")", dlerror());
    const struct {
        const char *name;
        void *place;
    } want[] = {
        {"nft_ctx_new", &f->ctx_new},
        {"nft_ctx_free", &f->ctx_free},
        {"nft_ctx_output_set_flags", &f->set_flags},
        {"nft_ctx_buffer_output", &f->buffer_output},
        {"nft_ctx_buffer_error", &f->buffer_error},
        {"nft_ctx_get_output_buffer", &f->output},
        {"nft_ctx_get_error_buffer", &f->error},
        {"nft_run_cmd_from_buffer", &f->run},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        void *sym = dlsym(lib, want[i].name);
        if (!sym) return os_why(BW_ERR_UNSUPPORTED, why, n, "libnftables lacks %s (" NEED ")", want[i].name);
        memcpy(want[i].place, &sym, sizeof sym);
    }
    return 0;
}

static bool may_change_the_network(void)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2];
    if (syscall(SYS_capget, &h, d)) return true; // then the kernel will say so itself
    return d[0].effective & 1u << CAP_NET_ADMIN;
}

// libnftables prints, and ends the whole process (exit), where it cannot have its socket: look before it does.
static int look_first(char *why, size_t n)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (fd < 0 && (errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT))
        return os_why(BW_ERR_UNSUPPORTED, why, n,
                      "this kernel has no netfilter (a kernel with CONFIG_NF_TABLES is needed for "
                      "sharing Internet; or set [internet] share = no)");
    if (fd < 0) return os_why(BW_ERR_SYS, why, n, "the kernel's netfilter cannot be reached: %m");
    close(fd);
    if (may_change_the_network()) return 0;
    return os_why(BW_ERR_DENIED, why, n, "nftables may not be used by this user (run as root or with CAP_NET_ADMIN)");
}

static void first_line(const char *s, char *why, size_t n)
{
    if (!s || !*s) s = "no reason given";
    if (!strncmp(s, "<cmdline>:", 10)) s += 10; // the place in a text that the user never saw stays, the name goes
    os_why(0, why, n, "nftables: %.*s", (int)strcspn(s, "\n"), s);
}

// What does nft's text say about an error that it has no code for?
static int classify(const char *s)
{
    if (!s) return BW_ERR_SYS;
    if (strstr(s, strerror(EPERM))) return BW_ERR_DENIED;
    if (strstr(s, strerror(EOPNOTSUPP)) || strstr(s, strerror(EPROTONOSUPPORT)) || strstr(s, strerror(EAFNOSUPPORT)))
        return BW_ERR_UNSUPPORTED;
    if (strstr(s, "syntax error") || strstr(s, "unexpected")) return BW_ERR_MALFORMED;
    return BW_ERR_SYS;
}

static int run(struct os_nft *f, const char *commands, unsigned flags, char *why, size_t n)
{
    f->output(f->ctx); // reading them is what empties the buffers: leave nothing of the run before
    f->error(f->ctx);
    f->set_flags(f->ctx, flags);
    if (f->run(f->ctx, commands) == 0) return 0;
    const char *e = f->error(f->ctx);
    int err = classify(e);
    first_line(e, why, n);
    return err;
}

static int try_kernel(struct os_nft *f, char *why, size_t n)
{
    int err = run(f, "list tables", 0, why, n);
    if (!err) return 0;
    if (err == BW_ERR_DENIED)
        return os_why(err, why, n,
                      "nftables may not be used in this network namespace (run as root or with CAP_NET_ADMIN)");
    return os_why(BW_ERR_UNSUPPORTED, why, n,
                  "this kernel has no nftables (load the module nf_tables, or use a kernel with "
                  "CONFIG_NF_TABLES; or set [internet] share = no)");
}

int os_nft_open(struct os_nft **out, char *why, size_t n)
{
    struct os_nft *f = calloc(1, sizeof *f);
    if (!f) return os_why(BW_ERR_NOMEM, why, n, "out of memory");
    int err = look_first(why, n);
    if (!err) err = load(f, why, n);
    if (!err && (!(f->ctx = f->ctx_new(NFT_CTX_DEFAULT)) || f->buffer_output(f->ctx) || f->buffer_error(f->ctx)))
        err = os_why(BW_ERR_NOMEM, why, n, "out of memory");
    if (!err) err = try_kernel(f, why, n);
    if (err) os_nft_close(f);
    else *out = f;
    return err;
}

void os_nft_close(struct os_nft *f)
{
    if (!f) return;
    if (f->ctx) f->ctx_free(f->ctx);
    free(f);
}

int os_nft_run(struct os_nft *f, const char *commands, char *why, size_t n)
{
    return run(f, commands, 0, why, n);
}

int os_nft_query(struct os_nft *f, const char *commands, enum os_nft_form form, char **out, char *why, size_t n)
{
    static const unsigned flags[] = {
        [OS_NFT_TEXT] = 0, [OS_NFT_JSON] = NFT_CTX_OUTPUT_JSON, [OS_NFT_TERSE] = NFT_CTX_OUTPUT_TERSE};
    int err = run(f, commands, flags[form], why, n);
    if (err) return err;
    const char *s = f->output(f->ctx);
    *out = strdup(s ? s : "");
    return *out ? 0 : os_why(BW_ERR_NOMEM, why, n, "out of memory");
}

int os_nft_delete_table(struct os_nft *f, const char *table, char *why, size_t n)
{
    char text[128]; // "add" makes sure that there is something to delete, within the same transaction
    int len = snprintf(text, sizeof text, "add table %s; delete table %s", table, table);
    if (len < 0 || (size_t)len >= sizeof text) return os_why(BW_ERR_RANGE, why, n, "the table's name is too long");
    return run(f, text, 0, why, n);
}
