// Which cryptography a run uses: the real one, or (from 1,000 nodes up) a cheap stand-in that takes the place of src/crypto
// at link time, in a program of its own beside this one: byway-sim-standin. The core is the same in both.
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/sim_private.h"
#include "sim/standin.h"

#define STANDIN_FROM 1000u

int sim_use_crypto(const struct sim_options *o, int argc, char **argv, const char *word)
{
    bool large = o->nodes >= STANDIN_FROM && (!strcmp(word, "scale") || !strcmp(word, "random"));
    bool want = o->crypto ? !strcmp(o->crypto, "standin") : large;
    if (want == sim_crypto_is_standin || (sim_crypto_is_standin && !o->crypto)) return 0;
    if (!want) return sim_say(EXIT_FAILURE, "this program has no real cryptography (use: byway sim)");
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    while (n > 0 && path[n - 1] != '/') n--;
    if (n <= 0) return sim_say(o->crypto ? EXIT_FAILURE : 0, "/proc/self/exe: %s", strerror(errno));
    memcpy(path + n, "byway-sim-standin", sizeof "byway-sim-standin");
    fflush(stdout);
    char **args = calloc((size_t)argc + 1, sizeof *args);
    if (!args) return EXIT_FAILURE;
    for (int i = 0; i < argc; i++) args[i] = argv[i];
    // A large world is gigabytes that are touched all over: with small pages a third of the time goes into finding them.
    setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", 0);
    execv(path, args);
    free(args);
    if (!o->crypto) return 0; // real cryptography does as well, if slowly
    return sim_say(EXIT_FAILURE, "%s: %s", path, strerror(errno));
}

int sim_fork(void)
{
    fflush(stdout);
    fflush(stderr);
    return (int)fork();
}

int sim_wait(void)
{
    int status;
    if (wait(&status) < 0) return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
