"""What the tests of leaks share: a noisy program that tries every way out, and a judge of what a capture of the uplink holds."""
import ipaddress
import os
import shutil
import struct
import subprocess

import labkit
from labkit import want

UPLINK = "internet"

# Tries to get out in the clear: both families, UDP and TCP, with and without an interface or a source address of its own, to
# servers, to resolvers, to the provider's own address; 200 rounds a second until it is ended.
NOISE = r"""
import errno, itertools, random, socket, sys, time
PORTS = (53, 80, 123, 443, 853, 4870, 51820)
TO = ["198.51.100.80", "198.51.100.53", "203.0.113.1", "203.0.113.200", "8.8.8.8", "2001:db8::80", "2001:db8::53", "2001:db8:0:1::1", "2606:4700::1111"]
def attempt(to, port, kind, bound):
    s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, kind)
    try:
        s.setblocking(False)
        if bound:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"internet")
        if kind == socket.SOCK_DGRAM:
            s.sendto(b"byway-clear-text " * 4, (to, port))
        else:
            s.connect((to, port))
            return s
    except OSError:
        pass
    s.close()
held = []
for i in itertools.count():
    held.append(attempt(random.choice(TO), random.choice(PORTS), random.choice((socket.SOCK_DGRAM, socket.SOCK_STREAM)), i % 2))
    if len(held) > 100:
        s = held.pop(0)
        if s: s.close()
    time.sleep(0.005)
"""


def noise(lab, node):
    return lab.job(node, "python3", "-c", NOISE)


def frames(file):
    """The frames of a pcap file, without tools: (bytes of the Ethernet frame)."""
    with open(file, "rb") as f:
        data = f.read()
    if len(data) < 24:
        return
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    at = 24
    while at + 16 <= len(data):
        n = struct.unpack(order + "I", data[at + 8:at + 12])[0]
        yield data[at + 16:at + 16 + n]
        at += 16 + n


def describe(p):
    """(protocol, source, destination, source port, destination port or ICMP type, payload) of an Ethernet frame with IP."""
    kind = struct.unpack(">H", p[12:14])[0]
    if kind == 0x0800:
        head = (p[14] & 15) * 4
        proto, src, dst, rest = p[23], p[26:30], p[30:34], p[14 + head:]
        if struct.unpack(">H", p[20:22])[0] & 0x1fff:
            return ("fragment", ipaddress.ip_address(src), ipaddress.ip_address(dst), 0, 0, rest)
    elif kind == 0x86dd:
        proto, src, dst, rest = p[20], p[22:38], p[38:54], p[54:]
        while proto in (0, 43, 60) and len(rest) >= 8:
            proto, rest = rest[0], rest[(rest[1] + 1) * 8:]
        if proto == 44:
            return ("fragment", ipaddress.ip_address(src), ipaddress.ip_address(dst), 0, 0, rest)
    else:
        return (hex(kind), None, None, 0, 0, b"")
    src, dst = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if proto in (6, 17):
        sport, dport = struct.unpack(">HH", rest[:4]) if len(rest) >= 4 else (0, 0)
        return ("tcp" if proto == 6 else "udp", src, dst, sport, dport, rest[8 if proto == 17 else 20:])
    return ({1: "icmp", 2: "igmp", 58: "icmpv6"}.get(proto, str(proto)), src, dst, 0, rest[0] if rest else 0, rest)


def mac_of(lab, node, interface=UPLINK):
    text = lab.run(node, "cat", f"/sys/class/net/{interface}/address").stdout.strip()
    return bytes.fromhex(text.replace(":", ""))


def is_ours(proto, src, sport, dport, payload):
    """The underlay: UDP from the node's port, and what it holds looks like WireGuard or a beacon and not like the noise."""
    return proto == "udp" and sport == 4870 and b"byway-clear-text" not in payload


def may_leave(d):
    proto, src, dst, sport, port, payload = d
    if proto == hex(0x0806):
        return True
    if proto == "igmp" or (proto == "icmpv6" and port in (130, 131, 132, 133, 134, 135, 136, 137, 143)):
        return True
    if proto == "udp" and (sport, port) in ((68, 67), (546, 547)):
        return True
    return is_ours(proto, src, sport, port, payload)


def sent(file, mac):
    return [describe(p) for p in frames(file) if len(p) >= 34 and p[6:12] == mac]


def leaks(file, mac):
    """Everything that this interface sent and that may not leave in the clear, as text."""
    return [f"{d[0]} {d[1]} -> {d[2]} port {d[4]}" for d in sent(file, mac) if not may_leave(d)]


def questions(file, mac):
    """DNS in whatever form that this interface sent."""
    return [f"{d[0]} {d[1]} -> {d[2]} port {d[4]}" for d in sent(file, mac) if d[0] in ("udp", "tcp") and d[4] in (53, 853)]


def package(name):
    """The files of a Debian package in a folder of the build, without installing it: what this machine looks names up with
    must not change for a test. Skips the test if it cannot be had."""
    build = os.environ.get("BYWAY_BUILD") or os.path.dirname(labkit.BYWAY)
    folder = os.path.join(build, "packages", name)
    if os.path.isdir(folder):
        return folder
    work = folder + f".{os.getpid()}"
    os.makedirs(work)
    try:
        r = subprocess.run(["apt-get", "-q", "download", name], cwd=work, capture_output=True, text=True, timeout=60)
        files = [f for f in os.listdir(work) if f.endswith(".deb")]
        if r.returncode or not files:
            labkit.skip(f"package {name} cannot be fetched (apt-get download {name})")
        labkit.command("dpkg-deb", "-x", os.path.join(work, files[0]), os.path.join(work, "root"))
        os.rename(os.path.join(work, "root"), folder)
    except (OSError, subprocess.TimeoutExpired) as e:
        labkit.skip(f"package {name} cannot be fetched: {e}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


class Listener:
    """A capture of a node's interface; leaks() and questions() stop it and judge."""

    def __init__(self, lab, node, name, interface=UPLINK):
        self.file = f"{lab.dir}/{name}.pcap"
        self.mac = mac_of(lab, node, interface)
        self.job = lab.capture(node, interface, self.file)

    def stop(self):
        self.job.stop()
        return self

    def so_far(self):
        return sent(self.file, self.mac)

    def quiet(self, what):
        """Nothing in the clear: returns how many frames there were that may leave."""
        self.stop()
        bad = leaks(self.file, self.mac)
        want(not bad, lambda: f"{what}: {len(bad)} packets in the clear, e.g. {'; '.join(sorted(set(bad))[:4])}")
        return len(sent(self.file, self.mac))

    def no_questions(self, what):
        self.stop()
        bad = questions(self.file, self.mac)
        want(not bad, lambda: f"{what}: {len(bad)} questions on the uplink, e.g. {'; '.join(sorted(set(bad))[:4])}")
