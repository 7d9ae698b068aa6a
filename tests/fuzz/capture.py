#!/usr/bin/python3
"""Makes seeds for the fuzz targets out of what other people's programs send: wireguard-go to wireguard-go, with babeld on one
side and bird2 on the other. Run by hand, as root; it writes tests/fuzz/corpus/{wg,babel_wire,node}/stock-*."""
import hashlib
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))
import netkit


def packets(file):
    """(link type, bytes) of a pcap file."""
    with open(file, "rb") as f:
        data = f.read()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    link, at = struct.unpack(order + "I", data[20:24])[0], 24
    while at + 16 <= len(data):
        n = struct.unpack(order + "I", data[at + 8:at + 12])[0]
        yield link, data[at + 16:at + 16 + n]
        at += 16 + n


def payloads(file):
    """UDP payloads; of Ethernet frames, or of the bare IP packets of a TUN device."""
    for link, p in packets(file):
        if link == 1:
            p = p[14:]
        if p[0] >> 4 == 4 and p[9] == 17:
            yield p[(p[0] & 15) * 4 + 8:]
        elif p[0] >> 4 == 6 and p[6] == 17:
            yield p[48:]


def keep(target, data):
    name = "stock-" + hashlib.sha256(data).hexdigest()[:12]
    with open(os.path.join(HERE, "corpus", target, name), "wb") as f:
        f.write(data)


def record(what, who, data):
    return bytes([what, who]) + struct.pack(">H", len(data)) + data


def main():
    netkit.enter()
    a, b = netkit.Node("a"), netkit.Node("b")
    netkit.veth(a, "eth0", b, "eth0")
    a.address("eth0", "192.0.2.1/24")
    b.address("eth0", "192.0.2.2/24")
    wires = netkit.Capture(a, "eth0", "wires", "udp port 51820")
    wa, wb = (netkit.StockLink(n, w, ll, 51820) for n, w, ll in ((a, "wga", "fe80::a"), (b, "wgb", "fe80::b")))
    inside = netkit.Capture(a, "wga", "inside", "udp port 6696")
    wa.peer(wb.public, "192.0.2.2:51820")
    wb.peer(wa.public, "192.0.2.1:51820")
    a.address("lo", "fd77:1::1/128", "198.51.100.1/32")
    b.address("lo", "fd77:2::1/128")
    netkit.babeld(a, ["wga"], ["fd77:1::/64"])
    netkit.bird(b, ["wgb"], ["fd77:2::/64", "fd77:2::1/128"], "192.0.2.2")
    netkit.wait_until(lambda: "fd77:2::1" in a.run("ip", "-6", "route"), 15, "bird2's route at babeld")
    netkit.wait_until(lambda: "fd77:1::1" in b.run("ip", "-6", "route"), 15, "babeld's route at bird2")
    a.reaches("fd77:2::1", source="fd77:1::1")
    a.run("ip", "addr", "add", "fd77:1::9/128", "dev", "lo")     # one more route, and gone again
    netkit.wait_until(lambda: "fd77:1::9" in b.run("ip", "-6", "route"), 15, "one more route")
    a.run("ip", "addr", "del", "fd77:1::9/128", "dev", "lo")
    netkit.wait_until(lambda: "fd77:1::9" not in b.run("ip", "-6", "route", "show", "type", "unicast"), 30, "a retraction")
    datagrams, spoken = list(payloads(wires.stop())), list(payloads(inside.stop()))
    shapes = {}
    for d in datagrams:     # one of each kind and length
        shapes.setdefault((d[0], len(d)), d)
    for d in list(shapes.values())[:12]:
        keep("wg", d)
    keep("node", b"".join(record(1, i & 3, d) + b"\0\0\x20" for i, d in enumerate(list(shapes.values())[:12])))
    shapes = {}
    for p in spoken:
        if len(p) > 4 and p[0] == 42:
            shapes.setdefault((p[4], len(p)), p)
    for p in list(shapes.values())[:24]:
        keep("babel_wire", p)
    for k in range(0, len(shapes), 8):
        keep("node", b"".join(record(10, i & 1, p[4:]) + b"\0\x01\x00" for i, p in enumerate(list(shapes.values())[k:k + 8])))
    print("%d datagrams, %d Babel packets" % (len(datagrams), len(spoken)))
    sys.exit(0)


main()
