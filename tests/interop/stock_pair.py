#!/usr/bin/python3
"""The judges among themselves: wireguard-go with babeld on one side and with bird2 on the other find each other's routes.
Nothing of ours runs here; if this fails, the machine or the harness is at fault and the other interop tests mean nothing."""
# tests/run: timeout=240
import netkit

netkit.enter()
a, b = netkit.Node("a"), netkit.Node("b")
netkit.veth(a, "eth0", b, "eth0")
a.address("eth0", "192.0.2.1/24")
b.address("eth0", "192.0.2.2/24")
wa = netkit.StockLink(a, "wga", "fe80::a", 51820)
wb = netkit.StockLink(b, "wgb", "fe80::b", 51820)
wa.peer(wb.public, "192.0.2.2:51820")
wb.peer(wa.public, "192.0.2.1:51820")
a.address("lo", "fd77:1::1/128")
b.address("lo", "fd77:2::1/128")
netkit.babeld(a, ["wga"], ["fd77:1::/64"])
netkit.bird(b, ["wgb"], ["fd77:2::/64", "fd77:2::1/128"], "192.0.2.2")

with netkit.step("stock WireGuard shakes hands with itself"):
    try:
        netkit.wait_until(lambda: wa.latest_handshake() and wb.latest_handshake(), 60, "handshake")
    except Exception:
        for node, link in ((a, wa), (b, wb)):
            print(node.run("wg", "show", link.interface), node.run("ip", "-s", "neigh"), node.run("ss", "-uanp"), sep="\n")
        raise
with netkit.step("babeld and bird2 exchange routes through it"):
    netkit.wait_until(lambda: "fd77:2::1" in a.run("ip", "-6", "route"), 60, "bird2's route at babeld")
    netkit.wait_until(lambda: "fd77:1::1" in b.run("ip", "-6", "route"), 60, "babeld's route at bird2")
with netkit.step("and ping each other"):
    a.reaches("fd77:2::1", source="fd77:1::1")
    b.reaches("fd77:1::1", source="fd77:2::1")
netkit.done()
