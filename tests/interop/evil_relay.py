#!/usr/bin/python3
"""An evil relay between two byway nodes: what it flips, drops, repeats, reorders or makes up is lost and nothing else happens, and
when it keeps keys and handshakes from passing there is silence, never plain text.

    a (byway) --- e (wireguard-go + babeld; a program in place of the kernel's forwarding) --- b (byway run --share) --- w (internet)
"""
# tests/run: timeout=240 longer
import os
import re
import socket

import evil
import netkit
from netkit import SEED, SOAK, check, step, wait_until

WEB, WEB6 = "203.0.113.80", "2001:db8::80"
COUNT = 5000 if SOAK else 250       # datagrams each way and kind of evil
BYTES = 20_000_000 if SOAK else 1_000_000

netkit.enter()
a, e, b, w = (netkit.Node(x) for x in "aebw")
netkit.veth(a, "to-e", e, "eth0")
netkit.veth(b, "to-e", e, "eth1")
netkit.veth(b, "wan", w, "eth0")
a.address("to-e", "192.0.2.1/30")
e.address("eth0", "192.0.2.2/30")
b.address("to-e", "192.0.2.5/30")
e.address("eth1", "192.0.2.6/30")
b.address("wan", "198.51.100.2/24")
w.address("eth0", "198.51.100.1/24")
b.address("wan", "2001:db8:1::2/64")
w.address("eth0", "2001:db8:1::1/64")
w.address("lo", WEB + "/32", WEB6 + "/128")
b.run("ip", "route", "add", "default", "via", "198.51.100.1")
b.run("ip", "route", "add", "default", "via", "2001:db8:1::1")
netkit.web(w, WEB)
netkit.web(w, WEB6)

we = [netkit.StockLink(e, "wge%d" % i, "fe80::e%d" % i, 51820 + i) for i in (0, 1)]
e.address("lo", "fd77::e/128")
CONFIG = """
[discover]
interfaces = none
[firewall]
allow = all
[internet]
probe = %s:80, [%s]:80
%s
[peer evil]
key = %s
endpoint = %s
"""
keylog = netkit.path("keylog")


def start(use_exit):
    """Both nodes, without anything that they knew before."""
    for n in "ab":
        netkit.subprocess.run(["rm", "-rf", netkit.path("state-" + n)], check=True)
    na = netkit.Byway(a, CONFIG % (WEB, WEB6, "use = always" if use_exit else "use = none", we[0].public, "192.0.2.2:51820"))
    nb = netkit.Byway(b, CONFIG % (WEB, WEB6, "", we[1].public, "192.0.2.6:51821"), share="wan" if use_exit else None)
    we[0].peer(na.key, "192.0.2.1:4870")
    we[1].peer(nb.key, "192.0.2.5:4870")
    return na, nb


def routes(na, nb):
    wait_until(lambda: na.has_route(nb.address + "/128") and nb.has_route(na.address + "/128"), 30, "routes through the relay")


def session(node, other):
    return next((s for s in node.get("sessions") if s["address"] == other.address), None)


def drops(node):
    """How many packets the packet path has dropped, by reason."""
    text = node.node.run("curl", "-s", "http://127.0.0.1:4871/metrics")
    return {m[1]: int(m[2]) for m in re.finditer(r'reason="(\w+)"} (\d+)', text)}


def handshakes(relay):
    return relay.seen["session", evil.INITIATION]


babel = netkit.babeld(e, ["wge0", "wge1"], ["fd77::e/128"])
e.run("nft", "add table inet none; add chain inet none f { type filter hook forward priority 0; policy drop; }")

# ---- keys and handshakes suppressed ----
with step("keys and handshakes suppressed: silence, and not a byte in the clear"):
    na, nb = start(False)
    relay = evil.Relay(e, "wge0", "wge1", na.address, nb.address, "fd77::e", SEED)
    routes(na, nb)
    relay.searched = [b"s3cret words"]
    streams = [evil.Stream(a, na.address, b, nb.address, 9009, 1), evil.Stream(b, nb.address, a, na.address, 9010, 2)]
    evil_key = os.urandom(32)

    def forged_answer(src, dst, nonce):
        return evil.udp(dst, src, evil.SESSION_PORT, evil.SESSION_PORT, bytes([evil.KEY, 0, 0, 0]) + nonce + evil_key)

    def speak():
        for n, to in ((a, nb.address), (b, na.address)):
            n.status("sh", "-c", "ping -n -c 1 -W 1 -p %s %s & curl -s -m 1 -A 's3cret words' 'http://[%s]/'; wait" % (b"s3cret words".hex(), to, to))

    for name, types, answer in (("answers", (evil.KEY,), None), ("questions", (evil.QUESTION,), None),
                                ("questions, answered with a key of the relay's own", (evil.QUESTION,), forged_answer)):
        with relay.lock:
            relay.be_good()
            relay.suppress, relay.answer, before = types, answer, relay.seen["suppressed"]
        wait_until(lambda: evil.exchange(streams, 5, 0.05) and relay.seen["suppressed"] >= before + 4, 30, "%s suppressed" % name)
        speak()
        check(not streams[0].got and not streams[1].got, "%s suppressed: something came through" % name)
        check(relay.seen["esp"] == 0, "%s suppressed: sealed packets without a key" % name)
        check(not relay.plain, "%s suppressed: in the clear: %s" % (name, relay.plain[:3]))
    with relay.lock:
        relay.suppress, relay.answer = (evil.RESPONSE,), None
    wait_until(lambda: evil.exchange(streams, 5, 0.05) and handshakes(relay) >= 4, 30, "responses suppressed")
    speak()
    check(not streams[0].got and not streams[1].got and not relay.plain and not relay.seen["esp"], "responses suppressed: %s" % relay.plain[:3])
    with relay.lock:
        relay.be_good()
    wait_until(lambda: a.ping(nb.address) and b.ping(na.address), 20, "a session once they pass")
    check(not relay.plain and relay.seen["esp"] > 0, "in the clear: %s" % relay.plain[:3])
    wait_until(lambda: max(evil.exchange(streams, 20)) == 0, 10, "datagrams both ways")
    relay.stop()
    for n in (na, nb):
        check(n.stop() == 0, "exit status")

# ---- everything else that it can do, to an established session and to a tunnel ----
with step("through the relay while it does its work"):
    na, nb = start(True)
    relay = evil.Relay(e, "wge0", "wge1", na.address, nb.address, "fd77::e", SEED)
    routes(na, nb)
    netkit.web(b, nb.address, 8080)
    streams = [evil.Stream(a, na.address, b, nb.address, 9019, 3), evil.Stream(b, nb.address, a, na.address, 9020, 4)]
    taps = [evil.Tap(a, "byway0"), evil.Tap(b, "byway0"), evil.Tap(b, "wan"), evil.Tap(w, "eth0")]
    for host in (WEB, "[%s]" % WEB6):
        wait_until(lambda: a.status("curl", "-sfg", "-m", "2", "http://%s/" % host)[0] == 0, 30, "the internet through b: " + host)
    inner = {v: re.search(r"%s (1[\d.]+|fd[\da-f:]+)" % v, a.run("ip", "address", "show", "byway0"))[1] for v in ("inet", "inet6")}
    relay.inner4 = (inner["inet"], WEB)
    relay.inner6 = tuple(socket.inet_pton(socket.AF_INET6, x) for x in (inner["inet6"], WEB6))
    lost = evil.exchange(streams, COUNT)
    check(max(lost) <= 0.01, "lost before anything evil: %s" % lost)
    check(session(na, nb)["state"] == session(nb, na)["state"] == "up", "no session")


def transfers(name):
    """One in transport mode, one in tunnel mode."""
    for url in ("http://[%s]:8080/%d" % (nb.address, BYTES), "http://%s/%d" % (WEB, BYTES)):
        out = a.run("sh", "-c", "curl -sS -g -m 100 '%s' | sha256sum" % url, timeout=110)
        check(out.split()[0] == netkit.web_digest(BYTES), "%s: what came of %s differs" % (name, url))


def judge(name):
    for s in streams:
        check(not s.wrong, "%s: %d datagrams that nobody sent, e.g. %s" % (name, len(s.wrong), s.wrong[:1]))
        twice = [n for n, c in s.got.items() if c > 1]
        check(not twice, "%s: %d datagrams came twice" % (name, len(twice)))
    check(not relay.plain, "%s: in the clear: %s" % (name, relay.plain[:3]))
    found = [t.found() for t in taps]
    check(not any(found), "%s: packets of the relay's own: %s" % (name, found))


for name, settings, most in (("flips bits", {"flip": 0.1}, 0.2), ("drops", {"drop": 0.1}, 0.2), ("repeats", {"repeat": 0.5}, 0.02),
                             ("reorders", {"reorder": 24}, 0.02),
                             ("does all of it", {"flip": 0.02, "drop": 0.02, "repeat": 0.2, "reorder": 8}, 0.12)):
    with step("a relay that %s achieves nothing but loss" % name):
        with relay.lock:
            vars(relay).update(settings)
        lost = evil.exchange(streams, COUNT)
        if "reorder" not in settings or settings["reorder"] < 10:       # TCP takes that for loss and all but stops
            transfers(name)
        judge(name)
        check(max(lost) <= most, "lost %s" % lost)
        with relay.lock:
            relay.be_good()
            relay.let_go()

with step("a relay that injects achieves nothing"):
    before, began, dropped = handshakes(relay), netkit.time.monotonic(), [drops(na), drops(nb)]
    sent = 0

    def inject():
        global sent
        with relay.lock:
            for side in (0, 1):
                for p in relay.forge(side):
                    relay.send(1 - side, p)
                    sent += 1
                for p in relay.rnd.sample(list(relay.recent[side]), 3):       # recorded: sealed ones and handshakes
                    relay.send(1 - side, p)
    lost = evil.exchange(streams, COUNT, also=inject)
    transfers("injects")
    judge("injects")
    check(sent > 20 * COUNT, "only %d injected" % sent)
    check(max(lost) <= 0.02, "lost %s" % lost)
    spent = netkit.time.monotonic() - began
    begun = handshakes(relay) - before      # a forged notice may cost one a second and end; initiations may be lost and sent again
    check(begun <= 5 * spent + 10, "%d handshakes in %.1f s" % (begun, spent))
    more = [{k: v - was[k] for k, v in drops(n).items() if v > was.get(k, 0)} for n, was in zip((na, nb), dropped)]
    print("# %d handshakes in %.1f s; dropped at a: %s; at b: %s" % (begun, spent, *more))
    for m in more:
        for reason, least in (("plain", COUNT), ("esp_auth", COUNT / 2), ("esp_spi", COUNT / 2), ("esp_replay", 1)):
            check(m.get(reason, 0) >= least, "dropped as %s: %s" % (reason, m.get(reason, 0)))
with step("a relay that says there is no way is heard by pings and ends no connection"):
    with relay.lock:
        relay.lie = True
    # Tunnel mode, both families, then transport mode: the error is about the ping, not about ciphertext.
    for to, source, words in ((WEB, r"192\.0\.0\.8", "Destination Host Unreachable"), (WEB6, "fd77::e", "Address unreachable"), (nb.address, "fd77::e", "No route")):
        out = wait_until(lambda: (lambda o: o if words in o else None)(a.status("ping", "-n", "-c", "2", "-i", "0.3", "-W", "2", to)[1]), 10, words)
        check(re.search("From %s .*%s" % (source, words), out), out)
    transfers("says there is no way")
    judge("says there is no way")
    with relay.lock:
        relay.be_good()
with step("once it stops there is no trace of it"):
    wait_until(lambda: a.ping(nb.address, count=20) and b.ping(na.address, count=20), 10, "20 of 20 answers")

    def whole():        # a handshake that the last forged notice asked for may still be under way at first
        relay.overrun()
        before = [(s.sent, len(s.got)) for s in streams]
        lost = evil.exchange(streams, COUNT, patience=2)        # what a busy machine delays is not lost
        if max(lost):
            evil.exchange(streams, 0, patience=2)
            late = sum(len(s.got) - g for s, (_, g) in zip(streams, before)) - sum(round((1 - x) * (s.sent - n)) for x, s, (n, _) in zip(lost, streams, before))
            check(False, "still lost: %s, of them %d by the relay's slowness; %d came late; drops at a: %s, at b: %s" %
                  (lost, relay.overrun(), late, drops(na), drops(nb)))
        return True
    wait_until(whole, 40, "datagrams both ways, none lost")
    for size in (1200, 1400, 3000):
        wait_until(lambda: a.ping(nb.address, size=size), 5, "ping of %d bytes" % size)
    transfers("afterwards")
    judge("afterwards")
    seen = relay.seen
    print("# sealed %d, session messages %d; flipped %d, dropped %d, repeated %d, injected %d" %
          (seen["esp"], sum(v for k, v in seen.items() if isinstance(k, tuple)), seen["flipped"], seen["dropped"], 3 * seen["repeated"], sent))
relay.stop()
for n in (na, nb):
    with step("%s ends well" % n.node.name):
        check(n.stop() == 0, "exit status")
netkit.done()
