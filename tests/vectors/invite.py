#!/usr/bin/env python3
"""Writes invite.txt: texts of docs/spec/invite.md with what they say. Shares no code with the program."""
import base64, ipaddress, json, struct, zlib

key = bytes(range(1, 33))
def b64(b): return base64.urlsafe_b64encode(b).decode().rstrip("=")
def item(t, v): return bytes([t, len(v)]) + v
def v4(a, p): return item(2, struct.pack(">H", p) + ipaddress.ip_address(a).packed)
def v6(a, p): return item(3, struct.pack(">H", p) + ipaddress.ip_address(a).packed)
def host(h, p): return item(4, struct.pack(">H", p) + h.encode())
def text(body): return "byway:1:" + b64(body + struct.pack(">I", zlib.crc32(body)))

rows = []
def good(body, **says): rows.append((text(body), dict(key=base64.b64encode(key).decode(), **says)))
def bad(t, error): rows.append((t, {"error": error}))

good(key)
good(key + item(1, b"mill") + v4("192.0.2.7", 4870), name="mill", endpoints=["192.0.2.7:4870"])
good(key + v6("2001:db8::1", 65535) + host("mill.example.net", 1) + item(5, bytes(range(100, 132))),
     endpoints=["2001:db8::1:65535", "mill.example.net:1"], secret=bytes(range(100, 132)).hex())
good(key + b"".join(v4("192.0.2.%d" % i, i) for i in range(1, 9)), endpoints=["192.0.2.%d:%d" % (i, i) for i in range(1, 9)])
good(key + item(200, b"future") + item(1, b"a-b.c_d"), name="a-b.c_d")
good(key + host("x" * 253, 9), endpoints=["x" * 253 + ":9"])
t = text(key + item(1, b"mill"))
rows.append(("  " + t[:20] + "\\n" + t[20:] + "\\n", dict(key=base64.b64encode(key).decode(), name="mill")))

bad("", "malformed"); bad("byway", "malformed"); bad("hello", "malformed"); bad("byway:x:AAAA", "malformed")
bad("byway:2:AAAA", "unsupported"); bad("byway:10:AAAA", "unsupported"); bad("byway:1:", "short")
bad(t[:-1], "auth"); bad(t[:30], "short"); bad(t[:9], "short")
bad(t[:12] + ("A" if t[12] != "A" else "B") + t[13:], "auth")
bad(t + "!", "malformed"); bad(t.replace("byway", "Byway"), "malformed")
bad(text(key + item(6, b"")), "unsupported")
bad(text(key + item(1, b"")), "malformed"); bad(text(key + item(1, b"a b")), "malformed"); bad(text(key + item(1, b"x" * 64)), "malformed")
bad(text(key + item(1, b"a") + item(1, b"b")), "malformed")
bad(text(key + v4("192.0.2.7", 0)), "malformed"); bad(text(key + item(2, b"\0\1\2")), "malformed")
bad(text(key + item(3, b"\0" * 17)), "malformed"); bad(text(key + v6("::ffff:1.2.3.4", 5)), "malformed")
bad(text(key + host("1.2.3.4", 5)), "malformed"); bad(text(key + host("a\nb", 5)), "malformed"); bad(text(key + host("", 5)), "malformed")
bad(text(key + item(5, b"\0" * 31)), "malformed"); bad(text(key + b"\1"), "malformed"); bad(text(key + b"\1\5ab"), "malformed")
bad(text(key + b"".join(v4("192.0.2.%d" % i, i) for i in range(1, 10))), "malformed")

with open(__file__.replace(".py", ".txt"), "w") as f:
    for t, says in rows:
        f.write(t + "\t" + json.dumps(says, sort_keys=True) + "\n")
