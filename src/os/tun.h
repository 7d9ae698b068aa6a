// The TUN device: this machine's way into the mesh. Opened with one queue per worker and virtio_net_hdr (10 bytes,
// little endian) before every packet, so that one read or write moves up to 64 KiB. The device lives as long as its
// queues.
#ifndef OS_TUN_H
#define OS_TUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "os/udp.h" // OS_ERROR_TEXT

#define OS_TUN_QUEUES_MAX 16
#define OS_TUN_FRAME_MAX (10 + 65535)

struct os_tun {
    char name[16];
    uint32_t ifindex;
    unsigned queues;
    int fd[OS_TUN_QUEUES_MAX]; // nonblocking
    bool tso, uso;             // what the kernel hands us unsegmented, and takes from us
};

// Creates interface `name` (down, without addresses). On failure nothing is left behind and `err` says what is wrong
// and what to do: BW_ERR_NOTFOUND no /dev/net/tun, BW_ERR_DENIED not permitted, BW_ERR_EXISTS name taken, BW_ERR_RANGE
// bad name, BW_ERR_SYS otherwise.
int os_tun_open(struct os_tun *t, const char *name, unsigned queues, char err[OS_ERROR_TEXT]) BW_NODISCARD;
void os_tun_close(struct os_tun *t);

// One frame. Returns its length, 0 when there is none (or the device is down).
size_t os_tun_read(int fd, uint8_t *frame, size_t room);
// One frame in pieces. False: the kernel did not take it (device down, malformed); it is lost.
bool os_tun_write(int fd, const struct iovec *v, unsigned n);

#endif
