#!/usr/bin/python3
"""A machine on which the node can't start: each time a sentence that says what is wrong and what to do, exit status 1,
never `ready`, and nothing left behind."""
# tests/run: timeout=120 asan
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
import netkit  # noqa: E402
from netkit import check, step  # noqa: E402

netkit.enter()
a = netkit.Node("a")
x = netkit.Node("x")
netkit.veth(a, "eth0", x, "eth0")
a.address("eth0", "192.0.2.1/24")


def traces():
    """What a node may leave in the machine: interfaces, addresses, rules, routes, tables, forwarding, sockets."""
    look = ["ip -br link", "ip -br address show scope global", "ip rule", "ip -6 rule", "ip route show table all",
            "ip -6 route show table all proto static", "nft list ruleset", "sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding",
            "ss -Hlun", "ss -Hltn"]
    return {c: re.sub(r"@if\d+|expires \d+sec", "", a.run(*c.split())) for c in look}


def same_as(was):
    now = traces()
    for c in now:
        check(now[c] == was[c], "left behind in %s: %s" % (c, set(now[c].split("\n")) ^ set(was[c].split("\n"))))


def fresh_state(name):
    """A state folder with an identity in it."""
    state = netkit.path("state-" + name)
    a.run(netkit.BYWAY, "key", "new", "--state", state)
    return state


def refused(words, config="", sets=(), state=None, wrap=(), code=1, before=None, share=None):
    """Start a node that must refuse; words: patterns that its one sentence must hold."""
    was = before or traces()
    state = state or netkit.path("state-fresh-%d" % len(netkit.processes))
    sock = netkit.path("api-%d.sock" % len(netkit.processes))
    args = [netkit.BYWAY, "run", "--config", netkit.write("refused.conf", config), "--state", state, "--socket", sock]
    for s in sets:
        args += ["--set", s]
    if share:
        args += ["--share=" + share]
    p = a.spawn(*wrap, *args, name="refused")
    try:
        status = p.wait(15)
    finally:
        if p.alive():
            p.stop(signal.SIGKILL)
    text = p.text()
    check(not re.search(r"^ready$", text, re.M), "it said ready: " + text[-300:])
    check(status == code, "exit status %s: %s" % (status, text[-300:]))
    said = [line for line in text.split("\n") if line.startswith("byway: ")]
    check(said, "no line begins with \"byway: \": " + text[-300:])
    for w in words:
        check(re.search(w, "\n".join(said), re.I), "/%s/ is not in: %s" % (w, "; ".join(said)))
    check("Sanitizer" not in text, "a sanitizer complains: " + text[-500:])
    check(not os.path.exists(sock), "the socket is left behind")
    same_as(was)


def inside(script):
    """A wrapper that runs a shell script in a mount namespace of its own before the program."""
    return ["unshare", "--mount", "sh", "-c", script + '; exec "$@"', "sh"]


# ---- seccomp: a kernel without nftables, as the program sees it ----

REFUSE = r"""
import ctypes, os, struct, sys
AF_NETLINK, NETLINK_NETFILTER, EPROTONOSUPPORT = 16, 12, 93
SOCKET = {"x86_64": 41, "aarch64": 198}[os.uname().machine]
LD, JEQ, RET = 0x20, 0x15, 0x06
rules = [(LD, 0, 0, 0), (JEQ, 0, 5, SOCKET), (LD, 0, 0, 16), (JEQ, 0, 3, AF_NETLINK), (LD, 0, 0, 32),
         (JEQ, 0, 1, NETLINK_NETFILTER), (RET, 0, 0, 0x00050000 | EPROTONOSUPPORT), (RET, 0, 0, 0x7fff0000)]
code = b"".join(struct.pack("HBBI", *r) for r in rules)
buf = ctypes.create_string_buffer(code)
prog = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(rules), ctypes.addressof(buf)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, prog):
    sys.exit("seccomp: " + os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
"""

with step("a key file that others can read"):
    state = fresh_state("open")
    os.chmod(os.path.join(state, "identity"), 0o644)
    refused(["identity", r"chmod 600|0600|others"], state=state)
with step("a key file that is damaged"):
    state = fresh_state("damaged")
    with open(os.path.join(state, "identity"), "w") as f:
        f.write("x")
    refused(["identity"], state=state)
with step("no TUN device"):
    refused([r"/dev/net/tun"], wrap=inside("mount -t tmpfs none /dev/net"))
with step("a TUN device that does not answer"):
    refused([r"/dev/net/tun|byway0"], wrap=inside("mount --bind /dev/null /dev/net/tun"))
with step("the TUN's name is taken"):
    a.run("ip", "link", "add", "byway0", "type", "bridge")
    refused(["byway0"])
    a.run("ip", "link", "del", "byway0")
with step("the port is taken (IPv4)"):
    holder = a.spawn(sys.executable, "-c", "import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
                     "s.bind(('0.0.0.0',4870))\nprint('held',flush=True)\ntime.sleep(600)", name="holder")
    holder.wait_line("held")
    refused(["4870", "use|taken|listen"])
    holder.stop(signal.SIGKILL)
with step("the port is taken (IPv6)"):
    holder = a.spawn(sys.executable, "-c", "import socket,time\ns=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM)\n"
                     "s.setsockopt(41,26,1)\ns.bind(('::',4870))\nprint('held',flush=True)\ntime.sleep(600)", name="holder")
    holder.wait_line("held")
    refused(["4870"])
    holder.stop(signal.SIGKILL)
with step("a state folder on a read-only file system"):
    state = fresh_state("ro")
    refused([re.escape(state), "read-only"], state=state,
            wrap=inside("mount --bind %s %s; mount -o remount,bind,ro %s" % (state, state, state)))
with step("a state folder that can't be made"):
    refused(["state"], state="/proc/nowhere")
with step("a state folder that is a file"):
    refused(["state-file"], state=netkit.write("state-file", "x"))
with step("a state folder that is full"):
    state = netkit.path("state-full")
    os.mkdir(state)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k,mode=700", "full", state], check=True)
    with open(state + "/ballast", "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"x" * 4096)
        except OSError:
            pass
    refused([re.escape(state), "full|no space|room"], state=state)
    subprocess.run(["umount", state], check=True)
with step("a state folder that fills up after the identity was stored"):
    state = netkit.path("state-filling")
    os.mkdir(state)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "full", state], check=True)
    a.run(netkit.BYWAY, "key", "new", "--state", state)
    with open(state + "/ballast", "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"x" * 4096)
        except OSError:
            pass
    refused([re.escape(state), "full|no space|room"], state=state)
    subprocess.run(["umount", state], check=True)
with step("no nftables in the kernel"):
    refused(["nftables|nf_tables"], wrap=[sys.executable, "-c", REFUSE])
with step("no rights"):
    refused([r"root|CAP_NET_ADMIN|permission|privilege"], wrap=["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"])
with step("the TUN device belongs to somebody else"):
    refused([r"/dev/net/tun.*chmod 666"],
            wrap=inside("mount -t tmpfs none /mnt && mknod -m 600 /mnt/tun c 10 200 && chown 1 /mnt/tun && mount --bind /mnt/tun /dev/net/tun")
            + ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-dac_override,-dac_read_search"])
with step("the API's port is taken"):
    a.run("ip", "link", "set", "lo", "up")
    holder = a.spawn(sys.executable, "-c", "import socket,time\ns=socket.socket()\ns.bind(('127.0.0.1',4871))\ns.listen()\n"
                     "print('held',flush=True)\ntime.sleep(600)", name="holder")
    holder.wait_line("held")
    refused(["4871"])
    holder.stop(signal.SIGKILL)

with step("the same state in use by a running node"):
    b = netkit.Byway(a, "[discover]\ninterfaces = none\n[internet]\nuse = none\n")
    refused(["state|running|in use"], state=b.state, sets=["tun.interface=bw1", "listen.port=4999", "api.listen=none"])
    check(b.get("status")["uptime_s"] >= 0, "the running node suffered")
with step("another node in the same network namespace"):
    refused(["network namespace"], sets=["tun.interface=bw1", "listen.port=4999", "api.listen=none"])
    check(b.get("status")["uptime_s"] >= 0, "the running node suffered")
with step("the socket in use by a running node"):
    elsewhere = netkit.Node("e")
    was = traces()
    p = elsewhere.spawn(netkit.BYWAY, "run", "--state", netkit.path("state-2"), "--socket", b.socket, name="second")
    check(p.wait(15) == 1, "exit status %s: %s" % (p.p.returncode, p.text()[-300:]))
    check("byway: " in p.text() and "sock" in p.text(), "it says: " + p.text()[-300:])
    same_as(was)
    check(b.get("status")["uptime_s"] >= 0, "the running node lost its socket")
b.stop()

with step("what SIGKILL left is cleaned at the next start, and gone at its end"):
    was = traces()
    b = netkit.Byway(a, "[internet]\nuse = none\n", share="eth0")
    b.stop(signal.SIGKILL)
    b = netkit.Byway(a, "[internet]\nuse = none\n")
    check(b.stop() == 0, "exit status %s" % b.process.p.returncode)
    same_as(was)
    check(not os.path.exists(b.socket), "the socket is left behind")
with step("a UAPI socket whose name is taken is reported and done without"):
    os.makedirs("/run/wireguard", exist_ok=True)
    other = netkit.Node("o")
    first = netkit.Byway(other, "[discover]\ninterfaces = none\n")
    second = netkit.Byway(a, "[discover]\ninterfaces = none\n")
    check(re.search(r"wireguard/byway0\.sock", second.process.text()), "it is not reported: " + second.process.text()[-300:])
    check(first.stop() == 0 and second.stop() == 0, "exit status")
netkit.done()
