#!/usr/bin/python3
"""The systemd unit gives the node what it needs and systemd has nothing to say against it: with the unit's capabilities, and
nothing more, a node that is a house's router starts, and dnsmasq serves the house."""
# tests/run: timeout=60
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
import netkit  # noqa: E402
from netkit import check, step, wait_until  # noqa: E402

UNIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "systemd", "byway.service")
with open(UNIT) as f:
    TEXT = f.read()

ASK = """import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
q = bytes.fromhex('4870010000010000000000000131013101310231300769' '6e2d61646472' '0461727061' '00' '000c' '0001')
s.sendto(q, (sys.argv[1], 53))
print('answered' if s.recv(512)[:2] == q[:2] else 'odd')
"""


def capabilities(setting):
    found = re.search(r"^%s=(.*)$" % setting, TEXT, re.M)
    check(found, "the unit has no " + setting)
    return ["+" + c.removeprefix("CAP_").lower() for c in found[1].split()]


netkit.enter()
a = netkit.Node("a")
x = netkit.Node("x")
netkit.veth(a, "eth0", x, "eth0")
netkit.veth(a, "lan0", x, "lan0")
a.address("eth0", "192.0.2.1/24")

if shutil.which("systemd-analyze"):
    with step("systemd understands every line of the unit"):
        copy = netkit.write("byway.service", re.sub(r"^ExecStart=\S+", "ExecStart=" + netkit.BYWAY, TEXT, flags=re.M))
        p = subprocess.run(["systemd-analyze", "--man=no", "verify", copy], capture_output=True, text=True)
        check(not p.returncode and not p.stdout + p.stderr, p.stdout + p.stderr)
        broken = netkit.write("broken.service", TEXT.replace("[Service]\n", "[Service]\nNoSuchSetting=yes\n"))
        p = subprocess.run(["systemd-analyze", "--man=no", "verify", broken], capture_output=True, text=True)
        check("NoSuchSetting" in p.stdout + p.stderr, "an unknown line is not reported")
with step("with the unit's capabilities a router's dnsmasq serves the house"):
    bounds, ambient = capabilities("CapabilityBoundingSet"), capabilities("AmbientCapabilities")
    rights = ["setpriv", "--no-new-privs", "--bounding-set", ",".join(["-all"] + bounds), "--inh-caps", ",".join(["-all"] + ambient),
              "--ambient-caps", ",".join(["-all"] + ambient)]
    sock = netkit.path("a.sock")
    node = a.spawn(*rights, netkit.BYWAY, "run", "--config", netkit.write("a.conf", "[lan]\ninterfaces = lan0\n[log]\nlevel = debug\n"),
                   "--state", netkit.path("state-a"), "--socket", sock, name="byway")
    node.wait_line(r"^ready$", 15)

    gate = wait_until(lambda: re.search(r"inet (10\.\d+\.\d+)\.1/24", a.run("ip", "addr", "show", "dev", "lan0")), 10, "the house's network")[1]
    x.address("lan0", gate + ".200/24")

    def served():  # asked for the name of an address in the house, which it knows to be nobody's
        out = x.run(sys.executable, "-c", ASK, gate + ".1", check=False)
        return "answered" in out

    try:
        wait_until(served, 10, "an answer of dnsmasq")
    except Exception:
        check(False, "no answer: " + "; ".join(line for line in node.text().split("\n") if "dnsmasq" in line)[:400])
    check("ended" not in node.text(), "dnsmasq ended")
with step("and it ends in good order"):
    check(node.stop() == 0, "exit status %s" % node.p.returncode)
    check("byway" not in a.run("nft", "list", "tables"), "a table is left")
netkit.done()
