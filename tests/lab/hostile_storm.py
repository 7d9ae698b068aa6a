#!/usr/bin/python3
"""Sends hostile datagrams from inside a namespace, as a neighbour on the wire could. Not a test by itself: hostile.py runs it.

  hostile_storm.py junk IFACE TARGET-LL COUNT SEED       random and mutated datagrams to port 4870, beacons to the group
  hostile_storm.py flood IFACE TARGET-LL KEY COUNT RATE  handshakes with a right mac1 from forged link-local sources, RATE a second
"""
# tests/run: helper
import base64
import hashlib
import os
import random
import socket
import struct
import sys
import time

PORT, GROUP = 4870, "ff12::4870"


def junk(iface, target, count, seed):
    rng = random.Random(seed)
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    index = socket.if_nametoindex(iface)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    to, group = (target, PORT, 0, index), (GROUP, PORT, 0, index)
    sizes = {1: 148, 2: 92, 3: 64, 4: 80}
    for i in range(count):
        kind = rng.randrange(6)
        if kind in sizes:  # the right type and, mostly, the right length; all else random
            n = sizes[kind] if rng.random() < 0.8 else rng.randrange(4, 1500)
            p = struct.pack("<I", kind) + rng.randbytes(max(n - 4, 0))
        elif kind == 5:
            p = b"bywy" + rng.randbytes(rng.randrange(0, 400))
        else:
            p = rng.randbytes(rng.randrange(0, 1400))
        try:
            s.sendto(p, group if kind == 5 or rng.random() < 0.1 else to)
        except OSError:
            pass


def flood(iface, target, key, count, rate):
    """WireGuard initiations whose mac1 is right (the key is public), from as many forged neighbours as there are messages."""
    mac1_key = hashlib.blake2s(b"mac1----" + base64.b64decode(key)).digest()
    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    index = socket.if_nametoindex(iface)
    dst = socket.inet_pton(socket.AF_INET6, target)
    begin = time.monotonic()
    for i in range(count):
        ahead = i / rate - (time.monotonic() - begin)
        if ahead > 0.005:
            time.sleep(ahead)
        src = b"\xfe\x80" + bytes(6) + os.urandom(8)
        m = struct.pack("<I", 1) + os.urandom(112)
        m += hashlib.blake2s(m, key=mac1_key, digest_size=16).digest() + bytes(16)
        udp = struct.pack("!HHHH", 1024 + i % 60000, PORT, 8 + len(m), 0) + m
        pseudo = src + dst + struct.pack("!II", len(udp), 17) + udp
        total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
        total = (total & 0xFFFF) + (total >> 16)
        total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        udp = udp[:6] + struct.pack("!H", total or 0xFFFF) + udp[8:]
        try:
            s.sendto(struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + src + dst + udp, (target, 0, 0, index))
        except OSError:
            pass


if __name__ == "__main__":
    what, iface, target = sys.argv[1:4]
    if what == "junk":
        junk(iface, target, int(sys.argv[4]), int(sys.argv[5]))
    else:
        flood(iface, target, sys.argv[4], int(sys.argv[5]), float(sys.argv[6]))
