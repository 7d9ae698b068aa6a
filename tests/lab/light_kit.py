"""Opens the light messages of a capture for tshark, which does not know them: docs/spec/link.md, section 9, written from
that paper and WireGuard's with Python's cryptography and no code of ours. A frame that carries one becomes a frame with the
IPv6 packet inside; all others stay.

    count = open_light(capture, keylog, written)     # how many; ValueError: one did not open
"""
# tests/run: helper
import base64
import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def public(sk):
    return sk.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def dh(sk, pk):
    return sk.exchange(X25519PublicKey.from_public_bytes(pk))


def kdf(ck, data, n):
    def mac(key, text):
        return hmac.new(key, text, lambda d=b"": hashlib.blake2s(d)).digest()
    secret, out, last = mac(ck, data), [], b""
    for i in range(1, n + 1):
        last = mac(secret, last + bytes([i]))
        out.append(last)
    return out


def transport_keys(own, peer, ephemeral, psk, initiation, response):
    """Both directions' keys (paper, 5.4.2, 5.4.3, 5.4.5), initiator's first; None: another handshake's secrets."""
    begun = public(ephemeral) == initiation
    if not begun and public(ephemeral) != response:
        return None
    if begun:
        shared = [dh(ephemeral, peer), dh(own, peer), dh(ephemeral, response), dh(own, response)]
    else:
        shared = [dh(own, initiation), dh(own, peer), dh(ephemeral, initiation), dh(ephemeral, peer)]
    ck = hashlib.blake2s(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s").digest()
    for data in (initiation, *shared[:2], response, *shared[2:]):
        ck = kdf(ck, data, 1)[0]
    return kdf(kdf(ck, psk, 3)[0], b"", 2)


def read_keylog(file):
    with open(file) as f:
        for line in f:
            name, _, value = line.strip().partition(" = ")
            if name == "LOCAL_STATIC_PRIVATE_KEY":
                own, psk = X25519PrivateKey.from_private_bytes(base64.b64decode(value)), bytes(32)
            elif name == "REMOTE_STATIC_PUBLIC_KEY":
                peer = base64.b64decode(value)
            elif name == "LOCAL_EPHEMERAL_PRIVATE_KEY":
                yield own, peer, X25519PrivateKey.from_private_bytes(base64.b64decode(value)), psk


def datagram(frame):
    """The UDP payload of an Ethernet frame with a whole IPv6 packet or IPv4 one without options, else nothing."""
    ether, ip = frame[12:14], frame[14:]
    if ether == b"\x86\xdd" and ip[6:7] == b"\x11":
        return ip[48:40 + struct.unpack(">H", ip[4:6])[0]]
    if ether == b"\x08\0" and ip[:1] == b"\x45" and ip[9:10] == b"\x11" and not struct.unpack(">H", ip[6:8])[0] & 0x3fff:
        return ip[28:struct.unpack(">H", ip[2:4])[0]]
    return b""


def open_one(keys, m):
    receiver, counter = struct.unpack("<IQ", m[4:16])
    if receiver not in keys:
        return None     # of a handshake before the capture
    key = keys[receiver]
    aead = AESGCM(hashlib.blake2s(b"byway light v1 AES-256-GCM key", key=key).digest()) if m[1] else ChaCha20Poly1305(key)
    try:
        head = aead.decrypt(m[:4] + struct.pack("<Q", counter), m[16:72] + m[-16:], b"")
    except InvalidTag:
        raise ValueError("a light message of %d bytes, counter %d, does not open" % (len(m), counter)) from None
    if struct.unpack(">H", head[4:6])[0] + 40 != len(m) - 32 or head[6] != 50:
        raise ValueError("a light message with something else than ESP inside, or with another length")
    return head + m[72:-16]


def open_light(capture, keylog, written):
    secrets = list(read_keylog(keylog))
    initiations, keys, count = {}, {}, 0
    with open(capture, "rb") as f, open(written, "wb") as out:
        out.write(f.read(24))
        while head := f.read(16):
            seconds, fraction, n, whole = struct.unpack("<4I", head)
            frame = f.read(n)
            m = datagram(frame)
            kind = m[:4]
            if kind == b"\1\0\0\0" and len(m) == 148:
                initiations[m[4:8]] = m[8:40]
            elif kind == b"\2\0\0\0" and len(m) == 92 and m[8:12] in initiations:
                for s in secrets:
                    found = transport_keys(*s, initiations[m[8:12]], m[12:44])
                    if found:
                        initiator, responder = struct.unpack("<I", m[8:12])[0], struct.unpack("<I", m[4:8])[0]
                        keys[responder], keys[initiator] = found
            elif kind in (b"\x4c\0\0\0", b"\x4c\1\0\0") and len(m) >= 88:
                packet = open_one(keys, m)
                if packet:
                    frame = frame[:12] + b"\x86\xdd" + packet
                    head, count = struct.pack("<4I", seconds, fraction, len(frame), len(frame)), count + 1
            out.write(head + frame)
    return count
