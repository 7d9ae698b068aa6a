#!/usr/bin/python3
"""A clock that is set back by years across a restart (a Pi without a battery): the neighbours let the node in again."""
# tests/run: timeout=60
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
import netkit  # noqa: E402
from netkit import check, step  # noqa: E402

# Moves the wall clock of one program, nothing else: time stamps are asked of the C library.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long years(void) { const char *y = getenv("CLOCK_YEARS"); return y ? atol(y) * 31557600L : 0; }
int clock_gettime(clockid_t id, struct timespec *t)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int rc = real(id, t);
    if (!rc && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE || id == CLOCK_TAI)) t->tv_sec += years();
    return rc;
}
time_t time(time_t *out)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out) *out = t.tv_sec;
    return t.tv_sec;
}
int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    (void)zone;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    *tv = (struct timeval){t.tv_sec, t.tv_nsec / 1000};
    return 0;
}
"""
netkit.enter()
a, b = netkit.Node("a"), netkit.Node("b")
netkit.veth(a, "eth0", b, "eth0")
shim = netkit.path("shim.so")
subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", shim, "-ldl"], input=SHIM, text=True, check=True)
env = {"LD_PRELOAD": shim}
CONFIG = "[internet]\nuse = none\n"
bb = netkit.Byway(b, CONFIG)
ba = netkit.Byway(a, CONFIG, env=dict(env, CLOCK_YEARS="5"))

with step("the shim moves the clock"):
    out = subprocess.run(["date", "+%Y"], capture_output=True, text=True, env=dict(os.environ, **env, CLOCK_YEARS="5")).stdout
    now = subprocess.run(["date", "+%Y"], capture_output=True, text=True).stdout
    check(int(out) - int(now) in (4, 5), "date says %s and %s" % (out, now))
with step("with the clock five years ahead the nodes are neighbours"):
    a.reaches(bb.address)
with step("after a restart with the clock five years back they are again, within seconds"):
    ba.stop()
    ba.start(env=dict(env, CLOCK_YEARS="0"))
    a.reaches(bb.address, timeout_s=12)
with step("also after SIGKILL, ten years back"):
    import signal
    ba.stop(signal.SIGKILL)
    ba.start(env=dict(env, CLOCK_YEARS="-10"))
    b.reaches(ba.address, timeout_s=12)
netkit.done()
