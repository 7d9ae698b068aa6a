// The keeper's event loop: epoll, a few timers, one thread.
#ifndef LAB_LOOP_H
#define LAB_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/time.h"

// Embedded in its owner. A handler may end its own source, never another one.
struct loop_source {
    void (*ready)(struct loop_source *s, uint32_t events, bw_time now);
};

struct loop_timer {
    void (*fire)(struct loop_timer *t, bw_time now);
    bw_time at; // BW_NEVER: not now. The owner writes it at any time; fire must move it
    struct loop_timer *next;
};

struct loop {
    int epoll;
    bool stop; // set by a handler: loop_run returns
    bool no_pwait2;
    struct loop_timer *timers;
};

int loop_init(struct loop *l) BW_NODISCARD;
int loop_watch(struct loop *l, int fd, struct loop_source *s) BW_NODISCARD; // readable; until loop_forget or close
void loop_forget(struct loop *l, int fd);
void loop_timer(struct loop *l, struct loop_timer *t); // for good
void loop_run(struct loop *l);
bw_time loop_now(void);

#endif
