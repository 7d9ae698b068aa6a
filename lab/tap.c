#include "lab/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

// Linux 6.2; Debian 12's headers lack them. Both or none.
#define USO 0x60u

int tap_offload(int fd, bool on)
{
    unsigned base = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    if (!on) return ioctl(fd, TUNSETOFFLOAD, 0ul) ? BW_ERR_SYS : 0;
    if (!ioctl(fd, TUNSETOFFLOAD, (unsigned long)(base | USO))) return 0;
    return ioctl(fd, TUNSETOFFLOAD, (unsigned long)base) ? BW_ERR_SYS : 0;
}

int tap_carrier(int fd, bool on)
{
    int v = on;
    return ioctl(fd, TUNSETCARRIER, &v) ? BW_ERR_SYS : 0;
}

int tap_open(const char *ifname, const uint8_t mac[6])
{
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return BW_ERR_SYS;
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", ifname);
    int header = TAP_HEADER;
    int rc = ioctl(fd, TUNSETIFF, &r);
    if (!rc) rc = ioctl(fd, TUNSETVNETHDRSZ, &header);
    if (!rc) {
        r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
        memcpy(r.ifr_hwaddr.sa_data, mac, 6);
        rc = ioctl(fd, SIOCSIFHWADDR, &r);
    }
    if (!rc) return fd;
    int why = errno;
    close(fd);
    errno = why;
    return BW_ERR_SYS;
}
