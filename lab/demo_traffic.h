// The demonstration's traffic: one download and one ping of a node, by the usual programs, watched as they go.
#ifndef LAB_DEMO_TRAFFIC_H
#define LAB_DEMO_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/time.h"
#include "lab/client.h"

struct download {
    pid_t pid;
    int fd;          // -1: ended
    FILE *original;  // what it should be
    uint64_t size, got;
    bool differs, failed;
    bw_time began, came, ended; // came: something, at last
};

struct pinger {
    pid_t pid;
    int fd;
    char line[256];
    size_t line_len;
    unsigned answers;
    double rtt_ms;     // of the last answer
    bw_time last;      // when that came
    bw_time mark, gap_from, gap_to; // the first longer silence that ended after `mark`
};

#define PING_EVERY_MS 50
#define PING_SILENCE (300 * BW_MS) // what counts as a silence

int download_start(struct download *d, const struct lab_spaces *in, const char *url, const char *original_path) BW_NODISCARD;
int pinger_start(struct pinger *p, const struct lab_spaces *in, const char *address) BW_NODISCARD;
void pinger_mark(struct pinger *p, bw_time now); // from here on
// Reads what has come from either (NULL: not there); waits at most timeout_ms.
void traffic_wait(struct download *d, struct pinger *p, int timeout_ms);
void download_stop(struct download *d);
void pinger_stop(struct pinger *p);

// Runs curl in a node for at most `seconds`; true if it got the page.
bool page_loads(const struct lab_spaces *in, const char *url, unsigned seconds);

#endif
