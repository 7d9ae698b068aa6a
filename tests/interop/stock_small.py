#!/usr/bin/python3
"""Two byway nodes with nothing but a stock machine between them, whose WireGuard interfaces carry 1,280 bytes: sessions go through
it sealed, learn the path's MTU from its kernel's "too big", and plain tools work at both ends.

    a (byway) --- s (wireguard-go, babeld, MTU 1280) --- b (byway), with a network behind it
"""
# tests/run: timeout=120 parallel
import re

import netkit
from netkit import check, step, wait_until

netkit.enter()
a, s, b, h = (netkit.Node(x) for x in ("a", "s", "b", "h"))
netkit.veth(a, "eth0", s, "to-a")
netkit.veth(b, "eth0", s, "to-b")
netkit.veth(h, "eth0", b, "lan")
a.address("eth0", "192.0.2.1/30")
s.address("to-a", "192.0.2.2/30")
b.address("eth0", "192.0.2.5/30")
s.address("to-b", "192.0.2.6/30")
b.address("lan", "fd00:7::1/64")
h.address("eth0", "fd00:7::9/64")
h.run("ip", "-6", "route", "add", "default", "via", "fd00:7::1")
b.forwarding()
w1 = netkit.StockLink(s, "wga", "fe80::1", 51820)
w2 = netkit.StockLink(s, "wgb", "fe80::2", 51821)
s.address("lo", "fd77:1::1/128")
s.forwarding()
for i in ("wga", "wgb"):
    s.run("ip", "link", "set", i, "mtu", "1280")
CONFIG = "[node]\nname = %s\n[discover]\ninterfaces = none\n[internet]\nuse = none\n[firewall]\nallow = all\n%s[peer stock]\nkey = %s\nendpoint = %s\n"
ba = netkit.Byway(a, CONFIG % ("a", "", w1.public, "192.0.2.2:51820"))
bb = netkit.Byway(b, CONFIG % ("b", "[routing]\nexport = fd00:7::/64\n", w2.public, "192.0.2.6:51821"))
w1.peer(ba.key, "192.0.2.1:4870")
w2.peer(bb.key, "192.0.2.5:4870")
netkit.babeld(s, ["wga", "wgb"], ["fd77:1::/64"])

with step("a session through a machine that knows nothing of sessions"):
    wait_until(lambda: ba.has_route(bb.address + "/128") and bb.has_route(ba.address + "/128"), 30, "routes")
    a.reaches(bb.address)
    check(any(x["address"] == bb.address and x["state"] == "up" for x in ba.get("sessions")), "no session")
with step("pings of every size arrive"):
    for size in (56, 1100, 1198, 1199, 1232, 1290, 1400, 3000, 20000):
        wait_until(lambda: a.ping(bb.address, size=size), 10, "%d bytes" % size)
with step("the kernel of the sender knows what fits"):
    _, out, err = a.status("ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", "1290", bb.address)
    check(re.search("mtu[:=] ?1280", out + err), out + err)
with step("traceroute and tracepath"):
    out = a.run("traceroute", "-6", "-n", "-q", "1", "-w", "2", bb.address, timeout=30)
    check("fd77:1::1" in out and bb.address in out.split("\n", 1)[1], out)
    out = a.run("tracepath", "-6", "-n", bb.address, timeout=40)
    check("reached" in out and "pmtu 1280" in out, out)
with step("a transfer arrives intact"):
    netkit.web(b, bb.address)
    out = a.run("sh", "-c", "curl -sS -g -m 40 'http://[%s]/5000000' | sha256sum" % bb.address, timeout=60)
    check(out.split()[0] == netkit.web_digest(5000000), "checksum differs")
with step("a network behind the other node, too"):
    wait_until(lambda: a.ping("fd00:7::9"), 20, "the host behind it")
    for size in (1100, 1232, 1290, 5000):
        wait_until(lambda: a.ping("fd00:7::9", size=size), 10, "%d bytes" % size)
    netkit.web(h, "fd00:7::9")
    out = a.run("sh", "-c", "curl -sS -g -m 40 'http://[fd00:7::9]/2000000' | sha256sum", timeout=60)
    check(out.split()[0] == netkit.web_digest(2000000), "checksum differs")
with step("and nothing was dropped as too big by the stock machine once that was known"):
    def told():
        return int(re.search(r"Icmp6OutPktTooBigs\s+(\d+)", s.run("cat", "/proc/net/snmp6"))[1])

    before = told()
    check(before > 0, "it has never said so: was the path small at all?")
    check(a.ping(bb.address, count=20, size=1232), "20 pings")
    check(told() == before, "%d times" % (told() - before))
netkit.done()
