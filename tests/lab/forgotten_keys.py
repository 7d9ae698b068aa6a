#!/usr/bin/python3
"""Forward secrecy needs keys that are gone: everything that a stopped process holds in memory (/proc/PID/mem, every mapping that can be
read: what a core dump would hold, and what MADV_DONTDUMP keeps out of one) is searched for keys that the key log has told. Keys
in use are found there, which shows that the search works; those of past sessions are not.

The short form makes a session old by restarting its other end, the long one (--soak) by letting three minutes pass as well."""
# tests/run: timeout=90 longer
import base64
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Lab, want, wait_until
from session_kit import key_log

SOAK = os.environ.get("BYWAY_SOAK") == "1"


def memory_holds(pid, keys):
    """Which of these byte strings are somewhere in a process' memory."""
    found, longest = set(), max(map(len, keys), default=0)
    os.kill(pid, signal.SIGSTOP)
    try:
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
            total = 0
            for line in maps:
                m = re.match(r"([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+ *(.*)", line)
                if not m or m[3] in ("[vvar]", "[vvar_vclock]", "[vsyscall]"):
                    continue
                at, end, tail = int(m[1], 16), int(m[2], 16), b""
                while at < end:
                    mem.seek(at)
                    block = mem.read(min(end - at, 16 << 20))
                    if not block:
                        break
                    total += len(block)
                    found |= {k for k in keys - found if k in tail + block}
                    tail = block[-longest:]
                    at += len(block)
    finally:
        os.kill(pid, signal.SIGCONT)
    want(total > 5 << 20, f"only {total} bytes of memory were read")
    return found


class Keys:
    """What the key log has told so far."""

    def __init__(self, file):
        self.file = file

    def lines(self):
        try:
            with open(self.file) as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def sessions(self, a, b):
        """Cipher keys between two mesh addresses, without salts, oldest first."""
        rows = [re.match(r'ESP_SA "IPv6","(\S+?)","(\S+?)","0x\w+","[^"]+","0x(\w{64})\w{8}"', x) for x in self.lines()]
        return list(dict.fromkeys(bytes.fromhex(m[3]) for m in rows if m and {m[1], m[2]} == {a, b}))

    def ephemerals(self):
        """Private keys of links' handshakes."""
        return {base64.b64decode(x.split(" = ")[1]) for x in self.lines() if "LOCAL_EPHEMERAL_PRIVATE_KEY" in x}


def pid_of(lab, node):
    return next(n["pid"] for n in lab.show()["nodes"] if n["name"] == node)


def gone(lab, node, keys, what, seconds=15):
    """Waits until none of these is in a node's memory: what is under way may still hold one for a moment."""
    def look():
        left = memory_holds(pid_of(lab, node), keys)
        want(not left, f"{len(left)} of {len(keys)}")
        return True
    wait_until(look, seconds, f"{what} gone from {node}", every=0.5)


@labkit.test
def past_keys_are_not_in_memory():
    with key_log() as folder:
        return watch(Keys(os.path.join(folder, "keys")))


def watch(keys):
    with Lab(text="link a r\nlink r b\n") as lab:
        lab.all_ping(30)
        a, b = lab.address("a"), lab.address("b")
        talk = lab.pinging("a", b, 0.2)
        first = set(keys.sessions(a, b))
        want(len(first) >= 2, f"{len(first)} keys between the two in the log")
        for n in ("a", "b"):
            have = memory_holds(pid_of(lab, n), first)
            want(len(have) >= 2, f"{len(have)} of {len(first)} keys of the session in use found in {n}: the search is no good")
        # Every restart of b makes a new session; three of them are kept, the older two of which only receive.
        for _ in range(5):
            known = len(keys.sessions(a, b))
            lab.kill("b")
            lab.start("b")
            wait_until(lambda: len(keys.sessions(a, b)) >= known + 2 and lab.reaches("a", b), 30, "a session again")
        past, newest = set(keys.sessions(a, b)[:-6]), set(keys.sessions(a, b)[-2:])
        want(first <= past, "fewer sessions than restarts")
        gone(lab, "a", past, "keys of past sessions")
        want(memory_holds(pid_of(lab, "a"), newest), "the keys in use are not there either")
        for n in lab.nodes():
            gone(lab, n, keys.ephemerals(), "private keys of links' handshakes")
        note = f"{len(past)} keys of past sessions, {len(keys.ephemerals())} private keys of handshakes: none left"
        if SOAK:
            note += "; " + by_time(lab, keys, a, b)
        talk.stop()
        return note


def by_time(lab, keys, a, b):
    """New keys every 120 s while there is traffic; old ones are wiped at 180 s, at both ends."""
    begin = time.monotonic()
    old = set(keys.sessions(a, b))
    wait_until(lambda: time.monotonic() - begin > 181, 200, "three minutes", every=1)
    later = set(keys.sessions(a, b)) - old
    want(later, "no new keys in three minutes of traffic")
    for n in ("a", "b"):
        gone(lab, n, old, "keys of three minutes ago")
        want(memory_holds(pid_of(lab, n), later), f"the keys in use are not in {n}")
    for n in lab.nodes():
        gone(lab, n, keys.ephemerals(), "private keys of links' handshakes")
    return f"{len(old)} of three minutes ago: none left at either end"


labkit.main()
