// Telling systemd how we are (sd_notify's protocol: a datagram to $NOTIFY_SOCKET).
#ifndef OS_NOTIFY_H
#define OS_NOTIFY_H

#include "base/err.h"

// "READY=1", "STOPPING=1", "RELOADING=1\nMONOTONIC_USEC=...", "STATUS=...". 0 also when nobody listens; BW_ERR_SYS.
int os_notify(const char *state);

#endif
