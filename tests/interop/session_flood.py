#!/usr/bin/python3
"""A neighbour floods a node with session handshakes, thousands a second, each right as far as one can tell without working for it:
links and the sessions that run don't notice, new ones are made meanwhile, and nothing is left of it.

    f (wireguard-go + babeld; a program that sends initiations) --- m (byway) --- n (byway)
                                                                    \\--- o (byway, started in the flood)
"""
# tests/run: timeout=150
import base64
import hashlib
import json
import os
import random
import re
import socket
import struct
import threading
import time

import evil
import netkit
from netkit import SEED, check, step, wait_until

FLOOD_S = 8
netkit.enter()
f, m, n, o = (netkit.Node(x) for x in "fmno")
netkit.veth(f, "eth0", m, "to-f")
netkit.veth(n, "eth0", m, "to-n")
netkit.veth(o, "eth0", m, "to-o")
f.address("eth0", "192.0.2.1/30")
m.address("to-f", "192.0.2.2/30")
wf = netkit.StockLink(f, "wgf", "fe80::f", 51820)
f.address("lo", "fd77::f/128")
CONFIG = "[node]\nname = %s\n[discover]\ninterfaces = %s\n[internet]\nuse = none\n[firewall]\nallow = all\n"
bm = netkit.Byway(m, CONFIG % ("m", "to-n, to-o") + "[peer flood]\nkey = %s\nendpoint = 192.0.2.1:51820\n" % wf.public)
bn = netkit.Byway(n, CONFIG % ("n", "eth0"))
wf.peer(bm.key, "192.0.2.2:4870")
netkit.babeld(f, ["wgf"], ["fd77::/64"])
monitor = m.spawn(netkit.BYWAY, "--socket", bm.socket, "monitor", "--json", name="monitor")


def initiations(count, to, key):
    """Whole IPv6 packets with initiations from made-up mesh addresses: mac1 is right, so each has to be looked at."""
    chance = random.Random(SEED)
    mac1_key = hashlib.blake2s(b"e2e mac1" + base64.b64decode(key)).digest()
    dst = socket.inet_pton(socket.AF_INET6, to)
    out = []
    for _ in range(count):
        src = b"\xfc" + chance.randbytes(15)
        body = bytes([1, 0, 0, 0]) + struct.pack(">I", chance.randrange(256, 1 << 32)) + chance.randbytes(32 + 48 + 32)
        body += hashlib.blake2s(body, key=mac1_key, digest_size=16).digest() + bytes(16)
        udp = struct.pack(">HHHH", 4871, 4871, 8 + len(body), 0) + body
        sum_ = evil.checksum(src + dst + struct.pack(">II", len(udp), 17) + udp) or 0xffff
        out.append(evil.ip6(src, dst, 17, udp[:6] + struct.pack(">H", sum_) + udp[8:]))
    return out


class Flood(threading.Thread):
    def __init__(self, packets):
        super().__init__(daemon=True)
        self.packets, self.sent, self.ended = packets, 0, threading.Event()
        self.socket = evil.inside(f, lambda: evil.packet_socket("wgf"))

    def run(self):
        begin = time.monotonic()
        while not self.ended.is_set():
            due = int((time.monotonic() - begin) * 4000)
            if self.sent >= due:
                self.ended.wait(0.002)
                continue
            try:
                self.socket.send(self.packets[self.sent % len(self.packets)])
            except OSError:
                self.ended.wait(0.002)
            self.sent += 1

    def stop(self):
        self.ended.set()
        self.join()
        self.socket.close()


def counter(name, label=""):
    text = m.run("curl", "-sS", "--unix-socket", bm.socket, "http://localhost/metrics")
    return int(float((re.search(r"^%s%s (\S+)$" % (name, re.escape(label)), text, re.M) or [0, 0])[1]))


def dropped(why):
    return counter("byway_sessions_dropped_total", '{reason="%s"}' % why)


with step("links and a session before the flood"):
    wait_until(lambda: wf.latest_handshake() and bm.has_route("fd77::f/128"), 20, "the flooder as a neighbour")
    n.reaches(bm.address)
    check(any(x["address"] == bm.address and x["state"] == "up" for x in bn.get("sessions")), "no session")
flood = Flood(initiations(2000, bm.address, bm.key))
with step("while initiations pour in, pings through the other link are answered"):
    flood.start()
    wait_until(lambda: dropped("cookie") > 500, 20, "a demand for cookies")
    code, out, _ = n.status("ping", "-n", "-q", "-i", "0.05", "-c", str(FLOOD_S * 20), "-W", "2", bm.address, timeout=60)
    received = int(re.search(r"(\d+) received", out)[1])
    check(received >= FLOOD_S * 20 * 0.95, "%d of %d" % (received, FLOOD_S * 20))
with step("a node that comes in the midst of it gets its session"):
    bo = netkit.Byway(o, CONFIG % ("o", "eth0"))
    o.reaches(bm.address, timeout_s=30)
    check(any(x["address"] == bm.address and x["state"] == "up" for x in bo.get("sessions")), "no session")
    check(flood.is_alive(), "the flood had ended")
flood.stop()
with step("what came was answered by cookies, or dropped"):
    cookies, sent = counter("byway_session_cookies_sent_total"), flood.sent
    handled = dropped("cookie") + dropped("rate") + dropped("auth")
    check(sent > 10000 and cookies > 500, "%d sent, %d cookies" % (sent, cookies))
    check(handled > 5000, "%d handled" % handled)
    print("# %d initiations sent, %d cookies in answer, %d looked into" % (sent, cookies, dropped("auth")))
with step("no link went down, no neighbour was lost"):
    events = [json.loads(x) for x in monitor.text().splitlines() if x.startswith("{")]
    lost = [e for e in events if e["type"] in ("peer-down", "neighbour-down")]
    check(not lost, json.dumps(lost[:3]))
    check(all(p["state"] == "up" for p in bm.get("peers")), json.dumps(bm.get("peers")))
with step("strangers that never confirm leave nothing"):
    wait_until(lambda: {x["address"] for x in bm.get("sessions") if x["state"] != "plain"} <= {bn.address, bo.address}, 30, "two sessions")
netkit.done()
