// Replays files through a fuzz target where libFuzzer is not linked (gcc, valgrind, qemu): fuzz_NAME FILE|DIR...
// With "-r SEED COUNT" it also feeds COUNT inputs made by mutating those files at random: a short fuzz run anywhere.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_FILES 4096
#define MAX_SIZE 65536
static struct {
    uint8_t *p;
    size_t n;
} files[MAX_FILES];
static size_t count;

static void load(const char *path)
{
    struct stat st;
    if (stat(path, &st)) {
        perror(path);
        exit(1);
    }
    if (S_ISDIR(st.st_mode)) {
        DIR *d = opendir(path);
        struct dirent *e;
        while (d && (e = readdir(d))) {
            if (e->d_name[0] == '.') continue;
            char sub[4096];
            snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
            load(sub);
        }
        if (d) closedir(d);
        return;
    }
    FILE *f = fopen(path, "rb");
    if (!f || count == MAX_FILES) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(1);
    }
    uint8_t *p = malloc(MAX_SIZE);
    size_t n = fread(p, 1, MAX_SIZE, f);
    fclose(f);
    uint8_t *exact = malloc(n ? n : 1); // exactly sized, so that a sanitizer sees the first byte too far
    memcpy(exact, p, n);
    free(p);
    files[count].p = exact;
    files[count++].n = n;
}

static uint64_t state;
static uint32_t rnd(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

static void mutated(void)
{
    uint8_t *buf = malloc(MAX_SIZE);
    size_t n = 0;
    if (count && rnd() % 8) {
        size_t k = rnd() % count;
        n = files[k].n;
        memcpy(buf, files[k].p, n);
    } else {
        n = rnd() % 256;
        for (size_t i = 0; i < n; i++) buf[i] = (uint8_t)rnd();
    }
    for (uint32_t m = rnd() % 6; m && n; m--) {
        size_t at = rnd() % n;
        switch (rnd() % 5) {
        case 0: buf[at] = (uint8_t)rnd(); break;
        case 1: buf[at] ^= (uint8_t)(1u << (rnd() % 8)); break;
        case 2: n = at; break;
        case 3: buf[at] = (uint8_t)(rnd() % 2 ? 0xff : 0); break;
        default:
            if (n + 8 < MAX_SIZE) {
                memmove(buf + at + 4, buf + at, n - at);
                n += 4;
            }
        }
    }
    uint8_t *exact = malloc(n ? n : 1);
    memcpy(exact, buf, n);
    free(buf);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
}

int main(int argc, char **argv)
{
    long fresh = 0;
    int i = 1;
    if (argc > 3 && !strcmp(argv[1], "-r")) {
        state = strtoull(argv[2], NULL, 0);
        fresh = strtol(argv[3], NULL, 0);
        i = 4;
    }
    for (; i < argc; i++) load(argv[i]);
    for (size_t k = 0; k < count; k++) LLVMFuzzerTestOneInput(files[k].p, files[k].n);
    for (long k = 0; k < fresh; k++) mutated();
    printf("%zu files, %ld fresh inputs\n", count, fresh);
    for (size_t k = 0; k < count; k++) free(files[k].p);
    return 0;
}
