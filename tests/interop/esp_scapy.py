#!/usr/bin/python3
"""Our ESP against scapy's IPsec layer: both ciphers, transport and tunnel mode, IPv4 and IPv6 inside, both directions. What we
seal scapy opens to the same packet, what scapy seals we open; a changed bit is refused by both."""
# tests/run: timeout=120
import os
import random
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
try:
    from scapy.all import ICMPv6EchoRequest, IP, IPv6, Raw, TCP, UDP
    from scapy.layers.ipsec import ESP, SecurityAssociation
except ImportError:
    print("skip scapy is not here (python3-scapy)")
    sys.exit(0)

failed = []


def ok(name, good, why=""):
    print(("ok " if good else "not ok ") + name + (": " + why if why and not good else ""))
    if not good:
        failed.append(name)


folder = tempfile.TemporaryDirectory(prefix="byway-esp-")
driver = os.path.join(folder.name, "esp_driver")
src = os.path.join(ROOT, "src")
sources = [os.path.join(src, d, f) for d in ("base", "crypto") for f in os.listdir(os.path.join(src, d)) if f.endswith(".c")]
sources += [os.path.join(src, f) for f in ("core/session/sa.c", "core/link/replay.c", "wire/esp.c")]
subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-I" + src, *sources, os.path.join(ROOT, "tests/interop/esp_driver.c"), "-lsodium",
                "-lcrypto", "-o", driver], check=True)
process = subprocess.Popen([driver], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(*words):
    process.stdin.write(" ".join(str(w) for w in words) + "\n")
    process.stdin.flush()
    return process.stdout.readline().split()


A, B = "fc01::1", "fc02::2"
rnd = random.Random(1)


def hexed(n):
    return bytes(rnd.randrange(256) for _ in range(n))


def inner_packets():
    yield "tcp", 6, IPv6(src=A, dst=B) / TCP(sport=1, dport=2, seq=7) / Raw(hexed(1200))
    yield "udp", 17, IPv6(src=A, dst=B) / UDP(sport=9, dport=53) / Raw(hexed(33))
    yield "icmpv6", 58, IPv6(src=A, dst=B) / ICMPv6EchoRequest(id=3, seq=1, data=hexed(56))
    for n in range(5):
        yield "udp of %d" % n, 17, IPv6(src=A, dst=B) / UDP(sport=9, dport=53) / Raw(hexed(n))


def tunnelled():
    yield "IPv6", 41, IPv6(src="2001:db8::7", dst="2001:db8::80") / UDP(sport=9, dport=53) / Raw(hexed(100))
    yield "IPv4", 4, IP(src="100.64.0.7", dst="192.0.2.80") / TCP(sport=1, dport=80) / Raw(hexed(700))


def flipped(packet, at):
    b = bytearray(packet)
    b[at] ^= 1
    return bytes(b)


def refuses(sa, packet):
    try:
        sa.decrypt(IPv6(packet))
    except Exception:  # scapy has several ways to say no
        return True
    return False


for ours, theirs in (("aes", "AES-GCM"), ("chacha", "CHACHA20-POLY1305")):
    for mode in ("transport", "tunnel"):
        good = back = bad = total = 0
        for seq, (name, number, packet) in enumerate(inner_packets() if mode == "transport" else tunnelled(), 1):
            key, salt, spi = hexed(32), hexed(4), rnd.randrange(256, 1 << 32)
            packet = packet.__class__(bytes(packet))
            header = IPv6(src=A, dst=B) if mode == "tunnel" else None
            sa = SecurityAssociation(ESP, spi=spi, crypt_algo=theirs, crypt_key=key + salt, tunnel_header=header)
            total += 1
            # ours, opened by scapy
            payload = bytes(packet) if mode == "tunnel" else bytes(packet)[40:]
            esp = bytes.fromhex(ask("seal", ours, key.hex(), salt.hex(), spi, seq, number, payload.hex())[0])
            whole = bytes(IPv6(src=A, dst=B, nh=50, plen=len(esp))) + esp
            opened = bytes(sa.decrypt(IPv6(whole)))
            good += opened == bytes(packet)
            bad += all(refuses(sa, flipped(whole, at)) for at in (44, 50, 57, len(whole) - 1))
            # scapy's, opened by us
            theirs_esp = bytes(sa.encrypt(packet, seq_num=seq))[40:]
            answer = ask("open", ours, key.hex(), salt.hex(), spi, theirs_esp.hex())
            back += answer == [str(number), payload.hex()]
            bad += ask("open", ours, key.hex(), salt.hex(), spi, flipped(theirs_esp, 20).hex()) == ["refused"]
        ok(f"scapy opens our {mode} mode, {theirs}", good == total, f"{good} of {total}")
        ok(f"we open scapy's {mode} mode, {theirs}", back == total, f"{back} of {total}")
        ok(f"a changed bit is refused by both ({mode} mode, {theirs})", bad == 2 * total, f"{bad} of {2 * total}")

process.stdin.close()
ok("the driver ends well", process.wait(10) == 0)
sys.exit(1 if failed else 0)
