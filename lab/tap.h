// TAP devices: the ends of a wire.
#ifndef LAB_TAP_H
#define LAB_TAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define TAP_HEADER 10 // struct virtio_net_hdr in front of every frame

// Makes the device in the calling thread's network namespace; it lives as long as the descriptor. Non-blocking.
// Returns the descriptor or BW_ERR_SYS.
int tap_open(const char *ifname, const uint8_t mac[6]);
// On: the kernel may hand us super-frames and unfinished checksums. Off: every frame as on a real wire.
int tap_offload(int fd, bool on);
int tap_carrier(int fd, bool on);

#endif
