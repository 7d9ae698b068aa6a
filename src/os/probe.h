// Does the Internet answer? One round asks targets until each family has an answer or the time is over.
//
// A target with a port: a TCP connection must come to stand. Without a port: an ICMP echo must come back. "auto": the
// DNS root servers, which are anycast, everywhere, run by twelve independent bodies and there to be asked: each is
// asked for the root's SOA by UDP, which counts only if it is authoritative (a captive portal's or home router's cache
// is not), and by ICMP echo, for networks that intercept DNS. Three of them per round and family, in random order, the
// next one only when the last has been silent for OS_PROBE_STEP_MS: a working uplink is asked once per round. Nothing
// is resolved; targets are addresses.
#ifndef OS_PROBE_H
#define OS_PROBE_H

#include <stdbool.h>
#include <uv.h>

#include "base/addr.h"
#include "base/err.h"

#define OS_PROBE_TARGETS 16
#define OS_PROBE_STEP_MS 250

struct os_probe_target {
    struct bw_addr addr;
    uint16_t port; // 0: ICMP echo
};

enum os_probe_mode { OS_PROBE_AUTO, OS_PROBE_NONE, OS_PROBE_LIST };

struct os_probe_config {
    enum os_probe_mode mode;
    struct os_probe_target targets[OS_PROBE_TARGETS];
    size_t count;
    uint32_t mark;         // SO_MARK, so that the probe does not enter the tunnel; 0: none
    char device[16];       // SO_BINDTODEVICE; "": none
    uint32_t timeout_ms;   // 0: 1,500
    bool skip_v4, skip_v6; // a family that is known to have no default route
};

struct os_probe_result {
    bool v4, v6;               // answered
    bool asked_v4, asked_v6;   // there was a target of that family
    uint32_t rtt4_us, rtt6_us; // of the first answer
};

typedef void os_probe_fn(void *ctx, const struct os_probe_result *r);

// fn is called exactly once, from the loop, never from within start. With mode NONE both families count as answering.
int os_probe_start(uv_loop_t *loop, const struct os_probe_config *c, os_probe_fn *fn, void *ctx) BW_NODISCARD;

#endif
