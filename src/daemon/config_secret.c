// Files that hold a secret: private, small, one line.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "daemon/config_parse.h"

#define SECRET_MAX 512
#define SAY(...) (snprintf(why, WHY, __VA_ARGS__), -1)

static void beside_path(const char *beside, const char *path, char out[CONFIG_PATH])
{
    const char *slash = beside ? strrchr(beside, '/') : NULL;
    if (path[0] == '/' || !slash) snprintf(out, CONFIG_PATH, "%s", path);
    else snprintf(out, CONFIG_PATH, "%.*s/%s", (int)(slash - beside), beside, path);
}

// The file's text without blanks around it, NUL-terminated.
static int read_private(const char *path, char text[SECRET_MAX], char *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        if (errno == ENOENT) return SAY("%.180s does not exist", path);
        return SAY("%.150s cannot be read: %s", path, strerror(errno));
    }
    struct stat st;
    bool file = !fstat(fd, &st) && S_ISREG(st.st_mode), shut = file && !(st.st_mode & S_IRWXO);
    ssize_t n = shut ? read(fd, text, SECRET_MAX - 1) : -1;
    int err = errno;
    close(fd);
    if (!file) return SAY("%.180s is not a file", path);
    if (!shut) return SAY("%.100s is open to everybody on this machine (chmod 600 %.100s)", path, path);
    if (n < 0) return SAY("%.150s cannot be read: %s", path, strerror(err));
    if (n == SECRET_MAX - 1) {
        bw_wipe(text, SECRET_MAX);
        return SAY("%.150s holds more than one line of secret", path);
    }
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' ' || text[n - 1] == '\t')) n--;
    text[n] = 0;
    if (strlen(text) != (size_t)n) return SAY("%.180s is not text", path);
    if (!n) return SAY("%.180s is empty", path);
    return 0;
}

int secret_read_psk(const char *beside, const char *path, uint8_t psk[32], char *why)
{
    char full[CONFIG_PATH], text[SECRET_MAX];
    beside_path(beside, path, full);
    if (read_private(full, text, why)) return -1;
    int err = bw_base64_decode(text, psk, 32);
    bw_wipe(text, sizeof text);
    return err ? SAY("%.150s does not hold a key (make one with: wg genpsk)", full) : 0;
}

int secret_read_network(const char *beside, const char *path, uint8_t secret[32], char *why)
{
    char full[CONFIG_PATH], text[SECRET_MAX];
    beside_path(beside, path, full);
    if (read_private(full, text, why)) return -1;
    int err = 0;
    if (bw_base64_decode(text, secret, 32)) {
        // Any other text works as well, but a guessable one protects nothing: whoever makes a handshake with us can try
        // words on the answer at leisure.
        static const char label[] = "byway network secret 1";
        size_t n = strlen(text);
        if (bw_crypto_init()) err = SAY("the cryptographic library does not work");
        else if (n < 12) err = SAY("the secret in %.120s is too easy to guess (make one with: wg genpsk)", full);
        else bw_blake2s(secret, 32, NULL, 0, label, sizeof label - 1, text, n);
    }
    bw_wipe(text, sizeof text);
    return err;
}

int config_psk_read(const char *path, uint8_t psk[32], char *why, size_t why_size)
{
    char w[WHY];
    if (!secret_read_psk(NULL, path, psk, w)) return 0;
    snprintf(why, why_size, "%s", w);
    return BW_ERR_MALFORMED;
}
