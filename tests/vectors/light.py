#!/usr/bin/env python3
"""Writes light.txt: light messages as docs/spec/link.md, section 9 has them. Shares no code with the program; needs
python3-cryptography. From the text of the specification alone: whoever implements it may compare."""
import hashlib, struct
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

rows = []
def put(name, data): rows.append("%s = %s" % (name, data.hex()))

def light(key, aes, index, counter, packet):
    kind = b"\x4c\1\0\0" if aes else b"\x4c\0\0\0"
    aead = AESGCM(hashlib.blake2s(b"byway light v1 AES-256-GCM key", key=key).digest()) if aes else ChaCha20Poly1305(key)
    sealed = aead.encrypt(kind + struct.pack("<Q", counter), packet[:56], b"")
    return kind + struct.pack("<IQ", index, counter) + sealed[:56] + packet[56:] + sealed[56:]

key = hashlib.sha256(b"light").digest()
put("key", key)
for name, aes, counter, body in (("small", 0, 0, 20), ("large", 0, 2**40 + 7, 1364), ("small.aes", 1, 0, 20), ("large.aes", 1, 2**40 + 7, 1364)):
    esp = struct.pack(">IIQ", 0x12345678, 99, 99) + (hashlib.sha512(name.encode()).digest() * 30)[:body]
    packet = struct.pack(">IHBB", 6 << 28 | 0x2abcde, len(esp), 50, 63) + b"\xfc\1" + bytes(13) + b"\1\xfc\2" + bytes(13) + b"\2" + esp
    put(name + ".packet", packet)
    put(name + ".message", light(key, aes, 0xa1b2c3d4, counter, packet))

with open(__file__.replace(".py", ".txt"), "w") as f:
    f.write("# Light messages: made by light.py from docs/spec/link.md, by other code than the program's. Receiver index a1b2c3d4\n"
            "# (a number), counters 0 and 2^40 + 7.\n" + "\n".join(rows) + "\n")
