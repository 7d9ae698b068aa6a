"""A relay that is not to be trusted, for evil_relay.py: a machine with stock WireGuard and babeld, a real neighbour of the nodes on
both its sides, whose kernel forwards nothing. What it carries goes through a program that does to it what it is told."""
# tests/run: helper
import collections
import ctypes
import ipaddress
import os
import random
import select
import socket
import struct
import threading
import time

import netkit

UDP, ICMP6, ESP, FRAGMENT = 17, 58, 50, 44
SESSION_PORT = 4871
INITIATION, RESPONSE, COOKIE, NOTICE, QUESTION, KEY = range(1, 7)
MARK = b"EVIL PLAIN TEXT"
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def inside(node, make):
    """make() with this thread in a node's network; sockets stay there. From the main thread only."""
    here, there = os.open("/proc/self/ns/net", os.O_RDONLY), os.open("/run/netns/" + node.name, os.O_RDONLY)
    try:
        if _libc.setns(there, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        return make()
    finally:
        if _libc.setns(here, _CLONE_NEWNET):
            os._exit(1)
        os.close(here)
        os.close(there)


def packet_socket(interface):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86dd))
    s.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)       # SO_RCVBUFFORCE
    s.bind((interface, 0x86dd))
    return s


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    n = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff


def ip6(src, dst, proto, payload, hops=64):
    return struct.pack(">IHBB", 6 << 28, len(payload), proto, hops) + src + dst + payload


def ip4_udp(src, dst, sport, dport, data):
    """An IPv4 packet, its UDP checksum left out; addresses as text."""
    src, dst = socket.inet_aton(src), socket.inet_aton(dst)
    h = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(data), 1, 0, 64, UDP, 0, src, dst)
    return h[:10] + struct.pack(">H", checksum(h)) + h[12:] + struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data


def with_checksum(src, dst, proto, payload, at):
    """An IPv6 packet whose payload has its checksum at that offset filled in."""
    payload = payload[:at] + b"\0\0" + payload[at + 2:]
    c = checksum(src + dst + struct.pack(">II", len(payload), proto) + payload) or 0xffff
    return ip6(src, dst, proto, payload[:at] + struct.pack(">H", c) + payload[at + 2:])


def udp(src, dst, sport, dport, data):
    return with_checksum(src, dst, UDP, struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data, 6)


def icmp_error(relay, kind, code, word, quoted):
    return with_checksum(relay, quoted[8:24], ICMP6, struct.pack(">BBHI", kind, code, 0, word) + quoted[:1232], 2)


class Relay(threading.Thread):
    """Forwards IPv6 between two interfaces of a node, between the mesh addresses a (on the first side) and b.

    flip, drop, repeat: the share of packets whose one bit is changed, that are lost, that come again later;
    lie: says of every sealed packet that there is no way for it, and carries it all the same;
    reorder: so many are held back and let go in any order; suppress: types of session messages that vanish;
    answer: a function of a session question (source, destination, nonce) that gives a packet to send back.
    What is seen is counted: seen[what], and plain lists what should not have been."""

    def __init__(self, node, first, second, a, b, own, seed):
        super().__init__(daemon=True)
        self.a, self.b, self.own = (socket.inet_pton(socket.AF_INET6, x) for x in (a, b, own))
        self.sides = [inside(node, lambda: packet_socket(i)) for i in (first, second)]
        self.names = [first, second]
        self.rnd = random.Random(seed)
        self.lock = threading.Lock()
        self.seen, self.plain = collections.Counter(), []
        self.recent = [collections.deque(maxlen=2000), collections.deque(maxlen=2000)]       # sealed packets and session messages
        self.newest = [None, None]      # the last ESP packet from each side
        self.held = []
        self.bytes_seen = 0
        self.searched = []              # what must never be seen
        self.inner4 = self.inner6 = ()  # pairs of an address in the tunnel and one in the internet behind it
        self.ended = False
        self.be_good()
        self.start()

    def be_good(self):
        self.flip = self.drop = self.repeat = 0.0
        self.reorder = 0
        self.suppress, self.answer = (), None
        self.lie = False

    def run(self):
        while not self.ended:
            ready, _, _ = select.select(self.sides, [], [], 0.05)
            with self.lock:
                for s in ready:
                    for _ in range(64):
                        try:
                            p, where = s.recvfrom(65535, socket.MSG_DONTWAIT)
                        except BlockingIOError:
                            break
                        if where[2] == socket.PACKET_HOST and len(p) >= 40:
                            self.carry(self.sides.index(s), p)
                if not ready or len(self.held) >= self.reorder:
                    self.let_go()

    def overrun(self):
        """How many packets this program was too slow for since it was asked last: lost by it, not by what it does."""
        return sum(struct.unpack("=II", s.getsockopt(263, 6, 8))[1] for s in self.sides)     # SOL_PACKET, PACKET_STATISTICS

    def stop(self):
        self.ended = True
        self.join()

    def send(self, side, packet):
        """Out of an interface; from any thread."""
        try:
            self.sides[side].sendto(packet, (self.names[side], 0x800 if packet[0] >> 4 == 4 else 0x86dd))
        except OSError:         # too long after a flip, or the queue is full: lost
            pass

    def let_go(self):
        self.rnd.shuffle(self.held)
        for side, p in self.held:
            self.send(side, p)
        self.held = []

    def carry(self, side, p):
        dst = p[24:40]
        if dst[0] in (0xff, 0xfe) or dst == self.own or p[7] <= 1:
            return
        p = p[:7] + bytes([p[7] - 1]) + p[8:]
        kind = self.watch(side, p)
        if kind in self.suppress:
            self.seen["suppressed"] += 1
            if self.answer and kind == QUESTION:
                self.send(side, self.answer(p[8:24], dst, p[52:60]))
            return
        out = 1 - side
        if self.lie and kind == ESP:
            self.send(side, icmp_error(self.own, 1, 0, 0, p))
        if self.rnd.random() < self.repeat and self.recent[side]:
            self.seen["repeated"] += 1
            for _ in range(3):
                self.send(out, self.rnd.choice(self.recent[side]))
        if kind is not None:
            self.recent[side].append(p)
        if self.rnd.random() < self.drop:
            self.seen["dropped"] += 1
            return
        if self.rnd.random() < self.flip:
            self.seen["flipped"] += 1
            at = self.rnd.randrange(8 * len(p))
            p = bytearray(p)
            p[at >> 3] ^= 1 << (at & 7)
            p = bytes(p)
        if self.reorder:
            self.held.append((out, p))
        else:
            self.send(out, p)

    def watch(self, side, p):
        """Counts a packet, and notes what is readable of it. None: not between the two."""
        self.bytes_seen += len(p)
        for word in self.searched:
            if word in p:
                self.plain.append("%r in %s" % (word, p[:60].hex()))
        if {p[8:24], p[24:40]} != {self.a, self.b}:
            self.seen["others"] += 1
            return None
        if p[6] == ESP:
            self.seen["esp"] += 1
            self.newest[side] = p
            return ESP
        if p[6] == UDP and p[40:44] == struct.pack(">HH", SESSION_PORT, SESSION_PORT):
            self.seen["session", p[48]] += 1
            return p[48]
        if not (p[6] == ICMP6 and p[40] < 128):
            self.plain.append(p[:60].hex())
        return p[6] + 1000

    # ---- injecting ----

    def spis(self, side):
        """(source, destination, SPI, sequence number) of the newest packet from a side."""
        p = self.newest[side]
        return (p[8:24], p[24:40]) + struct.unpack(">II", p[40:48])

    def forge(self, side):
        """One packet of each kind that an attacker on the path can make without keys, as if it came from that side's end."""
        src, dst, spi, seq = self.spis(side)
        rnd, back = self.rnd, self.newest[1 - side]
        yield ip6(src, dst, ESP, struct.pack(">IIQ", spi, seq + rnd.randrange(1, 1000), seq + 1) + rnd.randbytes(rnd.randrange(4, 1300) // 4 * 4))
        yield ip6(src, dst, ESP, struct.pack(">IIQ", rnd.randrange(1 << 32), 1, 1) + rnd.randbytes(64))
        yield ip6(src, dst, ESP, self.newest[side][40:40 + rnd.randrange(0, 40)])                 # cut off
        yield udp(src, dst, 9, 9009, MARK)
        yield with_checksum(src, dst, 6, struct.pack(">HHIIBBHHH", 9, 80, 1, 0, 0x50, 2, 1000, 0, 0) + MARK, 16)
        yield with_checksum(src, dst, ICMP6, struct.pack(">BBHI", 128, 0, 0, 1) + MARK, 2)
        yield ip6(src, dst, 41, udp(src, dst, 9, 9009, MARK))
        for x, y in (self.inner4, self.inner4[::-1]) if self.inner4 else ():       # what belongs into the tunnel: in tunnel mode without keys, and as it is
            yield ip6(src, dst, 4, ip4_udp(x, y, 9, 9009, MARK))
            yield ip4_udp(x, y, 9, 9009, MARK)
        for x, y in (self.inner6, self.inner6[::-1]) if self.inner6 else ():
            yield ip6(src, dst, 41, udp(x, y, 9, 9009, MARK))
            yield udp(x, y, 9, 9009, MARK)
        yield ip6(src, dst, FRAGMENT, struct.pack(">BBHI", UDP, 0, 0, rnd.randrange(1 << 32)) + udp(src, dst, 9, 9009, MARK)[40:])
        yield ip6(src, dst, 0, bytes([UDP, 0, 1, 4, 0, 0, 0, 0]) + udp(src, dst, 9, 9009, MARK)[40:])      # a hop-by-hop header before it
        yield udp(src, dst, SESSION_PORT, SESSION_PORT, bytes([INITIATION, 0, 0, 0]) + rnd.randbytes(148))
        yield udp(src, dst, SESSION_PORT, SESSION_PORT, bytes([RESPONSE, 0, 0, 0]) + rnd.randbytes(92))
        yield udp(src, dst, SESSION_PORT, SESSION_PORT, bytes([COOKIE, 0, 0, 0]) + rnd.randbytes(60))
        yield udp(src, dst, SESSION_PORT, SESSION_PORT, bytes([KEY, 0, 0, 0]) + rnd.randbytes(40))
        yield udp(src, dst, SESSION_PORT, SESSION_PORT, bytes([NOTICE, 0, 0, 0]) + rnd.randbytes(8))
        if back:        # what a notice or an error must quote, an attacker on the path has seen
            yield udp(src, dst, SESSION_PORT, SESSION_PORT, bytes([NOTICE, 0, 0, 0]) + back[40:48])
            yield icmp_error(self.own, 2, 0, 1280, back)        # packet too big
            yield icmp_error(self.own, 2, 0, 68, back)
            yield icmp_error(self.own, 1, 0, 0, back)           # no route
            yield icmp_error(dst, 1, 4, 0, back)                # port unreachable


class Tap:
    """Counts the packets on an interface that hold the mark of what evil ones made."""

    def __init__(self, node, interface):
        self.socket = inside(node, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)
        self.socket.bind((interface, 3))

    def found(self):
        n = 0
        while True:
            try:
                n += MARK in self.socket.recv(65535, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return n


class Stream:
    """Numbered datagrams from one node to another, each of which can be told from any other."""

    def __init__(self, source, source_address, sink, sink_address, port, seed):
        self.out = inside(source, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        self.into = inside(sink, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        self.out.bind((source_address, port))
        self.into.bind((sink_address, port))
        self.to, self.source = (sink_address, port), ipaddress.ip_address(source_address)
        self.seed, self.sent, self.got, self.wrong = seed, 0, collections.Counter(), []

    def text(self, n):
        return struct.pack(">I", n) + random.Random(self.seed << 32 | n).randbytes(20 + n * 37 % 1200)

    def send(self):
        try:
            self.out.sendto(self.text(self.sent), self.to)
        except OSError:         # an error that a relay has sent may be told here
            pass
        self.sent += 1

    def read(self):
        while True:
            try:
                data, where = self.into.recvfrom(65535, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            n = struct.unpack(">I", data[:4])[0] if len(data) >= 4 else -1
            if not 0 <= n < self.sent or data != self.text(n) or ipaddress.ip_address(where[0]) != self.source:
                self.wrong.append(data[:40].hex())
            else:
                self.got[n] += 1


def exchange(streams, count, pace=0.004, also=lambda: None, patience=0.5):
    """Sends so many datagrams on each, and waits for what is under way until nothing has come for `patience` seconds. also() is
    called between them. Returns the shares lost."""
    before = [(s.sent, len(s.got)) for s in streams]
    for _ in range(count):
        for s in streams:
            s.send()
            s.read()
        also()
        time.sleep(pace)
    end = time.monotonic() + 6 * patience
    quiet = time.monotonic() + patience
    while time.monotonic() < min(end, quiet) and any(len(s.got) < s.sent for s in streams):
        n = sum(map(lambda s: sum(s.got.values()), streams))
        for s in streams:
            s.read()
        if sum(map(lambda s: sum(s.got.values()), streams)) > n:
            quiet = time.monotonic() + patience
        time.sleep(0.01)
    return [1 - (len(s.got) - g) / max(s.sent - n, 1) for s, (n, g) in zip(streams, before)]
