#!/usr/bin/python3
"""A running node under hostile input: nothing crashes, memory stays flat, drops are counted by reason, links go on working."""
# tests/run: timeout=300 asan
import os
import random
import re
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit
from labkit import Failure, Lab, wait_until, want

SOAK = bool(os.environ.get("BYWAY_SOAK"))
SEED = int(os.environ.get("BYWAY_SEED", "0")) or random.randrange(1, 1 << 31)
STORM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostile_storm.py")


def anon_mb(lab, node):
    """Memory of its own: what it maps of libraries is shared with whoever else runs, and changes with them."""
    pid = next(n["pid"] for n in lab.show()["nodes"] if n["name"] == node)
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(r"^Pss_Anon:\s+(\d+)", f.read(), re.M)[1]) / 1024


def raw(lab, node, request, timeout=5):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(lab.socket(node))
    answer = b""
    try:
        s.sendall(request)
        s.shutdown(socket.SHUT_WR)
        while block := s.recv(65536):
            answer += block
    except OSError:
        pass
    s.close()
    return answer


def linklocal(lab, node, iface):
    text = lab.run(node, "ip", "-6", "-o", "addr", "show", "dev", iface, "scope", "link").stdout
    return re.search(r"inet6 (\S+)/", text)[1]


@labkit.test
def random_datagrams_are_dropped_and_counted():
    """n3 is an attacker on n2's wire (its daemon is stopped); n1 and n2 go on as if nothing were."""
    count = 2_000_000 if SOAK else 150_000
    with Lab("line", "--nodes", 3) as lab:
        lab.all_ping(30)
        lab.stop("n3")
        target = linklocal(lab, "n2", "to-n3")
        lab.run("n3", "/usr/bin/python3", STORM, "junk", "to-n2", target, 20_000, SEED)
        before, size = lab.metrics("n2"), anon_mb(lab, "n2")
        ping = lab.pinging("n1", lab.address("n2"), 0.05)
        lab.run("n3", "/usr/bin/python3", STORM, "junk", "to-n2", target, count, SEED + 1, timeout=250)
        ping.stop()
        after, grown = lab.metrics("n2"), anon_mb(lab, "n2") - size
        counted = {k: after[k] - before.get(k, 0) for k in after if "dropped" in k[0] and after[k] > before.get(k, 0)}
        want(len(counted) >= 4, f"counted: {counted}")
        want(sum(counted.values()) > count / 10, f"only {sum(counted.values())} of {count} were counted: {counted}")
        want(labkit._sanitized(lab.binary) or grown < 1.5, f"memory grew by {grown:.1f} MB")
        # The storm fills the socket that the neighbours' packets come through too: some may be lost with the junk.
        want(ping.lost <= 2 + ping.sent / 5, f"{ping.lost} of {ping.sent} pings lost meanwhile")
        reasons = ", ".join(f"{k[1]} {v}" for k, v in sorted(counted.items(), key=lambda x: -x[1])[:6])
    return f"{count} datagrams, memory {grown:+.2f} MB, {reasons}; seed {SEED}"


@labkit.test
def a_flood_of_forged_handshakes_is_met_with_cookies():
    count, rate = (400_000 if SOAK else 50_000), 10_000
    with Lab("line", "--nodes", 3) as lab:
        lab.all_ping(30)
        lab.stop("n3")
        before = lab.metrics("n2")
        size = anon_mb(lab, "n2")
        key = lab.status("n2")["key"]
        ping = lab.pinging("n1", lab.address("n2"), 0.05)
        lab.run("n3", "/usr/bin/python3", STORM, "flood", "to-n2", linklocal(lab, "n2", "to-n3"), key, count, rate,
                timeout=250)
        ping.stop()
        after = lab.metrics("n2")
        cookies = after["byway_cookies_sent_total", ""] - before["byway_cookies_sent_total", ""]
        demanded = after["byway_handshakes_dropped_total", "cookie"] - before.get(("byway_handshakes_dropped_total", "cookie"), 0)
        want(cookies > 100 and demanded > 100, f"{cookies} cookies sent")
        want(ping.lost <= 2 + ping.sent / 20, f"{ping.lost} of {ping.sent} pings over the existing link lost")
        grown = anon_mb(lab, "n2") - size
        want(labkit._sanitized(lab.binary) or grown < 1.5, f"memory grew by {grown:.1f} MB")
        lab.start("n3")
        lab.all_ping(30)
    return f"{count} forged initiations, {cookies} cookies, {ping.lost} of {ping.sent} pings lost"


@labkit.test
def nonsense_to_the_api_gets_errors():
    rng = random.Random(SEED)
    words = [b"GET ", b"POST ", b"DELETE ", b"/v1/", b"status", b"peers", b"exit", b"lease", b"events", b" HTTP/1.1\r\n", b"Host: x\r\n",
             b"Content-Length: ", b"-1", b"99999999999", b"\r\n\r\n", b'{"key":', b'{"use":"', b"[" * 200, b"\0", b"%00", b"../", b"\xff\xfe"]
    with Lab("line", "--nodes", 2, "--internet", 1, "--share", 1) as lab:
        lab.all_ping(30)
        size = None
        for i in range(30_000 if SOAK else 2_000):
            raw(lab, "n1", b"".join(rng.choice(words) for _ in range(rng.randrange(1, 12))) + b"\r\n\r\n", 0.2)
            if i == 1000:
                size = anon_mb(lab, "n1")
        grown = anon_mb(lab, "n1") - size
        want(labkit._sanitized(lab.binary) or grown < 1.5, f"memory grew by {grown:.1f} MB")
        a = lab.address("n1")
        for body in ("", "{", "[]", '{"version":1}', '{"version":1,"key":"AAAA","signature":"x"}', "x" * 60000, '{"a":' * 3000):
            r = lab.run("n2", "curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@-", f"http://[{a}]:4870/v1/lease",
                        check=False) if not body else lab.run("n2", "sh", "-c", 'printf %s "$1" | curl -s -m 5 -o /dev/null -w "%{http_code}" '
                                                              '--data-binary @- "$2"', "sh", body[:30000], f"http://[{a}]:4870/v1/lease", check=False)
            want(r.stdout.startswith("4"), f"a bad lease request got {r.stdout!r}")
        r = lab.run("n2", "curl", "-s", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", f"http://[{a}]:4870/v1/status", check=False)
        want(r.stdout in ("403", "404"), f"/v1/status over the mesh: {r.stdout}")
        lab.all_ping(30)
        wait_until(lambda: lab.online("n2", f"{labkit.WEB4}/"), 20, "Internet at n2")
    return f"memory {grown:+.2f} MB, seed {SEED}"


labkit.main()
