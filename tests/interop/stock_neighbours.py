#!/usr/bin/python3
"""A byway node between neighbours that we did not write: wireguard-go + babeld on one side, wireguard-go + bird2 on the
other, a second byway node and a plain LAN host behind it. docs/guide/stock-neighbours.md is what is done here.

    s1 (babeld) --- m (byway) --- s2 (bird2)
                    |      \\
                n (byway)   h (plain host in 192.168.7.0/24, which m exports)
"""
# tests/run: timeout=150
import json
import os
import re
import socket
import struct

import netkit
from netkit import check, step, wait_until

netkit.enter()
s1, m, s2, n, h = (netkit.Node(x) for x in ("s1", "m", "s2", "n", "h"))
netkit.veth(s1, "eth0", m, "to-s1")
netkit.veth(s2, "eth0", m, "to-s2")
netkit.veth(n, "eth0", m, "to-n")
netkit.veth(h, "eth0", m, "lan")
s1.address("eth0", "192.0.2.1/30")
m.address("to-s1", "192.0.2.2/30")
s2.address("eth0", "192.0.2.5/30")
m.address("to-s2", "192.0.2.6/30")
m.address("lan", "192.168.7.1/24")
h.address("eth0", "192.168.7.2/24")
h.run("ip", "route", "add", "default", "via", "192.168.7.1")
m.forwarding()

# The stock machines: one wg interface per neighbour, a link-local address on it, addresses of their own to announce.
w1 = netkit.StockLink(s1, "wgm1", "fe80::1", 51820)
w2 = netkit.StockLink(s2, "wgm2", "fe80::2", 51820)
s1.address("lo", "fd77:1::1/128", "10.77.1.1/32")
s2.address("lo", "fd77:2::1/128")
s1.forwarding()
s2.forwarding()

CONFIG = """
[node]
name = mid
[discover]
interfaces = to-n
[routing]
export = 192.168.7.0/24
[internet]
use = none
[peer babeld]
key = %s
endpoint = 192.0.2.1:51820
[peer bird]
key = %s
endpoint = 192.0.2.5:51820
""" % (w1.public, w2.public)
keylog = netkit.path("keylog")
c1 = netkit.Capture(m, "to-s1")
c2 = netkit.Capture(m, "to-s2")
bm = netkit.Byway(m, CONFIG, env={"BYWAY_KEYLOG": keylog})
bn = netkit.Byway(n, "[node]\nname = far\n[discover]\ninterfaces = eth0\n[internet]\nuse = none\n")
w1.peer(bm.key, "192.0.2.2:4870")
w2.peer(bm.key, "192.0.2.6:4870")
babeld = netkit.babeld(s1, ["wgm1"], ["fd77:1::/64", "10.77.1.0/24"])
bird = netkit.bird(s2, ["wgm2"], ["fd77:2::/64", "fd77:2::1/128"], "192.0.2.5")

with step("stock WireGuard shakes hands with us"):
    wait_until(lambda: w1.latest_handshake() and w2.latest_handshake(), 15, "handshakes with both")
with step("the key log announces itself"):
    check(re.search(r"key.?log", bm.process.text(), re.I), "the log does not mention the key log")
    check(any("log" in p["code"] + p["text"] for p in bm.get("status")["problems"]), "status does not name it as a problem")

with step("babeld learns our routes, bird2's and the far node's"):
    for prefix in (bm.address, bn.address, "fd77:2::/64", "192.168.7.0/24"):
        wait_until(lambda: re.search(r"^%s " % re.escape(prefix), s1.run("ip", "-6", "route") + s1.run("ip", "route"), re.M),
                   20, "%s in babeld's kernel" % prefix)
with step("bird2 learns our routes, babeld's and the far node's"):
    for prefix in (bm.address, bn.address, "fd77:1::1"):
        wait_until(lambda: re.search(r"^%s " % re.escape(prefix), s2.run("ip", "-6", "route"), re.M), 20,
                   "%s in bird2's kernel" % prefix)
with step("we learn theirs, and pass them on"):
    for b in (bm, bn):
        for prefix in ("fd77:1::1/128", "fd77:2::/64", "10.77.1.1/32"):
            wait_until(lambda: b.has_route(prefix), 20, "%s at %s" % (prefix, b.node.name))

with step("ping to them"):
    m.reaches("fd77:1::1")
    m.reaches("fd77:2::1")
    n.reaches("fd77:1::1")
    n.reaches("fd77:2::1")
with step("ping from them"):
    s1.reaches(bm.address, source="fd77:1::1")
    s1.reaches(bn.address, source="fd77:1::1")
    s2.reaches(bm.address, source="fd77:2::1")
    s2.reaches(bn.address, source="fd77:2::1")
with step("ping through us, from one stock neighbour to the other"):
    s1.reaches("fd77:2::1", source="fd77:1::1")
    s2.reaches("fd77:1::1", source="fd77:2::1")
with step("IPv4 to an exported LAN, over a link that has only IPv6 next hops"):
    s1.reaches("192.168.7.2", source="10.77.1.1")
    h.reaches("10.77.1.1")
with step("a transfer through us arrives intact"):
    netkit.web(s2, "fd77:2::1")
    out = s1.run("sh", "-c", "curl -sS -g --interface fd77:1::1 'http://[fd77:2::1]/20000000' | sha256sum", timeout=60)
    check(out.split()[0] == netkit.web_digest(20000000), "checksum differs")
with step("large packets and fragments pass"):
    for size in (1372, 1400, 4000):
        wait_until(lambda: s1.ping("fd77:2::1", size=size, source="fd77:1::1"), 5, "ping of %d bytes" % size)
with step("traceroute from a stock machine shows us on the way"):
    out = s1.run("traceroute", "-6", "-n", "-q", "1", "-w", "2", "-s", "fd77:1::1", "fd77:2::1", timeout=30)
    check(bm.address in out, "our address is not in: " + out)

with step("peers tells who they are"):
    peers = {p["key"]: p for p in bm.get("peers")}
    for key, name in ((w1.public, "babeld"), (w2.public, "bird")):
        check(key in peers, "%s is not among %s" % (name, list(peers)))
        check(peers[key]["name"] == name and peers[key]["address"] is None, "as %s" % json.dumps(peers[key]))
with step("a stock neighbour's route goes when it does, and comes back"):
    babeld.stop()
    wait_until(lambda: not bn.has_route("fd77:1::1/128"), 20, "retraction at the far node")
    babeld = netkit.babeld(s1, ["wgm1"], ["fd77:1::/64", "10.77.1.0/24"])
    wait_until(lambda: bn.has_route("fd77:1::1/128"), 20, "route at the far node")
with step("a stock neighbour whose address changes is followed"):
    s1.run("ip", "address", "add", "192.0.2.9/30", "dev", "eth0")
    m.run("ip", "address", "add", "192.0.2.10/30", "dev", "to-s1")
    s1.run("wg", "set", "wgm1", "peer", bm.key, "endpoint", "192.0.2.10:4870")
    s1.run("ip", "address", "del", "192.0.2.1/30", "dev", "eth0")
    wait_until(lambda: any("192.0.2.9" in (p["endpoint"] or "") for p in bm.get("peers")), 20, "its new endpoint at us")
    s1.reaches(bm.address, source="fd77:1::1")

DEFINES = ["-o", "wg.keylog_file:" + keylog, "-d", "udp.port==4870,wg", "-d", "udp.port==51820,wg"]


def judge(pcap, name):
    rows = netkit.tshark(pcap, *DEFINES, "-T", "fields", "-e", "frame.protocols").split()
    check(rows, "nothing captured")
    kinds = {r.split(":")[-1] for r in rows}
    allowed = re.compile(r"^eth:ethertype:(arp|ipv6:icmpv6|ipv6:ipv6.hopopts:icmpv6|ip:udp:wg|ipv6:udp:wg)")     # hopopts: MLD
    for r in set(rows):
        check(allowed.match(r), "%s: %s on the wire" % (name, r))
    decrypted = [r for r in rows if re.search(r"wg:(raw|ip)", r)]
    check(len(decrypted) > 20, "%s: only %d packets decrypted (%s)" % (name, len(decrypted), kinds))
    return rows


def padded(pcap):
    """The Babel packets of a capture in one of their own, each with eight Pad1 TLVs at its end, which mean nothing: tshark 4.0
    reads four bytes too far in the time stamp of an IHU and calls every packet malformed that ends with one, babeld's too."""
    out = netkit.tshark(pcap, *DEFINES, "-Y", "babel", "-T", "fields", "-E", "occurrence=l", "-e", "ipv6.src", "-e", "ipv6.dst",
                        "-e", "udp.payload")
    rows = [r.split("\t") for r in out.strip().split("\n") if r]
    with open(pcap + ".padded", "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))        # link type: raw IP
        for src, dst, payload in rows:
            babel = bytearray.fromhex(payload)
            size = struct.unpack_from(">H", babel, 2)[0]
            babel[4 + size:4 + size] = bytes(8)
            struct.pack_into(">H", babel, 2, size + 8)
            packet = struct.pack(">IHBB", 6 << 28, 8 + len(babel), 17, 1) + socket.inet_pton(socket.AF_INET6, src) + \
                socket.inet_pton(socket.AF_INET6, dst) + struct.pack(">HHHH", 6696, 6696, 8 + len(babel), 0) + babel
            f.write(struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet)
    return pcap + ".padded", len(rows)


def babel_clean(pcap, name):
    """Every Babel packet, by tshark's dissector. AE 4 (RFC 9229) it does not know and calls malformed."""
    file, count = padded(pcap)
    fields = ["-e", "frame.number", "-e", "babel.message.type", "-e", "_ws.malformed", "-e", "_ws.expert.message",
              "-e", "ipv6.src", "-e", "babel.message.ae"]
    rows = [r.split("\t") for r in netkit.tshark(file, "-Y", "babel", "-T", "fields", *fields).strip().split("\n")]
    check(len(rows) == count > 10, "%s: %d Babel packets, %d dissected" % (name, count, len(rows)))
    types, bad = set(), []
    for r in rows:
        types |= set(r[1].split(","))
        if (r[2] or "Malformed" in r[3]) and "4" not in r[5].split(","):
            bad.append(r)
    check(not bad, "%s: malformed: %s" % (name, bad[:3]))
    check({"4", "5", "8"} <= types, "%s: Hello, IHU, Update expected among types %s" % (name, sorted(types)))


with step("tshark decrypts our handshakes and data, and sees nothing else on the wire"):
    c1.stop()
    c2.stop()
    check(os.stat(keylog).st_mode & 0o77 == 0, "the key log can be read by others")
    judge(c1.file, "to babeld")
    judge(c2.file, "to bird2")
with step("every Babel packet is well-formed to tshark"):
    babel_clean(c1.file, "to babeld")
    babel_clean(c2.file, "to bird2")

with step("stopping leaves nothing behind"):
    check(bm.stop() == 0, "exit status %s" % bm.process.p.returncode)
    check(set(m.links()) == {"lo", "to-s1", "to-s2", "to-n", "lan"}, "interfaces: %s" % list(m.links()))
    check(not m.run("nft", "list", "tables"), "nftables: " + m.run("nft", "list", "tables"))
    check(not os.path.exists(bm.socket), "the socket is still there")
netkit.done()
