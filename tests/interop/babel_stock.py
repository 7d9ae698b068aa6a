#!/usr/bin/python3
"""Our Babel speaker on a cable next to babeld, next to bird2 and next to itself: routes both ways, v4-via-v6, retraction,
a proper farewell. tshark judges every packet of the captures."""
# tests/run: timeout=120
import os
import subprocess

import netkit

netkit.enter()
driver = netkit.path("babel_driver")
src = os.path.join(netkit.ROOT, "src")
files = [os.path.join(src, d, f) for d in ("base", "wire", "crypto", "core/babel") for f in os.listdir(os.path.join(src, d))
         if f.endswith(".c") and (d != "wire" or f.startswith("babel"))]
subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-g", "-I" + src, *files,
                os.path.join(netkit.ROOT, "tests/interop/babel_driver.c"), "-lsodium", "-lcrypto", "-o", driver], check=True)


class Ours:
    """The driver on one interface, with its commands."""

    def __init__(self, node, interface, router_id, *prefixes):
        self.node = node
        self.log = netkit.path("driver-%s.log" % node.name)
        with open(self.log, "wb") as out:
            self.p = subprocess.Popen(node.argv(driver, interface, router_id, *prefixes), stdin=subprocess.PIPE, stdout=out,
                                      stderr=subprocess.STDOUT, text=True, preexec_fn=netkit._die_with_parent)
        netkit.wait_until(lambda: "ready" in self.text(), 5, "driver is ready")

    def text(self):
        with open(self.log) as f:
            return f.read()

    def say(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()

    def route(self, prefix):
        """The last word about a prefix: a next hop, or None."""
        lines = [x for x in self.text().splitlines() if x.startswith("route %s " % prefix)]
        return lines[-1].split()[3] if lines and " via " in lines[-1] else None


def cable(a, b):
    netkit.veth(a, "eth0", b, "eth0")
    netkit.wait_until(lambda: a.linklocal("eth0") and b.linklocal("eth0"), 5, "link-local addresses")


class Capture:
    """Like netkit's, but every packet is written the moment it is seen."""

    def __init__(self, node):
        self.file = netkit.path(node.name + ".pcap")
        self.process = node.spawn("tcpdump", "--immediate-mode", "-n", "-U", "-s", "0", "-Z", "root", "-i", "eth0", "-w", self.file)
        self.process.wait_line("listening on")

    def stop(self):
        self.process.stop(netkit.signal.SIGINT)
        return self.file


def need(condition, what):
    if not condition:
        raise netkit.Failure(what)


def well_formed(file, sender, allow_v4_via_v6=False):
    """Every packet of ours is Babel to the last byte; only address encoding 4, which tshark 4.0 does not know, is excused."""
    out = netkit.tshark(file, "-V", "-Y", "babel && ipv6.src == " + sender)
    need(out.count("Babel Routing Protocol") >= 5, "too few Babel packets in the capture")
    bad = [x.strip() for x in out.splitlines() if "alformed" in x or "orrupt" in x or "Expert Info (Error" in x]
    if allow_v4_via_v6:
        bad = [x for x in bad if "prefix" not in x.lower()]
    need(not bad, "tshark: %s" % bad[:3])


# ---- babeld ----
a, b = netkit.Node("a"), netkit.Node("b")
cable(a, b)
b.address("lo", "fd77:2::1/128", "10.77.2.1/32")
cap = Capture(a)
ours = Ours(a, "eth0", "b00000000000000a", "fd77:1::1/128", "10.77.1.0/24")
netkit.babeld(b, ["eth0"], ["fd77:2::/64", "10.77.2.0/24"])

with netkit.step("babeld takes our routes, v4-via-v6 included"):
    netkit.wait_until(lambda: "fd77:1::1" in b.run("ip", "-6", "route"), 15, "v6 route at babeld")
    netkit.wait_until(lambda: "10.77.1.0/24 via inet6" in b.run("ip", "route"), 15, "v4-via-v6 route at babeld")
with netkit.step("we take babeld's, v4-via-v6 included"):
    netkit.wait_until(lambda: ours.route("fd77:2::1/128") == b.linklocal("eth0"), 15, "v6 route at ours")
    netkit.wait_until(lambda: ours.route("10.77.2.1/32") == b.linklocal("eth0"), 15, "v4 route at ours")
with netkit.step("babeld drops a route that we withdraw, and takes it again"):
    ours.say("withdraw fd77:1::1/128")
    netkit.wait_until(lambda: "fd77:1::1 via" not in b.run("ip", "-6", "route").replace("unreachable fd77:1::1", ""), 3, "gone at babeld")
    ours.say("originate fd77:1::1/128")
    netkit.wait_until(lambda: "fd77:1::1 via" in b.run("ip", "-6", "route"), 10, "back at babeld")
with netkit.step("we drop a route that babeld withdraws"):
    b.run("ip", "address", "delete", "fd77:2::1/128", "dev", "lo")
    netkit.wait_until(lambda: ours.route("fd77:2::1/128") is None, 40, "gone at ours")
with netkit.step("babeld acknowledges our farewell at once"):
    ours.say("shutdown")
    ours.p.wait(5)
    need("down clean" in ours.text(), ours.text()[-200:])
    netkit.wait_until(lambda: "10.77.1.0/24 via" not in b.run("ip", "route"), 3, "gone at babeld")
with netkit.step("tshark finds every packet between us and babeld well-formed"):
    well_formed(cap.stop(), a.linklocal("eth0"), True)

# ---- bird2 ----
c, d = netkit.Node("c"), netkit.Node("d")
cable(c, d)
cap = Capture(c)
netkit.bird(d, ["eth0"], ["fd77:4::/64"], "192.0.2.4")
ours = Ours(c, "eth0", "b00000000000000c", "fd77:3::1/128", "fd77:33::/48")

with netkit.step("bird2 takes our routes"):
    netkit.wait_until(lambda: "fd77:3::1" in d.run("ip", "-6", "route") and "fd77:33::/48" in d.run("ip", "-6", "route"), 15, "route at bird2")
with netkit.step("we take bird2's"):
    netkit.wait_until(lambda: ours.route("fd77:4::/64") == d.linklocal("eth0"), 15, "route at ours")
with netkit.step("bird2 drops a route that we withdraw"):
    ours.say("withdraw fd77:33::/48")
    netkit.wait_until(lambda: "fd77:33::/48 via" not in d.run("ip", "-6", "route"), 3, "gone at bird2")
with netkit.step("bird2 acknowledges our farewell"):
    ours.say("shutdown")
    ours.p.wait(5)
    need("down clean" in ours.text(), ours.text()[-200:])
    netkit.wait_until(lambda: "fd77:3::1 via" not in d.run("ip", "-6", "route"), 3, "gone at bird2")
with netkit.step("tshark finds every packet between us and bird2 well-formed"):
    well_formed(cap.stop(), c.linklocal("eth0"))

# ---- ourselves ----
e, f = netkit.Node("e"), netkit.Node("f")
cable(e, f)
cap = Capture(e)
one = Ours(e, "eth0", "b00000000000000e", "fc00:1::e/128")
two = Ours(f, "eth0", "b00000000000000f", "fc00:1::f/128", "fd00:9::/64", "fd00:9:0:1::/64")
with netkit.step("two of ours exchange routes"):
    netkit.wait_until(lambda: one.route("fc00:1::f/128") and one.route("fd00:9:0:1::/64") and two.route("fc00:1::e/128"), 5, "routes")
with netkit.step("they measure their link and send each other unicast Hellos"):
    def fast():
        one.say("neighbours")
        return "hello 350 ms rtt" in one.text()
    netkit.wait_until(fast, 5, "unicast Hellos", every_s=0.1)
with netkit.step("a neighbour killed without a word is noticed in under 2 s"):
    two.p.kill()
    netkit.wait_until(lambda: one.route("fc00:1::f/128") is None, 2, "gone")
with netkit.step("tshark finds every packet between the two well-formed, unicast Hellos and timestamps included"):
    file = cap.stop()
    well_formed(file, e.linklocal("eth0"))
    well_formed(file, f.linklocal("eth0"))
    text = netkit.tshark(file, "-V")
    need("Timestamp receive" in text, "no timestamps seen")
netkit.done()
