#!/usr/bin/env python3
"""Writes session.txt: handshakes, first packets and a cookie as docs/spec/session.md has them. Shares no code with the program;
needs python3-cryptography. From the text of the specification alone: whoever implements it may compare."""
import hashlib, hmac, struct
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

def blake(data, key=b"", n=32): return hashlib.blake2s(data, key=key, digest_size=n).digest()
def mac(key, data): return hmac.new(key, data, lambda d=b"": hashlib.blake2s(d)).digest()
def public(sk): return X25519PrivateKey.from_private_bytes(sk).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
def dh(sk, pk): return X25519PrivateKey.from_private_bytes(sk).exchange(X25519PublicKey.from_public_bytes(pk))
def address(pk): return hashlib.sha512(hashlib.sha512(pk).digest()).digest()[:16]

def kdf(ck, data, n):
    secret, out, last = mac(ck, data), [], b""
    for i in range(1, n + 1):
        last = mac(secret, last + bytes([i]))
        out.append(last)
    return out

def identity(name):
    """The first seed of a series whose address is one of a mesh."""
    i = 0
    while True:
        seed = hashlib.sha256(b"%s %d" % (name, i)).digest()
        sk = hashlib.sha512(seed).digest()[:32]         # RFC 8032; X25519 clamps
        if address(public(sk))[0] == 0xfc and any(address(public(sk))[1:4]):
            return seed, sk, public(sk)
        i += 1

def rotl(x, n): return (x << n | x >> 32 - n) & 0xffffffff

def hchacha20(key, nonce):
    s = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))
    def quarter(a, b, c, d):
        for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xffffffff
            s[z] = rotl(s[z] ^ s[x], n)
    for _ in range(10):
        for i in range(4): quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4): quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *(s[:4] + s[12:]))

def xchacha(key, nonce, data, ad):
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])).encrypt(bytes(4) + nonce[16:], data, ad)

class Noise:
    """Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s with the identifier as prologue."""
    def __init__(self, responder):
        self.ck = blake(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
        self.h = blake(self.ck + b"byway end-to-end session v1")
        self.hash(responder)
    def hash(self, data): self.h = blake(self.h + data)
    def key(self, data): self.ck, k = kdf(self.ck, data, 2); return k
    def e(self, pk): self.ck = kdf(self.ck, pk, 1)[0]; self.hash(pk)
    def psk(self, psk): self.ck, t, k = kdf(self.ck, psk, 3); self.hash(t); return k
    def seal(self, k, data):
        out = ChaCha20Poly1305(k).encrypt(bytes(12), data, self.h)
        self.hash(out)
        return out

def with_macs(message, receiver, cookie=None):
    message += blake(message, blake(b"e2e mac1" + receiver), 16)
    return message + (blake(message, cookie, 16) if cookie else bytes(16))

rows = []
def put(name, value): rows.append("%s = %s" % (name, value.hex()))

iseed, isk, ipk = identity(b"initiator")
rseed, rsk, rpk = identity(b"responder")
for name, seed, pk in (("initiator", iseed, ipk), ("responder", rseed, rpk)):
    put(name + ".seed", seed); put(name + ".key", pk); put(name + ".address", address(pk))

def stamp(unix_ns):
    t = unix_ns >> 24 << 24
    return struct.pack(">QI", 0x400000000000000a + t // 10**9, t % 10**9)

def initiation(n, e_sk, index, when, offered, cookie=None):
    n.e(public(e_sk))
    static = n.seal(n.key(dh(e_sk, rpk)), ipk)
    offer = n.seal(n.key(dh(isk, rpk)), stamp(when) + bytes([offered, 0, 0, 0]))
    return with_macs(b"\1\0\0\0" + index + public(e_sk) + static + offer, rpk, cookie)

def response(n, e_sk, ie, index, to, choice):
    n.e(public(e_sk))
    n.ck = kdf(n.ck, dh(e_sk, ie), 1)[0]
    n.ck = kdf(n.ck, dh(e_sk, ipk), 1)[0]
    sealed = n.seal(n.psk(bytes(32)), bytes([choice, 0, 0, 0]))
    return with_macs(b"\2\0\0\0" + index + to + public(e_sk) + sealed, ipk)

def esp(transport, cipher, spi, seq, payload, next_header):
    name = "byway session v1 " + ("AES-256-GCM" if cipher == 2 else "ChaCha20-Poly1305")
    key, salt = (blake((name + x).encode(), transport) for x in (" key", " salt"))
    pad = -(len(payload) + 2) % 4
    plain = payload + bytes(range(1, pad + 1)) + bytes([pad, next_header])
    head, iv = spi + struct.pack(">I", seq), struct.pack(">Q", seq)
    return head + iv + (AESGCM if cipher == 2 else ChaCha20Poly1305)(key).encrypt(salt[:4] + iv, plain, head)

# unix_ns of both: one initiation each
for name, offered, choice, when in (("chacha", 1, 1, 1_700_000_000_123_456_789), ("aes", 3, 2, 1_800_000_000_987_654_321)):
    def fixed(what): return hashlib.sha256(("%s %s" % (name, what)).encode()).digest()
    ie, re = fixed("initiator's ephemeral"), fixed("responder's ephemeral")
    ii, ri = fixed("initiator's index")[:4], fixed("responder's index")[:4]
    n = Noise(rpk)
    first = initiation(n, ie, ii, when, offered)
    second = response(n, re, public(ie), ri, ii, choice)
    to_responder, to_initiator = kdf(n.ck, b"", 2)
    put(name + ".offered", bytes([offered])); put(name + ".unix_ns", struct.pack(">Q", when))
    put(name + ".initiator.ephemeral", ie); put(name + ".responder.ephemeral", re)
    put(name + ".initiator.index", ii); put(name + ".responder.index", ri)
    put(name + ".initiation", first); put(name + ".response", second)
    put(name + ".first", esp(to_responder, choice, ri, 1, b"", 59))             # confirms the keys
    put(name + ".answer", esp(to_initiator, choice, ii, 1, b"hello, initiator", 17))

# A responder under load, and what the initiator then sends.
secret, nonce, link = hashlib.sha256(b"jar").digest(), hashlib.sha256(b"nonce").digest()[:24], 7
cookie = blake(address(ipk) + struct.pack(">H", link), secret, 16)
mac1 = first[-32:-16]
put("cookie.secret", secret); put("cookie.nonce", nonce); put("cookie.link", struct.pack(">H", link)); put("cookie.initiation", first)
put("cookie.message", b"\3\0\0\0" + ii + nonce + xchacha(blake(b"e2e cook" + rpk), nonce, cookie, mac1))
put("cookie.again", first[:-16] + blake(first[:-16], cookie, 16))

with open(__file__.replace(".py", ".txt"), "w") as f:
    f.write("# Sessions: made by session.py from docs/spec/session.md, by other code than the program's\n" + "\n".join(rows) + "\n")
